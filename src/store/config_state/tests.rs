//! Logs of the config topic and what they come to, holes of compaction included.

use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::super::config_records::stored;
use super::super::config_records::tests::any_record;
use super::super::config_write::ConfigWrite;
use super::*;

/// A line of a log: key and value; the value `-` is a tombstone.
fn record(line: &str) -> ConfigRecord {
    let (key, value) = line.trim().split_once(' ').unwrap();
    let value = (value != "-").then_some(value.as_bytes());
    ConfigRecord::decode(Some(key.as_bytes()), value).unwrap().unwrap()
}

fn records(log: &str) -> Vec<ConfigRecord> {
    log.lines().filter(|line| !line.trim().is_empty()).map(record).collect()
}

fn fold<'a>(records: impl IntoIterator<Item = &'a ConfigRecord>) -> ConfigState {
    let mut state = ConfigState::default();
    for record in records {
        state.apply(record);
    }
    state
}

/// A state as people read it, without revisions: a line for each name.
fn show(state: &ConfigState) -> String {
    let text = |settings: &Settings| {
        let entries: Vec<_> = settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        format!("{{{}}}", entries.join(" "))
    };
    let names: BTreeSet<_> = state.connectors.keys().chain(state.names.keys()).collect();
    let mut lines = String::new();
    for name in names {
        let mut line = format!("{name}:");
        match state.connector(name) {
            Some(config) => {
                line += &format!(" {} {}", config.target.name(), text(&config.settings));
                let tasks: Vec<_> = config.tasks.iter().map(text).collect();
                line += &format!(" tasks [{}] of {}", tasks.join(" "), text(&config.tasks_made_from));
                line += if config.inconsistent { " inconsistent" } else { "" };
                line += if config.overwritten { " overwritten" } else { "" };
            }
            None => line += " none",
        }
        if let Some(records) = state.names.get(name) {
            let NameRecords { target, inconsistent: _, deferred, generation, fenced_tasks, pending_fencing } =
                records;
            line += &target.map_or(String::new(), |state| format!(", {}", state.name()));
            let deferred: Vec<_> = deferred.iter().flat_map(BTreeMap::keys).collect();
            line += &if deferred.is_empty() { String::new() } else { format!(", deferred {deferred:?}") };
            line += &generation.map_or(String::new(), |generation| format!(", generation {generation}"));
            line += &fenced_tasks.map_or(String::new(), |count| format!(", fenced {count}"));
            line += if *pending_fencing { ", pending fencing" } else { "" };
        }
        lines += &(line + "\n");
    }
    lines
}

fn check(log: &str, expected: &Expect) {
    expected.assert_eq(&show(&fold(&records(log))));
}

#[test]
fn tasks_count_with_their_commit() {
    check(
        r#"
        connector-c {"properties":{"v":"1"}}
        task-c-0 {"properties":{"t":"0","none":null}}
        task-c-1 {"properties":{"t":"1"}}
        "#,
        &expect![[r#"
            c: STARTED {v=1} tasks [] of {}, deferred [0, 1]
        "#]],
    );
    check(
        r#"
        connector-c {"properties":{"v":"1"}}
        task-c-0 {"properties":{"t":"0","none":null}}
        task-c-1 {"properties":{"t":"1"}}
        commit-c {"tasks":2}
        connector-c {"properties":{"v":"2"}}
        "#,
        &expect![[r#"
            c: STARTED {v=2} tasks [{t=0} {t=1}] of {v=1}, generation 0, pending fencing
        "#]],
    );
}

#[test]
fn a_commit_whose_tasks_are_gone_leaves_the_connector_inconsistent_until_new_ones_come() {
    let log = r#"
        connector-c {"properties":{"v":"1"}}
        task-c-1 {"properties":{"t":"1"}}
        commit-c {"tasks":2}
        "#;
    check(
        log,
        &expect![[r#"
            c: STARTED {v=1} tasks [] of {} inconsistent, pending fencing
        "#]],
    );
    let healed = r#"
        task-c-0 {"properties":{"t":"2"}}
        commit-c {"tasks":1}
        "#;
    check(
        &format!("{log}{healed}"),
        &expect![[r#"
            c: STARTED {v=1} tasks [{t=2}] of {v=1}, generation 0, pending fencing
        "#]],
    );
    // What was read before the bad commit does not count for the next one.
    let still = r#"
        task-c-0 {"properties":{"t":"2"}}
        commit-c {"tasks":2}
        "#;
    check(
        &format!("{log}{still}"),
        &expect![[r#"
            c: STARTED {v=1} tasks [] of {} inconsistent, pending fencing
        "#]],
    );
}

/// The leader ended between tasks and their commit, and the cleaner came: who has read what was in force before knows that
/// it is to be written again.
#[test]
fn tasks_that_were_written_over_are_to_be_written_again_even_if_they_are_the_same() {
    let log = r#"
        connector-c {"properties":{"v":"1"}}
        task-c-0 {"properties":{"t":"0"}}
        task-c-1 {"properties":{"t":"1"}}
        commit-c {"tasks":2}
        task-c-0 {"properties":{"t":"2"}}
        "#;
    check(
        log,
        &expect![[r#"
            c: STARTED {v=1} tasks [{t=0} {t=1}] of {v=1} overwritten, deferred [0], generation 0, pending fencing
        "#]],
    );
    let log = records(log);
    let compacted = log.iter().enumerate().filter(|(at, _)| *at != 1).map(|(_, record)| record);
    let (mut lived, mut late) = (fold(&log), fold(compacted));
    let of = |state: &ConfigState| state.connector(&"c".into()).unwrap().clone();
    assert_eq!((of(&late).tasks.len(), of(&late).inconsistent), (0, true));
    let in_force = of(&lived).tasks;
    assert!(of(&lived).tasks_differ(&in_force), "who comes late has none of them");
    let again =
        ConfigWrite::Tasks { name: "c".into(), tasks: in_force.iter().cloned().map(stored).collect() };
    for record in again.records().concat() {
        lived.apply(&record);
        late.apply(&record);
    }
    for state in [lived, late] {
        assert_eq!(of(&state).tasks, in_force);
        assert!(!of(&state).tasks_differ(&in_force));
    }
}

#[test]
fn no_tasks_are_always_complete() {
    check(
        r#"
        connector-c {"properties":{}}
        commit-c {"tasks":0}
        "#,
        &expect![[r#"
            c: STARTED {} tasks [] of {}, pending fencing
        "#]],
    );
    check(
        r#"
        connector-c {"properties":{"v":"1"}}
        task-c-0 {"properties":{}}
        commit-c {"tasks":1}
        commit-c {"tasks":0}
        "#,
        &expect![[r#"
            c: STARTED {v=1} tasks [] of {v=1}, generation 1, pending fencing
        "#]],
    );
}

#[test]
fn tasks_beyond_the_count_are_of_the_past() {
    check(
        r#"
        connector-c {"properties":{"v":"1"}}
        task-c-2 {"properties":{"t":"old"}}
        task-c-0 {"properties":{"t":"0"}}
        task-c-1 {"properties":{"t":"1"}}
        commit-c {"tasks":2}
        "#,
        &expect![[r#"
            c: STARTED {v=1} tasks [{t=0} {t=1}] of {v=1}, generation 0, pending fencing
        "#]],
    );
}

#[test]
fn tasks_of_an_unknown_connector_never_count() {
    check(
        r#"
        task-c-0 {"properties":{"t":"0"}}
        commit-c {"tasks":1}
        connector-c {"properties":{"v":"1"}}
        "#,
        &expect![[r#"
            c: STARTED {v=1} tasks [] of {}
        "#]],
    );
    check(
        r#"
        connector-c {"properties":{"v":"1"}}
        task-c-0 {"properties":{"t":"0"}}
        connector-c -
        commit-c {"tasks":1}
        connector-c {"properties":{"v":"2"}}
        "#,
        &expect![[r#"
            c: STARTED {v=2} tasks [] of {}
        "#]],
    );
}

#[test]
fn a_deletion_leaves_what_producers_need() {
    let log = r#"
        connector-c {"properties":{"v":"1"}}
        target-state-c {"state":"PAUSED"}
        task-c-0 {"properties":{}}
        commit-c {"tasks":1}
        tasks-fencing-c {"task-count":1}
        task-c-0 {"properties":{"t":"1"}}
        commit-c {"tasks":1}
        task-c-0 {"properties":{"t":"2"}}
        connector-c -
        "#;
    check(
        log,
        &expect![[r#"
            c: none, PAUSED, generation 1, fenced 1, pending fencing
        "#]],
    );
    let again = r#"
        target-state-c -
        connector-c {"properties":{"v":"2"}}
        task-c-0 {"properties":{}}
        commit-c {"tasks":1}
        "#;
    check(
        &format!("{log}{again}"),
        &expect![[r#"
            c: STARTED {v=2} tasks [{}] of {v=2}, generation 2, fenced 1, pending fencing
        "#]],
    );
}

#[test]
fn a_target_state_may_come_first_and_falls_back_to_started() {
    check(
        r#"
        target-state-a {"state":"PAUSED","state.v2":"STOPPED"}
        connector-a {"properties":{}}
        connector-b {"properties":{}}
        target-state-b {"state":"PAUSED"}
        target-state-b -
        target-state-d {"state":"PAUSED"}
        target-state-d -
        connector-d {"properties":{}}
        "#,
        &expect![[r#"
            a: STOPPED {} tasks [] of {}
            b: STARTED {} tasks [] of {}
            d: STARTED {} tasks [] of {}
        "#]],
    );
}

#[test]
fn each_record_tells_what_it_changed() {
    let mut state = ConfigState::default();
    let updated = |tasks: &[u32]| ConfigChange::TasksUpdated { name: "c".into(), tasks: tasks.into() };
    let scope = RestartScope { only_failed: true, include_tasks: false };
    let level = ConfigChange::LoggerLevel { namespace: "a".to_owned(), level: "INFO".to_owned() };
    for (line, expected) in [
        (r#"target-state-c {"state":"PAUSED"}"#, ConfigChange::Nothing),
        (r#"commit-c {"tasks":0}"#, ConfigChange::Nothing),
        (r#"connector-c {"properties":{}}"#, ConfigChange::ConnectorUpdated("c".into())),
        (r#"target-state-c {"state":"PAUSED"}"#, ConfigChange::Nothing),
        (r#"target-state-c {"state":"STARTED"}"#, ConfigChange::TargetChanged("c".into())),
        (r#"task-c-1 {"properties":{}}"#, ConfigChange::Nothing),
        (r#"commit-c {"tasks":2}"#, updated(&[])),
        (r#"task-c-0 {"properties":{}}"#, ConfigChange::Nothing),
        (r#"task-c-1 {"properties":{}}"#, ConfigChange::Nothing),
        (r#"commit-c {"tasks":2}"#, updated(&[0, 1])),
        (r#"task-c-2 {"properties":{}}"#, ConfigChange::Nothing),
        (r#"task-c-1 {"properties":{}}"#, ConfigChange::TasksOverwritten("c".into())),
        (r#"task-c-0 {"properties":{}}"#, ConfigChange::Nothing),
        (r#"commit-c {"tasks":0}"#, updated(&[0, 1, 2])),
        (r#"tasks-fencing-c {"task-count":2}"#, ConfigChange::Nothing),
        (r#"target-state-c {"state":"PAUSED"}"#, ConfigChange::TargetChanged("c".into())),
        ("target-state-c -", ConfigChange::Nothing),
        ("connector-c -", ConfigChange::ConnectorRemoved("c".into())),
        ("connector-c -", ConfigChange::ConnectorRemoved("c".into())),
        (r#"session-key {"key":"YQ==","algorithm":"a","creation-timestamp":1}"#, ConfigChange::SessionKey),
        (r#"restart-connector-c {"only-failed":true}"#, ConfigChange::Restart("c".into(), scope)),
        (r#"logger-cluster-a {"level":"INFO"}"#, level),
    ] {
        assert_eq!(state.apply(&record(line)), expected, "{line}");
    }
    assert_eq!(state.session_key().map(SessionKey::algorithm), Some("a"));
    assert_eq!(state.offset(), ConfigOffset::NOTHING_READ);
}

#[test]
fn new_settings_keep_target_and_tasks() {
    let mut state = fold(&records(
        r#"
        connector-c {"properties":{"v":"1"}}
        task-c-0 {"properties":{"t":"0"}}
        commit-c {"tasks":1}
        target-state-c {"state":"PAUSED"}
        "#,
    ));
    let before = state.connector(&"c".into()).unwrap().clone();
    assert!(!before.tasks_differ(&before.tasks) && before.tasks_differ(&[]));
    state.apply(&record(r#"connector-c {"properties":{"v":"2"}}"#));
    let after = state.connector(&"c".into()).unwrap();
    assert!(after.revision > before.revision);
    assert_eq!((after.target, &after.tasks), (TargetState::Paused, &before.tasks));
    assert_eq!(after.tasks_revision, before.tasks_revision);
    assert!(after.tasks_differ(&after.tasks), "they were made from other settings");
}

#[test]
fn an_inconsistent_connector_needs_tasks_even_if_they_are_none() {
    let state = fold(&records(
        r#"
        connector-c {"properties":{}}
        commit-c {"tasks":1}
        "#,
    ));
    let config = state.connector(&"c".into()).unwrap();
    assert!(config.tasks.is_empty() && config.tasks_differ(&[]));
}

fn settings(value: u8) -> Settings {
    Settings::from([("v".to_owned(), value.to_string())])
}

/// What leaders and users write, to three connectors; now and then a leader ends between tasks and commit.
fn any_write() -> impl Strategy<Value = Vec<ConfigRecord>> {
    let name = || prop::sample::select(&["a", "b", "c"]).prop_map(ConnectorName::from);
    let state =
        || prop::sample::select(vec![TargetState::Started, TargetState::Paused, TargetState::Stopped]);
    let write = prop_oneof![
        3 => (name(), 0..3_u8, prop::option::weighted(0.2, state())).prop_map(|(name, value, target)| {
            ConfigWrite::Connector { name, settings: settings(value), target }
        }),
        1 => name().prop_map(ConfigWrite::Removed),
        4 => (name(), prop::collection::vec(0..9_u8, 0..4)).prop_map(|(name, tasks)| {
            ConfigWrite::Tasks { name, tasks: tasks.into_iter().map(|value| stored(settings(value))).collect() }
        }),
        1 => name().prop_map(ConfigWrite::Stopped),
        1 => (name(), state()).prop_map(|(name, state)| ConfigWrite::Target { name, state }),
        1 => (name(), 0..4_u32).prop_map(|(name, count)| ConfigWrite::TaskCount { name, count }),
        1 => any::<u8>().prop_map(|byte| ConfigWrite::SessionKey(SessionKey::new(vec![byte], "a", 0))),
    ];
    (write, prop::bool::weighted(0.1)).prop_map(|(write, crash)| {
        let mut groups = write.records();
        if crash {
            groups.pop();
        }
        groups.concat()
    })
}

/// Whether the tasks of a connector were last written whole, to a connector that has not changed since.
fn is_settled(log: &[ConfigRecord], name: &ConnectorName) -> bool {
    let last = |is: &dyn Fn(&ConfigRecord) -> bool| log.iter().rposition(is);
    let commit = last(&|record| matches!(record, ConfigRecord::Commit { name: of, .. } if of == name));
    let task = last(&|record| matches!(record, ConfigRecord::Task { id, .. } if id.connector == *name));
    let connector = last(
        &|record| matches!(record, ConfigRecord::Connector { name: of, .. } | ConfigRecord::Removed(of) if of == name),
    );
    let Some((commit, ConfigRecord::Commit { tasks, .. })) = commit.map(|at| (at, &log[at])) else {
        return false;
    };
    let first = commit - *tasks as usize;
    connector.is_some_and(|connector| connector < first) && task.is_none_or(|task| task < commit)
}

/// All sets of tasks that were ever committed for a connector.
fn committed(log: &[ConfigRecord], name: &ConnectorName) -> Vec<Vec<Settings>> {
    let task = |record: &ConfigRecord| {
        let ConfigRecord::Task { settings, .. } = record else { panic!("{record:?} among tasks") };
        with_values(settings)
    };
    let of_commit = |(at, record): (usize, &ConfigRecord)| {
        let ConfigRecord::Commit { name: of, tasks } = record else { return None };
        (of == name).then(|| log[at - *tasks as usize..at].iter().map(task).collect())
    };
    log.iter().enumerate().filter_map(of_commit).collect()
}

proptest! {
    #[test]
    fn replay_comes_to_what_was_lived_through(writes in prop::collection::vec(any_write(), 0..40)) {
        let log = writes.concat();
        let read = log.iter().map(|record| {
            let (key, value) = (record.key(), record.value());
            ConfigRecord::decode(Some(key.as_bytes()), value.as_deref()).unwrap().unwrap()
        });
        let mut replayed = ConfigState::default();
        for record in read {
            replayed.apply(&record);
        }
        prop_assert_eq!(replayed, fold(&log));
    }

    /// Compaction may take away any record that a later one of its key follows.
    #[test]
    fn compaction_changes_nothing_that_was_promised(
        writes in prop::collection::vec(any_write(), 0..40),
        holes in prop::collection::vec(prop::bool::weighted(0.6), 400),
    ) {
        let log = writes.concat();
        let superseded = |at: usize| log[at + 1..].iter().any(|later| later.key() == log[at].key());
        let hole = |at: usize| superseded(at) && holes.get(at).copied().unwrap_or_default();
        let compacted = log.iter().enumerate().filter(|(at, _)| !hole(*at)).map(|(_, record)| record);
        let (lived, read) = (fold(&log), fold(compacted));
        prop_assert_eq!(read.session_key(), lived.session_key());
        prop_assert_eq!(read.names().collect::<Vec<_>>(), lived.names().collect::<Vec<_>>());
        for (name, lived_config) in &lived.connectors {
            let config = read.connector(name).unwrap();
            prop_assert_eq!(&config.settings, &lived_config.settings);
            prop_assert_eq!(config.target, lived_config.target);
            prop_assert_eq!(read.fenced_tasks(name), lived.fenced_tasks(name));
            if is_settled(&log, name) {
                prop_assert_eq!(&config.tasks, &lived_config.tasks);
                prop_assert_eq!(&config.tasks_made_from, &lived_config.tasks_made_from);
                prop_assert!(!config.inconsistent);
                prop_assert_eq!(read.is_pending_fencing(name), lived.is_pending_fencing(name));
            }
        }
    }

    /// The cleaner goes through the log from its beginning up to some place, and leaves the last record of each key there.
    #[test]
    fn compaction_never_mixes_tasks(writes in prop::collection::vec(any_write(), 0..40), place in 0.0..1.0) {
        let log = writes.concat();
        let (clean, rest) = log.split_at((log.len() as f64 * place) as usize);
        let is_last = |at: usize| clean[at + 1..].iter().all(|later| later.key() != clean[at].key());
        let kept = clean.iter().enumerate().filter(|(at, _)| is_last(*at)).map(|(_, record)| record);
        let read = fold(kept.chain(rest));
        for name in read.names() {
            let tasks = &read.connector(name).unwrap().tasks;
            prop_assert!(tasks.is_empty() || committed(&log, name).contains(tasks), "{:?}", tasks);
        }
    }

    #[test]
    fn no_log_panics(log in prop::collection::vec(any_record(), 0..60)) {
        let state = fold(&log);
        for name in state.names() {
            prop_assert!(state.connector(name).is_some());
        }
    }
}
