//! Settings of connectors that this version knows and does nothing about: what a person has to be told before they
//! rely on them.

use crate::api::Settings;
use crate::api::registry::ConnectorClass;

/// A setting, the text that means that it is not used, and what happens in its place.
type Unbuilt = (&'static str, &'static str, &'static str);

const OF_ALL: [Unbuilt; 2] = [
    ("errors.retry.timeout", "0", "nothing is tried again but what the connector calls retriable"),
    ("errors.log.enable", "false", "what errors.tolerance=all leaves out is not logged"),
];
const OF_SINKS: [Unbuilt; 1] = [(
    "errors.deadletterqueue.topic.name",
    "",
    "a record that fails ends the task, or is lost where errors.tolerance is all",
)];

/// What is to be said about the settings of a connector, a line each.
pub(super) fn notes(class: &ConnectorClass, settings: &Settings) -> Vec<String> {
    let of_kind = match class {
        ConnectorClass::Source(_) => &[][..],
        ConnectorClass::Sink(_) => OF_SINKS.as_slice(),
    };
    let is_used = |(key, unused, _): &&Unbuilt| {
        settings.get(*key).is_some_and(|value| !value.trim().eq_ignore_ascii_case(unused))
    };
    let note = |key: &str, instead: &str| format!("{key} is known but not built yet: {instead}");
    let used = OF_ALL.iter().chain(of_kind).filter(is_used);
    used.map(|(key, _, instead)| note(key, instead)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(class: &str, settings: &[(&str, &str)]) -> String {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let class = crate::plugins::registry().connector(class).cloned().unwrap();
        let notes = notes(&class, &settings);
        notes.iter().filter_map(|note| note.split(' ').next()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_used_and_not_built_is_told() {
        let at_rest = [
            ("errors.retry.timeout", "0"),
            ("errors.log.enable", "False"),
            ("errors.deadletterqueue.topic.name", " "),
        ];
        let used = [
            ("errors.retry.timeout", "-1"),
            ("errors.log.enable", "true"),
            ("errors.deadletterqueue.topic.name", "dead"),
        ];
        for class in ["FileStreamSource", "FileStreamSink"] {
            assert_eq!(keys(class, &[]), "");
            assert_eq!(keys(class, &at_rest), "");
        }
        assert_eq!(keys("FileStreamSource", &used), "errors.retry.timeout errors.log.enable");
        assert_eq!(
            keys("FileStreamSink", &used),
            "errors.retry.timeout errors.log.enable errors.deadletterqueue.topic.name"
        );
    }
}
