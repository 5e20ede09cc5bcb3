//! The books of one round: who holds, gets and gives up what. One for connectors and one for tasks, as each kind is
//! balanced for itself.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use super::Resources;
use crate::api::ids::{ConnectorName, MemberId, TaskId};
use crate::group::division::{Share, Work};

/// What members say they hold of one kind.
pub(super) struct Holdings<'a, T> {
    /// For each member, in its order and each resource once.
    lists: Vec<Vec<&'a T>>,
    holders: HashMap<&'a T, Holder>,
}

struct Holder {
    /// The last of them.
    member: usize,
    others: bool,
}

impl<'a, T: Clone + Ord + Hash> Holdings<'a, T> {
    /// From the members' lists, in the order of the members.
    pub(super) fn of(lists: impl Iterator<Item = &'a [T]>) -> Self {
        let mut holders: HashMap<&T, Holder> = HashMap::new();
        let mut is_first = |member: usize, resource| match holders.entry(resource) {
            Entry::Vacant(entry) => {
                entry.insert(Holder { member, others: false });
                true
            }
            Entry::Occupied(entry) if entry.get().member == member => false,
            Entry::Occupied(mut entry) => {
                entry.insert(Holder { member, others: true });
                true
            }
        };
        let lists = lists
            .enumerate()
            .map(|(member, list)| list.iter().filter(|resource| is_first(member, *resource)).collect());
        Holdings { lists: lists.collect(), holders }
    }

    /// Whether somebody holds one of these.
    pub(super) fn have_any(&self, resources: &BTreeSet<T>) -> bool {
        resources.iter().any(|resource| self.have(resource))
    }

    /// All that somebody holds.
    pub(super) fn all(&self) -> BTreeSet<T> {
        self.holders.keys().copied().cloned().collect()
    }

    fn have(&self, resource: &T) -> bool {
        self.holders.contains_key(resource)
    }

    fn have_twice(&self, resource: &T) -> bool {
        self.holders.get(resource).is_some_and(|holder| holder.others)
    }
}

/// One kind of resource in one round. Members are numbered by ascending id.
pub(super) struct Ledger<T> {
    /// How many are configured.
    configured: usize,
    /// Believed to be somebody's, held by nobody; ordered.
    lost: Vec<T>,
    /// To be given to somebody in this round, in this order.
    unplaced: Vec<T>,
    portions: Vec<Portion<T>>,
}

/// What one member keeps, gets and gives up.
struct Portion<T> {
    kept: Vec<T>,
    gained: Vec<T>,
    revoked: Vec<T>,
}

impl<T> Portion<T> {
    fn count(&self) -> usize {
        self.kept.len() + self.gained.len()
    }

    /// Gives up the first `count`. When they are among those it was to get, it is told to stop what it never started,
    /// which does no harm.
    fn give_up(&mut self, count: usize) {
        let kept = count.min(self.kept.len());
        let gained = (count - kept).min(self.gained.len());
        self.revoked.extend(self.kept.drain(..kept).chain(self.gained.drain(..gained)));
    }
}

impl<T: Clone + Ord + Hash> Ledger<T> {
    /// Compares what is configured with what is held, and with what was believed to be somebody's.
    pub(super) fn open(configured: &BTreeSet<T>, previous: &BTreeSet<T>, held: &Holdings<'_, T>) -> Self {
        let deleted: BTreeSet<&T> = previous.difference(configured).collect();
        let is_revoked = |resource: &T| deleted.contains(resource) || held.have_twice(resource);
        let portion = |list: &Vec<&T>| {
            let (revoked, kept) = list.iter().copied().cloned().partition(&is_revoked);
            Portion { kept, gained: Vec::new(), revoked }
        };
        let nobodys = |resource: &&T| !held.have(resource);
        Ledger {
            configured: configured.len(),
            lost: previous.intersection(configured).filter(nobodys).cloned().collect(),
            unplaced: configured.difference(previous).filter(nobodys).cloned().collect(),
            portions: held.lists.iter().map(portion).collect(),
        }
    }

    fn reassign_lost(&mut self) {
        self.unplaced.extend_from_slice(&self.lost);
    }

    /// Whatever they have already.
    fn deal_lost_to(&mut self, members: &[usize]) {
        for (resource, &member) in self.lost.iter().zip(members.iter().cycle()) {
            self.portions[member].gained.push(resource.clone());
        }
    }

    /// How much each member has too much. Of those with more than the minimum, the first may keep one more, as many
    /// as there are to keep.
    fn excess(&self) -> Vec<usize> {
        let minimum = self.configured.checked_div(self.portions.len()).unwrap_or_default();
        let mut extras = self.configured - minimum * self.portions.len();
        let excess = |portion: &Portion<T>| {
            let above = portion.count().saturating_sub(minimum);
            if above > 0 && extras > 0 {
                extras -= 1;
                return above - 1;
            }
            above
        };
        self.portions.iter().map(excess).collect()
    }

    fn revoke(&mut self, excess: &[usize]) {
        for (portion, &count) in self.portions.iter_mut().zip(excess) {
            portion.give_up(count);
        }
    }

    /// Fills up those who have least, in the order of how much they had at the beginning.
    fn place(&mut self) {
        let mut order: Vec<usize> = (0..self.portions.len()).collect();
        order.sort_by_key(|&member| self.portions[member].count());
        let mut unplaced = std::mem::take(&mut self.unplaced).into_iter();
        while let Some(&first) = order.first().filter(|_| unplaced.len() > 0) {
            let level = self.portions[first].count();
            let are_level = |member: &&usize| self.portions[**member].count() <= level;
            let lowest = order.iter().take_while(are_level).count();
            for (&member, resource) in order[..lowest].iter().zip(&mut unplaced) {
                self.portions[member].gained.push(resource);
            }
        }
    }

    fn believed(&self) -> BTreeSet<T> {
        let placed = self.portions.iter().flat_map(|portion| portion.kept.iter().chain(&portion.gained));
        placed.chain(&self.lost).cloned().collect()
    }

    fn revoked(&self) -> BTreeSet<T> {
        self.portions.iter().flat_map(|portion| &portion.revoked).cloned().collect()
    }
}

/// The books of both kinds.
pub(super) struct Ledgers {
    pub(super) connectors: Ledger<ConnectorName>,
    pub(super) tasks: Ledger<TaskId>,
}

/// How much each member has too much of both kinds.
#[derive(Default)]
pub(super) struct Excess {
    connectors: Vec<usize>,
    tasks: Vec<usize>,
}

impl Excess {
    pub(super) fn is_none(&self) -> bool {
        self.connectors.iter().chain(&self.tasks).all(|&count| count == 0)
    }
}

impl Ledgers {
    pub(super) fn nothing_is_lost(&self) -> bool {
        self.connectors.lost.is_empty() && self.tasks.lost.is_empty()
    }

    /// Has what is lost placed like what is new.
    pub(super) fn reassign_lost(&mut self) {
        self.connectors.reassign_lost();
        self.tasks.reassign_lost();
    }

    /// Gives what is lost to these members in turn.
    pub(super) fn deal_lost_to(&mut self, members: &[usize]) {
        self.connectors.deal_lost_to(members);
        self.tasks.deal_lost_to(members);
    }

    pub(super) fn members_without_work(&self) -> impl Iterator<Item = usize> {
        let counts = self.connectors.portions.iter().zip(&self.tasks.portions);
        let counts = counts.map(|(connectors, tasks)| connectors.count() + tasks.count());
        counts.enumerate().filter(|(_, count)| *count == 0).map(|(member, _)| member)
    }

    /// Nobody has too much while nothing at all is configured.
    pub(super) fn excess(&self) -> Excess {
        if self.connectors.configured == 0 {
            return Excess::default();
        }
        Excess { connectors: self.connectors.excess(), tasks: self.tasks.excess() }
    }

    pub(super) fn revoke(&mut self, excess: &Excess) {
        self.connectors.revoke(&excess.connectors);
        self.tasks.revoke(&excess.tasks);
    }

    pub(super) fn place(&mut self) {
        self.connectors.place();
        self.tasks.place();
    }

    /// What is now somebody's, or waits for its holder.
    pub(super) fn believed(&self) -> Resources {
        Resources { connectors: self.connectors.believed(), tasks: self.tasks.believed() }
    }

    pub(super) fn revoked(&self) -> Resources {
        Resources { connectors: self.connectors.revoked(), tasks: self.tasks.revoked() }
    }

    /// Each member's part.
    pub(super) fn close(self, members: &[&MemberId]) -> Vec<Share> {
        let portions = self.connectors.portions.into_iter().zip(self.tasks.portions);
        let share = |(member, (connectors, tasks)): (&&MemberId, (Portion<_>, Portion<_>))| Share {
            member: (*member).clone(),
            kept: Work { connectors: connectors.kept, tasks: tasks.kept },
            assigned: Work { connectors: connectors.gained, tasks: tasks.gained },
            revoked: Work { connectors: connectors.revoked, tasks: tasks.revoked },
        };
        members.iter().zip(portions).map(share).collect()
    }
}
