//! The rules of the tree, as tests: which room may use which, how long files and functions may be, what every file
//! begins with. A failure names file and line, and says what to do.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

/// What each room may use besides itself. `ARCHITECTURE.md` shows the same as a picture.
const ARROWS: &[(&str, &[&str])] = &[
    ("stdx", &[]),
    ("api", &["stdx"]),
    ("plugins", &["api", "stdx"]),
    ("contract", &["api", "stdx"]),
    ("config", &["api", "stdx"]),
    ("health", &["api", "stdx"]),
    ("faults", &[]),
    ("signals", &["stdx"]),
    ("systemd", &["health", "stdx"]),
    ("logging", &["stdx"]),
    ("kafka", &["api", "config", "stdx"]),
    ("group", &["api", "config", "kafka", "stdx"]),
    ("store", &["api", "config", "faults", "kafka", "stdx"]),
    ("connector", &["api", "config", "stdx"]),
    ("task", &["api", "config", "kafka", "store", "stdx"]),
    ("herder", &["api", "connector", "faults", "group", "health", "store", "stdx", "task"]),
    ("metrics", &["api", "health", "herder", "stdx", "task"]),
    ("rest", &["api", "config", "connector", "health", "herder", "logging", "metrics", "stdx", "store"]),
    // What puts the parts together may use all of them.
    ("assemble", &["*"]),
    ("cli", &["*"]),
    ("embed", &["*"]),
    ("lib", &["*"]),
    ("main", &["*"]),
];

/// What stands over a test that takes minutes: `scripts/test --long` runs it, without that the summary names them.
const LONG: &str = "#[ignore = \"long: scripts/test --long\"]";

/// Files that decide and do nothing else: no IO, no threads, no clock.
const PURE: &[&str] = &[
    "src/config/broker.rs",
    "src/config/topic_creation.rs",
    "src/group/assignor.rs",
    "src/group/assignor/ledger.rs",
    "src/group/assignor/pause.rs",
    "src/group/division.rs",
    "src/group/eager.rs",
    "src/group/leader.rs",
    "src/group/protocol.rs",
    "src/group/protocol/bytes.rs",
    "src/group/error_code.rs",
    "src/group/events.rs",
    "src/group/member.rs",
    "src/group/member/answers.rs",
    "src/group/member/coordinator.rs",
    "src/group/member/pulse.rs",
    "src/group/requests.rs",
    "src/herder/mod.rs",
    "src/herder/auto_restart.rs",
    "src/herder/config_changes.rs",
    "src/herder/cluster_requests.rs",
    "src/herder/connector_entry.rs",
    "src/herder/events.rs",
    "src/herder/fencing.rs",
    "src/herder/fencing_msg.rs",
    "src/herder/leading.rs",
    "src/herder/membership.rs",
    "src/herder/msg.rs",
    "src/herder/offsets.rs",
    "src/herder/operations.rs",
    "src/herder/rebalance.rs",
    "src/herder/reconcile.rs",
    "src/herder/requests.rs",
    "src/herder/session_key.rs",
    "src/herder/startup.rs",
    "src/herder/statuses.rs",
    "src/kafka/broker_socket/conversation.rs",
    "src/kafka/broker_socket/frames.rs",
    "src/kafka/broker_socket/shape.rs",
    "src/plugins/exec/in_flight.rs",
    "src/plugins/exec/message.rs",
    "src/plugins/exec/restarts.rs",
    "src/plugins/exec/words.rs",
    "src/rest/framing.rs",
    "src/store/config_records.rs",
    "src/store/config_state.rs",
    "src/store/config_write.rs",
    "src/store/java_map.rs",
    "src/store/offset_record.rs",
    "src/store/record_json.rs",
    "src/store/session_key.rs",
    "src/store/status_records.rs",
    "src/store/status_table.rs",
    "src/store/offset_table.rs",
    "src/store/topic_log/check.rs",
    "src/store/topic_log/gate.rs",
    "src/store/topic_log/progress.rs",
    "src/systemd/report.rs",
    "src/task/errors/headers.rs",
    "src/task/errors/retry.rs",
    "src/task/submitted.rs",
];

const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "Instant::now",
    "Clock",
    "rdkafka",
    "crossbeam_channel::",
    "crate::kafka",
    "thread::spawn",
];

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                found.push((entry.clone(), fs::read_to_string(&entry).unwrap()));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no sources in {folder}: run the tests in the root of the project");
    found
}

fn complain(what: &str, complaints: &[String]) {
    assert!(complaints.is_empty(), "{what}:\n{}", complaints.join("\n"));
}

/// The lines of a file that are part of the product: those before its unit tests.
fn product(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    lines.take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
}

fn room(path: &Path) -> String {
    let inner = path.strip_prefix("src").unwrap();
    let first = inner.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn rooms_use_only_what_they_may() {
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let mut complaints = Vec::new();
    for (path, text) in sources("src") {
        let room = room(&path);
        let Some(allowed) = arrows.get(room.as_str()) else {
            complaints.push(format!("{}: the room {room} has no line in ARROWS", path.display()));
            continue;
        };
        for (number, line) in product(&text).filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for used in line.split("crate::").skip(1) {
                let used: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if used != room && !allowed.contains(&used.as_str()) && !allowed.contains(&"*") {
                    complaints.push(format!("{}:{number}: {room} may not use {used}", path.display()));
                }
            }
        }
    }
    complain("move the code, or change ARROWS and ARCHITECTURE.md and say why", &complaints);
}

#[test]
fn what_decides_does_nothing_else() {
    let mut complaints = Vec::new();
    for file in PURE {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}; mend PURE"));
        for (number, line) in product(&text).filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for word in IMPURE.iter().filter(|word| line.contains(*word)) {
                complaints.push(format!("{file}:{number}: {word}"));
            }
        }
    }
    complain("make it an effect or an argument", &complaints);
}

#[test]
fn every_file_says_what_it_is_for_and_stays_short() {
    let mut complaints = Vec::new();
    for (path, text) in ["src", "tests"].into_iter().flat_map(sources) {
        if !text.starts_with("//! ") {
            complaints.push(format!("{}:1: begin with a //! that says what the file is for", path.display()));
        }
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            complaints.push(format!(
                "{}: {lines} lines, {FILE_LINES_MAX} at most: look for the missing idea",
                path.display()
            ));
        }
    }
    complain("files", &complaints);
}

#[test]
fn functions_stay_short() {
    let mut complaints = Vec::new();
    for (path, text) in ["src", "tests"].into_iter().flat_map(sources) {
        let lines: Vec<&str> = text.lines().collect();
        let begins = |line: &str| {
            let line = line.trim_start();
            let line = line
                .strip_prefix("pub")
                .map_or(line, |line| line.split_once(' ').map_or(line, |(_, rest)| rest));
            line.starts_with("fn ") || line.starts_with("const fn ")
        };
        // A method of a trait may be a declaration, which ends before anything is opened.
        let has_body = |first: usize| {
            let turn = lines[first..].iter().find(|line| line.ends_with(['{', '}', ';']));
            turn.is_some_and(|line| !line.ends_with(';'))
        };
        let functions = lines.iter().enumerate().filter(|(first, line)| begins(line) && has_body(*first));
        for (first, line) in functions {
            let indent = line.len() - line.trim_start().len();
            let end = format!("{}}}", " ".repeat(indent));
            let length = lines[first..].iter().position(|line| *line == end || line.ends_with(" {}"));
            if let Some(length) = length.filter(|length| *length >= FUNCTION_LINES_MAX) {
                let place = format!("{}:{}", path.display(), first + 1);
                complaints.push(format!("{place}: {} lines, {FUNCTION_LINES_MAX} at most", length + 1));
            }
        }
    }
    complain("look for the missing idea", &complaints);
}

#[test]
fn nothing_is_left_open_or_silenced() {
    let forbidden = [
        ("todo!(", "do it"),
        ("unimplemented!(", "do it"),
        (
            "#[ignore",
            "a test that does not run shows nothing; one that takes minutes is for scripts/test --long",
        ),
        ("#[allow(", "use #[expect] with a reason"),
        ("thread::sleep", "wait for a state with a bound"),
        ("unbounded(", "give the queue a bound"),
    ];
    let mut complaints = Vec::new();
    for (path, text) in ["src", "tests"].into_iter().flat_map(sources) {
        if path.ends_with("tidy/main.rs") {
            continue;
        }
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        for (number, line) in lines.filter(|(_, line)| line.trim() != LONG) {
            for (word, remedy) in forbidden.iter().filter(|(word, _)| line.contains(word)) {
                complaints.push(format!("{}:{number}: {word}: {remedy}", path.display()));
            }
        }
    }
    complain("left open", &complaints);
}
