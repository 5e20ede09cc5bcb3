//! How many records a second a chain of five transforms passes on one core, with and without JSON with schemas around it:
//! `cargo bench --bench transforms`.
//!
//! The numbers are of one record over and over, with warm caches. Compare runs on one quiet machine only.

use std::hint::black_box;
use std::time::Instant;

use herdsman::api::Settings;
use herdsman::api::connect_record::ConnectRecord;
use herdsman::api::converter::{Converter, ConverterRole};
use herdsman::api::data::SchemaAndValue;
use herdsman::api::record::{SinkRecord, TimestampType};
use herdsman::api::registry::Registry;
use herdsman::api::transform::Transform;

const RECORDS: u32 = 1_000_000;

const WITH_SCHEMA: &str = r#"{"schema":{"type":"struct","fields":[{"type":"int64","optional":false,"field":"number0"},{"type":"string","optional":false,"field":"text0"},{"type":"int64","optional":false,"field":"number1"},{"type":"string","optional":true,"field":"text1"},{"type":"int64","optional":false,"field":"number2"},{"type":"string","optional":false,"field":"text2"}],"optional":false,"name":"bench.Row"},"payload":{"number0":123456,"text0":"some text","number1":123457,"text1":"some text","number2":123458,"text2":"some text"}}"#;
const WITHOUT_SCHEMA: &str = r#"{"number0":123456,"text0":"some text","number1":123457,"text1":"some text","number2":123458,"text2":"some text"}"#;

const CHAIN: [(&str, &[(&str, &str)]); 5] = [
    ("InsertField$Value", &[("topic.field", "topic"), ("timestamp.field", "at")]),
    ("Cast$Value", &[("spec", "number0:string,number1:float64")]),
    ("ReplaceField$Value", &[("exclude", "text1"), ("renames", "number2:n")]),
    ("MaskField$Value", &[("fields", "text2"), ("replacement", "***")]),
    ("RegexRouter", &[("regex", "(.*)"), ("replacement", "out-$1")]),
];

#[expect(clippy::expect_used, reason = "a benchmark that cannot run should say so")]
fn main() {
    let registry = herdsman::plugins::registry();
    for (name, enable, message) in [("with", "true", WITH_SCHEMA), ("without", "false", WITHOUT_SCHEMA)] {
        let mut converter = json(&registry, enable);
        let message = message.into();
        let mut read = || converter.to_connect("t", Some(&message)).expect("valid JSON");
        let value = read();
        let mut writer = json(&registry, enable);
        let mut write = |value: &SchemaAndValue| {
            black_box(
                writer.from_connect("t", value.schema.as_ref(), &value.value).expect("a value that fits"),
            );
        };
        let mut chain = chain(&registry);
        let plain = per_second(|| write(&read()));
        let all = per_second(|| write(&through(&mut chain, read()).value));
        let alone = per_second(|| {
            black_box(through(&mut chain, value.clone()));
        });
        println!(
            "JSON {name} schemas: {plain:.2} million a second converted, {all:.2} with five transforms between; the \
             transforms alone {alone:.2}"
        );
    }
}

#[expect(clippy::expect_used, reason = "a benchmark that cannot run should say so")]
fn json(registry: &Registry, schemas: &str) -> Box<dyn Converter> {
    let settings = Settings::from([("schemas.enable".to_owned(), schemas.to_owned())]);
    let plugin = registry.converter("JsonConverter").expect("a built-in class");
    plugin.converter(&settings, ConverterRole::Value).expect("valid settings")
}

#[expect(clippy::expect_used, reason = "a benchmark that cannot run should say so")]
fn chain(registry: &Registry) -> Vec<Box<dyn Transform>> {
    let transform = |(class, settings): &(&str, &[(&str, &str)])| {
        let class = format!("org.apache.kafka.connect.transforms.{class}");
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        registry.transform(&class).expect("a built-in class").transform(&settings).expect("valid settings")
    };
    CHAIN.iter().map(transform).collect()
}

#[expect(clippy::expect_used, reason = "a benchmark that cannot run should say so")]
fn through(chain: &mut [Box<dyn Transform>], value: SchemaAndValue) -> SinkRecord {
    let topic: std::sync::Arc<str> = "t".into();
    let mut record = SinkRecord {
        original_topic: topic.clone(),
        raw: None,
        topic,
        partition: 0,
        offset: 0,
        key: SchemaAndValue::null(),
        value,
        timestamp: Some((1_700_000_000_123, TimestampType::CreateTime)),
        headers: Vec::new(),
    };
    for transform in chain {
        transform.apply(&mut ConnectRecord::Sink(&mut record)).expect("a record that fits");
    }
    record
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
