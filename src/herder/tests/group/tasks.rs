//! The tasks that a connector says it has: when it is asked, and when what it says is written.

use super::work::{known, tasks_of};
use super::*;
use crate::store::config_state::TargetState;

impl Member {
    /// A member that leads and runs a connector with so many tasks; the connector has said what they are.
    fn leading_with_tasks(count: usize) -> Self {
        let mut member = Member::leading();
        member.read([vec![known("a")], tasks_of("a", count as u32)].concat());
        member.join_as_leader();
        member.start_connectors();
        member.say_tasks(count);
        assert!(member.writes.is_empty(), "they are in force");
        member
    }

    /// A member that another leads; its connector has said that it has so many tasks, which are not written yet.
    fn following_with_tasks(count: usize) -> Self {
        let mut member = Member::new();
        member.event(HerderEvent::Topics(TopicsEvent::Read));
        member.joins_with();
        member.read(vec![known("a")]);
        member.assigned_by_other(1, &["a"], &[]);
        member.start_connectors();
        member.say_tasks(count);
        assert_eq!(member.submits.len(), 1);
        member
    }

    /// The leader says that it has written the tasks, or that it could not.
    fn submitted(&mut self, outcome: Answer<()>) {
        let operation = self.submits.pop().expect("no tasks were handed in");
        self.event(HerderEvent::ConfigWritten(operation, outcome));
    }

    /// Connectors that were started run.
    fn start_connectors(&mut self) {
        for (name, epoch) in std::mem::take(&mut self.started_instances) {
            let kind = ConnectorEventKind::Started;
            self.event(HerderEvent::Connector(ConnectorEvent { name, epoch, kind }));
        }
    }

    /// The connector that was asked says that it has so many tasks.
    fn say_tasks(&mut self, count: usize) {
        let (name, epoch) = self.asked_for_tasks.pop().expect("nobody is asked");
        let kind = ConnectorEventKind::TaskConfigs(vec![Settings::new(); count]);
        self.event(HerderEvent::Connector(ConnectorEvent { name, epoch, kind }));
    }

    /// Whether a connector is asked for its tasks within the time in which it should be.
    fn asks_again(&mut self) -> bool {
        self.pass(Duration::from_secs(1));
        !self.asked_for_tasks.is_empty()
    }
}

#[test]
fn tasks_that_a_leader_did_not_finish_writing_are_written_again() {
    let mut member = Member::leading_with_tasks(2);
    let [task, ..] = &tasks_of("a", 2)[..] else { panic!("a task") };
    member.read(vec![task.clone()]);
    assert!(member.writes.is_empty() && member.asked_for_tasks.is_empty(), "the rest may be on its way");
    assert!(member.asks_again());
    member.say_tasks(2);
    let written: Vec<_> = member.writes.iter().map(|(write, _)| write.clone()).collect();
    let again = ConfigWrite::Tasks { name: "a".into(), tasks: vec![stored(Settings::new()); 2] };
    assert_eq!(written, [again], "who reads the topic later may find neither the old nor the new ones");
    member.write_all();
    member.join_as_leader();
    assert!(!member.asks_again());
}

#[test]
fn tasks_that_come_while_a_stop_is_written_are_wanted_only_if_that_fails() {
    let mut member = Member::leading();
    member.read([vec![known("a")], tasks_of("a", 1)].concat());
    member.join_as_leader();
    member.start_connectors();
    let (stop, stopped) = reply::<Answer<()>>();
    member.event(HerderEvent::Request(Request::Stop("a".into(), stop)));
    member.say_tasks(2);
    let (_, operation) = member.writes.remove(0);
    let failed = HerderError::Failed("not written".to_owned());
    member.event(HerderEvent::ConfigWritten(operation.unwrap(), Err(failed.clone())));
    assert_eq!(stopped.poll(), Some(Err(failed)));
    assert!(member.writes.is_empty(), "they would have come behind the stop");
    assert!(member.asks_again());
    member.say_tasks(2);
    assert!(matches!(member.writes[..], [(ConfigWrite::Tasks { .. }, _)]));
}

#[test]
fn tasks_that_others_finish_writing_are_not_written_again() {
    let mut member = Member::leading_with_tasks(2);
    for record in tasks_of("a", 2) {
        member.read(vec![record]);
    }
    member.join_as_leader();
    assert!(member.asks_again(), "the connector may think otherwise");
    member.say_tasks(2);
    assert!(member.writes.is_empty());
}

#[test]
fn a_connector_is_not_asked_about_the_tasks_that_it_has_handed_in() {
    for read_first in [true, false] {
        let mut member = Member::following_with_tasks(2);
        if read_first {
            member.read(tasks_of("a", 2));
            member.submitted(Ok(()));
        } else {
            member.submitted(Ok(()));
            tasks_of("a", 2).into_iter().for_each(|record| member.read(vec![record]));
        }
        assert!(!member.asks_again(), "read first: {read_first}");
        member.read(tasks_of("a", 1));
        assert!(member.asks_again(), "nobody here has handed in those");
    }
}

#[test]
fn a_connector_is_asked_about_tasks_that_come_after_its_own() {
    for answered_first in [true, false] {
        let mut member = Member::following_with_tasks(2);
        member.read(tasks_of("a", 1));
        if answered_first {
            member.submitted(Ok(()));
        }
        assert!(!member.asks_again(), "its own are yet to come");
        member.read(tasks_of("a", 2));
        member.read(tasks_of("a", 1));
        if !answered_first {
            member.submitted(Ok(()));
        }
        assert!(member.asks_again(), "answered first: {answered_first}");
    }
}

#[test]
fn a_connector_is_asked_again_when_its_tasks_could_not_be_handed_in() {
    let mut member = Member::following_with_tasks(2);
    member.submitted(Err(HerderError::Failed("no answer".to_owned())));
    assert!(member.asks_again());
    member.read(tasks_of("a", 2));
    member.say_tasks(2);
    assert_eq!(member.submits.len(), 0, "they were written all the same");
}

/// A paused connector got other settings, and the cleaner took away those that its tasks were made from: who starts later
/// reads the tasks of a connector that is not there yet, which never count.
#[test]
fn tasks_that_compaction_has_hidden_are_written_when_the_connector_runs_again() {
    let mut member = Member::leading();
    let target = |state| ConfigRecord::Target { name: "a".into(), state: Some(state) };
    member.read([tasks_of("a", 2), vec![target(TargetState::Paused), known("a")]].concat());
    member.join_as_leader();
    assert!(member.started_instances.is_empty() && member.started.is_empty());
    member.read(vec![target(TargetState::Started)]);
    member.start_connectors();
    member.say_tasks(2);
    member.write_all();
    member.join_as_leader();
    assert_eq!(member.started.len(), 2);
}
