//! What a transform needs a value to be, and Connect's words where it is something else.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::api::data::{Fields, Schema, SchemaAndValue, SchemaKind, SchemaRef, Struct, Value};
use crate::api::error::{ConnectError, ErrorKind, Result};
use crate::api::text::java_class;

/// The class of a value in messages: `java.lang.Long`, `null`.
pub(super) fn class_of(value: &Value) -> &'static str {
    let class = java_class(value);
    class.strip_prefix("class ").unwrap_or(class)
}

/// The map that a value without schema is.
pub(super) fn map<'a>(value: &'a Value, purpose: &str) -> Result<&'a IndexMap<Value, Value>> {
    match as_map(value) {
        Some(map) => Ok(map),
        None => Err(no_map(value, purpose)),
    }
}

/// Likewise, to be changed.
pub(super) fn map_mut<'a>(value: &'a mut Value, purpose: &str) -> Result<&'a mut IndexMap<Value, Value>> {
    if let Value::Map(map) = value {
        return Ok(map);
    }
    Err(no_map(value, purpose))
}

fn as_map(value: &Value) -> Option<&IndexMap<Value, Value>> {
    if let Value::Map(map) = value { Some(map) } else { None }
}

fn no_map(value: &Value, purpose: &str) -> ConnectError {
    ConnectError::data(format!(
        "Only Map objects supported in absence of schema for [{purpose}], found: {}",
        class_of(value)
    ))
}

/// The struct that a value with a schema is.
pub(super) fn fields<'a>(value: &'a Value, purpose: &str) -> Result<&'a Struct> {
    if let Value::Struct(fields) = value {
        return Ok(fields);
    }
    Err(no_struct(value, purpose))
}

/// The error of a value that should be a struct.
pub(super) fn no_struct(value: &Value, purpose: &str) -> ConnectError {
    ConnectError::data(format!("Only Struct objects supported for [{purpose}], found: {}", class_of(value)))
}

/// A struct schema of the same name, version, doc and parameters with other fields: required and without default.
pub(super) fn rebuilt(schema: &Schema, fields: Fields) -> Schema {
    Schema {
        kind: SchemaKind::Struct(fields),
        optional: false,
        default: None,
        name: schema.name.clone(),
        version: schema.version,
        doc: schema.doc.clone(),
        parameters: schema.parameters.clone(),
    }
}

/// Adds a field to those of a struct that is built.
pub(super) fn add_field(fields: &mut Fields, name: impl Into<Arc<str>>, schema: SchemaRef) -> Result<()> {
    let name = name.into();
    if name.is_empty() {
        return Err(ConnectError::new(ErrorKind::SchemaBuilder, "fieldName cannot be null."));
    }
    if fields.add(Arc::clone(&name), schema) {
        return Ok(());
    }
    let message = format!("Cannot create field because of field name duplication {name}");
    Err(ConnectError::new(ErrorKind::SchemaBuilder, message))
}

/// The fields of a struct schema.
pub(super) fn fields_of(schema: &Schema) -> Result<&Fields> {
    match &schema.kind {
        SchemaKind::Struct(fields) => Ok(fields),
        SchemaKind::Int8
        | SchemaKind::Int16
        | SchemaKind::Int32
        | SchemaKind::Int64
        | SchemaKind::Float32
        | SchemaKind::Float64
        | SchemaKind::Boolean
        | SchemaKind::String
        | SchemaKind::Bytes
        | SchemaKind::Array(_)
        | SchemaKind::Map(..) => Err(ConnectError::data("Cannot list fields on non-struct type")),
    }
}

/// Takes the values out of a struct, nulls replaced by the defaults of their fields where that is wanted. The struct is
/// gone then: [`put_struct`] follows.
pub(super) fn take_values(
    data: &mut SchemaAndValue,
    purpose: &str,
    replaces_null: bool,
) -> Result<Vec<Value>> {
    let value = std::mem::take(&mut data.value);
    let Value::Struct(fields) = value else { return Err(no_struct(&value, purpose)) };
    if !replaces_null || !fields.values().iter().any(Value::is_null) {
        return Ok(fields.into_values());
    }
    Ok(fields.iter().map(|(_, schema, value)| schema.or_default(value).clone()).collect())
}

/// Makes the data a struct with these values, as many as the schema has fields.
pub(super) fn put_struct(data: &mut SchemaAndValue, schema: SchemaRef, values: Vec<Value>) -> Result<()> {
    let fields = Struct::from_values(Arc::clone(&schema), values);
    let fields = fields.ok_or_else(|| ConnectError::data("Struct schemas do not match."))?;
    data.value = Value::Struct(Box::new(fields));
    data.schema = Some(schema);
    Ok(())
}

/// Takes the values at these places out of all.
pub(super) fn pick(values: &mut [Value], places: &[usize]) -> Vec<Value> {
    places.iter().map(|place| values.get_mut(*place).map(std::mem::take).unwrap_or_default()).collect()
}

/// The error of a map without schema whose key cannot be the name of a field.
pub(super) fn no_field_name(key: &Value, purpose: &str) -> ConnectError {
    ConnectError::data(format!("Only String keys supported for [{purpose}], found: {}", class_of(key)))
}
