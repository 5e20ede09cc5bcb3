//! What patterns and replacements of Java do, and which are refused.

use super::*;

fn replaced(pattern: &str, replacement: &str, text: &str) -> Result<String, String> {
    let regex = JavaRegex::new(pattern)?;
    let replacement = Replacement::new(replacement, &regex)?;
    if regex.matches(text)? { regex.replace_first(text, &replacement) } else { Ok(text.to_owned()) }
}

#[test]
fn patterns_match_whole_texts_as_in_java() {
    for (pattern, text, expected) in [
        ("ord", "orders", false),
        ("ord.*", "orders", true),
        ("a|ab", "ab", true),
        ("[a-z]++", "orders", true),
        ("[a-z]++s", "orders", false),
        ("(?=o).*", "orders", true),
        ("(?<!x)o.*", "orders", true),
        (r"(o)\1?rders", "orders", true),
        (r"(a)(b)\2\1", "abba", true),
        (r"\Qa.b\E+", "a.bbb", true),
        (r"\Qa.b\E", "axb", false),
        ("(?i)ORDERS", "orders", true),
        ("o(?i:RD)ers", "orders", true),
        (r"\p{Alpha}+\p{Digit}", "orders1", true),
        (r"\P{Digit}+", "orders1", false),
        (r"\p{L}+", "ördérs", true),
        (r"\p{IsLatin}+", "ördérs", true),
        (r"\w+", "ördérs", false),
        (r"\d", "٣", false),
        ("[a-z&&[^b]]+", "acd", true),
        ("[a-z&&[^b]]+", "abd", false),
        ("[a-d[m-p]]+", "am", true),
        (r"[\w.-]+", "a-b.c_d", true),
        ("[]a]+", "]a", true),
        ("[^]a]+", "bc", true),
        ("[a-]+", "a-", true),
        ("[[:alpha:]]+", "orders", false),
        ("[[:alpha:]]+", ":pal", true),
        ("[:-z]+", ":az", true),
        ("(?<=ord?)ers|orders", "orders", true),
        ("[--/]+", "-./", true),
        ("a~~b", "a~~b", true),
        ("[a~~b]+", "~ab", true),
        ("<a>", "<a>", true),
        (r"\<a\>", "<a>", true),
        (r"a\x41\u0042\0103", "aABC", true),
        ("o{2,3}", "ooo", true),
        ("o{2}", "ooo", false),
        ("}", "}", true),
        ("]", "]", true),
        ("#a b", "#a b", true),
        ("", "", true),
        (r"a\Z", "a", true),
    ] {
        let regex = JavaRegex::new(pattern).unwrap_or_else(|why| panic!("{pattern}: {why}"));
        assert_eq!(regex.matches(text), Ok(expected), "{pattern} on {text}");
    }
}

#[test]
fn what_cannot_be_run_is_refused_by_name() {
    for (pattern, what) in [
        ("(", "Unclosed group near index 0\n("),
        (")", "Unmatched closing ')' near index 0\n)"),
        ("[a", "Unclosed character class near index 1\n[a"),
        ("*a", "Dangling meta character '*' near index 0\n*a"),
        ("a**", "Dangling meta character '*' near index 2\na**"),
        ("a|+", "Dangling meta character '+' near index 2\na|+"),
        ("{", "Illegal repetition near index 0\n{"),
        ("a{,3}", "Illegal repetition near index 1\na{,3}"),
        ("a{x}", "Illegal repetition near index 1\na{x}"),
        ("a{2,1}", "Illegal repetition range near index 1\na{2,1}"),
        ("a{2,3}+", "The possessive quantifier {n,m}+ is not supported near index 5\na{2,3}+"),
        ("[z-a]", "Illegal character range near index 3\n[z-a]"),
        (r"\y", "Illegal/unsupported escape sequence \\y near index 1\n\\y"),
        (r"\1(a)", "A reference to group 1, which is not there yet, is not supported near index 1\n\\1(a)"),
        ("(?x)a b", "The flag x is not supported near index 2\n(?x)a b"),
        ("(?q)a", "Unknown inline modifier near index 2\n(?q)a"),
        ("(?<1>a)", "capturing group name does not start with a Latin letter near index 4\n(?<1>a)"),
        ("a\\", "Unexpected end after a backslash near index 1\na\\"),
    ] {
        assert_eq!(JavaRegex::new(pattern).err().as_deref(), Some(what), "{pattern}");
    }
    for pattern in [r"\p{Foo}", r"\k<n>", "a{99999999999}"] {
        assert!(JavaRegex::new(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn replacements_read_as_in_java() {
    for (pattern, replacement, text, expected) in [
        ("(.*)-(\\d+)", "$2_$1", "orders-12", "12_orders"),
        ("(?<n>.*)", "p.${n}.s", "orders", "p.orders.s"),
        ("a|ab", "X", "ab", "Xb"),
        ("(o)(x)?.*", "<$2$1>", "orders", "<o>"),
        ("(.*)", "\\$1\\\\", "orders", "$1\\"),
        ("(.)(.*)", "$12", "ab", "a2"),
        (".*", "$0$0", "ab", "abab"),
        ("o*", "x", "orders", "orders"),
    ] {
        assert_eq!(replaced(pattern, replacement, text).as_deref(), Ok(expected), "{pattern} {replacement}");
    }
    for (pattern, replacement, why) in [
        ("(.*)", "$", "Illegal group reference: group index is missing"),
        ("(.*)", "$x", "Illegal group reference"),
        ("(.*)", "$2", "No group 2"),
        ("(.*)", "${n}", "No group with name {n}"),
        ("(.*)", "${1}", "capturing group name {1} starts with digit character"),
        ("(.*)", "${n", "named capturing group is missing trailing '}'"),
        ("(.*)", "a\\", "character to be escaped is missing"),
    ] {
        assert_eq!(replaced(pattern, replacement, "orders").err().as_deref(), Some(why), "{replacement}");
    }
}

#[test]
fn a_search_that_would_not_end_is_an_error() {
    let regex = JavaRegex::new(r"(?:(a|a|a)+)+\1$").unwrap();
    let text = format!("{}b", "a".repeat(40));
    assert!(regex.matches(&text).is_err());
}
