//! Numbers as the smallest type that holds them.

use std::sync::Arc;

use super::value_of;
use crate::api::data::{Decimal, SchemaAndValue, SchemaKind, Value};
use crate::plugins::decimal::Notation;

/// Longer numbers stay text: the time that a decimal takes grows with the square of its digits.
const MAX_LENGTH: usize = 10_000;

/// The value of a number: a whole number, `3.0` and `1e3` among them, takes the smallest integer type, another one 32
/// bits if it is finite in them, else 64; what is too large for that is a decimal.
pub(super) fn parse(token: &str) -> Option<SchemaAndValue> {
    if token.len() > MAX_LENGTH {
        return None;
    }
    let number = Notation::of(token)?;
    if let Some(integer) = number.as_i64() {
        return Some(smallest(integer));
    }
    // A number without point and exponent is exact, so it is not rounded to a float.
    if number.scale() != 0 {
        match (token.parse::<f32>(), token.parse::<f64>()) {
            (Ok(float), _) if float.is_finite() => {
                return Some(value_of(SchemaKind::Float32, Value::Float32(float)));
            }
            (_, Ok(double)) if double.is_finite() => {
                return Some(value_of(SchemaKind::Float64, Value::Float64(double)));
            }
            (_, _) => {}
        }
    }
    let decimal = Decimal { unscaled: number.unscaled()?, scale: number.scale() };
    let schema = Decimal::schema(decimal.scale);
    Some(SchemaAndValue { schema: Some(Arc::new(schema)), value: Value::Decimal(Box::new(decimal)) })
}

fn smallest(integer: i64) -> SchemaAndValue {
    if let Ok(value) = i8::try_from(integer) {
        value_of(SchemaKind::Int8, Value::Int8(value))
    } else if let Ok(value) = i16::try_from(integer) {
        value_of(SchemaKind::Int16, Value::Int16(value))
    } else if let Ok(value) = i32::try_from(integer) {
        value_of(SchemaKind::Int32, Value::Int32(value))
    } else {
        value_of(SchemaKind::Int64, Value::Int64(integer))
    }
}
