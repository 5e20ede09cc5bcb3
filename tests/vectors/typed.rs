//! Schemas and values as the vector files write them.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use herdsman::api::converter::ConverterRole;
use herdsman::api::data::{Decimal, Fields, Schema, SchemaKind, SchemaRef, Struct, Value};
use herdsman::api::registry::Registry;
use serde_json::Value as Json;

/// A schema in the form of `JsonConverter`, where arrays and maps may lack the schemas of their elements.
pub(crate) fn schema(json: &Json) -> Result<Option<SchemaRef>, String> {
    if json.is_null() {
        return Ok(None);
    }
    let kind = match json["type"].as_str().unwrap_or_default() {
        "int8" => SchemaKind::Int8,
        "int16" => SchemaKind::Int16,
        "int32" => SchemaKind::Int32,
        "int64" => SchemaKind::Int64,
        "float" => SchemaKind::Float32,
        "double" => SchemaKind::Float64,
        "boolean" => SchemaKind::Boolean,
        "string" => SchemaKind::String,
        "bytes" => SchemaKind::Bytes,
        "array" => SchemaKind::Array(schema(&json["items"])?),
        "map" => SchemaKind::Map(schema(&json["keys"])?, schema(&json["values"])?),
        "struct" => SchemaKind::Struct(fields(&json["fields"])?),
        unknown => return Err(format!("the case has a schema of type {unknown:?}")),
    };
    let text = |name: &str| json[name].as_str().map(Arc::from);
    let mut schema = Schema::new(kind);
    schema.optional = json["optional"] == true;
    schema.name = text("name");
    schema.version = json["version"].as_i64().and_then(|version| version.try_into().ok());
    schema.doc = text("doc");
    for (name, value) in json["parameters"].as_object().into_iter().flatten() {
        schema = schema.parameter(name, value.as_str().unwrap_or_default());
    }
    if json.get("default").is_some() {
        schema.default = Some(default(json)?);
    }
    Ok(Some(Arc::new(schema)))
}

fn fields(json: &Json) -> Result<Fields, String> {
    let mut fields = Fields::default();
    for field in json.as_array().into_iter().flatten() {
        let name = field["field"].as_str().ok_or("the case has a field without name")?;
        fields.add(name, schema(field)?.ok_or("the case has a field without schema")?);
    }
    Ok(fields)
}

/// The default of a schema stands there as a payload, and what a payload means only the converter knows.
fn default(schema: &Json) -> Result<Value, String> {
    let mut registry = Registry::new();
    herdsman::plugins::converters::register(&mut registry);
    let plugin = registry.converter("JsonConverter").ok_or("no JsonConverter")?;
    let mut converter =
        plugin.converter(&[].into(), ConverterRole::Value).map_err(|error| error.to_string())?;
    let message = serde_json::json!({"schema": schema, "payload": null}).to_string();
    let read = converter.to_connect("t", Some(&message.into())).map_err(|error| error.to_string())?;
    read.schema.and_then(|schema| schema.default.clone()).ok_or_else(|| "the case has no default".to_owned())
}

/// A value with its type; a struct needs the schema.
pub(crate) fn value(schema: Option<&SchemaRef>, json: &Json) -> Result<Value, String> {
    let Some(object) = json.as_object() else { return Ok(Value::Null) };
    let (kind, json) = object.iter().next().ok_or("the case has a value without type")?;
    Ok(match kind.as_str() {
        "boolean" => Value::Boolean(json == &Json::Bool(true)),
        "int8" => Value::Int8(parse(json)?),
        "int16" => Value::Int16(parse(json)?),
        "int32" => Value::Int32(parse(json)?),
        "int64" => Value::Int64(parse(json)?),
        "float32" => Value::Float32(parse(json)?),
        "float64" => Value::Float64(parse(json)?),
        "string" => Value::string(json.as_str().unwrap_or_default()),
        "bytes" => {
            let bytes = STANDARD.decode(json.as_str().unwrap_or_default());
            Value::Bytes(bytes.map_err(|error| error.to_string())?.into())
        }
        "decimal" => {
            let decimal = Decimal { unscaled: parse(&json["unscaled"])?, scale: parse(&json["scale"])? };
            Value::Decimal(Box::new(decimal))
        }
        "instant_millis" => Value::Instant(parse(json)?),
        "array" => {
            let element = children(schema).0;
            Value::Array(elements(json).map(|json| value(element, json)).collect::<Result<_, _>>()?)
        }
        "map" => {
            let (keys, values) = children(schema);
            let entry = |json: &Json| Ok::<_, String>((value(keys, &json[0])?, value(values, &json[1])?));
            Value::Map(Box::new(elements(json).map(entry).collect::<Result<_, _>>()?))
        }
        "struct" => {
            let schema = schema.ok_or("the case has a struct without schema")?;
            let mut fields =
                Struct::new(schema.clone()).ok_or("the case has a struct without schema of one")?;
            for json in elements(json) {
                let name = json[0].as_str().unwrap_or_default();
                let field = fields.fields().get(name).map(|(_, schema)| schema.clone());
                let set = fields.set(name, value(field.as_ref(), &json[1])?);
                set.then_some(())
                    .ok_or_else(|| format!("the case has a struct with unknown field {name}"))?;
            }
            Value::Struct(Box::new(fields))
        }
        unknown => return Err(format!("the case has a value of type {unknown}")),
    })
}

/// The schemas of the elements of an array, or of the keys and values of a map.
fn children(schema: Option<&SchemaRef>) -> (Option<&SchemaRef>, Option<&SchemaRef>) {
    match schema.map(|schema| &schema.kind) {
        Some(SchemaKind::Array(element)) => (element.as_ref(), None),
        Some(SchemaKind::Map(keys, values)) => (keys.as_ref(), values.as_ref()),
        Some(_) | None => (None, None),
    }
}

fn elements(json: &Json) -> impl Iterator<Item = &Json> {
    json.as_array().into_iter().flatten()
}

/// A number, as a JSON number or as text; infinities as Java writes them.
fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(json: &Json) -> Result<T, String> {
    let text = json.as_str().map_or_else(|| json.to_string(), str::to_owned);
    text.parse().map_err(|error| format!("{text}: {error}"))
}
