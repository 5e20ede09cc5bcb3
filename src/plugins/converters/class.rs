//! What the converter classes have in common: how they are configured, and how they serve headers, too.

use bytes::Bytes;

use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance};
use crate::api::converter::{Converter, ConverterPlugin, ConverterRole, ConverterRoles, HeaderConverter};
use crate::api::data::{Schema, SchemaAndValue, SchemaKind, SchemaRef, Value};
use crate::api::error::Result;
use crate::api::registry::VERSION;

/// A class that converts keys, values and headers, whichever it is made for, in the same way.
pub(super) struct ConverterClass {
    /// The full class name.
    pub(super) name: &'static str,
    /// Its own settings, besides `converter.type`.
    pub(super) settings: fn() -> ConfigDef,
    /// Makes a converter; fails with an error of kind `Config`.
    pub(super) create: fn(&Settings) -> Result<Box<dyn Converter>>,
}

impl ConverterPlugin for ConverterClass {
    fn class(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> &'static str {
        VERSION
    }

    fn config_def(&self) -> ConfigDef {
        // The worker says what a converter is for by its role; the key is here because Connect lists it.
        let role = ConfigKey::required(
            "converter.type",
            ConfigType::String,
            Importance::Low,
            "What the converter is used for: keys, values or headers.",
        );
        let own = (self.settings)();
        ConfigDef::new().define(role.one_of(&["key", "value", "header"])).define_all(own.keys().cloned())
    }

    fn converter(&self, settings: &Settings, _: ConverterRole) -> Result<Box<dyn Converter>> {
        (self.create)(settings)
    }

    fn header_converter(&self, settings: &Settings) -> Result<Option<Box<dyn HeaderConverter>>> {
        Ok(Some(Box::new(ForHeaders((self.create)(settings)?))))
    }

    fn roles(&self) -> ConverterRoles {
        ConverterRoles::All
    }
}

/// Converts the values of headers as a converter converts the values of records.
struct ForHeaders(Box<dyn Converter>);

impl HeaderConverter for ForHeaders {
    fn from_connect(
        &mut self,
        topic: &str,
        _: &str,
        schema: Option<&SchemaRef>,
        value: &Value,
    ) -> Result<Option<Bytes>> {
        self.0.from_connect(topic, schema, value)
    }

    fn to_connect(&mut self, topic: &str, _: &str, bytes: Option<&Bytes>) -> Result<SchemaAndValue> {
        self.0.to_connect(topic, bytes)
    }
}

/// The schema that a converter of a single type gives to all that it reads.
pub(super) fn optional(kind: SchemaKind) -> SchemaRef {
    SchemaRef::new(Schema::new(kind).optional())
}
