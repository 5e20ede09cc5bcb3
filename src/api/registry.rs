//! The plug-ins of a worker, by class name and by alias. The worker's own business: plug-ins are given to
//! [`crate::Worker::builder`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::converter::{ConverterPlugin, ConverterRoles};
use super::sink::SinkPlugin;
use super::source::SourcePlugin;
use super::transform::{PredicatePlugin, TransformPlugin};

/// The version that built-in plug-ins report: that of Apache's plug-ins whose place they take, so that settings which
/// ask for it (`connector.plugin.version`) hold here, too.
pub const VERSION: &str = "4.3.1";

/// The version of a plug-in that does not tell any, in Connect's word.
pub const UNDEFINED_VERSION: &str = "undefined";

/// A plug-in of any kind.
#[derive(Clone)]
pub enum Plugin {
    /// A source or sink connector.
    Connector(ConnectorClass),
    /// A converter.
    Converter(Arc<dyn ConverterPlugin>),
    /// A transform.
    Transform(Arc<dyn TransformPlugin>),
    /// A predicate.
    Predicate(Arc<dyn PredicatePlugin>),
}

impl Plugin {
    /// The full class name.
    pub fn class(&self) -> &'static str {
        match self {
            Plugin::Connector(plugin) => plugin.plugin().class(),
            Plugin::Converter(plugin) => plugin.class(),
            Plugin::Transform(plugin) => plugin.class(),
            Plugin::Predicate(plugin) => plugin.class(),
        }
    }

    /// The version.
    pub fn version(&self) -> &'static str {
        match self {
            Plugin::Connector(plugin) => plugin.plugin().version(),
            Plugin::Converter(plugin) => plugin.version(),
            Plugin::Transform(plugin) => plugin.version(),
            Plugin::Predicate(plugin) => plugin.version(),
        }
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.class(), self.version())
    }
}

/// A plug-in has the class name of another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "There are two plug-ins of the class {class}, of the versions {there} and {added}: a worker knows a plug-in by its \
     class name alone. Give the one that was added a name of its own"
)]
pub struct ClassTaken {
    /// The name.
    pub class: &'static str,
    /// The version of the plug-in that is there.
    pub there: &'static str,
    /// The version of the one that was to be added.
    pub added: &'static str,
}

/// A connector class of either kind.
#[derive(Clone)]
pub enum ConnectorClass {
    /// Reads into Kafka.
    Source(Arc<dyn SourcePlugin>),
    /// Writes from Kafka.
    Sink(Arc<dyn SinkPlugin>),
}

impl ConnectorClass {
    /// What both kinds say about themselves.
    pub fn plugin(&self) -> &dyn super::connector::ConnectorPlugin {
        match self {
            ConnectorClass::Source(plugin) => &**plugin,
            ConnectorClass::Sink(plugin) => &**plugin,
        }
    }

    /// `source` or `sink`, as in REST answers.
    pub fn kind_name(&self) -> &'static str {
        match self {
            ConnectorClass::Source(_) => "source",
            ConnectorClass::Sink(_) => "sink",
        }
    }
}

impl std::fmt::Debug for ConnectorClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind_name(), self.plugin().class())
    }
}

/// All plug-ins that this worker can run. Built once at start, then shared and never changed.
#[derive(Default)]
pub struct Registry {
    connectors: BTreeMap<&'static str, ConnectorClass>,
    converters: BTreeMap<&'static str, Arc<dyn ConverterPlugin>>,
    transforms: BTreeMap<&'static str, Arc<dyn TransformPlugin>>,
    predicates: BTreeMap<&'static str, Arc<dyn PredicatePlugin>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry")
            .field("connectors", &self.connectors.keys())
            .field("converters", &self.converters.keys())
            .field("transforms", &self.transforms.keys())
            .field("predicates", &self.predicates.keys())
            .finish()
    }
}

impl Registry {
    /// Without any plug-in.
    pub fn new() -> Self {
        Registry::default()
    }

    /// With plug-ins beside those that are there. Each must have a class name that is new among all kinds.
    ///
    /// # Errors
    /// There is one of that name.
    pub fn with(mut self, added: &[Plugin]) -> Result<Self, ClassTaken> {
        for plugin in added {
            self.add(plugin.clone())?;
        }
        Ok(self)
    }

    fn add(&mut self, plugin: Plugin) -> Result<(), ClassTaken> {
        let class = plugin.class();
        if let Some(there) = self.exactly(class) {
            return Err(ClassTaken { class, there: there.version(), added: plugin.version() });
        }
        match plugin {
            Plugin::Connector(plugin) => drop(self.connectors.insert(class, plugin)),
            Plugin::Converter(plugin) => drop(self.converters.insert(class, plugin)),
            Plugin::Transform(plugin) => drop(self.transforms.insert(class, plugin)),
            Plugin::Predicate(plugin) => drop(self.predicates.insert(class, plugin)),
        }
        Ok(())
    }

    /// The plug-in of this full class name.
    fn exactly(&self, class: &str) -> Option<Plugin> {
        let connector = self.connectors.get(class).cloned().map(Plugin::Connector);
        let converter = || self.converters.get(class).cloned().map(Plugin::Converter);
        let transform = || self.transforms.get(class).cloned().map(Plugin::Transform);
        let predicate = || self.predicates.get(class).cloned().map(Plugin::Predicate);
        connector.or_else(converter).or_else(transform).or_else(predicate)
    }

    /// Adds a source connector; a class of the same name is replaced.
    pub fn add_source(&mut self, plugin: impl SourcePlugin + 'static) {
        self.connectors.insert(plugin.class(), ConnectorClass::Source(Arc::new(plugin)));
    }

    /// Adds a sink connector; a class of the same name is replaced.
    pub fn add_sink(&mut self, plugin: impl SinkPlugin + 'static) {
        self.connectors.insert(plugin.class(), ConnectorClass::Sink(Arc::new(plugin)));
    }

    /// Adds a converter; a class of the same name is replaced.
    pub fn add_converter(&mut self, plugin: impl ConverterPlugin + 'static) {
        self.converters.insert(plugin.class(), Arc::new(plugin));
    }

    /// Adds a transform; a class of the same name is replaced.
    pub fn add_transform(&mut self, plugin: impl TransformPlugin + 'static) {
        self.transforms.insert(plugin.class(), Arc::new(plugin));
    }

    /// Adds a predicate; a class of the same name is replaced.
    pub fn add_predicate(&mut self, plugin: impl PredicatePlugin + 'static) {
        self.predicates.insert(plugin.class(), Arc::new(plugin));
    }

    /// The connector of a full class name, simple class name or alias (`FileStreamSource`).
    pub fn connector(&self, class: &str) -> Option<&ConnectorClass> {
        by_name(&self.connectors, class, |simple| suffixes(simple, &["Connector"]))
    }

    /// The converter of a full class name, simple class name or alias (`Json`).
    pub fn converter(&self, class: &str) -> Option<&Arc<dyn ConverterPlugin>> {
        by_name(&self.converters, class, |simple| suffixes(simple, &["HeaderConverter", "Converter"]))
    }

    /// The transform of a full class name or alias (`RegexRouter`). Those in a form for keys and one for values have no
    /// alias: it would be `Key` or `Value`.
    pub fn transform(&self, class: &str) -> Option<&Arc<dyn TransformPlugin>> {
        by_name(&self.transforms, class, |simple| suffixes(simple, &["Transformation"]))
    }

    /// The predicate of a full class name or alias (`TopicNameMatches`).
    pub fn predicate(&self, class: &str) -> Option<&Arc<dyn PredicatePlugin>> {
        by_name(&self.predicates, class, |simple| suffixes(simple, &["Predicate"]))
    }

    /// All transforms, ordered by class name.
    pub fn transforms(&self) -> impl Iterator<Item = &Arc<dyn TransformPlugin>> {
        self.transforms.values()
    }

    /// All predicates, ordered by class name.
    pub fn predicates(&self) -> impl Iterator<Item = &Arc<dyn PredicatePlugin>> {
        self.predicates.values()
    }

    /// The full name of a class of any kind.
    pub fn class(&self, class: &str) -> Option<&'static str> {
        let connector = self.connector(class).map(|class| class.plugin().class());
        let converter = || self.converter(class).map(|plugin| plugin.class());
        let transform = || self.transform(class).map(|plugin| plugin.class());
        let predicate = || self.predicate(class).map(|plugin| plugin.class());
        connector.or_else(converter).or_else(transform).or_else(predicate)
    }

    /// All connectors, ordered by class name.
    pub fn connectors(&self) -> impl Iterator<Item = &ConnectorClass> {
        self.connectors.values()
    }

    /// All converters, ordered by class name.
    pub fn converters(&self) -> impl Iterator<Item = &Arc<dyn ConverterPlugin>> {
        self.converters.values()
    }

    /// The converters that can be used for keys and values.
    pub fn data_converters(&self) -> impl Iterator<Item = &Arc<dyn ConverterPlugin>> {
        self.converters().filter(|plugin| plugin.roles() == ConverterRoles::All)
    }
}

/// Finds a plug-in by its full name, else by the only one whose simple name or alias it is.
fn by_name<'a, P>(
    plugins: &'a BTreeMap<&'static str, P>,
    name: &str,
    alias: impl Fn(&str) -> Option<&str>,
) -> Option<&'a P> {
    if let Some(plugin) = plugins.get(name) {
        return Some(plugin);
    }
    let mut found = plugins.iter().filter(|(class, _)| {
        // As in Java, the simple name of a class within a class is its own alone.
        let simple = class.rsplit(['.', '$']).next().unwrap_or(class);
        simple == name || alias(simple) == Some(name)
    });
    match (found.next(), found.next()) {
        (Some((_, plugin)), None) => Some(plugin),
        (_, _) => None,
    }
}

fn suffixes<'a>(simple: &'a str, suffixes: &[&str]) -> Option<&'a str> {
    suffixes.iter().find_map(|suffix| simple.strip_suffix(suffix))
}
