//! Settings that hold a regular expression of Java.

use crate::api::config_def::{TypedValue, Validator};
use crate::api::error::{ConnectError, Result};
use crate::stdx::java_regex::JavaRegex;

/// A regular expression that this worker can run; no value is no expression.
pub(super) fn validator() -> Validator {
    Validator::custom("a regular expression of Java", |value| {
        let Some(pattern) = value.and_then(TypedValue::as_text) else { return Ok(()) };
        JavaRegex::new(pattern).map(|_| ()).map_err(|why| format!("Invalid regex: {why}"))
    })
}

/// The expression of the setting `name`.
pub(super) fn regex(name: &str, pattern: &str) -> Result<JavaRegex> {
    JavaRegex::new(pattern).map_err(|why| {
        ConnectError::config(format!(
            "Invalid value {pattern} for configuration {name}: Invalid regex: {why}"
        ))
    })
}
