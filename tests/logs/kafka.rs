//! On a real Kafka: foreign writers, open transactions, a broker that dies.

use std::time::Duration;

use herdsman::stdx::reply::reply;
use herdsman::stdx::time::Clock;
use herdsman::store::topic_log::{LogError, TopicRole};
use rdkafka::producer::Producer as _;

use crate::own_kafka::{OwnKafka, kafka, send};
use crate::support::{SOON, Setup, Told, entry, seen};

const CONFIG: TopicRole = TopicRole::Config;
const OFFSET: TopicRole = TopicRole::Offset;
const STATUS: TopicRole = TopicRole::Status;
const A_MOMENT: Duration = Duration::from_millis(1500);

#[test]
fn the_end_is_that_of_foreign_writers_too() {
    let Some(kafka) = kafka() else { return };
    let mut setup = Setup::new(&kafka.bootstrap);
    let logs = setup.start().following();
    let producer = kafka.producer();
    for round in 0..30 {
        let key = format!("k{round}");
        send(&producer, &setup.name(CONFIG), &[(&key, Some("v"))]);
        logs.read_to_end(CONFIG).unwrap();
        assert_eq!(logs.records(CONFIG).last(), Some(&seen(&key, Some("v"))));
    }
}

#[test]
fn an_open_transaction_holds_back_those_who_read_committed() {
    let Some(kafka) = kafka() else { return };
    for (support, holds_back) in [("preparing", false), ("enabled", true)] {
        let mut setup = Setup::new(&kafka.bootstrap).set("exactly.once.source.support", support);
        let logs = setup.start().following();
        let foreign = kafka.transaction();
        for role in TopicRole::ALL {
            send(&foreign, &setup.name(role), &[("k", Some("v"))]);
        }
        // The status topic is read uncommitted by all.
        for (role, holds_back) in [(CONFIG, holds_back), (OFFSET, holds_back), (STATUS, false)] {
            let read = logs.read_to_end_within(role, A_MOMENT);
            let records = logs.records(role);
            if holds_back {
                assert!(matches!(read, Err(LogError::TimedOut { .. })), "{support} {role:?}: {read:?}");
                assert_eq!(records, [], "{support} {role:?}");
            } else {
                assert_eq!((read, records), (Ok(()), vec![seen("k", Some("v"))]), "{support} {role:?}");
            }
        }
        let (done, read) = reply();
        logs.handle.read_to_end(CONFIG, Clock.deadline(SOON), done);
        foreign.commit_transaction(SOON).unwrap();
        assert_eq!(read.wait(SOON).unwrap(), Ok(()));
        assert_eq!(logs.records(CONFIG), [seen("k", Some("v"))]);
        // The marker of the transaction is passed, too, although it is no record.
        logs.read_to_end(OFFSET).unwrap();
    }
}

#[test]
fn aborted_records_and_markers_are_passed() {
    let Some(kafka) = kafka() else { return };
    for (support, sees_aborted) in [("disabled", true), ("enabled", false)] {
        let mut setup = Setup::new(&kafka.bootstrap).set("exactly.once.source.support", support);
        let logs = setup.start().following();
        let foreign = kafka.transaction();
        send(&foreign, &setup.name(CONFIG), &[("aborted", Some("v"))]);
        foreign.abort_transaction(SOON).unwrap();
        logs.read_to_end(CONFIG).unwrap();
        let expected = if sees_aborted { vec![seen("aborted", Some("v"))] } else { vec![] };
        assert_eq!(logs.records(CONFIG), expected, "{support}");
        // The same from the beginning.
        let other = setup.start().following();
        assert_eq!(other.records(CONFIG), expected, "{support}");
        logs.append(CONFIG, vec![entry("k", Some("v"))]).unwrap();
        other.read_to_end(CONFIG).unwrap();
        assert_eq!(other.records(CONFIG).last(), Some(&seen("k", Some("v"))), "{support}");
    }
}

#[test]
fn a_broker_that_dies_and_comes_back_costs_nothing() {
    if kafka().is_none() {
        return;
    }
    let own = OwnKafka::start();
    let mut setup = Setup::new(&own.kafka.bootstrap);
    let logs = setup.start().following();
    let write = |number: usize| {
        let (done, written) = reply();
        logs.handle.append(
            OFFSET,
            vec![entry(&format!("k{number}"), Some("v"))],
            Clock.deadline(SOON * 3),
            done,
        );
        written
    };
    let mut written: Vec<_> = (0..100).map(write).collect();
    assert_eq!(written[0].wait(SOON).unwrap(), Ok(()));
    own.kill();
    written.extend((100..200).map(write));
    logs.got.wait("the loss of contact", |got| {
        got.told[&CONFIG].iter().any(|told| matches!(told, Told::Unreadable(_))).then_some(())
    });
    let late = logs.read_to_end_within(CONFIG, A_MOMENT).unwrap_err();
    assert!(matches!(late, LogError::TimedOut { why: Some(_), .. }), "{late:?}");
    own.restart();
    written.extend((200..300).map(write));
    for (number, written) in written.iter().skip(1).enumerate() {
        assert_eq!(written.wait(SOON * 3).unwrap(), Ok(()), "write {}", number + 1);
    }
    logs.read_to_end(OFFSET).unwrap();
    let records = logs.records(OFFSET);
    for number in 0..300 {
        assert!(records.contains(&seen(&format!("k{number}"), Some("v"))), "k{number} is lost");
    }
    logs.got.wait("contact again", |got| {
        TopicRole::ALL.iter().all(|role| got.told[role].last() == Some(&Told::Readable)).then_some(())
    });
}
