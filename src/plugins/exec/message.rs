//! What a program may say: one JSON object a line, whose only member names what it is about.
//!
//! ```json
//! {"ready":{}}
//! {"offsets":{"source_partitions":[{"file":"a"}]}}
//! {"record":{"id":1,"source_partition":{"file":"a"},"source_offset":{"line":1},"topic":"t","value":"text"}}
//! {"ack":{"ids":[1,2]}}
//! {"ack":{"through":2}}
//! {"failed":{"message":"the password is wrong"}}
//! ```
//! Pure: from bytes to values or to words about what is wrong with them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api::offset::{OffsetMap, OffsetValue};

/// The most of what is wrong with a line that is told: the line itself may be long.
const COMPLAINT_CHARS_MAX: usize = 300;

/// A line of a program.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message<'a> {
    /// It has begun; records may follow.
    Ready(Ready),
    /// It wants to know stored offsets.
    #[serde(borrow)]
    Offsets(Asked<'a>),
    /// A record of a source.
    #[serde(borrow)]
    Record(Box<WireRecord<'a>>),
    /// Records of a sink that are written.
    Ack(Ack),
    /// It cannot go on, and a new start would not help.
    Failed(Failed),
}

/// What a program wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ready {
    /// Whether a source wants to hear which of its records Kafka has.
    #[serde(default = "yes")]
    pub(super) acks: bool,
}

fn yes() -> bool {
    true
}

/// A question for stored offsets.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked<'a> {
    #[serde(borrow)]
    source_partitions: Vec<&'a RawValue>,
}

/// Which records are written: by their ids, or all up to one of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ack {
    #[serde(default)]
    pub(super) ids: Vec<u64>,
    pub(super) through: Option<u64>,
}

/// Why a program gives up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Failed {
    pub(super) message: String,
}

/// A record as a source says it. Keys and values are left as they are written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireRecord<'a> {
    pub(super) id: Option<u64>,
    #[serde(borrow)]
    pub(super) source_partition: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) source_offset: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) topic: Option<Cow<'a, str>>,
    pub(super) partition: Option<i32>,
    #[serde(borrow)]
    pub(super) key: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) key_with_schema: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) value: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) value_with_schema: Option<&'a RawValue>,
    pub(super) timestamp: Option<i64>,
    #[serde(borrow, default)]
    pub(super) headers: Vec<WireHeader<'a>>,
}

/// A header of such a record.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireHeader<'a> {
    #[serde(borrow)]
    pub(super) key: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) value: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) value_with_schema: Option<&'a RawValue>,
}

/// Reads a line, without its end.
///
/// # Errors
/// What is wrong with it, in words for the author of the program.
pub(super) fn read(line: &[u8]) -> Result<Message<'_>, String> {
    let text = std::str::from_utf8(line)
        .map_err(|error| format!("it is no UTF-8 at byte {}", error.valid_up_to()))?;
    serde_json::from_str(text).map_err(|error| shortened(&error.to_string()))
}

impl Asked<'_> {
    /// The partitions asked for.
    pub(super) fn partitions(&self) -> Result<Vec<OffsetMap>, String> {
        self.source_partitions.iter().map(|raw| offset_map("source_partitions", raw.get())).collect()
    }
}

/// Reads a source partition or offset: an object of simple values.
pub(super) fn offset_map(member: &str, text: &str) -> Result<OffsetMap, String> {
    let wrong = |what: &str| {
        format!("{member} {what}; it must be an object of texts, numbers, truth values and nulls")
    };
    let members: Members<'_> =
        serde_json::from_str(text).map_err(|error| wrong(&format!("is wrong: {error}")))?;
    let mut map = OffsetMap::new();
    for (name, raw) in members.0 {
        let value = offset_value(raw.get())
            .ok_or_else(|| wrong(&format!("has a value for {name} that cannot be stored")))?;
        map.insert(name, value);
    }
    Ok(map)
}

fn offset_value(text: &str) -> Option<OffsetValue> {
    Some(match text.as_bytes().first()? {
        b'"' => OffsetValue::String(serde_json::from_str::<Cow<'_, str>>(text).ok()?.as_ref().into()),
        b't' => OffsetValue::Boolean(true),
        b'f' => OffsetValue::Boolean(false),
        b'n' => OffsetValue::Null,
        b'[' | b'{' => return None,
        _ if text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()) => {
            OffsetValue::Long(text.parse().ok()?)
        }
        _ => OffsetValue::Double(text.parse().ok().filter(|number: &f64| number.is_finite())?),
    })
}

/// The members of an object in their order.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

fn shortened(complaint: &str) -> String {
    match complaint.char_indices().nth(COMPLAINT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", complaint.get(..end).unwrap_or_default()),
        None => complaint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_are_read() {
        let Message::Ready(ready) = read(br#"{"ready":{}}"#).unwrap() else { panic!() };
        assert!(ready.acks);
        let Message::Ready(ready) = read(br#"{"ready":{"acks":false}}"#).unwrap() else { panic!() };
        assert!(!ready.acks);
        let Message::Ack(ack) = read(br#" {"ack": {"ids": [1, 2]}} "#).unwrap() else { panic!() };
        assert_eq!(ack, Ack { ids: vec![1, 2], through: None });
        let Message::Failed(failed) = read(br#"{"failed":{"message":"n\u00e4"}}"#).unwrap() else { panic!() };
        assert_eq!(failed.message, "nä");
        let asked = br#"{"offsets":{"source_partitions":[{"a":1,"b":"x"},{}]}}"#;
        let Message::Offsets(asked) = read(asked).unwrap() else { panic!() };
        let mut first = OffsetMap::of("b", "x");
        first.insert("a", 1);
        assert_eq!(asked.partitions().unwrap(), [first, OffsetMap::new()]);
        let record = br#"{"record":{"id":7,"topic":"t","value":{"a":[1,null]},"headers":[{"key":"h","value":1}],"key":null}}"#;
        let Message::Record(record) = read(record).unwrap() else { panic!() };
        assert_eq!((record.id, record.topic.as_deref()), (Some(7), Some("t")));
        assert_eq!(record.value.unwrap().get(), r#"{"a":[1,null]}"#);
        assert!(record.key.is_none());
        assert_eq!(record.headers[0].value.unwrap().get(), "1");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, words) in [
            (&b"hello"[..], "expected value at line 1 column 1"),
            (b"{\"record\":{\"id\":1}", "EOF while parsing"),
            (
                br#"{"rekord":{}}"#,
                "unknown variant `rekord`, expected one of `ready`, `offsets`, `record`, `ack`, `failed`",
            ),
            (br#"{"record":{"vlaue":1}}"#, "unknown field `vlaue`"),
            (br#"{"record":{"id":-1}}"#, "invalid value"),
            (br#"{"ready":{}} {"ready":{}}"#, "trailing characters"),
            (br#"{"ack":{"ids":"all"}}"#, "expected a sequence"),
            (b"\xff", "no UTF-8 at byte 0"),
            (b"[]", "expected"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(words), "{}: {error}", String::from_utf8_lossy(line));
        }
        let long = format!("{{\"{}\":1}}", "x".repeat(10_000));
        assert!(read(long.as_bytes()).unwrap_err().len() < 400);
    }

    #[test]
    fn offsets_hold_simple_values_only() {
        let map = offset_map("source_offset", r#"{"a":"ä\n","b":-5,"c":1.5e3,"d":true,"e":null}"#).unwrap();
        let entries: Vec<_> = map.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        assert_eq!(
            entries,
            ["a=String(\"ä\\n\")", "b=Long(-5)", "c=Double(1500.0)", "d=Boolean(true)", "e=Null"]
        );
        for text in [
            "1",
            "[]",
            "null",
            r#"{"a":{}}"#,
            r#"{"a":[1]}"#,
            r#"{"a":9223372036854775808}"#,
            r#"{"a":1e999}"#,
        ] {
            let error = offset_map("source_offset", text).unwrap_err();
            assert!(
                error.starts_with("source_offset ") && error.contains("must be an object of"),
                "{text}: {error}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(line in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(read(&line).map(|_| ()));
        }

        #[test]
        fn no_mutated_line_makes_it_panic(at in 0..120_usize, byte in any::<u8>(), cut in 0..120_usize) {
            let mut line = br#"{"record":{"id":7,"source_partition":{"a":1},"source_offset":{"b":-2.5},"topic":"t","value":[1,"\u00e4"]}}"#.to_vec();
            if let Some(place) = line.get_mut(at) {
                *place = byte;
            }
            line.truncate(line.len().max(cut) - cut.min(line.len()) / 2);
            if let Ok(Message::Record(record)) = read(&line) {
                for raw in [record.source_partition, record.source_offset].into_iter().flatten() {
                    drop(offset_map("source_offset", raw.get()));
                }
            }
        }

        #[test]
        fn whole_numbers_survive(number in any::<i64>()) {
            let map = offset_map("source_offset", &format!("{{\"n\":{number}}}")).unwrap();
            prop_assert_eq!(map.get("n"), Some(&OffsetValue::Long(number)));
        }
    }
}
