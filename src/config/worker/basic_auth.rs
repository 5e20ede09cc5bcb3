//! The users of Apache's basic authentication extension, from the files that it reads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::{jaas, properties};
use crate::api::Settings;
use crate::api::config_def::{ConfigError, Password};
use crate::config::providers::Environment;

const EXTENSION: &str = "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension";
const MODULE: &str = "org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule";
const FILE_KEY: &str = "rest.basic.auth.jaas.file";
const EXTENSIONS_KEY: &str = "rest.extension.classes";
const JAVA_OPTION: &str = "-Djava.security.auth.login.config=";

/// Who may use the REST API. No user at all means everybody, as in Apache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasicAuth {
    /// Passwords by user name.
    pub users: BTreeMap<String, Password>,
}

/// Reads what `rest.extension.classes` asks for; any class but the basic authentication ends the start, because it
/// may be what protects the API.
pub(super) fn from_settings(
    settings: &Settings,
    env: &Environment,
) -> Result<Option<BasicAuth>, ConfigError> {
    let classes = settings.get(EXTENSIONS_KEY).map_or("", String::as_str);
    let classes: Vec<&str> = classes.split(',').map(str::trim).filter(|class| !class.is_empty()).collect();
    if let Some(class) = classes.iter().find(|class| **class != EXTENSION) {
        let message = format!(
            "the REST extension {class} runs in a JVM only; remove it if it protects nothing, or use {EXTENSION}"
        );
        return Err(ConfigError::invalid(EXTENSIONS_KEY, class, message));
    }
    if classes.is_empty() {
        return Ok(None);
    }
    let file = jaas_file(settings, env).ok_or_else(|| {
        let message = format!(
            "the users are not known: set {FILE_KEY}, or {JAVA_OPTION}FILE in the environment variable KAFKA_OPTS"
        );
        ConfigError::invalid(EXTENSIONS_KEY, EXTENSION, message)
    })?;
    users(&file).map(|users| Some(BasicAuth { users }))
}

fn jaas_file(settings: &Settings, env: &Environment) -> Option<PathBuf> {
    let set = settings.get(FILE_KEY).map(|file| file.trim()).filter(|file| !file.is_empty());
    let option = || {
        let options = env.get("KAFKA_OPTS")?;
        let file = options.split_whitespace().rev().find_map(|option| option.strip_prefix(JAVA_OPTION))?;
        Some(file.trim_matches(['"', '\'']))
    };
    // Java accepts `==` as well, which replaces the system's own JAAS configuration.
    set.or_else(option).map(|file| PathBuf::from(file.trim_start_matches('=')))
}

fn users(file: &Path) -> Result<BTreeMap<String, Password>, ConfigError> {
    let shown = file.display().to_string();
    let error = |message: String| ConfigError::invalid(FILE_KEY, &shown, message);
    let text =
        std::fs::read_to_string(file).map_err(|cause| error(format!("cannot read the file: {cause}")))?;
    let modules = jaas::parse_entry(&text, "KafkaConnect").map_err(error)?;
    let [module] = modules.as_slice() else {
        return Err(error("the entry KafkaConnect must have exactly one login module".to_owned()));
    };
    if module.class != MODULE {
        return Err(error(format!("the login module {} runs in a JVM only; use {MODULE}", module.class)));
    }
    let Some(path) = module.option("file") else {
        return Err(error("the login module has no option file".to_owned()));
    };
    let users = properties::load(Path::new(path.expose())).map_err(|cause| {
        let source = std::error::Error::source(&cause).map(|source| format!(": {source}"));
        error(format!("{cause}{}", source.unwrap_or_default()))
    })?;
    Ok(users.into_iter().map(|(user, password)| (user, Password::new(password))).collect())
}
