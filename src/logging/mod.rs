//! The log: lines as Apache Connect writes them, filtered by logger name with levels that change while it runs.
//!
//! `[2024-05-01 10:00:00,123] INFO [orders|task-0] message (logger)`, in UTC. The name of a logger is the target of
//! the record: a Java class name where operators search for one, else the path of the Rust module.

pub mod level;
pub mod levels;
mod names;

use std::io::Write;
use std::sync::Arc;

use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};
use simplelog::{ConfigBuilder, SharedLogger, WriteLogger};

use crate::stdx::log_context::LogContext;
use crate::stdx::time::{Clock, Now};
use levels::Levels;

/// The library that reads and writes HTTP towards other workers. At TRACE it prints every byte, passwords and settings
/// among them.
const PRINTS_SECRETS: &str = "ureq_proto::";

/// Writes records whose logger has a level that lets them through.
pub struct Logger {
    levels: Arc<Levels>,
    // Writes the lines made here, whole and one after another.
    writer: Box<dyn SharedLogger>,
}

impl std::fmt::Debug for Logger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logger").field("levels", &self.levels).finish()
    }
}

impl Logger {
    /// A logger with these levels, whose lines go to `writer`.
    pub fn new(levels: Arc<Levels>, writer: impl Write + Send + 'static) -> Self {
        let message_only = ConfigBuilder::new()
            .set_max_level(LevelFilter::Off)
            .set_time_level(LevelFilter::Off)
            .set_thread_level(LevelFilter::Off)
            .set_target_level(LevelFilter::Off)
            .set_location_level(LevelFilter::Off)
            .build();
        Logger { levels, writer: WriteLogger::new(LevelFilter::Trace, message_only, writer) }
    }

    /// Makes it the logger of the process. Fails if the process has one.
    pub fn install(self) -> Result<(), SetLoggerError> {
        let levels = Arc::clone(&self.levels);
        log::set_boxed_logger(Box::new(self))?;
        levels.take_effect();
        Ok(())
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let (target, level) = (metadata.target(), metadata.level());
        !target.starts_with(PRINTS_SECRETS) && self.levels.lets_through(target, level)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = LogContext::with(|context| line(Clock.now(), context, record));
            let (level, target) = (record.level(), record.target());
            self.writer
                .log(&Record::builder().level(level).target(target).args(format_args!("{line}")).build());
        }
    }

    fn flush(&self) {
        self.writer.flush();
    }
}

/// One record as a line; `context` ends with a blank or is empty.
fn line(now: Now, context: &str, record: &Record<'_>) -> String {
    let time = now.wall.strftime("%Y-%m-%d %H:%M:%S,%3f");
    format!("[{time}] {} {context}{} ({})", record.level(), record.args(), record.target())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use level::LogLevel;

    /// A writer whose text can be read.
    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Memory {
        fn take(&self) -> String {
            String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
        }
    }

    fn write(logger: &Logger, target: &str, level: log::Level, message: &str) {
        let args = format_args!("{message}");
        logger.log(&Record::builder().target(target).level(level).args(args).build());
    }

    #[test]
    fn a_line_is_that_of_apache() {
        let wall = "2024-05-01T10:00:00.123456Z".parse().unwrap();
        let now = Now { wall, ..Clock.now() };
        let args = format_args!("Created connector {}", "c");
        let record = Record::builder().target("a.B").level(log::Level::Info).args(args).build();
        let expected = "[2024-05-01 10:00:00,123] INFO [c|worker] Created connector c (a.B)";
        assert_eq!(line(now, "[c|worker] ", &record), expected);
    }

    #[test]
    fn a_changed_level_changes_what_is_written() {
        let memory = Memory::default();
        let levels = Arc::new(Levels::new(LogLevel::Info));
        let logger = Logger::new(Arc::clone(&levels), memory.clone());
        write(&logger, "a.b.C", log::Level::Debug, "unseen");
        assert_eq!(memory.take(), "");
        levels.set("a.b", LogLevel::Debug, Clock.now().wall).unwrap();
        let context = LogContext::enter(&"[c|task-0] ".into());
        write(&logger, "a.b.C", log::Level::Debug, "seen");
        drop(context);
        write(&logger, "a.x", log::Level::Debug, "unseen");
        let written = memory.take();
        assert!(written.ends_with(" DEBUG [c|task-0] seen (a.b.C)\n"), "{written}");
        assert_eq!(written.lines().count(), 1);
        levels.set("root", LogLevel::Off, Clock.now().wall).unwrap();
        write(&logger, "a.b.C", log::Level::Error, "unseen");
        assert_eq!(memory.take(), "");
    }
}
