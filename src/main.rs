//! The process: parses the command line, runs it, and turns its outcome into an exit code.

use std::process::ExitCode;

use clap::Parser;
use herdsman::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("herdsman: {failure}");
            failure.exit().into()
        }
    }
}
