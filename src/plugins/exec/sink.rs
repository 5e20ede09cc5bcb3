//! `ExecSink`: a program that is given records and says which of them it has written.
//!
//! Offsets are committed up to the first record that is not acknowledged. When the program ends, all behind that is read
//! again for the next one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::child::{Heard, Hearing};
use super::connector::ExecConnector;
use super::in_flight::InFlight;
use super::input::{Input, Wrote};
use super::life::{Life, MakeHearing, Said, Standing};
use super::program::{self, Programs};
use super::records::ToProgram;
use super::task::{self, Started};
use super::words::{self, Kind};
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, ConfigValue, Importance};
use crate::api::connector::{Connector, ConnectorPlugin};
use crate::api::error::{ConnectError, Result};
use crate::api::ids::TopicPartition;
use crate::api::record::SinkRecord;
use crate::api::registry::VERSION;
use crate::api::sink::{SinkOffsets, SinkPlugin, SinkTask, SinkTaskContext};
use crate::api::source::AlterOffsets;
use crate::stdx::time::Clock;

const SCHEMAS: &str = "schemas.enable";
const IN_FLIGHT: &str = "inflight.max";
const FLUSH_TIMEOUT: &str = "flush.timeout.ms";

/// How often the task looks after the program when there are no records.
const LOOK: Duration = Duration::from_millis(200);
/// How long a wait for the program waits at a time.
const TICK: Duration = Duration::from_millis(5);
/// How long a start waits at a time.
const START_TICK: Duration = Duration::from_millis(100);
/// Records are written to the program when there are so many bytes of them, or at the end of a batch.
const WRITE_BYTES: usize = 256 * 1024;
/// Of the time for the end of a task, one part is kept for the end of its program.
const STOP_PARTS: u32 = 4;
/// How long after the program has closed its end its own end may come.
const CLOSED_GRACE: Duration = Duration::from_secs(2);

/// The connector class.
#[derive(Debug)]
pub struct ExecSink {
    programs: Programs,
}

impl ExecSink {
    /// A class that runs what is allowed.
    #[must_use]
    pub fn new(programs: Programs) -> Self {
        ExecSink { programs }
    }
}

fn config_def() -> ConfigDef {
    let key = |name, kind, doc| ConfigKey::new(name, kind, Importance::Medium, doc);
    program::config_def()
        .define(
            key(SCHEMAS, ConfigType::Boolean, "Whether keys, values and headers are told with their schema beside them.")
                .default("false"),
        )
        .define(
            key(IN_FLIGHT, ConfigType::Int, "The most records that the program is given before it has acknowledged the first of them.")
                .default("10000")
                .at_least(1),
        )
        .define(
            key(
                FLUSH_TIMEOUT,
                ConfigType::Long,
                "How long a commit of offsets waits for the program to acknowledge what it holds, three fifths of \
                 `task.shutdown.graceful.timeout.ms` of the worker at most. Then it goes as far as the program has.",
            )
            .default("3000")
            .at_least(0),
        )
}

impl ConnectorPlugin for ExecSink {
    fn class(&self) -> &'static str {
        "herdsman.exec.ExecSinkConnector"
    }

    fn version(&self) -> &'static str {
        VERSION
    }

    fn task_class(&self) -> &'static str {
        "herdsman.exec.ExecSinkTask"
    }

    fn config_def(&self) -> ConfigDef {
        config_def()
    }

    fn validate(&self, config: &Settings, values: &mut [ConfigValue]) {
        program::validate(&self.programs, config, values);
    }

    fn connector(&self) -> Box<dyn Connector> {
        Box::<ExecConnector>::default()
    }
}

impl SinkPlugin for ExecSink {
    fn task(&self) -> Box<dyn SinkTask> {
        Box::new(ExecSinkTask { programs: self.programs.clone(), running: Started::not_yet() })
    }

    fn alter_offsets(&self, _: &Settings, _: &BTreeMap<TopicPartition, Option<i64>>) -> Result<AlterOffsets> {
        // The consumer group has all the offsets there are.
        Ok(AlterOffsets::Checked)
    }
}

struct ExecSinkTask {
    programs: Programs,
    running: Started<Running>,
}

impl SinkTask for ExecSinkTask {
    fn start(&mut self, context: Arc<dyn SinkTaskContext>, config: &Settings) -> Result<()> {
        let mut running = Running::new(&self.programs, context, config)?;
        running.wait_until_ready()?;
        self.running.set(running);
        Ok(())
    }

    fn open(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.running.get()?.say(&words::open(partitions));
        Ok(())
    }

    fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        self.running.get()?.put(records)
    }

    fn pre_commit(&mut self, offsets: &SinkOffsets) -> Result<SinkOffsets> {
        let running = self.running.get()?;
        running.wait_for_acknowledgements()?;
        Ok(running.in_flight.committable(offsets))
    }

    fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let running = self.running.get()?;
        running.in_flight.forget(partitions);
        running.say(&words::close(partitions));
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        if let Some(running) = self.running.take() {
            let left = running.time_to_stop();
            running.life.stop(left);
        }
        Ok(())
    }
}

/// A started task.
struct Running {
    life: Life,
    context: Arc<dyn SinkTaskContext>,
    to_program: ToProgram,
    in_flight: InFlight,
    in_flight_max: usize,
    flush_timeout: Duration,
    /// How long the end of the task may take.
    stop_within: Duration,
    /// When the latest wait for acknowledgements began, if nothing was put since: it may be that of the end.
    flushed_at: Option<Instant>,
    /// The run of the program that the records in flight were given to.
    run: u64,
}

impl Running {
    fn new(programs: &Programs, context: Arc<dyn SinkTaskContext>, config: &Settings) -> Result<Self> {
        let hear = |_: &_| Ok(Box::new(|| Ok(Hearing::Sink)) as MakeHearing);
        let (parsed, life) = task::begin(programs, Kind::Sink, config_def(), config, hear)?;
        Ok(Running {
            life,
            context,
            to_program: ToProgram::new(parsed.get(SCHEMAS)?)?,
            in_flight: InFlight::new(),
            in_flight_max: parsed.get(IN_FLIGHT)?,
            flush_timeout: parsed
                .get::<Duration>(FLUSH_TIMEOUT)?
                .min(programs.stop_within() / STOP_PARTS * (STOP_PARTS - 1)),
            stop_within: programs.stop_within(),
            flushed_at: None,
            run: 1,
        })
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        while self.life.go_on()? != Standing::Up {
            self.listen(START_TICK);
        }
        Ok(())
    }

    /// Tells the running program something; one that is not ready is told when it is.
    fn say(&mut self, line: &[u8]) {
        if let Ok(Standing::Up) = self.life.go_on()
            && let Some(input) = self.life.input()
        {
            input.say(line);
            input.flush();
        }
    }

    fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        self.context.timeout(LOOK);
        self.flushed_at = None;
        self.hear_all();
        self.end_if_too_late();
        let standing = self.life.go_on()?;
        if self.was_lost(standing) {
            // These, too: they come after those that are lost.
            self.read_again(records);
            return Ok(());
        }
        match standing {
            Standing::Up => self.give(records),
            Standing::Down(_) | Standing::Starting if records.is_empty() => Ok(()),
            Standing::Down(wait) => {
                self.context.timeout(wait.max(TICK));
                Err(ConnectError::retriable(
                    "The program has ended and is started again; the records wait for it",
                ))
            }
            Standing::Starting => {
                self.context.timeout(START_TICK);
                Err(ConnectError::retriable("The program is starting; the records wait until it is ready"))
            }
            // Sinks do not finish.
            Standing::Finished => {
                Err(ConnectError::connect("The program has finished, although it is a sink"))
            }
        }
    }

    /// Whether records were given to a program that is not there any more.
    fn was_lost(&self, standing: Standing) -> bool {
        !self.in_flight.is_empty() && (standing != Standing::Up || self.run != self.life.run())
    }

    /// Lets the worker read again what the program had not acknowledged when it ended.
    fn read_again(&mut self, others: &[SinkRecord]) {
        let offsets = self.in_flight.read_again(others);
        log::info!("Reading again what the program has not acknowledged: {} partitions", offsets.len());
        self.context.seek(offsets);
    }

    fn give(&mut self, records: &[SinkRecord]) -> Result<()> {
        self.run = self.life.run();
        let now = Clock.now().instant;
        for (index, record) in records.iter().enumerate() {
            let id = self.in_flight.next_id();
            if let Some(input) = self.life.input() {
                self.to_program.line(input.lines(), id, record)?;
            }
            self.in_flight.give(record, now);
            let unwritten = self.life.input().map_or(0, |input| input.waiting_bytes());
            let is_last = index + 1 == records.len();
            if (unwritten >= WRITE_BYTES || self.in_flight.len() >= self.in_flight_max || is_last)
                && !self.make_room(is_last)
            {
                self.life.go_on()?;
                self.read_again(records.get(index..).unwrap_or_default());
                return Ok(());
            }
        }
        Ok(())
    }

    /// Writes what waits, and waits until there is room for more records; `false` when the program has ended.
    /// `is_last`: no more records come now, so only the bound of those in flight counts.
    fn make_room(&mut self, is_last: bool) -> bool {
        let closed_since = Clock.now().instant;
        loop {
            self.hear_all();
            let wrote = self.life.flush();
            match self.life.go_on() {
                Ok(Standing::Up) => {}
                Ok(Standing::Down(_) | Standing::Starting | Standing::Finished) | Err(_) => return false,
            }
            let full = self.in_flight.len() >= self.in_flight_max;
            match wrote {
                Wrote::All if !full => return true,
                Wrote::Part if is_last && !full => return true,
                Wrote::All => self.listen(TICK),
                Wrote::Part => self.wait_for_reading(),
                Wrote::Closed if Clock.now().instant - closed_since < CLOSED_GRACE => self.listen(TICK),
                Wrote::Closed => {
                    self.life.ended("closed its descriptor HERDSMAN_READ_FD and was killed".to_owned());
                    return false;
                }
            }
            self.end_if_too_late();
        }
    }

    fn wait_for_reading(&mut self) {
        if let Some(Err(error)) = self.life.input().map(|input| Input::wait(input, TICK)) {
            log::warn!("cannot wait until the program reads: {error}");
        }
    }

    /// What is left of the time for the end of the task: its last wait for acknowledgements is a part of that.
    fn time_to_stop(&self) -> Duration {
        let waited = self.flushed_at.map_or(Duration::ZERO, |since| Clock.now().instant - since);
        self.stop_within.saturating_sub(waited).max(self.stop_within / STOP_PARTS)
    }

    /// Asks the program to acknowledge what it holds, and waits for that for a while.
    fn wait_for_acknowledgements(&mut self) -> Result<()> {
        self.flushed_at = Some(Clock.now().instant);
        self.hear_all();
        if self.in_flight.is_empty() || self.life.go_on()? != Standing::Up {
            return Ok(());
        }
        self.say(&words::flush());
        let deadline = Clock.deadline(self.flush_timeout);
        while !self.in_flight.is_empty() && self.life.go_on()? == Standing::Up {
            let left = deadline.left(Clock.now().instant);
            if left.is_zero() {
                log::debug!("{} records are not acknowledged yet", self.in_flight.len());
                break;
            }
            self.listen(left.min(TICK));
        }
        Ok(())
    }

    fn end_if_too_late(&mut self) {
        let timeout = self.life.program().progress_timeout;
        let now = Clock.now().instant;
        if self.in_flight.oldest().is_some_and(|oldest| now.saturating_duration_since(oldest) >= timeout)
            && self.run == self.life.run()
            && self.life.input().is_some()
        {
            let ms = timeout.as_millis();
            self.life
                .ended(format!("has not acknowledged a record for progress.timeout.ms={ms} and was killed"));
        }
    }

    /// Takes in everything that the program has said.
    fn hear_all(&mut self) {
        while self.listen_once(Duration::ZERO) {}
    }

    fn listen(&mut self, wait: Duration) {
        self.listen_once(wait);
    }

    /// Takes in what the program said next, if it says something in time.
    fn listen_once(&mut self, wait: Duration) -> bool {
        let Some(said) = self.life.hear(wait) else { return false };
        self.take(said);
        true
    }

    fn take(&mut self, said: Said) {
        if said.ready.is_some() {
            let assigned = self.context.assignment();
            if !assigned.is_empty() {
                self.say(&words::open(&assigned));
            }
        }
        for heard in said.heard {
            let Heard::Ack(ack) = heard else { continue };
            // What is in flight was given to the program before this one.
            if self.run != self.life.run() && !self.in_flight.is_empty() {
                return self.life.fail("acknowledged records before it was given any");
            }
            if let Err(what) = self.in_flight.acknowledge(&ack) {
                return self.life.fail(&what);
            }
        }
    }
}
