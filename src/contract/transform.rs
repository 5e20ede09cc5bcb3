//! Transforms and predicates.

use std::sync::Arc;

use super::instance::{Fault, Instance, within};
use super::report::{Notes, Report, Rule, shown};
use super::settings::About;
use super::{CALL, samples, settings};
use crate::api::Settings;
use crate::api::connect_record::{ConnectRecord, RecordPart};
use crate::api::data::SchemaAndValue;
use crate::api::error::{ConnectError, ErrorKind, Result};
use crate::api::record::{SinkRecord, SourceRecord};
use crate::api::transform::{Fate, Predicate, PredicatePlugin, Transform, TransformPlugin};
use crate::api::{topic_name, validation};

const MADE: Rule = Rule {
    name: "settings that work make an instance",
    expected: "an instance, also with a setting that nobody knows among the others",
    docs: "herdsman::api::transform::TransformPlugin::transform",
};
pub(super) const REFUSED: Rule = Rule {
    name: "wrong settings are refused",
    expected: "an error of kind Config that says which setting is wrong: the worker shows it as the task's failure",
    docs: "herdsman::api::transform::TransformPlugin::transform",
};
const NOT_RETRIABLE: Rule = Rule {
    name: "a record that cannot be used is no retriable error",
    expected: "an error of kind Data: the same record would fail again and again",
    docs: "herdsman::api::transform",
};
const FITS: Rule = Rule {
    name: "a value fits its schema",
    expected: "a key and a value that fit their schemas when the transform is done: converters rely on it",
    docs: "herdsman::api::transform",
};
const TOPIC: Rule = Rule {
    name: "a record goes to a topic that can be",
    expected: "a name that Kafka takes for a topic",
    docs: "herdsman::api::connect_record::ConnectRecord::set_topic",
};
const ACCEPTS: Rule = Rule {
    name: "records that it is for are transformed",
    expected: "no error for a record that the check was told to be one that works",
    docs: "herdsman::contract::TransformContract::accepts",
};
const STEADY: Rule = Rule {
    name: "a predicate does not change its mind",
    expected: "the same answer for the same record, asked again at once",
    docs: "herdsman::api::transform::Predicate::test",
};

/// A transform to check.
#[must_use = "nothing is checked before `check` is called"]
pub struct TransformContract {
    plugin: Arc<dyn TransformPlugin>,
    settings: Settings,
    accepted: Vec<SourceRecord>,
}

/// Begins the check of a transform with settings that work, prefix stripped.
///
/// It is made with right and wrong settings, and gets records of every kind in both directions: with and without key,
/// value and schema, of every type, and tombstones.
pub fn transform(plugin: impl TransformPlugin + 'static, settings: &[(&str, &str)]) -> TransformContract {
    TransformContract::of(Arc::new(plugin), settings)
}

impl std::fmt::Debug for TransformContract {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransformContract").field("class", &self.plugin.class()).finish_non_exhaustive()
    }
}

impl TransformContract {
    /// As [`transform`], of a class that is shared already.
    pub fn of(plugin: Arc<dyn TransformPlugin>, settings: &[(&str, &str)]) -> Self {
        TransformContract { plugin, settings: settings::of(settings), accepted: Vec::new() }
    }

    /// A record that the transform takes without an error. May be said more than once.
    pub fn accepts(mut self, record: SourceRecord) -> Self {
        self.accepted.push(record);
        self
    }

    /// Checks all rules.
    ///
    /// # Panics
    /// A rule is broken.
    #[track_caller]
    pub fn check(self) {
        self.report().check();
    }

    /// Checks all rules and tells which are broken.
    pub fn report(self) -> Report {
        let plugin = self.plugin;
        let mut notes = Notes::new(plugin.class());
        let make = |settings: &Settings| {
            let (plugin, settings) = (Arc::clone(&plugin), settings.clone());
            within(CALL, move || plugin.transform(&settings))
        };
        let asked = Arc::clone(&plugin);
        let about = move || (vec![asked.class()], asked.version(), asked.config_def(), asked.config_def());
        let Some(mut transform) = made(&mut notes, about, &self.settings, make) else {
            return notes.into_report();
        };
        for record in self.accepted {
            let did = format!("gave it the record {}", ConnectRecord::Source(&mut record.clone()));
            let outcome = apply_to_source(&mut transform, record);
            notes.succeeded(&ACCEPTS, &did, outcome.map(|(result, _)| result));
        }
        for (what, key, value) in samples::keys_and_values() {
            let did = format!("gave it {what}, from a source");
            let outcome = apply_to_source(&mut transform, samples::source_record(key.clone(), value.clone()));
            if let Some((result, mut record)) = notes.returned(&did, outcome) {
                check_outcome(&mut notes, &did, result, &ConnectRecord::Source(&mut record));
            }
            let did = format!("gave it {what}, for a sink");
            let outcome = apply_to_sink(&mut transform, samples::sink_record(key, value));
            if let Some((result, mut record)) = notes.returned(&did, outcome) {
                check_outcome(&mut notes, &did, result, &ConnectRecord::Sink(&mut record));
            }
        }
        notes.into_report()
    }
}

fn apply_to_source(
    transform: &mut Instance<dyn Transform>,
    mut record: SourceRecord,
) -> std::result::Result<(Result<Fate>, SourceRecord), Fault> {
    transform.call(move |transform| {
        let result = transform.apply(&mut ConnectRecord::Source(&mut record));
        (result, record)
    })
}

fn apply_to_sink(
    transform: &mut Instance<dyn Transform>,
    mut record: SinkRecord,
) -> std::result::Result<(Result<Fate>, SinkRecord), Fault> {
    transform.call(move |transform| {
        let result = transform.apply(&mut ConnectRecord::Sink(&mut record));
        (result, record)
    })
}

fn check_outcome(notes: &mut Notes, did: &str, result: Result<Fate>, record: &ConnectRecord<'_>) {
    match result {
        Err(error) => check_error(notes, did, &error),
        Ok(Fate::Dropped) => {}
        Ok(Fate::Kept) => {
            for part in [RecordPart::Key, RecordPart::Value] {
                check_fits(notes, did, record.part(part));
            }
            if let Err(why) = topic_name::check(record.topic()) {
                notes.broken(&TOPIC, did, why);
            }
        }
    }
}

fn check_error(notes: &mut Notes, did: &str, error: &ConnectError) {
    notes.expect(!error.is_retriable(), &NOT_RETRIABLE, did, || shown(error));
}

fn check_fits(notes: &mut Notes, did: &str, part: &SchemaAndValue) {
    let Some(schema) = &part.schema else { return };
    if let Err(error) = validation::validate(schema, &part.value) {
        notes.broken(&FITS, did, error.message());
    }
}

/// Checks what a class says of itself, and that wrong settings are refused. Gives an instance with the right ones.
fn made<T: ?Sized + Send + 'static>(
    notes: &mut Notes,
    about: impl FnOnce() -> About + Send + 'static,
    own: &Settings,
    make: impl Fn(&Settings) -> std::result::Result<Result<Box<T>>, Fault>,
) -> Option<Instance<T>> {
    let def = settings::check(notes, CALL, about, own)?;
    for (what, spoilt) in settings::spoilt(&def, own) {
        check_refused(notes, &format!("made one with settings {what}"), make(&spoilt));
    }
    let mut settings = own.clone();
    settings.insert(settings::UNKNOWN.to_owned(), "anything".to_owned());
    let made = notes.succeeded(&MADE, "made one with the settings that were given", make(&settings))?;
    Some(Instance::new(made, CALL))
}

/// Checks that an attempt with wrong settings failed as it should.
pub(super) fn check_refused<T>(notes: &mut Notes, did: &str, outcome: std::result::Result<Result<T>, Fault>) {
    match notes.returned(did, outcome) {
        None => {}
        Some(Ok(_)) => notes.broken(&REFUSED, did, "no error"),
        Some(Err(error)) => {
            notes.expect(error.kind() == ErrorKind::Config, &REFUSED, did, || shown(&error));
        }
    }
}

/// A predicate to check.
#[must_use = "nothing is checked before `check` is called"]
pub struct PredicateContract {
    plugin: Arc<dyn PredicatePlugin>,
    settings: Settings,
}

/// Begins the check of a predicate with settings that work, prefix stripped. It gets what a transform gets.
pub fn predicate(plugin: impl PredicatePlugin + 'static, settings: &[(&str, &str)]) -> PredicateContract {
    PredicateContract::of(Arc::new(plugin), settings)
}

impl std::fmt::Debug for PredicateContract {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PredicateContract").field("class", &self.plugin.class()).finish_non_exhaustive()
    }
}

impl PredicateContract {
    /// As [`predicate`], of a class that is shared already.
    pub fn of(plugin: Arc<dyn PredicatePlugin>, settings: &[(&str, &str)]) -> Self {
        PredicateContract { plugin, settings: settings::of(settings) }
    }

    /// Checks all rules.
    ///
    /// # Panics
    /// A rule is broken.
    #[track_caller]
    pub fn check(self) {
        self.report().check();
    }

    /// Checks all rules and tells which are broken.
    pub fn report(self) -> Report {
        let plugin = self.plugin;
        let mut notes = Notes::new(plugin.class());
        let make = |settings: &Settings| {
            let (plugin, settings) = (Arc::clone(&plugin), settings.clone());
            within(CALL, move || plugin.predicate(&settings))
        };
        let asked = Arc::clone(&plugin);
        let about = move || (vec![asked.class()], asked.version(), asked.config_def(), asked.config_def());
        let Some(mut predicate): Option<Instance<dyn Predicate>> =
            made(&mut notes, about, &self.settings, make)
        else {
            return notes.into_report();
        };
        for (what, key, value) in samples::keys_and_values() {
            let did = format!("asked it about {what}, twice");
            let record = samples::source_record(key, value);
            let answers = predicate.call(move |predicate| {
                let mut record = record;
                let record = ConnectRecord::Source(&mut record);
                [predicate.test(&record), predicate.test(&record)]
            });
            match notes.returned(&did, answers) {
                Some([Ok(first), Ok(second)]) => {
                    notes.expect(first == second, &STEADY, did, || format!("{first}, then {second}"));
                }
                Some([Err(error), _] | [Ok(_), Err(error)]) => check_error(&mut notes, &did, &error),
                None => {}
            }
        }
        notes.into_report()
    }
}
