//! What could be in the standard library: named threads, a pool that grows with need, replies that cannot be
//! forgotten, classes of errors, locks, time as a value, numbers over the latest time, whom the system trusts; dates, numbers,
//! regular expressions, Base64 and message authentication codes as Java has them.

pub mod backoff;
pub mod error_class;
pub mod java_base64;
pub mod java_calendar;
pub mod java_date_format;
pub mod java_mac;
pub mod java_number;
pub mod java_regex;
pub mod log_context;
pub mod mutex;
pub mod panics;
pub mod pool;
pub mod reply;
pub mod restart_policy;
pub mod sampled;
pub mod system_trust;
pub mod thread;
pub mod time;
