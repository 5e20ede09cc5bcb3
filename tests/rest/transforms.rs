//! What the API says about transforms and predicates, against what Apache said to the same requests.

use serde_json::{Value as Json, json};

use crate::worker::Worker;

const VALIDATE: &str = "/connector-plugins/FileStreamSource/config/validate";

/// A connector with further settings.
fn with(settings: &Json) -> Json {
    let mut config = json!({
        "connector.class": "FileStreamSource", "name": "x", "topic": "t", "file": "/tmp/f", "tasks.max": "1"
    });
    for (key, value) in settings.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

#[test]
fn their_classes_are_listed_between_connectors_and_converters() {
    let worker = Worker::ready();
    let (status, plugins) = worker.json("GET", "/connector-plugins?connectorsOnly=false", &Json::Null);
    assert_eq!(status, 200);
    let plugins = plugins.as_array().unwrap();
    let of_kind = |kind: &str| plugins.iter().filter(|plugin| plugin["type"] == kind).collect::<Vec<_>>();
    let mut kinds: Vec<&str> = plugins.iter().filter_map(|plugin| plugin["type"].as_str()).collect();
    kinds.dedup();
    assert_eq!(kinds, ["sink", "source", "transformation", "predicate", "converter", "header_converter"]);
    assert_eq!(of_kind("transformation").len(), 26);
    assert_eq!(of_kind("predicate").len(), 3);
    let first = json!({
        "class": "org.apache.kafka.connect.transforms.Cast$Key", "type": "transformation", "version": "4.3.1"
    });
    assert_eq!(*of_kind("transformation")[0], first);
}

#[test]
fn their_settings_are_those_of_apache() {
    let recorded = include_str!("../conformance/transforms-configs.json");
    let recorded: Json = serde_json::from_str(recorded).unwrap();
    let worker = Worker::ready();
    let classes = recorded["classes"].as_array().unwrap();
    assert_eq!(classes.len(), 29);
    for class in classes {
        let name = class["class"].as_str().unwrap();
        let path = format!("/connector-plugins/{}/config", name.replace('$', "%24"));
        let (status, mut definitions) = worker.json("GET", &path, &Json::Null);
        assert_eq!(status, 200, "{path}");
        for definition in definitions.as_array_mut().unwrap() {
            let words = definition.as_object_mut().unwrap().remove("documentation");
            assert!(
                words.is_some_and(|words| words.as_str().is_some_and(|words| !words.is_empty())),
                "{name}"
            );
        }
        assert_eq!(definitions, class["definitions"], "{name}");
    }
}

#[test]
fn names_and_aliases_are_those_of_apache() {
    let worker = Worker::ready();
    for (name, expected) in [
        ("RegexRouter", 200),
        ("ValueToKey", 200),
        ("HasHeaderKey", 200),
        ("org.apache.kafka.connect.transforms.Cast%24Value", 200),
        ("Cast%24Value", 404),
        ("Cast", 404),
        ("Key", 404),
        ("SetSchemaMetadata", 404),
    ] {
        let path = format!("/connector-plugins/{name}/config");
        assert_eq!(worker.json("GET", &path, &Json::Null).0, expected, "{name}");
    }
}

#[test]
fn validation_says_what_apache_says() {
    let recorded = include_str!("../conformance/transforms-validate.json");
    let recorded: Json = serde_json::from_str(recorded).unwrap();
    let worker = Worker::ready();
    let cases = recorded["cases"].as_array().unwrap();
    assert!(cases.len() > 35, "{}", cases.len());
    let mut differences = Vec::new();
    for case in cases {
        let (status, body) = worker.json("PUT", VALIDATE, &with(&case["config"]));
        assert_eq!(status, 200, "{}", case["name"]);
        let expected = json!([case["error_count"], case["groups"], comparable(&case["configs"], |_| true)]);
        let is_told = |config: &Json| {
            let name = config["value"]["name"].as_str().unwrap();
            name.starts_with("transforms.")
                || name.starts_with("predicates.")
                || config["value"]["errors"] != json!([])
        };
        let got = json!([body["error_count"], body["groups"], comparable(&body["configs"], is_told)]);
        if expected != got {
            differences.push(format!("{}:\n  want {expected}\n  got  {got}", case["name"]));
        }
    }
    assert!(differences.is_empty(), "{} cases\n{}", differences.len(), differences.join("\n"));
}

/// Settings by name, without words, without the classes offered, and without what a parser of regular expressions says.
fn comparable(configs: &Json, is_told: impl Fn(&Json) -> bool) -> Json {
    let mut told: Vec<Json> =
        configs.as_array().unwrap().iter().filter(|config| is_told(config)).cloned().collect();
    for config in &mut told {
        config["definition"].as_object_mut().unwrap().remove("documentation");
        let value = config["value"].as_object_mut().unwrap();
        if value["name"].as_str().unwrap().ends_with(".type") {
            value.remove("recommended_values");
        }
        for error in value["errors"].as_array_mut().unwrap() {
            let text = error.as_str().unwrap();
            let before = text.split_once("Invalid regex: ").map_or(text, |(before, _)| before).to_owned();
            *error = json!(before);
        }
    }
    told.sort_by_key(|config| config["value"]["name"].as_str().unwrap().to_owned());
    json!(told)
}

/// Apache finds an unknown predicate when the task starts.
#[test]
fn an_alias_that_no_predicate_has_is_found() {
    let worker = Worker::ready();
    let mut config = with(&json!({
        "transforms": "a", "transforms.a.type": "Filter", "transforms.a.predicate": "zz",
        "predicates": "p", "predicates.p.type": "RecordIsTombstone"
    }));
    let message = "Invalid value zz for configuration transforms.a.predicate: There is no such alias among the \
                   predicates of the connector";
    let (_, body) = worker.json("PUT", VALIDATE, &config);
    let configs = body["configs"].as_array().unwrap();
    let value = configs.iter().find(|config| config["value"]["name"] == "transforms.a.predicate").unwrap();
    assert_eq!((&body["error_count"], &value["value"]["errors"]), (&json!(1), &json!([message])));
    let (status, body) = worker.json("POST", "/connectors", &json!({ "name": "x", "config": config }));
    assert_eq!(status, 400);
    assert!(body["message"].as_str().unwrap().contains(message), "{body}");
    config["transforms.a.predicate"] = json!("p");
    assert_eq!(worker.json("POST", "/connectors", &json!({ "name": "x", "config": config })).0, 201);
}
