//! A whole group in one thread: members and their leader exchange bytes through a Kafka that loses some. What must
//! hold whatever happens, and how little may move.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::division::TaskCounts;
use super::leader::{Leader, Round};
use super::protocol::{Assignment, Metadata, ProtocolVersion};
use crate::api::ids::{ConfigOffset, ConnectorName, Generation, MemberId};
use crate::stdx::time::Clock;

const VERSION: ProtocolVersion = ProtocolVersion::Sessioned;

struct Group {
    delay_max: Duration,
    leader: Leader,
    /// The member that leads.
    leads: MemberId,
    members: BTreeMap<MemberId, Option<Assignment>>,
    /// What workers hold that Kafka has lost sight of.
    away: Vec<Assignment>,
    configured: TaskCounts,
    now: Duration,
    generation: i32,
    /// The last generation that the leader took part in, and the last one that it led.
    completed: Option<Generation>,
    led: Option<Generation>,
    members_ever: usize,
}

/// What the members were told in a round, all together.
#[derive(Debug, Default, PartialEq)]
struct Told {
    started: usize,
    stopped: usize,
    delay: Duration,
}

/// Connectors and tasks by their names.
type Names = BTreeSet<String>;

impl Group {
    fn new(delay_max: Duration, members: usize) -> Self {
        let mut group = Group {
            delay_max,
            leader: Leader::new(delay_max),
            leads: member_id(0),
            members: BTreeMap::new(),
            away: Vec::new(),
            configured: TaskCounts::new(),
            now: Duration::from_secs(1),
            generation: 0,
            completed: None,
            led: None,
            members_ever: 0,
        };
        for _ in 0..members {
            group.join(None);
        }
        group
    }

    fn join(&mut self, held: Option<Assignment>) {
        self.members.insert(member_id(self.members_ever), held);
        self.members_ever += 1;
    }

    /// Kafka loses sight of a member that does not lead; the worker goes on.
    fn depart(&mut self, which: usize) {
        let others: Vec<_> = self.members.keys().filter(|id| **id != self.leads).cloned().collect();
        if let Some(id) = others.get(which % others.len().max(1)) {
            self.away.extend(self.members.remove(id).flatten());
        }
    }

    /// A worker comes back with what it held, under another id.
    fn come_back(&mut self) {
        let Some(mut held) = self.away.pop() else { return };
        // What was deleted meanwhile is known to no leader, and would stay, as in Apache.
        held.connectors.retain(|connector| self.configured.contains_key(connector));
        held.tasks
            .retain(|task| self.configured.get(&task.connector).is_some_and(|&count| task.index < count));
        self.join(Some(held));
    }

    fn configure(&mut self, name: &str, tasks: Option<u32>) {
        if self.led != self.completed {
            // A leader that does not know who had what does not know what was deleted, and lets it run, as in Apache.
            self.round(0);
        }
        match tasks {
            Some(tasks) => self.configured.insert(name.into(), tasks),
            None => self.configured.remove(name),
        };
    }

    /// Another member leads, and has never led before. The one that led is gone for good.
    fn replace_leader(&mut self) {
        self.settle();
        self.members.remove(&self.leads);
        if self.members.is_empty() {
            self.join(None);
        }
        self.leads = self.members.keys().next().unwrap().clone();
        self.leader = Leader::new(self.delay_max);
        self.led = None;
        self.completed = Some(Generation::new(self.generation));
    }

    /// Another leads one round, and then the same as before.
    fn lead_elsewhere(&mut self) {
        self.settle();
        let leader = std::mem::replace(&mut self.leader, Leader::new(self.delay_max));
        let led = self.led;
        self.join(None);
        self.round(0);
        (self.leader, self.led) = (leader, led);
    }

    /// One generation. Members at the places of bits that are set in `missed` do not receive what they are told.
    fn round(&mut self, missed: u16) -> Told {
        let doubled_before = self.doubled();
        self.generation += 1;
        let generation = Generation::new(self.generation);
        let metadata = |(id, held): (&MemberId, &Option<Assignment>)| {
            let config_offset = ConfigOffset::new(7);
            let metadata = Metadata { url: format!("http://{id}/"), config_offset, allocation: held.clone() };
            (id.clone(), metadata.encode(VERSION).unwrap())
        };
        let metadata: Vec<_> = self.members.iter().map(metadata).collect();
        let members: Vec<_> = metadata.iter().map(|(id, bytes)| (id.clone(), bytes.as_slice())).collect();
        let outcome = self.leader.lead(&Round {
            version: VERSION,
            generation,
            last_completed: self.completed,
            now: self.now,
            leader: &self.leads,
            leader_url: "http://leader/",
            members: &members,
            config_offset: ConfigOffset::new(7),
            configured: &self.configured,
        });
        self.led = Some(generation);
        let mut told = Told::default();
        for (place, (member, bytes)) in outcome.unwrap().assignments.into_iter().enumerate() {
            let assignment = Assignment::decode(&bytes).unwrap();
            told.delay = assignment.delay;
            if place >= 16 || missed >> place & 1 == 0 {
                told.started += assignment.connectors.len() + assignment.tasks.len();
                told.stopped += assignment.revoked_connectors.len() + assignment.revoked_tasks.len();
                self.receive(&member, assignment);
            }
        }
        assert!(self.doubled().is_subset(&doubled_before), "a round gave something to two members");
        told
    }

    fn receive(&mut self, member: &MemberId, mut assignment: Assignment) {
        let held = self.members.get_mut(member).unwrap();
        if let Some(before) = held {
            assignment.augment(before);
        }
        assignment.revoked_connectors.clear();
        assignment.revoked_tasks.clear();
        *held = Some(assignment);
        if *member == self.leads {
            self.completed = Some(Generation::new(self.generation));
        }
    }

    /// Rounds follow each other as long as a member has a reason to join again.
    fn settle(&mut self) {
        const ROUNDS_MAX: usize = 50;
        for _ in 0..ROUNDS_MAX {
            let told = self.round(0);
            self.now += told.delay;
            if told.delay.is_zero() && told.stopped == 0 {
                return;
            }
        }
        panic!("not settled after {ROUNDS_MAX} rounds: {:?}", self.held());
    }

    fn held(&self) -> BTreeMap<&MemberId, Names> {
        let names = |held: &Assignment| {
            let connectors = held.connectors.iter().map(ToString::to_string);
            connectors.chain(held.tasks.iter().map(ToString::to_string)).collect()
        };
        self.members.iter().map(|(id, held)| (id, held.as_ref().map(names).unwrap_or_default())).collect()
    }

    /// What several members hold.
    fn doubled(&self) -> Names {
        let mut seen = Names::new();
        self.held().into_values().flatten().filter(|name| !seen.insert(name.clone())).collect()
    }

    /// What must be true of a group in which nobody has a reason to join again.
    fn check_settled(&mut self) {
        let tasks = self.configured.iter().flat_map(|(name, &count)| {
            std::iter::once(name.to_string()).chain((0..count).map(move |index| format!("{name}-{index}")))
        });
        let held = self.held();
        assert_eq!(held.values().flatten().cloned().collect::<Names>(), tasks.collect(), "{held:?}");
        assert_eq!(self.doubled(), Names::new());
        for count in [|held: &Assignment| held.connectors.len(), |held: &Assignment| held.tasks.len()] {
            let counts = self.members.values().map(|held| held.as_ref().map_or(0, count));
            let counts: Vec<_> = counts.collect();
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
        }
        assert_eq!(self.round(0), Told::default(), "another round has nothing to do");
    }
}

fn member_id(number: usize) -> MemberId {
    MemberId::new(format!("m{number:04}"))
}

#[derive(Debug, Clone)]
enum Event {
    Join,
    Depart(usize),
    ComeBack,
    Configure(&'static str, Option<u32>),
    ReplaceLeader,
    LeadElsewhere,
    Nothing,
}

fn any_event() -> impl Strategy<Value = Event> {
    let connector = prop::sample::select(vec!["a", "b", "c", "d", "e"]);
    prop_oneof![
        3 => Just(Event::Join),
        3 => any::<usize>().prop_map(Event::Depart),
        2 => Just(Event::ComeBack),
        4 => (connector, prop::option::weighted(0.8, 0..6_u32)).prop_map(|(c, tasks)| Event::Configure(c, tasks)),
        1 => Just(Event::ReplaceLeader),
        1 => Just(Event::LeadElsewhere),
        2 => Just(Event::Nothing),
    ]
}

proptest! {
    #[test]
    fn whatever_happened_all_runs_once_and_is_spread_evenly(
        delay_max in prop::sample::select(vec![0, 1_000, 300_000]),
        history in vec((any_event(), prop::option::weighted(0.3, any::<u16>()), 0..200_000_u64), 0..16),
    ) {
        let mut group = Group::new(Duration::from_millis(delay_max), 1);
        group.configure("a", Some(4));
        for (event, missed, wait) in history {
            match event {
                Event::Join => group.join(None),
                Event::Depart(which) => group.depart(which),
                Event::ComeBack => group.come_back(),
                Event::Configure(name, tasks) => group.configure(name, tasks),
                Event::ReplaceLeader => group.replace_leader(),
                Event::LeadElsewhere => group.lead_elsewhere(),
                Event::Nothing => {}
            }
            group.now += Duration::from_millis(wait);
            group.round(missed.unwrap_or_default());
        }
        group.settle();
        group.check_settled();
    }

    #[test]
    fn who_joins_takes_its_part_and_nothing_else_moves(
        tasks in vec(0..9_u32, 0..8),
        members in 1..7_usize,
    ) {
        let mut group = settled(&tasks, members);
        let before = group.held().into_iter().map(|(id, held)| (id.clone(), held)).collect::<Vec<_>>();
        group.join(None);
        group.settle();
        let after = group.held();
        for (id, before) in &before {
            prop_assert!(after[id].is_subset(before), "{id}: {before:?}, then {after:?}");
        }
        let newcomer = group.members.values().next_back().unwrap().as_ref().unwrap();
        let (connectors, tasks) = (newcomer.connectors.len(), newcomer.tasks.len());
        prop_assert!(connectors <= group.configured.len().div_ceil(members + 1));
        prop_assert!(tasks <= (group.configured.values().sum::<u32>() as usize).div_ceil(members + 1));
        group.check_settled();
    }

    #[test]
    fn what_a_departed_member_had_waits_and_nothing_else_moves(
        tasks in vec(0..9_u32, 1..8),
        members in 2..7_usize,
        which in any::<usize>(),
    ) {
        let mut group = settled(&tasks, members);
        group.depart(which);
        let before = group.held().into_iter().map(|(id, held)| (id.clone(), held)).collect::<Vec<_>>();
        let lost = group.away[0].connectors.len() + group.away[0].tasks.len();
        let delay = if lost == 0 { Duration::ZERO } else { group.delay_max };
        prop_assert_eq!(group.round(0), Told { delay, ..Told::default() });
        group.now += delay;
        let told = group.round(0);
        prop_assert_eq!(told, Told { started: lost, ..Told::default() });
        let after = group.held();
        for (id, before) in &before {
            prop_assert!(before.is_subset(&after[id]), "{id}: {before:?}, then {after:?}");
        }
        group.check_settled();
    }
}

fn settled(tasks: &[u32], members: usize) -> Group {
    let mut group = Group::new(Duration::from_secs(300), members);
    let connector = |(number, &tasks): (usize, &u32)| (ConnectorName::from(&*format!("c{number}")), tasks);
    group.configured = tasks.iter().enumerate().map(connector).collect();
    group.settle();
    group
}

#[test]
fn a_revocation_that_was_not_received_is_repeated() {
    let mut group = settled(&[4], 2);
    group.configure("c0", Some(2));
    assert_eq!(group.round(0b10), Told { stopped: 1, ..Told::default() });
    let held = |group: &Group| format!("{:?}", group.held().into_values().collect::<Vec<_>>());
    assert_eq!(held(&group), r#"[{"c0", "c0-0"}, {"c0-1", "c0-3"}]"#);
    assert_eq!(group.round(0), Told { stopped: 1, ..Told::default() });
    assert_eq!(held(&group), r#"[{"c0", "c0-0"}, {"c0-1"}]"#);
    group.check_settled();
}

#[test]
fn a_large_group_is_led_at_once() {
    let (members, mut group) = (100, Group::new(Duration::from_secs(300), 100));
    group.configured =
        (0..100).map(|number| (ConnectorName::from(&*format!("connector-{number}")), 100)).collect();
    let start = Clock.now().instant;
    assert_eq!(group.round(0).started, 100 + 100 * 100);
    group.join(None);
    assert_eq!(group.round(0).stopped, 100 * 100 / (members + 1));
    assert_eq!(group.round(0).started, 100 * 100 / (members + 1));
    // A third of a second in a debug build where nobody else works: the bound is for ways that are quadratic in tasks.
    let taken = Clock.now().instant.duration_since(start);
    assert!(taken < Duration::from_secs(10), "{taken:?}");
    group.check_settled();
}
