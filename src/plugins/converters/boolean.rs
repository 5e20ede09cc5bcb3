//! `BooleanConverter`: one byte, 1 for true and 0 for false.

use bytes::Bytes;

use crate::api::config_def::ConfigDef;
use crate::api::converter::Converter;
use crate::api::data::{SchemaAndValue, SchemaKind, SchemaRef, Value};
use crate::api::error::{ConnectError, Result};
use crate::api::text::java_class;

use super::class::{ConverterClass, optional};

pub(super) const CLASS: ConverterClass = ConverterClass {
    name: "org.apache.kafka.connect.converters.BooleanConverter",
    settings: ConfigDef::new,
    create: |_| Ok(Box::new(BooleanConverter { schema: optional(SchemaKind::Boolean) })),
};

struct BooleanConverter {
    schema: SchemaRef,
}

impl Converter for BooleanConverter {
    fn from_connect(&mut self, _: &str, schema: Option<&SchemaRef>, value: &Value) -> Result<Option<Bytes>> {
        if let Some(schema) = schema.filter(|schema| schema.kind != SchemaKind::Boolean) {
            let kind = schema.kind.name();
            return Err(ConnectError::data(format!("Invalid schema type for BooleanConverter: {kind}")));
        }
        if let Value::Boolean(truth) = value {
            return Ok(Some(Bytes::from_static(if *truth { &[1] } else { &[0] })));
        }
        if value.is_null() {
            return Ok(None);
        }
        Err(ConnectError::data(format!(
            "BooleanConverter is not compatible with objects of type {}",
            java_class(value)
        )))
    }

    fn to_connect(&mut self, _: &str, bytes: Option<&Bytes>) -> Result<SchemaAndValue> {
        let value = match bytes.map(Bytes::as_ref) {
            None => Value::Null,
            Some([0]) => Value::Boolean(false),
            Some([1]) => Value::Boolean(true),
            Some([byte]) => {
                return Err(refused(format!("Unexpected byte received by BooleanDeserializer: {byte}")));
            }
            Some(_) => {
                return Err(refused("Size of data received by BooleanDeserializer is not 1".to_owned()));
            }
        };
        Ok(SchemaAndValue { schema: Some(self.schema.clone()), value })
    }
}

fn refused(cause: String) -> ConnectError {
    ConnectError::data("Failed to deserialize boolean: ").caused_by(cause)
}
