//! Numbers in decimal notation, taken apart without being computed: `1e2147483647` costs no more than `1`.

use num_bigint::BigInt;

/// A number: an optional sign, digits with or without a point, an optional exponent.
pub(crate) struct Notation<'a> {
    negative: bool,
    /// The digits before and behind the point.
    whole: &'a str,
    fraction: &'a str,
    /// How many digits stand behind the point once the exponent is applied: the scale of Java's `BigDecimal`.
    scale: i32,
}

impl<'a> Notation<'a> {
    /// Takes a text apart; `None` if it is no number, or one whose exponent Java refuses.
    pub(crate) fn of(text: &'a str) -> Option<Self> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let scale = i32::try_from(i64::try_from(fraction.len()).ok()? - exponent).ok()?;
        Some(Notation { negative: text.starts_with('-'), whole, fraction, scale })
    }

    /// The scale of Java's `BigDecimal`.
    pub(crate) fn scale(&self) -> i32 {
        self.scale
    }

    /// All digits as one number: the unscaled value of Java's `BigDecimal`.
    pub(crate) fn unscaled(&self) -> Option<BigInt> {
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}{}{}", self.whole, self.fraction).parse().ok()
    }

    /// Whether every digit is a zero.
    pub(crate) fn is_zero(&self) -> bool {
        self.digits().all(|digit| digit == 0)
    }

    /// The number if it is whole (`3.0` and `1e3` are) and fits.
    pub(crate) fn as_i64(&self) -> Option<i64> {
        let trailing_zeros = self.digits().rev().take_while(|digit| *digit == 0).count();
        let significant = self.digits().count() - trailing_zeros;
        if significant == 0 {
            return Some(0);
        }
        // How many zeros follow the last digit that is not zero.
        let zeros = i64::try_from(trailing_zeros).ok()? - i64::from(self.scale);
        let zeros = u32::try_from(zeros).ok().filter(|zeros| *zeros < 19)?;
        let number = self.digits().take(significant).try_fold(0_i128, |number, digit| {
            Some(number * 10 + i128::from(digit)).filter(|number| *number <= 1 << 64)
        })?;
        let magnitude = number * 10_i128.pow(zeros);
        i64::try_from(if self.negative { -magnitude } else { magnitude }).ok()
    }

    /// The low 64 bits of the whole part, as Java narrows a number.
    pub(crate) fn low_bits(&self) -> i64 {
        let append = |number: i64, digit: u8| number.wrapping_mul(10).wrapping_add(i64::from(digit));
        let number = match usize::try_from(self.scale) {
            Ok(behind_point) => {
                let whole = self.digits().count().saturating_sub(behind_point);
                self.digits().take(whole).fold(0, append)
            }
            // 64 zeros are 64 factors of two: nothing is left in the low bits.
            Err(_) if self.scale <= -64 => 0,
            Err(_) => (self.scale..0).fold(self.digits().fold(0, append), |number, _| append(number, 0)),
        };
        if self.negative { number.wrapping_neg() } else { number }
    }

    fn digits(&self) -> impl DoubleEndedIterator<Item = u8> {
        self.whole.bytes().chain(self.fraction.bytes()).map(|digit| digit - b'0')
    }
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|digit| digit.is_ascii_digit())
}

/// An exponent, which has to fit into 32 bits.
fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !all_digits(digits) {
        return None;
    }
    let exponent = i64::from(digits.parse::<i32>().ok()?);
    Some(if text.starts_with('-') { -exponent } else { exponent })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_apart_without_being_computed() {
        for (text, whole, low_bits) in [
            ("0", Some(0), 0),
            ("-007", Some(-7), -7),
            ("3.0", Some(3), 3),
            ("-3.99", None, -3),
            ("1000e-3", Some(1), 1),
            ("1e18", Some(1_000_000_000_000_000_000), 1_000_000_000_000_000_000),
            ("1e30", None, 5_076_944_270_305_263_616),
            ("9223372036854775807.0", Some(i64::MAX), i64::MAX),
            ("-9223372036854775808", Some(i64::MIN), i64::MIN),
            ("9223372036854775808", None, i64::MIN),
            ("123456789012345678901234567890", None, -4_362_896_299_872_285_998),
            ("12345678901234567890.5", None, -6_101_065_172_474_983_726),
            ("0e2147483647", Some(0), 0),
            ("1e2147483647", None, 0),
            ("1e-2147483647", None, 0),
            ("5.", Some(5), 5),
            ("+.5", None, 0),
        ] {
            let number = Notation::of(text).unwrap();
            assert_eq!((number.as_i64(), number.low_bits()), (whole, low_bits), "{text}");
        }
        for text in ["", "-", ".", "1e", "e1", "1e2147483648", "1e99999999999", "0x1", "1f", "--1", "1.2.3"] {
            assert!(Notation::of(text).is_none(), "{text}");
        }
    }
}
