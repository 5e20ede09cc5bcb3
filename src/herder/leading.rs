//! What the leader of the group does besides dividing the work: it claims the config topic for itself, publishes the session
//! key, and deletes the statuses of what is no longer configured.

use std::time::Duration;

use super::Herder;
use super::membership::{Claim, Standing};
use super::msg::{Answer, Effect, Effects, HerderError, OperationId, STALE_CONFIGURATION, Target};
use super::operations::{Operation, Writing};
use crate::stdx::time::{Deadline, Now};
use crate::store::config_write::ConfigWrite;

const TARGET: &str = "org.apache.kafka.connect.runtime.distributed.DistributedHerder";
/// How long after a failure the leader tries again to claim the config topic or to publish a key.
const DUTY_RETRY: Duration = Duration::from_millis(250);

impl Herder {
    /// An assignment came: if this worker is the one that made it, the config topic and the statuses are its to keep.
    /// Others may have led since its last one.
    pub(super) fn begin_to_lead(&mut self, now: Now, others_led: bool, effects: &mut Effects) {
        let Some(group) = self.membership.group() else { return };
        let Standing::Resolving(place, _) = &group.standing else { return };
        if place.leader != place.member {
            // Another may write there: what was held is lost, or will be at the next try.
            let url = Some(place.leader_url.clone()).filter(|url| !url.is_empty());
            group.claim = Claim::None;
            group.key_retry = None;
            let not_here = HerderError::NotHere { target: Target::Leader, url };
            return self.hand_over_writes(now, &not_here, effects);
        }
        let leftovers = group.statuses.leftovers(&self.configs);
        if !leftovers.is_empty() {
            effects.push(Effect::WriteStatusRecords(leftovers));
        }
        if others_led {
            let stale = HerderError::Rebalancing(STALE_CONFIGURATION.to_owned());
            self.hand_over_writes(now, &stale, effects);
        }
        self.claim_config_topic(now, effects);
    }

    /// Does what a leader has to do before it can serve.
    pub(super) fn fulfil_duties(&mut self, now: Now, effects: &mut Effects) {
        let may_run = self.may_run();
        let Some(group) = self.membership.group() else { return };
        if !may_run || !group.leads() {
            return;
        }
        let due = match group.claim {
            Claim::None => true,
            Claim::Failed(until) => until.passed(now.instant),
            Claim::Asked(_) | Claim::Held => false,
        };
        if due {
            self.claim_config_topic(now, effects);
        }
        self.publish_key(now, effects);
        self.go_on_writing(effects);
    }

    fn claim_config_topic(&mut self, now: Now, effects: &mut Effects) {
        let Some(group) = self.membership.group() else { return };
        let waits = matches!(group.claim, Claim::Failed(until) if !until.passed(now.instant));
        if !group.settings.transactional || waits || matches!(group.claim, Claim::Asked(_) | Claim::Held) {
            return;
        }
        let operation = self.next_operation(Operation::Claiming);
        if let Some(group) = self.membership.group() {
            group.claim = Claim::Asked(operation);
        }
        effects.push(Effect::ClaimConfigTopic(operation));
    }

    /// The config topic is this leader's to write, or could not be claimed.
    pub(super) fn claimed(&mut self, now: Now, operation: OperationId, outcome: Result<(), String>) {
        self.operations.remove(&operation);
        let Some(group) = self.membership.group() else { return };
        if group.claim != Claim::Asked(operation) {
            return;
        }
        group.claim = match outcome {
            Ok(()) => Claim::Held,
            Err(why) => {
                log::error!(target: TARGET, "Failed to claim write privileges for the config topic: {why}");
                Claim::Failed(Deadline::after(now.instant, DUTY_RETRY))
            }
        };
    }

    /// A write found that another leader has claimed the config topic since, or that the producer is lost.
    pub(super) fn claim_lost(&mut self) {
        if let Some(group) = self.membership.group() {
            log::warn!(target: TARGET, "Lost write privileges for the config topic");
            group.claim = Claim::None;
        }
    }

    fn publish_key(&mut self, now: Now, effects: &mut Effects) {
        let Some(group) = self.membership.group() else { return };
        let rests = group.key_retry.is_some_and(|at| !at.passed(now.instant));
        if rests || !group.wants_key(now) {
            return;
        }
        group.key_retry = None;
        log::info!(target: TARGET, "Distributing new session key");
        let random = match self.settings.random.bytes(group.settings.keys.key_bytes) {
            Ok(random) => random,
            Err(why) => return self.key_published(now, Err(HerderError::Failed(why))),
        };
        let key = group.keys.make(now.wall, |bytes| bytes.copy_from_slice(&random));
        self.write_config(ConfigWrite::SessionKey(key), Writing::SessionKey, effects);
    }

    /// The session key was written and read back, or could not be.
    pub(super) fn key_published(&mut self, now: Now, outcome: Answer<()>) {
        let Some(group) = self.membership.group() else { return };
        if let Err(why) = outcome {
            log::error!(target: TARGET, "Failed to write a new session key to the config topic: {why}");
            group.keys.publishing_failed();
            // It may have been written, and read, all the same; or another worker leads by now.
            let again = group.leads() && group.keys.must_publish(now.wall);
            group.key_retry = again.then(|| Deadline::after(now.instant, DUTY_RETRY));
        }
    }

    /// A session key was read; this worker's own, or another leader's.
    pub(super) fn key_read(&mut self) {
        let key = self.configs.session_key().cloned();
        if let (Some(group), Some(key)) = (self.membership.group(), key) {
            // Those of the start are looked at all at once when the topics are read.
            if !matches!(group.standing, Standing::Outside) {
                group.keys.received(key);
                // Perhaps it is the one that seemed not to be written.
                group.key_retry = None;
            }
        }
    }
}
