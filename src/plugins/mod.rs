//! The plug-ins that come with the worker. They use `api` and `stdx` only, as any other author's would.

pub mod converters;
mod decimal;
pub mod exec;
#[cfg(feature = "faults")]
pub mod faults;
pub mod file;
mod literal;
mod settings;
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
mod tests {
    use super::*;
    use crate::config::reference::{check_page, connectors_page};

    #[test]
    fn the_page_of_the_connectors_that_ship_is_fresh() {
        let mut registry = Registry::new();
        file::register(&mut registry);
        tools::register(&mut registry);
        let plugins = registry.connectors().map(|class| class.plugin());
        let classes: Vec<_> = plugins.map(|plugin| (plugin.class(), plugin.config_def())).collect();
        check_page("connectors.md", &connectors_page(&classes));
    }
}
