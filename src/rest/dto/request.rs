//! Bodies of requests. What is wrong with one is a 400 that says what; Apache answers most of it with a 500.
//!
//! A body is one JSON value and nothing after it. Of equal names the last counts. Numbers and truth values stand for
//! their text as it was written, where a text is wanted. Names that mean nothing are refused, so that a misspelt one
//! is not ignored.

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::api::Settings;
use crate::herder::msg::Draft;
use crate::store::config_state::TargetState;

/// What is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::rest) enum BodyError {
    #[error("The request has no body: send a JSON object")]
    Missing,
    #[error("The request body is not valid JSON: {0}")]
    Syntax(String),
    #[error("The request body must be a JSON object, not {0}")]
    NotAnObject(&'static str),
    #[error("Unrecognized field \"{field}\": known are {known}")]
    UnknownField { field: String, known: &'static str },
    #[error("The field \"{field}\" must be {wanted}, not {found}")]
    WrongType { field: String, wanted: &'static str, found: &'static str },
    #[error("The field \"config\" is missing: send the configuration of the connector as a JSON object")]
    NoConfig,
    #[error("Invalid initial_state '{0}': use RUNNING, PAUSED or STOPPED")]
    InitialState(String),
    #[error("Partitions / offsets need to be provided for an alter offsets request")]
    NoOffsets,
    #[error("Desired 'level' parameter was not specified in request.")]
    NoLevel,
    #[error("The request body must be a JSON array with the configuration of each task, not {0}")]
    NoTasks(&'static str),
}

/// The body of `POST /connectors`.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::rest) struct CreateRequest {
    /// The name, blanks and control characters at its ends cut; empty if there is none.
    pub(in crate::rest) name: String,
    /// The settings.
    pub(in crate::rest) config: Draft,
    /// The initial state (KIP-980).
    pub(in crate::rest) target: Option<TargetState>,
}

/// Reads the body of `POST /connectors`.
pub(in crate::rest) fn create_body(body: &[u8]) -> Result<CreateRequest, BodyError> {
    let mut fields = object(body)?;
    only_known(&fields, &["name", "config", "initial_state"], "name, config, initial_state")?;
    let name = match fields.swap_remove("name") {
        None => None,
        Some(name) => text("name", name)?,
    };
    let config = match fields.swap_remove("config").map(|config| (kind(config), config)) {
        None | Some((Kind::Null, _)) => return Err(BodyError::NoConfig),
        Some((Kind::Object, config)) => draft(parse(config.get().as_bytes())?)?,
        Some((other, _)) => return Err(wrong("config", "an object", other)),
    };
    let target = match fields.swap_remove("initial_state").map(|state| (kind(state), state)) {
        None | Some((Kind::Null, _)) => None,
        Some((Kind::String, state)) => {
            let word: String = parse(state.get().as_bytes())?;
            Some(TargetState::from_initial(&word).ok_or(BodyError::InitialState(word))?)
        }
        Some((other, _)) => return Err(wrong("initial_state", "a string", other)),
    };
    let name = name.unwrap_or_default().trim_matches(|c| c <= ' ').to_owned();
    Ok(CreateRequest { name, config, target })
}

/// Reads a body that is a configuration.
pub(in crate::rest) fn config_body(body: &[u8]) -> Result<Draft, BodyError> {
    draft(object(body)?)
}

/// Reads the body of `PATCH …/offsets`: partitions and offsets, missing ones as null.
pub(in crate::rest) fn offsets_body(body: &[u8]) -> Result<Vec<(Json, Json)>, BodyError> {
    let mut fields = object(body)?;
    only_known(&fields, &["offsets"], "offsets")?;
    let entries: Vec<&RawValue> = match fields.swap_remove("offsets").map(|entries| (kind(entries), entries))
    {
        None | Some((Kind::Null, _)) => return Err(BodyError::NoOffsets),
        Some((Kind::Array, entries)) => parse(entries.get().as_bytes())?,
        Some((other, _)) => return Err(wrong("offsets", "an array", other)),
    };
    if entries.is_empty() {
        return Err(BodyError::NoOffsets);
    }
    entries.into_iter().enumerate().map(|(index, entry)| offset_entry(index, entry)).collect()
}

fn offset_entry(index: usize, entry: &RawValue) -> Result<(Json, Json), BodyError> {
    let here = format!("offsets[{index}]");
    if kind(entry) != Kind::Object {
        return Err(wrong(&here, "an object", kind(entry)));
    }
    let mut fields: Fields<'_> = parse(entry.get().as_bytes())?;
    only_known(&fields, &["partition", "offset"], "partition, offset")?;
    let mut part = |name: &str| match fields.swap_remove(name).map(|part| (kind(part), part)) {
        None | Some((Kind::Null, _)) => Ok(Json::Null),
        Some((Kind::Object, part)) => parse(part.get().as_bytes()),
        Some((other, _)) => Err(wrong(&format!("{here}.{name}"), "an object or null", other)),
    };
    Ok((part("partition")?, part("offset")?))
}

/// Reads the body of `POST …/tasks`: the settings of each task. One that is null is as good as none.
pub(in crate::rest) fn tasks_body(body: &[u8]) -> Result<Vec<Settings>, BodyError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(BodyError::NoTasks("nothing"));
    }
    let whole: &RawValue = parse(body)?;
    if kind(whole) != Kind::Array {
        return Err(BodyError::NoTasks(kind(whole).describe()));
    }
    let tasks: Vec<&RawValue> = parse(body)?;
    tasks.into_iter().enumerate().map(|(index, task)| task_settings(index, task)).collect()
}

fn task_settings(index: usize, task: &RawValue) -> Result<Settings, BodyError> {
    if kind(task) != Kind::Object {
        return Err(wrong(&format!("[{index}]"), "an object", kind(task)));
    }
    let settings = draft(parse(task.get().as_bytes())?)?;
    Ok(settings.into_iter().filter_map(|(key, value)| Some((key, value?))).collect())
}

/// Reads the body of `PUT /admin/loggers/…`: the level as it was written. Other fields are ignored.
pub(in crate::rest) fn level_body(body: &[u8]) -> Result<String, BodyError> {
    let level = object(body)?.swap_remove("level").ok_or(BodyError::NoLevel)?;
    text("level", level)?.ok_or(BodyError::NoLevel)
}

/// The fields of an object, each as it was written.
type Fields<'b> = IndexMap<String, &'b RawValue>;

fn object(body: &[u8]) -> Result<Fields<'_>, BodyError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(BodyError::Missing);
    }
    let whole: &RawValue = parse(body)?;
    if kind(whole) != Kind::Object {
        return Err(BodyError::NotAnObject(kind(whole).describe()));
    }
    parse(body)
}

fn parse<'b, T: Deserialize<'b>>(json: &'b [u8]) -> Result<T, BodyError> {
    serde_json::from_slice(json).map_err(|error| BodyError::Syntax(error.to_string()))
}

fn only_known(fields: &Fields<'_>, known: &[&str], listed: &'static str) -> Result<(), BodyError> {
    match fields.keys().find(|field| !known.contains(&field.as_str())) {
        None => Ok(()),
        Some(field) => Err(BodyError::UnknownField { field: field.clone(), known: listed }),
    }
}

fn draft(config: Fields<'_>) -> Result<Draft, BodyError> {
    config.into_iter().map(|(key, value)| text(&key, value).map(|value| (key, value))).collect()
}

/// A text, or what stands for one; `None` for null.
fn text(field: &str, value: &RawValue) -> Result<Option<String>, BodyError> {
    match kind(value) {
        Kind::Null => Ok(None),
        Kind::String => parse(value.get().as_bytes()).map(Some),
        // As it was written: `1.50` stays `1.50`.
        Kind::Number | Kind::Boolean => Ok(Some(value.get().to_owned())),
        other @ (Kind::Array | Kind::Object) => Err(wrong(field, "a string, number, boolean or null", other)),
    }
}

fn wrong(field: &str, wanted: &'static str, found: Kind) -> BodyError {
    BodyError::WrongType { field: field.to_owned(), wanted, found: found.describe() }
}

/// What kind of JSON value a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

/// The kind of a value, which its first character tells.
fn kind(json: &RawValue) -> Kind {
    match json.get().as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b't' | b'f') => Kind::Boolean,
        Some(b'n') | None => Kind::Null,
        Some(_) => Kind::Number,
    }
}

impl Kind {
    fn describe(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Boolean => "a boolean",
            Kind::Number => "a number",
            Kind::String => "a string",
            Kind::Array => "an array",
            Kind::Object => "an object",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(body: &str) -> Vec<(String, Option<String>)> {
        config_body(body.as_bytes()).unwrap().into_iter().collect()
    }

    fn entry(key: &str, value: Option<&str>) -> (String, Option<String>) {
        (key.to_owned(), value.map(str::to_owned))
    }

    #[test]
    fn values_stand_for_their_text() {
        let body = r#"{"a":1,"b":1.50,"c":1e3,"d":true,"e":null,"f":"x","g":123456789012345678901234567890,
                       "h":-0.0,"i":1E+2}"#;
        let expected = [
            entry("a", Some("1")),
            entry("b", Some("1.50")),
            entry("c", Some("1e3")),
            entry("d", Some("true")),
            entry("e", None),
            entry("f", Some("x")),
            entry("g", Some("123456789012345678901234567890")),
            entry("h", Some("-0.0")),
            entry("i", Some("1E+2")),
        ];
        assert_eq!(config(body), expected);
        assert_eq!(config(r#"{"a":"1","a":"2"}"#), [entry("a", Some("2"))]);
    }

    #[test]
    fn a_body_to_create() {
        let create =
            create_body(br#"{"name":"\t c\u0001","config":{"a":"b"},"initial_state":"paused"}"#).unwrap();
        assert_eq!(create.name, "c");
        assert_eq!(create.target, Some(TargetState::Paused));
        for (body, name) in
            [(r#"{"config":{}}"#, ""), (r#"{"name":7,"config":{},"initial_state":null}"#, "7")]
        {
            let create = create_body(body.as_bytes()).unwrap();
            assert_eq!((create.name.as_str(), create.target), (name, None));
        }
    }

    #[test]
    fn what_is_wrong_with_a_body_to_create_is_said() {
        let table = [
            ("", "no body"),
            ("  \n", "no body"),
            ("{", "not valid JSON: EOF"),
            ("{} x", "trailing characters"),
            ("{} {}", "trailing characters"),
            ("{'a':1}", "not valid JSON"),
            ("{/**/}", "not valid JSON"),
            (r#"{"config":{"a":NaN}}"#, "not valid JSON"),
            ("[]", "not an array"),
            ("null", "not null"),
            (r#""s""#, "not a string"),
            (r#"{"config":{},"extra":1}"#, r#"Unrecognized field "extra""#),
            (r#"{"config":{},"NAME":"c"}"#, r#"Unrecognized field "NAME""#),
            (r#"{"name":"x"}"#, r#""config" is missing"#),
            (r#"{"name":"x","config":null}"#, r#""config" is missing"#),
            (r#"{"config":[]}"#, r#""config" must be an object, not an array"#),
            (
                r#"{"config":{"k":{"a":1}}}"#,
                r#""k" must be a string, number, boolean or null, not an object"#,
            ),
            (r#"{"config":{"k":[]}}"#, r#""k" must be"#),
            (r#"{"config":{},"initial_state":"bogus"}"#, "Invalid initial_state 'bogus'"),
            (r#"{"config":{},"initial_state":""}"#, "Invalid initial_state ''"),
            (r#"{"config":{},"initial_state":1}"#, r#""initial_state" must be a string, not a number"#),
        ];
        for (body, expected) in table {
            let error = create_body(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{body}: {error}");
        }
        let error = create_body(b"{\"name\":\"\xff\",\"config\":{}}").unwrap_err();
        assert!(matches!(error, BodyError::Syntax(_)), "{error}");
    }

    #[test]
    fn bodies_with_offsets() {
        let body = br#"{"offsets":[{"partition":{"f":"x"},"offset":{"p":3}},{"partition":{"f":"y"},"offset":null},{}]}"#;
        let expected = vec![
            (json!({"f": "x"}), json!({"p": 3})),
            (json!({"f": "y"}), Json::Null),
            (Json::Null, Json::Null),
        ];
        assert_eq!(offsets_body(body), Ok(expected));
        for body in ["{}", r#"{"offsets":null}"#, r#"{"offsets":[]}"#] {
            assert_eq!(offsets_body(body.as_bytes()), Err(BodyError::NoOffsets), "{body}");
        }
        let table = [
            (r#"{"offsets":[null]}"#, r#""offsets[0]" must be an object, not null"#),
            (r#"{"offsets":{}}"#, r#""offsets" must be an array"#),
            (r#"{"offsets":[{}],"x":1}"#, r#"Unrecognized field "x""#),
            (r#"{"offsets":[{"partitions":{}}]}"#, r#"Unrecognized field "partitions""#),
            (r#"{"offsets":[{"partition":3}]}"#, r#""offsets[0].partition" must be an object or null"#),
        ];
        for (body, expected) in table {
            let error = offsets_body(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{body}: {error}");
        }
    }

    #[test]
    fn bodies_with_tasks() {
        let settings = |pairs: &[(&str, &str)]| -> Settings {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(tasks_body(b"[]"), Ok(Vec::new()));
        let body = br#" [{"a":"1","b":2,"c":null},{}]"#;
        assert_eq!(tasks_body(body), Ok(vec![settings(&[("a", "1"), ("b", "2")]), settings(&[])]));
        let table = [
            ("", "with the configuration of each task, not nothing"),
            ("{}", "with the configuration of each task, not an object"),
            ("x", "not valid JSON"),
            ("[1]", r#""[0]" must be an object, not a number"#),
            (r#"[{},{"a":[]}]"#, r#""a" must be a string, number, boolean or null"#),
        ];
        for (body, expected) in table {
            let error = tasks_body(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{body}: {error}");
        }
    }

    #[test]
    fn bodies_with_a_level() {
        assert_eq!(level_body(br#"{"level":"DEBUG","x":[]}"#), Ok("DEBUG".to_owned()));
        assert_eq!(level_body(br#"{"level":1}"#), Ok("1".to_owned()));
        for body in ["{}", r#"{"level":null}"#, r#"{"LEVEL":"INFO"}"#] {
            assert_eq!(level_body(body.as_bytes()), Err(BodyError::NoLevel), "{body}");
        }
        assert_eq!(level_body(b"null"), Err(BodyError::NotAnObject("null")));
    }

    proptest::proptest! {
        #[test]
        fn any_body_is_read_or_refused(body: Vec<u8>, json in "[\\[\\]{}:,\"a0-9.eE+ -]{0,40}") {
            for body in [&body[..], json.as_bytes()] {
                drop(create_body(body));
                drop(config_body(body));
                drop(offsets_body(body));
                drop(level_body(body));
                drop(tasks_body(body));
            }
        }

        #[test]
        fn any_number_keeps_its_text(number in "-?(0|[1-9][0-9]{0,30})([.][0-9]{1,30})?([eE][+-]?[0-9]{1,4})?") {
            let body = format!(r#"{{"k":{number}}}"#);
            proptest::prop_assert_eq!(config(&body), [entry("k", Some(&number))]);
        }
    }
}
