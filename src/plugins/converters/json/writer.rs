//! Writes JSON exactly as Jackson does for Connect, straight into the chunk of memory that many messages share.

use std::fmt::{Display, Write};

use bytes::{BufMut, Bytes, BytesMut};

use super::reader::MAX_DEPTH;
use super::scan::plain_prefix;
use crate::api::error::{ConnectError, Result};

/// How many bytes one allocation holds; messages are slices of it.
const CHUNK: usize = 64 * 1024;

/// A message being written.
pub(super) struct Writer {
    out: BytesMut,
    depth: usize,
}

impl Writer {
    pub(super) fn new() -> Self {
        Writer { out: BytesMut::with_capacity(CHUNK), depth: 0 }
    }

    /// The message that `write` writes; nothing of it stays if that fails.
    pub(super) fn message(&mut self, write: impl FnOnce(&mut Self) -> Result<()>) -> Result<Bytes> {
        self.depth = 0;
        self.out.clear();
        write(self)?;
        Ok(self.out.split().freeze())
    }

    /// Bytes that are JSON already.
    #[inline]
    pub(super) fn raw(&mut self, json: &[u8]) {
        self.out.put_slice(json);
    }

    /// The beginning of a message that was written before: an object whose last member is still to come.
    #[inline]
    pub(super) fn open_written(&mut self, json: &[u8]) {
        self.depth += 1;
        self.out.put_slice(json);
    }

    /// Opens an array or object, unless too many are open: a reader would refuse the message.
    pub(super) fn open(&mut self, bracket: u8) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ConnectError::data(
                "Converting Kafka Connect data to byte[] failed due to serialization error: ",
            )
            .caused_by(format!("nested more than {MAX_DEPTH} deep")));
        }
        self.out.put_u8(bracket);
        Ok(())
    }

    /// Closes an array or object.
    pub(super) fn close(&mut self, bracket: u8) {
        self.depth -= 1;
        self.out.put_u8(bracket);
    }

    /// A comma, unless this is the first element or member.
    pub(super) fn separate(&mut self, index: usize) {
        if index > 0 {
            self.out.put_u8(b',');
        }
    }

    /// A number, or other text that needs neither quotes nor escapes.
    pub(super) fn plain(&mut self, value: impl Display) {
        if write!(self.out, "{value}").is_err() {
            unreachable!("a buffer that grows takes any text");
        }
    }

    /// A text in quotes that needs no escapes.
    pub(super) fn quoted(&mut self, value: impl Display) {
        self.out.put_u8(b'"');
        self.plain(value);
        self.out.put_u8(b'"');
    }

    /// The name of a member with its colon.
    pub(super) fn name(&mut self, name: &str) {
        self.string(name);
        self.out.put_u8(b':');
    }

    /// A text in quotes.
    #[inline]
    pub(super) fn string(&mut self, text: &str) {
        self.out.reserve(text.len() + 2);
        self.out.put_u8(b'"');
        let mut rest = text;
        loop {
            let (plain, special) = rest.split_at(plain_prefix(rest.as_bytes(), needs_escape));
            self.out.put_slice(plain.as_bytes());
            let mut characters = special.chars();
            match characters.next() {
                Some(character) => self.escape(character),
                None => break,
            }
            rest = characters.as_str();
        }
        self.out.put_u8(b'"');
    }

    #[cold]
    fn escape(&mut self, character: char) {
        match character {
            '"' => self.raw(b"\\\""),
            '\\' => self.raw(b"\\\\"),
            '\u{8}' => self.raw(b"\\b"),
            '\t' => self.raw(b"\\t"),
            '\n' => self.raw(b"\\n"),
            '\u{C}' => self.raw(b"\\f"),
            '\r' => self.raw(b"\\r"),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    self.plain(format_args!("\\u{unit:04X}"));
                }
            }
        }
    }
}

/// Quotes, backslashes, control characters, and the first byte of what lies beyond U+FFFF.
#[inline]
fn needs_escape(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\') | (byte >= 0xF0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let bytes = Writer::new().message(|writer| {
            writer.string(text);
            Ok(())
        });
        String::from_utf8(bytes.unwrap().to_vec()).unwrap()
    }

    #[test]
    fn strings_are_escaped_as_jackson_does() {
        for (text, expected) in [
            ("", r#""""#),
            ("q\"\\/\n\u{1}é漢😀", r#""q\"\\/\n\u0001é漢\uD83D\uDE00""#),
            ("\0\u{8}\u{B}\u{C}\r\t\u{1F}", r#""\u0000\b\u000B\f\r\t\u001F""#),
            ("\u{7F}\u{80}\u{2028}\u{FFFE}", "\"\u{7F}\u{80}\u{2028}\u{FFFE}\""),
        ] {
            assert_eq!(written(text), expected);
        }
        for length in 0..40 {
            let plain = "x".repeat(length);
            assert_eq!(written(&format!("{plain}\"{plain}")), format!("\"{plain}\\\"{plain}\""));
        }
    }

    #[test]
    fn what_failed_leaves_nothing_behind() {
        let mut writer = Writer::new();
        let failed = writer.message(|writer| {
            writer.raw(b"half");
            Err(ConnectError::data("no"))
        });
        assert!(failed.is_err());
        let next = writer.message(|writer| {
            writer.raw(b"whole");
            Ok(())
        });
        assert_eq!(next.unwrap(), "whole");
    }
}
