//! Against the embedded broker: librdkafka's mock cluster, which speaks older versions than a real one.

use std::time::{Duration, Instant};

use herdsman::config::client::ClientSettings;
use herdsman::group::events::{GroupEvent, RejoinCause};
use herdsman::kafka::embedded::EmbeddedBroker;
use rdkafka::mocking::MockCoordinator;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::broker::unique;
use crate::herd::{Herder, LEAVES, is_contact, is_lost, settings};

fn client(broker: &EmbeddedBroker) -> ClientSettings {
    [("bootstrap.servers", broker.bootstrap_servers())].into_iter().collect()
}

/// An interval that makes the tests quick.
fn quick(group: &str, name: &str) -> herdsman::group::events::MemberSettings {
    let mut settings = settings(group, name);
    settings.heartbeat_interval = Duration::from_millis(300);
    settings
}

#[test]
fn a_member_joins_beats_loses_contact_and_leaves() {
    let broker = EmbeddedBroker::start().unwrap();
    let mut herder = Herder::start("w1", quick(&unique("group"), "w1"), &client(&broker));
    let stable = herder.first_round();
    assert_eq!(stable.leader, stable.member);
    assert_eq!(stable.members, ["w1 sessioned"]);
    assert_eq!(stable.assignment, format!("w1-sessioned in {}", stable.generation));
    herder.wait("a heartbeat", is_contact);
    herder.wait("another", is_contact);

    // Slower answers than the interval: contact is lost, and comes back with speed; the generation stays.
    broker.set_round_trip_time(Duration::from_millis(700)).unwrap();
    herder.wait("slowness", is_lost);
    broker.set_round_trip_time(Duration::ZERO).unwrap();
    herder.wait("contact", is_contact);
    let rejoins = herder.seen.iter().filter(|event| matches!(event, GroupEvent::RejoinNeeded(_))).count();
    assert_eq!(rejoins, 1, "only the first: {:?}", herder.seen);

    herder.tell(LEAVES);
    herder.wait("the leave", |event| *event == GroupEvent::Left);
    let again = herder.first_round();
    assert_ne!(again.member, stable.member, "who left is another member when it comes back");
}

#[test]
fn a_broker_that_goes_away_costs_the_generation() {
    let broker = EmbeddedBroker::start().unwrap();
    let mut herder = Herder::start("w1", quick(&unique("group"), "w1"), &client(&broker));
    let stable = herder.first_round();
    broker.go_down().unwrap();
    herder.wait("loss", is_lost);
    herder.wait("the end of the search", |event| matches!(event, GroupEvent::CoordinatorUnreachable { .. }));
    herder.wait("the wish to join", |event| {
        *event == GroupEvent::RejoinNeeded(RejoinCause::CoordinatorUnreachable)
    });
    herder.join();
    broker.come_up().unwrap();
    let again = herder.settle();
    assert_eq!(again.member, stable.member, "the id is kept");
    assert!(again.generation > stable.generation);
}

#[test]
fn errors_of_the_coordinator_are_got_over() {
    let broker = EmbeddedBroker::start().unwrap();
    let mut herder = Herder::start("w1", quick(&unique("group"), "w1"), &client(&broker));
    let cluster = broker.cluster().unwrap();
    cluster.request_errors(
        RDKafkaApiKey::FindCoordinator,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE],
    );
    cluster.request_errors(
        RDKafkaApiKey::JoinGroup,
        &[
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
        ],
    );
    cluster
        .request_errors(RDKafkaApiKey::SyncGroup, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS]);
    let stable = herder.first_round();
    cluster.request_errors(RDKafkaApiKey::Heartbeat, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_COORDINATOR]);
    herder.wait("loss", is_lost);
    herder.wait("contact again", is_contact);
    cluster.request_errors(RDKafkaApiKey::Heartbeat, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID]);
    let again = herder.settle();
    assert!(again.generation >= stable.generation);

    cluster.request_errors(
        RDKafkaApiKey::JoinGroup,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED],
    );
    herder.join();
    let (_, event) = herder.wait("the end", |event| matches!(event, GroupEvent::Fatal(_)));
    assert!(format!("{event:?}").contains("GroupAuthorizationFailed (30)"), "{event:?}");
}

#[test]
fn the_coordinator_is_looked_for_where_it_is() {
    let mut config = rdkafka::ClientConfig::new();
    config.set("test.mock.num.brokers", "3");
    let owner: rdkafka::producer::BaseProducer = config.create().unwrap();
    use rdkafka::producer::Producer as _;
    let cluster = owner.client().mock_cluster().unwrap();
    let group = unique("group");
    for (api, max) in
        [(RDKafkaApiKey::JoinGroup, 5), (RDKafkaApiKey::SyncGroup, 3), (RDKafkaApiKey::LeaveGroup, 2)]
    {
        cluster.apiversion(api, Some(0), Some(max)).unwrap();
    }
    cluster.coordinator(MockCoordinator::Group(group.clone()), 2).unwrap();
    let client = [("bootstrap.servers", cluster.bootstrap_servers())].into_iter().collect();
    let mut herder = Herder::start("w1", quick(&group, "w1"), &client);
    let stable = herder.first_round();
    // It moves. The mock cluster's brokers share what they know of groups.
    cluster.coordinator(MockCoordinator::Group(group), 3).unwrap();
    herder.wait("loss", is_lost);
    herder.wait("contact with the new one", is_contact);
    let rejoins = herder.seen.iter().filter(|event| matches!(event, GroupEvent::RejoinNeeded(_))).count();
    assert_eq!(rejoins, 1, "generation {} is kept: {:?}", stable.generation, herder.seen);
}

#[test]
fn a_tick_thread_that_hangs_costs_the_place() {
    let broker = EmbeddedBroker::start().unwrap();
    let mut herder = Herder::start("w1", quick(&unique("group"), "w1"), &client(&broker));
    let stable = herder.first_round();
    herder.turn_takes(Duration::from_secs(20));
    herder.wait("the poll timeout", |event| *event == GroupEvent::PollTimeout);
    herder.turn_takes(Duration::ZERO);
    let again = herder.settle();
    assert_ne!(again.member, stable.member);
}

#[test]
fn dropping_the_handle_ends_the_thread() {
    let broker = EmbeddedBroker::start().unwrap();
    let mut herder = Herder::start("w1", quick(&unique("group"), "w1"), &client(&broker));
    herder.first_round();
    let start = Instant::now();
    drop(herder);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());

    // Nobody is there: also then.
    let gone = [("bootstrap.servers", "127.0.0.1:1,no-such-host.invalid:9092")].into_iter().collect();
    let mut herder = Herder::start("w1", quick("group", "w1"), &gone);
    herder.join();
    herder.wait("loss", is_lost);
    herder.tell(LEAVES);
    let start = Instant::now();
    drop(herder);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}
