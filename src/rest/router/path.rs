//! The path of a request: cut into segments, each decoded by itself. Bytes that cannot be part of a name are refused.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::Refusal;

/// Path and query of a request target; the query without its `?`.
pub(super) fn split_target(target: &str) -> (&str, &str) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    (without_authority(path), query)
}

/// The path of a target in absolute form (`http://host/path`), which HTTP asks every server to take.
fn without_authority(path: &str) -> &str {
    let Some(rest) = path.strip_prefix("http://").or_else(|| path.strip_prefix("https://")) else {
        return path;
    };
    rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/")
}

/// The decoded segments of a path. One slash at the end is ignored; parameters of a segment (`;a=b`) are cut.
pub(super) fn segments(path: &str) -> Result<Vec<String>, Refusal> {
    let Some(path) = path.strip_prefix('/') else {
        return Err(Refusal::NotFound);
    };
    if path.is_empty() {
        return Ok(Vec::new());
    }
    path.strip_suffix('/').unwrap_or(path).split('/').map(segment).collect()
}

fn segment(raw: &str) -> Result<String, Refusal> {
    if raw.is_empty() {
        return Err(bad("Ambiguous URI empty segment"));
    }
    let raw = raw.split(';').next().unwrap_or(raw);
    if !escapes_are_whole(raw) {
        return Err(bad(
            "Bad percent encoding in the path: each % must be followed by two hexadecimal digits",
        ));
    }
    let decoded = percent_decode_str(raw)
        .decode_utf8()
        .map_err(|_| bad("The path is not UTF-8 once it is percent-decoded"))?;
    if decoded == "." || decoded == ".." {
        return Err(bad("Ambiguous URI path segment"));
    }
    if decoded.chars().any(char::is_control) {
        return Err(bad("Suspicious Path Character"));
    }
    Ok(decoded.into_owned())
}

fn escapes_are_whole(raw: &str) -> bool {
    let mut parts = raw.split('%');
    let _before = parts.next();
    parts.all(|part| part.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2)
}

fn bad(message: &str) -> Refusal {
    Refusal::BadRequest(message.to_owned())
}

/// What has to be escaped so that a segment comes back as it was. Apache leaves `/`, `;` and `%` alone, and makes
/// URLs that lead nowhere.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b';')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A name as one path segment.
pub(in crate::rest) fn encode_segment(name: &str) -> String {
    utf8_percent_encode(name, SEGMENT).to_string()
}
