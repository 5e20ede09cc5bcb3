//! What came of the references in settings: what stands in their places, what is missing, and how a text about the
//! settings is kept free of what providers gave.

use std::cmp::Reverse;
use std::fmt;

use regex::Regex;

use crate::api::Settings;

/// Texts of this many characters and more are looked for within words; shorter ones would be found everywhere.
const WITHIN_WORDS_MIN: usize = 4;

/// A text that has this many characters in a row of what a provider gave shows too much of it.
const TELLING_MIN: usize = 8;

/// Settings whose references are replaced as far as they can be.
pub struct Resolved {
    /// The settings for use.
    pub settings: Settings,
    /// What could not be replaced and stands as it is written.
    pub missing: Vec<Missing>,
    pub(super) given: Vec<Given>,
}

/// A reference with what its provider gave. It does not print itself: that may be a secret.
pub(super) struct Given {
    pub(super) reference: String,
    pub(super) value: String,
}

/// A reference that could not be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The setting that has it.
    pub setting: String,
    /// As it is written.
    pub reference: String,
    /// What is not there.
    pub why: String,
    /// Whether there is a provider of that name. If not, it may be no reference at all.
    pub has_provider: bool,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} stands there as it is written: {}", self.reference, self.why)
    }
}

impl Resolved {
    /// What is missing in one setting, as words that can follow a message about it; `None` if nothing is.
    #[must_use]
    pub fn missing_in(&self, setting: &str) -> Option<String> {
        let of_setting = self.missing.iter().filter(|missing| missing.setting == setting);
        let words: Vec<_> = of_setting.map(Missing::to_string).collect();
        (!words.is_empty()).then(|| format!("({})", words.join("; ")))
    }

    /// What hides the values that providers gave; `None` if they gave none.
    #[must_use]
    pub fn veil(&self) -> Option<Veil<'_>> {
        (!self.given.is_empty()).then(|| Veil::over(&self.given))
    }
}

/// Takes what providers gave out of texts that others see.
pub struct Veil<'a> {
    given: &'a [Given],
    /// What is looked for, the longest first, with what is shown in its place.
    pieces: Vec<(String, &'a str)>,
    /// Any of the pieces; `None` if there are too many to look for.
    pattern: Option<Regex>,
}

impl<'a> Veil<'a> {
    fn over(given: &'a [Given]) -> Self {
        let mut pieces: Vec<(String, &str)> = given.iter().flat_map(pieces_of).collect();
        pieces.sort_by_key(|(piece, _)| Reverse(piece.len()));
        pieces.dedup_by(|(later, _), (earlier, _)| later == earlier);
        let any: Vec<_> = pieces.iter().map(|(piece, _)| looked_for(piece)).collect();
        Veil { given, pieces, pattern: Regex::new(&any.join("|")).ok() }
    }

    /// The text with references in place of what they stand for. One that tells a value all the same, because a piece of it
    /// or another form of it is there, is not shown at all.
    #[must_use]
    pub fn hide(&self, text: &str) -> String {
        const NOT_SHOWN: &str = "The message quotes what a config provider gave, and is not shown.";
        let Some(pattern) = &self.pattern else { return NOT_SHOWN.to_owned() };
        let rest = pattern.replace_all(text, "").to_lowercase();
        if self.given.iter().any(|given| tells(&rest, &given.value.to_lowercase())) {
            return NOT_SHOWN.to_owned();
        }
        let shown = pattern.replace_all(text, |found: &regex::Captures<'_>| {
            let found = found.get(0).map_or("", |found| found.as_str());
            let reference = self.pieces.iter().find(|(piece, _)| piece == found);
            reference.map_or_else(String::new, |(_, reference)| (*reference).to_owned())
        });
        shown.into_owned()
    }
}

/// The forms in which messages quote a value: as it is, without blanks around it, in Rust's quotes, and by its elements.
fn pieces_of(given: &Given) -> impl Iterator<Item = (String, &str)> {
    let value = given.value.as_str();
    let quoted = format!("{value:?}");
    let quoted = quoted.trim_matches('"').to_owned();
    let elements = value.split([',', '\n']).map(str::trim).map(str::to_owned);
    [value.to_owned(), value.trim().to_owned(), quoted]
        .into_iter()
        .chain(elements)
        .filter(|piece| !piece.trim().is_empty())
        .map(|piece| (piece, given.reference.as_str()))
}

/// A pattern for a piece: a short one counts only where it is a word.
fn looked_for(piece: &str) -> String {
    let whole = regex::escape(piece);
    if piece.chars().count() >= WITHIN_WORDS_MIN {
        return whole;
    }
    let is_word = |character: Option<char>| character.is_some_and(|it| it.is_alphanumeric() || it == '_');
    let edge = |character| if is_word(character) { r"\b" } else { "" };
    format!("{}{whole}{}", edge(piece.chars().next()), edge(piece.chars().next_back()))
}

/// Whether a text has a telling part of a value.
fn tells(text: &str, value: &str) -> bool {
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    starts.windows(TELLING_MIN + 1).any(|window| value.contains(&text[window[0]..window[TELLING_MIN]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[(&str, &str)], text: &str, expected: &str) {
        let given: Vec<_> = values
            .iter()
            .map(|(reference, value)| Given {
                reference: (*reference).to_owned(),
                value: (*value).to_owned(),
            })
            .collect();
        assert_eq!(Veil::over(&given).hide(text), expected, "{values:?}");
    }

    #[test]
    fn references_stand_in_place_of_what_they_stand_for() {
        let secret = [("${env:A}", "hunter2")];
        check(&secret, "Invalid value hunter2 for x", "Invalid value ${env:A} for x");
        check(&secret, "xhunter2y", "x${env:A}y");
        check(&secret, "all is well", "all is well");
        let blanks = [("${env:A}", " hunter2\n")];
        check(&blanks, "Invalid value hunter2 for x", "Invalid value ${env:A} for x");
        let quotes = [("${env:A}", "a\"b\\c\td")];
        check(&quotes, r#"no "a\"b\\c\td" here"#, r#"no "${env:A}" here"#);
        check(&[("${env:L}", "b c,^d")], "'b c', [^d, b c]", "'${env:L}', [${env:L}, ${env:L}]");
        check(&[("${env:A}", "hunter"), ("${env:B}", "hunter2")], "hunter2 hunter", "${env:B} ${env:A}");
        check(&[("${env:E}", " ")], "all is well", "all is well");
    }

    #[test]
    fn short_values_count_where_they_are_words() {
        let short = [("${env:N}", "0")];
        check(&short, "Invalid value 0 for a0: not 10", "Invalid value ${env:N} for a0: not 10");
        check(&[("${env:N}", "-1")], "value -1.", "value ${env:N}.");
    }

    #[test]
    fn a_message_that_tells_a_piece_or_another_form_is_not_shown() {
        let not_shown = "The message quotes what a config provider gave, and is not shown.";
        let secret = [("${env:A}", "correct horse battery")];
        check(&secret, "no CORRECT HORSE BATTERY here", not_shown);
        check(&secret, "it begins with correct h", not_shown);
        check(&secret, "it is correct", "it is correct");
    }
}
