//! Converters: between Connect's data and the bytes in Kafka.

use bytes::Bytes;

use super::Settings;
use super::data::{SchemaAndValue, SchemaRef, Value};
use super::error::Result;

/// What a converter is made for; it may behave differently for keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConverterRole {
    /// Record keys.
    Key,
    /// Record values.
    Value,
    /// Headers.
    Header,
}

/// Converts keys or values. One instance belongs to one task and is called on that task's thread only.
pub trait Converter: Send {
    /// The bytes for a value; `None` is Kafka's null.
    #[expect(clippy::wrong_self_convention, reason = "Connect's own word")]
    fn from_connect(
        &mut self,
        topic: &str,
        schema: Option<&SchemaRef>,
        value: &Value,
    ) -> Result<Option<Bytes>>;

    /// The value of bytes read from Kafka; `None` is Kafka's null.
    fn to_connect(&mut self, topic: &str, bytes: Option<&Bytes>) -> Result<SchemaAndValue>;
}

/// Converts the values of headers. One instance belongs to one task and is called on that task's thread only.
pub trait HeaderConverter: Send {
    /// The bytes for the value of the header `key`; `None` is Kafka's null.
    #[expect(clippy::wrong_self_convention, reason = "Connect's own word")]
    fn from_connect(
        &mut self,
        topic: &str,
        key: &str,
        schema: Option<&SchemaRef>,
        value: &Value,
    ) -> Result<Option<Bytes>>;

    /// The value of the header `key`; `None` is Kafka's null.
    fn to_connect(&mut self, topic: &str, key: &str, bytes: Option<&Bytes>) -> Result<SchemaAndValue>;
}

/// Makes converters of one class. Stateless and shared by all threads.
pub trait ConverterPlugin: Send + Sync {
    /// The full class name, Apache's where Apache has it.
    fn class(&self) -> &'static str;

    /// The settings it takes, without any prefix.
    fn config_def(&self) -> super::config_def::ConfigDef;

    /// A converter with the given settings (prefix stripped). Fails with an error of kind `Config`.
    fn converter(&self, settings: &Settings, role: ConverterRole) -> Result<Box<dyn Converter>>;

    /// The same as a header converter; `None` where the class is none.
    fn header_converter(&self, settings: &Settings) -> Result<Option<Box<dyn HeaderConverter>>>;

    /// Whether the class converts keys and values, headers, or both.
    fn roles(&self) -> ConverterRoles;
}

/// What a converter class can be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConverterRoles {
    /// Keys, values and headers.
    All,
    /// Headers only.
    HeaderOnly,
}
