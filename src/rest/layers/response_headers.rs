//! Headers that the operator wants on every answer (`response.http.headers.config`, KIP-577).

use std::time::Duration;

use jiff::Timestamp;

use crate::rest::http::HttpResponse;

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRule {
    /// The header.
    pub name: String,
    /// Whether it stands beside those of the same name, or in their place.
    pub adds: bool,
    /// What it holds.
    pub value: HeaderValue,
}

/// What a header of a rule holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderValue {
    /// This text.
    Text(String),
    /// The moment so long after the answer, as an HTTP date.
    DateAfter(Duration),
}

/// Does to the answer what the rules say, in their order.
pub(in crate::rest) fn apply(rules: &[HeaderRule], now: Timestamp, response: &mut HttpResponse) {
    for HeaderRule { name, adds, value } in rules {
        if !adds {
            response.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        }
        let value = match value {
            HeaderValue::Text(text) => text.clone(),
            HeaderValue::DateAfter(delay) => http_date(now, *delay),
        };
        response.headers.push((name.clone().into(), value.into()));
    }
}

/// An HTTP date; the last there is if the delay leads beyond.
fn http_date(now: Timestamp, delay: Duration) -> String {
    let moment = now.checked_add(delay).unwrap_or(Timestamp::MAX);
    moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_set_and_add_texts_and_dates() {
        let rule = |name: &str, adds, value| HeaderRule { name: name.to_owned(), adds, value };
        let text = |text: &str| HeaderValue::Text(text.to_owned());
        let rules = [
            rule("X-A", true, text("1")),
            rule("x-a", true, text("2")),
            rule("content-type", false, text("text/x")),
            rule("Expires", false, HeaderValue::DateAfter(Duration::from_secs(3600))),
        ];
        let mut response = HttpResponse::json(200, "{}");
        apply(&rules, "2024-05-01T10:00:00Z".parse().unwrap(), &mut response);
        let expected = [
            ("X-A".into(), "1".into()),
            ("x-a".into(), "2".into()),
            ("content-type".into(), "text/x".into()),
            ("Expires".into(), "Wed, 01 May 2024 11:00:00 GMT".into()),
        ];
        assert_eq!(response.headers, expected);
    }
}
