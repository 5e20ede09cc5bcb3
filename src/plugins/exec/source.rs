//! `ExecSource`: the records that a program says.
//!
//! A record is acknowledged to the program by its id when Kafka has it. Offsets come with the records and are the
//! worker's to store; a program asks for them when it starts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::child::{Heard, Hearing};
use super::connector::ExecConnector;
use super::life::{Life, MakeHearing, Said, Standing};
use super::program::{self, Programs};
use super::records::{FromProgram, Given};
use super::task::{self, Started};
use super::words::{self, Kind};
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, ConfigValue, Importance, Validator};
use crate::api::connector::{Connector, ConnectorPlugin};
use crate::api::error::Result;
use crate::api::offset::OffsetMap;
use crate::api::record::{RecordMetadata, SourceRecord};
use crate::api::registry::VERSION;
use crate::api::source::{
    AlterOffsets, OffsetChanges, PollOutcome, SourcePlugin, SourceTask, SourceTaskContext,
};
use crate::stdx::backoff::Backoff;

const TOPIC: &str = "topic";

/// Waits between polls that find nothing.
const IDLE_FIRST: Duration = Duration::from_millis(2);
const IDLE_LONGEST: Duration = Duration::from_millis(100);
/// How long a start waits at a time.
const START_TICK: Duration = Duration::from_millis(100);
/// So many acknowledgements are told in one line.
const ACKS_IN_A_LINE: usize = 1000;
/// No more records are taken while so many bytes wait to be read by the program.
const UNREAD_BYTES_MAX: usize = 256 * 1024;

/// The connector class.
#[derive(Debug)]
pub struct ExecSource {
    programs: Programs,
}

impl ExecSource {
    /// A class that runs what is allowed.
    #[must_use]
    pub fn new(programs: Programs) -> Self {
        ExecSource { programs }
    }
}

fn config_def() -> ConfigDef {
    program::config_def().define(
        ConfigKey::new(
            TOPIC,
            ConfigType::String,
            Importance::High,
            "Where records go that name no topic themselves.",
        )
        .validator(Validator::TopicName),
    )
}

impl ConnectorPlugin for ExecSource {
    fn class(&self) -> &'static str {
        "herdsman.exec.ExecSourceConnector"
    }

    fn version(&self) -> &'static str {
        VERSION
    }

    fn task_class(&self) -> &'static str {
        "herdsman.exec.ExecSourceTask"
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

impl SourcePlugin for ExecSource {
    fn task(&self) -> Box<dyn SourceTask> {
        Box::new(ExecSourceTask { programs: self.programs.clone(), running: Started::not_yet() })
    }

    fn alter_offsets(&self, _: &Settings, _: &OffsetChanges) -> Result<AlterOffsets> {
        // Only the program knows what it takes; it has no say while it is stopped.
        Ok(AlterOffsets::Unchecked)
    }
}

struct ExecSourceTask {
    programs: Programs,
    running: Started<Running>,
}

impl SourceTask for ExecSourceTask {
    fn start(&mut self, context: Arc<dyn SourceTaskContext>, config: &Settings) -> Result<()> {
        let mut running = Running::new(&self.programs, context, config)?;
        running.wait_until_ready()?;
        self.running.set(running);
        Ok(())
    }

    fn poll(&mut self) -> Result<PollOutcome> {
        self.running.get()?.poll()
    }

    fn commit_record(&mut self, record: &SourceRecord, metadata: Option<RecordMetadata>) -> Result<()> {
        self.running.get()?.acknowledge(record, metadata.is_some());
        Ok(())
    }

    fn wants_commit_record(&self) -> bool {
        self.running.look().is_some_and(|running| running.acks)
    }

    fn commit(&mut self) -> Result<()> {
        self.running.get()?.tell();
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        if let Some(mut running) = self.running.take() {
            running.tell();
            running.life.stop(self.programs.stop_within());
        }
        Ok(())
    }
}

/// A started task.
struct Running {
    life: Life,
    context: Arc<dyn SourceTaskContext>,
    /// Whether the program wants acknowledgements. Known when it is ready for the first time, and then the same for ever:
    /// the worker asks once.
    acks: bool,
    was_ready: bool,
    /// Records that came together with the word that it is ready.
    early: Vec<SourceRecord>,
    /// The ids of records whose fate is open, with the run of the program that gave them. A record is known again by the
    /// place of its source partition in memory, which no other record shares.
    open: HashMap<usize, (u64, u64)>,
    /// The latest id of a run.
    latest: Option<(u64, u64)>,
    /// What is to be told.
    done: Vec<u64>,
    dropped: Vec<u64>,
    idle: Backoff,
}

impl Running {
    fn new(programs: &Programs, context: Arc<dyn SourceTaskContext>, config: &Settings) -> Result<Self> {
        let (_, life) = task::begin(programs, Kind::Source, config_def(), config, |parsed| {
            let topic = parsed.text(TOPIC)?;
            let hear = move || Ok(Hearing::Source(Box::new(FromProgram::new(topic.clone())?)));
            Ok(Box::new(hear) as MakeHearing)
        })?;
        Ok(Running {
            life,
            context,
            acks: true,
            was_ready: false,
            early: Vec::new(),
            open: HashMap::new(),
            latest: None,
            done: Vec::new(),
            dropped: Vec::new(),
            idle: Backoff::new(IDLE_FIRST, IDLE_LONGEST),
        })
    }

    /// Waits for the first start of the program.
    fn wait_until_ready(&mut self) -> Result<()> {
        self.life.go_on()?;
        while !self.was_ready {
            if let Some(said) = self.life.hear(START_TICK) {
                self.early = self.take(said)?;
            }
            self.life.go_on()?;
        }
        Ok(())
    }

    fn poll(&mut self) -> Result<PollOutcome> {
        self.tell();
        if !self.early.is_empty() {
            return Ok(PollOutcome::Records(std::mem::take(&mut self.early)));
        }
        match self.life.go_on()? {
            Standing::Down(wait) => return Ok(PollOutcome::Idle(wait)),
            Standing::Finished => return Ok(PollOutcome::Idle(IDLE_LONGEST)),
            Standing::Starting | Standing::Up => {}
        }
        let unread = self.life.input().map_or(0, |input| input.waiting_bytes());
        let said = if unread > UNREAD_BYTES_MAX { None } else { self.life.hear(Duration::ZERO) };
        let records = match said {
            Some(said) => self.take(said)?,
            None => Vec::new(),
        };
        if records.is_empty() {
            // A program that has just failed is seen at once.
            self.life.go_on()?;
            return Ok(PollOutcome::Idle(self.idle.next_delay(0.0)));
        }
        self.idle.reset();
        Ok(PollOutcome::Records(records))
    }

    fn take(&mut self, said: Said) -> Result<Vec<SourceRecord>> {
        if let Some(ready) = said.ready {
            if self.was_ready && ready.acks && !self.acks {
                self.life.fail("wants acknowledgements after a new start, and did not at first");
                return Ok(Vec::new());
            }
            self.acks = ready.acks;
            self.was_ready = true;
        }
        let mut records = Vec::with_capacity(said.heard.len());
        for heard in said.heard {
            match heard {
                Heard::Record(given) => match self.note(*given) {
                    Ok(record) => records.push(record),
                    Err(what) => {
                        // What came before is good.
                        self.life.fail(&format!("said a line that cannot be used, and was killed: {what}"));
                        break;
                    }
                },
                Heard::Offsets(partitions) => self.answer(partitions)?,
                Heard::Ready(_) | Heard::Ack(_) | Heard::Failed(_) => {}
            }
        }
        Ok(records)
    }

    /// Keeps the id of a record.
    fn note(&mut self, given: Given) -> std::result::Result<SourceRecord, String> {
        let Given { id, mut record } = given;
        if !self.acks {
            return Ok(record);
        }
        let id = id.ok_or("the record has no id, which it needs to be acknowledged")?;
        let run = self.life.run();
        if let Some((latest_run, latest)) = self.latest
            && latest_run == run
            && id <= latest
        {
            return Err(format!("the record has the id {id} after the id {latest}: ids must grow"));
        }
        self.latest = Some((run, id));
        record.source_partition = Arc::new(OffsetMap::clone(&record.source_partition));
        self.open.insert(place(&record), (run, id));
        Ok(record)
    }

    fn answer(&mut self, partitions: Vec<OffsetMap>) -> Result<()> {
        let mut stored = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let offset = self.context.offset(&partition)?;
            stored.push((partition, offset));
        }
        if let Some(input) = self.life.input() {
            input.say(&words::offsets(&stored));
            input.flush();
        }
        Ok(())
    }

    fn acknowledge(&mut self, record: &SourceRecord, written: bool) {
        let Some((run, id)) = self.open.remove(&place(record)) else { return };
        // A program that was started again does not know the ids of the one before.
        if run != self.life.run() {
            return;
        }
        let ids = if written { &mut self.done } else { &mut self.dropped };
        ids.push(id);
        if ids.len() >= ACKS_IN_A_LINE {
            self.tell();
        }
    }

    /// Tells the program what became of its records.
    fn tell(&mut self) {
        let (done, dropped) = (std::mem::take(&mut self.done), std::mem::take(&mut self.dropped));
        let Some(input) = self.life.input() else { return };
        for (ids, words) in [(done, words::ack as fn(&[u64]) -> Vec<u8>), (dropped, words::dropped)] {
            if !ids.is_empty() {
                input.say(&words(&ids));
            }
        }
        input.flush();
    }
}

/// What a record is known by; see [`Running::open`].
fn place(record: &SourceRecord) -> usize {
    Arc::as_ptr(&record.source_partition).addr()
}
