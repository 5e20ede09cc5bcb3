//! This worker's place among the workers: alone, or one of a group.
//!
//! In a group it runs what the leader gave it, as soon as it has read what is configured as far as the leader had. How it
//! comes to its part of the work is in `rebalance`, what it does as the leader in `leading`; `reconcile` starts and stops.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::fencing::{Fencing, Unread};
use super::lost_connectors::LostConnectors;
use super::msg::{HerderError, OperationId, REBALANCE_UNDERWAY, Request, Target, TaskQuestion};
use super::session_key::{KeySettings, SessionKeys};
use crate::api::ids::{ConfigOffset, ConnectorName, Generation, MemberId, TaskId};
use crate::group::leader::{Leader, Owners};
use crate::group::protocol::{Assignment, ConnectProtocol, ProtocolVersion};
use crate::health::Stage;
use crate::stdx::time::{Deadline, Now};
use crate::store::status_table::StatusTable;

/// An answer of the coordinator that is no older than this is as good as a new one.
const CONTACT_FRESH: Duration = Duration::from_secs(1);
/// Tries to read the config topic with growing pauses before all work is given up.
pub(super) const READS_MAX: u32 = 5;

/// What a worker in a group needs to know of it.
#[derive(Debug, Clone)]
pub struct GroupSettings {
    /// Where other workers reach its REST API.
    pub url: String,
    /// `connect.protocol`.
    pub protocol: ConnectProtocol,
    /// `scheduled.rebalance.max.delay.ms`: how long the work of a worker that left is kept for its return.
    pub delay_max: Duration,
    /// `worker.sync.timeout.ms`: how long one try to read the config topic to its end may take.
    pub sync_timeout: Duration,
    /// `worker.unsync.backoff.ms`: how long a worker stays away after such a try, under the eager protocol.
    pub unsync_backoff: Duration,
    /// `inter.worker.*`.
    pub keys: KeySettings,
    /// Whether the leader writes the config topic in transactions (`exactly.once.source.support`).
    pub transactional: bool,
    /// Whether source tasks write exactly once, and earlier ones are shut out before (KIP-618).
    pub exactly_once: bool,
}

/// Whether the worker shares its work.
#[derive(Debug)]
pub(super) enum Membership {
    /// Standalone mode: all that is configured runs here.
    Alone,
    /// Distributed mode.
    Group(Box<Group>),
}

/// The worker as a member of its group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) settings: GroupSettings,
    pub(super) leading: Leader,
    pub(super) standing: Standing,
    /// What the leader gave it; it says so when it joins again.
    pub(super) held: Holdings,
    /// What of it may run.
    pub(super) running: Holdings,
    /// The assignment that `held` goes back to; `None` when everything was given up, or nothing ever came.
    pub(super) allotment: Option<Assignment>,
    /// The last generation whose assignment came.
    pub(super) last_completed: Option<Generation>,
    /// What the group spoke last, or what this worker likes best.
    pub(super) version: ProtocolVersion,
    pub(super) contact: Contact,
    /// Tries to read the config topic that are left.
    pub(super) reads_left: u32,
    /// The zero of the leader's time.
    pub(super) began: Instant,
    pub(super) keys: SessionKeys,
    /// When a key that could not be published is tried again.
    pub(super) key_retry: Option<Deadline>,
    pub(super) claim: Claim,
    /// What all workers say of connectors and tasks, as it was read back.
    pub(super) statuses: StatusTable,
    /// What the start of the stores waits for.
    pub(super) stores: Option<String>,
    /// Why the config topic cannot be read at the moment.
    pub(super) config_unreadable: Option<String>,
    /// What a config topic that was made anew may lack.
    pub(super) lost_connectors: LostConnectors,
    /// Requests that wait for the end of a rebalance.
    pub(super) waiting: VecDeque<Request>,
    /// Tasks that ask before they begin; one question of each at most.
    pub(super) asking: VecDeque<TaskQuestion>,
    /// Rounds of fencing that are under way, if this worker leads.
    pub(super) fencings: BTreeMap<ConnectorName, Fencing>,
    /// What waits for the next time that the config topic is read to its end, and whether it is being read for others.
    pub(super) unread: Vec<Unread>,
    pub(super) reads_for_tasks: bool,
}

/// How far the member is on its way into a generation.
#[derive(Debug)]
pub(super) enum Standing {
    /// The stores are not read yet.
    Outside,
    /// What must not run any more ends; then it joins.
    Clearing,
    /// It asked to join.
    Joining,
    /// It is in a generation whose work is being divided.
    Syncing(Place),
    /// It has its part, and reads what is configured as far as the leader has.
    Resolving(Place, Resolving),
    /// All it was given may run.
    Stable(Place),
    /// It could not read what is configured, left, and tries again then.
    Away(Deadline),
    /// It tries again.
    Returning(OperationId),
}

/// A generation, and this worker in it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) generation: Generation,
    pub(super) member: MemberId,
    pub(super) leader: MemberId,
    /// Empty until the assignment tells it.
    pub(super) leader_url: String,
    /// Who has what, if this worker leads.
    pub(super) owners: Option<Owners>,
    /// When all join again, because work waits for a worker that left.
    pub(super) rejoin_at: Option<Deadline>,
}

/// An assignment that is not in force yet.
#[derive(Debug)]
pub(super) struct Resolving {
    /// How far the leader has read.
    pub(super) to: ConfigOffset,
    /// The leader itself was behind: nothing was assigned.
    pub(super) failed: bool,
    /// Something was taken away: it joins again to say that it is free.
    pub(super) revoked: bool,
    pub(super) reading: Reading,
}

/// Whether the config topic is read to its end for an assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    NotYet,
    Now(OperationId),
    Done,
}

/// Whether the coordinator answers.
#[derive(Debug)]
pub(super) enum Contact {
    /// It did then; somebody may have asked for a newer answer since.
    At { instant: Instant, asked: bool },
    /// It does not.
    Lost { why: String },
}

/// Whether this worker may write the config topic in transactions, as the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// It has not asked, or lost it to another.
    None,
    /// It asks.
    Asked(OperationId),
    /// It may.
    Held,
    /// It could not, and asks again then.
    Failed(Deadline),
}

/// Connectors and tasks, as the leader hands them out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// The connectors themselves.
    pub connectors: BTreeSet<ConnectorName>,
    /// The tasks.
    pub tasks: BTreeSet<TaskId>,
}

/// What of one connector is this worker's to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Share {
    /// All of it.
    Everything,
    /// The connector itself, if `instance`, and these tasks.
    Parts { instance: bool, tasks: BTreeSet<u32> },
}

impl Share {
    pub(super) fn has_instance(&self) -> bool {
        match self {
            Share::Everything => true,
            Share::Parts { instance, .. } => *instance,
        }
    }

    pub(super) fn has_task(&self, index: u32) -> bool {
        match self {
            Share::Everything => true,
            Share::Parts { tasks, .. } => tasks.contains(&index),
        }
    }
}

impl Holdings {
    pub(super) fn clear(&mut self) {
        self.connectors.clear();
        self.tasks.clear();
    }

    pub(super) fn remove(&mut self, connectors: &[ConnectorName], tasks: &[TaskId]) {
        self.connectors.retain(|held| !connectors.contains(held));
        self.tasks.retain(|held| !tasks.contains(held));
    }

    /// The connectors that it is about.
    pub(super) fn names(&self) -> impl Iterator<Item = &ConnectorName> {
        self.connectors.iter().chain(self.tasks.iter().map(|task| &task.connector))
    }

    /// The tasks of a connector, by number.
    fn tasks_of(&self, connector: &ConnectorName) -> impl Iterator<Item = u32> {
        let task = |index| TaskId { connector: connector.clone(), index };
        self.tasks.range(task(0)..=task(u32::MAX)).map(|task| task.index)
    }
}

impl Membership {
    /// What of a connector may run here.
    pub(super) fn share_of(&self, connector: &ConnectorName) -> Share {
        match self {
            Membership::Alone => Share::Everything,
            Membership::Group(group) => Share::Parts {
                instance: group.running.connectors.contains(connector),
                tasks: group.running.tasks_of(connector).collect(),
            },
        }
    }

    /// The group, in distributed mode.
    pub(super) fn group(&mut self) -> Option<&mut Group> {
        match self {
            Membership::Alone => None,
            Membership::Group(group) => Some(group),
        }
    }

    /// Whether requests can be served: not in the middle of a rebalance, nor before the leader can write.
    pub(super) fn is_settled(&self) -> bool {
        match self {
            Membership::Alone => true,
            Membership::Group(group) => group.is_settled(),
        }
    }

    /// Refuses what only the leader may do, unless this worker leads.
    pub(super) fn must_lead(&self) -> Result<(), HerderError> {
        match self {
            Membership::Alone => Ok(()),
            Membership::Group(group) if group.leads() => Ok(()),
            Membership::Group(group) => Err(group.not_leading()),
        }
    }

    /// Fails if another worker leads. While nobody does, what is to be written waits for the end of the rebalance.
    pub(super) fn must_not_follow(&self) -> Result<(), HerderError> {
        match self.must_lead() {
            Ok(()) | Err(HerderError::Rebalancing(_)) => Ok(()),
            Err(why) => Err(why),
        }
    }
}

impl Group {
    pub(super) fn new(settings: GroupSettings, now: Instant) -> Self {
        let best = settings.protocol.offers().first().copied();
        Group {
            leading: Leader::new(settings.delay_max),
            standing: Standing::Outside,
            held: Holdings::default(),
            running: Holdings::default(),
            allotment: None,
            last_completed: None,
            version: best.unwrap_or(ProtocolVersion::Eager),
            contact: Contact::Lost { why: "no coordinator was asked yet".to_owned() },
            reads_left: READS_MAX,
            began: now,
            keys: SessionKeys::new(settings.keys.clone()),
            key_retry: None,
            claim: Claim::None,
            statuses: StatusTable::default(),
            stores: None,
            config_unreadable: None,
            lost_connectors: LostConnectors::default(),
            waiting: VecDeque::new(),
            asking: VecDeque::new(),
            fencings: BTreeMap::new(),
            unread: Vec::new(),
            reads_for_tasks: false,
            settings,
        }
    }

    /// The place in the generation that is in force.
    pub(super) fn place(&self) -> Option<&Place> {
        match &self.standing {
            Standing::Stable(place) => Some(place),
            Standing::Outside
            | Standing::Clearing
            | Standing::Joining
            | Standing::Syncing(_)
            | Standing::Resolving(..)
            | Standing::Away(_)
            | Standing::Returning(_) => None,
        }
    }

    pub(super) fn leads(&self) -> bool {
        self.place().is_some_and(|place| place.leader == place.member)
    }

    /// Where the leader is reached; `None` while that is not known.
    pub(super) fn leader_url(&self) -> Option<String> {
        self.place().map(|place| place.leader_url.clone()).filter(|url| !url.is_empty())
    }

    /// Why this worker cannot do what is the leader's: another one leads, or nobody does for the moment.
    pub(super) fn not_leading(&self) -> HerderError {
        match self.place() {
            Some(_) => HerderError::NotHere { target: Target::Leader, url: self.leader_url() },
            None => HerderError::Rebalancing(match self.stage() {
                Some(stage) => format!("{REBALANCE_UNDERWAY}: the worker is currently {stage}"),
                None => REBALANCE_UNDERWAY.to_owned(),
            }),
        }
    }

    fn is_settled(&self) -> bool {
        let may_write = !self.leads() || !self.settings.transactional || self.claim == Claim::Held;
        self.place().is_some() && may_write
    }

    /// Whether requests between workers are signed.
    pub(super) fn signs(&self) -> bool {
        self.version == ProtocolVersion::Sessioned
    }

    /// Whether this worker is to publish a session key, and may write.
    pub(super) fn wants_key(&self, now: Now) -> bool {
        self.leads() && self.signs() && self.is_settled() && self.keys.must_publish(now.wall)
    }

    /// Whether a health request may be answered: everything else could be served, and the coordinator has just said so.
    pub(super) fn serves(&self, now: Now) -> bool {
        let has_key = !(self.leads() && self.signs()) || self.keys.is_usable(now.wall);
        self.has_fresh_contact(now) && has_key && self.is_settled() && self.config_unreadable.is_none()
    }

    /// Whether the coordinator has answered just now.
    pub(super) fn has_fresh_contact(&self, now: Now) -> bool {
        match &self.contact {
            Contact::At { instant, .. } => now.instant.saturating_duration_since(*instant) <= CONTACT_FRESH,
            Contact::Lost { .. } => false,
        }
    }

    /// What the member is doing or waiting for; `None` if nothing.
    pub(super) fn stage(&self) -> Option<Stage> {
        if let Some(why) = &self.config_unreadable {
            return Some(Stage::ConfigTopicUnreadable(why.clone()));
        }
        let standing = match &self.standing {
            Standing::Outside => {
                let what = self.stores.clone();
                Some(what.map_or(Stage::AwaitingStartup, Stage::PreparingInternalTopics))
            }
            Standing::Clearing => Some(Stage::StoppingForRebalance),
            Standing::Joining | Standing::Syncing(_) => Some(Stage::JoiningGroup),
            Standing::Resolving(..) | Standing::Returning(_) => Some(Stage::ReadingConfigTopic),
            Standing::Away(_) => Some(Stage::BackingOff),
            Standing::Stable(_) if !self.is_settled() => Some(Stage::ClaimingConfigTopic),
            Standing::Stable(_) if self.key_retry.is_some() || self.keys.is_publishing() => {
                Some(Stage::WritingSessionKey)
            }
            Standing::Stable(_) => None,
        };
        match (&self.contact, &self.standing) {
            (_, Standing::Outside) | (Contact::At { .. }, _) => standing,
            (Contact::Lost { why }, _) => Some(Stage::AwaitingCoordinator(why.clone())),
        }
    }

    /// When it wants to be looked at again.
    pub(super) fn next_deadline(&self, now: Now) -> Option<Instant> {
        let standing = match &self.standing {
            Standing::Away(until) => Some(until.instant()),
            Standing::Stable(place) => place.rejoin_at.map(Deadline::instant),
            Standing::Outside
            | Standing::Clearing
            | Standing::Joining
            | Standing::Syncing(_)
            | Standing::Resolving(..)
            | Standing::Returning(_) => None,
        };
        let claim = match self.claim {
            Claim::Failed(until) if self.leads() => Some(until.instant()),
            Claim::Failed(_) | Claim::None | Claim::Asked(_) | Claim::Held => None,
        };
        let key = (self.leads() && self.signs()).then(|| self.keys.expires_in(now.wall)).flatten();
        // A key that has expired is on its way to be replaced.
        let key = key.filter(|left| !left.is_zero()).and_then(|left| now.instant.checked_add(left));
        let retry = self.key_retry.filter(|_| self.wants_key(now)).map(Deadline::instant);
        [standing, claim, key, retry].into_iter().flatten().min()
    }
}
