//! The settings of the transforms and predicates that a connector names: `transforms.ALIAS.*` and `predicates.ALIAS.*`.

use super::alias_lists::{aliases, excess};
use super::framework::complain;
use super::no_such_version;
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigError, ConfigKey, ConfigType, ConfigValue, Importance, Width};
use crate::api::registry::Registry;
use crate::connector::plugin_version::VersionRange;

/// What stands under an alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Transform,
    Predicate,
}

const KINDS: [Kind; 2] = [Kind::Transform, Kind::Predicate];

impl Kind {
    /// The setting that lists the aliases, which is the prefix of theirs, too.
    fn list(self) -> &'static str {
        match self {
            Kind::Transform => "transforms",
            Kind::Predicate => "predicates",
        }
    }

    /// The heading of all of the kind.
    fn group(self) -> &'static str {
        match self {
            Kind::Transform => "Transforms",
            Kind::Predicate => "Predicates",
        }
    }

    /// Java's name of the kind.
    fn interface(self) -> &'static str {
        match self {
            Kind::Transform => "Transformation",
            Kind::Predicate => "Predicate",
        }
    }

    fn classes(self, registry: &Registry) -> Vec<String> {
        match self {
            Kind::Transform => registry.transforms().map(|plugin| plugin.class().to_owned()).collect(),
            Kind::Predicate => registry.predicates().map(|plugin| plugin.class().to_owned()).collect(),
        }
    }

    /// A class of the kind.
    fn plugin(self, registry: &Registry, class: &str) -> Option<Found> {
        match self {
            Kind::Transform => {
                registry.transform(class).map(|it| Found::new(it.class(), it.version(), it.config_def()))
            }
            Kind::Predicate => {
                registry.predicate(class).map(|it| Found::new(it.class(), it.version(), it.config_def()))
            }
        }
    }
}

/// A class that this worker has.
struct Found {
    /// Its full name.
    class: &'static str,
    version: &'static str,
    def: ConfigDef,
}

impl Found {
    fn new(class: &'static str, version: &'static str, def: ConfigDef) -> Self {
        Found { class, version, def }
    }
}

/// Adds the settings of all aliases to those of the connector.
pub(super) fn define(registry: &Registry, settings: &Settings, def: ConfigDef) -> ConfigDef {
    let aliases = KINDS.into_iter().flat_map(|kind| {
        aliases(settings, kind.list()).into_iter().map(move |alias| Alias { kind, name: alias })
    });
    aliases.fold(def, |def, alias| alias.define(registry, settings, def))
}

/// Adds what is wrong with the settings of aliases as far as their definitions cannot tell, and shows classes by their
/// full names.
pub(super) fn check(registry: &Registry, settings: &Settings, values: &mut [ConfigValue]) {
    for kind in KINDS {
        if let Some(message) = excess(settings, kind.list()) {
            complain(values, kind.list(), &message);
        }
        for name in aliases(settings, kind.list()) {
            Alias { kind, name }.check(registry, settings, values);
        }
    }
}

struct Alias<'a> {
    kind: Kind,
    name: &'a str,
}

impl Alias<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{}.{name}", self.kind.list(), self.name)
    }

    /// Its class as it is written.
    fn class<'a>(&self, settings: &'a Settings) -> Option<&'a str> {
        settings.get(&self.key("type")).map(|class| class.trim())
    }

    /// Whether the wanted version is the one that is here, or what is wrong with it.
    fn version(&self, found: &Found, settings: &Settings) -> Result<(), String> {
        let wanted = settings.get(&self.key("plugin.version")).map_or("", String::as_str);
        let range = VersionRange::parse(wanted).map_err(|error| error.to_string())?;
        match range.contains(found.version) {
            true => Ok(()),
            false => Err(no_such_version(found.class, found.version, &range)),
        }
    }

    fn define(&self, registry: &Registry, settings: &Settings, def: ConfigDef) -> ConfigDef {
        let Alias { kind, name } = self;
        let (group, shown) = (format!("{}: {name}", kind.group()), kind.interface());
        let key = |key: ConfigKey, order, what: &str| {
            key.shown(&group, order, Width::Long, &format!("{shown} {what} for {name}"))
        };
        let doc = format!("The class of '{name}'.");
        let class = ConfigKey::required(&self.key("type"), ConfigType::Class, Importance::High, &doc)
            .recommended(kind.classes(registry));
        let doc = format!("The version, or range of versions, of the class of '{name}'.");
        let version = ConfigKey::new(&self.key("plugin.version"), ConfigType::String, Importance::High, &doc);
        let plugin = self.class(settings).and_then(|class| kind.plugin(registry, class));
        let version = match &plugin {
            Some(Found { version: here, .. }) => version.default(here).recommended(vec![(*here).to_owned()]),
            None => version,
        };
        let def = def.define(key(class, 0, "type")).define(key(version, 1, "version"));
        match plugin {
            Some(found) if self.version(&found, settings).is_ok() => {
                def.embed(&self.key(""), &group, 2, &with_condition(*kind, found.def))
            }
            Some(_) | None => def,
        }
    }

    fn check(&self, registry: &Registry, settings: &Settings, values: &mut [ConfigValue]) {
        if let Err(refusal) = self.check_class(registry, settings)
            && let Some(value) = find(values, &self.key("type"))
        {
            value.value = refusal.shown;
            value.errors.push(refusal.message);
        }
        if let Some(found) = self.class(settings).and_then(|class| self.kind.plugin(registry, class)) {
            if let Some(value) = find(values, &self.key("type")) {
                value.value = Some(found.class.to_owned());
            }
            if let Err(message) = self.version(&found, settings) {
                for key in ["type", "plugin.version"] {
                    find(values, &self.key(key))
                        .into_iter()
                        .for_each(|value| value.errors.push(message.clone()));
                }
            }
        }
        self.check_predicate(settings, values);
    }

    fn check_class(&self, registry: &Registry, settings: &Settings) -> Result<(), Refusal> {
        let kind = self.kind;
        let known = self.class(settings).and_then(|class| kind.plugin(registry, class)).is_some();
        let refuse = |message, shown: Option<&str>| Err(Refusal { message, shown: shown.map(str::to_owned) });
        let (negate, predicate) = (self.key("negate"), self.key("predicate"));
        if kind == Kind::Transform && settings.contains_key(&negate) && !settings.contains_key(&predicate) {
            let message = format!(
                "Config '{negate}' was provided but there is no config '{predicate}' defining a predicate to be negated."
            );
            return refuse(message, self.class(settings));
        }
        let Some(class) = self.class(settings).filter(|_| !known) else { return Ok(()) };
        let variants: Vec<String> = kind.classes(registry);
        let variants = variants.into_iter().filter(|other| is_within(other, class));
        let variants = variants.collect::<Vec<_>>().join(", ");
        if !variants.is_empty() {
            let message = format!("This class is abstract and cannot be created. Did you mean {variants}?");
            return refuse(message, Some(class));
        }
        if let Some(other) = registry.class(class) {
            let message =
                format!("Class class {other} does not implement the {} interface", kind.interface());
            return refuse(message, Some(other));
        }
        let message = format!("Class {class} could not be found.");
        let message = ConfigError::invalid(&self.key("type"), class, message).to_string();
        refuse(message, None)
    }

    /// A predicate has to be there. Apache finds that out when a task starts.
    fn check_predicate(&self, settings: &Settings, values: &mut [ConfigValue]) {
        let key = self.key("predicate");
        let Some(predicate) = settings.get(&key).map(|alias| alias.trim()) else { return };
        let is_there = predicate.is_empty() || aliases(settings, "predicates").contains(&predicate);
        if let Some(value) = find(values, &key).filter(|_| !is_there) {
            let message = "There is no such alias among the predicates of the connector";
            value.errors.push(ConfigError::invalid(&key, predicate, message).to_string());
        }
    }
}

/// Why a class cannot be had.
struct Refusal {
    message: String,
    /// The class to show all the same.
    shown: Option<String>,
}

/// Whether a class is one within another: `a.Cast$Key` within `a.Cast`.
fn is_within(class: &str, outer: &str) -> bool {
    class.strip_prefix(outer).is_some_and(|rest| rest.starts_with('$'))
}

/// The settings of a class with those that say when it is used.
fn with_condition(kind: Kind, def: ConfigDef) -> ConfigDef {
    match kind {
        Kind::Predicate => def,
        Kind::Transform => def
            .define(ConfigKey::new(
                "predicate",
                ConfigType::String,
                Importance::Medium,
                "The alias of the predicate that says for which records the transform is used; for all if not set.",
            ))
            .define(
                ConfigKey::new(
                    "negate",
                    ConfigType::Boolean,
                    Importance::Medium,
                    "Whether the transform is used for the other records.",
                )
                .default("false"),
            ),
    }
}

fn find<'a>(values: &'a mut [ConfigValue], name: &str) -> Option<&'a mut ConfigValue> {
    values.iter_mut().find(|value| value.name == name)
}
