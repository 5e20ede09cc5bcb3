//! Converters, transforms, the messages and assignors of the group, and the internal topics against recorded answers of
//! Apache Kafka Connect.
//!
//! What is run: every `*.json` file of the folder named by `HERDSMAN_VECTORS` (default: `tests/vectors`) whose `format`
//! is `connect-protocol/1` or `assignor-rounds/1`, or whose cases have an `op` of `to_connect` or `from_connect`, or the
//! `type` of a transform and an `input`.
//! Others in the folder have another form and other tests.

mod assignor;
mod internal_topics;
mod protocol;
mod transforms;
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
    let folder = named_folder().unwrap_or_else(own_folder);
    let mut registry = Registry::new();
    herdsman::plugins::converters::register(&mut registry);

    let (mut run, mut failures) = (0, Vec::new());
    for path in json_files(&folder) {
        let file = read(&path);
        let Some(cases) = conversions(&file) else { continue };
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
    check_run(run, "cases of converters", &folder);
    assert!(failures.is_empty(), "{} of {run} cases:\n{}", failures.len(), failures.join("\n"));
}

fn named_folder() -> Option<PathBuf> {
    std::env::var_os("HERDSMAN_VECTORS").map(PathBuf::from)
}

fn own_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// Runs `check` on each of the `list` of each file of that format; `Err` says how the answer differs.
fn check_format(format: &str, list: &str, check: impl Fn(&Json) -> Result<(), String>) {
    let folder = named_folder().unwrap_or_else(own_folder);
    let files = json_files(&folder).into_iter().map(|path| read(&path));
    let (mut run, mut failures) = (0, Vec::new());
    for file in files.filter(|file| file["format"] == format) {
        for vector in file[list].as_array().into_iter().flatten() {
            run += 1;
            let name = vector["name"].as_str().unwrap_or("a vector without name");
            failures.extend(check(vector).err().map(|difference| format!("{name}: {difference}")));
        }
    }
    check_run(run, &format!("{list} of {format}"), &folder);
    assert!(failures.is_empty(), "{} of {run} {list}:\n{}", failures.len(), failures.join("\n"));
}

/// `Err` when what came is not what was expected.
fn compare<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, got: &T) -> Result<(), String> {
    if expected == got { Ok(()) } else { Err(format!("{what}: expected {expected:?}, got {got:?}")) }
}

fn read(path: &Path) -> Json {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
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

/// Nothing run is nothing shown. A folder that was named need not have everything, but something.
fn check_run(run: usize, what: &str, folder: &Path) {
    let can_be_run = |path: &PathBuf| {
        let file = read(path);
        file["format"] == protocol::FORMAT
            || file["format"] == assignor::FORMAT
            || conversions(&file).is_some()
            || transforms::cases(&file).is_some()
    };
    let may_lack = named_folder().is_some() && json_files(folder).iter().any(can_be_run);
    assert!(run > 0 || may_lack, "no {what} in {}", folder.display());
}

/// The cases of a file of conversions.
fn conversions(file: &Json) -> Option<&Vec<Json>> {
    let is_conversion = |case: &Json| matches!(case["op"].as_str(), Some("to_connect" | "from_connect"));
    file["cases"].as_array().filter(|cases| cases.iter().all(is_conversion))
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
