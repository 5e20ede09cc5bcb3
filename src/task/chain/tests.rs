//! Order, conditions, dropped records and errors of chains.

use std::sync::Arc;

use super::*;
use crate::api::Settings;
use crate::api::config_def::ConfigDef;
use crate::api::data::SchemaAndValue;
use crate::api::record::SinkRecord;
use crate::api::transform::{PredicatePlugin, TransformPlugin};

/// Appends a text to the topic; drops or refuses where the text says so.
struct Appends;

impl TransformPlugin for Appends {
    fn class(&self) -> &'static str {
        "test.Appends"
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::new()
    }

    fn transform(&self, settings: &Settings) -> Result<Box<dyn Transform>> {
        match settings.get("text") {
            Some(text) => Ok(Box::new(Appending(text.clone()))),
            None => Err(ConnectError::config("no text")),
        }
    }
}

struct Appending(String);

impl Transform for Appending {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Fate> {
        match self.0.as_str() {
            "drop" => return Ok(Fate::Dropped),
            "fail" => return Err(ConnectError::data("refused")),
            "wait" if !record.topic().contains("go") => return Err(ConnectError::retriable("not now")),
            _ => {}
        }
        let topic = format!("{}{}", record.topic(), self.0);
        record.set_topic(topic.into());
        Ok(Fate::Kept)
    }
}

/// Holds for topics that contain a text.
struct Contains;

impl PredicatePlugin for Contains {
    fn class(&self) -> &'static str {
        "test.Contains"
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::new()
    }

    fn predicate(&self, settings: &Settings) -> Result<Box<dyn Predicate>> {
        Ok(Box::new(Containing(settings.get("text").cloned().unwrap_or_default())))
    }
}

struct Containing(String);

impl Predicate for Containing {
    fn test(&mut self, record: &ConnectRecord<'_>) -> Result<bool> {
        if self.0 == "fail" {
            return Err(ConnectError::data("cannot tell"));
        }
        Ok(record.topic().contains(&self.0))
    }
}

fn text(text: &str) -> Settings {
    Settings::from([("text".to_owned(), text.to_owned())])
}

fn appends(suffix: &str) -> TransformChoice {
    TransformChoice { plugin: Arc::new(Appends), settings: text(suffix), condition: None }
}

fn appends_where(suffix: &str, contains: &str, negate: bool) -> TransformChoice {
    let condition = PredicateChoice { plugin: Arc::new(Contains), settings: text(contains), negate };
    TransformChoice { condition: Some(condition), ..appends(suffix) }
}

fn record() -> SinkRecord {
    SinkRecord {
        topic: "t".into(),
        partition: 0,
        offset: 0,
        key: SchemaAndValue::null(),
        value: SchemaAndValue::null(),
        timestamp: None,
        headers: Vec::new(),
        original_topic: "t".into(),
        raw: None,
    }
}

/// The topic that a record of topic `t` has in the end, what became of it, or where it failed.
fn outcome(choices: &[TransformChoice]) -> std::result::Result<(Fate, String), String> {
    let mut record = record();
    let mut chain = Chain::new(choices).map_err(|error| error.trace())?;
    let fate = chain.apply(&mut ConnectRecord::Sink(&mut record), &mut 0);
    fate.map(|fate| (fate, record.topic.to_string()))
        .map_err(|failure| format!("{} {} {}", failure.stage, failure.class, failure.error.message()))
}

#[test]
fn transforms_follow_one_another_until_one_drops_the_record() {
    let kept = |topic: &str| Ok((Fate::Kept, topic.to_owned()));
    assert_eq!(outcome(&[]), kept("t"));
    assert_eq!(outcome(&[appends("a"), appends("b")]), kept("tab"));
    assert_eq!(outcome(&[appends("a"), appends("drop"), appends("b")]), Ok((Fate::Dropped, "ta".to_owned())));
}

#[test]
fn a_predicate_sees_what_the_transforms_before_have_made() {
    let kept = |topic: &str| Ok((Fate::Kept, topic.to_owned()));
    assert_eq!(outcome(&[appends("a"), appends_where("b", "a", false)]), kept("tab"));
    assert_eq!(outcome(&[appends("a"), appends_where("b", "a", true)]), kept("ta"));
    assert_eq!(outcome(&[appends_where("b", "a", false), appends("a")]), kept("ta"));
    assert_eq!(outcome(&[appends_where("drop", "x", false)]), kept("t"));
    assert_eq!(outcome(&[appends_where("drop", "x", true)]), Ok((Fate::Dropped, "t".to_owned())));
}

#[test]
fn a_failure_names_stage_and_class_of_the_transform() {
    let failed = |message: &str| Err(format!("TRANSFORMATION test.Appends {message}"));
    assert_eq!(outcome(&[appends("fail")]), failed("refused"));
    assert_eq!(outcome(&[appends_where("a", "fail", false)]), failed("cannot tell"));
    assert_eq!(outcome(&[appends_where("fail", "x", false)]), Ok((Fate::Kept, "t".to_owned())));
}

#[test]
fn a_record_goes_on_at_the_transform_that_failed() {
    let mut chain = Chain::new(&[appends("a"), appends("wait"), appends("b")]).unwrap();
    let (mut record, mut done) = (record(), 0);
    for _ in 0..2 {
        let failure = chain.apply(&mut ConnectRecord::Sink(&mut record), &mut done).unwrap_err();
        assert!(failure.error.is_retriable());
        assert_eq!((&*record.topic, done), ("ta", 1));
    }
    record.topic = "tago".into();
    assert_eq!(chain.apply(&mut ConnectRecord::Sink(&mut record), &mut done).unwrap(), Fate::Kept);
    assert_eq!((&*record.topic, done), ("tagowaitb", 3));
}

#[test]
fn a_transform_that_cannot_be_made_is_an_error_at_the_start() {
    let choice = TransformChoice { settings: Settings::new(), ..appends("a") };
    assert_eq!(
        outcome(&[choice]),
        Err("org.apache.kafka.connect.errors.ConnectException: org.apache.kafka.common.config.ConfigException: no \
             text\nCaused by: org.apache.kafka.common.config.ConfigException: no text\n"
            .to_owned())
    );
}
