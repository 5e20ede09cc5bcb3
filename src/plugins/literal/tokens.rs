//! Splits text into delimiters and the runs between them.

use super::trim;

/// What is left of a text, token by token: each of `: , { } [ ] "` alone unless after a backslash, and the runs between.
#[derive(Clone, Copy)]
pub(super) struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Tokens { rest: text }
    }

    /// The next token as it stands.
    fn first(&self) -> Option<&'a str> {
        let mut escaped = false;
        for (index, byte) in self.rest.bytes().enumerate() {
            match byte {
                b'\\' => escaped = !escaped,
                b':' | b',' | b'{' | b'}' | b'[' | b']' | b'"' if !escaped => {
                    return self.rest.get(..index.max(1));
                }
                _ => escaped = false,
            }
        }
        (!self.rest.is_empty()).then_some(self.rest)
    }

    /// The next token, blank or not.
    fn next_raw(&mut self) -> Option<&'a str> {
        let token = self.first()?;
        self.rest = self.rest.get(token.len()..).unwrap_or_default();
        Some(token)
    }

    /// Leaves out blank tokens that have another token behind them.
    fn skip_blanks(&mut self) {
        while let Some(token) = self.first() {
            if !trim(token).is_empty() || token.len() == self.rest.len() {
                break;
            }
            self.next_raw();
        }
    }

    /// The next token without consuming it; blank ones before it are consumed.
    pub(super) fn peek(&mut self) -> Option<&'a str> {
        self.skip_blanks();
        self.first()
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Option<&'a str> {
        self.next_raw()
    }

    /// The next token that is not blank, or the last one.
    pub(super) fn next_not_blank(&mut self) -> Option<&'a str> {
        self.skip_blanks();
        self.next_raw()
    }

    /// Whether the next token is this delimiter.
    pub(super) fn is_next(&mut self, delimiter: &str) -> bool {
        self.peek().map(trim) == Some(delimiter)
    }

    /// Consumes the next token if it is this delimiter.
    pub(super) fn take(&mut self, delimiter: &str) -> bool {
        let found = self.is_next(delimiter);
        if found {
            self.next_raw();
        }
        found
    }

    /// The next `count` tokens as one text, and what is left behind them; `None` if there are not so many.
    pub(super) fn split_after(&self, count: usize) -> Option<(&'a str, Tokens<'a>)> {
        let mut rest = *self;
        for _ in 0..count {
            rest.next_raw()?;
        }
        let taken = self.rest.get(..self.rest.len() - rest.rest.len())?;
        Some((taken, rest))
    }
}
