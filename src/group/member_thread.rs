//! The thread of the group's member: it owns the connections to brokers and a [`super::member::GroupMember`], and carries out what
//! that decides.
//!
//! **It waits for nothing but readiness, commands and the next deadline.** The names of hosts are looked up on other
//! threads ([`names`]), since that may block.

mod names;
mod search;
mod work;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError, bounded};
use mio::{Poll, Token, Waker};

use self::work::Work;
use super::events::{GroupEvent, MemberCommand, MemberSettings};
use crate::config::broker::Broker;
use crate::kafka::broker_socket::ConnectionSettings;
use crate::stdx::thread::{self, JoinOnDrop};

/// How many commands may wait. The thread takes them whenever it is woken, within milliseconds; the herder sends a few
/// in a turn, and no more while its inbox is too full for the member's events.
const COMMANDS_MAX: usize = 256;

/// Readiness with this token means that there are commands, or names were looked up.
const WAKE: Token = Token(0);

/// What is told to the herder. Called on the member's thread; must not block for long.
pub type Listener = Box<dyn Fn(GroupEvent) + Send>;

/// How long the present turn of the tick thread has lasted. Called on the member's thread; must not block.
pub type TurnAge = Box<dyn Fn() -> Duration + Send>;

/// Where brokers are, and how to connect to them.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    /// The brokers to begin with.
    pub brokers: Vec<Broker>,
    /// What all connections have in common.
    pub connection: ConnectionSettings,
}

/// The running member. Dropping it ends the thread and waits for it: at once, or, if the member was told to leave, when
/// it has left, at most [`super::member::LEAVE_PATIENCE`] later.
#[derive(Debug)]
pub struct MemberHandle {
    // Dropped first, by hand: the thread sees the channel closed and ends.
    commands: Option<Sender<MemberCommand>>,
    waker: Arc<Waker>,
    // Dropped last: waits for the thread.
    _thread: JoinOnDrop,
}

/// Why a command was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTold {
    /// So many wait already that the thread must be stuck.
    #[error("{COMMANDS_MAX} commands wait for the thread of the group's member: it is stuck")]
    Stuck,
    /// It ended; it told so before.
    #[error("the thread of the group's member has ended")]
    Ended,
}

impl MemberHandle {
    /// Starts the thread. The first event is `RejoinNeeded`; nothing is sent before the first `Join`.
    ///
    /// # Errors
    /// The system gives no thread or no way to wait for sockets.
    pub fn start(
        settings: MemberSettings,
        bootstrap: Bootstrap,
        listener: Listener,
        turn_age: TurnAge,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (commands, inbox) = bounded(COMMANDS_MAX);
        let of_work = Arc::clone(&waker);
        let body = move || Work::new(settings, bootstrap, poll, of_work, listener, turn_age).run(&inbox);
        let thread = thread::spawn("group-member", thread::STACK_BYTES, body)?;
        Ok(MemberHandle { commands: Some(commands), waker, _thread: thread })
    }

    /// Tells the member what is wanted. Never blocks.
    ///
    /// # Errors
    /// The thread does not take commands any more: the worker cannot go on.
    pub fn tell(&self, command: MemberCommand) -> Result<(), NotTold> {
        let commands = self.commands.as_ref().ok_or(NotTold::Ended)?;
        commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => NotTold::Stuck,
            TrySendError::Disconnected(_) => NotTold::Ended,
        })?;
        self.wake();
        Ok(())
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            // The thread looks again at its next deadline.
            log::warn!("the thread of the group's member cannot be woken: {error}");
        }
    }
}

impl Drop for MemberHandle {
    fn drop(&mut self) {
        self.commands = None;
        self.wake();
    }
}
