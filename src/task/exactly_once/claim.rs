//! How a task takes its transactional id, and ends what Kafka has left open of the latest transaction with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::kafka::fault::KafkaFault;
use crate::kafka::left_open::{Decision, EndedLate, Unanswered};
use crate::kafka::producer::Producer;

/// How long one call may block before the task looks whether it is to end.
const CALL: Duration = Duration::from_secs(1);
/// The same where brokers are too slow for that: a question is asked from its beginning each time.
const CALL_LONGEST: Duration = Duration::from_secs(4);
/// How long the task rests before it asks brokers again that have no answer yet.
const REST: Duration = Duration::from_millis(250);

/// A producer on its way to its transactional id.
pub(super) struct Claim {
    producer: Arc<Producer>,
    /// Its offsets.
    topic: Arc<str>,
    /// How the latest transaction ended, as far as is known.
    latest: Option<Decision>,
    /// There can be an answer to that.
    asks: bool,
    step: Step,
    patience: Duration,
}

enum Step {
    /// How the latest transaction ended is asked first.
    Ask,
    Take,
    End,
}

/// How far it is.
pub(super) enum Claimed {
    /// It has the id, and nothing is open.
    Done(Arc<Producer>),
    /// There is more to do at once.
    Again,
    /// There is more to do then.
    At(Instant),
}

impl Claim {
    pub(super) fn new(producer: Arc<Producer>, topic: Arc<str>) -> Self {
        Claim { producer, topic, latest: None, asks: true, step: Step::Ask, patience: CALL }
    }

    /// Goes on; `name` and `target` are those of the task in the log.
    ///
    /// # Errors
    /// The id cannot be had.
    pub(super) fn go_on(
        &mut self,
        (name, target): (&str, &str),
        now: Instant,
    ) -> Result<Claimed, KafkaFault> {
        match self.step {
            Step::Ask => match self.producer.latest_decision(&self.topic, self.patience) {
                Ok(latest) => {
                    self.latest = latest.or(self.latest);
                    self.step = Step::Take;
                }
                Err(Unanswered::Passing(why)) => return self.wait(&why, now),
                Err(Unanswered::Final(why)) => {
                    log::warn!(target: target, "{name} Cannot ask how the latest transaction ended: {why}");
                    (self.asks, self.step) = (false, Step::Take);
                }
            },
            Step::Take => match self.producer.init_transactions(CALL) {
                Ok(true) => self.step = Step::End,
                Ok(false) => match self.producer.denial() {
                    Some(fault) => return Err(fault),
                    // An earlier instance may have ended another transaction meanwhile.
                    None if self.asks => self.step = Step::Ask,
                    None => {}
                },
                Err(fault) => return Err(fault.into_fault()),
            },
            Step::End => match self.producer.end_left_open(&self.topic, self.latest, self.patience) {
                Ok(ended) => {
                    if let Some(ended) = ended {
                        tell(&ended, &self.topic, (name, target));
                    }
                    return Ok(Claimed::Done(Arc::clone(&self.producer)));
                }
                Err(Unanswered::Passing(why)) => return self.wait(&why, now),
                Err(Unanswered::Final(why)) => {
                    log::warn!(target: target, "{name} Cannot end what may be open of the latest transaction: {why}");
                    return Ok(Claimed::Done(Arc::clone(&self.producer)));
                }
            },
        }
        Ok(Claimed::Again)
    }

    fn wait(&mut self, why: &str, now: Instant) -> Result<Claimed, KafkaFault> {
        log::debug!("transactions of the task cannot be looked at yet: {why}");
        self.patience = (self.patience * 2).min(CALL_LONGEST);
        self.producer.denial().map_or(Ok(Claimed::At(now + REST)), Err)
    }
}

fn tell(EndedLate { decision, partitions }: &EndedLate, topic: &str, (name, target): (&str, &str)) {
    let how = match decision {
        Decision::Commit => "committed",
        Decision::Abort => "aborted",
    };
    log::warn!(
        target: target,
        "{name} Kafka had left the latest transaction open in the partitions {partitions:?} of the topic '{topic}'; it is \
         {how} there, too, now"
    );
}
