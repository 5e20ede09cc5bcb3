//! What the vectors do not show: oddities of the grammar, bounds, and that no text is refused.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> SchemaAndValue {
    parse(&ByteString::from(text))
}

fn is_text(text: &str) -> bool {
    read(text).value == Value::string(text)
}

#[test]
fn what_is_not_quite_a_literal_stays_text() {
    for text in [
        "[null,1]",
        "[1,null]",
        "[\"a\" \"b\"]",
        "[1 2]",
        "[1,,2]",
        "[,]",
        "[1",
        "[",
        "{",
        "{,}",
        "{\"a\":}",
        "{:1}",
        "{null:1}",
        "{\"a\":null,\"b\":1}",
        "null,",
        "true:1",
        "++1",
        ".5",
        "1e",
        "1e2147483648",
        "0x10",
        "1_0",
        "NaN",
        "2023/11/14",
        "2023-11-14T22:13:20.123z",
        "\"a\"",
        "[\"a\"x]",
        "[- 1]",
        "[01:02:03.004Z ,1]",
        "1.2.3",
        "7b2c",
        "[\"2023-11-14\",1.5]",
        "[-7,\"01:02:03.004Z\"]",
        "00-4bf92f3577b34da6-01",
        "\u{0}",
        "\u{FFFD}",
    ] {
        assert!(is_text(text), "{text:?} is read as {:?}", read(text));
    }
}

#[test]
fn only_the_beginning_of_a_text_is_looked_at() {
    for (text, same) in
        [("1,2", "1"), ("12:30:45", "12"), ("[1,2] tail", "[1,2]"), ("{}x", "{}"), ("1\"", "1")]
    {
        assert_eq!(read(text), read(same), "{text:?}");
    }
}

#[test]
fn elements_take_the_schema_they_have_in_common() {
    for (text, expected) in [
        ("[1,300]", vec![Value::Int16(1), Value::Int16(300)]),
        ("[9223372036854775807,1.5]", vec![Value::Float32(9.223_372e18), Value::Float32(1.5)]),
        ("[5,\"2023-11-14\"]", vec![Value::Instant(432_000_000), Value::Instant(1_699_920_000_000)]),
        ("[1,\"a\",2]", vec![Value::Int8(1), Value::string("a"), Value::Int8(2)]),
        ("[\"{ }\"]", vec![Value::string("{}")]),
    ] {
        assert_eq!(read(text).value, Value::Array(expected), "{text:?}");
    }
    let mixed_keys = read("{1:\"a\",\"b\":\"c\"}").schema.unwrap();
    assert_eq!(mixed_keys.kind, SchemaKind::Map(None, None));
}

#[test]
fn deep_nesting_stays_text() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(!is_text(&nested(MAX_DEPTH)));
    assert!(is_text(&nested(MAX_DEPTH + 1)));
    assert!(is_text(&"[{\"a\":".repeat(100_000)));
}

#[test]
fn hostile_text_takes_no_more_than_linear_time() {
    // Quadratic time would be minutes.
    let size = 1 << 17;
    for text in [
        "[".repeat(size),
        "[1,".to_owned() + &"1,".repeat(size / 2),
        "[\"".to_owned() + &"\\".repeat(size),
        "[".to_owned() + &" ".repeat(size),
        "1:".repeat(size / 2),
        format!("[1,1,1,1,{}", "2".repeat(size)),
    ] {
        let begin = start();
        read(&text);
        let taken = begin.elapsed();
        assert!(taken < Duration::from_secs(20), "{taken:?} for {}…", &text[..10]);
    }
}

#[expect(clippy::disallowed_methods, reason = "the test measures real time")]
fn start() -> Instant {
    Instant::now()
}

proptest! {
    #[test]
    fn any_text_is_a_value(text: String) {
        read(&text);
    }

    #[test]
    fn any_jumble_of_tokens_is_a_value(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                "[", "]", "{", "}", ",", ":", "\"", "\\", " ", "1", "-", ".", "e", "null", "true", "x", "1e400", "300",
                "2023-11-14", "T", "01:02:03.004Z", "é",
            ]),
            0..12,
        ),
    ) {
        read(&tokens.concat());
    }

    #[test]
    fn integers_take_the_smallest_type(number: i64) {
        let expected = match number {
            -0x80..=0x7F => Value::Int8(number as i8),
            -0x8000..=0x7FFF => Value::Int16(number as i16),
            -0x8000_0000..=0x7FFF_FFFF => Value::Int32(number as i32),
            _ => Value::Int64(number),
        };
        prop_assert_eq!(read(&number.to_string()).value, expected);
    }
}
