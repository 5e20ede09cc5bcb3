//! The levels of a logger, by the names that Java's logging has.

use log::LevelFilter;

/// How much a logger lets through: all that is at least as severe as its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// As [`LogLevel::Error`]: nothing here is logged as fatal.
    Fatal,
    /// What failed.
    Error,
    /// What may need a person.
    Warn,
    /// What changed.
    Info,
    /// How it came about.
    Debug,
    /// Every step.
    Trace,
    /// As [`LogLevel::Trace`].
    All,
}

const NAMES: [(LogLevel, &str); 8] = [
    (LogLevel::Off, "OFF"),
    (LogLevel::Fatal, "FATAL"),
    (LogLevel::Error, "ERROR"),
    (LogLevel::Warn, "WARN"),
    (LogLevel::Info, "INFO"),
    (LogLevel::Debug, "DEBUG"),
    (LogLevel::Trace, "TRACE"),
    (LogLevel::All, "ALL"),
];

impl LogLevel {
    /// The level of that name, in any case.
    pub fn of(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, other)| other.eq_ignore_ascii_case(name)).map(|(level, _)| *level)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(level, _)| *level == self).map_or("", |(_, name)| name)
    }

    /// What it lets through.
    pub fn filter(self) -> LevelFilter {
        match self {
            LogLevel::Off => LevelFilter::Off,
            LogLevel::Fatal | LogLevel::Error => LevelFilter::Error,
            LogLevel::Warn => LevelFilter::Warn,
            LogLevel::Info => LevelFilter::Info,
            LogLevel::Debug => LevelFilter::Debug,
            LogLevel::Trace | LogLevel::All => LevelFilter::Trace,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_in_any_case_and_given_in_capitals() {
        for (level, name) in NAMES {
            assert_eq!(LogLevel::of(&name.to_lowercase()), Some(level));
            assert_eq!(level.name(), name);
        }
        assert_eq!(LogLevel::of("LOUD"), None);
        assert_eq!(LogLevel::of(""), None);
    }
}
