//! What an internal topic must be like, and what is in the way if it is not. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Which of the internal topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopicRole {
    /// Connector and task configurations, target states, the session key.
    Config,
    /// Offsets of source connectors.
    Offset,
    /// States of connectors and tasks.
    Status,
}

impl TopicRole {
    /// All of them.
    pub const ALL: [TopicRole; 3] = [TopicRole::Config, TopicRole::Offset, TopicRole::Status];

    /// What the worker's settings for it begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            TopicRole::Config => "config.storage.",
            TopicRole::Offset => "offset.storage.",
            TopicRole::Status => "status.storage.",
        }
    }

    /// The word for it in messages and names of threads.
    pub fn word(self) -> &'static str {
        match self {
            TopicRole::Config => "config",
            TopicRole::Offset => "offset",
            TopicRole::Status => "status",
        }
    }
}

/// What is in the way of an internal topic. The text says what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// Kafka cannot be reached, does not let the worker in, or does not do what it was asked.
    Kafka(String),
    /// The topic cannot be created with as many replicas as it is to have.
    TooFewBrokers {
        /// The topic.
        topic: Arc<str>,
        /// Which it is.
        role: TopicRole,
        /// How many replicas were asked for; `None` is the broker's default.
        replicas: Option<i16>,
        /// How many brokers there are, if they could be counted.
        brokers: Option<usize>,
    },
    /// The broker does not want such a topic.
    Refused {
        /// Which it is.
        role: TopicRole,
        /// What the broker said.
        why: String,
    },
    /// The topic is there, and is not compacted only.
    CleanupPolicy {
        /// The topic.
        topic: Arc<str>,
        /// Which it is.
        role: TopicRole,
        /// Its policy.
        found: String,
    },
    /// The config topic is there, with more than one partition.
    Partitions {
        /// The topic.
        topic: Arc<str>,
        /// Which it is.
        role: TopicRole,
        /// How many it has.
        found: i32,
    },
    /// The topic is not there.
    Missing {
        /// The topic.
        topic: Arc<str>,
        /// Which it is.
        role: TopicRole,
        /// Why nobody creates it.
        reason: Missing,
    },
}

/// Why a topic is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The embedded broker cannot be asked to create a topic.
    Embedded,
    /// It was there, and somebody deleted it.
    Deleted,
    /// It is being created.
    NotYet,
    /// This worker may not create it, or the broker cannot.
    NotAllowed,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::Kafka(why) => f.write_str(why),
            Obstacle::TooFewBrokers { topic, role, replicas, brokers } => {
                let setting = format!("{}replication.factor", role.prefix());
                match replicas {
                    Some(replicas) => {
                        write!(f, "the topic '{topic}' is to have {replicas} replicas ({setting})")?
                    }
                    None => write!(
                        f,
                        "the topic '{topic}' is to have the broker's default of replicas ({setting}=-1)"
                    )?,
                }
                match brokers {
                    Some(1) => f.write_str(", but the cluster has 1 broker")?,
                    Some(brokers) => write!(f, ", but the cluster has {brokers} brokers")?,
                    None => f.write_str(", but the cluster has fewer brokers")?,
                }
                write!(f, ". Start more brokers, or set {setting} to at most as many as there are")
            }
            Obstacle::Refused { role, why } => {
                write!(
                    f,
                    "{why}. Check the settings that begin with {}, or create the topic by hand",
                    role.prefix()
                )
            }
            Obstacle::CleanupPolicy { topic, role, found } => write!(
                f,
                "the topic '{topic}' ({}topic) has cleanup.policy={found}, but must have cleanup.policy=compact, or \
                 what it holds is lost in time. Change it with `kafka-configs.sh --alter --entity-type topics \
                 --entity-name {topic} --add-config cleanup.policy=compact`, or name another topic",
                role.prefix()
            ),
            Obstacle::Partitions { topic, role, found } => write!(
                f,
                "the topic '{topic}' ({}topic) has {found} partitions, but must have exactly 1, or changes lose their \
                 order. Name another topic, or delete this one: the worker creates it",
                role.prefix()
            ),
            Obstacle::Missing { topic, role, reason } => match reason {
                Missing::Embedded => write!(
                    f,
                    "the topic '{topic}' ({}topic) is not there, and the embedded broker creates none on request. \
                     Create it with EmbeddedBroker::create_topic",
                    role.prefix()
                ),
                Missing::Deleted => write!(
                    f,
                    "the topic '{topic}' ({}topic) was deleted. Restore it, or create it with \
                     cleanup.policy=compact; the worker goes on with what it has read",
                    role.prefix()
                ),
                Missing::NotYet => write!(f, "the topic '{topic}' was created, but no broker knows it yet"),
                Missing::NotAllowed => {
                    let partitions = match role {
                        TopicRole::Config => "1 partition and ",
                        TopicRole::Offset | TopicRole::Status => "",
                    };
                    write!(
                        f,
                        "the topic '{topic}' ({}topic) is not there, and this worker is not allowed to create it. Allow \
                         its user to Create that topic, or create it with {partitions}cleanup.policy=compact",
                        role.prefix()
                    )
                }
            },
        }
    }
}

/// What is wrong with the `cleanup.policy` of a topic, if anything.
pub(super) fn policy_obstacle(role: TopicRole, topic: &Arc<str>, found: &str) -> Option<Obstacle> {
    let found_other = || Obstacle::CleanupPolicy { topic: Arc::clone(topic), role, found: found.to_owned() };
    (!is_compact(found)).then(found_other)
}

/// What is wrong with how many partitions a topic has, if anything.
pub(super) fn partitions_obstacle(role: TopicRole, topic: &Arc<str>, found: i32) -> Option<Obstacle> {
    match role {
        TopicRole::Config if found != 1 => {
            Some(Obstacle::Partitions { topic: Arc::clone(topic), role, found })
        }
        TopicRole::Config | TopicRole::Offset | TopicRole::Status => None,
    }
}

/// Whether a list of policies is exactly `compact`.
fn is_compact(policies: &str) -> bool {
    let policies: BTreeSet<String> =
        policies.split(',').map(|policy| policy.trim().to_ascii_lowercase()).collect();
    policies.len() == 1 && policies.contains("compact")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_compact_will_do() {
        let topic = "connect-configs".into();
        for (policy, fine) in [
            ("compact", true),
            ("Compact", true),
            ("compact, compact", true),
            ("delete", false),
            ("compact,delete", false),
            ("", false),
        ] {
            let obstacle = policy_obstacle(TopicRole::Config, &topic, policy);
            assert_eq!(obstacle.is_none(), fine, "{policy}");
        }
        let text = policy_obstacle(TopicRole::Status, &topic, "delete").unwrap().to_string();
        for word in
            ["'connect-configs'", "status.storage.topic", "cleanup.policy=delete", "cleanup.policy=compact"]
        {
            assert!(text.contains(word), "{word} in {text}");
        }
    }

    #[test]
    fn only_the_config_topic_is_bound_to_one_partition() {
        let topic = "t".into();
        for (role, found, fine) in [
            (TopicRole::Config, 1, true),
            (TopicRole::Config, 2, false),
            (TopicRole::Offset, 2, true),
            (TopicRole::Status, 7, true),
        ] {
            assert_eq!(partitions_obstacle(role, &topic, found).is_none(), fine, "{role:?} {found}");
        }
    }

    #[test]
    fn an_obstacle_says_what_to_change() {
        let (topic, role): (Arc<str>, _) = ("t".into(), TopicRole::Offset);
        let few = |replicas, brokers| Obstacle::TooFewBrokers {
            topic: Arc::clone(&topic),
            role,
            replicas,
            brokers,
        };
        let missing = |reason| Obstacle::Missing { topic: Arc::clone(&topic), role, reason };
        for (obstacle, words) in [
            (
                few(Some(3), Some(1)),
                &["3 replicas", "1 broker.", "Start more brokers", "offset.storage.replication.factor"][..],
            ),
            (few(None, None), &["offset.storage.replication.factor=-1", "fewer brokers"]),
            (missing(Missing::Embedded), &["EmbeddedBroker::create_topic"]),
            (missing(Missing::Deleted), &["was deleted", "cleanup.policy=compact"]),
            (
                missing(Missing::NotAllowed),
                &["not allowed to create", "Create that topic", "cleanup.policy=compact"],
            ),
            (
                Obstacle::Refused { role, why: "no such setting".to_owned() },
                &["no such setting", "begin with offset.storage."],
            ),
        ] {
            let text = obstacle.to_string();
            words.iter().for_each(|word| assert!(text.contains(word), "{word} in {text}"));
        }
    }
}
