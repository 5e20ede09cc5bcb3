//! The consumers of one isolation level: one follows topics, and for a while another one reads them from the beginning.
//!
//! A fetch that finds nothing waits for half a second at the broker, with all partitions in it. Reading a large topic
//! would be held up by those partitions that are at their ends already, and would hold up topics that are followed.

use std::sync::Arc;

use crate::config::client::ClientSettings;
use crate::config::client::internal_topics::reading;
use crate::kafka::fault::KafkaFault;
use crate::kafka::log_consumer::{LogConsumer, LogRead, ReadFrom};
use crate::kafka::log_records::LogRecords;
use crate::kafka::producer::Wake;
use crate::stdx::thread;

/// Which of the two has a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// The one that lives while topics are read from their beginnings.
    FromBeginning,
    /// The one that waits for news.
    News,
}

/// Both consumers. Each is made when it is first needed.
pub(super) struct Consumers {
    settings: ClientSettings,
    wake: Wake,
    from_beginning: Option<LogConsumer>,
    news: Option<LogConsumer>,
}

impl Consumers {
    pub(super) fn new(settings: ClientSettings, wake: Wake) -> Self {
        Consumers { settings, wake, from_beginning: None, news: None }
    }

    /// Makes the consumer that is needed first, which shows whether librdkafka takes the settings.
    pub(super) fn begin(&mut self) -> Result<(), KafkaFault> {
        self.made(Reading::FromBeginning).map(drop)
    }

    fn place(&mut self, which: Reading) -> &mut Option<LogConsumer> {
        match which {
            Reading::FromBeginning => &mut self.from_beginning,
            Reading::News => &mut self.news,
        }
    }

    fn made(&mut self, which: Reading) -> Result<&mut LogConsumer, KafkaFault> {
        let settings = match which {
            Reading::FromBeginning => reading(&self.settings),
            Reading::News => self.settings.clone(),
        };
        let wake = Arc::clone(&self.wake);
        match self.place(which) {
            Some(consumer) => Ok(consumer),
            place => Ok(place.insert(LogConsumer::new(&settings, wake)?)),
        }
    }

    /// Reads partitions from given offsets on.
    pub(super) fn read_from(&mut self, which: Reading, offsets: &[ReadFrom]) -> Result<(), KafkaFault> {
        self.made(which)?.read_from(offsets)
    }

    /// Reads a topic no longer.
    pub(super) fn stop_reading(&mut self, which: Reading, topic: &str) -> Result<(), KafkaFault> {
        self.place(which).as_mut().map_or(Ok(()), |consumer| consumer.stop_reading(topic))
    }

    /// How far a partition was given out, markers of transactions included.
    pub(super) fn position(
        &mut self,
        which: Reading,
        topic: &str,
        partition: i32,
    ) -> Result<Option<i64>, KafkaFault> {
        self.place(which).as_ref().map_or(Ok(None), |consumer| consumer.position(topic, partition))
    }

    /// Whether topics are read from their beginnings.
    pub(super) fn is_reading(&self) -> bool {
        self.from_beginning.is_some()
    }

    /// Closes a consumer. That takes a moment, which nobody waits for.
    pub(super) fn end(&mut self, which: Reading) {
        let Some(consumer) = self.place(which).take() else { return };
        // Without a thread it is closed here.
        if let Ok(closing) =
            thread::spawn("internal-topics-close", thread::STACK_BYTES, move || drop(consumer))
        {
            closing.abandon();
        }
    }

    /// Takes what is there of one partition, see [`LogConsumer::read`].
    pub(super) fn read(&mut self, batch: &mut LogRecords) -> Option<LogRead> {
        let news = self.news.as_mut().and_then(|consumer| consumer.read(batch));
        news.or_else(|| self.from_beginning.as_mut().and_then(|consumer| consumer.read(batch)))
    }
}
