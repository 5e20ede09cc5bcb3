//! The forms of a moment, and the way from one to another.

use bytestring::ByteString;

use crate::api::connect_record::schema_text;
use crate::api::data::{Logical, Schema, SchemaKind, Value};
use crate::api::error::{ConnectError, Result};
use crate::api::text::java_class;
use crate::stdx::java_calendar::MILLIS_PER_DAY;
use crate::stdx::java_date_format::JavaDateFormat;
use crate::stdx::time::Clock;

/// A way to say when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// By a pattern.
    Text,
    /// What has passed since 1970-01-01.
    Unix,
    /// A day.
    Date,
    /// A time of day.
    Time,
    /// Both.
    Timestamp,
}

impl Form {
    pub(super) const ALL: [Form; 5] = [Form::Text, Form::Unix, Form::Date, Form::Time, Form::Timestamp];

    /// The name in settings.
    pub(super) fn name(self) -> &'static str {
        match self {
            Form::Text => "string",
            Form::Unix => "unix",
            Form::Date => "Date",
            Form::Time => "Time",
            Form::Timestamp => "Timestamp",
        }
    }

    /// The form of a name that the settings let through.
    pub(super) fn named(name: &str) -> Self {
        Form::ALL.into_iter().find(|form| form.name() == name).unwrap_or(Form::Timestamp)
    }

    /// The form of the values of a schema.
    pub(super) fn of(schema: &Schema) -> Result<Self> {
        match (schema.logical(), &schema.kind) {
            (Some(Logical::Date), _) => Ok(Form::Date),
            (Some(Logical::Time), _) => Ok(Form::Time),
            (Some(Logical::Timestamp), _) => Ok(Form::Timestamp),
            (Some(Logical::Decimal) | None, SchemaKind::String) => Ok(Form::Text),
            (Some(Logical::Decimal) | None, SchemaKind::Int64) => Ok(Form::Unix),
            (Some(Logical::Decimal) | None, _) => Err(ConnectError::connect(format!(
                "Schema {} does not correspond to a known timestamp type format",
                schema_text(schema)
            ))),
        }
    }

    /// The form of a value without schema.
    fn of_value(value: &Value) -> Option<Self> {
        match value {
            Value::Instant(_) => Some(Form::Timestamp),
            Value::Int64(_) => Some(Form::Unix),
            Value::String(_) => Some(Form::Text),
            Value::Null
            | Value::Boolean(_)
            | Value::Int8(_)
            | Value::Int16(_)
            | Value::Int32(_)
            | Value::Float32(_)
            | Value::Float64(_)
            | Value::Bytes(_)
            | Value::Decimal(_)
            | Value::Array(_)
            | Value::Map(_)
            | Value::Struct(_) => None,
        }
    }
}

/// What a Unix time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl Unit {
    fn named(name: &str) -> Self {
        match name {
            "seconds" => Unit::Seconds,
            "microseconds" => Unit::Microseconds,
            "nanoseconds" => Unit::Nanoseconds,
            _ => Unit::Milliseconds,
        }
    }

    /// Toward zero; the largest number where it does not fit.
    fn to_millis(self, count: i64) -> i64 {
        match self {
            Unit::Seconds => count.saturating_mul(1000),
            Unit::Milliseconds => count,
            Unit::Microseconds => count / 1000,
            Unit::Nanoseconds => count / 1_000_000,
        }
    }

    fn of_millis(self, millis: i64) -> i64 {
        match self {
            Unit::Seconds => millis / 1000,
            Unit::Milliseconds => millis,
            Unit::Microseconds => millis.saturating_mul(1000),
            Unit::Nanoseconds => millis.saturating_mul(1_000_000),
        }
    }
}

/// Brings moments into one form.
pub(super) struct Moments {
    target: Form,
    format: Option<(String, JavaDateFormat)>,
    unit: Unit,
}

impl Moments {
    /// Fails with an error of kind `Config` where the pattern is none.
    pub(super) fn new(target: Form, pattern: Option<&str>, unit: &str) -> Result<Self> {
        let read = |pattern: &str| {
            let format = JavaDateFormat::new(pattern, Clock.now().wall.as_millisecond());
            let read = format.map_err(|why| {
                ConnectError::config(format!(
                    "Invalid value java.lang.IllegalArgumentException: {why} for configuration TimestampConverter \
                     requires a SimpleDateFormat-compatible pattern for string timestamps: {pattern}"
                ))
            });
            read.map(|format| (pattern.to_owned(), format))
        };
        Ok(Moments { target, format: pattern.map(read).transpose()?, unit: Unit::named(unit) })
    }

    /// The schema of the form.
    pub(super) fn schema(&self, optional: bool) -> Schema {
        let schema = match self.target {
            Form::Text => Schema::new(SchemaKind::String),
            Form::Unix => Schema::new(SchemaKind::Int64),
            Form::Date => Logical::Date.schema(),
            Form::Time => Logical::Time.schema(),
            Form::Timestamp => Logical::Timestamp.schema(),
        };
        Schema { optional, ..schema }
    }

    /// The value in the form; null stays null. Without a schema its type tells what it is.
    pub(super) fn convert(&self, from: Option<Form>, value: Value) -> Result<Value> {
        if value.is_null() {
            return Ok(value);
        }
        let from = from.or_else(|| Form::of_value(&value)).ok_or_else(|| {
            ConnectError::data(format!(
                "TimestampConverter does not support {} objects as timestamps",
                java_class(&value)
            ))
        })?;
        let millis = self.millis(from, &value)?;
        Ok(match self.target {
            Form::Text => Value::String(self.text(millis)?),
            Form::Unix => Value::Int64(self.unit.of_millis(millis)),
            Form::Date => Value::Instant(millis - millis.rem_euclid(MILLIS_PER_DAY)),
            Form::Time => Value::Instant(millis.rem_euclid(MILLIS_PER_DAY)),
            Form::Timestamp => Value::Instant(millis),
        })
    }

    fn millis(&self, from: Form, value: &Value) -> Result<i64> {
        let other = |expected: &str| {
            Err(ConnectError::data(format!("Expected {expected}, but found {}", java_class(value))))
        };
        match (from, value) {
            (Form::Text, Value::String(text)) => {
                let (pattern, format) = self.format.as_ref().ok_or_else(|| {
                    ConnectError::data(format!(
                        "Could not parse timestamp: value ({text}) is a text, and the format option is not set"
                    ))
                })?;
                format.parse(text).ok_or_else(|| {
                    ConnectError::data(format!(
                        "Could not parse timestamp: value ({text}) does not match pattern ({pattern})"
                    ))
                })
            }
            (Form::Unix, Value::Int64(count)) => Ok(self.unit.to_millis(*count)),
            (Form::Date | Form::Time | Form::Timestamp, Value::Instant(millis)) => Ok(*millis),
            (Form::Text, _) => other("string timestamp to be a String"),
            (Form::Unix, _) => other("Unix timestamp to be a Long"),
            (Form::Date, _) => other("Date to be a java.util.Date"),
            (Form::Time, _) => other("Time to be a java.util.Date"),
            (Form::Timestamp, _) => other("Timestamp to be a java.util.Date"),
        }
    }

    fn text(&self, millis: i64) -> Result<ByteString> {
        let format =
            self.format.as_ref().ok_or_else(|| ConnectError::config("The format option is not set"))?;
        Ok(format.1.format(millis).into())
    }
}
