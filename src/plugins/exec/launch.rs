//! The step between the worker and a program: this executable, started as the child, that sets everything up which only
//! the child itself can, and then becomes the program.
//!
//! The worker hands over three descriptors as standard input, output and error. Here they become two more descriptors
//! for lines of JSON, and the log; the limits are set; and the kernel is asked to kill the program when the thread of
//! the worker that started it is gone.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Resource, Rlimit, Signal};
use serde_json::json;

use super::program::Program;

/// The descriptor from which the program reads lines.
const READ_FD: &str = "HERDSMAN_READ_FD";
/// The descriptor to which the program writes lines.
const WRITE_FD: &str = "HERDSMAN_WRITE_FD";

/// The hidden command of the executable that leads to [`run`].
pub const SUBCOMMAND: &str = "exec-program";

/// What stands for no limit.
const NO_LIMIT: &str = "-";

/// The arguments of the executable for a program: the command, then what [`run`] takes.
pub(super) fn arguments(program: &Program) -> Vec<String> {
    let memory = program.memory.map_or_else(|| NO_LIMIT.to_owned(), |bytes| bytes.to_string());
    let own = [SUBCOMMAND.to_owned(), std::process::id().to_string(), memory, program.files.to_string()];
    own.into_iter().chain(program.command.iter().cloned()).collect()
}

/// Becomes the program. Returns only if that fails; then the worker was told why, where that was possible.
pub fn run(words: &[OsString]) -> io::Error {
    let input = rustix::io::dup(rustix::stdio::stdin());
    let output = rustix::io::dup(rustix::stdio::stdout());
    let (input, output) = match (input, output) {
        (Ok(input), Ok(output)) => (input, output),
        (Err(error), _) | (_, Err(error)) => return error.into(),
    };
    let mut output = File::from(output);
    let [read_fd, write_fd] = [raw(&input), raw(&output)];
    let error = become_program(words, read_fd, write_fd);
    let name = words.get(3).map(|name| name.to_string_lossy()).unwrap_or_default();
    let told = json!({"failed": {"message": format!("cannot run {name}: {error}")}});
    // If nobody listens, nobody wants to know.
    drop(writeln!(output, "{told}"));
    error
}

fn raw(fd: &impl std::os::fd::AsRawFd) -> i32 {
    fd.as_raw_fd()
}

fn become_program(words: &[OsString], read_fd: i32, write_fd: i32) -> io::Error {
    let [parent, memory, files, program, arguments @ ..] = words else {
        return io::Error::new(io::ErrorKind::InvalidInput, "only a worker starts this command");
    };
    let numbers = [parent, memory, files].map(|word| word.to_str().unwrap_or_default());
    if let Err(error) = prepare(numbers) {
        return error;
    }
    let mut command = Command::new(program);
    command.args(arguments).env(READ_FD, read_fd.to_string()).env(WRITE_FD, write_fd.to_string());
    command.exec()
}

fn prepare([parent, memory, files]: [&str; 3]) -> io::Result<()> {
    let number = |text: &str| text.parse::<u64>().map_err(io::Error::other);
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The worker may have died before it was asked to tell.
    let is_there = rustix::process::getppid().is_some_and(|id| id.as_raw_nonzero().to_string() == parent);
    if !is_there {
        return Err(io::Error::other("the worker has gone"));
    }
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    limit(Resource::Nofile, number(files)?)?;
    if memory != NO_LIMIT {
        limit(Resource::As, number(memory)?)?;
    }
    Ok(())
}

/// Sets a limit, or leaves a lower one that there is already.
fn limit(resource: Resource, wanted: u64) -> io::Result<()> {
    let allowed = rustix::process::getrlimit(resource).maximum.map_or(wanted, |maximum| maximum.min(wanted));
    Ok(rustix::process::setrlimit(resource, Rlimit { current: Some(allowed), maximum: Some(allowed) })?)
}
