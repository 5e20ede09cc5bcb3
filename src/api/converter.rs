//! Converters: between Connect's data and the bytes in Kafka.
//!
//! 1. A plug-in makes an instance for keys, one for values, and one for headers, for each task when it starts, before the
//!    task's own `start`. An error fails the task before it starts. Settings come from the connector (`key.converter.*`),
//!    otherwise from the worker.
//! 2. For a source, `from_connect` is called for each record behind the transforms: headers in order, then the key, then the
//!    value. For a sink, `to_connect` is called for each record before the transforms: key, value, headers.
//! 3. The instance is dropped with its task.
//!
//! One instance belongs to one task and is called in the task's turns, never twice at a time. A call should not wait for
//! anything: it holds up the task for each record.
//!
//! Null is a value: [`super::data::Value::Null`] without a schema becomes no bytes, which is Kafka's tombstone, and no bytes
//! become null. What a converter made it must read again. Bytes come from outside and may be anything: what cannot be read
//! is an error of kind `Data`, never a panic. Such an error fails the task, or costs this record where `errors.tolerance` is
//! `all`. One of kind `Retriable` is for what lies outside, a registry of schemas for instance: the same call comes again for
//! `errors.retry.timeout`, which is 0 by default.

use bytes::Bytes;

use super::Settings;
use super::data::{SchemaAndValue, SchemaRef, Value};
use super::error::Result;
use super::registry::UNDEFINED_VERSION;

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

/// Converts keys or values; see [the module](self) for when it is called.
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

/// Converts the values of headers; see [the module](self) for when it is called.
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

    /// Its version: what `GET /connector-plugins` shows and `connector.plugin.version` and its like ask for. Usually
    /// `env!("CARGO_PKG_VERSION")`.
    fn version(&self) -> &'static str {
        UNDEFINED_VERSION
    }

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
