//! The settings of a connector about restarts after failures, which Apache has not. They are defined only where one of them
//! is set: answers about other connectors are Apache's.

use crate::api::Settings;
use crate::api::config_def::{ConfigKey, ConfigType, Importance, Validator, Width};

/// Whether what fails is restarted.
pub const ENABLE: &str = "auto.restart.enable";
/// How often in a row at most.
pub const RESTARTS_MAX: &str = "auto.restart.max.restarts";
/// What the pauses are counted in.
pub const BACKOFF: &str = "auto.restart.backoff.ms";
/// The longest pause.
pub const BACKOFF_MAX: &str = "auto.restart.backoff.max.ms";

/// All of them, each with the worker's value where it is not set.
pub(super) fn keys() -> [ConfigKey; 4] {
    use ConfigType::{Boolean, Int, Long};
    use Importance::Low;
    let positive = |least| Validator::Nullable(Box::new(Validator::AtLeast(least)));
    [
        (ENABLE, Boolean, None, "Restart After Failure", "Whether the connector and its tasks are restarted when they have failed."),
        (RESTARTS_MAX, Int, Some(-1), "Maximum Restarts", "How often in a row one of them is restarted: -1 without an end."),
        (BACKOFF, Long, Some(1), "Restart Backoff", "Before the restart after n others it waits n² + n times so many milliseconds."),
        (BACKOFF_MAX, Long, Some(1), "Maximum Restart Backoff", "The most milliseconds that it waits."),
    ]
    .map(|(name, kind, least, shown, doc)| {
        let doc = format!("{doc} The worker's if not set. References to config providers are not resolved in it. An addition of herdsman.");
        let key = ConfigKey::new(name, kind, Low, &doc);
        let key = match least {
            Some(least) => key.validator(positive(least)),
            None => key,
        };
        key.shown("Error Handling", 9, Width::Short, shown)
    })
}

/// Whether one of them is set.
pub(super) fn are_set(settings: &Settings) -> bool {
    [ENABLE, RESTARTS_MAX, BACKOFF, BACKOFF_MAX].iter().any(|name| settings.contains_key(*name))
}
