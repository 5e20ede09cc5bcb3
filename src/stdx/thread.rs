//! Named threads with an owner: dropping the owner waits for the thread.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Stack of every thread that runs only our own code. Plug-in code gets [`PLUGIN_STACK_BYTES`].
pub const STACK_BYTES: usize = 256 * 1024;
/// Stack of threads that run the code of connectors, tasks, converters and transforms.
pub const PLUGIN_STACK_BYTES: usize = 2 * 1024 * 1024;

/// A running thread; dropping it waits until the thread has ended.
///
/// Its owner must have told the thread to end before: fields are dropped in order, so a stop signal stands above
/// the thread it stops.
#[derive(Debug)]
pub struct JoinOnDrop(Option<JoinHandle<()>>);

impl JoinOnDrop {
    /// Whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        self.0.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Gives the thread up: nobody waits for it any more. For code that does not end within its deadline.
    pub fn abandon(mut self) {
        self.0 = None;
    }
}

impl Drop for JoinOnDrop {
    fn drop(&mut self) {
        let Some(handle) = self.0.take() else { return };
        let name = handle.thread().name().unwrap_or("unnamed").to_owned();
        if handle.join().is_err() && !std::thread::panicking() {
            log::error!("thread {name} panicked");
        }
    }
}

/// Starts a thread of the given name and stack size. Fails when the system has no more threads to give.
pub fn spawn(
    name: impl Into<String>,
    stack_bytes: usize,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinOnDrop> {
    let handle = Builder::new().name(name.into()).stack_size(stack_bytes).spawn(body)?;
    Ok(JoinOnDrop(Some(handle)))
}
