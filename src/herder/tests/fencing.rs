//! Rounds of zombie fencing: when earlier tasks are shut out, by whom, and who waits for it.

use bytes::Bytes;

use super::group::{Member, OTHERS};
use crate::api::Settings;
use crate::api::ids::{ConnectorName, TaskId};
use crate::group::events::{GroupEvent, RejoinCause};
use crate::herder::msg::{
    Answer, HerderError, HerderEvent, OffsetsDraft, Proof, Request, SignatureFault, TaskQuestion, TopicsEvent,
};
use crate::herder::session_key::RequestSignature;
use crate::stdx::reply::{Pending, reply};
use crate::store::config_records::{ConfigRecord, stored};
use crate::store::config_state::TargetState;
use crate::store::config_write::ConfigWrite;
use crate::task::StartStep;

fn connector(name: &str) -> ConfigRecord {
    let class = ("connector.class".to_owned(), "fake.FakeSourceConnector".to_owned());
    ConfigRecord::Connector { name: name.into(), settings: stored(Settings::from([class])) }
}

/// The records of so many tasks.
fn tasks(name: &str, count: u32) -> Vec<ConfigRecord> {
    let task = |index| ConfigRecord::Task {
        id: TaskId { connector: name.into(), index },
        settings: stored(Settings::from([("n".to_owned(), index.to_string())])),
    };
    (0..count).map(task).chain([ConfigRecord::Commit { name: name.into(), tasks: count }]).collect()
}

impl Member {
    /// A leader with a connector of so many tasks, which are in force.
    fn leading_tasks(count: u32) -> Self {
        let mut member = Member::leading();
        member.read(vec![connector("c")]);
        member.join_as_leader();
        member.commit(count);
        member
    }

    /// New tasks are read, and the group comes to rest.
    fn commit(&mut self, count: u32) {
        self.read(tasks("c", count));
        self.join_as_leader();
    }

    /// A request of another worker of the group.
    fn asked_to_fence(&mut self) -> Pending<Answer<()>> {
        let signature = self.herder.membership.group().unwrap().keys.sign(b"").unwrap();
        let proof = Proof {
            signature: Some(RequestSignature::signature_header(&signature)),
            algorithm: Some(signature.algorithm_header().to_owned()),
            body: Bytes::new(),
        };
        let (reply, pending) = reply();
        self.event(HerderEvent::Request(Request::Fence { name: "c".into(), proof, reply }));
        pending
    }

    /// Every wish to read the config topic to its end is fulfilled.
    fn catch_up(&mut self) {
        while !self.reads.is_empty() {
            let operation = self.reads.remove(0);
            self.event(HerderEvent::CaughtUp(operation, Ok(())));
        }
    }

    fn fenced(&mut self, outcome: Result<(), String>) {
        let operation = self.fencings.remove(0).operation;
        self.event(HerderEvent::TasksFenced(operation, outcome));
    }

    /// For how many tasks the records say that there may be producers, of those that are to be written.
    fn counts(&self) -> Vec<u32> {
        let count = |write: &ConfigWrite| match write {
            ConfigWrite::TaskCount { count, .. } => Some(*count),
            ConfigWrite::Connector { .. }
            | ConfigWrite::Removed(_)
            | ConfigWrite::Tasks { .. }
            | ConfigWrite::Stopped(_)
            | ConfigWrite::Target { .. }
            | ConfigWrite::SessionKey(_)
            | ConfigWrite::Restart { .. }
            | ConfigWrite::LoggerLevel { .. } => None,
        };
        self.writes.iter().filter_map(|(write, _)| count(write)).collect()
    }

    fn task_asks(&mut self, step: StartStep) -> Pending<Answer<()>> {
        let (reply, pending) = reply();
        let (id, epoch) = self.started.last().or(self.stopped.last()).cloned().unwrap();
        self.event(HerderEvent::TaskAsks(TaskQuestion { id, epoch, step, reply }));
        pending
    }
}

#[test]
fn the_first_tasks_need_no_fencing_but_a_record() {
    let mut member = Member::leading_tasks(2);
    let asked = member.asked_to_fence();
    assert!(member.writes.is_empty(), "first what is configured is read");
    member.catch_up();
    assert_eq!((member.counts(), member.fencings.len()), (vec![2], 0));
    assert_eq!(asked.poll(), None, "before the record was read back");
    member.write_all();
    assert_eq!(asked.poll(), Some(Ok(())));
    let again = member.asked_to_fence();
    member.catch_up();
    assert_eq!((again.poll(), member.writes.len()), (Some(Ok(())), 0), "there is nothing to do");
}

#[test]
fn earlier_tasks_are_shut_out_once_for_all_who_ask() {
    let mut member = Member::leading_tasks(2);
    member.asked_to_fence();
    member.catch_up();
    member.write_all();
    member.commit(3);
    let asked = [member.asked_to_fence(), member.asked_to_fence(), member.asked_to_fence()];
    assert_eq!(member.reads.len(), 1, "who asks while it is read waits for the next read, with the others");
    member.catch_up();
    let [round] = &member.fencings[..] else { panic!("{:?}", member.fencings) };
    assert_eq!((round.name.as_str(), round.tasks), ("c", 2), "those of before");
    let late = member.asked_to_fence();
    member.catch_up();
    assert_eq!(member.fencings.len(), 1);
    member.fenced(Ok(()));
    assert_eq!(member.counts(), Vec::<u32>::new(), "it is read once more what is configured");
    member.catch_up();
    assert_eq!(member.counts(), [3]);
    member.write_all();
    for asked in asked.iter().chain([&late]) {
        assert_eq!(asked.poll(), Some(Ok(())));
    }
}

#[test]
fn new_tasks_end_a_round_that_was_not_for_them() {
    let mut member = Member::leading_tasks(2);
    member.asked_to_fence();
    member.catch_up();
    member.write_all();
    member.commit(3);
    let asked = member.asked_to_fence();
    member.catch_up();
    member.read(tasks("c", 4));
    assert!(matches!(asked.poll(), Some(Err(HerderError::Conflict(_)))));
    member.fenced(Ok(()));
    member.catch_up();
    assert!(member.counts().is_empty(), "the record would speak for tasks that nobody was shut out for");
}

#[test]
fn a_round_that_fails_is_told_and_can_be_repeated() {
    let mut member = Member::leading_tasks(2);
    member.asked_to_fence();
    member.catch_up();
    member.write_all();
    member.commit(3);
    let asked = member.asked_to_fence();
    member.catch_up();
    member.fenced(Err("no broker".to_owned()));
    let Some(Err(HerderError::Failed(why))) = asked.poll() else { panic!("no failure") };
    assert!(why.contains("connector c") && why.contains("no broker"), "{why}");
    let again = member.asked_to_fence();
    member.catch_up();
    member.fenced(Ok(()));
    member.catch_up();
    member.write_all();
    assert_eq!(again.poll(), Some(Ok(())));
}

#[test]
fn who_cannot_prove_to_be_of_the_group_is_refused() {
    let mut member = Member::leading_tasks(1);
    let (reply, pending) = reply();
    let proof = Proof::default();
    member.event(HerderEvent::Request(Request::Fence { name: "c".into(), proof, reply }));
    assert!(matches!(pending.poll(), Some(Err(HerderError::Unsigned(SignatureFault::Unusable, _)))));
    assert!(member.reads.is_empty());
}

#[test]
fn a_task_of_a_follower_asks_the_leader_signed_once_the_group_is_at_rest() {
    let mut leader = Member::leading();
    let key = leader.herder.configs.session_key().cloned().unwrap();
    let mut member = Member::new();
    member.event(HerderEvent::Topics(TopicsEvent::Read));
    member.joins_with();
    member.read([ConfigRecord::SessionKey(key), connector("c")].into_iter().chain(tasks("c", 1)).collect());
    member.assigned_by_other(4, &[], &[("c", 0)]);
    let asked = member.task_asks(StartStep::Fence);
    let ask = member.asked.remove(0);
    assert_eq!((ask.leader_url.as_str(), &ask.name), (OTHERS, &ConnectorName::from("c")));
    assert!(ask.proof.signature.is_some() && ask.proof.body.is_empty(), "{:?}", ask.proof);
    let (reply, _) = reply::<Answer<()>>();
    leader.event(HerderEvent::Request(Request::Fence { name: "c".into(), proof: ask.proof, reply }));
    ask.reply.send(Ok(()));
    assert_eq!(asked.poll(), Some(Ok(())));

    member.group(GroupEvent::RejoinNeeded(RejoinCause::Rebalance));
    let confirmed = member.task_asks(StartStep::Confirm);
    assert!(member.reads.is_empty(), "in the middle of a rebalance");
    member.joins_with();
    member.assigned_by_other(4, &[], &[]);
    member.catch_up();
    assert_eq!(confirmed.poll(), Some(Ok(())));
}

#[test]
fn a_task_that_is_not_wanted_any_more_may_not_begin() {
    let mut member = Member::leading_tasks(1);
    let confirmed = member.task_asks(StartStep::Confirm);
    member.read(tasks("c", 2));
    member.catch_up();
    assert!(matches!(confirmed.poll(), Some(Err(HerderError::Failed(_)))));
    let fence = member.task_asks(StartStep::Fence);
    member.join_as_leader();
    assert!(matches!(fence.poll(), Some(Err(HerderError::Failed(_)))));
}

#[test]
fn a_task_waits_for_the_config_topic_and_not_for_ever() {
    for (failures, begins) in [(3, true), (100, false)] {
        let mut member = Member::leading_tasks(1);
        let confirmed = member.task_asks(StartStep::Confirm);
        for _ in 0..failures {
            let Some(operation) = member.reads.pop() else { break };
            assert_eq!(confirmed.poll(), None);
            member.event(HerderEvent::CaughtUp(operation, Err("an open transaction".to_owned())));
        }
        member.catch_up();
        assert_eq!(confirmed.poll().map(|answer| answer.is_ok()), Some(begins));
    }
}

#[test]
fn a_failed_task_that_was_given_away_begins_anew_when_it_comes_back() {
    let mut member = Member::new();
    member.event(HerderEvent::Topics(TopicsEvent::Read));
    member.joins_with();
    member.read([connector("c")].into_iter().chain(tasks("c", 1)).collect());
    member.assigned_by_other(3, &[], &[("c", 0)]);
    let (id, epoch) = member.started.remove(0);
    let kind = crate::task::TaskEventKind::Failed { trace: "fenced".to_owned() };
    member.event(HerderEvent::Task(crate::task::TaskEvent { id, epoch, kind }));
    member.group(GroupEvent::CoordinatorUnreachable { why: "it is gone".to_owned() });
    member.joins_with();
    member.assigned_by_other(3, &[], &[("c", 0)]);
    let [(_, again)] = &member.started[..] else { panic!("{:?}", member.started) };
    assert!(*again > epoch);
}

#[test]
fn offsets_of_an_exactly_once_source_change_once_its_tasks_are_shut_out() {
    let mut member = Member::leading_tasks(2);
    member.asked_to_fence();
    member.catch_up();
    member.write_all();
    let stopped = ConfigRecord::Target { name: "c".into(), state: Some(TargetState::Stopped) };
    member.read(tasks("c", 0).into_iter().chain([stopped]).collect());
    // What runs ends.
    member.end_stopped();
    member.join_as_leader();
    let (reply, _pending) = reply();
    member.event(HerderEvent::Request(Request::ModifyOffsets("c".into(), OffsetsDraft::Reset, reply)));
    member.catch_up();
    assert_eq!((member.modified, member.fencings.len()), (0, 1));
    member.fenced(Ok(()));
    member.catch_up();
    assert_eq!(member.counts(), [0]);
    member.write_all();
    assert_eq!(member.modified, 1);
}
