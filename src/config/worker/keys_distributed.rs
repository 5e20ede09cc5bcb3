//! Worker settings of distributed mode only: the group and the internal topics.

use super::keys::{Mode, Modes, WorkerKey};
use crate::api::config_def::{ConfigKey, ConfigType, Importance, TypedValue, Validator};

const INSTEAD: &str = "this version runs in standalone mode only";

pub(super) fn keys() -> Vec<WorkerKey> {
    group().into_iter().chain(internal_topics()).chain(inter_worker_keys()).collect()
}

fn entry(key: ConfigKey) -> WorkerKey {
    WorkerKey::recognised(Modes::Only(Mode::Distributed), INSTEAD, key)
}

fn group() -> Vec<WorkerKey> {
    use ConfigType::{Int, String};
    use Importance::{High, Low, Medium};
    let support = ["disabled", "preparing", "enabled"].map(str::to_owned).to_vec();
    vec![
        entry(ConfigKey::required("group.id", String, High, "The name of the group of workers.")),
        entry(ConfigKey::new("session.timeout.ms", Int, High, "After how long without a heartbeat a worker is taken for dead.").default("10000")),
        entry(ConfigKey::new("heartbeat.interval.ms", Int, High, "How often a worker sends a heartbeat; below a third of the session timeout.").default("3000")),
        entry(ConfigKey::new("rebalance.timeout.ms", Int, High, "How long a worker has to join after a rebalance began.").default("60000")),
        entry(ConfigKey::new("worker.sync.timeout.ms", Int, Medium, "How long a worker that is behind tries to read the config topic to its end before it leaves the group.").default("3000")),
        entry(ConfigKey::new("worker.unsync.backoff.ms", Int, Medium, "How long such a worker stays away.").default("300000")),
        entry(ConfigKey::new("connect.protocol", String, Low, "The protocol of the group.").default("sessioned").one_of(&["eager", "compatible", "sessioned"])),
        entry(ConfigKey::new("scheduled.rebalance.max.delay.ms", Int, Low, "How long the work of a worker that left is kept for its return.").default("300000").validator(Validator::Between(0, i64::from(i32::MAX)))),
        entry(ConfigKey::new("exactly.once.source.support", String, High, "Whether source connectors write their records and offsets in transactions.").default("disabled").validator(Validator::OneOfIgnoringCase(support))),
    ]
}

fn internal_topics() -> Vec<WorkerKey> {
    use ConfigType::{Int, Short, String};
    use Importance::{High, Low};
    let topic = |name, doc| entry(ConfigKey::required(name, String, High, doc));
    let positive = || {
        Validator::custom("positive, or -1 for the broker's default", |value| {
            match value.and_then(TypedValue::as_integer) {
                Some(-1 | 1..) => Ok(()),
                Some(_) | None => {
                    Err("Value must be a positive number, or -1 to use the broker's default".to_owned())
                }
            }
        })
    };
    let replicas = |name| {
        let doc = "How many replicas the topic gets when it is created.";
        entry(ConfigKey::new(name, Short, Low, doc).default("3").validator(positive()))
    };
    let partitions = |name, default| {
        let doc = "How many partitions the topic gets when it is created.";
        entry(ConfigKey::new(name, Int, Low, doc).default(default).validator(positive()))
    };
    vec![
        topic("config.storage.topic", "The topic that holds connector and task configurations."),
        replicas("config.storage.replication.factor"),
        topic("offset.storage.topic", "The topic that holds offsets of source connectors."),
        partitions("offset.storage.partitions", "25"),
        replicas("offset.storage.replication.factor"),
        topic("status.storage.topic", "The topic that holds the states of connectors and tasks."),
        partitions("status.storage.partitions", "5"),
        replicas("status.storage.replication.factor"),
    ]
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
            .default("HmacSHA256"),
        ),
        entry(ConfigKey::new(
            "inter.worker.key.size",
            Int,
            Low,
            "The size of that key in bits; not set is the default of the algorithm.",
        )),
        entry(
            ConfigKey::new("inter.worker.key.ttl.ms", Int, Low, "How long that key is used.")
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
            .default("HmacSHA256"),
        ),
        entry(
            ConfigKey::new(
                "inter.worker.verification.algorithms",
                List,
                Low,
                "Which signatures are accepted.",
            )
            .default("HmacSHA256"),
        ),
    ]
}
