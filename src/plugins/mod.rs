//! The plug-ins that come with the worker. They use `api` and `stdx` only, as any other author's would.

pub mod converters;
mod decimal;
pub mod exec;
#[cfg(feature = "faults")]
pub mod faults;
pub mod file;
mod literal;
pub mod tools;
pub mod transforms;

use crate::api::registry::Registry;
use exec::Programs;

/// All plug-ins that come with the worker. Those that are programs of their own run none.
pub fn registry() -> Registry {
    registry_running(&Programs::none())
}

/// All plug-ins that come with the worker, and which programs they may run.
pub fn registry_running(programs: &Programs) -> Registry {
    let mut registry = Registry::new();
    converters::register(&mut registry);
    exec::register(&mut registry, programs);
    file::register(&mut registry);
    tools::register(&mut registry);
    transforms::register(&mut registry);
    #[cfg(feature = "faults")]
    faults::register(&mut registry);
    registry
}

#[cfg(test)]
mod pages {
    use super::*;
    use crate::config::reference::{check_page, connectors_page, converters_page};

    #[test]
    fn the_page_of_connectors_is_fresh() {
        let mut registry = Registry::new();
        file::register(&mut registry);
        tools::register(&mut registry);
        check_page("connectors.md", &connectors_page(&registry));
    }

    #[test]
    fn the_page_of_converters_is_fresh() {
        let mut registry = Registry::new();
        converters::register(&mut registry);
        check_page("converters.md", &converters_page(&registry));
    }
}
