//! Worker settings of distributed mode only: the group and the internal topics.

use super::keys::{Mode, Modes, WorkerKey};
use crate::api::config_def::{ConfigKey, ConfigType, Importance, TypedValue, Validator};
use crate::stdx::java_mac::{self, MacAlgorithm};

pub(super) fn keys() -> Vec<WorkerKey> {
    group().into_iter().chain(internal_topics()).chain(inter_worker_keys()).collect()
}

fn entry(key: ConfigKey) -> WorkerKey {
    WorkerKey::built(Modes::Only(Mode::Distributed), key)
}

fn group() -> Vec<WorkerKey> {
    use ConfigType::{Int, String};
    use Importance::{High, Low, Medium};
    let support = ["DISABLED", "ENABLED", "PREPARING"].map(str::to_owned).to_vec();
    vec![
        entry(ConfigKey::required("group.id", String, High, "The name of the group of workers.").validator(Validator::NonEmpty)),
        entry(ConfigKey::new("session.timeout.ms", Int, High, "After how long without a heartbeat a worker is taken for dead.").default("10000").at_least(1)),
        entry(ConfigKey::new("heartbeat.interval.ms", Int, High, "How often a worker sends a heartbeat; lower than the session timeout, better below a third of it.").default("3000").at_least(1)),
        entry(ConfigKey::new("rebalance.timeout.ms", Int, High, "How long a worker has to join after a rebalance began.").default("60000").at_least(1)),
        entry(ConfigKey::new("worker.sync.timeout.ms", Int, Medium, "How long a worker that is behind tries to read the config topic to its end before it leaves the group.").default("3000").at_least(0)),
        entry(ConfigKey::new("worker.unsync.backoff.ms", Int, Medium, "How long such a worker stays away, where the protocol is `eager`.").default("300000").at_least(0)),
        entry(ConfigKey::new("connect.protocol", String, Low, "The protocol of the group. The group speaks the newest one that all its workers have.").default("sessioned").validator(protocol())),
        entry(ConfigKey::new("scheduled.rebalance.max.delay.ms", Int, Low, "How long the work of a worker that left is kept for its return.").default("300000").validator(Validator::Between(0, i64::from(i32::MAX)))),
        entry(ConfigKey::new("exactly.once.source.support", String, High, "Whether source connectors write their records and offsets in transactions. Have `preparing` on all workers before `enabled` on any.").default("disabled").validator(Validator::OneOfIgnoringCase(support))),
    ]
}

fn protocol() -> Validator {
    Validator::custom("eager, compatible, sessioned (any case)", |value| {
        let text = value.and_then(TypedValue::as_text).unwrap_or_default();
        let known = ["eager", "compatible", "sessioned"].iter().any(|name| name.eq_ignore_ascii_case(text));
        if known { Ok(()) } else { Err("Invalid Connect protocol compatibility".to_owned()) }
    })
}

fn internal_topics() -> Vec<WorkerKey> {
    use ConfigType::{Int, Short, String};
    use Importance::{High, Low};
    let topic =
        |name, doc| entry(ConfigKey::required(name, String, High, doc).validator(Validator::NonEmpty));
    let positive = |message: &'static str| {
        Validator::custom("positive, or -1 for the broker's default", move |value| {
            match value.and_then(TypedValue::as_integer) {
                Some(-1 | 1..) => Ok(()),
                Some(_) | None => Err(message.to_owned()),
            }
        })
    };
    let replicas = |name| {
        let doc = "How many replicas the topic gets when it is created.";
        let message = "Replication factor must be positive and not larger than the number of brokers in the Kafka \
                       cluster, or -1 to use the broker's default";
        entry(ConfigKey::new(name, Short, Low, doc).default("3").validator(positive(message)))
    };
    let partitions = |name, default| {
        let doc = "How many partitions the topic gets when it is created.";
        let message = "Number of partitions must be positive, or -1 to use the broker's default";
        entry(ConfigKey::new(name, Int, Low, doc).default(default).validator(positive(message)))
    };
    vec![
        topic(
            "config.storage.topic",
            "The topic that holds connector and task configurations. It has one partition. Further settings of the topic, for when it is created, stand below `config.storage.`; likewise for the other two topics.",
        ),
        replicas("config.storage.replication.factor"),
        topic("offset.storage.topic", "The topic that holds offsets of source connectors."),
        partitions("offset.storage.partitions", "25"),
        replicas("offset.storage.replication.factor"),
        topic("status.storage.topic", "The topic that holds the states of connectors and tasks."),
        partitions("status.storage.partitions", "5"),
        replicas("status.storage.replication.factor"),
    ]
}

/// What Java says of an algorithm that it lacks.
fn check_algorithm(name: &str) -> Result<(), String> {
    match MacAlgorithm::from_name(name) {
        Some(_) => Ok(()),
        None => Err(format!(
            "the algorithm {name} is not supported by this worker; the supported algorithms are: [{}]",
            java_mac::NAMES.join(", ")
        )),
    }
}

fn algorithm() -> Validator {
    Validator::custom("HmacSHA256, HmacSHA384, HmacSHA512", |value| {
        check_algorithm(value.and_then(TypedValue::as_text).unwrap_or_default())
    })
}

fn algorithms() -> Validator {
    Validator::custom("some of HmacSHA256, HmacSHA384, HmacSHA512", |value| match value {
        Some(TypedValue::List(names)) if names.is_empty() => {
            Err("At least one signature verification algorithm must be provided".to_owned())
        }
        Some(TypedValue::List(names)) => names.iter().try_for_each(|name| check_algorithm(name)),
        _ => Ok(()),
    })
}

fn inter_worker_keys() -> Vec<WorkerKey> {
    use ConfigType::{Int, List, String};
    use Importance::Low;
    vec![
        entry(
            ConfigKey::new(
                "inter.worker.key.generation.algorithm",
                String,
                Low,
                "How the key of the group is made.",
            )
            .default("HmacSHA256")
            .validator(algorithm()),
        ),
        entry(ConfigKey::new(
            "inter.worker.key.size",
            Int,
            Low,
            "The size of that key in bits, at least 40; not set is the default of the algorithm.",
        )),
        entry(
            ConfigKey::new(
                "inter.worker.key.ttl.ms",
                Int,
                Low,
                "How long that key is used; 0 is until the leader changes.",
            )
            .default("3600000")
            .validator(Validator::Between(0, i64::from(i32::MAX))),
        ),
        entry(
            ConfigKey::new(
                "inter.worker.signature.algorithm",
                String,
                Low,
                "How requests between workers are signed.",
            )
            .default("HmacSHA256")
            .validator(algorithm()),
        ),
        entry(
            ConfigKey::new(
                "inter.worker.verification.algorithms",
                List,
                Low,
                "Which signatures are accepted.",
            )
            .default("HmacSHA256")
            .validator(algorithms()),
        ),
    ]
}
