//! `SetSchemaMetadata`: another name or version for the schema of a struct.

use std::sync::Arc;

use super::class::{PartTransform, REPLACE_NULL, TransformClass, for_both_parts, replace_null_key};
use super::plans::Plans;
use super::shape;
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance};
use crate::api::connect_record::{ConnectRecord, RecordPart};
use crate::api::data::{Schema, SchemaRef};
use crate::api::error::{ConnectError, Result};

pub(super) const CLASSES: [TransformClass; 2] = for_both_parts::<SetSchemaMetadata>(
    [
        "org.apache.kafka.connect.transforms.SetSchemaMetadata$Key",
        "org.apache.kafka.connect.transforms.SetSchemaMetadata$Value",
    ],
    settings,
);

const PURPOSE: &str = "updating schema metadata";
const NAME: &str = "schema.name";
const VERSION: &str = "schema.version";

fn settings() -> ConfigDef {
    ConfigDef::new()
        .define(ConfigKey::new(NAME, ConfigType::String, Importance::High, "The name for the schema."))
        .define(ConfigKey::new(VERSION, ConfigType::Int, Importance::High, "The version for the schema."))
        .define(replace_null_key())
}

struct SetSchemaMetadata {
    name: Option<Arc<str>>,
    version: Option<i32>,
    replaces_null: bool,
    plans: Plans<SchemaRef>,
}

impl PartTransform for SetSchemaMetadata {
    fn new(config: &Settings) -> Result<Self> {
        let parsed = settings().parse(config)?;
        let name: Option<String> = parsed.get(NAME)?;
        let version: Option<i32> = parsed.get(VERSION)?;
        if name.is_none() && version.is_none() {
            return Err(ConnectError::config("Neither schema name nor version configured"));
        }
        Ok(SetSchemaMetadata {
            name: name.map(Arc::from),
            version,
            replaces_null: parsed.get(REPLACE_NULL)?,
            plans: Plans::new(),
        })
    }

    fn apply(&mut self, record: &mut ConnectRecord<'_>, part: RecordPart) -> Result<()> {
        let data = record.part_mut(part);
        let Some(schema) = &data.schema else {
            if data.value.is_null() {
                return Ok(());
            }
            return Err(ConnectError::data(format!("Schema required for [{PURPOSE}]")));
        };
        let SetSchemaMetadata { name, version, replaces_null, plans } = self;
        let target = plans.of(schema, |schema| {
            shape::fields_of(schema)?;
            let name = name.clone().or_else(|| schema.name.clone());
            Ok(Arc::new(Schema { name, version: version.or(schema.version), ..(**schema).clone() }))
        })?;
        let target = Arc::clone(target);
        if data.value.is_null() {
            data.schema = Some(target);
            return Ok(());
        }
        let values = shape::take_values(data, PURPOSE, *replaces_null)?;
        shape::put_struct(data, target, values)
    }
}
