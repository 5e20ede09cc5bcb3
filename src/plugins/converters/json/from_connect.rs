//! From Connect's values and schemas to JSON.

use std::sync::Arc;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use indexmap::IndexMap;

use super::writer::Writer;
use super::{DecimalFormat, decimal_scale};
use crate::api::data::{Decimal, Logical, Schema, SchemaKind, SchemaRef, Struct, Value};
use crate::api::error::{ConnectError, Result};
use crate::api::text::{float32_text, float64_text, java_class};
use crate::stdx::java_calendar::MILLIS_PER_DAY;

/// Writes values and schemas.
pub(super) struct FromConnect<'w> {
    pub(super) writer: &'w mut Writer,
    pub(super) decimal_format: DecimalFormat,
    pub(super) replace_null_with_default: bool,
}

impl FromConnect<'_> {
    /// Writes a value; without a schema as what it is.
    #[inline]
    pub(super) fn value(&mut self, schema: Option<&SchemaRef>, value: &Value) -> Result<()> {
        let Some(schema) = schema else { return self.by_type(None, value) };
        let value = self.resolve(schema, value)?;
        match (schema.logical(), value) {
            (_, Value::Null) => {
                self.writer.raw(b"null");
                Ok(())
            }
            (Some(logical), _) => self.logical(logical, schema, value),
            (None, _) => self.by_type(Some(schema), value),
        }
    }

    /// The value, or what stands for it if it is null.
    fn resolve<'v>(&self, schema: &'v Schema, value: &'v Value) -> Result<&'v Value> {
        let value = if self.replace_null_with_default { schema.or_default(value) } else { value };
        if value.is_null() && !schema.optional {
            return Err(ConnectError::data(
                "Conversion error: null value for field that is required and has no default value",
            ));
        }
        Ok(value)
    }

    /// Writes a value that is of the type of the schema; without a schema, of any type that JSON has.
    fn by_type(&mut self, schema: Option<&SchemaRef>, value: &Value) -> Result<()> {
        let kind = schema.map(|schema| &schema.kind);
        match (kind, value) {
            (None, Value::Null) => self.writer.raw(b"null"),
            (None | Some(SchemaKind::Boolean), Value::Boolean(v)) => self.writer.plain(v),
            (None | Some(SchemaKind::Int8), Value::Int8(v)) => self.writer.plain(v),
            (None | Some(SchemaKind::Int16), Value::Int16(v)) => self.writer.plain(v),
            (None | Some(SchemaKind::Int32), Value::Int32(v)) => self.writer.plain(v),
            (None | Some(SchemaKind::Int64), Value::Int64(v)) => self.writer.plain(v),
            (None | Some(SchemaKind::Float32), Value::Float32(v)) if v.is_finite() => {
                self.writer.plain(float32_text(*v));
            }
            (None | Some(SchemaKind::Float32), Value::Float32(v)) => self.writer.quoted(float32_text(*v)),
            (None | Some(SchemaKind::Float64), Value::Float64(v)) if v.is_finite() => {
                self.writer.plain(float64_text(*v));
            }
            (None | Some(SchemaKind::Float64), Value::Float64(v)) => self.writer.quoted(float64_text(*v)),
            (None | Some(SchemaKind::String), Value::String(text)) => self.writer.string(text),
            (None | Some(SchemaKind::Bytes), Value::Bytes(bytes)) => {
                self.writer.quoted(Base64Display::new(bytes, &STANDARD));
            }
            (None, Value::Array(values)) => return self.array(None, values),
            (Some(SchemaKind::Array(element)), Value::Array(values)) => {
                return self.array(element.as_ref(), values);
            }
            (None, Value::Map(map)) => return self.map_without_schema(map),
            (Some(SchemaKind::Map(keys, values)), Value::Map(map)) => {
                return self.map(keys.as_ref(), values.as_ref(), map);
            }
            (None | Some(SchemaKind::Struct(_)), Value::Struct(value)) => {
                return self.structure(schema, value);
            }
            (_, _) => return Err(wrong_type(kind, value)),
        }
        Ok(())
    }

    fn logical(&mut self, logical: Logical, schema: &Schema, value: &Value) -> Result<()> {
        match (logical, value) {
            (Logical::Decimal, Value::Decimal(decimal)) => return self.decimal(schema, decimal),
            (Logical::Date, Value::Instant(millis)) if millis % MILLIS_PER_DAY == 0 => {
                #[expect(clippy::cast_possible_truncation, reason = "Connect keeps the low bits")]
                self.writer.plain((millis / MILLIS_PER_DAY) as i32);
            }
            (Logical::Time, Value::Instant(millis @ 0..=MILLIS_PER_DAY)) => self.writer.plain(millis),
            (Logical::Timestamp, Value::Instant(millis)) => self.writer.plain(millis),
            (Logical::Date, Value::Instant(_)) => {
                return Err(ConnectError::data(
                    "Kafka Connect Date type should not have any time fields set to non-zero values.",
                ));
            }
            (Logical::Time, Value::Instant(_)) => {
                return Err(ConnectError::data(
                    "Kafka Connect Time type should not have any date fields set to non-zero values.",
                ));
            }
            (_, other) => {
                let (name, expected) = match logical {
                    Logical::Decimal => ("Decimal", "BigDecimal"),
                    Logical::Date => ("Date", "Date"),
                    Logical::Time => ("Time", "Date"),
                    Logical::Timestamp => ("Timestamp", "Date"),
                };
                return Err(ConnectError::data(format!(
                    "Invalid type for {name}, expected {expected} but was {}",
                    java_class(other)
                )));
            }
        }
        Ok(())
    }

    fn decimal(&mut self, schema: &Schema, decimal: &Decimal) -> Result<()> {
        match self.decimal_format {
            DecimalFormat::Numeric => self.writer.plain(decimal),
            DecimalFormat::Base64 => {
                let scale = decimal_scale(schema)?;
                if scale != decimal.scale {
                    return Err(ConnectError::data(format!(
                        "Decimal value has mismatching scale for given Decimal schema. Schema has scale {scale}, \
                         value has scale {}.",
                        decimal.scale
                    )));
                }
                self.writer.quoted(Base64Display::new(&decimal.unscaled.to_signed_bytes_be(), &STANDARD));
            }
        }
        Ok(())
    }

    fn array(&mut self, element: Option<&SchemaRef>, values: &[Value]) -> Result<()> {
        self.writer.open(b'[')?;
        for (index, value) in values.iter().enumerate() {
            self.writer.separate(index);
            self.value(element, value)?;
        }
        self.writer.close(b']');
        Ok(())
    }

    /// An object if every key is a text.
    fn map_without_schema(&mut self, map: &IndexMap<Value, Value>) -> Result<()> {
        if map.keys().any(|key| !matches!(key, Value::String(_))) {
            return self.pairs(None, None, map);
        }
        self.writer.open(b'{')?;
        for (index, (key, value)) in map.iter().enumerate() {
            self.writer.separate(index);
            if let Value::String(name) = key {
                self.writer.name(name);
            }
            self.value(None, value)?;
        }
        self.writer.close(b'}');
        Ok(())
    }

    /// An object if the schema of the keys is that of texts.
    fn map(
        &mut self,
        keys: Option<&SchemaRef>,
        values: Option<&SchemaRef>,
        map: &IndexMap<Value, Value>,
    ) -> Result<()> {
        let Some(keys) = keys else {
            return Err(ConnectError::data(
                "A map whose schema has no schema of its keys cannot be written as JSON",
            ));
        };
        if keys.kind != SchemaKind::String {
            return self.pairs(Some(keys), values, map);
        }
        self.writer.open(b'{')?;
        for (index, (key, value)) in map.iter().enumerate() {
            self.writer.separate(index);
            let key = self.resolve(keys, key)?;
            if let Value::String(name) = key {
                self.writer.name(name);
            } else if key.is_null() {
                self.writer.name("null");
            } else {
                return Err(wrong_type(Some(&keys.kind), key));
            }
            self.value(values, value)?;
        }
        self.writer.close(b'}');
        Ok(())
    }

    fn pairs(
        &mut self,
        keys: Option<&SchemaRef>,
        values: Option<&SchemaRef>,
        map: &IndexMap<Value, Value>,
    ) -> Result<()> {
        self.writer.open(b'[')?;
        for (index, (key, value)) in map.iter().enumerate() {
            self.writer.separate(index);
            self.writer.open(b'[')?;
            self.value(keys, key)?;
            self.writer.raw(b",");
            self.value(values, value)?;
            self.writer.close(b']');
        }
        self.writer.close(b']');
        Ok(())
    }

    fn structure(&mut self, schema: Option<&SchemaRef>, value: &Struct) -> Result<()> {
        let same =
            schema.is_some_and(|schema| Arc::ptr_eq(schema, value.schema()) || schema == value.schema());
        if !same {
            return Err(ConnectError::data("Mismatching schema."));
        }
        self.writer.open(b'{')?;
        for (index, (name, field, value)) in value.iter().enumerate() {
            self.writer.separate(index);
            self.writer.name(name);
            self.value(Some(field), value)?;
        }
        self.writer.close(b'}');
        Ok(())
    }

    /// Writes a schema; `field` is the name of the struct field that it belongs to.
    pub(super) fn schema(&mut self, schema: &SchemaRef, field: Option<&str>) -> Result<()> {
        self.writer.open(b'{')?;
        self.writer.name("type");
        self.writer.quoted(type_name(&schema.kind));
        self.children(&schema.kind)?;
        self.member("optional", |this| this.writer.plain(schema.optional));
        if let Some(name) = &schema.name {
            self.member("name", |this| this.writer.string(name));
        }
        if let Some(version) = schema.version {
            self.member("version", |this| this.writer.plain(version));
        }
        if let Some(doc) = &schema.doc {
            self.member("doc", |this| this.writer.string(doc));
        }
        if let Some(parameters) = &schema.parameters {
            self.member("parameters", |_| ());
            self.writer.open(b'{')?;
            for (index, (name, value)) in parameters.iter().enumerate() {
                self.writer.separate(index);
                self.writer.name(name);
                self.writer.string(value);
            }
            self.writer.close(b'}');
        }
        if let Some(default) = &schema.default {
            self.member("default", |_| ());
            self.value(Some(schema), default)?;
        }
        if let Some(field) = field {
            self.member("field", |this| this.writer.string(field));
        }
        self.writer.close(b'}');
        Ok(())
    }

    /// The schemas inside a schema.
    fn children(&mut self, kind: &SchemaKind) -> Result<()> {
        match kind {
            SchemaKind::Array(element) => self.child("items", element.as_ref()),
            SchemaKind::Map(keys, values) => {
                self.child("keys", keys.as_ref())?;
                self.child("values", values.as_ref())
            }
            SchemaKind::Struct(fields) => {
                self.member("fields", |_| ());
                self.writer.open(b'[')?;
                for (index, (name, field)) in fields.iter().enumerate() {
                    self.writer.separate(index);
                    self.schema(field, Some(name))?;
                }
                self.writer.close(b']');
                Ok(())
            }
            SchemaKind::Int8
            | SchemaKind::Int16
            | SchemaKind::Int32
            | SchemaKind::Int64
            | SchemaKind::Float32
            | SchemaKind::Float64
            | SchemaKind::Boolean
            | SchemaKind::String
            | SchemaKind::Bytes => Ok(()),
        }
    }

    fn child(&mut self, name: &str, schema: Option<&SchemaRef>) -> Result<()> {
        self.member(name, |_| ());
        match schema {
            Some(schema) => self.schema(schema, None),
            None => {
                self.writer.raw(b"null");
                Ok(())
            }
        }
    }

    /// A further member of an object that has one already.
    fn member(&mut self, name: &str, value: impl FnOnce(&mut Self)) {
        self.writer.raw(b",");
        self.writer.name(name);
        value(self);
    }
}

/// The name of a type in the JSON of schemas.
fn type_name(kind: &SchemaKind) -> &'static str {
    match kind {
        SchemaKind::Int8 => "int8",
        SchemaKind::Int16 => "int16",
        SchemaKind::Int32 => "int32",
        SchemaKind::Int64 => "int64",
        SchemaKind::Float32 => "float",
        SchemaKind::Float64 => "double",
        SchemaKind::Boolean => "boolean",
        SchemaKind::String => "string",
        SchemaKind::Bytes => "bytes",
        SchemaKind::Array(_) => "array",
        SchemaKind::Map(..) => "map",
        SchemaKind::Struct(_) => "struct",
    }
}

fn wrong_type(kind: Option<&SchemaKind>, value: &Value) -> ConnectError {
    let class = java_class(value);
    ConnectError::data(match kind {
        Some(SchemaKind::Bytes) => format!("Invalid type for bytes type: {class}"),
        Some(kind) => format!("Invalid type for {}: {class}", kind.name()),
        None => format!("Java class {class} does not have corresponding schema type."),
    })
}
