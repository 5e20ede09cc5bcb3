//! Which topics a connector uses, known by all workers (KIP-558).

use super::running;
use crate::herder::msg::HerderEvent;
use crate::store::status_records::{StatusRecord, TopicUse};
use crate::task::{TaskEvent, TaskEventKind};

#[test]
fn a_topic_that_another_worker_had_forgotten_is_told_anew_by_who_uses_it() {
    let mut member = running();
    let (id, epoch) = member.started[0].clone();
    let of_topic = |used| StatusRecord::Topic { connector: "a".into(), topic: "t".into(), used };
    let read = |used| HerderEvent::StatusRead(vec![of_topic(used)]);
    let use_it = || {
        let kind = TaskEventKind::Topic("t".into());
        HerderEvent::Task(TaskEvent { id: id.clone(), epoch, kind })
    };
    member.said.clear();
    member.event(use_it());
    assert_eq!(member.said, ["a uses t"]);
    member.event(read(Some(TopicUse { task: 0, discovered_ms: 5 })));
    member.event(use_it());
    assert_eq!(member.said.len(), 1, "told once");
    member.called.clear();
    member.event(read(None));
    assert_eq!(member.called, ["topics a-0"]);
    member.event(use_it());
    assert_eq!(member.said, ["a uses t"; 2]);
}
