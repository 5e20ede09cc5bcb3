//! `ExecSource` and `ExecSink`: connectors that are programs of their own, in any language.
//!
//! Each task runs one child process and speaks with it in lines of JSON over two descriptors that the child inherits.
//! A record counts as delivered when the other side has said so by its id, never because it went into a pipe. What the
//! child prints is the program's log. [`message`] is what it may say, [`words`] what it is told, [`life`] what becomes
//! of it.
//!
//! A child can harm its own task only: every line, queue and wait has a bound, and it dies with its task, with its
//! process group, and with the worker.

mod child;
mod connector;
mod in_flight;
mod input;
pub mod launch;
mod life;
mod lines;
mod log_lines;
mod message;
mod polling;
mod process;
mod program;
mod records;
mod restarts;
mod sink;
mod source;
mod task;
mod words;

pub use program::Programs;
pub use sink::ExecSink;
pub use source::ExecSource;

use crate::api::registry::Registry;

/// Adds both connectors. They run only what `programs` allows.
pub fn register(registry: &mut Registry, programs: &Programs) {
    registry.add_source(ExecSource::new(programs.clone()));
    registry.add_sink(ExecSink::new(programs.clone()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::connector::ConnectorPlugin;
    use crate::config::reference::{check_page, plugin_page};

    #[test]
    fn the_page_of_their_settings_is_fresh() {
        let introduction = "# ExecSource and ExecSink\n\n\
            Connectors that are programs in any language: see [the guide](../guide/exec.md). Besides [what every \
            connector takes](connector-configs.md):";
        let none = Programs::none();
        let (source, sink) = (ExecSource::new(none.clone()).config_def(), ExecSink::new(none).config_def());
        check_page("exec-configs.md", &plugin_page(introduction, &source, &sink));
    }

    #[test]
    fn both_have_short_names() {
        let registry = crate::plugins::registry();
        for (alias, class) in [
            ("ExecSource", "herdsman.exec.ExecSourceConnector"),
            ("ExecSink", "herdsman.exec.ExecSinkConnector"),
        ] {
            assert_eq!(registry.connector(alias).unwrap().plugin().class(), class);
        }
    }
}
