//! Dates as Java's calendar counts them, in UTC: Julian before 15 October 1582, Gregorian from then on, and lenient
//! when read, so that the 99th of a month rolls over.
//!
//! The whole range of 64-bit milliseconds is covered (years up to 292 million), which calendar libraries refuse.

use std::fmt;

/// Milliseconds of a day.
pub const MILLIS_PER_DAY: i64 = 86_400_000;

/// The first Gregorian day, 15 October 1582, in days since 1970-01-01.
const FIRST_GREGORIAN_DAY: i64 = -141_427;

const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A moment by the calendar. `Display` gives the form of `java.util.Date`: `Tue Nov 14 22:13:20 UTC 2023`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JavaDate {
    pub(super) days: i64,
    /// The year; 0 is 1 BC.
    pub(super) year: i64,
    /// From 1.
    pub(super) month: i64,
    /// From 1.
    pub(super) day: i64,
    pub(super) millis_of_day: i64,
}

impl JavaDate {
    /// The moment so many milliseconds after 1970-01-01 UTC.
    pub fn of_millis(millis: i64) -> Self {
        let days = millis.div_euclid(MILLIS_PER_DAY);
        let (year, month, day) = date_of_days(days);
        JavaDate { days, year, month, day, millis_of_day: millis.rem_euclid(MILLIS_PER_DAY) }
    }

    /// The year as it is written: years before 1 AD count backwards.
    pub(super) fn year_of_era(&self) -> i64 {
        if self.year > 0 { self.year } else { 1 - self.year }
    }

    pub(super) fn hours_minutes_seconds(&self) -> (i64, i64, i64) {
        let seconds = self.millis_of_day / 1000;
        (seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    /// `yyyy-MM-dd`.
    pub fn iso_date(&self) -> String {
        format!("{:04}-{:02}-{:02}", self.year_of_era(), self.month, self.day)
    }

    /// A moment as Connect writes it where no schema says what it is: less than a day is a time, whole days are a date.
    pub fn text_by_size(millis: i64) -> String {
        let date = JavaDate::of_millis(millis);
        if millis < MILLIS_PER_DAY {
            date.iso_time()
        } else if millis % MILLIS_PER_DAY == 0 {
            date.iso_date()
        } else {
            format!("{}T{}", date.iso_date(), date.iso_time())
        }
    }

    /// `HH:mm:ss.SSS'Z'`.
    pub fn iso_time(&self) -> String {
        let (hours, minutes, seconds) = self.hours_minutes_seconds();
        format!("{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", self.millis_of_day % 1000)
    }
}

impl fmt::Display for JavaDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weekday = usize::try_from(self.days.rem_euclid(7)).ok().and_then(|day| WEEKDAYS.get(day));
        let month = usize::try_from(self.month - 1).ok().and_then(|month| MONTHS.get(month));
        let (hours, minutes, seconds) = self.hours_minutes_seconds();
        write!(
            f,
            "{} {} {:02} {hours:02}:{minutes:02}:{seconds:02} UTC {}",
            weekday.unwrap_or(&""),
            month.unwrap_or(&""),
            self.day,
            self.year_of_era()
        )
    }
}

/// Milliseconds since 1970-01-01 UTC of a date; month and day may lie outside the year and month and roll over.
pub fn millis_of_date(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = (year + (month - 1).div_euclid(12), (month - 1).rem_euclid(12) + 1);
    let gregorian = gregorian_days(year, month) + day - 1;
    let days = if gregorian >= FIRST_GREGORIAN_DAY { gregorian } else { julian_days(year, month) + day - 1 };
    days.wrapping_mul(MILLIS_PER_DAY)
}

// Years are counted from March, so that the leap day is the last day of a year (Howard Hinnant, «chrono-Compatible
// Low-Level Date Algorithms»). The last term is the distance from that count's day 0 to 1970-01-01.

/// Days from 1970-01-01 to the first of a month, by the Gregorian calendar.
fn gregorian_days(year: i64, month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + days_from_march(month) - 719_468
}

/// Days from 1970-01-01 to the first of a month, by the Julian calendar.
fn julian_days(year: i64, month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    year * 365 + year.div_euclid(4) + days_from_march(month) - 719_470
}

/// Days from the first of March to the first of a month.
fn days_from_march(month: i64) -> i64 {
    (153 * ((month + 9) % 12) + 2) / 5
}

fn date_of_days(days: i64) -> (i64, i64, i64) {
    let (year, day_of_year) = if days >= FIRST_GREGORIAN_DAY {
        let days = days + 719_468;
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        (era * 400 + year, day - (365 * year + year / 4 - year / 100))
    } else {
        let days = days + 719_470;
        let (era, day) = (days.div_euclid(1461), days.rem_euclid(1461));
        let year = (day - day / 1460) / 365;
        (era * 4 + year, day - 365 * year)
    };
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12 + 1;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_read_as_java_prints_them() {
        for (millis, expected) in [
            (1_700_000_000_123, "Tue Nov 14 22:13:20 UTC 2023"),
            (-1, "Wed Dec 31 23:59:59 UTC 1969"),
            (-12_219_292_800_000, "Fri Oct 15 00:00:00 UTC 1582"),
            (-12_219_292_800_001, "Thu Oct 04 23:59:59 UTC 1582"),
            (-62_135_769_600_000, "Sat Jan 01 00:00:00 UTC 1"),
            (-62_167_219_200_000, "Sat Jan 03 00:00:00 UTC 1"),
            (i64::MAX, "Sun Aug 17 07:12:55 UTC 292278994"),
            (i64::MIN, "Sun Dec 02 16:47:04 UTC 292269055"),
        ] {
            assert_eq!(JavaDate::of_millis(millis).to_string(), expected);
        }
    }

    #[test]
    fn months_and_days_roll_over() {
        for ((year, month, day), expected) in [
            ((2023, 13, 99), 1_712_534_400_000),
            ((2023, 0, 0), 1_669_766_400_000),
            ((2023, -1, 14), 1_668_384_000_000),
            ((1500, 2, 29), -14_825_894_400_000),
            ((1582, 10, 10), -12_218_860_800_000),
            ((0, 0, 0), -62_170_156_800_000),
        ] {
            assert_eq!(millis_of_date(year, month, day), expected, "{year}-{month}-{day}");
        }
    }

    proptest! {
        #[test]
        fn a_date_leads_back_to_its_day(millis: i64) {
            let date = JavaDate::of_millis(millis);
            prop_assert_eq!(millis_of_date(date.year, date.month, date.day), date.days.wrapping_mul(MILLIS_PER_DAY));
        }
    }
}
