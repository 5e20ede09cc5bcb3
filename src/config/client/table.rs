//! Every setting of Java's producer, consumer and admin client, and what becomes of it.

use super::ClientKind;
use crate::api::config_def::ConfigError;

/// What becomes of one setting.
#[derive(Debug, Clone, Copy)]
pub enum Rule {
    /// The same text under this name.
    Text(&'static str),
    /// Addresses of brokers, separated by commas.
    Servers(&'static str),
    /// `true` or `false` under this name.
    Boolean(&'static str),
    /// A whole number, under each of these names and moved into its bounds; -1 counts as the lower bound.
    Number(&'static [(&'static str, i64, i64)]),
    /// Bytes here, KiB there, moved into these bounds.
    Kibibytes(&'static str, i64, i64),
    /// One of these values (any case) for each of those.
    Choice(&'static str, &'static [(&'static str, &'static str)]),
    /// Translated together with others; the text says into what.
    Together(&'static str),
    /// Used by the worker itself; the text says for what.
    Worker(&'static str),
    /// Without effect, for a reason that harms nobody.
    Ignored(&'static str),
    /// These values are without effect; any other is an error, and the text says what to do.
    Only(&'static [&'static str], &'static str),
}

/// One setting of Java's clients.
#[derive(Debug, Clone, Copy)]
pub struct ClientKey {
    /// Its name; with a `*` at its end all names that begin so.
    pub name: &'static str,
    /// Which clients have it.
    pub clients: &'static [ClientKind],
    /// What becomes of it.
    pub rule: Rule,
}

impl ClientKey {
    fn matches(&self, kind: ClientKind, name: &str) -> bool {
        let same = match self.name.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == self.name,
        };
        same && self.clients.contains(&kind)
    }
}

/// The entry for a setting of one kind of client.
#[must_use]
pub fn find(kind: ClientKind, name: &str) -> Option<&'static ClientKey> {
    all().find(|key| key.matches(kind, name))
}

/// All entries in the order of the reference page.
pub fn all() -> impl Iterator<Item = &'static ClientKey> {
    COMMON.iter().chain(SECURITY).chain(PRODUCER).chain(CONSUMER).chain(ADMIN)
}

impl Rule {
    /// The names and values for librdkafka, with what a person should know. `key` is the setting as written.
    pub(super) fn apply(&self, key: &str, value: &str) -> Result<Applied, ConfigError> {
        let invalid = |message: &str| ConfigError::invalid(key, value, message);
        let mut applied = Applied::default();
        match *self {
            Rule::Text(to) => applied.set(to, value),
            Rule::Servers(to) => applied.set(to, &servers(value).map_err(|message| invalid(&message))?),
            Rule::Boolean(to) => match value.to_ascii_lowercase().as_str() {
                text @ ("true" | "false") => applied.set(to, text),
                _ => return Err(invalid("Expected value to be either true or false")),
            },
            Rule::Number(targets) => {
                let number: i64 = value.parse().map_err(|_| invalid("Not a number of type LONG"))?;
                for &(to, min, max) in targets {
                    let moved = number.clamp(min, max);
                    if moved != number && number != -1 && number != i64::from(i32::MAX) {
                        applied.notes.push(format!(
                            "{key}={number} is taken as {moved}, the nearest that {to} can be"
                        ));
                    }
                    applied.set(to, &moved.to_string());
                }
            }
            Rule::Kibibytes(to, min, max) => {
                let bytes: i64 = value.parse().map_err(|_| invalid("Not a number of type LONG"))?;
                applied.set(to, &(bytes / 1024).clamp(min, max).to_string());
            }
            Rule::Choice(to, choices) => {
                match choices.iter().find(|(java, _)| java.eq_ignore_ascii_case(value)) {
                    Some((_, ours)) => applied.set(to, ours),
                    None => {
                        let names: Vec<_> = choices.iter().map(|(java, _)| *java).collect();
                        return Err(invalid(&format!("String must be one of: {}", names.join(", "))));
                    }
                }
            }
            Rule::Only(accepted, remedy) if !accepted.contains(&value) => {
                return Err(invalid(&format!("this cannot be translated for librdkafka: {remedy}")));
            }
            Rule::Only(..) | Rule::Together(_) | Rule::Worker(_) | Rule::Ignored(_) => {}
        }
        Ok(applied)
    }
}

/// Addresses as librdkafka takes them. Like Java's clients this passes over a scheme in front of an address.
fn servers(text: &str) -> Result<String, String> {
    let mut servers = Vec::new();
    for written in text.split(',').map(str::trim).filter(|written| !written.is_empty()) {
        let address = written.split_once("://").map_or(written, |(_scheme, address)| address);
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._%:".contains(&byte);
        if bare.is_empty() || !bare.bytes().all(allowed) || !port.parse().is_ok_and(|port: u16| port > 0) {
            return Err(format!("Invalid url in bootstrap.servers: {written}; it needs the form host:port"));
        }
        servers.push(address);
    }
    if servers.is_empty() {
        return Err("No bootstrap urls given in bootstrap.servers".to_owned());
    }
    Ok(servers.join(","))
}

/// What one rule gave.
#[derive(Debug, Default)]
pub(super) struct Applied {
    pub(super) settings: Vec<(&'static str, String)>,
    pub(super) notes: Vec<String>,
}

impl Applied {
    fn set(&mut self, name: &'static str, value: &str) {
        self.settings.push((name, value.to_owned()));
    }
}

const ALL: &[ClientKind] = &[ClientKind::Producer, ClientKind::Consumer, ClientKind::Admin];
const P: &[ClientKind] = &[ClientKind::Producer];
const C: &[ClientKind] = &[ClientKind::Consumer];
const A: &[ClientKind] = &[ClientKind::Admin];
const INT_MAX: i64 = i32::MAX as i64;

const fn row(name: &'static str, clients: &'static [ClientKind], rule: Rule) -> ClientKey {
    ClientKey { name, clients, rule }
}

/// The value that a Java setting for a class or a list has when it is not used.
const UNSET: &[&str] = &["", "null"];
const BYTE_ARRAYS: &str = "the worker hands bytes to its clients; remove the setting";
const METRICS: &str = "about metrics of a JVM";
const BOUNDED: &str = "the worker bounds its own calls";

const COMMON: &[ClientKey] = &[
    row("bootstrap.servers", ALL, Rule::Servers("bootstrap.servers")),
    row("client.id", ALL, Rule::Text("client.id")),
    row(
        "client.dns.lookup",
        ALL,
        Rule::Choice(
            "client.dns.lookup",
            &[
                ("use_all_dns_ips", "use_all_dns_ips"),
                ("resolve_canonical_bootstrap_servers_only", "resolve_canonical_bootstrap_servers_only"),
                ("default", "use_all_dns_ips"),
            ],
        ),
    ),
    row("metadata.max.age.ms", ALL, Rule::Number(&[("topic.metadata.refresh.interval.ms", 1, 3_600_000)])),
    row(
        "metadata.recovery.strategy",
        ALL,
        Rule::Choice("metadata.recovery.strategy", &[("rebootstrap", "rebootstrap"), ("none", "none")]),
    ),
    row(
        "metadata.recovery.rebootstrap.trigger.ms",
        ALL,
        Rule::Number(&[("metadata.recovery.rebootstrap.trigger.ms", 0, INT_MAX)]),
    ),
    row("reconnect.backoff.ms", ALL, Rule::Number(&[("reconnect.backoff.ms", 0, 3_600_000)])),
    row("reconnect.backoff.max.ms", ALL, Rule::Number(&[("reconnect.backoff.max.ms", 0, 3_600_000)])),
    row("retry.backoff.ms", ALL, Rule::Number(&[("retry.backoff.ms", 1, 300_000)])),
    row("retry.backoff.max.ms", ALL, Rule::Number(&[("retry.backoff.max.ms", 1, 300_000)])),
    row("send.buffer.bytes", ALL, Rule::Number(&[("socket.send.buffer.bytes", 0, 100_000_000)])),
    row("receive.buffer.bytes", ALL, Rule::Number(&[("socket.receive.buffer.bytes", 0, 100_000_000)])),
    row(
        "socket.connection.setup.timeout.ms",
        ALL,
        Rule::Number(&[("socket.connection.setup.timeout.ms", 1000, INT_MAX)]),
    ),
    row(
        "socket.connection.setup.timeout.max.ms",
        ALL,
        Rule::Ignored("librdkafka has one bound for every attempt"),
    ),
    row("connections.max.idle.ms", ALL, Rule::Number(&[("connections.max.idle.ms", 0, INT_MAX)])),
    row("enable.metrics.push", ALL, Rule::Boolean("enable.metrics.push")),
    row("metric.reporters", ALL, Rule::Ignored(METRICS)),
    row("metrics.*", ALL, Rule::Ignored(METRICS)),
    row("auto.include.jmx.reporter", ALL, Rule::Ignored(METRICS)),
    row("config.providers*", ALL, Rule::Ignored("references are resolved by the worker")),
    row(
        "interceptor.classes",
        &[ClientKind::Producer, ClientKind::Consumer],
        Rule::Only(UNSET, "interceptors run in a JVM only; remove the setting"),
    ),
];

const LOGIN: &str = "only about OAUTHBEARER and GSSAPI, which `sasl.mechanism` refuses";
const JVM: &str = "it selects code of a JVM; TLS and random numbers come from OpenSSL";
const KEY_PAIR: &str = "`ssl.key.location`, `ssl.certificate.location`, `ssl.key.pem`, `ssl.certificate.pem`, `ssl.key.password` (PEM); `ssl.keystore.location`, `ssl.keystore.password` (PKCS12)";
const TRUST: &str = "`ssl.ca.location` or `ssl.ca.pem`; a PKCS12 store is read by the worker";

const SECURITY: &[ClientKey] = &[
    row(
        "security.protocol",
        ALL,
        Rule::Choice(
            "security.protocol",
            &[
                ("PLAINTEXT", "plaintext"),
                ("SSL", "ssl"),
                ("SASL_PLAINTEXT", "sasl_plaintext"),
                ("SASL_SSL", "sasl_ssl"),
            ],
        ),
    ),
    row(
        "security.providers",
        ALL,
        Rule::Only(UNSET, "security providers run in a JVM only; remove the setting"),
    ),
    row(
        "sasl.mechanism",
        ALL,
        Rule::Together(
            "`sasl.mechanism`: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`; used with a SASL `security.protocol`",
        ),
    ),
    row(
        "sasl.jaas.config",
        ALL,
        Rule::Together("`sasl.username`, `sasl.password`, from `PlainLoginModule` or `ScramLoginModule`"),
    ),
    row(
        "sasl.client.callback.handler.class",
        ALL,
        Rule::Only(UNSET, "callback handlers run in a JVM only; give name and password in sasl.jaas.config"),
    ),
    row(
        "sasl.login.callback.handler.class",
        ALL,
        Rule::Only(UNSET, "callback handlers run in a JVM only; give name and password in sasl.jaas.config"),
    ),
    row(
        "sasl.login.class",
        ALL,
        Rule::Only(UNSET, "login classes run in a JVM only; give name and password in sasl.jaas.config"),
    ),
    row("sasl.login.*", ALL, Rule::Ignored(LOGIN)),
    row("sasl.kerberos.*", ALL, Rule::Ignored(LOGIN)),
    row("sasl.oauthbearer.*", ALL, Rule::Ignored(LOGIN)),
    row("ssl.keystore.type", ALL, Rule::Together(KEY_PAIR)),
    row("ssl.keystore.location", ALL, Rule::Together(KEY_PAIR)),
    row("ssl.keystore.password", ALL, Rule::Together(KEY_PAIR)),
    row("ssl.keystore.key", ALL, Rule::Together(KEY_PAIR)),
    row("ssl.keystore.certificate.chain", ALL, Rule::Together(KEY_PAIR)),
    row("ssl.key.password", ALL, Rule::Together(KEY_PAIR)),
    row("ssl.truststore.type", ALL, Rule::Together(TRUST)),
    row("ssl.truststore.location", ALL, Rule::Together(TRUST)),
    row("ssl.truststore.password", ALL, Rule::Together(TRUST)),
    row("ssl.truststore.certificates", ALL, Rule::Together(TRUST)),
    row(
        "ssl.endpoint.identification.algorithm",
        ALL,
        Rule::Choice("ssl.endpoint.identification.algorithm", &[("https", "https"), ("", "none")]),
    ),
    row(
        "ssl.cipher.suites",
        ALL,
        Rule::Together("`ssl.cipher.suites`, in OpenSSL's names; suites of TLS 1.3 are always allowed"),
    ),
    row(
        "ssl.protocol",
        ALL,
        Rule::Ignored("librdkafka takes the newest TLS version that both sides have, at least 1.2"),
    ),
    row(
        "ssl.enabled.protocols",
        ALL,
        Rule::Ignored("librdkafka takes the newest TLS version that both sides have, at least 1.2"),
    ),
    row("ssl.keymanager.algorithm", ALL, Rule::Ignored(JVM)),
    row("ssl.trustmanager.algorithm", ALL, Rule::Ignored(JVM)),
    row("ssl.secure.random.implementation", ALL, Rule::Ignored(JVM)),
    row("ssl.provider", ALL, Rule::Only(UNSET, "security providers run in a JVM only; remove the setting")),
    row(
        "ssl.engine.factory.class",
        ALL,
        Rule::Only(UNSET, "TLS engines run in a JVM only; remove the setting"),
    ),
    row("ssl.client.auth", ALL, Rule::Ignored("about servers")),
];

const IDEMPOTENCE: &str = "together with `acks`, `retries`, `enable.idempotence` and `max.in.flight.requests.per.connection`: `enable.idempotence` is on unless it is set to false or one of the others rules it out; without it one request is in flight, as in Apache, unless set";
const LEVEL: &str = "`compression.level`, if it is the level of the `compression.type` that is used";

const PRODUCER: &[ClientKey] = &[
    row("acks", P, Rule::Together(IDEMPOTENCE)),
    row("retries", P, Rule::Together(IDEMPOTENCE)),
    row("enable.idempotence", P, Rule::Together(IDEMPOTENCE)),
    row("max.in.flight.requests.per.connection", P, Rule::Together(IDEMPOTENCE)),
    row("delivery.timeout.ms", P, Rule::Together("`message.timeout.ms`, where 2147483647 becomes 0: never")),
    row(
        "request.timeout.ms",
        P,
        Rule::Number(&[("socket.timeout.ms", 10, 300_000), ("request.timeout.ms", 1, 900_000)]),
    ),
    row("linger.ms", P, Rule::Number(&[("linger.ms", 0, 900_000)])),
    row("batch.size", P, Rule::Number(&[("batch.size", 1, INT_MAX)])),
    row("buffer.memory", P, Rule::Kibibytes("queue.buffering.max.kbytes", 1, INT_MAX)),
    row("max.request.size", P, Rule::Number(&[("message.max.bytes", 1000, 1_000_000_000)])),
    row(
        "compression.type",
        P,
        Rule::Choice(
            "compression.type",
            &[("none", "none"), ("gzip", "gzip"), ("snappy", "snappy"), ("lz4", "lz4"), ("zstd", "zstd")],
        ),
    ),
    row("compression.gzip.level", P, Rule::Together(LEVEL)),
    row("compression.lz4.level", P, Rule::Together(LEVEL)),
    row("compression.zstd.level", P, Rule::Together(LEVEL)),
    row(
        "partitioner.class",
        P,
        Rule::Only(
            &["", "null", "org.apache.kafka.clients.producer.internals.DefaultPartitioner"],
            "partitioners run in a JVM only; set the partition in the connector, or remove the setting for the default partitioner",
        ),
    ),
    row(
        "partitioner.ignore.keys",
        P,
        Rule::Choice("partitioner", &[("false", "murmur2_random"), ("true", "random")]),
    ),
    row(
        "partitioner.adaptive.partitioning.enable",
        P,
        Rule::Ignored("librdkafka spreads records without a key evenly"),
    ),
    row(
        "partitioner.availability.timeout.ms",
        P,
        Rule::Ignored("librdkafka spreads records without a key evenly"),
    ),
    row("max.block.ms", P, Rule::Ignored("a full buffer makes the task wait, however long")),
    row("metadata.max.idle.ms", P, Rule::Ignored("librdkafka forgets unused topics by itself")),
    row("transaction.timeout.ms", P, Rule::Number(&[("transaction.timeout.ms", 1000, INT_MAX)])),
    row(
        "transactional.id",
        P,
        Rule::Only(UNSET, "the worker names its transactions; use exactly.once.source.support"),
    ),
    row("transaction.two.phase.commit.enable", P, Rule::Only(&["", "false"], "remove the setting")),
    row(
        "key.serializer",
        P,
        Rule::Only(&["org.apache.kafka.common.serialization.ByteArraySerializer"], BYTE_ARRAYS),
    ),
    row(
        "value.serializer",
        P,
        Rule::Only(&["org.apache.kafka.common.serialization.ByteArraySerializer"], BYTE_ARRAYS),
    ),
];

const CONSUMER: &[ClientKey] = &[
    row("group.id", C, Rule::Text("group.id")),
    row("group.instance.id", C, Rule::Text("group.instance.id")),
    row(
        "group.protocol",
        C,
        Rule::Choice("group.protocol", &[("classic", "classic"), ("consumer", "consumer")]),
    ),
    row("group.remote.assignor", C, Rule::Text("group.remote.assignor")),
    row(
        "partition.assignment.strategy",
        C,
        Rule::Together(
            "`partition.assignment.strategy`: `range`, `roundrobin` or `cooperative-sticky`; of a list that mixes eager and cooperative ones, those of the kind of the first",
        ),
    ),
    row("session.timeout.ms", C, Rule::Number(&[("session.timeout.ms", 1, 3_600_000)])),
    row("heartbeat.interval.ms", C, Rule::Number(&[("heartbeat.interval.ms", 1, 3_600_000)])),
    row("max.poll.interval.ms", C, Rule::Number(&[("max.poll.interval.ms", 1, 86_400_000)])),
    row("max.poll.records", C, Rule::Worker("how many records a task gets at a time, at least 1")),
    row(
        "exclude.internal.topics",
        C,
        Rule::Worker("whether `topics.regex` passes over Kafka's internal topics"),
    ),
    row(
        "auto.offset.reset",
        C,
        Rule::Choice(
            "auto.offset.reset",
            &[("earliest", "earliest"), ("latest", "latest"), ("none", "error")],
        ),
    ),
    row(
        "isolation.level",
        C,
        Rule::Choice(
            "isolation.level",
            &[("read_uncommitted", "read_uncommitted"), ("read_committed", "read_committed")],
        ),
    ),
    row("fetch.min.bytes", C, Rule::Number(&[("fetch.min.bytes", 1, 100_000_000)])),
    row("fetch.max.bytes", C, Rule::Number(&[("fetch.max.bytes", 1000, 2_147_483_135)])),
    row("max.partition.fetch.bytes", C, Rule::Number(&[("max.partition.fetch.bytes", 1, 1_000_000_000)])),
    row("fetch.max.wait.ms", C, Rule::Number(&[("fetch.wait.max.ms", 0, 300_000)])),
    row("request.timeout.ms", C, Rule::Number(&[("socket.timeout.ms", 10, 300_000)])),
    row("client.rack", C, Rule::Text("client.rack")),
    row("check.crcs", C, Rule::Boolean("check.crcs")),
    row("allow.auto.create.topics", C, Rule::Boolean("allow.auto.create.topics")),
    row(
        "enable.auto.commit",
        C,
        Rule::Ignored("the worker commits offsets itself, after the task has flushed them"),
    ),
    row(
        "auto.commit.interval.ms",
        C,
        Rule::Ignored("the worker commits offsets itself, after the task has flushed them"),
    ),
    row("default.api.timeout.ms", C, Rule::Ignored(BOUNDED)),
    row(
        "key.deserializer",
        C,
        Rule::Only(&["org.apache.kafka.common.serialization.ByteArrayDeserializer"], BYTE_ARRAYS),
    ),
    row(
        "value.deserializer",
        C,
        Rule::Only(&["org.apache.kafka.common.serialization.ByteArrayDeserializer"], BYTE_ARRAYS),
    ),
    row("share.*", C, Rule::Ignored("about share groups, which sink tasks do not use")),
    row("internal.*", C, Rule::Ignored("internal to Java's client")),
];

const ADMIN: &[ClientKey] = &[
    row("request.timeout.ms", A, Rule::Number(&[("socket.timeout.ms", 10, 300_000)])),
    row("default.api.timeout.ms", A, Rule::Ignored(BOUNDED)),
    row("retries", A, Rule::Ignored("requests are repeated within the time that the worker gives them")),
    row("bootstrap.controllers", A, Rule::Only(UNSET, "name brokers in bootstrap.servers")),
];
