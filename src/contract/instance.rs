//! Calls of code that may panic or hang, each on a thread of its own.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};

use crate::stdx::panics;
use crate::stdx::thread::{self, PLUGIN_STACK_BYTES};

/// Why a call gave nothing.
#[derive(Debug)]
pub(super) enum Fault {
    /// It panicked; what it said.
    Panicked(String),
    /// It did not return within this time.
    Hung(Duration),
    /// An earlier call of the instance panicked or hung: there is nothing to call any more.
    Gone,
}

/// Runs code on a thread of its own, for so long at most. What does not return keeps its thread.
pub(super) fn within<T: Send + 'static>(
    limit: Duration,
    code: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    let (done, outcome) = bounded(1);
    let body = move || drop(done.send(panics::caught(code)));
    let thread = match thread::spawn("contract", PLUGIN_STACK_BYTES, body) {
        Ok(thread) => thread,
        Err(error) => return Err(Fault::Panicked(format!("the system gives no thread: {error}"))),
    };
    match outcome.recv_timeout(limit) {
        Ok(outcome) => outcome.map_err(Fault::Panicked),
        Err(RecvTimeoutError::Timeout) => {
            thread.abandon();
            Err(Fault::Hung(limit))
        }
        Err(RecvTimeoutError::Disconnected) => Err(Fault::Panicked("the thread ended".to_owned())),
    }
}

/// An instance of a plug-in: a connector, a task, a transform.
pub(super) struct Instance<T: ?Sized> {
    /// Not there once a call did not come back.
    inner: Option<Box<T>>,
    limit: Duration,
}

impl<T: ?Sized + Send + 'static> Instance<T> {
    /// Of what a class makes; each call may take so long.
    pub(super) fn new(inner: Box<T>, limit: Duration) -> Self {
        Instance { inner: Some(inner), limit }
    }

    /// Makes one on a thread of its own.
    pub(super) fn made<P: ?Sized + Send + Sync + 'static>(
        plugin: &Arc<P>,
        limit: Duration,
        make: impl FnOnce(&P) -> Box<T> + Send + 'static,
    ) -> Result<Self, Fault> {
        let plugin = Arc::clone(plugin);
        within(limit, move || make(&plugin)).map(|made| Instance::new(made, limit))
    }

    /// Calls it on another thread than ever before.
    pub(super) fn call<R: Send + 'static>(
        &mut self,
        code: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> Result<R, Fault> {
        let mut inner = self.inner.take().ok_or(Fault::Gone)?;
        let (result, inner) = within(self.limit, move || {
            let result = code(&mut inner);
            (result, inner)
        })?;
        self.inner = Some(inner);
        Ok(result)
    }

    /// Lets it end without another call, as the end of a process does. Its `Drop` may not come back either.
    pub(super) fn abandon(mut self) -> Result<(), Fault> {
        let inner = self.inner.take().ok_or(Fault::Gone)?;
        within(self.limit, move || drop(inner))
    }
}
