//! Against what Java's `SimpleDateFormat` (JDK 17, English, UTC) makes of the same patterns.

use proptest::prelude::*;

use super::*;

/// 2026-11-28.
const NOW: i64 = 1_795_824_000_000;

/// Lines of Java's answers: `F` pattern, milliseconds, text; `P` pattern, text, milliseconds or `!`; `C` pattern, `ok` or
/// the error.
const RECORDED: &str = include_str!("recorded.tsv");

#[test]
fn patterns_do_what_they_do_in_java() {
    let mut failures = Vec::new();
    let mut run = 0;
    for line in RECORDED.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let (expected, got) = match columns[..] {
            ["F", pattern, millis, text] => {
                let format = JavaDateFormat::new(pattern, NOW).unwrap();
                (text.to_owned(), format.format(millis.parse().unwrap()))
            }
            ["P", pattern, text, millis] => {
                let parsed = JavaDateFormat::new(pattern, NOW).unwrap().parse(text);
                (millis.to_owned(), parsed.map_or("!".to_owned(), |millis| millis.to_string()))
            }
            ["C", pattern, outcome] => {
                let message = outcome.strip_prefix("java.lang.IllegalArgumentException: ").unwrap_or(outcome);
                let format = JavaDateFormat::new(pattern, NOW);
                (message.to_owned(), format.err().unwrap_or_else(|| "ok".to_owned()))
            }
            _ => panic!("{line}"),
        };
        run += 1;
        if expected != got {
            failures.push(format!("{line}: got {got}"));
        }
    }
    assert!(run > 500, "{run}");
    assert!(failures.is_empty(), "{} of {run}:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn years_of_two_digits_are_near_the_present() {
    let format = JavaDateFormat::new("yy-MM-dd", NOW).unwrap();
    let year = |text: &str| JavaDate::of_millis(format.parse(text).unwrap()).iso_date();
    assert_eq!(year("46-11-27"), "2046-11-27", "80 years ago yesterday is too far");
    assert_eq!(year("46-11-29"), "1946-11-29");
    assert_eq!(year("45-01-01"), "2045-01-01");
    assert_eq!(year("47-01-01"), "1947-01-01");
}

proptest! {
    #[test]
    fn what_is_written_reads_back(millis in -60_000_000_000_000_i64..250_000_000_000_000) {
        for pattern in ["yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "yyyyMMddHHmmssSSS", "EEEE, d MMMM yyyy h:mm:ss.SSS a z", "yyyy D k:mm:ss.SSS"] {
            let format = JavaDateFormat::new(pattern, NOW).unwrap();
            prop_assert_eq!(format.parse(&format.format(millis)), Some(millis), "{}", pattern);
        }
    }

    #[test]
    fn no_text_is_too_odd(pattern in "[GyYMwWDdFEuaHkKhmsSzZX' :.-]{0,12}", text in "\\PC{0,20}") {
        if let Ok(format) = JavaDateFormat::new(&pattern, NOW) {
            let _ = format.parse(&text);
            let _ = format.format(NOW);
        }
    }
}
