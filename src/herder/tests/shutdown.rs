//! The end of the worker: everything is told to end, nothing is waited for longer than its deadline, and everybody
//! gets an answer.

use super::world::{TASK_STOP, World, bad, good, none, secs};
use crate::health::StartupPhase;
use crate::herder::msg::{Exit, HerderError, HerderEvent, OffsetsDraft, Request};
use crate::store::config_state::TargetState;

#[test]
fn the_worker_ends_when_all_has_ended_and_says_so_once() {
    let mut world = World::running("a", 1);
    good(&world.create("b", Some(TargetState::Paused)));
    world.hang("stop a-0");
    world.log();
    world.event(HerderEvent::Stop);
    assert_eq!((world.log().as_str(), world.phase), ("stop a, stop a-0", StartupPhase::Stopping));
    assert_eq!((world.exits.as_slice(), world.stage().as_str()), ([].as_slice(), "shutting down"));
    world.event(HerderEvent::Stop);
    world.let_go("stop a-0");
    assert_eq!(world.exits, [Exit::Stopped]);
    world.event(HerderEvent::Wake);
    world.event(HerderEvent::OffsetsRead(Err("too late".to_owned())));
    assert_eq!(world.exits, [Exit::Stopped]);
    assert_eq!(world.log(), "");
}

#[test]
fn what_hangs_is_given_up_at_its_deadline() {
    let mut world = World::running("a", 1);
    world.hang("stop a-0");
    world.hang("stop a");
    world.hang("start b");
    let _create = world.create("b", None);
    world.log();
    world.event(HerderEvent::Stop);
    assert_eq!(world.log(), "stop a, stop a-0, stop b");
    world.advance(TASK_STOP);
    assert_eq!((world.log().as_str(), world.exits.as_slice()), ("abandon a-0", [].as_slice()));
    world.advance(secs(5) - TASK_STOP);
    assert_eq!(
        (world.log().as_str(), world.exits.as_slice()),
        ("abandon a, abandon b", [Exit::Stopped].as_slice())
    );
    for call in ["stop a-0", "stop a", "start b"] {
        world.let_go(call);
    }
    assert_eq!((world.log().as_str(), world.exits.len()), ("", 1));
}

#[test]
fn everybody_who_waits_is_told() {
    let mut world = World::running("a", 1);
    good(&world.stop("a"));
    for call in ["validate b", "start c", "offsets a", "stop d-0"] {
        world.hang(call);
    }
    good(&world.create("d", None));
    let restart = world.restart_task("d", 0);
    let (b, c) = (world.create("b", None), world.create("c", None));
    let offsets = world.ask(|reply| Request::ModifyOffsets("a".into(), OffsetsDraft::Reset, reply));
    none(&c);
    world.event(HerderEvent::Stop);
    for pending in [&b, &c] {
        assert_eq!(bad(pending), HerderError::ShuttingDown);
    }
    assert_eq!(bad(&restart), HerderError::ShuttingDown);
    assert_eq!(bad(&offsets), HerderError::ShuttingDown);
    assert_eq!(bad(&world.health()), HerderError::ShuttingDown);
    for call in ["validate b", "start c", "offsets a", "stop d-0"] {
        world.let_go(call);
    }
    assert_eq!((world.exits.as_slice(), world.status("b").as_str()), ([Exit::Stopped].as_slice(), "gone"));
}

#[test]
fn a_stop_during_the_start_answers_what_was_held() {
    let mut world = World::starting(&["a"]);
    let (probe, create) = (world.health(), world.create("b", None));
    world.event(HerderEvent::Stop);
    assert_eq!(bad(&probe), HerderError::ShuttingDown);
    assert_eq!(bad(&create), HerderError::ShuttingDown);
    world.open_stores();
    assert_eq!((world.log().as_str(), world.exits.as_slice()), ("", [Exit::Stopped].as_slice()));
}

#[test]
fn failed_connectors_are_ended_too() {
    let mut world = World::ready();
    world.fail("start a");
    bad(&world.create("a", None));
    world.log();
    world.event(HerderEvent::Stop);
    assert_eq!((world.log().as_str(), world.exits.as_slice()), ("stop a", [Exit::Stopped].as_slice()));
}
