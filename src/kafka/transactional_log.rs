//! Writes of the leader to the config topic, each in a transaction of its own, by a producer that a later leader fences.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use super::client_log;
use super::fault::{FaultKind, KafkaFault};
use super::settings::client_config;
use crate::api::record::RecordMetadata;
use crate::config::client::ClientSettings;
use crate::stdx::time::{Clock, Deadline};

/// A producer that has the transactional id of the group's leader, as far as it knows. Calls block, at most until their
/// deadline; so it belongs on a thread of its own.
///
/// After any error it is to be dropped. That waits for no broker: a transaction that is still open then ends when a
/// producer with the same id is claimed, or by its timeout.
pub struct TransactionalLogProducer {
    client: BaseProducer<Reports>,
}

/// Why a claim or a write failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionFault {
    /// A later leader has taken the transactional id over.
    #[error("another worker has become the leader and writes the config topic now: {0}")]
    Fenced(KafkaFault),
    /// Something else. Whether a write took place is not known.
    #[error(transparent)]
    Failed(KafkaFault),
}

/// Where the records of the transaction under way were put, or why one was not.
#[derive(Default)]
struct Reports(Mutex<Vec<Result<RecordMetadata, KafkaError>>>);

impl Reports {
    fn take(&self) -> Vec<Result<RecordMetadata, KafkaError>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client_log::line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client_log::client_error(&error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let report = match result {
            Ok(message) => Ok(RecordMetadata { partition: message.partition(), offset: message.offset() }),
            Err((error, _)) => Err(error.clone()),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(report);
    }
}

impl TransactionalLogProducer {
    /// Takes the transactional id over: an open transaction of an earlier producer with it is aborted, and that producer
    /// is fenced. Blocks until the broker says so.
    ///
    /// # Errors
    /// No answer in time, no authority, or settings that librdkafka refuses.
    pub fn claim(settings: &ClientSettings, deadline: Deadline) -> Result<Self, TransactionFault> {
        let what = "claim write privileges for the config topic (InitProducerId)";
        let client = client_config(settings).create_with_context(Reports::default());
        let client: BaseProducer<Reports> =
            client.map_err(|error| TransactionFault::Failed(KafkaFault::new(what, &error).of_worker()))?;
        let producer = TransactionalLogProducer { client };
        let claimed = producer.client.init_transactions(deadline.left(Clock.now().instant));
        claimed.map_err(|error| producer.fault(what.to_owned(), &error))?;
        Ok(producer)
    }

    /// Writes records in one transaction, and says where they are. Blocks until it is committed.
    ///
    /// # Errors
    /// As for [`TransactionFault`]; the producer is to be dropped.
    pub fn write<'a>(
        &self,
        topic: &str,
        records: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
        deadline: Deadline,
    ) -> Result<Vec<RecordMetadata>, TransactionFault> {
        let what = || format!("write to the topic '{topic}' in a transaction (Produce, EndTxn)");
        let fault = |error: &_| self.fault(what(), error);
        drop(self.client.context().take());
        self.client.begin_transaction().map_err(|error| fault(&error))?;
        for (key, value) in records {
            let mut record = BaseRecord::<[u8], [u8]>::to(topic).key(key);
            record.payload = value;
            self.client.send(record).map_err(|(error, _)| fault(&error))?;
        }
        let left = || deadline.left(Clock.now().instant);
        // Serves the reports, too, which the commit would wait for in vain.
        self.client.flush(left()).map_err(|error| fault(&error))?;
        let reports = self.client.context().take();
        let placed = reports.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| fault(&error))?;
        self.client.commit_transaction(left()).map_err(|error| fault(&error))?;
        Ok(placed)
    }

    fn fault(&self, what: String, error: &KafkaError) -> TransactionFault {
        // What befalls single records when the producer is fenced says less than what befell the producer.
        let fatal = self.client.client().fatal_error();
        let code = fatal.as_ref().map(|(code, _)| *code).or_else(|| error.rdkafka_error_code());
        let fault = match (fatal, error) {
            (Some((code, reason)), _) => KafkaFault::other(what, FaultKind::of(code), reason),
            (None, KafkaError::Transaction(cause)) => {
                KafkaFault::other(what, FaultKind::of(cause.code()), cause.string())
            }
            (None, error) => KafkaFault::new(what, error),
        };
        let fault = fault.of_worker();
        let fenced = [Code::Fenced, Code::ProducerFenced, Code::InvalidProducerEpoch];
        if code.is_some_and(|code| fenced.contains(&code)) {
            TransactionFault::Fenced(fault)
        } else {
            TransactionFault::Failed(fault)
        }
    }
}

impl fmt::Debug for TransactionalLogProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TransactionalLogProducer")
    }
}
