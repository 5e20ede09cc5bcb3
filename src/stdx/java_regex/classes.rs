//! The named sets of characters in Java's regular expressions. Without further flags they are those of ASCII.

/// The inside of a set by its letter after a backslash (`\d`), and whether it is meant inverted.
pub(super) fn predefined(letter: char) -> Option<(&'static str, bool)> {
    let set = match letter.to_ascii_lowercase() {
        'd' => "0-9",
        'w' => "a-zA-Z0-9_",
        's' => r" \t\n\x0B\x0C\r",
        'h' => r" \t\x{A0}\x{1680}\x{180E}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}",
        'v' => r"\n\x0B\x0C\r\x{85}\x{2028}\x{2029}",
        _ => return None,
    };
    Some((set, letter.is_ascii_uppercase()))
}

/// The inside of a set by its name in `\p{…}`.
pub(super) fn property(name: &str) -> String {
    let set = match name {
        "Lower" => "a-z",
        "Upper" => "A-Z",
        "ASCII" => r"\x00-\x7F",
        "Alpha" => "a-zA-Z",
        "Digit" => "0-9",
        "Alnum" => "a-zA-Z0-9",
        "Punct" => r"!-/:-@\[-`{-~",
        "Graph" => "!-~",
        "Print" => " -~",
        "Blank" => r" \t",
        "Cntrl" => r"\x00-\x1F\x7F",
        "XDigit" => "0-9a-fA-F",
        "Space" => r" \t\n\x0B\x0C\r",
        "javaLowerCase" => r"\p{Lowercase}",
        "javaUpperCase" => r"\p{Uppercase}",
        "javaWhitespace" => r"\s",
        // Scripts and binary properties carry a prefix in Java.
        other => return format!(r"\p{{{}}}", other.strip_prefix("Is").unwrap_or(other)),
    };
    set.to_owned()
}
