//! The router as tables: what a request comes to.

use super::*;
use crate::rest::test_support::request_to;

fn request(line: &str, headers: &[(&str, &str)], body: &str, listener: ListenerLabel) -> HttpRequest {
    let (method, target) = line.split_once(' ').unwrap();
    request_to(listener, method, target, headers, body)
}

const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];

fn plain(line: &str) -> Result<Route, Refusal> {
    route(&request(line, &[], "", ListenerLabel::Main), AdminMode::WithMain)
}

fn bad(message: &str) -> Result<Route, Refusal> {
    Err(Refusal::BadRequest(message.to_owned()))
}

fn c() -> ConnectorName {
    "c".into()
}

#[test]
fn every_path_has_its_route() {
    let table = [
        ("GET /", Route::ServerInfo),
        ("HEAD /", Route::ServerInfo),
        ("GET /health", Route::Health(HealthQuery::default())),
        ("GET /metrics", Route::Metrics(Names::Strimzi)),
        ("GET /metrics/?names=confluent", Route::Metrics(Names::Confluent)),
        ("GET /connectors", Route::ListConnectors(None)),
        ("HEAD /connectors", Route::ListConnectors(None)),
        ("POST /connectors", Route::CreateConnector),
        ("GET /connectors/c", Route::Connector(c())),
        ("DELETE /connectors/c", Route::DeleteConnector(c())),
        ("GET /connectors/c/config", Route::Config(c())),
        ("PUT /connectors/c/config", Route::PutConfig(c())),
        ("PATCH /connectors/c/config", Route::PatchConfig(c())),
        ("PUT /connectors/c/pause", Route::Pause(c())),
        ("PUT /connectors/c/resume", Route::Resume(c())),
        ("PUT /connectors/c/stop", Route::Stop(c())),
        ("POST /connectors/c/restart", Route::Restart(c())),
        ("GET /connectors/c/status", Route::Status(c())),
        ("GET /connectors/c/tasks", Route::Tasks(c())),
        ("POST /connectors/c/tasks", Route::SubmitTasks(c())),
        ("PUT /connectors/c/fence", Route::Fence(c())),
        ("GET /connectors/c/tasks/2/status", Route::TaskStatus(c(), 2)),
        ("GET /connectors/c/tasks/-1/status", Route::TaskStatus(c(), -1)),
        ("POST /connectors/c/tasks/0/restart", Route::RestartTask(c(), 0)),
        ("GET /connectors/c/topics", Route::Topics(c())),
        ("PUT /connectors/c/topics/reset", Route::ResetTopics(c())),
        ("GET /connectors/c/offsets", Route::Offsets(c())),
        ("PATCH /connectors/c/offsets", Route::AlterOffsets(c())),
        ("DELETE /connectors/c/offsets", Route::ResetOffsets(c())),
        ("GET /connector-plugins", Route::Plugins { connectors_only: true }),
        (
            "GET /connector-plugins/P/config?version=%5B1,2%5D",
            Route::PluginConfig { plugin: "P".to_owned(), version: Some("[1,2]".to_owned()) },
        ),
        ("PUT /connector-plugins/P/config/validate", Route::ValidatePlugin("P".to_owned())),
        ("GET /admin/loggers", Route::Loggers),
        ("GET /admin/loggers/a.b", Route::Logger("a.b".to_owned())),
        ("PUT /admin/loggers/a.b", Route::SetLogger("a.b".to_owned(), LevelScope::Worker)),
        ("GET http://host:8083/connectors/c", Route::Connector(c())),
        ("GET http://host:8083", Route::ServerInfo),
    ];
    for (line, expected) in table {
        assert_eq!(plain(line), Ok(expected), "{line}");
    }
}

#[test]
fn names_are_decoded_one_segment_at_a_time() {
    let table = [
        ("a%2Fb", "a/b"),
        ("50%25", "50%"),
        ("a%5Cb", "a\\b"),
        ("with%20space", "with space"),
        ("p+q", "p+q"),
        ("p%2Bq", "p+q"),
        ("ru1;x=1", "ru1"),
        ("a%3Bb", "a;b"),
        ("%20padded%20", " padded "),
        ("%C3%A9", "é"),
        ("%3F%23", "?#"),
        ("c/", "c"),
    ];
    for (raw, name) in table {
        assert_eq!(plain(&format!("GET /connectors/{raw}")), Ok(Route::Connector(name.into())), "{raw}");
    }
}

#[test]
fn what_cannot_be_a_name_is_refused() {
    let escape = "Bad percent encoding in the path: each % must be followed by two hexadecimal digits";
    let table = [
        ("%zz", escape),
        ("a%", escape),
        ("a%4", escape),
        ("%C3", "The path is not UTF-8 once it is percent-decoded"),
        ("a%00", "Suspicious Path Character"),
        ("a%09b", "Suspicious Path Character"),
        ("%2e%2e", "Ambiguous URI path segment"),
        ("%2E", "Ambiguous URI path segment"),
        ("/config", "Ambiguous URI empty segment"),
        ("c//config", "Ambiguous URI empty segment"),
        ("c//", "Ambiguous URI empty segment"),
    ];
    for (raw, message) in table {
        assert_eq!(plain(&format!("GET /connectors/{raw}")), bad(message), "{raw}");
    }
}

#[test]
fn an_encoded_name_comes_back_as_it_was() {
    for name in ["a/b", "50%", "a;b", "é ü?#", "a+b", "{x}|\\^`\"<>[]", "a=b&c"] {
        let line = format!("GET /connectors/{}", path::encode_segment(name));
        assert_eq!(plain(&line), Ok(Route::Connector(name.into())), "{line}");
    }
    assert_eq!(path::encode_segment("é/ü 1"), "%C3%A9%2F%C3%BC%201");
}

#[test]
fn a_slash_at_the_end_and_unknown_parameters_are_ignored() {
    assert_eq!(plain("GET /connectors/?x=y"), Ok(Route::ListConnectors(None)));
    assert_eq!(plain("GET /health/"), Ok(Route::Health(HealthQuery::default())));
    assert_eq!(plain("PUT /connectors/c/pause/?forward=true"), Ok(Route::Pause(c())));
}

#[test]
fn unknown_paths_and_methods() {
    let unknown = [
        "GET /nope",
        "GET /Connectors",
        "GET /connectors/c/tasks-config",
        "GET /connectors/c/tasks/0",
        "GET /admin",
        "GET /connector-plugins/P",
        "OPTIONS /nope",
        "OPTIONS *",
    ];
    for line in unknown {
        assert_eq!(plain(line), Err(Refusal::NotFound), "{line}");
    }
    let table = [
        ("POST /", "GET,HEAD,OPTIONS"),
        ("DELETE /health", "GET,HEAD,OPTIONS"),
        ("PUT /connectors", "GET,POST,HEAD,OPTIONS"),
        ("TRACE /connectors/c/pause", "PUT,OPTIONS"),
        ("get /connectors/c/config", "GET,PUT,PATCH,HEAD,OPTIONS"),
    ];
    for (line, allow) in table {
        let allow = allow.to_owned();
        assert_eq!(plain(line), Err(Refusal::MethodNotAllowed { allow }), "{line}");
    }
    assert_eq!(plain("GET /connectors/c/tasks/x/status"), Err(Refusal::NotATaskNumber));
    assert_eq!(plain("POST /connectors/c/tasks/99999999999/restart"), Err(Refusal::NotATaskNumber));
}

#[test]
fn options_tell_the_methods() {
    let allow = "GET,POST,HEAD,OPTIONS".to_owned();
    let expected = Route::Options { allow: allow.clone(), wants_text: true };
    assert_eq!(plain("OPTIONS /connectors"), Ok(expected));
    let json = request("OPTIONS /connectors", &[("Accept", "application/json")], "", ListenerLabel::Main);
    let expected = Route::Options { allow, wants_text: false };
    assert_eq!(route(&json, AdminMode::WithMain), Ok(expected));
}

#[test]
fn truth_values_of_the_query() {
    let parts =
        |only_failed, include_tasks| Route::RestartParts(c(), RestartScope { only_failed, include_tasks });
    let table = [
        ("includeTasks=true", parts(false, true)),
        ("includeTasks=TRUE&onlyFailed=true", parts(true, true)),
        ("onlyFailed=True", parts(true, false)),
        ("includeTasks=yes", Route::Restart(c())),
        ("includeTasks=", Route::Restart(c())),
        ("includetasks=true", Route::Restart(c())),
        ("includeTasks=false&includeTasks=true", Route::Restart(c())),
    ];
    for (query, expected) in table {
        assert_eq!(plain(&format!("POST /connectors/c/restart?{query}")), Ok(expected), "{query}");
    }
    for (query, connectors_only) in
        [("", true), ("=", true), ("=true", true), ("=false", false), ("=xyz", false)]
    {
        let line = format!("GET /connector-plugins?connectorsOnly{query}");
        assert_eq!(plain(&line), Ok(Route::Plugins { connectors_only }), "{line}");
    }
}

#[test]
fn expansions_match_exactly() {
    let table = [
        ("expand=status&expand=info", Some(Expand { status: true, info: true })),
        ("expand=info", Some(Expand { status: false, info: true })),
        ("expand=status,info", Some(Expand::default())),
        ("expand=INFO", Some(Expand::default())),
        ("expand", Some(Expand::default())),
        ("Expand=info", None),
        ("expand=%zz", Some(Expand::default())),
    ];
    for (query, expected) in table {
        assert_eq!(
            plain(&format!("GET /connectors?{query}")),
            Ok(Route::ListConnectors(expected)),
            "{query}"
        );
    }
}

#[test]
fn parameters_of_health() {
    let health = |timeout: Option<u64>, verbose| {
        Ok(Route::Health(HealthQuery { timeout: timeout.map(Duration::from_millis), verbose }))
    };
    assert_eq!(plain("GET /health?timeout=250"), health(Some(250), false));
    assert_eq!(plain("GET /health?verbose=true"), health(None, true));
    assert_eq!(plain("GET /health?verbose=1"), health(None, false));
    for value in ["", "0", "-1", "1.5", "2s", "99999999999999999999999"] {
        let refused = plain(&format!("GET /health?timeout={value}"));
        assert!(matches!(refused, Err(Refusal::BadRequest(_))), "{value}: {refused:?}");
    }
}

#[test]
fn scopes_of_a_log_level() {
    let table = [
        ("", LevelScope::Worker),
        ("?scope=CLUSTER", LevelScope::Cluster),
        ("?scope=Worker", LevelScope::Worker),
        ("?scope=bogus", LevelScope::Worker),
        ("?scope=", LevelScope::Worker),
    ];
    for (query, scope) in table {
        let line = format!("PUT /admin/loggers/root{query}");
        assert_eq!(plain(&line), Ok(Route::SetLogger("root".to_owned(), scope)), "{line}");
    }
}

#[test]
fn listeners_serve_their_own_paths() {
    use AdminMode::{Off, Separate, WithMain};
    use ListenerLabel::{Admin, Main};
    let table = [
        ("/admin/loggers", Main, WithMain, true),
        ("/admin/loggers", Main, Off, false),
        ("/admin/loggers", Main, Separate, false),
        ("/admin/loggers", Admin, Separate, true),
        ("/", Admin, Separate, false),
        ("/health", Admin, Separate, false),
        ("/connectors", Admin, Separate, false),
        ("/connectors", Main, Separate, true),
        ("/metrics", Main, WithMain, true),
        ("/metrics", Main, Off, true),
        ("/metrics", Main, Separate, false),
        ("/metrics", Admin, Separate, true),
    ];
    for (path, listener, mode, served) in table {
        let found = route(&request(&format!("GET {path}"), &[], "", listener), mode);
        assert_eq!(found.is_ok(), served, "{path} on {listener:?} with {mode:?}: {found:?}");
        assert!(served || found == Err(Refusal::NotFound), "{found:?}");
    }
}

#[test]
fn types_of_bodies() {
    let text = &[("content-type", "text/plain")][..];
    let refused = Err(Refusal::UnsupportedMediaType);
    let with = |line: &str, headers: &[(&str, &str)], body: &str| {
        route(&request(line, headers, body, ListenerLabel::Main), AdminMode::WithMain)
    };
    for line in ["GET /connectors", "DELETE /connectors/c", "PUT /connectors/c/pause", "POST /connectors"] {
        assert_eq!(with(line, text, "{}"), refused, "{line}");
        assert!(with(line, JSON, "{}").is_ok(), "{line}");
    }
    for line in ["GET /", "GET /health", "POST /connectors/c/tasks", "PUT /connectors/c/fence"] {
        assert!(with(line, text, "x").is_ok(), "{line}");
    }
    assert_eq!(with("POST /connectors", &[], "{}"), refused);
    assert!(with("POST /connectors", &[], "").is_ok());
    assert!(with("PUT /connectors/c/pause", &[], "ignored").is_ok());
    for (value, ok) in [
        ("application/json; charset=utf-8", true),
        ("Application/JSON", true),
        ("application/*", false),
        ("application/vnd.x+json", false),
    ] {
        assert_eq!(with("POST /connectors", &[("Content-Type", value)], "{}").is_ok(), ok, "{value}");
    }
    for headers in [&[("Content-Type", "json")][..], &[JSON[0], JSON[0]]] {
        let refused = with("GET /connectors", headers, "");
        assert!(matches!(refused, Err(Refusal::BadRequest(_))), "{refused:?}");
    }
}

#[test]
fn types_wanted() {
    let table = [
        ("application/json", true),
        ("*/*", true),
        ("application/*", true),
        ("text/html, application/json;q=0.1", true),
        ("text/html", false),
        ("application/xml", false),
        ("application/json;q=0, */*", false),
        ("", true),
    ];
    for (accept, ok) in table {
        let request = request("GET /connectors", &[("Accept", accept)], "", ListenerLabel::Main);
        let found = route(&request, AdminMode::WithMain);
        assert_eq!(found.is_ok(), ok, "{accept}");
        assert!(ok || found == Err(Refusal::NotAcceptable), "{accept}: {found:?}");
        let request = super::tests::request("GET /metrics", &[("Accept", accept)], "", ListenerLabel::Main);
        let found = route(&request, AdminMode::WithMain);
        assert_eq!(found, Ok(Route::Metrics(Names::Strimzi)), "there is one form only");
    }
    let found = plain("GET /metrics?names=other");
    assert_eq!(found, bad("The parameter names must be strimzi or confluent, and not 'other'"));
}

proptest::proptest! {
    #[test]
    fn any_name_can_be_addressed(name in "[^\\p{Cc}]{1,20}") {
        proptest::prop_assume!(name != "." && name != "..");
        let line = format!("GET /connectors/{}", path::encode_segment(&name));
        proptest::prop_assert_eq!(plain(&line), Ok(Route::Connector(name.as_str().into())));
    }

    #[test]
    fn any_target_is_routed_or_refused(target in "\\PC{0,40}", method in "[A-Z]{0,7}") {
        let request = request_to(ListenerLabel::Main, &method, &target, &[("Accept", &target)], "");
        drop(route(&request, AdminMode::WithMain));
    }
}
