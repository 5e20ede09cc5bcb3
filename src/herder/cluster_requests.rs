//! Requests in a group of workers: who may carry them out, what waits for the end of a rebalance, and what other workers
//! ask for.

use bytes::Bytes;

use super::connector_entry::Waiter;
use super::membership::{Contact, Group, Membership, Standing};
use super::msg::{
    Answer, Effect, Effects, HerderError, Proof, Request, SignatureFault, SubmitTasks, Target, TopicsEvent,
};
use super::operations::{Operation, Part, Writing};
use super::session_key::{RequestSignature, SignatureError};
use super::startup::HELD_MAX;
use super::view::{ConnectorStatus, RunState};
use super::{Herder, not_found};
use crate::api::Settings;
use crate::api::ids::{ConnectorName, TaskId};
use crate::group::events::MemberCommand;
use crate::stdx::reply::Reply;
use crate::stdx::time::Now;
use crate::store::config_records::stored;
use crate::store::config_state::{ConfigState, RestartScope, TargetState};
use crate::store::config_write::ConfigWrite;

impl Membership {
    /// Keeps a request for when a rebalance is over; gives it back if it can be served now.
    pub(super) fn hold(&mut self, request: Request, effects: &mut Effects) -> Option<Request> {
        let waits = match &request {
            // Health has a wait of its own, and a target state is written by any worker at any time.
            Request::Health(_) | Request::SetTarget(..) => false,
            Request::Create { .. }
            | Request::Put { .. }
            | Request::Patch { .. }
            | Request::Delete(..)
            | Request::Info(..)
            | Request::Tasks(..)
            | Request::Stop(..)
            | Request::Restart(..)
            | Request::RestartParts(..)
            | Request::RestartTask(..)
            | Request::ResetTopics(..)
            | Request::Offsets(..)
            | Request::ModifyOffsets(..)
            | Request::SubmitTasks { .. }
            | Request::Fence { .. }
            | Request::SetClusterLevel { .. } => !self.is_settled(),
        };
        let Membership::Group(group) = self else { return Some(request) };
        if !waits {
            return Some(request);
        }
        group.waiting.retain(Request::is_wanted);
        if group.waiting.len() < HELD_MAX {
            group.waiting.push_back(request);
        } else {
            let why = format!("{HELD_MAX} requests are waiting for the end of a rebalance; try again later");
            request.refuse(HerderError::Rebalancing(why), effects);
        }
        None
    }
}

impl Group {
    /// Somebody wants to know whether the coordinator answers: has it asked, unless it was or its answer is fresh.
    pub(super) fn look_for_contact(&mut self, now: Now, effects: &mut Effects) {
        let is_fresh = self.has_fresh_contact(now);
        match &mut self.contact {
            Contact::At { asked: true, .. } | Contact::Lost { .. } => {}
            Contact::At { .. } if is_fresh => {}
            Contact::At { asked, .. } => {
                *asked = true;
                effects.push(Effect::Member(MemberCommand::Probe));
            }
        }
    }
}

impl Herder {
    /// Serves what waited for the end of a rebalance. Says whether there was anything.
    pub(super) fn serve_waiting(&mut self, effects: &mut Effects) -> bool {
        if !self.membership.is_settled() {
            return false;
        }
        let Some(group) = self.membership.group() else { return false };
        let waiting = std::mem::take(&mut group.waiting);
        let any = !waiting.is_empty();
        for request in waiting.into_iter().filter(Request::is_wanted) {
            self.serve(request, effects);
        }
        any
    }

    /// The internal topics have news.
    pub(super) fn topics_event(&mut self, event: TopicsEvent) {
        let Some(group) = self.membership.group() else { return };
        match event {
            TopicsEvent::Stage(stage) => group.stores = Some(stage),
            TopicsEvent::Read => self.topics_read(),
            TopicsEvent::ConfigUnreadable(why) => group.config_unreadable = why,
            TopicsEvent::ConfigRead => {
                if let Some(told) = group.lost_connectors.told(&self.configs) {
                    log::error!("{told}");
                }
            }
            TopicsEvent::ConfigAnew => {
                group.keys.forget();
                group.lost_connectors.suspect(&self.configs);
                self.configs = ConfigState::default();
                self.changed.extend(self.connectors.keys().cloned());
                self.rejoin_for_config();
            }
        }
    }

    /// Whether the connector itself is another worker's to restart: then it says whose.
    pub(super) fn must_own_connector(&self, name: &ConnectorName) -> Answer<()> {
        self.must_own(
            |group| group.running.connectors.contains(name),
            |group| group.place()?.owners.as_ref()?.of_connector(name).map(|owner| owner.url.clone()),
        )
    }

    /// Whether a task is another worker's to restart: then it says whose.
    pub(super) fn must_own_task(&self, id: &TaskId) -> Answer<()> {
        self.must_own(
            |group| group.running.tasks.contains(id),
            |group| group.place()?.owners.as_ref()?.of_task(id).map(|owner| owner.url.clone()),
        )
    }

    fn must_own(
        &self,
        owns: impl FnOnce(&Group) -> bool,
        owner: impl FnOnce(&Group) -> Option<String>,
    ) -> Answer<()> {
        match &self.membership {
            Membership::Alone => Ok(()),
            Membership::Group(group) if owns(group) => Ok(()),
            // Only the leader knows who has what.
            Membership::Group(group) if group.leads() => {
                Err(HerderError::NotHere { target: Target::Owner, url: owner(group) })
            }
            Membership::Group(group) => Err(group.not_leading()),
        }
    }

    /// Has parts of a connector restarted, wherever they run: all workers read of it.
    pub(super) fn restart_parts_of_group(
        &mut self,
        name: ConnectorName,
        scope: RestartScope,
        reply: Reply<Answer<ConnectorStatus>>,
        effects: &mut Effects,
    ) {
        let check = self.membership.must_lead().and_then(|()| self.restart_answer(&name, scope));
        match check {
            Ok(answer) => {
                let writing = Writing::Restart(Box::new(answer), reply);
                self.write_config(ConfigWrite::Restart { name, scope }, writing, effects);
            }
            Err(why) => effects.answer(reply, Err(why)),
        }
    }

    /// A restart of parts of a connector was read: does what of it concerns this worker.
    pub(super) fn restart_read(&mut self, name: &ConnectorName, scope: RestartScope) {
        let Some(before) = self.status(name).filter(|_| self.follows_config()) else { return };
        let covers = |state: RunState| !scope.only_failed || state == RunState::Failed;
        let share = self.membership.share_of(name);
        let Some(entry) = self.connectors.get_mut(name) else { return };
        if share.has_instance() && covers(before.connector.state) {
            entry.restart_instance();
        }
        let tasks = before.tasks.iter().filter(|(_, status)| scope.include_tasks && covers(status.state));
        for (index, _) in tasks.filter(|(index, _)| share.has_task(**index)) {
            entry.restart_task(*index);
        }
        self.changed.insert(name.clone());
    }

    /// Has the leader write the tasks of a connector that runs here.
    pub(super) fn submit_tasks(
        &mut self,
        now: Now,
        name: &ConnectorName,
        tasks: &[Settings],
        effects: &mut Effects,
    ) {
        let Some(epoch) = self.connectors.get(name).map(|entry| entry.epoch) else { return };
        let Some(group) = self.membership.group() else { return };
        let Some(leader_url) = group.leader_url() else {
            // The connector is asked again after a pause, when it may be known who leads.
            let why = group.not_leading();
            return self.tasks_written(now.instant, name, epoch, Err(why), effects);
        };
        let operation = self.next_operation(Operation::Writing(Writing::Tasks(name.clone(), epoch)));
        let Some(group) = self.membership.group() else { return };
        let body: Bytes = serde_json::to_vec(tasks).unwrap_or_default().into();
        let signature = if group.signs() { group.keys.sign(&body) } else { None };
        let proof = Proof {
            signature: signature.as_ref().map(RequestSignature::signature_header),
            algorithm: signature.map(|signature| signature.algorithm_header().to_owned()),
            body,
        };
        let submit = SubmitTasks { operation, name: name.clone(), leader_url, proof };
        effects.push(Effect::SubmitTasks(Box::new(submit)));
    }

    /// Another worker hands in the tasks of a connector that it runs.
    pub(super) fn tasks_submitted(
        &mut self,
        name: ConnectorName,
        tasks: Vec<Settings>,
        proof: &Proof,
        reply: Reply<Answer<()>>,
        effects: &mut Effects,
    ) {
        let check = self.check_proof(proof).and_then(|()| self.membership.must_lead()).and_then(|()| {
            let config = self.configs.connector(&name).ok_or_else(|| not_found(&name))?;
            if config.target == TargetState::Stopped && !tasks.is_empty() {
                return Err(HerderError::BadRequest(format!(
                    "Cannot submit non-empty set of task configs for stopped connector {name}"
                )));
            }
            if self.is_writing(Part::End, &name) {
                // They would come after the stop, and it would have tasks although it is stopped.
                let why =
                    format!("Connector {name} is being stopped or deleted, so its tasks are not written");
                return Err(HerderError::Conflict(why));
            }
            Ok(())
        });
        match check {
            Ok(()) => {
                let tasks = tasks.into_iter().map(stored).collect();
                self.write_config(ConfigWrite::Tasks { name, tasks }, Writing::Other(reply), effects);
            }
            Err(why) => effects.answer(reply, Err(why)),
        }
    }

    /// Whether a request comes from a worker of the group, as far as the group signs its requests.
    pub(super) fn check_proof(&self, proof: &Proof) -> Answer<()> {
        let Membership::Group(group) = &self.membership else { return Ok(()) };
        let signature =
            RequestSignature::from_headers(proof.signature.as_deref(), proof.algorithm.as_deref());
        let checked = signature.and_then(|signature| {
            if group.signs() { group.keys.check(signature.as_ref(), &proof.body) } else { Ok(()) }
        });
        checked.map_err(|why| HerderError::Unsigned(fault(&why), why.to_string()))
    }

    /// Sets a level of the log on all workers.
    pub(super) fn set_cluster_level(
        &mut self,
        namespace: String,
        level: String,
        reply: Reply<Answer<()>>,
        effects: &mut Effects,
    ) {
        let write = ConfigWrite::LoggerLevel { namespace, level };
        self.write_config(write, Writing::Other(reply), effects);
    }

    /// Whether this worker came into a generation: what is read from then on is news.
    pub(super) fn follows_config(&self) -> bool {
        match &self.membership {
            Membership::Alone => true,
            Membership::Group(group) => !matches!(group.standing, Standing::Outside),
        }
    }

    /// Answers who waits for a connector to be written: in a group somebody else may run it, so that it is written is all
    /// there is to wait for.
    pub(super) fn answer_written(&mut self, name: &ConnectorName, waiter: Waiter, effects: &mut Effects) {
        match &self.membership {
            Membership::Alone => self.wait(name, waiter),
            Membership::Group(_) => self.answer(name, waiter, Ok(()), effects),
        }
    }
}

fn fault(why: &SignatureError) -> SignatureFault {
    match why {
        SignatureError::NoSuchAlgorithm(_)
        | SignatureError::NotBase64(_)
        | SignatureError::Missing
        | SignatureError::NotAccepted { .. } => SignatureFault::Unusable,
        SignatureError::NoKey => SignatureFault::NoKey,
        SignatureError::Invalid => SignatureFault::Wrong,
    }
}
