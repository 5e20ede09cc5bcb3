//! Config providers: references such as `${env:HOME}` or `${file:/etc/secrets:password}` inside settings.
//!
//! References in worker settings are replaced when the file is loaded. Those in connector and task settings are
//! stored and shown as written, and replaced each time the settings are used, so that a changed secret is picked up
//! by a restart and never lies in the config topic. What cannot be resolved stays as it is written, as in Apache.

mod resolved;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::{files, properties};
use crate::api::Settings;
use crate::api::config_def::{ConfigError, ConfigErrors};
use resolved::Given;
pub use resolved::{Missing, Resolved, Veil};

/// `${alias:path:key}` or `${alias:key}`: the first colon ends the alias, the next one the path.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled by every test of this file")]
static REFERENCE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\$\{([^}]*?):(?:([^}]*?):)?([^}]*?)\}").expect("the pattern is valid"));

/// The setting that is never resolved: Apache looks for plug-ins before it has providers.
const PLUGIN_PATH: &str = "plugin.path";

/// A provider failed while it was asked. An unresolved reference is no error.
#[derive(Debug, thiserror::Error)]
#[error("{fault}, for {reference} in the setting {setting}")]
pub struct ProviderError {
    /// The setting with the reference.
    pub setting: String,
    /// The reference as it is written.
    pub reference: String,
    /// What went wrong.
    fault: ProviderFault,
    /// Why, if something else says so.
    #[source]
    cause: Option<Cause>,
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What a provider cannot do.
#[derive(Debug, thiserror::Error)]
enum ProviderFault {
    /// The file of a reference to a `FileConfigProvider` cannot be read.
    #[error("Could not read properties from file {}", .0.display())]
    PropertiesFile(PathBuf),
    /// A file in the folder of a reference to a `DirectoryConfigProvider` cannot be read.
    #[error("Could not read the value file {}", .0.display())]
    ValueFile(PathBuf),
    /// A reference to an `EnvVarConfigProvider` has a path.
    #[error("Path is not supported for EnvVarConfigProvider, invalid value '{0}'")]
    EnvPath(String),
}

/// What a provider says of a reference: its value, or why there is none.
type Found = Result<Result<String, String>, (ProviderFault, Option<Cause>)>;

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
    Env { variables: HiddenValues, are_chosen: bool },
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
        Ok(self.resolve_all(config)?.settings)
    }

    /// The same, with what came of the references.
    ///
    /// # Errors
    /// A provider failed.
    pub fn resolve_all(&self, config: &Settings) -> Result<Resolved, ProviderError> {
        let mut resolved = Resolved { settings: Settings::default(), missing: Vec::new(), given: Vec::new() };
        for (key, text) in config {
            let value = self.resolve_text(key, text, &mut resolved)?;
            resolved.settings.insert(key.clone(), value);
        }
        Ok(resolved)
    }

    /// The settings of the worker with references replaced, except in `plugin.path`, whose text is used as written.
    ///
    /// # Errors
    /// A provider failed.
    pub fn resolve_worker(&self, config: &Settings) -> Result<Resolved, ProviderError> {
        let mut resolved = self.resolve_all(config)?;
        if let (Some(raw), Some(path)) = (config.get(PLUGIN_PATH), resolved.settings.get_mut(PLUGIN_PATH))
            && raw != path
        {
            log::warn!("{PLUGIN_PATH} contains a config provider reference, which is not replaced there");
            path.clone_from(raw);
        }
        Ok(resolved)
    }

    /// One value with its references replaced. What a provider returns is not looked at again.
    fn resolve_text(
        &self,
        setting: &str,
        text: &str,
        outcome: &mut Resolved,
    ) -> Result<String, ProviderError> {
        let mut resolved = String::with_capacity(text.len());
        let mut copied = 0;
        for found in REFERENCE.captures_iter(text) {
            let Some(whole) = found.get(0) else { continue };
            let (setting, reference) = (setting.to_owned(), whole.as_str().to_owned());
            resolved.push_str(&text[copied..whole.start()]);
            copied = whole.end();
            match self.look_up(&found) {
                Ok(Ok(value)) => {
                    resolved.push_str(&value);
                    outcome.given.push(Given { reference, value });
                }
                Ok(Err(why)) => {
                    resolved.push_str(&reference);
                    let has_provider = found.get(1).is_some_and(|alias| self.has(alias.as_str()));
                    outcome.missing.push(Missing { setting, reference, why, has_provider });
                }
                Err((fault, cause)) => return Err(ProviderError { setting, reference, fault, cause }),
            }
        }
        resolved.push_str(&text[copied..]);
        Ok(resolved)
    }

    fn has(&self, alias: &str) -> bool {
        self.providers.contains_key(alias)
    }

    fn look_up(&self, reference: &Captures<'_>) -> Found {
        let group = |index| reference.get(index).map_or("", |found| found.as_str());
        match self.providers.get(group(1)) {
            None => Ok(Err(format!("the worker has no config provider '{}'", group(1)))),
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
                let pattern = param("allowlist.pattern");
                let variables = match pattern {
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
                Ok(Self::Env { variables: HiddenValues(variables), are_chosen: pattern.is_some() })
            }
            _ => Err(ConfigError::invalid(class_key, class, format!("Class {class} could not be found."))),
        }
    }

    /// The value of `key` at `path`, or why there is none: it is not there or may not be seen.
    fn get(&self, path: &str, key: &str) -> Found {
        match self {
            Self::File { .. } | Self::Directory { .. } if path.is_empty() => {
                Ok(Err("the reference names no path".to_owned()))
            }
            Self::File { allowed } | Self::Directory { allowed } if !is_allowed(Path::new(path), allowed) => {
                log::warn!("the path {path} is not among the allowed.paths of its config provider");
                Ok(Err(format!("the path {path} is not among the allowed.paths of the config provider")))
            }
            Self::File { .. } => from_properties(Path::new(path), key),
            Self::Directory { .. } => from_folder(Path::new(path), key),
            Self::Env { .. } if !path.is_empty() => Err((ProviderFault::EnvPath(path.to_owned()), None)),
            Self::Env { variables, are_chosen } => Ok(variables.0.get(key).cloned().ok_or_else(|| {
                let or = if *are_chosen { ", or allowlist.pattern does not allow it" } else { "" };
                format!("the environment variable {key} is not set{or}")
            })),
        }
    }
}

fn from_properties(path: &Path, key: &str) -> Found {
    let failed = |cause: Cause| (ProviderFault::PropertiesFile(path.to_owned()), Some(cause));
    let text = files::read_text(path).map_err(|error| failed(error.into()))?;
    let mut map =
        properties::parse(&text, &path.display().to_string()).map_err(|error| failed(error.into()))?;
    Ok(map.shift_remove(key).ok_or_else(|| format!("the file {} has no key {key}", path.display())))
}

fn from_folder(folder: &Path, key: &str) -> Found {
    // A key is the name of a file in that folder, and never a way out of it.
    let mut components = Path::new(key).components();
    let (Some(Component::Normal(name)), None) = (components.next(), components.next()) else {
        return Ok(Err(format!("{key} is not the name of a file in {}", folder.display())));
    };
    let path = folder.join(name);
    if !path.is_file() {
        log::warn!("config provider: there is no file {}", path.display());
        return Ok(Err(format!("there is no file {}", path.display())));
    }
    match files::read_text(&path) {
        Ok(text) => Ok(Ok(text)),
        Err(cause) => Err((ProviderFault::ValueFile(path), Some(cause.into()))),
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

    /// What becomes of the setting `s` with this text.
    fn resolve(providers: &ConfigProviders, text: &str) -> Result<String, ProviderError> {
        Ok(providers.resolve(&map(&[("s", text)]))?.shift_remove("s").unwrap())
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(resolve(&providers(&[]), text).unwrap(), expected, "{text}");
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
            resolve(&providers(&[]), "${env:x:HOME}").unwrap_err().to_string(),
            "Path is not supported for EnvVarConfigProvider, invalid value 'x', for ${env:x:HOME} in the setting s"
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
    fn what_is_missing_is_named_with_its_setting() {
        let chosen = ("config.providers.env.param.allowlist.pattern", "HOME");
        let table = [
            (providers(&[]), "${env:NOPE}", "the environment variable NOPE is not set", true),
            (
                providers(&[chosen]),
                "${env:NOPE}",
                "the environment variable NOPE is not set, or allowlist.pattern does not allow it",
                true,
            ),
            (providers(&[]), "${file:/dev/null:k}", "the file /dev/null has no key k", true),
            (providers(&[]), "${file::k}", "the reference names no path", true),
            (providers(&[]), "${dir:/nowhere:k}", "there is no file /nowhere/k", true),
            (providers(&[]), "${dir:/etc:../k}", "../k is not the name of a file in /etc", true),
            (providers(&[]), "${nope:k}", "the worker has no config provider 'nope'", false),
        ];
        for (providers, text, why, has_provider) in table {
            let resolved = providers.resolve_all(&map(&[("a", "${env:HOME}"), ("s", text)])).unwrap();
            let (setting, reference, why) = ("s".to_owned(), text.to_owned(), why.to_owned());
            assert_eq!(resolved.missing, [Missing { setting, reference, why, has_provider }]);
        }
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
        let error = resolve(&providers(&[]), &format!("${{file:{at}/none:k}}")).unwrap_err();
        let expected = format!(
            "Could not read properties from file {at}/none, for ${{file:{at}/none:k}} in the setting s"
        );
        assert_eq!(error.to_string(), expected);
        let cause = std::error::Error::source(&error).unwrap();
        assert!(cause.to_string().starts_with("No such file or directory"), "{cause}");
    }

    #[test]
    fn allowed_paths_hide_what_is_outside() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display().to_string();
        std::fs::create_dir(folder.path().join("in")).unwrap();
        std::fs::write(folder.path().join("in/k"), "inside").unwrap();
        std::fs::write(folder.path().join("k"), "outside").unwrap();
        let providers = providers(&[("config.providers.dir.param.allowed.paths", &format!("{at}/in"))]);
        assert_eq!(resolve(&providers, &format!("${{dir:{at}/in:k}}")).unwrap(), "inside");
        for outside in [format!("${{dir:{at}:k}}"), format!("${{dir:{at}/in/..:k}}")] {
            assert_eq!(resolve(&providers, &outside).unwrap(), outside);
        }
    }

    #[test]
    fn the_allowlist_matches_whole_names() {
        let providers = providers(&[("config.providers.env.param.allowlist.pattern", "HOM|DB_.*")]);
        assert_eq!(resolve(&providers, "${env:HOME} ${env:DB_PASSWORD}").unwrap(), "${env:HOME} hunter2");
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
        let expected = map(&[("plugin.path", "${env:HOME}/plugins"), ("group.id", "/root")]);
        assert_eq!(resolved.settings, expected);
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
