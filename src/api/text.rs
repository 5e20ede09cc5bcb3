//! Values as text in the forms that Java gives them, which Connect users know from topics and files.

use std::fmt::{self, Display, Formatter};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::data::{Decimal, Struct, Value};
use crate::stdx::java_calendar::JavaDate;
use crate::stdx::java_number::{JavaDouble, JavaFloat};

/// Prints a value as Java's `String.valueOf` does: `12.5`, `[1, a]`, `{k=v}`, `Struct{a=1,b=x}`.
///
/// Bytes are printed in Base64, since what Java prints for them is an address.
pub fn java_text(value: &Value) -> impl Display + '_ {
    JavaText(value)
}

/// Prints a number as Java's `Float.toString`: the fewest digits that identify it.
pub fn float32_text(number: f32) -> impl Display {
    JavaFloat(number)
}

/// Prints a number as Java's `Double.toString`: the fewest digits that identify it.
pub fn float64_text(number: f64) -> impl Display {
    JavaDouble(number)
}

/// The class that holds a value in Java, as error messages name it.
pub fn java_class(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Boolean(_) => "class java.lang.Boolean",
        Value::Int8(_) => "class java.lang.Byte",
        Value::Int16(_) => "class java.lang.Short",
        Value::Int32(_) => "class java.lang.Integer",
        Value::Int64(_) => "class java.lang.Long",
        Value::Float32(_) => "class java.lang.Float",
        Value::Float64(_) => "class java.lang.Double",
        Value::String(_) => "class java.lang.String",
        Value::Bytes(_) => "class [B",
        Value::Decimal(_) => "class java.math.BigDecimal",
        Value::Instant(_) => "class java.util.Date",
        Value::Array(_) => "class java.util.ArrayList",
        Value::Map(_) => "class java.util.HashMap",
        Value::Struct(_) => "class org.apache.kafka.connect.data.Struct",
    }
}

struct JavaText<'a>(&'a Value);

impl Display for JavaText<'_> {
    /// Piece by piece into one formatter: `write!` for each would begin anew, and cost more than the digits.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("null"),
            Value::Boolean(v) => v.fmt(f),
            Value::Int8(v) => v.fmt(f),
            Value::Int16(v) => v.fmt(f),
            Value::Int32(v) => v.fmt(f),
            Value::Int64(v) => v.fmt(f),
            Value::Float32(v) => JavaFloat(*v).fmt(f),
            Value::Float64(v) => JavaDouble(*v).fmt(f),
            Value::String(v) => f.write_str(v),
            Value::Bytes(v) => f.write_str(&BASE64.encode(v)),
            Value::Decimal(v) => v.fmt(f),
            Value::Instant(v) => JavaDate::of_millis(*v).fmt(f),
            Value::Array(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    f.write_str(if index > 0 { ", " } else { "" })?;
                    JavaText(item).fmt(f)?;
                }
                f.write_str("]")
            }
            Value::Map(entries) => {
                f.write_str("{")?;
                for (index, (key, value)) in entries.iter().enumerate() {
                    f.write_str(if index > 0 { ", " } else { "" })?;
                    JavaText(key).fmt(f)?;
                    f.write_str("=")?;
                    JavaText(value).fmt(f)?;
                }
                f.write_str("}")
            }
            Value::Struct(fields) => write_struct(f, fields),
        }
    }
}

/// Fields without a value are left out.
fn write_struct(f: &mut Formatter<'_>, fields: &Struct) -> fmt::Result {
    f.write_str("Struct{")?;
    for (index, (name, _, value)) in fields.iter().filter(|(_, _, value)| !value.is_null()).enumerate() {
        f.write_str(if index > 0 { "," } else { "" })?;
        f.write_str(name)?;
        f.write_str("=")?;
        JavaText(value).fmt(f)?;
    }
    f.write_str("}")
}

impl Display for Decimal {
    /// As Java's `BigDecimal.toString`: `1.50`, `1E+3`, `1E-7`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (sign, digits) = (self.unscaled.sign(), self.unscaled.magnitude().to_string());
        if sign == num_bigint::Sign::Minus {
            f.write_str("-")?;
        }
        let exponent = digits.len() as i64 - 1 - i64::from(self.scale);
        match usize::try_from(self.scale) {
            Ok(0) => f.write_str(&digits),
            Ok(scale) if exponent >= -6 => match digits.len().checked_sub(scale) {
                None | Some(0) => write!(f, "0.{digits:0>scale$}"),
                Some(point) => {
                    let (whole, fraction) = digits.split_at(point);
                    write!(f, "{whole}.{fraction}")
                }
            },
            Ok(_) | Err(_) => {
                let (first, rest) = digits.split_at(1);
                let point = if rest.is_empty() { "" } else { "." };
                write!(f, "{first}{point}{rest}")?;
                if exponent == 0 { Ok(()) } else { write!(f, "E{exponent:+}") }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use indexmap::IndexMap;

    use super::super::data::{Fields, Schema, SchemaKind};
    use super::*;

    #[test]
    fn decimals_read_as_in_java() {
        for (unscaled, scale, expected) in [
            (150, 2, "1.50"),
            (-5, 3, "-0.005"),
            (0, 2, "0.00"),
            (12, 0, "12"),
            (1, -3, "1E+3"),
            (-123, -2, "-1.23E+4"),
            (1, 6, "0.000001"),
            (1, 7, "1E-7"),
            (12, 8, "1.2E-7"),
            (1, i32::MAX, "1E-2147483647"),
            (1, i32::MIN, "1E+2147483648"),
        ] {
            assert_eq!(Decimal { unscaled: unscaled.into(), scale }.to_string(), expected);
        }
    }

    #[test]
    fn containers_read_as_in_java() {
        let map = IndexMap::from([(Value::string("k"), Value::Int32(1)), (Value::string("n"), Value::Null)]);
        let mut fields = Fields::default();
        for name in ["a", "b", "c"] {
            fields.add(name, Arc::new(Schema::new(SchemaKind::String).optional()));
        }
        let mut row = Struct::new(Arc::new(Schema::new(SchemaKind::Struct(fields)))).unwrap();
        row.set("a", Value::Int32(1));
        row.set("c", Value::string("x"));
        let list = Value::Array(vec![Value::Map(Box::new(map)), Value::Struct(Box::new(row)), Value::Null]);
        assert_eq!(java_text(&list).to_string(), "[{k=1, n=null}, Struct{a=1,c=x}, null]");
    }

    #[test]
    fn instants_read_as_dates_of_java() {
        assert_eq!(java_text(&Value::Instant(0)).to_string(), "Thu Jan 01 00:00:00 UTC 1970");
        assert_eq!(java_text(&Value::Instant(i64::MIN)).to_string(), "Sun Dec 02 16:47:04 UTC 292269055");
    }
}
