//! Records on their way through tasks, on the embedded broker and with plug-ins made for the purpose.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod dead_letters;
mod errors;
mod exactly_once;
mod plugins;
mod reports;
mod sink;
mod source;
mod support;
mod topic_creation;
mod transforms;
