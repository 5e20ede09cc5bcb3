//! The task of both kinds.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use super::{FILE, Failures, Faults, Point, RECORDS, REPORT, TOPIC, config_def};
use crate::api::Settings;
use crate::api::data::{Schema, SchemaAndValue, SchemaKind, SchemaRef, Value};
use crate::api::error::{ConnectError, ErrorKind, Result};
use crate::api::ids::TopicPartition;
use crate::api::offset::{OffsetMap, OffsetValue};
use crate::api::record::{RecordMetadata, SinkRecord, SourceRecord};
use crate::api::sink::{SinkOffsets, SinkTask, SinkTaskContext};
use crate::api::source::{PollOutcome, SourceTask, SourceTaskContext};
use crate::api::text::java_text;

const IDLE: Duration = Duration::from_millis(20);
const COUNT: &str = "count";

pub(super) struct FaultyTask {
    failures: Failures,
    faults: Option<Faults>,
    topic: Arc<str>,
    partition: Arc<OffsetMap>,
    schema: SchemaRef,
    given: i64,
    records: i64,
    /// Where the sink writes to, if anywhere.
    file: Option<File>,
    /// The text of values that the sink reports, and its context.
    report: Option<(String, Arc<dyn SinkTaskContext>)>,
}

impl FaultyTask {
    pub(super) fn new(failures: &Failures) -> Self {
        FaultyTask {
            failures: Arc::clone(failures),
            faults: None,
            topic: "".into(),
            partition: Arc::new(OffsetMap::of("source", "faults")),
            schema: Arc::new(Schema::new(SchemaKind::String)),
            given: 0,
            records: 0,
            file: None,
            report: None,
        }
    }

    fn begin(&mut self, settings: &Settings) -> Result<()> {
        let faults = self.faults.insert(Faults::new(settings, &self.failures)?);
        let settings = config_def().parse(settings)?;
        self.topic = settings.get::<String>(TOPIC)?.into();
        self.records = settings.get(RECORDS)?;
        faults.at(Point::TaskStart)
    }

    fn at(&self, point: Point) -> Result<()> {
        match &self.faults {
            Some(faults) => faults.at(point),
            None => Err(ConnectError::new(ErrorKind::IllegalArgument, "the task was not started")),
        }
    }

    /// The line of a record; none where it is one to report.
    fn line(&self, record: &SinkRecord) -> Result<Option<String>> {
        let text = java_text(&record.value.value).to_string();
        match &self.report {
            Some((errant, context)) if text.contains(errant) => {
                let reporter = context.errant_record_reporter();
                let reporter = reporter.ok_or_else(|| ConnectError::connect("nobody takes reports"))?;
                drop(reporter.report(record, ConnectError::data("reported on purpose"))?);
                Ok(None)
            }
            Some(_) | None => Ok(Some(format!("{text}\n"))),
        }
    }
}

impl SourceTask for FaultyTask {
    fn start(&mut self, context: Arc<dyn SourceTaskContext>, settings: &Settings) -> Result<()> {
        self.begin(settings)?;
        if let Some(OffsetValue::Long(count)) =
            context.offset(&self.partition)?.and_then(|o| o.get(COUNT).cloned())
        {
            self.given = count;
        }
        Ok(())
    }

    fn poll(&mut self) -> Result<PollOutcome> {
        self.at(Point::Poll)?;
        if self.given >= self.records {
            return Ok(PollOutcome::Idle(IDLE));
        }
        self.given += 1;
        let value =
            SchemaAndValue::with_schema(Arc::clone(&self.schema), Value::string(self.given.to_string()));
        let (partition, offset) = (Arc::clone(&self.partition), OffsetMap::of(COUNT, self.given));
        Ok(PollOutcome::Records(vec![SourceRecord::new(partition, offset, Arc::clone(&self.topic), value)]))
    }

    fn commit_record(&mut self, _: &SourceRecord, _: Option<RecordMetadata>) -> Result<()> {
        self.at(Point::CommitRecord)
    }

    fn wants_commit_record(&self) -> bool {
        true
    }

    fn commit(&mut self) -> Result<()> {
        self.at(Point::Commit)
    }

    fn stop(&mut self) -> Result<()> {
        self.at(Point::TaskStop)
    }
}

impl SinkTask for FaultyTask {
    fn start(&mut self, context: Arc<dyn SinkTaskContext>, settings: &Settings) -> Result<()> {
        self.begin(settings)?;
        let settings = config_def().parse(settings)?;
        self.report = settings.text(REPORT)?.map(|text| (text, context));
        if let Some(path) = settings.text(FILE)? {
            let opened = OpenOptions::new().create(true).append(true).open(&path);
            self.file = Some(opened.map_err(|error| {
                ConnectError::connect(format!("cannot open {path} for appending")).caused_by(error)
            })?);
        }
        Ok(())
    }

    fn open(&mut self, _: &[TopicPartition]) -> Result<()> {
        self.at(Point::Open)
    }

    fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        self.at(Point::Put)?;
        let lines: Vec<String> =
            records.iter().filter_map(|record| self.line(record).transpose()).collect::<Result<_>>()?;
        let Some(file) = &mut self.file else { return Ok(()) };
        let lines = lines.concat();
        file.write_all(lines.as_bytes())
            .map_err(|error| ConnectError::connect("cannot append to the file").caused_by(error))
    }

    fn flush(&mut self, _: &SinkOffsets) -> Result<()> {
        self.at(Point::Flush)
    }

    fn pre_commit(&mut self, offsets: &SinkOffsets) -> Result<SinkOffsets> {
        self.at(Point::PreCommit)?;
        self.flush(offsets)?;
        Ok(offsets.clone())
    }

    fn close(&mut self, _: &[TopicPartition]) -> Result<()> {
        self.at(Point::Close)
    }

    fn stop(&mut self) -> Result<()> {
        self.at(Point::TaskStop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct At(i64);

    impl SourceTaskContext for At {
        fn offset(&self, _: &OffsetMap) -> Result<Option<OffsetMap>> {
            Ok(Some(OffsetMap::of(COUNT, self.0)))
        }
    }

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_source_gives_the_rest_of_its_records_and_then_idles() {
        let mut task: Box<dyn SourceTask> = Box::new(FaultyTask::new(&Failures::default()));
        assert!(task.poll().is_err());
        task.start(Arc::new(At(1)), &settings(&[(RECORDS, "2"), (TOPIC, "t")])).unwrap();
        let PollOutcome::Records(records) = task.poll().unwrap() else { panic!("idle") };
        assert_eq!((records.len(), &records[0].value.value), (1, &Value::string("2")));
        assert!(matches!(task.poll().unwrap(), PollOutcome::Idle(_)));
    }

    #[test]
    fn a_sink_fails_where_it_is_told() {
        for point in [Point::Open, Point::Put, Point::Flush, Point::PreCommit, Point::Close, Point::TaskStop]
        {
            let mut task = FaultyTask::new(&Failures::default());
            task.begin(&settings(&[("fail.in", point.name())])).unwrap();
            let sink: &mut dyn SinkTask = &mut task;
            let failed = [
                sink.open(&[]).is_err(),
                sink.put(&[]).is_err(),
                sink.flush(&SinkOffsets::new()).is_err(),
                sink.close(&[]).is_err(),
                sink.stop().is_err(),
            ];
            let expected =
                [Point::Open, Point::Put, Point::Flush, Point::Close, Point::TaskStop].map(|p| p == point);
            assert_eq!(failed, expected, "{}", point.name());
            let commit_fails = matches!(point, Point::PreCommit | Point::Flush);
            assert_eq!(sink.pre_commit(&SinkOffsets::new()).is_err(), commit_fails, "{}", point.name());
        }
    }
    struct NoContext;

    impl SinkTaskContext for NoContext {
        fn seek(&self, _: SinkOffsets) {}
        fn timeout(&self, _: Duration) {}
        fn assignment(&self) -> Vec<TopicPartition> {
            vec![]
        }
        fn pause(&self, _: &[TopicPartition]) {}
        fn resume(&self, _: &[TopicPartition]) {}
        fn request_commit(&self) {}
    }

    #[test]
    fn a_sink_writes_what_it_does_not_fail_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out");
        let mut task: Box<dyn SinkTask> = Box::new(FaultyTask::new(&Failures::default()));
        let told = [(FILE, file.to_str().unwrap()), ("fail.in", "put"), ("fail.times", "1")];
        task.start(Arc::new(NoContext), &settings(&told)).unwrap();
        let record = SinkRecord {
            topic: "t".into(),
            partition: 0,
            offset: 0,
            key: SchemaAndValue::null(),
            value: SchemaAndValue { schema: None, value: Value::string("a") },
            timestamp: None,
            headers: vec![],
            original_topic: "t".into(),
            raw: None,
        };
        assert!(task.put(std::slice::from_ref(&record)).is_err());
        task.put(&[record.clone(), record]).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "a\na\n");
    }
}
