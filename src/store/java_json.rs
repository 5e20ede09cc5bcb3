//! JSON text as Apache's JSON converter writes it. Keys of stored offsets are compared as bytes, so text, numbers and
//! the order of members must be the same.

use crate::api::text::float64_text;

/// Appends a text in quotes. Characters beyond U+FFFF become escaped surrogates, all other non-ASCII stays UTF-8.
pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\u{C}' => out.extend_from_slice(b"\\f"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\0'..='\u{1F}' | '\u{10000}'.. => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(format!("\\u{unit:04X}").as_bytes());
                }
            }
            ' '..='\u{FFFF}' => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

/// Appends a number in the form of Java's `Double.toString`; what JSON has no number for becomes a text.
pub(super) fn write_double(out: &mut Vec<u8>, number: f64) {
    let text = float64_text(number);
    let text = if number.is_finite() { text.to_string() } else { format!("\"{text}\"") };
    out.extend_from_slice(text.as_bytes());
}

/// The order in which a `java.util.HashMap` with default settings, filled in the order given, goes through its keys.
pub(super) fn hash_map_order<'a, T>(entries: impl Iterator<Item = (&'a str, T)>) -> Vec<(&'a str, T)> {
    let mut entries: Vec<_> = entries.collect();
    // 16 buckets for up to 12 entries, then twice as many whenever three quarters are full.
    let buckets = (entries.len() * 4).div_ceil(3).next_power_of_two().max(16);
    // Stable: within a bucket, the order of insertion stays.
    entries.sort_by_key(|(key, _)| hash(key) as usize & (buckets - 1));
    entries
}

/// `String.hashCode` with the upper bits mixed into the lower, as `HashMap` does.
fn hash(text: &str) -> u32 {
    let hash = text.encode_utf16().fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(keys: &[&'static str]) -> Vec<&'static str> {
        hash_map_order(keys.iter().map(|&key| (key, ()))).into_iter().map(|(key, ())| key).collect()
    }

    #[test]
    fn keys_come_in_the_order_of_java() {
        assert_eq!(order(&["topic", "partition", "cluster"]), ["cluster", "partition", "topic"]);
        assert_eq!(order(&["group", "topic", "partition"]), ["partition", "topic", "group"]);
        assert_eq!(order(&["a", "b", "c", "aa", "bb"]), ["aa", "bb", "a", "b", "c"]);
        // "Aa" and "BB" have the same hash code: the order of insertion decides.
        assert_eq!(order(&["BB", "Aa"]), ["BB", "Aa"]);
        // 12 entries share 16 buckets, where "a" (97) and "q" (113) meet; the 13th brings 32, which part them.
        let mut keys = vec!["q", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
        assert_eq!(order(&keys)[..2], ["q", "a"]);
        keys.push("l");
        assert_eq!((order(&keys)[0], order(&keys)[12]), ("a", "q"));
    }

    #[test]
    fn numbers_have_the_form_of_java() {
        for (number, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (100.0, "100.0"),
            (2.5, "2.5"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (1.25e10, "1.25E10"),
            (1e-3, "0.001"),
            (9.999e-4, "9.999E-4"),
            (-1e-5, "-1.0E-5"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::NAN, "\"NaN\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ] {
            let mut out = Vec::new();
            write_double(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn text_is_escaped_as_by_apache() {
        let mut out = Vec::new();
        write_string(&mut out, "\"\\/\u{8}\t\n\u{c}\r\u{1f}\u{7f}\u{e9}\u{2028}\u{8868}\u{1F600}");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\"\\\"\\\\/\\b\\t\\n\\f\\r\\u001F\u{7f}\u{e9}\u{2028}\u{8868}\\uD83D\\uDE00\""
        );
    }
}
