//! What could be in the standard library: named threads, a pool that grows with need, replies that cannot be
//! forgotten, classes of errors, time as a value.

pub mod backoff;
pub mod error_class;
pub mod log_context;
pub mod pool;
pub mod reply;
pub mod thread;
pub mod time;
