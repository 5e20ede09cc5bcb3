//! The chunked transfer coding of RFC 9112, section 7.1, read strictly and byte for byte.

use super::{FrameLimits, Refusal};

/// Hexadecimal digits of a chunk's size; more cannot be a body within bounds.
const SIZE_DIGITS_MAX: u8 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the digits of a size, of which so many have been read.
    Size(u8),
    Extension,
    SizeFeed,
    Data,
    DataReturn,
    DataFeed,
    /// At the beginning of a line after the last chunk.
    TrailerStart,
    Trailer,
    TrailerFeed,
    LastFeed,
    Done,
}

/// A chunked body on its way in.
#[derive(Debug)]
pub(super) struct ChunkedBody {
    at: At,
    /// Of the size being read, then of the chunk's data still to come.
    left: usize,
    /// What the body may still grow.
    body_left: usize,
    /// What extensions and trailers may still take: they are read and dropped.
    extra_left: usize,
    limits: FrameLimits,
}

impl ChunkedBody {
    pub(super) fn new(limits: FrameLimits) -> Self {
        ChunkedBody {
            at: At::Size(0),
            left: 0,
            body_left: limits.body_bytes_max,
            extra_left: limits.header_bytes_max,
            limits,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// Takes bytes from the front of `input`, appending data to `body`; says how many it took.
    /// It takes all, unless the body ends before.
    pub(super) fn decode(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<usize, Refusal> {
        let mut taken = 0;
        while let Some(&byte) = input.get(taken) {
            if self.at == At::Done {
                break;
            }
            if self.at == At::Data {
                let data = &input[taken..];
                let data = &data[..data.len().min(self.left)];
                body.extend_from_slice(data);
                self.left -= data.len();
                taken += data.len();
                if self.left == 0 {
                    self.at = At::DataReturn;
                }
                continue;
            }
            self.at = self.next(byte)?;
            taken += 1;
        }
        Ok(taken)
    }

    /// Where one byte outside of data leads.
    fn next(&mut self, byte: u8) -> Result<At, Refusal> {
        match (self.at, byte) {
            (At::Size(digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.size_digit(digits, byte),
            (At::Size(0), _) => Err(Refusal::Chunk("a size is missing")),
            (At::Size(_) | At::Extension, b'\r') => Ok(At::SizeFeed),
            (At::Size(_), b';') => self.extra(At::Extension),
            (At::Size(_), _) => Err(Refusal::Chunk("a size is not hexadecimal")),
            (At::Extension, b'\n') => Err(Refusal::Chunk("a line ends in LF without CR")),
            (At::Extension, _) => self.extra(At::Extension),
            (At::SizeFeed, b'\n') if self.left == 0 => Ok(At::TrailerStart),
            (At::SizeFeed, b'\n') => self.begin_data(),
            (At::DataReturn, b'\r') => Ok(At::DataFeed),
            (At::DataFeed, b'\n') => Ok(At::Size(0)),
            (At::TrailerStart, b'\r') => Ok(At::LastFeed),
            (At::Trailer, b'\r') => Ok(At::TrailerFeed),
            (At::TrailerStart | At::Trailer, b'\n') => Err(Refusal::Chunk("a line ends in LF without CR")),
            (At::TrailerStart | At::Trailer, _) => self.extra(At::Trailer),
            (At::TrailerFeed, b'\n') => Ok(At::TrailerStart),
            (At::LastFeed, b'\n') => Ok(At::Done),
            (At::DataReturn | At::DataFeed, _) => Err(Refusal::Chunk("data is longer than its size")),
            (At::SizeFeed | At::TrailerFeed | At::LastFeed, _) => Err(Refusal::Chunk("a CR without LF")),
            (At::Data | At::Done, _) => Ok(self.at),
        }
    }

    fn size_digit(&mut self, digits: u8, byte: u8) -> Result<At, Refusal> {
        if digits == SIZE_DIGITS_MAX {
            return Err(Refusal::Chunk("a size has too many digits"));
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => byte - b'A' + 10,
        };
        self.left = if digits == 0 { 0 } else { self.left << 4 } | usize::from(digit);
        Ok(At::Size(digits + 1))
    }

    /// Refuses a chunk that is too long before its data is read.
    fn begin_data(&mut self) -> Result<At, Refusal> {
        self.body_left =
            self.body_left.checked_sub(self.left).ok_or(Refusal::BodyTooLarge(self.limits.body_bytes_max))?;
        Ok(At::Data)
    }

    fn extra(&mut self, next: At) -> Result<At, Refusal> {
        self.extra_left =
            self.extra_left.checked_sub(1).ok_or(Refusal::HeadTooLarge(self.limits.header_bytes_max))?;
        Ok(next)
    }
}
