//! Which program a task runs, and within which limits: the settings that source and sink have in common.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, ConfigValue, Importance, Validator};
use crate::api::error::{ConnectError, Result};

pub(super) const COMMAND: &str = "command";
const DIRECTORY: &str = "directory";
const ENVIRONMENT: &str = "environment.";
const MEMORY: &str = "limits.memory.bytes";
/// Less is no room even for the start of a program.
const MEMORY_MIN: i64 = 16 * 1024 * 1024;
const FILES: &str = "limits.files";
const LINE: &str = "limits.line.bytes";
const LOG_LINES: &str = "log.lines.per.second";
const START_TIMEOUT: &str = "start.timeout.ms";
const PROGRESS_TIMEOUT: &str = "progress.timeout.ms";
const STOP_TIMEOUT: &str = "stop.timeout.ms";
const RESTARTS: &str = "restart.max";
const RESTART_FIRST: &str = "restart.backoff.ms";
const RESTART_LONGEST: &str = "restart.backoff.max.ms";

/// What a program sees of the worker's environment: what it needs to find its way, and no secret of the worker.
const INHERITED: [&str; 7] = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// Which programs the connectors of a worker may run, and the program that starts them.
///
/// Whoever may create a connector could otherwise run anything as the worker's user, so it is the worker's own settings
/// that say.
#[derive(Debug, Clone)]
pub struct Programs {
    allowed: Vec<String>,
    launcher: PathBuf,
    stop_within: Duration,
}

/// How much of `task.shutdown.graceful.timeout.ms` the end of a task may take, in fifths; the rest is for the worker.
const STOP_FIFTHS: u32 = 4;
/// The worker's default for it.
const GRACEFUL: Duration = Duration::from_secs(5);

impl Programs {
    /// `allowed`: paths of programs, and folders, which end in `/`. `launcher` is an executable of this crate: see
    /// [`super::launch`].
    #[must_use]
    pub fn new(allowed: Vec<String>, launcher: PathBuf) -> Self {
        Programs { allowed, launcher, stop_within: GRACEFUL }.of_worker_with(GRACEFUL)
    }

    /// The same of a worker that waits so long for a task that it stops.
    #[must_use]
    pub fn of_worker_with(self, graceful_timeout: Duration) -> Self {
        Programs { stop_within: graceful_timeout / 5 * STOP_FIFTHS, ..self }
    }

    /// How long the end of a task may take, all in all.
    pub(super) fn stop_within(&self) -> Duration {
        self.stop_within
    }

    /// Programs that are started by the executable of this process.
    #[must_use]
    pub fn of_this_process(allowed: Vec<String>) -> Self {
        // The link leads to the file that runs, also when another one has its name by now.
        Programs::new(allowed, PathBuf::from("/proc/self/exe"))
    }

    /// No program at all.
    #[must_use]
    pub fn none() -> Self {
        Programs::of_this_process(Vec::new())
    }

    fn allow(&self, program: &str) -> bool {
        let goes_up = Path::new(program).components().any(|part| part == Component::ParentDir);
        !goes_up
            && self.allowed.iter().any(|allowed| {
                if allowed.ends_with('/') { program.starts_with(allowed) } else { program == allowed }
            })
    }

    fn check(&self, command: &[String]) -> std::result::Result<(), String> {
        let Some(program) = command.first().filter(|program| !program.is_empty()) else {
            return Err("it must name a program".to_owned());
        };
        if !program.starts_with('/') {
            return Err(format!("the program {program} must be given by its full path"));
        }
        if command.iter().any(|word| word.contains('\0')) {
            return Err("it must not contain a zero byte".to_owned());
        }
        if !self.allow(program) {
            return Err(format!(
                "this worker does not run {program}: add it, or its folder with a / at the end, to the setting \
                 exec.allowed of the worker, which is {}",
                if self.allowed.is_empty() { "empty".to_owned() } else { self.allowed.join(",") }
            ));
        }
        Ok(())
    }
}

/// A program with everything that a task has to know to run it. Not printed: arguments and environment may hold secrets.
#[derive(Clone)]
pub(super) struct Program {
    pub(super) launcher: PathBuf,
    pub(super) command: Vec<String>,
    pub(super) directory: Option<PathBuf>,
    /// All that it gets.
    pub(super) environment: Vec<(String, String)>,
    /// Bytes of address space; `None` is no limit.
    pub(super) memory: Option<u64>,
    /// Open files.
    pub(super) files: u64,
    /// The longest line that it may say.
    pub(super) line_bytes: usize,
    pub(super) log_lines_per_second: usize,
    pub(super) start_timeout: Duration,
    pub(super) progress_timeout: Duration,
    pub(super) stop_timeout: Duration,
    pub(super) restarts: usize,
    pub(super) restart_first: Duration,
    pub(super) restart_longest: Duration,
}

/// The settings that both connectors take.
pub(super) fn config_def() -> ConfigDef {
    use ConfigType::{Int, List, Long, String};
    use Importance::{High, Low, Medium};
    let ms = |name, default, doc| ConfigKey::new(name, Long, Low, doc).default(default).at_least(1);
    ConfigDef::new()
        .define(ConfigKey::required(
            COMMAND,
            List,
            High,
            "The program to run, by its full path, and its arguments: separated by commas, or as a list of texts in \
             JSON. The worker's setting `exec.allowed` must allow it.",
        ))
        .define(ConfigKey::new(
            DIRECTORY,
            String,
            Medium,
            "The folder in which it runs; the worker's if not set. Variables of its environment stand below \
             `environment.`: of the worker's it gets PATH, HOME, USER, LANG, LC_ALL, TZ and TMPDIR only.",
        ))
        .define(
            ConfigKey::new(MEMORY, Long, Medium, "The most bytes of address space of the program (RLIMIT_AS); no limit if not set.")
                .validator(Validator::Nullable(Box::new(Validator::AtLeast(MEMORY_MIN)))),
        )
        .define(
            ConfigKey::new(FILES, Int, Low, "The most files that the program may have open (RLIMIT_NOFILE).")
                .default("1024")
                .at_least(16),
        )
        .define(
            ConfigKey::new(LINE, Int, Low, "The longest line that the program may write, in bytes. A longer one fails the task.")
                .default("4194304")
                .at_least(1024),
        )
        .define(
            ConfigKey::new(LOG_LINES, Int, Low, "How many lines of the program's output are logged in a second; the others are counted.")
                .default("100")
                .at_least(0),
        )
        .define(ms(START_TIMEOUT, "30000", "How long the program may take until it says that it is ready."))
        .define(ms(
            PROGRESS_TIMEOUT,
            "300000",
            "How long the program may leave unread what it is told, and a sink may leave a record unacknowledged. Then it \
             is killed and started again.",
        ))
        .define(ms(
            STOP_TIMEOUT,
            "4000",
            "How long the program may take to end. It is told at once, gets SIGTERM after half of this, and SIGKILL after \
             all of it. With what a sink waits for acknowledgements before, four fifths of \
             `task.shutdown.graceful.timeout.ms` of the worker at most.",
        ))
        .define(
            ConfigKey::new(RESTARTS, Int, Medium, "How often in a row a program that ended is started again before the task fails.")
                .default("5")
                .at_least(0),
        )
        .define(ms(RESTART_FIRST, "1000", "How long after the end of the program it is started again. Doubles with each time."))
        .define(ms(
            RESTART_LONGEST,
            "60000",
            "The longest wait before a start. A program that ran for longer than this begins anew with the first wait.",
        ))
}

/// Checks the settings beyond their types.
pub(super) fn validate(programs: &Programs, config: &Settings, values: &mut [ConfigValue]) {
    let mut complain = |name: &str, what: String| {
        if let Some(value) = values.iter_mut().find(|value| value.name == name) {
            let shown = config.get(name).map_or("null", String::as_str);
            value.errors.push(format!("Invalid value {shown} for configuration {name}: {what}"));
        }
    };
    if let Some(text) = config.get(COMMAND)
        && let Err(what) = command(text).and_then(|command| programs.check(&command))
    {
        complain(COMMAND, what);
    }
    if config.get(DIRECTORY).is_some_and(|folder| !folder.is_empty() && !folder.starts_with('/')) {
        complain(DIRECTORY, "it must be a full path".to_owned());
    }
    if let Some(name) = config.keys().find(|name| variable(name).is_some_and(|name| !is_variable(name))) {
        complain(COMMAND, format!("{name} names no variable of an environment"));
    }
}

/// The program of settings that were validated.
pub(super) fn program(programs: &Programs, def: &ConfigDef, config: &Settings) -> Result<Program> {
    let parsed = def.parse(config)?;
    let command = command(config.get(COMMAND).map_or("", String::as_str))
        .and_then(|command| programs.check(&command).map(|()| command))
        .map_err(|what| ConnectError::config(format!("{COMMAND}: {what}")))?;
    let whole = |name| parsed.get::<i32>(name).map(|number| u64::try_from(number).unwrap_or_default());
    Ok(Program {
        launcher: programs.launcher.clone(),
        command,
        directory: parsed.text(DIRECTORY)?.map(PathBuf::from),
        environment: environment(config),
        memory: parsed.get::<Option<i64>>(MEMORY)?.and_then(|bytes| u64::try_from(bytes).ok()),
        files: whole(FILES)?,
        line_bytes: parsed.get(LINE)?,
        log_lines_per_second: parsed.get(LOG_LINES)?,
        start_timeout: parsed.get(START_TIMEOUT)?,
        progress_timeout: parsed.get(PROGRESS_TIMEOUT)?,
        stop_timeout: parsed.get(STOP_TIMEOUT)?,
        restarts: parsed.get(RESTARTS)?,
        restart_first: parsed.get(RESTART_FIRST)?,
        restart_longest: parsed.get(RESTART_LONGEST)?,
    })
}

/// The words of a command: a list in JSON, or separated by commas.
fn command(text: &str) -> std::result::Result<Vec<String>, String> {
    let text = text.trim();
    if text.starts_with('[') {
        return serde_json::from_str(text)
            .map_err(|error| format!("it is no list of texts in JSON: {error}"));
    }
    Ok(text.split(',').map(|word| word.trim().to_owned()).collect())
}

fn environment(config: &Settings) -> Vec<(String, String)> {
    let inherited = INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
    let own = config.iter().filter_map(|(name, value)| Some((variable(name)?.to_owned(), value.clone())));
    inherited.chain(own).collect()
}

fn variable(setting: &str) -> Option<&str> {
    setting.strip_prefix(ENVIRONMENT)
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn complaints(allowed: &[&str], pairs: &[(&str, &str)]) -> Vec<String> {
        let programs = Programs::of_this_process(allowed.iter().map(|&path| path.to_owned()).collect());
        let config = settings(pairs);
        let mut values = config_def().validate(&config);
        validate(&programs, &config, &mut values);
        values.into_iter().flat_map(|value| value.errors).collect()
    }

    #[test]
    fn only_what_the_worker_allows_is_run() {
        let cases: [(&[&str], &str, Option<&str>); 10] = [
            (&["/opt/in/"], "/opt/in/a", None),
            (&["/opt/in/"], "[\"/opt/in/a\", \"x,y\"]", None),
            (&["/usr/bin/jq"], "/usr/bin/jq,-c,.", None),
            (&["/usr/bin/jq"], "/usr/bin/jqs", Some("which is /usr/bin/jq")),
            (&["/opt/in/"], "/opt/in/../../bin/sh", Some("does not run /opt/in/../../bin/sh")),
            (&["/opt/in"], "/opt/in/a", Some("does not run")),
            (&[], "/opt/in/a", Some("exec.allowed of the worker, which is empty")),
            (&["/opt/in/"], "a", Some("must be given by its full path")),
            (&["/opt/in/"], "[1]", Some("no list of texts in JSON")),
            (&["/opt/in/"], "[]", Some("must name a program")),
        ];
        for (allowed, command, expected) in cases {
            let found = complaints(allowed, &[(COMMAND, command)]);
            match expected {
                None => assert_eq!(found, [""; 0], "{command}"),
                Some(words) => assert!(
                    found.len() == 1
                        && found[0].contains(words)
                        && found[0].contains("configuration command"),
                    "{command}: {found:?}"
                ),
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let allowed = ["/bin/"];
        let command = (COMMAND, "/bin/a");
        for (name, value, words) in [
            (DIRECTORY, "here", "configuration directory: it must be a full path"),
            ("environment.", "x", "names no variable"),
            ("environment.A=B", "x", "environment.A=B names no variable"),
            (MEMORY, "1", "configuration limits.memory.bytes"),
            (FILES, "none", "configuration limits.files"),
            (STOP_TIMEOUT, "0", "configuration stop.timeout.ms"),
        ] {
            let found = complaints(&allowed, &[command, (name, value)]).join("\n");
            assert!(found.contains(words), "{name}={value}: {found:?}");
        }
        assert!(!complaints(&allowed, &[]).is_empty(), "a command is required");
    }

    #[test]
    fn a_program_gets_its_own_environment_and_little_of_the_workers() {
        let config = settings(&[(COMMAND, "/bin/a,b"), ("environment.TOKEN", "t"), (MEMORY, "33554432")]);
        let programs = Programs::of_this_process(vec!["/bin/".to_owned()]);
        let program = program(&programs, &config_def(), &config).unwrap();
        assert_eq!(program.command, ["/bin/a", "b"]);
        assert_eq!(program.memory, Some(32 * 1024 * 1024));
        assert!(program.environment.contains(&("TOKEN".to_owned(), "t".to_owned())));
        let names: Vec<_> = program.environment.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.iter().all(|name| *name == "TOKEN" || INHERITED.contains(name)), "{names:?}");
    }
}
