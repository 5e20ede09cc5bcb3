//! Character sets by name. Reading never fails: malformed bytes become U+FFFD; what a set lacks is written as `?`.

use bytes::Bytes;
use bytestring::ByteString;
use encoding_rs::{EncoderResult, Encoding, UTF_16BE, UTF_16LE};

/// A character set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Charset {
    /// UTF-8; text is neither changed nor copied.
    Utf8,
    /// The first 128 characters of Unicode.
    Ascii,
    /// The first 256 characters of Unicode.
    Latin1,
    /// 16-bit units; without a mark that says otherwise, the high byte comes first. Written with the mark.
    Utf16,
    /// 16-bit units, high byte first, without a mark.
    Utf16Be,
    /// 16-bit units, low byte first, without a mark.
    Utf16Le,
    /// Any other.
    Other(&'static Encoding),
}

impl Charset {
    /// The set of a name in any case, if it is known.
    pub(super) fn named(name: &str) -> Option<Self> {
        // Java's names first: the web's labels take ASCII and Latin 1 for Windows 1252.
        Some(match name.to_ascii_uppercase().as_str() {
            "UTF-8" | "UTF8" => Charset::Utf8,
            "US-ASCII" | "ASCII" | "ISO646-US" => Charset::Ascii,
            "ISO-8859-1" | "ISO8859_1" | "ISO8859-1" | "LATIN1" => Charset::Latin1,
            "UTF-16" | "UTF_16" => Charset::Utf16,
            "UTF-16BE" | "UTF_16BE" => Charset::Utf16Be,
            "UTF-16LE" | "UTF_16LE" => Charset::Utf16Le,
            label => Encoding::for_label_no_replacement(label.as_bytes()).map(Charset::Other)?,
        })
    }

    /// The text of bytes.
    pub(super) fn decode(self, bytes: &Bytes) -> ByteString {
        match self {
            Charset::Utf8 => ByteString::try_from(bytes.clone())
                .unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into()),
            Charset::Ascii => {
                let ascii = |&byte: &u8| if byte.is_ascii() { char::from(byte) } else { '\u{FFFD}' };
                bytes.iter().map(ascii).collect::<String>().into()
            }
            Charset::Latin1 => bytes.iter().copied().map(char::from).collect::<String>().into(),
            Charset::Utf16 => match bytes.strip_prefix(&[0xFF, 0xFE]) {
                Some(units) => decode(UTF_16LE, units),
                None => decode(UTF_16BE, bytes.strip_prefix(&[0xFE, 0xFF]).unwrap_or(bytes)),
            },
            Charset::Utf16Be => decode(UTF_16BE, bytes),
            Charset::Utf16Le => decode(UTF_16LE, bytes),
            Charset::Other(encoding) => decode(encoding, bytes),
        }
    }

    /// The bytes of a text.
    pub(super) fn encode(self, text: ByteString) -> Bytes {
        let below =
            |limit: u32| text.chars().map(|c| if u32::from(c) < limit { c as u8 } else { b'?' }).collect();
        match self {
            Charset::Utf8 => text.into_bytes(),
            Charset::Ascii => below(0x80),
            Charset::Latin1 => below(0x100),
            Charset::Utf16 => {
                [0xFEFF].into_iter().chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect()
            }
            Charset::Utf16Be => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            Charset::Utf16Le => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Charset::Other(encoding) => encode(encoding, &text),
        }
    }
}

fn decode(encoding: &'static Encoding, bytes: &[u8]) -> ByteString {
    encoding.decode_without_bom_handling(bytes).0.into_owned().into()
}

fn encode(encoding: &'static Encoding, mut text: &str) -> Bytes {
    let mut encoder = encoding.new_encoder();
    let mut out = Vec::with_capacity(text.len() + 16);
    loop {
        let (result, read) = encoder.encode_from_utf8_to_vec_without_replacement(text, &mut out, true);
        text = text.get(read..).unwrap_or_default();
        match result {
            EncoderResult::InputEmpty => return out.into(),
            EncoderResult::OutputFull => out.reserve(text.len() + 16),
            EncoderResult::Unmappable(_) => out.push(b'?'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_there_and_back() {
        for (name, text, bytes) in [
            ("utf-8", "h\u{e9}", &b"h\xc3\xa9"[..]),
            ("ISO-8859-1", "h\u{e9}\u{80}", b"h\xe9\x80"),
            ("windows-1252", "\u{20ac}", b"\x80"),
            ("US-ASCII", "a", b"a"),
            ("UTF-16", "a\u{1F600}", b"\xfe\xff\0a\xd8\x3d\xde\0"),
            ("UTF-16BE", "a", b"\0a"),
            ("UTF-16LE", "a", b"a\0"),
            ("Shift_JIS", "\u{3042}", b"\x82\xa0"),
        ] {
            let charset = Charset::named(name).unwrap();
            assert_eq!(charset.encode(text.into()), bytes, "{name}");
            assert_eq!(charset.decode(&Bytes::copy_from_slice(bytes)), text, "{name}");
        }
        assert_eq!(Charset::named("EBCDIC-XX"), None);
    }

    #[test]
    fn what_cannot_be_expressed_is_replaced() {
        for name in ["US-ASCII", "ISO-8859-1", "windows-1252"] {
            assert_eq!(Charset::named(name).unwrap().encode("a\u{8868}b".into()), "a?b", "{name}");
        }
        for (name, bytes) in [("UTF-8", &b"\xffA"[..]), ("US-ASCII", b"\xffA"), ("UTF-16", b"\xdc\0\0A")] {
            let text = Charset::named(name).unwrap().decode(&Bytes::copy_from_slice(bytes));
            assert_eq!(text, "\u{FFFD}A", "{name}");
        }
    }

    #[test]
    fn utf8_is_shared_both_ways() {
        let bytes = Bytes::copy_from_slice(b"shared");
        let text = Charset::Utf8.decode(&bytes);
        assert_eq!(text.as_ptr(), bytes.as_ptr());
        assert_eq!(Charset::Utf8.encode(text).as_ptr(), bytes.as_ptr());
    }
}
