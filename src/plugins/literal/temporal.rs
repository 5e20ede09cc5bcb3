//! Dates, times and timestamps in the three ISO forms that Connect writes, read as leniently as Java reads them.

use std::sync::Arc;

use crate::api::data::{Logical, SchemaAndValue, Value};
use crate::stdx::java_calendar::{MILLIS_PER_DAY, millis_of_date};

/// The value of `yyyy-MM-dd`, `HH:mm:ss.SSS'Z'` or `yyyy-MM-dd'T'HH:mm:ss.SSS'Z'`. The length alone decides which of
/// them is tried; within it fields may have any number of digits, and what follows the last field is ignored.
pub(super) fn parse(text: &str) -> Option<SchemaAndValue> {
    let text = text.replace("\\:", ":");
    let mut fields = Fields { rest: &text };
    let (logical, millis) = match text.encode_utf16().take(25).count() {
        10 => (Logical::Date, fields.date()?),
        13 => (Logical::Time, fields.time()?),
        24 => {
            let date = fields.date()?;
            fields.literal('T')?;
            (Logical::Timestamp, date.wrapping_add(fields.time()?))
        }
        _ => return None,
    };
    Some(SchemaAndValue { schema: Some(Arc::new(logical.schema())), value: Value::Instant(millis) })
}

struct Fields<'a> {
    rest: &'a str,
}

impl Fields<'_> {
    fn date(&mut self) -> Option<i64> {
        let year = self.number()?;
        self.literal('-')?;
        let month = self.number()?;
        self.literal('-')?;
        Some(millis_of_date(year, month, self.number()?))
    }

    fn time(&mut self) -> Option<i64> {
        let hours = self.number()?;
        self.literal(':')?;
        let minutes = self.number()?;
        self.literal(':')?;
        let seconds = self.number()?;
        self.literal('.')?;
        let millis = self.number()?;
        self.literal('Z')?;
        Some(hours * (MILLIS_PER_DAY / 24) + minutes * 60_000 + seconds * 1000 + millis)
    }

    fn literal(&mut self, expected: char) -> Option<()> {
        self.rest = self.rest.strip_prefix(expected)?;
        Some(())
    }

    /// A whole number, perhaps negative, with blanks before it. The text has at most 24 characters, and what does not
    /// fit into 32 bits is cut to them as in Java, so sums of fields cannot overflow.
    fn number(&mut self) -> Option<i64> {
        let text = self.rest.trim_start_matches([' ', '\t']);
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let end = unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len());
        let (digits, rest) = unsigned.split_at_checked(end)?;
        let magnitude: i128 = digits.parse().ok()?;
        let number = if unsigned.len() < text.len() { -magnitude } else { magnitude };
        self.rest = rest;
        #[expect(clippy::cast_possible_truncation, reason = "Java keeps the low 32 bits")]
        Some(i64::from(number as i32))
    }
}
