//! Signals that end the worker. The first asks for an orderly end; the second ends the process at once.

use std::io;

use crossbeam_channel::{Receiver, bounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::stdx::thread::{self, JoinOnDrop};

/// Listens for signals while it lives.
#[derive(Debug)]
pub struct SignalListener {
    handle: Handle,
    _thread: JoinOnDrop,
}

impl SignalListener {
    /// Takes SIGTERM, SIGINT and SIGHUP over from the system. The first one's number arrives at the receiver.
    ///
    /// # Errors
    /// When the system refuses the handlers or the thread.
    pub fn start() -> io::Result<(Self, Receiver<u8>)> {
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        let handle = signals.handle();
        let (first, received) = bounded(1);
        let thread = thread::spawn("signals", thread::STACK_BYTES, move || {
            let mut stopping = false;
            for signal in signals.forever() {
                let number = u8::try_from(signal).unwrap_or(0);
                if std::mem::replace(&mut stopping, true) {
                    log::warn!("signal {number} while stopping: the worker ends at once");
                    std::process::exit(128 + i32::from(number));
                }
                log::info!("signal {number}: the worker stops; a second signal ends it at once");
                // Has room for this one; whoever left in the meantime is stopping already.
                first.try_send(number).ok();
            }
        })?;
        Ok((SignalListener { handle, _thread: thread }, received))
    }
}

impl Drop for SignalListener {
    fn drop(&mut self) {
        // Ends the thread's wait; the thread itself is joined after this.
        self.handle.close();
    }
}
