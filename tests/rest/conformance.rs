//! Replays the requests of `tests/conformance/rest-standalone.json` and compares the answers with those that Apache
//! gave, as `rest_probe.py` does over a socket.

use std::time::Duration;

use crossbeam_channel::{after, select};
use herdsman::rest::http::HttpResponse;
use herdsman::stdx::time::Clock;
use serde_json::{Map, Value as Json, json};

use crate::worker::Worker;

/// Prose, and values that differ from worker to worker.
const IGNORED_KEYS: [&str; 7] =
    ["documentation", "worker_id", "version", "commit", "kafka_cluster_id", "trace", "last_modified"];

#[test]
fn answers_are_those_of_apache() {
    let script = include_str!("../conformance/rest-standalone.json");
    let script: Json = serde_json::from_str(script).unwrap();
    let worker = Worker::ready();
    let steps = script["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 98);
    let mut differences = Vec::new();
    for step in steps {
        let answer = ask_until(&worker, step);
        if !fits(step, &answer) {
            let want = step.get("accept").unwrap_or(&step["answer"]);
            differences.push(format!(
                "{}: {} {}\n  want {want}\n  got  {answer}",
                step["id"], step["method"], step["path"]
            ));
        }
    }
    assert!(differences.is_empty(), "{} steps differ\n{}", differences.len(), differences.join("\n"));
}

fn ask_until(worker: &Worker, step: &Json) -> Json {
    let deadline = Clock.deadline(Duration::from_secs(10));
    loop {
        let answer = ask(worker, step);
        let Some(until) = step.get("until") else { return answer };
        let status = until.get("status").is_none_or(|status| *status == answer["status"]);
        let body = until.get("pointer").is_none_or(|pointer| {
            let found = answer["body"].pointer(pointer.as_str().unwrap()).unwrap_or(&Json::Null);
            *found == until["equals"]
        });
        if (status && body) || deadline.passed(Clock.now().instant) {
            return answer;
        }
        select! { recv(after(Duration::from_millis(5))) -> _ => {} }
    }
}

fn ask(worker: &Worker, step: &Json) -> Json {
    let body = match (step.get("raw"), step.get("body")) {
        (Some(raw), _) => Some(raw.as_str().unwrap().to_owned()),
        (None, body) => body.map(Json::to_string),
    };
    let given = step.get("headers").and_then(Json::as_object).into_iter().flatten();
    let mut headers: Vec<(&str, &str)> =
        given.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    if body.is_some() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        headers.push(("Content-Type", "application/json"));
    }
    headers.push(("Host", "WORKER"));
    let method = step["method"].as_str().unwrap();
    let response =
        worker.ask(method, step["path"].as_str().unwrap(), &headers, body.unwrap_or_default().as_bytes());
    shown(method, &response)
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

fn fits(step: &Json, answer: &Json) -> bool {
    if let Some(accept) = step.get("accept") {
        let contains = accept.get("contains").map_or("", |text| text.as_str().unwrap());
        let statuses = accept["status"].as_array().unwrap();
        return statuses.contains(&answer["status"]) && answer["body"].to_string().contains(contains);
    }
    let want = &step["answer"];
    let ignored = step.get("ignore").and_then(Json::as_array).into_iter().flatten();
    let ignored: Vec<&str> = ignored.map(|pointer| pointer.as_str().unwrap()).collect();
    answer["status"] == want["status"]
        && answer.get("location") == want.get("location")
        && (answer["body"].is_null() || answer.get("content-type") == want.get("content-type"))
        && plain(&answer["body"], &ignored, "") == plain(&want["body"], &ignored, "")
}

/// The value without what may differ; lists of config definitions become objects by name.
fn plain(value: &Json, ignored: &[&str], here: &str) -> Json {
    if ignored.contains(&here) {
        return Json::Null;
    }
    match value {
        Json::Object(fields) => {
            let kept = fields.iter().filter(|(key, _)| !IGNORED_KEYS.contains(&key.as_str()));
            kept.map(|(key, value)| (key.clone(), plain(value, ignored, &format!("{here}/{key}")))).collect()
        }
        Json::Array(items) => {
            let names: Option<Vec<&str>> = items.iter().map(definition_name).collect();
            match names.filter(|names| !names.is_empty()) {
                Some(names) => {
                    let entry = |(name, item)| {
                        let name: &str = name;
                        (name.to_owned(), plain(item, ignored, &format!("{here}/{name}")))
                    };
                    names.into_iter().zip(items).map(entry).collect()
                }
                None => {
                    let items = items.iter().enumerate();
                    items.map(|(index, item)| plain(item, ignored, &format!("{here}/{index}"))).collect()
                }
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => value.clone(),
    }
}

fn definition_name(item: &Json) -> Option<&str> {
    match item.get("definition") {
        Some(definition) => definition.get("name")?.as_str(),
        None => item.get("importance").and(item.get("name"))?.as_str(),
    }
}
