//! Values and records of every kind, as they may come to a plug-in.

use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;

use crate::api::data::{Decimal, Fields, Logical, Schema, SchemaAndValue, SchemaKind, Struct, Value};
use crate::api::offset::OffsetMap;
use crate::api::record::{Header, SinkRecord, SourceRecord, TimestampType};

/// The topic of records that the suite makes.
pub(super) const TOPIC: &str = "contract";

/// A value of each kind, with what it is called: with a schema, and without one where that is possible.
pub(super) fn values() -> Vec<(String, SchemaAndValue)> {
    let mut values = vec![("nothing".to_owned(), SchemaAndValue::null())];
    for (kind, value) in plain() {
        let name = kind.name();
        values.push((format!("{name} without a schema"), SchemaAndValue::schemaless(value.clone())));
        let schema = Arc::new(Schema::new(kind.clone()));
        values.push((name.to_owned(), SchemaAndValue::with_schema(schema, value)));
        let optional = Arc::new(Schema::new(kind).optional());
        values.push((
            format!("null of an optional {name}"),
            SchemaAndValue::with_schema(optional, Value::Null),
        ));
    }
    values.extend(logical());
    values.extend(containers());
    values
}

fn plain() -> Vec<(SchemaKind, Value)> {
    vec![
        (SchemaKind::Boolean, Value::Boolean(true)),
        (SchemaKind::Int8, Value::Int8(-8)),
        (SchemaKind::Int16, Value::Int16(-16)),
        (SchemaKind::Int32, Value::Int32(-32)),
        (SchemaKind::Int64, Value::Int64(i64::MIN)),
        (SchemaKind::Float32, Value::Float32(0.5)),
        (SchemaKind::Float64, Value::Float64(-1.5e300)),
        (SchemaKind::String, Value::string("Zwölf «Boxkämpfer» \u{1F980}\n")),
        (SchemaKind::Bytes, Value::Bytes(Bytes::from_static(b"\x00\xFF\"\n"))),
    ]
}

fn logical() -> Vec<(String, SchemaAndValue)> {
    let day = 86_400_000;
    let times = [(Logical::Date, 20 * day), (Logical::Time, 3_600_000), (Logical::Timestamp, 20 * day + 1)];
    let mut values: Vec<_> = times
        .into_iter()
        .map(|(logical, millis)| {
            let value = SchemaAndValue::with_schema(Arc::new(logical.schema()), Value::Instant(millis));
            (format!("{logical:?}"), value)
        })
        .collect();
    let decimal = Decimal { unscaled: (-12345).into(), scale: 2 };
    let schema = Arc::new(Logical::Decimal.schema().parameter("scale", "2"));
    let value = SchemaAndValue::with_schema(schema, Value::Decimal(Box::new(decimal)));
    values.push(("Decimal".to_owned(), value));
    values
}

fn containers() -> Vec<(String, SchemaAndValue)> {
    let text = || Arc::new(Schema::new(SchemaKind::String));
    let list = Value::Array(vec![Value::string("a"), Value::string("")]);
    let map = Value::Map(Box::new(IndexMap::from([(Value::string("k"), Value::string("v"))])));
    let array = Arc::new(Schema::new(SchemaKind::Array(Some(text()))));
    let of_map = Arc::new(Schema::new(SchemaKind::Map(Some(text()), Some(text()))));
    let mixed = Value::Array(vec![Value::Null, Value::Int64(1), map.clone()]);
    let mut values = vec![
        ("ARRAY".to_owned(), SchemaAndValue::with_schema(array, list)),
        ("MAP".to_owned(), SchemaAndValue::with_schema(of_map, map.clone())),
        ("MAP without a schema".to_owned(), SchemaAndValue::schemaless(map)),
        ("ARRAY without a schema".to_owned(), SchemaAndValue::schemaless(mixed)),
    ];
    values.extend(row().map(|row| ("STRUCT".to_owned(), row)));
    values
}

/// A struct with a field of each plain kind, a struct within, and fields without a value.
fn row() -> Option<SchemaAndValue> {
    let mut inner = Fields::default();
    inner.add("name", Arc::new(Schema::new(SchemaKind::String)));
    let inner = Arc::new(Schema::new(SchemaKind::Struct(inner)).named("contract.Inner").optional());
    let mut within = Struct::new(Arc::clone(&inner))?;
    within.set("name", Value::string("inner"));
    let (mut fields, mut values) = (Fields::default(), Vec::new());
    for (kind, value) in plain() {
        fields.add(kind.name().to_lowercase(), Arc::new(Schema::new(kind)));
        values.push(value);
    }
    for (name, value) in [("inner", Value::Struct(Box::new(within))), ("no_inner", Value::Null)] {
        fields.add(name, Arc::clone(&inner));
        values.push(value);
    }
    let schema = Arc::new(Schema::new(SchemaKind::Struct(fields)).named("contract.Row").version(1));
    let row = Struct::from_values(Arc::clone(&schema), values)?;
    Some(SchemaAndValue::with_schema(schema, Value::Struct(Box::new(row))))
}

/// Keys and values to make records of: every value with a key and without one, and a tombstone with a key.
pub(super) fn keys_and_values() -> Vec<(String, SchemaAndValue, SchemaAndValue)> {
    let key = || SchemaAndValue::schemaless(Value::string("key"));
    let mut all = Vec::new();
    for (what, value) in values() {
        all.push((
            format!("a record with the value {what} and no key"),
            SchemaAndValue::null(),
            value.clone(),
        ));
        all.push((format!("a record with the value {what} and a key"), key(), value.clone()));
        all.push((format!("a tombstone with the key {what}"), value, SchemaAndValue::null()));
    }
    all
}

fn headers() -> Vec<Header> {
    let value = SchemaAndValue::schemaless(Value::string("1"));
    let twice = Header { key: "h".into(), value };
    vec![twice.clone(), twice, Header { key: "none".into(), value: SchemaAndValue::null() }]
}

/// A record on its way to Kafka, with headers.
pub(super) fn source_record(key: SchemaAndValue, value: SchemaAndValue) -> SourceRecord {
    let partition = Arc::new(OffsetMap::of("contract", 0));
    let record = SourceRecord::new(partition, OffsetMap::of("offset", 1), TOPIC, value);
    SourceRecord { key, headers: headers(), ..record }
}

/// A record on its way from Kafka, with headers.
pub(super) fn sink_record(key: SchemaAndValue, value: SchemaAndValue) -> SinkRecord {
    SinkRecord {
        topic: TOPIC.into(),
        partition: 0,
        offset: 0,
        key,
        value,
        timestamp: Some((1_700_000_000_000, TimestampType::CreateTime)),
        headers: headers(),
        original_topic: TOPIC.into(),
        raw: None,
    }
}
