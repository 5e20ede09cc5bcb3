//! When offsets may be changed, and what waits for it.

use serde_json::json;

use super::world::{World, bad, good, none, secs};
use crate::api::source::AlterOffsets;
use crate::herder::msg::{Answer, HerderError, OffsetsDraft, Request};
use crate::stdx::reply::Pending;
use crate::store::config_state::TargetState;

fn reset(world: &mut World) -> Pending<Answer<AlterOffsets>> {
    world.ask(|reply| Request::ModifyOffsets("a".into(), OffsetsDraft::Reset, reply))
}

fn stopped() -> World {
    let mut world = World::running("a", 1);
    good(&world.stop("a"));
    world.log();
    world
}

#[test]
fn offsets_change_only_while_it_is_stopped() {
    let mut world = World::ready();
    assert_eq!(bad(&reset(&mut world)), HerderError::NotFound("Connector a not found".to_owned()));
    good(&world.create("a", None));
    let must_stop = "Connectors must be in the STOPPED state before their offsets can be modified.";
    assert!(bad(&reset(&mut world)).to_string().starts_with(must_stop));
    good(&world.target("a", TargetState::Paused));
    assert!(bad(&reset(&mut world)).to_string().starts_with(must_stop));
    good(&world.stop("a"));
    assert_eq!(good(&reset(&mut world)), AlterOffsets::Checked);
}

#[test]
fn a_change_waits_for_the_end_of_what_was_stopped() {
    let mut world = World::running("a", 1);
    world.hang("stop a-0");
    let stop = world.stop("a");
    let change = reset(&mut world);
    none(&change);
    world.let_go("stop a-0");
    good(&stop);
    assert_eq!(good(&change), AlterOffsets::Checked);
}

#[test]
fn a_change_that_waits_is_refused_when_it_is_resumed_or_deleted_meanwhile() {
    for resumed in [true, false] {
        let mut world = World::running("a", 1);
        world.hang("stop a-0");
        let stop = world.stop("a");
        let change = reset(&mut world);
        if resumed {
            good(&world.target("a", TargetState::Started));
            assert!(matches!(bad(&change), HerderError::BadRequest(_)));
        } else {
            let deleted = world.delete("a");
            world.let_go("stop a-0");
            good(&deleted);
            assert!(matches!(bad(&change), HerderError::NotFound(_)));
        }
        drop(stop);
    }
}

#[test]
fn nothing_starts_while_offsets_change() {
    let mut world = stopped();
    world.hang("offsets a");
    let change = reset(&mut world);
    good(&world.target("a", TargetState::Started));
    let put = world.put("a", &[]);
    none(&put);
    assert_eq!(world.log(), "offsets a, write a Started, validate a, write a");
    world.advance(secs(60));
    none(&change);
    world.let_go("offsets a");
    good(&change);
    good(&put);
    assert_eq!(world.status("a"), "RUNNING 0:RUNNING");
}

#[test]
fn one_change_at_a_time() {
    let mut world = stopped();
    world.hang("offsets a");
    let first = reset(&mut world);
    assert!(matches!(bad(&reset(&mut world)), HerderError::Conflict(_)));
    world.let_go("offsets a");
    good(&first);
    good(&reset(&mut world));
}

#[test]
fn a_change_that_fails_lets_go_of_the_connector() {
    let mut world = stopped();
    world.fail("offsets a");
    assert_eq!(bad(&reset(&mut world)), HerderError::Failed("cannot".to_owned()));
    good(&world.target("a", TargetState::Started));
    assert_eq!(world.status("a"), "RUNNING 0:RUNNING");
}

#[test]
fn a_connector_that_is_deleted_meanwhile_can_be_made_anew_but_starts_afterwards() {
    let mut world = stopped();
    world.hang("offsets a");
    let change = reset(&mut world);
    good(&world.delete("a"));
    let create = world.create("a", None);
    none(&create);
    world.let_go("offsets a");
    good(&change);
    good(&create);
}

#[test]
fn a_wrong_change_does_not_reserve_the_connector() {
    let mut world = stopped();
    let wrong = OffsetsDraft::Alter(vec![(json!(null), json!(null))]);
    let change = world.ask(|reply| Request::ModifyOffsets("a".into(), wrong, reply));
    assert!(matches!(bad(&change), HerderError::BadRequest(_)));
    good(&reset(&mut world));
}
