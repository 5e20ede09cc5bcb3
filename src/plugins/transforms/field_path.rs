//! The path to a field: one name (syntax `V1`), or names with dots between them (`V2`), in backticks where they hold
//! dots themselves.

use bytestring::ByteString;

use crate::api::error::{ConnectError, Result};

/// The names of the fields from the outermost to the one that is meant.
#[derive(Debug)]
pub(super) struct FieldPath {
    text: String,
    names: Vec<ByteString>,
}

impl FieldPath {
    /// A field of the key or value itself.
    pub(super) fn of_name(text: &str) -> Self {
        FieldPath { text: text.to_owned(), names: vec![text.into()] }
    }

    /// A path in the syntax `V2`. Fails with an error of kind `Config` where a backtick has no partner.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut names = Vec::new();
        let mut at = 0;
        loop {
            let rest = text.get(at..).unwrap_or_default();
            let (name, length) = match rest.strip_prefix('`') {
                Some(quoted) => {
                    let (name, length) = in_backticks(quoted).ok_or_else(|| incomplete(text, at))?;
                    (name, length + 1)
                }
                None => {
                    let length = rest.find('.').unwrap_or(rest.len());
                    (rest.get(..length).unwrap_or_default().to_owned(), length)
                }
            };
            names.push(name.into());
            if rest.len() == length {
                return Ok(FieldPath { text: text.to_owned(), names });
            }
            // A dot follows; after a last one the name is empty.
            at += length + 1;
        }
    }

    /// The names, of which there is at least one.
    pub(super) fn names(&self) -> &[ByteString] {
        &self.names
    }
}

impl std::fmt::Display for FieldPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// The name that begins after a backtick, and the length of its text up to and including the closing one: the first that
/// stands before a dot or at the end. A backslash before such a backtick makes it part of the name.
fn in_backticks(text: &str) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut start = 0;
    for (at, _) in text.match_indices('`') {
        let is_last = at + 1 == text.len();
        if !is_last && text.as_bytes().get(at + 1) != Some(&b'.') {
            continue;
        }
        let unescaped = text.get(start..at)?;
        match unescaped.strip_suffix('\\') {
            Some(_) if is_last => return None,
            Some(before) => {
                name.push_str(before);
                name.push('`');
                start = at + 1;
            }
            None => {
                name.push_str(unescaped);
                return Some((name, at + 1));
            }
        }
    }
    None
}

fn incomplete(path: &str, at: usize) -> ConnectError {
    ConnectError::config(format!(
        "Incomplete backtick pair in path: [{path}], consider adding a backslash before backtick at position {at} to \
         escape it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_as_in_apache() {
        for (text, names) in [
            ("a", vec!["a"]),
            ("a.b", vec!["a", "b"]),
            ("a.", vec!["a", ""]),
            ("..", vec!["", "", ""]),
            ("`a.b`.c", vec!["a.b", "c"]),
            ("`a`", vec!["a"]),
            ("a`.b", vec!["a`", "b"]),
            ("`a``.b", vec!["a`", "b"]),
            ("`a`b`.c", vec!["a`b", "c"]),
            (r"`a\`.b`.c", vec!["a`.b", "c"]),
            (r"a.\`b`.c", vec!["a", r"\`b`", "c"]),
            ("a.`b.c`", vec!["a", "b.c"]),
        ] {
            assert_eq!(FieldPath::parse(text).unwrap().names(), names, "{text}");
        }
        for (text, at) in [("`a.b", 0), ("a.`b`c.d", 2), (r"`a\`", 0), ("`", 0)] {
            let message = format!(
                "Incomplete backtick pair in path: [{text}], consider adding a backslash before backtick at position \
                 {at} to escape it"
            );
            assert_eq!(FieldPath::parse(text).unwrap_err().message(), message);
        }
    }
}
