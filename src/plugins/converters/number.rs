//! `ShortConverter`, `IntegerConverter`, `LongConverter`, `FloatConverter`, `DoubleConverter`: big-endian bytes.

use bytes::Bytes;

use crate::api::config_def::ConfigDef;
use crate::api::converter::Converter;
use crate::api::data::{SchemaAndValue, SchemaKind, SchemaRef, Value};
use crate::api::error::{ConnectError, Result};
use crate::api::text::java_class;

use super::class::{ConverterClass, optional};

pub(super) const CLASSES: [ConverterClass; 5] = [
    class("org.apache.kafka.connect.converters.ShortConverter", |_| Ok(converter::<i16>())),
    class("org.apache.kafka.connect.converters.IntegerConverter", |_| Ok(converter::<i32>())),
    class("org.apache.kafka.connect.converters.LongConverter", |_| Ok(converter::<i64>())),
    class("org.apache.kafka.connect.converters.FloatConverter", |_| Ok(converter::<f32>())),
    class("org.apache.kafka.connect.converters.DoubleConverter", |_| Ok(converter::<f64>())),
];

const fn class(
    name: &'static str,
    create: fn(&crate::api::Settings) -> Result<Box<dyn Converter>>,
) -> ConverterClass {
    ConverterClass { name, settings: ConfigDef::new, create }
}

fn converter<N: Number>() -> Box<dyn Converter> {
    Box::new(NumberConverter { number: std::marker::PhantomData::<N>, schema: optional(N::KIND) })
}

struct NumberConverter<N> {
    number: std::marker::PhantomData<N>,
    schema: SchemaRef,
}

/// A type of numbers, with its names in messages.
trait Number: Sized + Send + 'static {
    const KIND: SchemaKind;
    const NAME: &'static str;
    const DESERIALIZER: &'static str;
    const SIZE: usize = size_of::<Self>();

    /// The bytes of a value that is exactly of this type.
    fn write(value: &Value) -> Option<Bytes>;

    /// The value of bytes that are exactly as many as this type has.
    fn read(bytes: &[u8]) -> Option<Value>;
}

macro_rules! number {
    ($number:ty, $variant:ident, $name:literal, $deserializer:literal) => {
        impl Number for $number {
            const KIND: SchemaKind = SchemaKind::$variant;
            const NAME: &'static str = $name;
            const DESERIALIZER: &'static str = $deserializer;

            fn write(value: &Value) -> Option<Bytes> {
                if let Value::$variant(number) = value {
                    return Some(Bytes::copy_from_slice(&number.to_be_bytes()));
                }
                None
            }

            fn read(bytes: &[u8]) -> Option<Value> {
                Some(Value::$variant(<$number>::from_be_bytes(bytes.try_into().ok()?)))
            }
        }
    };
}

number!(i16, Int16, "short", "ShortDeserializer");
number!(i32, Int32, "integer", "IntegerDeserializer");
number!(i64, Int64, "long", "LongDeserializer");
// Java's deserializers of floating-point numbers do not name themselves.
number!(f32, Float32, "float", "Deserializer");
number!(f64, Float64, "double", "Deserializer");

impl<N: Number> Converter for NumberConverter<N> {
    /// The schema does not matter, only the value's own type.
    fn from_connect(&mut self, _: &str, _: Option<&SchemaRef>, value: &Value) -> Result<Option<Bytes>> {
        if value.is_null() {
            return Ok(None);
        }
        N::write(value).map(Some).ok_or_else(|| {
            let (name, class) = (N::NAME, java_class(value));
            ConnectError::data(format!("Failed to serialize to {name} (was {class}): "))
        })
    }

    fn to_connect(&mut self, _: &str, bytes: Option<&Bytes>) -> Result<SchemaAndValue> {
        let value = match bytes {
            None => Value::Null,
            Some(bytes) => N::read(bytes).ok_or_else(|| {
                let cause = format!("Size of data received by {} is not {}", N::DESERIALIZER, N::SIZE);
                ConnectError::data(format!("Failed to deserialize {}: ", N::NAME)).caused_by(cause)
            })?,
        };
        Ok(SchemaAndValue { schema: Some(self.schema.clone()), value })
    }
}
