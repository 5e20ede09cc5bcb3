//! The connector itself: it watches the outside world and says how the work is split into tasks.
//!
//! 1. A plug-in makes a [`Connector`]; the worker calls `start` once.
//! 2. `task_configs` follows, and again whenever the connector asked for it.
//! 3. `stop` is the last call, also after a failed `start`.
//!
//! All calls for one connector come one after another, from threads of the worker's pool, never from the tick thread.
//! A call may block: it stops nobody but this connector.

use super::Settings;
use super::config_def::{ConfigDef, ConfigValue};
use super::error::{ConnectError, Result};

/// How a running connector reaches the worker. Cheap to clone into threads of the connector's own.
pub trait ConnectorContext: Send + Sync {
    /// Asks for another call of `task_configs`: the split into tasks should change.
    fn request_task_reconfiguration(&self);

    /// Reports a failure outside of any call: the connector becomes FAILED.
    fn raise_error(&self, error: ConnectError);
}

/// A connector of either kind.
pub trait Connector: Send {
    /// Begins the work with settings that were validated. Errors make the connector FAILED.
    fn start(&mut self, context: std::sync::Arc<dyn ConnectorContext>, settings: &Settings) -> Result<()>;

    /// The settings of each task: at least one, at most `tasks_max`.
    fn task_configs(&mut self, tasks_max: u32) -> Result<Vec<Settings>>;

    /// Ends the work and joins threads of the connector's own. An error is logged.
    fn stop(&mut self) -> Result<()>;
}

/// What both kinds of connector plug-in say about themselves. Stateless and shared by all threads.
pub trait ConnectorPlugin: Send + Sync {
    /// The full class name, Apache's where Apache has it.
    fn class(&self) -> &'static str;

    /// The full class name of its tasks.
    fn task_class(&self) -> &'static str;

    /// The connector's own settings.
    fn config_def(&self) -> ConfigDef;

    /// Checks settings beyond what [`ConfigDef`] can say. `values` are the results so far, one for each key.
    fn validate(&self, settings: &Settings, values: &mut [ConfigValue]) {
        let _ = (settings, values);
    }

    /// A new connector, not started.
    fn connector(&self) -> Box<dyn Connector>;
}
