//! `TimestampConverter`: between texts, Unix times and Connect's dates, times and timestamps.

mod moment;

use std::sync::Arc;

use bytestring::ByteString;

use self::moment::{Form, Moments};
use super::class::{PartTransform, REPLACE_NULL, TransformClass, for_both_parts, replace_null_key};
use super::plans::Plans;
use super::shape;
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance};
use crate::api::connect_record::{ConnectRecord, RecordPart};
use crate::api::data::{Fields, Schema, SchemaAndValue, SchemaRef, Struct, Value};
use crate::api::error::{ConnectError, Result};

pub(super) const CLASSES: [TransformClass; 2] = for_both_parts::<TimestampConverter>(
    [
        "org.apache.kafka.connect.transforms.TimestampConverter$Key",
        "org.apache.kafka.connect.transforms.TimestampConverter$Value",
    ],
    settings,
);

const PURPOSE: &str = "converting timestamp formats";
const FIELD: &str = "field";
const TARGET_TYPE: &str = "target.type";
const FORMAT: &str = "format";
const PRECISION: &str = "unix.precision";

fn settings() -> ConfigDef {
    let field = "The field that holds the time; empty where the whole key or value is one.";
    let target = "What times become: string, unix, Date, Time or Timestamp.";
    let format = "How times are written as texts, in UTC: a pattern as Java's SimpleDateFormat has them.";
    let precision = "What a Unix time counts.";
    ConfigDef::new()
        .define(ConfigKey::new(FIELD, ConfigType::String, Importance::High, field).default(""))
        .define(
            ConfigKey::required(TARGET_TYPE, ConfigType::String, Importance::High, target)
                .one_of(&Form::ALL.map(Form::name)),
        )
        .define(ConfigKey::new(FORMAT, ConfigType::String, Importance::Medium, format).default(""))
        .define(
            ConfigKey::new(PRECISION, ConfigType::String, Importance::Low, precision)
                .default("milliseconds")
                .one_of(&["nanoseconds", "microseconds", "milliseconds", "seconds"]),
        )
        .define(replace_null_key())
}

struct TimestampConverter {
    /// The field; the whole key or value without.
    field: Option<ByteString>,
    moments: Moments,
    replaces_null: bool,
    plans: Plans<Plan>,
}

/// The schema afterwards, and what is converted.
struct Plan {
    target: SchemaRef,
    /// The place of the field, or 0 for the whole, and what is there; nothing where there is no such field.
    conversion: Option<(usize, Form)>,
}

impl PartTransform for TimestampConverter {
    fn new(config: &Settings) -> Result<Self> {
        let parsed = settings().parse(config)?;
        let target = Form::named(&parsed.get::<String>(TARGET_TYPE)?);
        let format = parsed.text(FORMAT)?;
        if target == Form::Text && format.is_none() {
            return Err(ConnectError::config(
                "TimestampConverter requires format option to be specified when using string timestamps",
            ));
        }
        Ok(TimestampConverter {
            field: parsed.text(FIELD)?.map(ByteString::from),
            moments: Moments::new(target, format.as_deref(), &parsed.get::<String>(PRECISION)?)?,
            replaces_null: parsed.get(REPLACE_NULL)?,
            plans: Plans::new(),
        })
    }

    fn apply(&mut self, record: &mut ConnectRecord<'_>, part: RecordPart) -> Result<()> {
        let data = record.part_mut(part);
        match &data.schema {
            None => self.convert_schemaless(&mut data.value),
            Some(_) => self.convert_with_schema(data),
        }
    }
}

impl TimestampConverter {
    fn convert_schemaless(&self, value: &mut Value) -> Result<()> {
        match &self.field {
            Some(field) if !value.is_null() => {
                let map = shape::map_mut(value, PURPOSE)?;
                let value = map.entry(Value::String(field.clone())).or_default();
                *value = self.moments.convert(None, std::mem::take(value))?;
            }
            Some(_) | None => *value = self.moments.convert(None, std::mem::take(value))?,
        }
        Ok(())
    }

    fn convert_with_schema(&mut self, data: &mut SchemaAndValue) -> Result<()> {
        let TimestampConverter { field, moments, replaces_null, plans } = self;
        let Some(schema) = &data.schema else { return Ok(()) };
        if field.is_some() && !data.value.is_null() {
            shape::fields(&data.value, PURPOSE)?;
        }
        let plan = plans.of(schema, |schema| match field {
            None => Plan::of_whole(schema, moments),
            Some(field) => Plan::of_field(schema, field, moments),
        })?;
        let target = Arc::clone(&plan.target);
        match plan.conversion {
            Some((_, from)) if field.is_none() => {
                data.value = moments.convert(Some(from), std::mem::take(&mut data.value))?;
                data.schema = Some(target);
            }
            _ if data.value.is_null() => data.schema = Some(target),
            conversion => {
                let mut values = shape::take_values(data, PURPOSE, *replaces_null)?;
                convert_field(&mut values, conversion, moments)?;
                shape::put_struct(data, target, values)?;
            }
        }
        Ok(())
    }
}

fn convert_field(values: &mut [Value], conversion: Option<(usize, Form)>, moments: &Moments) -> Result<()> {
    let Some((place, from)) = conversion else { return Ok(()) };
    let Some(value) = values.get_mut(place) else { return Ok(()) };
    *value = moments.convert(Some(from), std::mem::take(value))?;
    Ok(())
}

impl Plan {
    fn of_whole(schema: &SchemaRef, moments: &Moments) -> Result<Self> {
        let from = Form::of(schema)?;
        Ok(Plan { target: Arc::new(moments.schema(schema.optional)), conversion: Some((0, from)) })
    }

    fn of_field(schema: &SchemaRef, wanted: &str, moments: &Moments) -> Result<Self> {
        let (mut fields, mut conversion) = (Fields::default(), None);
        for (place, (name, field)) in shape::fields_of(schema)?.iter().enumerate() {
            let field = if **name == *wanted {
                conversion = Some((place, Form::of(field)?));
                Arc::new(moments.schema(field.optional))
            } else {
                Arc::clone(field)
            };
            shape::add_field(&mut fields, Arc::clone(name), field)?;
        }
        let target = Schema { optional: schema.optional, ..shape::rebuilt(schema, fields) };
        let default = match &schema.default {
            Some(Value::Struct(default)) => Some(converted(default, &target, conversion, moments)?),
            _ => None,
        };
        Ok(Plan { target: Arc::new(Schema { default, ..target }), conversion })
    }
}

/// A default as one of the new schema.
fn converted(
    default: &Struct,
    target: &Schema,
    conversion: Option<(usize, Form)>,
    moments: &Moments,
) -> Result<Value> {
    let mut values = default.values().to_vec();
    convert_field(&mut values, conversion, moments)?;
    let converted = Struct::from_values(Arc::new(target.clone()), values);
    let converted = converted.ok_or_else(|| ConnectError::data("Struct schemas do not match."))?;
    Ok(Value::Struct(Box::new(converted)))
}
