//! `topics.regex` as librdkafka takes it: a POSIX extended expression that begins with `^`.
//!
//! Java's expressions that people write for topics differ from it in spelling only: groups that do not capture,
//! classes by letter, repetitions that are lazy or possessive. (For a match of the whole name, laziness makes no
//! difference.) Look-around has no counterpart; librdkafka refuses it.

/// An expression that matches whole topic names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TopicPattern(String);

impl TopicPattern {
    /// Translates a Java expression.
    pub(super) fn of(java: &str) -> Self {
        let mut posix = String::with_capacity(java.len() + 8);
        posix.push_str("^(");
        let mut rest = java;
        let mut in_class = false;
        while let Some(first) = rest.chars().next() {
            let taken = if let Some((expansion, taken)) = escape(rest, in_class) {
                posix.push_str(expansion);
                taken
            } else if !in_class && rest.starts_with("(?:") {
                posix.push('(');
                3
            } else if !in_class && repeats(&posix) && (first == '?' || first == '+') {
                // Lazy or possessive: the same names match.
                1
            } else {
                in_class = if in_class { first != ']' } else { first == '[' };
                posix.push(first);
                first.len_utf8()
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
        posix.push_str(")$");
        TopicPattern(posix)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an escape at the start of `rest` becomes, and how long it is.
fn escape(rest: &str, in_class: bool) -> Option<(&str, usize)> {
    let escaped = rest.strip_prefix('\\')?.chars().next()?;
    let length = 1 + escaped.len_utf8();
    let expansion = match (escaped, in_class) {
        ('d', false) => "[0-9]",
        ('d', true) => "0-9",
        ('D', false) => "[^0-9]",
        ('w', false) => "[A-Za-z0-9_]",
        ('w', true) => "A-Za-z0-9_",
        ('W', false) => "[^A-Za-z0-9_]",
        // In a POSIX class a backslash stands for itself.
        ('.' | '-' | '_', true) => rest.get(1..length)?,
        _ => rest.get(..length)?,
    };
    Some((expansion, length))
}

/// Whether an expression ends with a repetition.
fn repeats(posix: &str) -> bool {
    let mut backwards = posix.chars().rev();
    let last = backwards.next();
    let escaped = backwards.take_while(|c| *c == '\\').count() % 2 == 1;
    matches!(last, Some('*' | '+' | '?' | '}')) && !escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_becomes_posix_and_matches_the_whole_name() {
        let table = [
            ("orders", "^(orders)$"),
            ("a|b", "^(a|b)$"),
            (r"orders-\d+", "^(orders-[0-9]+)$"),
            (r"(?:eu|us)\.orders", r"^((eu|us)\.orders)$"),
            (r".*?x", "^(.*x)$"),
            (r"a{2,3}+b", "^(a{2,3}b)$"),
            (r"[\w.-]+", "^([A-Za-z0-9_.-]+)$"),
            (r"[\.\-]x", "^([.-]x)$"),
            (r"a\?+", r"^(a\?+)$"),
        ];
        for (java, posix) in table {
            assert_eq!(TopicPattern::of(java).as_str(), posix, "{java}");
        }
    }
}
