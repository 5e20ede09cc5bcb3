//! The leader's transactions on a real Kafka, and what a later leader does to an earlier one.

use herdsman::store::topic_log::{LogError, TopicRole};

use crate::own_kafka::kafka;
use crate::support::{Setup, entry, seen};

const CONFIG: TopicRole = TopicRole::Config;

#[test]
fn a_leader_writes_in_transactions_once_it_has_claimed() {
    let Some(kafka) = kafka() else { return };
    for support in ["preparing", "enabled"] {
        let mut setup = Setup::new(&kafka.bootstrap).set("exactly.once.source.support", support);
        let logs = setup.start().following();
        assert_eq!(logs.append_as_leader(vec![entry("early", None)]), Err(LogError::NotClaimed));
        logs.claim().unwrap();
        logs.append_as_leader(vec![entry("task-a-0", Some("{}")), entry("commit-a", Some("1"))]).unwrap();
        let expected = [seen("task-a-0", Some("{}")), seen("commit-a", Some("1"))];
        assert_eq!(logs.records(CONFIG), expected, "{support}");
        // To claim again takes nothing away.
        logs.claim().unwrap();
        logs.append_as_leader(vec![entry("commit-a", None)]).unwrap();
        // Records and markers alternate: two and one, one and one.
        logs.read_to_end(CONFIG).unwrap();
        let end = rdkafka::producer::Producer::client(&kafka.producer())
            .fetch_watermarks(&setup.name(CONFIG), 0, crate::support::SOON)
            .unwrap();
        assert_eq!(end, (0, 5), "{support}");
    }
}

#[test]
fn a_later_leader_fences_an_earlier_one() {
    let Some(kafka) = kafka() else { return };
    let mut setup = Setup::new(&kafka.bootstrap).set("exactly.once.source.support", "enabled");
    let (earlier, later) = (setup.start().following(), setup.start().following());
    earlier.claim().unwrap();
    earlier.append_as_leader(vec![entry("k", Some("earlier"))]).unwrap();
    later.claim().unwrap();
    let fenced = earlier.append_as_leader(vec![entry("k", Some("too late"))]).unwrap_err();
    assert!(matches!(fenced, LogError::Fenced(_)), "{fenced:?}");
    assert!(fenced.to_string().contains("another worker has become the leader"), "{fenced}");
    assert_eq!(earlier.append_as_leader(vec![entry("k", None)]), Err(LogError::NotClaimed));
    later.append_as_leader(vec![entry("k", Some("later"))]).unwrap();
    earlier.read_to_end(CONFIG).unwrap();
    let expected = [seen("k", Some("earlier")), seen("k", Some("later"))];
    assert_eq!(earlier.records(CONFIG), expected);
    // Leading again takes a claim, and nothing else: not even a write that fails.
    for (leader, value) in [(&earlier, "again"), (&later, "and again")] {
        leader.claim().unwrap();
        leader.append_as_leader(vec![entry("k", Some(value))]).unwrap();
    }
}
