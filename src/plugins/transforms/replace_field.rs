//! `ReplaceField`: leaves fields out and renames them.

use std::collections::HashSet;
use std::sync::Arc;

use bytestring::ByteString;
use indexmap::IndexMap;

use super::class::{PartTransform, REPLACE_NULL, TransformClass, for_both_parts, replace_null_key};
use super::plans::Plans;
use super::shape;
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance, TypedValue, Validator};
use crate::api::connect_record::{ConnectRecord, RecordPart};
use crate::api::data::{Fields, SchemaRef, Value};
use crate::api::error::{ConnectError, Result};

pub(super) const CLASSES: [TransformClass; 2] = for_both_parts::<ReplaceField>(
    [
        "org.apache.kafka.connect.transforms.ReplaceField$Key",
        "org.apache.kafka.connect.transforms.ReplaceField$Value",
    ],
    settings,
);

const PURPOSE: &str = "field replacement";
const EXCLUDE: &str = "exclude";
const INCLUDE: &str = "include";
const RENAMES: &str = "renames";

fn settings() -> ConfigDef {
    let list = |name, doc, validator| {
        ConfigKey::new(name, ConfigType::List, Importance::Medium, doc).default("").validator(validator)
    };
    let names = || Validator::Elements { may_be_none: true };
    let renames = Validator::custom("old:new, separated by commas", |value| match value {
        Some(TypedValue::List(entries)) => entries.iter().try_for_each(|entry| rename(entry).map(|_| ())),
        _ => Ok(()),
    });
    ConfigDef::new()
        .define(list(EXCLUDE, "The fields to leave out, even if they are in 'include'.", names()))
        .define(list(INCLUDE, "The only fields to keep; all if empty.", names()))
        .define(list(RENAMES, "New names: old:new. 'exclude' and 'include' go by the old ones.", renames))
        .define(replace_null_key())
}

/// Old and new name.
fn rename(entry: &str) -> std::result::Result<(&str, &str), String> {
    let pair = entry.split_once(':').filter(|(_, new)| !new.is_empty() && !new.contains(':'));
    pair.ok_or_else(|| format!("Invalid rename mapping: {entry}"))
}

struct ReplaceField {
    names: Names,
    replaces_null: bool,
    plans: Plans<Plan>,
}

/// What becomes of names.
struct Names {
    exclude: HashSet<String>,
    include: HashSet<String>,
    renames: IndexMap<String, ByteString>,
}

struct Plan {
    target: SchemaRef,
    /// Where the values of the target are in the source.
    places: Vec<usize>,
}

impl PartTransform for ReplaceField {
    fn new(config: &Settings) -> Result<Self> {
        let parsed = settings().parse(config)?;
        let mut renames = IndexMap::new();
        for entry in parsed.get::<Vec<String>>(RENAMES)? {
            let (old, new) = rename(&entry).map_err(ConnectError::config)?;
            renames.insert(old.to_owned(), ByteString::from(new));
        }
        let set =
            |name| -> Result<HashSet<String>> { Ok(parsed.get::<Vec<String>>(name)?.into_iter().collect()) };
        Ok(ReplaceField {
            names: Names { exclude: set(EXCLUDE)?, include: set(INCLUDE)?, renames },
            replaces_null: parsed.get(REPLACE_NULL)?,
            plans: Plans::new(),
        })
    }

    fn apply(&mut self, record: &mut ConnectRecord<'_>, part: RecordPart) -> Result<()> {
        let data = record.part_mut(part);
        if data.value.is_null() {
            return Ok(());
        }
        if data.schema.is_none() {
            return self.names.replace_in_map(&mut data.value);
        }
        let schema = shape::fields(&data.value, PURPOSE)?.schema();
        let ReplaceField { names, replaces_null, plans } = self;
        let plan = plans.of(schema, |schema| Plan::new(schema, names))?;
        let mut values = shape::take_values(data, PURPOSE, *replaces_null)?;
        let values = shape::pick(&mut values, &plan.places);
        shape::put_struct(data, Arc::clone(&plan.target), values)
    }
}

impl Names {
    fn keeps(&self, name: &str) -> bool {
        !self.exclude.contains(name) && (self.include.is_empty() || self.include.contains(name))
    }

    fn replace_in_map(&self, value: &mut Value) -> Result<()> {
        let map = shape::map_mut(value, PURPOSE)?;
        let mut replaced = IndexMap::with_capacity(map.len());
        for (key, value) in std::mem::take(map) {
            let Value::String(name) = &key else {
                return Err(shape::no_field_name(&key, PURPOSE));
            };
            if self.keeps(name) {
                let key = self.renames.get(&**name).map(|new| Value::String(new.clone())).unwrap_or(key);
                replaced.insert(key, value);
            }
        }
        *map = replaced;
        Ok(())
    }
}

impl Plan {
    fn new(schema: &SchemaRef, names: &Names) -> Result<Self> {
        let (mut fields, mut places) = (Fields::default(), Vec::new());
        for (place, (name, field)) in shape::fields_of(schema)?.iter().enumerate() {
            if names.keeps(name) {
                let new =
                    names.renames.get(&**name).map_or_else(|| Arc::clone(name), |new| Arc::from(&**new));
                shape::add_field(&mut fields, new, Arc::clone(field))?;
                places.push(place);
            }
        }
        Ok(Plan { target: Arc::new(shape::rebuilt(schema, fields)), places })
    }
}
