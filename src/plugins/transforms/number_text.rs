//! Numbers with fractions as Java reads them: `1.5`, `1e3`, `1f`, `NaN`, `-Infinity`, `0x1p3`, with blanks around them.

/// The number of 32 bits.
pub(super) fn float32(text: &str) -> Option<f32> {
    match parts(text)? {
        Parts::Decimal(text) => text.parse().ok(),
        #[expect(clippy::cast_possible_truncation, reason = "the nearest number of 32 bits is wanted")]
        Parts::Number(number) => Some(number as f32),
    }
}

/// The number of 64 bits.
pub(super) fn float64(text: &str) -> Option<f64> {
    match parts(text)? {
        Parts::Decimal(text) => text.parse().ok(),
        Parts::Number(number) => Some(number),
    }
}

enum Parts<'a> {
    /// Decimal notation that Rust reads alike.
    Decimal(&'a str),
    /// Anything else, as it is.
    Number(f64),
}

fn parts(text: &str) -> Option<Parts<'_>> {
    let text = text.trim_matches(|char: char| char <= ' ');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    match unsigned {
        "NaN" => return Some(Parts::Number(f64::NAN)),
        "Infinity" => return Some(Parts::Number(sign * f64::INFINITY)),
        _ => {}
    }
    if let Some(hex) = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
        return hexadecimal(hex).map(|number| Parts::Number(sign * number));
    }
    let number = text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text);
    // Rust reads `inf` and `nan`, too.
    let is_decimal = number.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    is_decimal.then_some(Parts::Decimal(number))
}

/// `1.8p3`, with an exponent of two that must be there.
fn hexadecimal(text: &str) -> Option<f64> {
    let text =
        text.strip_suffix(['f', 'F', 'd', 'D']).filter(|rest| rest.contains(['p', 'P'])).unwrap_or(text);
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() == 0 {
        return None;
    }
    let mut number = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        number = number * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let shift = exponent.checked_sub(i32::try_from(fraction.len()).ok()?.checked_mul(4)?)?;
    Some(number * 2_f64.powi(shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_in_java() {
        for (text, expected) in [
            ("1", Some(1.0)),
            (" +1.5\n", Some(1.5)),
            ("-.5", Some(-0.5)),
            ("5.", Some(5.0)),
            ("1e3", Some(1000.0)),
            ("1f", Some(1.0)),
            ("1e3D", Some(1000.0)),
            ("0x1p3", Some(8.0)),
            ("-0X1.8p1f", Some(-3.0)),
            ("Infinity", Some(f64::INFINITY)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("1e400", Some(f64::INFINITY)),
            ("", None),
            ("-", None),
            ("1e", None),
            ("f", None),
            ("inf", None),
            ("nan", None),
            ("infinity", None),
            ("0x1", None),
            ("1_0", None),
            ("1 0", None),
        ] {
            assert_eq!(float64(text), expected, "{text}");
        }
        assert!(float64("NaN").is_some_and(f64::is_nan));
        assert_eq!(float32("16777217"), Some(16_777_216.0));
    }
}
