//! The lines that the verifiable connectors print: one JSON object each, for a test to read. Members stand in the order
//! in which Apache's hash maps give them.

use std::io::{self, Write};

use serde_json::{Map, Value as Json};

use crate::api::data::Value;
use crate::api::error::{ConnectError, Result};
use crate::api::text::java_text;

/// Prints one line on standard output.
pub(super) fn print(line: &Map<String, Json>) -> Result<()> {
    let mut text = serde_json::to_vec(line).map_err(|error| ConnectError::data(error.to_string()))?;
    text.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(&text)
        .and_then(|()| stdout.flush())
        .map_err(|error| ConnectError::connect("cannot print to standard output").caused_by(error))
}

/// Members in the given order.
pub(super) fn object<const N: usize>(members: [(&str, Json); N]) -> Map<String, Json> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The value as JSON; what is no simple value as its text.
pub(super) fn json_of(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(v) => (*v).into(),
        Value::Int8(v) => (*v).into(),
        Value::Int16(v) => (*v).into(),
        Value::Int32(v) => (*v).into(),
        Value::Int64(v) | Value::Instant(v) => (*v).into(),
        Value::Float32(v) if v.is_finite() => (*v).into(),
        Value::Float64(v) if v.is_finite() => (*v).into(),
        Value::Float32(_)
        | Value::Float64(_)
        | Value::String(_)
        | Value::Bytes(_)
        | Value::Decimal(_)
        | Value::Array(_)
        | Value::Map(_)
        | Value::Struct(_) => java_text(value).to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_values_are_json_and_others_text() {
        for (value, expected) in [
            (Value::Int32(7), "7"),
            (Value::Float64(1.5), "1.5"),
            (Value::Float64(f64::NAN), "\"NaN\""),
            (Value::string("a\"b"), "\"a\\\"b\""),
            (Value::Null, "null"),
            (Value::Array(vec![Value::Int8(1)]), "\"[1]\""),
        ] {
            assert_eq!(json_of(&value).to_string(), expected);
        }
    }
}
