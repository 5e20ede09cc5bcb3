//! Against a real Kafka: rounds of several members, and a broker that freezes, dies and comes back.

use std::time::{Duration, Instant};

use herdsman::group::events::{GroupEvent, MemberCommand, RejoinCause};

use crate::broker::{OwnKafka, kafka, unique};
use crate::herd::{Herder, LEAVES, is_contact, is_lost, settings};

fn is_rebalance(event: &GroupEvent) -> bool {
    *event == GroupEvent::RejoinNeeded(RejoinCause::Rebalance)
}

#[test]
fn members_join_share_and_leave() {
    let Some(kafka) = kafka() else { return };
    let group = unique("connect");
    let mut first = Herder::start("w1", settings(&group, "connect-a:1"), &kafka.client());
    let alone = first.first_round();
    assert_eq!(
        (alone.members.as_slice(), alone.protocol.as_str()),
        (&["w1 sessioned".to_owned()][..], "sessioned")
    );
    assert!(alone.member.as_str().starts_with("connect-a:1-"), "{}", alone.member);
    assert_eq!(alone.leader, alone.member);
    assert_eq!(alone.assignment, format!("w1-sessioned in {}", alone.generation));

    let mut second = Herder::start("w2", settings(&group, "connect-b:1"), &kafka.client());
    second.join();
    first.wait("the other's join", is_rebalance);
    first.join();
    let (first_now, second_now) = std::thread::scope(|scope| {
        let other = scope.spawn(|| second.settle());
        (first.settle(), other.join().unwrap())
    });
    assert_eq!((second_now.generation, &second_now.leader), (first_now.generation, &first_now.leader));
    assert_eq!(second_now.assignment, format!("w2-sessioned in {}", second_now.generation));
    assert_eq!(second_now.members, Vec::<String>::new(), "only the leader hears of all");
    assert_eq!(first_now.members, ["w1 sessioned", "w2 sessioned"]);
    assert_eq!(first_now.member, alone.member, "who joins again keeps the id");

    // Heartbeats keep both in the group; nobody is asked to join.
    for herder in [&mut first, &mut second] {
        herder.take_events();
        for _ in 0..3 {
            let (_, event) = herder.wait("anything", |_| true);
            assert!(matches!(event, GroupEvent::Contact { .. }));
        }
    }

    // Who is told to leave does so even if nobody waits for it.
    second.tell(LEAVES);
    drop(second);
    let left = Instant::now();
    first.wait("the other's leave", is_rebalance);
    assert!(left.elapsed() < Duration::from_secs(3), "a leave is known by the next heartbeat");
    first.join();
    assert_eq!(first.settle().members, ["w1 sessioned"]);

    // A probe does not wait for the interval.
    first.take_events();
    first.wait("a heartbeat", is_contact);
    let asked = Instant::now();
    first.tell(MemberCommand::Probe);
    let (answered, _) = first.wait("the answer", is_contact);
    assert!(answered - asked < Duration::from_millis(700), "{:?}", answered - asked);
}

#[test]
fn a_member_that_leaves_while_it_joins_does_not_hold_up_the_others() {
    let Some(kafka) = kafka() else { return };
    let group = unique("connect");
    let mut first = Herder::start("w1", settings(&group, "w1"), &kafka.client());
    first.first_round();
    // The second waits in JoinGroup, since the first does not join again.
    let mut second = Herder::start("w2", settings(&group, "w2"), &kafka.client());
    second.join();
    first.wait("the other's join", is_rebalance);
    second.tell(LEAVES);
    second.wait("the leave", |event| *event == GroupEvent::Left);
    drop(second);
    first.join();
    let started = Instant::now();
    let alone = first.settle();
    assert_eq!(alone.members, ["w1 sessioned"]);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn a_frozen_broker_is_noticed_soon_and_met_again_at_once() {
    if kafka().is_none() {
        return;
    }
    let own = OwnKafka::start(&[]);
    let mut herder = Herder::start("w1", settings(&unique("connect"), "w1"), &own.kafka.client());
    let stable = herder.first_round();
    for frozen_for in [Duration::from_secs(3), Duration::from_secs(5)] {
        herder.wait("a heartbeat", is_contact);
        own.signal("STOP");
        let frozen = Instant::now();
        let (noticed, _) = herder.wait("the loss of contact", is_lost);
        assert!(noticed - frozen < frozen_for, "noticed after {:?}", noticed - frozen);
        while frozen.elapsed() < frozen_for {
            std::thread::park_timeout(frozen_for.saturating_sub(frozen.elapsed()));
        }
        herder.take_events();
        own.signal("CONT");
        let thawed = Instant::now();
        let (met, _) = herder.wait("contact", is_contact);
        assert!(met - thawed < Duration::from_secs(1), "met after {:?}", met - thawed);
    }
    herder.take_events();
    let (_, event) = herder.wait("anything", |_| true);
    assert!(matches!(event, GroupEvent::Contact { .. }), "nothing changed");
    let rejoins = herder.seen.iter().filter(|event| matches!(event, GroupEvent::RejoinNeeded(_))).count();
    assert_eq!(rejoins, 1, "generation {} is kept: {:?}", stable.generation, herder.seen);

    // A probe notices within a second, whatever the interval.
    own.signal("STOP");
    let asked = Instant::now();
    herder.tell(MemberCommand::Probe);
    let (noticed, _) = herder.wait("the loss of contact", is_lost);
    assert!(noticed - asked < Duration::from_millis(1500), "{:?}", noticed - asked);
    own.signal("CONT");
    herder.wait("contact", is_contact);
}

#[test]
fn a_broker_that_dies_and_comes_back_is_joined_again() {
    if kafka().is_none() {
        return;
    }
    let own = OwnKafka::start(&[]);
    let mut herder = Herder::start("w1", settings(&unique("connect"), "w1"), &own.kafka.client());
    let stable = herder.first_round();
    own.kill();
    let killed = Instant::now();
    let (noticed, _) = herder.wait("the loss of contact", is_lost);
    assert!(noticed - killed < Duration::from_secs(1), "{:?}", noticed - killed);
    herder.wait("the end of the search", |event| matches!(event, GroupEvent::CoordinatorUnreachable { .. }));
    own.restart();
    let again = herder.settle();
    assert_eq!(again.assignment, format!("w1-sessioned in {}", again.generation));
    assert!(again.generation > stable.generation, "the group was written down");
}
