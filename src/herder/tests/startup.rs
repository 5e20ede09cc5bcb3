//! The start of the worker: what is held, what is answered, and when it is ready.

use super::world::{World, bad, good, none, secs};
use crate::connector::ConnectorEventKind;
use crate::health::StartupPhase;
use crate::herder::msg::{Exit, HerderError, HerderEvent, Request};
use crate::store::config_state::TargetState;

#[test]
fn health_is_held_until_kafka_and_offsets_and_all_of_the_command_line_are_there() {
    let mut world = World::starting(&["a", "b"]);
    world.hang("start b");
    world.hang("tasks b");
    world.hang("start b-0");
    let probe = world.health();
    assert_eq!(world.stage(), "reading the offsets file");
    world.event(HerderEvent::OffsetsRead(Ok(())));
    assert_eq!(world.stage(), "trying to reach the Kafka cluster");
    assert_eq!(world.log(), "");
    world.event(HerderEvent::KafkaReached);
    assert_eq!(
        world.log(),
        "validate a, validate b, write a, start a, write b, start b, tasks a, write 1 tasks of a, start a-0"
    );
    for call in ["start b", "tasks b", "start b-0"] {
        none(&probe);
        assert_eq!((world.stage().as_str(), world.phase), ("starting connector b", StartupPhase::Starting));
        world.let_go(call);
    }
    good(&probe);
    good(&world.health());
    assert_eq!((world.stage().as_str(), world.phase), ("nothing", StartupPhase::Ready));
    assert_eq!(world.exits, []);
}

#[test]
fn without_a_command_line_the_stores_are_all_it_takes() {
    let mut world = World::starting(&[]);
    let probe = world.health();
    world.event(HerderEvent::KafkaReached);
    none(&probe);
    world.event(HerderEvent::OffsetsRead(Ok(())));
    good(&probe);
}

#[test]
fn a_failed_task_of_the_command_line_has_come_to_rest() {
    let mut world = World::starting(&["a"]);
    world.fail("start a-0");
    let probe = world.health();
    world.open_stores();
    good(&probe);
    assert_eq!(world.status("a"), "RUNNING 0:FAILED");
}

#[test]
fn a_connector_of_the_command_line_that_cannot_be_made_ends_the_worker() {
    for (call, why) in [
        ("validate a", "a.properties: a is invalid"),
        ("start a", "a.properties: Failed to start connector: a: cannot start a"),
        ("tasks a", "a.properties: Failed to start connector: a: cannot tasks a"),
    ] {
        let mut world = World::starting(&["a"]);
        world.fail(call);
        let probe = world.health();
        world.open_stores();
        none(&probe);
        assert_eq!(world.exits, [Exit::ConnectorFailed(why.to_owned())]);
        world.event(HerderEvent::Stop);
        assert_eq!(bad(&probe), HerderError::ShuttingDown);
        assert_eq!(world.exits.last(), Some(&Exit::Stopped));
    }
}

#[test]
fn a_name_that_stands_twice_on_the_command_line_ends_the_worker() {
    let mut world = World::starting(&["a", "a"]);
    world.open_stores();
    let why = "a.properties: Connector a already exists";
    assert_eq!(world.exits, [Exit::ConnectorFailed(why.to_owned())]);
}

#[test]
fn offsets_that_cannot_be_read_end_the_worker() {
    let mut world = World::starting(&[]);
    world.event(HerderEvent::OffsetsRead(Err("cut short".to_owned())));
    assert_eq!(world.exits, [Exit::OffsetsUnreadable("cut short".to_owned())]);
}

#[test]
fn a_connector_of_the_command_line_that_a_client_deletes_is_no_longer_waited_for() {
    let mut world = World::starting(&["a"]);
    world.hang("start a");
    world.open_stores();
    let probe = world.health();
    let delete = world.delete("a");
    good(&probe);
    world.let_go("start a");
    good(&delete);
    assert_eq!(world.exits, []);
}

#[test]
fn a_client_cannot_take_a_name_of_the_command_line() {
    let mut world = World::starting(&["a"]);
    world.hang("validate a");
    world.open_stores();
    // Its own settings are checked sooner than those of the command line.
    let put = world.put("a", &[("name", "other")]);
    assert_eq!(bad(&put).to_string(), "Connector a is about to be created from the command line; try again");
    let create = world.create("a", None);
    world.let_go("validate a");
    assert_eq!(bad(&create).to_string(), "Connector a already exists");
    good(&world.put("a", &[]));
    assert_eq!(world.exits, []);
    good(&world.health());
}

#[test]
fn a_connector_of_the_command_line_can_be_paused_while_it_starts() {
    let mut world = World::starting(&["a"]);
    world.hang("start a");
    world.open_stores();
    let probe = world.health();
    good(&world.target("a", TargetState::Paused));
    none(&probe);
    world.advance(secs(5));
    good(&probe);
    assert_eq!(world.status("a"), "PAUSED");
    world.let_go("start a");
    assert_eq!(world.status("a"), "PAUSED");
}

#[test]
fn requests_are_held_while_the_stores_are_missing_and_served_in_order() {
    let mut world = World::starting(&[]);
    let create = world.create("a", None);
    let pause = world.target("a", TargetState::Paused);
    world.event(HerderEvent::KafkaReached);
    none(&create);
    none(&pause);
    world.event(HerderEvent::OffsetsRead(Ok(())));
    good(&create);
    // It came before the connector was validated.
    assert_eq!(bad(&pause), HerderError::NotFound("Unknown connector a".to_owned()));
}

#[test]
fn a_held_request_is_dropped_with_its_asker() {
    let mut world = World::starting(&[]);
    drop(world.create("gone", None));
    let create = world.create("a", None);
    world.open_stores();
    good(&create);
    assert_eq!(world.status("gone"), "gone");
    assert!(!world.log().contains("gone"));
}

#[test]
fn requests_beyond_the_bound_are_refused_and_those_who_left_do_not_count() {
    let mut world = World::starting(&[]);
    for _ in 0..2000 {
        drop(world.ask(|reply| Request::Info("a".into(), reply)));
    }
    let held: Vec<_> = (0..1024).map(|_| world.ask(|reply| Request::Info("a".into(), reply))).collect();
    let refused = world.ask(|reply| Request::Info("a".into(), reply));
    assert!(bad(&refused).to_string().contains("1024 requests are waiting"));
    world.open_stores();
    for pending in held {
        assert_eq!(bad(&pending), HerderError::NotFound("Connector a not found".to_owned()));
    }
}

#[test]
fn a_connector_that_fails_later_in_the_start_ends_the_worker_too() {
    let mut world = World::starting(&["a"]);
    world.hang("tasks a");
    world.open_stores();
    world.connector_reports("a", ConnectorEventKind::Failed { trace: "lost its source".to_owned() });
    let why = "a.properties: Failed to start connector: a: lost its source".to_owned();
    assert_eq!(world.exits, [Exit::ConnectorFailed(why)]);
}
