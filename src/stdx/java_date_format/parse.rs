//! Reading.

use super::fields::{Fields, Slot};
use super::zone::{self, Style};
use super::{Field, JavaDate, JavaDateFormat, Piece, names};

impl JavaDateFormat {
    /// Milliseconds from 1970-01-01 UTC to the moment that a text begins with; what follows is ignored. `None` if the
    /// text does not fit the pattern.
    pub fn parse(&self, text: &str) -> Option<i64> {
        let mut reading =
            Reading { text, at: 0, fields: Fields::default(), is_ambiguous: false, format: self };
        for (index, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Text(literal) => {
                    text.get(reading.at..)?.strip_prefix(literal.as_str())?;
                    reading.at += literal.len();
                }
                Piece::Field(field, count) => {
                    // A number next to another takes as many digits as its letter stands there.
                    let bounded = self.pieces.get(index + 1).is_some_and(is_number);
                    reading.field(*field, *count, bounded)?;
                }
            }
        }
        if reading.at == 0 {
            return None;
        }
        let millis = reading.fields.millis();
        if reading.is_ambiguous && millis < self.century_start {
            reading.fields.add_years(100);
            return Some(reading.fields.millis());
        }
        Some(millis)
    }
}

fn is_number(piece: &Piece) -> bool {
    match piece {
        Piece::Text(_) => false,
        Piece::Field(Field::Month, count) => *count <= 2,
        Piece::Field(field, _) => match field {
            Field::Era
            | Field::DayName
            | Field::AmPm
            | Field::ZoneName
            | Field::ZoneOffset
            | Field::ZoneIso => false,
            Field::Year
            | Field::WeekYear
            | Field::Month
            | Field::WeekOfYear
            | Field::WeekOfMonth
            | Field::DayOfYear
            | Field::DayOfMonth
            | Field::DayOfWeekInMonth
            | Field::DayNumber
            | Field::Hour0To23
            | Field::Hour1To24
            | Field::Hour0To11
            | Field::Hour1To12
            | Field::Minute
            | Field::Second
            | Field::Millisecond => true,
        },
    }
}

struct Reading<'a> {
    text: &'a str,
    at: usize,
    fields: Fields,
    /// Whether a year of two digits may belong to either end of the hundred years.
    is_ambiguous: bool,
    format: &'a JavaDateFormat,
}

impl Reading<'_> {
    fn field(&mut self, field: Field, count: usize, bounded: bool) -> Option<()> {
        let start = self.at;
        let blanks = self.rest()?.len() - self.rest()?.trim_start_matches([' ', '\t']).len();
        let begin = start + blanks;
        if begin >= self.text.len() {
            return None;
        }
        // Names begin where the field does; only numbers and zones may have blanks before them.
        match field {
            Field::Era => return self.name(&names::ERAS, Slot::Era),
            Field::AmPm => return self.name(&names::HALVES, Slot::AmPm),
            Field::DayName => return self.name(&names::DAYS, Slot::DayOfWeek),
            Field::Month if count >= 3 => {
                let index = self.find_name(&names::MONTHS)?;
                self.fields.set(Slot::Month, index + 1);
                return Some(());
            }
            Field::ZoneName | Field::ZoneOffset => return self.zone(begin, Style::General),
            Field::ZoneIso => {
                let style = match count {
                    1 => Style::IsoHours,
                    2 => Style::IsoMinutes,
                    _ => Style::IsoColon,
                };
                return self.zone(begin, style);
            }
            Field::Year
            | Field::WeekYear
            | Field::Month
            | Field::WeekOfYear
            | Field::WeekOfMonth
            | Field::DayOfYear
            | Field::DayOfMonth
            | Field::DayOfWeekInMonth
            | Field::DayNumber
            | Field::Hour0To23
            | Field::Hour1To24
            | Field::Hour0To11
            | Field::Hour1To12
            | Field::Minute
            | Field::Second
            | Field::Millisecond => {}
        }
        let end = if bounded { start + count } else { self.text.len() };
        let number = self.number(begin, end)?;
        self.set(field, number, begin, count);
        Some(())
    }

    fn rest(&self) -> Option<&str> {
        self.text.get(self.at..)
    }

    /// Sets the field that a number stands for.
    fn set(&mut self, field: Field, number: i64, begin: usize, count: usize) {
        let (slot, value) = match field {
            Field::Year => (Slot::Year, self.year(number, begin, count)),
            Field::WeekYear => (Slot::WeekYear, self.year(number, begin, count)),
            Field::Month => (Slot::Month, number),
            Field::WeekOfYear => (Slot::WeekOfYear, number),
            Field::WeekOfMonth => (Slot::WeekOfMonth, number),
            Field::DayOfYear => (Slot::DayOfYear, number),
            Field::DayOfMonth => (Slot::DayOfMonth, number),
            Field::DayOfWeekInMonth => (Slot::DayOfWeekInMonth, number),
            Field::DayNumber => (Slot::DayOfWeek, number.rem_euclid(7)),
            Field::Hour0To23 => (Slot::HourOfDay, number),
            Field::Hour1To24 => (Slot::HourOfDay, if number == 24 { 0 } else { number }),
            Field::Hour0To11 => (Slot::Hour, number),
            Field::Hour1To12 => (Slot::Hour, if number == 12 { 0 } else { number }),
            Field::Minute => (Slot::Minute, number),
            Field::Second => (Slot::Second, number),
            Field::Millisecond => (Slot::Millisecond, number),
            Field::Era
            | Field::DayName
            | Field::AmPm
            | Field::ZoneName
            | Field::ZoneOffset
            | Field::ZoneIso => {
                unreachable!("what is no number was read as what it is")
            }
        };
        self.fields.set(slot, value);
    }

    /// Two digits for `yy` are a year near the present.
    fn year(&mut self, number: i64, begin: usize, count: usize) -> i64 {
        let digits = self.text.get(begin..self.at).unwrap_or_default();
        let is_short = count <= 2 && digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_short {
            return number;
        }
        let start = JavaDate::of_millis(self.format.century_start).year;
        let ambiguous = start.rem_euclid(100);
        self.is_ambiguous = number == ambiguous;
        number + start.div_euclid(100) * 100 + if number < ambiguous { 100 } else { 0 }
    }

    /// A whole number, perhaps negative, that ends before `end`. One that does not fit into 32 bits is cut to them, as in
    /// Java, and one beyond 64 bits is the largest.
    fn number(&mut self, begin: usize, end: usize) -> Option<i64> {
        let text = self.text.get(begin..end)?;
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let length = unsigned.bytes().take_while(u8::is_ascii_digit).count();
        let digits = unsigned.get(..length).filter(|digits| !digits.is_empty())?;
        let is_negative = unsigned.len() < text.len();
        self.at = begin + usize::from(is_negative) + length;
        #[expect(clippy::cast_possible_truncation, reason = "Java keeps the low 32 bits")]
        let number = match digits.parse::<i64>() {
            Ok(number) => (if is_negative { -number } else { number }) as i32,
            Err(_) if is_negative => i32::MIN,
            Err(_) => i32::MAX,
        };
        Some(number.into())
    }

    fn zone(&mut self, begin: usize, style: Style) -> Option<()> {
        let (offset, rest) = zone::parse(self.text.get(begin..)?, style)?;
        self.at = self.text.len() - rest.len();
        self.fields.set(Slot::ZoneOffset, offset);
        Some(())
    }

    fn name(&mut self, names: &[&str], slot: Slot) -> Option<()> {
        let index = self.find_name(names)?;
        self.fields.set(slot, index);
        Some(())
    }

    /// Which of the names comes next: whole, else short; case does not matter.
    fn find_name(&mut self, names: &[&str]) -> Option<i64> {
        let rest = self.rest()?;
        let begins =
            |name: &str| rest.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name));
        let whole = names.iter().position(|name| begins(name));
        let (index, length) = match whole {
            Some(index) => (index, names.get(index)?.len()),
            None => {
                let index = names.iter().position(|name| begins(names::short(name)))?;
                (index, names::short(names.get(index)?).len())
            }
        };
        self.at += length;
        i64::try_from(index).ok()
    }
}
