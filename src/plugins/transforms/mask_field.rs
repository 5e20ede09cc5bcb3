//! `MaskField`: puts zeros, empty texts or a given text in the place of what nobody shall see.

use std::collections::HashSet;

use bytestring::ByteString;
use num_bigint::BigInt;

use super::super::decimal::Notation;
use super::class::{PartTransform, REPLACE_NULL, TransformClass, for_both_parts, replace_null_key};
use super::plans::Plans;
use super::shape;
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance, Validator};
use crate::api::connect_record::{ConnectRecord, RecordPart};
use crate::api::data::{Decimal, Value};
use crate::api::error::{ConnectError, Result};
use crate::api::text::java_class;

pub(super) const CLASSES: [TransformClass; 2] = for_both_parts::<MaskField>(
    [
        "org.apache.kafka.connect.transforms.MaskField$Key",
        "org.apache.kafka.connect.transforms.MaskField$Value",
    ],
    settings,
);

const PURPOSE: &str = "mask fields";
const FIELDS: &str = "fields";
const REPLACEMENT: &str = "replacement";

fn settings() -> ConfigDef {
    let fields = ConfigKey::required(FIELDS, ConfigType::List, Importance::High, "The fields to mask.");
    let replacement = ConfigKey::new(
        REPLACEMENT,
        ConfigType::String,
        Importance::Low,
        "What stands in their place; they have to be texts or numbers then. Without it, a zero, false or nothing.",
    );
    ConfigDef::new()
        .define(fields.validator(Validator::Elements { may_be_none: false }))
        .define(replacement.validator(Validator::NonEmpty))
        .define(replace_null_key())
}

struct MaskField {
    fields: HashSet<String>,
    /// The same in their order, as keys of maps.
    keys: Vec<Value>,
    replacement: Option<ByteString>,
    replaces_null: bool,
    /// Where the fields are.
    plans: Plans<Vec<usize>>,
}

impl PartTransform for MaskField {
    fn new(config: &Settings) -> Result<Self> {
        let parsed = settings().parse(config)?;
        let fields: Vec<String> = parsed.get(FIELDS)?;
        Ok(MaskField {
            keys: fields.iter().map(|name| Value::string(name.as_str())).collect(),
            fields: fields.into_iter().collect(),
            replacement: parsed.get::<Option<String>>(REPLACEMENT)?.map(ByteString::from),
            replaces_null: parsed.get(REPLACE_NULL)?,
            plans: Plans::new(),
        })
    }

    fn apply(&mut self, record: &mut ConnectRecord<'_>, part: RecordPart) -> Result<()> {
        let data = record.part_mut(part);
        let replacement = self.replacement.as_ref();
        if data.schema.is_none() {
            let map = shape::map_mut(&mut data.value, PURPOSE)?;
            for key in &self.keys {
                let masked = masked(map.get(key).unwrap_or(&Value::Null), replacement)?;
                map.insert(key.clone(), masked);
            }
            return Ok(());
        }
        let MaskField { fields, replaces_null, plans, .. } = self;
        let schema = shape::fields(&data.value, PURPOSE)?.schema().clone();
        let places = plans.of(&schema, |schema| {
            let all = shape::fields_of(schema)?.iter().enumerate();
            Ok(all.filter(|(_, (name, _))| fields.contains(&***name)).map(|(place, _)| place).collect())
        })?;
        let mut values = shape::take_values(data, PURPOSE, *replaces_null)?;
        for place in places.iter() {
            if let Some(value) = values.get_mut(*place) {
                *value = masked(value, replacement)?;
            }
        }
        shape::put_struct(data, schema, values)
    }
}

fn masked(value: &Value, replacement: Option<&ByteString>) -> Result<Value> {
    match (value, replacement) {
        (Value::Null, _) => Ok(Value::Null),
        (_, None) => blank(value),
        (_, Some(text)) => replaced(value, text),
    }
}

/// Nothing of the same type.
fn blank(value: &Value) -> Result<Value> {
    Ok(match value {
        Value::Null => Value::Null,
        Value::Boolean(_) => Value::Boolean(false),
        Value::Int8(_) => Value::Int8(0),
        Value::Int16(_) => Value::Int16(0),
        Value::Int32(_) => Value::Int32(0),
        Value::Int64(_) => Value::Int64(0),
        Value::Float32(_) => Value::Float32(0.0),
        Value::Float64(_) => Value::Float64(0.0),
        Value::String(_) => Value::string(""),
        Value::Decimal(_) => Value::Decimal(Box::new(Decimal { unscaled: BigInt::ZERO, scale: 0 })),
        Value::Instant(_) => Value::Instant(0),
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Map(_) => Value::Map(Box::default()),
        Value::Bytes(_) | Value::Struct(_) => {
            return Err(ConnectError::data(format!("Cannot mask value of type: {}", java_class(value))));
        }
    })
}

/// The text as a value of the same type. Whole numbers keep the low bits of what the text says.
fn replaced(value: &Value, text: &ByteString) -> Result<Value> {
    let no_number = |a: &str| {
        ConnectError::data(format!("Unable to convert {text} (class java.lang.String) to {a}number"))
    };
    let number = || Notation::of(text).ok_or_else(|| no_number("a "));
    let bits = || number().map(|number| number.low_bits().to_le_bytes());
    Ok(match value {
        Value::Int8(_) => {
            let [a, ..] = bits()?;
            Value::Int8(i8::from_le_bytes([a]))
        }
        Value::Int16(_) => {
            let [a, b, ..] = bits()?;
            Value::Int16(i16::from_le_bytes([a, b]))
        }
        Value::Int32(_) => {
            let [a, b, c, d, ..] = bits()?;
            Value::Int32(i32::from_le_bytes([a, b, c, d]))
        }
        Value::Int64(_) => Value::Int64(number()?.low_bits()),
        Value::Float32(_) => {
            number()?;
            Value::Float32(text.parse().map_err(|_| no_number("a "))?)
        }
        Value::Float64(_) => {
            number()?;
            Value::Float64(text.parse().map_err(|_| no_number("a "))?)
        }
        Value::String(_) => Value::String(text.clone()),
        Value::Decimal(_) => {
            let number = Notation::of(text).ok_or_else(|| no_number(""))?;
            let unscaled = number.unscaled().ok_or_else(|| no_number(""))?;
            Value::Decimal(Box::new(Decimal { unscaled, scale: number.scale() }))
        }
        Value::Null
        | Value::Boolean(_)
        | Value::Bytes(_)
        | Value::Instant(_)
        | Value::Array(_)
        | Value::Map(_)
        | Value::Struct(_) => {
            return Err(ConnectError::data(format!(
                "Cannot mask value of type {} with custom replacement.",
                java_class(value)
            )));
        }
    })
}
