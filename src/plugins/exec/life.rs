//! What becomes of the program of a task: started, ready, ended, started again, given up.
//!
//! ```text
//! Down ──► Starting ──► Up ──► Down …  (it ended; after a wait, and so many times in a row)
//!             └──────────┴───► Finished (a source ended with status 0) or Failed
//! ```
//! Nothing here waits unless it is told to. Called by the task only.

use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;

use super::child::{Child, End, Event, Heard, Hearing};
use super::input::{Input, Wrote};
use super::message::Ready;
use super::program::Program;
use super::restarts::Restarts;
use super::words;
use crate::api::error::{ConnectError, Result};
use crate::stdx::backoff::jitter;
use crate::stdx::time::Clock;

/// Makes sense of what a program says; a new one for each run.
pub(super) type MakeHearing = Box<dyn Fn() -> Result<Hearing> + Send>;

/// What is needed to run a program again and again.
pub(super) struct Plan {
    pub(super) program: Program,
    /// The first line that it is told.
    pub(super) first_words: Vec<u8>,
    pub(super) hearing: MakeHearing,
    /// Whether a program that ends with status 0 has done its work.
    pub(super) may_finish: bool,
    pub(super) thread_name: String,
}

/// A program and what became of it.
pub(super) struct Life {
    plan: Plan,
    state: State,
    restarts: Restarts,
    /// Which of the consecutive runs this is.
    run: u64,
    /// Whether any run has become ready: before, a new start would not help.
    was_up: bool,
    /// Since when the program has left unread what it is told.
    stuck_since: Option<Instant>,
}

enum State {
    Down { until: Instant },
    Starting { child: Child, since: Instant },
    Up { child: Child, since: Instant },
    Finished,
    Failed(String),
}

/// How it is with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It does not run. It will be started after this time.
    Down(Duration),
    /// It was started and is not ready.
    Starting,
    Up,
    /// It has done all it had to do.
    Finished,
}

/// What it said when it had begun, and then.
#[derive(Debug)]
pub(super) struct Said {
    /// Whether it has become ready with this.
    pub(super) ready: Option<Ready>,
    /// The rest: questions for offsets, records, acknowledgements.
    pub(super) heard: Vec<Heard>,
}

impl Life {
    /// Not started yet: the first call of [`Life::go_on`] does that.
    pub(super) fn new(plan: Plan) -> Self {
        let Program { restarts, restart_first, restart_longest, .. } = plan.program;
        let state = State::Down { until: Clock.now().instant };
        let restarts = Restarts::new(restarts, restart_first, restart_longest);
        Life { plan, state, restarts, run: 0, was_up: false, stuck_since: None }
    }

    /// The number of the present run.
    pub(super) fn run(&self) -> u64 {
        self.run
    }

    pub(super) fn program(&self) -> &Program {
        &self.plan.program
    }

    /// The way to the program, while it runs.
    pub(super) fn input(&mut self) -> Option<&mut Input> {
        match &mut self.state {
            State::Starting { child, .. } | State::Up { child, .. } => child.input.as_mut(),
            State::Down { .. } | State::Finished | State::Failed(_) => None,
        }
    }

    /// Starts the program when it is due, and kills it when it takes too long to be ready or to read.
    ///
    /// # Errors
    /// It failed for good; the same error comes again.
    pub(super) fn go_on(&mut self) -> Result<Standing> {
        let now = Clock.now().instant;
        self.look_at_input(now);
        match &self.state {
            State::Down { until } if *until <= now => self.begin(now)?,
            State::Starting { since, .. } if now - *since >= self.plan.program.start_timeout => {
                let ms = self.plan.program.start_timeout.as_millis();
                self.ended(format!(
                    "did not say that it is ready within start.timeout.ms={ms} and was killed"
                ));
            }
            State::Down { .. }
            | State::Starting { .. }
            | State::Up { .. }
            | State::Finished
            | State::Failed(_) => {}
        }
        match &self.state {
            State::Down { until } => Ok(Standing::Down(until.saturating_duration_since(now))),
            State::Starting { .. } => Ok(Standing::Starting),
            State::Up { .. } => Ok(Standing::Up),
            State::Finished => Ok(Standing::Finished),
            State::Failed(why) => Err(ConnectError::connect(why.clone())),
        }
    }

    /// Writes what waits to be told as far as the program reads.
    pub(super) fn flush(&mut self) -> Wrote {
        self.input().map_or(Wrote::Closed, Input::flush)
    }

    fn begin(&mut self, now: Instant) -> Result<()> {
        let hearing = (self.plan.hearing)()?;
        self.run += 1;
        self.stuck_since = None;
        match Child::start(&self.plan.program, hearing, self.plan.thread_name.clone()) {
            Ok(mut child) => {
                if let Some(input) = &mut child.input {
                    input.say(&self.plan.first_words);
                    input.flush();
                }
                self.state = State::Starting { child, since: now };
            }
            Err(error) => self.ended(format!("could not be started: {error}")),
        }
        Ok(())
    }

    /// What the program said next; waits for it at most for the given time. `None`: nothing, or it has ended.
    pub(super) fn hear(&mut self, wait: Duration) -> Option<Said> {
        let (State::Starting { child, .. } | State::Up { child, .. }) = &self.state else { return None };
        match child.events.recv_timeout(wait) {
            Ok(Event::Heard(heard)) => self.make_sense(heard),
            Ok(Event::Ended(end)) => {
                self.take_end(&end);
                None
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                self.ended("was lost by the worker".to_owned());
                None
            }
        }
    }

    fn make_sense(&mut self, heard: Vec<Heard>) -> Option<Said> {
        let mut ready = None;
        let mut rest = Vec::with_capacity(heard.len());
        for message in heard {
            let was_ready = matches!(self.state, State::Up { .. }) || ready.is_some();
            match message {
                Heard::Ready(_) if was_ready => {
                    self.fail("said twice that it is ready");
                    return None;
                }
                Heard::Ready(said) => ready = Some(said),
                Heard::Failed(message) => {
                    self.fail(&format!("has given up: {message}"));
                    return None;
                }
                Heard::Record(_) | Heard::Ack(_) if !was_ready => {
                    self.fail("must say {\"ready\":{}} before anything but questions for offsets");
                    return None;
                }
                Heard::Offsets(_) | Heard::Record(_) | Heard::Ack(_) => rest.push(message),
            }
        }
        if ready.is_some() {
            self.was_up = true;
            self.state = match std::mem::replace(&mut self.state, State::Finished) {
                State::Starting { child, since } => State::Up { child, since },
                other @ (State::Down { .. } | State::Up { .. } | State::Finished | State::Failed(_)) => other,
            };
        }
        Some(Said { ready, heard: rest })
    }

    fn take_end(&mut self, end: &End) {
        match end {
            End::Exited(status)
                if status.success() && self.plan.may_finish && matches!(self.state, State::Up { .. }) =>
            {
                log::info!("The program has ended with status 0: it has nothing more to give");
                self.state = State::Finished;
            }
            End::Exited(status) => self.ended(format!("ended with {status}")),
            End::Closed => self.ended("closed its descriptor HERDSMAN_WRITE_FD and was killed".to_owned()),
            End::Failed(error) => self.ended(format!("could not be heard and was killed: {error}")),
            End::NotStarted(error) => self.ended(format!("could not be started: {error}")),
            // It would do so again.
            End::Broken(what) => {
                self.fail(&format!("said a line that cannot be used, and was killed: {what}"))
            }
        }
    }

    /// The program broke a rule or gave up: it is killed, and the task fails.
    pub(super) fn fail(&mut self, what: &str) {
        self.state = State::Failed(self.message(what));
    }

    /// The program ended, or is ended here: it is started again, unless that happened too often.
    pub(super) fn ended(&mut self, what: String) {
        if !self.was_up {
            return self.fail(&format!("{what}, before it was ready"));
        }
        let now = Clock.now().instant;
        let ran = match &self.state {
            State::Starting { since, .. } | State::Up { since, .. } => now - *since,
            State::Down { .. } | State::Finished | State::Failed(_) => Duration::ZERO,
        };
        self.state = match self.restarts.next(ran, jitter()) {
            Some(wait) => {
                let (count, max) = self.restarts.count();
                log::warn!("The program {what}; start {count} of {max} in {} ms", wait.as_millis());
                State::Down { until: now + wait }
            }
            None => {
                let max = self.restarts.count().1;
                State::Failed(format!("{} (started again restart.max={max} times)", self.message(&what)))
            }
        };
    }

    fn message(&self, what: &str) -> String {
        let name = self.plan.program.command.first().map_or("", String::as_str);
        format!(
            "The program {name} {what}. What it printed is in the worker's log, under herdsman.exec.program"
        )
    }

    /// A program that does not read what it is told is ended after a while.
    fn look_at_input(&mut self, now: Instant) {
        let wrote = self.flush();
        if wrote != Wrote::Part {
            self.stuck_since = None;
            return;
        }
        let since = *self.stuck_since.get_or_insert(now);
        let timeout = self.plan.program.progress_timeout;
        if now - since >= timeout {
            self.ended(format!(
                "did not read what it was told for progress.timeout.ms={} and was killed",
                timeout.as_millis()
            ));
        }
    }

    /// Tells the program to stop and sees to it, within the time that its settings give it and that is left.
    pub(super) fn stop(self, left: Duration) {
        match self.state {
            State::Starting { child, .. } | State::Up { child, .. } => child.stop(&words::stop(), left),
            State::Down { .. } | State::Finished | State::Failed(_) => {}
        }
    }
}
