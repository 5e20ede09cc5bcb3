//! The level of each logger, changed by `PUT /admin/loggers/…` while others log (KIP-495, KIP-976).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::Timestamp;
use log::{Level, LevelFilter};

use super::level::LogLevel;
use super::names::{ROOT, counterpart, lineage, well_known};

/// The most loggers that are known by name. What logs beyond has the level of the nearest known one, and is not listed.
const LOGGERS_MAX: usize = 10_000;

/// A level could not be set: so many loggers are known that no other name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{LOGGERS_MAX} loggers are known; no other can be created: set the level of one that GET /admin/loggers lists"
)]
pub struct TooManyLoggers;

/// A logger as `GET /admin/loggers` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggerState {
    /// Its level, its own or inherited.
    pub level: LogLevel,
    /// When a request changed it last.
    pub last_modified: Option<Timestamp>,
}

/// The levels of all loggers. Shared by all threads.
#[derive(Debug)]
pub struct Levels {
    /// The most that any logger lets through: decides most records without the lock.
    most: AtomicUsize,
    /// Whether the `log` crate goes by these levels.
    in_effect: AtomicBool,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    root: LoggerState,
    /// Levels that were set; all others are inherited.
    own: BTreeMap<String, LogLevel>,
    known: BTreeMap<String, LoggerState>,
}

impl Levels {
    /// All loggers at one level.
    pub fn new(root: LogLevel) -> Self {
        let root = LoggerState { level: root, last_modified: None };
        let known = well_known().map(|name| (name.to_owned(), root)).collect();
        let state = State { root, own: BTreeMap::new(), known };
        Levels {
            most: AtomicUsize::new(state.most() as usize),
            in_effect: AtomicBool::new(false),
            state: RwLock::new(state),
        }
    }

    /// Whether a record of that logger and level is to be written. Remembers the logger. Any thread.
    pub fn lets_through(&self, logger: &str, level: Level) -> bool {
        if level as usize > self.most.load(Ordering::Relaxed) {
            return false;
        }
        let known = self.read().known.get(logger).copied();
        let state = known.unwrap_or_else(|| self.write().learn(logger));
        level <= state.level.filter()
    }

    /// All loggers that are known, by name, the root as `root`.
    pub fn all(&self) -> BTreeMap<String, LoggerState> {
        let state = self.read();
        let mut all = state.known.clone();
        all.insert(ROOT.to_owned(), state.root);
        all
    }

    /// One logger; `None` if it is not known. The root is found in any case.
    pub fn get(&self, logger: &str) -> Option<LoggerState> {
        let state = self.read();
        if logger.eq_ignore_ascii_case(ROOT) { Some(state.root) } else { state.known.get(logger).copied() }
    }

    /// Sets the level of a logger and of all known ones whose name begins with its name; of the root: of all. Returns
    /// the names of those whose level changed, ordered.
    pub fn set(&self, logger: &str, level: LogLevel, now: Timestamp) -> Result<Vec<String>, TooManyLoggers> {
        let mut state = self.write();
        let changed = state.set(logger, level, now)?;
        self.most.store(state.most() as usize, Ordering::Relaxed);
        if self.in_effect.load(Ordering::Relaxed) {
            log::set_max_level(state.most());
        }
        Ok(changed)
    }

    /// Has the `log` crate go by these levels from now on.
    pub(super) fn take_effect(&self) {
        let state = self.write();
        self.in_effect.store(true, Ordering::Relaxed);
        log::set_max_level(state.most());
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn learn(&mut self, logger: &str) -> LoggerState {
        let state = LoggerState { level: self.level_of(logger), last_modified: None };
        if self.known.len() < LOGGERS_MAX {
            return *self.known.entry(logger.to_owned()).or_insert(state);
        }
        state
    }

    /// The level of the nearest logger that has one of its own: above it, else above its counterpart, else the root.
    fn level_of(&self, logger: &str) -> LogLevel {
        let above = lineage(logger).chain(counterpart(logger).into_iter().flat_map(lineage));
        above.filter_map(|name| self.own.get(name)).next().copied().unwrap_or(self.root.level)
    }

    fn set(&mut self, logger: &str, level: LogLevel, now: Timestamp) -> Result<Vec<String>, TooManyLoggers> {
        let mut changed = Vec::new();
        if logger.eq_ignore_ascii_case(ROOT) {
            self.own.clear();
            if self.root.level != level {
                self.root = LoggerState { level, last_modified: Some(now) };
                changed.push(ROOT.to_owned());
            }
        } else {
            if !self.known.contains_key(logger) && self.known.len() == LOGGERS_MAX {
                return Err(TooManyLoggers);
            }
            self.learn(logger);
            let below = self.known.keys().filter(|name| name.starts_with(logger));
            self.own.extend(below.map(|name| (name.clone(), level)));
        }
        let names: Vec<String> = self.known.keys().cloned().collect();
        for name in names {
            let after = self.level_of(&name);
            if let Some(state) = self.known.get_mut(&name)
                && state.level != after
            {
                *state = LoggerState { level: after, last_modified: Some(now) };
                changed.push(name);
            }
        }
        changed.sort();
        Ok(changed)
    }

    /// The most that any logger lets through.
    fn most(&self) -> LevelFilter {
        let own = self.own.values().map(|level| level.filter());
        own.max().unwrap_or(LevelFilter::Off).max(self.root.level.filter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn level(levels: &Levels, logger: &str) -> Option<&'static str> {
        levels.get(logger).map(|state| state.level.name())
    }

    #[test]
    fn a_level_holds_for_all_below_and_for_our_modules_of_the_same_work() {
        let levels = Levels::new(LogLevel::Info);
        assert!(!levels.lets_through("org.apache.kafka.connect.runtime.rest.Mine", Level::Debug));
        assert!(levels.lets_through("herdsman::rest::server", Level::Info));
        let changed = levels.set("org.apache.kafka.connect.runtime.rest", LogLevel::Debug, at(1)).unwrap();
        let expected = [
            "herdsman::rest",
            "herdsman::rest::server",
            "org.apache.kafka.connect.runtime.rest",
            "org.apache.kafka.connect.runtime.rest.RestServer",
        ];
        assert_eq!(changed, expected);
        assert!(levels.lets_through("herdsman::rest::server", Level::Debug));
        assert!(levels.lets_through("org.apache.kafka.connect.runtime.rest.New", Level::Debug));
        assert!(!levels.lets_through("herdsman::herder", Level::Debug));
        assert_eq!(levels.get(expected[3]).unwrap().last_modified, Some(at(1)));
        assert_eq!(levels.set("org.apache.kafka.connect.runtime.rest", LogLevel::Debug, at(2)), Ok(vec![]));
        assert_eq!(levels.get(expected[3]).unwrap().last_modified, Some(at(1)));
    }

    #[test]
    fn who_logs_is_listed_even_if_nothing_is_written() {
        let levels = Levels::new(LogLevel::Info);
        assert_eq!(level(&levels, "a.B"), None);
        assert!(levels.lets_through("a.B", Level::Info));
        assert_eq!(level(&levels, "a.B"), Some("INFO"));
        assert_eq!(level(&levels, "a"), None);
        assert!(levels.all().contains_key("a.B") && levels.all().contains_key("root"));
    }

    #[test]
    fn the_root_changes_everything() {
        let levels = Levels::new(LogLevel::Info);
        levels.set("a", LogLevel::Trace, at(1)).unwrap();
        let changed = levels.set("ROOT", LogLevel::Warn, at(2)).unwrap();
        assert!(changed.contains(&"root".to_owned()) && changed.contains(&"a".to_owned()));
        assert_eq!(changed.len(), levels.all().len());
        assert_eq!(level(&levels, "Root"), Some("WARN"));
        assert_eq!(level(&levels, "a"), Some("WARN"));
        assert!(!levels.lets_through("a", Level::Info));
    }

    #[test]
    fn levels_that_only_java_has_keep_their_name() {
        let levels = Levels::new(LogLevel::Info);
        levels.set("a", LogLevel::Fatal, at(1)).unwrap();
        levels.set("b", LogLevel::All, at(1)).unwrap();
        levels.set("c", LogLevel::Off, at(1)).unwrap();
        let table = [("a", "FATAL", Level::Error), ("b", "ALL", Level::Trace)];
        for (logger, name, least) in table {
            assert_eq!(level(&levels, logger), Some(name));
            assert!(levels.lets_through(logger, least));
        }
        assert!(!levels.lets_through("a", Level::Warn));
        assert!(!levels.lets_through("c", Level::Error));
    }

    #[test]
    fn the_number_of_loggers_is_bounded() {
        let levels = Levels::new(LogLevel::Info);
        let known = levels.all().len();
        (known..=LOGGERS_MAX)
            .for_each(|index| assert!(levels.lets_through(&format!("l{index}"), Level::Warn)));
        assert!(levels.lets_through("late", Level::Info));
        assert_eq!(levels.get("late"), None);
        assert_eq!(levels.set("late", LogLevel::Debug, at(1)), Err(TooManyLoggers));
    }
}
