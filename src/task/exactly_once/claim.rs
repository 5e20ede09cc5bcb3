//! How a task takes its transactional id, and ends what Kafka has left open of the latest transaction with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::client::ClientSettings;
use crate::kafka::fault::KafkaFault;
use crate::kafka::left_open::{Asked, LeftOpen, QUIET, Unanswered};
use crate::kafka::producer::Producer;
use crate::stdx::time::Clock;

/// How long one call may block before the task looks whether it is to end.
const CALL: Duration = Duration::from_secs(1);
/// The same where brokers are too slow for that.
const CALL_LONGEST: Duration = Duration::from_secs(4);
/// How long the task rests before it asks brokers again that have no answer yet.
const REST: Duration = Duration::from_millis(250);
/// How long it waits until it says so again in the log.
const TELL_AGAIN: Duration = Duration::from_secs(30);

/// What a task says where there is no answer.
const CANNOT_LOOK: &str = "Cannot ask how the latest transaction ended";
const CANNOT_END: &str = "Cannot end what may be open of the latest transaction";

/// A producer on its way to its transactional id.
pub(super) struct Claim {
    producer: Arc<Producer>,
    /// What may be left open of the latest transaction; `None` if that cannot be asked.
    left_open: Option<LeftOpen>,
    step: Step,
    patience: Duration,
    waits: Option<Waits>,
}

enum Step {
    /// How the latest transaction ended is asked first.
    Look,
    Take,
    End,
}

/// Brokers have had no answer so far.
#[derive(Clone, Copy)]
struct Waits {
    since: Instant,
    tells_at: Instant,
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
    /// Of a producer with these settings, whose offsets are in the topic. `name` and `target` are those of the task in
    /// the log.
    pub(super) fn new(
        (producer, settings): (Arc<Producer>, &ClientSettings),
        topic: Arc<str>,
        (name, target): (&str, &str),
    ) -> Self {
        let id = settings.get("transactional.id").unwrap_or_default();
        let left_open = Asked::from_client(settings).map(|asked| LeftOpen::new(asked, id, topic));
        let left_open =
            left_open.inspect_err(|why| log::warn!(target: target, "{name} {CANNOT_LOOK}: {why}")).ok();
        let step = if left_open.is_some() { Step::Look } else { Step::Take };
        Claim { producer, left_open, step, patience: CALL, waits: None }
    }

    /// Goes on; `name` and `target` are those of the task in the log.
    ///
    /// # Errors
    /// The id cannot be had.
    pub(super) fn go_on(&mut self, task: (&str, &str), now: Instant) -> Result<Claimed, KafkaFault> {
        match (&self.step, &mut self.left_open) {
            (Step::Take, _) => self.take(),
            (Step::Look | Step::End, None) => Ok(Claimed::Done(Arc::clone(&self.producer))),
            (Step::Look, Some(left_open)) => match left_open.look(Clock.deadline(self.patience)) {
                Ok(()) => {
                    (self.step, self.waits) = (Step::Take, None);
                    Ok(Claimed::Again)
                }
                Err(why) => self.unanswered(CANNOT_LOOK, why, task, now),
            },
            (Step::End, Some(left_open)) => match left_open.end(Clock.deadline(self.patience)) {
                Ok(ended) => {
                    if let Some(ended) = ended {
                        let (name, target) = task;
                        log::warn!(target: target, "{name} {ended}");
                    }
                    Ok(Claimed::Done(Arc::clone(&self.producer)))
                }
                Err(why) => self.unanswered(CANNOT_END, why, task, now),
            },
        }
    }

    fn take(&mut self) -> Result<Claimed, KafkaFault> {
        match self.producer.init_transactions(CALL) {
            Ok(true) => self.step = Step::End,
            Ok(false) => match self.producer.denial() {
                Some(fault) => return Err(fault),
                // An earlier instance may have ended another transaction meanwhile.
                None if self.left_open.is_some() => self.step = Step::Look,
                None => {}
            },
            Err(fault) => return Err(fault.into_fault()),
        }
        Ok(Claimed::Again)
    }

    /// Has the task wait, or go on without an answer.
    fn unanswered(
        &mut self,
        cannot: &str,
        why: Unanswered,
        (name, target): (&str, &str),
        now: Instant,
    ) -> Result<Claimed, KafkaFault> {
        let waits = *self.waits.get_or_insert(Waits { since: now, tells_at: now + QUIET });
        if why.may_pass(now.saturating_duration_since(waits.since)) {
            return self.wait(&why, (name, target), now);
        }
        log::log!(target: target, why.level(), "{name} {cannot}: {why}");
        self.left_open = None;
        if matches!(self.step, Step::Look) {
            self.step = Step::Take;
        }
        Ok(Claimed::Again)
    }

    fn wait(
        &mut self,
        why: &Unanswered,
        (name, target): (&str, &str),
        now: Instant,
    ) -> Result<Claimed, KafkaFault> {
        self.patience = (self.patience * 2).min(CALL_LONGEST);
        match &mut self.waits {
            Some(waits) if now >= waits.tells_at => {
                waits.tells_at = now + TELL_AGAIN;
                log::warn!(
                    target: target,
                    "{name} Waits before it begins, for what is open of its transactions: {why}"
                );
            }
            Some(_) | None => log::debug!("transactions of the task cannot be looked at yet: {why}"),
        }
        self.producer.denial().map_or(Ok(Claimed::At(now + REST)), Err)
    }
}
