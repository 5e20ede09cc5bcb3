//! What the vectors do not show: sharing of memory, bounds, round trips.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use num_bigint::BigInt;
use proptest::prelude::*;

use super::*;
use crate::api::data::{Decimal, Fields, Logical, SchemaKind, Struct};
use crate::api::error::ErrorKind;

fn converter(settings: &[(&str, &str)]) -> JsonConverter {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    JsonConverter::new(&settings).unwrap()
}

fn read(converter: &mut JsonConverter, json: impl Into<Bytes>) -> Result<SchemaAndValue> {
    converter.to_connect("t", Some(&json.into()))
}

const SERIALIZATION: &str = "Converting byte[] to Kafka Connect data failed due to serialization error: ";

#[test]
fn settings_are_checked() {
    for (name, value, message) in [
        (
            SCHEMAS_ENABLE,
            "maybe",
            "Invalid value maybe for configuration schemas.enable: Expected value to be either true or false",
        ),
        (
            SCHEMAS_CACHE_SIZE,
            "many",
            "Invalid value many for configuration schemas.cache.size: Not a number of type INT",
        ),
        (
            DECIMAL_FORMAT,
            "TEXT",
            "Invalid value TEXT for configuration decimal.format: String must be one of (case insensitive): NUMERIC, \
             BASE64",
        ),
        (SCHEMA_CONTENT, "x", "Failed to parse schema in converter config due to serialization error: "),
        (SCHEMA_CONTENT, "{\"type\":\"x\"}", "Unknown schema type: x"),
    ] {
        let settings = Settings::from_iter([(name.to_owned(), value.to_owned())]);
        let error = JsonConverter::new(&settings).err().unwrap();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Config, message));
    }
}

#[test]
fn a_schema_of_the_settings_makes_messages_bare() {
    let mut converter = converter(&[(SCHEMA_CONTENT, "{\"type\":\"int8\",\"optional\":true}")]);
    let got = read(&mut converter, "7").unwrap();
    assert_eq!(got.value, Value::Int8(7));
    assert_eq!(got.schema, Some(Arc::new(Schema::new(SchemaKind::Int8).optional())));
}

#[test]
fn a_string_is_a_part_of_its_message() {
    let message = Bytes::from_static(b"{\"schema\":{\"type\":\"string\"},\"payload\":\"not copied\"}");
    let Value::String(text) = read(&mut converter(&[]), message.clone()).unwrap().value else { panic!() };
    let offset = message.len() - "not copied\"}".len();
    assert_eq!(text.as_bytes().as_ptr(), message[offset..].as_ptr());
}

#[test]
fn a_schema_is_read_once() {
    let json = "{\"schema\":{\"type\":\"string\"},\"payload\":\"x\"}";
    let mut cached = converter(&[]);
    let first = read(&mut cached, json).unwrap().schema.unwrap();
    let other = read(&mut cached, "{\"payload\":1,\"schema\":{\"type\":\"int8\"}}").unwrap();
    assert_eq!(other.value, Value::Int8(1));
    let again = read(&mut cached, json).unwrap().schema.unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    let mut uncached = converter(&[(SCHEMAS_CACHE_SIZE, "0")]);
    assert_eq!(read(&mut uncached, json).unwrap(), read(&mut uncached, json).unwrap());
}

#[test]
fn bytes_that_are_not_utf8_matter_only_inside_the_value() {
    let mut converter = converter(&[(SCHEMAS_ENABLE, "false")]);
    assert_eq!(read(&mut converter, &b"[1]\xFF"[..]).unwrap().value, Value::Array(vec![Value::Int64(1)]));
    for json in [&b"12\xFF"[..], b"\"\xFF\"", b"[\xFF]", b"true\xFF", b"\xFF"] {
        assert_eq!(read(&mut converter, json).unwrap_err().message(), SERIALIZATION, "{json:?}");
    }
}

#[test]
fn what_jackson_refuses_is_refused() {
    let mut converter = converter(&[(SCHEMAS_ENABLE, "false")]);
    for json in [
        "+1",
        ".5",
        "5.",
        "1.e3",
        "1e",
        "-",
        "--1",
        "12abc",
        "true1",
        "tru",
        "[1,]",
        "{\"a\":1,}",
        "[,1]",
        "{a:1}",
        "'a'",
        "// c\n1",
        "NaN",
        "-Infinity",
        "\"\\x\"",
        "\"a\nb\"",
        "\u{C}1",
        "0x1F",
        "\"unterminated",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\" 1}",
        "[1 2]",
        "[}",
        "{]",
        "]",
        "1e2147483648",
        "\"\\u12\"",
        "\"\\u+123\"",
        "1,2",
        "1]",
        "\\",
        "[\"a\"\"b\"]",
    ] {
        assert_eq!(read(&mut converter, json).unwrap_err().message(), SERIALIZATION, "{json:?}");
    }
}

#[test]
fn half_a_pair_of_surrogates_is_no_character() {
    let mut converter = converter(&[(SCHEMAS_ENABLE, "false")]);
    for (json, expected) in [
        (r#""\ud83d\ude00""#, "😀"),
        (r#""\ud800""#, "?"),
        (r#""\udc00x""#, "?x"),
        (r#""\ud83d\n""#, "?\n"),
        (r#""\ud83d\ud83d\ude00""#, "?😀"),
    ] {
        assert_eq!(read(&mut converter, json).unwrap().value, Value::string(expected), "{json}");
    }
}

#[test]
fn deep_nesting_is_an_error_in_both_directions() {
    let nested = |open: &str, close: &str, depth| open.repeat(depth) + "1" + &close.repeat(depth);
    let mut converter = converter(&[(SCHEMAS_ENABLE, "false")]);
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deepest = read(&mut converter, nested(open, close, 1000)).unwrap();
        let written = converter.from_connect("t", None, &deepest.value).unwrap().unwrap();
        assert_eq!(written, nested(open, close, 1000));
        let too_deep = Value::Array(vec![deepest.value]);
        assert!(converter.from_connect("t", None, &too_deep).is_err());
        assert_eq!(read(&mut converter, nested(open, close, 1001)).unwrap_err().message(), SERIALIZATION);
        assert_eq!(read(&mut converter, open.repeat(100_000)).unwrap_err().message(), SERIALIZATION);
    }
    let mut with_schemas = self::converter(&[]);
    let open = "{\"type\":\"array\",\"items\":";
    let schema = open.repeat(998) + "{\"type\":\"int8\"}" + &"}".repeat(998);
    let message = format!("{{\"schema\":{schema},\"payload\":{}}}", nested("[", "]", 998));
    let got = read(&mut with_schemas, message).unwrap();
    assert!(with_schemas.from_connect("t", got.schema.as_ref(), &got.value).unwrap().is_some());
}

#[test]
fn a_hostile_message_takes_no_more_than_linear_time() {
    // Quadratic time would be minutes.
    let size = 1 << 20;
    let many = |entry: &dyn Fn(usize) -> String| (0..size / 16).map(entry).collect::<Vec<_>>().join(",");
    let fields = many(&|index| format!("{{\"type\":\"int8\",\"field\":\"{index}\"}}"));
    let payload = many(&|index| format!("\"{index}\":1"));
    let colliding = many(&|_| "\"a\":1".to_owned());
    let mut converter = converter(&[]);
    for json in [
        format!("{{\"schema\":{{\"type\":\"struct\",\"fields\":[{fields}]}},\"payload\":{{{payload}}}}}"),
        format!("{{\"schema\":null,\"payload\":{{{colliding}}}}}"),
        format!("{{\"schema\":null,\"payload\":{}}}", "9".repeat(size)),
        format!("{{\"schema\":null,\"payload\":\"{}\"}}", "\\n".repeat(size / 2)),
        format!("{{\"schema\":null,\"payload\":\"{}\"}}", "\\ud800".repeat(size / 6)),
        format!(
            "{{\"schema\":{{\"type\":\"bytes\",\"name\":\"org.apache.kafka.connect.data.Decimal\",\
             \"parameters\":{{\"scale\":\"0\"}}}},\"payload\":\"{}\"}}",
            "AQID".repeat(size / 4)
        ),
        "[".repeat(size),
        " ".repeat(size),
    ] {
        let begin = start();
        let outcome = read(&mut converter, json.clone());
        let taken = begin.elapsed();
        assert!(taken < Duration::from_secs(30), "{taken:?} for {}… ({})", &json[..40], outcome.is_ok());
    }
}

#[expect(clippy::disallowed_methods, reason = "the test measures real time")]
fn start() -> Instant {
    Instant::now()
}

/// A schema with values of it. Decimals keep the scale of the schema, so that base64 takes them.
fn schema_and_value() -> impl Strategy<Value = (SchemaRef, Value)> {
    let float = prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL;
    let leaf = prop_oneof![
        any::<i8>().prop_map(|v| (Schema::new(SchemaKind::Int8), Value::Int8(v))),
        any::<i16>().prop_map(|v| (Schema::new(SchemaKind::Int16), Value::Int16(v))),
        any::<i32>().prop_map(|v| (Schema::new(SchemaKind::Int32), Value::Int32(v))),
        any::<i64>().prop_map(|v| (Schema::new(SchemaKind::Int64), Value::Int64(v))),
        prop::num::f32::NORMAL.prop_map(|v| (Schema::new(SchemaKind::Float32), Value::Float32(v))),
        float.prop_map(|v| (Schema::new(SchemaKind::Float64), Value::Float64(v))),
        any::<bool>().prop_map(|v| (Schema::new(SchemaKind::Boolean), Value::Boolean(v))),
        any::<String>().prop_map(|v| (Schema::new(SchemaKind::String), Value::string(v))),
        any::<Vec<u8>>().prop_map(|v| (Schema::new(SchemaKind::Bytes), Value::Bytes(v.into()))),
        (any::<i128>(), -5..30_i32).prop_map(|(unscaled, scale)| {
            let decimal = Decimal { unscaled: BigInt::from(unscaled), scale };
            (Decimal::schema(scale), Value::Decimal(Box::new(decimal)))
        }),
        any::<i32>().prop_map(|days| (Logical::Date.schema(), Value::Instant(i64::from(days) * 86_400_000))),
        (0..=86_400_000_i64).prop_map(|millis| (Logical::Time.schema(), Value::Instant(millis))),
        any::<i64>().prop_map(|millis| (Logical::Timestamp.schema(), Value::Instant(millis))),
    ];
    let leaf =
        (leaf, any::<bool>(), prop::option::of("[a-z]{1,3}")).prop_map(|((schema, value), optional, doc)| {
            let schema = Schema { optional, doc: doc.map(Arc::from), ..schema };
            (Arc::new(schema), if optional && value == Value::Boolean(false) { Value::Null } else { value })
        });
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            (inner.clone(), 0..3_usize).prop_map(|((schema, value), count)| {
                let array = Schema::new(SchemaKind::Array(Some(schema)));
                (Arc::new(array), Value::Array(vec![value; count]))
            }),
            (inner.clone(), inner.clone()).prop_map(|((keys, key), (values, value))| {
                // Null as the key of an object would come back as text.
                let entries = if key.is_null() { IndexMap::new() } else { IndexMap::from([(key, value)]) };
                let map = Schema::new(SchemaKind::Map(Some(keys), Some(values)));
                (Arc::new(map), Value::Map(Box::new(entries)))
            }),
            prop::collection::vec(inner, 0..4).prop_map(|parts| {
                let mut fields = Fields::default();
                let mut values = Vec::new();
                for (index, (schema, value)) in parts.into_iter().enumerate() {
                    fields.add(format!("field {index}"), schema);
                    values.push(value);
                }
                let schema = Arc::new(Schema::new(SchemaKind::Struct(fields)).named("a.B").version(3));
                (schema.clone(), Value::Struct(Box::new(Struct::from_values(schema, values).unwrap())))
            }),
        ]
    })
}

/// A value that JSON can tell from others without a schema.
fn plain_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(Value::Int64),
        prop::num::f64::NORMAL.prop_map(Value::Float64),
        any::<String>().prop_map(Value::string),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((any::<String>(), inner), 0..4).prop_map(|entries| {
                let entries = entries.into_iter().map(|(key, value)| (Value::string(key), value));
                Value::Map(Box::new(entries.collect()))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn a_value_with_schema_comes_back((schema, value) in schema_and_value(), format in 0..2_usize) {
        let mut converter = converter(&[(DECIMAL_FORMAT, ["BASE64", "NUMERIC"][format])]);
        let json = converter.from_connect("t", Some(&schema), &value).unwrap().unwrap();
        let read = converter.to_connect("t", Some(&json)).unwrap();
        prop_assert_eq!(read, SchemaAndValue { schema: Some(schema), value });
        prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&json).is_ok());
    }

    #[test]
    fn a_value_without_schema_comes_back(value in plain_value()) {
        let mut converter = converter(&[(SCHEMAS_ENABLE, "false")]);
        let Some(json) = converter.from_connect("t", None, &value).unwrap() else {
            prop_assert!(value.is_null());
            return Ok(());
        };
        prop_assert_eq!(converter.to_connect("t", Some(&json)).unwrap().value, value);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, enable: bool) {
        drop(read(&mut converter(&[(SCHEMAS_ENABLE, if enable { "true" } else { "false" })]), bytes));
    }

    #[test]
    fn json_is_read_as_serde_json_reads_it(text in "[\\[\\]{},:\"a1\\-.e \\\\un]{0,12}") {
        let mut converter = converter(&[(SCHEMAS_ENABLE, "false")]);
        if serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok() {
            prop_assert!(read(&mut converter, text).is_ok());
        }
    }
}
