//! One value to another type, as Java's numbers do it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytestring::ByteString;

use super::super::super::decimal::Notation;
use super::super::number_text;
use crate::api::data::{Decimal, Logical, Schema, SchemaKind, Value};
use crate::api::error::{ConnectError, Result};
use crate::api::text::{java_class, java_text};
use crate::stdx::java_calendar::{JavaDate, MILLIS_PER_DAY};

/// A type to cast to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Boolean,
    String,
}

/// All of them by their names.
const TARGETS: [(&str, Target); 8] = [
    ("INT8", Target::Int8),
    ("INT16", Target::Int16),
    ("INT32", Target::Int32),
    ("INT64", Target::Int64),
    ("FLOAT32", Target::Float32),
    ("FLOAT64", Target::Float64),
    ("BOOLEAN", Target::Boolean),
    ("STRING", Target::String),
];

/// Connect's other types.
const OTHER_TYPES: [&str; 4] = ["BYTES", "ARRAY", "MAP", "STRUCT"];

/// What the schema of a value says about it.
#[derive(Debug)]
pub(super) struct Origin {
    logical: Option<Logical>,
    /// The type, where there is nothing to cast it to.
    unsupported: Option<&'static str>,
}

impl Origin {
    pub(super) fn of(schema: &Schema) -> Self {
        Origin { logical: schema.logical(), unsupported: container(&schema.kind) }
    }
}

fn container(kind: &SchemaKind) -> Option<&'static str> {
    match kind {
        SchemaKind::Array(_) | SchemaKind::Map(..) | SchemaKind::Struct(_) => Some(kind.name()),
        SchemaKind::Int8
        | SchemaKind::Int16
        | SchemaKind::Int32
        | SchemaKind::Int64
        | SchemaKind::Float32
        | SchemaKind::Float64
        | SchemaKind::Boolean
        | SchemaKind::String
        | SchemaKind::Bytes => None,
    }
}

/// The error of a value whose type cannot be cast.
pub(super) fn unsupported(kind: &str) -> ConnectError {
    ConnectError::data(format!(
        "Cast transformation does not support casting from {kind}; supported types are [{}, BYTES]",
        names()
    ))
}

fn names() -> String {
    TARGETS.map(|(name, _)| name).join(", ")
}

impl Target {
    /// Reads the name of a type. The error is a whole message.
    pub(super) fn parse(text: &str) -> std::result::Result<Self, String> {
        let (text, name) = (text.trim(), text.trim().to_uppercase());
        if let Some((_, target)) = TARGETS.iter().find(|(known, _)| *known == name) {
            return Ok(*target);
        }
        if OTHER_TYPES.contains(&name.as_str()) {
            return Err(format!(
                "Cast transformation does not support casting to {name}; supported types are [{}]",
                names()
            ));
        }
        Err(format!(
            "Invalid value java.lang.IllegalArgumentException: No enum constant \
             org.apache.kafka.connect.data.Schema.Type.{name} for configuration Invalid type found in casting spec: {text}"
        ))
    }

    /// The type in schemas.
    pub(super) fn kind(self) -> SchemaKind {
        match self {
            Target::Int8 => SchemaKind::Int8,
            Target::Int16 => SchemaKind::Int16,
            Target::Int32 => SchemaKind::Int32,
            Target::Int64 => SchemaKind::Int64,
            Target::Float32 => SchemaKind::Float32,
            Target::Float64 => SchemaKind::Float64,
            Target::Boolean => SchemaKind::Boolean,
            Target::String => SchemaKind::String,
        }
    }

    /// The value as one of this type; null stays null. `from` is what its schema says, if it has one.
    pub(super) fn cast(self, from: Option<&Origin>, value: Value) -> Result<Value> {
        if value.is_null() {
            return Ok(value);
        }
        check(from, &value)?;
        let value = match (self, value) {
            (Target::String, value) => return Ok(Value::String(text_of(value))),
            (_, Value::Instant(millis)) => encoded(from.and_then(|from| from.logical), millis)?,
            (_, value) => value,
        };
        match &value {
            Value::String(text) => self.parsed(text).ok_or_else(|| {
                ConnectError::data(format!("Value ({text}) was out of range for requested data type"))
            }),
            Value::Boolean(truth) => Ok(self.of_integer(i64::from(*truth))),
            Value::Int8(number) => Ok(self.of_integer((*number).into())),
            Value::Int16(number) => Ok(self.of_integer((*number).into())),
            Value::Int32(number) => Ok(self.of_integer((*number).into())),
            Value::Int64(number) => Ok(self.of_integer(*number)),
            Value::Float32(number) => Ok(self.of_float((*number).into())),
            Value::Float64(number) => Ok(self.of_float(*number)),
            Value::Decimal(number) => Ok(self.of_decimal(number)),
            Value::Null
            | Value::Bytes(_)
            | Value::Instant(_)
            | Value::Array(_)
            | Value::Map(_)
            | Value::Struct(_) => Err(ConnectError::data(format!(
                "Unexpected type in Cast transformation: {}",
                java_class(&value)
            ))),
        }
    }

    /// A text that is such a value. Whole numbers have to fit.
    fn parsed(self, text: &str) -> Option<Value> {
        Some(match self {
            Target::Int8 => Value::Int8(text.parse().ok()?),
            Target::Int16 => Value::Int16(text.parse().ok()?),
            Target::Int32 => Value::Int32(text.parse().ok()?),
            Target::Int64 => Value::Int64(text.parse().ok()?),
            Target::Float32 => Value::Float32(number_text::float32(text)?),
            Target::Float64 => Value::Float64(number_text::float64(text)?),
            Target::Boolean => Value::Boolean(text.eq_ignore_ascii_case("true")),
            Target::String => Value::string(text),
        })
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "Java keeps the low bits of a number that does not fit, and the nearest number with a fraction"
    )]
    fn of_integer(self, number: i64) -> Value {
        match self {
            Target::Int8 => Value::Int8(number as i8),
            Target::Int16 => Value::Int16(number as i16),
            Target::Int32 => Value::Int32(number as i32),
            Target::Int64 => Value::Int64(number),
            Target::Float32 => Value::Float32(number as f32),
            Target::Float64 => Value::Float64(number as f64),
            Target::Boolean => Value::Boolean(number != 0),
            Target::String => Value::string(number.to_string()),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "Java cuts fractions off and takes the nearest number of 32 or 64 bits, then low bits of that"
    )]
    fn of_float(self, number: f64) -> Value {
        match self {
            Target::Int8 => Value::Int8(number as i32 as i8),
            Target::Int16 => Value::Int16(number as i32 as i16),
            Target::Int32 => Value::Int32(number as i32),
            Target::Int64 => Value::Int64(number as i64),
            Target::Float32 => Value::Float32(number as f32),
            Target::Float64 => Value::Float64(number),
            Target::Boolean => Value::Boolean(number as i64 != 0),
            Target::String => Value::string(java_text(&Value::Float64(number)).to_string()),
        }
    }

    /// Whole numbers keep the low bits of the number without its fraction.
    fn of_decimal(self, number: &Decimal) -> Value {
        let text = format!("{}E{}", number.unscaled, -i64::from(number.scale));
        match self {
            Target::Float32 => Value::Float32(text.parse().unwrap_or(f32::NAN)),
            Target::Float64 => Value::Float64(text.parse().unwrap_or(f64::NAN)),
            Target::Int8
            | Target::Int16
            | Target::Int32
            | Target::Int64
            | Target::Boolean
            | Target::String => self.of_integer(Notation::of(&text).map_or(0, |number| number.low_bits())),
        }
    }
}

/// Whether there is a way from the type of a value to another.
fn check(from: Option<&Origin>, value: &Value) -> Result<()> {
    let kind = match (from, value) {
        (Some(from), _) => from.unsupported,
        (None, Value::Array(_)) => Some("ARRAY"),
        (None, Value::Map(_)) => Some("MAP"),
        (None, Value::Struct(_)) => Some("STRUCT"),
        // Without a schema nothing tells what they are.
        (None, Value::Decimal(_) | Value::Instant(_)) => {
            return Err(ConnectError::data(format!(
                "Cast transformation was passed a value of type {} which is not supported by Connect's data API",
                java_class(value)
            )));
        }
        (None, _) => None,
    };
    kind.map_or(Ok(()), |kind| Err(unsupported(kind)))
}

/// The number that a logical type stands for.
fn encoded(logical: Option<Logical>, millis: i64) -> Result<Value> {
    let of_day = || millis.rem_euclid(MILLIS_PER_DAY);
    #[expect(clippy::cast_possible_truncation, reason = "days of 64 bits of milliseconds wrap in Java, too")]
    match logical {
        Some(Logical::Date) if of_day() != 0 => Err(ConnectError::data(
            "Kafka Connect Date type should not have any time fields set to non-zero values.",
        )),
        Some(Logical::Date) => Ok(Value::Int32(millis.div_euclid(MILLIS_PER_DAY) as i32)),
        Some(Logical::Time) if !(0..=MILLIS_PER_DAY).contains(&millis) => Err(ConnectError::data(
            "Kafka Connect Time type should not have any date fields set to non-zero values.",
        )),
        Some(Logical::Time) => Ok(Value::Int32(millis as i32)),
        Some(Logical::Timestamp) => Ok(Value::Int64(millis)),
        Some(Logical::Decimal) | None => Ok(Value::Instant(millis)),
    }
}

fn text_of(value: Value) -> ByteString {
    match value {
        Value::String(text) => text,
        Value::Bytes(bytes) => BASE64.encode(bytes).into(),
        Value::Instant(millis) => JavaDate::text_by_size(millis).into(),
        Value::Null
        | Value::Boolean(_)
        | Value::Int8(_)
        | Value::Int16(_)
        | Value::Int32(_)
        | Value::Int64(_)
        | Value::Float32(_)
        | Value::Float64(_)
        | Value::Decimal(_)
        | Value::Array(_)
        | Value::Map(_)
        | Value::Struct(_) => java_text(&value).to_string().into(),
    }
}
