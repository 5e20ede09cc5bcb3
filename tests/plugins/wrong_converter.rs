//! Converters that break a rule each: the suite has to catch them.

use std::sync::Arc;

use bytes::Bytes;
use herdsman::api::Settings;
use herdsman::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance};
use herdsman::api::converter::{Converter, ConverterPlugin, ConverterRole, ConverterRoles, HeaderConverter};
use herdsman::api::data::{Schema, SchemaAndValue, SchemaKind, SchemaRef, Value};
use herdsman::api::error::{ConnectError, Result};
use herdsman::contract;

use crate::breaks;

/// What a converter does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    DefinitionPanics,
    PanicsOnShortBytes,
    ErrorsOfAnotherKind,
    NullIsZero,
    NoBytesAreAnError,
    DoesNotReadItsOwn,
    WritesAnotherTime,
    ReadsAnotherType,
    IsNoHeaderConverter,
    TakesWrongSettings,
    LosesTheSign,
}

/// 64-bit numbers as eight bytes.
struct Numbers(Fault);

impl ConverterPlugin for Numbers {
    fn class(&self) -> &'static str {
        "com.example.NumbersConverter"
    }

    fn version(&self) -> &'static str {
        "1.0"
    }

    fn config_def(&self) -> ConfigDef {
        assert_ne!(self.0, Fault::DefinitionPanics);
        let doc = "Whether the first byte is the lowest.";
        let key = ConfigKey::new("little.endian", ConfigType::Boolean, Importance::Low, doc);
        ConfigDef::new().define(key.default("false"))
    }

    fn converter(&self, settings: &Settings, _: ConverterRole) -> Result<Box<dyn Converter>> {
        self.instance(settings).map(|instance| Box::new(instance) as _)
    }

    fn header_converter(&self, settings: &Settings) -> Result<Option<Box<dyn HeaderConverter>>> {
        if self.0 == Fault::IsNoHeaderConverter {
            return Ok(None);
        }
        self.instance(settings).map(|instance| Some(Box::new(instance) as _))
    }

    fn roles(&self) -> ConverterRoles {
        ConverterRoles::All
    }
}

impl Numbers {
    fn instance(&self, settings: &Settings) -> Result<Instance> {
        if self.0 != Fault::TakesWrongSettings {
            self.config_def().parse(settings)?;
        }
        Ok(Instance { fault: self.0, written: 0 })
    }
}

struct Instance {
    fault: Fault,
    written: i64,
}

impl Instance {
    fn refused<T>(&self, why: &str) -> Result<T> {
        Err(match self.fault {
            Fault::ErrorsOfAnotherKind => ConnectError::connect(why),
            _ => ConnectError::data(why),
        })
    }

    fn write(&mut self, value: &Value) -> Result<Option<Bytes>> {
        self.written += 1;
        let number = match value {
            Value::Int64(number) if self.fault == Fault::LosesTheSign => number.saturating_abs(),
            Value::Int64(number) if self.fault == Fault::WritesAnotherTime => number ^ self.written,
            Value::Int64(number) => *number,
            Value::Null if self.fault == Fault::NullIsZero => 0,
            Value::Null => return Ok(None),
            _ => return self.refused("not a number of 64 bits"),
        };
        Ok(Some(Bytes::copy_from_slice(&number.to_be_bytes())))
    }

    fn read(&mut self, bytes: Option<&Bytes>) -> Result<SchemaAndValue> {
        let schema: SchemaRef = Arc::new(Schema::new(SchemaKind::Int64).optional());
        let Some(bytes) = bytes else {
            return match self.fault {
                Fault::NoBytesAreAnError => self.refused("no bytes"),
                _ => Ok(SchemaAndValue::with_schema(schema, Value::Null)),
            };
        };
        if self.fault == Fault::DoesNotReadItsOwn {
            return self.refused("of the test");
        }
        let number = match (<[u8; 8]>::try_from(&bytes[..]), self.fault) {
            (Ok(number), _) => i64::from_be_bytes(number),
            (Err(error), Fault::PanicsOnShortBytes) => panic!("{error}"),
            (Err(error), _) => return self.refused(&error.to_string()),
        };
        let value = match self.fault {
            Fault::ReadsAnotherType => Value::Int32(0),
            _ => Value::Int64(number),
        };
        Ok(SchemaAndValue::with_schema(schema, value))
    }
}

impl Converter for Instance {
    fn from_connect(&mut self, _: &str, _: Option<&SchemaRef>, value: &Value) -> Result<Option<Bytes>> {
        self.write(value)
    }

    fn to_connect(&mut self, _: &str, bytes: Option<&Bytes>) -> Result<SchemaAndValue> {
        self.read(bytes)
    }
}

impl HeaderConverter for Instance {
    fn from_connect(
        &mut self,
        _: &str,
        _: &str,
        _: Option<&SchemaRef>,
        value: &Value,
    ) -> Result<Option<Bytes>> {
        self.write(value)
    }

    fn to_connect(&mut self, _: &str, _: &str, bytes: Option<&Bytes>) -> Result<SchemaAndValue> {
        self.read(bytes)
    }
}

#[test]
fn every_fault_of_a_converter_is_caught() {
    use Fault as F;
    let cases = [
        (F::None, None),
        (F::DefinitionPanics, Some("no call panics")),
        (F::PanicsOnShortBytes, Some("no call panics")),
        (F::ErrorsOfAnotherKind, Some("what cannot be converted is an error of kind Data")),
        (F::NullIsZero, Some("null is null")),
        (F::NoBytesAreAnError, Some("null is null")),
        (F::DoesNotReadItsOwn, Some("a converter reads what it wrote")),
        (F::WritesAnotherTime, Some("a converter reads what it wrote")),
        (F::ReadsAnotherType, Some("a value fits its schema")),
        (F::IsNoHeaderConverter, Some("settings that work make a converter")),
        (F::TakesWrongSettings, Some("wrong settings are refused")),
        (F::LosesTheSign, Some("a value comes back as it was")),
    ];
    let schema: SchemaRef = Arc::new(Schema::new(SchemaKind::Int64).optional());
    for (fault, rule) in cases {
        let value = SchemaAndValue::with_schema(Arc::clone(&schema), Value::Int64(-7));
        let report = contract::converter(Numbers(fault), &[]).round_trip(value).report();
        breaks(&report, rule, &format!("{fault:?}"));
    }
}
