//! What must hold at any time.
//!
//! **Who may run what.** Connectors and tasks are called works here. A generation is taken by a worker when its herder
//! accepts the assignment.
//!
//! 1. A worker runs what it holds, and holds what the generations that it took gave it, without what they took from it. What
//!    it is told to give up it has told to stop in the same turn.
//! 2. Who joins says all that it runs, also what is about to stop; under the eager protocol it runs nothing then. Works
//!    that were abandoned, because they do not stop, are not counted.
//! 3. If two workers run the same work, then the one that was given it first was not in the generation that gave it to
//!    the other: it has lost its place, whether it knows or not. Or the leader was told what it held before, because a
//!    request to join over a connection that it had given up came late: nothing in the protocol tells that it is old, and
//!    the next generation ends it. Nothing else excuses it.
//! 4. Two workers that have taken the same generation do not run the same work, but for what is told to stop. So who
//!    comes back ends within one generation what another has got meanwhile.
//! 5. What a generation gives to a worker starts there when it has read what is configured as far as the leader had.
//! 6. What only the leader may write is written by a worker that leads the generation it took, and that is not on its way into
//!    the next one: another worker may lead there already.

use std::collections::BTreeSet;
use std::time::Duration;

use herdsman::api::ids::Generation;
use herdsman::group::events::Protocols;
use herdsman::group::protocol::{Assignment, ConnectProtocol, Metadata};
use herdsman::health::Stage;
use herdsman::herder::msg::{Answer, HerderError, HerderEvent};
use herdsman::store::config_records::{ConfigRecord, StoredSettings};
use herdsman::store::config_state::TargetState;
use herdsman::store::config_write::ConfigWrite;

use super::Cluster;
use super::coordinator::Serial;
use super::errands::Errand;
use super::network::Life;
use super::process::{Inboxed, Process};
use crate::clients::{Ask, Client, Given, Kind};
use crate::instances::Who;

/// How old the last answer of the coordinator is at most when a worker calls itself healthy.
const CONTACT_FRESH: Duration = Duration::from_secs(1);

/// What an assignment hands out.
fn handed_out(assignment: &Assignment) -> impl Iterator<Item = Who> {
    let connectors = assignment.connectors.iter().cloned().map(Who::Connector);
    connectors.chain(assignment.tasks.iter().cloned().map(Who::Task))
}

/// What an assignment takes away.
fn revoked(assignment: &Assignment) -> impl Iterator<Item = Who> {
    let connectors = assignment.revoked_connectors.iter().cloned().map(Who::Connector);
    connectors.chain(assignment.revoked_tasks.iter().cloned().map(Who::Task))
}

fn held(process: &Process) -> BTreeSet<Who> {
    let Some(holdings) = process.herder.holdings() else { return BTreeSet::new() };
    let connectors = holdings.connectors.iter().cloned().map(Who::Connector);
    connectors.chain(holdings.tasks.iter().cloned().map(Who::Task)).collect()
}

/// A worker before it is told its part of a generation.
pub(super) struct Before {
    generation: Option<Generation>,
    held: BTreeSet<Who>,
}

impl Before {
    pub(super) fn of(process: &Process) -> Self {
        Before { generation: process.herder.generation(), held: held(process) }
    }
}

impl Cluster<'_> {
    /// Rule 1: a worker was told its part of a generation. Notes what it got from there, if it has taken it.
    pub(super) fn note_given(&mut self, life: Life, serial: Serial, before: &Before) {
        let is_eager = self.common.protocol == ConnectProtocol::Eager;
        let round = &self.brokers.group.rounds[serial];
        let Some((_, given)) = round.given.iter().find(|(id, _)| life.is(id)) else { return };
        let (handed_out, revoked): (BTreeSet<_>, BTreeSet<_>) =
            (handed_out(given).collect(), revoked(given).collect());
        let process = self.process(life);
        let held = held(process);
        // It may be told the same once more, or be about to join again, and not take it.
        let is_new = process.herder.generation() != before.generation;
        let took = is_new || (handed_out.is_subset(&held) && revoked.is_disjoint(&held));
        process.took = took.then_some(serial);
        if is_new {
            let kept = before.held.difference(&revoked).filter(|_| !is_eager);
            let right: BTreeSet<_> = kept.chain(&handed_out).cloned().collect();
            let wrong: Vec<_> = held.difference(&right).map(ToString::to_string).collect();
            assert_eq!(wrong, [""; 0], "{life} holds what was taken from it, or was not given to it");
            let gone = right.difference(&held).filter(|who| process.is_configured(who));
            let gone: Vec<_> = gone.map(ToString::to_string).collect();
            assert_eq!(gone, [""; 0], "{life} does not hold what was given to it");
        }
        for who in held {
            if handed_out.contains(&who) {
                process.given.insert(who.clone(), serial);
            }
            assert!(process.given.contains_key(&who), "{life} holds {who}, which nobody gave it");
        }
    }

    /// Rule 1.
    pub(super) fn check_runs(&mut self, life: Life) {
        let now = self.schedule.now();
        let process = self.places[life.worker].process.as_ref().expect("it has just had its turn");
        process.instances.check_deadlines(now, super::TASK_STOP);
        let Some(holdings) = process.herder.holdings() else { return };
        for (who, _) in process.instances.all_live() {
            let is_held = match who {
                Who::Connector(name) => holdings.connectors.contains(name),
                Who::Task(id) => holdings.tasks.contains(id),
            };
            let stops = || process.instances.live(who).is_some_and(|(_, instance)| instance.is_stopping());
            assert!(is_held || stops(), "{life} runs {who}, which it does not hold");
        }
    }

    /// Rule 2.
    pub(super) fn check_join(&mut self, life: Life, protocols: &Protocols) {
        let metadata = Metadata::decode(&protocols[0].1).expect("metadata that can be read");
        let is_eager = self.common.protocol == ConnectProtocol::Eager;
        let said: Vec<_> = metadata.allocation.iter().flat_map(handed_out).collect();
        for (who, _) in self.process(life).instances.all_live() {
            assert!(!is_eager, "{life} joins while {who} runs");
            assert!(said.contains(who), "{life} joins, and does not say that {who} runs there");
        }
    }

    /// Rules 3 and 5: they can only be broken when something starts.
    pub(super) fn check_start(&mut self, life: Life, who: &Who) {
        let process = self.process(life);
        let (took, read) = (process.took, process.configs.offset());
        let mine = process.given.get(who).copied();
        let mine = mine.unwrap_or_else(|| panic!("{life} starts {who}, which nobody gave it"));
        if took == Some(mine) {
            let given = self.brokers.group.rounds[mine].given.iter().find(|(id, _)| life.is(id));
            let to = given.map(|(_, given)| given.config_offset);
            assert!(
                to.is_some_and(|to| to <= read),
                "{life} starts {who} at {read:?}, and should read to {to:?}"
            );
        }
        for other in self.lives().into_iter().filter(|other| *other != life) {
            let process = self.process(other);
            if process.instances.live(who).is_none() {
                continue;
            }
            let theirs = process.given.get(who).copied().expect("who runs something was given it");
            assert_ne!(mine, theirs, "{who} was given to {life} and to {other} at a time");
            let (later, first) = if mine > theirs { (mine, other) } else { (theirs, life) };
            let round = &self.brokers.group.rounds[later];
            assert!(
                !round.members.difference(&round.outdated).any(|member| first.is(member)),
                "{who} starts on {life} while it runs on {other}; {first} was there when it was given away"
            );
        }
    }

    /// Rule 4.
    pub(super) fn check_agreement(&mut self, life: Life) {
        let Some(serial) = self.process(life).took else { return };
        if !self.brokers.group.rounds[serial].is_good() {
            return;
        }
        let runs = |cluster: &mut Self, life: Life| -> Vec<Who> {
            let instances = &cluster.process(life).instances;
            let stops = |who: &Who| instances.live(who).is_some_and(|(_, instance)| instance.is_stopping());
            let live = instances.all_live().map(|(who, _)| who);
            live.filter(|who| !stops(who)).cloned().collect()
        };
        let mine = runs(self, life);
        for other in self.lives().into_iter().filter(|other| *other != life) {
            if self.process(other).took == Some(serial) {
                let theirs = runs(self, other);
                let both: Vec<_> =
                    theirs.iter().filter(|who| mine.contains(who)).map(ToString::to_string).collect();
                assert_eq!(both, [""; 0], "they run on {life} and on {other}, both of one generation");
            }
        }
    }

    /// Rule 6.
    pub(super) fn check_write(&mut self, life: Life, write: &ConfigWrite) {
        if !write.is_leaders() {
            return;
        }
        let process = self.process(life);
        let (took, stage) = (process.took, process.herder.stage());
        let is_on_its_way = matches!(
            stage,
            Some(
                Stage::StoppingForRebalance
                    | Stage::JoiningGroup
                    | Stage::ReadingConfigTopic
                    | Stage::BackingOff
            )
        );
        let leads = took.is_some_and(|serial| !self.brokers.group.rounds[serial].is_led_by_another(life));
        assert!(leads && !is_on_its_way, "{life} writes {write:?}, and does not lead: {stage:?}");
    }

    /// A good answer was given.
    pub(super) fn check_answer(&mut self, life: Life, client: &Client, errand: &Errand, given: &Given) {
        if client.kind == Kind::Health {
            return self.check_health(life);
        }
        let written = self.config.history(errand.asked_at);
        let has = |wanted: &dyn Fn(&ConfigRecord) -> bool| written.iter().any(wanted);
        let is_of = |record: &ConfigRecord, of: &str, wanted: &StoredSettings| {
            matches!(record,
            ConfigRecord::Connector { name, settings } if name.as_str() == of && settings == wanted)
        };
        let is_target = |record: &ConfigRecord, of: &str, wanted: TargetState| {
            matches!(record,
            ConfigRecord::Target { name, state } if name.as_str() == of && *state == Some(wanted))
        };
        let is_there = match &errand.ask {
            Ask::Create(name, draft, _) | Ask::Put(name, draft) => {
                let wanted = draft.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
                has(&|record| is_of(record, name.as_str(), &wanted))
            }
            Ask::Patch(name, _) => {
                let Given::Connector(info) = given else { panic!("no connector in {given:?}") };
                let wanted = herdsman::store::config_records::stored(info.config.clone());
                has(&|record| is_of(record, name.as_str(), &wanted))
            }
            Ask::Delete(name) => has(&|record| *record == ConfigRecord::Removed(name.clone())),
            Ask::Stop(name) => has(&|record| is_target(record, name.as_str(), TargetState::Stopped)),
            Ask::SetTarget(name, state) => has(&|record| is_target(record, name.as_str(), *state)),
            Ask::RestartParts(name, scope) => {
                has(&|record| *record == ConfigRecord::Restart { name: name.clone(), scope: *scope })
            }
            Ask::SubmitTasks(name, tasks, _) => {
                let tasks = u32::try_from(tasks.len()).unwrap();
                has(&|record| *record == ConfigRecord::Commit { name: name.clone(), tasks })
            }
            Ask::Health
            | Ask::Restart(_)
            | Ask::RestartTask(_)
            | Ask::ResetOffsets(_)
            | Ask::Tasks(_)
            | Ask::Offsets(_)
            | Ask::ResetTopics(_)
            | Ask::Info(_) => true,
        };
        assert!(is_there, "{life}: {} was answered well, and is not written", client.text);
    }

    /// A worker says that it is healthy: it has just heard of the coordinator, knows what is configured as far as its
    /// generation does, and serves what is asked of it now.
    fn check_health(&mut self, life: Life) {
        let now = self.schedule.now();
        let process = self.process(life);
        let age = process.contact_at.map(|at| now - at);
        assert!(
            age.is_some_and(|age| age <= CONTACT_FRESH),
            "{life} is healthy, and heard of the coordinator {age:?} ago"
        );
        assert!(!process.is_unreadable, "{life} is healthy, and cannot read the config topic");
        let position = process.config.position;
        let serial = process.took.unwrap_or_else(|| panic!("{life} is healthy without a generation"));
        let claimed = process.claimed;
        let rounds = &self.brokers.group.rounds;
        if self.common.transactional && !rounds[serial].is_led_by_another(life) {
            let since =
                claimed.unwrap_or_else(|| panic!("{life} leads, is healthy, and has claimed nothing"));
            let others = rounds[since..=serial].iter().any(|round| round.is_led_by_another(life));
            assert!(!others, "{life} is healthy, and another has led since it claimed the config topic");
        }
        let given = rounds[serial].given.iter().find(|(id, _)| life.is(id));
        let read = given.map(|(_, given)| given.config_offset.number()).unwrap_or_default();
        assert!(position as i64 >= read, "{life} is healthy at {position}, and its generation at {read}");
        for ask in [Ask::Info("nobody".into()), Ask::Delete("nobody".into())] {
            let (request, client) = ask.put();
            self.turn(life, Inboxed { event: HerderEvent::Request(request), serial: None });
            let answer: Option<Answer<Given>> = client.poll();
            let is_served = matches!(
                answer,
                Some(Err(HerderError::NotFound(_) | HerderError::NotHere { url: Some(_), .. }))
            );
            assert!(is_served, "{life} is healthy, and answers {} with {answer:?}", client.text);
        }
    }
}
