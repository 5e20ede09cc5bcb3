//! Every `connect.protocol` beside a member of the other kind.

use super::cluster::Cluster;
use super::cluster::Kind::{self, Java, Ours};
use super::operations::LIFE;
use super::operations::Subject;
use super::work::Work;
use crate::support::kafka;

/// `connect.protocol`, and what a group speaks of which one member has that and the other has the default.
const SPOKEN: [(&str, &str); 3] =
    [("eager", "default"), ("compatible", "compatible"), ("sessioned", "sessioned")];

#[test]
#[ignore = "long: scripts/test --long"]
fn ours_speak_each_protocol_with_a_leader_of_apaches() {
    each_protocol("protocols-java", Java, Ours);
}

#[test]
#[ignore = "long: scripts/test --long"]
fn apaches_speak_each_protocol_with_a_leader_of_ours() {
    each_protocol("protocols-ours", Ours, Java);
}

/// A leader that can speak all protocols, and followers, one after another, that speak one of them at best.
fn each_protocol(name: &str, leader: Kind, follower: Kind) {
    let Some(kafka) = kafka() else { return };
    let mut cluster = Cluster::new(&kafka, name, &[]);
    cluster.start_all(&[leader]);
    let mut work = Work::begin(&mut cluster);
    let topic = kafka.topic("subjects", 1);
    for (protocol, spoken) in SPOKEN {
        cluster.start_with(follower, &[("connect.protocol", protocol)]);
        let group = cluster.settled();
        assert_eq!((group.protocol.as_str(), cluster.leader()), (spoken, 0), "{protocol}: {group:?}");
        for member in 0..2 {
            let mut subject = Subject::new(&cluster, &format!("{protocol}-{member}"), &topic, work.folder());
            for operation in LIFE {
                subject.undergo(&cluster, member, operation);
            }
        }
        work.check(&mut cluster);
        cluster.stop(1);
        let group = cluster.settled();
        assert_eq!(group.protocol, "sessioned", "once {protocol} has gone: {group:?}");
        work.check(&mut cluster);
    }
    work.end(&mut cluster, name);
}
