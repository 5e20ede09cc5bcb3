//! Writes to an internal topic, each in a transaction of its own, by a producer that a later one with the same transactional
//! id fences: those of the leader to the config topic, and changes of the offsets of an exactly-once source.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use super::client_log;
use super::fault::KafkaFault;
use super::settings::client_config;
use super::transactions::{self, TransactionFault};
use crate::api::record::RecordMetadata;
use crate::config::client::ClientSettings;
use crate::stdx::time::{Clock, Deadline};

/// A producer that has its transactional id for itself, as far as it knows. Calls block, at most until their
/// deadline; so it belongs on a thread of its own.
///
/// After any error it is to be dropped. That waits for no broker: a transaction that is still open then ends when a
/// producer with the same id is claimed, or by its timeout.
pub struct TransactionalLogProducer {
    client: BaseProducer<Reports>,
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
    /// is fenced. Blocks until the broker says so. `what` is told with a failure: it reads well after «failed to».
    ///
    /// # Errors
    /// No answer in time, no authority, or settings that librdkafka refuses.
    pub fn claim(
        settings: &ClientSettings,
        what: &'static str,
        deadline: Deadline,
    ) -> Result<Self, TransactionFault> {
        let client = client_config(settings).create_with_context(Reports::default());
        let client: BaseProducer<Reports> =
            client.map_err(|error| TransactionFault::Failed(KafkaFault::new(what, &error)))?;
        let producer = TransactionalLogProducer { client };
        let claimed = producer.client.init_transactions(deadline.left(Clock.now().instant));
        claimed.map_err(|error| transactions::fault(&producer.client, what, &error))?;
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
        let fault = |error: &_| transactions::fault(&self.client, what(), error);
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
}

impl fmt::Debug for TransactionalLogProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TransactionalLogProducer")
    }
}
