//! The rules of `response.http.headers.config`: `[action] [name]:[value]`, separated by commas (KIP-577).

use std::time::Duration;

use crate::api::config_def::ConfigError;

/// What a rule does to an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderAction {
    /// Gives the header this value, in place of any other.
    Set(String),
    /// Adds the header with this value.
    Add(String),
    /// Gives the header the time so long after the answer, as an HTTP date.
    SetDate(Duration),
    /// Adds the header with that time.
    AddDate(Duration),
}

/// One rule, applied to every answer of the main listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRule {
    /// The header.
    pub name: String,
    /// What to do with it.
    pub action: HeaderAction,
}

const KEY: &str = "response.http.headers.config";

/// Parses all rules; an empty text has none.
pub(super) fn parse(text: &str) -> Result<Vec<HeaderRule>, ConfigError> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    split_quoted(text).iter().map(|rule| parse_rule(rule.trim())).collect()
}

/// Splits at commas outside of double quotes and drops the quotes.
fn split_quoted(text: &str) -> Vec<String> {
    let mut rules = vec![String::new()];
    let mut quoted = false;
    for character in text.chars() {
        match (character, rules.last_mut()) {
            ('"', _) => quoted = !quoted,
            (',', _) if !quoted => rules.push(String::new()),
            (_, Some(rule)) => rule.push(character),
            (_, None) => {}
        }
    }
    rules
}

fn parse_rule(rule: &str) -> Result<HeaderRule, ConfigError> {
    let error = |message: String| Err(ConfigError::message(KEY, message));
    let Some((action, pair)) = rule.split_once(char::is_whitespace) else {
        return error(format!(
            "Invalid format of header config '{rule}'. Expected: '[action] [header name]:[header value]'"
        ));
    };
    let action = action.to_ascii_lowercase();
    if !["set", "add", "setdate", "adddate"].contains(&action.as_str()) {
        return error(format!(
            "Invalid header config action: '{action}'. Expected one of [set, add, setDate, addDate]"
        ));
    }
    let parts: Vec<&str> = pair.split(':').map(str::trim).collect();
    let &[name, value] = parts.as_slice() else {
        return error(format!(
            "Invalid format of header name and header value pair '{pair}'. Expected: '[header name]:[header value]'"
        ));
    };
    if name.is_empty() || name.contains(char::is_whitespace) {
        return error(format!("Invalid header name '{name}'. The '[header name]' cannot contain whitespace"));
    }
    let after = || {
        value.parse().map(Duration::from_millis).map_err(|_| {
            let message =
                format!("Invalid header value '{value}' of '{name}'. Expected: milliseconds from now");
            ConfigError::message(KEY, message)
        })
    };
    let action = match action.as_str() {
        "set" => HeaderAction::Set(value.to_owned()),
        "add" => HeaderAction::Add(value.to_owned()),
        "setdate" => HeaderAction::SetDate(after()?),
        _ => HeaderAction::AddDate(after()?),
    };
    Ok(HeaderRule { name: name.to_owned(), action })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        let rule = |name: &str, action| HeaderRule { name: name.to_owned(), action };
        assert_eq!(
            parse(
                r#"add X-XSS-Protection: 1; mode=block, "set Cache-Control: no-cache, no-store", setDate Expires: 3600000"#
            ),
            Ok(vec![
                rule("X-XSS-Protection", HeaderAction::Add("1; mode=block".to_owned())),
                rule("Cache-Control", HeaderAction::Set("no-cache, no-store".to_owned())),
                rule("Expires", HeaderAction::SetDate(Duration::from_secs(3600))),
            ])
        );
        assert_eq!(parse(" "), Ok(Vec::new()));
    }

    #[test]
    fn mistakes() {
        for (text, expected) in [
            (
                "set",
                "Invalid format of header config 'set'. Expected: '[action] [header name]:[header value]'",
            ),
            ("put a:b", "Invalid header config action: 'put'. Expected one of [set, add, setDate, addDate]"),
            (
                "set a:b:c",
                "Invalid format of header name and header value pair 'a:b:c'. Expected: '[header name]:[header value]'",
            ),
            ("set a b:c", "Invalid header name 'a b'. The '[header name]' cannot contain whitespace"),
            ("setDate a:soon", "Invalid header value 'soon' of 'a'. Expected: milliseconds from now"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), expected);
        }
    }
}
