//! The plug-ins that come with the worker. They use `api` and `stdx` only, as any other author's would.

pub mod converters;
pub mod file;
mod settings;
