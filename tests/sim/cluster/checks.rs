//! What must hold at any time.
//!
//! **Who may run what.** Connectors and tasks are called works here. A generation is taken by a worker when its herder
//! accepts the assignment.
//!
//! 1. A worker runs what it holds, and holds what a generation that it took gave it. What it is told to give up it has
//!    told to stop in the same turn.
//! 2. Who joins says all that it runs, also what is about to stop; under the eager protocol it runs nothing then. Works
//!    that were abandoned, because they do not stop, are not counted.
//! 3. If two workers run the same work, then the one that was given it first was not in the generation that gave it to
//!    the other: it has lost its place, whether it knows or not. Nothing else excuses it.
//! 4. Two workers that have taken the same generation do not run the same work, but for what is told to stop. So who
//!    comes back ends within one generation what another has got meanwhile.

use std::time::Duration;

use herdsman::group::events::Protocols;
use herdsman::group::protocol::{Assignment, ConnectProtocol, Metadata};
use herdsman::herder::msg::{Answer, HerderError, HerderEvent};
use herdsman::store::config_records::{ConfigRecord, StoredSettings};
use herdsman::store::config_state::TargetState;

use super::Cluster;
use super::coordinator::Serial;
use super::errands::Errand;
use super::network::Life;
use super::process::Inboxed;
use crate::clients::{Ask, Client, Given, Kind};
use crate::instances::Who;

/// How old the last answer of the coordinator is at most when a worker calls itself healthy.
const CONTACT_FRESH: Duration = Duration::from_secs(1);

/// What an assignment hands out.
fn handed_out(assignment: &Assignment) -> impl Iterator<Item = Who> {
    let connectors = assignment.connectors.iter().cloned().map(Who::Connector);
    connectors.chain(assignment.tasks.iter().cloned().map(Who::Task))
}

impl Cluster<'_> {
    fn held(&mut self, life: Life) -> Vec<Who> {
        let Some(holdings) = self.process(life).herder.holdings() else { return Vec::new() };
        let connectors = holdings.connectors.iter().cloned().map(Who::Connector);
        connectors.chain(holdings.tasks.iter().cloned().map(Who::Task)).collect()
    }

    /// A worker was told its part of a generation: notes what it got from there, if it has taken it.
    pub(super) fn note_given(&mut self, life: Life, serial: Option<Serial>) {
        let Some(serial) = serial else { return };
        let held = self.held(life);
        let round = &self.brokers.group.rounds[serial];
        let Some((_, given)) = round.given.iter().find(|(id, _)| life.is(id)) else { return };
        let handed_out: Vec<_> = handed_out(given).collect();
        let connectors = given.revoked_connectors.iter().cloned().map(Who::Connector);
        let mut revoked = connectors.chain(given.revoked_tasks.iter().cloned().map(Who::Task));
        let took = handed_out.iter().all(|who| held.contains(who)) && !revoked.any(|who| held.contains(&who));
        let process = self.process(life);
        process.took = took.then_some(serial);
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

    /// Rule 3: it can only be broken when something starts.
    pub(super) fn check_start(&mut self, life: Life, who: &Who) {
        let mine = self.process(life).given.get(who).copied();
        let mine = mine.unwrap_or_else(|| panic!("{life} starts {who}, which nobody gave it"));
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
                !round.members.iter().any(|member| first.is(member)),
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
        let given = self.brokers.group.rounds[serial].given.iter().find(|(id, _)| life.is(id));
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
