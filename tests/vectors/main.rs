//! The converters and the internal topics against recorded answers of Apache Kafka Connect.
//!
//! Every `*.json` file of the folder named by `HERDSMAN_VECTORS` (default: `tests/vectors`) whose cases have an `op` of
//! `to_connect` or `from_connect` is run; others in the folder have another form and other tests.

mod internal_topics;
mod typed;

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use herdsman::api::Settings;
use herdsman::api::converter::{ConverterRole, HeaderConverter};
use herdsman::api::data::{SchemaAndValue, SchemaRef, Value};
use herdsman::api::error::Result as ConnectResult;
use herdsman::api::registry::Registry;
use serde_json::Value as Json;

#[test]
fn converters_answer_as_apache_does() {
    let folder = std::env::var_os("HERDSMAN_VECTORS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"), PathBuf::from);
    let mut registry = Registry::new();
    herdsman::plugins::converters::register(&mut registry);

    let (mut run, mut failures) = (0, Vec::new());
    for path in json_files(&folder) {
        let text = std::fs::read_to_string(&path).unwrap();
        let file: Json =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let Some(cases) = file["cases"].as_array().filter(|cases| cases.iter().all(is_conversion)) else {
            continue;
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if file["count"].as_u64() != u64::try_from(cases.len()).ok() {
            failures.push(format!("{name}: count is {}, but there are {} cases", file["count"], cases.len()));
        }
        run += cases.len();
        failures.extend(cases.iter().filter_map(|case| {
            let difference = check(&registry, case).err()?;
            Some(format!("{name}: {}: {difference}", case["name"].as_str().unwrap_or("a case without name")))
        }));
    }
    assert!(run > 0, "no case in {}", folder.display());
    assert!(failures.is_empty(), "{} of {run} cases:\n{}", failures.len(), failures.join("\n"));
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files
}

fn is_conversion(case: &Json) -> bool {
    matches!(case["op"].as_str(), Some("to_connect" | "from_connect"))
}

/// Runs a case; `Err` says how the answer differs.
fn check(registry: &Registry, case: &Json) -> Result<(), String> {
    let class = case["converter"].as_str().unwrap_or("org.apache.kafka.connect.json.JsonConverter");
    let mut converter = match Subject::new(registry, class, &settings(&case["config"])) {
        Ok(converter) => converter,
        Err(error) => return compare_error(case, &error),
    };
    if case["op"] == "to_connect" {
        match converter.read(input(case)?.as_ref()) {
            Ok(read) => compare_read(case, &read),
            Err(error) => compare_error(case, &error),
        }
    } else {
        let schema = typed::schema(&case["schema"])?;
        let value = typed::value(schema.as_ref(), &case["typed"])?;
        match converter.write(schema.as_ref(), &value) {
            Ok(written) => compare_written(case, written.as_deref()),
            Err(error) => compare_error(case, &error),
        }
    }
}

/// The converter that a case is about.
enum Subject {
    Values(Box<dyn herdsman::api::converter::Converter>),
    Headers(Box<dyn HeaderConverter>),
}

impl Subject {
    fn new(registry: &Registry, class: &str, settings: &Settings) -> ConnectResult<Self> {
        let plugin = registry.converter(class).unwrap_or_else(|| panic!("no converter {class}"));
        if class.ends_with("HeaderConverter") {
            let headers = plugin.header_converter(settings)?;
            return Ok(Subject::Headers(headers.unwrap_or_else(|| panic!("{class} converts no headers"))));
        }
        Ok(Subject::Values(plugin.converter(settings, ConverterRole::Value)?))
    }

    fn read(&mut self, bytes: Option<&Bytes>) -> ConnectResult<SchemaAndValue> {
        match self {
            Subject::Values(converter) => converter.to_connect("t", bytes),
            Subject::Headers(converter) => converter.to_connect("t", "k", bytes),
        }
    }

    fn write(&mut self, schema: Option<&SchemaRef>, value: &Value) -> ConnectResult<Option<Bytes>> {
        match self {
            Subject::Values(converter) => converter.from_connect("t", schema, value),
            Subject::Headers(converter) => converter.from_connect("t", "k", schema, value),
        }
    }
}

fn settings(config: &Json) -> Settings {
    let entries = config.as_object().into_iter().flatten();
    entries.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

fn input(case: &Json) -> Result<Option<Bytes>, String> {
    if let Some(text) = case["input"].as_str() {
        return Ok(Some(Bytes::copy_from_slice(text.as_bytes())));
    }
    let base64 = case["input_base64"].as_str();
    base64.map(|text| STANDARD.decode(text).map(Bytes::from).map_err(|error| error.to_string())).transpose()
}

fn compare_read(case: &Json, read: &SchemaAndValue) -> Result<(), String> {
    if !case["error"].is_null() {
        return Err(format!("expected {}, got {read:?}", case["error"]));
    }
    let schema = typed::schema(&case["schema"])?;
    if schema != read.schema {
        return Err(format!("expected schema {schema:?}, got {:?}", read.schema));
    }
    let value = typed::value(schema.as_ref(), &case["typed"])?;
    if value != read.value { Err(format!("expected {value:?}, got {:?}", read.value)) } else { Ok(()) }
}

fn compare_written(case: &Json, written: Option<&[u8]>) -> Result<(), String> {
    if !case["error"].is_null() {
        return Err(format!("expected {}, got {written:?}", case["error"]));
    }
    let expected = match (case.get("output"), case.get("output_base64")) {
        (Some(text), None) => text.as_str().map(|text| text.as_bytes().to_vec()),
        (None, Some(base64)) => base64
            .as_str()
            .map(|text| STANDARD.decode(text))
            .transpose()
            .map_err(|error| error.to_string())?,
        (_, _) => return Err("the case has neither error nor output".to_owned()),
    };
    if expected.as_deref() == written {
        return Ok(());
    }
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    Err(format!("expected {:?}, got {:?}", text(expected.as_deref()), text(written)))
}

fn compare_error(case: &Json, error: &herdsman::api::error::ConnectError) -> Result<(), String> {
    let expected = &case["error"];
    let got = format!("{}: {}", error.kind().class_name(), error.message());
    if expected.is_null() {
        return Err(format!("expected no error, got {got}"));
    }
    // Java fell over there; that we say something of our own is all that is asked.
    if expected["class"] == "java.lang.NullPointerException" {
        return Ok(());
    }
    let same_class = expected["class"] == error.kind().class_name();
    let same_message = expected["message"].as_str().is_none_or(|message| message == error.message());
    if same_class && same_message { Ok(()) } else { Err(format!("expected {expected}, got {got}")) }
}
