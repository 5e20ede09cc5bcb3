//! The contract suite over the plug-ins of `examples/own_plugins`, as their own tests would use it.

use std::fs;
use std::sync::Arc;

use herdsman::api::connect_record::ConnectRecord;
use herdsman::api::data::{Fields, Schema, SchemaAndValue, SchemaKind, Struct, Value};
use herdsman::api::offset::OffsetMap;
use herdsman::api::record::SourceRecord;
use herdsman::api::transform::TransformPlugin;
use herdsman::contract;
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::folder_source::FolderSource;
use crate::json_files_sink::JsonFilesSink;
use crate::redact::Redact;

#[test]
fn folder_source() {
    let folder = TempDir::new().unwrap();
    for (name, lines) in [("a", "one\ntwo\nthree\n"), ("b", "zwölf\r\n\nsix\nhalf"), ("c", "")] {
        fs::write(folder.path().join(name), lines).unwrap();
    }
    let settings = [("folder", folder.path().to_str().unwrap()), ("topic", "lines")];
    contract::source(FolderSource, &settings).gives(6).check();
}

#[test]
fn json_files_sink() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().to_owned();
    contract::sink(JsonFilesSink, &[("folder", folder.path().to_str().unwrap())])
        .arrived(move |record| {
            let file = out.join(format!("{}-{}.jsonl", record.topic, record.partition));
            let lines = fs::read_to_string(file).unwrap();
            let written = lines.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
            written.filter(|line| line["offset"] == record.offset).count() == 1
        })
        .check();
}

fn record(value: SchemaAndValue) -> SourceRecord {
    SourceRecord::new(Arc::new(OffsetMap::of("p", 1)), OffsetMap::of("o", 1), "t", value)
}

fn card() -> SchemaAndValue {
    let mut fields = Fields::default();
    for name in ["name", "card"] {
        fields.add(name, Arc::new(Schema::new(SchemaKind::String)));
    }
    let schema = Arc::new(Schema::new(SchemaKind::Struct(fields)));
    let values = vec![Value::string("Ada"), Value::string("4000 1234")];
    let card = Struct::from_values(Arc::clone(&schema), values).unwrap();
    SchemaAndValue::with_schema(schema, Value::Struct(Box::new(card)))
}

#[test]
fn redact() {
    let of_fields = [("fields", "card,none"), ("keep", "4")];
    contract::transform(Redact, &of_fields).accepts(record(card())).check();
    let text = SchemaAndValue::schemaless(Value::string("zwölf"));
    contract::transform(Redact, &[]).accepts(record(text)).accepts(record(SchemaAndValue::null())).check();
}

#[test]
fn redact_keeps_the_last_characters() {
    let mut record = record(card());
    let settings = [("fields", "card"), ("keep", "4")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut transform = Redact.transform(&settings.into()).unwrap();
    transform.apply(&mut ConnectRecord::Source(&mut record)).unwrap();
    let Value::Struct(card) = &record.value.value else { panic!("{record:?}") };
    assert_eq!(card.values(), [Value::string("Ada"), Value::string("*****1234")]);
}
