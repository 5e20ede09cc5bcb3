//! Each error code on each request.

use expect_test::{Expect, expect};

use super::super::Input;
use super::world::{World, refused, synced};
use crate::group::error_code::GroupError;
use crate::group::requests::MemberAnswer;

fn every_code() -> impl Iterator<Item = GroupError> {
    [14, 15, 16, 22, 23, 24, 25, 26, 27, 30, 35, 79, 81, 82, -1].into_iter().filter_map(GroupError::from_code)
}

/// A row for each code: what happens within 200 ms, in milliseconds since the start, without the words for people.
#[track_caller]
fn check(mut answered: impl FnMut(GroupError) -> World, expected: &Expect) {
    let mut table = String::new();
    for error in every_code() {
        let mut world = answered(error);
        world.pass(200);
        let took = world.took();
        let steps: Vec<_> = took.lines().map(short).collect();
        table.push_str(&format!("{}: {}\n", error.code(), steps.join(" | ")));
    }
    expected.assert_eq(&table);
}

fn short(line: &str) -> &str {
    [" { why", "(\""]
        .iter()
        .fold(line, |line, words| line.split_once(words).map_or(line, |(before, _)| before))
}

#[test]
fn of_a_join() {
    let join = |error| {
        let mut world = World::new();
        world.join();
        world.took();
        world.answer(refused(error));
        world
    };
    check(
        join,
        &expect![[r#"
        14: 0 <ContactLost | 100 Join as nobody with meta "rebalance failed due to CoordinatorLoadInProgressException"
        15: 0 <ContactLost | 0 close | 100 find | 100 stop search | 100 connect | 100 Join as nobody with meta "rebalance failed due to CoordinatorNotAvailableException"
        16: 0 <ContactLost | 0 close | 100 find | 100 stop search | 100 connect | 100 Join as nobody with meta "rebalance failed due to NotCoordinatorException"
        22: 0 close | 0 <Fatal
        23: 0 close | 0 <Fatal
        24: 0 close | 0 <Fatal
        25: 0 Join as nobody with meta "rebalance failed due to UnknownMemberIdException"
        26: 0 close | 0 <Fatal
        27: 0 Join as nobody with meta "rebalance failed due to RebalanceInProgressException"
        30: 0 close | 0 <Fatal
        35: 0 close | 0 <Fatal
        79: 0 Join as m1 with meta ""
        81: 0 close | 0 <Fatal
        82: 0 close | 0 <Fatal
        -1: 0 close | 0 <Fatal
    "#]],
    );
}

#[test]
fn of_a_sync() {
    let sync = |error| {
        let mut world = World::syncing(false);
        world.answer(MemberAnswer::Sync(Err(error)));
        world.join();
        world
    };
    check(
        sync,
        &expect![[r#"
        14: 0 <RejoinNeeded(SyncFailed | 100 Join as m with meta "rebalance failed due to CoordinatorLoadInProgressException"
        15: 0 <RejoinNeeded(SyncFailed | 0 <ContactLost | 0 close | 100 find | 100 stop search | 100 connect | 100 Join as m with meta "rebalance failed due to CoordinatorNotAvailableException"
        16: 0 <RejoinNeeded(SyncFailed | 0 <ContactLost | 0 close | 100 find | 100 stop search | 100 connect | 100 Join as m with meta "rebalance failed due to NotCoordinatorException"
        22: 0 <RejoinNeeded(SyncFailed | 0 Join as m with meta "rebalance failed due to IllegalGenerationException"
        23: 0 close | 0 <Fatal | 0 <Fatal
        24: 0 close | 0 <Fatal | 0 <Fatal
        25: 0 <RejoinNeeded(SyncFailed | 0 Join as nobody with meta "rebalance failed due to UnknownMemberIdException"
        26: 0 close | 0 <Fatal | 0 <Fatal
        27: 0 <RejoinNeeded(SyncFailed | 0 Join as m with meta "rebalance failed due to RebalanceInProgressException"
        30: 0 close | 0 <Fatal | 0 <Fatal
        35: 0 close | 0 <Fatal | 0 <Fatal
        79: 0 close | 0 <Fatal | 0 <Fatal
        81: 0 close | 0 <Fatal | 0 <Fatal
        82: 0 close | 0 <Fatal | 0 <Fatal
        -1: 0 close | 0 <Fatal | 0 <Fatal
    "#]],
    );
}

#[test]
fn of_a_heartbeat() {
    let heartbeat = |error| {
        let mut world = World::stable();
        world.pass(3000);
        world.took();
        world.answer(MemberAnswer::Heartbeat(Err(error)));
        world
    };
    check(
        heartbeat,
        &expect![[r#"
        14: 3000 <ContactLost | 3100 Heartbeat 1 as m
        15: 3000 <ContactLost | 3000 close | 3000 find | 3000 stop search | 3000 connect | 3000 Heartbeat 1 as m
        16: 3000 <ContactLost | 3000 close | 3000 find | 3000 stop search | 3000 connect | 3000 Heartbeat 1 as m
        22: 3000 <RejoinNeeded(GenerationLost(IllegalGeneration))>
        23: 3000 <ContactLost | 3100 Heartbeat 1 as m
        24: 3000 <ContactLost | 3100 Heartbeat 1 as m
        25: 3000 <RejoinNeeded(GenerationLost(UnknownMemberId))>
        26: 3000 <ContactLost | 3100 Heartbeat 1 as m
        27: 3000 <Contact> | 3000 <RejoinNeeded(Rebalance)>
        30: 3000 <ContactLost | 3100 Heartbeat 1 as m
        35: 3000 <ContactLost | 3100 Heartbeat 1 as m
        79: 3000 <ContactLost | 3100 Heartbeat 1 as m
        81: 3000 <ContactLost | 3100 Heartbeat 1 as m
        82: 3000 close | 3000 <Fatal
        -1: 3000 <ContactLost | 3100 Heartbeat 1 as m
    "#]],
    );
}

#[test]
fn of_a_heartbeat_while_the_sync_is_awaited() {
    let heartbeat = |error| {
        let mut world = World::syncing(true);
        world.pass(3000);
        world.took();
        world.answer(MemberAnswer::Heartbeat(Err(error)));
        world
    };
    check(
        heartbeat,
        &expect![[r#"
        14: 3000 <ContactLost | 3100 Heartbeat 1 as m
        15: 3000 <ContactLost | 3000 close | 3000 find | 3000 stop search | 3000 connect | 3000 Heartbeat 1 as m
        16: 3000 <ContactLost | 3000 close | 3000 find | 3000 stop search | 3000 connect | 3000 Heartbeat 1 as m
        22: 3000 <RejoinNeeded(GenerationLost(IllegalGeneration))>
        23: 3000 <ContactLost | 3100 Heartbeat 1 as m
        24: 3000 <ContactLost | 3100 Heartbeat 1 as m
        25: 3000 <RejoinNeeded(GenerationLost(UnknownMemberId))>
        26: 3000 <ContactLost | 3100 Heartbeat 1 as m
        27: 3000 <Contact>
        30: 3000 <ContactLost | 3100 Heartbeat 1 as m
        35: 3000 <ContactLost | 3100 Heartbeat 1 as m
        79: 3000 <ContactLost | 3100 Heartbeat 1 as m
        81: 3000 <ContactLost | 3100 Heartbeat 1 as m
        82: 3000 close | 3000 <Fatal
        -1: 3000 <ContactLost | 3100 Heartbeat 1 as m
    "#]],
    );
}

#[test]
fn of_a_leave_it_does_not_matter() {
    for error in every_code() {
        let mut world = World::stable();
        world.command(crate::group::events::MemberCommand::Leave { reason: super::world::LEAVES });
        world.took();
        world.answer(MemberAnswer::Leave(Err(error)));
        assert_eq!(world.told(), ["Left"], "{error}");
        assert!(world.member.is_out());
    }
}

#[test]
fn what_ends_the_worker_says_what_to_do() {
    for (error, named) in [
        (GroupError::GroupAuthorization, "GroupAuthorizationFailed (30). Allow the principal"),
        (GroupError::InvalidSessionTimeout, "group.min.session.timeout.ms"),
        (GroupError::InconsistentProtocol, "connect.protocol"),
        (GroupError::Other(35), "broker b:1: JoinGroup failed with UnsupportedVersion (35)"),
    ] {
        let mut world = World::new();
        world.join();
        world.answer(refused(error));
        let told = world.told().join("\n");
        assert!(told.contains("Fatal(\"group workers: ") && told.contains(named), "{told}");
        // It is over: nothing is sent any more, and whoever asks is told again.
        world.pass(120_000);
        assert_eq!(world.took(), "");
        world.join();
        assert!(world.told().join("\n").contains(named));
    }
}

#[test]
fn an_answer_of_another_kind_of_group_ends_the_worker() {
    let mut of_type = joined_with(|joined| joined.protocol_type = Some("consumer".to_owned()));
    let mut without_protocol = joined_with(|joined| joined.protocol = None);
    let mut skips = joined_with(|joined| joined.skip_assignment = true);
    for world in [&mut of_type, &mut without_protocol, &mut skips] {
        let told = world.told();
        assert!(told.last().is_some_and(|told| told.starts_with("Fatal(")), "{told:?}");
    }
    let mut old = joined_with(|joined| joined.protocol_type = None);
    assert!(old.told().last().is_some_and(|told| told.starts_with("Joined")));

    let mut other_protocol = World::syncing(false);
    let MemberAnswer::Sync(Ok(mut answer)) = synced() else { panic!("it is a success") };
    answer.protocol = Some("compatible".to_owned());
    other_protocol.answer(MemberAnswer::Sync(Ok(answer)));
    assert!(other_protocol.told().last().is_some_and(|told| told.starts_with("Fatal(")));
}

fn joined_with(change: impl FnOnce(&mut crate::group::requests::JoinAnswer)) -> World {
    let mut world = World::new();
    world.join();
    let MemberAnswer::Join(Ok(mut answer)) = super::world::joined(1, false) else {
        panic!("it is a success")
    };
    change(&mut answer);
    world.answer(MemberAnswer::Join(Ok(answer)));
    world
}

#[test]
fn a_search_that_cannot_succeed_ends_the_worker() {
    let mut world = World::new();
    world.network = false;
    world.join();
    world.input(Input::SearchFailed { why: "no".to_owned(), is_fatal: true });
    assert_eq!(world.told().last().map(String::as_str), Some("Fatal(\"no\")"));
}
