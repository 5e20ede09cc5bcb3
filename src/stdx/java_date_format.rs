//! Dates as Java's `SimpleDateFormat` writes and reads them: English, in UTC, weeks as in the United States, lenient.

mod fields;
mod format;
mod names;
mod parse;
mod zone;

use super::java_calendar::{JavaDate, millis_of_date};

/// A pattern such as `yyyy-MM-dd'T'HH:mm:ss.SSSXXX`. Shared by threads.
#[derive(Debug, Clone)]
pub struct JavaDateFormat {
    pieces: Vec<Piece>,
    /// Years of two digits are taken to be within the hundred years from here on.
    century_start: i64,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    /// A field, and how often its letter stands in the pattern.
    Field(Field, usize),
}

/// What a letter of a pattern stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Era,
    Year,
    WeekYear,
    Month,
    WeekOfYear,
    WeekOfMonth,
    DayOfYear,
    DayOfMonth,
    /// Which Monday, Tuesday, … of its month.
    DayOfWeekInMonth,
    DayName,
    /// 1 is Monday.
    DayNumber,
    AmPm,
    /// 0 to 23.
    Hour0To23,
    /// 1 to 24.
    Hour1To24,
    /// 0 to 11.
    Hour0To11,
    /// 1 to 12.
    Hour1To12,
    Minute,
    Second,
    Millisecond,
    ZoneName,
    /// `+0100`.
    ZoneOffset,
    /// `+01`, `+0100` or `+01:00`, `Z` for none.
    ZoneIso,
}

impl Field {
    fn of(letter: char) -> Option<Self> {
        Some(match letter {
            'G' => Field::Era,
            'y' => Field::Year,
            'Y' => Field::WeekYear,
            'M' | 'L' => Field::Month,
            'w' => Field::WeekOfYear,
            'W' => Field::WeekOfMonth,
            'D' => Field::DayOfYear,
            'd' => Field::DayOfMonth,
            'F' => Field::DayOfWeekInMonth,
            'E' => Field::DayName,
            'u' => Field::DayNumber,
            'a' => Field::AmPm,
            'H' => Field::Hour0To23,
            'k' => Field::Hour1To24,
            'K' => Field::Hour0To11,
            'h' => Field::Hour1To12,
            'm' => Field::Minute,
            's' => Field::Second,
            'S' => Field::Millisecond,
            'z' => Field::ZoneName,
            'Z' => Field::ZoneOffset,
            'X' => Field::ZoneIso,
            _ => return None,
        })
    }
}

impl JavaDateFormat {
    /// Reads a pattern. `now` is the present in milliseconds since 1970: years of two digits lie within 80 years before
    /// and 20 years after it.
    ///
    /// # Errors
    /// Java's words on what is wrong with it.
    pub fn new(pattern: &str, now: i64) -> Result<Self, String> {
        let today = JavaDate::of_millis(now);
        let of_day = now - millis_of_date(today.year, today.month, today.day);
        let century_start = millis_of_date(today.year - 80, today.month, today.day) + of_day;
        Ok(JavaDateFormat { pieces: pieces(pattern)?, century_start })
    }
}

fn pieces(pattern: &str) -> Result<Vec<Piece>, String> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut chars = pattern.chars().peekable();
    let mut quoted = false;
    while let Some(char) = chars.next() {
        if char == '\'' {
            if chars.next_if_eq(&'\'').is_some() {
                push_text(&mut pieces, '\'');
            } else {
                quoted = !quoted;
            }
        } else if quoted || !char.is_ascii_alphabetic() {
            push_text(&mut pieces, char);
        } else {
            let field = Field::of(char).ok_or_else(|| format!("Illegal pattern character '{char}'"))?;
            let mut count = 1;
            while chars.next_if_eq(&char).is_some() {
                count += 1;
            }
            if field == Field::ZoneIso && count > 3 {
                return Err(format!("invalid ISO 8601 format: length={count}"));
            }
            pieces.push(Piece::Field(field, count));
        }
    }
    if quoted { Err("Unterminated quote".to_owned()) } else { Ok(pieces) }
}

fn push_text(pieces: &mut Vec<Piece>, char: char) {
    match pieces.last_mut() {
        Some(Piece::Text(text)) => text.push(char),
        Some(Piece::Field(..)) | None => pieces.push(Piece::Text(char.into())),
    }
}

#[cfg(test)]
mod tests;
