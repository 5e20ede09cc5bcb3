//! From files to typed settings. Every setting is parsed, defaulted and checked once, here; the rest of the worker
//! sees typed values only. The tables in this folder feed the parser, the REST API and `docs/reference/`.

pub mod broker;
pub mod client;
pub mod connector_file;
mod files;
pub mod jaas;
pub mod override_policy;
pub mod properties;
pub mod providers;
pub mod reference;
pub mod stores;
pub mod topic_creation;
pub mod worker;
