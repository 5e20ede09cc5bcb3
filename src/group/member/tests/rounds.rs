//! Rounds of the group: joining, assigning, joining again, leaving.

use bytes::Bytes;
use expect_test::expect;

use super::super::Input;
use super::world::{LEAVES, World, joined, refused, synced};
use crate::api::ids::{Generation, MemberId};
use crate::group::error_code::GroupError;
use crate::group::events::MemberCommand;
use crate::group::requests::MemberAnswer;

#[test]
fn a_first_join_of_a_leader() {
    let mut world = World::new();
    world.pass(60_000);
    world.join();
    world.answer(refused(GroupError::MemberIdRequired));
    world.answer(joined(1, true));
    world.pass(500);
    world.command(MemberCommand::Assign {
        generation: Generation::new(1),
        assignments: vec![(MemberId::from("m"), Bytes::from_static(b"work"))],
    });
    world.answer(synced());
    world.pass(3000);
    expect![[r#"
        0 <RejoinNeeded(First)>
        60000 find
        60000 stop search
        60000 connect
        60000 Join as nobody with meta ""
        60000 Join as m1 with meta ""
        60000 <Contact>
        60000 <Joined { generation: Generation(1), member: MemberId("m"), leader: MemberId("m"), protocol: "sessioned", members: Some([(MemberId("m"), b"meta")]) }>
        60500 Sync 1 as m, sessioned, 1 assignments
        60500 <Contact>
        60500 <Assigned { generation: Generation(1), assignment: b"work" }>
        63000 Heartbeat 1 as m"#]].assert_eq(&world.took());
}

#[test]
fn a_follower_syncs_by_itself() {
    let mut world = World::new();
    world.join();
    world.took();
    world.answer(joined(4, false));
    expect![[r#"
        0 <Contact>
        0 <Joined { generation: Generation(4), member: MemberId("m"), leader: MemberId("other"), protocol: "sessioned", members: None }>
        0 Sync 4 as m, sessioned, 0 assignments"#]].assert_eq(&world.took());
}

#[test]
fn a_rebalance_is_told_once_and_heartbeats_go_on_until_the_herder_joins() {
    let mut world = World::stable();
    world.pass(3000);
    world.answer(MemberAnswer::Heartbeat(Err(GroupError::RebalanceInProgress)));
    world.pass(3000);
    world.answer(MemberAnswer::Heartbeat(Err(GroupError::RebalanceInProgress)));
    world.join();
    world.pass(10_000);
    world.answer(joined(2, false));
    world.answer(synced());
    expect![[r#"
        3000 Heartbeat 1 as m
        3000 <Contact>
        3000 <RejoinNeeded(Rebalance)>
        6000 Heartbeat 1 as m
        6000 <Contact>
        6000 Join as m with meta ""
        16000 <Contact>
        16000 <Joined { generation: Generation(2), member: MemberId("m"), leader: MemberId("other"), protocol: "sessioned", members: None }>
        16000 Sync 2 as m, sessioned, 0 assignments
        16000 <Contact>
        16000 <Assigned { generation: Generation(2), assignment: b"work" }>"#]].assert_eq(&world.took());
}

#[test]
fn an_assignment_for_a_generation_that_passed_is_not_sent() {
    let mut world = World::syncing(true);
    world.command(MemberCommand::Assign { generation: Generation::new(7), assignments: Vec::new() });
    assert_eq!(world.took(), "");
    let mut follower = World::syncing(false);
    follower.command(MemberCommand::Assign { generation: Generation::new(1), assignments: Vec::new() });
    assert_eq!(follower.took(), "", "it has synced by itself");
}

#[test]
fn what_the_herder_says_last_counts() {
    let mut world = World::new();
    world.join();
    world.command(MemberCommand::Join(vec![("sessioned", Bytes::from_static(b"newer"))]));
    world.took();
    world.answer(joined(1, false));
    world.answer(joined(2, false));
    expect![[r#"
        0 <Contact>
        0 Join as m with newer ""
        0 <Contact>
        0 <Joined { generation: Generation(2), member: MemberId("m"), leader: MemberId("other"), protocol: "sessioned", members: None }>
        0 Sync 2 as m, sessioned, 0 assignments"#]].assert_eq(&world.took());
}

#[test]
fn a_join_while_the_sync_is_awaited_makes_its_answer_stale() {
    let mut world = World::syncing(false);
    world.join();
    world.answer(synced());
    world.answer(joined(2, true));
    expect![[r#"
        0 Join as m with meta ""
        0 <Contact>
        0 <Joined { generation: Generation(2), member: MemberId("m"), leader: MemberId("m"), protocol: "sessioned", members: Some([(MemberId("m"), b"meta")]) }>"#]].assert_eq(&world.took());
}

#[test]
fn a_generation_that_a_heartbeat_resets_makes_the_sync_stale() {
    let mut world = World::syncing(false);
    world.pass(3000);
    // The coordinator of the test answers the heartbeat first.
    world.awaited.swap(0, 1);
    world.answer(MemberAnswer::Heartbeat(Err(GroupError::UnknownMemberId)));
    world.answer(synced());
    world.join();
    expect![[r#"
        3000 Heartbeat 1 as m
        3000 <RejoinNeeded(GenerationLost(UnknownMemberId))>
        3000 Join as nobody with meta """#]]
    .assert_eq(&world.took());
}

#[test]
fn the_reason_of_a_failed_round_is_given_until_a_sync_succeeds() {
    let mut world = World::syncing(false);
    world.answer(MemberAnswer::Sync(Err(GroupError::RebalanceInProgress)));
    world.join();
    world.answer(refused(GroupError::MemberIdRequired));
    world.answer(joined(2, false));
    world.join();
    world.answer(synced());
    world.answer(joined(3, false));
    world.answer(synced());
    world.join();
    let joins: Vec<_> =
        world.took().lines().filter(|line| line.contains("Join as")).map(str::to_owned).collect();
    let reason = "\"rebalance failed due to RebalanceInProgressException\"";
    assert_eq!(
        joins,
        [
            format!("0 Join as m with meta {reason}"),
            format!("0 Join as m1 with meta {reason}"),
            format!("0 Join as m with meta {reason}"),
            "0 Join as m with meta \"\"".to_owned(),
        ]
    );
}

#[test]
fn joins_that_are_refused_for_ever_do_not_spin() {
    let mut world = World::new();
    world.join();
    world.took();
    for _ in 0..30 {
        if world.awaited.is_empty() {
            world.pass(100);
        }
        world.answer(refused(GroupError::UnknownMemberId));
    }
    let last = world.took().lines().last().unwrap().to_owned();
    assert!(last.starts_with("2700 "), "the first two at once, then one in 100 ms: {last}");
}

#[test]
fn leaving_takes_a_moment_at_most() {
    let leave = MemberCommand::Leave { reason: LEAVES };
    let mut world = World::stable();
    world.command(leave.clone());
    world.answer(MemberAnswer::Leave(Ok(())));
    world.pass(60_000);
    expect![[r#"
        0 Leave as m "the consumer is being closed"
        0 close
        0 <Left>"#]]
    .assert_eq(&world.took());

    let mut silent = World::stable();
    silent.command(leave.clone());
    silent.pass(60_000);
    assert_eq!(silent.took().lines().last(), Some("2000 <Left>"));

    let mut lost = World::stable();
    lost.command(leave.clone());
    lost.lose_link("gone");
    assert_eq!(lost.told(), ["Left"]);

    let mut never = World::new();
    never.took();
    never.command(leave);
    assert_eq!(never.took(), "0 <Left>", "there is no place to leave");
}

#[test]
fn leaving_while_a_join_is_awaited_takes_another_connection() {
    let mut world = World::stable();
    world.join();
    world.took();
    world.command(MemberCommand::Leave { reason: LEAVES });
    world.join();
    world.answer(MemberAnswer::Leave(Ok(())));
    expect![[r#"
        0 close
        0 connect
        0 Leave as m "the consumer is being closed"
        0 close
        0 <Left>
        0 find
        0 stop search
        0 connect
        0 Join as nobody with meta """#]]
    .assert_eq(&world.took());
}

#[test]
fn a_tick_thread_that_does_not_turn_costs_the_place() {
    let mut world = World::stable();
    world.input(Input::TurnTakes(std::time::Duration::from_millis(59_999)));
    assert_eq!(world.took(), "");
    world.input(Input::TurnTakes(std::time::Duration::from_secs(60)));
    world.input(Input::TurnTakes(std::time::Duration::from_secs(61)));
    world.answer(MemberAnswer::Leave(Ok(())));
    world.join();
    expect![[r#"
        0 <PollTimeout>
        0 <RejoinNeeded(PollTimeout)>
        0 Leave as m "worker poll timeout has expired."
        0 close
        0 find
        0 stop search
        0 connect
        0 Join as nobody with meta """#]]
    .assert_eq(&world.took());
    // While it joins nobody minds: the herder waits for the group then.
    world.input(Input::TurnTakes(std::time::Duration::from_secs(61)));
    assert_eq!(world.took(), "");
}
