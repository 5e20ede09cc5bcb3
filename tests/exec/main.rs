//! Programs as connectors: polite ones, and those that break every rule. Tasks are called here as the worker calls them;
//! the real worker does it in `tests/it`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod ending;
mod examples;
mod sink;
mod source;
mod support;
