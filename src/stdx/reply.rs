//! The two halves of a question between threads. The answering half cannot be forgotten: dropped unanswered, it
//! answers for itself.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Select, SelectTimeoutError, Sender, bounded};

/// What a [`Reply`] says when it is dropped unanswered.
pub trait Unanswered {
    /// The answer of a reply nobody gave.
    fn unanswered() -> Self;
}

/// The answering half of a question; to be used once, on any thread.
pub struct Reply<T: Unanswered> {
    to: Option<Target<T>>,
}

enum Target<T> {
    /// Somebody waits.
    Waiting { sender: Sender<T>, asker: Weak<()> },
    /// Somebody wants to be called.
    Call(Box<dyn FnOnce(T) + Send>),
}

/// The asking half: waits for the answer.
#[derive(Debug)]
pub struct Pending<T> {
    receiver: Receiver<T>,
    /// Tells the answering half that somebody is here.
    _asker: Arc<()>,
}

/// Why a wait ended without an answer: its time was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOut;

/// A new question: the half that answers, and the half that waits.
pub fn reply<T: Unanswered>() -> (Reply<T>, Pending<T>) {
    let (sender, receiver) = bounded(1);
    let asker = Arc::new(());
    let to = Some(Target::Waiting { sender, asker: Arc::downgrade(&asker) });
    (Reply { to }, Pending { receiver, _asker: asker })
}

impl<T: Unanswered> Reply<T> {
    /// Answers. Never blocks; an asker who has gone is no error.
    pub fn send(mut self, answer: T) {
        self.answer(answer);
    }

    /// A reply that calls `then` with the answer, on the thread that answers. `then` must not block.
    pub fn calling(then: impl FnOnce(T) + Send + 'static) -> Self {
        Reply { to: Some(Target::Call(Box::new(then))) }
    }

    /// Whether anybody still waits for the answer.
    pub fn is_wanted(&self) -> bool {
        match &self.to {
            Some(Target::Waiting { asker, .. }) => asker.strong_count() > 0,
            Some(Target::Call(_)) => true,
            None => false,
        }
    }

    fn answer(&mut self, answer: T) {
        match self.to.take() {
            Some(Target::Waiting { sender, .. }) => {
                // The channel holds one message and this is the only one; if it is full or closed, the asker left.
                drop(sender.try_send(answer));
            }
            Some(Target::Call(then)) => then(answer),
            None => {}
        }
    }
}

impl<T: Unanswered> std::fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").field("wanted", &self.is_wanted()).finish()
    }
}

impl<T: Unanswered> Drop for Reply<T> {
    fn drop(&mut self) {
        self.answer(T::unanswered());
    }
}

impl<T: Unanswered> Pending<T> {
    /// Waits at most `timeout` for the answer.
    pub fn wait(&self, timeout: Duration) -> Result<T, TimedOut> {
        match receive(&self.receiver, timeout) {
            Ok(answer) => Ok(answer),
            // This cannot be while `Reply` answers when dropped; it is said as what it would mean.
            Err(RecvTimeoutError::Disconnected) => Ok(T::unanswered()),
            Err(RecvTimeoutError::Timeout) => Err(TimedOut),
        }
    }

    /// The answer, if it has come.
    pub fn poll(&self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

/// Receives at most for `timeout`: the channel's `recv_timeout`, but asleep at once.
///
/// The channel's own gives the processor away four times before it sleeps. Where many threads want to run, each time
/// lets all of them go first; a selection of the one channel does not.
pub fn receive<T>(channel: &Receiver<T>, timeout: Duration) -> Result<T, RecvTimeoutError> {
    let mut arrival = Select::new();
    arrival.recv(channel);
    match arrival.select_timeout(timeout) {
        Ok(arrived) => arrived.recv(channel).map_err(|_closed| RecvTimeoutError::Disconnected),
        Err(SelectTimeoutError) => Err(RecvTimeoutError::Timeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    enum Answer {
        Given(u8),
        Forgotten,
    }

    impl Unanswered for Answer {
        fn unanswered() -> Self {
            Answer::Forgotten
        }
    }

    #[test]
    fn an_answer_arrives_once() {
        let (reply, pending) = reply::<Answer>();
        assert_eq!(pending.wait(Duration::ZERO), Err(TimedOut));
        reply.send(Answer::Given(7));
        assert_eq!(pending.wait(Duration::ZERO), Ok(Answer::Given(7)));
    }

    #[test]
    fn a_dropped_reply_answers_for_itself() {
        let (reply, pending) = reply::<Answer>();
        drop(reply);
        assert_eq!(pending.wait(Duration::ZERO), Ok(Answer::Forgotten));
    }

    #[test]
    fn who_wants_a_call_is_called_once_also_when_the_reply_is_dropped() {
        let (answers, seen) = bounded(2);
        let reply = |answers: Sender<Answer>| Reply::calling(move |answer| answers.send(answer).unwrap());
        reply(answers.clone()).send(Answer::Given(2));
        drop(reply(answers));
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), [Answer::Given(2), Answer::Forgotten]);
    }

    #[test]
    fn an_asker_who_left_is_no_error() {
        let (reply, pending) = reply::<Answer>();
        assert!(reply.is_wanted());
        drop(pending);
        assert!(!reply.is_wanted());
        reply.send(Answer::Given(1));
    }
}
