//! The thread that belongs to a child process: it starts the process, hears what it says, ends it, and waits for it.
//!
//! One thread for the whole life of a child, because the kernel kills a child when the thread that started it is gone.

use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam_channel::{SendTimeoutError, Sender};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use super::child::{Ask, End, Event, Hearing};
use super::launch;
use super::lines::{Blocks, Got, lines};
use super::log_lines;
use super::polling::{self, Becomes};
use super::program::Program;
use crate::stdx::thread::{self, JoinOnDrop};
use crate::stdx::time::{Clock, Deadline};

/// How long the thread waits at most before it looks whether the process has ended, and whether it is asked for something.
const TICK: Duration = Duration::from_millis(100);
/// The same while the process is ending.
const ENDING_TICK: Duration = Duration::from_millis(5);
/// How long after the end of its output a process may still run.
const CLOSED_GRACE: Duration = Duration::from_secs(2);
/// How much is read at once of what nobody hears.
const UNHEARD_BYTES: usize = 64 * 1024;
/// How large pipes are made, where the system allows it.
const PIPE_BYTES: usize = 1024 * 1024;

/// What the thread of a child needs.
pub(super) struct Keeper {
    pub(super) program: Program,
    pub(super) hearing: Hearing,
    pub(super) pipes: ChildPipes,
    pub(super) events: Sender<Event>,
    pub(super) asked: Arc<OnceLock<Ask>>,
    /// Has an end when something was asked.
    pub(super) woken: PipeReader,
    /// Whose task it is, for the log.
    pub(super) context: Arc<str>,
    pub(super) thread_name: String,
}

/// The ends of the pipes between worker and child that the thread holds.
pub(super) struct ChildPipes {
    /// What the child reads from.
    pub(super) input: PipeReader,
    /// What the child says.
    pub(super) said: PipeReader,
    /// What the child writes to.
    pub(super) output: PipeWriter,
}

impl Keeper {
    /// The life of the child, from its start until it is waited for.
    pub(super) fn run(self) {
        let Keeper { program, hearing, pipes, events, asked, woken, context, thread_name } = self;
        let ChildPipes { input, said, output } = pipes;
        let told = |end: End| drop(events.send_timeout(Event::Ended(end), TICK));
        let (log, printed) = match io::pipe().and_then(|pipe| unblocked(&pipe.0, &said).map(|()| pipe)) {
            Ok(pipe) => pipe,
            Err(error) => return told(End::NotStarted(error)),
        };
        let process = match command(&program, input, output, printed).spawn() {
            Ok(process) => process,
            Err(error) => return told(End::NotStarted(error)),
        };
        let Some(id) = i32::try_from(process.id()).ok().and_then(Pid::from_raw) else {
            return told(End::NotStarted(io::Error::other("the system gave it no number")));
        };
        let follower = Follower::start(log, program.log_lines_per_second, context, thread_name);
        let mut kept =
            Kept { process, id, said, woken, asked, events, hearing, line_bytes: program.line_bytes };
        let end = kept.listen();
        let status = kept.finish(end.is_none());
        drop(follower);
        if let Some(end) = end {
            kept.tell(Event::Ended(end.with(status)));
        }
    }
}

/// The thread that logs what the child prints; it ends when this is dropped.
struct Follower {
    _ended: Option<PipeWriter>,
    _thread: Option<JoinOnDrop>,
}

impl Follower {
    fn start(log: PipeReader, per_second: usize, context: Arc<str>, thread_name: String) -> Self {
        let started = io::pipe().and_then(|(signal, ended)| {
            rustix::io::ioctl_fionbio(&signal, true)?;
            let follow = move || log_lines::follow(log, &signal, per_second, &context);
            Ok((ended, thread::spawn(format!("{thread_name}-log"), thread::STACK_BYTES, follow)?))
        });
        match started {
            Ok((ended, thread)) => Follower { _ended: Some(ended), _thread: Some(thread) },
            Err(error) => {
                log::warn!("what the program prints cannot be logged: {error}");
                Follower { _ended: None, _thread: None }
            }
        }
    }
}

fn unblocked(log: &PipeReader, said: &PipeReader) -> io::Result<()> {
    rustix::io::ioctl_fionbio(log, true)?;
    rustix::io::ioctl_fionbio(said, true)?;
    widen(said);
    Ok(())
}

/// Larger pipes are quicker.
fn widen(pipe: &impl AsFd) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES) {
        // A user may have used up what the system allows.
        log::debug!("the pipe of a program stays small: {error}");
    }
}

fn command(program: &Program, input: PipeReader, output: PipeWriter, printed: PipeWriter) -> Command {
    widen(&input);
    let mut command = Command::new(&program.launcher);
    command
        .args(launch::arguments(program))
        .env_clear()
        .envs(program.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(output))
        .stderr(Stdio::from(printed))
        // A group of its own: signals reach what it starts, and a terminal's reach the worker only.
        .process_group(0);
    if let Some(directory) = &program.directory {
        command.current_dir(directory);
    }
    command
}

/// A process that was started.
struct Kept {
    process: std::process::Child,
    id: Pid,
    said: PipeReader,
    woken: PipeReader,
    asked: Arc<OnceLock<Ask>>,
    events: Sender<Event>,
    hearing: Hearing,
    line_bytes: usize,
}

/// Why the thread hears no more. What became of the process is known later.
enum Over {
    Exited,
    Closed,
    Broken(String),
    Failed(io::Error),
}

impl Over {
    fn with(self, status: Option<ExitStatus>) -> End {
        match (self, status) {
            (Over::Broken(what), _) => End::Broken(what),
            (Over::Failed(error), _) => End::Failed(error),
            (Over::Exited, Some(status)) => End::Exited(status),
            (Over::Closed, _) => End::Closed,
            (Over::Exited, None) => End::Failed(io::Error::other("its exit status is not known")),
        }
    }
}

impl Kept {
    /// Passes on what the process says, until it ends or breaks a rule; `None` when it is to be stopped.
    fn listen(&mut self) -> Option<Over> {
        let mut blocks = Blocks::new(self.line_bytes);
        let mut after_exit = 0;
        loop {
            if self.is_asked() {
                return None;
            }
            // In this order: what it said before its end is in the pipe.
            let exited = self.has_exited();
            match blocks.read(&self.said) {
                Ok(Got::Lines(block)) => {
                    // More than the pipe can have held: somebody else goes on, whom the program has left behind.
                    after_exit += if exited { block.len() } else { 0 };
                    if after_exit > PIPE_BYTES + self.line_bytes {
                        return Some(Over::Exited);
                    }
                    let mut heard = Vec::new();
                    for line in lines(&block) {
                        match self.hearing.hear(&block, line) {
                            Ok(message) => heard.push(message),
                            Err(what) => {
                                self.tell(Event::Heard(heard));
                                return Some(Over::Broken(what));
                            }
                        }
                    }
                    if !heard.is_empty() && !self.tell(Event::Heard(heard)) {
                        return None;
                    }
                }
                Ok(Got::Part) => {}
                Ok(Got::Nothing) if exited => return Some(self.at_its_end(&blocks, Over::Exited)),
                Ok(Got::Nothing) => self.rest(),
                Ok(Got::End) if exited || self.exits_soon() => {
                    return Some(self.at_its_end(&blocks, Over::Exited));
                }
                Ok(Got::End) => return Some(self.at_its_end(&blocks, Over::Closed)),
                Ok(Got::TooLong) => {
                    let max = self.line_bytes;
                    return Some(Over::Broken(format!("a line is longer than limits.line.bytes={max}")));
                }
                Err(error) => return Some(Over::Failed(error)),
            }
        }
    }

    fn at_its_end(&self, blocks: &Blocks, over: Over) -> Over {
        if blocks.begun_bytes() > 0 {
            log::warn!("the program ended within a line; its {} bytes do not count", blocks.begun_bytes());
        }
        over
    }

    fn rest(&self) {
        let fds = [(self.said.as_fd(), Becomes::Readable), (self.woken.as_fd(), Becomes::Readable)];
        if let Err(error) = polling::wait(&fds, TICK) {
            log::warn!("cannot wait for what the program says: {error}");
        }
    }

    fn is_asked(&self) -> bool {
        self.asked.get().is_some()
    }

    /// Passes an event on, waits for room, and gives up when the process is to be stopped.
    fn tell(&self, event: Event) -> bool {
        let mut event = event;
        loop {
            match self.events.send_timeout(event, TICK) {
                Ok(()) => return true,
                Err(SendTimeoutError::Timeout(again)) if !self.is_asked() => event = again,
                Err(SendTimeoutError::Timeout(_) | SendTimeoutError::Disconnected(_)) => return false,
            }
        }
    }

    /// Whether the process has ended. It stays a zombie, so that its number and that of its group stay its own.
    fn has_exited(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match rustix::process::waitid(WaitId::Pid(self.id), options) {
            Ok(status) => status.is_some(),
            Err(error) => error == rustix::io::Errno::CHILD,
        }
    }

    fn exits_soon(&mut self) -> bool {
        self.exits_until(Clock.deadline(CLOSED_GRACE))
    }

    /// Waits for the end of the process. What it says meanwhile is not heard any more.
    fn exits_until(&mut self, deadline: Deadline) -> bool {
        let mut ended = false;
        let mut unheard = vec![0; UNHEARD_BYTES];
        while !self.has_exited() {
            if deadline.passed(Clock.now().instant) {
                return false;
            }
            // A program that waits for room to write could not end.
            ended |= matches!(self.said.read(&mut unheard), Ok(0));
            let said = [(self.said.as_fd(), Becomes::Readable)];
            if polling::wait(if ended { &[] } else { &said }, ENDING_TICK).is_err() {
                return self.has_exited();
            }
        }
        true
    }

    /// Ends the process and all that is left of its group, and waits for it. `asked`: it was told to stop, and has time.
    fn finish(&mut self, asked: bool) -> Option<ExitStatus> {
        if asked
            && let Some(&Ask::Stop(timeout)) = self.asked.get()
            && !self.exits_until(Clock.deadline(timeout / 2))
        {
            log::info!(
                "the program has not ended {} ms after it was told to stop: SIGTERM",
                (timeout / 2).as_millis()
            );
            self.signal(Signal::TERM);
            if !self.exits_until(Clock.deadline(timeout / 2)) {
                log::warn!(
                    "the program has not ended {} ms after it was told to stop: SIGKILL",
                    timeout.as_millis()
                );
            }
        }
        self.signal(Signal::KILL);
        self.process.wait().ok()
    }

    /// To the whole group. It is gone when nobody is left in it.
    fn signal(&self, signal: Signal) {
        if let Err(error) = rustix::process::kill_process_group(self.id, signal)
            && error != rustix::io::Errno::SRCH
        {
            log::warn!("cannot send the program a signal: {error}");
        }
    }
}
