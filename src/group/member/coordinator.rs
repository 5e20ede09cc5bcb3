//! Where the coordinator is: looked for, found, connected to, lost.
//!
//! While contact is lost no pause is longer than half a second, so that a coordinator that comes back is met within one.

use std::time::{Duration, Instant};

use super::{Action, GroupMember, LinkId, Moment, State};
use crate::config::broker::Broker;
use crate::group::events::{GroupEvent, MemberSettings, RejoinCause};
use crate::stdx::backoff::Backoff;

/// After how long one more broker is asked, while those before have not answered.
const ASK_ANOTHER_AFTER: Duration = Duration::from_secs(1);
/// The longest pause while contact is lost.
pub(super) const PAUSE_MAX: Duration = Duration::from_millis(500);

/// What is known of the coordinator.
#[derive(Debug)]
pub(super) enum Coordinator {
    /// Nothing, and nobody asks.
    Unknown,
    /// Brokers are asked.
    Sought {
        /// When one more is.
        ask_at: Instant,
        /// When a member that has a generation forgets it.
        gives_up: Option<Instant>,
    },
    /// A broker said so.
    Known {
        /// Where.
        broker: Broker,
        /// The connection to it.
        link: Link,
    },
}

/// A connection to the coordinator.
#[derive(Debug)]
pub(super) enum Link {
    Down { retry_at: Instant },
    Opening(LinkId),
    Up(LinkId),
}

impl Link {
    /// Whether it is to be opened now.
    fn is_due(&self, now: Instant) -> bool {
        match self {
            Link::Down { retry_at } => *retry_at <= now,
            Link::Opening(_) | Link::Up(_) => false,
        }
    }
}

/// The pauses between tries.
#[derive(Debug)]
pub(super) struct Retries {
    search: Backoff,
    connect: Backoff,
    /// A connection was tried since there was contact: the next try waits.
    has_tried: bool,
    /// Not before this is JoinGroup sent.
    join_at: Instant,
    /// How often in a row a join was repeated at once.
    joins_at_once: u32,
}

impl Retries {
    pub(super) fn new(settings: &MemberSettings, now: Instant) -> Self {
        let capped =
            |first: Duration, longest: Duration| Backoff::new(first.min(PAUSE_MAX), longest.min(PAUSE_MAX));
        Retries {
            search: capped(settings.retry_backoff, settings.retry_backoff_max),
            connect: capped(settings.reconnect_backoff, settings.reconnect_backoff_max),
            has_tried: false,
            join_at: now,
            joins_at_once: 0,
        }
    }

    pub(super) fn join_at(&self) -> Instant {
        self.join_at
    }

    pub(super) fn join_not_before(&mut self, at: Instant) {
        self.join_at = at;
    }

    /// A join is repeated at once; from the third time on after the usual pause, for it may go on for ever.
    pub(super) fn join_at_once(&mut self, now: Instant, pause: Duration) {
        self.joins_at_once += 1;
        self.join_at = if self.joins_at_once > 2 { now + pause } else { now };
    }

    pub(super) fn joined(&mut self) {
        self.joins_at_once = 0;
    }

    pub(super) fn reached(&mut self) {
        self.search.reset();
        self.connect.reset();
        self.has_tried = false;
    }

    /// None before the first try since there was contact.
    pub(super) fn pause_before_connection(&mut self, jitter: f64) -> Duration {
        if std::mem::replace(&mut self.has_tried, true) {
            self.connect.next_delay(jitter)
        } else {
            Duration::ZERO
        }
    }
}

impl Coordinator {
    pub(super) fn is_known(&self) -> bool {
        matches!(self, Coordinator::Known { .. })
    }

    /// The connection, if requests can be sent.
    pub(super) fn link_up(&self) -> Option<LinkId> {
        match self {
            Coordinator::Known { link: Link::Up(link), .. } => Some(*link),
            Coordinator::Known { .. } | Coordinator::Sought { .. } | Coordinator::Unknown => None,
        }
    }

    /// What people call it.
    pub(super) fn name(&self) -> String {
        match self {
            Coordinator::Known { broker, .. } => format!("broker {broker}"),
            Coordinator::Sought { .. } | Coordinator::Unknown => "the group's coordinator".to_owned(),
        }
    }
}

impl GroupMember {
    pub(super) fn coordinator_found(&mut self, at: Moment, broker: Broker, actions: &mut Vec<Action>) {
        if matches!(self.coordinator, Coordinator::Sought { .. }) {
            actions.push(Action::StopSearch);
            self.coordinator = Coordinator::Known { broker, link: Link::Down { retry_at: at.now } };
            self.renew_session(at.now);
        }
    }

    pub(super) fn search_failed(
        &mut self,
        at: Moment,
        why: String,
        is_fatal: bool,
        actions: &mut Vec<Action>,
    ) {
        let Coordinator::Sought { ask_at, .. } = &mut self.coordinator else { return };
        if is_fatal {
            return self.fail(why, actions);
        }
        *ask_at = at.now + self.retries.search.next_delay(at.jitter);
        self.lose_contact(why, actions);
    }

    pub(super) fn link_is_up(&mut self, up: LinkId) {
        if let Coordinator::Known { link: link @ Link::Opening(_), .. } = &mut self.coordinator
            && matches!(link, Link::Opening(opening) if *opening == up)
        {
            *link = Link::Up(up);
        }
    }

    pub(super) fn link_is_down(
        &mut self,
        at: Moment,
        down: LinkId,
        why: String,
        is_fatal: bool,
        actions: &mut Vec<Action>,
    ) {
        let Coordinator::Known { link, .. } = &mut self.coordinator else { return };
        match link {
            Link::Opening(current) | Link::Up(current) if *current == down => {}
            Link::Opening(_) | Link::Up(_) | Link::Down { .. } => return,
        }
        *link = Link::Down { retry_at: at.now };
        if is_fatal {
            return self.fail(why, actions);
        }
        let ask_at = at.now + self.retries.pause_before_connection(at.jitter);
        self.forget_coordinator(at, why, ask_at, actions);
    }

    /// The coordinator is not where it was, or not there: brokers are asked for it from `ask_at` on.
    pub(super) fn forget_coordinator(
        &mut self,
        at: Moment,
        why: String,
        ask_at: Instant,
        actions: &mut Vec<Action>,
    ) {
        if self.is_leaving() {
            return self.left(at, actions);
        }
        self.lose_contact(why, actions);
        self.close_all(actions);
        self.lose_what_is_on_its_way(at, actions);
        let gives_up = Some(at.now + self.settings.heartbeat_interval);
        self.coordinator = Coordinator::Sought { ask_at, gives_up };
    }

    /// The coordinator stays, the connection is made anew.
    pub(super) fn reopen(&mut self, at: Moment, actions: &mut Vec<Action>) {
        self.close_all(actions);
        self.lose_what_is_on_its_way(at, actions);
        let retry_at = at.now + self.retries.pause_before_connection(at.jitter);
        if let Coordinator::Known { link, .. } = &mut self.coordinator {
            *link = Link::Down { retry_at };
        }
    }

    /// No answer comes any more to what was sent over a connection that is closed.
    fn lose_what_is_on_its_way(&mut self, at: Moment, actions: &mut Vec<Action>) {
        const DISCONNECT: &str = "DisconnectException";
        self.pulse.connection_lost(at.now);
        match &mut self.state {
            State::Joining { sent: sent @ Some(_), is_outdated, .. } => {
                *sent = None;
                *is_outdated = false;
                self.retries.join_not_before(at.now + self.settings.retry_backoff);
                self.join_failed_with(DISCONNECT);
            }
            State::Syncing { sent: Some(_), .. } => {
                self.retries.join_not_before(at.now + self.settings.retry_backoff);
                self.join_failed_with(DISCONNECT);
                self.sync_failed("the connection was lost before SyncGroup was answered".to_owned(), actions);
            }
            State::Unjoined
            | State::Joining { sent: None, .. }
            | State::Syncing { sent: None, .. }
            | State::Stable { .. }
            | State::Leaving { .. }
            | State::Failed(_) => {}
        }
    }

    pub(super) fn pursue_coordinator(&mut self, at: Moment, actions: &mut Vec<Action>) {
        if !self.wants_coordinator() {
            return;
        }
        if matches!(self.coordinator, Coordinator::Unknown) {
            self.coordinator = Coordinator::Sought { ask_at: at.now, gives_up: None };
        }
        match &mut self.coordinator {
            Coordinator::Sought { ask_at, .. } if *ask_at <= at.now => {
                *ask_at = at.now + ASK_ANOTHER_AFTER;
                actions.push(Action::FindCoordinator);
            }
            Coordinator::Known { broker, link } if link.is_due(at.now) => {
                self.last_link += 1;
                let opening = LinkId(self.last_link);
                *link = Link::Opening(opening);
                actions.push(Action::Connect { link: opening, broker: broker.clone() });
            }
            Coordinator::Sought { .. } | Coordinator::Known { .. } | Coordinator::Unknown => {}
        }
    }

    fn wants_coordinator(&self) -> bool {
        match &self.state {
            State::Joining { .. } | State::Syncing { .. } | State::Stable { .. } | State::Leaving { .. } => {
                true
            }
            State::Unjoined => self.place.generation.is_some(),
            State::Failed(_) => false,
        }
    }

    pub(super) fn coordinator_deadline(&self) -> Option<Instant> {
        match &self.coordinator {
            Coordinator::Sought { ask_at, gives_up } => {
                let ask_at = self.wants_coordinator().then_some(*ask_at);
                let gives_up = gives_up.filter(|_| self.place.generation.is_some());
                ask_at.into_iter().chain(gives_up).min()
            }
            Coordinator::Known { link: Link::Down { retry_at }, .. } => {
                self.wants_coordinator().then_some(*retry_at)
            }
            Coordinator::Unknown | Coordinator::Known { .. } => None,
        }
    }

    /// A search that took too long costs the generation.
    pub(super) fn judge_search(&mut self, at: Moment, actions: &mut Vec<Action>) {
        let Coordinator::Sought { gives_up: gives_up @ Some(_), .. } = &mut self.coordinator else { return };
        if self.place.generation.is_none() || gives_up.is_none_or(|until| until > at.now) {
            return;
        }
        *gives_up = None;
        self.place.generation = None;
        self.state = State::Unjoined;
        let why = self.pulse.why_lost();
        actions.push(Action::Tell(GroupEvent::CoordinatorUnreachable { why }));
        self.tell_rejoin(RejoinCause::CoordinatorUnreachable, actions);
    }
}
