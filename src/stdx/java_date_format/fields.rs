//! From fields that were read, in the order they were read, to the moment they mean: where they contradict each other,
//! what was read last counts.

use super::super::java_calendar::{MILLIS_PER_DAY, millis_of_date};

/// A field of Java's calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Era,
    Year,
    WeekYear,
    /// From 1.
    Month,
    WeekOfYear,
    WeekOfMonth,
    DayOfYear,
    DayOfMonth,
    DayOfWeekInMonth,
    /// From 0, Sunday.
    DayOfWeek,
    /// 0 before noon, 1 after.
    AmPm,
    Hour,
    HourOfDay,
    Minute,
    Second,
    Millisecond,
    /// Milliseconds ahead of UTC.
    ZoneOffset,
}

const SLOTS: usize = Slot::ZoneOffset as usize + 1;

/// When a field was read; 0 for never.
type Stamp = u32;

/// The fields read so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    values: [(Stamp, i64); SLOTS],
    latest: Stamp,
}

impl Fields {
    pub(super) fn set(&mut self, slot: Slot, value: i64) {
        self.latest += 1;
        self.values[slot as usize] = (self.latest, value);
    }

    fn stamp(&self, slot: Slot) -> Stamp {
        self.values[slot as usize].0
    }

    fn get(&self, slot: Slot) -> Option<i64> {
        let (stamp, value) = self.values[slot as usize];
        (stamp > 0).then_some(value)
    }

    fn get_or(&self, slot: Slot, default: i64) -> i64 {
        self.get(slot).unwrap_or(default)
    }

    /// The year as calendars count: 0 is 1 BC.
    fn year(&self) -> i64 {
        let year = self.get_or(Slot::Year, 1970);
        if self.get(Slot::Era) == Some(0) { 1 - year } else { year }
    }

    /// Moves to another century.
    pub(super) fn add_years(&mut self, years: i64) {
        for slot in [Slot::Year, Slot::WeekYear] {
            self.values[slot as usize].1 += years;
        }
    }

    /// The moment in milliseconds since 1970-01-01 UTC.
    pub(super) fn millis(&self) -> i64 {
        let by_week_year = self.stamp(Slot::WeekYear) > self.stamp(Slot::Year);
        let days = if by_week_year { self.days_by_week_year() } else { self.days() };
        let date = days.wrapping_mul(MILLIS_PER_DAY);
        date.wrapping_add(self.time()).wrapping_sub(self.get_or(Slot::ZoneOffset, 0))
    }

    fn time(&self) -> i64 {
        let of_day = self.stamp(Slot::HourOfDay);
        let both = self.both(Slot::Hour, Slot::AmPm);
        let either = self.stamp(Slot::Hour).max(self.stamp(Slot::AmPm));
        let by_half = if of_day.max(both) == 0 { either > 0 } else { both > of_day };
        let hours = if by_half {
            self.get_or(Slot::Hour, 0) + 12 * self.get_or(Slot::AmPm, 0)
        } else {
            self.get_or(Slot::HourOfDay, 0)
        };
        let minutes = hours * 60 + self.get_or(Slot::Minute, 0);
        (minutes * 60 + self.get_or(Slot::Second, 0)) * 1000 + self.get_or(Slot::Millisecond, 0)
    }

    fn days_by_week_year(&self) -> i64 {
        let week = self.get_or(Slot::WeekOfYear, 1);
        start_of_week_year(self.get_or(Slot::WeekYear, 1970))
            + (week - 1) * 7
            + self.get_or(Slot::DayOfWeek, 0)
    }

    /// When both fields were there; 0 if one is missing.
    fn both(&self, a: Slot, b: Slot) -> Stamp {
        let (a, b) = (self.stamp(a), self.stamp(b));
        if a == 0 || b == 0 { 0 } else { a.max(b) }
    }

    /// Days since 1970-01-01 by whichever fields were read last.
    fn days(&self) -> i64 {
        let weekday = self.stamp(Slot::DayOfWeek);
        let of_month = self.stamp(Slot::DayOfMonth);
        let of_year = self.stamp(Slot::DayOfYear);
        let mut week_of_month = self.both(Slot::WeekOfMonth, Slot::DayOfWeek);
        let mut in_month = self.both(Slot::DayOfWeekInMonth, Slot::DayOfWeek);
        let mut week_of_year = self.both(Slot::WeekOfYear, Slot::DayOfWeek);
        if of_month.max(week_of_month).max(in_month).max(of_year).max(week_of_year) == 0 {
            week_of_month = self.stamp(Slot::WeekOfMonth);
            in_month = self.stamp(Slot::DayOfWeekInMonth).max(weekday);
            week_of_year = self.stamp(Slot::WeekOfYear);
        }
        let best = of_month.max(week_of_month).max(in_month).max(of_year).max(week_of_year);
        let (year, month) = (self.year(), self.get_or(Slot::Month, 1));
        if best == of_month {
            return days_of(year, month, self.get_or(Slot::DayOfMonth, 1));
        }
        let first_of_month = days_of(year, month, 1);
        let week_wins = |slot| self.stamp(slot) >= self.stamp(Slot::WeekOfYear);
        let by_week = best == week_of_month && week_wins(Slot::WeekOfMonth);
        let by_day = best == in_month && week_wins(Slot::DayOfWeekInMonth);
        let weeks_first = self.stamp(Slot::WeekOfMonth) >= self.stamp(Slot::DayOfWeekInMonth);
        if by_week && (week_of_month != in_month || weeks_first) {
            return self.in_week_of(first_of_month, self.get_or(Slot::WeekOfMonth, 1));
        }
        if by_week || by_day {
            return self.nth_of_month(first_of_month, days_of(year, month + 1, 1));
        }
        let first_of_year = days_of(year, 1, 1);
        if best == of_year {
            return first_of_year + self.get_or(Slot::DayOfYear, 1) - 1;
        }
        self.in_week_of(first_of_year, self.get_or(Slot::WeekOfYear, 1))
    }

    /// The day of the week in the given week from that of `first` on.
    fn in_week_of(&self, first: i64, week: i64) -> i64 {
        sunday_on_or_before(first) + self.get_or(Slot::DayOfWeek, 0) + 7 * (week - 1)
    }

    /// The n-th such day of the week in the month, counted from its end where n is negative.
    fn nth_of_month(&self, first: i64, next: i64) -> i64 {
        let weekday = self.get_or(Slot::DayOfWeek, 0);
        let nth = self.get_or(Slot::DayOfWeekInMonth, 1);
        let on_or_before = |day: i64| day - (weekday_of(day) - weekday).rem_euclid(7);
        if nth >= 0 { on_or_before(first + 7 * nth - 1) } else { on_or_before(next + 7 * (nth + 1) - 1) }
    }
}

fn days_of(year: i64, month: i64, day: i64) -> i64 {
    // A year that does not fit wraps when days become milliseconds, not before.
    let in_range = (-200_000_000..200_000_000).contains(&year);
    if in_range {
        return millis_of_date(year, month, day).div_euclid(MILLIS_PER_DAY);
    }
    // 400 Gregorian years are 146,097 days.
    let (cycles, within) = (year.div_euclid(400), year.rem_euclid(400) + 2000);
    millis_of_date(within, month, day).div_euclid(MILLIS_PER_DAY) + (cycles - 5) * 146_097
}

/// From 0, Sunday.
fn weekday_of(day: i64) -> i64 {
    (day + 4).rem_euclid(7)
}

fn sunday_on_or_before(day: i64) -> i64 {
    day - weekday_of(day)
}

/// The first day of the week that holds the first of January.
pub(super) fn start_of_week_year(year: i64) -> i64 {
    sunday_on_or_before(days_of(year, 1, 1))
}
