//! Config providers: references such as `${env:HOME}` or `${file:/etc/secrets:password}` inside settings.
//!
//! References in worker settings are replaced when the file is loaded. Those in connector and task settings are
//! stored and shown as written, and replaced each time the settings are used, so that a changed secret is picked up
//! by a restart and never lies in the config topic. What cannot be resolved stays as it is written, as in Apache.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::{files, properties};
use crate::api::Settings;
use crate::api::config_def::{ConfigError, ConfigErrors};

/// `${alias:path:key}` or `${alias:key}`: the first colon ends the alias, the next one the path.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled by every test of this file")]
static REFERENCE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\$\{([^}]*?):(?:([^}]*?):)?([^}]*?)\}").expect("the pattern is valid"));

/// The setting that is never resolved: Apache looks for plug-ins before it has providers.
const PLUGIN_PATH: &str = "plugin.path";

/// A provider could not be set up or failed while it was asked. An unresolved reference is no error.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The file of a reference to a `FileConfigProvider` cannot be read.
    #[error("Could not read properties from file {}", path.display())]
    PropertiesFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file in the folder of a reference to a `DirectoryConfigProvider` cannot be read.
    #[error("Could not read the value file {}", path.display())]
    ValueFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A reference to an `EnvVarConfigProvider` has a path.
    #[error("Path is not supported for EnvVarConfigProvider, invalid value '{path}'")]
    EnvPath {
        /// The path.
        path: String,
    },
}

/// The environment variables of the process: passed in, so that tests need not change them.
pub type Environment = BTreeMap<String, String>;

/// The environment of this process. Variables that are not Unicode are left out.
#[must_use]
pub fn process_environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The providers of a worker by their alias, made from `config.providers` and what stands below it.
#[derive(Debug, Clone, Default)]
pub struct ConfigProviders {
    providers: BTreeMap<String, Provider>,
}

#[derive(Debug, Clone)]
enum Provider {
    File { allowed: Option<Vec<PathBuf>> },
    Directory { allowed: Option<Vec<PathBuf>> },
    Env { variables: HiddenValues },
}

/// Environment variables often hold secrets, so only their names are printed.
#[derive(Clone)]
struct HiddenValues(Environment);

impl std::fmt::Debug for HiddenValues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl ConfigProviders {
    /// Sets up the providers that the worker settings `config` name. `env` is what `EnvVarConfigProvider` may see.
    /// An alias without a class is left out with a warning: its references stay as they are, as in Apache.
    ///
    /// # Errors
    /// All of: a class that does not exist, a parameter that it cannot use.
    pub fn from_worker(config: &Settings, env: &Environment) -> Result<Self, ConfigErrors> {
        let mut providers = BTreeMap::new();
        let mut errors = Vec::new();
        let aliases = config.get("config.providers").map_or("", String::as_str);
        for alias in aliases.split(',').map(str::trim).filter(|alias| !alias.is_empty()) {
            let prefix = format!("config.providers.{alias}.");
            let class_key = format!("{prefix}class");
            let Some(class) = config.get(&class_key) else {
                log::warn!("config provider {alias} is not used because {class_key} is not set");
                continue;
            };
            let param = |name: &str| config.get(&format!("{prefix}param.{name}")).map(String::as_str);
            match Provider::new(&class_key, class.trim(), &format!("{prefix}param."), &param, env) {
                Ok(provider) => drop(providers.insert(alias.to_owned(), provider)),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(Self { providers }) } else { Err(ConfigErrors(errors)) }
    }

    /// `config` with every reference replaced that can be; called each time a connector or task is configured.
    ///
    /// # Errors
    /// A provider failed; nothing of the result may be used then.
    pub fn resolve(&self, config: &Settings) -> Result<Settings, ProviderError> {
        config.iter().map(|(key, value)| Ok((key.clone(), self.resolve_text(value)?))).collect()
    }

    /// The settings of the worker with references replaced, except in `plugin.path`, whose text is used as written.
    ///
    /// # Errors
    /// A provider failed.
    pub fn resolve_worker(&self, config: &Settings) -> Result<Settings, ProviderError> {
        let mut resolved = self.resolve(config)?;
        if let (Some(raw), Some(path)) = (config.get(PLUGIN_PATH), resolved.get_mut(PLUGIN_PATH))
            && raw != path
        {
            log::warn!("{PLUGIN_PATH} contains a config provider reference, which is not replaced there");
            path.clone_from(raw);
        }
        Ok(resolved)
    }

    /// One value with its references replaced. What a provider returns is not looked at again.
    ///
    /// # Errors
    /// A provider failed.
    pub fn resolve_text(&self, text: &str) -> Result<String, ProviderError> {
        let mut resolved = String::with_capacity(text.len());
        let mut copied = 0;
        for reference in REFERENCE.captures_iter(text) {
            let Some(whole) = reference.get(0) else { continue };
            resolved.push_str(&text[copied..whole.start()]);
            match self.look_up(&reference)? {
                Some(value) => resolved.push_str(&value),
                None => resolved.push_str(whole.as_str()),
            }
            copied = whole.end();
        }
        resolved.push_str(&text[copied..]);
        Ok(resolved)
    }

    fn look_up(&self, reference: &Captures<'_>) -> Result<Option<String>, ProviderError> {
        let group = |index| reference.get(index).map_or("", |found| found.as_str());
        match self.providers.get(group(1)) {
            None => Ok(None),
            Some(provider) => provider.get(group(2), group(3)),
        }
    }
}

/// Whether a value contains what looks like a reference, resolvable or not.
#[must_use]
pub fn has_reference(text: &str) -> bool {
    REFERENCE.is_match(text)
}

/// Puts references back into a task's settings before they are stored: where the connector's own text of the same
/// key contains one, the task's value, which its connector made from the secret, is replaced by that text.
pub fn restore_references(connector_raw: &Settings, task: &mut Settings) {
    for (key, raw) in connector_raw.iter().filter(|(_, raw)| has_reference(raw)) {
        if let Some(value) = task.get_mut(key) {
            value.clone_from(raw);
        }
    }
}

impl Provider {
    fn new<'a>(
        class_key: &str,
        class: &str,
        param_prefix: &str,
        param: &dyn Fn(&str) -> Option<&'a str>,
        env: &Environment,
    ) -> Result<Self, ConfigError> {
        const PACKAGE: &str = "org.apache.kafka.common.config.provider.";
        let allowed = || {
            allowed_paths(param("allowed.paths")).map_err(|(path, message)| {
                ConfigError::invalid(&format!("{param_prefix}allowed.paths"), &path, message)
            })
        };
        match class.strip_prefix(PACKAGE).unwrap_or(class) {
            "FileConfigProvider" | "File" => Ok(Self::File { allowed: allowed()? }),
            "DirectoryConfigProvider" | "Directory" => Ok(Self::Directory { allowed: allowed()? }),
            "EnvVarConfigProvider" | "EnvVar" => {
                let variables = match param("allowlist.pattern") {
                    None => env.clone(),
                    Some(pattern) => {
                        let key = format!("{param_prefix}allowlist.pattern");
                        let whole = Regex::new(&format!("^(?:{pattern})$")).map_err(|error| {
                            ConfigError::invalid(&key, pattern, format!("Invalid regex: {error}"))
                        })?;
                        let permitted = env.iter().filter(|(name, _)| whole.is_match(name));
                        permitted.map(|(name, value)| (name.clone(), value.clone())).collect()
                    }
                };
                Ok(Self::Env { variables: HiddenValues(variables) })
            }
            _ => Err(ConfigError::invalid(class_key, class, format!("Class {class} could not be found."))),
        }
    }

    /// The value of `key` at `path`; none if there is no such thing or it may not be seen.
    fn get(&self, path: &str, key: &str) -> Result<Option<String>, ProviderError> {
        match self {
            Self::File { .. } | Self::Directory { .. } if path.is_empty() => Ok(None),
            Self::File { allowed } | Self::Directory { allowed } if !is_allowed(Path::new(path), allowed) => {
                log::warn!("the path {path} is not among the allowed.paths of its config provider");
                Ok(None)
            }
            Self::File { .. } => from_properties(Path::new(path), key),
            Self::Directory { .. } => from_folder(Path::new(path), key),
            Self::Env { .. } if !path.is_empty() => Err(ProviderError::EnvPath { path: path.to_owned() }),
            Self::Env { variables } => Ok(variables.0.get(key).cloned()),
        }
    }
}

fn from_properties(path: &Path, key: &str) -> Result<Option<String>, ProviderError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| ProviderError::PropertiesFile {
        path: path.to_owned(),
        source,
    };
    let text = files::read_text(path).map_err(|error| failed(error.into()))?;
    let mut map =
        properties::parse(&text, &path.display().to_string()).map_err(|error| failed(error.into()))?;
    Ok(map.shift_remove(key))
}

fn from_folder(folder: &Path, key: &str) -> Result<Option<String>, ProviderError> {
    // A key is the name of a file in that folder, and never a way out of it.
    let mut components = Path::new(key).components();
    let (Some(Component::Normal(name)), None) = (components.next(), components.next()) else {
        return Ok(None);
    };
    let path = folder.join(name);
    if !path.is_file() {
        log::warn!("config provider: there is no file {}", path.display());
        return Ok(None);
    }
    match files::read_text(&path) {
        Ok(text) => Ok(Some(text)),
        Err(source) => Err(ProviderError::ValueFile { path, source }),
    }
}

fn allowed_paths(param: Option<&str>) -> Result<Option<Vec<PathBuf>>, (String, String)> {
    let Some(param) = param.filter(|param| !param.trim().is_empty()) else { return Ok(None) };
    let paths = param.split(',').map(|text| {
        let path = normalize(Path::new(text.trim()));
        if !path.is_absolute() {
            return Err((text.to_owned(), format!("Path {text} is not absolute")));
        }
        if !path.exists() {
            return Err((text.to_owned(), format!("Path {text} does not exist")));
        }
        Ok(path)
    });
    paths.collect::<Result<Vec<_>, _>>().map(Some)
}

fn is_allowed(path: &Path, allowed: &Option<Vec<PathBuf>>) -> bool {
    let path = normalize(path);
    allowed.as_ref().is_none_or(|allowed| allowed.iter().any(|root| path.starts_with(root)))
}

/// Takes `.` and `..` out of a path without looking at the disk, like Java's `Path.normalize`.
fn normalize(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(normal.pop()),
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => normal.push(component),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> Settings {
        entries.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn env() -> Environment {
        [("HOME", "/root"), ("DB_PASSWORD", "hunter2"), ("LOOP", "${env:HOME}"), ("a:b", "colon")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    fn providers(entries: &[(&str, &str)]) -> ConfigProviders {
        let mut config = map(&[
            ("config.providers", "file, dir,env,nothing"),
            ("config.providers.file.class", "org.apache.kafka.common.config.provider.FileConfigProvider"),
            ("config.providers.dir.class", "DirectoryConfigProvider"),
            ("config.providers.env.class", "EnvVar"),
        ]);
        config.extend(map(entries));
        ConfigProviders::from_worker(&config, &env()).unwrap()
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(providers(&[]).resolve_text(text).unwrap(), expected, "{text}");
    }

    #[test]
    fn environment_variables() {
        check("${env:HOME}", "/root");
        check("${env::HOME}", "/root");
        check("x${env:HOME}y${env:HOME}", "x/rooty/root");
        check("$${env:HOME}", "$/root");
        check("${env:LOOP}", "${env:HOME}");
        check("${env::a:b}", "colon");
        assert_eq!(
            providers(&[]).resolve_text("${env:x:HOME}").unwrap_err().to_string(),
            "Path is not supported for EnvVarConfigProvider, invalid value 'x'"
        );
    }

    #[test]
    fn what_cannot_be_resolved_stays_as_written() {
        for text in [
            "${nope:HOME}",
            "${env:NOPE}",
            "${nocolon}",
            "${}",
            "${:}",
            "${env:HOME",
            "${nothing:x}",
            "$env:HOME",
            "${dir:/nowhere:x}",
            "${dir::x}",
            "${file::x}",
        ] {
            check(text, text);
        }
        check("${a${env:HOME}", "${a${env:HOME}");
        check("${nope:a} ${env:HOME}", "${nope:a} /root");
    }

    #[test]
    fn files_and_folders() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        std::fs::write(folder.path().join("s.properties"), "user=ü\npassword = p:w \n").unwrap();
        std::fs::write(folder.path().join("token"), "abc\n").unwrap();
        check(&format!("${{file:{at}/s.properties:user}}"), "ü");
        check(&format!("${{file:{at}/s.properties:password}}"), "p:w ");
        check(&format!("${{file:{at}/s.properties:none}}"), &format!("${{file:{at}/s.properties:none}}"));
        check(&format!("${{dir:{at}:token}}"), "abc\n");
        check(&format!("${{dir:{at}:../token}}"), &format!("${{dir:{at}:../token}}"));
        let error = providers(&[]).resolve_text(&format!("${{file:{at}/none:k}}")).unwrap_err();
        assert_eq!(error.to_string(), format!("Could not read properties from file {at}/none"));
    }

    #[test]
    fn allowed_paths_hide_what_is_outside() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display().to_string();
        std::fs::create_dir(folder.path().join("in")).unwrap();
        std::fs::write(folder.path().join("in/k"), "inside").unwrap();
        std::fs::write(folder.path().join("k"), "outside").unwrap();
        let providers = providers(&[("config.providers.dir.param.allowed.paths", &format!("{at}/in"))]);
        assert_eq!(providers.resolve_text(&format!("${{dir:{at}/in:k}}")).unwrap(), "inside");
        for outside in [format!("${{dir:{at}:k}}"), format!("${{dir:{at}/in/..:k}}")] {
            assert_eq!(providers.resolve_text(&outside).unwrap(), outside);
        }
    }

    #[test]
    fn the_allowlist_matches_whole_names() {
        let providers = providers(&[("config.providers.env.param.allowlist.pattern", "HOM|DB_.*")]);
        assert_eq!(providers.resolve_text("${env:HOME} ${env:DB_PASSWORD}").unwrap(), "${env:HOME} hunter2");
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let config = map(&[
            ("config.providers", "a,b,c"),
            ("config.providers.a.class", "com.example.Vault"),
            ("config.providers.b.class", "File"),
            ("config.providers.b.param.allowed.paths", "relative"),
            ("config.providers.c.class", "EnvVar"),
            ("config.providers.c.param.allowlist.pattern", "("),
        ]);
        let errors = ConfigProviders::from_worker(&config, &env()).unwrap_err();
        let keys: Vec<_> = errors.0.iter().map(ConfigError::key).collect();
        assert_eq!(
            keys,
            [
                "config.providers.a.class",
                "config.providers.b.param.allowed.paths",
                "config.providers.c.param.allowlist.pattern"
            ]
        );
        assert_eq!(
            errors.0[0].to_string(),
            "Invalid value com.example.Vault for configuration config.providers.a.class: \
             Class com.example.Vault could not be found."
        );
    }

    #[test]
    fn plugin_path_is_used_as_written() {
        let resolved = providers(&[])
            .resolve_worker(&map(&[("plugin.path", "${env:HOME}/plugins"), ("group.id", "${env:HOME}")]))
            .unwrap();
        assert_eq!(resolved, map(&[("plugin.path", "${env:HOME}/plugins"), ("group.id", "/root")]));
    }

    #[test]
    fn tasks_are_stored_with_their_references() {
        let raw = map(&[("password", "${env:DB_PASSWORD}"), ("user", "u"), ("other", "${x:y}")]);
        let mut task = map(&[("password", "hunter2"), ("user", "changed"), ("own", "hunter2")]);
        restore_references(&raw, &mut task);
        assert_eq!(task, map(&[("password", "${env:DB_PASSWORD}"), ("user", "changed"), ("own", "hunter2")]));
    }

    #[test]
    fn variables_are_not_printed() {
        let printed = format!("{:?}", providers(&[]));
        assert!(printed.contains("DB_PASSWORD") && !printed.contains("hunter2"), "{printed}");
    }
}
