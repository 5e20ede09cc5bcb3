//! Converters of keys, values and headers.

use std::sync::Arc;

use bytes::Bytes;

use super::instance::{Fault, Instance, within};
use super::report::{Notes, Report, Rule, shown};
use super::transform::check_refused;
use super::{CALL, samples, settings};
use crate::api::Settings;
use crate::api::converter::{Converter, ConverterPlugin, ConverterRole, ConverterRoles, HeaderConverter};
use crate::api::data::{SchemaAndValue, Value};
use crate::api::error::{ConnectError, ErrorKind, Result};
use crate::api::validation;

const MADE: Rule = Rule {
    name: "settings that work make a converter",
    expected: "a converter for each role that the class says it has, also with a setting that nobody knows",
    docs: "herdsman::api::converter::ConverterPlugin",
};
const DATA: Rule = Rule {
    name: "what cannot be converted is an error of kind Data",
    expected: "an error of kind Data: bytes and values may be anything",
    docs: "herdsman::api::converter",
};
const NULL: Rule = Rule {
    name: "null is null",
    expected: "no bytes for null without a schema, and null for no bytes: that is Kafka's tombstone",
    docs: "herdsman::api::converter",
};
const READS_OWN: Rule = Rule {
    name: "a converter reads what it wrote",
    expected: "a value of the bytes that it made itself, and the same bytes of that value",
    docs: "herdsman::api::converter",
};
const FITS: Rule = Rule {
    name: "a value fits its schema",
    expected: "a value that fits the schema it is given with: transforms and sinks rely on it",
    docs: "herdsman::api::converter",
};
const ROUND_TRIP: Rule = Rule {
    name: "a value comes back as it was",
    expected: "the value that the check was told to survive the way to bytes and back",
    docs: "herdsman::contract::ConverterContract::round_trip",
};

/// A converter to check.
#[must_use = "nothing is checked before `check` is called"]
pub struct ConverterContract {
    plugin: Arc<dyn ConverterPlugin>,
    settings: Settings,
    survivors: Vec<SchemaAndValue>,
}

/// Begins the check of a converter with settings that work, prefix stripped.
///
/// It is made with wrong settings, and for each role with right ones; it writes values of every kind and reads them again,
/// and reads bytes that nobody wrote.
pub fn converter(plugin: impl ConverterPlugin + 'static, settings: &[(&str, &str)]) -> ConverterContract {
    ConverterContract::of(Arc::new(plugin), settings)
}

impl std::fmt::Debug for ConverterContract {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConverterContract").field("class", &self.plugin.class()).finish_non_exhaustive()
    }
}

/// A converter of either kind.
enum Either {
    Data(Instance<dyn Converter>),
    Header(Instance<dyn HeaderConverter>),
}

impl Either {
    fn write(&mut self, value: SchemaAndValue) -> std::result::Result<Result<Option<Bytes>>, Fault> {
        let SchemaAndValue { schema, value } = value;
        match self {
            Either::Data(converter) => {
                converter.call(move |it| it.from_connect(samples::TOPIC, schema.as_ref(), &value))
            }
            Either::Header(converter) => {
                converter.call(move |it| it.from_connect(samples::TOPIC, "h", schema.as_ref(), &value))
            }
        }
    }

    fn read(&mut self, bytes: Option<Bytes>) -> std::result::Result<Result<SchemaAndValue>, Fault> {
        match self {
            Either::Data(converter) => {
                converter.call(move |it| it.to_connect(samples::TOPIC, bytes.as_ref()))
            }
            Either::Header(converter) => {
                converter.call(move |it| it.to_connect(samples::TOPIC, "h", bytes.as_ref()))
            }
        }
    }
}

impl ConverterContract {
    /// As [`converter`], of a class that is shared already.
    pub fn of(plugin: Arc<dyn ConverterPlugin>, settings: &[(&str, &str)]) -> Self {
        ConverterContract { plugin, settings: settings::of(settings), survivors: Vec::new() }
    }

    /// A value that comes back as it was, with its schema. May be said more than once.
    pub fn round_trip(mut self, value: SchemaAndValue) -> Self {
        self.survivors.push(value);
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
        let mut notes = Notes::new(self.plugin.class());
        // The worker says by the role what a converter is for.
        let mut with_type = self.settings.clone();
        with_type.insert("converter.type".to_owned(), "value".to_owned());
        let asked = Arc::clone(&self.plugin);
        let about = move || (vec![asked.class()], asked.version(), asked.config_def(), asked.config_def());
        let Some(def) = settings::check(&mut notes, CALL, about, &with_type) else {
            return notes.into_report();
        };
        let of_worker = "without converter.type";
        for (what, spoilt) in settings::spoilt(&def, &with_type).iter().filter(|(what, _)| what != of_worker)
        {
            let did = format!("made a header converter with settings {what}");
            check_refused(&mut notes, &did, self.header_converter(spoilt));
        }
        let mut settings = with_type;
        settings.insert(settings::UNKNOWN.to_owned(), "anything".to_owned());
        let data_roles = [(ConverterRole::Key, "key"), (ConverterRole::Value, "value")];
        for (role, name) in data_roles.into_iter().filter(|_| self.plugin.roles() == ConverterRoles::All) {
            let did = format!("made a converter for the role {name}");
            let made = self.converter(&settings, role);
            if let Some(made) = notes.succeeded(&MADE, &did, made) {
                self.check_conversions(&mut notes, Either::Data(Instance::new(made, CALL)), name);
            }
        }
        let did = "made a header converter";
        match notes.succeeded(&MADE, did, self.header_converter(&settings)) {
            Some(Some(made)) => {
                self.check_conversions(&mut notes, Either::Header(Instance::new(made, CALL)), "header");
            }
            Some(None) => notes.broken(&MADE, did, "none, although its roles say that it is one"),
            None => {}
        }
        notes.into_report()
    }

    fn converter(
        &self,
        settings: &Settings,
        role: ConverterRole,
    ) -> std::result::Result<Result<Box<dyn Converter>>, Fault> {
        let (plugin, settings) = (Arc::clone(&self.plugin), settings.clone());
        within(CALL, move || plugin.converter(&settings, role))
    }

    fn header_converter(
        &self,
        settings: &Settings,
    ) -> std::result::Result<Result<Option<Box<dyn HeaderConverter>>>, Fault> {
        let (plugin, settings) = (Arc::clone(&self.plugin), settings.clone());
        within(CALL, move || plugin.header_converter(&settings))
    }

    fn check_conversions(&self, notes: &mut Notes, mut converter: Either, role: &str) {
        check_null(notes, &mut converter, role);
        for (what, value) in samples::values() {
            check_own_bytes(
                notes,
                &mut converter,
                &format!("wrote a {role}, {what}, and read it again"),
                value,
            );
        }
        for bytes in strange_bytes() {
            let did = format!("read the {role} b\"{}\"", bytes.escape_ascii());
            match notes.returned(&did, converter.read(Some(bytes))) {
                Some(Ok(value)) => check_fits(notes, &did, &value),
                Some(Err(error)) => check_error(notes, &did, &error),
                None => {}
            }
        }
        for value in &self.survivors {
            let did = format!("wrote a {role}, {value:?}, and read it again");
            let Some(bytes) = notes.succeeded(&ROUND_TRIP, &did, converter.write(value.clone())) else {
                continue;
            };
            let Some(read) = notes.succeeded(&ROUND_TRIP, &did, converter.read(bytes)) else { continue };
            notes.expect(read == *value, &ROUND_TRIP, did, || format!("{read:?}"));
        }
    }
}

fn check_null(notes: &mut Notes, converter: &mut Either, role: &str) {
    let did = format!("wrote a {role} that is null, without a schema");
    if let Some(bytes) = notes.succeeded(&NULL, &did, converter.write(SchemaAndValue::null())) {
        notes.expect(bytes.is_none(), &NULL, did, || format!("{bytes:?}"));
    }
    let did = format!("read a {role} without bytes");
    if let Some(read) = notes.succeeded(&NULL, &did, converter.read(None)) {
        notes.expect(read.value.is_null(), &NULL, did, || format!("{read:?}"));
    }
}

/// What it writes it reads, and writes again in the same way.
fn check_own_bytes(notes: &mut Notes, converter: &mut Either, did: &str, value: SchemaAndValue) {
    let bytes = match notes.returned(did, converter.write(value)) {
        Some(Ok(bytes)) => bytes,
        Some(Err(error)) => return check_error(notes, did, &error),
        None => return,
    };
    let Some(read) = notes.succeeded(&READS_OWN, did, converter.read(bytes.clone())) else { return };
    check_fits(notes, did, &read);
    if read == SchemaAndValue::null() {
        // A null that kept its schema on the way would be told apart from a tombstone, which it need not be.
        return;
    }
    let Some(again) = notes.succeeded(&READS_OWN, did, converter.write(read)) else { return };
    notes.expect(again == bytes, &READS_OWN, did, || format!("{bytes:?}, and then {again:?}"));
}

fn check_error(notes: &mut Notes, did: &str, error: &ConnectError) {
    notes.expect(error.kind() == ErrorKind::Data, &DATA, did, || shown(error));
}

fn check_fits(notes: &mut Notes, did: &str, read: &SchemaAndValue) {
    let Some(schema) = &read.schema else { return };
    if read.value != Value::Null
        && let Err(error) = validation::validate(schema, &read.value)
    {
        notes.broken(&FITS, did, error.message());
    }
}

fn strange_bytes() -> Vec<Bytes> {
    let texts: [&[u8]; 12] = [
        b"",
        b" ",
        b"\xFF\xFE\x00",
        b"true",
        b"{",
        b"{\"schema\":{\"type\":\"struct\"},\"payload\":[]}",
        b"{\"schema\":null,\"payload\":{\"a\":[1,null,1e400]}}",
        b"[[[[[[[[[[[[[[[[",
        b"\x00\x00\x00\x00\x00\x00\x00",
        b"-9223372036854775809",
        b"null",
        b"\"\\ud800\"",
    ];
    texts.into_iter().map(Bytes::from_static).collect()
}
