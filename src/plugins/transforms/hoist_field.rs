//! `HoistField`: wraps a key or value into a struct, or a map, with one field.

use std::sync::Arc;

use bytestring::ByteString;
use indexmap::IndexMap;

use super::class::{PartTransform, TransformClass, for_both_parts};
use super::plans::Plans;
use super::shape;
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance};
use crate::api::connect_record::{ConnectRecord, RecordPart};
use crate::api::data::{Fields, Schema, SchemaKind, SchemaRef, Value};
use crate::api::error::Result;
use crate::api::validation::validate_field;

pub(super) const CLASSES: [TransformClass; 2] = for_both_parts::<HoistField>(
    [
        "org.apache.kafka.connect.transforms.HoistField$Key",
        "org.apache.kafka.connect.transforms.HoistField$Value",
    ],
    settings,
);

const FIELD: &str = "field";

fn settings() -> ConfigDef {
    let doc = "The name of the only field of the struct or map that is made.";
    ConfigDef::new().define(ConfigKey::required(FIELD, ConfigType::String, Importance::Medium, doc))
}

struct HoistField {
    name: ByteString,
    plans: Plans<SchemaRef>,
}

impl PartTransform for HoistField {
    fn new(config: &Settings) -> Result<Self> {
        let name: String = settings().parse(config)?.get(FIELD)?;
        Ok(HoistField { name: name.into(), plans: Plans::new() })
    }

    fn apply(&mut self, record: &mut ConnectRecord<'_>, part: RecordPart) -> Result<()> {
        let data = record.part_mut(part);
        let Some(schema) = &data.schema else {
            let entry = (Value::String(self.name.clone()), std::mem::take(&mut data.value));
            data.value = Value::Map(Box::new(IndexMap::from([entry])));
            return Ok(());
        };
        let HoistField { name, plans } = self;
        let target = Arc::clone(plans.of(schema, |schema| wrapped(name, schema))?);
        validate_field(name, schema, &data.value)?;
        let value = std::mem::take(&mut data.value);
        shape::put_struct(data, target, vec![value])
    }
}

fn wrapped(name: &ByteString, schema: &SchemaRef) -> Result<SchemaRef> {
    let mut fields = Fields::default();
    shape::add_field(&mut fields, &**name, Arc::clone(schema))?;
    Ok(Arc::new(Schema::new(SchemaKind::Struct(fields))))
}
