//! Transforms and predicates that break a rule each: the suite has to catch them.

use std::sync::Arc;

use herdsman::api::Settings;
use herdsman::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance};
use herdsman::api::connect_record::{ConnectRecord, RecordPart};
use herdsman::api::data::{Schema, SchemaAndValue, SchemaKind, Value};
use herdsman::api::error::{ConnectError, Result};
use herdsman::api::offset::OffsetMap;
use herdsman::api::record::SourceRecord;
use herdsman::api::transform::{Fate, Predicate, PredicatePlugin, Transform, TransformPlugin};
use herdsman::contract;

use crate::breaks;

/// What a transform does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    DefinitionPanics,
    PanicsOnTombstone,
    RefusesRetriably,
    ValueDoesNotFit,
    TopicCannotBe,
    TakesWrongSettings,
    RefusesSettingsAsData,
    RefusesUnknownSettings,
    RefusesNumbers,
    ChangesItsMind,
}

/// Puts a suffix behind the topic.
struct Suffix(Fault);

fn def() -> ConfigDef {
    let doc = "What is put behind the topic.";
    let times = ConfigKey::new("times", ConfigType::Int, Importance::Low, "How often.").default("1");
    ConfigDef::new()
        .define(ConfigKey::required("suffix", ConfigType::String, Importance::High, doc))
        .define(times.at_least(1))
}

impl Suffix {
    fn made(&self, settings: &Settings) -> Result<Instance> {
        if self.0 == Fault::RefusesUnknownSettings && settings.len() > 1 {
            return Err(ConnectError::config("too many settings"));
        }
        let parsed = match def().parse(settings) {
            Ok(parsed) => Some(parsed),
            Err(_) if self.0 == Fault::TakesWrongSettings => None,
            Err(errors) if self.0 == Fault::RefusesSettingsAsData => {
                return Err(ConnectError::data(errors.to_string()));
            }
            Err(errors) => return Err(errors.into()),
        };
        let suffix = parsed.map_or(Ok(String::new()), |parsed| parsed.get("suffix"))?;
        Ok(Instance { fault: self.0, suffix, asked: 0 })
    }
}

impl TransformPlugin for Suffix {
    fn class(&self) -> &'static str {
        "com.example.Suffix"
    }

    fn version(&self) -> &'static str {
        "1.0"
    }

    fn config_def(&self) -> ConfigDef {
        assert_ne!(self.0, Fault::DefinitionPanics);
        def()
    }

    fn transform(&self, settings: &Settings) -> Result<Box<dyn Transform>> {
        Ok(Box::new(self.made(settings)?))
    }
}

impl PredicatePlugin for Suffix {
    fn class(&self) -> &'static str {
        "com.example.HasSuffix"
    }

    fn version(&self) -> &'static str {
        "1.0"
    }

    fn config_def(&self) -> ConfigDef {
        assert_ne!(self.0, Fault::DefinitionPanics);
        def()
    }

    fn predicate(&self, settings: &Settings) -> Result<Box<dyn Predicate>> {
        Ok(Box::new(self.made(settings)?))
    }
}

struct Instance {
    fault: Fault,
    suffix: String,
    asked: usize,
}

impl Transform for Instance {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Fate> {
        let part = record.part_mut(RecordPart::Value);
        match (self.fault, &part.value) {
            (Fault::PanicsOnTombstone, value) => assert_ne!(*value, Value::Null),
            (Fault::RefusesRetriably, Value::Null) => return Err(ConnectError::retriable("no value")),
            (Fault::RefusesNumbers, Value::Int64(_)) => return Err(ConnectError::data("a number")),
            (Fault::ValueDoesNotFit, _) => part.value = Value::Int64(1),
            (_, _) => {}
        }
        let between = if self.fault == Fault::TopicCannotBe { "/" } else { "-" };
        record.set_topic(format!("{}{between}{}", record.topic(), self.suffix).into());
        Ok(Fate::Kept)
    }
}

impl Predicate for Instance {
    fn test(&mut self, record: &ConnectRecord<'_>) -> Result<bool> {
        self.asked += 1;
        let value = &record.part(RecordPart::Value).value;
        match self.fault {
            Fault::ChangesItsMind => Ok(self.asked.is_multiple_of(2)),
            Fault::RefusesRetriably if value.is_null() => Err(ConnectError::retriable("no value")),
            Fault::PanicsOnTombstone => {
                assert_ne!(*value, Value::Null);
                Ok(true)
            }
            _ => Ok(record.topic().ends_with(&self.suffix)),
        }
    }
}

fn number() -> SourceRecord {
    let value = SchemaAndValue::with_schema(Arc::new(Schema::new(SchemaKind::Int64)), Value::Int64(1));
    SourceRecord::new(Arc::new(OffsetMap::of("p", 1)), OffsetMap::of("o", 1), "t", value)
}

#[test]
fn every_fault_of_a_transform_is_caught() {
    use Fault as F;
    let cases = [
        (F::None, None),
        (F::DefinitionPanics, Some("no call panics")),
        (F::PanicsOnTombstone, Some("no call panics")),
        (F::RefusesRetriably, Some("a record that cannot be used is no retriable error")),
        (F::ValueDoesNotFit, Some("a value fits its schema")),
        (F::TopicCannotBe, Some("a record goes to a topic that can be")),
        (F::TakesWrongSettings, Some("wrong settings are refused")),
        (F::RefusesSettingsAsData, Some("wrong settings are refused")),
        (F::RefusesUnknownSettings, Some("settings that work make an instance")),
        (F::RefusesNumbers, Some("records that it is for are transformed")),
    ];
    for (fault, rule) in cases {
        let contract = contract::transform(Suffix(fault), &[("suffix", "x")]).accepts(number());
        breaks(&contract.report(), rule, &format!("{fault:?}"));
    }
}

#[test]
fn every_fault_of_a_predicate_is_caught() {
    use Fault as F;
    let cases = [
        (F::None, None),
        (F::DefinitionPanics, Some("no call panics")),
        (F::PanicsOnTombstone, Some("no call panics")),
        (F::RefusesRetriably, Some("a record that cannot be used is no retriable error")),
        (F::TakesWrongSettings, Some("wrong settings are refused")),
        (F::ChangesItsMind, Some("a predicate does not change its mind")),
    ];
    for (fault, rule) in cases {
        let contract = contract::predicate(Suffix(fault), &[("suffix", "x")]);
        breaks(&contract.report(), rule, &format!("{fault:?}"));
    }
}
