//! Replays the requests of `tests/conformance/rest-standalone.json` and compares the answers with those that Apache
//! gave, as `rest_probe.py` does over a socket.

use std::time::Duration;

use crossbeam_channel::{after, select};
use herdsman::rest::http::HttpResponse;
use herdsman::stdx::time::Clock;
use serde_json::{Map, Value as Json, json};

use crate::recorded::{Question, Step, differences};
use crate::worker::Worker;

#[test]
fn answers_are_those_of_apache() {
    let worker = Worker::ready();
    let script = include_str!("../conformance/rest-standalone.json");
    let differences = differences(script, |step| ask_until(&worker, step));
    assert!(differences.is_empty(), "{} steps differ\n{}", differences.len(), differences.join("\n"));
}

fn ask_until(worker: &Worker, step: &Step<'_>) -> Json {
    let deadline = Clock.deadline(Duration::from_secs(10));
    loop {
        let answer = ask(worker, step.question());
        if step.is_over(&answer) || deadline.passed(Clock.now().instant) {
            return answer;
        }
        select! { recv(after(Duration::from_millis(5))) -> _ => {} }
    }
}

fn ask(worker: &Worker, question: Question<'_>) -> Json {
    let Question { method, path, mut headers, body } = question;
    headers.push(("Host", "WORKER"));
    shown(method, &worker.ask(method, path, &headers, body.as_bytes()))
}

/// An answer in the form of the recording.
fn shown(method: &str, response: &HttpResponse) -> Json {
    let mut shown = Map::new();
    shown.insert("status".to_owned(), response.status.into());
    let body = match response.body.is_empty() || method == "HEAD" {
        true => Json::Null,
        false => serde_json::from_slice(&response.body).unwrap(),
    };
    shown.insert("body".to_owned(), body);
    for (name, value) in &response.headers {
        if ["Content-Type", "Location"].contains(&name.as_ref()) {
            shown.insert(name.to_lowercase(), json!(value));
        }
    }
    Json::Object(shown)
}
