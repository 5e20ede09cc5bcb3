//! A member of the group of workers as a state machine: no socket, no clock, no thread.
//!
//! Commands of the herder, answers of the coordinator and the passing of time go in ([`GroupMember::handle`]); what is
//! to be sent, connected, closed or told comes out. Begin reading there.
//!
//! | state | what is awaited | then |
//! |---|---|---|
//! | `Unjoined` | the herder's `Join` | `Joining` |
//! | `Joining` | a coordinator, then its answer to JoinGroup | `Syncing` |
//! | `Syncing` | of the leader: the herder's `Assign`; then the answer to SyncGroup | `Stable`, or `Unjoined` |
//! | `Stable` | nothing | `Joining` by command; `Unjoined` when the generation is lost |
//! | `Leaving` | the answer to LeaveGroup, for a moment | `Unjoined`, or `Joining` |
//! | `Failed` | nothing, it is over | |
//!
//! Apart from that the member knows where its coordinator is, or looks for it ([`coordinator`]), and keeps contact with
//! it by heartbeats while it has a generation and does not join ([`pulse`]).
//!
//! **Losing contact is told soon and changes nothing by itself.** The member keeps its generation, opens a new
//! connection and repeats the heartbeat; only when the session has run out, or the connection was lost, and no broker
//! names a coordinator for `heartbeat.interval.ms`, is the generation forgotten.

mod answers;
mod coordinator;
mod pulse;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use bytes::Bytes;

use self::coordinator::{Coordinator, Link, Retries};
use self::pulse::Pulse;
use super::events::{GroupEvent, MemberCommand, MemberSettings, Protocols, RejoinCause};
use super::requests::{MemberAnswer, MemberRequest, RequestId};
use crate::api::ids::{Generation, MemberId};
use crate::config::broker::Broker;

/// How long the answer to LeaveGroup is awaited. It is for politeness: a member that is gone is noticed anyway.
pub const LEAVE_PATIENCE: Duration = Duration::from_secs(2);

/// Why a member leaves by itself, for the coordinator's log.
const POLL_TIMEOUT: &str = "worker poll timeout has expired.";

/// A moment, with a random number from 0 to 1 for delays that should differ between members.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// When.
    pub now: Instant,
    /// The random number.
    pub jitter: f64,
}

/// Which of the consecutive connections to coordinators something is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// The member may begin.
    Started,
    /// The herder wants something.
    Command(MemberCommand),
    /// A broker named the coordinator.
    CoordinatorFound(Broker),
    /// A broker that was asked for the coordinator did not name it.
    SearchFailed {
        /// Why, in words.
        why: String,
        /// Asking again cannot help.
        is_fatal: bool,
    },
    /// A connection can be used.
    LinkUp(LinkId),
    /// A connection did not come about, or is lost.
    LinkDown {
        /// Which.
        link: LinkId,
        /// Why, in words.
        why: String,
        /// Another connection cannot help.
        is_fatal: bool,
    },
    /// The coordinator answered.
    Answered {
        /// Over which connection.
        link: LinkId,
        /// Which request.
        id: RequestId,
        /// What.
        answer: MemberAnswer,
    },
    /// So long has the present turn of the tick thread lasted.
    TurnTakes(Duration),
    /// Time has passed.
    Timer,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask one more broker for the coordinator; those that were asked before may still answer.
    FindCoordinator,
    /// The coordinator is not looked for any more.
    StopSearch,
    /// Connect to the coordinator.
    Connect {
        /// How the connection is called.
        link: LinkId,
        /// Where to.
        broker: Broker,
    },
    /// Close a connection, whatever its state.
    Close(LinkId),
    /// Send a request over a connection that is up.
    Send {
        /// Which connection.
        link: LinkId,
        /// How the answer is called.
        id: RequestId,
        /// What.
        request: MemberRequest,
    },
    /// Tell the herder.
    Tell(GroupEvent),
}

/// The member. All methods are called on one thread.
#[derive(Debug)]
pub struct GroupMember {
    settings: MemberSettings,
    state: State,
    place: Place,
    coordinator: Coordinator,
    retries: Retries,
    pulse: Pulse,
    /// The reason that the next JoinGroup gives.
    reason: String,
    last_request: u64,
    last_link: u64,
}

#[derive(Debug)]
enum State {
    Unjoined,
    Joining {
        protocols: Protocols,
        sent: Option<Sent>,
        /// The request on its way has protocols that the herder has replaced since.
        is_outdated: bool,
    },
    Syncing {
        /// `None` while the herder of a leader makes them.
        assignments: Option<Vec<(MemberId, Bytes)>>,
        sent: Option<Sent>,
    },
    Stable {
        rejoin_was_told: bool,
    },
    Leaving {
        reason: &'static str,
        sent: Option<RequestId>,
        until: Instant,
        /// What the herder wants afterwards.
        then: Option<Protocols>,
        /// Whether the herder waits to hear of it.
        is_commanded: bool,
    },
    Failed(String),
}

/// A request whose answer may take long.
#[derive(Debug, Clone, Copy)]
struct Sent {
    id: RequestId,
    until: Instant,
}

/// What the coordinator knows this member by.
#[derive(Debug, Default)]
struct Place {
    generation: Option<Generation>,
    member: Option<MemberId>,
    protocol: String,
}

impl GroupMember {
    /// A member that never joined.
    pub fn new(settings: MemberSettings, now: Instant) -> Self {
        GroupMember {
            state: State::Unjoined,
            place: Place::default(),
            coordinator: Coordinator::Unknown,
            retries: Retries::new(&settings, now),
            pulse: Pulse::new(&settings, now),
            settings,
            reason: String::new(),
            last_request: 0,
            last_link: 0,
        }
    }

    /// Takes in what happened, and everything that is due by now; adds what is to be done, in this order.
    pub fn handle(&mut self, at: Moment, input: Input, actions: &mut Vec<Action>) {
        match input {
            Input::Started => self.tell_rejoin(RejoinCause::First, actions),
            Input::Command(command) => self.command(at, command, actions),
            Input::CoordinatorFound(broker) => self.coordinator_found(at, broker, actions),
            Input::SearchFailed { why, is_fatal } => self.search_failed(at, why, is_fatal, actions),
            Input::LinkUp(link) => self.link_is_up(link),
            Input::LinkDown { link, why, is_fatal } => self.link_is_down(at, link, why, is_fatal, actions),
            Input::Answered { link, id, answer } => {
                if self.coordinator.link_up() == Some(link) {
                    self.answered(at, id, answer, actions);
                }
            }
            Input::TurnTakes(lasts) => self.turn_takes(at, lasts, actions),
            Input::Timer => {}
        }
        self.expire(at, actions);
        self.pursue_coordinator(at, actions);
        self.send_what_is_due(at, actions);
    }

    /// When [`Self::handle`] has to be called even if nothing happened.
    pub fn next_deadline(&self) -> Option<Instant> {
        let link_is_up = self.coordinator.link_up().is_some();
        let of_state = match &self.state {
            State::Joining { sent: Some(sent), .. } | State::Syncing { sent: Some(sent), .. } => {
                Some(sent.until)
            }
            State::Joining { sent: None, .. } => link_is_up.then(|| self.retries.join_at()),
            State::Leaving { until, .. } => Some(*until),
            State::Unjoined | State::Syncing { sent: None, .. } | State::Stable { .. } => None,
            State::Failed(_) => return None,
        };
        of_state.into_iter().chain(self.coordinator_deadline()).chain(self.pulse_deadline()).min()
    }

    /// Whether the coordinator has nothing of this member any more, as far as it can be told: it left, or never joined.
    pub fn is_out(&self) -> bool {
        match &self.state {
            State::Unjoined => self.place.generation.is_none(),
            State::Failed(_) => true,
            State::Joining { .. } | State::Syncing { .. } | State::Stable { .. } | State::Leaving { .. } => {
                false
            }
        }
    }

    /// Whether it is on its way out.
    pub fn is_leaving(&self) -> bool {
        matches!(self.state, State::Leaving { .. })
    }

    fn command(&mut self, at: Moment, command: MemberCommand, actions: &mut Vec<Action>) {
        match command {
            MemberCommand::Join(protocols) => self.join(protocols, actions),
            MemberCommand::Assign { generation, assignments } => self.assign(generation, assignments),
            MemberCommand::Probe => self.probe(at, actions),
            MemberCommand::Leave { reason } => self.leave(at, reason, true, actions),
        }
    }

    fn join(&mut self, wanted: Protocols, actions: &mut Vec<Action>) {
        match &mut self.state {
            State::Failed(why) => actions.push(Action::Tell(GroupEvent::Fatal(why.clone()))),
            State::Leaving { then, .. } => *then = Some(wanted),
            State::Joining { protocols, sent, is_outdated } => {
                *protocols = wanted;
                *is_outdated = sent.is_some();
            }
            State::Unjoined | State::Syncing { .. } | State::Stable { .. } => self.begin_to_join(wanted),
        }
    }

    fn begin_to_join(&mut self, protocols: Protocols) {
        self.state = State::Joining { protocols, sent: None, is_outdated: false };
    }

    fn assign(&mut self, of: Generation, given: Vec<(MemberId, Bytes)>) {
        if let State::Syncing { assignments: assignments @ None, .. } = &mut self.state
            && self.place.generation == Some(of)
        {
            *assignments = Some(given);
        }
    }

    fn leave(&mut self, at: Moment, reason: &'static str, is_commanded: bool, actions: &mut Vec<Action>) {
        match &mut self.state {
            State::Failed(_) => return actions.push(Action::Tell(GroupEvent::Left)),
            State::Leaving { then, is_commanded, .. } => {
                *then = None;
                *is_commanded = true;
                return;
            }
            State::Unjoined | State::Joining { .. } | State::Syncing { .. } | State::Stable { .. } => {}
        }
        let is_possible = self.place.member.is_some() && self.coordinator.is_known();
        let answer_is_awaited = self.awaited().is_some();
        let until = at.now + LEAVE_PATIENCE;
        self.state = State::Leaving { reason, sent: None, until, then: None, is_commanded };
        if !is_possible {
            self.left(at, actions);
        } else if answer_is_awaited {
            // A broker takes no further request from a connection before it has answered: a join may take a minute.
            self.reopen(at, actions);
        }
    }

    /// The request whose answer may take long, if one is on its way.
    fn awaited(&self) -> Option<Sent> {
        match &self.state {
            State::Joining { sent, .. } | State::Syncing { sent, .. } => *sent,
            State::Unjoined | State::Stable { .. } | State::Leaving { .. } | State::Failed(_) => None,
        }
    }

    /// The place is given up, whether or not the coordinator knows.
    fn left(&mut self, at: Moment, actions: &mut Vec<Action>) {
        let State::Leaving { then, is_commanded, .. } = &mut self.state else { return };
        let (then, is_commanded) = (then.take(), *is_commanded);
        self.state = State::Unjoined;
        self.place = Place::default();
        self.reason.clear();
        self.close_all(actions);
        self.coordinator = Coordinator::Unknown;
        self.retries = Retries::new(&self.settings, at.now);
        self.pulse = Pulse::new(&self.settings, at.now);
        if is_commanded {
            actions.push(Action::Tell(GroupEvent::Left));
        }
        if let Some(protocols) = then {
            self.begin_to_join(protocols);
        }
    }

    /// The herder's thread has to come back to the group now and then: it is what works.
    fn turn_takes(&mut self, at: Moment, lasts: Duration, actions: &mut Vec<Action>) {
        if self.beats() && lasts >= self.settings.rebalance_timeout {
            actions.push(Action::Tell(GroupEvent::PollTimeout));
            self.leave(at, POLL_TIMEOUT, false, actions);
            self.tell_rejoin(RejoinCause::PollTimeout, actions);
        }
    }

    /// What time alone has decided.
    fn expire(&mut self, at: Moment, actions: &mut Vec<Action>) {
        if let State::Leaving { until, .. } = &self.state
            && *until <= at.now
        {
            self.left(at, actions);
        }
        if self.awaited().is_some_and(|sent| sent.until <= at.now) {
            let api = if matches!(self.state, State::Joining { .. }) { "JoinGroup" } else { "SyncGroup" };
            let why = format!("{}: {api} was not answered in time", self.coordinator.name());
            self.forget_coordinator(at, why, at.now, actions);
        }
        self.judge_heartbeat(at, actions);
        self.judge_session(at, actions);
        self.judge_search(at, actions);
    }

    fn send_what_is_due(&mut self, at: Moment, actions: &mut Vec<Action>) {
        let Some(link) = self.coordinator.link_up() else { return };
        if let Some(request) = self.request_of_state(at.now) {
            let id = self.next_request();
            self.note_sent(at, id);
            actions.push(Action::Send { link, id, request });
        }
        self.beat_if_due(at, link, actions);
    }

    /// The request that the state waits to send, if it may be sent now.
    fn request_of_state(&self, now: Instant) -> Option<MemberRequest> {
        let member = self.place.member.clone();
        match &self.state {
            State::Joining { sent: None, protocols, .. } if self.retries.join_at() <= now => {
                let (protocols, reason) = (protocols.clone(), self.reason.clone());
                Some(MemberRequest::Join { member, protocols, reason })
            }
            State::Syncing { assignments: Some(assignments), sent: None } => Some(MemberRequest::Sync {
                generation: self.place.generation?,
                member: member?,
                protocol: self.place.protocol.clone(),
                assignments: assignments.clone(),
            }),
            State::Leaving { sent: None, reason, .. } => {
                Some(MemberRequest::Leave { member: member?, reason })
            }
            State::Unjoined
            | State::Joining { .. }
            | State::Syncing { .. }
            | State::Stable { .. }
            | State::Leaving { .. }
            | State::Failed(_) => None,
        }
    }

    fn note_sent(&mut self, at: Moment, id: RequestId) {
        let (join_until, sync_until) =
            (at.now + self.settings.join_timeout(), at.now + self.settings.request_timeout);
        match &mut self.state {
            State::Joining { sent, .. } => *sent = Some(Sent { id, until: join_until }),
            State::Syncing { sent, .. } => *sent = Some(Sent { id, until: sync_until }),
            State::Leaving { sent, .. } => *sent = Some(id),
            State::Unjoined | State::Stable { .. } | State::Failed(_) => {}
        }
    }

    fn next_request(&mut self) -> RequestId {
        self.last_request += 1;
        RequestId(self.last_request)
    }

    fn tell_rejoin(&self, cause: RejoinCause, actions: &mut Vec<Action>) {
        actions.push(Action::Tell(GroupEvent::RejoinNeeded(cause)));
    }

    /// The round failed after the join: the herder is to say again with what to join.
    fn sync_failed(&mut self, why: String, actions: &mut Vec<Action>) {
        self.state = State::Unjoined;
        self.tell_rejoin(RejoinCause::SyncFailed(why), actions);
    }

    fn join_failed_with(&mut self, java_class: &str) {
        self.reason = format!("rebalance failed due to {java_class}");
    }

    fn fail(&mut self, why: String, actions: &mut Vec<Action>) {
        self.close_all(actions);
        self.coordinator = Coordinator::Unknown;
        self.place = Place::default();
        self.state = State::Failed(why.clone());
        actions.push(Action::Tell(GroupEvent::Fatal(why)));
    }

    fn close_all(&self, actions: &mut Vec<Action>) {
        match &self.coordinator {
            Coordinator::Unknown | Coordinator::Known { link: Link::Down { .. }, .. } => {}
            Coordinator::Sought { .. } => actions.push(Action::StopSearch),
            Coordinator::Known { link: Link::Opening(link) | Link::Up(link), .. } => {
                actions.push(Action::Close(*link));
            }
        }
    }
}
