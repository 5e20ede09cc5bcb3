//! Plug-ins: the contract suite over those that come with the worker, and over plug-ins that break each rule.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a plug-in does one thing wrong, and all others right")]

mod builtin;
mod wrong_converter;
mod wrong_sink;
mod wrong_source;
mod wrong_transform;

use herdsman::contract::Report;

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
