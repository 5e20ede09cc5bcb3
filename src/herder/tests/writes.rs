//! Writes of the configuration that fail: who waits is told, and the herder goes on.

use std::time::Duration;

use super::world::{World, bad, good, none, secs};
use crate::connector::ConnectorEventKind;
use crate::herder::msg::{Exit, HerderError, Request, Written};
use crate::store::config_state::TargetState;

fn failed(why: &str) -> HerderError {
    HerderError::Failed(why.to_owned())
}

#[test]
fn settings_that_were_not_written_are_not_in_force() {
    let mut world = World::running("b", 1);
    world.fail("write a");
    world.fail("write b");
    let why = failed("Error writing connector configuration to Kafka");
    assert_eq!(bad(&world.create("a", None)), why);
    assert_eq!(bad(&world.put("b", &[("topic", "u")])), why);
    assert_eq!(world.log(), "validate a, write a, validate b, write b");
    assert_eq!((world.status("a").as_str(), world.status("b").as_str()), ("gone", "RUNNING 0:RUNNING"));
    world.let_go("write a");
    good(&world.create("a", None));
    assert_eq!(world.status("a"), "RUNNING 0:RUNNING", "the name was not taken");
}

#[test]
fn what_was_not_ended_runs_on() {
    let mut world = World::running("a", 1);
    world.fail("remove a");
    world.fail("write 0 tasks of a, write a Stopped");
    world.fail("write a Paused");
    assert_eq!(bad(&world.delete("a")), failed("Error removing connector configuration from Kafka"));
    let why = failed("Error writing target state to Kafka");
    assert_eq!(bad(&world.stop("a")), why);
    assert_eq!(bad(&world.target("a", TargetState::Paused)), why);
    assert_eq!((world.status("a").as_str(), world.tasks("a")), ("RUNNING 0:RUNNING", 1));
    assert_eq!(world.log(), "remove a, write 0 tasks of a, write a Stopped, write a Paused");
}

#[test]
fn tasks_that_were_not_written_are_tried_again_with_pauses() {
    let mut world = World::ready();
    world.fail("write 1 tasks of a");
    let create = world.create("a", None);
    assert_eq!(bad(&create), failed("Error writing task configurations to Kafka"));
    assert_eq!(world.log(), "validate a, write a, start a, tasks a, write 1 tasks of a");
    assert_eq!((world.status("a").as_str(), world.tasks("a")), ("RUNNING", 0));
    for pause_ms in [250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000] {
        world.advance(Duration::from_millis(pause_ms - 1));
        assert_eq!(world.log(), "", "not before {pause_ms} ms");
        world.advance(Duration::from_millis(1));
        assert_eq!(world.log(), "tasks a, write 1 tasks of a");
    }
    world.let_go("write 1 tasks of a");
    world.advance(secs(60));
    assert_eq!(world.log(), "tasks a, write 1 tasks of a, start a-0");
    world.fail("write 2 tasks of a");
    world.set_tasks("a", 2);
    world.connector_reports("a", ConnectorEventKind::ReconfigurationRequested);
    assert_eq!(world.log(), "tasks a, write 2 tasks of a");
    world.connector_reports("a", ConnectorEventKind::ReconfigurationRequested);
    assert_eq!(world.log(), "", "it is about to be asked anyway");
    world.let_go("write 2 tasks of a");
    world.advance(Duration::from_millis(250));
    assert_eq!(world.log(), "tasks a, write 2 tasks of a, stop a-0, start a-0, start a-1");
}

#[test]
fn a_restart_does_not_wait_for_the_pause() {
    let mut world = World::running("a", 1);
    world.set_tasks("a", 2);
    world.fail("write 2 tasks of a");
    world.connector_reports("a", ConnectorEventKind::ReconfigurationRequested);
    assert_eq!(world.log(), "tasks a, write 2 tasks of a");
    good(&world.restart("a"));
    assert_eq!(world.log(), "stop a, start a, tasks a", "as many tasks as its settings say");
    world.advance(secs(60));
    assert_eq!((world.log().as_str(), world.status("a").as_str()), ("", "RUNNING 0:RUNNING"));
}

#[test]
fn a_connector_that_stops_is_not_asked_again() {
    let mut world = World::running("a", 1);
    world.set_tasks("a", 2);
    world.fail("write 2 tasks of a");
    world.connector_reports("a", ConnectorEventKind::ReconfigurationRequested);
    world.hang("stop a");
    good(&world.target("a", TargetState::Paused));
    world.log();
    world.advance(secs(4));
    assert_eq!(world.log(), "");
    world.let_go("stop a");
    world.advance(secs(60));
    assert_eq!((world.log().as_str(), world.status("a").as_str()), ("", "PAUSED 0:PAUSED"));
}

#[test]
fn a_failure_that_is_told_of_what_was_written_after_all_is_told_and_no_more() {
    let why = failed("too late");
    let mut world = World::running("a", 1);
    world.hold_log();
    let put = world.put("a", &[("topic", "u")]);
    world.release_log_too_late(&why);
    assert_eq!(bad(&put), why);
    assert_eq!(world.started["a-0"].settings["topic"], "u");
    world.set_tasks("a", 2);
    world.hold_log();
    world.connector_reports("a", ConnectorEventKind::ReconfigurationRequested);
    world.log();
    world.release_log_too_late(&why);
    assert_eq!(world.log(), "stop a-0, start a-0, start a-1");
    world.advance(secs(60));
    assert_eq!((world.log().as_str(), world.tasks("a")), ("tasks a", 2), "they are in force");
}

#[test]
fn a_patch_waits_for_the_end_of_another_write_of_the_settings() {
    for fails in [false, true] {
        let mut world = World::running("a", 1);
        world.hold_log();
        if fails {
            world.fail("write a");
        }
        let put = world.put("a", &[("x", "set")]);
        let changes = [("y".to_owned(), Some("set".to_owned()))];
        let patch = world.ask(|reply| Request::Patch { name: "a".into(), changes: changes.into(), reply });
        assert_eq!(world.log(), "validate a, write a, validate a");
        world.let_go("write a");
        world.release_log();
        assert_eq!(put.poll().map(|answer| answer.is_err()), Some(fails));
        let config = good(&patch).1.config;
        assert_eq!((config.contains_key("x"), config.contains_key("y")), (!fails, true));
    }
}

#[test]
fn tasks_that_are_told_while_a_stop_is_written_do_not_come_after_it() {
    let stop = "write 0 tasks of a, write a Stopped";
    let mut world = World::running("a", 1);
    let ask = |world: &mut World| {
        world.set_tasks("a", 2);
        world.hold_log();
        let stop = world.stop("a");
        world.connector_reports("a", ConnectorEventKind::ReconfigurationRequested);
        stop
    };
    world.fail(stop);
    let failing = ask(&mut world);
    assert_eq!(world.log(), format!("{stop}, tasks a"));
    world.release_log();
    bad(&failing);
    world.advance(Duration::from_millis(250));
    assert_eq!(
        world.log(),
        "tasks a, write 2 tasks of a, stop a-0, start a-0, start a-1",
        "it goes on after all"
    );
    world.let_go(stop);
    let stopping = ask(&mut world);
    world.release_log();
    good(&stopping);
    world.advance(secs(60));
    assert_eq!((world.status("a").as_str(), world.tasks("a")), ("STOPPED", 0));
}

#[test]
fn what_an_earlier_instance_said_of_its_tasks_does_not_stay_in_force() {
    let mut world = World::running("a", 1);
    world.set_tasks("a", 2);
    world.hold_log();
    world.connector_reports("a", ConnectorEventKind::ReconfigurationRequested);
    let restart = world.restart("a");
    assert_eq!(world.log(), "tasks a, write 2 tasks of a, stop a, start a, tasks a");
    world.release_log();
    assert!(world.log().contains("write 1 tasks of a"), "there was one in force, but there are two now");
    good(&restart);
    assert_eq!((world.tasks("a"), world.status("a").as_str()), (1, "RUNNING 0:RUNNING"));
}

#[test]
fn a_connector_of_the_command_line_that_cannot_be_written_ends_the_worker() {
    let mut world = World::starting(&["a"]);
    world.fail("write a");
    let probe = world.health();
    world.open_stores();
    none(&probe);
    let why = "a.properties: Error writing connector configuration to Kafka".to_owned();
    assert_eq!(world.exits, [Exit::ConnectorFailed(why)]);
}

#[test]
fn what_a_write_did_is_known_when_it_is_read_back() {
    let mut world = World::running("a", 1);
    world.hold_log();
    let (delete, first, second) = (world.delete("a"), world.put("a", &[]), world.put("a", &[]));
    world.release_log();
    good(&delete);
    assert_eq!((good(&first).0, good(&second).0), (Written::Created, Written::Updated));
}

#[test]
fn changes_that_nobody_waits_for_any_more_are_not_kept() {
    let mut world = World::running("a", 1);
    world.hold_log();
    let pausing = world.target("a", TargetState::Paused);
    for _ in 0..100 {
        drop(world.target("a", TargetState::Paused));
    }
    let resuming = world.target("a", TargetState::Started);
    assert_eq!(world.unwritten(), 1, "one is on its way, and one waits");
    world.release_log();
    good(&pausing);
    good(&resuming);
}

#[test]
fn who_waits_for_settings_that_are_not_written_any_more_goes_on() {
    let mut world = World::running("a", 1);
    world.hold_log();
    let pausing = world.target("a", TargetState::Paused);
    let put = world.put("a", &[("topic", "u")]);
    let changes = [("value".to_owned(), Some("1".to_owned()))];
    let patch = world.ask(|reply| Request::Patch { name: "a".into(), changes: changes.into(), reply });
    none(&patch);
    drop(put);
    let resuming = world.target("a", TargetState::Started);
    world.release_log();
    good(&pausing);
    good(&resuming);
    let (_, info) = good(&patch);
    assert_eq!((info.config["topic"].as_str(), info.config["value"].as_str()), ("t", "1"));
}
