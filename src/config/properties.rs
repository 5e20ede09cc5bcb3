//! Java `.properties` files as ordered maps.
//!
//! A worker or connector file is read as ISO-8859-1, because that is what Apache Kafka Connect does (Java's
//! `Properties.load(InputStream)`): the same file must name the same topics in both. Other characters are written
//! `\uXXXX`. A file that looks like UTF-8 gets a warning. Files of the `FileConfigProvider` are UTF-8, as in Apache.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use java_properties::{LineContent, PropertiesIter};

use super::files;
use crate::api::Settings;

/// A properties file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PropertiesError {
    /// The file is not there, or may not be read, or is a folder.
    #[error("cannot read the properties file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A line breaks the syntax.
    #[error("{origin}, line {line}: {message}")]
    Syntax {
        /// The file, or what else the text came from.
        origin: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
}

/// Reads a file in the encoding of Java's `Properties.load(InputStream)`.
///
/// # Errors
/// The file cannot be read, or a line breaks the syntax.
pub fn load(path: &Path) -> Result<Settings, PropertiesError> {
    let bytes =
        files::read(path).map_err(|source| PropertiesError::Unreadable { path: path.to_owned(), source })?;
    let origin = path.display().to_string();
    if !bytes.is_ascii() && std::str::from_utf8(&bytes).is_ok() {
        log::warn!(
            "{origin} seems to be written in UTF-8, but properties files are read as ISO-8859-1, as Java does; \
             write characters beyond ASCII as \\uXXXX"
        );
    }
    parse(&decode_latin1(&bytes), &origin)
}

/// The text of bytes in ISO-8859-1: each byte is the character of its number.
#[must_use]
pub fn decode_latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// Parses the text of a properties file; `origin` names it in errors. A later duplicate of a key wins.
///
/// # Errors
/// A line has a broken `\uXXXX`.
pub fn parse(text: &str, origin: &str) -> Result<Settings, PropertiesError> {
    let text = drop_dangling_backslash(text);
    let text = join_surrogates(text);
    let mut map = Settings::new();
    for line in PropertiesIter::new_with_encoding(text.as_bytes(), encoding_rs::UTF_8) {
        let line = line.map_err(|error| PropertiesError::Syntax {
            origin: origin.to_owned(),
            line: error.line_number().unwrap_or(1),
            message: strip_line_number(&error.to_string()),
        })?;
        if let LineContent::KVPair(key, value) = line.consume_content() {
            map.insert(key, value);
        }
    }
    Ok(map)
}

/// The library repeats the line in its message; ours names it in front.
fn strip_line_number(message: &str) -> String {
    message.split(" (line_number").next().unwrap_or(message).to_owned()
}

/// Java ignores a backslash that is the last character of a file; the library would make it a NUL.
fn drop_dangling_backslash(text: &str) -> &str {
    let backslashes = text.len() - text.trim_end_matches('\\').len();
    if backslashes % 2 == 1 { &text[..text.len() - 1] } else { text }
}

/// Replaces `\uD83D\uDE00` by the character that the two halves make. Java's texts are UTF-16, so it needs no such
/// step; the library takes each `\uXXXX` for a character and refuses a half. A half alone becomes U+FFFD.
fn join_surrogates(text: &str) -> Cow<'_, str> {
    if !text.contains("\\u") {
        return Cow::Borrowed(text);
    }
    let mut joined = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        joined.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some(first) = escaped_unit(rest).filter(|unit| (0xD800..0xE000).contains(unit)) else {
            // Some other escape: both its characters go on as they are, so that `\\u0041` stays a backslash.
            let length = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
            joined.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        };
        rest = &rest[6..];
        let second = escaped_unit(rest).filter(|unit| (0xDC00..0xE000).contains(unit));
        match second.and_then(|second| char::decode_utf16([first, second]).next()?.ok()) {
            Some(character) => {
                joined.push(character);
                rest = &rest[6..];
            }
            None => joined.push(char::REPLACEMENT_CHARACTER),
        }
    }
    joined.push_str(rest);
    Cow::Owned(joined)
}

/// The UTF-16 unit that `text` begins with as `\uXXXX`.
fn escaped_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let map = parse(text, "test").unwrap();
        let actual: Vec<_> = map.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(actual, expected, "{text:?}");
    }

    #[test]
    fn the_syntax_of_java() {
        check("a=1\nb: 2\nc 3\nd\n", &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "")]);
        check("# comment\n  ! comment\n\n \t\na=1", &[("a", "1")]);
        check("a = b \\\n   c \\\r\n\td", &[("a", "b c d")]);
        check("a=1 \t", &[("a", "1 \t")]);
        check("  a \t= \t1", &[("a", "1")]);
        check("a==b=c", &[("a", "=b=c")]);
        check("a\\=b\\:c\\ d=e", &[("a=b:c d", "e")]);
        check("a=\\t\\n\\r\\f\\\\\\q\\u0041\\u00e9", &[("a", "\t\n\r\u{c}\\qAé")]);
        check("a=1\nb=2\na=3", &[("a", "3"), ("b", "2")]);
        check("=x", &[("", "x")]);
        check("a=b\\", &[("a", "b")]);
        check("a=b\\\\", &[("a", "b\\")]);
        check("# not continued \\\na=1", &[("a", "1")]);
        check("a=1\\\n# no comment", &[("a", "1# no comment")]);
        check("a=1\rb=2\r\nc=3", &[("a", "1"), ("b", "2"), ("c", "3")]);
        check("a=${file:/p q:k}", &[("a", "${file:/p q:k}")]);
        check("", &[]);
    }

    #[test]
    fn escaped_characters_beyond_16_bits() {
        check("a=\\uD83D\\uDE00!", &[("a", "😀!")]);
        check("a=\\uD83D!", &[("a", "\u{fffd}!")]);
        check("a=\\\\uD83D", &[("a", "\\uD83D")]);
    }

    #[test]
    fn a_broken_escape_names_file_and_line() {
        let error = parse("a=1\n\nb=\\u12G4", "worker.properties").unwrap_err();
        assert_eq!(error.to_string(), "worker.properties, line 3: Malformed \\uxxxx encoding: not hex.");
    }

    #[test]
    fn files_are_read_as_latin1() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.properties");
        std::fs::write(&path, b"a=\xe9\x80").unwrap();
        assert_eq!(load(&path).unwrap().get("a").map(String::as_str), Some("é\u{80}"));
        let missing = load(&folder.path().join("nope")).unwrap_err();
        assert!(missing.to_string().starts_with("cannot read the properties file /"), "{missing}");
    }

    /// Writes a text so that it means itself, as Java's `Properties.store` would.
    fn escape(text: &str) -> String {
        text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
    }

    proptest! {
        #[test]
        fn what_is_escaped_comes_back(entries in prop::collection::btree_map(".{0,8}", ".{0,16}", 0..6)) {
            let text: String =
                entries.iter().map(|(key, value)| format!("{}={}\n", escape(key), escape(value))).collect();
            let parsed: std::collections::BTreeMap<_, _> = parse(&text, "test").unwrap().into_iter().collect();
            prop_assert_eq!(parsed, entries);
        }

        #[test]
        fn plain_texts_come_back(key in "[a-z.]{1,12}", value in "[!-\\[\\]-~]([ -\\[\\]-~]{0,20})?") {
            prop_assume!(!value.starts_with(['=', ':']));
            let map = parse(&format!("{key}={value}\n"), "test").unwrap();
            prop_assert_eq!(map.get(&key), Some(&value));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "(\\\\|u|[0-9a-fD]|=|\n|\r| |#|é)*") {
            let _result = parse(&text, "test");
        }
    }
}
