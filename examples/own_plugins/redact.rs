//! A transform: replaces text in the value of a record by stars, but for its last characters.
//!
//! `transforms.r.type=Redact`, `transforms.r.fields=card,phone`, `transforms.r.keep=4`. Without `fields`, the value
//! itself has to be text.

use herdsman::api::Settings;
use herdsman::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance};
use herdsman::api::connect_record::{ConnectRecord, RecordPart};
use herdsman::api::data::Value;
use herdsman::api::error::{ConnectError, Result};
use herdsman::api::transform::{Fate, Transform, TransformPlugin};

const FIELDS: &str = "fields";
const KEEP: &str = "keep";

/// The class, by which settings name the transform.
pub(crate) struct Redact;

impl TransformPlugin for Redact {
    fn class(&self) -> &'static str {
        "com.example.Redact"
    }

    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    fn config_def(&self) -> ConfigDef {
        let fields = "The fields of a struct or map to redact; those that a record lacks are passed over.";
        let keep = "How many characters stay as they are, at the end.";
        ConfigDef::new()
            .define(ConfigKey::new(FIELDS, ConfigType::List, Importance::High, fields).default(""))
            .define(ConfigKey::new(KEEP, ConfigType::Int, Importance::Low, keep).default("0").at_least(0))
    }

    fn transform(&self, settings: &Settings) -> Result<Box<dyn Transform>> {
        let settings = self.config_def().parse(settings)?;
        Ok(Box::new(Redactor { fields: settings.get(FIELDS)?, keep: settings.get(KEEP)? }))
    }
}

struct Redactor {
    fields: Vec<String>,
    keep: usize,
}

impl Transform for Redactor {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Fate> {
        let value = &mut record.part_mut(RecordPart::Value).value;
        // A tombstone has nothing to hide.
        if !value.is_null() {
            self.redact_fields(value)?;
        }
        Ok(Fate::Kept)
    }
}

impl Redactor {
    fn redact_fields(&self, value: &mut Value) -> Result<()> {
        if self.fields.is_empty() {
            return self.redact("the value", value);
        }
        for field in &self.fields {
            let found = if let Value::Struct(fields) = value {
                // The schema says that the field is text, and text it stays.
                let place = fields.fields().get(field).map(|(place, _)| place);
                place.and_then(|place| fields.values_mut().get_mut(place))
            } else if let Value::Map(entries) = value {
                entries.get_mut(&Value::string(field.as_str()))
            } else {
                return Err(ConnectError::data("Only structs and maps have fields to redact"));
            };
            if let Some(found) = found.filter(|found| !found.is_null()) {
                self.redact(field, found)?;
            }
        }
        Ok(())
    }

    fn redact(&self, what: &str, value: &mut Value) -> Result<()> {
        let Value::String(text) = &*value else {
            return Err(ConnectError::data(format!("Cannot redact {what}: it is no text")));
        };
        let hidden = text.chars().count().saturating_sub(self.keep);
        let redacted: String =
            text.chars().enumerate().map(|(place, char)| if place < hidden { '*' } else { char }).collect();
        *value = Value::string(redacted);
        Ok(())
    }
}
