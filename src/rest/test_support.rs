//! Requests made and answers looked at by the tests of this folder.

use std::sync::Arc;

use bytes::Bytes;

use super::http::{HttpRequest, HttpResponse, ListenerLabel, Method, Origin};

/// A request to a main listener.
pub(super) fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> HttpRequest {
    request_to(ListenerLabel::Main, method, target, headers, body)
}

/// A request to a listener.
pub(super) fn request_to(
    listener: ListenerLabel,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> HttpRequest {
    HttpRequest {
        method: Method::of(method),
        target: target.to_owned(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        origin: Arc::new(Origin { peer: ([127, 0, 0, 1], 1).into(), listener, tls: None }),
    }
}

/// `GET` without headers and body.
pub(super) fn get(target: &str) -> HttpRequest {
    request("GET", target, &[], "")
}

/// A header of an answer.
pub(super) fn header<'r>(response: &'r HttpResponse, name: &str) -> Option<&'r str> {
    response
        .headers
        .iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_ref())
}
