//! Who waits until a topic is read to some place.

use super::handle::Request;

/// Who waits for a position.
#[derive(Debug)]
pub(super) enum Waiter {
    /// The reading from the beginning.
    Beginning,
    /// The check whether the topic is the one that was read.
    Check,
    /// Somebody who asked to read to the end.
    Reader(Request),
    /// Somebody who wrote.
    Writer(Request),
}

impl Waiter {
    /// The request that is to be answered, if it is one.
    pub(super) fn request(&self) -> Option<&Request> {
        match self {
            Waiter::Beginning | Waiter::Check => None,
            Waiter::Reader(request) | Waiter::Writer(request) => Some(request),
        }
    }
}
