//! The process: parses the command line, runs it, and turns its outcome into an exit code.

use std::process::ExitCode;

use herdsman::cli::Cli;

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(exit) => return exit.into(),
    };
    match cli.run() {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("herdsman: {failure}");
            failure.exit().into()
        }
    }
}
