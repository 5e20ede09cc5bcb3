//! Changes of what is configured, at moments that do not suit.

use super::world::{World, bad, good, none, secs};
use crate::connector::ConnectorEventKind;
use crate::herder::msg::Request;
use crate::store::config_state::{RestartScope, TargetState};

#[test]
fn new_settings_that_lead_to_the_same_tasks_restart_the_connector_and_the_tasks() {
    let mut world = World::running("a", 1);
    good(&world.put("a", &[("tasks.max", "1"), ("batch", "7")]));
    assert_eq!(
        world.log(),
        "validate a, write a, stop a, start a, tasks a, write 1 tasks of a, stop a-0, start a-0",
        "tasks see the settings of their connector, too"
    );
    assert_eq!(world.started["a-0"].connector["batch"], "7");
}

#[test]
fn the_same_settings_again_restart_the_connector_only() {
    let mut world = World::running("a", 1);
    good(&world.put("a", &[("tasks.max", "1")]));
    assert_eq!(world.log(), "validate a, write a, stop a, start a, tasks a");
}

#[test]
fn tasks_run_again_only_if_what_the_connector_says_of_them_has_changed() {
    let mut world = World::running("a", 2);
    world.connector_reports("a", ConnectorEventKind::ReconfigurationRequested);
    assert_eq!(world.log(), "tasks a");
    world.set_tasks("a", 1);
    world.connector_reports("a", ConnectorEventKind::ReconfigurationRequested);
    assert_eq!(world.log(), "tasks a, write 1 tasks of a, stop a-0, stop a-1, start a-0");
    assert_eq!((world.status("a").as_str(), world.tasks("a")), ("RUNNING 0:RUNNING", 1));
}

#[test]
fn new_tasks_start_when_all_old_ones_have_ended() {
    let mut world = World::running("a", 2);
    world.hang("stop a-1");
    good(&world.put("a", &[("tasks.max", "3")]));
    assert_eq!(
        world.log(),
        "validate a, write a, stop a, start a, tasks a, write 3 tasks of a, stop a-0, stop a-1"
    );
    assert_eq!(world.status("a"), "RUNNING 0:UNASSIGNED 1:RUNNING");
    world.let_go("stop a-1");
    assert_eq!(world.log(), "start a-0, start a-1, start a-2");
    assert_eq!(world.status("a"), "RUNNING 0:RUNNING 1:RUNNING 2:RUNNING");
}

#[test]
fn settings_that_come_while_it_starts_replace_the_start() {
    let mut world = World::ready();
    world.hang("start a");
    let create = world.create("a", None);
    let put = world.put("a", &[("topic", "u")]);
    none(&create);
    assert_eq!(world.log(), "validate a, write a, start a, validate a, write a, stop a");
    world.let_go("start a");
    assert_eq!(world.log(), "start a, tasks a, write 1 tasks of a, start a-0");
    assert_eq!(world.started["a-0"].settings["topic"], "u");
    good(&create);
    good(&put);
}

#[test]
fn of_several_changes_in_a_row_only_the_last_runs() {
    let mut world = World::running("a", 1);
    world.hang("stop a");
    let puts: Vec<_> = ["u", "v", "w"].map(|topic| world.put("a", &[("topic", topic)])).into();
    assert_eq!(world.log(), "validate a, write a, stop a, validate a, write a, validate a, write a");
    world.let_go("stop a");
    assert_eq!(world.log(), "start a, tasks a, write 1 tasks of a, stop a-0, start a-0");
    assert_eq!(world.started["a-0"].settings["topic"], "w");
    for put in puts {
        assert_eq!(good(&put).1.config["topic"], "w");
    }
}

#[test]
fn a_connector_that_asks_again_while_it_is_asked_is_asked_once_more() {
    let mut world = World::running("a", 1);
    world.hang("tasks a");
    for _ in 0..3 {
        world.connector_reports("a", ConnectorEventKind::ReconfigurationRequested);
    }
    assert_eq!(world.log(), "tasks a");
    world.let_go("tasks a");
    assert_eq!(world.log(), "tasks a");
    world.connector_reports("a", ConnectorEventKind::ReconfigurationRequested);
    assert_eq!(world.log(), "tasks a", "it was settled");
}

#[test]
fn a_wish_for_other_tasks_during_the_start_is_met_by_the_start() {
    let mut world = World::ready();
    world.hang("start a");
    let create = world.create("a", None);
    world.connector_reports("a", ConnectorEventKind::ReconfigurationRequested);
    world.let_go("start a");
    good(&create);
    assert_eq!(world.log(), "validate a, write a, start a, tasks a, write 1 tasks of a, start a-0");
}

#[test]
fn tasks_that_are_told_when_it_is_paused_are_not_heard() {
    let mut world = World::running("a", 1);
    world.set_tasks("a", 2);
    world.hang("tasks a");
    world.connector_reports("a", ConnectorEventKind::ReconfigurationRequested);
    good(&world.target("a", TargetState::Paused));
    world.let_go("tasks a");
    assert_eq!((world.tasks("a"), world.status("a").as_str()), (1, "PAUSED 0:PAUSED"));
    good(&world.target("a", TargetState::Started));
    assert_eq!((world.tasks("a"), world.status("a").as_str()), (1, "RUNNING 0:RUNNING"));
}

#[test]
fn a_stop_that_is_overtaken_by_a_resume_is_answered() {
    let mut world = World::running("a", 1);
    world.hang("stop a");
    let stop = world.stop("a");
    good(&world.target("a", TargetState::Started));
    world.let_go("stop a");
    good(&stop);
    assert_eq!(world.status("a"), "RUNNING 0:RUNNING");
}

#[test]
fn what_was_deleted_can_be_made_anew_at_once() {
    for hanging in ["start a", "stop a", "stop a-0"] {
        let mut world = World::running("a", 1);
        world.hang(hanging);
        let _restart = (world.restart("a"), world.restart_task("a", 0));
        let delete = world.delete("a");
        let create = world.create("a", None);
        world.advance(secs(6));
        good(&delete);
        world.let_go(hanging);
        good(&create);
        world.advance(secs(6));
        assert_eq!(world.status("a"), "RUNNING 0:RUNNING", "after a hanging {hanging}");
    }
}

#[test]
fn writes_whose_entries_come_back_late_are_told_apart() {
    let mut world = World::ready();
    world.hold_log();
    let (first, second) = (world.create("a", None), world.create("a", None));
    let put = world.put("a", &[("topic", "u")]);
    world.release_log();
    good(&first);
    assert_eq!(bad(&second).to_string(), "Connector a already exists");
    assert_eq!(good(&put).0, crate::herder::msg::Written::Updated);
}

#[test]
fn tasks_of_another_class_do_not_start_from_settings_of_the_old_one() {
    let mut world = World::running("a", 1);
    world.hang("tasks a");
    world.put("a", &[("connector.class", "FakeSource"), ("topic", "other")]);
    let scope = RestartScope { only_failed: false, include_tasks: true };
    let restart = world.ask(|reply| Request::RestartParts("a".into(), scope, reply));
    assert_eq!(world.started["a-0"].settings["topic"], "t", "the task was not started again");
    assert!(!world.log().contains("start a-0"));
    world.let_go("tasks a");
    good(&restart);
    assert_eq!(world.started["a-0"].settings["topic"], "other");
    assert_eq!(world.status("a"), "RUNNING 0:RUNNING");
}
