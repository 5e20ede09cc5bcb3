//! Stored offsets as bytes: the key `["connector",{partition}]` and the value `{offset}`, both JSON. The same in the
//! offsets file and in the offsets topic, and the same bytes that Apache writes, because a key is found by its bytes.

use std::fmt;

use bytes::Bytes;
use serde_json::Value;

use super::java_json;
use crate::api::ids::ConnectorName;
use crate::api::offset::{OffsetMap, OffsetValue};

/// The key of a stored offset: a connector and one of its source partitions.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OffsetKey(Bytes);

/// Why the bytes of a key or value cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum OffsetRecordError {
    /// They are no JSON.
    #[error("it is no JSON")]
    Json(#[source] serde_json::Error),
    /// A key of another form.
    #[error("it is no array of a connector name and a source partition")]
    KeyForm,
    /// A value of another form.
    #[error("it is neither null nor an object")]
    ValueForm,
    /// An array or object where only simple values may stand.
    #[error("offsets may only contain primitive types as values, but field {0} contains an array or object")]
    Nested(String),
}

impl OffsetKey {
    /// The key under which offsets of this partition are stored.
    pub fn new(connector: &ConnectorName, partition: &OffsetMap) -> Self {
        let mut out = OffsetKey::prefix_of(connector);
        write_map(&mut out, partition);
        out.push(b']');
        OffsetKey(out.into())
    }

    /// What all keys of a connector begin with.
    pub(super) fn prefix_of(connector: &ConnectorName) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.push(b'[');
        java_json::write_string(&mut out, connector.as_str());
        out.push(b',');
        out
    }

    /// Bytes that were stored, whatever they are.
    pub fn from_stored(bytes: Bytes) -> Self {
        OffsetKey(bytes)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The bytes to store, without the key around them.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The connector and partition that the key names. `None` for a connector's offset without a partition, which
    /// Apache stores and never lists.
    pub fn parse(&self) -> Result<Option<(ConnectorName, OffsetMap)>, OffsetRecordError> {
        let key: Value = serde_json::from_slice(&self.0).map_err(OffsetRecordError::Json)?;
        let Value::Array(parts) = key else { return Err(OffsetRecordError::KeyForm) };
        match <[Value; 2]>::try_from(parts) {
            Ok([Value::String(connector), Value::Object(partition)]) => {
                Ok(Some((ConnectorName::new(connector), offset_map(partition)?)))
            }
            Ok([Value::String(_), Value::Null]) => Ok(None),
            Ok(_) | Err(_) => Err(OffsetRecordError::KeyForm),
        }
    }
}

impl fmt::Debug for OffsetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OffsetKey({})", self.0.escape_ascii())
    }
}

/// The bytes of a stored offset.
pub fn encode_offset(offset: &OffsetMap) -> Bytes {
    let mut out = Vec::with_capacity(64);
    write_map(&mut out, offset);
    out.into()
}

/// The offset that was stored; `None` for JSON's null.
pub fn decode_offset(stored: &[u8]) -> Result<Option<OffsetMap>, OffsetRecordError> {
    match serde_json::from_slice(stored).map_err(OffsetRecordError::Json)? {
        Value::Null => Ok(None),
        Value::Object(members) => offset_map(members).map(Some),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(OffsetRecordError::ValueForm)
        }
    }
}

fn write_map(out: &mut Vec<u8>, map: &OffsetMap) {
    out.push(b'{');
    for (index, (name, value)) in java_json::hash_map_order(map.iter()).into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        java_json::write_string(out, name);
        out.push(b':');
        match value {
            OffsetValue::Null => out.extend_from_slice(b"null"),
            OffsetValue::Boolean(truth) => out.extend_from_slice(truth.to_string().as_bytes()),
            OffsetValue::Long(number) => out.extend_from_slice(number.to_string().as_bytes()),
            OffsetValue::Double(number) => java_json::write_double(out, *number),
            OffsetValue::String(text) => java_json::write_string(out, text),
        }
    }
    out.push(b'}');
}

fn offset_map(members: serde_json::Map<String, Value>) -> Result<OffsetMap, OffsetRecordError> {
    let mut map = OffsetMap::new();
    for (name, value) in members {
        let value = match value {
            Value::Null => OffsetValue::Null,
            Value::Bool(truth) => OffsetValue::Boolean(truth),
            Value::Number(number) => offset_number(number.as_str()),
            Value::String(text) => OffsetValue::String(text.into()),
            Value::Array(_) | Value::Object(_) => return Err(OffsetRecordError::Nested(name)),
        };
        map.insert(name, value);
    }
    Ok(map)
}

/// As Apache reads numbers: a whole one keeps its low 64 bits; one with fraction or exponent is a double.
fn offset_number(text: &str) -> OffsetValue {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        // JSON's numbers are all numbers of Rust; one too large for the type becomes infinite.
        return OffsetValue::Double(text.parse().unwrap_or(f64::NAN));
    }
    let low_bits =
        digits.bytes().fold(0_i64, |sum, digit| sum.wrapping_mul(10).wrapping_add((digit - b'0').into()));
    OffsetValue::Long(if negative { low_bits.wrapping_neg() } else { low_bits })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(entries: &[(&'static str, OffsetValue)]) -> OffsetMap {
        let mut map = OffsetMap::new();
        for (name, value) in entries {
            map.insert(*name, value.clone());
        }
        map
    }

    fn key_text(connector: &str, partition: &OffsetMap) -> String {
        String::from_utf8(OffsetKey::new(&connector.into(), partition).as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn keys_are_those_of_apache() {
        let file = OffsetMap::of("filename", "test.txt");
        assert_eq!(key_text("local-file-source", &file), r#"["local-file-source",{"filename":"test.txt"}]"#);
        let stdin = OffsetMap::of("filename", None::<&str>);
        assert_eq!(key_text("stdin-source", &stdin), r#"["stdin-source",{"filename":null}]"#);
        assert_eq!(key_text("empty", &OffsetMap::new()), r#"["empty",{}]"#);
        let mirror = map(&[("topic", "t".into()), ("partition", 3.into()), ("cluster", "a".into())]);
        assert_eq!(key_text("mm2", &mirror), r#"["mm2",{"cluster":"a","partition":3,"topic":"t"}]"#);
    }

    #[test]
    fn the_keys_of_the_sample_file_come_out_of_their_own_parts() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/connect-offsets-multi.bin");
        let entries = crate::store::java_map::read(&std::fs::read(path).unwrap()).unwrap();
        for (key, value) in entries {
            let key = OffsetKey::from_stored(key.unwrap());
            let (connector, partition) = key.parse().unwrap().unwrap();
            assert_eq!(OffsetKey::new(&connector, &partition), key);
            if let Some(value) = value {
                // Values are not looked up by their bytes; this file has one whose members are in another order.
                let offset = decode_offset(&value).unwrap();
                assert_eq!(decode_offset(&encode_offset(offset.as_ref().unwrap())).unwrap(), offset);
            }
        }
    }

    #[test]
    fn numbers_come_back_as_long_or_double() {
        for (text, expected) in [
            ("7", OffsetValue::Long(7)),
            ("-9223372036854775808", OffsetValue::Long(i64::MIN)),
            ("18446744073709551617", OffsetValue::Long(1)),
            ("7.0", OffsetValue::Double(7.0)),
            ("1E3", OffsetValue::Double(1000.0)),
        ] {
            let offset = decode_offset(format!(r#"{{"n":{text}}}"#).as_bytes()).unwrap().unwrap();
            assert_eq!(offset.get("n"), Some(&expected), "{text}");
        }
    }

    #[test]
    fn other_forms_are_errors() {
        assert!(decode_offset(b"null").unwrap().is_none());
        for (value, message) in [
            (&b"[]"[..], "it is neither null nor an object"),
            (b"{", "it is no JSON"),
            (
                br#"{"a":{}}"#,
                "offsets may only contain primitive types as values, but field a contains an array or object",
            ),
        ] {
            assert_eq!(decode_offset(value).unwrap_err().to_string(), message);
        }
        for key in ["7", "[\"a\"]", "[1,{}]", "[\"a\",1]", "[\"a\",{},{}]", "{\"a\":1}"] {
            let error = OffsetKey::from_stored(Bytes::from_static(key.as_bytes())).parse().unwrap_err();
            assert!(matches!(error, OffsetRecordError::KeyForm), "{key}: {error}");
        }
        assert!(OffsetKey::from_stored(Bytes::from_static(b"[\"a\",null]")).parse().unwrap().is_none());
    }

    fn value() -> impl Strategy<Value = OffsetValue> {
        prop_oneof![
            Just(OffsetValue::Null),
            any::<bool>().prop_map(OffsetValue::Boolean),
            any::<i64>().prop_map(OffsetValue::Long),
            any::<f64>()
                .prop_filter("JSON has no such number", |x| x.is_finite())
                .prop_map(OffsetValue::Double),
            any::<String>().prop_map(|text| OffsetValue::String(text.into())),
        ]
    }

    proptest! {
        #[test]
        fn what_is_stored_comes_back(
            connector in any::<String>(),
            entries in prop::collection::vec((any::<String>(), value()), 0..20),
        ) {
            let mut map = OffsetMap::new();
            for (name, value) in entries {
                map.insert(name, value);
            }
            let key = OffsetKey::new(&ConnectorName::new(connector.as_str()), &map);
            prop_assert_eq!(key.parse().unwrap(), Some((ConnectorName::new(connector), map.clone())));
            prop_assert_eq!(decode_offset(&encode_offset(&map)).unwrap(), Some(map));
        }
    }
}
