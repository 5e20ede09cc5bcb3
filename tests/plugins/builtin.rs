//! The contract suite over all plug-ins that come with the worker.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use herdsman::api::data::{Schema, SchemaAndValue, SchemaKind, Value};
use herdsman::api::record::SinkRecord;
use herdsman::api::registry::ConnectorClass;
use herdsman::api::sink::SinkPlugin;
use herdsman::api::source::SourcePlugin;
use herdsman::contract::{
    self, ConverterContract, PredicateContract, SinkContract, SourceContract, TransformContract,
};
use herdsman::plugins;
use herdsman::plugins::exec::{ExecSink, ExecSource, Programs};
use tempfile::TempDir;

fn source(alias: &str) -> Arc<dyn SourcePlugin> {
    match plugins::registry().connector(alias) {
        Some(ConnectorClass::Source(plugin)) => Arc::clone(plugin),
        other => panic!("{alias} is {other:?}"),
    }
}

fn sink(alias: &str) -> Arc<dyn SinkPlugin> {
    match plugins::registry().connector(alias) {
        Some(ConnectorClass::Sink(plugin)) => Arc::clone(plugin),
        other => panic!("{alias} is {other:?}"),
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A file of six lines.
fn six_lines(folder: &TempDir) -> PathBuf {
    let file = folder.path().join("in");
    fs::write(&file, "one\ntwo\nthree\nzwölf\n\nsix\n").unwrap();
    file
}

/// Whether the value of a record is a line of the file.
fn is_line_of(file: &Path) -> impl Fn(&SinkRecord) -> bool + Send + Sync + use<> {
    let file = file.to_owned();
    move |record| {
        let Value::String(line) = &record.value.value else { panic!("{record:?}") };
        fs::read_to_string(&file).unwrap().lines().any(|written| written == &**line)
    }
}

#[test]
fn file_stream_source() {
    let folder = TempDir::new().unwrap();
    let file = six_lines(&folder);
    let settings = [("file", text(&file)), ("topic", "lines"), ("batch.size", "2")];
    SourceContract::of(source("FileStreamSource"), &settings).gives(6).check();
}

#[test]
fn file_stream_sink() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("out");
    let settings = [("file", text(&file))];
    SinkContract::of(sink("FileStreamSink"), &settings).arrived(is_line_of(&file)).check();
}

#[test]
fn connectors_to_test_with() {
    let topic = ("topic", "t");
    SourceContract::of(source("VerifiableSource"), &[topic]).gives(9).check();
    SourceContract::of(source("VerifiableSource"), &[topic, ("complete.record.data", "true")]).check();
    let counted = [topic, ("num.messages", "9"), ("multiple.schema", "true"), ("partition.count", "2")];
    SourceContract::of(source("SchemaSource"), &counted).gives(9).check();
    SourceContract::of(source("MockSource"), &[]).gives(0).check();
    SinkContract::of(sink("MockSink"), &[]).check();
    SinkContract::of(sink("VerifiableSink"), &[]).check();
}

fn programs() -> Programs {
    Programs::new(vec!["/".to_owned()], PathBuf::from(env!("CARGO_BIN_EXE_herdsman")))
}

fn program(name: &str) -> String {
    format!("{}/examples/exec/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn programs_as_sources() {
    let folder = TempDir::new().unwrap();
    let file = six_lines(&folder);
    let command = program("lines_source.py");
    let settings = [("command", command.as_str()), ("file", text(&file)), ("topic", "lines")];
    contract::source(ExecSource::new(programs()), &settings).gives(6).check();
}

#[test]
fn programs_as_sinks() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("out");
    let command = program("lines_sink.py");
    let settings = [("command", command.as_str()), ("file", text(&file))];
    contract::sink(ExecSink::new(programs()), &settings).arrived(is_line_of(&file)).check();
}

#[test]
fn converters() {
    let text = |optional: Schema| SchemaAndValue::with_schema(Arc::new(optional), Value::string("zwölf"));
    let optional = |kind| Arc::new(Schema::new(kind).optional());
    let number = |kind, value| SchemaAndValue::with_schema(optional(kind), value);
    let survivor = |simple: &str| match simple {
        "StringConverter" => Some(text(Schema::new(SchemaKind::String).optional())),
        "JsonConverter" => Some(text(Schema::new(SchemaKind::String))),
        "BooleanConverter" => Some(number(SchemaKind::Boolean, Value::Boolean(true))),
        "ShortConverter" => Some(number(SchemaKind::Int16, Value::Int16(-2))),
        "IntegerConverter" => Some(number(SchemaKind::Int32, Value::Int32(-2))),
        "LongConverter" => Some(number(SchemaKind::Int64, Value::Int64(-2))),
        "FloatConverter" => Some(number(SchemaKind::Float32, Value::Float32(-0.5))),
        "DoubleConverter" => Some(number(SchemaKind::Float64, Value::Float64(-0.5))),
        "ByteArrayConverter" | "SimpleHeaderConverter" => None,
        other => panic!("what comes back from {other}?"),
    };
    let registry = plugins::registry();
    for plugin in registry.converters() {
        let simple = plugin.class().rsplit('.').next().unwrap();
        let contract = ConverterContract::of(Arc::clone(plugin), &[]);
        match survivor(simple) {
            Some(value) => contract.round_trip(value).check(),
            None => contract.check(),
        }
    }
    let json = registry.converter("Json").unwrap();
    ConverterContract::of(Arc::clone(json), &[("schemas.enable", "false")]).check();
}

/// Settings with which a transform works on some records; each class has to be here.
fn settings_of(simple: &str) -> &'static [(&'static str, &'static str)] {
    match simple {
        "Cast" => &[("spec", "int32")],
        "DropHeaders" => &[("headers", "h")],
        "ExtractField" | "HoistField" => &[("field", "string")],
        "Filter" | "Flatten" => &[],
        "HeaderFrom" => &[("fields", "string"), ("headers", "h"), ("operation", "copy")],
        "InsertField" => &[("static.field", "f"), ("static.value", "v")],
        "InsertHeader" => &[("header", "h"), ("value.literal", "1")],
        "MaskField" => &[("fields", "string")],
        "RegexRouter" => &[("regex", "c(.*)"), ("replacement", "d$1")],
        "ReplaceField" => &[("exclude", "string")],
        "SetSchemaMetadata" => &[("schema.name", "n"), ("schema.version", "2")],
        "TimestampConverter" => &[("target.type", "string"), ("format", "yyyy-MM-dd")],
        "TimestampRouter" => &[],
        "ValueToKey" => &[("fields", "string")],
        other => panic!("which settings work for {other}?"),
    }
}

/// What Apache's transforms do and the contract does not allow: who uses them wants what Apache does.
fn as_in_apache(simple: &str) -> &'static [&'static str] {
    match simple {
        // The number that a date became goes on under the name of the logical type.
        "Cast" => &["a value fits its schema"],
        _ => &[],
    }
}

#[test]
fn transforms() {
    let mut complaints = String::new();
    for plugin in plugins::registry().transforms() {
        let simple = plugin.class().rsplit('.').next().unwrap().split('$').next().unwrap();
        let report = TransformContract::of(Arc::clone(plugin), settings_of(simple)).report();
        if crate::broken(&report) != as_in_apache(simple) {
            complaints.push_str(&report.to_string());
        }
    }
    assert!(complaints.is_empty(), "{complaints}");
}

#[test]
fn predicates() {
    for plugin in plugins::registry().predicates() {
        let settings: &[(&str, &str)] = match plugin.class().rsplit('.').next().unwrap() {
            "HasHeaderKey" => &[("name", "h")],
            "RecordIsTombstone" => &[],
            "TopicNameMatches" => &[("pattern", "con.*")],
            other => panic!("which settings work for {other}?"),
        };
        PredicateContract::of(Arc::clone(plugin), settings).check();
    }
}
