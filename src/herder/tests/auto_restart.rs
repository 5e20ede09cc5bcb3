//! Connectors and tasks that fail and start again by themselves.

use super::world::{World, bad, good, secs};
use crate::connector::ConnectorEventKind;
use crate::herder::auto_restart::Restarted;
use crate::store::config_state::TargetState;
use crate::task::TaskEventKind;

const ON: (&str, &str) = ("auto.restart.enable", "true");
/// Pauses of 2, 6, 12 … seconds.
const SECONDS: (&str, &str) = ("auto.restart.backoff.ms", "1000");

/// A ready worker with a running connector that is restarted, with other settings on top.
fn restarting(more: &[(&str, &str)]) -> World {
    let mut world = World::ready();
    let settings = [&[ON, SECONDS], more].concat();
    good(&world.put("a", &settings));
    world.log();
    world
}

fn task_fails(world: &mut World) {
    world.task_reports("a", 0, TaskEventKind::Failed { trace: "bad record".to_owned() });
}

fn connector_fails(world: &mut World) {
    world.connector_reports("a", ConnectorEventKind::Failed { trace: "lost its source".to_owned() });
}

#[test]
fn a_task_that_fails_again_and_again_is_restarted_at_growing_pauses() {
    let mut world = restarting(&[]);
    world.fail("start a-0");
    task_fails(&mut world);
    assert_eq!(world.log(), "start a-0", "at once");
    assert_eq!(world.status("a"), "RUNNING 0:FAILED");
    for pause in [2, 6, 12] {
        world.advance(secs(pause) - secs(1) / 10);
        assert_eq!(world.log(), "", "not before {pause} s");
        world.advance(secs(1) / 10);
        assert_eq!(world.log(), "start a-0", "after {pause} s");
    }
    world.let_go("start a-0");
    world.advance(secs(20));
    assert_eq!((world.log().as_str(), world.status("a").as_str()), ("start a-0", "RUNNING 0:RUNNING"));
    assert_eq!(world.restarts("a", Some(0)), 5);
    world.advance(secs(3600));
    assert_eq!(world.log(), "");
    task_fails(&mut world);
    assert_eq!(world.log(), "start a-0", "it ran so long that it begins to count anew");
}

#[test]
fn tasks_know_whether_they_are_restarted() {
    assert!(restarting(&[]).started["a-0"].restarts);
    assert!(!restarting(&[("auto.restart.enable", "false")]).started["a-0"].restarts);
}

#[test]
fn a_connector_that_fails_is_ended_and_started() {
    let mut world = restarting(&[]);
    connector_fails(&mut world);
    assert_eq!(world.log(), "stop a, start a, tasks a");
    assert_eq!(world.status("a"), "RUNNING 0:RUNNING");
    world.hang("stop a");
    connector_fails(&mut world);
    assert_eq!(world.status("a"), "FAILED 0:RUNNING");
    world.advance(secs(2));
    assert_eq!(world.status("a"), "RESTARTING 0:RUNNING");
    world.let_go("stop a");
    assert_eq!((world.log().as_str(), world.restarts("a", None)), ("stop a, start a, tasks a", 2));
    assert_eq!(world.restarts("a", Some(0)), 0, "each counts for itself");
}

#[test]
fn without_being_asked_for_nothing_restarts() {
    let mut world = World::running("a", 1);
    task_fails(&mut world);
    connector_fails(&mut world);
    world.advance(secs(100_000));
    assert_eq!((world.log().as_str(), world.status("a").as_str()), ("", "FAILED 0:FAILED"));
}

#[test]
fn after_so_many_restarts_in_a_row_it_stays_failed_until_somebody_restarts_it() {
    let mut world = restarting(&[("auto.restart.max.restarts", "1")]);
    world.fail("start a-0");
    task_fails(&mut world);
    world.advance(secs(100_000));
    assert_eq!((world.log().as_str(), world.status("a").as_str()), ("start a-0", "RUNNING 0:FAILED"));
    world.let_go("start a-0");
    good(&world.restart_task("a", 0));
    assert_eq!(world.status("a"), "RUNNING 0:RUNNING");
}

#[test]
fn who_waits_is_told_of_the_failure_as_without_restarts() {
    let mut world = World::ready();
    world.fail("start a");
    let put = world.put("a", &[ON, SECONDS]);
    assert_eq!(bad(&put).to_string(), "Failed to start connector: a: cannot start a");
    assert_eq!(world.status("a"), "FAILED");
    world.let_go("start a");
    world.advance(secs(2));
    assert_eq!(world.status("a"), "RUNNING 0:RUNNING");
}

#[test]
fn what_rests_or_is_gone_does_not_restart() {
    for target in [TargetState::Paused, TargetState::Stopped] {
        let mut world = restarting(&[]);
        world.fail("start a-0");
        task_fails(&mut world);
        if target == TargetState::Stopped {
            good(&world.stop("a"));
        } else {
            good(&world.target("a", target));
        }
        world.log();
        world.advance(secs(100_000));
        assert_eq!(world.log(), "", "{target:?}");
    }
    let mut world = restarting(&[]);
    world.fail("start a-0");
    task_fails(&mut world);
    good(&world.delete("a"));
    world.log();
    world.advance(secs(100_000));
    assert_eq!((world.log().as_str(), world.restarts("a", Some(0))), ("", 0));
}

#[test]
fn other_settings_count_anew() {
    let mut world = restarting(&[("auto.restart.max.restarts", "1")]);
    world.fail("start a-0");
    task_fails(&mut world);
    world.advance(secs(100));
    assert_eq!(world.log(), "start a-0");
    good(&world.put("a", &[ON, SECONDS, ("topic", "u")]));
    assert!(
        world.log().ends_with("start a-0, start a-0"),
        "started with the new settings, and restarted once"
    );
}

#[test]
fn a_worker_that_ends_restarts_nothing() {
    let mut world = restarting(&[]);
    world.fail("start a-0");
    task_fails(&mut world);
    world.event(crate::herder::msg::HerderEvent::Stop);
    world.log();
    world.advance(secs(100));
    assert_eq!(world.log(), "");
}

impl World {
    /// How often something was restarted by itself.
    fn restarts(&self, connector: &str, task: Option<u32>) -> u64 {
        let of = Restarted { connector: connector.into(), task };
        let (_, totals) = self.herder().restart_totals(u64::MAX).expect("no version is so high");
        totals.get(&of).copied().unwrap_or_default()
    }
}
