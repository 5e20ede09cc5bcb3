//! `StringConverter`: text. What is UTF-8 already is shared instead of copied.

use bytes::Bytes;
use bytestring::ByteString;

use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance, Validator, Width};
use crate::api::converter::Converter;
use crate::api::data::{SchemaAndValue, SchemaKind, SchemaRef, Value};
use crate::api::error::Result;
use crate::api::text::java_text;

use super::charset::Charset;
use super::class::{ConverterClass, optional};

pub(super) const CLASS: ConverterClass = ConverterClass {
    name: "org.apache.kafka.connect.storage.StringConverter",
    settings,
    create: |settings| Ok(Box::new(StringConverter::new(settings)?)),
};

const ENCODING: &str = "converter.encoding";

fn settings() -> ConfigDef {
    let encoding = ConfigKey::new(
        ENCODING,
        ConfigType::String,
        Importance::High,
        "The character set of the text in Kafka, by its name in Java or at IANA.",
    );
    ConfigDef::new().define(ConfigKey {
        width: Width::Medium,
        display_name: "Encoding".to_owned(),
        ..encoding.default("UTF-8").validator(Validator::custom("a known character set", |value| match value
            .and_then(|value| value.as_text())
        {
            Some(name) if Charset::named(name).is_none() => Err(format!("Unsupported encoding {name}")),
            _ => Ok(()),
        }))
    })
}

struct StringConverter {
    charset: Charset,
    schema: SchemaRef,
}

impl StringConverter {
    fn new(config: &Settings) -> Result<Self> {
        let name: String = settings().parse(config)?.get(ENCODING)?;
        // The definition lets only known names through.
        let charset = Charset::named(&name).unwrap_or(Charset::Utf8);
        Ok(StringConverter { charset, schema: optional(SchemaKind::String) })
    }
}

impl Converter for StringConverter {
    /// Any value; what is not text is written as Java would print it.
    fn from_connect(&mut self, _: &str, _: Option<&SchemaRef>, value: &Value) -> Result<Option<Bytes>> {
        if value.is_null() {
            return Ok(None);
        }
        if let Value::String(text) = value {
            return Ok(Some(self.charset.encode(text.clone())));
        }
        Ok(Some(self.charset.encode(ByteString::from(java_text(value).to_string()))))
    }

    fn to_connect(&mut self, _: &str, bytes: Option<&Bytes>) -> Result<SchemaAndValue> {
        let value = bytes.map_or(Value::Null, |bytes| Value::String(self.charset.decode(bytes)));
        Ok(SchemaAndValue { schema: Some(self.schema.clone()), value })
    }
}
