//! `JsonConverter`: values as JSON, with their schema beside them (`{"schema":…,"payload":…}`) or without.

mod base64;
mod cache;
mod from_connect;
mod members;
mod reader;
mod scan;
mod to_connect;
mod writer;

use bytes::Bytes;
use bytestring::ByteString;

use self::cache::{ReadSchemas, WrittenSchemas};
use self::from_connect::FromConnect;
use self::reader::{Node, NotJson, Reader};
use self::to_connect::ToConnect;
use self::writer::Writer;
use super::class::ConverterClass;
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance, Validator, Width};
use crate::api::converter::Converter;
use crate::api::data::{Schema, SchemaAndValue, SchemaRef, Value};
use crate::api::error::{ConnectError, Result};

const SCHEMAS_ENABLE: &str = "schemas.enable";
const SCHEMAS_CACHE_SIZE: &str = "schemas.cache.size";
const SCHEMA_CONTENT: &str = "schema.content";
const DECIMAL_FORMAT: &str = "decimal.format";
const REPLACE_NULL_WITH_DEFAULT: &str = "replace.null.with.default";

pub(super) const CLASS: ConverterClass = ConverterClass {
    name: "org.apache.kafka.connect.json.JsonConverter",
    settings,
    create: |settings| Ok(Box::new(JsonConverter::new(settings)?)),
};

fn settings() -> ConfigDef {
    let decimal_formats = Validator::OneOfIgnoringCase(vec!["NUMERIC".to_owned(), "BASE64".to_owned()]);
    ConfigDef::new().define_all([
        ConfigKey::new(
            SCHEMAS_ENABLE,
            ConfigType::Boolean,
            Importance::High,
            "Put the schema beside each value when writing, and expect it there when reading.",
        )
        .default("true")
        .shown("Schemas", 0, Width::Medium, "Enable Schemas"),
        ConfigKey::new(
            SCHEMAS_CACHE_SIZE,
            ConfigType::Int,
            Importance::High,
            "How many schemas are remembered in each direction.",
        )
        .default("1000")
        .shown("Schemas", 1, Width::Medium, "Schema Cache Size"),
        ConfigKey::new(
            SCHEMA_CONTENT,
            ConfigType::String,
            Importance::High,
            "The schema, as JSON, of all messages that are read: they are then the bare values. Has no effect \
             where schemas are not enabled.",
        )
        .shown("Schemas", 2, Width::Medium, "Schema Content"),
        ConfigKey::new(
            DECIMAL_FORMAT,
            ConfigType::String,
            Importance::Low,
            "How decimals are written: their bytes in BASE64, or as numbers with NUMERIC. Both are read.",
        )
        .default("BASE64")
        .validator(decimal_formats)
        .shown("Serialization", 0, Width::Medium, "Decimal Format"),
        ConfigKey::new(
            REPLACE_NULL_WITH_DEFAULT,
            ConfigType::Boolean,
            Importance::Low,
            "Put the default of the schema, if it has one, in the place of null.",
        )
        .default("true")
        .shown("Serialization", 1, Width::Medium, "Replace null with default"),
    ])
}

/// How decimals are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DecimalFormat {
    /// The bytes of the unscaled number in base64.
    Base64,
    /// A number.
    Numeric,
}

struct JsonConverter {
    schemas_enable: bool,
    /// The schema of all messages that are read, if the settings give it.
    fixed_schema: Option<SchemaRef>,
    decimal_format: DecimalFormat,
    replace_null_with_default: bool,
    read_schemas: ReadSchemas,
    written_schemas: WrittenSchemas,
    writer: Writer,
}

impl Converter for JsonConverter {
    fn from_connect(
        &mut self,
        _topic: &str,
        schema: Option<&SchemaRef>,
        value: &Value,
    ) -> Result<Option<Bytes>> {
        let envelope = match schema {
            None if value.is_null() => return Ok(None),
            Some(_) | None if !self.schemas_enable => None,
            None => Some(Bytes::from_static(b"{\"schema\":null,\"payload\":")),
            Some(schema) => Some(self.envelope(schema)?),
        };
        let (decimal_format, replace_null_with_default) =
            (self.decimal_format, self.replace_null_with_default);
        self.writer
            .message(|writer| {
                let Some(envelope) = envelope else {
                    return FromConnect { writer, decimal_format, replace_null_with_default }
                        .value(schema, value);
                };
                writer.open_written(&envelope);
                FromConnect { writer, decimal_format, replace_null_with_default }.value(schema, value)?;
                writer.close(b'}');
                Ok(())
            })
            .map(Some)
    }

    fn to_connect(&mut self, _topic: &str, bytes: Option<&Bytes>) -> Result<SchemaAndValue> {
        let Some(bytes) = bytes else { return Ok(SchemaAndValue::null()) };
        let (message, malformed) = utf8_prefix(bytes);
        let mut reader = Reader::new(&message);
        let document = match (self.schemas_enable, &self.fixed_schema) {
            (true, None) => self.read_envelope(&mut reader),
            (true, Some(_)) | (false, _) => reader.document().map(Document::Bare),
        };
        let document = document.and_then(|document| {
            if malformed && reader.offset() == message.len() && !message.ends_with(['"', ']', '}']) {
                return Err(reader.error("malformed UTF-8"));
            }
            Ok(document)
        });
        let document = document.map_err(|error| {
            ConnectError::data("Converting byte[] to Kafka Connect data failed due to serialization error: ")
                .caused_by(error)
        })?;
        self.interpret(&message, document)
    }
}

impl JsonConverter {
    fn new(config: &Settings) -> Result<Self> {
        let config = settings().parse(config)?;
        let cache_size = usize::try_from(config.get::<i32>(SCHEMAS_CACHE_SIZE)?).unwrap_or(0);
        let decimal_format: String = config.get(DECIMAL_FORMAT)?;
        let mut converter = JsonConverter {
            schemas_enable: config.get(SCHEMAS_ENABLE)?,
            fixed_schema: None,
            decimal_format: if decimal_format.eq_ignore_ascii_case("NUMERIC") {
                DecimalFormat::Numeric
            } else {
                DecimalFormat::Base64
            },
            replace_null_with_default: config.get(REPLACE_NULL_WITH_DEFAULT)?,
            read_schemas: ReadSchemas::new(cache_size),
            written_schemas: WrittenSchemas::new(cache_size),
            writer: Writer::new(),
        };
        if let Some(content) = config.text(SCHEMA_CONTENT)? {
            converter.fixed_schema = converter.parse_schema(&content.into())?;
        }
        Ok(converter)
    }

    /// What stands before a value with this schema, up to and with `"payload":`.
    fn envelope(&mut self, schema: &SchemaRef) -> Result<Bytes> {
        if let Some(json) = self.written_schemas.get(schema) {
            return Ok(json.clone());
        }
        let (decimal_format, replace_null_with_default) =
            (self.decimal_format, self.replace_null_with_default);
        let json = Writer::new().message(|writer| {
            writer.open(b'{')?;
            writer.name("schema");
            FromConnect { writer, decimal_format, replace_null_with_default }.schema(schema, None)?;
            writer.raw(b",\"payload\":");
            Ok(())
        })?;
        // A copy of its own: the entry would keep the whole chunk otherwise.
        let json = Bytes::copy_from_slice(&json);
        self.written_schemas.insert(schema, json.clone());
        Ok(json)
    }

    fn read_envelope<'a>(&self, reader: &mut Reader<'a>) -> std::result::Result<Document<'a>, NotJson> {
        if !reader.rest().starts_with('{') {
            reader.document()?;
            return Ok(Document::NoEnvelope);
        }
        let (mut schema, mut payload, mut has_others) = (None, None, false);
        reader.object(|reader, name| {
            match &*name {
                "schema" => schema = Some(self.read_schema(reader)?),
                "payload" => payload = Some(reader.value(1)?),
                _ => {
                    reader.value(1)?;
                    has_others = true;
                }
            }
            Ok(())
        })?;
        Ok(match (schema, payload) {
            (Some(schema), Some(payload)) if !has_others => Document::Envelope(schema, payload),
            (_, _) => Document::NoEnvelope,
        })
    }

    /// The schema that begins here: not parsed if it is the one that came last.
    fn read_schema<'a>(&self, reader: &mut Reader<'a>) -> std::result::Result<SchemaPart<'a>, NotJson> {
        let rest = reader.rest();
        if let Some((schema, length)) = self.read_schemas.at_start_of(rest) {
            reader.skip(length);
            return Ok(SchemaPart::Known(schema));
        }
        let start = reader.offset();
        let node = reader.value(1)?;
        Ok(SchemaPart::Parsed { text: reader.since(start), node })
    }

    fn interpret(&mut self, message: &ByteString, document: Document<'_>) -> Result<SchemaAndValue> {
        let to_connect = ToConnect { message, replace_null_with_default: self.replace_null_with_default };
        let (schema, payload) = match document {
            Document::Bare(payload) => (self.fixed_schema.clone().filter(|_| self.schemas_enable), payload),
            Document::NoEnvelope => {
                return Err(ConnectError::data(
                    "JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields and may not \
                     contain additional fields. If you are trying to deserialize plain JSON data, set \
                     schemas.enable=false in your converter configuration.",
                ));
            }
            Document::Envelope(SchemaPart::Known(schema), payload) => (Some(schema), payload),
            Document::Envelope(SchemaPart::Parsed { node: Node::Null, .. }, payload) => (None, payload),
            Document::Envelope(SchemaPart::Parsed { text, node }, payload) => {
                let schema = match self.read_schemas.get(text) {
                    Some(schema) => schema,
                    None => {
                        let schema = to_connect.schema(node)?;
                        self.read_schemas.insert(text, &schema);
                        schema
                    }
                };
                (Some(schema), payload)
            }
        };
        let value = to_connect.value(schema.as_ref(), payload)?;
        Ok(SchemaAndValue { schema, value })
    }

    /// The schema of the settings; `null` is none.
    fn parse_schema(&self, content: &ByteString) -> Result<Option<SchemaRef>> {
        let node = Reader::new(content).document().map_err(|error| {
            ConnectError::config("Failed to parse schema in converter config due to serialization error: ")
                .caused_by(error)
        })?;
        if matches!(node, Node::Missing | Node::Null) {
            return Ok(None);
        }
        let reader =
            ToConnect { message: content, replace_null_with_default: self.replace_null_with_default };
        reader.schema(node).map(Some).map_err(|error| ConnectError::config(error.to_string()))
    }
}

/// A message, read but not yet interpreted.
enum Document<'a> {
    /// A value alone.
    Bare(Node<'a>),
    /// A value with its schema.
    Envelope(SchemaPart<'a>, Node<'a>),
    /// JSON that should have been an envelope and is none.
    NoEnvelope,
}

/// The schema of an envelope.
enum SchemaPart<'a> {
    /// One that was read before.
    Known(SchemaRef),
    /// As it stands in the message.
    Parsed { text: &'a str, node: Node<'a> },
}

/// The part of the bytes up to the first that is not UTF-8, and whether there is one. It matters only if the JSON goes on
/// that far.
fn utf8_prefix(bytes: &Bytes) -> (ByteString, bool) {
    match ByteString::try_from(bytes.clone()) {
        Ok(text) => (text, false),
        Err(_) => {
            let valid = bytes.utf8_chunks().next().map_or(0, |chunk| chunk.valid().len());
            (ByteString::try_from(bytes.slice(..valid)).unwrap_or_default(), true)
        }
    }
}

/// The scale of the decimals of a schema.
fn decimal_scale(schema: &Schema) -> Result<i32> {
    let scale = schema.parameters.as_ref().and_then(|parameters| parameters.get("scale"));
    let scale =
        scale.ok_or_else(|| ConnectError::data("Invalid Decimal schema: scale parameter not found."))?;
    scale.parse().map_err(|error: std::num::ParseIntError| {
        ConnectError::data("Invalid scale parameter found in Decimal schema: ").caused_by(error)
    })
}

#[cfg(test)]
mod tests;
