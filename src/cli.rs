//! The command line: what can be said, what it means, and which exit code each outcome has.

mod distributed;
mod health_probe;
mod running;
mod standalone;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::api::registry::Plugin;
use crate::plugins::exec::launch;

/// Why the process ends, as its exit code. Those that Apache Kafka Connect has too are the same.
///
/// The table in `docs/reference/exit-codes.md` is made from this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for was done. `health`: the worker is healthy.
    Done,
    /// `health`: the worker is unhealthy.
    Unhealthy,
    /// The command line or the worker's settings are wrong, or REST cannot listen.
    BadConfig,
    /// `health`: the worker is starting.
    Starting,
    /// A connector of the command line could not be created, or the offsets could not be read.
    StartFailed,
    /// `health`: no worker answered, or nothing could be asked.
    NoAnswer,
    /// An error of the worker itself.
    Broken,
    /// A signal of this number ended the worker, in order.
    Signal(u8),
}

impl Exit {
    /// The code of the process.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Unhealthy | Exit::Broken => 1,
            Exit::BadConfig | Exit::Starting => 2,
            Exit::StartFailed | Exit::NoAnswer => 3,
            Exit::Signal(number) => 128 + number,
        }
    }

    /// What it means to whoever sees the code, in Markdown.
    pub fn describe(self) -> &'static str {
        match self {
            Exit::Done => "What was asked for was done. `health`: the worker is healthy.",
            Exit::Broken => {
                "`standalone`, `distributed`: an error of the worker itself, or of the system it runs on; or the group does \
                 not take the worker."
            }
            Exit::Unhealthy => "`health`: the worker is unhealthy.",
            Exit::BadConfig => {
                "`standalone`, `distributed`: the command line or the settings of the worker are wrong, or REST cannot listen."
            }
            Exit::Starting => "`health`: the worker is starting.",
            Exit::StartFailed => {
                "`standalone`: a connector of the command line could not be created, or the offsets could not be read."
            }
            Exit::NoAnswer => "`health`: no worker answered, or the command line is wrong.",
            Exit::Signal(_) => {
                "`standalone`, `distributed`: a signal ended the worker, in order at the first and at once at the second: \
                 SIGHUP 129, SIGINT 130, SIGTERM 143."
            }
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

/// Why a command failed: what to tell, and how to end.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    error: anyhow::Error,
}

impl Failure {
    fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Failure { exit, error: error.into() }
    }

    /// How the process ends.
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

/// The result of a command.
pub type Outcome = Result<Exit, Failure>;

/// A Kafka Connect worker in one static binary.
#[derive(Debug, Parser)]
#[command(name = "herdsman", version, about, disable_help_subcommand = true, subcommand_required = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a worker that keeps its offsets in a file and shares its work with nobody.
    Standalone(StandaloneArgs),
    /// Runs a worker of a group that shares its work, with configurations, offsets and states in topics.
    Distributed(DistributedArgs),
    /// Asks a worker for its health; the exit code is 0 healthy, 1 unhealthy, 2 starting, 3 no answer.
    Health(HealthArgs),
    /// Becomes a program of a connector; a worker starts this.
    #[command(name = launch::SUBCOMMAND, hide = true)]
    ExecProgram(ExecProgramArgs),
}

/// What both modes are told.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// Starts a Kafka broker in this process and uses it: to try things and to test, not to keep data in.
    #[arg(long)]
    embedded_kafka: bool,
    /// Sets a worker setting, over what the file says. May be given more than once.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
    settings: Vec<(String, String)>,
    /// Writes the URL of the REST API to this file as soon as it listens.
    #[arg(long, value_name = "FILE")]
    url_file: Option<PathBuf>,
    /// The settings of the worker, in Apache's form.
    #[arg(value_name = "WORKER.properties")]
    worker: PathBuf,
}

/// What `standalone` is told.
#[derive(Debug, Args)]
pub struct StandaloneArgs {
    #[command(flatten)]
    worker: WorkerArgs,
    /// Connectors to create: settings as properties or JSON, in Apache's forms.
    #[arg(value_name = "CONNECTOR.properties|CONNECTOR.json")]
    connectors: Vec<PathBuf>,
}

/// What `distributed` is told.
#[derive(Debug, Args)]
pub struct DistributedArgs {
    #[command(flatten)]
    worker: WorkerArgs,
    /// Writes the address of the embedded broker to this file, for further workers and for clients.
    #[arg(long, value_name = "FILE", requires = "embedded_kafka")]
    bootstrap_file: Option<PathBuf>,
}

/// What `health` is told.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// The REST API of the worker.
    #[arg(long, value_name = "URL", default_value = "http://localhost:8083", value_parser = url)]
    url: String,
    /// How long to wait for the answer; the worker itself waits for 10 seconds at most.
    #[arg(long, value_name = "SECONDS", default_value = "12", value_parser = seconds)]
    timeout: std::time::Duration,
    /// Certificates (PEM) to trust in place of the system's, for https.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// What a worker tells the child that becomes a program.
#[derive(Debug, Args)]
pub struct ExecProgramArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<std::ffi::OsString>,
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        Some(_) | None => Err("it needs the form KEY=VALUE".to_owned()),
    }
}

fn url(text: &str) -> Result<String, String> {
    let address = ["http://", "https://"].into_iter().find_map(|scheme| text.strip_prefix(scheme));
    match address {
        Some(address) if !address.is_empty() && !address.starts_with('/') => Ok(text.to_owned()),
        Some(_) | None => Err("it needs the form http://host:port".to_owned()),
    }
}

fn seconds(text: &str) -> Result<std::time::Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it needs to be a number of seconds".to_owned())?;
    match std::time::Duration::try_from_secs_f64(seconds) {
        Ok(timeout) if !timeout.is_zero() && seconds <= 3600.0 => Ok(timeout),
        Ok(_) | Err(_) => Err("it needs to be more than 0 and at most 3600 seconds".to_owned()),
    }
}

/// What `--version` says behind the name: a line for the worker, and one for each plug-in that was added.
fn version(added: &[Plugin]) -> String {
    let plugins = added.iter().map(|plugin| format!("\n{} {}", plugin.class(), plugin.version()));
    std::iter::once(env!("CARGO_PKG_VERSION").to_owned()).chain(plugins).collect()
}

impl Cli {
    /// Reads the command line of this process; what it asks for or does wrong is printed. `--version` names the plug-ins
    /// that this program adds to the built-in ones.
    ///
    /// # Errors
    /// How the process is to end if there is nothing to carry out.
    pub fn read(added: &[Plugin]) -> Result<Self, Exit> {
        // It is read once, and the parser keeps it for as long as the process runs.
        let command = Cli::command().version(&*version(added).leak());
        let read = command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
        read.map_err(|error| {
            // Nobody reads it.
            drop(error.print());
            // A mistake must not look like a worker that is starting to whoever asks for its health.
            let asks_for_health = std::env::args_os().nth(1).is_some_and(|command| command == "health");
            match error.exit_code() {
                0 => Exit::Done,
                _ if asks_for_health => Exit::NoAnswer,
                _ => Exit::BadConfig,
            }
        })
    }

    /// Carries out the command, with plug-ins beside the built-in ones.
    ///
    /// # Errors
    /// What went wrong, and the exit code for it.
    pub fn run(self, added: &[Plugin]) -> Outcome {
        match self.command {
            Command::Standalone(args) => standalone::run(&args, added),
            Command::Distributed(args) => distributed::run(&args, added),
            Command::Health(args) => health_probe::run(&args),
            Command::ExecProgram(args) => {
                let error = anyhow::Error::from(launch::run(&args.words));
                Err(Failure::new(Exit::Broken, error.context("cannot become the program of a connector")))
            }
        }
    }
}

#[cfg(test)]
mod exit_codes;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn settings_need_a_key() {
        assert_eq!(key_and_value("a=b=c").unwrap(), ("a".to_owned(), "b=c".to_owned()));
        assert_eq!(key_and_value("a=").unwrap(), ("a".to_owned(), String::new()));
        assert!(key_and_value("=b").is_err());
        assert!(key_and_value("a").is_err());
    }

    #[test]
    fn a_timeout_is_some_seconds() {
        assert_eq!(seconds("0.5").unwrap().as_millis(), 500);
        for wrong in ["0", "-1", "x", "NaN", "inf", "3601"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
