//! Contact with the coordinator: kept, lost, made again.

use expect_test::expect;

use super::super::Input;
use super::world::{World, is_told, joined, synced};
use crate::config::broker::Broker;
use crate::group::events::{GroupEvent, MemberCommand};
use crate::group::requests::MemberAnswer;

fn beat() -> MemberAnswer {
    MemberAnswer::Heartbeat(Ok(()))
}

#[test]
fn a_heartbeat_is_due_an_interval_after_the_last_was_sent() {
    let mut world = World::stable();
    world.pass(3000);
    world.pass(1000);
    world.answer(beat());
    world.pass(2000);
    expect![[r#"
        3000 Heartbeat 1 as m
        4000 <Contact>
        6000 Heartbeat 1 as m"#]]
    .assert_eq(&world.took());
}

#[test]
fn a_heartbeat_that_is_not_answered_is_told_and_repeated_over_a_new_connection() {
    let mut world = World::stable();
    world.pass(3000);
    world.network = false;
    world.pass(3000);
    // The broker is frozen: the system takes the connection, nobody answers. Then it goes on.
    world.pass(2000);
    let link = world.link.unwrap();
    world.input(Input::LinkUp(link));
    world.answer(beat());
    expect![[r#"
        3000 Heartbeat 1 as m
        6000 <ContactLost { why: "broker b:1: Heartbeat was not answered within 3000 ms" }>
        6000 close
        6000 connect
        8000 Heartbeat 1 as m
        8000 <Contact>"#]]
    .assert_eq(&world.took());
}

#[test]
fn a_probe_is_answered_within_a_second_either_way() {
    let mut world = World::stable();
    world.command(MemberCommand::Probe);
    world.command(MemberCommand::Probe);
    world.pass(500);
    world.answer(beat());
    world.pass(1500);
    world.command(MemberCommand::Probe);
    world.pass(1000);
    world.pass(1500);
    world.answer(beat());
    expect![[r#"
        0 Heartbeat 1 as m
        500 <Contact>
        2000 Heartbeat 1 as m
        3000 <ContactLost { why: "broker b:1: Heartbeat was not answered within 1000 ms" }>
        4500 <Contact>"#]]
    .assert_eq(&world.took());

    // A heartbeat on its way is judged sooner.
    let mut world = World::stable();
    world.pass(3500);
    world.command(MemberCommand::Probe);
    world.took();
    world.pass(999);
    assert_eq!(world.took(), "");
    world.pass(1);
    expect![[r#"4500 <ContactLost { why: "broker b:1: Heartbeat was not answered within 1500 ms" }>"#]]
        .assert_eq(&world.took());

    // Where no heartbeat is to be sent, none is.
    let mut world = World::new();
    world.join();
    world.took();
    world.command(MemberCommand::Probe);
    assert_eq!(world.took(), "");
}

#[test]
fn a_frozen_broker_costs_the_generation_after_session_and_search() {
    let mut world = World::stable();
    world.network = false;
    world.pass(20_000);
    // The herder has stopped everything by now.
    world.join();
    world.pass(1000);
    world.input(Input::CoordinatorFound(Broker::new("b", 1)));
    expect![[r#"
        3000 Heartbeat 1 as m
        6000 <ContactLost { why: "broker b:1: Heartbeat was not answered within 3000 ms" }>
        6000 close
        6000 connect
        10000 <ContactLost { why: "broker b:1: no heartbeat succeeded within session.timeout.ms=10000" }>
        10000 close
        10000 find
        11000 find
        12000 find
        13000 <CoordinatorUnreachable { why: "broker b:1: no heartbeat succeeded within session.timeout.ms=10000" }>
        13000 <RejoinNeeded(CoordinatorUnreachable)>
        20000 find
        21000 find
        21000 stop search
        21000 connect"#]].assert_eq(&world.took());
}

#[test]
fn a_lost_connection_costs_the_generation_when_no_broker_knows_a_coordinator() {
    let mut world = World::stable();
    world.network = false;
    world.pass(1000);
    world.lose_link("broker b:1: it closed the connection");
    for _ in 0..20 {
        world.pass(150);
        world.input(Input::SearchFailed { why: "broker b:1: cannot connect".to_owned(), is_fatal: false });
    }
    world.pass(500);
    let told = world.told();
    let expected = [
        GroupEvent::ContactLost { why: "broker b:1: it closed the connection".to_owned() },
        GroupEvent::ContactLost { why: "broker b:1: cannot connect".to_owned() },
        GroupEvent::CoordinatorUnreachable { why: "broker b:1: cannot connect".to_owned() },
        GroupEvent::RejoinNeeded(crate::group::events::RejoinCause::CoordinatorUnreachable),
    ];
    assert_eq!(told, expected.each_ref().map(is_told));
    assert!(world.member.is_out());
}

#[test]
fn a_coordinator_that_moved_is_found_and_the_generation_kept() {
    let mut world = World::stable();
    world.pass(1000);
    world.lose_link("gone");
    world.answer(beat());
    expect![[r#"
        1000 <ContactLost { why: "gone" }>
        1000 find
        1000 stop search
        1000 connect
        1000 Heartbeat 1 as m
        1000 <Contact>"#]]
    .assert_eq(&world.took());
}

#[test]
fn tries_come_within_half_a_second_while_contact_is_lost() {
    let mut world = World::stable();
    world.network = false;
    world.lose_link("gone");
    world.took();
    let mut pauses = Vec::new();
    for _ in 0..6 {
        world.input(Input::SearchFailed { why: "no".to_owned(), is_fatal: false });
        let next = world.member.next_deadline().unwrap();
        pauses.push((next - world.now).as_millis());
        world.pass(pauses[pauses.len() - 1] as u64);
        assert!(world.took().ends_with(" find"));
    }
    assert_eq!(pauses, [100, 200, 400, 500, 500, 500]);
}

#[test]
fn a_heartbeat_behind_a_sync_says_nothing_about_the_broker() {
    let mut world = World::syncing(false);
    world.pass(9000);
    assert_eq!(world.told(), Vec::<String>::new());
    world.answer(synced());
    world.pass(2999);
    world.answer(beat());
    expect![[r#"
        Contact
        Assigned { generation: Generation(1), assignment: b"work" }
        Contact"#]]
    .assert_eq(&world.told().join("\n"));
    // Unless the session runs out.
    let mut world = World::syncing(false);
    world.pass(11_000);
    expect![[r#"
        3000 Heartbeat 1 as m
        10000 <ContactLost { why: "broker b:1: no heartbeat succeeded within session.timeout.ms=10000" }>
        10000 close
        10000 <RejoinNeeded(SyncFailed("the connection was lost before SyncGroup was answered"))>
        10000 find
        10000 stop search
        10000 connect
        10000 Heartbeat 1 as m"#]]
    .assert_eq(&world.took());
}

#[test]
fn a_join_is_awaited_as_long_as_the_others_may_take() {
    let mut world = World::new();
    world.join();
    world.took();
    world.pass(64_999);
    assert_eq!(world.took(), "");
    world.pass(200);
    expect![[r#"
        65000 <ContactLost { why: "broker b:1: JoinGroup was not answered in time" }>
        65000 close
        65000 find
        65000 stop search
        65000 connect
        65100 Join as nobody with meta "rebalance failed due to DisconnectException""#]]
    .assert_eq(&world.took());
    world.answer(joined(1, false));
    assert!(world.told().iter().any(|told| told.starts_with("Joined")));
}

#[test]
fn what_concerns_a_connection_that_is_gone_is_ignored() {
    let mut world = World::stable();
    world.pass(3000);
    let (link, (id, _)) = (world.link.unwrap(), world.awaited[0].clone());
    world.lose_link("gone");
    world.took();
    world.input(Input::Answered { link, id, answer: beat() });
    world.input(Input::LinkUp(link));
    world.input(Input::LinkDown { link, why: "late".to_owned(), is_fatal: true });
    world.input(Input::CoordinatorFound(Broker::new("late", 1)));
    world.input(Input::SearchFailed { why: "late".to_owned(), is_fatal: true });
    assert_eq!(world.took(), "");
}
