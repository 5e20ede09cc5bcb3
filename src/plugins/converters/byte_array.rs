//! `ByteArrayConverter`: bytes as they are, shared instead of copied.

use bytes::Bytes;

use crate::api::config_def::ConfigDef;
use crate::api::converter::Converter;
use crate::api::data::{SchemaAndValue, SchemaKind, SchemaRef, Value};
use crate::api::error::{ConnectError, Result};
use crate::api::text::java_class;

use super::class::{ConverterClass, optional};

pub(super) const CLASS: ConverterClass = ConverterClass {
    name: "org.apache.kafka.connect.converters.ByteArrayConverter",
    settings: ConfigDef::new,
    create: |_| Ok(Box::new(ByteArrayConverter { schema: optional(SchemaKind::Bytes) })),
};

struct ByteArrayConverter {
    schema: SchemaRef,
}

impl Converter for ByteArrayConverter {
    fn from_connect(&mut self, _: &str, schema: Option<&SchemaRef>, value: &Value) -> Result<Option<Bytes>> {
        if let Some(schema) = schema.filter(|schema| schema.kind != SchemaKind::Bytes) {
            let kind = schema.kind.name();
            return Err(ConnectError::data(format!("Invalid schema type for ByteArrayConverter: {kind}")));
        }
        if let Value::Bytes(bytes) = value {
            return Ok(Some(bytes.clone()));
        }
        if value.is_null() {
            return Ok(None);
        }
        Err(ConnectError::data(format!(
            "ByteArrayConverter is not compatible with objects of type {}",
            java_class(value)
        )))
    }

    fn to_connect(&mut self, _: &str, bytes: Option<&Bytes>) -> Result<SchemaAndValue> {
        let value = bytes.map_or(Value::Null, |bytes| Value::Bytes(bytes.clone()));
        Ok(SchemaAndValue { schema: Some(self.schema.clone()), value })
    }
}
