//! Session keys: each kind signs with the keys of the other, through their rotation and when the leader is another.

use super::cluster::Cluster;
use super::cluster::Kind::{Java, Ours};
use super::operations::Operation::{Create, Reconfigure};
use super::operations::Subject;
use super::tape::Tape;
use super::work::Work;
use crate::support::kafka;

/// A leader writes a new key that often.
const TTL_MS: &str = "3000";
/// Keys that must have been in force under each leader.
const ROTATIONS: usize = 4;

#[test]
#[ignore = "long: scripts/test --long"]
fn keys_are_rotated_by_leaders_of_both_kinds() {
    let Some(kafka) = kafka() else { return };
    let mut cluster = Cluster::new(&kafka, "keys", &[("inter.worker.key.ttl.ms", TTL_MS)]);
    cluster.start_all(&[Java, Ours]);
    let mut work = Work::begin(&mut cluster);
    let mut configs = Tape::of(&kafka, &format!("{}-configs", cluster.group));
    let topic = kafka.topic("subjects", 1);
    let mut subjects: Vec<_> =
        (0..4).map(|n| Subject::new(&cluster, &format!("subject-{n}"), &topic, work.folder())).collect();
    for subject in &mut subjects {
        subject.undergo(&cluster, 0, Create);
    }
    for leader in [Java, Ours, Java] {
        cluster.led_by(leader);
        let before = keys(&mut configs);
        while keys(&mut configs) < before + ROTATIONS {
            // Half of them run on the follower, which hands their tasks to the leader, signed.
            for (n, subject) in subjects.iter_mut().enumerate() {
                subject.undergo(&cluster, n % 2, Reconfigure);
            }
        }
        work.check(&mut cluster);
    }
    let keys = keys(&mut configs);
    work.end(&mut cluster, &format!("{keys} session keys"));
}

/// How many keys were published so far.
fn keys(configs: &mut Tape) -> usize {
    configs.read_to_end().iter().filter(|record| record.key == "session-key").count()
}
