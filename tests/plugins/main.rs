//! Plug-ins: the contract suite over those that come with the worker, over the examples, and over plug-ins that break each
//! rule; and workers that have plug-ins of their own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(
    clippy::disallowed_methods,
    reason = "another process is watched: only the real clock tells its time"
)]
#![expect(clippy::wildcard_enum_match_arm, reason = "a plug-in does one thing wrong, and all others right")]

mod builtin;
mod examples;
mod in_process;
mod process;
mod wrong_converter;
mod wrong_sink;
mod wrong_source;
mod wrong_transform;

/// The plug-ins of `examples/own_plugins`, as a user would test theirs.
#[path = "../../examples/own_plugins/folder_source.rs"]
mod folder_source;
#[path = "../../examples/own_plugins/json_files_sink.rs"]
mod json_files_sink;
#[path = "../../examples/own_plugins/redact.rs"]
mod redact;

use std::time::{Duration, Instant};

use herdsman::contract::Report;

const SOON: Duration = Duration::from_secs(60);

/// Looks again and again until what it waits for is there.
#[track_caller]
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    let (_never, nothing) = crossbeam_channel::bounded::<()>(0);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < SOON, "waited in vain for {what}");
        nothing.recv_timeout(Duration::from_millis(10)).ok();
    }
}

/// The rules that a plug-in breaks.
fn broken(report: &Report) -> Vec<&str> {
    report.violations().iter().map(|violation| violation.rule()).collect()
}

/// Fails unless a plug-in keeps the contract, or breaks one rule among others and the report tells it.
#[track_caller]
fn breaks(report: &Report, rule: Option<&str>, what: &str) {
    match rule {
        None => assert!(report.violations().is_empty(), "{what}: {report}"),
        Some(rule) => {
            assert!(broken(report).contains(&rule), "{what} is not caught as «{rule}», but: {report}")
        }
    }
}
