//! The assignor of the protocol `default`: everything is stopped before a round, and dealt out anew in it.
//!
//! Pure, and without memory.

use std::collections::BTreeMap;

use super::division::{Division, TaskCounts, Work, tasks};
use crate::api::ids::MemberId;

/// Deals out all connectors and then all tasks, one to each member in turn. What members hold plays no role.
pub fn assign(configured: &TaskCounts, members: &BTreeMap<MemberId, Work>) -> Division {
    let mut division = Division::of_nothing(members.keys());
    let mut turns = (0..members.len()).cycle();
    for (connector, turn) in configured.keys().zip(&mut turns) {
        division.shares[turn].assigned.connectors.push(connector.clone());
    }
    for (task, turn) in tasks(configured).zip(&mut turns) {
        division.shares[turn].assigned.tasks.push(task);
    }
    division
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(configured: &[(&str, u32)], members: &[&str]) -> Vec<String> {
        let configured = configured.iter().map(|(name, tasks)| ((*name).into(), *tasks)).collect();
        let members = members.iter().map(|id| ((*id).into(), Work::default())).collect();
        let shares = assign(&configured, &members).shares.into_iter();
        let work = |work: &Work| -> Vec<String> {
            let connectors = work.connectors.iter().map(ToString::to_string);
            connectors.chain(work.tasks.iter().map(ToString::to_string)).collect()
        };
        shares.map(|share| format!("{}: {}", share.member, work(&share.assigned).join(" "))).collect()
    }

    #[test]
    fn tasks_go_on_where_connectors_stopped() {
        assert_eq!(
            shown(&[("q", 3), ("p", 2)], &["C", "A", "B"]),
            ["A: p p-1 q-2", "B: q q-0", "C: p-0 q-1"]
        );
    }

    #[test]
    fn a_round_may_have_nothing_to_deal_or_nobody_to_deal_to() {
        assert_eq!(shown(&[], &["A"]), ["A: "]);
        assert!(shown(&[("p", 2)], &[]).is_empty());
    }
}
