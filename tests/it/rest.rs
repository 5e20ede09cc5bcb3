//! The REST API of the real binary, where it needs more than the server alone: offsets, providers, levels, and who is
//! let in by which door.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use serde_json::json;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use crate::support::{SOON, Worker, WorkerSetup, kafka, wait_for, wait_until};

/// Sends a request with headers; gives the status, the headers as text, and the body.
fn send(
    agent: &ureq::Agent,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
) -> Result<(u16, String, String), ureq::Error> {
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = agent.run(request.body(())?)?;
    let headers = response.headers().iter();
    let headers = headers.map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap())).collect();
    Ok((response.status().as_u16(), headers, response.body_mut().read_to_string()?))
}

fn agent() -> ureq::config::ConfigBuilder<ureq::typestate::AgentScope> {
    ureq::Agent::config_builder()
        .timeout_global(Some(SOON))
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
}

/// The exit code of `herdsman health`.
fn probe(url: &str, more: &[&str]) -> Option<i32> {
    let mut probe = Command::new(env!("CARGO_BIN_EXE_herdsman"));
    probe.args(["health", "--url", url, "--timeout", "2"]).args(more).output().unwrap().status.code()
}

fn plain() -> ureq::Agent {
    agent().build().into()
}

fn stop(worker: &Worker, connector: &str) {
    assert_eq!(worker.send("PUT", &format!("/connectors/{connector}/stop"), None).status, 204);
    worker.connector_state(connector, "STOPPED");
}

fn resume(worker: &Worker, connector: &str) {
    assert_eq!(worker.send("PUT", &format!("/connectors/{connector}/resume"), None).status, 202);
    worker.task_state(connector, 0, "RUNNING");
}

#[track_caller]
fn message(worker: &Worker, method: &str, path: &str, body: Option<&serde_json::Value>, words: &str) {
    let answer = worker.send(method, path, body);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json()["message"].as_str().unwrap_or_default().contains(words), "{answer:?}");
}

#[test]
fn offsets_of_a_source_are_altered_and_reset() {
    let Some(kafka) = kafka() else { return };
    let topic = kafka.topic("source-offsets", 1);
    let source = [("connector.class", "FileStreamSource"), ("file", "in.txt"), ("topic", &topic)];
    let worker = WorkerSetup::new()
        .kafka(&kafka.bootstrap)
        .file("in.txt", "one\ntwo\n")
        .connector("c", &source)
        .start()
        .healthy();
    let offsets = "/connectors/c/offsets";
    let at = |position: u64| json!({"offsets": [{"partition": {"filename": "in.txt"}, "offset": {"position": position}}]});
    kafka.values_until(&topic, |values| values.len() == 2);
    wait_for("the offset", SOON, || match worker.get(offsets).json() {
        found if found == at(8) => Ok(()),
        other => Err(other),
    });
    assert_eq!(worker.send("PATCH", offsets, Some(&at(4))).status, 400, "it is not stopped");
    stop(&worker, "c");
    message(&worker, "PATCH", offsets, Some(&at(4)), "altered successfully");
    assert_eq!(worker.get(offsets).json(), at(4));
    resume(&worker, "c");
    assert_eq!(kafka.values_until(&topic, |values| values.len() == 3), ["one", "two", "two"]);
    stop(&worker, "c");
    message(&worker, "DELETE", offsets, None, "reset successfully");
    assert_eq!(worker.get(offsets).json(), json!({"offsets": []}));
    resume(&worker, "c");
    let all = kafka.values_until(&topic, |values| values.len() == 5);
    assert_eq!(all, ["one", "two", "two", "one", "two"]);
}

#[test]
fn offsets_of_a_sink_are_altered_and_reset() {
    let Some(kafka) = kafka() else { return };
    let topic = kafka.topic("sink-offsets", 1);
    let name = kafka.unique("sink");
    let sink = [("connector.class", "FileStreamSink"), ("file", "out.txt"), ("topics", &topic)];
    kafka.produce(&topic, ["one", "two", "three"]);
    let worker = WorkerSetup::new().kafka(&kafka.bootstrap).connector(&name, &sink).start().healthy();
    let offsets = format!("/connectors/{name}/offsets");
    let at = |offset: u64| {
        let partition = json!({"kafka_topic": topic, "kafka_partition": 0});
        json!({"offsets": [{"partition": partition, "offset": {"kafka_offset": offset}}]})
    };
    let out = |text: &str| {
        wait_for("the output", SOON, || match fs::read_to_string(worker.folder().join("out.txt")) {
            Ok(out) if out == text => Ok(()),
            other => Err(other),
        });
    };
    out("one\ntwo\nthree\n");
    stop(&worker, &name);
    assert_eq!(worker.get(&offsets).json(), at(3), "a stop commits");
    message(&worker, "PATCH", &offsets, Some(&at(2)), "altered successfully");
    assert_eq!(worker.get(&offsets).json(), at(2));
    resume(&worker, &name);
    out("one\ntwo\nthree\nthree\n");
    stop(&worker, &name);
    message(&worker, "DELETE", &offsets, None, "reset successfully");
    assert_eq!(worker.get(&offsets).json(), json!({"offsets": []}));
    resume(&worker, &name);
    out("one\ntwo\nthree\nthree\none\ntwo\nthree\n");
}

#[test]
fn providers_are_resolved_for_the_task_and_shown_raw() {
    let reference = "${file:names.properties:input}";
    let worker = WorkerSetup::new()
        .set("config.providers", "file")
        .set("config.providers.file.class", "org.apache.kafka.common.config.provider.FileConfigProvider")
        .file("names.properties", "input=in.txt\n")
        .file("in.txt", "a line\n")
        .connector("source", &[("connector.class", "FileStreamSource"), ("file", reference), ("topic", "t")])
        .connector("sink", &[("connector.class", "FileStreamSink"), ("file", "out.txt"), ("topics", "t")])
        .start()
        .healthy();
    wait_until("the line in the output", SOON, || {
        fs::read_to_string(worker.folder().join("out.txt")).is_ok_and(|out| out == "a line\n")
    });
    assert_eq!(worker.get("/connectors/source/config").json()["file"], reference);
    assert_eq!(worker.get("/connectors/source/tasks").json()[0]["config"]["file"], reference);
}

#[test]
fn a_level_that_is_put_changes_what_is_logged() {
    let worker = WorkerSetup::new().start().healthy();
    let logger = "/admin/loggers/org.apache.kafka.connect.runtime.rest.RestServer";
    let lines = |path: &str| worker.log().lines().filter(|line| line.contains(path)).count();
    worker.get("/connectors?first");
    wait_until("a line for a request", SOON, || lines("/connectors?first") == 1);
    assert_eq!(worker.send("PUT", logger, Some(&json!({"level": "ERROR"}))).status, 200);
    assert_eq!(worker.get(logger).json()["level"], "ERROR");
    worker.get("/connectors?second");
    assert_eq!(worker.send("PUT", logger, Some(&json!({"level": "INFO"}))).status, 200);
    worker.get("/connectors?third");
    wait_until("a line for a request again", SOON, || lines("/connectors?third") == 1);
    assert_eq!(lines("/connectors?second"), 0);
}

#[test]
fn basic_authentication_lets_in_who_has_the_password() {
    let module = "org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule";
    let worker = WorkerSetup::new()
        .file("users.properties", "alice=hunter2\n")
        .file("jaas.conf", format!("KafkaConnect {{ {module} required file=\"users.properties\"; }};"))
        .set(
            "rest.extension.classes",
            "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension",
        )
        .set("rest.basic.auth.jaas.file", "jaas.conf")
        .start();
    let status = |headers: &[(&str, &str)]| {
        send(&plain(), "GET", &format!("{}/connectors", worker.url()), headers).unwrap().0
    };
    assert_eq!(status(&[]), 401);
    // alice:hunter2 and alice:hunter3
    assert_eq!(status(&[("Authorization", "Basic YWxpY2U6aHVudGVyMg==")]), 200);
    assert_eq!(status(&[("Authorization", "Basic YWxpY2U6aHVudGVyMw==")]), 401);
    assert!(!worker.log().contains("hunter2"), "the log has the password");
}

#[test]
fn an_https_listener_takes_pem_files() {
    let Some(kafka) = kafka() else { return };
    let tls = |name: &str| kafka.dir.join("tls").join(name);
    let worker = WorkerSetup::new()
        .set("listeners", "https://127.0.0.1:0")
        .set("listeners.https.ssl.keystore.type", "PEM")
        .set("listeners.https.ssl.keystore.location", tls("server-keystore.pem").to_str().unwrap())
        .start();
    assert!(worker.url().starts_with("https://"), "{}", worker.url());
    let authority = Certificate::from_pem(&fs::read(tls("ca.pem")).unwrap()).unwrap();
    let trusting = TlsConfig::builder()
        .provider(TlsProvider::NativeTls)
        .root_certs(RootCerts::new_with_certs(&[authority]))
        .build();
    let trusting: ureq::Agent = agent().tls_config(trusting).build().into();
    let url = format!("{}/connectors", worker.url());
    assert_eq!(send(&trusting, "GET", &url, &[]).unwrap().2, "[]");
    let strict = TlsConfig::builder().provider(TlsProvider::NativeTls).build();
    let strict: ureq::Agent = agent().tls_config(strict).build().into();
    assert!(send(&strict, "GET", &url, &[]).is_err(), "nobody else knows this authority");
    let (known, trusted) = (tls("ca.pem"), |more: &[&str]| probe(worker.url(), more));
    wait_until("a probe that trusts it", SOON, || {
        trusted(&["--ca-file", known.to_str().unwrap()]) == Some(0)
    });
    assert_eq!(trusted(&[]), Some(3), "nor does the probe");
}

#[test]
fn admin_listeners_have_the_admin_resources_to_themselves() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let admin = format!("http://127.0.0.1:{port}");
    let worker = WorkerSetup::new().set("admin.listeners", &admin).start().healthy();
    assert_eq!(worker.get("/admin/loggers").status, 404);
    assert_eq!(worker.get("/connectors").status, 200);
    let status = |path: &str| send(&plain(), "GET", &format!("{admin}{path}"), &[]).unwrap().0;
    assert_eq!(status("/admin/loggers"), 200);
    assert_eq!(status("/connectors"), 404);
}

#[test]
fn origins_and_headers_are_as_configured() {
    let worker = WorkerSetup::new()
        .set("access.control.allow.origin", "http://friend")
        .set("access.control.allow.methods", "GET,PUT")
        .set(
            "response.http.headers.config",
            "set X-Frame-Options: DENY, \"add Cache-Control: no-cache, no-store\"",
        )
        .start()
        .healthy();
    let url = format!("{}/connectors", worker.url());
    let (status, headers, _) = send(&plain(), "GET", &url, &[("Origin", "http://friend")]).unwrap();
    let headers = headers.to_lowercase();
    assert_eq!(status, 200);
    for header in
        ["access-control-allow-origin: http://friend", "x-frame-options: deny", "no-cache, no-store"]
    {
        assert!(headers.contains(header), "no «{header}» in:\n{headers}");
    }
    let stranger = send(&plain(), "GET", &url, &[("Origin", "http://stranger")]).unwrap();
    assert!(!stranger.1.to_lowercase().contains("access-control-allow-origin"), "{stranger:?}");
    let preflight = [("Origin", "http://friend"), ("Access-Control-Request-Method", "PUT")];
    let (status, headers, _) = send(&plain(), "OPTIONS", &url, &preflight).unwrap();
    assert_eq!(status, 200);
    assert!(headers.to_lowercase().contains("access-control-allow-methods: get,put"), "{headers}");
}
