//! Base64 as `java.util.Base64` reads it: the standard alphabet, with the padding or without all of it.

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, PAD, STANDARD};

/// Bits behind the last byte may be set: Java drops them.
const UNPADDED: GeneralPurpose = reader(DecodePaddingMode::RequireNone);
const PADDED: GeneralPurpose = reader(DecodePaddingMode::RequireCanonical);

const fn reader(padding: DecodePaddingMode) -> GeneralPurpose {
    let config = PAD.with_decode_allow_trailing_bits(true).with_decode_padding_mode(padding);
    GeneralPurpose::new(&base64::alphabet::STANDARD, config)
}

/// Why a text is no Base64. The text itself is not told: it may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Base64Error {
    /// It has a byte that is not of the alphabet.
    #[error("Illegal base64 character {0:x}")]
    Illegal(u8),
    /// Its end is missing, or something stands behind its end.
    #[error("the base64 text is cut short or wrongly padded")]
    End,
}

/// The bytes of a text.
///
/// # Errors
/// It is no Base64.
pub fn decode(text: &[u8]) -> Result<Vec<u8>, Base64Error> {
    let reader = if text.ends_with(b"=") { PADDED } else { UNPADDED };
    reader.decode(text).map_err(|_| {
        let illegal = text.iter().find(|byte| !(byte.is_ascii_alphanumeric() || b"+/=".contains(byte)));
        illegal.map_or(Base64Error::End, |byte| Base64Error::Illegal(*byte))
    })
}

/// The text of bytes, padded.
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_java_reads_them() {
        for (text, expected) in [
            ("", Ok(&b""[..])),
            ("YQ==", Ok(b"a")),
            ("YQ", Ok(b"a")),
            ("YR==", Ok(b"a")),
            ("YWI", Ok(b"ab")),
            ("+/+/", Ok(b"\xfb\xff\xbf")),
            ("ab!", Err(Base64Error::Illegal(b'!'))),
            ("Y\nQ", Err(Base64Error::Illegal(b'\n'))),
            ("-_-_", Err(Base64Error::Illegal(b'-'))),
            ("YQ=", Err(Base64Error::End)),
            ("YQ==YQ==", Err(Base64Error::End)),
            ("Y", Err(Base64Error::End)),
            ("=", Err(Base64Error::End)),
        ] {
            assert_eq!(decode(text.as_bytes()).as_deref(), expected.as_ref().map(|bytes| *bytes), "{text}");
        }
        assert_eq!(encode(b"a"), "YQ==");
        assert_eq!(Base64Error::Illegal(b'!').to_string(), "Illegal base64 character 21");
    }
}
