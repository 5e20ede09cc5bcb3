//! Creates topics, and looks at the settings of those that are there.

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::block_on::block_on;
use super::client_log;
use super::fault::{FaultKind, KafkaFault};
use super::settings::client_config;
use crate::config::client::ClientSettings;
use crate::stdx::time::{Clock, Deadline};

/// Asks brokers to create and describe topics. Calls block, at most until their deadline.
///
/// Meant to be made for a few calls and dropped then: nobody reads what librdkafka logs for it meanwhile. librdkafka's
/// mock cluster answers none of them, and asking it may end the process: see [`super::admin::is_embedded`].
pub struct TopicAdmin(AdminClient<Quiet>);

/// The topic to create.
#[derive(Debug, Clone, Copy)]
pub struct TopicToCreate<'a> {
    /// Its name.
    pub name: &'a str,
    /// How many partitions; `None` leaves it to the broker.
    pub partitions: Option<i32>,
    /// How many replicas of each; `None` leaves it to the broker.
    pub replication: Option<i16>,
    /// Its settings.
    pub settings: &'a BTreeMap<String, String>,
}

/// What became of the wish to create a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Creation {
    /// It was created just now.
    Created,
    /// It was there already.
    Exists,
    /// This client may not create topics, or the broker cannot: it may be there.
    NotAllowed(KafkaFault),
    /// There are fewer brokers than replicas.
    TooFewBrokers(KafkaFault),
    /// The broker does not want such a topic: its name, its partitions or a setting.
    Refused(KafkaFault),
}

/// The log lines of a client that lives for a moment: what matters comes out as an error.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        client_log::line(RDKafkaLogLevel::Debug, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client_log::line(RDKafkaLogLevel::Debug, "ERROR", &format!("{error}: {reason}"));
    }
}

impl TopicAdmin {
    /// Does not wait for the broker.
    ///
    /// # Errors
    /// Settings that librdkafka refuses.
    pub fn new(settings: &ClientSettings) -> Result<Self, KafkaFault> {
        let client = client_config(settings).create_with_context(Quiet);
        client.map(TopicAdmin).map_err(|error| KafkaFault::new("make an admin client", &error).of_worker())
    }

    /// Creates a topic unless it is there.
    ///
    /// # Errors
    /// No answer in time, or a broker that cannot do it at the moment.
    pub fn create(&self, topic: &TopicToCreate<'_>, deadline: Deadline) -> Result<Creation, KafkaFault> {
        let what = format!("create the topic '{}' (CreateTopics)", topic.name);
        let replicas = TopicReplication::Fixed(topic.replication.map_or(-1, i32::from));
        let mut new = NewTopic::new(topic.name, topic.partitions.unwrap_or(-1), replicas);
        for (name, value) in topic.settings {
            new = new.set(name, value);
        }
        let created = block_on(self.0.create_topics([&new], &options(deadline)), deadline);
        let results = answer(&what, created)?;
        let refusal = results.into_iter().find_map(Result::err).map(|(_, code)| code);
        let Some(code) = refusal else { return Ok(Creation::Created) };
        creation(code, KafkaFault::of_code(what, code).of_worker())
    }

    /// A setting of a topic. `None` when this client may not look, the broker cannot tell, or the one that was asked does
    /// not know the topic yet: which of these, the binding of librdkafka does not say.
    ///
    /// # Errors
    /// No answer in time, or a broker that cannot tell at the moment.
    pub fn topic_setting(
        &self,
        topic: &str,
        name: &str,
        deadline: Deadline,
    ) -> Result<Option<String>, KafkaFault> {
        let what = format!("look at the settings of the topic '{topic}' (DescribeConfigs)");
        let specifier = ResourceSpecifier::Topic(topic);
        let described = block_on(self.0.describe_configs([&specifier], &options(deadline)), deadline);
        for result in answer(&what, described)? {
            match result {
                Ok(resource) => {
                    if let Some(entry) = resource.get(name) {
                        return Ok(entry.value.clone());
                    }
                }
                Err(code) if is_not_allowed(code) => return Ok(None),
                Err(code) => return Err(KafkaFault::of_code(what, code).of_worker()),
            }
        }
        Ok(None)
    }
}

impl fmt::Debug for TopicAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TopicAdmin")
    }
}

fn options(deadline: Deadline) -> AdminOptions {
    let left = deadline.left(Clock.now().instant);
    AdminOptions::new().request_timeout(Some(left)).operation_timeout(Some(left))
}

/// The answer to an admin request; `None` is one that did not come before the deadline.
fn answer<T>(what: &str, answer: Option<Result<T, KafkaError>>) -> Result<T, KafkaFault> {
    let fault = match answer {
        Some(Ok(answer)) => return Ok(answer),
        Some(Err(KafkaError::AdminOp(code))) => KafkaFault::of_code(what.to_owned(), code),
        Some(Err(error)) => KafkaFault::new(what.to_owned(), &error),
        None => KafkaFault::other(what.to_owned(), FaultKind::Unreachable, "no answer in time"),
    };
    Err(fault.of_worker())
}

#[expect(clippy::wildcard_enum_match_arm, reason = "librdkafka adds codes; what is not listed may pass")]
fn creation(code: Code, fault: KafkaFault) -> Result<Creation, KafkaFault> {
    match code {
        Code::TopicAlreadyExists => Ok(Creation::Exists),
        Code::InvalidReplicationFactor => Ok(Creation::TooFewBrokers(fault)),
        Code::InvalidTopic
        | Code::InvalidPartitions
        | Code::InvalidConfig
        | Code::InvalidRequest
        | Code::PolicyViolation => Ok(Creation::Refused(fault)),
        code if is_not_allowed(code) => Ok(Creation::NotAllowed(fault)),
        _ => Err(fault),
    }
}

fn is_not_allowed(code: Code) -> bool {
    matches!(
        code,
        Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_sorted_by_what_to_do() {
        let of = |code| creation(code, KafkaFault::of_code("create", code));
        let fault = |code| KafkaFault::of_code("create", code);
        for (code, expected) in [
            (Code::TopicAlreadyExists, Ok(Creation::Exists)),
            (
                Code::InvalidReplicationFactor,
                Ok(Creation::TooFewBrokers(fault(Code::InvalidReplicationFactor))),
            ),
            (Code::PolicyViolation, Ok(Creation::Refused(fault(Code::PolicyViolation)))),
            (Code::UnsupportedVersion, Ok(Creation::NotAllowed(fault(Code::UnsupportedVersion)))),
            (Code::TopicAuthorizationFailed, Ok(Creation::NotAllowed(fault(Code::TopicAuthorizationFailed)))),
            (Code::RequestTimedOut, Err(fault(Code::RequestTimedOut))),
            (Code::NotController, Err(fault(Code::NotController))),
        ] {
            assert_eq!(of(code), expected, "{code:?}");
        }
    }

    #[test]
    fn no_answer_is_told_with_the_request() {
        let fault = answer::<()>("create the topic 'x' (CreateTopics)", None).unwrap_err();
        assert!(fault.to_string().contains("CreateTopics"), "{fault}");
        let fault = answer::<()>("create", Some(Err(KafkaError::AdminOp(Code::NotController)))).unwrap_err();
        assert_eq!(fault, KafkaFault::of_code("create", Code::NotController).of_worker());
    }
}
