//! `SimpleHeaderConverter`, the default for headers: values as text that a person can read, and read back by looks.

use std::fmt::{self, Write};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::charset::Charset;
use crate::api::Settings;
use crate::api::config_def::ConfigDef;
use crate::api::converter::{Converter, ConverterPlugin, ConverterRole, ConverterRoles, HeaderConverter};
use crate::api::data::{SchemaAndValue, SchemaRef, Value};
use crate::api::error::{ConnectError, Result};
use crate::api::registry::VERSION;
use crate::api::text::java_text;
use crate::plugins::literal;
use crate::stdx::java_calendar::JavaDate;

/// The class.
pub(super) struct SimpleHeaderConverter;

const CLASS: &str = "org.apache.kafka.connect.storage.SimpleHeaderConverter";

impl ConverterPlugin for SimpleHeaderConverter {
    fn class(&self) -> &'static str {
        CLASS
    }

    fn version(&self) -> &'static str {
        VERSION
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::new()
    }

    fn converter(&self, _settings: &Settings, _role: ConverterRole) -> Result<Box<dyn Converter>> {
        Err(ConnectError::config(format!("Class {CLASS} does not implement the Converter interface")))
    }

    fn header_converter(&self, _settings: &Settings) -> Result<Option<Box<dyn HeaderConverter>>> {
        Ok(Some(Box::new(Instance)))
    }

    fn roles(&self) -> ConverterRoles {
        ConverterRoles::HeaderOnly
    }
}

struct Instance;

impl HeaderConverter for Instance {
    fn from_connect(
        &mut self,
        _topic: &str,
        _key: &str,
        _schema: Option<&SchemaRef>,
        value: &Value,
    ) -> Result<Option<Bytes>> {
        Ok(match value {
            Value::Null => None,
            Value::String(text) => Some(text.as_bytes().clone()),
            Value::Bytes(bytes) => Some(Base64Display::new(bytes, &STANDARD).to_string().into()),
            Value::Boolean(_)
            | Value::Int8(_)
            | Value::Int16(_)
            | Value::Int32(_)
            | Value::Int64(_)
            | Value::Float32(_)
            | Value::Float64(_)
            | Value::Decimal(_)
            | Value::Instant(_)
            | Value::Array(_)
            | Value::Map(_)
            | Value::Struct(_) => Some(Embedded(value).to_string().into()),
        })
    }

    fn to_connect(&mut self, _topic: &str, _key: &str, bytes: Option<&Bytes>) -> Result<SchemaAndValue> {
        Ok(bytes.map_or_else(SchemaAndValue::null, |bytes| literal::parse(&Charset::Utf8.decode(bytes))))
    }
}

/// A value as it stands inside a list, map or struct: texts in quotes, no blanks.
struct Embedded<'a>(&'a Value);

impl fmt::Display for Embedded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null
            | Value::Boolean(_)
            | Value::Int8(_)
            | Value::Int16(_)
            | Value::Int32(_)
            | Value::Int64(_)
            | Value::Float32(_)
            | Value::Float64(_)
            | Value::Decimal(_) => write!(f, "{}", java_text(self.0)),
            Value::String(text) => write_quoted(text, f),
            Value::Bytes(bytes) => write!(f, "\"{}\"", Base64Display::new(bytes, &STANDARD)),
            Value::Instant(millis) => f.write_str(&JavaDate::text_by_size(*millis)),
            Value::Array(values) => {
                f.write_char('[')?;
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{}", comma(index), Embedded(value))?;
                }
                f.write_char(']')
            }
            Value::Map(map) => {
                f.write_char('{')?;
                for (index, (key, value)) in map.iter().enumerate() {
                    write!(f, "{}{}:{}", comma(index), Embedded(key), Embedded(value))?;
                }
                f.write_char('}')
            }
            Value::Struct(fields) => {
                f.write_char('{')?;
                for (index, (name, schema, value)) in fields.iter().enumerate() {
                    f.write_str(comma(index))?;
                    write_quoted(name, f)?;
                    write!(f, ":{}", Embedded(schema.or_default(value)))?;
                }
                f.write_char('}')
            }
        }
    }
}

fn comma(index: usize) -> &'static str {
    if index > 0 { "," } else { "" }
}

fn write_quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for part in text.split_inclusive(['"', '\\']) {
        match part.strip_suffix(['"', '\\']) {
            Some(plain) => write!(f, "{plain}\\{}", part.get(plain.len()..).unwrap_or_default())?,
            None => f.write_str(part)?,
        }
    }
    f.write_char('"')
}
