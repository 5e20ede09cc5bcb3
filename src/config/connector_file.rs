//! The connector files of the command line: flat JSON, JSON with `name` and `config`, or Java properties.
//!
//! The three forms are tried in this order whatever the file is called, as in Apache Kafka Connect (KIP-1004).

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::files;
use super::properties::{self, PropertiesError};
use crate::api::Settings;

/// The state in which a new connector begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InitialState {
    /// It and its tasks run.
    #[default]
    Running,
    /// Its tasks are there and do nothing.
    Paused,
    /// It has no tasks.
    Stopped,
}

impl InitialState {
    /// Reads a state's name in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [("RUNNING", Self::Running), ("PAUSED", Self::Paused), ("STOPPED", Self::Stopped)]
            .into_iter()
            .find_map(|(name, state)| name.eq_ignore_ascii_case(text).then_some(state))
    }
}

/// A connector as one file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorFile {
    /// The connector's name.
    pub name: String,
    /// Its settings as written, `name` among them, references not resolved.
    pub config: Settings,
    /// The state in which it begins.
    pub initial_state: InitialState,
}

/// A connector file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorFileError {
    /// It cannot be read.
    #[error("cannot read the connector file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// It is neither JSON nor properties.
    #[error("the connector file {} is neither JSON nor a properties file", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong with it as a properties file.
        #[source]
        source: PropertiesError,
    },
    /// It begins like JSON and is none.
    #[error("the connector file {} is broken JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        #[source]
        source: serde_json::Error,
    },
    /// Its JSON is no connector.
    #[error("Connector configuration at '{}' cannot be used: {why}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// What should be otherwise.
        why: String,
    },
    /// No connector is named, in none of the three forms.
    #[error(
        "Connector configuration at '{}' is missing the mandatory 'name' configuration",
        path.display()
    )]
    NoName {
        /// The file.
        path: PathBuf,
    },
    /// Two names that differ.
    #[error(
        "Connector name configuration in 'config' doesn't match the one specified in 'name' at '{}'",
        path.display()
    )]
    TwoNames {
        /// The file.
        path: PathBuf,
    },
}

impl ConnectorFile {
    /// Reads one file of the command line.
    ///
    /// # Errors
    /// See [`ConnectorFileError`]; the texts that Apache has are Apache's.
    pub fn load(path: &Path) -> Result<Self, ConnectorFileError> {
        let bytes = files::read(path)
            .map_err(|source| ConnectorFileError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&bytes, path)
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Self, ConnectorFileError> {
        if bytes.trim_ascii_start().starts_with(b"{") {
            let object = first_json_object(bytes)
                .map_err(|source| ConnectorFileError::Json { path: path.to_owned(), source })?;
            return match object.get("config") {
                Some(config) if scalar(config).is_none() => Self::from_request(&object, config, path),
                Some(_) | None => Self::from_flat(flat(&object, path)?, path),
            };
        }
        let text = properties::decode_latin1(bytes);
        let config = properties::parse(&text, &path.display().to_string())
            .map_err(|source| ConnectorFileError::Syntax { path: path.to_owned(), source })?;
        Self::from_flat(config, path)
    }

    fn from_flat(config: Settings, path: &Path) -> Result<Self, ConnectorFileError> {
        let no_name = || ConnectorFileError::NoName { path: path.to_owned() };
        let name = config.get("name").cloned().ok_or_else(no_name)?;
        Ok(Self { name, config, initial_state: InitialState::Running })
    }

    fn from_request(
        object: &serde_json::Map<String, Value>,
        config: &Value,
        path: &Path,
    ) -> Result<Self, ConnectorFileError> {
        let no_name = || ConnectorFileError::NoName { path: path.to_owned() };
        let name = object.get("name").and_then(scalar).ok_or_else(no_name)?;
        let config = config.as_object().ok_or_else(|| shape(path, "'config' is no object with settings"))?;
        let mut config = flat(config, path)?;
        let initial_state = match object.get("initial_state") {
            None | Some(Value::Null) => InitialState::default(),
            Some(state) => state.as_str().and_then(InitialState::parse).ok_or_else(|| {
                shape(path, format!("'initial_state' is {state}, and not RUNNING, PAUSED or STOPPED"))
            })?,
        };
        match config.get("name") {
            Some(inner) if *inner != name => {
                return Err(ConnectorFileError::TwoNames { path: path.to_owned() });
            }
            Some(_) => {}
            None => drop(config.insert("name".to_owned(), name.clone())),
        }
        Ok(Self { name, config, initial_state })
    }
}

/// The JSON object at the beginning of a file; text after it is ignored.
fn first_json_object(bytes: &[u8]) -> serde_json::Result<serde_json::Map<String, Value>> {
    serde_json::Deserializer::from_slice(bytes).into_iter().next().unwrap_or_else(|| Ok(Default::default()))
}

/// An object as settings: its members must all be scalars.
fn flat(object: &serde_json::Map<String, Value>, path: &Path) -> Result<Settings, ConnectorFileError> {
    let setting = |(key, value): (&String, &Value)| match scalar(value) {
        Some(text) => Ok((key.clone(), text)),
        None => Err(shape(path, format!("the value of '{key}' is no text, number or boolean"))),
    };
    object.iter().map(setting).collect()
}

fn shape(path: &Path, why: impl Into<String>) -> ConnectorFileError {
    ConnectorFileError::Shape { path: path.to_owned(), why: why.into() }
}

/// A scalar as text; numbers as they are written, `1.50` included.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ConnectorFile, String> {
        ConnectorFile::parse(text.as_bytes(), Path::new("c.json")).map_err(|error| error.to_string())
    }

    fn check(text: &str, name: &str, config: &[(&str, &str)], initial_state: InitialState) {
        let expected = ConnectorFile {
            name: name.to_owned(),
            config: config.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect(),
            initial_state,
        };
        assert_eq!(parse(text), Ok(expected), "{text}");
    }

    #[test]
    fn the_three_forms() {
        use InitialState::{Paused, Running, Stopped};
        check(r#"{"name":"a","tasks.max":2}"#, "a", &[("name", "a"), ("tasks.max", "2")], Running);
        check(
            r#"{"name":"a","x":1.50,"y":true} trailing"#,
            "a",
            &[("name", "a"), ("x", "1.50"), ("y", "true")],
            Running,
        );
        check(r#"{"name":"a","config":{"x":-0.10}}"#, "a", &[("x", "-0.10"), ("name", "a")], Running);
        check(
            r#"{"name":"a","config":{"name":"a"},"initial_state":"Paused"}"#,
            "a",
            &[("name", "a")],
            Paused,
        );
        check(
            r#"{"name":"a","config":{},"initial_state":"STOPPED","more":[1]}"#,
            "a",
            &[("name", "a")],
            Stopped,
        );
        check("name=a \nx=1", "a ", &[("name", "a "), ("x", "1")], Running);
    }

    #[test]
    fn files_without_a_name() {
        let message = "Connector configuration at 'c.json' is missing the mandatory 'name' configuration";
        for text in ["", "x=1", "[1]", r#"{"x":"1"}"#, r#"{"config":{"name":"a"}}"#] {
            assert_eq!(parse(text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_json_file_is_said() {
        let table = [
            (r#"{"name":"a","tasks.max":null}"#, "the value of 'tasks.max' is no text, number or boolean"),
            (r#"{"name":"a","nested":{"x":1}}"#, "the value of 'nested' is no text, number or boolean"),
            (r#"{"name":"a","config":{"x":[1]}}"#, "the value of 'x' is no text, number or boolean"),
            (r#"{"name":"a","config":null}"#, "'config' is no object with settings"),
            (r#"{"name":"a","config":[]}"#, "'config' is no object with settings"),
            (
                r#"{"name":"a","config":{},"initial_state":"HALTED"}"#,
                "'initial_state' is \"HALTED\", and not RUNNING, PAUSED or STOPPED",
            ),
        ];
        for (text, why) in table {
            let message = format!("Connector configuration at 'c.json' cannot be used: {why}");
            assert_eq!(parse(text), Err(message), "{text}");
        }
        for text in ["{", r#"{"name":"a","#, r#"{"name":"a" "b"}"#, &r#"{"a":"#.repeat(200)] {
            assert_eq!(parse(text), Err("the connector file c.json is broken JSON".to_owned()), "{text}");
        }
    }

    #[test]
    fn two_names_must_agree() {
        assert_eq!(
            parse(r#"{"name":"a","config":{"name":"b"}}"#),
            Err("Connector name configuration in 'config' doesn't match the one specified in 'name' at 'c.json'"
                .to_owned())
        );
    }

    #[test]
    fn an_unreadable_file_is_named() {
        let error = ConnectorFile::load(Path::new("/nowhere/c.properties")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the connector file /nowhere/c.properties");
    }
}
