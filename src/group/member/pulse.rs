//! Contact with the coordinator: heartbeats, the session, and what the herder was told of it.

use std::time::{Duration, Instant};

use super::coordinator::{Coordinator, PAUSE_MAX};
use super::{Action, GroupMember, LinkId, Moment, State};
use crate::api::ids::{Generation, MemberId};
use crate::group::events::{GroupEvent, MemberSettings};
use crate::group::requests::{MemberRequest, RequestId};
use crate::stdx::backoff::Backoff;

/// How long a heartbeat that somebody asked for may stay unanswered until contact counts as lost.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// Heartbeats of a member.
#[derive(Debug)]
pub(super) struct Pulse {
    /// When the next one is sent.
    due: Instant,
    /// The one on its way.
    beat: Option<Beat>,
    /// When the coordinator takes the member for dead.
    session_ends: Instant,
    /// What the herder was told, while contact is lost.
    lost: Option<String>,
    /// After heartbeats that were answered with an error.
    errors: Backoff,
}

#[derive(Debug)]
struct Beat {
    id: RequestId,
    generation: Generation,
    member: MemberId,
    sent_at: Instant,
    /// When contact counts as lost; `None` once it was told.
    tell_at: Option<Instant>,
    /// When the connection is given up.
    close_at: Instant,
}

impl Pulse {
    pub(super) fn new(settings: &MemberSettings, now: Instant) -> Self {
        Pulse {
            due: now,
            beat: None,
            session_ends: now + settings.session_timeout,
            lost: None,
            errors: Backoff::new(
                settings.retry_backoff.min(PAUSE_MAX),
                settings.retry_backoff_max.min(PAUSE_MAX),
            ),
        }
    }

    /// Over the next connection a heartbeat is sent at once.
    pub(super) fn connection_lost(&mut self, now: Instant) {
        self.beat = None;
        self.due = now;
    }

    /// A heartbeat is due after so long.
    pub(super) fn due_after(&mut self, now: Instant, pause: Duration) {
        self.due = now + pause;
    }

    pub(super) fn due_after_error(&mut self, at: Moment) {
        self.due = at.now + self.errors.next_delay(at.jitter);
    }

    /// A heartbeat that was sent while the broker took nothing from this connection begins to count now.
    pub(super) fn judge_from(&mut self, now: Instant, interval: Duration) {
        if let Some(beat) = &mut self.beat {
            beat.tell_at = beat.tell_at.map(|_| now + interval);
            beat.close_at = now + interval;
        }
    }

    /// Takes the heartbeat with this number off its way; tells for which place it was.
    pub(super) fn answered(&mut self, id: RequestId) -> Option<(Generation, MemberId)> {
        let beat = self.beat.take_if(|beat| beat.id == id)?;
        Some((beat.generation, beat.member))
    }

    pub(super) fn why_lost(&self) -> String {
        self.lost.clone().unwrap_or_default()
    }
}

impl GroupMember {
    /// Whether heartbeats are sent: not while the member joins, since the coordinator waits for it then.
    pub(super) fn beats(&self) -> bool {
        let allowed = match &self.state {
            State::Unjoined | State::Syncing { .. } | State::Stable { .. } => true,
            State::Joining { .. } | State::Leaving { .. } | State::Failed(_) => false,
        };
        allowed && self.place.generation.is_some()
    }

    pub(super) fn beat_if_due(&mut self, at: Moment, link: LinkId, actions: &mut Vec<Action>) {
        if self.pulse.due <= at.now {
            self.beat(at, link, self.settings.heartbeat_interval, actions);
        }
    }

    /// Sends a heartbeat, unless one is on its way or none is to be sent.
    fn beat(&mut self, at: Moment, link: LinkId, patience: Duration, actions: &mut Vec<Action>) {
        let (Some(generation), Some(member)) = (self.place.generation, self.place.member.clone()) else {
            return;
        };
        if !self.beats() || self.pulse.beat.is_some() {
            return;
        }
        let (id, interval) = (self.next_request(), self.settings.heartbeat_interval);
        self.pulse.due = at.now + interval;
        self.pulse.beat = Some(Beat {
            id,
            generation,
            member: member.clone(),
            sent_at: at.now,
            tell_at: Some(at.now + patience.min(interval)),
            close_at: at.now + interval,
        });
        actions.push(Action::Send { link, id, request: MemberRequest::Heartbeat { generation, member } });
    }

    pub(super) fn probe(&mut self, at: Moment, actions: &mut Vec<Action>) {
        match (&mut self.pulse.beat, self.coordinator.link_up()) {
            (Some(beat), _) => beat.tell_at = beat.tell_at.map(|told| told.min(at.now + PROBE_PATIENCE)),
            (None, Some(link)) => self.beat(at, link, PROBE_PATIENCE, actions),
            // There is no connection: that contact is lost was told, or is about to be.
            (None, None) => {}
        }
    }

    pub(super) fn judge_heartbeat(&mut self, at: Moment, actions: &mut Vec<Action>) {
        if !self.beat_is_judged() {
            return;
        }
        let Some(beat) = &mut self.pulse.beat else { return };
        if beat.tell_at.is_some_and(|tell_at| tell_at <= at.now) {
            beat.tell_at = None;
            let waited = at.now.saturating_duration_since(beat.sent_at).as_millis();
            let why = format!("{}: Heartbeat was not answered within {waited} ms", self.coordinator.name());
            self.lose_contact(why, actions);
        }
        if self.pulse.beat.as_ref().is_some_and(|beat| beat.close_at <= at.now) {
            self.reopen(at, actions);
        }
    }

    /// A broker takes no further request from a connection before it has answered: a heartbeat behind a SyncGroup says
    /// nothing about the broker.
    fn beat_is_judged(&self) -> bool {
        match (&self.pulse.beat, self.awaited()) {
            (Some(beat), Some(awaited)) => beat.id < awaited.id,
            (Some(_), None) => !self.is_leaving(),
            (None, _) => false,
        }
    }

    pub(super) fn judge_session(&mut self, at: Moment, actions: &mut Vec<Action>) {
        if self.beats() && self.coordinator.is_known() && self.pulse.session_ends <= at.now {
            let why = format!(
                "{}: no heartbeat succeeded within session.timeout.ms={}",
                self.coordinator.name(),
                self.settings.session_timeout.as_millis()
            );
            self.forget_coordinator(at, why, at.now, actions);
        }
    }

    pub(super) fn pulse_deadline(&self) -> Option<Instant> {
        let beat = self.pulse.beat.as_ref().filter(|_| self.beat_is_judged());
        let judged =
            beat.map(|beat| beat.tell_at.map_or(beat.close_at, |tell_at| tell_at.min(beat.close_at)));
        let is_idle = self.pulse.beat.is_none() && self.coordinator.link_up().is_some();
        let due = (self.beats() && is_idle).then_some(self.pulse.due);
        let is_known = matches!(self.coordinator, Coordinator::Known { .. });
        let session = (self.beats() && is_known).then_some(self.pulse.session_ends);
        judged.into_iter().chain(due).chain(session).min()
    }

    pub(super) fn renew_session(&mut self, now: Instant) {
        self.pulse.session_ends = now + self.settings.session_timeout;
    }

    pub(super) fn make_contact(&mut self, at: Moment, actions: &mut Vec<Action>) {
        self.pulse.lost = None;
        self.pulse.errors.reset();
        self.retries.reached();
        self.renew_session(at.now);
        actions.push(Action::Tell(GroupEvent::Contact { at: at.now }));
    }

    pub(super) fn lose_contact(&mut self, why: String, actions: &mut Vec<Action>) {
        if self.pulse.lost.as_ref() != Some(&why) {
            self.pulse.lost = Some(why.clone());
            actions.push(Action::Tell(GroupEvent::ContactLost { why }));
        }
    }
}
