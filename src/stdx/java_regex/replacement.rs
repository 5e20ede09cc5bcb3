//! What a match is replaced with: text with `$1` and `${name}` for what groups matched, and `\` before what is meant
//! literally.

use fancy_regex::Captures;

use super::JavaRegex;

/// A replacement for matches of one regular expression.
#[derive(Debug, Clone)]
pub struct Replacement(Vec<Piece>);

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    /// What a group matched; nothing where it took no part.
    Group(usize),
}

impl Replacement {
    /// Reads a replacement.
    ///
    /// # Errors
    /// Java's words on a malformed one, or one with a group that the expression does not have.
    pub fn new(text: &str, regex: &JavaRegex) -> Result<Self, String> {
        let groups = regex.anywhere.captures_len() - 1;
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(char) = rest.chars().next() {
            rest = rest.get(char.len_utf8()..).unwrap_or_default();
            match char {
                '\\' => {
                    let escaped = rest.chars().next().ok_or("character to be escaped is missing")?;
                    rest = rest.get(escaped.len_utf8()..).unwrap_or_default();
                    literal.push(escaped);
                }
                '$' => {
                    pieces.push(Piece::Text(std::mem::take(&mut literal)));
                    let (group, after) = match rest.strip_prefix('{') {
                        Some(name) => named(name, regex)?,
                        None => numbered(rest, groups)?,
                    };
                    pieces.push(Piece::Group(group));
                    rest = after;
                }
                other => literal.push(other),
            }
        }
        pieces.push(Piece::Text(literal));
        Ok(Replacement(pieces))
    }

    /// Appends the replacement of a match.
    pub(super) fn expand(&self, groups: &Captures<'_, str>, to: &mut String) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => to.push_str(text),
                Piece::Group(group) => to.push_str(groups.get(*group).map_or("", |group| group.as_str())),
            }
        }
    }
}

/// The group of a name, and what follows the closing brace.
fn named<'a>(text: &'a str, regex: &JavaRegex) -> Result<(usize, &'a str), String> {
    let end = text.find(|char: char| !char.is_ascii_alphanumeric());
    let (name, rest) = end.and_then(|end| text.split_at_checked(end)).unwrap_or((text, ""));
    let rest = rest.strip_prefix('}').filter(|_| !name.is_empty());
    let rest = rest.ok_or("named capturing group is missing trailing '}'")?;
    if name.starts_with(|char: char| char.is_ascii_digit()) {
        return Err(format!("capturing group name {{{name}}} starts with digit character"));
    }
    let group = regex.anywhere.capture_names().position(|other| other == Some(name));
    Ok((group.ok_or_else(|| format!("No group with name {{{name}}}"))?, rest))
}

/// The group of a number, and what follows it. As many digits count as give a group that there is.
fn numbered(text: &str, groups: usize) -> Result<(usize, &str), String> {
    let mut digits = text.chars().map_while(|char| char.to_digit(10)).map(|digit| digit as usize);
    let first = match (digits.next(), text) {
        (Some(first), _) => first,
        (None, "") => return Err("Illegal group reference: group index is missing".to_owned()),
        (None, _) => return Err("Illegal group reference".to_owned()),
    };
    if first > groups {
        return Err(format!("No group {first}"));
    }
    let (mut group, mut length) = (first, 1);
    for digit in digits {
        let longer = group * 10 + digit;
        if longer > groups {
            break;
        }
        (group, length) = (longer, length + 1);
    }
    Ok((group, text.get(length..).unwrap_or_default()))
}
