//! What lies between the members of the group and its coordinator: brokers that name it, and connections that are slow,
//! break, or fall silent. What is said over one connection arrives in order.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use herdsman::api::ids::MemberId;
use herdsman::config::broker::Broker;
use herdsman::group::error_code::GroupError;
use herdsman::group::member::{Action, Input, LinkId, Moment};
use herdsman::group::requests::{JoinRefusal, MemberAnswer, MemberRequest, RequestId};

use super::coordinator::{Answered, Coordinator};
use super::{Cluster, Coming, News};
use crate::random::Random;

/// How long a connection that does not come about is waited for.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// A process of a worker: one that comes back is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Life {
    pub(super) worker: usize,
    pub(super) life: u32,
}

impl Life {
    /// Whether the coordinator gave it this id.
    pub(super) fn is(self, member: &MemberId) -> bool {
        member.as_str().rsplit_once('-').is_some_and(|(life, _)| life == self.to_string())
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}.{}", self.worker, self.life)
    }
}

/// The member's end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Peer {
    pub(super) life: Life,
    pub(super) link: LinkId,
}

/// A connection as the worker has it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) link: LinkId,
    broker: u16,
    /// Nothing arrives any more, and nobody is told.
    pub(super) is_silent: bool,
    /// When the last request and the last answer arrive.
    requests_at: Duration,
    answers_at: Duration,
}

/// The brokers.
#[derive(Debug)]
pub(super) struct Brokers {
    /// Which of them has the group, and until when it does not answer, or still reads what it knows.
    pub(super) coordinator: u16,
    pub(super) down_until: Duration,
    pub(super) loads_until: Duration,
    pub(super) group: Coordinator,
    /// Connections on which a request waits for its answer, with those behind it.
    busy: BTreeMap<Peer, VecDeque<(RequestId, MemberRequest)>>,
}

impl Brokers {
    pub(super) fn new(group: Coordinator) -> Self {
        let (down_until, loads_until) = (Duration::ZERO, Duration::ZERO);
        Brokers { coordinator: 0, down_until, loads_until, group, busy: BTreeMap::new() }
    }

    /// Another broker has the group: it knows what was stored, or nothing.
    pub(super) fn move_group(&mut self, now: Duration, down: Duration, loads: Duration, forgets: bool) {
        self.coordinator += 1;
        self.down_until = self.down_until.max(now + down);
        self.loads_until = self.down_until + loads;
        self.busy.clear();
        if forgets {
            self.group.forget(self.loads_until);
        } else {
            self.group.take_over(self.loads_until);
        }
    }
}

fn delay(random: &mut Random, calm: bool) -> Duration {
    match random.below(if calm { 95 } else { 100 }) {
        0..60 => Duration::ZERO,
        60..95 => random.up_to(Duration::from_millis(20)),
        95..99 => random.up_to(Duration::from_millis(800)),
        _ => random.up_to(Duration::from_secs(5)),
    }
}

impl Cluster<'_> {
    pub(super) fn net_delay(&mut self) -> Duration {
        delay(&mut self.random, self.is_calm)
    }

    /// Whether the coordinator can be reached by a worker.
    fn is_reachable(&self, worker: usize) -> bool {
        let now = self.schedule.now();
        self.brokers.down_until <= now && self.places[worker].cut_until <= now
    }

    /// Something reaches the member; what it wants done is on its way then.
    pub(super) fn member(&mut self, life: Life, input: Input) {
        let now = self.start + self.schedule.now();
        let jitter = self.random.below(1000) as f64 / 1000.0;
        let turn_takes = self.process(life).held_since;
        let inputs = [Some(input), turn_takes.map(|since| Input::TurnTakes(self.schedule.now() - since))];
        let mut actions = Vec::new();
        for input in inputs.into_iter().flatten() {
            self.process(life).member.handle(Moment { now, jitter }, input, &mut actions);
        }
        let due = self.process(life).member.next_deadline();
        assert!(due.is_none_or(|at| at > now), "{life}: the member wants to be woken in the past");
        self.process(life).member_due = due.map(|at| at.saturating_duration_since(self.start));
        for action in actions {
            self.act(life, action);
        }
        let process = self.process(life);
        if process.is_ending && !process.member.is_leaving() {
            self.reach_at(Duration::ZERO, life, News::Gone);
        }
    }

    fn act(&mut self, life: Life, action: Action) {
        let delay = self.net_delay();
        match action {
            Action::FindCoordinator => {
                let round = self.process(life).search;
                self.reach_at(delay, life, News::Searched(round));
            }
            Action::StopSearch => self.process(life).search += 1,
            Action::Connect { link, broker } => {
                let (at, broker) = (Duration::ZERO, broker.port);
                let line = Line { link, broker, is_silent: false, requests_at: at, answers_at: at };
                self.process(life).line = Some(line);
                self.reach_at(delay, life, News::Connected(link));
            }
            Action::Close(link) => drop(self.process(life).line.take_if(|line| line.link == link)),
            Action::Send { link, id, request } => {
                let now = self.schedule.now();
                let Some(line) = &mut self.process(life).line else {
                    panic!("{life} sends over no connection")
                };
                assert_eq!(line.link, link, "{life} sends over an old connection");
                line.requests_at = line.requests_at.max(now + delay);
                let (at, broker) = (line.requests_at, line.broker);
                if !line.is_silent {
                    self.schedule.at(at, Coming::Asked { from: Peer { life, link }, broker, id, request });
                }
            }
            Action::Tell(event) => self.tell_group(life, event),
        }
    }

    /// A broker that was asked where the coordinator is answers.
    pub(super) fn searched(&mut self, life: Life, round: u64) {
        if self.process(life).search != round {
            return;
        }
        if self.is_reachable(life.worker) {
            let broker = Broker::new("b", self.brokers.coordinator);
            return self.member(life, Input::CoordinatorFound(broker));
        }
        if self.random.percent(70) {
            let why = "there is no coordinator".to_owned();
            self.member(life, Input::SearchFailed { why, is_fatal: false });
        }
    }

    pub(super) fn connected(&mut self, life: Life, link: LinkId) {
        let is_reachable = self.is_reachable(life.worker);
        let coordinator = self.brokers.coordinator;
        let hangs = !self.is_calm && self.random.percent(2);
        let Some(line) = self.process(life).line.as_ref().filter(|line| line.link == link) else { return };
        // A broker that has no longer the group may be there still.
        let is_there = is_reachable || line.broker != coordinator;
        if is_there && !hangs {
            return self.member(life, Input::LinkUp(link));
        }
        let patience = if self.random.percent(50) { Duration::ZERO } else { CONNECT_PATIENCE };
        self.reach_at(patience, life, News::LinkDown(link));
    }

    pub(super) fn link_down(&mut self, life: Life, link: LinkId) {
        if self.process(life).line.take_if(|line| line.link == link).is_some() {
            let why = "the connection was lost".to_owned();
            self.member(life, Input::LinkDown { link, why, is_fatal: false });
        }
    }

    /// A request reaches a broker.
    pub(super) fn asked(&mut self, from: Peer, broker: u16, id: RequestId, request: MemberRequest) {
        let now = self.schedule.now();
        if !self.is_reachable(from.life.worker) {
            return;
        }
        if broker != self.brokers.coordinator {
            return self.answer((from, id, refusal(&request, GroupError::NotCoordinator)));
        }
        if now < self.brokers.loads_until {
            return self.answer((from, id, refusal(&request, GroupError::LoadInProgress)));
        }
        if let Some(behind) = self.brokers.busy.get_mut(&from) {
            return behind.push_back((id, request));
        }
        self.brokers.busy.insert(from, VecDeque::new());
        let answers = self.brokers.group.handle(now, from, id, request);
        answers.into_iter().for_each(|answered| self.answer_of_group(answered));
    }

    /// The coordinator has answered: it goes on with what is behind.
    pub(super) fn answer_of_group(&mut self, answered: Answered) {
        let (from, broker) = (answered.0, self.brokers.coordinator);
        self.answer(answered);
        let mut behind = self.brokers.busy.remove(&from).unwrap_or_default();
        if let Some((id, request)) = behind.pop_front() {
            self.asked(from, broker, id, request);
            if let Some(later) = self.brokers.busy.get_mut(&from) {
                later.extend(behind);
            } else {
                behind.into_iter().for_each(|(id, request)| self.asked(from, broker, id, request));
            }
        }
    }

    fn answer(&mut self, (to, id, answer): Answered) {
        let (now, delay) = (self.schedule.now(), self.net_delay());
        let serial = self.brokers.group.serial();
        let Some(process) = self.process_of(to.life) else { return };
        let Some(line) = process.line.as_mut().filter(|line| line.link == to.link) else { return };
        line.answers_at = line.answers_at.max(now + delay);
        let at = line.answers_at - now;
        self.reach_at(at, to.life, News::Answered { link: to.link, id, answer, serial });
    }

    /// An answer reaches its worker, unless the connection is gone or silent.
    pub(super) fn answered(
        &mut self,
        life: Life,
        link: LinkId,
        (id, answer): (RequestId, MemberAnswer),
        serial: Option<usize>,
    ) {
        let is_cut = self.places[life.worker].cut_until > self.schedule.now();
        let process = self.process(life);
        if process.line.as_ref().is_some_and(|line| line.link == link && !line.is_silent) && !is_cut {
            process.assigned = serial;
            self.member(life, Input::Answered { link, id, answer });
        }
    }
}

fn refusal(request: &MemberRequest, error: GroupError) -> MemberAnswer {
    match request {
        MemberRequest::Join { .. } => MemberAnswer::Join(Err(JoinRefusal { error, member: None })),
        // The round is lost with what the coordinator knew.
        MemberRequest::Sync { .. } if error == GroupError::LoadInProgress => {
            MemberAnswer::Sync(Err(GroupError::RebalanceInProgress))
        }
        MemberRequest::Sync { .. } => MemberAnswer::Sync(Err(error)),
        MemberRequest::Heartbeat { .. } => MemberAnswer::Heartbeat(Err(error)),
        MemberRequest::Leave { .. } => MemberAnswer::Leave(Err(error)),
    }
}
