//! Records that sink tasks report themselves (KIP-610).

use std::time::Duration;

use herdsman::api::error::{ConnectError, ErrorKind};
use herdsman::task::{ErrorCounts, ErrorLog, TaskEventKind, Tolerance};

use crate::dead_letters::{committed, counts, dead, dead_values, hold_produce, release_produce, with_queue};
use crate::plugins::{Hesitant, Keeper, numbered};
use crate::support::{Rig, wait_until};

/// A keeper that reports texts with this in them.
fn reporting(errant: &'static str) -> Keeper {
    let keeper = Keeper::new();
    keeper.0.change(|state| state.errant = Some(errant));
    keeper
}

/// Ten records of which the sixth and the last are errant.
fn with_errant() -> Vec<String> {
    let mut values = numbered(10);
    values[5] = "errant 5".to_owned();
    values[9] = "errant 9".to_owned();
    values
}

#[test]
fn a_reported_record_goes_there_as_it_was_before_transforms_and_the_others_are_put() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    rig.produce("t", 0, &with_errant());
    let keeper = reporting("errant");
    let mut spec = with_queue(&rig, &keeper);
    (_, spec.transforms) = Hesitant::chain(0);
    let task = rig.start(1, spec);
    keeper.wait_for(8);
    committed(&rig, 10);
    let found = dead(&rig, 2);
    let values: Vec<_> = found.iter().map(|record| record.value.clone().unwrap()).collect();
    assert_eq!(values, [b"errant 5".to_vec(), b"errant 9".to_vec()]);
    let told = ["stage", "class.name", "offset", "exception.message"].map(|name| found[0].told(name));
    let expected = ["TASK_PUT", "org.apache.kafka.connect.sink.SinkTask", "5", "seen errant 5 is errant"];
    assert_eq!(told, expected);
    // As Apache counts: failures, but no operations of the worker's own.
    let expected = ErrorCounts { record_failures: 2, dead_letter_requests: 2, ..ErrorCounts::default() };
    assert_eq!(counts(&task), expected);
    keeper.0.change(|state| {
        for report in &state.reports {
            assert!(
                report.as_ref().unwrap().wait(Duration::ZERO).unwrap(),
                "the offset behind it is committed"
            );
        }
    });
}

#[test]
fn a_report_can_be_waited_for_and_holds_back_offsets_until_then() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    rig.produce("t", 0, &with_errant());
    let keeper = reporting("errant");
    let spec = with_queue(&rig, &keeper);
    hold_produce(&rig);
    rig.start(1, spec);
    keeper.wait_for(8);
    committed(&rig, 5);
    let report = keeper.0.change(|state| state.reports.remove(0)).unwrap();
    assert!(!report.wait(Duration::from_millis(50)).unwrap(), "it is on its way");
    release_produce(&rig);
    wait_until("the report", || (report.wait(Duration::from_millis(50)).unwrap(), ()));
    committed(&rig, 10);
}

#[test]
fn a_record_that_a_task_built_itself_is_made_bytes_of() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    rig.produce("t", 0, &["one".to_owned()]);
    let keeper = Keeper::new();
    rig.start(1, with_queue(&rig, &keeper));
    keeper.wait_for(1);
    let reporter = keeper.0.change(|state| state.contexts[0].errant_record_reporter()).unwrap();
    let record = |text: &str| herdsman::api::record::SinkRecord {
        topic: "t".into(),
        partition: 0,
        offset: 0,
        key: herdsman::api::data::SchemaAndValue::null(),
        value: herdsman::api::data::SchemaAndValue {
            schema: None,
            value: herdsman::api::data::Value::string(text),
        },
        timestamp: None,
        headers: Vec::new(),
        original_topic: "t".into(),
        raw: None,
    };
    drop(reporter.report(&record("made"), ConnectError::data("odd")).unwrap());
    assert_eq!(dead(&rig, 1)[0].value.as_deref(), Some(&b"made"[..]));
    let error = reporter.report(&record("bad"), ConnectError::data("odd")).map(drop).unwrap_err();
    assert!(error.trace().contains("Cannot make bytes of a record"), "{}", error.trace());
}

#[test]
fn where_nothing_is_tolerated_a_report_fails_the_task_whatever_the_task_makes_of_it() {
    for swallows in [false, true] {
        let rig = Rig::new();
        rig.broker.create_topic("t", 1).unwrap();
        rig.produce("t", 0, &with_errant());
        let keeper = reporting("errant");
        keeper.0.change(|state| state.swallows = swallows);
        let mut spec = with_queue(&rig, &keeper);
        spec.errors.tolerance = Tolerance::None;
        let task = rig.start(1, spec);
        let trace = rig.wait_for_failure(1);
        for words in
            ["Tolerance exceeded in error handler: stage TASK_PUT", "topic 't', partition 0, offset 5"]
        {
            assert!(trace.contains(words), "no «{words}» in:\n{trace}");
        }
        assert!(counts(&task).record_errors >= 1);
        assert_eq!(dead(&rig, 1)[0].value.as_deref(), Some(&b"errant 5"[..]));
        assert_eq!(rig.committed(0), None, "nothing of a batch that was not put");
    }
}

#[test]
fn a_task_may_report_where_there_is_a_place_for_it() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    let has_reporter = |instance: u32, log: ErrorLog| {
        let keeper = Keeper::new();
        let mut spec = rig.keeper(&keeper, instance);
        spec.errors.log = log;
        rig.start(instance, spec);
        rig.wait_for(instance, &TaskEventKind::Started);
        keeper.0.change(|state| state.contexts[0].errant_record_reporter().is_some())
    };
    assert!(!has_reporter(1, ErrorLog::Off));
    assert!(has_reporter(2, ErrorLog::Errors));
}

#[test]
fn a_report_without_room_waits_in_put_and_a_stop_ends_that_wait() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    rig.produce("t", 0, &(0..3000).map(|number| format!("errant {number}")).collect::<Vec<_>>());
    let keeper = reporting("errant");
    let mut spec = with_queue(&rig, &keeper);
    spec.stop_timeout = Duration::from_secs(1);
    hold_produce(&rig);
    let task = rig.start(1, spec.clone());
    wait_until("a full queue", || (counts(&task).dead_letter_requests >= 1001, counts(&task)));
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    keeper.0.change(|state| {
        assert_eq!(state.reports.len(), 1001, "one waits");
        let last = state.reports.pop().unwrap().map(drop).unwrap_err();
        assert_eq!(last.kind(), ErrorKind::Retriable, "{last}");
        state.reports.clear();
    });
    assert_eq!(rig.committed(0), None);
    release_produce(&rig);
    rig.start(2, spec);
    committed(&rig, 3000);
    dead_values(&rig, 3000);
}
