//! Why the logs did not do what they were asked.

use std::sync::Arc;

use crate::kafka::fault::{FaultKind, KafkaFault};
use crate::kafka::transactions::TransactionFault;
use crate::stdx::error_class::ErrorClass;
use crate::stdx::reply::Unanswered;

/// The answer to whoever wrote or asked.
pub type LogAnswer = Result<(), LogError>;

/// Why a topic was not written, or not read to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// As many requests of this kind wait as the queue takes.
    #[error("{waiting} {what} of the topic '{topic}' wait already: try again later")]
    Busy {
        /// The topic.
        topic: Arc<str>,
        /// `writes` or `reads`.
        what: &'static str,
        /// How many wait.
        waiting: usize,
    },
    /// The deadline passed.
    #[error("the topic '{topic}' was not {what} in time{}{}", may_be(*may_be_written), because(why))]
    TimedOut {
        /// The topic.
        topic: Arc<str>,
        /// `written` or `read to its end`.
        what: &'static str,
        /// Whether records may still come to be in the topic.
        may_be_written: bool,
        /// What is in the way, where that is known.
        why: Option<Arc<str>>,
    },
    /// Kafka did not take a record. Others of the same write may be in the topic.
    #[error(transparent)]
    Refused(KafkaFault),
    /// The topic turned out to be another one before the record was read back.
    #[error("the topic '{topic}' begins anew, what was written to it may be gone: {why}")]
    BeganAnew {
        /// The topic.
        topic: Arc<str>,
        /// What happened to it.
        why: Arc<str>,
    },
    /// A later leader writes to the config topic now. Claim write privileges, if this worker is the leader still.
    #[error("another worker has become the leader and writes the config topic now: {0}")]
    Fenced(KafkaFault),
    /// A write of the leader without a claim before it.
    #[error(
        "this worker has not claimed write privileges for the config topic: it must be the leader, and claim them first"
    )]
    NotClaimed,
    /// The logs have no such topic.
    #[error("the internal topics of this worker have no {0} topic")]
    NoTopic(&'static str),
    /// The logs do not run any more.
    #[error("the internal topics are closed: the worker stops")]
    Closed,
}

impl LogError {
    /// Whether a broker said that the topic is not there.
    pub(super) fn misses_topic(&self) -> bool {
        matches!(self, LogError::Refused(fault) if fault.kind() == FaultKind::UnknownTopic)
    }

    /// What the caller can do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            LogError::Busy { .. } | LogError::TimedOut { .. } | LogError::BeganAnew { .. } => {
                ErrorClass::Retriable
            }
            // Somebody may create the topic.
            LogError::Refused(_) if self.misses_topic() => ErrorClass::Retriable,
            LogError::Refused(fault) => fault.class(),
            LogError::Fenced(_) | LogError::NotClaimed | LogError::Closed => ErrorClass::Fatal,
            LogError::NoTopic(_) => ErrorClass::Bug,
        }
    }
}

impl From<TransactionFault> for LogError {
    fn from(fault: TransactionFault) -> Self {
        match fault {
            TransactionFault::Fenced(fault) => LogError::Fenced(fault.of_worker()),
            TransactionFault::Failed(fault) => LogError::Refused(fault.of_worker()),
        }
    }
}

impl Unanswered for LogAnswer {
    fn unanswered() -> Self {
        Err(LogError::Closed)
    }
}

fn may_be(written: bool) -> &'static str {
    if written { "; it may still come to be" } else { "" }
}

fn because(why: &Option<Arc<str>>) -> String {
    why.as_ref().map_or_else(String::new, |why| format!(": {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_answer_says_what_is_in_the_way() {
        let late = |may_be_written, why: Option<&str>| LogError::TimedOut {
            topic: "configs".into(),
            what: "written",
            may_be_written,
            why: why.map(Arc::from),
        };
        assert_eq!(
            late(true, Some("no broker")).to_string(),
            "the topic 'configs' was not written in time; it may still come to be: no broker"
        );
        assert_eq!(late(false, None).to_string(), "the topic 'configs' was not written in time");
    }
}
