//! Worker settings that nobody knows: one warning for all of them, each with the name that was probably meant.

use super::keys;
use crate::api::Settings;

/// Below these anything may stand: it belongs to clients, converters, providers, topics or TLS.
const FREE_PREFIXES: &[&str] = &[
    "producer.",
    "consumer.",
    "admin.",
    "config.providers.",
    "metrics.context.",
    "key.converter.",
    "value.converter.",
    "header.converter.",
    "internal.key.converter",
    "internal.value.converter",
    "config.storage.",
    "offset.storage.",
    "status.storage.",
    "listeners.https.",
    "admin.listeners.https.",
    "ssl.",
    "sasl.",
];

/// The warning about unknown settings, if there are any. They never end the worker.
pub(super) fn warning(settings: &Settings) -> Option<String> {
    let known: Vec<&str> = keys::all().iter().map(|entry| entry.key.name.as_str()).collect();
    let mut unknown: Vec<String> = settings
        .keys()
        .filter(|key| !known.contains(&key.as_str()))
        .filter(|key| !FREE_PREFIXES.iter().any(|prefix| key.starts_with(prefix)))
        .map(|key| match nearest(key, &known) {
            Some(name) => format!("{key} (did you mean {name}?)"),
            None => key.clone(),
        })
        .collect();
    unknown.sort();
    if unknown.is_empty() {
        return None;
    }
    Some(format!("These worker settings are not known and do nothing: {}", unknown.join(", ")))
}

/// The known name that differs least, if it differs by no more than a third of its letters.
fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |name: &str| strsim::damerau_levenshtein(key, name);
    let (count, name) = known.iter().map(|name| (distance(name), *name)).min()?;
    (count <= name.len() / 3).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keys: &[&str], expected: Option<&str>) {
        let settings = keys.iter().map(|&key| (key.to_owned(), String::new())).collect();
        let prefix = "These worker settings are not known and do nothing: ";
        assert_eq!(warning(&settings), expected.map(|text| format!("{prefix}{text}")));
    }

    #[test]
    fn the_probable_name_is_offered() {
        check(
            &["offset.flush.intervall.ms"],
            Some("offset.flush.intervall.ms (did you mean offset.flush.interval.ms?)"),
        );
        check(&["x", "listner"], Some("listner (did you mean listeners?), x"));
        check(&["listeners", "group.id", "producer.x", "ssl.x", "key.converter.x", "offset.storage.x"], None);
    }
}
