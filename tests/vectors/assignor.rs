//! Rounds of the assignors as Java's leaders did them: what each member was told, and what the leader remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use herdsman::api::ids::{ConnectorName, Generation, MemberId, TaskId};
use herdsman::group::assignor::{AssignorState, CooperativeAssignor, CooperativeRound, Resources};
use herdsman::group::division::{Division, Work};
use herdsman::group::eager;
use serde_json::Value as Json;

use super::{check_format, compare};

pub(crate) const FORMAT: &str = "assignor-rounds/1";

#[test]
fn cooperative_rounds_are_those_of_apache() {
    check_format(FORMAT, "vectors", check);
}

#[test]
fn eager_rounds_are_those_of_apache() {
    check_format(FORMAT, "eager_vectors", check_eager);
}

fn check(vector: &Json) -> Result<(), String> {
    let mut assignor =
        CooperativeAssignor::resumed(millis(&vector["max_delay_ms"]), state(&vector["initial_state"]));
    for (number, round) in list(&vector["rounds"]).iter().enumerate() {
        let in_round = |difference| format!("round {} ({}): {difference}", number + 1, round["note"]);
        let members = list(&round["members"]).iter();
        let division = assignor.assign(&CooperativeRound {
            configured: &configured(&round["configured"]),
            members: &members.map(|member| (member_id(&member["id"]), work(member))).collect(),
            generation: generation(&round["generation"]).ok_or("a round without generation")?,
            last_completed: generation(&round["last_completed_generation"]),
            now: millis(&round["now_ms"]),
        });
        check_round(&round["expect"], &division).map_err(in_round)?;
        // The delay is told and not remembered: the time when it is over says the same.
        compare("delay", &millis(&round["state_after"]["delay_ms"]), &division.delay).map_err(in_round)?;
        compare("state", &state(&round["state_after"]), assignor.state()).map_err(in_round)?;
    }
    Ok(())
}

fn check_round(expect: &Json, division: &Division) -> Result<(), String> {
    compare("delay", &millis(&expect["delay_ms"]), &division.delay)?;
    let members = list(&expect["members"]);
    compare("members", &members.len(), &division.shares.len())?;
    for (member, share) in members.iter().zip(&division.shares) {
        compare("member", &member_id(&member["id"]), &share.member)?;
        let of_member = |difference| format!("{}: {difference}", share.member);
        compare("assign", &set(work(&member["assign"])), &set(share.assigned.clone())).map_err(of_member)?;
        compare("revoke", &set(work(&member["revoke"])), &set(share.revoked.clone())).map_err(of_member)?;
    }
    Ok(())
}

fn check_eager(vector: &Json) -> Result<(), String> {
    let members = list(&vector["members"]).iter().map(|id| (member_id(id), Work::default()));
    let division = eager::assign(&configured(&vector["configured"]), &members.collect());
    let expected: BTreeMap<_, _> =
        list(&vector["expect"]).iter().map(|member| (member_id(&member["id"]), set(work(member)))).collect();
    let got = division.shares.into_iter().map(|share| (share.member, set(share.assigned))).collect();
    compare("assignments", &expected, &got)
}

fn state(json: &Json) -> AssignorState {
    let due = millis(&json["scheduled_rebalance_ms"]);
    AssignorState {
        previous_assignment: set(work(&json["previous_assignment"])),
        previous_revocation: set(work(&json["previous_revocation"])),
        previous_members: list(&json["previous_members"]).iter().map(member_id).collect(),
        previous_generation: generation(&json["previous_generation"]),
        due: (!due.is_zero()).then_some(due),
        candidates: list(&json["candidate_workers"]).iter().map(member_id).collect(),
        revoked_in_previous: json["revoked_in_previous"] == true,
        successive_revocations: number(&json["successive_revoking_rebalances"]),
    }
}

/// An inconsistent connector is configured, but has no tasks that can run.
fn configured(json: &Json) -> BTreeMap<ConnectorName, u32> {
    let entry = |entry: &Json| {
        let tasks = if entry["inconsistent"] == true { 0 } else { number(&entry["tasks"]) };
        (connector(&entry["connector"]), tasks)
    };
    list(json).iter().map(entry).collect()
}

fn work(json: &Json) -> Work {
    let tasks = |element: &Json| {
        let connector = connector(&element[0]);
        let numbers = list(&element[1]).iter().map(number);
        numbers.map(|index| TaskId { connector: connector.clone(), index }).collect::<Vec<_>>()
    };
    Work {
        connectors: list(&json["connectors"]).iter().map(connector).collect(),
        tasks: list(&json["tasks"]).iter().flat_map(tasks).collect(),
    }
}

fn set(work: Work) -> Resources {
    let count = (work.connectors.len(), work.tasks.len());
    let connectors: BTreeSet<_> = work.connectors.into_iter().collect();
    let tasks: BTreeSet<_> = work.tasks.into_iter().collect();
    assert_eq!((connectors.len(), tasks.len()), count, "something is listed twice");
    Resources { connectors, tasks }
}

fn list(json: &Json) -> &[Json] {
    json.as_array().unwrap_or_else(|| panic!("{json} is no list"))
}

fn connector(json: &Json) -> ConnectorName {
    json.as_str().unwrap_or_else(|| panic!("{json} is no name")).into()
}

fn member_id(json: &Json) -> MemberId {
    json.as_str().unwrap_or_else(|| panic!("{json} is no id")).into()
}

fn number(json: &Json) -> u32 {
    json.as_u64().and_then(|number| number.try_into().ok()).unwrap_or_else(|| panic!("{json} is no number"))
}

fn millis(json: &Json) -> Duration {
    Duration::from_millis(json.as_u64().unwrap_or_else(|| panic!("{json} is no time")))
}

/// -1 is none.
fn generation(json: &Json) -> Option<Generation> {
    let number = json.as_i64().and_then(|number| i32::try_from(number).ok());
    let number = number.unwrap_or_else(|| panic!("{json} is no generation"));
    (number >= 0).then(|| Generation::new(number))
}
