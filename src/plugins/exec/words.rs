//! What a program is told: one JSON object a line, whose only member names what it is about. Records are written by
//! [`super::records`].

use serde_json::{Map, Value as Json, json};

use super::connector::Place;
use crate::api::Settings;
use crate::api::ids::TopicPartition;
use crate::api::offset::{OffsetMap, OffsetValue};

/// The version of what is said in either direction.
const PROTOCOL: u32 = 1;

/// What kind of connector the program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Source,
    Sink,
}

/// The first line.
pub(super) fn start(kind: Kind, place: &Place, config: &Settings) -> Vec<u8> {
    let kind = match kind {
        Kind::Source => "source",
        Kind::Sink => "sink",
    };
    let Place { connector, task, tasks } = place;
    line(&json!({"start": {
        "protocol": PROTOCOL, "kind": kind, "connector": connector, "task": task, "tasks": tasks, "config": config,
    }}))
}

/// The last line.
pub(super) fn stop() -> Vec<u8> {
    line(&json!({"stop": {}}))
}

/// The answer to a question for offsets, in the order of the question; null where nothing is stored.
pub(super) fn offsets(stored: &[(OffsetMap, Option<OffsetMap>)]) -> Vec<u8> {
    let each = stored.iter().map(|(partition, offset)| {
        json!({"source_partition": object(partition), "source_offset": offset.as_ref().map(object)})
    });
    line(&json!({"offsets": each.collect::<Vec<_>>()}))
}

/// Records of a source that Kafka has.
pub(super) fn ack(ids: &[u64]) -> Vec<u8> {
    about_ids("ack", ids)
}

/// Records of a source that were left out, because errors are tolerated.
pub(super) fn dropped(ids: &[u64]) -> Vec<u8> {
    about_ids("dropped", ids)
}

/// Partitions that a sink gets records of from now on.
pub(super) fn open(partitions: &[TopicPartition]) -> Vec<u8> {
    about_partitions("open", partitions)
}

/// Partitions that a sink gets no records of any more.
pub(super) fn close(partitions: &[TopicPartition]) -> Vec<u8> {
    about_partitions("close", partitions)
}

/// A sink should write and acknowledge what it holds: offsets are about to be committed.
pub(super) fn flush() -> Vec<u8> {
    line(&json!({"flush": {}}))
}

fn about_ids(what: &str, ids: &[u64]) -> Vec<u8> {
    // By hand: this is said for every record of a source.
    let mut text = format!("{{\"{what}\":{{\"ids\":[");
    for (index, id) in ids.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&id.to_string());
    }
    text.push_str("]}}\n");
    text.into_bytes()
}

fn about_partitions(what: &str, partitions: &[TopicPartition]) -> Vec<u8> {
    let each = partitions.iter().map(|of| json!({"topic": &*of.topic, "partition": of.partition}));
    line(&json!({ what: {"partitions": each.collect::<Vec<_>>()} }))
}

fn object(map: &OffsetMap) -> Json {
    let members = map.iter().map(|(name, value)| {
        let value = match value {
            OffsetValue::Null => Json::Null,
            OffsetValue::Boolean(truth) => Json::from(*truth),
            OffsetValue::Long(number) => Json::from(*number),
            OffsetValue::Double(number) => Json::from(*number),
            OffsetValue::String(text) => Json::from(&**text),
        };
        (name.to_owned(), value)
    });
    Json::Object(members.collect::<Map<_, _>>())
}

fn line(message: &Json) -> Vec<u8> {
    format!("{message}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn every_line_is_an_object_with_one_member() {
        let place = Place { connector: "n".to_owned(), task: 1, tasks: 3 };
        let config = Settings::from_iter([("a".to_owned(), "x\ny".to_owned())]);
        let partitions = [TopicPartition { topic: "t".into(), partition: 0 }];
        let stored = [(OffsetMap::of("f", "a"), Some(OffsetMap::of("n", 1))), (OffsetMap::new(), None)];
        let lines = [
            start(Kind::Source, &place, &config),
            offsets(&stored),
            ack(&[1, 2]),
            dropped(&[3]),
            open(&partitions),
            flush(),
            close(&partitions),
            stop(),
        ];
        for line in &lines {
            let json: Json = serde_json::from_slice(line).unwrap();
            assert_eq!(json.as_object().unwrap().len(), 1);
        }
        expect![[r#"
            {"start":{"protocol":1,"kind":"source","connector":"n","task":1,"tasks":3,"config":{"a":"x\ny"}}}
            {"offsets":[{"source_partition":{"f":"a"},"source_offset":{"n":1}},{"source_partition":{},"source_offset":null}]}
            {"ack":{"ids":[1,2]}}
            {"dropped":{"ids":[3]}}
            {"open":{"partitions":[{"topic":"t","partition":0}]}}
            {"flush":{}}
            {"close":{"partitions":[{"topic":"t","partition":0}]}}
            {"stop":{}}
        "#]]
        .assert_eq(&String::from_utf8(lines.concat()).unwrap());
    }
}
