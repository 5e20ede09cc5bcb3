//! Whether a source connector can be as it is asked to be: exactly once, and with transactions that end where it says
//! (KIP-618). Only a worker in a group looks at that.

use super::framework::complain;
use crate::api::Settings;
use crate::api::config_def::ConfigValue;
use crate::api::error::ConnectError;
use crate::api::source::{SourcePlugin, Support};

const SUPPORT: &str = "exactly.once.support";
const BOUNDARY: &str = "transaction.boundary";

/// Checks what the settings ask for. `enabled`: source tasks of this worker write exactly once.
pub(super) fn check(
    plugin: &dyn SourcePlugin,
    enabled: bool,
    settings: &Settings,
    values: &mut [ConfigValue],
) {
    if asks(settings, SUPPORT, "required")
        && let Some(why) = unsupported(plugin, enabled, settings)
    {
        complain(values, SUPPORT, &why);
    }
    if asks(settings, BOUNDARY, "connector")
        && let Some(why) = without_boundaries(plugin, settings)
    {
        complain(values, BOUNDARY, &why);
    }
}

/// A worker that is alone takes what is asked for and does not do it, as Apache's: at least it says so.
pub(super) fn note_standalone(settings: &Settings) {
    if asks(settings, SUPPORT, "required") {
        log::warn!(
            "{SUPPORT}=required: a standalone worker delivers at least once; exactly-once needs distributed mode"
        );
    }
}

fn asks(settings: &Settings, key: &str, word: &str) -> bool {
    settings.get(key).is_some_and(|value| value.trim().eq_ignore_ascii_case(word))
}

fn unsupported(plugin: &dyn SourcePlugin, enabled: bool, settings: &Settings) -> Option<String> {
    if !enabled {
        return Some("This worker does not have exactly-once source support enabled.".to_owned());
    }
    match plugin.exactly_once_support(settings) {
        Ok(Some(Support::Supported)) => None,
        Ok(Some(Support::Unsupported)) => Some(
            "The connector does not support exactly-once semantics with the provided configuration.".to_owned(),
        ),
        Ok(None) => Some(
            "The connector does not say whether it supports exactly-once semantics. If its documentation says that it \
             does, set this to 'requested', with which it is not asked."
                .to_owned(),
        ),
        Err(why) => Some(unexpected(&why)),
    }
}

fn without_boundaries(plugin: &dyn SourcePlugin, settings: &Settings) -> Option<String> {
    match plugin.can_define_transaction_boundaries(settings) {
        Ok(Support::Supported) => None,
        Ok(Support::Unsupported) => Some(
            "The connector does not support connector-defined transaction boundaries with its current configuration. \
             Please reconfigure it to use a different transaction boundary definition."
                .to_owned(),
        ),
        Err(why) => Some(unexpected(&why)),
    }
}

fn unexpected(why: &ConnectError) -> String {
    format!("An unexpected error occurred during validation: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::config_def::ConfigDef;
    use crate::api::connector::{Connector, ConnectorPlugin};
    use crate::api::error::Result;
    use crate::api::source::SourceTask;

    /// Says what it is made with; `None` is that it fails.
    struct Says(Option<Option<Support>>, Option<Support>);

    impl ConnectorPlugin for Says {
        fn class(&self) -> &'static str {
            "test.Says"
        }

        fn task_class(&self) -> &'static str {
            "test.SaysTask"
        }

        fn config_def(&self) -> ConfigDef {
            ConfigDef::new()
        }

        fn connector(&self) -> Box<dyn Connector> {
            unreachable!("it is only asked")
        }
    }

    impl SourcePlugin for Says {
        fn task(&self) -> Box<dyn SourceTask> {
            unreachable!("it is only asked")
        }

        fn exactly_once_support(&self, _: &Settings) -> Result<Option<Support>> {
            self.0.ok_or_else(|| ConnectError::connect("no idea"))
        }

        fn can_define_transaction_boundaries(&self, _: &Settings) -> Result<Support> {
            self.1.ok_or_else(|| ConnectError::connect("no idea"))
        }
    }

    /// The messages about both keys.
    fn messages(plugin: &Says, enabled: bool, support: &str, boundary: &str) -> [Vec<String>; 2] {
        let settings: Settings = [(SUPPORT, support), (BOUNDARY, boundary)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        let def = super::super::framework_def::of_sources();
        let mut values = def.validate(&settings);
        check(plugin, enabled, &settings, &mut values);
        [SUPPORT, BOUNDARY].map(|key| {
            let value = values.iter().find(|value| value.name == key);
            value.map(|value| value.errors.clone()).unwrap_or_default()
        })
    }

    #[test]
    fn what_is_required_must_be_there() {
        let (yes, no) = (Some(Support::Supported), Some(Support::Unsupported));
        for (plugin, enabled, support, expected) in [
            (Says(Some(yes), yes), true, "required", ""),
            (Says(Some(yes), yes), true, "REQUIRED", ""),
            (Says(Some(no), yes), false, "requested", ""),
            (
                Says(Some(yes), yes),
                false,
                "Required",
                "This worker does not have exactly-once source support enabled.",
            ),
            (
                Says(Some(no), yes),
                true,
                "required",
                "The connector does not support exactly-once semantics with the provided configuration.",
            ),
            (Says(Some(None), yes), true, "required", "set this to 'requested'"),
            (Says(None, yes), true, "required", "An unexpected error occurred during validation: no idea"),
        ] {
            let [found, _] = messages(&plugin, enabled, support, "poll");
            assert!(found.iter().all(|why| why.contains(expected)), "{found:?}");
            assert_eq!(found.len(), usize::from(!expected.is_empty()), "{support} {found:?}");
        }
    }

    #[test]
    fn boundaries_of_a_connector_need_a_connector_that_has_them() {
        let (yes, no) = (Some(Support::Supported), Some(Support::Unsupported));
        for (says, boundary, expected) in [
            (yes, "connector", ""),
            (no, "poll", ""),
            (no, "Connector", "does not support connector-defined transaction boundaries"),
            (None, "connector", "An unexpected error occurred during validation: no idea"),
        ] {
            let [_, found] = messages(&Says(Some(None), says), false, "requested", boundary);
            assert!(found.iter().all(|why| why.contains(expected)), "{found:?}");
            assert_eq!(found.len(), usize::from(!expected.is_empty()), "{boundary} {found:?}");
        }
    }
}
