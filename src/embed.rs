//! The door of the crate: a worker with plug-ins of one's own beside the built-in ones, as a program or within one.
//!
//! [`Worker::builder`] takes plug-ins. [`WorkerBuilder::run_from_args`] makes a program of them with the whole command line
//! of herdsman; [`WorkerBuilder::standalone`] a worker in this process.

mod standalone;

use std::process::ExitCode;
use std::sync::Arc;

use crate::api::Settings;
use crate::api::converter::ConverterPlugin;
use crate::api::registry::{ConnectorClass, Plugin};
use crate::api::sink::SinkPlugin;
use crate::api::source::SourcePlugin;
use crate::api::transform::{PredicatePlugin, TransformPlugin};
use crate::cli::{Cli, Exit};

pub use standalone::{Health, Standalone, StartError, Worker};

/// A worker that is being put together: which plug-ins it has beside the built-in ones.
///
/// A plug-in is known by its full class name. A second one of a name, built-in ones included, is an error that
/// [`WorkerBuilder::run_from_args`] and [`Standalone::start`] tell; nothing is replaced silently. Like those of Apache's, a
/// plug-in can be named by the last part of its name, too, with or without `Connector`, `Converter`, `Transformation` or
/// `Predicate` at its end, as long as no other plug-in of its kind is called so.
///
/// ```no_run
/// # use herdsman::api::{Settings, config_def::ConfigDef, error::Result, transform::{Transform, TransformPlugin}};
/// # struct Redact;
/// # impl TransformPlugin for Redact {
/// #     fn class(&self) -> &'static str { "com.example.Redact" }
/// #     fn config_def(&self) -> ConfigDef { ConfigDef::new() }
/// #     fn transform(&self, _: &Settings) -> Result<Box<dyn Transform>> { Err(herdsman::api::error::ConnectError::config("not here")) }
/// # }
/// fn main() -> std::process::ExitCode {
///     herdsman::Worker::builder().transform(Redact).run_from_args()
/// }
/// ```
#[derive(Debug, Default)]
#[must_use = "a builder does nothing by itself"]
pub struct WorkerBuilder {
    added: Vec<Plugin>,
}

impl WorkerBuilder {
    /// Adds a source connector.
    pub fn source(self, plugin: impl SourcePlugin + 'static) -> Self {
        self.add(Plugin::Connector(ConnectorClass::Source(Arc::new(plugin))))
    }

    /// Adds a sink connector.
    pub fn sink(self, plugin: impl SinkPlugin + 'static) -> Self {
        self.add(Plugin::Connector(ConnectorClass::Sink(Arc::new(plugin))))
    }

    /// Adds a converter.
    pub fn converter(self, plugin: impl ConverterPlugin + 'static) -> Self {
        self.add(Plugin::Converter(Arc::new(plugin)))
    }

    /// Adds a transform.
    pub fn transform(self, plugin: impl TransformPlugin + 'static) -> Self {
        self.add(Plugin::Transform(Arc::new(plugin)))
    }

    /// Adds a predicate.
    pub fn predicate(self, plugin: impl PredicatePlugin + 'static) -> Self {
        self.add(Plugin::Predicate(Arc::new(plugin)))
    }

    fn add(mut self, plugin: Plugin) -> Self {
        self.added.push(plugin);
        self
    }

    /// Is the program: reads the command line of this process (`standalone`, `distributed`, `health`, `--help`,
    /// `--version`), carries it out, and gives the exit code of `docs/reference/exit-codes.md`. What went wrong is told on
    /// standard error. Begins a log on standard output and listens for SIGHUP, SIGINT and SIGTERM.
    ///
    /// To be called once, as the last thing of `main`.
    pub fn run_from_args(self) -> ExitCode {
        let run = || {
            let cli = Cli::read(&self.added)?;
            cli.run(&self.added).map(ExitCode::from).map_err(|failure| {
                eprintln!("herdsman: {failure}");
                failure.exit()
            })
        };
        run().unwrap_or_else(|exit: Exit| exit.into())
    }

    /// A worker in this process that keeps its offsets in a file and shares its work with nobody: for tests, and for
    /// programs that do more than this. `settings` are those of a worker properties file. Nothing runs yet.
    pub fn standalone(self, settings: Settings) -> Standalone {
        Standalone::new(self.added, settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::config_def::ConfigDef;
    use crate::api::connect_record::ConnectRecord;
    use crate::api::error::Result;
    use crate::api::registry::ClassTaken;
    use crate::api::transform::{Predicate, Transform};
    use crate::plugins;

    struct Named(&'static str, &'static str);

    impl TransformPlugin for Named {
        fn class(&self) -> &'static str {
            self.0
        }

        fn version(&self) -> &'static str {
            self.1
        }

        fn config_def(&self) -> ConfigDef {
            ConfigDef::new()
        }

        fn transform(&self, _: &Settings) -> Result<Box<dyn Transform>> {
            unreachable!("only names matter here")
        }
    }

    impl PredicatePlugin for Named {
        fn class(&self) -> &'static str {
            self.0
        }

        fn config_def(&self) -> ConfigDef {
            ConfigDef::new()
        }

        fn predicate(&self, _: &Settings) -> Result<Box<dyn Predicate>> {
            struct Never;
            impl Predicate for Never {
                fn test(&mut self, _: &ConnectRecord<'_>) -> Result<bool> {
                    Ok(false)
                }
            }
            Ok(Box::new(Never))
        }
    }

    #[test]
    fn a_class_name_is_there_once() {
        let insert = "org.apache.kafka.connect.transforms.InsertHeader";
        let cases = [
            (Worker::builder().transform(Named(insert, "9")), Some((insert, "4.3.1", "9"))),
            (
                Worker::builder().transform(Named("a.B", "1")).predicate(Named("a.B", "2")),
                Some(("a.B", "1", "undefined")),
            ),
            (Worker::builder().transform(Named("a.B", "1")).transform(Named("a.C", "1")), None),
        ];
        for (builder, taken) in cases {
            let taken = taken.map(|(class, there, added)| ClassTaken { class, there, added });
            assert_eq!(plugins::registry().with(&builder.added).err(), taken);
        }
    }

    #[test]
    fn a_plug_in_is_found_by_the_last_part_of_its_name_beside_the_built_in_ones() {
        let builder = Worker::builder().transform(Named("com.acme.Redact", "1"));
        let registry = plugins::registry().with(&builder.added).unwrap();
        assert_eq!(registry.transform("Redact").unwrap().class(), "com.acme.Redact");
        assert!(registry.transform("InsertHeader").is_some());
    }
}
