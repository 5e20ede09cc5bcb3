//! The one error that plug-ins give to the worker: a kind the worker decides by, and words for people.

use std::error::Error;
use std::fmt;

/// What the worker makes of an error. Named after Connect's exceptions, so that traces, headers of the dead letter
/// queue and dashboards read the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// May go away by itself: what failed is tried again.
    Retriable,
    /// A record cannot be converted or does not fit its schema.
    Data,
    /// A schema was built wrongly.
    SchemaBuilder,
    /// A setting is wrong.
    Config,
    /// Something was not found.
    NotFound,
    /// A method was called with what it does not take.
    IllegalArgument,
    /// Any other failure: the task or connector fails.
    Connect,
}

impl ErrorKind {
    /// The name of Connect's exception of this kind.
    pub fn class_name(self) -> &'static str {
        match self {
            ErrorKind::Retriable => "org.apache.kafka.connect.errors.RetriableException",
            ErrorKind::Data => "org.apache.kafka.connect.errors.DataException",
            ErrorKind::SchemaBuilder => "org.apache.kafka.connect.errors.SchemaBuilderException",
            ErrorKind::Config => "org.apache.kafka.common.config.ConfigException",
            ErrorKind::NotFound => "org.apache.kafka.connect.errors.NotFoundException",
            ErrorKind::IllegalArgument => "java.lang.IllegalArgumentException",
            ErrorKind::Connect => "org.apache.kafka.connect.errors.ConnectException",
        }
    }
}

/// A failure of a connector, task, converter or transform.
#[derive(Debug)]
pub struct ConnectError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The result of what a plug-in does.
pub type Result<T> = std::result::Result<T, ConnectError>;

impl ConnectError {
    /// An error of the given kind. The message says what failed, on what, and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        ConnectError(Box::new(Inner { kind, message: message.into(), source: None }))
    }

    /// Any failure that ends a task.
    pub fn connect(message: impl Into<String>) -> Self {
        ConnectError::new(ErrorKind::Connect, message)
    }

    /// A record that cannot be converted.
    pub fn data(message: impl Into<String>) -> Self {
        ConnectError::new(ErrorKind::Data, message)
    }

    /// A wrong setting.
    pub fn config(message: impl Into<String>) -> Self {
        ConnectError::new(ErrorKind::Config, message)
    }

    /// A failure that may go away by itself.
    pub fn retriable(message: impl Into<String>) -> Self {
        ConnectError::new(ErrorKind::Retriable, message)
    }

    /// The same error with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What the worker decides by.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether trying again may help.
    pub fn is_retriable(&self) -> bool {
        self.0.kind == ErrorKind::Retriable
    }

    /// The message alone, without the cause.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The chain of causes in the form that Connect users know: `class: message`, then `Caused by: …` lines.
    pub fn trace(&self) -> String {
        let mut text = format!("{}: {}", self.kind().class_name(), self.message());
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str("\nCaused by: ");
            if let Some(connect) = error.downcast_ref::<ConnectError>() {
                text.push_str(connect.kind().class_name());
                text.push_str(": ");
            }
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text.push('\n');
        text
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_names_every_cause() {
        let error = ConnectError::connect("Exiting WorkerSourceTask due to unrecoverable exception.")
            .caused_by(ConnectError::data("bad line").caused_by(std::io::Error::other("disk")));
        assert_eq!(
            error.trace(),
            "org.apache.kafka.connect.errors.ConnectException: Exiting WorkerSourceTask due to unrecoverable \
             exception.\nCaused by: org.apache.kafka.connect.errors.DataException: bad line\nCaused by: disk\n"
        );
    }
}
