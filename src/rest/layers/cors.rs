//! Use from browsers of other origins (`access.control.allow.origin`, `access.control.allow.methods`).

use regex::Regex;

use crate::rest::http::{HttpRequest, HttpResponse, Method};

/// How long a browser may keep the answer to a preflight.
const MAX_AGE_SECONDS: &str = "60";

/// Which origins may use the API, and how.
#[derive(Debug, Clone)]
pub struct Cors {
    /// `None` stands for any origin.
    origins: Vec<Option<Regex>>,
    methods: String,
}

impl Cors {
    /// Of regular expressions that a whole `Origin` has to match, `*` for any, and the methods to allow.
    pub fn new(origins: &[String], methods: &[String]) -> Result<Self, regex::Error> {
        let origins = origins.iter().map(|origin| match origin.as_str() {
            "*" => Ok(None),
            pattern => Regex::new(&format!("^(?:{pattern})$")).map(Some),
        });
        Ok(Cors { origins: origins.collect::<Result<_, _>>()?, methods: methods.join(",") })
    }

    /// Adds what the browser asks for. The request is served whether or not its origin is allowed.
    pub(in crate::rest) fn apply(&self, request: &HttpRequest, response: &mut HttpResponse) {
        let mut add = |name: &'static str, value: &str| {
            response.headers.push((name.into(), value.to_owned().into()));
        };
        add("Vary", "Origin");
        let Some(origin) = request.header("Origin").filter(|origin| self.allows(origin)) else { return };
        add("Access-Control-Allow-Origin", origin);
        let wanted = request.header("Access-Control-Request-Method");
        if request.method == Method::Options && wanted.is_some() {
            add("Access-Control-Allow-Methods", &self.methods);
            add("Access-Control-Allow-Headers", "Content-Type");
            add("Access-Control-Max-Age", MAX_AGE_SECONDS);
        }
    }

    fn allows(&self, origin: &str) -> bool {
        self.origins.iter().any(|allowed| allowed.as_ref().is_none_or(|pattern| pattern.is_match(origin)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::test_support::{header, request};

    fn answer(origins: &[&str], method: &str, headers: &[(&str, &str)]) -> HttpResponse {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let cors = Cors::new(&texts(origins), &texts(&["POST", "GET", "PUT"])).unwrap();
        let mut response = HttpResponse::empty(200);
        cors.apply(&request(method, "/", headers, ""), &mut response);
        response
    }

    #[test]
    fn an_allowed_origin_is_echoed() {
        for origins in [&["*"][..], &["http://a\\..*"], &["x", "http://a.b"]] {
            let response = answer(origins, "GET", &[("Origin", "http://a.b")]);
            assert_eq!(header(&response, "Access-Control-Allow-Origin"), Some("http://a.b"), "{origins:?}");
            assert_eq!(header(&response, "Vary"), Some("Origin"));
            assert_eq!(header(&response, "Access-Control-Allow-Methods"), None);
        }
    }

    #[test]
    fn another_origin_gets_no_headers() {
        for headers in [&[("Origin", "http://a.bc")][..], &[]] {
            let response = answer(&["http://a.b"], "GET", headers);
            assert_eq!(response.headers, [("Vary".into(), "Origin".into())], "{headers:?}");
        }
    }

    #[test]
    fn a_preflight_is_told_what_is_allowed() {
        let headers = [("Origin", "o"), ("Access-Control-Request-Method", "DELETE")];
        let response = answer(&["*"], "OPTIONS", &headers);
        assert_eq!(header(&response, "Access-Control-Allow-Methods"), Some("POST,GET,PUT"));
        assert_eq!(header(&response, "Access-Control-Allow-Headers"), Some("Content-Type"));
        assert_eq!(header(&response, "Access-Control-Max-Age"), Some("60"));
    }
}
