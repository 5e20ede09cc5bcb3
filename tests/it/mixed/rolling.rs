//! A cluster of Apache's is replaced by ours, one worker after another, and back.

use super::cluster::Cluster;
use super::cluster::Kind::{Java, Ours};
use super::operations::Operation::{AlterOffsets, Create, Pause, Resume, Stop};
use super::operations::Subject;
use super::work::Work;
use crate::support::kafka;

#[test]
#[ignore = "long: scripts/test --long"]
fn a_cluster_of_apaches_becomes_ours_and_apaches_again() {
    let Some(kafka) = kafka() else { return };
    // The work of a worker that is stopped waits for its return that long, unless it led.
    let mut cluster = Cluster::new(&kafka, "rolling", &[("scheduled.rebalance.max.delay.ms", "4000")]);
    cluster.start_all(&[Java, Java]);
    let mut work = Work::begin(&mut cluster);
    let topic = kafka.topic("subjects", 1);
    let subject = |name: &str, operations: &[_]| {
        let mut subject = Subject::new(&cluster, name, &topic, work.folder());
        operations.iter().for_each(|operation| subject.undergo(&cluster, 1, *operation));
        subject
    };
    let mut paused = subject("paused", &[Create, Pause]);
    let mut stopped = subject("stopped", &[Create, Stop, AlterOffsets]);
    for (kind, leads) in [(Ours, false), (Ours, true), (Java, true), (Java, false)] {
        let leader = cluster.leader();
        cluster.stop(if leads { leader } else { 1 - leader });
        cluster.start(kind);
        work.check(&mut cluster);
        paused.stands(&cluster);
        stopped.stands(&cluster);
    }
    paused.undergo(&cluster, 0, Resume);
    stopped.undergo(&cluster, 1, Resume);
    work.end(&mut cluster, "rolling replacement");
}

#[test]
#[ignore = "long: scripts/test --long"]
fn a_cluster_that_ended_is_taken_up_by_the_other_kind() {
    let Some(kafka) = kafka() else { return };
    let mut cluster = Cluster::new(&kafka, "taken-up", &[]);
    cluster.start_all(&[Java]);
    let mut work = Work::begin(&mut cluster);
    let topic = kafka.topic("subjects", 1);
    let mut stopped = Subject::new(&cluster, "stopped", &topic, work.folder());
    for operation in [Create, Stop, AlterOffsets] {
        stopped.undergo(&cluster, 0, operation);
    }
    for kind in [Ours, Java, Ours] {
        // Nobody is left who could tell: all that the next one knows is in the topics.
        cluster.kill(0);
        cluster.start(kind);
        work.check(&mut cluster);
        stopped.stands(&cluster);
    }
    stopped.undergo(&cluster, 0, Resume);
    work.end(&mut cluster, "taking up what the other kind left");
}
