//! The assignor of the protocols `compatible` and `sessioned`: incremental and cooperative (KIP-415). What members
//! hold stays where it is, as far as it can.
//!
//! A round compares what is configured with what members say they hold and with what the leader remembers of the
//! round before:
//!
//! - What is new is placed at once, on those who have least.
//! - What was deleted is revoked. What several members hold is revoked from all, and is new in the next round.
//! - What is lost (somebody had it, nobody has it) waits for its holder to come back, for
//!   `scheduled.rebalance.max.delay.ms` at most. Then it goes to those who came with empty hands in the meantime, or
//!   else to those who have least. If nobody departed, it was only not delivered, and is placed at once.
//! - Who has more than a fair part gives the rest up, to be new in the next round. When that happens in two rounds
//!   running, the second pauses first, each time longer: members may still be arriving.
//!
//! Connectors and tasks are balanced each for themselves. Rounds follow each other quickly: a member from whom
//! something was revoked joins again by itself.
//!
//! Pure: the time is an argument, the memory is a value. The leader of a group of Java workers does the same with the
//! same numbers; where Java follows the order of a hash map, this goes by ascending member id.

mod ledger;
mod pause;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use indexmap::IndexSet;

use self::ledger::{Holdings, Ledger, Ledgers};
use super::division::{Division, TaskCounts, Work, tasks};
use crate::api::ids::{ConnectorName, Generation, MemberId, TaskId};

/// What a round is about.
#[derive(Debug, Clone, Copy)]
pub struct CooperativeRound<'a> {
    /// What is to run.
    pub configured: &'a TaskCounts,
    /// Who is there, with what each says it holds.
    pub members: &'a BTreeMap<MemberId, Work>,
    /// The generation that the round is for.
    pub generation: Generation,
    /// The generation whose assignment this worker received last, as leader or not.
    pub last_completed: Option<Generation>,
    /// The time since a moment that is the same in all rounds of an assignor. Counts in whole milliseconds.
    pub now: Duration,
}

/// Connectors and tasks in no order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// The connectors.
    pub connectors: BTreeSet<ConnectorName>,
    /// The tasks.
    pub tasks: BTreeSet<TaskId>,
}

/// What the leader remembers from round to round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssignorState {
    /// What it believes to be somebody's, or to be waiting for its holder, since the last round.
    pub previous_assignment: Resources,
    /// What was revoked in the last round.
    pub previous_revocation: Resources,
    /// Who was there in the last round.
    pub previous_members: BTreeSet<MemberId>,
    /// The generation of the last round; `None` before the first.
    pub previous_generation: Option<Generation>,
    /// When waiting for what is lost, or the pause before the next revocation, ends; `None` when nothing waits. In
    /// the time of [`CooperativeRound::now`].
    pub due: Option<Duration>,
    /// Members that were seen to hold nothing while something waited, the first one first.
    pub candidates: IndexSet<MemberId>,
    /// Whether the last round revoked something for the sake of balance, or wanted to.
    pub revoked_in_previous: bool,
    /// Rounds that wanted to revoke for balance after a round that did.
    pub successive_revocations: u32,
}

/// Divides the work as the leader. Lives as long as the worker: what it remembers outlives the loss of leadership, and
/// is put aside when another leader acted since.
#[derive(Debug)]
pub struct CooperativeAssignor {
    delay_max: Duration,
    state: AssignorState,
}

impl CooperativeAssignor {
    /// An assignor that never led. `delay_max` is `scheduled.rebalance.max.delay.ms`; zero turns all waiting off.
    pub fn new(delay_max: Duration) -> Self {
        CooperativeAssignor::resumed(delay_max, AssignorState::default())
    }

    /// An assignor in the middle of its history.
    pub fn resumed(delay_max: Duration, state: AssignorState) -> Self {
        CooperativeAssignor { delay_max: whole_millis(delay_max), state }
    }

    /// What it remembers.
    pub fn state(&self) -> &AssignorState {
        &self.state
    }

    /// Divides the work anew.
    pub fn assign(&mut self, round: &CooperativeRound<'_>) -> Division {
        let now = whole_millis(round.now);
        let members: Vec<&MemberId> = round.members.keys().collect();
        let mut ledgers = self.open_ledgers(round);
        let mut delay = self.handle_lost(now, &members, &mut ledgers);
        if delay.is_zero() {
            delay = self.balance(now, &mut ledgers);
        } else {
            self.state.revoked_in_previous = false;
        }
        ledgers.place();
        self.remember(round, &ledgers);
        Division { shares: ledgers.close(&members), delay }
    }

    /// Compares what is configured, held and remembered.
    fn open_ledgers(&mut self, round: &CooperativeRound<'_>) -> Ledgers {
        let state = &mut self.state;
        let connectors = Holdings::of(round.members.values().map(|work| work.connectors.as_slice()));
        let held_tasks = Holdings::of(round.members.values().map(|work| work.tasks.as_slice()));
        let mut previous = std::mem::take(&mut state.previous_assignment);
        if state.previous_generation != round.last_completed {
            // Another leader acted since, or nobody received what the last round here said.
            previous = Resources::default();
        }
        let revoked = std::mem::take(&mut state.previous_revocation);
        if connectors.have_any(&revoked.connectors) || held_tasks.have_any(&revoked.tasks) {
            // The revocation did not reach its member. What is held is then all there is to believe.
            previous = Resources { connectors: connectors.all(), tasks: held_tasks.all() };
        }
        let configured = round.configured.keys().cloned().collect();
        Ledgers {
            connectors: Ledger::open(&configured, &previous.connectors, &connectors),
            tasks: Ledger::open(&tasks(round.configured).collect(), &previous.tasks, &held_tasks),
        }
    }

    /// Waits for the holders of what is lost, or places it. Returns how long there is to wait yet.
    fn handle_lost(&mut self, now: Duration, members: &[&MemberId], ledgers: &mut Ledgers) -> Duration {
        let here = |member: &MemberId| members.binary_search(&member).ok();
        let state = &mut self.state;
        if ledgers.nothing_is_lost() && !state.revoked_in_previous {
            state.end_wait();
            return Duration::ZERO;
        }
        let all_stayed = state.previous_members.iter().all(|member| here(member).is_some());
        if (state.due.is_none() && all_stayed) || self.delay_max.is_zero() {
            ledgers.reassign_lost();
            return Duration::ZERO;
        }
        if state.due.is_some_and(|due| due <= now) {
            let candidates: Vec<usize> = state.candidates.iter().filter_map(here).collect();
            if candidates.is_empty() {
                ledgers.reassign_lost();
            } else {
                ledgers.deal_lost_to(&candidates);
            }
            state.end_wait();
            state.revoked_in_previous = false;
            return Duration::ZERO;
        }
        let empty = ledgers.members_without_work();
        state.candidates.extend(empty.map(|member| members[member].clone()));
        let left = state.due.map_or(self.delay_max, |due| due.saturating_sub(now).min(self.delay_max));
        state.due = Some(now.saturating_add(left));
        left
    }

    /// Revokes what members have too much of, unless it is wise to pause first. Returns for how long.
    fn balance(&mut self, now: Duration, ledgers: &mut Ledgers) -> Duration {
        let excess = ledgers.excess();
        let state = &mut self.state;
        if excess.is_none() {
            if std::mem::take(&mut state.revoked_in_previous) {
                state.successive_revocations = 0;
            }
            return Duration::ZERO;
        }
        if std::mem::replace(&mut state.revoked_in_previous, true) {
            state.successive_revocations = state.successive_revocations.saturating_add(1);
            let pause = pause::before_revoking(state.successive_revocations, self.delay_max);
            if !pause.is_zero() {
                state.due = Some(now.saturating_add(pause));
                return pause;
            }
        }
        ledgers.revoke(&excess);
        Duration::ZERO
    }

    fn remember(&mut self, round: &CooperativeRound<'_>, ledgers: &Ledgers) {
        let state = &mut self.state;
        state.previous_assignment = ledgers.believed();
        state.previous_revocation = ledgers.revoked();
        state.previous_generation = Some(round.generation);
        state.previous_members = round.members.keys().cloned().collect();
    }
}

impl AssignorState {
    fn end_wait(&mut self) {
        self.candidates.clear();
        self.due = None;
    }
}

/// Members count in milliseconds; with a finer time of its own the leader would find that they come too early.
fn whole_millis(time: Duration) -> Duration {
    Duration::new(time.as_secs(), time.subsec_millis() * 1_000_000)
}
