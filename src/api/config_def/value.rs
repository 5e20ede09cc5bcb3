//! Typed values of settings and how their texts are read.

use std::fmt;

use super::ConfigType;

/// A secret. It never prints itself: whoever needs the text asks for it by name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Password(String);

impl Password {
    /// What is shown in place of a secret.
    pub const HIDDEN: &'static str = "[hidden]";

    /// Wraps a secret.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself, for the library that needs it and nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::HIDDEN)
    }
}

impl fmt::Display for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::HIDDEN)
    }
}

/// The value of a setting after its text was read. `Display` gives the text that the REST API shows.
#[derive(Debug, Clone, PartialEq)]
pub enum TypedValue {
    /// A boolean.
    Boolean(bool),
    /// A text.
    String(String),
    /// A number of 32 bits.
    Int(i32),
    /// A number of 16 bits.
    Short(i16),
    /// A number of 64 bits.
    Long(i64),
    /// A floating-point number.
    Double(f64),
    /// Several texts.
    List(Vec<String>),
    /// A class name or alias as written.
    Class(String),
    /// A secret.
    Password(Password),
}

impl TypedValue {
    /// Reads `text` as a value of type `config_type`.
    ///
    /// # Errors
    /// The message that follows `Invalid value V for configuration N: `.
    pub fn parse(config_type: ConfigType, text: &str) -> Result<Self, &'static str> {
        let trimmed = trim(text);
        Ok(match config_type {
            ConfigType::Boolean if trimmed.eq_ignore_ascii_case("true") => Self::Boolean(true),
            ConfigType::Boolean if trimmed.eq_ignore_ascii_case("false") => Self::Boolean(false),
            ConfigType::Boolean => return Err("Expected value to be either true or false"),
            ConfigType::String => Self::String(trimmed.to_owned()),
            ConfigType::Int => Self::Int(trimmed.parse().map_err(|_| "Not a number of type INT")?),
            ConfigType::Short => Self::Short(trimmed.parse().map_err(|_| "Not a number of type SHORT")?),
            ConfigType::Long => Self::Long(trimmed.parse().map_err(|_| "Not a number of type LONG")?),
            ConfigType::Double => Self::Double(trimmed.parse().map_err(|_| "Not a number of type DOUBLE")?),
            ConfigType::List if trimmed.is_empty() => Self::List(Vec::new()),
            ConfigType::List => Self::List(trimmed.split(',').map(|item| trim(item).to_owned()).collect()),
            ConfigType::Class => Self::Class(trimmed.to_owned()),
            ConfigType::Password => Self::Password(Password::new(trimmed)),
        })
    }

    /// The value as a whole number, if it is one.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        match *self {
            Self::Int(value) => Some(value.into()),
            Self::Short(value) => Some(value.into()),
            Self::Long(value) => Some(value),
            Self::Boolean(_)
            | Self::String(_)
            | Self::Double(_)
            | Self::List(_)
            | Self::Class(_)
            | Self::Password(_) => None,
        }
    }

    /// The value as a text, if it is a `STRING` or a `CLASS`.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::String(text) | Self::Class(text) => Some(text),
            Self::Boolean(_)
            | Self::Int(_)
            | Self::Short(_)
            | Self::Long(_)
            | Self::Double(_)
            | Self::List(_)
            | Self::Password(_) => None,
        }
    }
}

impl fmt::Display for TypedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => write!(f, "{value}"),
            Self::String(text) | Self::Class(text) => f.write_str(text),
            Self::Int(value) => write!(f, "{value}"),
            Self::Short(value) => write!(f, "{value}"),
            Self::Long(value) => write!(f, "{value}"),
            // Java writes at least one digit after the point, as Rust's `{:?}` does.
            Self::Double(value) => write!(f, "{value:?}"),
            Self::List(items) => f.write_str(&items.join(",")),
            Self::Password(secret) => write!(f, "{secret}"),
        }
    }
}

/// Java's `String.trim`: everything up to and including the blank, control characters among it, and nothing above.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}
