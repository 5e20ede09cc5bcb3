//! Writes on their way: queued, sent, acknowledged. What is acknowledged then waits until it was read back.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::error::LogError;
use super::handle::{LogEntry, Request};
use super::progress::Target;
use crate::kafka::fault::KafkaFault;
use crate::kafka::log_producer::{LogProducer, Written};
use crate::kafka::producer::SendError;

/// One producer, and the writes that go through it, in order. What is written may be secret, so it is not for logs.
pub(super) struct Appends {
    producer: LogProducer,
    /// All that are not ended; those not sent yet come last.
    queue: VecDeque<Append>,
    /// Topics that a write did not find since the last call of [`Appends::take_missed`].
    missed: BTreeSet<usize>,
}

/// A write of one or more records.
struct Append {
    topic: usize,
    name: Arc<str>,
    /// Empty once all are sent: librdkafka has copies.
    entries: Vec<LogEntry>,
    /// The number of its first record.
    first: u64,
    /// How many of its records were sent.
    sent: u64,
    /// How many of those were acknowledged or given up.
    ended: u64,
    /// Whether nothing more is to be sent.
    is_sent: bool,
    targets: Vec<Target>,
    fault: Option<KafkaFault>,
    /// `None` once it was answered.
    request: Option<Request>,
}

/// A write that Kafka has.
#[derive(Debug)]
pub(super) struct Acknowledged {
    pub(super) topic: usize,
    pub(super) targets: Vec<Target>,
    pub(super) request: Request,
}

impl Appends {
    pub(super) fn new(producer: LogProducer) -> Self {
        Appends { producer, queue: VecDeque::new(), missed: BTreeSet::new() }
    }

    /// The topics that brokers said are not there when they were written to.
    pub(super) fn take_missed(&mut self) -> BTreeSet<usize> {
        std::mem::take(&mut self.missed)
    }

    /// Takes a write; [`Appends::turn`] sends it.
    pub(super) fn push(&mut self, topic: usize, name: Arc<str>, entries: Vec<LogEntry>, request: Request) {
        let (targets, fault, request) = (Vec::new(), None, Some(request));
        let (first, sent, ended, is_sent) = (0, 0, 0, false);
        self.queue.push_back(Append {
            topic,
            name,
            entries,
            first,
            sent,
            ended,
            is_sent,
            targets,
            fault,
            request,
        });
    }

    /// Sends what there is room for, and gives the writes that Kafka has now; failed ones are answered.
    pub(super) fn turn(&mut self) -> Vec<Acknowledged> {
        // Reports first: they make room.
        let mut acknowledged = self.take_reports();
        self.send();
        acknowledged.extend(self.take_ended());
        acknowledged
    }

    /// Wakes the thread at the next report; gives what came before that was arranged.
    pub(super) fn rest(&mut self) -> Vec<Acknowledged> {
        self.producer.rest();
        self.take_reports()
    }

    fn send(&mut self) {
        let Appends { producer, queue, .. } = self;
        let unsent = queue.iter().take_while(|append| append.is_sent).count();
        for append in queue.iter_mut().skip(unsent) {
            let sent = usize::try_from(append.sent).unwrap_or(usize::MAX);
            for (key, value) in append.entries.iter().skip(sent) {
                match producer.send(&append.name, key, value.as_deref()) {
                    Ok(number) => {
                        if append.sent == 0 {
                            append.first = number;
                        }
                        append.sent += 1;
                    }
                    Err(SendError::Full) => return,
                    Err(SendError::Failed(fault)) => {
                        append.fault.get_or_insert(fault);
                        break;
                    }
                }
            }
            append.is_sent = true;
            append.entries = Vec::new();
        }
    }

    fn take_reports(&mut self) -> Vec<Acknowledged> {
        let Appends { producer, queue, .. } = self;
        producer.drain(|number, written| {
            // Numbers go up along the queue; those without any are at its end.
            let after = queue.partition_point(|append| append.sent > 0 && append.first <= number);
            let append = after.checked_sub(1).and_then(|index| queue.get_mut(index));
            if let Some(append) = append {
                append.report(written);
            }
        });
        self.take_ended()
    }

    /// Takes the writes out whose records were all acknowledged or given up, and answers those that failed.
    fn take_ended(&mut self) -> Vec<Acknowledged> {
        let mut acknowledged = Vec::new();
        for append in &mut self.queue {
            if !append.is_ended() {
                continue;
            }
            let Some(request) = append.request.take() else { continue };
            match append.fault.take() {
                Some(fault) => {
                    let error = LogError::Refused(fault);
                    if error.misses_topic() {
                        self.missed.insert(append.topic);
                    }
                    request.done.send(Err(error));
                }
                None => {
                    let targets = std::mem::take(&mut append.targets);
                    acknowledged.push(Acknowledged { topic: append.topic, targets, request });
                }
            }
        }
        self.queue.retain(|append| !append.is_ended());
        acknowledged
    }

    /// Answers the writes whose time is up; those of which nothing was sent are not sent any more.
    pub(super) fn expire(&mut self, now: Instant, why: impl Fn(usize) -> Option<Arc<str>>) {
        for append in &mut self.queue {
            let Some(request) = append.request.take_if(|request| request.deadline.passed(now)) else {
                continue;
            };
            let may_be_written = append.sent > 0;
            if !may_be_written {
                append.is_sent = true;
            }
            let topic = Arc::clone(&append.name);
            let why = why(append.topic);
            request.done.send(Err(LogError::TimedOut { topic, what: "written", may_be_written, why }));
        }
        self.queue.retain(|append| !append.is_ended());
    }

    /// When the first of them is late.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let requests = self.queue.iter().filter_map(|append| append.request.as_ref());
        requests.map(|request| request.deadline.instant()).min()
    }
}

impl Append {
    fn report(&mut self, written: Written) {
        self.ended += 1;
        match written {
            Ok(placed) => {
                let (partition, position) = (placed.partition, placed.offset + 1);
                match self.targets.iter_mut().find(|(known, _)| *known == partition) {
                    Some((_, target)) => *target = position.max(*target),
                    None => self.targets.push((partition, position)),
                }
            }
            Err(fault) => {
                self.fault.get_or_insert(fault);
            }
        }
    }

    fn is_ended(&self) -> bool {
        self.is_sent && self.ended >= self.sent
    }
}
