//! What producers with a transactional id have in common: how their failures are told apart, and how others are shut
//! out.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};

use super::client_log;
use super::fault::{FaultKind, KafkaFault};
use super::left_open::{Asked, LeftOpen, QUIET, Unanswered};
use super::settings::client_config;
use crate::config::client::ClientSettings;
use crate::stdx::time::{Clock, Deadline};

/// So many producers are made at a time to shut out others: each has connections of its own.
const FENCED_TOGETHER: usize = 16;
/// How long one question about transactions may take, and how long it is until the next attempt.
const QUESTION: Duration = Duration::from_secs(5);
const QUESTION_REST: Duration = Duration::from_millis(250);
/// What those questions are for; reads well after «failed to».
const LOOK: &str = "look for what Kafka has left open of the latest transactions";

/// Why something went wrong with a transactional id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionFault {
    /// A later producer has taken the transactional id over, or the coordinator ended a transaction that took too long.
    #[error("another producer has taken over, or the transaction took too long: {0}")]
    Fenced(KafkaFault),
    /// Something else. What became of a transaction is not known.
    #[error(transparent)]
    Failed(KafkaFault),
}

impl TransactionFault {
    /// What happened, whatever it was.
    pub fn into_fault(self) -> KafkaFault {
        match self {
            TransactionFault::Fenced(fault) | TransactionFault::Failed(fault) => fault,
        }
    }
}

/// Sorts an error of a call; `what` failed.
pub(super) fn fault<C: ProducerContext>(
    client: &BaseProducer<C>,
    what: impl Into<std::borrow::Cow<'static, str>>,
    error: &KafkaError,
) -> TransactionFault {
    // What befalls single records when the producer is fenced says less than what befell the producer.
    let fatal = client.client().fatal_error();
    let code = fatal.as_ref().map(|(code, _)| *code).or_else(|| error.rdkafka_error_code());
    let fault = match (fatal, error) {
        (Some((code, reason)), _) => KafkaFault::other(what, FaultKind::of(code), reason),
        (None, KafkaError::Transaction(cause)) => {
            KafkaFault::other(what, FaultKind::of(cause.code()), cause.string())
        }
        (None, error) => KafkaFault::new(what, error),
    };
    let fenced = [Code::Fenced, Code::ProducerFenced, Code::InvalidProducerEpoch];
    if code.is_some_and(|code| fenced.contains(&code)) {
        TransactionFault::Fenced(fault)
    } else {
        TransactionFault::Failed(fault)
    }
}

/// Shuts out all producers with these transactional ids: what they have begun is aborted, and what they write from now
/// on is refused. What Kafka has left open of their latest transactions in the topic of their offsets is ended. Blocks
/// until the brokers say so. The settings are those of any client, without a transactional id.
///
/// # Errors
/// No answer in time, no authority, or settings that librdkafka refuses; some may be shut out all the same.
pub fn fence(
    settings: &ClientSettings,
    ids: &[String],
    offsets: &str,
    deadline: Deadline,
) -> Result<(), KafkaFault> {
    let what = |id: &str| format!("shut out producers with the transactional id {id} (InitProducerId)");
    let asked = Asked::from_client(settings);
    let asked = asked.inspect_err(|why| log::warn!("cannot {LOOK}: {why}")).ok();
    let mut asks = Asks { asked, deadline };
    let topic: Arc<str> = offsets.into();
    for ids in ids.chunks(FENCED_TOGETHER) {
        let made = ids.iter().map(|id| {
            let settings = settings.clone().with("transactional.id", id.as_str());
            let client = client_config(&settings).create_with_context(Quiet);
            let client: BaseProducer<Quiet> = client.map_err(|error| KafkaFault::new(what(id), &error))?;
            Ok((id, client))
        });
        // All of them connect while the first is waited for.
        for (id, client) in made.collect::<Result<Vec<_>, KafkaFault>>()? {
            let mut left_open = asks.left_open(id, &topic);
            asks.ask(&client, &mut left_open, |left_open, until| left_open.look(until))?;
            let fenced = client.init_transactions(deadline.left(Clock.now().instant));
            fenced.map_err(|error| fault(&client, what(id), &error).into_fault())?;
            let ended = asks.ask(&client, &mut left_open, |left_open, until| left_open.end(until))?;
            if let Some(ended) = ended.flatten() {
                log::warn!("{id}: {ended}");
            }
        }
    }
    Ok(())
}

/// Questions about many transactional ids, as long as there can be answers.
struct Asks {
    asked: Option<Asked>,
    deadline: Deadline,
}

impl Asks {
    fn left_open(&self, id: &str, topic: &Arc<str>) -> Option<LeftOpen> {
        self.asked.clone().map(|asked| LeftOpen::new(asked, id, Arc::clone(topic)))
    }

    /// Asks until there is an answer; `None` if there is none. Where there can be none to others either, they are not
    /// asked.
    fn ask<T>(
        &mut self,
        client: &BaseProducer<Quiet>,
        left_open: &mut Option<LeftOpen>,
        ask: impl Fn(&mut LeftOpen, Deadline) -> Result<T, Unanswered>,
    ) -> Result<Option<T>, KafkaFault> {
        let Some(asks) = left_open else { return Ok(None) };
        let began = Clock.now().instant;
        let mut tells_at = Some(Clock.deadline(QUIET));
        loop {
            let why = match ask(asks, self.deadline.min(Clock.deadline(QUESTION))) {
                Ok(answer) => return Ok(Some(answer)),
                Err(why) => why,
            };
            let now = Clock.now().instant;
            if !why.may_pass(now.saturating_duration_since(began)) {
                log::log!(why.level(), "cannot {LOOK}: {why}");
                *left_open = None;
                if !matches!(why, Unanswered::Undecided(_)) {
                    self.asked = None;
                }
                return Ok(None);
            }
            if self.deadline.passed(now) {
                return Err(KafkaFault::other(LOOK, FaultKind::Unreachable, why.to_string()));
            }
            if tells_at.take_if(|at| at.passed(now)).is_some() {
                log::warn!("earlier tasks are shut out later: cannot {LOOK}: {why}");
            }
            client.poll(QUESTION_REST);
        }
    }
}

/// A producer that sends nothing: what matters comes out as an error.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        client_log::line(RDKafkaLogLevel::Debug, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client_log::line(RDKafkaLogLevel::Debug, "ERROR", &format!("{error}: {reason}"));
    }
}

impl ProducerContext for Quiet {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}
