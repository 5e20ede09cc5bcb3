//! `ValueToKey`: makes the key of fields of the value.

use std::sync::Arc;

use bytestring::ByteString;
use indexmap::IndexMap;

use super::class::{REPLACE_NULL, TransformClass, replace_null_key};
use super::plans::Plans;
use super::shape;
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance, Validator};
use crate::api::connect_record::{ConnectRecord, RecordPart};
use crate::api::data::{Fields, Schema, SchemaAndValue, SchemaKind, SchemaRef, Struct, Value};
use crate::api::error::{ConnectError, Result};
use crate::api::transform::{Fate, Transform};

pub(super) const CLASS: TransformClass = TransformClass {
    name: "org.apache.kafka.connect.transforms.ValueToKey",
    settings,
    create: |settings| Ok(Box::new(ValueToKey::new(settings)?)),
};

const PURPOSE: &str = "copying fields from value to key";
const FIELDS: &str = "fields";

fn settings() -> ConfigDef {
    let doc = "The fields of the value that the key is made of, in this order.";
    let fields = ConfigKey::required(FIELDS, ConfigType::List, Importance::High, doc);
    ConfigDef::new()
        .define(fields.validator(Validator::Elements { may_be_none: false }))
        .define(replace_null_key())
}

struct ValueToKey {
    fields: Vec<ByteString>,
    replaces_null: bool,
    plans: Plans<Plan>,
}

struct Plan {
    key: SchemaRef,
    /// Where the fields of the key are in the value.
    places: Vec<usize>,
}

impl ValueToKey {
    fn new(config: &Settings) -> Result<Self> {
        let parsed = settings().parse(config)?;
        let mut fields: Vec<ByteString> = Vec::new();
        for name in parsed.get::<Vec<String>>(FIELDS)? {
            if !fields.iter().any(|other| *other == name) {
                fields.push(name.into());
            }
        }
        Ok(ValueToKey { fields, replaces_null: parsed.get(REPLACE_NULL)?, plans: Plans::new() })
    }

    fn key_of(&mut self, value: &SchemaAndValue) -> Result<SchemaAndValue> {
        if value.schema.is_none() {
            let map = shape::map(&value.value, PURPOSE)?;
            let entry = |name: &ByteString| {
                let key = Value::String(name.clone());
                let value = map.get(&key).cloned().unwrap_or_default();
                (key, value)
            };
            let key: IndexMap<Value, Value> = self.fields.iter().map(entry).collect();
            return Ok(SchemaAndValue { schema: None, value: Value::Map(Box::new(key)) });
        }
        let value = shape::fields(&value.value, PURPOSE)?;
        let ValueToKey { fields, replaces_null, plans } = self;
        let plan = plans.of(value.schema(), |schema| Plan::new(schema, fields))?;
        let declared = shape::fields_of(&plan.key)?;
        let field = |(place, (_, schema)): (&usize, (&Arc<str>, &SchemaRef))| {
            let field = value.values().get(*place).unwrap_or(&Value::Null);
            if *replaces_null { schema.or_default(field).clone() } else { field.clone() }
        };
        let values = plan.places.iter().zip(declared.iter()).map(field).collect();
        let key = Struct::from_values(Arc::clone(&plan.key), values);
        let key = key.ok_or_else(|| ConnectError::data("Struct schemas do not match."))?;
        Ok(SchemaAndValue { schema: Some(Arc::clone(&plan.key)), value: Value::Struct(Box::new(key)) })
    }
}

impl Transform for ValueToKey {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Fate> {
        let key = self.key_of(record.part(RecordPart::Value))?;
        *record.part_mut(RecordPart::Key) = key;
        Ok(Fate::Kept)
    }
}

impl Plan {
    fn new(schema: &SchemaRef, wanted: &[ByteString]) -> Result<Self> {
        let fields = shape::fields_of(schema)?;
        let (mut key, mut places) = (Fields::default(), Vec::new());
        for name in wanted {
            let (place, field) = fields
                .get(name)
                .ok_or_else(|| ConnectError::data(format!("Field does not exist: {name}")))?;
            shape::add_field(&mut key, &**name, Arc::clone(field))?;
            places.push(place);
        }
        Ok(Plan { key: Arc::new(Schema::new(SchemaKind::Struct(key))), places })
    }
}
