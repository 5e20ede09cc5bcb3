//! What a worker in a group runs, and what it says of that when it joins.

use super::super::world::CLASS;
use super::*;
use crate::herder::membership::Membership;
use crate::herder::msg::{Proof, STALE_CONFIGURATION};
use crate::herder::view::RunState;
use crate::store::status_records::StoredStatus;

impl Member {
    /// What was called since the last look, in order.
    fn called(&mut self) -> String {
        std::mem::take(&mut self.called).join(", ")
    }

    /// A task tells something of itself.
    fn task(&mut self, name: &str, index: u32, epoch: u64, kind: TaskEventKind) {
        let id = TaskId { connector: name.into(), index };
        let epoch = (0..epoch).fold(Epoch::default(), |epoch, _| epoch.next());
        self.event(HerderEvent::Task(TaskEvent { id, epoch, kind }));
    }

    /// The statuses that were to be written since the last look.
    fn statuses(&mut self) -> Vec<StatusWrite> {
        std::mem::take(&mut self.statuses)
    }

    /// What a worker of the group sends with a request.
    fn signs(&self, body: Bytes) -> Proof {
        let Membership::Group(group) = &self.herder.membership else { return Proof::default() };
        let signature = group.keys.sign(&body).expect("there is a key");
        Proof {
            signature: Some(signature.signature_header()),
            algorithm: Some(signature.algorithm_header().to_owned()),
            body,
        }
    }

    /// A member that another leads and that has read a connector with so many tasks.
    fn following(name: &str, tasks: u32) -> Self {
        let mut member = Member::new();
        member.event(HerderEvent::Topics(TopicsEvent::Read));
        member.joins_with();
        member.read([vec![known(name)], tasks_of(name, tasks)].concat());
        member
    }
}

/// A connector of a class that there is.
pub(super) fn known(name: &str) -> ConfigRecord {
    let settings = Settings::from([("connector.class".to_owned(), CLASS.to_owned())]);
    ConfigRecord::Connector { name: name.into(), settings: stored(settings) }
}

/// So many tasks, in force.
pub(super) fn tasks_of(name: &str, count: u32) -> Vec<ConfigRecord> {
    let task = |index| ConfigRecord::Task {
        id: TaskId { connector: name.into(), index },
        settings: stored(Settings::new()),
    };
    let commit = ConfigRecord::Commit { name: name.into(), tasks: count };
    (0..count).map(task).chain([commit]).collect()
}

#[test]
fn a_worker_joins_when_a_task_that_there_is_no_longer_has_ended() {
    let mut member = Member::following("a", 2);
    let offset = member.offset;
    member.assigned_by_other(offset, &[], &[("a", 0), ("a", 1)]);
    assert_eq!(member.called(), "start a-0, start a-1");
    member.read(tasks_of("a", 1));
    assert_eq!(member.called(), "stop a-0, stop a-1");
    assert_eq!(member.told(), [""; 0], "a-1 may be given to another worker when it is there again");
    member.task("a", 1, 2, TaskEventKind::Stopped);
    let held = member.joins_with().allocation.unwrap();
    assert_eq!(held.tasks, [TaskId { connector: "a".into(), index: 0 }]);
}

#[test]
fn a_worker_restarts_what_failed_as_long_as_it_is_its_own() {
    let mut member = Member::new();
    member.event(HerderEvent::Topics(TopicsEvent::Read));
    member.joins_with();
    let settings = [("connector.class", CLASS), ("auto.restart.enable", "true")];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let connector = ConfigRecord::Connector { name: "a".into(), settings: stored(Settings::from(settings)) };
    member.read([vec![connector], tasks_of("a", 2)].concat());
    let offset = member.offset;
    member.assigned_by_other(offset, &[], &[("a", 0)]);
    assert_eq!(member.called(), "start a-0");
    let fails = || TaskEventKind::Failed { trace: "bad record".to_owned() };
    member.task("a", 0, 1, fails());
    assert_eq!(member.called(), "start a-0", "only what this worker has");
    member.task("a", 0, 2, fails());
    member.pass(Duration::from_secs(119));
    assert_eq!(member.called(), "");
    member.group(GroupEvent::CoordinatorUnreachable { why: "it is gone".to_owned() });
    member.pass(Duration::from_secs(100_000));
    assert_eq!(member.called(), "", "it may run elsewhere by now");
}

#[test]
fn one_change_is_written_after_another() {
    let mut member = Member::leading();
    member.read([vec![known("a")], tasks_of("a", 1)].concat());
    member.join_as_leader();
    let (stop, stopped) = reply::<Answer<()>>();
    let (delete, deleted) = reply::<Answer<()>>();
    member.event(HerderEvent::Request(Request::Stop("a".into(), stop)));
    member.event(HerderEvent::Request(Request::Delete("a".into(), delete)));
    let written: Vec<_> = member.writes.iter().map(|(write, _)| write.clone()).collect();
    assert_eq!(written, [ConfigWrite::Stopped("a".into())], "it has two steps");
    let (_, operation) = member.writes.remove(0);
    let failed = HerderError::Failed("no".to_owned());
    member.event(HerderEvent::ConfigWritten(operation.unwrap(), Err(failed.clone())));
    assert_eq!((stopped.poll(), deleted.poll()), (Some(Err(failed)), None));
    member.write_all();
    assert_eq!(deleted.poll(), Some(Ok(())), "also after one that failed");
}

#[test]
fn tasks_are_not_written_behind_a_stop() {
    let mut member = Member::leading();
    member.read([vec![known("a")], tasks_of("a", 1)].concat());
    member.join_as_leader();
    let (stop, stopped) = reply::<Answer<()>>();
    member.event(HerderEvent::Request(Request::Stop("a".into(), stop)));
    let submit = |member: &mut Member| {
        let (reply, pending) = reply::<Answer<()>>();
        let (tasks, body) = (vec![Settings::new()], Bytes::from_static(b"[{}]"));
        let proof = member.signs(body);
        member.event(HerderEvent::Request(Request::SubmitTasks { name: "a".into(), tasks, proof, reply }));
        pending.poll()
    };
    assert!(matches!(submit(&mut member), Some(Err(HerderError::Conflict(_)))));
    member.write_all();
    assert_eq!(stopped.poll(), Some(Ok(())));
    member.task("a", 0, 2, TaskEventKind::Stopped);
    member.join_as_leader();
    assert!(matches!(submit(&mut member), Some(Err(HerderError::BadRequest(_)))));
}

#[test]
fn who_waits_for_a_restart_is_answered_when_the_work_is_taken_away() {
    let mut member = Member::following("a", 1);
    let offset = member.offset;
    member.assigned_by_other(offset, &["a"], &[("a", 0)]);
    assert_eq!(member.called(), "start a, start a-0");
    let (restart, restarted) = reply::<Answer<()>>();
    let (restart_task, task_restarted) = reply::<Answer<()>>();
    let id = TaskId { connector: "a".into(), index: 0 };
    member.event(HerderEvent::Request(Request::Restart("a".into(), restart)));
    member.event(HerderEvent::Request(Request::RestartTask(id, restart_task)));
    assert_eq!(member.called(), "stop a, stop a-0");
    assert_eq!((restarted.poll(), task_restarted.poll()), (None, None), "they have not stopped");
    member.group(GroupEvent::CoordinatorUnreachable { why: "it is gone".to_owned() });
    let not_now = || Some(Err(HerderError::Rebalancing(STALE_CONFIGURATION.to_owned())));
    assert_eq!((restarted.poll(), task_restarted.poll()), (not_now(), not_now()));
}

#[test]
fn a_status_that_was_not_written_in_its_generation_is_written_in_the_next() {
    let mut member = Member::following("a", 2);
    let offset = member.offset;
    member.assigned_by_other(offset, &[], &[("a", 0), ("a", 1)]);
    member.task("a", 0, 1, TaskEventKind::Started);
    let lost = member.statuses().pop().expect("it runs");
    member.event(HerderEvent::StatusUnwritten(lost.clone()));
    assert_eq!(member.statuses().len(), 1, "once more as it was");
    member.group(GroupEvent::RejoinNeeded(RejoinCause::Rebalance));
    member.assigned_by_other(offset, &[], &[]);
    member.task("a", 1, 2, TaskEventKind::Started);
    assert_eq!(member.statuses().len(), 1, "that of the other task");
    member.event(HerderEvent::StatusUnwritten(lost));
    let written = member.statuses().pop().map(|write| write.record());
    let Some(StatusRecord::Status(StatusOf::Task(id), Some(status))) = written else { panic!("it is lost") };
    assert_eq!((id.index, status.state, status.generation), (0, RunState::Running, Generation::new(2)));
}

#[test]
fn what_runs_here_is_told_again_when_others_deny_it() {
    let mut member = Member::following("a", 1);
    let offset = member.offset;
    member.assigned_by_other(offset, &[], &[("a", 0)]);
    member.task("a", 0, 1, TaskEventKind::Started);
    let [mine] = member.statuses().try_into().expect("it runs");
    let told = |mine: &StatusWrite, state| {
        let StatusRecord::Status(of, Some(status)) = mine.record() else { panic!("a status") };
        StatusRecord::Status(of, Some(StoredStatus { state, worker: WorkerId::new("other:8083"), ..status }))
    };
    member.event(HerderEvent::StatusRead(vec![mine.record()]));
    assert_eq!(member.statuses().len(), 0);
    // It has lost the task, and is late to say so.
    member.event(HerderEvent::StatusRead(vec![told(&mine, RunState::Unassigned)]));
    let [mine] = member.statuses().try_into().expect("it runs still");
    // It runs the task, too: the leader decides, and until then nobody talks the other down.
    member.event(HerderEvent::StatusRead(vec![told(&mine, RunState::Running)]));
    assert_eq!(member.statuses().len(), 0);
    member.group(GroupEvent::RejoinNeeded(RejoinCause::Rebalance));
    member.assigned_by_other(offset, &[], &[]);
    let [mine] = member.statuses().try_into().expect("it is this worker's");
    let StatusRecord::Status(_, Some(status)) = mine.record() else { panic!("a status") };
    assert_eq!((status.state, status.generation), (RunState::Running, Generation::new(2)));
    let StatusRecord::Status(of, _) = mine.record() else { panic!("a status") };
    member.event(HerderEvent::StatusRead(vec![StatusRecord::Status(of, None)]));
    assert_eq!(member.statuses().len(), 1, "a leader took it for gone");
    let deleted = StatusRecord::Status(StatusOf::Connector("a".into()), None);
    member.event(HerderEvent::StatusRead(vec![deleted]));
    assert_eq!(member.statuses().len(), 1, "the deletion of an earlier connector of that name came late");
}

#[test]
fn what_this_worker_told_in_an_earlier_generation_does_not_stand_when_it_comes_late() {
    let mut member = Member::following("a", 1);
    let offset = member.offset;
    member.assigned_by_other(offset, &[], &[]);
    member.group(GroupEvent::RejoinNeeded(RejoinCause::Rebalance));
    member.assigned_by_other(offset, &[], &[("a", 0)]);
    member.task("a", 0, 1, TaskEventKind::Started);
    let [running] = member.statuses().try_into().expect("it runs");
    member.event(HerderEvent::StatusRead(vec![running.record()]));
    for (generation, times) in [(2, 0), (1, 1)] {
        let StatusRecord::Status(of, Some(status)) = running.record() else { panic!("a status") };
        let generation = Generation::new(generation);
        let ended = StoredStatus { state: RunState::Unassigned, generation, ..status };
        member.event(HerderEvent::StatusRead(vec![StatusRecord::Status(of, Some(ended))]));
        let told = member.statuses().into_iter().map(|write| write.record()).collect::<Vec<_>>();
        assert_eq!(told, vec![running.record(); times], "of generation {generation}");
    }
}

#[test]
fn a_key_that_seemed_not_to_be_written_is_not_written_again_once_it_is_read() {
    for read_first in [true, false] {
        let mut member = Member::new();
        member.event(HerderEvent::Topics(TopicsEvent::Read));
        member.join_as_leader();
        let (write, operation) = member.writes.remove(0);
        let read = |member: &mut Member| write.records().into_iter().for_each(|group| member.read(group));
        if read_first {
            read(&mut member);
        }
        let failed = Err(HerderError::Failed("perhaps not taken".to_owned()));
        member.event(HerderEvent::ConfigWritten(operation.unwrap(), failed));
        if !read_first {
            read(&mut member);
        }
        member.pass(Duration::from_secs(1));
        assert_eq!((member.stage().as_str(), member.writes.len()), ("", 0));
        let wakeup = member.event(HerderEvent::Wake).expect("the key expires");
        assert!(wakeup > member.now.instant + Duration::from_secs(3000), "nothing is to be tried again");
    }
}

#[test]
fn who_waits_for_a_task_that_cannot_start_is_told_so() {
    let mut member = Member::following("a", 1);
    let offset = member.offset;
    member.assigned_by_other(offset, &[], &[("a", 0)]);
    member.read(vec![connector("a")]);
    let (restart, restarted) = reply::<Answer<()>>();
    let id = TaskId { connector: "a".into(), index: 0 };
    member.event(HerderEvent::Request(Request::RestartTask(id, restart)));
    member.end_stopped();
    let answer = restarted.poll().expect("it waits for ever");
    assert!(answer.unwrap_err().to_string().contains("another class"));
}
