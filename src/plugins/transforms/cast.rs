//! `Cast`: other types for fields, or for a whole key or value.

mod convert;

use std::sync::Arc;

use bytestring::ByteString;

use self::convert::{Origin, Target};
use super::class::{PartTransform, REPLACE_NULL, TransformClass, for_both_parts, replace_null_key};
use super::plans::Plans;
use super::shape;
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance, TypedValue, Validator};
use crate::api::connect_record::{ConnectRecord, RecordPart};
use crate::api::data::{Fields, Schema, SchemaAndValue, SchemaRef, Value};
use crate::api::error::{ConnectError, Result};

pub(super) const CLASSES: [TransformClass; 2] = for_both_parts::<Cast>(
    ["org.apache.kafka.connect.transforms.Cast$Key", "org.apache.kafka.connect.transforms.Cast$Value"],
    settings,
);

const PURPOSE: &str = "cast types";
const SPEC: &str = "spec";

fn settings() -> ConfigDef {
    let spec = ConfigKey::required(
        SPEC,
        ConfigType::List,
        Importance::High,
        "field:type, separated by commas, or one type for the whole key or value. Types: int8, int16, int32, int64, \
         float32, float64, boolean, string. A whole key or value keeps the name of its schema, as in Apache: a Timestamp \
         that became an int64 is still called one, which JsonConverter refuses. SetSchemaMetadata gives it another name.",
    );
    let validator = Validator::whole("types, or fields and types", |value| match value {
        Some(TypedValue::List(entries)) if !entries.is_empty() => Spec::parse(entries).map(|_| ()),
        _ => Err("Must specify at least one field to cast.".to_owned()),
    });
    ConfigDef::new().define(spec.validator(validator)).define(replace_null_key())
}

/// What is to become of what.
enum Spec {
    Whole(Target),
    Fields(Vec<(ByteString, Target)>),
}

impl Spec {
    fn parse(entries: &[String]) -> std::result::Result<Self, String> {
        let mut fields: Vec<(ByteString, Target)> = Vec::new();
        let mut whole = None;
        for entry in entries {
            let entry_without_end = entry.trim_end_matches(':');
            match entry_without_end.split_once(':') {
                None => whole = Some(Target::parse(entry_without_end)?),
                Some((_, rest)) if rest.contains(':') => {
                    return Err(format!(
                        "Invalid value [{}] for configuration {SPEC}: Invalid mapping: {entry}",
                        entries.join(", ")
                    ));
                }
                Some((name, target)) => {
                    let (name, target) = (name.trim(), Target::parse(target)?);
                    match fields.iter_mut().find(|(other, _)| *other == name) {
                        Some((_, other)) => *other = target,
                        None => fields.push((name.into(), target)),
                    }
                }
            }
        }
        match whole {
            None => Ok(Spec::Fields(fields)),
            Some(target) if entries.len() == 1 => Ok(Spec::Whole(target)),
            Some(_) => Err(
                "Cast transformations that specify a type to cast the entire value to may only specify a \
                            single cast in their spec"
                    .to_owned(),
            ),
        }
    }
}

struct Cast {
    spec: Spec,
    replaces_null: bool,
    plans: Plans<Plan>,
}

/// The schema after the casts, and what is to be cast.
struct Plan {
    target: SchemaRef,
    casts: Vec<FieldCast>,
}

struct FieldCast {
    place: usize,
    from: Origin,
    to: Target,
}

impl PartTransform for Cast {
    fn new(config: &Settings) -> Result<Self> {
        let parsed = settings().parse(config)?;
        let spec = Spec::parse(&parsed.get::<Vec<String>>(SPEC)?).map_err(ConnectError::config)?;
        Ok(Cast { spec, replaces_null: parsed.get(REPLACE_NULL)?, plans: Plans::new() })
    }

    fn apply(&mut self, record: &mut ConnectRecord<'_>, part: RecordPart) -> Result<()> {
        let data = record.part_mut(part);
        if data.value.is_null() {
            return Ok(());
        }
        match &data.schema {
            None => self.cast_schemaless(&mut data.value),
            Some(_) => self.cast_with_schema(data),
        }
    }
}

impl Cast {
    fn cast_schemaless(&self, value: &mut Value) -> Result<()> {
        match &self.spec {
            Spec::Whole(to) => *value = to.cast(None, std::mem::take(value))?,
            Spec::Fields(fields) => {
                let map = shape::map_mut(value, PURPOSE)?;
                for (name, to) in fields {
                    let field = map.entry(Value::String(name.clone())).or_default();
                    *field = to.cast(None, std::mem::take(field))?;
                }
            }
        }
        Ok(())
    }

    fn cast_with_schema(&mut self, data: &mut SchemaAndValue) -> Result<()> {
        let Cast { spec, replaces_null, plans } = self;
        let Some(schema) = &data.schema else { return Ok(()) };
        let plan = plans.of(schema, |schema| Plan::new(schema, spec))?;
        let target = Arc::clone(&plan.target);
        if let Spec::Whole(to) = spec {
            let from = plan.casts.first().map(|cast| &cast.from);
            data.value = to.cast(from, std::mem::take(&mut data.value))?;
            data.schema = Some(target);
            return Ok(());
        }
        let mut values = shape::take_values(data, PURPOSE, *replaces_null)?;
        for FieldCast { place, from, to } in &plan.casts {
            if let Some(value) = values.get_mut(*place) {
                *value = to.cast(Some(from), std::mem::take(value))?;
            }
        }
        shape::put_struct(data, target, values)
    }
}

impl Plan {
    fn new(schema: &SchemaRef, spec: &Spec) -> Result<Self> {
        let fields = match spec {
            Spec::Whole(to) => {
                let cast = FieldCast { place: 0, from: Origin::of(schema), to: *to };
                let default = cast.default(schema)?;
                let target = Schema { kind: to.kind(), default, ..(**schema).clone() };
                return Ok(Plan { target: Arc::new(target), casts: vec![cast] });
            }
            Spec::Fields(fields) => fields,
        };
        let (mut target, mut casts) = (Fields::default(), Vec::new());
        for (place, (name, field)) in shape::fields_of(schema)?.iter().enumerate() {
            let to = fields.iter().find(|(other, _)| **other == **name).map(|(_, to)| *to);
            let Some(to) = to else {
                shape::add_field(&mut target, Arc::clone(name), Arc::clone(field))?;
                continue;
            };
            let cast = FieldCast { place, from: Origin::of(field), to };
            let default = cast.default(field)?;
            let cast_field = Schema { optional: field.optional, default, ..Schema::new(to.kind()) };
            shape::add_field(&mut target, Arc::clone(name), Arc::new(cast_field))?;
            casts.push(cast);
        }
        if schema.default.is_some() {
            return Err(convert::unsupported(schema.kind.name()));
        }
        let target = Schema { optional: schema.optional, ..shape::rebuilt(schema, target) };
        Ok(Plan { target: Arc::new(target), casts })
    }
}

impl FieldCast {
    /// The default of the schema as one of the new type.
    fn default(&self, schema: &Schema) -> Result<Option<Value>> {
        schema.default.clone().map(|default| self.to.cast(Some(&self.from), default)).transpose()
    }
}
