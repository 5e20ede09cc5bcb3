//! Health requests that wait at the same time share one question to the herder.
//!
//! The first of them asks; who comes while it is unanswered joins. Each waits with its own deadline and leaves when
//! that has passed. So a tick thread that is stuck finds one message of all the probes that came meanwhile. With its
//! answer it wakes one of those who wait, and that one wakes the others: its turn is short however many they are. An
//! answer that was given before a probe came says nothing to that probe: it asks anew.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crossbeam_channel::{SendTimeoutError, Sender, bounded};

use crate::herder::msg::{Answer, HerderEvent, Request};
use crate::stdx::reply::Reply;
use crate::stdx::time::{Clock, Deadline};

/// The question that is outstanding, if any. Shared by all threads that answer requests.
#[derive(Debug, Default)]
pub(super) struct SharedProbe {
    round: Mutex<Option<Arc<Round>>>,
}

/// One question, and those who wait for its answer.
#[derive(Debug)]
struct Round(Mutex<RoundState>);

#[derive(Debug)]
struct RoundState {
    /// Taken by who puts it into the inbox; back again if there was no room.
    question: Option<Reply<Answer<()>>>,
    /// Whether the herder answered that it serves requests.
    outcome: Option<bool>,
    /// Those who wait to be woken, each with a number of its own. They look once more before they leave for good.
    waiting: Vec<(u64, Sender<()>)>,
    last_number: u64,
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
            Some(round) if round.lock().outcome.is_none() => Arc::clone(round),
            Some(_) | None => Arc::clone(current.insert(Round::new())),
        }
    }
}

impl Round {
    fn new() -> Arc<Self> {
        Arc::new_cyclic(|round: &Weak<Round>| {
            let round = Weak::clone(round);
            // Gone only when nobody waits and nobody can join any more.
            let question = Reply::calling(move |answer: Answer<()>| {
                if let Some(round) = round.upgrade() {
                    round.conclude(answer.is_ok());
                }
            });
            Round(Mutex::new(RoundState {
                question: Some(question),
                outcome: None,
                waiting: Vec::new(),
                last_number: 0,
            }))
        })
    }

    /// Takes the answer, on the tick thread.
    fn conclude(&self, outcome: bool) {
        let mut state = self.lock();
        state.outcome = Some(outcome);
        let first = state.waiting.pop();
        drop(state);
        wake(first);
    }

    fn wait(&self, inbox: &Sender<HerderEvent>, clock: Clock, deadline: Deadline) -> bool {
        let mut state = self.lock();
        loop {
            if let Some(outcome) = state.outcome {
                let others = std::mem::take(&mut state.waiting);
                // Who is woken needs the lock at once.
                drop(state);
                wake(others);
                return outcome;
            }
            let left = deadline.left(clock.now().instant);
            if left.is_zero() {
                return false;
            }
            if let Some(question) = state.question.take() {
                drop(state);
                let unsent = send(question, inbox, deadline.left(clock.now().instant));
                state = self.lock();
                if unsent.is_some() {
                    // It is for one of those who have more time.
                    state.question = unsent;
                    wake(std::mem::take(&mut state.waiting));
                }
                continue;
            }
            let (waker, woken) = bounded(1);
            state.last_number += 1;
            let number = state.last_number;
            state.waiting.push((number, waker));
            drop(state);
            // Woken or not, it looks at the outcome once more.
            let _either_way = woken.recv_timeout(left);
            state = self.lock();
            state.waiting.retain(|(waiting, _)| *waiting != number);
        }
    }

    fn lock(&self) -> MutexGuard<'_, RoundState> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waiting: impl IntoIterator<Item = (u64, Sender<()>)>) {
    for (_, waker) in waiting {
        // It holds one message and this is the only one.
        let _taken = waker.try_send(());
    }
}

/// Puts the question into the inbox; gives it back if there was no room for so long.
fn send(
    question: Reply<Answer<()>>,
    inbox: &Sender<HerderEvent>,
    timeout: Duration,
) -> Option<Reply<Answer<()>>> {
    match inbox.send_timeout(HerderEvent::Request(Request::Health(question)), timeout) {
        Err(SendTimeoutError::Timeout(HerderEvent::Request(Request::Health(question)))) => Some(question),
        // Where the tick thread has ended, the question is dropped, and answers for itself.
        Ok(()) | Err(SendTimeoutError::Timeout(_) | SendTimeoutError::Disconnected(_)) => None,
    }
}

#[cfg(test)]
mod tests {
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
            while probe.round.lock().unwrap().as_ref().unwrap().lock().waiting.is_empty() {
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
