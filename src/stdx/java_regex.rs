//! Regular expressions as Java writes them, run by [`fancy_regex`]: what means something else there is translated, and
//! what cannot be had is an error that names it, never another meaning.

mod classes;
mod replacement;
mod translate;

pub use replacement::Replacement;

use fancy_regex::{Regex, RegexBuilder};

/// The most steps of one search. Patterns with look-around or back references can take forever otherwise.
const STEPS_MAX: usize = 1_000_000;

/// A regular expression. Shared by threads.
#[derive(Debug, Clone)]
pub struct JavaRegex {
    /// Finds what it describes anywhere.
    anywhere: Regex,
    /// Describes whole texts.
    whole: Regex,
}

impl JavaRegex {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it or not supported, in words that follow `Invalid regex: `.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let translated = translate::translate(pattern)?;
        let build = |text: &str| {
            let built = RegexBuilder::new(text).backtrack_limit(STEPS_MAX).build();
            built.map_err(|error| format!("{error}\n{pattern}"))
        };
        Ok(JavaRegex { anywhere: build(&translated)?, whole: build(&format!(r"\A(?:{translated})\z"))? })
    }

    /// Whether it describes the whole text.
    ///
    /// # Errors
    /// The search took too many steps.
    pub fn matches(&self, text: &str) -> Result<bool, String> {
        self.whole.is_match(text).map_err(|error| error.to_string())
    }

    /// The text with the first part that it describes replaced: not always the whole text where it [`matches`] that,
    /// since the first of two alternatives may describe a part.
    ///
    /// # Errors
    /// The search took too many steps.
    ///
    /// [`matches`]: JavaRegex::matches
    pub fn replace_first(&self, text: &str, replacement: &Replacement) -> Result<String, String> {
        let Some(groups) = self.anywhere.captures(text).map_err(|error| error.to_string())? else {
            return Ok(text.to_owned());
        };
        let (start, end) = groups.get(0).map_or((0, 0), |whole| (whole.start(), whole.end()));
        let mut replaced = text.get(..start).unwrap_or_default().to_owned();
        replacement.expand(&groups, &mut replaced);
        replaced.push_str(text.get(end..).unwrap_or_default());
        Ok(replaced)
    }
}

#[cfg(test)]
mod tests;
