//! Every `connect.protocol` beside a member of the other kind.

use super::cluster::Cluster;
use super::cluster::Kind::{self, Java, Ours};
use super::operations::{LIFE, Subject};
use super::work::Work;
use crate::support::kafka;

/// `connect.protocol`, and what a group speaks of which one member has that and the other has the default.
const SPOKEN: [(&str, &str); 3] =
    [("compatible", "compatible"), ("sessioned", "sessioned"), ("eager", "default")];

#[test]
#[ignore = "long: scripts/test --long"]
fn ours_speak_each_protocol_with_a_leader_of_apaches() {
    let Some(kafka) = kafka() else { return };
    // A worker of Apache's that has work when the group falls back to eager goes on with all of it, also with what others
    // are given. So it has none at that moment.
    for spoken in SPOKEN {
        let mut cluster = Cluster::new(&kafka, "protocols-java", &[]);
        cluster.start_all(&[Java]);
        join(&mut cluster, Ours, spoken);
        let mut work = Work::begin(&mut cluster);
        live(&mut cluster, &mut work, spoken);
        leave(&mut cluster, spoken);
        // When eager has gone, Apache's stops the tasks that were changed meanwhile, until the next rebalance.
        if spoken.0 != "eager" {
            work.end(&mut cluster, &format!("ours with {spoken:?}"));
        }
    }
}

#[test]
#[ignore = "long: scripts/test --long"]
fn apaches_speak_each_protocol_with_a_leader_of_ours() {
    let Some(kafka) = kafka() else { return };
    let mut cluster = Cluster::new(&kafka, "protocols-ours", &[]);
    cluster.start_all(&[Ours]);
    let mut work = Work::begin(&mut cluster);
    for spoken in SPOKEN {
        join(&mut cluster, Java, spoken);
        live(&mut cluster, &mut work, spoken);
        leave(&mut cluster, spoken);
        work.check(&mut cluster);
    }
    work.end(&mut cluster, "Apache's with each protocol");
}

/// A member joins that speaks this protocol at best.
fn join(cluster: &mut Cluster<'_>, kind: Kind, (protocol, spoken): (&str, &str)) {
    cluster.start_with(kind, &[("connect.protocol", protocol)]);
    let group = cluster.settled();
    assert_eq!((group.protocol.as_str(), cluster.leader()), (spoken, 0), "{protocol}: {group:?}");
}

/// Connectors live their lives through both members.
fn live(cluster: &mut Cluster<'_>, work: &mut Work, (protocol, _): (&str, &str)) {
    work.check(cluster);
    let topic = cluster.kafka.topic("subjects", 1);
    for member in 0..2 {
        let mut subject = Subject::new(cluster, &format!("{protocol}-{member}"), &topic, work.folder());
        for operation in LIFE {
            subject.undergo(cluster, member, operation);
        }
    }
    work.check(cluster);
}

/// The second member leaves.
fn leave(cluster: &mut Cluster<'_>, (protocol, _): (&str, &str)) {
    cluster.stop(1);
    let group = cluster.settled();
    assert_eq!(group.protocol, "sessioned", "once {protocol} has gone: {group:?}");
}
