//! The offset store over the offset topic.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use herdsman::api::offset::OffsetMap;
use herdsman::kafka::embedded::EmbeddedBroker;
use herdsman::stdx::error_class::ErrorClass;
use herdsman::stdx::reply::reply;
use herdsman::stdx::time::{Clock, Deadline};
use herdsman::store::offset_record::{OffsetKey, encode_offset};
use herdsman::store::offset_store::{OffsetChange, OffsetStore, OffsetsWritten};
use herdsman::store::topic_log::TopicRole;
use herdsman::store::topic_offsets::{Offsets, TopicOffsetStore};

use crate::support::{Logs, SOON, Setup, entry};

const OFFSET: TopicRole = TopicRole::Offset;

fn store(setup: Setup) -> (Logs, TopicOffsetStore) {
    let offsets = Offsets::new();
    let topic = setup.name(OFFSET);
    let logs = setup.sink(OFFSET, offsets.sink()).start().following();
    let store = TopicOffsetStore::new(logs.handle.clone(), topic, offsets);
    (logs, store)
}

fn soon() -> Deadline {
    Clock.deadline(SOON)
}

fn key(partition: i64) -> OffsetKey {
    OffsetKey::new(&"lines".into(), &OffsetMap::of("p", partition))
}

fn change(partition: i64, position: i64) -> OffsetChange {
    (key(partition), Some(encode_offset(&OffsetMap::of("n", position))))
}

fn write(store: &TopicOffsetStore, changes: Vec<OffsetChange>) -> OffsetsWritten {
    let (done, pending) = reply();
    store.write(changes, done);
    pending.wait(SOON).unwrap()
}

fn position(position: i64) -> Option<Bytes> {
    Some(encode_offset(&OffsetMap::of("n", position)))
}

#[test]
fn what_was_written_is_read_by_every_worker_of_the_group() {
    let broker = EmbeddedBroker::start().unwrap();
    let mut setup = Setup::embedded(&broker);
    let other = setup.start().following();
    let (_logs, store) = store(setup);
    write(&store, vec![change(1, 10), change(2, 20), change(3, 30)]).unwrap();
    write(&store, vec![change(1, 11), (key(2), None)]).unwrap();
    let read = store.read(&[key(2), key(1), key(3), key(4)], soon()).unwrap();
    assert_eq!(read, [None, position(11), position(30), None]);
    // What another worker wrote is seen by the next read.
    other.append(OFFSET, vec![entry(r#"["lines",{"p":4}]"#, Some(r#"{"n":40}"#))]).unwrap();
    assert_eq!(store.read(&[key(4)], soon()).unwrap(), [position(40)]);
    let stored = store.offsets_of(&"lines".into(), soon()).unwrap();
    let stored: Vec<_> = stored.into_iter().map(|stored| (stored.partition, stored.offset)).collect();
    let of = |partition: i64, position: i64| (OffsetMap::of("p", partition), OffsetMap::of("n", position));
    assert_eq!(stored, [of(1, 11), of(3, 30), of(4, 40)]);
    assert!(store.offsets_of(&"line".into(), soon()).unwrap().is_empty());
}

#[test]
fn empty_values_and_null_are_tombstones_and_foreign_records_harm_nobody() {
    let broker = EmbeddedBroker::start().unwrap();
    let (logs, store) = store(Setup::embedded(&broker));
    write(&store, vec![change(1, 10), change(2, 20)]).unwrap();
    let entries = vec![
        entry(r#"["lines",{"p":1}]"#, Some("")),
        entry(r#"["lines",{"p":2}]"#, Some("null")),
        entry("foreign", Some("x")),
        entry("", Some("x")),
        entry(r#"["lines",{"p":3}]"#, Some("broken")),
        entry(r#"["lines",{"p":4}]"#, Some(r#"{"n":4}"#)),
    ];
    logs.append(OFFSET, entries).unwrap();
    assert_eq!(store.read(&[key(1), key(2), key(4)], soon()).unwrap(), [None, None, position(4)]);
    assert_eq!(store.offsets_of(&"lines".into(), soon()).unwrap().len(), 1);
}

#[test]
fn a_read_is_late_and_a_write_waits_while_there_is_no_broker() {
    let broker = EmbeddedBroker::start().unwrap();
    let (logs, store) = store(Setup::embedded(&broker));
    let store = Arc::new(store);
    write(&store, vec![change(1, 10)]).unwrap();
    broker.go_down().unwrap();
    let (done, pending) = reply();
    store.write(vec![change(1, 11)], done);
    let late = store.read(&[key(1)], Clock.deadline(Duration::from_millis(300))).unwrap_err();
    assert_eq!(late.class(), ErrorClass::Retriable, "{late}");
    assert!(pending.poll().is_none());
    broker.come_up().unwrap();
    pending.wait(SOON).unwrap().unwrap();
    assert_eq!(store.read(&[key(1)], soon()).unwrap(), [position(11)]);
    drop(logs);
    assert_eq!(store.read(&[key(1)], soon()).unwrap_err().class(), ErrorClass::Fatal);
    assert_eq!(write(&store, vec![change(1, 12)]).unwrap_err().class(), ErrorClass::Fatal);
}
