//! From a pattern of Java to one of `fancy_regex`.

use super::classes;

/// The same pattern for `fancy_regex`.
///
/// # Errors
/// What is malformed or not supported, and where.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut translator = Translator { pattern, chars, at: 0, out: String::new(), groups: 0, depth: 0 };
    translator.alternatives()?;
    Ok(translator.out)
}

struct Translator<'a> {
    pattern: &'a str,
    chars: Vec<char>,
    at: usize,
    out: String,
    /// Capturing groups opened so far.
    groups: u32,
    /// Groups that are open.
    depth: u32,
}

type Translated<T = ()> = Result<T, String>;

/// What a backslash and what follows it stand for.
enum Escape {
    /// A character.
    Char(char),
    /// A set of characters; the text is the inside of brackets.
    Set(String, bool),
    /// Anything that cannot stand in brackets, translated.
    Other(String),
    /// Literal text up to `\E`.
    Quoted(Vec<char>),
}

impl Translator<'_> {
    fn alternatives(&mut self) -> Translated {
        // Whether there is something that a quantifier could repeat.
        let mut repeatable = false;
        while let Some(char) = self.next() {
            match char {
                '*' | '+' | '?' if !repeatable => {
                    return self.fail(&format!("Dangling meta character '{char}'"));
                }
                '*' | '+' | '?' | '{' => {
                    self.quantifier(char, repeatable)?;
                    repeatable = false;
                    continue;
                }
                '(' => {
                    repeatable = self.open()?;
                    continue;
                }
                ')' => self.close()?,
                '|' => {
                    self.out.push('|');
                    repeatable = false;
                    continue;
                }
                '[' => self.set()?,
                '.' | '^' | '$' => self.out.push(char),
                '\\' => self.escape_outside()?,
                literal => push_literal(&mut self.out, literal),
            }
            repeatable = true;
        }
        if self.depth > 0 { self.fail("Unclosed group") } else { Ok(()) }
    }

    fn quantifier(&mut self, first: char, repeatable: bool) -> Translated {
        self.out.push(first);
        if first == '{' {
            let from = self.at;
            let end = self.chars.iter().skip(from).position(|char| *char == '}');
            let inside: String = self.chars.iter().skip(from).take(end.unwrap_or(0)).collect();
            let (low, high) = inside.split_once(',').unwrap_or((&inside, ""));
            let digits = |text: &str| text.chars().all(|char| char.is_ascii_digit());
            if !repeatable || low.is_empty() || !digits(low) || !digits(high) {
                return self.fail("Illegal repetition");
            }
            if let (Ok(low), Ok(high)) = (low.parse::<u32>(), high.parse::<u32>())
                && high < low
            {
                return self.fail("Illegal repetition range");
            }
            self.at = from + inside.len() + 1;
            self.out.push_str(&inside);
            self.out.push('}');
            if self.peek() == Some('+') {
                return self.fail("The possessive quantifier {n,m}+ is not supported");
            }
        }
        if let Some(mode @ ('?' | '+')) = self.peek() {
            self.at += 1;
            self.out.push(mode);
        }
        match self.peek() {
            Some(again @ ('*' | '+' | '?')) => {
                self.at += 1;
                self.fail(&format!("Dangling meta character '{again}'"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Opens a group, or sets flags for the rest of one. Returns whether that can be repeated: never.
    fn open(&mut self) -> Translated<bool> {
        if self.peek() != Some('?') {
            self.groups += 1;
            self.depth += 1;
            self.out.push('(');
            return Ok(false);
        }
        self.at += 1;
        for look in ["<=", "<!", ":", "=", "!", ">"] {
            if self.take(look) {
                self.depth += 1;
                self.out.push_str("(?");
                self.out.push_str(look);
                return Ok(false);
            }
        }
        if self.take("<") {
            let name = self.until('>')?;
            if !name.starts_with(|char: char| char.is_ascii_alphabetic())
                || !name.chars().all(|char| char.is_ascii_alphanumeric())
            {
                return self.fail("capturing group name does not start with a Latin letter");
            }
            self.groups += 1;
            self.depth += 1;
            self.out.push_str(&format!("(?<{name}>"));
            return Ok(false);
        }
        self.flags()?;
        Ok(false)
    }

    /// `(?i)`, `(?i-s:` and the like, after the question mark.
    fn flags(&mut self) -> Translated {
        let (mut on, mut off, mut negated) = (String::new(), String::new(), false);
        loop {
            match self.next() {
                Some('-') if !negated => negated = true,
                Some(flag @ ('i' | 'm' | 's')) => (if negated { &mut off } else { &mut on }).push(flag),
                // Unicode's case and Unix lines: the first always holds here, the second where there are no lines.
                Some('u' | 'd') => {}
                Some(flag @ ('x' | 'U')) => return self.fail(&format!("The flag {flag} is not supported")),
                Some(end @ (')' | ':')) => {
                    let off = if off.is_empty() { String::new() } else { format!("-{off}") };
                    let none = on.is_empty() && off.is_empty();
                    if end == ':' {
                        self.depth += 1;
                        self.out.push_str(&format!("(?{on}{off}:"));
                    } else if !none {
                        self.out.push_str(&format!("(?{on}{off})"));
                    }
                    return Ok(());
                }
                Some(_) | None => return self.fail("Unknown inline modifier"),
            }
        }
    }

    fn close(&mut self) -> Translated {
        if self.depth == 0 {
            return self.fail("Unmatched closing ')'");
        }
        self.depth -= 1;
        self.out.push(')');
        Ok(())
    }

    fn escape_outside(&mut self) -> Translated {
        match self.escape()? {
            Escape::Char(char) => push_literal(&mut self.out, char),
            Escape::Set(set, inverted) => push_set(&mut self.out, &set, inverted),
            Escape::Other(text) => self.out.push_str(&text),
            Escape::Quoted(text) => text.into_iter().for_each(|char| push_literal(&mut self.out, char)),
        }
        Ok(())
    }

    /// A set in brackets, after the opening one.
    fn set(&mut self) -> Translated {
        self.out.push('[');
        if self.take("^") {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let Some(char) = self.next() else { return self.fail("Unclosed character class") };
            match char {
                ']' if !first => {
                    self.out.push(']');
                    return Ok(());
                }
                '[' => self.set()?,
                '&' if self.take("&") => self.out.push_str("&&"),
                '\\' => match self.escape()? {
                    Escape::Char(char) => self.range(char)?,
                    Escape::Set(set, inverted) => push_set(&mut self.out, &set, inverted),
                    Escape::Other(_) => return self.fail("Illegal/unsupported escape sequence"),
                    Escape::Quoted(text) => {
                        text.into_iter().for_each(|char| push_single(&mut self.out, char))
                    }
                },
                member => self.range(member)?,
            }
            first = false;
        }
    }

    /// A character in brackets, or a range that begins with it.
    fn range(&mut self, low: char) -> Translated {
        let after = self.chars.get(self.at + 1).copied();
        if self.peek() != Some('-') || matches!(after, None | Some(']' | '[')) {
            push_single(&mut self.out, low);
            return Ok(());
        }
        push_member(&mut self.out, low);
        self.at += 1;
        let high = match self.next() {
            Some('\\') => match self.escape()? {
                Escape::Char(char) => char,
                Escape::Set(..) | Escape::Other(_) | Escape::Quoted(_) => {
                    return self.fail("Illegal character range");
                }
            },
            Some(high) => high,
            None => return self.fail("Unclosed character class"),
        };
        if high < low {
            return self.fail("Illegal character range");
        }
        self.out.push('-');
        push_member(&mut self.out, high);
        Ok(())
    }

    /// What stands after a backslash.
    fn escape(&mut self) -> Translated<Escape> {
        let Some(char) = self.next() else { return self.fail("Unexpected end after a backslash") };
        if let Some((set, inverted)) = classes::predefined(char) {
            return Ok(Escape::Set(set.to_owned(), inverted));
        }
        Ok(match char {
            'Q' => Escape::Quoted(self.quoted()),
            't' => Escape::Char('\t'),
            'n' => Escape::Char('\n'),
            'r' => Escape::Char('\r'),
            'f' => Escape::Char('\u{C}'),
            'a' => Escape::Char('\u{7}'),
            'e' => Escape::Char('\u{1B}'),
            'c' => {
                let control = self.next().and_then(|char| char::from_u32(u32::from(char) ^ 64));
                Escape::Char(control.ok_or_else(|| self.failure("Illegal control escape sequence"))?)
            }
            'x' if self.take("{") => Escape::Char(self.code_point()?),
            'x' => Escape::Char(self.number(16, 2, 2, "Illegal hexadecimal escape sequence")?),
            'u' => Escape::Char(self.number(16, 4, 4, "Illegal Unicode escape sequence")?),
            '0' => Escape::Char(self.number(8, 1, 3, "Illegal octal escape sequence")?),
            'p' | 'P' => {
                let name = if self.take("{") { self.until('}')? } else { self.next().into_iter().collect() };
                Escape::Set(classes::property(&name), char == 'P')
            }
            'b' | 'B' | 'A' | 'z' => Escape::Other(format!("\\{char}")),
            'Z' => Escape::Other(r"(?=\r?\n?\z)".to_owned()),
            'R' => Escape::Other(r"(?:\r\n|[\n\x0B\x0C\r\x{85}\x{2028}\x{2029}])".to_owned()),
            'k' if self.take("<") => Escape::Other(format!(r"(?:\k<{}>)", self.until('>')?)),
            '1'..='9' => Escape::Other(self.back_reference(char)?),
            letter if letter.is_ascii_alphabetic() => {
                return self.fail(&format!("Illegal/unsupported escape sequence \\{letter}"));
            }
            literal => Escape::Char(literal),
        })
    }

    /// As many digits as give a group that is there.
    fn back_reference(&mut self, first: char) -> Translated<String> {
        let mut group = first.to_digit(10).unwrap_or(0);
        if group > self.groups {
            return self
                .fail(&format!("A reference to group {group}, which is not there yet, is not supported"));
        }
        while let Some(digit) = self.peek().and_then(|char| char.to_digit(10)) {
            if group * 10 + digit > self.groups {
                break;
            }
            group = group * 10 + digit;
            self.at += 1;
        }
        Ok(format!(r"(?:\{group})"))
    }

    fn quoted(&mut self) -> Vec<char> {
        let mut text = Vec::new();
        while !self.take("\\E") {
            match self.next() {
                Some(char) => text.push(char),
                None => break,
            }
        }
        text
    }

    fn code_point(&mut self) -> Translated<char> {
        let digits = self.until('}')?;
        let char = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
        char.ok_or_else(|| self.failure("Hexadecimal codepoint is too big"))
    }

    /// A character by its number of `min` to `max` digits.
    fn number(&mut self, radix: u32, min: usize, max: usize, what: &str) -> Translated<char> {
        let rest = self.chars.get(self.at..).unwrap_or_default();
        let digits: Vec<u32> = rest.iter().take(max).map_while(|char| char.to_digit(radix)).collect();
        self.at += digits.len();
        let number = digits.iter().fold(0, |number, digit| number * radix + digit);
        let char = char::from_u32(number).filter(|_| digits.len() >= min);
        char.ok_or_else(|| self.failure(what))
    }

    /// The text up to a character, which is taken, too.
    fn until(&mut self, end: char) -> Translated<String> {
        let mut text = String::new();
        loop {
            match self.next() {
                Some(char) if char == end => return Ok(text),
                Some(char) => text.push(char),
                None => return self.fail(&format!("'{end}' is missing")),
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let char = self.peek()?;
        self.at += 1;
        Some(char)
    }

    /// Takes `text` if it comes next.
    fn take(&mut self, text: &str) -> bool {
        let rest = self.chars.get(self.at..).unwrap_or_default();
        let comes = text.chars().count() <= rest.len() && text.chars().zip(rest).all(|(a, b)| a == *b);
        if comes {
            self.at += text.chars().count();
        }
        comes
    }

    fn fail<T>(&self, what: &str) -> Translated<T> {
        Err(self.failure(what))
    }

    fn failure(&self, what: &str) -> String {
        format!("{what} near index {}\n{}", self.at.saturating_sub(1), self.pattern)
    }
}

/// A character that stands for itself.
fn push_literal(out: &mut String, char: char) {
    if char.is_ascii_punctuation() {
        push_code(out, char);
    } else {
        out.push(char);
    }
}

/// A character in brackets; nothing but letters and digits is without a meaning there.
fn push_member(out: &mut String, char: char) {
    if char.is_ascii() && !char.is_ascii_alphanumeric() {
        push_code(out, char);
    } else {
        out.push(char);
    }
}

/// A character in brackets that begins no range. A colon is written as one: `[:` would begin the name of a set.
fn push_single(out: &mut String, char: char) {
    push_member(out, char);
    if char == ':' {
        out.push('-');
        push_member(out, char);
    }
}

fn push_code(out: &mut String, char: char) {
    out.push_str(&format!("\\x{{{:X}}}", u32::from(char)));
}

fn push_set(out: &mut String, set: &str, inverted: bool) {
    out.push_str(if inverted { "[^" } else { "[" });
    out.push_str(set);
    out.push(']');
}
