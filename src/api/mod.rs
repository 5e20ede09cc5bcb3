//! What the author of a connector, converter or transform sees.
//!
//! Nothing here knows how the worker is built. A plug-in depends on this module and on nothing else of the crate.

pub mod config_def;
pub mod connect_record;
pub mod connector;
pub mod converter;
pub mod data;
pub mod errant;
pub mod error;
pub mod ids;
pub mod offset;
pub mod record;
pub mod registry;
pub mod sink;
pub mod source;
pub mod text;
pub mod topic_name;
pub mod transform;
pub mod validation;

use indexmap::IndexMap;

/// Settings by name, as text: what a properties file or a REST body holds, in its order (which equality ignores).
pub type Settings = IndexMap<String, String>;
