//! Whether a value fits a schema: what Connect checks when a field of a struct or a default is set.

use std::fmt;
use std::sync::Arc;

use super::data::{Logical, Schema, SchemaKind, Value};
use super::error::{ConnectError, Result};
use super::text::java_class;

/// Checks a value that stands alone, such as a default.
///
/// # Errors
/// Of kind `Data`: which part of the value does not fit, and why.
pub fn validate(schema: &Schema, value: &Value) -> Result<()> {
    check(schema, value, Place::Alone)
}

/// Checks the value of the struct field `name`. Structs inside are not entered: their fields were checked when they
/// were set, and entering them again at each level would make deep structs expensive.
///
/// # Errors
/// Of kind `Data`: which part of the value does not fit, and why.
pub fn validate_field(name: &str, schema: &Schema, value: &Value) -> Result<()> {
    check(schema, value, Place::Field(name))
}

/// Where a value stands, for messages.
#[derive(Clone, Copy)]
enum Place<'a> {
    Alone,
    Field(&'a str),
    Element(&'a Place<'a>),
    Key(&'a Place<'a>),
    MapValue(&'a Place<'a>),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Alone => f.write_str("value"),
            Place::Field(name) => write!(f, "field: \"{name}\""),
            Place::Element(array) => write!(f, "element of array {array}"),
            Place::Key(map) => write!(f, "key of map {map}"),
            Place::MapValue(map) => write!(f, "value of map {map}"),
        }
    }
}

fn check(schema: &Schema, value: &Value, place: Place<'_>) -> Result<()> {
    if value.is_null() {
        if schema.optional {
            return Ok(());
        }
        return Err(ConnectError::data(format!(
            "Invalid value: null used for required {place}, schema type: {}",
            schema.kind.name()
        )));
    }
    if !fits(schema, value) {
        let name = schema.name.as_deref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
        return Err(ConnectError::data(format!(
            "Invalid Java object for schema{name} with type {}: {} for {place}",
            schema.kind.name(),
            java_class(value)
        )));
    }
    match (&schema.kind, value) {
        (SchemaKind::Array(Some(element)), Value::Array(values)) => {
            values.iter().try_for_each(|value| check(element, value, Place::Element(&place)))
        }
        (SchemaKind::Map(keys, values), Value::Map(map)) => map.iter().try_for_each(|(key, value)| {
            keys.as_ref().map_or(Ok(()), |schema| check(schema, key, Place::Key(&place)))?;
            values.as_ref().map_or(Ok(()), |schema| check(schema, value, Place::MapValue(&place)))
        }),
        (SchemaKind::Struct(_), Value::Struct(value)) => {
            if std::ptr::eq(schema, Arc::as_ptr(value.schema())) || *schema == **value.schema() {
                Ok(())
            } else {
                Err(ConnectError::data("Struct schemas do not match."))
            }
        }
        (_, _) => Ok(()),
    }
}

/// Whether a value that is not null is of the type that the schema wants. The name of a logical type decides before
/// the type does.
fn fits(schema: &Schema, value: &Value) -> bool {
    match schema.logical() {
        Some(Logical::Decimal) => return matches!(value, Value::Decimal(_)),
        Some(Logical::Date | Logical::Time | Logical::Timestamp) => {
            return matches!(value, Value::Instant(_));
        }
        None => {}
    }
    matches!(
        (&schema.kind, value),
        (SchemaKind::Int8, Value::Int8(_))
            | (SchemaKind::Int16, Value::Int16(_))
            | (SchemaKind::Int32, Value::Int32(_))
            | (SchemaKind::Int64, Value::Int64(_))
            | (SchemaKind::Float32, Value::Float32(_))
            | (SchemaKind::Float64, Value::Float64(_))
            | (SchemaKind::Boolean, Value::Boolean(_))
            | (SchemaKind::String, Value::String(_))
            | (SchemaKind::Bytes, Value::Bytes(_))
            | (SchemaKind::Array(_), Value::Array(_))
            | (SchemaKind::Map(..), Value::Map(_))
            | (SchemaKind::Struct(_), Value::Struct(_))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_where_the_value_stands() {
        let text = Arc::new(Schema::new(SchemaKind::String));
        let texts =
            Schema::new(SchemaKind::Array(Some(Arc::new(Schema::new(SchemaKind::Array(Some(text)))))));
        let value = Value::Array(vec![Value::Array(vec![Value::string("a"), Value::Null])]);
        assert_eq!(
            validate_field("f", &texts, &value).unwrap_err().message(),
            "Invalid value: null used for required element of array element of array field: \"f\", schema type: STRING"
        );
        let date = Logical::Date.schema();
        assert_eq!(
            validate_field("f", &date, &Value::Int32(1)).unwrap_err().message(),
            "Invalid Java object for schema \"org.apache.kafka.connect.data.Date\" with type INT32: class \
             java.lang.Integer for field: \"f\""
        );
        assert!(validate(&date, &Value::Instant(0)).is_ok());
    }
}
