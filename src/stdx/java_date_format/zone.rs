//! Time zones in texts: offsets, and the names that are most used.

use super::super::java_calendar::MILLIS_PER_DAY;

const MINUTE: i64 = MILLIS_PER_DAY / (24 * 60);

/// Names with their minutes ahead of UTC.
const NAMES: [(&str, i64); 23] = [
    ("Coordinated Universal Time", 0),
    ("Greenwich Mean Time", 0),
    ("UTC", 0),
    ("GMT", 0),
    ("WET", 0),
    ("WEST", 60),
    ("CET", 60),
    ("CEST", 120),
    ("EET", 120),
    ("EEST", 180),
    ("MSK", 180),
    ("JST", 540),
    ("EST", -300),
    ("EDT", -240),
    ("CST", -360),
    ("CDT", -300),
    ("MST", -420),
    ("MDT", -360),
    ("PST", -480),
    ("PDT", -420),
    ("AKST", -540),
    ("AKDT", -480),
    ("HST", -600),
];

/// How an offset is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `0100`, and after `GMT` `1:00`.
    General,
    /// `01`.
    IsoHours,
    /// `0100`.
    IsoMinutes,
    /// `01:00`.
    IsoColon,
}

/// Reads a zone at the beginning of a text: milliseconds ahead of UTC, and the rest.
pub(super) fn parse(text: &str, style: Style) -> Option<(i64, &str)> {
    if style == Style::General {
        let prefix = text.get(..3).filter(|prefix| prefix.eq_ignore_ascii_case("GMT"));
        if prefix.is_some() {
            let rest = text.get(3..)?;
            return match rest.chars().next() {
                Some('+' | '-') => offset(rest, Digits::Loose),
                Some(_) | None => Some((0, rest)),
            };
        }
        if !text.starts_with(['+', '-']) {
            return name(text);
        }
        return offset(text, Digits::Minutes);
    }
    if let Some(rest) = text.strip_prefix('Z') {
        return Some((0, rest));
    }
    match style {
        Style::IsoHours => offset(text, Digits::Hours),
        Style::IsoColon => offset(text, Digits::Colon),
        Style::General | Style::IsoMinutes => offset(text, Digits::Minutes),
    }
}

/// The longest name that the text begins with.
fn name(text: &str) -> Option<(i64, &str)> {
    let begins = |name: &str| text.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name));
    let (name, minutes) = NAMES.iter().filter(|(name, _)| begins(name)).max_by_key(|(name, _)| name.len())?;
    Some((minutes * MINUTE, text.get(name.len()..)?))
}

/// The digits of an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Digits {
    /// `01`.
    Hours,
    /// `0100`.
    Minutes,
    /// `01:00`.
    Colon,
    /// `1:00`, too.
    Loose,
}

/// An offset with its sign.
fn offset(text: &str, digits: Digits) -> Option<(i64, &str)> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let rest = text.strip_prefix(['+', '-'])?;
    let (first, rest) = digit(rest)?;
    let (hours, mut rest) = match digit(rest) {
        Some((second, rest)) => (first * 10 + second, rest),
        None if digits == Digits::Loose => (first, rest),
        None => return None,
    };
    let mut minutes = 0;
    if digits != Digits::Hours {
        if matches!(digits, Digits::Colon | Digits::Loose) {
            rest = rest.strip_prefix(':')?;
        }
        let (tens, after) = digit(rest)?;
        let (ones, after) = digit(after)?;
        (minutes, rest) = (tens * 10 + ones, after);
    }
    (hours <= 23 && minutes <= 59).then_some((sign * (hours * 60 + minutes) * MINUTE, rest))
}

fn digit(text: &str) -> Option<(i64, &str)> {
    let digit = text.chars().next()?.to_digit(10)?;
    Some((digit.into(), text.get(1..)?))
}
