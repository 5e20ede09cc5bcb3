//! The rules by which a request goes from worker to worker.

use herdsman::herder::msg::{CONFLICTING_OPERATION, HerderError, NO_KNOWN_URL, SignatureFault};
use serde_json::{Value as Json, json};

use crate::group::{Got, Member, Part, ask};

/// A leader and a follower that knows it.
fn pair() -> (Member, Member) {
    let leader = Member::playing(Part::Leads);
    let follower = Member::playing(Part::follows(&leader.url));
    (leader, follower)
}

const CONFIG: &str = r#"{"connector.class":"FileStreamSource","tasks.max":2,"b":true}"#;

/// What is sent, what the leader gets, what its herder is asked.
const ROUTES: [(&str, &str, &str, &str, &str); 13] = [
    (
        "POST /connectors",
        r#"{"name":" c ","config":{"k":1.50},"initial_state":"PAUSED"}"#,
        "POST /connectors?forward=true",
        r#"{"name":" c ","config":{"k":1.50},"initial_state":"PAUSED"}"#,
        r#"create c {"k":"1.50","name":"c"} Some(Paused)"#,
    ),
    (
        "PUT /connectors/new/config",
        CONFIG,
        "PUT /connectors/new/config?forward=true",
        r#"{"connector.class":"FileStreamSource","tasks.max":"2","b":"true","name":"new"}"#,
        r#"put new {"connector.class":"FileStreamSource","tasks.max":"2","b":"true","name":"new"}"#,
    ),
    (
        "PUT /connectors/c/config/?validate=no",
        "{}",
        "PUT /connectors/c/config?forward=true",
        r#"{"name":"c"}"#,
        r#"put c {"name":"c"}"#,
    ),
    (
        "PATCH /connectors/c/config",
        r#"{"a":null,"name":null}"#,
        "PATCH /connectors/c/config?forward=true",
        r#"{"a":null,"name":"c"}"#,
        r#"patch c {"a":null,"name":"c"}"#,
    ),
    ("DELETE /connectors/c", "", "DELETE /connectors/c?forward=true", "", "delete c"),
    ("PUT /connectors/c/stop", "", "PUT /connectors/c/stop?forward=true", "", "stop c"),
    ("POST /connectors/c/restart", "", "POST /connectors/c/restart?forward=true", "", "restart c"),
    (
        "POST /connectors/c/restart?onlyFailed=TRUE&x=y",
        "",
        "POST /connectors/c/restart?forward=true&includeTasks=false&onlyFailed=true",
        "",
        "restart c failed=true tasks=false",
    ),
    (
        "POST /connectors/c/restart?includeTasks=true&onlyFailed=false",
        "",
        "POST /connectors/c/restart?forward=true&includeTasks=true&onlyFailed=false",
        "",
        "restart c failed=false tasks=true",
    ),
    (
        "POST /connectors/c/tasks/3/restart",
        "",
        "POST /connectors/c/tasks/3/restart?forward=true",
        "",
        "restart c-3",
    ),
    (
        "PATCH /connectors/c/offsets",
        r#"{"offsets":[{"partition":{"f":"x"}}]}"#,
        "PATCH /connectors/c/offsets?forward=true",
        r#"{"offsets":[{"partition":{"f":"x"}}]}"#,
        r#"modify offsets of c Alter([(Object {"f": String("x")}, Null)])"#,
    ),
    (
        "DELETE /connectors/c/offsets",
        "",
        "DELETE /connectors/c/offsets?forward=true",
        "",
        "modify offsets of c Reset",
    ),
    (
        "POST /connectors/c/tasks",
        r#"[{"a":"b"}]"#,
        "POST /connectors/c/tasks?forward=true",
        r#"[{"a":"b"}]"#,
        r#"submit c [{"a":"b"}]"#,
    ),
];

#[test]
fn a_follower_answers_every_change_like_the_leader_that_makes_it() {
    let (leader, follower) = pair();
    for (line, body, forwarded, forwarded_body, asked) in ROUTES {
        let got = ask(&follower, line, &[], body);
        let seen = leader.seen();
        assert_eq!(seen.len(), 1, "{line}: {got:?}");
        assert_eq!((seen[0].line.as_str(), seen[0].body.as_str()), (forwarded, forwarded_body), "{line}");
        assert_eq!(seen[0].header("user-agent"), Some("kafka-connect"), "{line}");
        assert_eq!(seen[0].header("accept"), Some("application/json"), "{line}");
        let content_type = (!forwarded_body.is_empty()).then_some("application/json");
        assert_eq!(seen[0].header("content-type"), content_type, "{line}");
        assert_eq!(leader.asked(), [asked], "{line}");
        let direct = ask(&leader, line, &[], body);
        drop((leader.seen(), leader.asked()));
        let here = |got: Got| Got { location: None, ..got };
        assert_eq!(here(got.clone()), here(direct.clone()), "{line}");
        assert!((200..300).contains(&got.status), "{line}: {got:?}");
        let led_to = |worker: &Member, got: &Got| {
            got.location.as_ref().map(|location| location.strip_prefix(&worker.url).unwrap().to_owned())
        };
        assert_eq!(led_to(&follower, &got), led_to(&leader, &direct), "{line}");
        assert_eq!(got.location.is_some(), got.status == 201, "{line}");
    }
}

#[test]
fn what_every_worker_does_itself_is_not_forwarded() {
    let (leader, follower) = pair();
    for line in
        ["PUT /connectors/c/pause", "PUT /connectors/c/resume", "PUT /connectors/c/topics/reset", "GET /"]
    {
        let got = ask(&follower, line, &[], "");
        assert!(got.status == 202 || line == "GET /", "{line}: {got:?}");
        assert!(leader.seen().is_empty(), "{line}");
    }
    assert_eq!(follower.asked(), ["set c Paused", "set c Started", "reset topics of c"]);
}

#[test]
fn a_request_passes_two_workers_and_then_no_more() {
    let leader = Member::playing(Part::Leads);
    let second = Member::playing(Part::follows(&leader.url));
    let first = Member::playing(Part::follows(&second.url));
    assert_eq!(ask(&first, "DELETE /connectors/c", &[], "").status, 204);
    let line = |member: &Member| member.seen().into_iter().map(|seen| seen.line).collect::<Vec<_>>();
    assert_eq!(line(&second), ["DELETE /connectors/c?forward=true"]);
    assert_eq!(line(&leader), ["DELETE /connectors/c?forward=false"]);

    leader.plays([Part::follows(&second.url)]);
    let got = ask(&first, "DELETE /connectors/c", &[], "");
    assert_eq!(got.status, 409);
    assert!(got.message().starts_with(CONFLICTING_OPERATION), "{got:?}");
    assert_eq!(line(&second).len(), 1, "the last one passes it to nobody");
}

#[test]
fn a_request_that_may_go_no_further_is_a_conflict() {
    let (leader, follower) = pair();
    for value in ["forward=false", "forward=", "forward", "forward=xyz"] {
        let got = ask(&follower, &format!("PUT /connectors/c/stop?{value}"), &[], "");
        assert_eq!(got.status, 409, "{value}");
        assert!(got.message().starts_with(CONFLICTING_OPERATION), "{got:?}");
    }
    follower.plays([Part::Follows(None)]);
    let got = ask(&follower, "PUT /connectors/c/stop?forward=false", &[], "");
    assert!(got.message().starts_with(CONFLICTING_OPERATION), "{got:?}");
    assert!(leader.seen().is_empty());
    follower.plays([Part::follows(&leader.url)]);
    assert_eq!(ask(&follower, "PUT /connectors/c/stop?forward=TRUE", &[], "").status, 204);
    assert_eq!(leader.seen()[0].line, "PUT /connectors/c/stop?forward=false");
}

#[test]
fn without_a_known_leader_or_with_an_address_that_is_ones_own_it_is_a_conflict() {
    let lost = Member::playing(Part::Follows(None));
    let got = ask(&lost, "PUT /connectors/c/stop", &[], "");
    assert_eq!(got.status, 409);
    assert!(got.message().starts_with(NO_KNOWN_URL), "{got:?}");
    assert!(got.message().contains("Repeat PUT /connectors/c/stop, or have it wait"), "{got:?}");
    lost.plays([Part::follows(&lost.url.to_uppercase())]);
    assert_eq!(lost.seen().len(), 1);
    let got = ask(&lost, "PUT /connectors/c/stop", &[], "");
    assert_eq!(got.status, 409);
    assert!(got.message().contains("two workers advertise one address"), "{got:?}");
    assert_eq!(lost.seen().len(), 1, "it called itself");
}

#[test]
fn names_stay_what_they_are_on_their_way() {
    let (leader, follower) = pair();
    for name in ["a/b", "50%", "%41", "a;x=1", "{b}", "é ü?#", "p+q&r=s", "a\\b", "'\"<>|^`[]"] {
        let body = json!({ "name": name, "config": {} }).to_string();
        let got = ask(&follower, "POST /connectors", &[("Host", "balancer:80")], &body);
        let path = got.location.unwrap().strip_prefix("http://balancer:80").unwrap().to_owned();
        assert_eq!(ask(&follower, &format!("DELETE {path}"), &[], "").status, 204, "{name}");
        let asked = leader.asked();
        assert_eq!(asked[1], format!("delete {name}"));
        assert_eq!(got.body["name"], name);
    }
}

#[test]
fn the_user_goes_with_the_request_and_nothing_else_does() {
    let (leader, follower) = pair();
    let headers = [
        ("Authorization", "Basic YW5uOnB3"),
        ("Cookie", "a=b"),
        ("X-Forwarded-For", "1.2.3.4"),
        ("Accept", "application/json, */*;q=0.5"),
        ("User-Agent", "me"),
    ];
    ask(&follower, "DELETE /connectors/c", &headers, "");
    let seen = leader.seen().remove(0);
    assert_eq!(seen.header("authorization"), Some("Basic YW5uOnB3"));
    let names: Vec<&str> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
    let allowed = ["authorization", "accept", "user-agent", "host", "content-length"];
    assert!(names.iter().all(|name| allowed.contains(name)), "{names:?}");
    assert_eq!(
        (seen.header("user-agent"), seen.header("accept")),
        (Some("kafka-connect"), Some("application/json"))
    );
}

#[test]
fn a_refusal_comes_back_as_the_leader_says_it() {
    let (leader, follower) = pair();
    let table = [
        (HerderError::NotFound("Connector c not found".to_owned()), 404),
        (HerderError::BadRequest("wrong".to_owned()), 400),
        (HerderError::Conflict("Connector c already exists".to_owned()), 409),
        (HerderError::Failed("could not".to_owned()), 500),
        (HerderError::ShuttingDown, 500),
    ];
    for (refusal, status) in table {
        leader.plays([Part::Refuses(refusal.clone())]);
        let got = ask(&follower, "DELETE /connectors/c", &[], "");
        let expected = json!({ "error_code": status, "message": refusal.to_string() });
        assert_eq!((got.status, got.body), (status, expected));
        assert_eq!(got.content_type.as_deref(), Some("application/json"));
    }
}

#[test]
fn internal_requests_are_checked_by_the_herder_with_what_was_signed() {
    let (leader, follower) = pair();
    let signed = [
        ("X-Connect-Authorization", "bBd+r74lMYUWvih0pFmbSYBCFgboFHWKnBp5IOYv0tg="),
        ("X-Connect-Request-Signature-Algorithm", "HmacSHA256"),
    ];
    let body = "[ {\"key\" : \"value\"} ]";
    for worker in [&leader, &follower] {
        assert_eq!(ask(worker, "POST /connectors/c/tasks", &signed, body).status, 204);
        assert_eq!(ask(worker, "PUT /connectors/c/fence", &signed, "").status, 204);
        let proofs = leader.proofs();
        assert_eq!(proofs.len(), 2);
        for (proof, body) in proofs.iter().zip([body, ""]) {
            assert_eq!(proof.signature.as_deref(), Some(signed[0].1));
            assert_eq!(proof.algorithm.as_deref(), Some("HmacSHA256"));
            assert_eq!(proof.body, body, "every byte counts");
        }
    }
    assert_eq!(ask(&leader, "PUT /connectors/c/fence", &[], "").status, 204);
    assert_eq!(leader.proofs()[0].signature, None);
    for (fault, status) in
        [(SignatureFault::Unusable, 400), (SignatureFault::Wrong, 403), (SignatureFault::NoKey, 503)]
    {
        leader.plays([Part::Refuses(HerderError::Unsigned(fault, "why".to_owned()))]);
        let got = ask(&follower, "PUT /connectors/c/fence", &signed, "");
        assert_eq!((got.status, got.message()), (status, "why"));
    }
    let got = ask(&leader, "POST /connectors/c/tasks", &signed, "{}");
    assert_eq!(got.status, 400, "what cannot be read is refused before it is checked");
}

#[test]
fn what_is_only_shown_is_a_500_while_a_rebalance_is_due() {
    let worker = Member::playing(Part::Rearranges);
    for path in ["", "/config", "/tasks", "/offsets"] {
        assert_eq!(ask(&worker, &format!("GET /connectors/c{path}"), &[], "").status, 500, "{path}");
    }
    assert_eq!(ask(&worker, "POST /connectors/c/restart", &[], "").status, 409);
    assert_eq!(ask(&worker, "GET /connectors", &[], "").status, 200);
}

#[test]
fn a_log_level_for_the_cluster_is_written_and_not_set_here() {
    let (leader, follower) = pair();
    let set = |scope: &str, level: &str| {
        let body = json!({ "level": level }).to_string();
        ask(&follower, &format!("PUT /admin/loggers/my.Logger?scope={scope}"), &[], &body)
    };
    let got = set("Cluster", "Warn");
    assert_eq!((got.status, got.body), (204, Json::Null));
    assert_eq!(follower.asked(), ["level my.Logger Warn"]);
    assert_eq!(ask(&follower, "GET /admin/loggers/my.Logger", &[], "").status, 404);
    assert_eq!(set("cluster", "LOUD").status, 404);
    assert_eq!(set("worker", "WARN").body, json!(["my.Logger"]));
    assert!(follower.asked().is_empty() && leader.seen().is_empty());
}

#[test]
fn a_task_that_cannot_be_is_unknown_in_the_words_of_a_group() {
    let worker = Member::playing(Part::Leads);
    let got = ask(&worker, "POST /connectors/c/tasks/-1/restart", &[], "");
    assert_eq!((got.status, got.message()), (404, "Unknown task: c--1"));
}
