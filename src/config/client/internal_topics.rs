//! Settings of the clients behind the internal topics of distributed mode. They are made of the worker's own settings,
//! those without a prefix, and of what the topics need, which goes over them.

use super::{BOOTSTRAP_SERVERS, ClientKind, ClientSettings, Layers, add, translate};
use crate::api::Settings;
use crate::api::config_def::{ConfigError, ConfigErrors};

/// The clients of one worker for its internal topics. One consumer and one producer would do, were there not two
/// exceptions: records of the status topic expire, and exactly-once support reads the other topics committed only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InternalTopicClients {
    /// Creates the topics and describes them.
    pub admin: ClientSettings,
    /// Asks where the topics end, open transactions included; a consumer that reads nothing.
    pub offsets: ClientSettings,
    /// Reads what was written, committed or not.
    pub consumer: ClientSettings,
    /// Reads the config and the offset topic in place of `consumer`, with `exactly.once.source.support=enabled`.
    pub committed_consumer: Option<ClientSettings>,
    /// Writes to the config and the offset topic, in order; records never expire.
    pub producer: ClientSettings,
    /// Writes to the status topic, in order; records expire, because the state they tell may have changed meanwhile.
    pub status_producer: ClientSettings,
    /// Writes to the config topic in transactions while this worker is the leader; `None` where
    /// `exactly.once.source.support=disabled`.
    pub leader_producer: Option<ClientSettings>,
}

impl InternalTopicClients {
    /// Settings of a client that asks how far a topic is committed; `None` where the topic is read whether committed or not.
    pub fn committed_ends(&self, is_status: bool) -> Option<ClientSettings> {
        const ISOLATION: &str = "isolation.level";
        let reader = self.committed_consumer.as_ref().filter(|_| !is_status).unwrap_or(&self.consumer);
        let committed = reader.get(ISOLATION).filter(|level| *level == "read_committed")?;
        Some(self.offsets.clone().with(ISOLATION, committed))
    }
}

/// The most bytes of one fetch, and of one partition in it: a worker that starts does not need much more memory than
/// one that runs. A single larger batch is fetched all the same.
const FETCH_BYTES: &str = "4194304";
const PARTITION_FETCH_BYTES: &str = "262144";

/// Settings of the worker's group that mean nothing here: the consumers are members of no group.
pub(super) const OF_GROUP_MEMBERS: &[&str] = &[
    "group.instance.id",
    "group.protocol",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "max.poll.interval.ms",
    "partition.assignment.strategy",
    "session.timeout.ms",
];

/// Java's producer defaults where librdkafka has others, but for `linger.ms`: whoever writes waits for the answer.
const PRODUCER_DEFAULTS: &[(&str, &str)] =
    &[("linger.ms", "0"), ("buffer.memory", "33554432"), ("max.request.size", "1048576")];

/// The longest pause between two tries to reach a broker, in milliseconds. A worker is to be healthy within two seconds after
/// its broker is back.
const RECONNECT_MS: &str = "500";

/// What every client gets unless the worker says otherwise. Clients that offer their metrics to the broker (KIP-714) keep
/// tables for them from the start, half a megabyte each, whether it wants them or not.
const DEFAULTS: [(&str, &str); 3] = [
    ("bootstrap.servers", BOOTSTRAP_SERVERS),
    ("reconnect.backoff.max.ms", RECONNECT_MS),
    ("enable.metrics.push", "false"),
];

/// What every producer gets, in librdkafka's words.
pub(super) const PRODUCER_FIXED: [(&str, &str); 2] = [
    // Every record of a key goes to the partition that Java chooses, where the earlier ones are.
    ("partitioner", "murmur2_random"),
    // A broker that creates topics of itself would make them of the wrong kind.
    ("allow.auto.create.topics", "false"),
];

/// What every consumer gets, in librdkafka's words.
const CONSUMER_FIXED: [(&str, &str); 6] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
    // Each for every partition.
    ("queued.min.messages", "1000"),
    ("queued.max.messages.kbytes", "1024"),
    // How long a partition rests that has so much in its queue. The default is a second.
    ("fetch.queue.backoff.ms", "10"),
];

/// [`CONSUMER_FIXED`] for consumers of other topics of this kind.
pub(super) fn consumer_fixed() -> ClientSettings {
    CONSUMER_FIXED.into_iter().collect()
}

/// The settings of the clients, from all settings of the worker. Client ids are made as Apache makes them, of the group
/// and the worker's `client.id`; a client that serves several topics is named after all of them.
///
/// # Errors
/// All settings that cannot be kept, each once.
pub fn internal_topic_clients(worker: &Settings) -> Result<InternalTopicClients, ConfigErrors> {
    let text = |name: &str| worker.get(name).map_or("", |value| value.trim());
    let (group, client_id) = (text("group.id"), text("client.id"));
    let base = if client_id.is_empty() { format!("{group}-") } else { format!("{group}-{client_id}-") };
    let support = text("exactly.once.source.support").to_ascii_lowercase();
    let mut clients = Clients { worker, base, errors: Vec::new() };
    let admin = clients.admin();
    let offsets = clients.offsets();
    let consumer = clients.consumer("internal-topics", "read_uncommitted");
    let committed_consumer =
        (support == "enabled").then(|| clients.consumer("internal-topics-committed", "read_committed"));
    let producer = clients.producer("internal-topics", None, ("delivery.timeout.ms", "2147483647"));
    // Java's default. Who writes a state decides whether it is still worth writing again.
    let expires = Some(("delivery.timeout.ms", "120000"));
    let status_producer = clients.producer("statuses", expires, ("retries", "0"));
    let leader_producer =
        matches!(support.as_str(), "preparing" | "enabled").then(|| clients.leader_producer(group));
    if !clients.errors.is_empty() {
        return Err(ConfigErrors(clients.errors));
    }
    Ok(InternalTopicClients {
        admin,
        offsets,
        consumer,
        committed_consumer,
        producer,
        status_producer,
        leader_producer,
    })
}

/// The settings of a consumer that reads topics from their beginnings: the broker may not keep a fetch waiting because
/// some partitions are at their ends.
pub fn reading(consumer: &ClientSettings) -> ClientSettings {
    consumer.clone().with("fetch.wait.max.ms", "10")
}

/// Makes the clients of one worker, and collects what is wrong.
struct Clients<'a> {
    worker: &'a Settings,
    base: String,
    errors: Vec<ConfigError>,
}

impl Clients<'_> {
    fn admin(&mut self) -> ClientSettings {
        let client_id = format!("{}shared-admin", self.base);
        self.make(ClientKind::Admin, &[], &[], &[("client.id", &client_id)], &[])
    }

    fn offsets(&mut self) -> ClientSettings {
        let client_id = format!("{}shared-admin", self.base);
        let needed = [
            ("client.id", client_id.as_str()),
            ("isolation.level", "read_uncommitted"),
            ("allow.auto.create.topics", "false"),
        ];
        let without: Vec<&str> = OF_GROUP_MEMBERS.iter().chain(&["group.id"]).copied().collect();
        self.make(ClientKind::Consumer, &without, &[], &needed, &[("enable.auto.commit", "false")])
    }

    fn consumer(&mut self, name: &str, isolation: &str) -> ClientSettings {
        let client_id = format!("{}{name}", self.base);
        let defaults =
            [("fetch.max.bytes", FETCH_BYTES), ("max.partition.fetch.bytes", PARTITION_FETCH_BYTES)];
        let needed = [
            ("client.id", client_id.as_str()),
            ("isolation.level", isolation),
            // A position that the broker does not have is not passed over: the topic is read again.
            ("auto.offset.reset", "none"),
            ("allow.auto.create.topics", "false"),
        ];
        self.make(ClientKind::Consumer, OF_GROUP_MEMBERS, &defaults, &needed, &CONSUMER_FIXED)
    }

    /// Idempotence is off, as in Apache: one request in flight keeps the order, needs no more rights, and no producer
    /// has to be given up for a broker that lost track of it.
    fn producer(
        &mut self,
        name: &str,
        by_default: Option<(&str, &str)>,
        always: (&str, &str),
    ) -> ClientSettings {
        let client_id = format!("{}{name}", self.base);
        let defaults: Vec<_> = PRODUCER_DEFAULTS.iter().copied().chain(by_default).collect();
        let needed = [
            ("client.id", client_id.as_str()),
            ("acks", "all"),
            ("enable.idempotence", "false"),
            ("max.in.flight.requests.per.connection", "1"),
            always,
        ];
        self.make(ClientKind::Producer, &[], &defaults, &needed, &PRODUCER_FIXED)
    }

    fn leader_producer(&mut self, group: &str) -> ClientSettings {
        let (client_id, id) = (format!("{}configs-leader", self.base), format!("connect-cluster-{group}"));
        let needed = [
            ("client.id", client_id.as_str()),
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("max.in.flight.requests.per.connection", "5"),
        ];
        // The transaction itself bounds how long its records are tried.
        let without = ["delivery.timeout.ms", "retries", "transactional.id"];
        let settings = self.make(ClientKind::Producer, &without, PRODUCER_DEFAULTS, &needed, &PRODUCER_FIXED);
        settings.with("transactional.id", id)
    }

    /// One client: `defaults`, over them what the worker says, over that what is `needed`; `fixed` is in librdkafka's
    /// own words.
    fn make(
        &mut self,
        kind: ClientKind,
        without: &[&str],
        defaults: &[(&str, &str)],
        needed: &[(&str, &str)],
        fixed: &[(&str, &str)],
    ) -> ClientSettings {
        let mut layers = Layers::new();
        add(&mut layers, DEFAULTS, "", true);
        add(&mut layers, defaults.iter().copied(), "", true);
        let of_worker = self.worker.iter().filter(|(name, _)| !without.contains(&name.as_str()));
        add(&mut layers, of_worker, "", true);
        add(&mut layers, needed.iter().copied(), "", true);
        match translate::translate(kind, &layers, fixed.iter().copied().collect()) {
            Ok(settings) => settings,
            Err(errors) => {
                let fresh: Vec<_> = errors.0.into_iter().filter(|it| !self.errors.contains(it)).collect();
                self.errors.extend(fresh);
                ClientSettings::default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::consumer::BaseConsumer;
    use rdkafka::producer::BaseProducer;

    use super::*;

    fn clients(entries: &[(&str, &str)]) -> Result<InternalTopicClients, String> {
        let settings = entries.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        internal_topic_clients(&settings).map_err(|errors| errors.to_string())
    }

    /// Values that `client` must have; `None` is a name that must not be there.
    fn check(client: &ClientSettings, expected: &[(&str, Option<&str>)]) {
        for &(name, value) in expected {
            assert_eq!(client.get(name), value, "{name} in {:?}", client.iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn each_client_gets_what_apache_gives_it() {
        let worker = [
            ("bootstrap.servers", "b:1"),
            ("group.id", "g"),
            ("security.protocol", "SSL"),
            ("producer.linger.ms", "7"),
            ("consumer.isolation.level", "read_committed"),
            ("session.timeout.ms", "10000"),
            ("isolation.level", "read_committed"),
            ("enable.idempotence", "true"),
        ];
        let clients = clients(&worker).unwrap();
        for client in
            [&clients.admin, &clients.offsets, &clients.consumer, &clients.producer, &clients.status_producer]
        {
            check(client, &[("bootstrap.servers", Some("b:1")), ("security.protocol", Some("ssl"))]);
        }
        check(
            &clients.admin,
            &[("client.id", Some("g-shared-admin")), ("enable.metrics.push", Some("false"))],
        );
        check(
            &clients.offsets,
            &[
                ("client.id", Some("g-shared-admin")),
                ("group.id", None),
                ("isolation.level", Some("read_uncommitted")),
                ("allow.auto.create.topics", Some("false")),
            ],
        );
        check(
            &clients.consumer,
            &[
                ("client.id", Some("g-internal-topics")),
                ("group.id", Some("g")),
                ("isolation.level", Some("read_uncommitted")),
                ("auto.offset.reset", Some("error")),
                ("enable.partition.eof", Some("true")),
                ("enable.auto.commit", Some("false")),
                ("allow.auto.create.topics", Some("false")),
                ("session.timeout.ms", None),
            ],
        );
        let in_order = [
            ("acks", Some("all")),
            ("enable.idempotence", Some("false")),
            ("max.in.flight.requests.per.connection", Some("1")),
            ("partitioner", Some("murmur2_random")),
            ("allow.auto.create.topics", Some("false")),
            ("linger.ms", Some("0")),
        ];
        check(&clients.producer, &in_order);
        check(
            &clients.producer,
            &[("message.timeout.ms", Some("0")), ("client.id", Some("g-internal-topics"))],
        );
        check(&clients.status_producer, &in_order);
        check(
            &clients.status_producer,
            &[
                ("message.timeout.ms", Some("120000")),
                ("retries", Some("0")),
                ("client.id", Some("g-statuses")),
            ],
        );
        assert_eq!((clients.committed_consumer, clients.leader_producer), (None, None));
    }

    #[test]
    fn metrics_go_to_the_broker_where_the_worker_says_so() {
        let worker = [("bootstrap.servers", "b:1"), ("group.id", "g"), ("enable.metrics.push", "true")];
        let clients = clients(&worker).unwrap();
        check(&clients.consumer, &[("enable.metrics.push", Some("true"))]);
    }

    #[test]
    fn exactly_once_support_adds_clients() {
        for (support, commits, leads) in [
            ("", false, false),
            ("disabled", false, false),
            ("Preparing", false, true),
            ("ENABLED", true, true),
        ] {
            let clients = clients(&[("group.id", "g"), ("exactly.once.source.support", support)]).unwrap();
            assert_eq!(clients.committed_consumer.is_some(), commits, "{support}");
            assert_eq!(clients.leader_producer.is_some(), leads, "{support}");
            let asks = |is_status| {
                clients.committed_ends(is_status).map(|it| it.get("isolation.level").map(str::to_owned))
            };
            let committed = commits.then(|| Some("read_committed".to_owned()));
            assert_eq!((asks(false), asks(true)), (committed, None), "{support}");
        }
        let worker = [
            ("group.id", "g"),
            ("client.id", "w"),
            ("exactly.once.source.support", "enabled"),
            ("delivery.timeout.ms", "900000"),
        ];
        let clients = clients(&worker).unwrap();
        check(
            clients.committed_consumer.as_ref().unwrap(),
            &[
                ("isolation.level", Some("read_committed")),
                ("client.id", Some("g-w-internal-topics-committed")),
            ],
        );
        check(
            clients.leader_producer.as_ref().unwrap(),
            &[
                ("transactional.id", Some("connect-cluster-g")),
                ("client.id", Some("g-w-configs-leader")),
                ("enable.idempotence", Some("true")),
                ("max.in.flight.requests.per.connection", Some("5")),
                ("message.timeout.ms", None),
            ],
        );
        check(&clients.status_producer, &[("message.timeout.ms", Some("900000"))]);
    }

    #[test]
    fn librdkafka_takes_all_of_them() {
        let worker = [
            ("group.id", "g"),
            ("exactly.once.source.support", "enabled"),
            ("session.timeout.ms", "600000"),
            ("delivery.timeout.ms", "900000"),
            ("retries", "5"),
            ("fetch.max.bytes", "1000"),
        ];
        let clients = clients(&worker).unwrap();
        let config = |settings: &ClientSettings| {
            let mut config = ClientConfig::new();
            for (name, value) in settings.iter() {
                config.set(name, value);
            }
            config
        };
        let committed = clients.committed_consumer.as_ref().unwrap();
        for consumer in [&clients.consumer, committed, &clients.offsets, &reading(&clients.consumer)] {
            config(consumer).create::<BaseConsumer>().unwrap();
        }
        let producers = [
            Some(&clients.producer),
            Some(&clients.status_producer),
            clients.leader_producer.as_ref(),
            Some(&clients.admin),
        ];
        for producer in producers {
            config(producer.unwrap()).create::<BaseProducer>().unwrap();
        }
    }

    #[test]
    fn what_is_wrong_for_several_clients_is_told_once() {
        let error = clients(&[("group.id", "g"), ("retry.backoff.ms", "soon")]).unwrap_err();
        assert_eq!(error.matches("retry.backoff.ms").count(), 1, "{error}");
    }
}
