//! What could be in the standard library: named threads, a pool that grows with need, replies that cannot be
//! forgotten, time as a value.

pub mod backoff;
pub mod pool;
pub mod reply;
pub mod thread;
pub mod time;
