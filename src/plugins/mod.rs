//! The plug-ins that come with the worker. They use `api` and `stdx` only, as any other author's would.

pub mod converters;
mod decimal;
#[cfg(feature = "faults")]
pub mod faults;
pub mod file;
mod literal;
mod settings;
pub mod tools;
pub mod transforms;

use crate::api::registry::Registry;

/// All plug-ins that come with the worker.
pub fn registry() -> Registry {
    let mut registry = Registry::new();
    converters::register(&mut registry);
    file::register(&mut registry);
    tools::register(&mut registry);
    transforms::register(&mut registry);
    #[cfg(feature = "faults")]
    faults::register(&mut registry);
    registry
}
