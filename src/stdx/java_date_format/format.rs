//! Writing.

use std::fmt::{self, Write};

use super::super::java_calendar::{JavaDate, MILLIS_PER_DAY, millis_of_date};
use super::fields::start_of_week_year;
use super::{Field, JavaDateFormat, Piece, names};

/// Room for most texts.
const ROOM: usize = 32;

impl JavaDateFormat {
    /// The moment so many milliseconds after 1970-01-01 UTC, as text.
    pub fn format(&self, millis: i64) -> String {
        let moment = Moment::of(millis);
        let mut text = String::with_capacity(ROOM);
        for piece in &self.pieces {
            let written = match piece {
                Piece::Text(literal) => text.write_str(literal),
                Piece::Field(field, count) => moment.write(*field, *count, &mut text),
            };
            if written.is_err() {
                unreachable!("a String takes all that is written");
            }
        }
        text
    }
}

struct Moment {
    date: JavaDate,
    /// From 0, Sunday.
    weekday: i64,
}

impl Moment {
    fn of(millis: i64) -> Self {
        let date = JavaDate::of_millis(millis);
        Moment { weekday: (date.days + 4).rem_euclid(7), date }
    }

    /// From 1.
    fn day_of_year(&self) -> i64 {
        self.date.days - millis_of_date(self.date.year, 1, 1).div_euclid(MILLIS_PER_DAY) + 1
    }

    /// The year to which the week belongs, and the day on which that begins.
    fn week_year(&self) -> (i64, i64) {
        let (year, days) = (self.date.year, self.date.days);
        let next = start_of_week_year(year + 1);
        if days >= next { (year + 1, next) } else { (year, start_of_week_year(year)) }
    }

    fn write(&self, field: Field, count: usize, to: &mut String) -> fmt::Result {
        let (date, weekday) = (&self.date, self.weekday);
        let (hour, minute, second) = date.hours_minutes_seconds();
        let first_weekday = (weekday - (date.day - 1)).rem_euclid(7);
        let named = |names: &[&'static str], index: i64| {
            let name = usize::try_from(index).ok().and_then(|index| names.get(index)).copied();
            let name = name.unwrap_or_default();
            if count >= 4 { name } else { names::short(name) }
        };
        let number = match field {
            Field::Era => return to.write_str(if date.year > 0 { "AD" } else { "BC" }),
            Field::Year if count == 2 => return padded(to, date.year_of_era() % 100, 2),
            Field::Year => date.year_of_era(),
            Field::WeekYear if count == 2 => return padded(to, self.week_year().0.rem_euclid(100), 2),
            Field::WeekYear => self.week_year().0,
            Field::Month if count >= 3 => return to.write_str(named(&names::MONTHS, date.month - 1)),
            Field::Month => date.month,
            Field::WeekOfYear => (date.days - self.week_year().1) / 7 + 1,
            Field::WeekOfMonth => (date.day - 1 + first_weekday) / 7 + 1,
            Field::DayOfYear => self.day_of_year(),
            Field::DayOfMonth => date.day,
            Field::DayOfWeekInMonth => (date.day - 1) / 7 + 1,
            Field::DayName => return to.write_str(named(&names::DAYS, weekday)),
            Field::DayNumber => (weekday + 6) % 7 + 1,
            Field::AmPm => return to.write_str(if hour < 12 { "AM" } else { "PM" }),
            Field::Hour0To23 => hour,
            Field::Hour1To24 => (hour + 23) % 24 + 1,
            Field::Hour0To11 => hour % 12,
            Field::Hour1To12 => (hour + 11) % 12 + 1,
            Field::Minute => minute,
            Field::Second => second,
            Field::Millisecond => date.millis_of_day % 1000,
            Field::ZoneName => {
                return to.write_str(if count >= 4 { "Coordinated Universal Time" } else { "UTC" });
            }
            Field::ZoneOffset => return to.write_str("+0000"),
            Field::ZoneIso => return to.write_str("Z"),
        };
        padded(to, number, count)
    }
}

/// A number with zeros before it up to so many digits. Most have two, which need no formatter.
fn padded(to: &mut String, number: i64, count: usize) -> fmt::Result {
    match u8::try_from(number) {
        Ok(number @ 0..100) if count == 2 => {
            to.push(char::from(b'0' + number / 10));
            to.push(char::from(b'0' + number % 10));
            Ok(())
        }
        Ok(_) | Err(_) => write!(to, "{number:0count$}"),
    }
}
