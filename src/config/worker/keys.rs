//! The one table of worker settings. Parsing, the warning about unknown names, the lines that a start logs and
//! `docs/reference/worker-configs.md` are made from it.

use std::sync::LazyLock;

use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance, Validator};

/// How a worker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Alone, with its offsets in a file.
    Standalone,
    /// In a group, with internal topics.
    Distributed,
}

/// In which modes a setting means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modes {
    /// In either.
    Both,
    /// In one of them.
    Only(Mode),
}

impl Modes {
    /// Whether `mode` is one of them.
    #[must_use]
    pub fn include(self, mode: Mode) -> bool {
        match self {
            Modes::Both => true,
            Modes::Only(only) => only == mode,
        }
    }
}

/// Whether a setting has its effect in this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It has.
    Built,
    /// It is read and checked, but has no effect; the text completes «… has no effect here: ».
    Recognised(&'static str),
}

/// One worker setting.
#[derive(Debug, Clone)]
pub struct WorkerKey {
    /// Name, type, default, condition and documentation.
    pub key: ConfigKey,
    /// Where it means something.
    pub modes: Modes,
    /// Whether it has its effect.
    pub support: Support,
}

impl WorkerKey {
    pub(super) fn built(modes: Modes, key: ConfigKey) -> Self {
        Self { key, modes, support: Support::Built }
    }

    pub(super) fn recognised(modes: Modes, instead: &'static str, key: ConfigKey) -> Self {
        Self { key, modes, support: Support::Recognised(instead) }
    }
}

static ALL: LazyLock<Vec<WorkerKey>> = LazyLock::new(|| {
    let mut all = Vec::new();
    all.extend(core());
    all.extend(topics_and_plugins());
    all.extend(metrics());
    all.extend(auto_restart());
    all.extend(rest());
    all.extend(rest_limits());
    all.extend(super::keys_clients::keys());
    all.extend(super::keys_distributed::keys());
    all
});

/// All worker settings, in the order of the reference page.
#[must_use]
pub fn all() -> &'static [WorkerKey] {
    &ALL
}

/// The settings of one mode.
#[must_use]
pub fn config_def(mode: Mode) -> ConfigDef {
    let keys = all().iter().filter(|entry| entry.modes.include(mode)).map(|entry| entry.key.clone());
    ConfigDef::new().define_all(keys)
}

/// Whether the value of a setting must not be printed: that of a known secret, or what sounds like one.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let known = all().iter().find(|entry| entry.key.name == name);
    known.is_some_and(|entry| entry.key.config_type == ConfigType::Password)
        || ["password", "jaas.config", "secret", "ssl.keystore.key"].iter().any(|word| name.contains(word))
}

fn core() -> Vec<WorkerKey> {
    use ConfigType::{Class, List, Long, String};
    use Importance::{High, Low, Medium};
    let built = |key| WorkerKey::built(Modes::Both, key);
    let version = |name| {
        let instead = "converters have the version of the worker";
        let doc = "The version of the converter to use (KIP-891).";
        WorkerKey::recognised(Modes::Both, instead, ConfigKey::new(name, String, Low, doc))
    };
    vec![
        built(ConfigKey::new("bootstrap.servers", List, High, "Brokers to begin with, as `host:port`. The client finds the others itself.").default("localhost:9092")),
        built(ConfigKey::new("client.dns.lookup", String, Medium, "How broker names with several addresses are looked up.").default("use_all_dns_ips").one_of(&["use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"])),
        built(ConfigKey::required("key.converter", Class, High, "The converter for record keys of connectors that name none. Settings of the converter follow as `key.converter.*`.")),
        version("key.converter.plugin.version"),
        built(ConfigKey::required("value.converter", Class, High, "The converter for record values of connectors that name none. Settings of the converter follow as `value.converter.*`.")),
        version("value.converter.plugin.version"),
        built(ConfigKey::new("header.converter", Class, Low, "The converter for header values of connectors that name none. Settings of the converter follow as `header.converter.*`.").default("org.apache.kafka.connect.storage.SimpleHeaderConverter")),
        version("header.converter.plugin.version"),
        built(ConfigKey::new("offset.storage.file.filename", String, High, "The file that holds the offsets of source connectors. Its format is that of Apache Kafka Connect.").validator(Validator::NonEmpty)).standalone_required(),
        built(ConfigKey::new("task.shutdown.graceful.timeout.ms", Long, Low, "How long one request to stop tasks waits for all of them together.").default("5000").at_least(0)),
        built(ConfigKey::new("offset.flush.interval.ms", Long, Low, "How long after one commit of offsets the next one begins, for sources and sinks.").default("60000").at_least(0)),
        built(ConfigKey::new("offset.flush.timeout.ms", Long, Low, "How long one commit of offsets may take before it is given up and tried again at the next interval.").default("5000").at_least(0)),
        built(ConfigKey::new("config.providers", List, Low, "Aliases of config providers. Each is set up by `config.providers.ALIAS.class` and `config.providers.ALIAS.param.*`, and used in values as `${ALIAS:path:key}`.").default("")),
        built(ConfigKey::new("connector.client.config.override.policy", Class, Low, "Which client settings a connector may override: `All`, `None` or `Principal`.").default("All")),
    ]
}

impl WorkerKey {
    /// Needed in standalone mode and unknown to distributed mode.
    fn standalone_required(mut self) -> Self {
        self.key.default = crate::api::config_def::Default::Required;
        self.modes = Modes::Only(Mode::Standalone);
        self
    }
}

fn topics_and_plugins() -> Vec<WorkerKey> {
    use ConfigType::{Boolean, List, String};
    use Importance::Low;
    let built = |key| WorkerKey::built(Modes::Both, key);
    let discovery = ["only_scan", "hybrid_warn", "hybrid_fail", "service_load"];
    let discovery = Validator::custom(
        "only_scan, hybrid_warn, hybrid_fail, service_load (any case)",
        move |value| {
            let text = value.and_then(|value| value.as_text()).unwrap_or_default();
            if discovery.iter().any(|choice| choice.eq_ignore_ascii_case(text)) {
                return Ok(());
            }
            Err("Invalid plugin.discovery value, must be one of [only_scan, hybrid_warn, hybrid_fail, service_load]".to_owned())
        },
    );
    vec![
        built(ConfigKey::new("topic.creation.enable", Boolean, Low, "Whether the `topic.creation.*` settings of source connectors count.").default("true")),
        built(ConfigKey::new("topic.tracking.enable", Boolean, Low, "Whether the topics that each connector uses are recorded.").default("true")),
        built(ConfigKey::new("topic.tracking.allow.reset", Boolean, Low, "Whether that record may be reset over REST.").default("true")),
        built(ConfigKey::new("plugin.path", List, Low, "Where Apache Kafka Connect looks for plug-ins. This worker runs no plug-ins for the JVM: it only warns when it finds `.jar` files there.")),
        built(ConfigKey::new("plugin.discovery", String, Low, "How Apache Kafka Connect looks for plug-ins. Checked and without effect here: plug-ins are built in.").default("hybrid_warn").validator(discovery)),
        built(ConfigKey::new("exec.allowed", List, Low, "The programs that ExecSource and ExecSink connectors may run: full paths, and folders with `/` at the end. Empty: none. Whoever may create connectors can run these as the user of the worker. An addition of herdsman.").default("")),
    ]
}

fn metrics() -> Vec<WorkerKey> {
    use ConfigType::{Int, List, Long, String};
    use Importance::Low;
    let built = |key| WorkerKey::built(Modes::Both, key);
    let recognised = |instead, key| WorkerKey::recognised(Modes::Both, instead, key);
    vec![
        built(
            ConfigKey::new(
                "metrics.sample.window.ms",
                Long,
                Low,
                "How long the windows are over which metrics have rates, averages and greatest values.",
            )
            .default("30000")
            .at_least(0),
        ),
        built(
            ConfigKey::new(
                "metrics.num.samples",
                Int,
                Low,
                "How many of these windows are looked at. More than 100 count as 100.",
            )
            .default("2")
            .at_least(1),
        ),
        built(
            ConfigKey::new(
                "metrics.clients.interval.ms",
                Int,
                Low,
                "How often the producers and consumers of tasks tell librdkafka's numbers for the metrics of clients; 0 is never. An addition of herdsman.",
            )
            .default("0")
            .validator(Validator::Between(0, 86_400_000)),
        ),
        recognised(
            "all metrics are of the level INFO",
            ConfigKey::new("metrics.recording.level", String, Low, "The level of detail of metrics.")
                .default("INFO")
                .one_of(&["INFO", "DEBUG"]),
        ),
        recognised(
            "GET /metrics has them for Prometheus",
            ConfigKey::new("metric.reporters", List, Low, "Classes that report metrics inside a JVM.")
                .default("org.apache.kafka.common.metrics.JmxReporter"),
        ),
    ]
}

fn auto_restart() -> Vec<WorkerKey> {
    use ConfigType::{Boolean, Int, Long};
    let built = |name, kind, default, least: Option<i64>, doc: &str| {
        let doc = format!("{doc} Connectors may say otherwise by the same name. An addition of herdsman.");
        let key = ConfigKey::new(name, kind, Importance::Low, &doc).default(default);
        WorkerKey::built(
            Modes::Both,
            match least {
                Some(least) => key.at_least(least),
                None => key,
            },
        )
    };
    vec![
        built(
            "auto.restart.enable",
            Boolean,
            "false",
            None,
            "Whether connectors and tasks that have failed are restarted.",
        ),
        built(
            "auto.restart.max.restarts",
            Int,
            "-1",
            Some(-1),
            "How often in a row one of them is restarted; -1 without an end.",
        ),
        built(
            "auto.restart.backoff.ms",
            Long,
            "60000",
            Some(1),
            "Before the restart after n others it waits n² + n times as long. One that has run longer than the wait that would be next begins to count anew.",
        ),
        built("auto.restart.backoff.max.ms", Long, "3600000", Some(1), "How long it waits at most."),
    ]
}

fn rest() -> Vec<WorkerKey> {
    use ConfigType::{Int, List, String};
    use Importance::{High, Low, Medium};
    let built = |key| WorkerKey::built(Modes::Both, key);
    vec![
        built(ConfigKey::new("listeners", List, Low, "Where the REST server listens: `http://host:port` or `https://host:port`. An empty host is every interface, port 0 a free port.").default("http://:8083")),
        built(ConfigKey::new("admin.listeners", List, Low, "Where `/admin` is served. Not set: on `listeners`. Empty: nowhere. Otherwise on these listeners only, which then serve nothing else.")),
        built(ConfigKey::new("rest.advertised.host.name", String, Low, "The host that other workers and `GET /connectors/{name}/status` see.")),
        built(ConfigKey::new("rest.advertised.port", Int, Low, "The port that they see.")),
        built(ConfigKey::new("rest.advertised.listener", String, Low, "The scheme that they see: `http` or `https`.")),
        built(ConfigKey::new("rest.extension.classes", List, Low, "REST extensions. `org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension` is built in; any other class ends the start, so that a protection is never dropped in silence.").default("")),
        built(ConfigKey::new("access.control.allow.origin", String, Low, "Origins that may use the REST API from a browser: regular expressions separated by commas, or `*`.").default("")),
        built(ConfigKey::new("access.control.allow.methods", String, Low, "Methods that they may use; empty is GET, POST and HEAD.").default("")),
        built(ConfigKey::new("response.http.headers.config", String, Low, "Headers for every answer: `[set|add|setDate|addDate] name:value`, separated by commas, in double quotes if there is a comma inside.").default("")),
        built(ConfigKey::new("rest.basic.auth.jaas.file", String, Medium, "The JAAS file with the entry `KafkaConnect` for basic authentication. Not set: taken from `-Djava.security.auth.login.config=FILE` in the environment variable `KAFKA_OPTS`. An addition of herdsman.")),
        built(ConfigKey::new("ssl.client.auth", String, Low, "Whether HTTPS clients must show a certificate.").default("none").one_of(&["required", "requested", "none"])),
        built(ConfigKey::new("rest.health.timeout.ms", ConfigType::Long, High, "How long `GET /health` waits for the worker before it answers that it is starting or unhealthy. An addition of herdsman.").default("10000").at_least(1)),
    ]
}

fn rest_limits() -> Vec<WorkerKey> {
    use Importance::Low;
    let built = |name, default, min, doc: &str| {
        let doc = format!("{doc} An addition of herdsman.");
        WorkerKey::built(
            Modes::Both,
            ConfigKey::new(name, ConfigType::Long, Low, &doc).default(default).at_least(min),
        )
    };
    vec![
        built(
            "rest.request.timeout.ms",
            "90000",
            1,
            "How long a REST request waits for the worker before it is answered with a timeout.",
        ),
        built(
            "rest.connections.max",
            "512",
            1,
            "How many REST connections are open at a time; beyond that the longest silent one is closed.",
        ),
        built(
            "rest.idle.timeout.ms",
            "30000",
            1,
            "After how long a silent or slow REST connection is closed.",
        ),
        built(
            "rest.body.bytes.max",
            "4194304",
            1,
            "The largest body that a REST request may have, in bytes; a larger one is answered with 413.",
        ),
        built(
            "rest.header.bytes.max",
            "8192",
            256,
            "The largest request line and headers together, in bytes; larger ones are answered with 431.",
        ),
    ]
}
