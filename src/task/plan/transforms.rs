//! Which transforms a task has, and when they are used.

use crate::api::Settings;
use crate::api::error::{ConnectError, Result};
use crate::api::registry::Registry;
use crate::task::spec::{PredicateChoice, TransformChoice};

/// The transforms that the settings of the connector name, in their order.
///
/// # Errors
/// Of kind `Config`: a class or predicate that is not there, a `negate` that is no boolean.
pub(super) fn choose(registry: &Registry, connector: &Settings) -> Result<Vec<TransformChoice>> {
    let text = connector.get("transforms").map_or("", |text| text.trim());
    let aliases = text.split(',').map(str::trim).filter(|_| !text.is_empty());
    aliases.map(|alias| transform(registry, connector, alias)).collect()
}

fn transform(registry: &Registry, connector: &Settings, alias: &str) -> Result<TransformChoice> {
    let prefix = format!("transforms.{alias}.");
    let (class, settings) = class_and_settings(connector, &prefix)?;
    let plugin = registry.transform(class).ok_or_else(|| not_found(&prefix, class))?;
    let condition = match settings.get("predicate").map(|predicate| predicate.trim()) {
        None | Some("") => None,
        Some(predicate) => Some(condition(registry, connector, &prefix, predicate)?),
    };
    Ok(TransformChoice { plugin: plugin.clone(), settings, condition })
}

fn condition(
    registry: &Registry,
    connector: &Settings,
    transform: &str,
    alias: &str,
) -> Result<PredicateChoice> {
    let aliases = connector.get("predicates").map_or("", String::as_str);
    if !aliases.split(',').any(|other| other.trim() == alias) {
        return Err(invalid(
            &format!("{transform}predicate"),
            alias,
            "There is no such alias among the predicates of the connector",
        ));
    }
    let prefix = format!("predicates.{alias}.");
    let (class, settings) = class_and_settings(connector, &prefix)?;
    let plugin = registry.predicate(class).ok_or_else(|| not_found(&prefix, class))?;
    let key = format!("{transform}negate");
    let negate = match connector.get(&key).map(|text| text.trim()) {
        None => false,
        Some(text) if text.eq_ignore_ascii_case("true") => true,
        Some(text) if text.eq_ignore_ascii_case("false") => false,
        Some(text) => return Err(invalid(&key, text, "Expected value to be either true or false")),
    };
    Ok(PredicateChoice { plugin: plugin.clone(), settings, negate })
}

/// The class below a prefix, and all settings there without the prefix.
fn class_and_settings<'a>(connector: &'a Settings, prefix: &str) -> Result<(&'a str, Settings)> {
    let key = format!("{prefix}type");
    let class = connector.get(&key).map(|class| class.trim()).ok_or_else(|| {
        ConnectError::config(format!("Missing required configuration \"{key}\" which has no default value."))
    })?;
    let below = connector.iter().filter_map(|(name, value)| Some((name.strip_prefix(prefix)?, value)));
    Ok((class, below.map(|(name, value)| (name.to_owned(), value.clone())).collect()))
}

fn not_found(prefix: &str, class: &str) -> ConnectError {
    invalid(&format!("{prefix}type"), class, &format!("Class {class} could not be found."))
}

fn invalid(key: &str, value: &str, message: &str) -> ConnectError {
    ConnectError::config(format!("Invalid value {value} for configuration {key}: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(settings: &[(&str, &str)]) -> Result<Vec<TransformChoice>> {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        choose(&crate::plugins::registry(), &settings)
    }

    #[test]
    fn transforms_come_in_their_order_with_their_own_settings() {
        let choices = chosen(&[
            ("transforms", " b , a"),
            ("transforms.a.type", " Filter "),
            ("transforms.a.predicate", "p"),
            ("transforms.a.negate", "True"),
            ("transforms.b.type", "org.apache.kafka.connect.transforms.Cast$Value"),
            ("transforms.b.spec", "int8"),
            ("transforms.b.predicate", ""),
            ("transforms.bb.spec", "int16"),
            ("predicates", "p,q"),
            ("predicates.p.type", "TopicNameMatches"),
            ("predicates.p.pattern", ".*"),
        ]);
        let choices = choices.unwrap();
        assert_eq!(
            format!("{choices:?}"),
            "[TransformChoice(\"org.apache.kafka.connect.transforms.Cast$Value\", None), \
             TransformChoice(\"org.apache.kafka.connect.transforms.Filter\", \
             Some(PredicateChoice(\"org.apache.kafka.connect.transforms.predicates.TopicNameMatches\", true)))]"
        );
        assert_eq!(choices[0].settings.get("spec").map(String::as_str), Some("int8"));
        let pattern = choices[1].condition.as_ref().and_then(|condition| condition.settings.get("pattern"));
        assert_eq!(pattern.map(String::as_str), Some(".*"));
        assert_eq!(chosen(&[("transforms", " ")]).unwrap().len(), 0);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let no_type = "Missing required configuration \"transforms.a.type\" which has no default value.";
        let table: [(&[(&str, &str)], &str); 5] = [
            (&[("transforms", "a")], no_type),
            (
                &[("transforms", "a"), ("transforms.a.type", "x.T")],
                "Invalid value x.T for configuration transforms.a.type: Class x.T could not be found.",
            ),
            (
                &[("transforms", "a"), ("transforms.a.type", "Filter"), ("transforms.a.predicate", "p")],
                "Invalid value p for configuration transforms.a.predicate: There is no such alias among the \
                 predicates of the connector",
            ),
            (
                &[
                    ("transforms", "a"),
                    ("transforms.a.type", "Filter"),
                    ("transforms.a.predicate", "p"),
                    ("predicates", "p"),
                    ("predicates.p.type", "x.P"),
                ],
                "Invalid value x.P for configuration predicates.p.type: Class x.P could not be found.",
            ),
            (
                &[
                    ("transforms", "a"),
                    ("transforms.a.type", "Filter"),
                    ("transforms.a.predicate", "p"),
                    ("transforms.a.negate", "maybe"),
                    ("predicates", "p"),
                    ("predicates.p.type", "RecordIsTombstone"),
                ],
                "Invalid value maybe for configuration transforms.a.negate: Expected value to be either true or false",
            ),
        ];
        for (settings, message) in table {
            assert_eq!(chosen(settings).unwrap_err().message(), message);
        }
    }
}
