//! Cuts what a program says into blocks of whole lines, with a bound on the length of a line.

use std::io::{self, Read};

use bytes::Bytes;
use memchr::{memchr_iter, memrchr};

/// How much is read at once.
const BLOCK_BYTES: usize = 256 * 1024;
/// A block of less than this is copied out, so that a few lines do not hold the memory of a whole block.
const SMALL_BLOCK_BYTES: usize = BLOCK_BYTES / 8;

/// What a read gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// Whole lines, each with its end.
    Lines(Bytes),
    /// Bytes, but no end of a line yet.
    Part,
    /// Nothing now.
    Nothing,
    /// Nothing ever again.
    End,
    /// A line is longer than allowed.
    TooLong,
}

/// Bytes whose line has no end yet.
#[derive(Debug)]
pub(super) struct Blocks {
    begun: Vec<u8>,
    line_bytes_max: usize,
}

impl Blocks {
    pub(super) fn new(line_bytes_max: usize) -> Self {
        Blocks { begun: Vec::new(), line_bytes_max }
    }

    /// Reads once from a descriptor that does not block.
    pub(super) fn read(&mut self, source: impl Read) -> io::Result<Got> {
        let searched = self.begun.len();
        self.begun.reserve(BLOCK_BYTES);
        match source.take(BLOCK_BYTES as u64).read_to_end(&mut self.begun) {
            Ok(0) => return Ok(Got::End),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.begun.len() == searched => {
                return Ok(Got::Nothing);
            }
            // What came before the descriptor was empty stands in the buffer.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let new = self.begun.get(searched..).unwrap_or_default();
        let Some(last) = memrchr(b'\n', new) else {
            return Ok(if self.begun.len() > self.line_bytes_max { Got::TooLong } else { Got::Part });
        };
        let rest = self.begun.split_off(searched + last + 1);
        let whole = std::mem::replace(&mut self.begun, rest);
        if longest_line(&whole) > self.line_bytes_max || self.begun.len() > self.line_bytes_max {
            return Ok(Got::TooLong);
        }
        let small = whole.len() < SMALL_BLOCK_BYTES;
        Ok(Got::Lines(if small { Bytes::copy_from_slice(&whole) } else { Bytes::from(whole) }))
    }

    /// How many bytes wait for the end of their line.
    pub(super) fn begun_bytes(&self) -> usize {
        self.begun.len()
    }
}

fn longest_line(whole: &[u8]) -> usize {
    let mut start = 0;
    let lengths = memchr_iter(b'\n', whole).map(|end| end - std::mem::replace(&mut start, end + 1));
    lengths.max().unwrap_or_default()
}

/// The lines of a block, without their ends. Empty ones are left out.
pub(super) fn lines(block: &Bytes) -> impl Iterator<Item = &[u8]> {
    block
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives its pieces one a read, then would block or ends.
    struct Pieces(Vec<Vec<u8>>, bool);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return if self.1 { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
            }
            let piece = self.0.remove(0);
            let count = piece.len().min(buffer.len());
            buffer[..count].copy_from_slice(&piece[..count]);
            if count < piece.len() {
                self.0.insert(0, piece[count..].to_vec());
            }
            Ok(count)
        }
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_are_cut(
            pieces in prop::collection::vec(prop::collection::vec(prop::sample::select(b"ab\n".to_vec()), 1..20), 0..20),
        ) {
            let whole = pieces.concat();
            let mut blocks = Blocks::new(1000);
            let mut found: Vec<Vec<u8>> = Vec::new();
            for piece in pieces {
                match blocks.read(Pieces(vec![piece], false)).unwrap() {
                    Got::Lines(block) => {
                        prop_assert!(block.ends_with(b"\n"));
                        found.extend(lines(&block).map(<[u8]>::to_vec));
                    }
                    Got::Part => {}
                    other @ (Got::Nothing | Got::End | Got::TooLong) => prop_assert!(false, "{:?}", other),
                }
            }
            let end = memrchr(b'\n', &whole).map_or(0, |end| end + 1);
            let expected: Vec<_> =
                whole[..end].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(blocks.begun_bytes(), whole.len() - end);
        }
    }

    #[test]
    fn a_line_has_a_bound_wherever_it_stands() {
        let long = vec![b'x'; 101];
        let cases: [&[&[u8]]; 4] = [&[&long], &[&long, b"\n"], &[b"a\n", &long], &[b"a\n", &long, b"\nb\n"]];
        for pieces in cases {
            let pieces = pieces.iter().map(|piece| piece.to_vec()).collect();
            assert_eq!(Blocks::new(100).read(Pieces(pieces, false)).unwrap(), Got::TooLong);
        }
        let mut blocks = Blocks::new(100);
        assert_eq!(blocks.read(Pieces(vec![vec![b'x'; 60]], false)).unwrap(), Got::Part);
        assert_eq!(blocks.read(Pieces(vec![vec![b'x'; 60]], false)).unwrap(), Got::TooLong);
    }

    #[test]
    fn nothing_and_the_end_differ() {
        let mut blocks = Blocks::new(100);
        assert_eq!(blocks.read(Pieces(Vec::new(), false)).unwrap(), Got::Nothing);
        assert_eq!(blocks.read(Pieces(Vec::new(), true)).unwrap(), Got::End);
        assert_eq!(
            blocks.read(Pieces(vec![b"a\r\n\nb\n".to_vec()], true)).unwrap(),
            Got::Lines("a\r\n\nb\n".into())
        );
        let block = Bytes::from_static(b"a\r\n\nb\n");
        assert_eq!(lines(&block).collect::<Vec<_>>(), [b"a", b"b"]);
    }
}
