//! A running program, from the side of its task.

use std::io::{self, PipeWriter};
use std::process::ExitStatus;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::input::Input;
use super::message::{self, Ack, Message, Ready};
use super::process::{ChildPipes, Keeper};
use super::program::Program;
use super::records::{FromProgram, Given};
use crate::api::offset::OffsetMap;
use crate::stdx::log_context::LogContext;
use crate::stdx::thread::{self, JoinOnDrop};

/// Blocks of lines that wait for the task; then the program waits, too.
const WAITING_EVENTS_MAX: usize = 4;
/// How much longer than its time a program may take to be gone.
const BEYOND_STOP: Duration = Duration::from_secs(1);

/// What the task hears.
pub(super) enum Event {
    /// Lines, in their order.
    Heard(Vec<Heard>),
    /// The last event.
    Ended(End),
}

/// A line.
#[derive(Debug)]
pub(super) enum Heard {
    Ready(Ready),
    Offsets(Vec<OffsetMap>),
    Record(Box<Given>),
    Ack(Ack),
    Failed(String),
}

/// How a program ended.
#[derive(Debug)]
pub(super) enum End {
    /// By itself, or by a signal of somebody else.
    Exited(ExitStatus),
    /// It closed its descriptor and was killed.
    Closed,
    /// It said something that it must not, and was killed.
    Broken(String),
    /// It could not be heard, and was killed.
    Failed(io::Error),
    /// It was not started.
    NotStarted(io::Error),
}

/// What the thread of a child is asked for, once.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ask {
    /// The program was told to stop: wait for it for so long, then use force.
    Stop(Duration),
    /// Use force.
    Kill,
}

/// Makes sense of lines; belongs to the thread that reads them.
pub(super) enum Hearing {
    Source(Box<FromProgram>),
    Sink,
}

impl Hearing {
    /// The meaning of a line, which is a part of `block`.
    pub(super) fn hear(&mut self, block: &Bytes, line: &[u8]) -> Result<Heard, String> {
        match (message::read(line)?, self) {
            (Message::Ready(ready), _) => Ok(Heard::Ready(ready)),
            (Message::Failed(failed), _) => Ok(Heard::Failed(failed.message)),
            (Message::Offsets(asked), Hearing::Source(_)) => Ok(Heard::Offsets(asked.partitions()?)),
            (Message::Record(wire), Hearing::Source(from)) => {
                Ok(Heard::Record(Box::new(from.record(block, *wire)?)))
            }
            (Message::Ack(ack), Hearing::Sink) => Ok(Heard::Ack(ack)),
            (Message::Ack(_), Hearing::Source(_)) => Err("a source acknowledges nothing".to_owned()),
            (Message::Offsets(_), Hearing::Sink) => Err("a sink has no offsets to ask for".to_owned()),
            (Message::Record(_), Hearing::Sink) => Err("a sink gives no records".to_owned()),
        }
    }
}

/// A program that was started. Dropping it kills it.
pub(super) struct Child {
    pub(super) input: Option<Input>,
    pub(super) events: Receiver<Event>,
    asked: Arc<OnceLock<Ask>>,
    /// Closing it wakes the thread.
    wake: Option<PipeWriter>,
    /// Closed when the thread has ended.
    gone: Receiver<()>,
    thread: Option<JoinOnDrop>,
    stop_timeout: Duration,
}

impl Child {
    /// Starts the program. How that went is heard as an event.
    pub(super) fn start(program: &Program, hearing: Hearing, thread_name: String) -> io::Result<Self> {
        let (input, to_program) = io::pipe()?;
        let (said, output) = io::pipe()?;
        let to_program = Input::new(to_program)?;
        let (woken, wake) = io::pipe()?;
        let (events, heard) = bounded(WAITING_EVENTS_MAX);
        let (gone_sender, gone) = bounded(0);
        let asked = Arc::new(OnceLock::new());
        let context: Arc<str> = LogContext::with(|text| Arc::from(text));
        let keeper = Keeper {
            program: program.clone(),
            hearing,
            pipes: ChildPipes { input, said, output },
            events,
            asked: Arc::clone(&asked),
            woken,
            context: Arc::clone(&context),
            thread_name: thread_name.clone(),
        };
        let thread = thread::spawn(thread_name, thread::PLUGIN_STACK_BYTES, move || {
            let _gone: Sender<()> = gone_sender;
            let _context = LogContext::enter(&context);
            keeper.run();
        })?;
        Ok(Child {
            input: Some(to_program),
            events: heard,
            asked,
            wake: Some(wake),
            gone,
            thread: Some(thread),
            stop_timeout: program.stop_timeout,
        })
    }

    /// Tells the program to stop, waits for it as long as its settings say and time is left, and kills it then.
    pub(super) fn stop(mut self, last_words: &[u8], left: Duration) {
        if let Some(input) = &mut self.input {
            input.say(last_words);
            input.flush();
        }
        self.end(Ask::Stop(self.stop_timeout.min(left)));
    }

    fn end(&mut self, ask: Ask) {
        self.input = None;
        let Some(thread) = self.thread.take() else { return };
        self.asked.get_or_init(|| ask);
        self.wake = None;
        let timeout = match ask {
            Ask::Stop(timeout) => timeout,
            Ask::Kill => Duration::ZERO,
        };
        match self.gone.recv_timeout(timeout + BEYOND_STOP) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => drop(thread),
            Err(RecvTimeoutError::Timeout) => {
                log::error!(
                    "the program does not end, although it was killed: the system holds it. Nobody waits for it any more"
                );
                thread.abandon();
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end(Ask::Kill);
    }
}
