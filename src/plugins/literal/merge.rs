//! The schema that the elements of an array, or the keys or values of a map, have in common.

use crate::api::data::{Logical, Schema, SchemaAndValue, SchemaKind, SchemaRef, Value};
use crate::stdx::java_calendar::MILLIS_PER_DAY;

/// What the elements seen so far have in common.
#[derive(Default)]
pub(super) enum CommonSchema {
    /// No element that is not null was seen.
    #[default]
    Open,
    /// They can all be read with this.
    Of(SchemaRef),
    /// Nothing, whatever follows.
    Mixed,
}

impl CommonSchema {
    /// Takes another element into account; null fits everything until [`align`] sees it.
    pub(super) fn add(&mut self, element: &SchemaAndValue) {
        let Some(latest) = &element.schema else { return };
        let common = match self {
            CommonSchema::Open => Some(latest),
            CommonSchema::Of(previous) => wider(previous, latest),
            CommonSchema::Mixed => None,
        };
        *self = common.cloned().map_or(CommonSchema::Mixed, CommonSchema::Of);
    }

    pub(super) fn schema(self) -> Option<SchemaRef> {
        match self {
            CommonSchema::Of(schema) => Some(schema),
            CommonSchema::Open | CommonSchema::Mixed => None,
        }
    }
}

/// Of two numbers the wider one, of two schemas of one type the later one, even where elements or names differ.
fn wider<'a>(previous: &'a SchemaRef, latest: &'a SchemaRef) -> Option<&'a SchemaRef> {
    if std::mem::discriminant(&previous.kind) == std::mem::discriminant(&latest.kind) {
        return Some(latest);
    }
    let (before, after) = (width(&previous.kind)?, width(&latest.kind)?);
    Some(if before > after { previous } else { latest })
}

fn width(kind: &SchemaKind) -> Option<u8> {
    match kind {
        SchemaKind::Int8 => Some(0),
        SchemaKind::Int16 => Some(1),
        SchemaKind::Int32 => Some(2),
        SchemaKind::Int64 => Some(3),
        SchemaKind::Float32 => Some(4),
        SchemaKind::Float64 => Some(5),
        SchemaKind::Boolean
        | SchemaKind::String
        | SchemaKind::Bytes
        | SchemaKind::Array(_)
        | SchemaKind::Map(..)
        | SchemaKind::Struct(_) => None,
    }
}

/// The value as the common schema wants it; `None` if it cannot be had so. Only numbers change.
pub(super) fn align(value: Value, common: &Schema) -> Option<Value> {
    let integer = match value {
        Value::Null => return None,
        Value::Int8(v) => i64::from(v),
        Value::Int16(v) => i64::from(v),
        Value::Int32(v) => i64::from(v),
        Value::Int64(v) => v,
        Value::Float32(v) if common.kind == SchemaKind::Float64 => return Some(Value::Float64(f64::from(v))),
        // A number of the calendar cannot become a plain one again.
        Value::Instant(_) => return common.logical().map(|_| value),
        Value::Boolean(_)
        | Value::Float32(_)
        | Value::Float64(_)
        | Value::String(_)
        | Value::Bytes(_)
        | Value::Decimal(_)
        | Value::Array(_)
        | Value::Map(_)
        | Value::Struct(_) => return Some(value),
    };
    match common.logical() {
        Some(Logical::Date) => return Some(Value::Instant(integer.checked_mul(MILLIS_PER_DAY)?)),
        Some(Logical::Time) => {
            return (0..=MILLIS_PER_DAY).contains(&integer).then_some(Value::Instant(integer));
        }
        Some(Logical::Timestamp) => return Some(Value::Instant(integer)),
        Some(Logical::Decimal) | None => {}
    }
    match common.kind {
        SchemaKind::Int16 => i16::try_from(integer).ok().map(Value::Int16),
        SchemaKind::Int32 => i32::try_from(integer).ok().map(Value::Int32),
        SchemaKind::Int64 => Some(Value::Int64(integer)),
        #[expect(clippy::cast_precision_loss, reason = "Connect rounds, too")]
        SchemaKind::Float32 => Some(Value::Float32(integer as f32)),
        #[expect(clippy::cast_precision_loss, reason = "Connect rounds, too")]
        SchemaKind::Float64 => Some(Value::Float64(integer as f64)),
        SchemaKind::Int8
        | SchemaKind::Boolean
        | SchemaKind::String
        | SchemaKind::Bytes
        | SchemaKind::Array(_)
        | SchemaKind::Map(..)
        | SchemaKind::Struct(_) => Some(value),
    }
}
