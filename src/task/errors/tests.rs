//! What is counted, logged and tolerated.

use super::super::stage::Stage;
use super::*;
use crate::api::data::{SchemaAndValue, Value};
use crate::api::offset::OffsetMap;
use crate::task::ErrorCounts;

fn errors(handling: ErrorHandling) -> Errors {
    let task = TaskId { connector: "orders".into(), index: 2 };
    Errors::new(task, handling, Arc::default())
}

fn failure(error: ConnectError) -> StageFailure {
    StageFailure { stage: Stage::KeyConverter, class: "test.Converter", error }
}

fn consumed() -> Subject<'static> {
    let timestamp = Some((1_700_000_000_000, TimestampType::LogAppendTime));
    Subject::Consumed(Place { topic: "t", partition: 1, offset: 42, timestamp })
}

/// What an operation comes to that fails with these errors, one after another; counts without the time.
fn outcome(handling: ErrorHandling, failures: Vec<ConnectError>) -> (Result<()>, ErrorCounts) {
    let (errors, mut tries) = (errors(handling), Tries::default());
    let mut result = Ok(());
    for error in failures {
        let failure = failure(error);
        if errors.tries_again(&mut tries, &failure, 0).is_none() {
            errors.note_operation(&failure, &consumed());
            result = errors.leave_out(failure, &consumed());
        }
    }
    let counts = errors.counters().counts();
    assert_eq!(counts.last_error > 1_700_000_000_000, counts.record_errors > 0, "the time of the last error");
    (result, ErrorCounts { last_error: 0, ..counts })
}

#[test]
fn failures_are_counted_as_apache_counts_them() {
    let all = |log| ErrorHandling { tolerance: Tolerance::All, log, ..ErrorHandling::default() };
    let retries = |timeout| {
        let retry = RetryPolicy { timeout, ..RetryPolicy::default() };
        ErrorHandling { retry, ..all(ErrorLog::Off) }
    };
    let bad = || ConnectError::data("bad");
    let later = || ConnectError::retriable("not now");
    let table = [
        ("not tolerated", ErrorHandling::default(), vec![bad()], [1, 1, 0, 0, 0]),
        ("left out", all(ErrorLog::Off), vec![bad()], [1, 1, 1, 0, 0]),
        ("logged", all(ErrorLog::Errors), vec![bad(), bad()], [2, 2, 2, 0, 2]),
        ("no retries", all(ErrorLog::Off), vec![later()], [2, 1, 1, 0, 0]),
        ("retried, then bad", retries(None), vec![later(), later(), bad()], [3, 1, 1, 2, 0]),
        ("retried and through", retries(None), vec![later(), later()], [2, 0, 0, 2, 0]),
    ];
    for (
        what,
        handling,
        failures,
        [record_failures, record_errors, records_skipped, retries, errors_logged],
    ) in table
    {
        let fails = handling.tolerance == Tolerance::None;
        let (result, counts) = outcome(handling, failures);
        let expected = ErrorCounts {
            record_failures,
            record_errors,
            records_skipped,
            retries,
            errors_logged,
            ..ErrorCounts::default()
        };
        assert_eq!((counts, result.is_err()), (expected, fails), "{what}");
    }
}

#[test]
fn the_log_names_records_only_where_that_was_asked_for() {
    let mut record = SourceRecord {
        source_partition: Arc::new(OffsetMap::of("file", "a")),
        source_offset: Some(OffsetMap::of("position", 7)),
        topic: "t".into(),
        partition: None,
        key: SchemaAndValue::null(),
        value: SchemaAndValue { schema: None, value: Value::string("s3cret") },
        timestamp: None,
        headers: Vec::new(),
    };
    let text = ConnectRecord::Source(&mut record).to_string();
    assert!(text.contains("s3cret"));
    let timeless = Subject::Consumed(Place { topic: "t", partition: 1, offset: 42, timestamp: None });
    let plain =
        "Error encountered in task orders-2. Executing stage 'KEY_CONVERTER' with class 'test.Converter'";
    let table = [
        (ErrorLog::Errors, Subject::Source(&record), String::new()),
        (ErrorLog::Errors, consumed(), String::new()),
        (ErrorLog::WithRecords, Subject::Unknown, String::new()),
        (ErrorLog::WithRecords, Subject::Source(&record), format!(", where source record is = {text}")),
        (
            ErrorLog::WithRecords,
            timeless,
            ", where consumed record is {topic='t', partition=1, offset=42}".to_owned(),
        ),
        (
            ErrorLog::WithRecords,
            consumed(),
            ", where consumed record is {topic='t', partition=1, offset=42, timestamp=1700000000000, \
             timestampType=LogAppendTime}"
                .to_owned(),
        ),
    ];
    for (log, subject, expected) in table {
        let errors = errors(ErrorHandling { log, ..ErrorHandling::default() });
        let line = errors.line(&failure(ConnectError::data("bad")), &subject);
        assert_eq!(line, format!("{plain}{expected}."));
    }
}

#[test]
fn a_task_that_may_not_leave_a_record_out_says_where_it_is_and_what_to_do() {
    let trace = intolerable(failure(ConnectError::data("bad")), &consumed()).trace();
    expect_test::expect![[r#"
        org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler: stage KEY_CONVERTER with class test.Converter failed for the record of topic 't', partition 1, offset 42. Set errors.tolerance=all to leave such records out; errors.deadletterqueue.topic.name keeps them
        Caused by: org.apache.kafka.connect.errors.DataException: bad
    "#]]
    .assert_eq(&trace);
}
