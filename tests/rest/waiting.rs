//! `?wait=MS`: a change that waits while the group is being rearranged.

use std::time::Duration;

use herdsman::herder::msg::{HerderError, NO_KNOWN_URL, STALE_CONFIGURATION};
use herdsman::stdx::time::Clock;

use crate::group::{Member, MemberSettings, Part, ask};
use crate::worker::SOON;

#[test]
fn a_change_waits_until_it_can_be_made() {
    let leader = Member::playing(Part::Leads);
    let worker = Member::playing(Part::Leads);
    let changes = [
        ("POST /connectors", r#"{"name":"c","config":{}}"#, 201),
        ("PUT /connectors/c/config", "{}", 200),
        ("PATCH /connectors/c/config", "{}", 200),
        ("DELETE /connectors/c", "", 204),
        ("PUT /connectors/c/stop", "", 204),
        ("POST /connectors/c/restart", "", 204),
        ("POST /connectors/c/restart?includeTasks=true", "", 202),
        ("POST /connectors/c/tasks/0/restart", "", 204),
        ("PATCH /connectors/c/offsets", r#"{"offsets":[{}]}"#, 200),
        ("DELETE /connectors/c/offsets", "", 200),
    ];
    for (line, body, status) in changes {
        let and = if line.contains('?') { '&' } else { '?' };
        for last in [Part::Leads, Part::follows(&leader.url)] {
            worker.plays([Part::Rearranges, Part::Follows(None), last.clone()]);
            let got = ask(&worker, &format!("{line}{and}wait=10000"), &[], body);
            assert_eq!(got.status, status, "{line} {last:?}: {got:?}");
            assert_eq!(worker.asked().len(), 3, "{line}");
        }
        let forwarded = leader.seen();
        assert!(forwarded.iter().all(|seen| !seen.line.contains("wait")), "{forwarded:?}");
    }
}

#[test]
fn without_it_nothing_waits() {
    let worker = Member::playing(Part::Rearranges);
    for query in ["", "?wait=0"] {
        let got = ask(&worker, &format!("POST /connectors/c/restart{query}"), &[], "");
        let expected = format!(
            "{STALE_CONFIGURATION}. Repeat POST /connectors/c/restart, or have it wait for that with ?wait=MILLISECONDS."
        );
        assert_eq!((got.status, got.message()), (409, expected.as_str()));
        assert_eq!(worker.asked().len(), 1);
    }
    assert_eq!(ask(&worker, "POST /connectors/c/restart?wait=soon", &[], "").status, 400);
    assert!(worker.asked().is_empty());
}

#[test]
fn it_ends_when_its_time_is_up_and_asks_with_pauses() {
    let worker = Member::playing(Part::Follows(None));
    let got = ask(&worker, "DELETE /connectors/c?wait=400", &[], "");
    let expected = format!(
        "{NO_KNOWN_URL} DELETE /connectors/c has waited for 400 ms: repeat it, or have it wait longer with ?wait=."
    );
    assert_eq!((got.status, got.message()), (409, expected.as_str()));
    let asked = worker.asked().len();
    assert!((2..=5).contains(&asked), "asked {asked} times");
}

#[test]
fn nobody_waits_longer_than_a_request_may_take() {
    let request_timeout = Duration::from_millis(200);
    let settings = MemberSettings { request_timeout, ..MemberSettings::default() };
    let worker = Member::start(settings, Part::Rearranges);
    let deadline = Clock.deadline(SOON);
    let got = ask(&worker, "DELETE /connectors/c?wait=3600000", &[], "");
    assert!(!deadline.passed(Clock.now().instant));
    assert_eq!(got.status, 409);
    assert!(got.message().contains("has waited for 200 ms"), "{got:?}");
}

#[test]
fn what_will_not_pass_is_not_waited_for() {
    let worker = Member::playing(Part::Leads);
    for (part, status) in [
        (Part::Refuses(HerderError::Conflict("Connector c already exists".to_owned())), 409),
        (Part::Refuses(HerderError::NotFound("no".to_owned())), 404),
        (Part::Refuses(HerderError::Failed("no".to_owned())), 500),
    ] {
        worker.plays([part]);
        assert_eq!(ask(&worker, "DELETE /connectors/c?wait=10000", &[], "").status, status);
        assert_eq!(worker.asked().len(), 1);
    }
}

#[test]
fn the_worker_that_the_client_asked_waits_for_the_others() {
    let leader = Member::playing(Part::Leads);
    let follower = Member::playing(Part::follows(&leader.url));
    leader.plays([Part::Rearranges, Part::Follows(None), Part::Leads]);
    assert_eq!(ask(&follower, "DELETE /connectors/c?wait=10000", &[], "").status, 204);
    assert_eq!(leader.seen().len(), 3);
    leader.plays([Part::Refuses(HerderError::Conflict("Connector c already exists".to_owned()))]);
    assert_eq!(ask(&follower, "DELETE /connectors/c?wait=10000", &[], "").status, 409);
    assert_eq!(leader.seen().len(), 1);
    // One that was forwarded already does not wait at its last station.
    drop(follower.asked());
    let got = ask(&follower, "DELETE /connectors/c?forward=false&wait=10000", &[], "");
    assert_eq!(got.status, 409);
    assert!(!got.message().contains("has waited"), "{got:?}");
    assert_eq!(follower.asked().len(), 1);
}

#[test]
fn a_leader_that_has_ended_is_waited_out() {
    let gone = Member::playing(Part::Leads).end();
    let leader = Member::playing(Part::Leads);
    let follower = Member::playing(Part::Leads);
    follower.plays([Part::follows(&gone), Part::follows(&gone), Part::follows(&leader.url)]);
    assert_eq!(ask(&follower, "DELETE /connectors/c?wait=10000", &[], "").status, 204);
    assert_eq!(leader.asked(), ["delete c"]);
}
