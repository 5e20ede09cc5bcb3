//! The values of records in the config and status topics: one JSON object each, compact, in the order of Apache.

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::java_json;

/// Reads a value as Apache reads it: nothing, blanks and `null` are none, and what stands behind the first JSON value is
/// passed over.
pub(super) fn parse(value: Option<&[u8]>) -> Result<Option<Json>, serde_json::Error> {
    let Some(bytes) = value.filter(|bytes| !bytes.trim_ascii().is_empty()) else { return Ok(None) };
    let json = Json::deserialize(&mut serde_json::Deserializer::from_slice(bytes))?;
    Ok(Some(json).filter(|json| !json.is_null()))
}

/// The members of a value. The error says what is wrong with it.
pub(super) fn object(value: Option<Json>) -> Result<Map<String, Json>, &'static str> {
    match value {
        Some(Json::Object(members)) => Ok(members),
        Some(Json::Null) | None => Err("it has no value"),
        Some(Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_)) => {
            Err("its value is no object")
        }
    }
}

/// A JSON object that is being written.
pub(super) struct ObjectWriter(Vec<u8>);

impl ObjectWriter {
    pub(super) fn new() -> Self {
        ObjectWriter(vec![b'{'])
    }

    pub(super) fn text(mut self, name: &str, text: &str) -> Self {
        self.name(name);
        java_json::write_string(&mut self.0, text);
        self
    }

    pub(super) fn text_or_null(mut self, name: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(name, text),
            None => {
                self.name(name);
                self.0.extend_from_slice(b"null");
                self
            }
        }
    }

    pub(super) fn number(mut self, name: &str, number: impl Into<i64>) -> Self {
        self.name(name);
        self.0.extend_from_slice(number.into().to_string().as_bytes());
        self
    }

    pub(super) fn boolean(mut self, name: &str, truth: bool) -> Self {
        self.name(name);
        self.0.extend_from_slice(truth.to_string().as_bytes());
        self
    }

    pub(super) fn object(mut self, name: &str, inner: ObjectWriter) -> Self {
        self.name(name);
        self.0.extend_from_slice(&inner.finish());
        self
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        java_json::write_string(&mut self.0, name);
        self.0.push(b':');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_apache_reads_them() {
        for none in [None, Some(&b""[..]), Some(b" \t\r\n"), Some(b"null"), Some(b" null ")] {
            assert_eq!(parse(none).unwrap(), None, "{none:?}");
        }
        for (bytes, expected) in [
            (&b"{\"a\":1} x"[..], "{\"a\":1}"),
            (b"{\"a\":1}}", "{\"a\":1}"),
            (b"{\"a\":1,\"a\":2}", "{\"a\":2}"),
            (b"5", "5"),
        ] {
            assert_eq!(parse(Some(bytes)).unwrap().unwrap().to_string(), expected);
        }
        for bytes in [&b"x"[..], b"{a:1}", b"[1,2", b"{\"a\":NaN}", b"{\"a\":\"\n\"}", b"\"\xc3\""] {
            assert!(parse(Some(bytes)).is_err(), "{}", bytes.escape_ascii());
        }
    }
}
