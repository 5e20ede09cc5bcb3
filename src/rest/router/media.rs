//! Media types: what the body says it is, and what the client takes.

use super::{Body, Refusal};
use crate::rest::http::HttpRequest;

/// Refuses a body that is not JSON by its own account, on the paths that take JSON.
pub(super) fn check_content_type(request: &HttpRequest, body: Body) -> Result<(), Refusal> {
    let mut values = request.header_values("Content-Type");
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(Refusal::BadRequest("More than one Content-Type header".to_owned()));
    }
    let content_type = match first {
        None => None,
        Some(value) => match media_type(value) {
            Some(content_type) => Some(content_type),
            None => return Err(Refusal::BadRequest(format!("Malformed Content-Type header '{value}'"))),
        },
    };
    let is_json = content_type.map(|(kind, subtype)| {
        kind.eq_ignore_ascii_case("application") && subtype.eq_ignore_ascii_case("json")
    });
    match (body, is_json) {
        (Body::Any, _) | (Body::Json | Body::JsonOrNone, Some(true)) | (Body::JsonOrNone, None) => Ok(()),
        // Without a body the missing body is what has to be said, not its missing type.
        (Body::Json, None) if request.body.is_empty() => Ok(()),
        (Body::Json, None | Some(false)) | (Body::JsonOrNone, Some(false)) => {
            Err(Refusal::UnsupportedMediaType)
        }
    }
}

/// Whether the client takes that type; without an `Accept` header it takes all. The closest range decides.
pub(super) fn accepts(request: &HttpRequest, kind: &str, subtype: &str) -> bool {
    let mut ranges = request
        .header_values("Accept")
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|range| !range.is_empty())
        .peekable();
    if ranges.peek().is_none() {
        return true;
    }
    let closeness = |range: (&str, &str)| match range {
        (k, s) if k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(subtype) => Some(2),
        (k, "*") if k.eq_ignore_ascii_case(kind) => Some(1),
        ("*", "*") => Some(0),
        _ => None,
    };
    let closest =
        ranges.filter_map(|range| Some((closeness(media_type(range)?)?, !is_excluded(range)))).max();
    closest.is_some_and(|(_, taken)| taken)
}

/// Whether a range has the quality 0.
fn is_excluded(range: &str) -> bool {
    let parameters = range.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let mut qualities = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    qualities.next().is_some_and(|(_, quality)| quality.trim().parse() == Ok(0.0_f32))
}

/// The type and subtype of a media type or range, parameters dropped; `None` if it is malformed.
fn media_type(value: &str) -> Option<(&str, &str)> {
    let is_token = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let (kind, subtype) = value.split(';').next()?.trim().split_once('/')?;
    (is_token(kind) && is_token(subtype)).then_some((kind, subtype))
}
