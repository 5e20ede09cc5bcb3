//! `HeaderFrom`: copies or moves fields of a key or value to headers.

use std::sync::Arc;

use bytestring::ByteString;

use super::class::{PartTransform, REPLACE_NULL, TransformClass, for_both_parts, replace_null_key};
use super::plans::Plans;
use super::shape;
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance, Validator};
use crate::api::connect_record::{ConnectRecord, RecordPart};
use crate::api::data::{Fields, SchemaAndValue, SchemaRef, Value};
use crate::api::error::{ConnectError, Result};
use crate::api::record::Header;

pub(super) const CLASSES: [TransformClass; 2] = for_both_parts::<HeaderFrom>(
    [
        "org.apache.kafka.connect.transforms.HeaderFrom$Key",
        "org.apache.kafka.connect.transforms.HeaderFrom$Value",
    ],
    settings,
);

const FIELDS: &str = "fields";
const HEADERS: &str = "headers";
const OPERATION: &str = "operation";
const MOVE: &str = "move";
const COPY: &str = "copy";

fn settings() -> ConfigDef {
    let list = |name, doc| {
        ConfigKey::required(name, ConfigType::List, Importance::High, doc).validator(Validator::NonEmptyList)
    };
    let operation = "Whether the fields stay where they are, too (copy), or not (move).";
    ConfigDef::new()
        .define(list(FIELDS, "The fields whose values become headers."))
        .define(list(HEADERS, "The names of the headers, one for each field, in the same order."))
        .define(
            ConfigKey::required(OPERATION, ConfigType::String, Importance::High, operation)
                .one_of(&[MOVE, COPY]),
        )
        .define(replace_null_key())
}

struct HeaderFrom {
    fields: Vec<(ByteString, Arc<str>)>,
    moves: bool,
    purpose: &'static str,
    replaces_null: bool,
    plans: Plans<Plan>,
}

/// What is done with structs of a schema.
struct Plan {
    /// The fields that become headers, with their schemas.
    headers: Vec<(usize, SchemaRef)>,
    /// What is left, where fields are moved.
    rest: Option<Rest>,
}

struct Rest {
    schema: SchemaRef,
    fields: Vec<usize>,
}

impl PartTransform for HeaderFrom {
    fn new(config: &Settings) -> Result<Self> {
        let parsed = settings().parse(config)?;
        let (fields, headers): (Vec<String>, Vec<String>) = (parsed.get(FIELDS)?, parsed.get(HEADERS)?);
        if fields.len() != headers.len() {
            return Err(ConnectError::config(
                "'fields' config must have the same number of elements as 'headers' config.",
            ));
        }
        let moves = parsed.get::<String>(OPERATION)? == MOVE;
        let pair = |(field, header): (String, String)| (field.into(), header.into());
        Ok(HeaderFrom {
            fields: fields.into_iter().zip(headers).map(pair).collect(),
            moves,
            purpose: if moves { "header move" } else { "header copy" },
            replaces_null: parsed.get(REPLACE_NULL)?,
            plans: Plans::new(),
        })
    }

    fn apply(&mut self, record: &mut ConnectRecord<'_>, part: RecordPart) -> Result<()> {
        let data = record.part_mut(part);
        let values = match &data.schema {
            None => self.of_map(&mut data.value)?,
            Some(_) => self.of_struct(data)?,
        };
        let headers = self.fields.iter().zip(values);
        let headers = headers.map(|((_, key), value)| Header { key: Arc::clone(key), value });
        record.headers_mut().extend(headers);
        Ok(())
    }
}

impl HeaderFrom {
    fn of_map(&self, value: &mut Value) -> Result<Vec<SchemaAndValue>> {
        let map = shape::map_mut(value, self.purpose)?;
        let key = |name: &ByteString| Value::String(name.clone());
        let found = self.fields.iter().map(|(name, _)| SchemaAndValue {
            schema: None,
            value: map.get(&key(name)).cloned().unwrap_or_default(),
        });
        let found = found.collect();
        if self.moves {
            for (name, _) in &self.fields {
                map.shift_remove(&key(name));
            }
        }
        Ok(found)
    }

    fn of_struct(&mut self, data: &mut SchemaAndValue) -> Result<Vec<SchemaAndValue>> {
        let HeaderFrom { fields, moves, purpose, replaces_null, plans } = self;
        let source = shape::fields(&data.value, purpose)?;
        let plan = plans.of(source.schema(), |schema| Plan::new(schema, fields, *moves))?;
        let header = |(place, schema): &(usize, SchemaRef)| {
            let value = source.values().get(*place).unwrap_or(&Value::Null);
            let value = if *replaces_null { schema.or_default(value) } else { value };
            SchemaAndValue { schema: Some(Arc::clone(schema)), value: value.clone() }
        };
        let found = plan.headers.iter().map(header).collect();
        if let Some(Rest { schema, fields }) = &plan.rest {
            let mut values = shape::take_values(data, purpose, *replaces_null)?;
            shape::put_struct(data, Arc::clone(schema), shape::pick(&mut values, fields))?;
        }
        Ok(found)
    }
}

impl Plan {
    fn new(schema: &SchemaRef, wanted: &[(ByteString, Arc<str>)], moves: bool) -> Result<Self> {
        let fields = shape::fields_of(schema)?;
        let header = |(name, _): &(ByteString, Arc<str>)| {
            let (index, schema) = fields
                .get(name)
                .ok_or_else(|| ConnectError::data(format!("Field does not exist: {name}")))?;
            Ok((index, Arc::clone(schema)))
        };
        let headers = wanted.iter().map(header).collect::<Result<Vec<_>>>()?;
        if !moves {
            return Ok(Plan { headers, rest: None });
        }
        let (mut rest, mut kept) = (Fields::default(), Vec::new());
        for (index, (name, field)) in fields.iter().enumerate() {
            if !headers.iter().any(|(moved, _)| *moved == index) {
                shape::add_field(&mut rest, Arc::clone(name), Arc::clone(field))?;
                kept.push(index);
            }
        }
        let schema = Arc::new(shape::rebuilt(schema, rest));
        Ok(Plan { headers, rest: Some(Rest { schema, fields: kept }) })
    }
}
