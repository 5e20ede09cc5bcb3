//! Health requests that wait at the same time share one question to the herder.
//!
//! The first of them asks; who comes while it is unanswered joins. All wait on one channel, each with its own deadline.
//! The word that the round is over wakes one of them, who passes it on: the tick thread wakes one, however many wait.
//! And one that is stuck finds one message of all the probes that came meanwhile. An answer that was given before a
//! probe came says nothing to that probe: it asks anew.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TrySendError, bounded};

use crate::herder::msg::{Answer, HerderEvent, Request};
use crate::stdx::reply::{Reply, receive};
use crate::stdx::time::{Clock, Deadline};

/// The question that is outstanding, if any. Shared by all threads that answer requests.
#[derive(Debug, Default)]
pub(super) struct SharedProbe {
    round: Mutex<Option<Arc<Round>>>,
}

/// One question, and those who wait for its answer.
#[derive(Debug)]
struct Round {
    outcome: OnceLock<Outcome>,
    /// Holds one word as soon as there is an outcome: who takes it puts it back.
    over: (Sender<()>, Receiver<()>),
}

/// How a round ended.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    /// The herder answered: whether it serves requests.
    Answered(bool),
    /// The inbox was full for as long as the one who had to ask could wait.
    NotAsked,
}

impl SharedProbe {
    /// Waits at most until `deadline` for the herder. Returns whether it answered that it serves requests.
    pub(super) fn ask(&self, inbox: &Sender<HerderEvent>, clock: Clock, deadline: Deadline) -> bool {
        loop {
            let (round, question) = self.join();
            if let Some(question) = question {
                round.send(question, inbox, clock, deadline);
            }
            match round.wait(clock, deadline) {
                Some(Outcome::Answered(serves)) => return serves,
                Some(Outcome::NotAsked) if !deadline.left(clock.now().instant).is_zero() => {}
                Some(Outcome::NotAsked) | None => return false,
            }
        }
    }

    /// The round whose answer will be given from now on, and its question for the one who begins it.
    fn join(&self) -> (Arc<Round>, Option<Reply<Answer<()>>>) {
        let mut current = self.round.lock().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            Some(round) if round.outcome.get().is_none() => (Arc::clone(round), None),
            Some(_) | None => {
                let (round, question) = Round::begin();
                (Arc::clone(current.insert(round)), Some(question))
            }
        }
    }
}

impl Round {
    fn begin() -> (Arc<Self>, Reply<Answer<()>>) {
        let round = Arc::new(Round { outcome: OnceLock::new(), over: bounded(1) });
        let end = Arc::clone(&round);
        let question =
            Reply::calling(move |answer: Answer<()>| end.finish(Outcome::Answered(answer.is_ok())));
        (round, question)
    }

    /// The first outcome counts.
    fn finish(&self, outcome: Outcome) {
        self.outcome.get_or_init(|| outcome);
        self.wake_one();
    }

    fn wake_one(&self) {
        match self.over.0.try_send(()) {
            // Without room the word is there already.
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }

    /// Puts the question into the inbox. Where that has no room until `deadline`, the round is over, and those who can
    /// wait longer begin another. Where the tick thread has ended, the dropped question answers itself.
    fn send(
        &self,
        question: Reply<Answer<()>>,
        inbox: &Sender<HerderEvent>,
        clock: Clock,
        deadline: Deadline,
    ) {
        let event = HerderEvent::Request(Request::Health(question));
        match inbox.send_timeout(event, deadline.left(clock.now().instant)) {
            Ok(()) => {}
            Err(SendTimeoutError::Timeout(question)) => {
                self.finish(Outcome::NotAsked);
                drop(question);
            }
            Err(SendTimeoutError::Disconnected(question)) => drop(question),
        }
    }

    /// The outcome; none when `deadline` passes before.
    fn wait(&self, clock: Clock, deadline: Deadline) -> Option<Outcome> {
        if receive(&self.over.1, deadline.left(clock.now().instant)).is_ok() {
            self.wake_one();
        }
        self.outcome.get().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::herder::msg::HerderError;

    const SOON: Duration = Duration::from_secs(10);
    const SHORT: Duration = Duration::from_millis(20);

    fn question(inbox: &Receiver<HerderEvent>) -> Reply<Answer<()>> {
        match inbox.recv_timeout(SOON) {
            Ok(HerderEvent::Request(Request::Health(reply))) => reply,
            other => panic!("no health request, but {other:?}"),
        }
    }

    fn ask(probe: &SharedProbe, inbox: &Sender<HerderEvent>, timeout: Duration) -> bool {
        probe.ask(inbox, Clock, Clock.deadline(timeout))
    }

    #[test]
    fn many_share_one_question_and_each_leaves_at_its_own_deadline() {
        let (sender, inbox) = bounded(8);
        let probe = SharedProbe::default();
        std::thread::scope(|scope| {
            let patient: Vec<_> = (0..32).map(|_| scope.spawn(|| ask(&probe, &sender, SOON))).collect();
            let hasty: Vec<_> = (0..32).map(|_| scope.spawn(|| ask(&probe, &sender, SHORT))).collect();
            let reply = question(&inbox);
            assert!(hasty.into_iter().all(|thread| !thread.join().unwrap()));
            assert!(inbox.is_empty(), "more than one question");
            assert!(reply.is_wanted());
            reply.send(Ok(()));
            assert!(patient.into_iter().all(|thread| thread.join().unwrap()));
        });
        assert!(inbox.is_empty(), "more than one question");
    }

    #[test]
    fn a_late_probe_joins_a_question_whose_askers_have_left() {
        let (sender, inbox) = bounded(8);
        let probe = SharedProbe::default();
        assert!(!ask(&probe, &sender, SHORT));
        let reply = question(&inbox);
        std::thread::scope(|scope| {
            let late = scope.spawn(|| ask(&probe, &sender, SOON));
            // The round is known to the probe, to the question, and to who has joined.
            while probe.round.lock().unwrap().as_ref().is_none_or(|round| Arc::strong_count(round) < 3) {
                std::thread::yield_now();
            }
            reply.send(Ok(()));
            assert!(late.join().unwrap());
        });
        assert!(inbox.is_empty());
    }

    #[test]
    fn an_answer_is_not_for_those_who_come_after_it() {
        let (sender, inbox) = bounded(8);
        let probe = SharedProbe::default();
        assert!(!ask(&probe, &sender, SHORT));
        let (before, _) = probe.join();
        // Nobody has taken the answer yet; it is older than the next probe all the same.
        question(&inbox).send(Ok(()));
        assert!(!Arc::ptr_eq(&before, &probe.join().0));
        assert!(!ask(&probe, &sender, SHORT));
        assert_eq!(inbox.len(), 1);
    }

    #[test]
    fn a_full_inbox_is_no_answer_and_who_stays_asks_again() {
        let (sender, inbox) = bounded(1);
        sender.send(HerderEvent::Wake).unwrap();
        let probe = SharedProbe::default();
        std::thread::scope(|scope| {
            let hasty = scope.spawn(|| ask(&probe, &sender, SHORT));
            while probe.round.lock().unwrap().is_none() {
                std::thread::yield_now();
            }
            let patient = scope.spawn(|| ask(&probe, &sender, SOON));
            assert!(!hasty.join().unwrap());
            assert!(matches!(inbox.recv_timeout(SOON), Ok(HerderEvent::Wake)));
            question(&inbox).send(Ok(()));
            assert!(patient.join().unwrap());
        });
    }

    #[test]
    fn a_refusal_and_a_dropped_question_are_no_health() {
        let (sender, inbox) = bounded(8);
        let probe = SharedProbe::default();
        for refuse in [|reply: Reply<_>| reply.send(Err(HerderError::ShuttingDown)), drop] {
            std::thread::scope(|scope| {
                let waiting = scope.spawn(|| ask(&probe, &sender, SOON));
                refuse(question(&inbox));
                assert!(!waiting.join().unwrap());
            });
        }
        drop(inbox);
        assert!(!ask(&probe, &sender, SOON));
    }
}
