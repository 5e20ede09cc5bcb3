//! The way into a generation of the group and through it: join, be given work, read what is configured, run it, and join
//! again when something changed (KIP-415).
//!
//! ```text
//! Outside ─► Clearing ─► Joining ─► Syncing ─► Resolving ─► Stable ─┐
//!               ▲                                  │ unread         │ a rebalance
//!               │                                  ▼                │
//!               ├──────────── Returning ◄──────── Away              │
//!               └───────────────────────────────────────────────────┘
//! ```
//! The member itself, with its heartbeats and its search for the coordinator, is in `group::member`.

use std::error::Error as _;
use std::time::Duration;

use super::Herder;
use super::connector_entry::ConnectorEntry;
use super::membership::{Claim, Contact, Group, Membership, Place, READS_MAX, Reading, Resolving, Standing};
use super::msg::{Effect, Effects, Exit, OperationId};
use super::operations::{CatchUp, Operation};
use crate::api::ids::{ConnectorName, Generation, MemberId, TaskId};
use crate::group::division::TaskCounts;
use crate::group::events::{GroupEvent, MemberCommand};
use crate::group::leader::Round;
use crate::group::protocol::{Assignment, AssignmentError, Metadata, ProtocolVersion};
use crate::stdx::time::{Deadline, Now};

const TARGET: &str = "org.apache.kafka.connect.runtime.distributed.DistributedHerder";
/// What the coordinator logs of a member that left because it could not read the config topic.
const UNREAD: &str = "taking too long to read the log";
/// How long a leader stays away that could not lead: another one may.
const UNLED: Duration = Duration::from_secs(1);

impl Herder {
    /// The member of the group has news.
    pub(super) fn group_event(&mut self, now: Now, event: GroupEvent, effects: &mut Effects) {
        let Some(group) = self.membership.group() else { return };
        match event {
            GroupEvent::RejoinNeeded(cause) => {
                log::info!(target: TARGET, "Rebalance started: {cause}");
                group.rejoin();
            }
            GroupEvent::Joined { generation, member, leader, protocol, members } => {
                self.joined(now, generation, (member, leader), &protocol, members, effects);
            }
            GroupEvent::Assigned { generation, assignment } => {
                self.assigned(now, generation, &assignment, effects);
            }
            GroupEvent::Contact { at } => group.contact = Contact::At { instant: at, asked: false },
            GroupEvent::ContactLost { why } => {
                log::warn!(target: TARGET, "No contact with the group coordinator: {why}");
                group.contact = Contact::Lost { why };
            }
            GroupEvent::CoordinatorUnreachable { why } => {
                log::error!(
                    target: TARGET,
                    "The group coordinator cannot be reached, so others may be given what runs here: stopping it. {why}"
                );
                group.contact = Contact::Lost { why };
                self.give_up_all();
            }
            GroupEvent::PollTimeout => log::error!(
                target: TARGET,
                "The tick thread was held for longer than rebalance.timeout.ms: this worker has left its group"
            ),
            GroupEvent::Left => log::info!(target: TARGET, "Left the group"),
            GroupEvent::Fatal(why) => effects.push(Effect::Exit(Exit::GroupRefused(why))),
        }
    }

    /// What was configured has changed so that the work is to be divided anew.
    pub(super) fn rejoin_for_config(&mut self) {
        if let Some(group) = self.membership.group()
            && matches!(group.standing, Standing::Stable(_))
        {
            group.rejoin();
        }
    }

    /// Everything that was held must stop: others may have it.
    fn give_up_all(&mut self) {
        let Some(group) = self.membership.group() else { return };
        let names: Vec<_> = group.running.names().cloned().collect();
        group.held.clear();
        group.running.clear();
        group.allotment = None;
        if !matches!(group.standing, Standing::Outside) {
            group.standing = Standing::Clearing;
        }
        self.changed.extend(names);
    }

    /// Takes the next step that can be taken now. Says whether it took one, after which there may be more to follow up.
    pub(super) fn go_on_with_group(&mut self, now: Now, effects: &mut Effects) -> bool {
        if !self.may_run() {
            return false;
        }
        let Some(group) = self.membership.group() else { return false };
        match &group.standing {
            Standing::Clearing => self.join_when_clear(effects),
            Standing::Resolving(..) => self.resolve(effects),
            Standing::Stable(place) if place.rejoin_at.is_some_and(|at| at.passed(now.instant)) => {
                group.rejoin();
                true
            }
            Standing::Away(until) if until.passed(now.instant) => {
                let operation = self.catch_up(effects);
                self.stand(Standing::Returning(operation));
                true
            }
            Standing::Outside
            | Standing::Joining
            | Standing::Syncing(_)
            | Standing::Stable(_)
            | Standing::Away(_)
            | Standing::Returning(_) => false,
        }
    }

    /// Joins, once nothing runs that must not.
    fn join_when_clear(&mut self, effects: &mut Effects) -> bool {
        let Some(group) = self.membership.group() else { return false };
        if !group.version.is_cooperative() && group.running != Default::default() {
            // Under the eager protocol everything stops, and is divided anew.
            let names: Vec<_> = group.running.names().cloned().collect();
            group.running.clear();
            self.changed.extend(names);
            return true;
        }
        self.drop_unconfigured();
        let Membership::Group(group) = &self.membership else { return false };
        let ended = |(name, entry): (&ConnectorName, &ConnectorEntry)| group.has_ended(name, entry);
        if !self.connectors.iter().all(ended) {
            return false;
        }
        match self.protocols() {
            Ok(protocols) => {
                effects.push(Effect::Member(MemberCommand::Join(protocols)));
                self.stand(Standing::Joining);
            }
            Err(why) => effects.push(Effect::Exit(Exit::GroupRefused(why))),
        }
        true
    }

    /// What is not configured any more must have ended before this worker joins, so that it has when the generation is in
    /// force: then its offsets may be changed. To say that it is still held would keep its place in the balance of a leader
    /// that never knew it.
    fn drop_unconfigured(&mut self) {
        let Membership::Group(group) = &mut self.membership else { return };
        let tasks =
            |name: &ConnectorName| self.configs.connector(name).map_or(0, |config| config.tasks.len());
        for holdings in [&mut group.held, &mut group.running] {
            holdings.connectors.retain(|name| self.configs.contains(name));
            holdings.tasks.retain(|id| (id.index as usize) < tasks(&id.connector));
        }
    }

    /// What this worker offers when it joins.
    fn protocols(&self) -> Result<crate::group::events::Protocols, String> {
        let Membership::Group(group) = &self.membership else { return Ok(Vec::new()) };
        let metadata = Metadata {
            url: group.settings.url.clone(),
            config_offset: self.configs.offset(),
            allocation: group.allocation(),
        };
        let offer = |version: &ProtocolVersion| {
            let bytes = metadata.encode(*version).map_err(|why| format!("cannot join the group: {why}"))?;
            Ok((version.name(), bytes.into()))
        };
        group.settings.protocol.offers().iter().map(offer).collect()
    }

    fn joined(
        &mut self,
        now: Now,
        generation: Generation,
        (member, leader): (MemberId, MemberId),
        protocol: &str,
        members: Option<Vec<(MemberId, bytes::Bytes)>>,
        effects: &mut Effects,
    ) {
        let Some(group) = self.membership.group() else { return };
        let Some(version) = ProtocolVersion::from_name(protocol) else {
            let why = format!("the group speaks a protocol that this worker did not offer: {protocol}");
            return effects.push(Effect::Exit(Exit::GroupRefused(why)));
        };
        if !matches!(group.standing, Standing::Joining) {
            // Another join is about to follow, or was asked for.
            return;
        }
        log::info!(target: TARGET, "Joined group and got generation {generation} with protocol {protocol}");
        group.version = version;
        let leader_url = String::new();
        let place = Place { generation, member, leader, leader_url, owners: None, rejoin_at: None };
        group.standing = Standing::Syncing(place);
        if let Some(members) = members {
            self.lead(now, generation, &members, effects);
        }
    }

    /// Divides the work, as the leader.
    fn lead(
        &mut self,
        now: Now,
        generation: Generation,
        members: &[(MemberId, bytes::Bytes)],
        effects: &mut Effects,
    ) {
        let configured: TaskCounts = self
            .configs
            .names()
            .filter_map(|name| {
                let tasks = self.configs.connector(name)?.tasks.len();
                Some((name.clone(), u32::try_from(tasks).unwrap_or(u32::MAX)))
            })
            .collect();
        let Some(group) = self.membership.group() else { return };
        let Standing::Syncing(place) = &mut group.standing else { return };
        let members: Vec<_> = members.iter().map(|(id, bytes)| (id.clone(), bytes.as_ref())).collect();
        let round = Round {
            version: group.version,
            generation,
            last_completed: group.last_completed,
            now: now.instant.saturating_duration_since(group.began),
            leader: &place.member,
            leader_url: &group.settings.url,
            members: &members,
            config_offset: self.configs.offset(),
            configured: &configured,
        };
        match group.leading.lead(&round) {
            Ok(outcome) => {
                place.owners = Some(outcome.owners);
                let assignments = outcome.assignments.into_iter().map(|(id, bytes)| (id, bytes.into()));
                let assignments = assignments.collect();
                effects.push(Effect::Member(MemberCommand::Assign { generation, assignments }));
            }
            Err(why) => {
                let cause = why.source().map(|cause| format!(": {cause}")).unwrap_or_default();
                log::error!(
                    target: TARGET,
                    "Cannot lead the group; leaving it for a while, so that another may: {why}{cause}"
                );
                effects.push(Effect::Member(MemberCommand::Leave { reason: "cannot divide the work" }));
                group.standing = Standing::Away(Deadline::after(now.instant, UNLED));
            }
        }
    }

    /// This worker's part of the work came.
    fn assigned(&mut self, now: Now, generation: Generation, assignment: &[u8], effects: &mut Effects) {
        let Some(group) = self.membership.group() else { return };
        let Standing::Syncing(place) = &mut group.standing else { return };
        if place.generation != generation {
            return;
        }
        let assignment = match Assignment::decode(assignment) {
            Ok(assignment) => assignment,
            Err(why) => {
                log::error!(target: TARGET, "Cannot read the assignment of generation {generation}, joining again: {why}");
                effects.push(Effect::Member(MemberCommand::Leave { reason: "cannot read the assignment" }));
                group.standing = Standing::Away(Deadline::after(now.instant, UNLED));
                return;
            }
        };
        log::info!(
            target: TARGET,
            "Received the assignment of generation {generation} from leader {} at {}: {} connectors and {} tasks more, {} and {} \
             fewer, configuration at offset {}",
            assignment.leader, assignment.leader_url, assignment.connectors.len(), assignment.tasks.len(),
            assignment.revoked_connectors.len(), assignment.revoked_tasks.len(), assignment.config_offset
        );
        place.leader_url.clone_from(&assignment.leader_url);
        place.leader = assignment.leader.clone();
        let delay = assignment.delay;
        place.rejoin_at = (!delay.is_zero()).then(|| Deadline::after(now.instant, delay));
        // Perhaps not, but they may have.
        let others_led = !group.was_in_the_one_before(generation);
        if others_led {
            group.claim = Claim::None;
        }
        group.last_completed = Some(generation);
        let resolving = Resolving {
            to: assignment.config_offset,
            failed: assignment.error != AssignmentError::None,
            revoked: !(assignment.revoked_connectors.is_empty() && assignment.revoked_tasks.is_empty()),
            reading: Reading::NotYet,
        };
        let taken = group.take_over(assignment);
        let standing = std::mem::replace(&mut group.standing, Standing::Outside);
        if let Standing::Syncing(place) = standing {
            group.standing = Standing::Resolving(place, resolving);
        }
        self.changed.extend(taken);
        self.begin_to_lead(now, others_led, effects);
    }

    /// Compares how far this worker has read with how far the leader had; runs its part when they agree.
    fn resolve(&mut self, effects: &mut Effects) -> bool {
        let local = self.configs.offset();
        let Some(group) = self.membership.group() else { return false };
        let Standing::Resolving(place, resolving) = &mut group.standing else { return false };
        let leads = place.leader == place.member;
        let behind = local < resolving.to;
        match resolving.reading {
            Reading::Now(_) if behind || resolving.failed => false,
            Reading::NotYet if behind || (resolving.failed && leads) => {
                let operation = self.catch_up(effects);
                if let Some(Group { standing: Standing::Resolving(_, resolving), .. }) =
                    self.membership.group()
                {
                    resolving.reading = Reading::Now(operation);
                }
                true
            }
            Reading::NotYet | Reading::Now(_) | Reading::Done => {
                if resolving.failed || local != resolving.to {
                    group.rejoin();
                } else {
                    self.begin_to_run();
                }
                true
            }
        }
    }

    /// All that was given may run.
    fn begin_to_run(&mut self) {
        let Some(group) = self.membership.group() else { return };
        let standing = std::mem::replace(&mut group.standing, Standing::Clearing);
        let Standing::Resolving(place, resolving) = standing else {
            group.standing = standing;
            return;
        };
        group.running.clone_from(&group.held);
        let names: Vec<_> = group.running.names().cloned().collect();
        if !resolving.revoked {
            log::info!(
                target: TARGET,
                "Generation {} is in force with {} connectors and {} tasks",
                place.generation, group.running.connectors.len(), group.running.tasks.len()
            );
            group.standing = Standing::Stable(place);
        }
        self.changed.extend(names);
        self.renew_statuses();
    }

    /// Has the config topic read to its end, within the time that one try has.
    fn catch_up(&mut self, effects: &mut Effects) -> OperationId {
        let operation = self.next_operation(Operation::CatchingUp(CatchUp::Assignment));
        if let Some(group) = self.membership.group() {
            effects.push(Effect::CatchUp(operation, group.settings.sync_timeout));
        }
        operation
    }

    /// The config topic was read to its end, or could not be in time.
    pub(super) fn caught_up(
        &mut self,
        now: Now,
        operation: OperationId,
        outcome: Result<(), String>,
        effects: &mut Effects,
    ) {
        let Some(Operation::CatchingUp(read_for)) = self.operations.remove(&operation) else { return };
        match read_for {
            CatchUp::Assignment => self.caught_up_for_assignment(now, operation, outcome, effects),
            CatchUp::Offsets(request) => self.read_for_offsets(*request, outcome, effects),
            CatchUp::Tasks(unread) => self.read_for_tasks(unread, &outcome, effects),
        }
    }

    fn caught_up_for_assignment(
        &mut self,
        now: Now,
        operation: OperationId,
        outcome: Result<(), String>,
        effects: &mut Effects,
    ) {
        let Some(group) = self.membership.group() else { return };
        let reads_for_this = match &group.standing {
            Standing::Resolving(_, resolving) => resolving.reading == Reading::Now(operation),
            Standing::Returning(returning) => *returning == operation,
            Standing::Outside
            | Standing::Clearing
            | Standing::Joining
            | Standing::Syncing(_)
            | Standing::Stable(_)
            | Standing::Away(_) => false,
        };
        if !reads_for_this {
            return;
        }
        match (outcome, &mut group.standing) {
            (Ok(()), Standing::Resolving(_, resolving)) => {
                resolving.reading = Reading::Done;
                group.reads_left = READS_MAX;
            }
            (Ok(()), _) => {
                group.reads_left = READS_MAX;
                group.standing = Standing::Clearing;
            }
            (Err(why), standing) => {
                log::warn!(target: TARGET, "Didn't reach end of config log quickly enough: {why}");
                if matches!(standing, Standing::Resolving(..)) {
                    effects.push(Effect::Member(MemberCommand::Leave { reason: UNREAD }));
                }
                self.stay_away(now);
            }
        }
    }

    /// Waits longer each time before the config topic is tried again; in the end gives up what runs, since it may be
    /// another's by now.
    fn stay_away(&mut self, now: Now) {
        let Some(group) = self.membership.group() else { return };
        let Some(pause) = group.next_pause() else {
            log::error!(target: TARGET, "The config topic cannot be read: stopping everything that runs here");
            self.give_up_all();
            return self.stand(Standing::Away(Deadline::after(now.instant, Duration::ZERO)));
        };
        log::info!(target: TARGET, "Trying again in {} ms", pause.as_millis());
        group.standing = Standing::Away(Deadline::after(now.instant, pause));
    }

    fn stand(&mut self, standing: Standing) {
        if let Some(group) = self.membership.group() {
            group.standing = standing;
        }
    }

    /// The internal topics were read to their ends: the worker may join.
    pub(super) fn topics_read(&mut self) {
        if let Some(group) = self.membership.group()
            && matches!(group.standing, Standing::Outside)
        {
            group.stores = None;
            group.standing = Standing::Clearing;
            if let Some(key) = self.configs.session_key().cloned()
                && let Some(group) = self.membership.group()
            {
                group.keys.found_at_start(key);
            }
        }
    }
}

impl Group {
    /// Has it join again, once what must not run any more has ended.
    pub(super) fn rejoin(&mut self) {
        match self.standing {
            Standing::Outside | Standing::Away(_) | Standing::Returning(_) => {}
            Standing::Clearing
            | Standing::Joining
            | Standing::Syncing(_)
            | Standing::Resolving(..)
            | Standing::Stable(_) => self.standing = Standing::Clearing,
        }
    }

    /// Whether this worker came into the generation before this one, so that it knows who led then.
    fn was_in_the_one_before(&self, generation: Generation) -> bool {
        self.last_completed.and_then(|last| last.number().checked_add(1)) == Some(generation.number())
    }

    /// What was taken from this worker ends now; what it was given begins when the assignment is in force. Returns the
    /// connectors that may have to end something.
    fn take_over(&mut self, assignment: Assignment) -> Vec<ConnectorName> {
        let touched: Vec<_> = self.running.names().cloned().collect();
        if self.version.is_cooperative() {
            self.held.remove(&assignment.revoked_connectors, &assignment.revoked_tasks);
            self.running.remove(&assignment.revoked_connectors, &assignment.revoked_tasks);
        } else {
            self.held.clear();
            self.running.clear();
        }
        self.held.connectors.extend(assignment.connectors.iter().cloned());
        self.held.tasks.extend(assignment.tasks.iter().cloned());
        self.allotment = Some(assignment);
        touched
    }

    /// What this worker says it holds: the last assignment with all that is held.
    fn allocation(&self) -> Option<Assignment> {
        let mut allocation = self.allotment.clone()?;
        allocation.connectors = self.held.connectors.iter().cloned().collect();
        allocation.tasks = self.held.tasks.iter().cloned().collect();
        allocation.revoked_connectors.clear();
        allocation.revoked_tasks.clear();
        Some(allocation)
    }

    /// Whether nothing of a connector runs that must not.
    fn has_ended(&self, name: &ConnectorName, entry: &ConnectorEntry) -> bool {
        let task_ended = |index: &u32| {
            let id = TaskId { connector: name.clone(), index: *index };
            self.running.tasks.contains(&id) || entry.task_is_absent(*index)
        };
        (self.running.connectors.contains(name) || entry.instance_is_absent())
            && entry.tasks.keys().all(task_ended)
    }

    /// The next pause of a worker that cannot read the config topic; `None` when it has tried often enough.
    fn next_pause(&mut self) -> Option<Duration> {
        if !self.version.is_cooperative() {
            return Some(self.settings.unsync_backoff);
        }
        let Some(left) = self.reads_left.checked_sub(1) else {
            self.reads_left = READS_MAX;
            return None;
        };
        let pause = self.settings.delay_max / 10 / self.reads_left;
        self.reads_left = left;
        Some(pause)
    }
}
