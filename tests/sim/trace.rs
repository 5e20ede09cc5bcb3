//! What happened last, for people.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use herdsman::group::events::{GroupEvent, MemberCommand};
use herdsman::group::protocol::{Assignment, Metadata};
use herdsman::herder::msg::{Effect, HerderEvent};
use herdsman::store::status_records::StatusRecord;

const LINES_MAX: usize = 400;

/// Takes lines down, or not: most seeds pass, and nobody reads theirs.
pub(crate) struct Trace(Option<RefCell<VecDeque<String>>>);

impl Trace {
    pub(crate) fn on() -> Self {
        Trace(Some(RefCell::default()))
    }

    pub(crate) fn off() -> Self {
        Trace(None)
    }

    pub(crate) fn add(&self, at: Duration, line: impl FnOnce() -> String) {
        let Some(lines) = &self.0 else { return };
        let mut lines = lines.borrow_mut();
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(format!("{:>11.6} {}", at.as_secs_f64(), line()));
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.0.iter().flat_map(|lines| lines.borrow().clone()) {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// An effect in a line. What is shown of a connector is long: its states are enough.
pub(crate) fn effect(effect: &Effect) -> String {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are short")]
    match effect {
        Effect::Publish(name, None) => format!("Publish {name}: gone"),
        Effect::Publish(name, Some(view)) => {
            let status = view.status.as_ref();
            let connector = status.map(|status| status.connector.state);
            let tasks: Vec<_> = status.iter().flat_map(|status| &status.tasks).collect();
            let tasks: Vec<_> =
                tasks.iter().map(|(index, task)| format!("{index}:{:?}", task.state)).collect();
            format!(
                "Publish {name}: {connector:?}, {} of {} tasks: {tasks:?}",
                tasks.len(),
                view.info.tasks.len()
            )
        }
        Effect::Member(MemberCommand::Join(protocols)) => {
            let read = protocols.first().map(|(_, bytes)| Metadata::decode(bytes));
            format!("Join {read:?}")
        }
        Effect::Member(MemberCommand::Assign { generation, assignments }) => {
            let read = assignments.iter().map(|(id, bytes)| format!("{id}: {:?}", Assignment::decode(bytes)));
            format!("Assign {generation} {:?}", read.collect::<Vec<_>>())
        }
        Effect::StartTask(task) => format!("StartTask {} {:?} {:?}", task.id, task.epoch, task.settings),
        Effect::WriteStatus(write) => status(&write.record()),
        other => format!("{other:?}"),
    }
}

/// An event in a line.
pub(crate) fn event(event: &HerderEvent) -> String {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are short")]
    match event {
        HerderEvent::Group(GroupEvent::Assigned { generation, assignment }) => {
            format!("Assigned {generation} {:?}", Assignment::decode(assignment))
        }
        HerderEvent::Group(GroupEvent::Joined { generation, member, leader, members, .. }) => {
            let members: Vec<_> = members.iter().flatten().map(|(id, _)| id.as_str()).collect();
            format!("Joined {generation} as {member} of {leader} {members:?}")
        }
        HerderEvent::StatusRead(records) => records.iter().map(status).collect(),
        other => format!("{other:?}"),
    }
}

fn status(record: &StatusRecord) -> String {
    match record {
        StatusRecord::Status(of, Some(status)) => {
            format!("<{of:?} {:?} {} {}>", status.state, status.worker, status.generation)
        }
        StatusRecord::Status(..) | StatusRecord::Topic { .. } => format!("<{record:?}>"),
    }
}
