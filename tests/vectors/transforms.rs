//! Transforms and predicates against what Apache's make of the same records.

use std::sync::Arc;

use herdsman::api::connect_record::ConnectRecord;
use herdsman::api::data::SchemaAndValue;
use herdsman::api::error::ConnectError;
use herdsman::api::offset::OffsetMap;
use herdsman::api::record::{Header, SinkRecord, SourceRecord, TimestampType};
use herdsman::api::registry::Registry;
use herdsman::api::transform::{Fate, Predicate, Transform};
use serde_json::Value as Json;

use crate::typed;

#[test]
fn transforms_answer_as_apache_does() {
    let folder = crate::named_folder().unwrap_or_else(crate::own_folder);
    let mut registry = Registry::new();
    herdsman::plugins::transforms::register(&mut registry);
    let (mut run, mut failures) = (0, Vec::new());
    for path in crate::json_files(&folder) {
        let file = crate::read(&path);
        let Some(cases) = cases(&file) else { continue };
        assert_eq!(file["count"].as_u64(), u64::try_from(cases.len()).ok(), "{}", path.display());
        run += cases.len();
        failures.extend(cases.iter().filter_map(|case| {
            let difference = check(&registry, case).err()?;
            Some(format!("{}: {difference}", case["name"].as_str().unwrap_or("a case without name")))
        }));
    }
    crate::check_run(run, "cases of transforms", &folder);
    assert!(failures.is_empty(), "{} of {run} cases:\n{}", failures.len(), failures.join("\n"));
}

/// The cases of a file of transforms.
pub(crate) fn cases(file: &Json) -> Option<&Vec<Json>> {
    let is_transform = |case: &Json| case["type"].is_string() && case["input"].is_object();
    file["cases"].as_array().filter(|cases| !cases.is_empty() && cases.iter().all(is_transform))
}

/// Runs a case twice over, since a transform remembers what it met; `Err` says how an answer differs.
fn check(registry: &Registry, case: &Json) -> Result<(), String> {
    let mut subject = match Subject::new(registry, case) {
        Ok(subject) => subject,
        Err(error) => return compare_error(case, "configure", &error),
    };
    for _ in 0..2 {
        let mut record = Record::read(&case["input"])?;
        match subject.apply(&mut record.as_connect()) {
            Ok(fate) => compare_record(case, fate, &record)?,
            Err(error) => compare_error(case, "apply", &error)?,
        }
    }
    Ok(())
}

/// The transform that a case is about, with the predicate that decides on its use.
struct Subject {
    transform: Box<dyn Transform>,
    condition: Option<(Box<dyn Predicate>, bool)>,
}

impl Subject {
    fn new(registry: &Registry, case: &Json) -> Result<Self, ConnectError> {
        let class = case["type"].as_str().unwrap_or_default();
        let plugin = registry.transform(class).unwrap_or_else(|| panic!("no transform {class}"));
        let transform = plugin.transform(&crate::settings(&case["config"]))?;
        let Some(class) = case["predicate"]["type"].as_str() else {
            return Ok(Subject { transform, condition: None });
        };
        let plugin = registry.predicate(class).unwrap_or_else(|| panic!("no predicate {class}"));
        let predicate = plugin.predicate(&crate::settings(&case["predicate"]["config"]))?;
        Ok(Subject { transform, condition: Some((predicate, case["predicate"]["negate"] == true)) })
    }

    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Fate, ConnectError> {
        if let Some((predicate, negate)) = &mut self.condition
            && predicate.test(record)? == *negate
        {
            return Ok(Fate::Kept);
        }
        self.transform.apply(record)
    }
}

#[derive(Debug, PartialEq)]
enum Record {
    Source(SourceRecord),
    Sink(SinkRecord),
}

impl Record {
    fn read(json: &Json) -> Result<Self, String> {
        let topic: Arc<str> = json["topic"].as_str().unwrap_or_default().into();
        let partition = json["partition"].as_i64().and_then(|number| i32::try_from(number).ok());
        let timestamp = json["timestamp"].as_i64();
        let (key, value) = (data(&json["key"])?, data(&json["value"])?);
        let headers = json["headers"].as_array().into_iter().flatten();
        let headers: Vec<Header> = headers.map(header).collect::<Result<_, _>>()?;
        Ok(if json["kind"] == "sink" {
            Record::Sink(SinkRecord {
                original_topic: "orders".into(),
                raw: None,
                topic,
                partition: partition.unwrap_or_default(),
                offset: json["offset"].as_i64().unwrap_or_default(),
                key,
                value,
                timestamp: timestamp.map(|millis| (millis, TimestampType::CreateTime)),
                headers,
            })
        } else {
            let (source_partition, source_offset) = (OffsetMap::of("p", 1), Some(OffsetMap::of("o", 1)));
            let source_partition = Arc::new(source_partition);
            Record::Source(SourceRecord {
                source_partition,
                source_offset,
                topic,
                partition,
                key,
                value,
                timestamp,
                headers,
            })
        })
    }

    fn as_connect(&mut self) -> ConnectRecord<'_> {
        match self {
            Record::Source(record) => ConnectRecord::Source(record),
            Record::Sink(record) => ConnectRecord::Sink(record),
        }
    }
}

fn header(json: &Json) -> Result<Header, String> {
    Ok(Header { key: json["key"].as_str().unwrap_or_default().into(), value: data(json)? })
}

fn data(json: &Json) -> Result<SchemaAndValue, String> {
    let schema = typed::schema(&json["schema"])?;
    let value = typed::value(schema.as_ref(), &json["typed"])?;
    Ok(SchemaAndValue { schema, value })
}

fn compare_record(case: &Json, fate: Fate, record: &Record) -> Result<(), String> {
    if !case["error"].is_null() {
        return Err(format!("expected {}, got {fate:?}: {record:?}", case["error"]));
    }
    let expected = &case["output"];
    if expected.is_null() || fate == Fate::Dropped {
        let fits = expected.is_null() && fate == Fate::Dropped;
        return fits.then_some(()).ok_or_else(|| format!("expected {expected}, got {fate:?}"));
    }
    crate::compare("record", &Record::read(expected)?, record)
}

fn compare_error(case: &Json, stage: &str, error: &ConnectError) -> Result<(), String> {
    let expected = &case["error"];
    if expected["stage"] != stage {
        return Err(format!("expected {expected}, got at {stage}: {}", error.trace()));
    }
    // What a parser of regular expressions says is its own.
    let comparable =
        |text: &str| text.split_once("Invalid regex: ").map_or(text, |(before, _)| before).to_owned();
    // Of several wrong settings Apache names the first only.
    let got = comparable(error.message());
    let says = |text: &str| got == text || got.strip_prefix(text).is_some_and(|rest| rest.starts_with('\n'));
    let same = expected["message"].as_str().is_none_or(|text| says(&comparable(text)));
    let case = serde_json::json!({"error": {"class": expected["class"], "message": null}});
    crate::compare_error(&case, error)?;
    same.then_some(()).ok_or_else(|| format!("expected {expected}, got {}", error.message()))
}
