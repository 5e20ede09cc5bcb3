//! Apache's recorded answers: the steps of a script, and whether an answer is the one that was recorded. Shared by the tests
//! that replay them.

use serde_json::Value as Json;

/// Prose, and values that differ from worker to worker.
const IGNORED_KEYS: [&str; 7] =
    ["documentation", "worker_id", "version", "commit", "kafka_cluster_id", "trace", "last_modified"];

/// A request, with the answer that Apache gave.
pub(crate) struct Step<'a>(&'a Json);

/// What a step sends.
pub(crate) struct Question<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) headers: Vec<(&'a str, &'a str)>,
    pub(crate) body: String,
}

/// Asks each step of a script, and tells which answers are not those that were recorded. `ask` gives an answer in the
/// form of the recording, with `http://WORKER` for the address of the worker.
pub(crate) fn differences(script: &str, mut ask: impl FnMut(&Step<'_>) -> Json) -> Vec<String> {
    let script: Json = serde_json::from_str(script).unwrap();
    let steps = script["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 98);
    let told = |(step, answer): (&Json, Json)| {
        let want = step.get("accept").unwrap_or(&step["answer"]);
        let (id, method, path) = (&step["id"], &step["method"], &step["path"]);
        (!Step(step).fits(&answer)).then(|| format!("{id}: {method} {path}\n  want {want}\n  got  {answer}"))
    };
    steps.iter().map(|step| (step, ask(&Step(step)))).filter_map(told).collect()
}

impl<'a> Step<'a> {
    /// What is to be sent.
    pub(crate) fn question(&self) -> Question<'a> {
        let step = self.0;
        let body = match (step.get("raw"), step.get("body")) {
            (Some(raw), _) => Some(raw.as_str().unwrap().to_owned()),
            (None, body) => body.map(Json::to_string),
        };
        let given = step.get("headers").and_then(Json::as_object).into_iter().flatten();
        let mut headers: Vec<_> =
            given.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
        if body.is_some() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            headers.push(("Content-Type", "application/json"));
        }
        let [method, path] = ["method", "path"].map(|field| step[field].as_str().unwrap());
        Question { method, path, headers, body: body.unwrap_or_default() }
    }

    /// Whether the step is over with this answer: some are asked again until something is the case, and until what else is
    /// told has come to rest, too.
    pub(crate) fn is_over(&self, answer: &Json) -> bool {
        let Some(until) = self.0.get("until") else { return true };
        let status = until.get("status").is_none_or(|status| *status == answer["status"]);
        let body = until.get("pointer").is_none_or(|pointer| {
            let found = answer["body"].pointer(pointer.as_str().unwrap()).unwrap_or(&Json::Null);
            *found == until["equals"]
        });
        status && body && self.fits(answer)
    }

    /// Whether this is the answer that was recorded.
    pub(crate) fn fits(&self, answer: &Json) -> bool {
        let step = self.0;
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
