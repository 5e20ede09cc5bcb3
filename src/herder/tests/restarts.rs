//! Restarts of a connector, of its parts, of a task.

use super::world::{World, bad, good, none};
use crate::connector::ConnectorEventKind;
use crate::herder::msg::{HerderError, Request};
use crate::herder::view::{ConnectorStatus, RunState};
use crate::store::config_state::{RestartScope, TargetState};
use crate::task::TaskEventKind;

fn restart_parts(world: &mut World, only_failed: bool, include_tasks: bool) -> ConnectorStatus {
    let scope = RestartScope { only_failed, include_tasks };
    good(&world.ask(|reply| Request::RestartParts("a".into(), scope, reply)))
}

fn states(status: &ConnectorStatus) -> Vec<RunState> {
    let tasks = status.tasks.values().map(|task| task.state);
    std::iter::once(status.connector.state).chain(tasks).collect()
}

#[test]
fn a_restart_is_of_the_connector_alone_and_answered_when_it_runs() {
    let mut world = World::running("a", 1);
    world.hang("start a");
    let restart = world.restart("a");
    none(&restart);
    assert_eq!(world.status("a"), "RESTARTING 0:RUNNING");
    world.let_go("start a");
    good(&restart);
    assert_eq!(world.log(), "stop a, start a, tasks a");
}

#[test]
fn a_restart_that_fails_says_so() {
    let mut world = World::running("a", 1);
    world.fail("start a");
    assert_eq!(bad(&world.restart("a")).to_string(), "Failed to start connector: a: cannot start a");
    assert_eq!(world.status("a"), "FAILED 0:RUNNING");
}

#[test]
fn a_failed_connector_is_ended_before_it_starts_again() {
    let mut world = World::running("a", 1);
    world.connector_reports("a", ConnectorEventKind::Failed { trace: "lost its source".to_owned() });
    assert_eq!((world.log().as_str(), world.status("a").as_str()), ("", "FAILED 0:RUNNING"));
    good(&world.restart("a"));
    assert_eq!(world.log(), "stop a, start a, tasks a");
    world.connector_reports("a", ConnectorEventKind::Failed { trace: "lost its source".to_owned() });
    good(&world.delete("a"));
    assert_eq!(world.log(), "remove a, stop a, stop a-0");
}

#[test]
fn restarts_leave_alone_what_rests() {
    for (target, status) in [(TargetState::Paused, "PAUSED 0:PAUSED"), (TargetState::Stopped, "STOPPED")] {
        let mut world = World::running("a", 1);
        if target == TargetState::Stopped {
            good(&world.stop("a"));
        } else {
            good(&world.target("a", target));
        }
        world.log();
        good(&world.restart("a"));
        assert_eq!((world.log().as_str(), world.status("a").as_str()), ("", status));
        assert_eq!(restart_parts(&mut world, false, false).connector.state, RunState::Restarting);
        assert_eq!((world.log().as_str(), world.status("a").as_str()), ("", status));
    }
}

#[test]
fn the_scope_says_which_parts_restart() {
    use RunState::{Failed, Restarting, Running};
    let table = [
        (false, false, [Restarting, Running, Failed], "stop a, start a, tasks a"),
        (
            false,
            true,
            [Restarting, Restarting, Restarting],
            "stop a, stop a-0, start a, tasks a, start a-0, start a-1",
        ),
        (true, false, [Running, Running, Failed], ""),
        (true, true, [Running, Running, Restarting], "start a-1"),
    ];
    for (only_failed, include_tasks, expected, log) in table {
        let mut world = World::running("a", 2);
        world.task_reports("a", 1, TaskEventKind::Failed { trace: "bad record".to_owned() });
        let answer = restart_parts(&mut world, only_failed, include_tasks);
        assert_eq!(states(&answer), expected, "only failed: {only_failed}, tasks: {include_tasks}");
        assert_eq!(world.log(), log);
        let last = if include_tasks { "RUNNING 0:RUNNING 1:RUNNING" } else { "RUNNING 0:RUNNING 1:FAILED" };
        assert_eq!(world.status("a"), last);
    }
}

#[test]
fn a_restart_of_parts_needs_a_status() {
    let mut world = World::ready();
    world.hang("start a");
    let _create = world.create("a", None);
    let scope = RestartScope { only_failed: true, include_tasks: true };
    let restart = world.ask(|reply| Request::RestartParts("a".into(), scope, reply));
    assert_eq!(bad(&restart), HerderError::NotFound("Status for connector a not found".to_owned()));
}

#[test]
fn a_task_is_restarted_alone() {
    let mut world = World::running("a", 2);
    good(&world.restart_task("a", 1));
    assert_eq!(world.log(), "stop a-1, start a-1");
    world.task_reports("a", 0, TaskEventKind::Failed { trace: "bad record".to_owned() });
    good(&world.restart_task("a", 0));
    assert_eq!(
        (world.log().as_str(), world.status("a").as_str()),
        ("start a-0", "RUNNING 0:RUNNING 1:RUNNING")
    );
    assert_eq!(bad(&world.restart_task("a", 2)), HerderError::NotFound("Task a-2 not found".to_owned()));
}

#[test]
fn a_restart_of_a_task_waits_for_its_end() {
    let mut world = World::running("a", 1);
    world.hang("stop a-0");
    let restart = world.restart_task("a", 0);
    none(&restart);
    assert_eq!(world.status("a"), "RUNNING 0:RESTARTING");
    world.let_go("stop a-0");
    good(&restart);
    assert_eq!(world.status("a"), "RUNNING 0:RUNNING");
}

#[test]
fn a_restart_of_a_task_that_is_still_to_come_waits_for_its_start() {
    let mut world = World::running("a", 1);
    world.hang("stop a-0");
    good(&world.put("a", &[("tasks.max", "2")]));
    let restart = world.restart_task("a", 1);
    none(&restart);
    world.let_go("stop a-0");
    good(&restart);
    assert_eq!(world.status("a"), "RUNNING 0:RUNNING 1:RUNNING");
}

#[test]
fn a_task_that_goes_away_meanwhile_is_not_restarted() {
    let mut world = World::running("a", 2);
    world.hang("stop a-1");
    let restart = world.restart_task("a", 1);
    good(&world.put("a", &[("tasks.max", "1")]));
    world.let_go("stop a-1");
    assert_eq!(bad(&restart), HerderError::NotFound("Task a-1 not found".to_owned()));
    assert_eq!(world.status("a"), "RUNNING 0:RUNNING");
}

#[test]
fn the_old_state_does_not_speak_for_what_is_being_started() {
    let mut world = World::running("a", 1);
    world.connector_reports("a", ConnectorEventKind::Failed { trace: "lost its source".to_owned() });
    world.task_reports("a", 0, TaskEventKind::Failed { trace: "bad record".to_owned() });
    assert_eq!(world.status("a"), "FAILED 0:FAILED");
    world.hang("start a");
    world.hang("start a-0");
    let put = world.put("a", &[("topic", "u")]);
    assert_eq!(world.status("a"), "UNASSIGNED 0:FAILED");
    world.let_go("start a");
    good(&put);
    assert_eq!(world.status("a"), "RUNNING 0:UNASSIGNED");
    world.let_go("start a-0");
    assert_eq!(world.status("a"), "RUNNING 0:RUNNING");
}

#[test]
fn a_restart_of_parts_is_answered_when_they_have_come_to_rest() {
    let mut world = World::running("a", 1);
    world.hang("start a-0");
    let scope = RestartScope { only_failed: false, include_tasks: true };
    let restart = world.ask(|reply| Request::RestartParts("a".into(), scope, reply));
    none(&restart);
    world.let_go("start a-0");
    assert_eq!(states(&good(&restart)), [RunState::Restarting, RunState::Restarting]);
    world.fail("start a");
    assert_eq!(restart_parts(&mut world, false, false).connector.state, RunState::Restarting);
    assert_eq!(world.status("a"), "FAILED 0:RUNNING");
}

#[test]
fn a_restart_of_what_has_no_class_here_is_answered_also_if_its_tasks_were_asked_for_before() {
    let mut world = World::running("a", 1);
    world.hang("tasks a");
    world.connector_reports("a", ConnectorEventKind::ReconfigurationRequested);
    let put = world.put("a", &[("connector.class", "gone.Connector")]);
    world.let_go("tasks a");
    bad(&put);
    restart_parts(&mut world, false, false);
    assert_eq!(world.status("a"), "FAILED 0:RUNNING");
}
