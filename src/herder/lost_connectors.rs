//! Connectors that went with the records of a config topic when another took its place.

use std::collections::BTreeSet;

use crate::api::ids::ConnectorName;
use crate::store::config_state::ConfigState;

/// How many are named.
const NAMED_MAX: usize = 20;

/// Those that were configured in the topic before, until the new one is read.
#[derive(Debug, Default)]
pub(super) struct LostConnectors(BTreeSet<ConnectorName>);

impl LostConnectors {
    /// The topic is another one than what is configured was read from.
    pub(super) fn suspect(&mut self, configs: &ConfigState) {
        self.0.extend(configs.names().cloned());
    }

    /// The new topic was read to its end: those that are not in it, and what to do; `None` if all are there.
    pub(super) fn told(&mut self, configs: &ConfigState) -> Option<String> {
        let before = std::mem::take(&mut self.0);
        let lost: Vec<_> = before.iter().filter(|name| !configs.contains(name)).collect();
        let named: Vec<_> = lost.iter().take(NAMED_MAX).map(|name| name.as_str()).collect();
        let more = match lost.len() - named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (!lost.is_empty()).then(|| {
            format!(
                "The config topic was read anew, and {} connectors that this worker knew are not in it any more, so they \
                 end: {}{more}. If nobody meant to delete them, stop all workers and restore the topic, or create the \
                 connectors again under their names: they go on after their stored offsets",
                lost.len(),
                named.join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::config_records::ConfigRecord;

    /// What is configured after these records; those with a `-` are deletions.
    fn configs(names: &[&str]) -> ConfigState {
        let mut configs = ConfigState::default();
        for name in names {
            let record = match name.strip_prefix('-') {
                Some(name) => ConfigRecord::Removed(name.into()),
                None => ConfigRecord::Connector { name: (*name).into(), settings: Default::default() },
            };
            configs.apply(&record);
        }
        configs
    }

    #[test]
    fn what_a_new_topic_lacks_is_lost() {
        let table: &[(&[&str], &[&str], Option<&str>)] = &[
            (
                &["a", "b", "c"],
                &["b"],
                Some("2 connectors that this worker knew are not in it any more, so they end: a, c."),
            ),
            (&["a", "b"], &["b", "a"], None),
            (&["a", "b", "-a"], &[], Some(": b.")),
            (&[], &["a"], None),
            (&["a"], &["a", "-a"], Some(": a.")),
        ];
        for (before, after, told) in table {
            let mut lost = LostConnectors::default();
            assert_eq!(lost.told(&configs(before)), None, "it is read for the first time");
            lost.suspect(&configs(before));
            let said = lost.told(&configs(after));
            assert_eq!(said.is_some(), told.is_some(), "{said:?}");
            assert!(said.unwrap_or_default().contains(told.unwrap_or_default()), "{before:?} {after:?}");
            assert_eq!(lost.told(&configs(after)), None, "it is told once");
        }
    }

    #[test]
    fn a_topic_that_begins_anew_twice_before_it_is_read_has_lost_what_was_first() {
        let mut lost = LostConnectors::default();
        lost.suspect(&configs(&["a", "b"]));
        lost.suspect(&configs(&["a"]));
        assert!(lost.told(&configs(&["a"])).unwrap().contains(": b."));
    }

    #[test]
    fn many_are_named_in_part() {
        let names: Vec<_> = (0..23).map(|number| format!("c{number:02}")).collect();
        let mut lost = LostConnectors::default();
        lost.suspect(&configs(&names.iter().map(String::as_str).collect::<Vec<_>>()));
        let told = lost.told(&configs(&[])).unwrap();
        for part in ["23 connectors", ": c00, c01, ", ", c19 and 3 more. ", "restore the topic"] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }
}
