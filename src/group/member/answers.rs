//! What the coordinator answered, and what follows from each error code.

use super::{Action, GroupMember, Moment, Place, State};
use crate::api::ids::{Generation, MemberId};
use crate::group::error_code::GroupError;
use crate::group::events::{GroupEvent, RejoinCause};
use crate::group::requests::{JoinAnswer, JoinRefusal, MemberAnswer, PROTOCOL_TYPE, RequestId, SyncAnswer};

impl GroupMember {
    /// An answer to a request that is not awaited any more is ignored.
    pub(super) fn answered(
        &mut self,
        at: Moment,
        id: RequestId,
        answer: MemberAnswer,
        actions: &mut Vec<Action>,
    ) {
        let is_awaited = self.awaited().is_some_and(|sent| sent.id == id);
        match (answer, &self.state) {
            (MemberAnswer::Join(answer), State::Joining { .. }) if is_awaited => match answer {
                Ok(joined) => self.joined(at, joined, actions),
                Err(refusal) => self.join_refused(at, refusal, actions),
            },
            (MemberAnswer::Sync(answer), State::Syncing { .. }) if is_awaited => {
                self.pulse.judge_from(at.now, self.settings.heartbeat_interval);
                match answer {
                    Ok(synced) => self.synced(at, synced, actions),
                    Err(error) => self.sync_refused(at, error, actions),
                }
            }
            (MemberAnswer::Heartbeat(answer), _) => {
                if let Some(place) = self.pulse.answered(id) {
                    self.heartbeat_answered(at, place, answer, actions);
                }
            }
            (MemberAnswer::Leave(_), State::Leaving { sent: Some(sent), .. }) if *sent == id => {
                self.left(at, actions);
            }
            (MemberAnswer::Join(_) | MemberAnswer::Sync(_) | MemberAnswer::Leave(_), _) => {}
        }
    }

    fn joined(&mut self, at: Moment, joined: JoinAnswer, actions: &mut Vec<Action>) {
        let JoinAnswer { generation, member, leader, protocol_type, protocol, skip_assignment, members } =
            joined;
        let is_of_type = protocol_type.is_none_or(|it| it == PROTOCOL_TYPE);
        let Some(protocol) = protocol.filter(|protocol| is_of_type && !protocol.is_empty()) else {
            return self.fail_with("JoinGroup", GroupError::InconsistentProtocol, actions);
        };
        if skip_assignment {
            let why = "the coordinator wants this worker to lead without assigning, which is for static members; \
                       workers never are: give group.id a name that nothing else uses";
            return self.fail(why.to_owned(), actions);
        }
        self.place =
            Place { generation: Some(generation), member: Some(member.clone()), protocol: protocol.clone() };
        self.retries.joined();
        self.pulse.due_after(at.now, self.settings.heartbeat_interval);
        self.make_contact(at, actions);
        if let State::Joining { sent, is_outdated: is_outdated @ true, .. } = &mut self.state {
            // The others know what this member had to say before; it has more to say now.
            (*sent, *is_outdated) = (None, false);
            self.retries.join_not_before(at.now);
            return;
        }
        let leads = leader == member;
        self.state = State::Syncing { assignments: if leads { None } else { Some(Vec::new()) }, sent: None };
        let members = leads.then_some(members);
        actions.push(Action::Tell(GroupEvent::Joined { generation, member, leader, protocol, members }));
    }

    fn join_refused(&mut self, at: Moment, refusal: JoinRefusal, actions: &mut Vec<Action>) {
        let JoinRefusal { error, member } = refusal;
        if let State::Joining { sent, is_outdated, .. } = &mut self.state {
            (*sent, *is_outdated) = (None, false);
        }
        let pause = self.settings.retry_backoff;
        match error {
            GroupError::MemberIdRequired if member.is_some() => {
                self.place.member = member;
                return self.retries.join_at_once(at.now, pause);
            }
            GroupError::LoadInProgress => {
                self.retries.join_not_before(at.now + pause);
                self.lose_contact(self.refused("JoinGroup", error), actions);
            }
            GroupError::CoordinatorNotAvailable | GroupError::NotCoordinator => {
                self.retries.join_not_before(at.now + pause);
                let why = self.refused("JoinGroup", error);
                self.forget_coordinator(at, why, at.now + pause, actions);
            }
            GroupError::UnknownMemberId => {
                self.forget_generation();
                self.place.member = None;
                self.retries.join_at_once(at.now, pause);
            }
            GroupError::RebalanceInProgress => self.retries.join_at_once(at.now, pause),
            GroupError::MemberIdRequired
            | GroupError::IllegalGeneration
            | GroupError::InconsistentProtocol
            | GroupError::InvalidGroupId
            | GroupError::InvalidSessionTimeout
            | GroupError::GroupAuthorization
            | GroupError::GroupMaxSizeReached
            | GroupError::Fenced
            | GroupError::Other(_) => return self.fail_with("JoinGroup", error, actions),
        }
        self.join_failed_with(error.java_class());
    }

    fn synced(&mut self, at: Moment, synced: SyncAnswer, actions: &mut Vec<Action>) {
        let SyncAnswer { protocol_type, protocol, assignment } = synced;
        let is_of_type = protocol_type.is_none_or(|it| it == PROTOCOL_TYPE);
        if !is_of_type || protocol.is_some_and(|it| it != self.place.protocol) {
            return self.fail_with("SyncGroup", GroupError::InconsistentProtocol, actions);
        }
        self.make_contact(at, actions);
        self.reason.clear();
        self.state = State::Stable { rejoin_was_told: false };
        if let Some(generation) = self.place.generation {
            actions.push(Action::Tell(GroupEvent::Assigned { generation, assignment }));
        }
    }

    fn sync_refused(&mut self, at: Moment, error: GroupError, actions: &mut Vec<Action>) {
        let pause = self.settings.retry_backoff;
        let mut join_at = at.now;
        match error {
            GroupError::IllegalGeneration => self.forget_generation(),
            // A broker that has taken the group over has no round of it. It passes; Apache's worker would end.
            GroupError::LoadInProgress => join_at += pause,
            GroupError::UnknownMemberId => {
                self.forget_generation();
                self.place.member = None;
            }
            GroupError::RebalanceInProgress => {}
            GroupError::CoordinatorNotAvailable | GroupError::NotCoordinator => {
                self.retries.join_not_before(at.now + pause);
                self.join_failed_with(error.java_class());
                // Before the connection is closed: the round has failed with this error, not by that.
                self.sync_failed(error.to_string(), actions);
                let why = self.refused("SyncGroup", error);
                return self.forget_coordinator(at, why, at.now + pause, actions);
            }
            GroupError::MemberIdRequired
            | GroupError::InconsistentProtocol
            | GroupError::InvalidGroupId
            | GroupError::InvalidSessionTimeout
            | GroupError::GroupAuthorization
            | GroupError::GroupMaxSizeReached
            | GroupError::Fenced
            | GroupError::Other(_) => return self.fail_with("SyncGroup", error, actions),
        }
        self.retries.join_not_before(join_at);
        self.join_failed_with(error.java_class());
        self.sync_failed(error.to_string(), actions);
    }

    fn heartbeat_answered(
        &mut self,
        at: Moment,
        place: (Generation, MemberId),
        answer: Result<(), GroupError>,
        actions: &mut Vec<Action>,
    ) {
        let is_current =
            self.place.generation == Some(place.0) && self.place.member.as_ref() == Some(&place.1);
        let Err(error) = answer else { return self.make_contact(at, actions) };
        if error == GroupError::RebalanceInProgress {
            self.make_contact(at, actions);
            if let State::Stable { rejoin_was_told: rejoin_was_told @ false } = &mut self.state {
                *rejoin_was_told = true;
                self.tell_rejoin(RejoinCause::Rebalance, actions);
            }
            return;
        }
        // A member that joins hears from its join how things are.
        if !is_current || !self.beats() {
            return;
        }
        match error {
            GroupError::IllegalGeneration => self.generation_lost(error, actions),
            GroupError::UnknownMemberId => {
                self.place.member = None;
                self.generation_lost(error, actions);
            }
            GroupError::CoordinatorNotAvailable | GroupError::NotCoordinator => {
                let why = self.refused("Heartbeat", error);
                // For a while brokers may go on to name one that is not it any more.
                let ask_at = at.now + self.retries.pause_before_connection(at.jitter);
                self.forget_coordinator(at, why, ask_at, actions);
            }
            GroupError::Fenced => self.fail_with("Heartbeat", error, actions),
            GroupError::LoadInProgress
            | GroupError::RebalanceInProgress
            | GroupError::MemberIdRequired
            | GroupError::InconsistentProtocol
            | GroupError::InvalidGroupId
            | GroupError::InvalidSessionTimeout
            | GroupError::GroupAuthorization
            | GroupError::GroupMaxSizeReached
            | GroupError::Other(_) => {
                self.pulse.due_after_error(at);
                self.lose_contact(self.refused("Heartbeat", error), actions);
            }
        }
    }

    /// By a heartbeat. While a join is awaited of the herder anyway, it is not asked for again.
    fn generation_lost(&mut self, error: GroupError, actions: &mut Vec<Action>) {
        self.forget_generation();
        let is_awaited = matches!(self.state, State::Unjoined | State::Stable { rejoin_was_told: true });
        self.state = State::Unjoined;
        if !is_awaited {
            self.tell_rejoin(RejoinCause::GenerationLost(error), actions);
        }
    }

    fn forget_generation(&mut self) {
        self.place.generation = None;
    }

    fn refused(&self, api: &str, error: GroupError) -> String {
        let advice = error.advice();
        let separator = if advice.is_empty() { "" } else { ". " };
        format!("{}: {api} failed with {error}{separator}{advice}", self.coordinator.name())
    }

    fn fail_with(&mut self, api: &str, error: GroupError, actions: &mut Vec<Action>) {
        let why = format!("group {}: {}", self.settings.group_id, self.refused(api, error));
        self.fail(why, actions);
    }
}
