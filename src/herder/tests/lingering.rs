//! Calls that do not end: what hangs stops nobody but itself, and is not believed once it was given up.

use std::time::Duration;

use super::world::{TASK_STOP, World, bad, good, none, secs};
use crate::connector::ConnectorEventKind;
use crate::herder::msg::HerderError;
use crate::store::config_state::TargetState;
use crate::task::TaskEventKind;

#[test]
fn a_connector_that_hangs_gets_five_seconds_to_stop() {
    for call in ["start a", "tasks a", "stop a"] {
        let mut world = World::ready();
        world.hang(call);
        let create = world.create("a", None);
        let put = world.put("a", &[("topic", "u")]);
        world.log();
        world.advance(secs(5) - Duration::from_millis(1));
        assert_eq!(world.log(), "", "{call} still has time");
        world.advance(Duration::from_millis(1));
        assert!(world.log().starts_with("abandon a, start a"), "after {call}");
        world.let_go(call);
        good(&create);
        good(&put);
        assert_eq!((world.status("a").as_str(), world.tasks("a")), ("RUNNING 0:RUNNING", 1), "after {call}");
        assert_eq!(world.started["a-0"].settings["topic"], "u");
    }
}

#[test]
fn a_hanging_connector_stops_no_other() {
    let mut world = World::ready();
    world.hang("start a");
    let create = world.create("a", None);
    good(&world.create("b", None));
    good(&world.health());
    none(&create);
    assert_eq!((world.status("a").as_str(), world.status("b").as_str()), ("unknown", "RUNNING 0:RUNNING"));
}

#[test]
fn what_an_abandoned_connector_says_later_is_not_heard() {
    let mut world = World::running("a", 1);
    world.hang("stop a");
    let delete = world.delete("a");
    world.advance(secs(5));
    good(&delete);
    let create = world.create("a", None);
    good(&create);
    good(&world.target("a", TargetState::Paused));
    world.log();
    // Two instances are stopping now: the one that was given up, and that of the new connector of its name.
    world.end_oldest("a");
    assert_eq!((world.log().as_str(), world.status("a").as_str()), ("", "RUNNING 0:PAUSED"));
    world.let_go("stop a");
    assert_eq!(world.status("a"), "PAUSED 0:PAUSED");
}

#[test]
fn what_an_abandoned_task_says_later_is_not_heard() {
    let mut world = World::running("a", 1);
    world.hang("stop a-0");
    let stop = world.stop("a");
    none(&stop);
    world.advance(TASK_STOP);
    good(&stop);
    assert_eq!(world.log(), "write 0 tasks of a, write a Stopped, stop a-0, stop a, abandon a-0");
    good(&world.target("a", TargetState::Started));
    let restart = world.restart_task("a", 0);
    none(&restart);
    world.end_oldest("a-0");
    none(&restart);
    world.let_go("stop a-0");
    good(&restart);
    assert_eq!(world.status("a"), "RUNNING 0:RUNNING");
}

#[test]
fn a_task_that_was_given_up_is_not_shown_as_running() {
    let mut world = World::running("a", 1);
    world.hang("stop a-0");
    world.hang("start a-0");
    good(&world.put("a", &[("topic", "u")]));
    world.advance(TASK_STOP);
    assert_eq!(world.status("a"), "RUNNING 0:UNASSIGNED");
    world.let_go("start a-0");
    assert_eq!(world.status("a"), "RUNNING 0:RUNNING");
}

#[test]
fn each_task_has_a_deadline_of_its_own() {
    let mut world = World::running("a", 2);
    world.hang("stop a-0");
    world.hang("stop a-1");
    let first = world.restart_task("a", 0);
    world.advance(secs(1));
    let second = world.restart_task("a", 1);
    world.log();
    world.advance(secs(2));
    assert_eq!(world.log(), "abandon a-0");
    assert_eq!(world.status("a"), "RUNNING 0:RESTARTING 1:RESTARTING");
    none(&first);
    world.advance(secs(1));
    assert_eq!(world.log(), "abandon a-1, start a-0, start a-1");
    good(&first);
    good(&second);
}

#[test]
fn a_task_may_be_given_all_the_time_there_is() {
    let mut world = World::new(Vec::new(), Duration::MAX);
    world.open_stores();
    good(&world.create("a", None));
    world.hang("stop a-0");
    let stop = world.stop("a");
    world.advance(secs(100_000));
    none(&stop);
    world.let_go("stop a-0");
    good(&stop);
}

#[test]
fn a_task_that_fails_while_it_stops_has_stopped() {
    let mut world = World::running("a", 1);
    world.fail("stop a-0");
    good(&world.stop("a"));
    assert_eq!(world.status("a"), "STOPPED");
}

#[test]
fn a_connector_that_fails_while_it_stops_has_not_ended_yet() {
    let mut world = World::running("a", 1);
    world.hang("stop a");
    let stop = world.stop("a");
    world.connector_reports("a", ConnectorEventKind::Failed { trace: "lost its source".to_owned() });
    none(&stop);
    world.let_go("stop a");
    good(&stop);
    assert_eq!(world.status("a"), "STOPPED");
}

#[test]
fn news_that_come_twice_change_nothing() {
    let mut world = World::running("a", 1);
    world.connector_reports("a", ConnectorEventKind::Started);
    world.connector_reports("a", ConnectorEventKind::Stopped);
    world.task_reports("a", 0, TaskEventKind::Started);
    world.task_reports("a", 0, TaskEventKind::Stopped);
    assert_eq!((world.log().as_str(), world.status("a").as_str()), ("", "RUNNING 0:RUNNING"));
    good(&world.stop("a"));
    world.log();
    world.connector_reports("a", ConnectorEventKind::Started);
    world.connector_reports("a", ConnectorEventKind::Failed { trace: "late".to_owned() });
    world.connector_reports("a", ConnectorEventKind::ReconfigurationRequested);
    assert_eq!((world.log().as_str(), world.status("a").as_str()), ("", "STOPPED"));
}

#[test]
fn tasks_that_are_told_twice_are_taken_once() {
    let mut world = World::running("a", 1);
    world.connector_reports("a", ConnectorEventKind::TaskConfigs(Vec::new()));
    assert_eq!((world.log().as_str(), world.tasks("a")), ("", 1), "it was not asked");
}

#[test]
fn who_no_longer_waits_is_not_kept() {
    let mut world = World::ready();
    world.hang("start a");
    drop(world.create("a", None));
    for _ in 0..100 {
        drop(world.restart("a"));
    }
    assert!(world.waiting("a") <= 1, "{} are kept", world.waiting("a"));
}

#[test]
fn a_deleted_connector_answers_those_who_waited_for_it() {
    let mut world = World::ready();
    world.hang("start a");
    let (create, put, restart) = (world.create("a", None), world.put("a", &[]), world.restart("a"));
    let _delete = world.delete("a");
    let gone = HerderError::NotFound("Connector a not found".to_owned());
    assert_eq!((bad(&create), bad(&put), bad(&restart)), (gone.clone(), gone.clone(), gone));
}
