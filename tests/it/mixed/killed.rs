//! The leader is killed in the middle of what it was asked: whatever was answered is done, whatever was not is done or not,
//! and everything runs once again.

use std::thread;
use std::time::Duration;

use super::cluster::Cluster;
use super::cluster::Kind::{self, Java, Ours};
use super::operations::{DISTURBED, Operation, Subject};
use super::work::Work;
use crate::support::{kafka, pause_for, try_send};

/// From the request to the death of the leader, at most; of each round another one: some operations are done at once.
const WITHIN: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(10), Duration::from_millis(250)];

#[test]
fn ours_dies_within_a_creation_and_a_change() {
    let operations = [Operation::Create, Operation::Reconfigure];
    leaders_die("killed-ours", &[Ours, Ours, Ours], &[Ours], &operations, 1);
}

#[test]
#[ignore = "long: scripts/test --long"]
fn ours_alone_die_within_everything() {
    leaders_die("killed-alone", &[Ours, Ours, Ours], &[Ours], &DISTURBED, 3);
}

#[test]
#[ignore = "long: scripts/test --long"]
fn both_kinds_die_within_everything() {
    leaders_die("killed-mixed", &[Java, Ours, Ours], &[Java, Ours], &DISTURBED, 3);
}

/// One leader to be killed.
#[derive(Debug, Clone, Copy)]
struct Death {
    leader: Kind,
    operation: Operation,
    round: u64,
}

/// So many rounds of each operation, each with a leader of each of those kinds.
fn leaders_die(name: &str, kinds: &[Kind], leaders: &[Kind], operations: &[Operation], rounds: u64) {
    let Some(kafka) = kafka() else { return };
    let mut cluster = Cluster::new(&kafka, name, &[]);
    cluster.start_all(kinds);
    let mut work = Work::begin(&mut cluster);
    let topic = kafka.topic("subjects", 1);
    let mut due: Vec<Death> = (0..rounds)
        .flat_map(|round| operations.iter().map(move |operation| (*operation, round)))
        .flat_map(|(operation, round)| {
            leaders.iter().map(move |leader| Death { leader: *leader, operation, round })
        })
        .collect();
    let (mut seed, mut answered, mut done) = (0, 0, 0);
    let deaths = due.len();
    while let Some(next) = due.first() {
        // Whoever leads by chance dies next, as long as there is a death of its kind.
        let leads = cluster.members[cluster.leader()].kind;
        let Some(index) = due.iter().position(|death| death.leader == leads) else {
            let kind = next.leader;
            cluster.led_by(kind);
            continue;
        };
        let death = due.remove(index);
        seed += 1;
        let subject = Subject::new(&cluster, &format!("subject-{seed}"), &topic, work.folder());
        let (was_answered, was_done) = die(&mut cluster, &mut work, subject, death, seed);
        answered += usize::from(was_answered);
        done += usize::from(was_done);
    }
    work.end(&mut cluster, &format!("{name}: {deaths} leaders killed, {answered} answered, {done} done"));
}

/// Kills the leader within an operation; says whether that was answered, and whether it was done.
fn die(
    cluster: &mut Cluster<'_>,
    work: &mut Work,
    mut subject: Subject,
    death: Death,
    seed: u64,
) -> (bool, bool) {
    let random = mixed(seed);
    let within = WITHIN[usize::try_from(death.round).unwrap() % WITHIN.len()];
    let moment = within * u32::try_from(random % 1000).unwrap() / 1000;
    let asked = usize::try_from((random >> 20) % cluster.members.len() as u64).unwrap();
    let replaced_at_once = (random >> 40).is_multiple_of(2);
    subject.prepare(cluster, asked, death.operation);
    let leader = cluster.leader();
    eprintln!(
        "{death:?}: seed {seed}, after {moment:?}, asked {:?}, {:?} leads, replaced at once: {replaced_at_once}",
        cluster.members[asked], cluster.members[leader]
    );
    let (request, status) = subject.request(death.operation);
    let url = cluster.members[asked].url.clone();
    let answer = thread::scope(|scope| {
        let answer =
            scope.spawn(move || try_send(&url, request.method, &request.path, request.body.as_ref()));
        pause_for(moment);
        cluster.kill(leader);
        if replaced_at_once {
            cluster.start(death.leader);
        }
        answer.join().unwrap()
    });
    eprintln!("  it was answered {answer:?}");
    let answered = answer.is_ok_and(|answer| answer.status == status);
    cluster.settled();
    let done = subject.was_done(cluster, death.operation, answered);
    if !replaced_at_once {
        cluster.start(death.leader);
        cluster.settled();
    }
    if !done {
        // A client that got no answer asks again.
        subject.undergo(cluster, 0, death.operation);
    }
    work.check(cluster);
    subject.clear(cluster);
    (answered, done)
}

/// A number that looks random, the same for a seed each time (splitmix64).
fn mixed(seed: u64) -> u64 {
    let z = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
