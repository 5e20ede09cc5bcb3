//! The connector itself: it watches the outside world and says how the work is split into tasks.
//!
//! 1. A plug-in makes a [`Connector`] when the connector is to run on this worker; `start` follows at once, and is called
//!    once. One that a user has paused or stopped is not made before it is resumed.
//! 2. `task_configs` follows, and again whenever the connector asked for it by
//!    [`ConnectorContext::request_task_reconfiguration`]. The worker compares what it says with what runs, and starts the
//!    tasks anew if anything differs: the same question should get the same answer.
//! 3. `stop` is the last call: on a pause or stop, a restart, new settings, a rebalance that moves the connector to another
//!    worker, and the end of the worker. It follows a failed `start`, too, since that may have begun something. It waits for
//!    a call that has not returned; 5 s after it was asked for, the instance is abandoned.
//!
//! All calls for one connector come one after another, from threads of the worker's pool, never from the tick thread.
//! A call may block: it stops nobody but this connector. A request over REST that waits for it is answered with 500 after
//! `rest.request.timeout.ms` (90 s), and the call goes on.
//!
//! | What | makes the worker |
//! |---|---|
//! | an error or panic of `start` | show the connector as FAILED; it has no tasks, or keeps those it had |
//! | an error or panic of `task_configs` | the same: it is not asked again before a restart |
//! | more tasks than `tasks_max` | the same, unless `tasks.max.enforce` is `false`, which a warning says |
//! | [`ConnectorContext::raise_error`] | the same, at any time between `start` and `stop` |
//! | an error or panic of `stop` | log it; the connector counts as stopped |
//!
//! Tasks run beside their connector, on any worker of the group, and are not told what happens to it.

use super::Settings;
use super::config_def::{ConfigDef, ConfigValue};
use super::error::{ConnectError, Result};
use super::registry::UNDEFINED_VERSION;

/// How a running connector reaches the worker. Cheap to clone into threads of the connector's own. A call may wait for
/// a moment while the worker is busy. What an instance says after its `stop` is not believed.
pub trait ConnectorContext: Send + Sync {
    /// Asks for another call of `task_configs`: the split into tasks should change.
    fn request_task_reconfiguration(&self);

    /// Reports a failure outside of any call: the connector becomes FAILED.
    fn raise_error(&self, error: ConnectError);
}

/// A connector of either kind.
pub trait Connector: Send {
    /// Begins the work with settings that were validated. Should return soon: what takes long belongs into a thread of the
    /// connector's own, which `stop` joins. Errors make the connector FAILED.
    fn start(&mut self, context: std::sync::Arc<dyn ConnectorContext>, settings: &Settings) -> Result<()>;

    /// The settings of each task: at least one, at most `tasks_max`, which is 1 or more. Any names and values; each task gets
    /// its own and nothing else. What belongs to the worker in them (`name`, converters, `transforms`) has no effect here:
    /// that comes from the connector's settings. Values that were references to config providers are stored as such.
    fn task_configs(&mut self, tasks_max: u32) -> Result<Vec<Settings>>;

    /// Ends the work and joins threads of the connector's own. The instance is dropped after it. An error is logged.
    fn stop(&mut self) -> Result<()>;
}

/// What both kinds of connector plug-in say about themselves. Stateless and shared by all threads.
pub trait ConnectorPlugin: Send + Sync {
    /// The full class name, Apache's where Apache has it.
    fn class(&self) -> &'static str;

    /// Its version: what `GET /connector-plugins` shows and `connector.plugin.version` and its like ask for. Usually
    /// `env!("CARGO_PKG_VERSION")`.
    fn version(&self) -> &'static str {
        UNDEFINED_VERSION
    }

    /// The full class name of its tasks, which their settings show as `task.class`. Nothing is found by it.
    fn task_class(&self) -> &'static str;

    /// The connector's own settings. Called often, by validations and by `GET /connector-plugins/NAME/config`: always the
    /// same, whatever is going on.
    fn config_def(&self) -> ConfigDef;

    /// Checks settings beyond what [`ConfigDef`] can say, such as settings that exclude each other. `values` are the results
    /// so far, one for each key: a complaint is added to the `errors` of one. Called at each validation, also when settings
    /// are missing or wrong already, for connectors that run or do not exist. May look outside, and should be quick:
    /// whoever creates the connector waits for it.
    fn validate(&self, settings: &Settings, values: &mut [ConfigValue]) {
        let _ = (settings, values);
    }

    /// A new connector, not started.
    fn connector(&self) -> Box<dyn Connector>;
}
