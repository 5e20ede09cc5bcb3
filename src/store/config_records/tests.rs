//! Records of the config topic in both directions, and what is no record.

use proptest::prelude::*;

use super::*;

fn text(record: &ConfigRecord) -> String {
    let value = record.value().map_or("-".to_owned(), |value| String::from_utf8(value).unwrap());
    format!("{} {value}", record.key())
}

/// Reads `key value`; the value `-` is a tombstone.
fn read(record: &str) -> Result<Option<ConfigRecord>, ConfigRecordError> {
    let (key, value) = record.split_once(' ').unwrap();
    ConfigRecord::decode(Some(key.as_bytes()), (value != "-").then_some(value.as_bytes()))
}

fn settings(entries: &[(&str, Option<&str>)]) -> StoredSettings {
    entries.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect()
}

fn task(connector: &str, index: u32) -> TaskId {
    TaskId { connector: connector.into(), index }
}

#[test]
fn records_are_those_of_apache() {
    let name = || ConnectorName::from("src");
    let target = |state| ConfigRecord::Target { name: name(), state };
    let key = SessionKey::new((0..32).collect(), "HmacSHA256", 1_700_000_000_000);
    let scope = RestartScope { only_failed: false, include_tasks: true };
    for (record, expected) in [
        (
            ConfigRecord::Connector {
                name: name(),
                settings: settings(&[("connector.class", Some("X")), ("tasks.max", Some("1")), ("x", None)]),
            },
            r#"connector-src {"properties":{"connector.class":"X","tasks.max":"1","x":null}}"#,
        ),
        (ConfigRecord::Removed(name()), "connector-src -"),
        (
            ConfigRecord::Task {
                id: task("src", 10),
                settings: settings(&[("q", Some("\"\u{1}\u{1F600}é/"))]),
            },
            r#"task-src-10 {"properties":{"q":"\"\u0001\uD83D\uDE00é/"}}"#,
        ),
        (
            ConfigRecord::Task { id: task("src", 0), settings: settings(&[]) },
            r#"task-src-0 {"properties":{}}"#,
        ),
        (ConfigRecord::Commit { name: name(), tasks: 2 }, r#"commit-src {"tasks":2}"#),
        (target(Some(TargetState::Started)), r#"target-state-src {"state":"STARTED","state.v2":"STARTED"}"#),
        (target(Some(TargetState::Paused)), r#"target-state-src {"state":"PAUSED","state.v2":"PAUSED"}"#),
        (target(Some(TargetState::Stopped)), r#"target-state-src {"state":"PAUSED","state.v2":"STOPPED"}"#),
        (target(None), "target-state-src -"),
        (ConfigRecord::TaskCount { name: name(), count: 3 }, r#"tasks-fencing-src {"task-count":3}"#),
        (
            ConfigRecord::SessionKey(key),
            r#"session-key {"key":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","algorithm":"HmacSHA256","creation-timestamp":1700000000000}"#,
        ),
        (
            ConfigRecord::Restart { name: name(), scope },
            r#"restart-connector-src {"include-tasks":true,"only-failed":false}"#,
        ),
        (
            ConfigRecord::LoggerLevel { namespace: "org.apache".to_owned(), level: "DEBUG".to_owned() },
            r#"logger-cluster-org.apache {"level":"DEBUG"}"#,
        ),
    ] {
        assert_eq!(text(&record), expected);
        assert_eq!(read(expected).unwrap(), Some(record), "{expected}");
    }
}

#[test]
fn the_bytes_of_a_commit() {
    let commit = ConfigRecord::Commit { name: "src".into(), tasks: 2 };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(commit.key().as_bytes()), "636f6d6d69742d737263");
    assert_eq!(hex(&commit.value().unwrap()), "7b227461736b73223a327d");
}

#[test]
fn names_may_have_hyphens_and_digits() {
    for (key, connector, index) in [
        ("task-a-b-c-2", "a-b-c", 2),
        ("task-a-1-0", "a-1", 0),
        ("task-a--0", "a-", 0),
        ("task--a-0", "-a", 0),
        ("task-task-0-007", "task-0", 7),
        ("task-a-2147483647", "a", 2_147_483_647),
    ] {
        let record = read(&format!(r#"{key} {{"properties":{{}}}}"#)).unwrap();
        let expected = ConfigRecord::Task { id: task(connector, index), settings: settings(&[]) };
        assert_eq!(record, Some(expected), "{key}");
    }
    let commit = read(r#"commit-a-b-1 {"tasks":0}"#).unwrap();
    assert_eq!(commit, Some(ConfigRecord::Commit { name: "a-b-1".into(), tasks: 0 }));
}

#[test]
fn records_of_other_versions_are_understood() {
    let state = |value: &str| match read(&format!("target-state-c {value}")) {
        Ok(Some(ConfigRecord::Target { state: Some(state), .. })) => state,
        other => panic!("{value}: {other:?}"),
    };
    for (value, expected) in [
        (r#"{"state":"PAUSED"}"#, TargetState::Paused),
        (r#"{"state.v2":"STOPPED"}"#, TargetState::Stopped),
        (r#"{"state.v2":"STOPPED","state":"PAUSED","more":[1]}"#, TargetState::Stopped),
        (r#"{"state":"STARTED","state.v2":null}"#, TargetState::Started),
        (r#"{"state":"STARTED","state.v2":7}"#, TargetState::Started),
    ] {
        assert_eq!(state(value), expected, "{value}");
    }
    for (value, only_failed, include_tasks) in [
        ("{}", false, false),
        (r#"{"only-failed":true}"#, true, false),
        (r#"{"only-failed":"true","include-tasks":true}"#, false, true),
    ] {
        let scope = RestartScope { only_failed, include_tasks };
        let expected = ConfigRecord::Restart { name: "c".into(), scope };
        assert_eq!(read(&format!("restart-connector-c {value}")).unwrap(), Some(expected), "{value}");
    }
    assert_eq!(read("restart-connector-c -").unwrap(), None);
}

#[test]
fn what_is_no_json_does_not_move_the_offset() {
    for record in ["connector-c x", "connector-c {", "unknown x", r#"commit-c {"tasks":2"#] {
        let error = read(record).unwrap_err();
        assert!(!error.moves_offset(), "{record}: {error}");
    }
    let no_key = ConfigRecord::decode(None, Some(b"x")).unwrap_err();
    assert!(!no_key.moves_offset(), "the value is read first: {no_key}");
}

#[test]
fn what_is_wrong_is_said_and_moves_the_offset() {
    let enveloped = r#"commit-c {"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"tasks"}],"optional":false},"payload":{"tasks":2}}"#;
    for (record, expected) in [
        ("nothing {}", "its key nothing is not known"),
        ("connector- {}", "its key connector- is not known"),
        ("task-c {}", "its key task-c is not known"),
        ("task-c-x {}", "its key task-c-x is not known"),
        ("task-c-4294967296 {}", "its key task-c-4294967296 is not known"),
        ("task--0 {}", "its key task--0 is not known"),
        ("session-key-2 {}", "its key session-key-2 is not known"),
        ("connector-c 5", "under the key connector-c: its value is no object"),
        ("connector-c {}", "under the key connector-c: its properties are no object"),
        (
            r#"connector-c {"properties":{"a":1}}"#,
            "under the key connector-c: one of its properties is neither a text nor null",
        ),
        ("task-c-0 -", "under the key task-c-0: it has no value"),
        ("task-c-0 null", "under the key task-c-0: it has no value"),
        ("commit-c -", "under the key commit-c: it has no value"),
        (r#"commit-c {"tasks":"2"}"#, "under the key commit-c: it has no number of tasks"),
        (r#"commit-c {"tasks":-1}"#, "under the key commit-c: it has no number of tasks"),
        (r#"commit-c {"tasks":2.0}"#, "under the key commit-c: it has no number of tasks"),
        (r#"commit-c {"tasks":4294967298}"#, "under the key commit-c: it has no number of tasks"),
        (enveloped, "under the key commit-c: it has no number of tasks"),
        ("tasks-fencing-c {}", "under the key tasks-fencing-c: it has no number of tasks"),
        (r#"target-state-c {"state":1}"#, "under the key target-state-c: it has no state"),
        (r#"target-state-c {"state":"RUNNING"}"#, "under the key target-state-c: its state is not known"),
        (
            r#"target-state-c {"state":"PAUSED","state.v2":"NEW"}"#,
            "under the key target-state-c: its state is not known",
        ),
        ("restart-connector-c []", "under the key restart-connector-c: its value is no object"),
        ("session-key -", "under the key session-key: it has no value"),
        (
            r#"session-key {"algorithm":"a","creation-timestamp":1}"#,
            "under the key session-key: it has no key",
        ),
        (
            r#"session-key {"key":"!","algorithm":"a","creation-timestamp":1}"#,
            "under the key session-key: its key is no base64",
        ),
        (
            r#"session-key {"key":"","algorithm":"a","creation-timestamp":1}"#,
            "under the key session-key: its key is no base64",
        ),
        (
            r#"session-key {"key":"YQ==","creation-timestamp":1}"#,
            "under the key session-key: it has no algorithm",
        ),
        (
            r#"session-key {"key":"YQ==","algorithm":"a","creation-timestamp":1.5}"#,
            "under the key session-key: it has no creation timestamp",
        ),
        ("logger-cluster-a {}", "under the key logger-cluster-a: it has no level"),
    ] {
        let error = read(record).unwrap_err();
        assert_eq!(error.to_string(), expected, "{record}");
        assert!(error.moves_offset(), "{record}");
    }
    let no_key = ConfigRecord::decode(None, Some(b"{}")).unwrap_err();
    assert_eq!((no_key.to_string().as_str(), no_key.moves_offset()), ("it has no key", true));
}

#[test]
fn a_session_key_does_not_print_itself() {
    let record = ConfigRecord::SessionKey(SessionKey::new(b"hunter2!".to_vec(), "HmacSHA256", 5));
    let printed = format!("{record:?}");
    assert!(printed.contains("[hidden]") && printed.contains("HmacSHA256"), "{printed}");
    assert!(!printed.contains("104") && !printed.contains("hunter2"), "{printed}");
}

pub(in crate::store) fn any_name() -> impl Strategy<Value = ConnectorName> {
    prop_oneof!["[a-c]", "[a-c-]{1,6}", "\\PC{1,8}"].prop_map(ConnectorName::new)
}

fn any_settings() -> impl Strategy<Value = StoredSettings> {
    prop::collection::vec((any::<String>(), any::<Option<String>>()), 0..4)
        .prop_map(|entries| entries.into_iter().collect())
}

pub(in crate::store) fn any_record() -> impl Strategy<Value = ConfigRecord> {
    let states =
        vec![None, Some(TargetState::Started), Some(TargetState::Paused), Some(TargetState::Stopped)];
    let count = 0..=i32::MAX.unsigned_abs();
    prop_oneof![
        (any_name(), any_settings()).prop_map(|(name, settings)| ConfigRecord::Connector { name, settings }),
        any_name().prop_map(ConfigRecord::Removed),
        (any_name(), prop::sample::select(states))
            .prop_map(|(name, state)| ConfigRecord::Target { name, state }),
        (any_name(), count.clone(), any_settings()).prop_map(|(connector, index, settings)| {
            ConfigRecord::Task { id: TaskId { connector, index }, settings }
        }),
        (any_name(), count.clone()).prop_map(|(name, tasks)| ConfigRecord::Commit { name, tasks }),
        (any_name(), count).prop_map(|(name, count)| ConfigRecord::TaskCount { name, count }),
        (prop::collection::vec(any::<u8>(), 1..70), "\\PC{1,12}", any::<i64>()).prop_map(
            |(bytes, algorithm, created)| ConfigRecord::SessionKey(SessionKey::new(
                bytes, algorithm, created
            ))
        ),
        (any_name(), any::<(bool, bool)>()).prop_map(|(name, (only_failed, include_tasks))| {
            ConfigRecord::Restart { name, scope: RestartScope { only_failed, include_tasks } }
        }),
        ("\\PC{1,12}", "[A-Z]{0,6}")
            .prop_map(|(namespace, level)| ConfigRecord::LoggerLevel { namespace, level }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(record in any_record()) {
        let (key, value) = (record.key(), record.value());
        let read = ConfigRecord::decode(Some(key.as_bytes()), value.as_deref()).unwrap();
        prop_assert_eq!(read, Some(record));
    }

    #[test]
    fn no_bytes_panic(
        prefix in prop::sample::select(&["", TARGET_STATE, CONNECTOR, TASK, COMMIT, RESTART, SESSION_KEY, LOGGER]),
        key in prop::collection::vec(any::<u8>(), 0..8),
        value in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "\\{(\"(tasks|properties|state|key|level)\":(\\{\"a\":1\\}|[0-9e.-]{1,9}|\"[A-Z=]{0,6}\"|null),?){0,3}\\}"
                .prop_map(String::into_bytes),
        ],
    ) {
        let key = [prefix.as_bytes(), &key].concat();
        let _any_outcome = ConfigRecord::decode(Some(&key), Some(&value));
    }
}
