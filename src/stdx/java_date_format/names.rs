//! The English names of months, days and halves of days.

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// From Sunday.
pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

pub(super) const HALVES: [&str; 2] = ["AM", "PM"];

pub(super) const ERAS: [&str; 2] = ["BC", "AD"];

/// How a month or day is written short.
pub(super) fn short(name: &str) -> &str {
    name.get(..3).unwrap_or(name)
}
