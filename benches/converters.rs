//! How many records a second the converters write and read on one core: `cargo bench --bench converters`.
//!
//! The numbers are of one value converted over and over, with warm caches; a real task does more than that. Compare runs
//! on one quiet machine only.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use herdsman::api::Settings;
use herdsman::api::converter::ConverterRole;
use herdsman::api::data::{Fields, Schema, SchemaKind, SchemaRef, Struct, Value};
use herdsman::api::registry::Registry;

const RECORDS: u32 = 2_000_000;

fn main() {
    let text: SchemaRef = Arc::new(Schema::new(SchemaKind::String));
    let (record, fields) = record();
    for (name, schema, value) in [
        ("text of 20 bytes", &text, Value::string("x".repeat(20))),
        ("text of 113 bytes", &text, Value::string("x".repeat(113))),
        ("struct of 6 fields", &record, fields),
    ] {
        measure("JsonConverter", &[], name, schema, &value);
        measure("JsonConverter", &[("schemas.enable", "false")], name, schema, &value);
        measure("StringConverter", &[], name, schema, &value);
    }
}

fn record() -> (SchemaRef, Value) {
    let mut fields = Fields::default();
    let mut values = Vec::new();
    for index in 0..3 {
        fields.add(format!("number{index}"), Arc::new(Schema::new(SchemaKind::Int64)));
        values.push(Value::Int64(123_456 + index));
        fields.add(format!("text{index}"), Arc::new(Schema::new(SchemaKind::String)));
        values.push(Value::string("some text"));
    }
    let schema = Arc::new(Schema::new(SchemaKind::Struct(fields)));
    let value = Struct::from_values(schema.clone(), values)
        .map_or(Value::Null, |value| Value::Struct(Box::new(value)));
    (schema, value)
}

#[expect(clippy::expect_used, reason = "a benchmark that cannot run should say so")]
fn measure(class: &str, settings: &[(&str, &str)], name: &str, schema: &SchemaRef, value: &Value) {
    let mut registry = Registry::new();
    herdsman::plugins::converters::register(&mut registry);
    let plugin = registry.converter(class).expect("a built-in class");
    let given: Settings =
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut converter = plugin.converter(&given, ConverterRole::Value).expect("valid settings");
    let mut message = None;
    let written =
        per_second(|| message = converter.from_connect("t", Some(schema), value).expect("a value that fits"));
    let read = per_second(|| {
        black_box(converter.to_connect("t", message.as_ref()).expect("what was written"));
    });
    println!("{class} {settings:?}, {name}: {written:.2} million written, {read:.2} million read a second");
}

/// Million calls a second.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn per_second(mut call: impl FnMut()) -> f64 {
    let begin = Instant::now();
    for _ in 0..RECORDS {
        call();
    }
    f64::from(RECORDS) / begin.elapsed().as_secs_f64() / 1e6
}
