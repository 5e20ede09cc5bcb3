//! What the value of a setting must satisfy beyond its type.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::{ConfigError, TypedValue};
use crate::api::topic_name;
use crate::stdx::java_regex::JavaRegex;

/// The check itself of [`Validator::Custom`]: `None` is a setting without a value.
type Check = dyn Fn(Option<&TypedValue>) -> Result<(), String> + Send + Sync;

/// A condition on a value. It is also asked about a missing value, as in Apache Kafka: a text that is no number
/// leaves `tasks.max` without a value, which [`Validator::AtLeast`] reports as a second message.
#[derive(Clone)]
pub enum Validator {
    /// A number not below this.
    AtLeast(i64),
    /// A number within these bounds, both included.
    Between(i64, i64),
    /// One of these texts.
    OneOf(Vec<String>),
    /// One of these texts in any case.
    OneOfIgnoringCase(Vec<String>),
    /// A text with at least one character, if there is one at all.
    NonEmpty,
    /// A name that Kafka takes for a topic, if there is one at all.
    TopicName,
    /// A list with at least one element.
    NonEmptyList,
    /// A list without repetitions, as of aliases.
    UniqueAliases,
    /// A list without empty elements. Its messages are whole sentences of their own.
    Elements {
        /// Whether there need not be any.
        may_be_none: bool,
    },
    /// A regular expression of Java.
    Regex,
    /// No value at all, or one that satisfies the inner condition.
    Nullable(Box<Validator>),
    /// Anything else: the condition in words, for the reference pages, and the check.
    Custom(&'static str, Arc<Check>),
    /// Likewise, where the message of the check says everything.
    Whole(&'static str, Arc<Check>),
}

impl Validator {
    /// A condition of its own: `description` completes «the value is …» in the reference pages; `check` gives the
    /// message that follows `Invalid value V for configuration N: `.
    pub fn custom(
        description: &'static str,
        check: impl Fn(Option<&TypedValue>) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self::Custom(description, Arc::new(check))
    }

    /// Like [`Validator::custom`], where the message of `check` is the whole message.
    pub fn whole(
        description: &'static str,
        check: impl Fn(Option<&TypedValue>) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self::Whole(description, Arc::new(check))
    }

    /// What is wrong with the value of the setting `name`; `shown` is the value in messages.
    pub(super) fn complaint(
        &self,
        name: &str,
        value: Option<&TypedValue>,
        shown: &str,
    ) -> Option<ConfigError> {
        let message = self.check(value).err()?;
        Some(match self {
            Self::Elements { .. } => ConfigError::message(name, format!("Configuration '{name}' {message}")),
            Self::Whole(..) => ConfigError::message(name, message),
            Self::AtLeast(_)
            | Self::Between(..)
            | Self::OneOf(_)
            | Self::OneOfIgnoringCase(_)
            | Self::NonEmpty
            | Self::TopicName
            | Self::NonEmptyList
            | Self::UniqueAliases
            | Self::Regex
            | Self::Nullable(_)
            | Self::Custom(..) => ConfigError::invalid(name, shown, message),
        })
    }

    /// Checks `value`.
    ///
    /// # Errors
    /// The message that follows `Invalid value V for configuration N: `.
    pub fn check(&self, value: Option<&TypedValue>) -> Result<(), String> {
        match self {
            Self::AtLeast(min) => check_range(value, *min, i64::MAX),
            Self::Between(min, max) => check_range(value, *min, *max),
            Self::OneOf(choices) => match value.and_then(TypedValue::as_text) {
                Some(text) if choices.iter().any(|choice| choice == text) => Ok(()),
                _ => Err(format!("String must be one of: {}", choices.join(", "))),
            },
            Self::OneOfIgnoringCase(choices) => match value.and_then(TypedValue::as_text) {
                Some(text) if choices.iter().any(|choice| choice.eq_ignore_ascii_case(text)) => Ok(()),
                _ => Err(format!("String must be one of (case insensitive): {}", choices.join(", "))),
            },
            Self::NonEmpty => match value.and_then(TypedValue::as_text) {
                Some("") => Err("String must be non-empty".to_owned()),
                _ => Ok(()),
            },
            Self::TopicName => match value.and_then(TypedValue::as_text) {
                Some("") => Self::NonEmpty.check(value),
                Some(name) => topic_name::check(name),
                None => Ok(()),
            },
            Self::NonEmptyList => match value {
                Some(TypedValue::List(items)) if items.is_empty() => Err("Empty list".to_owned()),
                _ => Ok(()),
            },
            Self::UniqueAliases => match value {
                Some(TypedValue::List(items)) if has_repetition(items) => {
                    Err("Duplicate alias provided.".to_owned())
                }
                _ => Ok(()),
            },
            Self::Elements { may_be_none } => check_elements(value, *may_be_none),
            Self::Regex => match value.and_then(TypedValue::as_text).map(JavaRegex::new) {
                Some(Err(error)) => Err(format!("Invalid regex: {error}")),
                _ => Ok(()),
            },
            Self::Nullable(inner) => value.map_or(Ok(()), |value| inner.check(Some(value))),
            Self::Custom(_, check) | Self::Whole(_, check) => check(value),
        }
    }
}

impl fmt::Display for Validator {
    /// The condition in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(min) => write!(f, "at least {min}"),
            Self::Between(min, max) => write!(f, "{min} to {max}"),
            Self::OneOf(choices) => f.write_str(&choices.join(", ")),
            Self::OneOfIgnoringCase(choices) => write!(f, "{} (any case)", choices.join(", ")),
            Self::NonEmpty => f.write_str("not empty"),
            Self::TopicName => f.write_str("the name of a topic"),
            Self::NonEmptyList => f.write_str("a list that is not empty"),
            Self::UniqueAliases => f.write_str("each alias once"),
            Self::Elements { may_be_none: true } => f.write_str("no empty element"),
            Self::Elements { may_be_none: false } => {
                f.write_str("a list that is not empty, no empty element")
            }
            Self::Regex => f.write_str("a regular expression"),
            Self::Nullable(inner) => write!(f, "none, or {inner}"),
            Self::Custom(description, _) | Self::Whole(description, _) => f.write_str(description),
        }
    }
}

impl fmt::Debug for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Validator({self})")
    }
}

fn check_range(value: Option<&TypedValue>, min: i64, max: i64) -> Result<(), String> {
    match value.and_then(TypedValue::as_integer) {
        None => Err("Value must be non-null".to_owned()),
        Some(number) if number < min => Err(format!("Value must be at least {min}")),
        Some(number) if number > max => Err(format!("Value must be no more than {max}")),
        Some(_) => Ok(()),
    }
}

fn check_elements(value: Option<&TypedValue>, may_be_none: bool) -> Result<(), String> {
    let Some(TypedValue::List(items)) = value else { return Err("values must not be null.".to_owned()) };
    if items.is_empty() && !may_be_none {
        return Err("must not be empty. Valid values include: any non-empty value".to_owned());
    }
    if items.iter().any(String::is_empty) {
        return Err("values must not be empty.".to_owned());
    }
    Ok(())
}

fn has_repetition(items: &[String]) -> bool {
    let mut seen = HashSet::new();
    !items.iter().all(|item| seen.insert(item))
}
