//! Requests beyond the recorded ones: names, URLs, layers, loggers, plug-ins, and code of plug-ins that blocks.

use std::time::Duration;

use herdsman::api::config_def::Password;
use herdsman::rest::http::{HttpResponse, ListenerLabel};
use herdsman::rest::layers::basic_auth::BasicAuth;
use herdsman::rest::layers::cors::Cors;
use herdsman::rest::layers::response_headers::{HeaderRule, HeaderValue};
use herdsman::rest::router::AdminMode;
use herdsman::stdx::time::Clock;
use serde_json::{Value as Json, json};

use crate::worker::{BLOCKING_SOURCE, SOON, Worker, hold_validations};

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn source() -> Json {
    json!({ "connector.class": "FileStreamSource", "file": "f", "topic": "t" })
}

fn create(worker: &Worker, name: &str) -> HttpResponse {
    let body = json!({ "name": name, "config": source() }).to_string();
    worker.ask("POST", "/connectors", &[JSON, ("Host", "h:1")], body.as_bytes())
}

fn header<'r>(response: &'r HttpResponse, name: &str) -> Option<&'r str> {
    response.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_ref())
}

#[test]
fn a_location_leads_to_the_connector_whatever_its_name() {
    let worker = Worker::ready();
    for name in ["plain", "with space", "a/b", "50%", "a\\b", "é/ü 1", "a;b", "?#", "p+q", "..."] {
        let response = create(&worker, name);
        assert_eq!(response.status, 201, "{name}");
        let location = header(&response, "Location").unwrap().to_owned();
        let path = location.strip_prefix("http://h:1").unwrap();
        let (status, body) = worker.json("GET", path, &Json::Null);
        assert_eq!((status, body["name"].as_str()), (200, Some(name)), "{location}");
        assert_eq!(worker.json("DELETE", path, &Json::Null).0, 204, "{location}");
    }
    let body = json!({ "name": "c", "config": source() }).to_string();
    let response = worker.ask("POST", "/connectors", &[JSON], body.as_bytes());
    assert_eq!(header(&response, "Location"), Some("http://127.0.0.1:8083/connectors/c"));
}

#[test]
fn names_of_new_connectors() {
    let worker = Worker::ready();
    let (status, body) = worker.json("POST", "/connectors", &json!({ "name": " \tc ", "config": source() }));
    assert_eq!((status, body["name"].as_str(), body["config"]["name"].as_str()), (201, Some("c"), Some("c")));
    for (name, message) in [
        (json!(null), "String may not be empty"),
        (json!("  "), "String may not be empty"),
        (json!("a\tb"), "had the following ASCII chars: 9"),
    ] {
        let (status, body) = worker.json("POST", "/connectors", &json!({ "name": name, "config": source() }));
        assert_eq!(status, 400);
        assert!(body["message"].as_str().unwrap().contains(message), "{body}");
    }
}

#[test]
fn a_config_keeps_its_name() {
    let worker = Worker::ready();
    assert_eq!(create(&worker, "c").status, 201);
    for method in ["PUT", "PATCH"] {
        let mut config = source();
        config["name"] = json!("other");
        let (status, body) = worker.json(method, "/connectors/c/config", &config);
        let message = "Connector name configuration (other) doesn't match connector name in the URL (c)";
        assert_eq!((status, body["message"].as_str()), (400, Some(message)), "{method}");
        config["name"] = Json::Null;
        let (status, body) = worker.json(method, "/connectors/c/config", &config);
        assert_eq!((status, body["config"]["name"].as_str()), (200, Some("c")), "{method}");
    }
    let (status, body) = worker.json("PATCH", "/connectors/c/config", &json!({ "topic": null }));
    assert_eq!(status, 400);
    assert!(body["message"].as_str().unwrap().contains("Missing required configuration \"topic\""), "{body}");
    let (status, body) = worker.json("PATCH", "/connectors/c/config", &json!({ "n": 1.25, "b": true }));
    assert_eq!((status, &body["config"]["n"], &body["config"]["b"]), (200, &json!("1.25"), &json!("true")));
}

#[test]
fn initial_states() {
    let worker = Worker::ready();
    for (word, state, tasks) in
        [("stopped", "STOPPED", 0), ("PaUsed", "PAUSED", 0), ("RUNNING", "RUNNING", 1)]
    {
        let body = json!({ "name": state, "config": source(), "initial_state": word });
        assert_eq!(worker.json("POST", "/connectors", &body).0, 201);
        let body = worker.status_with_tasks(state, tasks);
        assert_eq!(body["connector"]["state"], state);
    }
}

#[test]
fn requests_to_pause_have_empty_answers() {
    let worker = Worker::ready();
    create(&worker, "c");
    for (path, status) in [("pause", 202), ("resume", 202), ("stop", 204), ("topics/reset", 202)] {
        let response = worker.ask("PUT", &format!("/connectors/c/{path}"), &[], b"");
        assert_eq!((response.status, response.body.len(), response.headers.len()), (status, 0, 0), "{path}");
    }
}

#[test]
fn tasks_that_are_not_there() {
    let worker = Worker::ready();
    create(&worker, "c");
    for (method, path, message) in [
        ("GET", "/connectors/c/tasks/-1/status", "No status found for task c--1"),
        ("GET", "/connectors/c/tasks/x/status", "HTTP 404 Not Found"),
        ("POST", "/connectors/c/tasks/-1/restart", "Task c--1 not found"),
        ("POST", "/connectors/c/tasks/1/restart", "Task c-1 not found"),
    ] {
        let (status, body) = worker.json(method, path, &Json::Null);
        assert_eq!((status, body["message"].as_str()), (404, Some(message)), "{path}");
    }
}

#[test]
fn what_only_distributed_workers_do() {
    let worker = Worker::ready();
    let tasks = "Kafka Connect in standalone mode does not support externally setting task configurations.";
    let fence = "Kafka Connect in standalone mode does not support exactly-once source connectors.";
    let malformed = "with the configuration of each task, not an object";
    for (method, path, body, status, text) in [
        ("POST", "/connectors/c/tasks", "[]", 500, tasks),
        ("POST", "/connectors/c/tasks", "{}", 400, malformed),
        ("PUT", "/connectors/c/fence", "x", 500, fence),
    ] {
        let response = worker.ask(method, path, &[("Content-Type", "text/plain")], body.as_bytes());
        assert_eq!(response.status, status, "{method} {path} {body}");
        assert!(String::from_utf8_lossy(&response.body).contains(text));
    }
}

#[test]
fn topics_are_only_told_where_they_are_tracked() {
    let table = [
        (true, false, [200, 403], "Topic tracking reset is disabled."),
        (false, true, [403, 403], "Topic tracking is disabled."),
    ];
    for (tracking, reset, statuses, message) in table {
        let worker = Worker::new(|settings| {
            settings.topic_tracking = tracking;
            settings.topic_tracking_reset = reset;
        });
        worker.begin();
        assert_eq!(worker.json("GET", "/connectors/c/topics", &Json::Null).0, statuses[0]);
        let (status, body) = worker.json("PUT", "/connectors/c/topics/reset", &Json::Null);
        assert_eq!((status, body["message"].as_str()), (statuses[1], Some(message)));
    }
}

#[test]
fn plugins() {
    let worker = Worker::ready();
    let kinds = |query: &str| {
        let (_, body) = worker.json("GET", &format!("/connector-plugins{query}"), &Json::Null);
        let kinds = body.as_array().unwrap().iter().map(|plugin| plugin["type"].as_str().unwrap().to_owned());
        let mut kinds: Vec<String> = kinds.collect();
        kinds.dedup();
        kinds
    };
    assert_eq!(kinds(""), ["sink", "source"]);
    let all = ["sink", "source", "transformation", "predicate", "converter", "header_converter"];
    assert_eq!(kinds("?connectorsOnly=false"), all);
    for (path, status, message) in [
        ("/connector-plugins/NoSuch/config", 404, "Unknown plugin NoSuch."),
        ("/connector-plugins/java.lang.String/config", 404, "Unknown plugin java.lang.String."),
        ("/connector-plugins/FileStreamSource/config?version=%5B1", 400, "Invalid version specification: [1"),
        (
            "/connector-plugins/FileStreamSource/config?version=9.9",
            400,
            "Plugin org.apache.kafka.connect.file.FileStreamSourceConnector not found that matches the version range \
             [9.9,9.9], available versions: [4.3.1]",
        ),
    ] {
        let (found, body) = worker.json("GET", path, &Json::Null);
        assert_eq!((found, body["message"].as_str()), (status, Some(message)));
    }
    for name in ["Json", "JsonConverter", "org.apache.kafka.connect.json.JsonConverter"] {
        let (status, body) =
            worker.json("GET", &format!("/connector-plugins/{name}/config?version=latest"), &Json::Null);
        assert_eq!((status, &body[0]["name"]), (200, &json!("schemas.enable")), "{name}");
    }
}

#[test]
fn a_validation_that_blocks_times_out_and_says_where_and_keeps_nobody_else_waiting() {
    let worker = Worker::new(|settings| settings.request_timeout = Duration::from_millis(250));
    let held = hold_validations();
    let config = json!({ "connector.class": BLOCKING_SOURCE, "name": "c" });
    let path = format!("/connector-plugins/{BLOCKING_SOURCE}/config/validate");
    let (status, body) = worker.json("PUT", &path, &config);
    let message = body["message"].as_str().unwrap();
    let expected = "Request timed out. The worker is currently performing multi-property validation for the connector, which began at ";
    assert_eq!(status, 500);
    assert!(message.starts_with(expected) && !message.ends_with('.'), "{message}");
    let mut source = source();
    source["name"] = json!("c");
    let path = "/connector-plugins/FileStreamSource/config/validate";
    let (status, body) = worker.json("PUT", path, &source);
    assert_eq!((status, &body["error_count"]), (200, &json!(0)));
    // The pool of this worker has four threads.
    let blocked = format!("/connector-plugins/{BLOCKING_SOURCE}/config/validate");
    let refused = (0..5).map(|_| worker.json("PUT", &blocked, &config).0).find(|status| *status == 503);
    assert_eq!(refused, Some(503));
    assert_eq!(worker.json("GET", "/connectors", &Json::Null), (200, json!([])));
    drop(held);
}

#[test]
fn loggers() {
    let worker = Worker::ready();
    let (status, body) = worker.json("GET", "/admin/loggers", &Json::Null);
    let names: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!((status, body["root"]["level"].as_str()), (200, Some("INFO")));
    assert!(names.is_sorted(), "{names:?}");
    assert_eq!(worker.json("GET", "/admin/loggers/ROOT", &Json::Null).1["level"], "INFO");
    let (status, body) = worker.json("GET", "/admin/loggers/nope", &Json::Null);
    assert_eq!((status, body["message"].as_str()), (404, Some("Logger nope not found.")));

    let set =
        |query: &str, body: Json| worker.json("PUT", &format!("/admin/loggers/my.Logger{query}"), &body);
    assert_eq!(set("", json!({ "level": "debug" })), (200, json!(["my.Logger"])));
    assert_eq!(set("", json!({ "level": "DEBUG" })), (200, json!([])));
    let (_, body) = worker.json("GET", "/admin/loggers/my.Logger", &Json::Null);
    assert_eq!(body["level"], "DEBUG");
    assert!(body["last_modified"].as_i64().is_some_and(|ms| ms > 1_600_000_000_000), "{body}");
    assert_eq!(set("?scope=cluster", json!({ "level": "OFF" })), (204, Json::Null));
    let (_, body) = worker.json("GET", "/admin/loggers", &Json::Null);
    assert!(body.get("my.Logger").is_none(), "loggers that are off are left out");
    let (status, body) = set("", json!({ "level": "LOUD" }));
    assert_eq!((status, body["message"].as_str()), (404, Some("invalid log level 'LOUD'.")));
    let (status, body) = set("", json!({}));
    let missing = "Desired 'level' parameter was not specified in request.";
    assert_eq!((status, body["message"].as_str()), (400, Some(missing)));
}

#[test]
fn a_separate_admin_listener_serves_loggers_and_nothing_else_and_no_layer_covers_it() {
    let worker = Worker::new(|settings| {
        settings.admin = AdminMode::Separate;
        settings.basic_auth = Some(BasicAuth { users: [("ann".to_owned(), Password::new("x"))].into() });
        settings.response_headers =
            vec![HeaderRule { name: "X-A".to_owned(), adds: true, value: HeaderValue::Text("1".to_owned()) }];
    });
    let admin = |path: &str| worker.ask_on(ListenerLabel::Admin, "GET", path, &[], b"");
    assert_eq!(admin("/admin/loggers/root").status, 200);
    assert_eq!(header(&admin("/admin/loggers/root"), "X-A"), None);
    assert_eq!(admin("/health").status, 404);
    let main = worker.ask("GET", "/admin/loggers", &[], b"");
    assert_eq!((main.status, header(&main, "X-A")), (404, Some("1")));
}

#[test]
fn users_are_asked_for_after_the_route_is_known() {
    let worker = Worker::new(|settings| {
        settings.basic_auth = Some(BasicAuth { users: [("ann".to_owned(), Password::new("pw"))].into() });
    });
    let status = |method: &str, path: &str| worker.ask(method, path, &[], b"").status;
    for (method, path, expected) in [
        ("GET", "/", 401),
        ("GET", "/health?timeout=10", 401),
        ("OPTIONS", "/connectors", 401),
        ("GET", "/nope", 404),
        ("DELETE", "/connectors", 405),
        ("POST", "/connectors/c/tasks", 400),
        ("POST", "/connectors/c/tasks?wait=x", 400),
    ] {
        assert_eq!(status(method, path), expected, "{method} {path}");
    }
    let refused = worker.ask("GET", "/", &[("Authorization", "Basic !")], b"");
    assert_eq!((refused.status, &refused.body[..]), (401, &b"User cannot access the resource."[..]));
    assert_eq!(refused.headers, [("Content-Type".into(), "application/json".into())]);
    // ann:pw
    assert_eq!(worker.ask("GET", "/", &[("Authorization", "Basic YW5uOnB3")], b"").status, 200);
}

#[test]
fn browsers_of_allowed_origins_and_headers_on_every_answer() {
    let worker = Worker::new(|settings| {
        settings.cors = Some(Cors::new(&["http://a".to_owned()], &["GET".to_owned()]).unwrap());
        settings.response_headers = vec![HeaderRule {
            name: "Cache-Control".to_owned(),
            adds: false,
            value: HeaderValue::Text("no-store".to_owned()),
        }];
    });
    for path in ["/", "/nope"] {
        let response = worker.ask("GET", path, &[("Origin", "http://a")], b"");
        assert_eq!(header(&response, "Access-Control-Allow-Origin"), Some("http://a"), "{path}");
        assert_eq!(header(&response, "Cache-Control"), Some("no-store"), "{path}");
    }
    let preflight = [("Origin", "http://a"), ("Access-Control-Request-Method", "PUT")];
    let response = worker.ask("OPTIONS", "/connectors", &preflight, b"");
    assert_eq!((response.status, &response.body[..]), (200, &b"GET, POST, HEAD, OPTIONS"[..]));
    assert_eq!(header(&response, "Access-Control-Allow-Methods"), Some("GET"));
    assert_eq!(header(&response, "Allow"), Some("GET,POST,HEAD,OPTIONS"));
}

#[test]
fn what_is_published_is_answered_before_the_worker_has_started_and_all_else_is_held() {
    let worker = Worker::new(|settings| settings.request_timeout = Duration::from_millis(50));
    assert_eq!(worker.json("GET", "/", &Json::Null).1["kafka_cluster_id"], Json::Null);
    assert_eq!(worker.json("GET", "/connectors", &Json::Null), (200, json!([])));
    let (status, body) = worker.json("GET", "/connectors/c", &Json::Null);
    assert_eq!(status, 500);
    let message = body["message"].as_str().unwrap();
    assert!(
        message.starts_with("Request timed out. The worker is currently reading the offsets file"),
        "{message}"
    );
    assert_eq!(worker.json("GET", "/health?timeout=20", &Json::Null).0, 503);
    std::thread::scope(|scope| {
        let probe = scope.spawn(|| worker.json("GET", "/health", &Json::Null));
        worker.begin();
        assert_eq!(probe.join().unwrap().0, 200);
    });
    let deadline = Clock.deadline(SOON);
    // A busy machine may let one of them time out.
    while worker.json("GET", "/connectors/c", &Json::Null).0 != 404 {
        assert!(!deadline.passed(Clock.now().instant), "requests are still held");
    }
}

#[test]
fn metrics_are_for_who_may_ask() {
    let worker = Worker::new(|settings| {
        let users = [("ann".to_owned(), Password::new("pw"))];
        settings.basic_auth = Some(BasicAuth { users: users.into() });
    });
    let ask = |listener, headers: &[(&str, &str)]| worker.ask_on(listener, "GET", "/metrics", headers, b"");
    assert_eq!(ask(ListenerLabel::Main, &[]).status, 401);
    // ann:pw
    let allowed = ask(ListenerLabel::Main, &[("Authorization", "Basic YW5uOnB3"), ("Accept", "text/plain")]);
    assert_eq!(allowed.status, 200);
    assert_eq!(header(&allowed, "Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(allowed.body.starts_with(b"# HELP "));
    assert_eq!(ask(ListenerLabel::Admin, &[]).status, 200);
}
