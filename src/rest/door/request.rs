//! A request as the handler sees it: what concerns the request alone, in ASCII.

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;

use crate::rest::framing::RequestHead;
use crate::rest::http::{HttpRequest, Method, Origin};

/// What belongs to the client's connection and not to the request.
const HOP_FIELDS: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The request with that head and body.
pub(super) fn of(head: &RequestHead, body: Vec<u8>, origin: &Arc<Origin>) -> HttpRequest {
    let fields =
        head.fields().filter(|(name, _)| !HOP_FIELDS.iter().any(|hop| name.eq_ignore_ascii_case(hop)));
    HttpRequest {
        method: Method::of(head.method()),
        target: encoded(head.path_and_query()),
        headers: fields.map(|(name, value)| (name.to_owned(), ascii(value))).collect(),
        body: Bytes::from(body),
        origin: Arc::clone(origin),
    }
}

/// Bytes outside of ASCII percent-encoded.
fn encoded(target: &[u8]) -> String {
    let mut text = String::with_capacity(target.len());
    for byte in target {
        if byte.is_ascii() {
            text.push(char::from(*byte));
        } else {
            // A string takes all that is written to it.
            let _always_ok = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Bytes outside of ASCII as `?`.
fn ascii(value: &[u8]) -> String {
    value.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' }).collect()
}
