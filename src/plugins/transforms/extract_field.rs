//! `ExtractField`: one field in the place of the whole key or value.

use std::sync::Arc;

use super::class::{PartTransform, REPLACE_NULL, TransformClass, for_both_parts, replace_null_key};
use super::field_path::FieldPath;
use super::plans::Plans;
use super::shape;
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance, Validator};
use crate::api::connect_record::{ConnectRecord, RecordPart};
use crate::api::data::{SchemaAndValue, SchemaKind, SchemaRef, Value};
use crate::api::error::{ConnectError, ErrorKind, Result};

pub(super) const CLASSES: [TransformClass; 2] = for_both_parts::<ExtractField>(
    [
        "org.apache.kafka.connect.transforms.ExtractField$Key",
        "org.apache.kafka.connect.transforms.ExtractField$Value",
    ],
    settings,
);

const PURPOSE: &str = "field extraction";
const NESTED: &str = "nested field access";
const FIELD: &str = "field";
const SYNTAX: &str = "field.syntax.version";

fn settings() -> ConfigDef {
    let syntax = ConfigKey::new(
        SYNTAX,
        ConfigType::String,
        Importance::High,
        "How 'field' is read: V1, as the name of a field; V2, as names with dots between them, in backticks where a \
         name holds dots itself.",
    );
    ConfigDef::new()
        .define(ConfigKey::required(FIELD, ConfigType::String, Importance::Medium, "The field to extract."))
        .define(replace_null_key())
        .define(
            syntax
                .default("V1")
                .validator(Validator::OneOfIgnoringCase(vec!["V1".to_owned(), "V2".to_owned()])),
        )
}

struct ExtractField {
    path: FieldPath,
    replaces_null: bool,
    plans: Plans<Plan>,
}

/// Where the field is: the place and schema of each field on the way to it, and of itself.
struct Plan(Vec<(usize, SchemaRef)>);

impl PartTransform for ExtractField {
    fn new(config: &Settings) -> Result<Self> {
        let parsed = settings().parse(config)?;
        let field: String = parsed.get(FIELD)?;
        let nested = parsed.get::<String>(SYNTAX)?.eq_ignore_ascii_case("V2");
        let path = if nested { FieldPath::parse(&field)? } else { FieldPath::of_name(&field) };
        Ok(ExtractField { path, replaces_null: parsed.get(REPLACE_NULL)?, plans: Plans::new() })
    }

    fn apply(&mut self, record: &mut ConnectRecord<'_>, part: RecordPart) -> Result<()> {
        let data = record.part_mut(part);
        let ExtractField { path, replaces_null, plans } = self;
        let Some(schema) = &data.schema else {
            data.value = from_map(std::mem::take(&mut data.value), path)?;
            return Ok(());
        };
        if !data.value.is_null() {
            shape::fields(&data.value, PURPOSE)?;
        }
        let Plan(steps) = plans.of(schema, |schema| Plan::new(schema, path))?;
        let mut value = std::mem::take(&mut data.value);
        for (place, schema) in steps.iter() {
            value = match value {
                Value::Null => break,
                Value::Struct(mut fields) => {
                    fields.values_mut().get_mut(*place).map(std::mem::take).unwrap_or_default()
                }
                Value::Boolean(_)
                | Value::Int8(_)
                | Value::Int16(_)
                | Value::Int32(_)
                | Value::Int64(_)
                | Value::Float32(_)
                | Value::Float64(_)
                | Value::String(_)
                | Value::Bytes(_)
                | Value::Decimal(_)
                | Value::Instant(_)
                | Value::Array(_)
                | Value::Map(_) => return Err(shape::no_struct(&value, NESTED)),
            };
            if *replaces_null && value.is_null() {
                value = schema.default.clone().unwrap_or_default();
            }
        }
        let schema = steps.last().map(|(_, schema)| Arc::clone(schema));
        *data = SchemaAndValue { schema, value };
        Ok(())
    }
}

/// The field of a map; null where it is not there.
fn from_map(mut value: Value, path: &FieldPath) -> Result<Value> {
    for (depth, name) in path.names().iter().enumerate() {
        if value.is_null() {
            return Ok(Value::Null);
        }
        let purpose = if depth == 0 { PURPOSE } else { NESTED };
        let map = shape::map_mut(&mut value, purpose)?;
        value = map.swap_remove(&Value::String(name.clone())).unwrap_or_default();
    }
    Ok(value)
}

impl Plan {
    fn new(schema: &SchemaRef, path: &FieldPath) -> Result<Self> {
        let mut steps: Vec<(usize, SchemaRef)> = Vec::new();
        for name in path.names() {
            let parent = steps.last().map_or(schema, |(_, schema)| schema);
            let SchemaKind::Struct(fields) = &parent.kind else {
                return Err(ConnectError::data("Cannot look up fields on non-struct type"));
            };
            let Some((place, field)) = fields.get(name) else {
                return Err(ConnectError::new(ErrorKind::IllegalArgument, format!("Unknown field: {path}")));
            };
            steps.push((place, Arc::clone(field)));
        }
        Ok(Plan(steps))
    }
}
