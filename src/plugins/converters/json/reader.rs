//! Reads JSON as Jackson does for Connect, and into pieces of the message instead of copies.
//!
//! serde_json is not used here. Connect's JSON may have leading zeros (`007`), may go on with anything behind the first
//! value, and may be nested 1000 deep, where serde_json stops at 128; and with arbitrary precision serde_json takes an
//! object with a certain member name for a number.

use std::borrow::Cow;

use super::members::Members;
use super::scan::plain_prefix;
use crate::plugins::decimal::Notation;

/// How deep arrays and objects may be nested; Jackson's limit.
pub(super) const MAX_DEPTH: usize = 1000;

/// How many digits a number may have; Jackson's limit. It also bounds the time that a number takes.
const MAX_DIGITS: usize = 1000;

/// A JSON value. Numbers are left as text: what they become depends on the schema.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node<'a> {
    /// Nothing but blanks.
    Missing,
    Null,
    Boolean(bool),
    /// Digits, perhaps with a minus.
    Integer(&'a str),
    /// A number with point or exponent.
    Fraction(&'a str),
    /// A text; part of the message if it has no escapes.
    String(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    Object(Box<Members<'a>>),
}

impl<'a> Node<'a> {
    /// The text, if it is one.
    pub(super) fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Node::String(text) => Some(text),
            Node::Missing
            | Node::Null
            | Node::Boolean(_)
            | Node::Integer(_)
            | Node::Fraction(_)
            | Node::Array(_)
            | Node::Object(_) => None,
        }
    }

    /// The members, if it is an object.
    pub(super) fn into_members(self) -> Option<Members<'a>> {
        match self {
            Node::Object(members) => Some(*members),
            Node::Missing
            | Node::Null
            | Node::Boolean(_)
            | Node::Integer(_)
            | Node::Fraction(_)
            | Node::String(_)
            | Node::Array(_) => None,
        }
    }

    /// Jackson's name of the type, as in messages.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Node::Missing => "MISSING",
            Node::Null => "NULL",
            Node::Boolean(_) => "BOOLEAN",
            Node::Integer(_) | Node::Fraction(_) => "NUMBER",
            Node::String(_) => "STRING",
            Node::Array(_) => "ARRAY",
            Node::Object(_) => "OBJECT",
        }
    }
}

/// Why a text is not JSON.
#[derive(Debug, thiserror::Error)]
#[error("{what} at byte {offset} of the JSON text")]
pub(super) struct NotJson {
    what: &'static str,
    offset: usize,
}

/// An array or object whose end is not read yet; an object with the name of the member that is being read.
enum Open<'a> {
    Array(Vec<Node<'a>>),
    Object(Members<'a>, Cow<'a, str>),
}

type Read<T> = Result<T, NotJson>;

/// A text and how far it is read.
pub(super) struct Reader<'a> {
    text: &'a str,
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mark = if text.starts_with('\u{FEFF}') { '\u{FEFF}'.len_utf8() } else { 0 };
        Reader { text, offset: mark }
    }

    /// The first value of the text; [`Node::Missing`] if there is none. What follows is ignored, but a number or word
    /// must end where it ends.
    pub(super) fn document(&mut self) -> Read<Node<'a>> {
        if self.peek_token().is_none() {
            return Ok(Node::Missing);
        }
        let node = self.value(0)?;
        match (&node, self.peek()) {
            (Node::Integer(_) | Node::Fraction(_), Some(next)) if !is_blank(next) => {
                Err(self.error("no blank after a number"))
            }
            (_, _) => Ok(node),
        }
    }

    /// The value that begins here, inside `depth` arrays and objects. Those that are open are kept in a list of their
    /// own, so that deep nesting takes no stack.
    pub(super) fn value(&mut self, depth: usize) -> Read<Node<'a>> {
        let mut open: Vec<Open<'a>> = Vec::new();
        loop {
            let mut node = match self.peek_token() {
                Some(b'[') => {
                    self.enter(depth + open.len())?;
                    if !self.take(b']') {
                        open.push(Open::Array(Vec::new()));
                        continue;
                    }
                    Node::Array(Vec::new())
                }
                Some(b'{') => {
                    self.enter(depth + open.len())?;
                    if !self.take(b'}') {
                        open.push(Open::Object(Members::default(), self.name()?));
                        continue;
                    }
                    Node::Object(Box::default())
                }
                _ => self.scalar()?,
            };
            // The value may be the last one of what it stands in, and that of what it stands in, and so on.
            loop {
                match open.pop() {
                    None => return Ok(node),
                    Some(Open::Array(mut elements)) => {
                        elements.push(node);
                        if self.goes_on(b']')? {
                            open.push(Open::Array(elements));
                            break;
                        }
                        node = Node::Array(elements);
                    }
                    Some(Open::Object(mut members, name)) => {
                        members.insert(name, node);
                        if self.goes_on(b'}')? {
                            open.push(Open::Object(members, self.name()?));
                            break;
                        }
                        node = Node::Object(Box::new(members));
                    }
                }
            }
        }
    }

    /// Reads the outermost object; `member` is called with each name and has to read the value.
    pub(super) fn object(&mut self, mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Read<()>) -> Read<()> {
        self.enter(0)?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let name = self.name()?;
            member(self, name)?;
            if !self.goes_on(b'}')? {
                return Ok(());
            }
        }
    }

    /// What is not read yet, without blanks before it.
    pub(super) fn rest(&mut self) -> &'a str {
        self.peek_token();
        self.text.get(self.offset..).unwrap_or_default()
    }

    /// Passes over a part of what [`Reader::rest`] gave.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.offset += bytes;
    }

    /// How many bytes are read.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// The text from `start` up to here.
    pub(super) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.offset).unwrap_or_default()
    }

    pub(super) fn error(&self, what: &'static str) -> NotJson {
        NotJson { what, offset: self.offset }
    }

    /// A value that is neither array nor object.
    fn scalar(&mut self) -> Read<Node<'a>> {
        match self.peek_token() {
            Some(b'"') => Ok(Node::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Node::Boolean(true)),
            Some(b'f') => self.word("false", Node::Boolean(false)),
            Some(b'n') => self.word("null", Node::Null),
            Some(_) => Err(self.error("no value")),
            None => Err(self.error("unexpected end")),
        }
    }

    /// The name of a member and its colon.
    fn name(&mut self) -> Read<Cow<'a, str>> {
        if self.peek_token() != Some(b'"') {
            return Err(self.error("no name of a member"));
        }
        let name = self.string()?;
        if !self.take(b':') {
            return Err(self.error("no colon after the name of a member"));
        }
        Ok(name)
    }

    /// Passes over the next byte that is not blank if it is this one.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek_token() == Some(byte);
        if found {
            self.offset += 1;
        }
        found
    }

    /// Passes over an opening bracket.
    fn enter(&mut self, depth: usize) -> Read<()> {
        if depth >= MAX_DEPTH {
            return Err(self.error("nested more than 1000 deep"));
        }
        self.offset += 1;
        Ok(())
    }

    /// Passes over a comma, then `true`; or over the closing bracket, then `false`.
    fn goes_on(&mut self, closing: u8) -> Read<bool> {
        let next = self.peek_token();
        if next != Some(b',') && next != Some(closing) {
            return Err(self.error("neither comma nor closing bracket"));
        }
        self.offset += 1;
        Ok(next == Some(b','))
    }

    fn word(&mut self, word: &str, node: Node<'a>) -> Read<Node<'a>> {
        let rest = self.rest().strip_prefix(word).ok_or_else(|| self.error("unknown word"))?;
        if rest.starts_with(|next: char| next.is_alphanumeric() || next == '_' || next == '$') {
            return Err(self.error("unknown word"));
        }
        self.offset += word.len();
        Ok(node)
    }

    fn number(&mut self) -> Read<Node<'a>> {
        let start = self.offset;
        if self.peek() == Some(b'-') {
            self.offset += 1;
        }
        let mut digits = self.digits()?;
        let mut is_integer = true;
        if self.peek() == Some(b'.') {
            self.offset += 1;
            is_integer = false;
            digits += self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.offset += 1;
            is_integer = false;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.offset += 1;
            }
            digits += self.digits()?;
        }
        if digits > MAX_DIGITS {
            return Err(self.error("a number of more than 1000 digits"));
        }
        let text = self.since(start);
        if is_integer {
            return Ok(Node::Integer(text));
        }
        if Notation::of(text).is_none() {
            return Err(self.error("an exponent out of range"));
        }
        Ok(Node::Fraction(text))
    }

    /// Passes over digits, at least one, and counts them.
    fn digits(&mut self) -> Read<usize> {
        let rest = self.text.as_bytes().get(self.offset..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.error("no digit in a number"));
        }
        self.offset += count;
        Ok(count)
    }

    /// The string that begins here.
    fn string(&mut self) -> Read<Cow<'a, str>> {
        self.offset += 1;
        let plain = self.plain_run();
        if self.peek() == Some(b'"') {
            self.offset += 1;
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_owned();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.offset += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => {
                    self.offset += 1;
                    text.push(self.escape()?);
                }
                Some(_) => return Err(self.error("a control character in a string")),
                None => return Err(self.error("unexpected end of a string")),
            }
            text.push_str(self.plain_run());
        }
    }

    /// Passes over characters that mean themselves.
    fn plain_run(&mut self) -> &'a str {
        let start = self.offset;
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        self.offset += plain_prefix(rest, |byte| (byte == b'"') | (byte == b'\\') | (byte < b' '));
        self.since(start)
    }

    /// The character of an escape, behind its backslash.
    fn escape(&mut self) -> Read<char> {
        let escaped = self.peek();
        let character = match escaped {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{C}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.offset += 1;
                return self.escaped_unit();
            }
            Some(_) | None => return Err(self.error("unknown escape")),
        };
        self.offset += 1;
        Ok(character)
    }

    /// The character of a `\uXXXX` behind its `u`, together with that of the other half of a pair. Half a pair alone is
    /// no character: Java, which can hold it, writes it as `?`.
    fn escaped_unit(&mut self) -> Read<char> {
        let first = self.hex()?;
        if let 0xD800..=0xDBFF = first
            && self.text.get(self.offset..).is_some_and(|rest| rest.starts_with("\\u"))
        {
            let behind_first = self.offset;
            self.offset += 2;
            let second = self.hex()?;
            if let Some(Ok(character)) = char::decode_utf16([first, second]).next() {
                return Ok(character);
            }
            self.offset = behind_first;
        }
        Ok(char::from_u32(u32::from(first)).unwrap_or('?'))
    }

    fn hex(&mut self) -> Read<u16> {
        let digits = self.text.get(self.offset..self.offset + 4);
        let is_hex = |digits: &&str| digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let unit = digits.filter(is_hex).and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.error("no four hexadecimal digits in an escape"))?;
        self.offset += 4;
        Ok(unit)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.offset).copied()
    }

    /// The next byte that is not blank.
    fn peek_token(&mut self) -> Option<u8> {
        while self.peek().is_some_and(is_blank) {
            self.offset += 1;
        }
        self.peek()
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
