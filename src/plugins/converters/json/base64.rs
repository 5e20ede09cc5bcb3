//! Base64 as Jackson reads it: the standard alphabet with padding, blanks between groups of four, and further groups
//! behind padded ones.

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// Bits behind the last byte may be set: Jackson drops them.
const STANDARD: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// The bytes of a text.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    STANDARD.decode(text).or_else(|_| decode_by_groups(text.as_bytes()))
}

fn decode_by_groups(text: &[u8]) -> Result<Vec<u8>, base64::DecodeError> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let mut rest = text;
    loop {
        let blanks = rest.iter().take_while(|byte| **byte <= b' ').count();
        rest = rest.get(blanks..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(bytes);
        }
        let (group, behind) = rest.split_at(rest.len().min(4));
        STANDARD.decode_vec(group, &mut bytes)?;
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn groups_may_stand_apart_and_be_padded_each() {
        for (text, expected) in [
            ("", Some(&b""[..])),
            ("AQID", Some(b"\x01\x02\x03")),
            (" AQID  AQID", Some(b"\x01\x02\x03\x01\x02\x03")),
            ("AQ==AQ==", Some(b"\x01\x01")),
            ("AQID \n", Some(b"\x01\x02\x03")),
            ("AR==", Some(b"\x01")),
            ("AB CD", None),
            ("AQ", None),
            ("AQ=", None),
            ("AQ=A", None),
            ("A-_=", None),
        ] {
            assert_eq!(decode(text).ok().as_deref(), expected, "{text:?}");
        }
    }
}
