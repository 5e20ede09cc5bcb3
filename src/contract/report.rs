//! What the suite found.

use std::fmt;

use super::instance::Fault;
use crate::api::error::{ConnectError, Result};

/// A rule of the contract.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// The rule in a few words; a name that no other has.
    pub(super) name: &'static str,
    /// What is expected, and why.
    pub(super) expected: &'static str,
    /// Where it is written.
    pub(super) docs: &'static str,
}

/// A rule that a plug-in broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    rule: &'static str,
    expected: &'static str,
    docs: &'static str,
    did: String,
    saw: String,
}

impl Violation {
    /// The rule in a few words.
    pub fn rule(&self) -> &str {
        self.rule
    }

    /// What the suite did with the plug-in.
    pub fn did(&self) -> &str {
        &self.did
    }

    /// What came of it.
    pub fn saw(&self) -> &str {
        &self.saw
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { rule, did, expected, saw, docs } = self;
        let saw = saw.trim_end().replace('\n', "\n             ");
        write!(
            f,
            "{rule}\n   did:      {did}\n   expected: {expected}\n   saw:      {saw}\n   docs:     {docs}\n"
        )
    }
}

/// All that was found about a plug-in. `Display` is what a failed check shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    class: String,
    violations: Vec<Violation>,
}

impl Report {
    /// The rules that the plug-in broke, in the order in which they were tried; none if it keeps the contract.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Panics if a rule is broken.
    #[track_caller]
    pub(super) fn check(&self) {
        assert!(self.violations.is_empty(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = if self.violations.len() == 1 { "rule" } else { "rules" };
        let count = self.violations.len();
        writeln!(f, "{} breaks {count} {rules} of the contract of plug-ins", self.class)?;
        for (index, violation) in self.violations.iter().enumerate() {
            write!(f, "\n{}. {violation}", index + 1)?;
        }
        Ok(())
    }
}

/// Notes what is found. A rule that is broken in many ways is told once.
#[derive(Debug)]
pub(super) struct Notes {
    report: Report,
}

impl Notes {
    pub(super) fn new(class: &str) -> Self {
        Notes { report: Report { class: class.to_owned(), violations: Vec::new() } }
    }

    pub(super) fn into_report(self) -> Report {
        self.report
    }

    pub(super) fn broken(&mut self, rule: &Rule, did: impl Into<String>, saw: impl Into<String>) {
        let violations = &mut self.report.violations;
        if violations.iter().any(|known| known.rule == rule.name) {
            return;
        }
        let Rule { name, expected, docs } = *rule;
        violations.push(Violation { rule: name, expected, docs, did: did.into(), saw: saw.into() });
    }

    pub(super) fn expect(
        &mut self,
        holds: bool,
        rule: &Rule,
        did: impl Into<String>,
        saw: impl FnOnce() -> String,
    ) {
        if !holds {
            self.broken(rule, did, saw());
        }
    }

    /// A call may have any outcome, but must come back. `None`: it did not.
    pub(super) fn returned<T>(&mut self, did: &str, outcome: std::result::Result<T, Fault>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(Fault::Panicked(words)) => {
                self.broken(&NO_PANIC, did, format!("a panic: {words}"));
                None
            }
            Err(Fault::Hung(limit)) => {
                self.broken(&RETURNS, did, format!("it had not returned after {limit:?}"));
                None
            }
            // It was told why.
            Err(Fault::Gone) => None,
        }
    }

    /// A call must succeed. `None`: it did not.
    pub(super) fn succeeded<T>(
        &mut self,
        rule: &Rule,
        did: &str,
        outcome: std::result::Result<Result<T>, Fault>,
    ) -> Option<T> {
        match self.returned(did, outcome)? {
            Ok(value) => Some(value),
            Err(error) => {
                self.broken(rule, did, shown(&error));
                None
            }
        }
    }
}

/// An error as a violation shows it.
pub(super) fn shown(error: &ConnectError) -> String {
    format!("an error of kind {:?}: {}", error.kind(), error.trace().trim_end())
}

const NO_PANIC: Rule = Rule {
    name: "no call panics",
    expected: "an error, or nothing: a panic ends a task at once, without stop and without a last commit",
    docs: "herdsman::api, «What holds for all of them»",
};

const RETURNS: Rule = Rule {
    name: "every call returns",
    expected: "that the call comes back in time, since a stop waits for it; a task with nothing to do says Idle",
    docs: "herdsman::api, «What holds for all of them»",
};
