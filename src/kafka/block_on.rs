//! Waits for a future of rdkafka's admin client, which has no synchronous form. A runtime is not needed for one wait.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use crate::stdx::time::{Clock, Deadline};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread until the future is ready; `None` when the deadline passes before.
pub(super) fn block_on<F: Future>(future: F, deadline: Deadline) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        let left = deadline.left(Clock.now().instant);
        if left.is_zero() {
            return None;
        }
        std::thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn waits_for_the_future_or_the_deadline() {
        let soon = Clock.deadline(Duration::from_secs(10));
        assert_eq!(block_on(std::future::ready(7), soon), Some(7));
        let never = std::future::pending::<()>();
        assert_eq!(block_on(never, Clock.deadline(Duration::from_millis(1))), None);
    }
}
