//! The coordinator of the group as Kafka has it: members join, the leader divides, all are told; who is silent is put out.
//!
//! Pure: a request and the time go in, answers come out. It may forget everything since the last assignment, as when
//! another broker takes over, or everything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use herdsman::api::ids::{Generation, MemberId};
use herdsman::group::error_code::GroupError;
use herdsman::group::events::{MemberSettings, Protocols};
use herdsman::group::member::LinkId;
use herdsman::group::protocol::{Assignment, AssignmentError};
use herdsman::group::requests::{
    JoinAnswer, JoinRefusal, MemberAnswer, MemberRequest, PROTOCOL_TYPE, RequestId, SyncAnswer,
};

use super::network::{Life, Peer};

/// How long the first member of a group waits for others: `group.initial.rebalance.delay.ms`.
const INITIAL_DELAY: Duration = Duration::from_secs(3);

/// Which of all the generations that ever were: numbers of Kafka's may come twice, when a broker takes over.
pub(super) type Serial = usize;

/// A generation that was joined, as nobody in it sees it.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) members: BTreeSet<MemberId>,
    pub(super) given: BTreeMap<MemberId, Assignment>,
    /// Those whose metadata was old: a request over a connection that they had given up came after one over the next.
    pub(super) outdated: BTreeSet<MemberId>,
}

impl Round {
    /// Whether it has another leader than this worker. One that assigned nothing is not known.
    pub(super) fn is_led_by_another(&self, life: Life) -> bool {
        self.given.values().any(|given| !life.is(&given.leader))
    }

    /// Whether the leader could say who has what.
    pub(super) fn is_good(&self) -> bool {
        self.given.values().all(|given| given.error == AssignmentError::None)
    }
}

/// An answer, and to whom.
pub(super) type Answered = (Peer, RequestId, MemberAnswer);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Empty,
    /// `first`: the group was empty, and waits for others in any case.
    Joining {
        until: Duration,
        first: bool,
    },
    Syncing {
        until: Duration,
    },
    Stable,
}

#[derive(Debug, Clone)]
struct Member {
    protocols: Protocols,
    /// The newest connection over which it has asked to join, and whether its last request came over an older one.
    link: LinkId,
    is_outdated: bool,
    seen: Duration,
    /// The request of its that waits.
    waiting: Option<(Peer, RequestId)>,
    assignment: Bytes,
    synced: bool,
}

/// What a broker would find that takes over.
#[derive(Debug, Clone)]
struct Stored {
    generation: i32,
    serial: Option<Serial>,
    leader: Option<MemberId>,
    protocol: String,
    members: BTreeMap<MemberId, Member>,
}

#[derive(Debug)]
pub(super) struct Coordinator {
    settings: MemberSettings,
    pub(super) phase: Phase,
    now: Stored,
    stored: Stored,
    /// Ids that were given and not used yet.
    promised: BTreeMap<MemberId, Duration>,
    ids: u64,
    /// All generations there ever were.
    pub(super) rounds: Vec<Round>,
}

impl Coordinator {
    pub(super) fn new(settings: MemberSettings) -> Self {
        let (generation, serial, leader) = (0, None, None);
        let nothing =
            Stored { generation, serial, leader, protocol: String::new(), members: BTreeMap::new() };
        Coordinator {
            settings,
            phase: Phase::Empty,
            now: nothing.clone(),
            stored: nothing,
            promised: BTreeMap::new(),
            ids: 0,
            rounds: Vec::new(),
        }
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &MemberId> {
        self.now.members.keys()
    }

    /// The generation that is there.
    pub(super) fn round(&self) -> Option<&Round> {
        self.rounds.get(self.now.serial?)
    }

    /// Which of all generations has this number, as of now.
    pub(super) fn serial(&self) -> Option<Serial> {
        self.now.serial
    }

    /// Another broker takes over: it knows what was stored with the last assignment.
    pub(super) fn take_over(&mut self, now: Duration) {
        self.now = self.stored.clone();
        for member in self.now.members.values_mut() {
            (member.waiting, member.seen) = (None, now);
        }
        self.promised.clear();
        self.phase = if self.now.members.is_empty() { Phase::Empty } else { Phase::Stable };
    }

    /// What was stored is lost, but for the number of the generation.
    pub(super) fn forget(&mut self, now: Duration) {
        self.stored.members.clear();
        self.stored.generation = self.stored.generation.max(self.now.generation);
        self.take_over(now);
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        let phase = match self.phase {
            Phase::Empty | Phase::Stable => None,
            Phase::Joining { until, .. } | Phase::Syncing { until } => Some(until),
        };
        let silent = self.now.members.values().filter(|member| member.waiting.is_none());
        let silent = silent.map(|member| member.seen + self.settings.session_timeout);
        phase.into_iter().chain(silent).chain(self.promised.values().copied()).min()
    }

    /// What time alone decides.
    pub(super) fn expire(&mut self, now: Duration) -> Vec<Answered> {
        let mut answers = Vec::new();
        self.promised.retain(|_, until| *until > now);
        let limit = self.settings.session_timeout;
        let silent =
            |(_, member): &(&MemberId, &Member)| member.waiting.is_none() && member.seen + limit <= now;
        let gone: Vec<_> = self.now.members.iter().filter(silent).map(|(id, _)| id.clone()).collect();
        for id in gone {
            self.remove(now, &id, &mut answers);
        }
        match self.phase {
            Phase::Joining { until, .. } if until <= now => self.complete_join(now, &mut answers),
            Phase::Syncing { until } if until <= now => {
                self.now.members.retain(|_, member| member.synced);
                self.rebalance(now, &mut answers);
            }
            Phase::Empty | Phase::Stable | Phase::Joining { .. } | Phase::Syncing { .. } => {
                self.join_if_complete(now, &mut answers);
            }
        }
        answers
    }

    /// Takes a request. Those that wait are answered later.
    pub(super) fn handle(
        &mut self,
        now: Duration,
        from: Peer,
        id: RequestId,
        request: MemberRequest,
    ) -> Vec<Answered> {
        let mut answers = Vec::new();
        match request {
            MemberRequest::Join { member, protocols, .. } => {
                if let Err(error) = self.join(now, (from, id), member, protocols, &mut answers) {
                    answers.push((from, id, MemberAnswer::Join(Err(error))));
                }
            }
            MemberRequest::Sync { generation, member, assignments, .. } => {
                let asked = (from, id);
                if let Err(error) = self.sync(now, asked, generation, &member, assignments, &mut answers) {
                    answers.push((from, id, MemberAnswer::Sync(Err(error))));
                }
            }
            MemberRequest::Heartbeat { generation, member } => {
                let answer = self.heartbeat(now, generation, &member);
                answers.push((from, id, MemberAnswer::Heartbeat(answer)));
            }
            MemberRequest::Leave { member, .. } => {
                let known = self.now.members.contains_key(&member);
                let answer = if known { Ok(()) } else { Err(GroupError::UnknownMemberId) };
                answers.push((from, id, MemberAnswer::Leave(answer)));
                self.promised.remove(&member);
                self.remove(now, &member, &mut answers);
            }
        }
        answers
    }

    fn join(
        &mut self,
        now: Duration,
        asked: (Peer, RequestId),
        member: Option<MemberId>,
        protocols: Protocols,
        answers: &mut Vec<Answered>,
    ) -> Result<(), JoinRefusal> {
        let Some(member) = member else {
            self.ids += 1;
            let id = MemberId::new(format!("{}-{:04}", asked.0.life, self.ids));
            self.promised.insert(id.clone(), now + self.settings.session_timeout);
            return Err(JoinRefusal { error: GroupError::MemberIdRequired, member: Some(id) });
        };
        let is_new = self.promised.remove(&member).is_some();
        if !is_new && !self.now.members.contains_key(&member) {
            return Err(JoinRefusal { error: GroupError::UnknownMemberId, member: None });
        }
        let (assignment, waiting, synced) = (Bytes::new(), None, false);
        let entry = self.now.members.entry(member.clone()).or_insert_with(|| Member {
            protocols: Protocols::new(),
            link: asked.0.link,
            is_outdated: false,
            seen: now,
            waiting,
            assignment,
            synced,
        });
        let is_changed = entry.protocols != protocols;
        let leads = self.now.leader.as_ref() == Some(&member);
        entry.protocols = protocols;
        entry.is_outdated = asked.0.link < entry.link;
        entry.link = entry.link.max(asked.0.link);
        entry.seen = now;
        (entry.waiting, entry.synced) = (Some(asked), false);
        match self.phase {
            Phase::Empty => self.phase = Phase::Joining { until: now + INITIAL_DELAY, first: true },
            Phase::Joining { .. } => self.join_if_complete(now, answers),
            Phase::Stable if is_changed || leads => self.rebalance(now, answers),
            Phase::Syncing { .. } if is_changed => self.rebalance(now, answers),
            // It has not heard of the generation that it is in.
            Phase::Stable | Phase::Syncing { .. } => self.tell_joined(now, &member, answers),
        }
        Ok(())
    }

    /// All have to join again. Those that wait for an assignment are told at once.
    fn rebalance(&mut self, now: Duration, answers: &mut Vec<Answered>) {
        let is_syncing = matches!(self.phase, Phase::Syncing { .. });
        for member in self.now.members.values_mut() {
            if is_syncing
                && member.synced
                && let Some((peer, id)) = member.waiting.take()
            {
                member.seen = now;
                answers.push((peer, id, MemberAnswer::Sync(Err(GroupError::RebalanceInProgress))));
            }
            member.synced = false;
        }
        self.phase = if self.now.members.is_empty() {
            Phase::Empty
        } else {
            Phase::Joining { until: now + self.settings.rebalance_timeout, first: false }
        };
        self.join_if_complete(now, answers);
    }

    fn join_if_complete(&mut self, now: Duration, answers: &mut Vec<Answered>) {
        let Phase::Joining { first, .. } = self.phase else { return };
        let all_wait = self.now.members.values().all(|member| member.waiting.is_some());
        if all_wait && self.promised.is_empty() && !first {
            self.complete_join(now, answers);
        }
    }

    fn complete_join(&mut self, now: Duration, answers: &mut Vec<Answered>) {
        self.now.members.retain(|_, member| member.waiting.is_some());
        self.now.generation += 1;
        if self.now.members.is_empty() {
            self.phase = Phase::Empty;
            self.store();
            return;
        }
        self.now.serial = Some(self.rounds.len());
        let members = self.now.members.keys().cloned().collect();
        let outdated = self.now.members.iter().filter(|(_, member)| member.is_outdated);
        let outdated = outdated.map(|(id, _)| id.clone()).collect();
        self.rounds.push(Round { members, given: BTreeMap::new(), outdated });
        self.now.protocol = self.choose();
        let stays = self.now.leader.clone().filter(|leader| self.now.members.contains_key(leader));
        self.now.leader = stays.or_else(|| self.now.members.keys().next().cloned());
        self.phase = Phase::Syncing { until: now + self.settings.rebalance_timeout };
        let members: Vec<_> = self.now.members.keys().cloned().collect();
        for member in members {
            self.tell_joined(now, &member, answers);
        }
    }

    /// The protocol that all know, and most like best.
    fn choose(&self) -> String {
        let knows =
            |member: &Member, name: &str| member.protocols.iter().any(|(offered, _)| *offered == name);
        let by_all = |name: &str| self.now.members.values().all(|member| knows(member, name));
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.now.members.values() {
            let best = member.protocols.iter().find(|(name, _)| by_all(name));
            *votes.entry(best.map(|(name, _)| *name).expect("a protocol that all know")).or_default() += 1;
        }
        let most = votes.into_iter().max_by_key(|(_, count)| *count);
        most.map(|(name, _)| name.to_owned()).unwrap_or_default()
    }

    fn tell_joined(&mut self, now: Duration, to: &MemberId, answers: &mut Vec<Answered>) {
        let leader = self.now.leader.clone().expect("a generation has a leader");
        let protocol = self.now.protocol.clone();
        let metadata = |member: &Member| {
            let found = member.protocols.iter().find(|(name, _)| *name == protocol);
            found.map(|(_, bytes)| bytes.clone()).unwrap_or_default()
        };
        let all = self.now.members.iter().map(|(id, member)| (id.clone(), metadata(member)));
        let members = if *to == leader { all.collect() } else { Vec::new() };
        let answer = JoinAnswer {
            generation: Generation::new(self.now.generation),
            member: to.clone(),
            leader,
            protocol_type: Some(PROTOCOL_TYPE.to_owned()),
            protocol: Some(protocol.clone()),
            skip_assignment: false,
            members,
        };
        let Some(member) = self.now.members.get_mut(to) else { return };
        member.seen = now;
        if let Some((peer, id)) = member.waiting.take() {
            answers.push((peer, id, MemberAnswer::Join(Ok(answer))));
        }
    }

    fn sync(
        &mut self,
        now: Duration,
        asked: (Peer, RequestId),
        generation: Generation,
        member: &MemberId,
        assignments: Vec<(MemberId, Bytes)>,
        answers: &mut Vec<Answered>,
    ) -> Result<(), GroupError> {
        let leads = self.now.leader.as_ref() == Some(member);
        let entry = self.now.members.get_mut(member).ok_or(GroupError::UnknownMemberId)?;
        if self.now.generation != generation.number() {
            return Err(GroupError::IllegalGeneration);
        }
        entry.seen = now;
        match self.phase {
            Phase::Empty => Err(GroupError::UnknownMemberId),
            Phase::Joining { .. } => Err(GroupError::RebalanceInProgress),
            Phase::Syncing { .. } => {
                (entry.waiting, entry.synced) = (Some(asked), true);
                if leads {
                    self.assign(now, assignments, answers);
                }
                Ok(())
            }
            Phase::Stable => {
                entry.waiting = Some(asked);
                self.tell_assigned(now, member, answers);
                Ok(())
            }
        }
    }

    fn assign(&mut self, now: Duration, assignments: Vec<(MemberId, Bytes)>, answers: &mut Vec<Answered>) {
        let round = self.now.serial.and_then(|serial| self.rounds.get_mut(serial));
        let round = round.expect("a generation that is there");
        for (id, bytes) in assignments {
            let given = Assignment::decode(&bytes).expect("an assignment that can be read");
            round.given.insert(id.clone(), given);
            if let Some(member) = self.now.members.get_mut(&id) {
                member.assignment = bytes;
            }
        }
        self.phase = Phase::Stable;
        self.store();
        let members: Vec<_> = self.now.members.keys().cloned().collect();
        for member in members {
            self.tell_assigned(now, &member, answers);
        }
    }

    fn tell_assigned(&mut self, now: Duration, to: &MemberId, answers: &mut Vec<Answered>) {
        let (protocol_type, protocol) = (Some(PROTOCOL_TYPE.to_owned()), Some(self.now.protocol.clone()));
        let Some(member) = self.now.members.get_mut(to) else { return };
        member.seen = now;
        if let Some((peer, id)) = member.waiting.take() {
            let assignment = member.assignment.clone();
            let answer = SyncAnswer { protocol_type, protocol, assignment };
            answers.push((peer, id, MemberAnswer::Sync(Ok(answer))));
        }
    }

    fn heartbeat(
        &mut self,
        now: Duration,
        generation: Generation,
        member: &MemberId,
    ) -> Result<(), GroupError> {
        let entry = self.now.members.get_mut(member).ok_or(GroupError::UnknownMemberId)?;
        if self.now.generation != generation.number() {
            return Err(GroupError::IllegalGeneration);
        }
        entry.seen = now;
        match self.phase {
            Phase::Joining { .. } => Err(GroupError::RebalanceInProgress),
            Phase::Empty | Phase::Syncing { .. } | Phase::Stable => Ok(()),
        }
    }

    fn remove(&mut self, now: Duration, id: &MemberId, answers: &mut Vec<Answered>) {
        let Some(gone) = self.now.members.remove(id) else { return };
        if let Some((peer, request)) = gone.waiting {
            let refusal = JoinRefusal { error: GroupError::UnknownMemberId, member: None };
            let answer = match self.phase {
                Phase::Joining { .. } => MemberAnswer::Join(Err(refusal)),
                Phase::Empty | Phase::Syncing { .. } | Phase::Stable => {
                    MemberAnswer::Sync(Err(GroupError::UnknownMemberId))
                }
            };
            answers.push((peer, request, answer));
        }
        match self.phase {
            Phase::Syncing { .. } | Phase::Stable => self.rebalance(now, answers),
            Phase::Joining { .. } => self.join_if_complete(now, answers),
            Phase::Empty => {}
        }
    }

    fn store(&mut self) {
        self.stored = self.now.clone();
    }
}
