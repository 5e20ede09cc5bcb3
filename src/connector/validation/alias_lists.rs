//! Bounds of the lists whose elements become names of settings: `transforms`, `predicates` and
//! `topic.creation.groups`.

use super::ValidationError;
use crate::api::Settings;
use crate::config::topic_creation::GROUPS;

/// How many aliases a list may have. An answer of validation has all settings of each alias, so without a bound a few
/// kilobytes ask for many megabytes.
pub(super) const ALIASES_MAX: usize = 256;

/// The elements of a list. An empty one between two commas is one, too.
fn elements<'a>(settings: &'a Settings, list: &str) -> impl Iterator<Item = &'a str> {
    let text = settings.get(list).map_or("", |text| text.trim());
    text.split(',').map(str::trim).filter(move |_| !text.is_empty())
}

/// What is wrong with a list that is too long; its aliases count for nothing then.
pub(super) fn excess(settings: &Settings, list: &str) -> Option<String> {
    let count = elements(settings, list).count();
    (count > ALIASES_MAX)
        .then(|| format!("Configuration '{list}' has {count} aliases. At most {ALIASES_MAX} are possible."))
}

/// The aliases of a list, each once; none of one that is too long.
pub(super) fn aliases<'a>(settings: &'a Settings, list: &str) -> Vec<&'a str> {
    let mut aliases = Vec::new();
    if excess(settings, list).is_none() {
        for alias in elements(settings, list) {
            if !aliases.contains(&alias) {
                aliases.push(alias);
            }
        }
    }
    aliases
}

/// Refuses aliases that only a config provider knows: they become names of settings, and those are shown.
pub(super) fn check_given(written: &Settings, resolved: &Settings) -> Result<(), ValidationError> {
    for (list, required) in [("transforms", "type"), ("predicates", "type"), (GROUPS, "include")] {
        let prefix = list.strip_suffix("groups").map_or_else(|| format!("{list}."), str::to_owned);
        let is_set = |alias: &str| resolved.contains_key(&format!("{prefix}{alias}.{required}"));
        if let Some(text) = written.get(list)
            && resolved.get(list) != Some(text)
            && !elements(resolved, list).all(is_set)
        {
            return Err(ValidationError::Invalid(format!(
                "Configuration '{list}' is {text}: each alias that a config provider gives must have a setting \
                 '{prefix}ALIAS.{required}'."
            )));
        }
    }
    Ok(())
}
