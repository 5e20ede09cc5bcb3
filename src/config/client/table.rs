//! Every setting of Java's producers, consumers and admin clients, and what becomes of it.

use super::ClientKind;

/// Which clients a setting is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    /// Every client.
    All,
    /// Producers.
    Producer,
    /// Consumers.
    Consumer,
}

impl Clients {
    pub(super) fn include(self, kind: ClientKind) -> bool {
        match self {
            Clients::All => true,
            Clients::Producer => kind == ClientKind::Producer,
            Clients::Consumer => kind == ClientKind::Consumer,
        }
    }
}

type Pairs = Vec<(&'static str, String)>;

/// What becomes of a setting.
#[derive(Clone, Copy)]
pub enum Meaning {
    /// The same value under librdkafka's name.
    Same(&'static str),
    /// Other values or several settings.
    Converted(fn(&str) -> Result<Pairs, String>),
    /// Looked at together with others: logins, keys and certificates.
    Together,
    /// Nothing is to be done; why.
    NotNeeded(&'static str),
    /// It cannot be kept, unless it has its default; what to do.
    Refused(&'static str, &'static str),
}

/// One setting.
pub struct Row {
    /// Java's name.
    pub java: &'static str,
    /// Whom it is for.
    pub clients: Clients,
    /// What becomes of it.
    pub meaning: Meaning,
}

/// The row of a setting, `None` if Java's clients have none of that name.
pub fn row(java: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.java == java)
}

const fn all(java: &'static str, meaning: Meaning) -> Row {
    Row { java, clients: Clients::All, meaning }
}

const fn producer(java: &'static str, meaning: Meaning) -> Row {
    Row { java, clients: Clients::Producer, meaning }
}

const fn consumer(java: &'static str, meaning: Meaning) -> Row {
    Row { java, clients: Clients::Consumer, meaning }
}

use Meaning::{Converted, NotNeeded, Refused, Same, Together};

const METRICS: &str = "metrics of Java's clients do not exist here";
const BYTES: &str = "records are bytes here; converters do the rest";
const NO_CODE: &str = "classes for the JVM cannot be loaded; remove it";
const NO_KERBEROS: &str = "Kerberos is not built in";
const NO_OAUTH: &str = "OAUTHBEARER is not built in; use SCRAM or PLAIN";

/// All rows, by client and name.
pub static ROWS: &[Row] = &[
    all("bootstrap.servers", Same("bootstrap.servers")),
    all("client.dns.lookup", Same("client.dns.lookup")),
    all("client.id", Same("client.id")),
    all("client.rack", Same("client.rack")),
    all("connections.max.idle.ms", Converted(idle)),
    all("enable.metrics.push", NotNeeded(METRICS)),
    all("metadata.max.age.ms", Converted(metadata_age)),
    all("metadata.recovery.rebootstrap.trigger.ms", Same("metadata.recovery.rebootstrap.trigger.ms")),
    all("metadata.recovery.strategy", Same("metadata.recovery.strategy")),
    all("metric.reporters", NotNeeded(METRICS)),
    all("metrics.num.samples", NotNeeded(METRICS)),
    all("metrics.recording.level", NotNeeded(METRICS)),
    all("metrics.sample.window.ms", NotNeeded(METRICS)),
    all("auto.include.jmx.reporter", NotNeeded(METRICS)),
    all("receive.buffer.bytes", Converted(|value| buffer("socket.receive.buffer.bytes", value))),
    all("reconnect.backoff.max.ms", Same("reconnect.backoff.max.ms")),
    all("reconnect.backoff.ms", Same("reconnect.backoff.ms")),
    all("request.timeout.ms", Converted(request_timeout)),
    all("retries", NotNeeded("sending is tried again until delivery.timeout.ms has passed")),
    all("retry.backoff.max.ms", Converted(|value| at_least("retry.backoff.max.ms", 1, value))),
    all("retry.backoff.ms", Converted(|value| at_least("retry.backoff.ms", 1, value))),
    all("security.providers", Refused("", NO_CODE)),
    all("send.buffer.bytes", Converted(|value| buffer("socket.send.buffer.bytes", value))),
    all("socket.connection.setup.timeout.max.ms", NotNeeded("librdkafka does not lengthen its timeout")),
    all(
        "socket.connection.setup.timeout.ms",
        Converted(|value| at_least("socket.connection.setup.timeout.ms", 1000, value)),
    ),
    all("security.protocol", Together),
    all("sasl.mechanism", Together),
    all("sasl.jaas.config", Together),
    all("sasl.client.callback.handler.class", Refused("", NO_CODE)),
    all("sasl.login.callback.handler.class", Refused("", NO_CODE)),
    all("sasl.login.class", Refused("", NO_CODE)),
    all("sasl.kerberos.kinit.cmd", Refused("/usr/bin/kinit", NO_KERBEROS)),
    all("sasl.kerberos.min.time.before.relogin", Refused("60000", NO_KERBEROS)),
    all("sasl.kerberos.service.name", Refused("", NO_KERBEROS)),
    all("sasl.kerberos.ticket.renew.jitter", Refused("0.05", NO_KERBEROS)),
    all("sasl.kerberos.ticket.renew.window.factor", Refused("0.8", NO_KERBEROS)),
    all("sasl.login.connect.timeout.ms", Refused("", NO_OAUTH)),
    all("sasl.login.read.timeout.ms", Refused("", NO_OAUTH)),
    all("sasl.login.refresh.buffer.seconds", Refused("300", NO_OAUTH)),
    all("sasl.login.refresh.min.period.seconds", Refused("60", NO_OAUTH)),
    all("sasl.login.refresh.window.factor", Refused("0.8", NO_OAUTH)),
    all("sasl.login.refresh.window.jitter", Refused("0.05", NO_OAUTH)),
    all("sasl.login.retry.backoff.max.ms", Refused("10000", NO_OAUTH)),
    all("sasl.login.retry.backoff.ms", Refused("100", NO_OAUTH)),
    all("sasl.oauthbearer.token.endpoint.url", Refused("", NO_OAUTH)),
    all("sasl.oauthbearer.jwks.endpoint.url", Refused("", NO_OAUTH)),
    all("sasl.oauthbearer.scope.claim.name", Refused("scope", NO_OAUTH)),
    all("sasl.oauthbearer.sub.claim.name", Refused("sub", NO_OAUTH)),
    all("ssl.cipher.suites", Refused("", "OpenSSL's defaults are used; restrict suites at the broker")),
    all("ssl.enabled.protocols", NotNeeded("OpenSSL agrees on TLS 1.2 or 1.3 with the broker")),
    all("ssl.endpoint.identification.algorithm", Together),
    all("ssl.engine.factory.class", Refused("", NO_CODE)),
    all("ssl.key.password", Together),
    all("ssl.keymanager.algorithm", NotNeeded("OpenSSL has no such choice")),
    all("ssl.keystore.certificate.chain", Together),
    all("ssl.keystore.key", Together),
    all("ssl.keystore.location", Together),
    all("ssl.keystore.password", Together),
    all("ssl.keystore.type", Together),
    all("ssl.protocol", NotNeeded("OpenSSL agrees on TLS 1.2 or 1.3 with the broker")),
    all("ssl.provider", Refused("", NO_CODE)),
    all("ssl.secure.random.implementation", NotNeeded("OpenSSL has its own")),
    all("ssl.trustmanager.algorithm", NotNeeded("OpenSSL has no such choice")),
    all("ssl.truststore.certificates", Together),
    all("ssl.truststore.location", Together),
    all("ssl.truststore.password", Together),
    all("ssl.truststore.type", Together),
    producer("acks", Same("acks")),
    producer("batch.size", Converted(|value| at_least("batch.size", 1, value))),
    producer("buffer.memory", Converted(buffer_memory)),
    producer("compression.gzip.level", Converted(|value| Ok(vec![("compression.level", value.to_owned())]))),
    producer("compression.lz4.level", Converted(|value| Ok(vec![("compression.level", value.to_owned())]))),
    producer("compression.zstd.level", Converted(|value| Ok(vec![("compression.level", value.to_owned())]))),
    producer("compression.type", Same("compression.type")),
    producer("delivery.timeout.ms", Converted(delivery_timeout)),
    producer("enable.idempotence", Same("enable.idempotence")),
    producer("interceptor.classes", Refused("", NO_CODE)),
    producer("key.serializer", NotNeeded(BYTES)),
    producer("linger.ms", Same("linger.ms")),
    producer("max.block.ms", NotNeeded("a full queue holds the task back, for as long as it takes")),
    producer("max.in.flight.requests.per.connection", Same("max.in.flight.requests.per.connection")),
    producer("max.request.size", Converted(|value| at_least("message.max.bytes", 1000, value))),
    producer("metadata.max.idle.ms", NotNeeded("librdkafka keeps what it needs")),
    producer("partitioner.adaptive.partitioning.enable", NotNeeded("librdkafka has its own way")),
    producer("partitioner.availability.timeout.ms", NotNeeded("librdkafka has its own way")),
    producer("partitioner.class", Converted(partitioner)),
    producer("partitioner.ignore.keys", Refused("false", "keys decide on the partition; remove it")),
    producer("transaction.timeout.ms", NotNeeded("source tasks use no transactions here")),
    producer("transactional.id", Refused("", "transactions are not the connector's to set; remove it")),
    producer("value.serializer", NotNeeded(BYTES)),
    consumer("allow.auto.create.topics", Same("allow.auto.create.topics")),
    consumer("auto.commit.interval.ms", NotNeeded("the worker commits offsets itself")),
    consumer("auto.offset.reset", Converted(offset_reset)),
    consumer("check.crcs", Same("check.crcs")),
    consumer("default.api.timeout.ms", NotNeeded("calls have deadlines of their own here")),
    consumer("enable.auto.commit", Refused("false", "the worker commits offsets itself; remove it")),
    consumer("exclude.internal.topics", NotNeeded("topics are named, or matched by topics.regex")),
    consumer("fetch.max.bytes", Same("fetch.max.bytes")),
    consumer("fetch.max.wait.ms", Same("fetch.wait.max.ms")),
    consumer("fetch.min.bytes", Same("fetch.min.bytes")),
    consumer("group.id", Same("group.id")),
    consumer("group.instance.id", Same("group.instance.id")),
    consumer("group.protocol", Refused("classic", "tasks of a sink share a classic group")),
    consumer("group.remote.assignor", Refused("", "it belongs to group.protocol=consumer")),
    consumer("heartbeat.interval.ms", Same("heartbeat.interval.ms")),
    consumer("interceptor.classes", Refused("", NO_CODE)),
    consumer("isolation.level", Same("isolation.level")),
    consumer("key.deserializer", NotNeeded(BYTES)),
    consumer("max.partition.fetch.bytes", Same("max.partition.fetch.bytes")),
    consumer("max.poll.interval.ms", Same("max.poll.interval.ms")),
    consumer("max.poll.records", NotNeeded("it is the most records in one batch for the task")),
    consumer("partition.assignment.strategy", Converted(assignors)),
    consumer("session.timeout.ms", Same("session.timeout.ms")),
    consumer("value.deserializer", NotNeeded(BYTES)),
];

fn whole(value: &str) -> Result<i64, String> {
    value.parse().map_err(|_| "Not a number of type LONG".to_owned())
}

fn at_least(name: &'static str, least: i64, value: &str) -> Result<Pairs, String> {
    Ok(vec![(name, whole(value)?.max(least).to_string())])
}

/// −1 leaves a socket buffer to the system, which is 0 in librdkafka.
fn buffer(name: &'static str, value: &str) -> Result<Pairs, String> {
    Ok(vec![(name, whole(value)?.clamp(0, 100_000_000).to_string())])
}

/// −1 is never, which is 0 in librdkafka.
fn idle(value: &str) -> Result<Pairs, String> {
    Ok(vec![("connections.max.idle.ms", whole(value)?.max(0).to_string())])
}

fn metadata_age(value: &str) -> Result<Pairs, String> {
    Ok(vec![("metadata.max.age.ms", whole(value)?.clamp(1, 86_400_000).to_string())])
}

fn request_timeout(value: &str) -> Result<Pairs, String> {
    Ok(vec![("socket.timeout.ms", whole(value)?.clamp(10, 300_000).to_string())])
}

fn buffer_memory(value: &str) -> Result<Pairs, String> {
    Ok(vec![("queue.buffering.max.kbytes", (whole(value)? / 1024).clamp(1, i64::from(i32::MAX)).to_string())])
}

/// Java's longest time is what «never» has to be written as there; librdkafka has 0 for it.
fn delivery_timeout(value: &str) -> Result<Pairs, String> {
    let timeout = whole(value)?;
    let timeout = if timeout >= i64::from(i32::MAX) { 0 } else { timeout };
    Ok(vec![("message.timeout.ms", timeout.to_string())])
}

fn partitioner(value: &str) -> Result<Pairs, String> {
    match value.rsplit('.').next() {
        Some("" | "DefaultPartitioner" | "UniformStickyPartitioner") => Ok(Vec::new()),
        Some("RoundRobinPartitioner") => Ok(vec![("partitioner", "random".to_owned())]),
        Some(_) | None => Err(format!("this worker's clients cannot keep it: {NO_CODE}")),
    }
}

fn offset_reset(value: &str) -> Result<Pairs, String> {
    let value = match value {
        "earliest" | "latest" => value,
        "none" => "error",
        _ => return Err("String must be one of: earliest, latest, none".to_owned()),
    };
    Ok(vec![("auto.offset.reset", value.to_owned())])
}

/// The first that librdkafka has: it cannot offer eager and cooperative ones at the same time, as Java's default does.
fn assignors(value: &str) -> Result<Pairs, String> {
    let names = value.split(',').filter_map(|class| match class.trim().rsplit('.').next() {
        Some("RangeAssignor" | "range") => Some("range"),
        Some("RoundRobinAssignor" | "roundrobin") => Some("roundrobin"),
        Some("CooperativeStickyAssignor" | "cooperative-sticky") => Some("cooperative-sticky"),
        Some(_) | None => None,
    });
    match names.into_iter().next() {
        Some(name) => Ok(vec![("partition.assignment.strategy", name.to_owned())]),
        None => {
            Err("this worker's clients have RangeAssignor, RoundRobinAssignor and CooperativeStickyAssignor"
                .to_owned())
        }
    }
}
