//! What validation says, over plug-ins made for it.

mod references;

use std::sync::Mutex;

use super::*;
use crate::api::config_def::{ConfigType, Importance};
use crate::api::connector::{Connector, ConnectorPlugin};
use crate::api::converter::{Converter, ConverterPlugin, ConverterRole, ConverterRoles, HeaderConverter};
use crate::api::error::{ConnectError, Result};
use crate::api::registry::VERSION;
use crate::api::sink::{SinkPlugin, SinkTask};
use crate::api::source::{SourcePlugin, SourceTask};

/// A connector class of either kind.
struct Plugin(&'static str);

impl ConnectorPlugin for Plugin {
    fn class(&self) -> &'static str {
        self.0
    }

    fn version(&self) -> &'static str {
        VERSION
    }

    fn task_class(&self) -> &'static str {
        "x.Task"
    }

    fn config_def(&self) -> ConfigDef {
        let key = |name, config_type| ConfigKey::new(name, config_type, Importance::High, "Doc.");
        ConfigDef::new()
            .define(ConfigKey::required("topic", ConfigType::String, Importance::High, "Doc."))
            .define(key("secret", ConfigType::Password).shown(
                "Own",
                1,
                crate::api::config_def::Width::Short,
                "S",
            ))
            .define(key("tasks.max", ConfigType::Int).default("7"))
    }

    fn validate(&self, settings: &Settings, values: &mut [ConfigValue]) {
        if settings.contains_key("odd")
            && let Some(value) = values.iter_mut().find(|value| value.name == "topic")
        {
            value.errors.push("It is odd.".to_owned());
        }
        let quoted = match settings.get("quote").map(String::as_str) {
            Some("yes") => Some(settings["topic"].as_str()),
            Some("part") => settings["topic"].get(..9),
            Some(_) | None => None,
        };
        if let (Some(quoted), Some(value)) = (quoted, values.iter_mut().find(|value| value.name == "topic")) {
            value.errors.push(ConfigError::invalid("topic", quoted, "It is odd.").to_string());
        }
    }

    fn connector(&self) -> Box<dyn Connector> {
        unreachable!("nothing is started here")
    }
}

impl SourcePlugin for Plugin {
    fn task(&self) -> Box<dyn SourceTask> {
        unreachable!("nothing is started here")
    }
}

impl SinkPlugin for Plugin {
    fn task(&self) -> Box<dyn SinkTask> {
        unreachable!("nothing is started here")
    }
}

/// A converter class.
struct Conversion(&'static str, ConverterRoles);

impl ConverterPlugin for Conversion {
    fn class(&self) -> &'static str {
        self.0
    }

    fn version(&self) -> &'static str {
        VERSION
    }

    fn config_def(&self) -> ConfigDef {
        let key = |name, config_type| ConfigKey::new(name, config_type, Importance::Low, "Doc.");
        let schemas = key("schemas.enable", ConfigType::Boolean).default("true");
        let schemas = schemas.shown("Schemas", 1, crate::api::config_def::Width::Short, "Enable");
        ConfigDef::new().define(schemas).define(key("cache", ConfigType::Int).at_least(0).default("1"))
    }

    fn converter(&self, _: &Settings, _: ConverterRole) -> Result<Box<dyn Converter>> {
        Err(ConnectError::connect("not used here"))
    }

    fn header_converter(&self, _: &Settings) -> Result<Option<Box<dyn HeaderConverter>>> {
        Ok(None)
    }

    fn roles(&self) -> ConverterRoles {
        self.1
    }
}

fn validator(override_policy: OverridePolicy) -> Validator {
    let mut registry = Registry::new();
    registry.add_source(Plugin("x.MySourceConnector"));
    registry.add_sink(Plugin("x.MySinkConnector"));
    registry.add_converter(Conversion("x.JsonConverter", ConverterRoles::All));
    registry.add_converter(Conversion("x.SimpleHeaderConverter", ConverterRoles::HeaderOnly));
    let environment =
        [("TOPIC", "resolved"), ("NUMBER", "4711"), ("SHORT", "d"), ("SECRET", "correct horse battery")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let worker = draft(&[("config.providers", "env"), ("config.providers.env.class", "EnvVar")]);
    let context = ValidationContext {
        providers: Arc::new(ConfigProviders::from_worker(&given(&worker), &environment).unwrap()),
        override_policy,
        client_check: Arc::new(|_client, overrides| {
            let unknown = overrides.keys().filter(|key| key.starts_with("jmx."));
            let message = "librdkafka has no such setting".to_owned();
            unknown.map(|key| ConfigError::Message { key: key.clone(), message: message.clone() }).collect()
        }),
        converters: WorkerConverters {
            key: "JsonConverter".to_owned(),
            value: "x.JsonConverter".to_owned(),
            header: "SimpleHeaderConverter".to_owned(),
        },
        topic_creation: true,
        exactly_once: None,
    };
    Validator::new(Arc::new(registry), context)
}

fn draft(entries: &[(&str, &str)]) -> Draft {
    entries.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect()
}

fn source(entries: &[(&str, &str)]) -> Draft {
    let mut all = draft(&[("name", "c"), ("connector.class", "MySource"), ("topic", "t")]);
    all.extend(draft(entries));
    all
}

fn sink(entries: &[(&str, &str)]) -> Draft {
    let mut all = draft(&[("name", "c"), ("connector.class", "MySink"), ("topic", "t")]);
    all.extend(draft(entries));
    all
}

fn infos(draft: &Draft) -> ConfigInfos {
    validator(OverridePolicy::All).validate(draft, &|_step| ()).unwrap()
}

/// All messages, each with its key.
fn errors(infos: &ConfigInfos) -> Vec<(&str, &str)> {
    let values = infos.configs.iter().map(|info| &info.value);
    values.flat_map(|value| value.errors.iter().map(|error| (value.name.as_str(), error.as_str()))).collect()
}

fn value<'i>(infos: &'i ConfigInfos, key: &str) -> &'i ConfigValue {
    &infos.configs.iter().find(|info| info.value.name == key).unwrap().value
}

#[test]
fn what_is_right_is_given_back_as_it_was_written() {
    let draft = source(&[("topic", "${env:TOPIC}"), ("unknown", "1")]);
    let settings = validator(OverridePolicy::All).check(&draft).unwrap();
    assert_eq!(settings, given(&draft));
    let infos = infos(&draft);
    assert_eq!(value(&infos, "topic").value.as_deref(), Some("${env:TOPIC}"));
    assert!(infos.configs.iter().all(|info| info.value.name != "unknown"));
    assert_eq!((infos.name.as_str(), infos.error_count), ("MySource", 0));
}

#[test]
fn the_order_is_framework_own_overrides_converters_after_what_nothing_defines() {
    let mut draft = source(&[
        ("producer.override.acks", "all"),
        ("value.converter", "JsonConverter"),
        ("key.converter", "JsonConverter"),
    ]);
    draft.insert("nothing".to_owned(), None);
    let infos = infos(&draft);
    let names: Vec<&str> = infos.configs.iter().map(|info| info.value.name.as_str()).collect();
    assert_eq!(
        names[..5],
        ["producer.override.acks", "nothing", "name", "connector.class", "connector.plugin.version"]
    );
    assert_eq!(
        names[names.len() - 6..],
        [
            "topic",
            "secret",
            "key.converter.schemas.enable",
            "key.converter.cache",
            "value.converter.schemas.enable",
            "value.converter.cache"
        ]
    );
    let expected = [
        "Common",
        "Transforms",
        "Predicates",
        "Error Handling",
        "Topic Creation",
        "Exactly Once Support",
        "offsets.topic",
        "Own",
        "Schemas",
    ];
    assert_eq!(infos.groups, expected);
    let tasks_max = infos.configs.iter().find(|info| info.value.name == "tasks.max").unwrap();
    assert_eq!(
        tasks_max.definition.as_ref().unwrap().default_text(),
        Some("7"),
        "the connector's own counts"
    );
}

#[test]
fn every_message_counts_but_converters_and_overrides_count_once_a_key() {
    let infos = infos(&source(&[
        ("odd", "1"),
        ("errors.retry.timeout", "x"),
        ("value.converter", "JsonConverter"),
        ("value.converter.cache", "x"),
        ("producer.override.jmx.port", "1"),
    ]));
    let expected = [
        ("producer.override.jmx.port", "librdkafka has no such setting"),
        (
            "errors.retry.timeout",
            "Invalid value x for configuration errors.retry.timeout: Not a number of type LONG",
        ),
        ("topic", "It is odd."),
        ("value.converter.cache", "Invalid value x for configuration cache: Not a number of type INT"),
        ("value.converter.cache", "Invalid value null for configuration cache: Value must be non-null"),
    ];
    assert_eq!(errors(&infos), expected);
    assert_eq!(infos.error_count, 4);
}

#[test]
fn messages_about_plugins() {
    let missing = "Missing required configuration \"transforms.a.type\" which has no default value.";
    let too_long = format!(
        "Invalid value {0} for configuration name: String may not be longer than 2048 bytes: it is a part of URLs",
        "ä".repeat(1025)
    );
    let table: [(Draft, &[&str]); 12] = [
        (source(&[("name", " ")]), &["Invalid value  for configuration name: String may not be empty"]),
        (source(&[("name", &"ä".repeat(1025))]), &[&too_long]),
        (
            source(&[("name", "..")]),
            &[
                "Invalid value .. for configuration name: String may not be . or ..: no URL can name it, and it could not \
               be deleted",
            ],
        ),
        (
            source(&[("name", "a\tb\u{1}c")]),
            &[
                "Invalid value a\tb\u{1}c for configuration name: String may not contain control sequences but had the \
               following ASCII chars: 9, 1",
            ],
        ),
        (
            source(&[("header.converter", "nope")]),
            &["Invalid value nope for configuration header.converter: Class nope could not be found."],
        ),
        (
            source(&[("key.converter", "x.SimpleHeaderConverter")]),
            &[
                "Invalid value x.SimpleHeaderConverter for configuration key.converter: Class x.SimpleHeaderConverter \
               does not implement the Converter interface",
            ],
        ),
        (source(&[("transforms", "a")]), &[missing]),
        (
            source(&[("transforms", "a"), ("transforms.a.type", "x.T")]),
            &["Invalid value x.T for configuration transforms.a.type: Class x.T could not be found."],
        ),
        (
            source(&[("predicates", "p"), ("predicates.p.type", "x.P")]),
            &["Invalid value x.P for configuration predicates.p.type: Class x.P could not be found."],
        ),
        (
            source(&[("transforms", "a,a"), ("transforms.a.type", "x.T")]),
            &[
                "Invalid value [a, a] for configuration transforms: Duplicate alias provided.",
                "Invalid value x.T for configuration transforms.a.type: Class x.T could not be found.",
            ],
        ),
        (
            source(&[("value.converter", "JsonConverter"), ("value.converter.plugin.version", "[9.9]")]),
            &[
                "Plugin x.JsonConverter not found that matches the version range [9.9,9.9], available versions: [4.3.1]",
            ],
        ),
        (
            source(&[("exactly.once.support", "maybe")]),
            &[
                "Invalid value maybe for configuration exactly.once.support: String must be one of (case insensitive): \
               requested, required",
            ],
        ),
    ];
    assert_messages(&table);
}

#[test]
fn messages_about_topics() {
    let regex = |topics: &str| {
        format!(
            "The DLQ topic 'd' may not be matched by the regex for the topics \
        ('topics.regex={topics}') consumed by the connector"
        )
    };
    let table: [(Draft, &[&str]); 8] = [
        (
            sink(&[]),
            &["Must configure one of topics or topics.regex", "Must configure one of topics or topics.regex"],
        ),
        (
            sink(&[("topics", "a"), ("topics.regex", "a")]),
            &[
                "topics and topics.regex are mutually exclusive options, but both are set.",
                "topics and topics.regex are mutually exclusive options, but both are set.",
            ],
        ),
        (
            sink(&[("topics", "a,b c, ^d")]),
            &[
                "'b c' is no name of a topic: those have 1 to 249 of the characters a-z A-Z 0-9 . _ -",
                "'^d' is no name of a topic: those have 1 to 249 of the characters a-z A-Z 0-9 . _ -",
            ],
        ),
        (
            sink(&[("topics", "a, d"), ("errors.deadletterqueue.topic.name", "d")]),
            &[
                "The DLQ topic 'd' may not be included in the list of topics ('topics=[a, d]') consumed by the connector",
            ],
        ),
        (sink(&[("topics.regex", ".*"), ("errors.deadletterqueue.topic.name", "d")]), &[&regex(".*")]),
        // As Java reads it.
        (
            sink(&[("topics.regex", "(?!e).*"), ("errors.deadletterqueue.topic.name", "d")]),
            &[&regex("(?!e).*")],
        ),
        (sink(&[("topics.regex", "(?!d).*"), ("errors.deadletterqueue.topic.name", "d")]), &[]),
        (
            sink(&[("topics", "a"), ("errors.deadletterqueue.topic.name", "d d")]),
            &["'d d' is no name of a topic: those have 1 to 249 of the characters a-z A-Z 0-9 . _ -"],
        ),
    ];
    assert_messages(&table);
}

#[test]
fn groups_of_topics_are_checked_where_the_worker_creates_topics() {
    let missing =
        "Missing required configuration \"topic.creation.default.partitions\" which has no default value.";
    let factor = "Invalid value 0 for configuration replication.factor: Replication factor must be positive and not \
        larger than the number of brokers in the Kafka cluster, or -1 to use the broker's default";
    let zero = ("topic.creation.default.replication.factor", "0");
    let no_factor = missing.replace("partitions", "replication.factor");
    assert_messages(&[
        (source(&[("topic.creation.groups", "")]), &[&no_factor, missing]),
        (source(&[zero]), &[factor, missing]),
    ]);
    let infos = infos(&source(&[zero, ("topic.creation.default.partitions", "2")]));
    assert_eq!(errors(&infos), [("topic.creation.default.replication.factor", factor)]);
    // What is right is not shown, as in Apache.
    assert!(infos.configs.iter().all(|info| info.value.name != "topic.creation.default.partitions"));
    let off = Validator::new(
        Arc::clone(&validator(OverridePolicy::All).registry),
        ValidationContext { topic_creation: false, ..validator(OverridePolicy::All).context },
    );
    off.check(&source(&[zero])).unwrap();
}

#[test]
fn a_list_has_a_bounded_number_of_aliases() {
    let aliases = |count: usize| (0..count).map(|n| format!("a{n}")).collect::<Vec<_>>().join(",");
    let too_many = aliases(20_000);
    for list in ["transforms", "predicates", "topic.creation.groups"] {
        let mut draft = source(&[(list, &too_many)]);
        draft.extend(source(&[
            ("topic.creation.default.partitions", "1"),
            ("topic.creation.default.replication.factor", "1"),
        ]));
        let infos = infos(&draft);
        let message = format!("Configuration '{list}' has 20000 aliases. At most 256 are possible.");
        assert_eq!(errors(&infos), [(list, message.as_str())]);
        assert!(infos.configs.len() < 100, "{list}: {} settings", infos.configs.len());
    }
    let most = infos(&source(&[("transforms", &aliases(256))]));
    assert_eq!(most.error_count, 256, "each lacks its class, and nothing else is wrong");
}

#[test]
fn messages_about_errors() {
    let table = [
        ("errors.retry.timeout", "-1", None),
        ("errors.retry.timeout", "1s", Some("Not a number of type LONG")),
        ("errors.retry.delay.max.ms", "0.5", Some("Not a number of type LONG")),
        ("errors.tolerance", "all", None),
        ("errors.tolerance", "All", Some("String must be one of: none, all")),
        ("errors.log.enable", "yes", Some("Expected value to be either true or false")),
        ("errors.log.include.messages", "1", Some("Expected value to be either true or false")),
        ("errors.deadletterqueue.topic.replication.factor", "-1", None),
        ("errors.deadletterqueue.topic.replication.factor", "40000", Some("Not a number of type SHORT")),
        (
            "errors.deadletterqueue.context.headers.enable",
            "on",
            Some("Expected value to be either true or false"),
        ),
    ];
    for (key, value, message) in table {
        let queue = ("errors.deadletterqueue.topic.name", "d");
        let infos = infos(&sink(&[("topics", "a"), queue, (key, value)]));
        let expected: Vec<_> = message
            .map(|message| (key, format!("Invalid value {value} for configuration {key}: {message}")))
            .into_iter()
            .collect();
        let found = errors(&infos);
        let found: Vec<_> = found.into_iter().map(|(key, error)| (key, error.to_owned())).collect();
        assert_eq!(found, expected, "{key}={value}");
    }
}

/// Each draft has exactly these errors.
#[track_caller]
fn assert_messages(table: &[(Draft, &[&str])]) {
    for (draft, expected) in table {
        let infos = infos(draft);
        let found: Vec<&str> = errors(&infos).into_iter().map(|(_, error)| error).collect();
        assert_eq!(found, *expected);
        assert_eq!(infos.error_count, expected.len());
    }
}

#[test]
fn a_null_is_an_error_even_where_there_is_a_default() {
    let mut draft = source(&[]);
    draft.insert("tasks.max".to_owned(), None);
    draft.insert("nul".to_owned(), None);
    let infos = infos(&draft);
    let text = "Null value can not be supplied as the configuration value.";
    assert_eq!(errors(&infos), [("nul", text), ("tasks.max", text)]);
    assert_eq!(infos.error_count, 2);
    assert!(infos.configs[0].definition.is_none());
}

#[test]
fn a_version_that_is_not_there_is_all_that_is_said() {
    let infos = infos(&source(&[("connector.plugin.version", "9.9"), ("odd", "1")]));
    let text = "Plugin x.MySourceConnector not found that matches the version range [9.9,9.9], \
                available versions: [4.3.1]";
    assert_eq!(errors(&infos), [("connector.plugin.version", text), ("connector.plugin.version", text)]);
    assert_eq!(infos.error_count, 2);
}

#[test]
fn the_complaint_of_a_write() {
    let draft = draft(&[("name", "c"), ("connector.class", "MySource"), ("tasks.max", "zero")]);
    let error = validator(OverridePolicy::All).check(&draft).unwrap_err().to_string();
    let expected = "Connector configuration is invalid and contains the following 2 error(s):\n\
        Invalid value zero for configuration tasks.max: Not a number of type INT\n\
        Missing required configuration \"topic\" which has no default value.\n\
        You can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`";
    assert_eq!(error, expected);
}

#[test]
fn what_cannot_be_validated_at_all() {
    let table = [
        (draft(&[("name", "a"), ("k", "v")]), "Connector config {name=a, k=v} contains no connector type"),
        (
            draft(&[("connector.class", "NoSuch")]),
            "Failed to find any class that implements Connector and which name matches NoSuch, available connectors \
             are: x.MySinkConnector, x.MySourceConnector",
        ),
        (source(&[("connector.plugin.version", "[9")]), "Unbounded range: [9"),
        (
            source(&[("topic", "${env:x:TOPIC}")]),
            "Could not resolve a config provider reference in the connector config: Path is not supported for \
             EnvVarConfigProvider, invalid value 'x', for ${env:x:TOPIC} in the setting topic",
        ),
    ];
    for (draft, expected) in table {
        let error = validator(OverridePolicy::All).check(&draft).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn overrides_follow_the_policy_for_the_clients_that_the_connector_has() {
    let refused = |draft: Draft| {
        let infos = validator(OverridePolicy::None).validate(&draft, &|_step| ()).unwrap();
        errors(&infos).into_iter().map(|(key, _)| key.to_owned()).collect::<Vec<_>>()
    };
    let all = [("producer.override.acks", "1"), ("consumer.override.x", "1"), ("admin.override.x", "1")];
    assert_eq!(refused(source(&all)), ["producer.override.acks"]);
    let creation =
        [("topic.creation.default.partitions", "1"), ("topic.creation.default.replication.factor", "1")];
    assert_eq!(
        refused(source(&[&all[..], &creation].concat())),
        ["producer.override.acks", "admin.override.x"]
    );
    let topics = ("topics", "t");
    assert_eq!(refused(sink(&[&all[..], &[topics]].concat())), ["consumer.override.x"]);
    let queue = ("errors.deadletterqueue.topic.name", "d");
    let expected = ["producer.override.acks", "consumer.override.x", "admin.override.x"];
    assert_eq!(refused(sink(&[&all[..], &[topics, queue]].concat())), expected);
}

#[test]
fn secrets_are_hidden() {
    let infos = infos(&source(&[("secret", "hunter2"), ("producer.override.sasl.jaas.config", "hunter2")]));
    for key in ["secret", "producer.override.sasl.jaas.config"] {
        assert_eq!(value(&infos, key).value.as_deref(), Some("[hidden]"), "{key}");
    }
}

#[test]
fn who_waits_can_know_each_step() {
    let steps = Mutex::new(Vec::new());
    let note = |step: ValidationStep| steps.lock().unwrap().push(step.to_string());
    let draft = sink(&[("topics", "t"), ("value.converter", "JsonConverter")]);
    validator(OverridePolicy::All).validate(&draft, &note).unwrap();
    let expected = [
        "resolving transformed configuration properties for the connector",
        "retrieving the configuration definition from the connector",
        "performing multi-property validation for the connector",
        "validating consumer config overrides for the connector",
        "performing config validation for the connector's value converter",
    ];
    assert_eq!(*steps.lock().unwrap(), expected);
}

#[test]
fn the_settings_of_plug_ins_begin_with_their_own() {
    let validator = validator(OverridePolicy::All);
    let names = |plugin: &str| {
        let (class, _, def) = validator.plugin_def(plugin).unwrap();
        (class, def.keys().map(|key| key.name.clone()).collect::<Vec<_>>())
    };
    let (class, keys) = names("MySource");
    assert_eq!(
        (class, &keys[..4]),
        ("x.MySourceConnector", &["topic", "secret", "tasks.max", "name"].map(str::to_owned)[..])
    );
    assert!(keys.contains(&"offsets.storage.topic".to_owned()));
    assert!(names("MySinkConnector").1.contains(&"topics.regex".to_owned()));
    assert_eq!(names("Json"), ("x.JsonConverter", vec!["schemas.enable".to_owned(), "cache".to_owned()]));
    assert!(validator.plugin_def("NoSuch").is_none());
}

#[test]
fn the_page_of_connector_settings_is_fresh() {
    use super::framework_def::{of_sinks, of_sources};
    use crate::config::reference::{check_page, connector_page};
    let [sources, sinks] = [of_sources(), of_sinks()].map(|def| def.define_all(super::auto_restart::keys()));
    check_page("connector-configs.md", &connector_page(&sources, &sinks));
}
