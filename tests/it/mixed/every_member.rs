//! Everything that can be asked of a cluster, asked through every member, with leaders of both kinds.

use std::thread;

use super::cluster::Cluster;
use super::cluster::Kind::{self, Java, Ours};
use super::operations::{LIFE, Subject};
use super::work::Work;
use crate::support::kafka;

#[test]
fn two_of_ours_and_one_of_apaches() {
    every_member("ours-ours-java", &[Java, Ours, Ours], &[Java, Ours]);
}

#[test]
fn ours_alone() {
    every_member("ours-alone", &[Ours, Ours, Ours], &[Ours]);
}

#[test]
#[ignore = "long: scripts/test --long"]
fn one_of_ours_and_two_of_apaches() {
    every_member("ours-java-java", &[Ours, Java, Java], &[Ours, Java]);
}

/// For each kind of leader, a connector lives its whole life through each of the members; all of them at the same time.
fn every_member(name: &str, kinds: &[Kind], leaders: &[Kind]) {
    let Some(kafka) = kafka() else { return };
    let mut cluster = Cluster::new(&kafka, name, &[]);
    cluster.start_all(kinds);
    let mut work = Work::begin(&mut cluster);
    let topic = kafka.topic("subjects", 1);
    for leader in leaders {
        cluster.led_by(*leader);
        thread::scope(|scope| {
            for member in 0..cluster.members.len() {
                let name = format!("{leader:?}-{member}").to_lowercase();
                let mut subject = Subject::new(&cluster, &name, &topic, work.folder());
                let cluster = &cluster;
                scope.spawn(move || {
                    for operation in LIFE {
                        subject.undergo(cluster, member, operation);
                    }
                });
            }
        });
        work.check(&mut cluster);
    }
    work.end(&mut cluster, name);
}
