//! Floating-point numbers as Java prints them: the shortest digits that identify the number, always with a fraction,
//! plain from 10^−3 up to 10^7 and as `1.0E7` elsewhere.

use std::fmt::{self, Write};

/// A number of 32 bits as Java prints it: `100.0`, `1.0E7`, `NaN`.
pub struct JavaFloat(pub f32);

impl fmt::Display for JavaFloat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0;
        if !number.is_finite() {
            return f.write_str(not_finite(f64::from(number)));
        }
        let mut shortest = Ascii::of(format_args!("{number:e}"));
        if shortest.has_one_digit() {
            let two = Ascii::of(format_args!("{number:.1e}"));
            if two.as_str().parse() == Ok(number) {
                shortest = two;
            }
        }
        lay_out(shortest.as_str(), f)
    }
}

/// A number of 64 bits as Java prints it: `100.0`, `1.0E7`, `NaN`.
pub struct JavaDouble(pub f64);

impl fmt::Display for JavaDouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0;
        if !number.is_finite() {
            return f.write_str(not_finite(number));
        }
        let mut shortest = Ascii::of(format_args!("{number:e}"));
        // Java wants the two digits nearest to the number where one would do: 4.9E-324, not 5.0E-324.
        if shortest.has_one_digit() {
            let two = Ascii::of(format_args!("{number:.1e}"));
            if two.as_str().parse() == Ok(number) {
                shortest = two;
            }
        }
        lay_out(shortest.as_str(), f)
    }
}

fn not_finite(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// Writes Rust's `-1.25e-7` in Java's form: plain from 10^−3 up to 10^7, else `d.dddEn`; always with a fraction.
fn lay_out(scientific: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (sign, unsigned) = match scientific.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", scientific),
    };
    let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, "0"));
    let (first, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    match usize::try_from(exponent) {
        Ok(shift @ 0..=6) => match rest.split_at_checked(shift) {
            Some((whole, fraction)) if !fraction.is_empty() => write!(f, "{sign}{first}{whole}.{fraction}"),
            Some(_) | None => write!(f, "{sign}{first}{rest:0<shift$}.0"),
        },
        Err(_) if exponent >= -3 => {
            let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
            let fraction = if rest == "0" { "" } else { rest };
            write!(f, "{sign}0.{:0<zeros$}{first}{fraction}", "")
        }
        Ok(_) | Err(_) => {
            let fraction = if rest.is_empty() { "0" } else { rest };
            write!(f, "{sign}{first}.{fraction}E{exponent}")
        }
    }
}

/// A short text on the stack; numbers are formatted into it without an allocation.
struct Ascii {
    bytes: [u8; 32],
    len: usize,
}

impl Ascii {
    fn of(number: fmt::Arguments<'_>) -> Self {
        let mut text = Ascii { bytes: [0; 32], len: 0 };
        if text.write_fmt(number).is_err() {
            unreachable!("a number in scientific form has at most 24 characters");
        }
        text
    }

    fn as_str(&self) -> &str {
        self.bytes.get(..self.len).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    fn has_one_digit(&self) -> bool {
        !self.as_str().contains('.')
    }
}

impl Write for Ascii {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_in_java() {
        for (number, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (12.5, "12.5"),
            (100.0, "100.0"),
            (1234567.0, "1234567.0"),
            (9999999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (-1.25e10, "-1.25E10"),
            (0.001, "0.001"),
            (0.0125, "0.0125"),
            (-0.1, "-0.1"),
            (9.999e-4, "9.999E-4"),
            (1e-5, "1.0E-5"),
            (2e23, "2.0E23"),
            (9007199254740993.0, "9.007199254740992E15"),
            (0.123_456_789_012_345_68, "0.12345678901234568"),
            (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
            (f64::MAX, "1.7976931348623157E308"),
            (5e-324, "4.9E-324"),
            (1e-323, "9.9E-324"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(JavaDouble(number).to_string(), expected);
        }
        for (number, expected) in [
            (0.1, "0.1"),
            (12.34, "12.34"),
            (1e10, "1.0E10"),
            (16777216.0, "1.6777216E7"),
            (f32::MIN_POSITIVE, "1.1754944E-38"),
            (f32::MAX, "3.4028235E38"),
            (1e-45, "1.4E-45"),
            (f32::NAN, "NaN"),
        ] {
            assert_eq!(JavaFloat(number).to_string(), expected);
        }
    }
}
