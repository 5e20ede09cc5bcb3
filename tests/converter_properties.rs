//! What holds for converters with any input: nothing panics, and JSON that was written reads as what it was.

use std::sync::Arc;

use bytes::Bytes;
use herdsman::api::Settings;
use herdsman::api::converter::{Converter, ConverterRole, ConverterRoles};
use herdsman::api::data::{Fields, Logical, Schema, SchemaAndValue, SchemaKind, SchemaRef, Struct, Value};
use herdsman::api::registry::Registry;
use herdsman::plugins::converters;
use proptest::collection::{hash_map, vec};
use proptest::prelude::*;

fn registry() -> Registry {
    let mut registry = Registry::new();
    converters::register(&mut registry);
    registry
}

fn json(schemas_enable: bool) -> Box<dyn Converter> {
    let settings = Settings::from([("schemas.enable".to_owned(), schemas_enable.to_string())]);
    registry().converter("Json").unwrap().converter(&settings, ConverterRole::Value).unwrap()
}

type Pair = (SchemaRef, Value);

fn of<T: 'static>(
    kind: SchemaKind,
    values: impl Strategy<Value = T> + 'static,
    value: fn(T) -> Value,
) -> BoxedStrategy<Pair> {
    let schema = Arc::new(Schema::new(kind).optional());
    values.prop_map(move |inner| (schema.clone(), value(inner))).boxed()
}

fn simple() -> impl Strategy<Value = Pair> {
    let date = Schema::new(SchemaKind::Int32).named(Logical::Date.schema_name()).version(1);
    let timestamp = Schema::new(SchemaKind::Int64).named(Logical::Timestamp.schema_name());
    prop_oneof![
        of(SchemaKind::Int8, any::<i8>(), Value::Int8),
        of(SchemaKind::Int16, any::<i16>(), Value::Int16),
        of(SchemaKind::Int32, any::<i32>(), Value::Int32),
        of(SchemaKind::Int64, any::<i64>(), Value::Int64),
        of(SchemaKind::Float32, prop::num::f32::NORMAL, Value::Float32),
        of(SchemaKind::Float64, prop::num::f64::NORMAL, Value::Float64),
        of(SchemaKind::Boolean, any::<bool>(), Value::Boolean),
        of(SchemaKind::String, any::<String>(), |text| Value::string(text)),
        of(SchemaKind::Bytes, vec(any::<u8>(), 0..20), |bytes| Value::Bytes(Bytes::from(bytes))),
        of(SchemaKind::String, Just(()), |()| Value::Null),
        any::<i32>()
            .prop_map(move |days| { (Arc::new(date.clone()), Value::Instant(i64::from(days) * 86_400_000)) }),
        any::<i64>().prop_map(move |at| (Arc::new(timestamp.clone()), Value::Instant(at))),
    ]
}

fn nested() -> impl Strategy<Value = Pair> {
    simple().prop_recursive(3, 20, 4, |inner| {
        let row = hash_map("[a-c\"\u{e9}]{1,3}", inner.clone(), 0..4).prop_map(|fields| {
            let mut kinds = Fields::default();
            for (name, (schema, _)) in &fields {
                kinds.add(name.as_str(), schema.clone());
            }
            let schema = Arc::new(Schema::new(SchemaKind::Struct(kinds)).optional());
            let mut row = Struct::new(schema.clone()).unwrap();
            for (name, (_, value)) in fields {
                row.set(&name, value);
            }
            (schema, Value::Struct(Box::new(row)))
        });
        let list = (inner.clone(), 0..3_usize).prop_map(|((schema, value), count)| {
            (Arc::new(Schema::new(SchemaKind::Array(Some(schema)))), Value::Array(vec![value; count]))
        });
        let text = Arc::new(Schema::new(SchemaKind::String));
        let number = Arc::new(Schema::new(SchemaKind::Int32));
        let map = (inner, any::<String>(), any::<i32>(), any::<bool>()).prop_map(
            move |((schema, value), name, count, named)| {
                let (keys, key) = match named {
                    true => (text.clone(), Value::string(name)),
                    false => (number.clone(), Value::Int32(count)),
                };
                let schema = Arc::new(Schema::new(SchemaKind::Map(Some(keys), Some(schema))));
                (schema, Value::Map(Box::new([(key, value)].into())))
            },
        );
        prop_oneof![row, list, map]
    })
}

proptest! {
    #[test]
    fn json_reads_as_what_was_written((schema, value) in nested()) {
        let mut converter = json(true);
        let bytes = converter.from_connect("t", Some(&schema), &value).unwrap();
        serde_json::from_slice::<serde_json::Value>(bytes.as_ref().unwrap()).unwrap();
        let expected = SchemaAndValue { schema: Some(schema), value };
        prop_assert_eq!(converter.to_connect("t", bytes.as_ref()).unwrap(), expected);
    }

    #[test]
    fn nothing_panics_on_bytes(bytes in vec(any::<u8>(), 0..40)) {
        convert_by_all(&Bytes::from(bytes));
    }

    #[test]
    fn nothing_panics_on_text(text in "[\\[\\]{}\":,\\\\ 0-9eE.+Z\u{e9}-]{0,30}|true|null|[0-9]{4}-[0-9]{2}-[0-9T:.Z]{2,16}") {
        convert_by_all(&Bytes::from(text));
    }

    #[test]
    fn schemas_of_any_shape_are_read_or_refused(
        kind in "struct|array|map|bytes|int32|x",
        name in "org.apache.kafka.connect.data.(Decimal|Date|Time|Timestamp)",
        payload in "-?[0-9]{1,12}(\\.[0-9]{0,3})?(e-?[0-9]{1,12})?|\"[A-Za-z0-9+/]{0,8}=?\"|\\[[0-9]\\]|\\{\\}|null",
    ) {
        let text = format!(
            "{{\"schema\":{{\"type\":\"{kind}\",\"name\":\"{name}\",\"items\":{{\"type\":\"int8\"}},\"fields\":[],\
             \"parameters\":{{\"scale\":\"2\"}},\"default\":{payload}}},\"payload\":{payload}}}"
        );
        convert_by_all(&Bytes::from(text));
    }
}

/// Reads by every converter, and writes what was read.
fn convert_by_all(bytes: &Bytes) {
    for plugin in registry().converters() {
        let settings = Settings::new();
        if plugin.roles() == ConverterRoles::All {
            let mut converter = plugin.converter(&settings, ConverterRole::Key).unwrap();
            if let Ok(read) = converter.to_connect("t", Some(bytes)) {
                drop(converter.from_connect("t", read.schema.as_ref(), &read.value));
            }
        }
        let mut converter = plugin.header_converter(&settings).unwrap().unwrap();
        if let Ok(read) = converter.to_connect("t", "h", Some(bytes)) {
            drop(converter.from_connect("t", "h", read.schema.as_ref(), &read.value));
        }
    }
    drop(json(false).to_connect("t", Some(bytes)));
}

#[test]
fn an_error_leaves_nothing_for_the_next_message() {
    let mut converter = json(false);
    let refused = Value::Array(vec![Value::Int32(1), Value::Instant(0)]);
    converter.from_connect("t", None, &refused).unwrap_err();
    let bytes = converter.from_connect("t", None, &Value::Int32(2)).unwrap();
    assert_eq!(bytes.as_deref(), Some(&b"2"[..]));
}

#[test]
fn depth_is_bounded_both_ways() {
    let mut deep = Value::Null;
    for _ in 0..1100 {
        deep = Value::Array(vec![deep]);
    }
    json(false).from_connect("t", None, &deep).unwrap_err();
    convert_by_all(&Bytes::from("[".repeat(100_000)));
    convert_by_all(&Bytes::from("{\"a\":".repeat(100_000)));
}
