//! Sends the requests of `tests/conformance/rest-distributed.json` to the real binary in distributed mode, and compares the
//! answers with those that Apache gave.

use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json, json};

use crate::recorded::{Question, Step, differences};
use crate::support::{Kafka, SOON, Worker, WorkerSetup, kafka, pause};

/// What all steps may take. They take 2 s where one worker is alone.
const WHOLE: Duration = Duration::from_secs(60);

fn worker(kafka: &Kafka, group: &str) -> Worker {
    let json = "org.apache.kafka.connect.json.JsonConverter";
    let mut setup = WorkerSetup::distributed(group)
        .kafka(&kafka.bootstrap)
        .set("heartbeat.interval.ms", "300")
        .set("offset.flush.interval.ms", "2000");
    for converter in ["key.converter", "value.converter"] {
        setup = setup.set(converter, json).set(&format!("{converter}.schemas.enable"), "false");
    }
    std::fs::create_dir(setup.folder().join("data")).unwrap();
    setup.file("data/in.txt", include_bytes!("../conformance/data/in.txt")).start().healthy()
}

#[test]
fn a_worker_alone_in_its_group_answers_as_apache() {
    let Some(kafka) = kafka() else { return };
    compare(&worker(&kafka, &kafka.unique("conformance")), |_, _| false);
}

#[test]
fn a_worker_that_follows_answers_as_apache() {
    let Some(kafka) = kafka() else { return };
    let group = kafka.unique("conformance");
    // Who comes first leads.
    let _leader = worker(&kafka, &group);
    // One that follows knows of a change when it has read it.
    let is_late = |step: &Step<'_>, answer: &Json| step.question().method == "GET" && !step.fits(answer);
    compare(&worker(&kafka, &group), is_late);
}

/// An answer that may be late is asked for again.
fn compare(worker: &Worker, may_be_late: impl Fn(&Step<'_>, &Json) -> bool) {
    let began = Instant::now();
    let script = include_str!("../conformance/rest-distributed.json");
    let differences = differences(script, |step| ask_until(worker.url(), step, &may_be_late));
    assert!(differences.is_empty(), "{} steps differ\n{}", differences.len(), differences.join("\n"));
    assert!(began.elapsed() < WHOLE, "it took {:?}", began.elapsed());
}

/// Asks until the step is over. A rebalance that comes in between is waited out, as clients have to: the recorded worker
/// was alone.
fn ask_until(url: &str, step: &Step<'_>, may_be_late: impl Fn(&Step<'_>, &Json) -> bool) -> Json {
    let began = Instant::now();
    loop {
        let answer = ask(url, step.question());
        let told = answer["body"]["message"].as_str().unwrap_or_default();
        let is_in_between =
            answer["status"] == 409 && told.starts_with("Cannot complete request momentarily");
        let is_over = step.is_over(&answer) && !is_in_between && !may_be_late(step, &answer);
        if is_over || began.elapsed() > SOON {
            return answer;
        }
        pause();
    }
}

fn ask(url: &str, question: Question<'_>) -> Json {
    let Question { method, path, headers, body } = question;
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(SOON))
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .build()
        .into();
    let mut request = ureq::http::Request::builder().method(method).uri(format!("{url}{path}"));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let mut response = agent.run(request.body(body).unwrap()).unwrap();
    let mut shown = Map::new();
    for name in ["content-type", "location"] {
        let Some(value) = response.headers().get(name) else { continue };
        let value = value.to_str().unwrap().replace(url, "http://WORKER");
        shown.insert(name.to_owned(), json!(value.split(';').next()));
    }
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string().unwrap();
    let body = if text.is_empty() { Json::Null } else { serde_json::from_str(&text).unwrap() };
    shown.insert("status".to_owned(), status.into());
    shown.insert("body".to_owned(), body);
    Json::Object(shown)
}
