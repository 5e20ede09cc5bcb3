//! Plug-ins whose every step a test can see and steer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use herdsman::api::Settings;
use herdsman::api::config_def::ConfigDef;
use herdsman::api::connect_record::{ConnectRecord, RecordPart};
use herdsman::api::connector::{Connector, ConnectorPlugin};
use herdsman::api::converter::{Converter, ConverterPlugin, ConverterRole, ConverterRoles, HeaderConverter};
use herdsman::api::data::{SchemaAndValue, SchemaRef, Value};
use herdsman::api::errant::Report;
use herdsman::api::error::{ConnectError, Result};
use herdsman::api::ids::TopicPartition;
use herdsman::api::offset::{OffsetMap, OffsetValue};
use herdsman::api::record::{Header, RecordMetadata, SinkRecord, SourceRecord};
use herdsman::api::sink::{SinkOffsets, SinkPlugin, SinkTask, SinkTaskContext};
use herdsman::api::source::{PollOutcome, SourcePlugin, SourceTask, SourceTaskContext, TransactionContext};
use herdsman::api::transform::{Fate, Transform, TransformPlugin};
use herdsman::task::TransformChoice;

use crate::support::Watched;

/// A source of numbered lines, in the hands of a test.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<LinesState>>);

#[derive(Default)]
pub(crate) struct LinesState {
    /// All lines; the offset of a record is the number of lines up to it.
    pub(crate) lines: Vec<String>,
    /// What the next polls give instead of lines.
    pub(crate) answers: VecDeque<Result<PollOutcome>>,
    /// The next poll panics.
    pub(crate) panics: bool,
    pub(crate) topic: String,
    /// What each record has besides its line; without a text it is null.
    pub(crate) headers: Vec<(&'static str, Option<&'static str>)>,
    pub(crate) wants_commit_record: bool,
    pub(crate) polls: usize,
    /// Lines that polls have given.
    pub(crate) given: usize,
    pub(crate) commits: usize,
    pub(crate) committed_records: Vec<(String, Option<RecordMetadata>)>,
    pub(crate) started_at: Vec<usize>,
    pub(crate) stops: usize,
    /// What the next polls that give lines ask for.
    pub(crate) asks: VecDeque<Vec<Ask>>,
}

/// Where a transaction is to end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ask {
    Commit,
    CommitAfter(usize),
    Abort,
    AbortAfter(usize),
}

impl Ask {
    fn ask(self, transactions: &dyn TransactionContext) {
        match self {
            Ask::Commit => transactions.commit(),
            Ask::CommitAfter(record) => transactions.commit_after(record),
            Ask::Abort => transactions.abort(),
            Ask::AbortAfter(record) => transactions.abort_after(record),
        }
    }
}

impl Lines {
    pub(crate) fn new(topic: &str, lines: impl IntoIterator<Item = String>) -> Self {
        let lines = lines.into_iter().collect();
        Lines(Arc::new(Mutex::new(LinesState { lines, topic: topic.to_owned(), ..LinesState::default() })))
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut LinesState) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }
}

/// The lines `0` to `count - 1`, each with a number in front.
pub(crate) fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("line {number}")).collect()
}

impl ConnectorPlugin for Lines {
    fn class(&self) -> &'static str {
        "test.LinesConnector"
    }

    fn task_class(&self) -> &'static str {
        "test.LinesTask"
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::default()
    }

    fn connector(&self) -> Box<dyn Connector> {
        unreachable!("these tests start tasks only")
    }
}

impl SourcePlugin for Lines {
    fn task(&self) -> Box<dyn SourceTask> {
        Box::new(LinesTask { lines: self.clone(), partition: Arc::default(), next: 0, transactions: None })
    }
}

struct LinesTask {
    lines: Lines,
    partition: Arc<OffsetMap>,
    next: usize,
    transactions: Option<Arc<dyn TransactionContext>>,
}

impl SourceTask for LinesTask {
    fn start(&mut self, context: Arc<dyn SourceTaskContext>, settings: &Settings) -> Result<()> {
        let name = settings.get("file").cloned().unwrap_or_default();
        self.partition = Arc::new(OffsetMap::of("filename", &*name));
        self.transactions = context.transactions();
        if let Some(offset) = context.offset(&self.partition)? {
            let Some(OffsetValue::Long(position)) = offset.get("position") else { panic!("{offset:?}") };
            self.next = usize::try_from(*position).unwrap();
        }
        self.lines.with(|state| state.started_at.push(self.next));
        Ok(())
    }

    fn poll(&mut self) -> Result<PollOutcome> {
        assert!(!self.lines.with(|state| state.panics), "a bug of the plug-in");
        self.lines.with(|state| {
            state.polls += 1;
            if let Some(answer) = state.answers.pop_front() {
                return answer;
            }
            let end = state.lines.len().min(self.next + 100);
            if self.next == end {
                return Ok(PollOutcome::Idle(Duration::from_millis(10)));
            }
            for ask in state.asks.pop_front().into_iter().flatten() {
                ask.ask(self.transactions.as_deref().unwrap());
            }
            let topic: Arc<str> = state.topic.as_str().into();
            let records = (self.next..end).map(|line| SourceRecord {
                source_partition: Arc::clone(&self.partition),
                source_offset: Some(OffsetMap::of("position", i64::try_from(line + 1).unwrap())),
                topic: Arc::clone(&topic),
                partition: Some(0),
                key: SchemaAndValue::null(),
                value: SchemaAndValue { schema: None, value: Value::string(state.lines[line].as_str()) },
                timestamp: None,
                headers: state.headers.iter().map(header).collect(),
            });
            let records = records.collect();
            self.next = end;
            state.given = end;
            Ok(PollOutcome::Records(records))
        })
    }

    fn commit_record(&mut self, record: &SourceRecord, metadata: Option<RecordMetadata>) -> Result<()> {
        let Value::String(line) = &record.value.value else { panic!("{record:?}") };
        self.lines.with(|state| state.committed_records.push((line.to_string(), metadata)));
        Ok(())
    }

    fn wants_commit_record(&self) -> bool {
        self.lines.with(|state| state.wants_commit_record)
    }

    fn commit(&mut self) -> Result<()> {
        self.lines.with(|state| state.commits += 1);
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        self.lines.with(|state| state.stops += 1);
        Ok(())
    }
}

fn header((key, text): &(&'static str, Option<&'static str>)) -> Header {
    let value = text.map_or(Value::Null, Value::string);
    Header { key: (*key).into(), value: SchemaAndValue { schema: None, value } }
}

/// Text as it is; refuses text that begins with `bad`.
pub(crate) struct Text;

impl ConverterPlugin for Text {
    fn class(&self) -> &'static str {
        "test.TextConverter"
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::default()
    }

    fn converter(&self, _: &Settings, _: ConverterRole) -> Result<Box<dyn Converter>> {
        Ok(Box::new(Text))
    }

    fn header_converter(&self, _: &Settings) -> Result<Option<Box<dyn HeaderConverter>>> {
        Ok(Some(Box::new(Text)))
    }

    fn roles(&self) -> ConverterRoles {
        ConverterRoles::All
    }
}

fn to_bytes(value: &Value) -> Result<Option<Bytes>> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all that is no text is nothing here")]
    match value {
        Value::String(text) if text.starts_with("bad") => Err(ConnectError::data(format!("{text} is bad"))),
        Value::String(text) => Ok(Some(text.clone().into_bytes())),
        _ => Ok(None),
    }
}

fn to_value(bytes: Option<&Bytes>) -> Result<SchemaAndValue> {
    let Some(bytes) = bytes else { return Ok(SchemaAndValue::null()) };
    let text = ByteString::try_from(bytes.clone()).map_err(|error| ConnectError::data(error.to_string()))?;
    if text.starts_with("bad") {
        return Err(ConnectError::data(format!("{text} is bad")));
    }
    Ok(SchemaAndValue { schema: None, value: Value::String(text) })
}

impl Converter for Text {
    fn from_connect(&mut self, _: &str, _: Option<&SchemaRef>, value: &Value) -> Result<Option<Bytes>> {
        to_bytes(value)
    }

    fn to_connect(&mut self, _: &str, bytes: Option<&Bytes>) -> Result<SchemaAndValue> {
        to_value(bytes)
    }
}

impl HeaderConverter for Text {
    fn from_connect(
        &mut self,
        _: &str,
        _: &str,
        _: Option<&SchemaRef>,
        value: &Value,
    ) -> Result<Option<Bytes>> {
        to_bytes(value)
    }

    fn to_connect(&mut self, _: &str, _: &str, bytes: Option<&Bytes>) -> Result<SchemaAndValue> {
        to_value(bytes)
    }
}

/// A transform that fails on texts which begin with `later`, with a retriable error, so often as is left; it puts `seen `
/// before the others.
#[derive(Clone, Default)]
pub(crate) struct Hesitant(pub(crate) Arc<Mutex<usize>>);

impl Hesitant {
    /// It as the only one of a chain.
    pub(crate) fn chain(failures: usize) -> (Self, Vec<TransformChoice>) {
        let hesitant = Hesitant(Arc::new(Mutex::new(failures)));
        let plugin = Arc::new(hesitant.clone());
        (hesitant, vec![TransformChoice { plugin, settings: Settings::new(), condition: None }])
    }
}

impl TransformPlugin for Hesitant {
    fn class(&self) -> &'static str {
        "test.Hesitant"
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::default()
    }

    fn transform(&self, _: &Settings) -> Result<Box<dyn Transform>> {
        Ok(Box::new(self.clone()))
    }
}

impl Transform for Hesitant {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Fate> {
        let value = &mut record.part_mut(RecordPart::Value).value;
        let Value::String(text) = value else { panic!("{value:?}") };
        let mut left = self.0.lock().unwrap();
        if text.starts_with("later") && *left > 0 {
            *left -= 1;
            return Err(ConnectError::retriable(format!("{text}, not now")));
        }
        *value = Value::string(format!("seen {text}"));
        Ok(Fate::Kept)
    }
}

/// A sink that keeps what it gets, in the hands of a test.
#[derive(Clone)]
pub(crate) struct Keeper(pub(crate) Arc<Watched<KeeperState>>);

#[derive(Default)]
pub(crate) struct KeeperState {
    /// What was put and not refused: partition, offset, value.
    pub(crate) kept: Vec<(i32, i64, String)>,
    /// The headers of what was put, record after record: key and value.
    pub(crate) headers: Vec<(String, Value)>,
    /// Batches that were refused: their values.
    pub(crate) refused: Vec<Vec<String>>,
    /// How the next puts of records end.
    pub(crate) answers: VecDeque<ConnectError>,
    pub(crate) empty_puts: usize,
    /// Calls other than `put`, in order, with the number of the task.
    pub(crate) calls: Vec<String>,
    pub(crate) contexts: Vec<Arc<dyn SinkTaskContext>>,
    /// Where `open` asks to begin.
    pub(crate) begins: SinkOffsets,
    /// What `pre_commit` gives back instead of what it was asked.
    pub(crate) pre_commits: VecDeque<Result<SinkOffsets>>,
    /// Texts that contain this are reported, not kept.
    pub(crate) errant: Option<&'static str>,
    /// What came of the reports.
    pub(crate) reports: Vec<Result<Box<dyn Report>>>,
    /// An error of a report does not end the put.
    pub(crate) swallows: bool,
    tasks: usize,
}

impl std::fmt::Debug for KeeperState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeeperState")
            .field("kept", &self.kept.len())
            .field("refused", &self.refused.len())
            .field("empty_puts", &self.empty_puts)
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

impl Keeper {
    pub(crate) fn new() -> Self {
        Keeper(Arc::new(Watched::new(KeeperState::default())))
    }

    /// Waits until so many records are kept.
    pub(crate) fn wait_for(&self, count: usize) {
        self.0.wait(&format!("{count} records"), |state| (state.kept.len() >= count).then_some(()));
    }
}

impl ConnectorPlugin for Keeper {
    fn class(&self) -> &'static str {
        "test.KeeperConnector"
    }

    fn task_class(&self) -> &'static str {
        "test.KeeperTask"
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::default()
    }

    fn connector(&self) -> Box<dyn Connector> {
        unreachable!("these tests start tasks only")
    }
}

impl SinkPlugin for Keeper {
    fn task(&self) -> Box<dyn SinkTask> {
        let number = self.0.change(|state| {
            state.tasks += 1;
            state.tasks - 1
        });
        Box::new(KeeperTask { state: Arc::clone(&self.0), number, context: None })
    }
}

struct KeeperTask {
    state: Arc<Watched<KeeperState>>,
    number: usize,
    context: Option<Arc<dyn SinkTaskContext>>,
}

impl KeeperTask {
    fn note(&self, call: &str, partitions: impl IntoIterator<Item = i32>) {
        let mut partitions: Vec<i32> = partitions.into_iter().collect();
        partitions.sort_unstable();
        let call = format!("{} {call} {partitions:?}", self.number);
        self.state.change(|state| state.calls.push(call));
    }

    /// Reports the records that are errant, and gives the others.
    fn report<'a>(&self, records: &'a [SinkRecord]) -> Result<Vec<&'a SinkRecord>> {
        let (errant, swallows) = self.state.change(|state| (state.errant, state.swallows));
        let is_errant = |record: &SinkRecord| errant.is_some_and(|text| text_of(record).contains(text));
        for record in records.iter().filter(|record| is_errant(record)) {
            let reporter = self.context.as_ref().unwrap().errant_record_reporter().unwrap();
            let report =
                reporter.report(record, ConnectError::data(format!("{} is errant", text_of(record))));
            let again = report.as_ref().err().map(|error| ConnectError::new(error.kind(), error.message()));
            self.state.change(|state| state.reports.push(report));
            if let Some(error) = again.filter(|_| !swallows) {
                return Err(error);
            }
        }
        Ok(records.iter().filter(|record| !is_errant(record)).collect())
    }
}

fn text_of(record: &SinkRecord) -> &str {
    let Value::String(text) = &record.value.value else { panic!("{record:?}") };
    text
}

impl SinkTask for KeeperTask {
    fn start(&mut self, context: Arc<dyn SinkTaskContext>, _: &Settings) -> Result<()> {
        self.context = Some(Arc::clone(&context));
        self.state.change(|state| state.contexts.push(context));
        Ok(())
    }

    fn open(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.note("open", partitions.iter().map(|partition| partition.partition));
        self.state.change(|state| state.contexts[self.number].seek(state.begins.clone()));
        Ok(())
    }

    fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        let kept = self.report(records)?;
        self.state.change(|state| {
            if records.is_empty() {
                state.empty_puts += 1;
                return Ok(());
            }
            let values =
                kept.iter().map(|record| (record.partition, record.offset, text_of(record).to_owned()));
            match state.answers.pop_front() {
                None => {
                    let headers = kept.iter().flat_map(|record| &record.headers);
                    let headers = headers.map(|header| (header.key.to_string(), header.value.value.clone()));
                    state.headers.extend(headers);
                    state.kept.extend(values);
                    Ok(())
                }
                Some(error) => {
                    let values = values.map(|(_, _, value)| value).collect();
                    state.refused.push(values);
                    Err(error)
                }
            }
        })
    }

    fn pre_commit(&mut self, offsets: &SinkOffsets) -> Result<SinkOffsets> {
        self.note("pre_commit", offsets.keys().map(|partition| partition.partition));
        let given = self.state.change(|state| state.pre_commits.pop_front());
        given.unwrap_or_else(|| Ok(offsets.clone()))
    }

    fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.note("close", partitions.iter().map(|partition| partition.partition));
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        self.note("stop", []);
        Ok(())
    }
}
