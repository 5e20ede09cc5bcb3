//! Health requests that wait at the same time share one question to the herder.
//!
//! The first of them asks; who comes while it is unanswered joins. Each waits with its own deadline and leaves when
//! that has passed; one of those who stay goes on listening. So a tick thread that is stuck finds one message of all
//! the probes that came meanwhile. An answer that was given before a probe came says nothing to that probe: it asks
//! anew.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{SendTimeoutError, Sender};

use crate::herder::msg::{Answer, HerderEvent, Request};
use crate::stdx::reply::{Pending, Reply, reply};
use crate::stdx::time::{Clock, Deadline};

/// The question that is outstanding, if any. Shared by all threads that answer requests.
#[derive(Debug, Default)]
pub(super) struct SharedProbe {
    round: Mutex<Option<Arc<Round>>>,
}

/// One question, and those who wait for its answer.
#[derive(Debug)]
struct Round {
    pending: Pending<Answer<()>>,
    state: Mutex<RoundState>,
    changed: Condvar,
}

#[derive(Debug)]
struct RoundState {
    /// The answering half, until it is in the inbox.
    unsent: Option<Reply<Answer<()>>>,
    /// Whether one of those who wait sends the question or listens for the answer.
    driven: bool,
    /// Whether the herder answered that it serves requests.
    outcome: Option<bool>,
}

impl SharedProbe {
    /// Waits at most until `deadline` for the herder. Returns whether it answered that it serves requests.
    pub(super) fn ask(&self, inbox: &Sender<HerderEvent>, clock: Clock, deadline: Deadline) -> bool {
        self.join().wait(inbox, clock, deadline)
    }

    /// The round whose answer will be given from now on.
    fn join(&self) -> Arc<Round> {
        let mut current = self.round.lock().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            Some(round) if !round.pending.is_answered() => Arc::clone(round),
            Some(_) | None => Arc::clone(current.insert(Arc::new(Round::new()))),
        }
    }
}

impl Round {
    fn new() -> Self {
        let (reply, pending) = reply();
        let state = RoundState { unsent: Some(reply), driven: false, outcome: None };
        Round { pending, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn wait(&self, inbox: &Sender<HerderEvent>, clock: Clock, deadline: Deadline) -> bool {
        let mut state = self.lock();
        loop {
            if let Some(outcome) = state.outcome {
                return outcome;
            }
            let left = deadline.left(clock.now().instant);
            if left.is_zero() {
                return false;
            }
            if state.driven {
                state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            state.driven = true;
            let unsent = state.unsent.take();
            drop(state);
            let (unsent, outcome) = self.drive(unsent, inbox, clock, deadline);
            *self.lock() = RoundState { unsent, driven: false, outcome };
            // Without the lock: those who wake take it at once.
            self.changed.notify_all();
            state = self.lock();
        }
    }

    /// Sends the question, unless that was done before, and listens for the answer. Gives back what it could not send.
    fn drive(
        &self,
        unsent: Option<Reply<Answer<()>>>,
        inbox: &Sender<HerderEvent>,
        clock: Clock,
        deadline: Deadline,
    ) -> (Option<Reply<Answer<()>>>, Option<bool>) {
        if let Some(reply) = unsent {
            let event = HerderEvent::Request(Request::Health(reply));
            match inbox.send_timeout(event, deadline.left(clock.now().instant)) {
                Ok(()) => {}
                Err(SendTimeoutError::Timeout(HerderEvent::Request(Request::Health(reply)))) => {
                    return (Some(reply), None);
                }
                // The tick thread has ended.
                Err(SendTimeoutError::Timeout(_) | SendTimeoutError::Disconnected(_)) => {
                    return (None, Some(false));
                }
            }
        }
        match self.pending.wait(deadline.left(clock.now().instant)) {
            Ok(answer) => (None, Some(answer.is_ok())),
            Err(_timed_out) => (None, None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, RoundState> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crossbeam_channel::{Receiver, bounded};

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
            while !probe.round.lock().unwrap().as_ref().unwrap().lock().driven {
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
        let before = probe.join();
        // Nobody has taken the answer yet; it is older than the next probe all the same.
        question(&inbox).send(Ok(()));
        assert!(!Arc::ptr_eq(&before, &probe.join()));
        assert!(!ask(&probe, &sender, SHORT));
        assert_eq!(inbox.len(), 1);
    }

    #[test]
    fn a_full_inbox_is_no_answer_and_the_question_is_sent_by_who_stays() {
        let (sender, inbox) = bounded(1);
        sender.send(HerderEvent::Wake).unwrap();
        let probe = SharedProbe::default();
        std::thread::scope(|scope| {
            let patient = scope.spawn(|| ask(&probe, &sender, SOON));
            assert!(!ask(&probe, &sender, SHORT));
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
