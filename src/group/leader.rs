//! What the leader of a generation does: reads what the members said, divides the work, and writes what each is told.
//!
//! Pure: Kafka's answer to the join comes in, the content of the sync goes out.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::assignor::{CooperativeAssignor, CooperativeRound};
use super::division::{Division, Share, TaskCounts, Work};
use super::eager;
use super::protocol::{Assignment, AssignmentError, DecodeError, EncodeError, Metadata, ProtocolVersion};
use crate::api::ids::{ConfigOffset, ConnectorName, Generation, MemberId, TaskId};

/// What the leader knows when Kafka has told it that it leads.
#[derive(Debug, Clone, Copy)]
pub struct Round<'a> {
    /// The protocol that Kafka picked.
    pub version: ProtocolVersion,
    /// The generation that begins.
    pub generation: Generation,
    /// The generation whose assignment this worker received last, whoever led it; `None` if it never received one.
    pub last_completed: Option<Generation>,
    /// The time since a moment that is the same in all rounds of this worker.
    pub now: Duration,
    /// This worker, as a member.
    pub leader: &'a MemberId,
    /// Where this worker's REST server is reached.
    pub leader_url: &'a str,
    /// All members, this worker too, with their metadata as it came.
    pub members: &'a [(MemberId, &'a [u8])],
    /// How far the config topic is read.
    pub config_offset: ConfigOffset,
    /// What is configured there.
    pub configured: &'a TaskCounts,
}

/// What comes of a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What each member is told, as it goes into the sync.
    pub assignments: Vec<(MemberId, Vec<u8>)>,
    /// Who has what from now on.
    pub owners: Owners,
}

/// Why a round cannot be led. Neither goes away by joining again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeadError {
    /// A member says something of itself that cannot be read.
    #[error("the metadata of member {member} cannot be read")]
    Metadata {
        /// The member.
        member: MemberId,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// What a member is to be told cannot be written.
    #[error("the assignment of member {member} cannot be written")]
    Assignment {
        /// The member.
        member: MemberId,
        /// What is wrong with it.
        source: EncodeError,
    },
}

/// Leads the group when it is this worker's turn. Lives as long as the worker.
#[derive(Debug)]
pub struct Leader {
    assignor: CooperativeAssignor,
}

impl Leader {
    /// One that never led. `delay_max` is `scheduled.rebalance.max.delay.ms`.
    pub fn new(delay_max: Duration) -> Self {
        Leader { assignor: CooperativeAssignor::new(delay_max) }
    }

    /// Leads a round.
    ///
    /// A leader that is behind another member in the config topic does not know what is configured: it assigns
    /// nothing, and tells all to join again. One that is ahead makes the others read on first.
    pub fn lead(&mut self, round: &Round<'_>) -> Result<Outcome, LeadError> {
        let mut holdings = BTreeMap::new();
        let mut urls = BTreeMap::new();
        let mut highest = ConfigOffset::NOTHING_READ;
        for (member, metadata) in round.members {
            let metadata = Metadata::decode(metadata)
                .map_err(|source| LeadError::Metadata { member: member.clone(), source })?;
            highest = highest.max(metadata.config_offset);
            urls.insert(member, metadata.url);
            holdings.insert(member.clone(), metadata.allocation.map(held).unwrap_or_default());
        }
        let mut message = Assignment {
            error: AssignmentError::None,
            leader: round.leader.clone(),
            leader_url: round.leader_url.to_owned(),
            config_offset: round.config_offset,
            connectors: Vec::new(),
            tasks: Vec::new(),
            revoked_connectors: Vec::new(),
            revoked_tasks: Vec::new(),
            delay: Duration::ZERO,
        };
        let division = if round.config_offset < highest {
            message.error = AssignmentError::ConfigMismatch;
            message.config_offset = highest;
            Division::of_nothing(holdings.keys())
        } else {
            self.divide(round, &holdings)
        };
        message.delay = division.delay;

        let (mut owners, mut assignments) = (Owners::default(), Vec::new());
        for share in division.shares {
            owners.add(&share, urls.remove(&share.member).unwrap_or_default());
            let member = share.member.clone();
            let told = tell(&mut message, share, round.version)
                .map_err(|source| LeadError::Assignment { member: member.clone(), source })?;
            assignments.push((member, told));
        }
        Ok(Outcome { assignments, owners })
    }

    fn divide(&mut self, round: &Round<'_>, members: &BTreeMap<MemberId, Work>) -> Division {
        let Round { configured, generation, last_completed, now, .. } = *round;
        if round.version.is_cooperative() {
            self.assignor.assign(&CooperativeRound { configured, members, generation, last_completed, now })
        } else {
            eager::assign(configured, members)
        }
    }
}

fn held(allocation: Assignment) -> Work {
    Work { connectors: allocation.connectors, tasks: allocation.tasks }
}

/// The bytes of one member's share; `message` has what all are told.
fn tell(message: &mut Assignment, share: Share, version: ProtocolVersion) -> Result<Vec<u8>, EncodeError> {
    message.connectors = share.assigned.connectors;
    message.tasks = share.assigned.tasks;
    message.revoked_connectors = share.revoked.connectors;
    message.revoked_tasks = share.revoked.tasks;
    message.encode(version)
}

/// A member, and where it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The member.
    pub member: MemberId,
    /// Where its REST server is reached, as it advertises it.
    pub url: String,
}

/// Who has which connector and task in a generation, as its leader knows: where requests about them go. To be
/// forgotten when the next round begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners {
    owners: Vec<Owner>,
    connectors: HashMap<ConnectorName, usize>,
    tasks: HashMap<TaskId, usize>,
}

impl Owners {
    /// Who runs the connector; `None` if nobody does.
    pub fn of_connector(&self, connector: &ConnectorName) -> Option<&Owner> {
        self.connectors.get(connector).and_then(|&owner| self.owners.get(owner))
    }

    /// Who runs the task; `None` if nobody does.
    pub fn of_task(&self, task: &TaskId) -> Option<&Owner> {
        self.tasks.get(task).and_then(|&owner| self.owners.get(owner))
    }

    fn add(&mut self, share: &Share, url: String) {
        let owner = self.owners.len();
        for work in [&share.kept, &share.assigned] {
            self.connectors.extend(work.connectors.iter().map(|connector| (connector.clone(), owner)));
            self.tasks.extend(work.tasks.iter().map(|task| (task.clone(), owner)));
        }
        self.owners.push(Owner { member: share.member.clone(), url });
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    const LEADER: &str = "A";

    /// A member that has read to `offset` and holds what is listed.
    fn member(id: &str, offset: i64, connectors: &[&str], tasks: &[(&str, u32)]) -> (MemberId, Metadata) {
        let task = |&(connector, index): &(&str, u32)| TaskId { connector: connector.into(), index };
        let allocation = Assignment {
            error: AssignmentError::None,
            leader: "who led before".into(),
            leader_url: String::new(),
            config_offset: ConfigOffset::new(offset),
            connectors: connectors.iter().map(|&name| name.into()).collect(),
            tasks: tasks.iter().map(task).collect(),
            revoked_connectors: Vec::new(),
            revoked_tasks: Vec::new(),
            delay: Duration::ZERO,
        };
        let (url, config_offset) = (format!("http://{id}:8083/"), ConfigOffset::new(offset));
        (id.into(), Metadata { url, config_offset, allocation: Some(allocation) })
    }

    fn lead(
        version: ProtocolVersion,
        offset: i64,
        configured: &[(&str, u32)],
        members: &[(MemberId, Metadata)],
    ) -> Result<Outcome, LeadError> {
        let bytes: Vec<_> =
            members.iter().map(|(id, metadata)| (id, metadata.encode(version).unwrap())).collect();
        let members: Vec<_> = bytes.iter().map(|(id, bytes)| ((*id).clone(), bytes.as_slice())).collect();
        Leader::new(Duration::from_secs(300)).lead(&Round {
            version,
            generation: Generation::new(5),
            last_completed: Some(Generation::new(4)),
            now: Duration::ZERO,
            leader: &LEADER.into(),
            leader_url: "http://A:8083/",
            members: &members,
            config_offset: ConfigOffset::new(offset),
            configured: &configured.iter().map(|&(name, tasks)| (name.into(), tasks)).collect(),
        })
    }

    /// What each member reads in its bytes.
    fn told(outcome: &Outcome) -> Vec<String> {
        let told = |(member, bytes): &(MemberId, Vec<u8>)| {
            let read = Assignment::decode(bytes).unwrap();
            assert_eq!((read.leader.as_str(), &*read.leader_url), (LEADER, "http://A:8083/"));
            let signed = |sign: &str, connectors: &[ConnectorName], tasks: &[TaskId]| -> String {
                let connectors = connectors.iter().map(|connector| format!(" {sign}{connector}"));
                connectors.chain(tasks.iter().map(|task| format!(" {sign}{task}"))).collect()
            };
            let given = signed("+", &read.connectors, &read.tasks);
            let taken = signed("-", &read.revoked_connectors, &read.revoked_tasks);
            format!("{member} {:?} at {}:{given}{taken}", read.error, read.config_offset)
        };
        outcome.assignments.iter().map(told).collect()
    }

    #[test]
    fn a_difference_is_told_and_all_owners_are_known() {
        let members = [member("B", 7, &["a"], &[("a", 0), ("a", 1)]), member("A", 7, &[], &[("a", 1)])];
        let outcome = lead(ProtocolVersion::Sessioned, 7, &[("a", 3), ("b", 0)], &members).unwrap();
        assert_eq!(told(&outcome), ["A None at 7: +b +a-2 -a-1", "B None at 7: -a-1"]);

        let owner = |owner: Option<&Owner>| owner.map(|owner| format!("{} {}", owner.member, owner.url));
        let of_connector = |name: &str| owner(outcome.owners.of_connector(&name.into()));
        let of_task = |index| owner(outcome.owners.of_task(&TaskId { connector: "a".into(), index }));
        assert_eq!(of_connector("a").unwrap(), "B http://B:8083/");
        assert_eq!(of_connector("b").unwrap(), "A http://A:8083/");
        assert_eq!(of_connector("c"), None);
        assert_eq!(of_task(0).unwrap(), "B http://B:8083/");
        assert_eq!(of_task(1), None, "taken from both");
        assert_eq!(of_task(2).unwrap(), "A http://A:8083/");
    }

    #[test]
    fn a_member_that_lists_something_twice_keeps_it() {
        let members = [member("A", 7, &["a", "a"], &[("a", 0), ("a", 0)])];
        let outcome = lead(ProtocolVersion::Sessioned, 7, &[("a", 1)], &members).unwrap();
        assert_eq!(told(&outcome), ["A None at 7:"]);
    }

    #[test]
    fn the_eager_protocol_asks_nobody_what_he_holds() {
        let members = [member("B", 7, &["a"], &[("a", 0)]), member("A", 7, &[], &[])];
        let outcome = lead(ProtocolVersion::Eager, 7, &[("a", 2)], &members).unwrap();
        assert_eq!(told(&outcome), ["A None at 7: +a +a-1", "B None at 7: +a-0"]);
        assert!(outcome.assignments.iter().all(|(_, bytes)| bytes.starts_with(&[0, 0])));
        assert_eq!(outcome.owners.of_connector(&"a".into()).unwrap().member, "A".into());
    }

    #[test]
    fn a_leader_that_is_behind_assigns_nothing() {
        let members = [member("A", 6, &["a"], &[]), member("B", 7, &[], &[])];
        for version in [ProtocolVersion::Eager, ProtocolVersion::Sessioned] {
            let outcome = lead(version, 6, &[("a", 2)], &members).unwrap();
            assert_eq!(told(&outcome), ["A ConfigMismatch at 7:", "B ConfigMismatch at 7:"]);
            assert_eq!(outcome.owners.of_connector(&"a".into()), None);
        }
    }

    #[test]
    fn a_leader_that_is_ahead_has_the_others_read_on() {
        let members = [member("A", 6, &[], &[]), member("B", -1, &[], &[])];
        let outcome = lead(ProtocolVersion::Compatible, 8, &[("a", 1)], &members).unwrap();
        assert_eq!(told(&outcome), ["A None at 8: +a +a-0", "B None at 8:"]);
    }

    #[test]
    fn what_cannot_be_led_names_the_member() {
        let with_source = |error: LeadError| format!("{error}: {}", error.source().unwrap());
        let round = Round {
            version: ProtocolVersion::Sessioned,
            generation: Generation::new(1),
            last_completed: None,
            now: Duration::ZERO,
            leader: &LEADER.into(),
            leader_url: "u",
            members: &[("B".into(), b"\0\x02")],
            config_offset: ConfigOffset::NOTHING_READ,
            configured: &TaskCounts::new(),
        };
        assert_eq!(
            with_source(Leader::new(Duration::ZERO).lead(&round).unwrap_err()),
            "the metadata of member B cannot be read: the bytes end before the end of the url"
        );
        let long = "c".repeat(40_000);
        let error = lead(ProtocolVersion::Sessioned, 1, &[(&long, 0)], &[member("A", 1, &[], &[])]);
        assert_eq!(
            with_source(error.unwrap_err()),
            "the assignment of member A cannot be written: \
             the assignment has a text of 40000 bytes, 32767 at most"
        );
    }
}
