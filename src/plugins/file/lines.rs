//! Cuts bytes into lines. The lines of a block are slices of it: a line costs no allocation and no copy of its own.

use std::io;

use bytes::Bytes;
use bytestring::ByteString;
use memchr::{memchr2, memrchr2};

/// How much is read at once.
pub(super) const BLOCK_BYTES: usize = 256 * 1024;
/// A block of less than this is copied out, so that a few lines do not hold the memory of a whole block.
const SMALL_BLOCK_BYTES: usize = BLOCK_BYTES / 8;

/// A line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its text. Bytes that are no UTF-8 are replaced by U+FFFD.
    pub(super) text: ByteString,
    /// How many bytes it takes in the input, its end included.
    pub(super) bytes: u64,
}

/// Takes blocks of bytes and gives lines. A line ends with `\n`, `\r` or `\r\n`.
#[derive(Debug, Default)]
pub(super) struct Lines {
    whole: WholeLines,
    given: usize,
    /// A line whose end has not come. A `\r` as its last byte is no end yet: `\n` may follow.
    begun: Vec<u8>,
}

/// Whole lines, each with its end.
#[derive(Debug)]
enum WholeLines {
    Text(ByteString),
    NotUtf8(Bytes),
}

impl Default for WholeLines {
    fn default() -> Self {
        WholeLines::Text(ByteString::new())
    }
}

impl Lines {
    /// The next whole line.
    pub(super) fn next_line(&mut self) -> Option<Line> {
        let block = match &self.whole {
            WholeLines::Text(text) => text.as_bytes(),
            WholeLines::NotUtf8(bytes) => bytes,
        };
        let rest = block.get(self.given..)?;
        let end = memchr2(b'\n', b'\r', rest)?;
        let bytes = if rest.get(end..end + 2) == Some(b"\r\n") { end + 2 } else { end + 1 };
        let range = self.given..self.given + end;
        let text = match &self.whole {
            WholeLines::Text(text) => text.slice_ref(text.get(range)?),
            WholeLines::NotUtf8(bytes) => lossy(bytes.slice(range)),
        };
        self.given += bytes;
        Some(Line { text, bytes: bytes as u64 })
    }

    /// Takes what `read` appends and passes on what it says. To be called when there is no whole line left.
    pub(super) fn fill<T>(&mut self, read: impl FnOnce(&mut Vec<u8>) -> io::Result<T>) -> io::Result<T> {
        self.whole = WholeLines::default();
        self.given = 0;
        let searched = self.begun.len();
        self.begun.reserve(BLOCK_BYTES);
        let outcome = read(&mut self.begun)?;
        if let Some(end) = self.end_of_whole_lines(searched) {
            let block = self.cut(end);
            self.whole = match ByteString::try_from(block.clone()) {
                Ok(text) => WholeLines::Text(text),
                Err(_) => WholeLines::NotUtf8(block),
            };
        }
        Ok(outcome)
    }

    /// How many bytes wait for the end of their line.
    pub(super) fn begun_bytes(&self) -> usize {
        self.begun.len()
    }

    /// The line whose end has not come, when nothing can complete it any more.
    pub(super) fn take_begun(&mut self) -> Option<ByteString> {
        let mut begun = std::mem::take(&mut self.begun);
        if begun.is_empty() {
            return None;
        }
        if begun.last() == Some(&b'\r') {
            begun.pop();
        }
        Some(lossy(begun.into()))
    }

    /// Behind the last end of a line in `begun`, of which the first `searched` bytes held none but maybe a last `\r`.
    fn end_of_whole_lines(&self, searched: usize) -> Option<usize> {
        let from = searched.saturating_sub(1);
        let last_end =
            |until: usize| memrchr2(b'\n', b'\r', self.begun.get(from..until)?).map(|found| from + found);
        let last = last_end(self.begun.len())?;
        let undecided = last + 1 == self.begun.len() && self.begun.last() == Some(&b'\r');
        if undecided { last_end(last).map(|end| end + 1) } else { Some(last + 1) }
    }

    /// Takes the bytes before `end` out of `begun`.
    fn cut(&mut self, end: usize) -> Bytes {
        if end < SMALL_BLOCK_BYTES {
            let block = Bytes::copy_from_slice(self.begun.get(..end).unwrap_or_default());
            self.begun.drain(..end);
            return block;
        }
        let rest = self.begun.get(end..).unwrap_or_default();
        let mut begun = Vec::with_capacity(rest.len() + BLOCK_BYTES);
        begun.extend_from_slice(rest);
        let mut block = std::mem::replace(&mut self.begun, begun);
        block.truncate(end);
        block.into()
    }
}

fn lossy(line: Bytes) -> ByteString {
    ByteString::try_from(line.clone()).unwrap_or_else(|_| String::from_utf8_lossy(&line).into_owned().into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fill(lines: &mut Lines, bytes: &[u8]) {
        lines
            .fill(|buffer| {
                buffer.extend_from_slice(bytes);
                Ok(())
            })
            .unwrap();
    }

    fn all(lines: &mut Lines) -> Vec<(String, u64)> {
        std::iter::from_fn(|| lines.next_line()).map(|line| (line.text.to_string(), line.bytes)).collect()
    }

    /// A block as it is read, and the lines it gives.
    type Step<'a> = (&'a [u8], &'a [(&'a str, u64)]);

    #[track_caller]
    fn check(steps: &[Step<'_>]) {
        let mut lines = Lines::default();
        for (block, expected) in steps {
            fill(&mut lines, block);
            let given = all(&mut lines);
            let given: Vec<_> = given.iter().map(|(text, bytes)| (text.as_str(), *bytes)).collect();
            assert_eq!(&given, expected, "after {}", block.escape_ascii());
        }
    }

    #[test]
    fn lines_end_at_each_of_the_three_ends() {
        check(&[(
            b"a\nb\r\nc\rd\n\n\r\n\re",
            &[("a", 2), ("b", 3), ("c", 2), ("d", 2), ("", 1), ("", 2), ("", 1)],
        )]);
    }

    #[test]
    fn a_line_waits_for_its_end() {
        check(&[(b"ab", &[]), (b"", &[]), (b"c", &[]), (b"\nd", &[("abc", 4)])]);
    }

    #[test]
    fn a_return_at_the_end_waits_for_what_follows() {
        check(&[(b"a\r", &[]), (b"\nb\r", &[("a", 3)]), (b"c\n", &[("b", 2), ("c", 2)])]);
        check(&[(b"a\r", &[]), (b"\r", &[("a", 2)]), (b"x", &[("", 1)])]);
    }

    #[test]
    fn positions_count_bytes_and_bad_bytes_are_replaced() {
        check(&[
            ("äöü\n表\n".as_bytes(), &[("äöü", 7), ("表", 4)]),
            (b"a\xFFb\n\xC3\xA4\n", &[("a\u{FFFD}b", 4), ("ä", 3)]),
        ]);
        // A character that is cut by the end of a block.
        check(&[(b"\xC3", &[]), (b"\xA4\n", &[("ä", 3)])]);
    }

    #[test]
    fn the_lines_of_a_block_share_its_memory() {
        let mut lines = Lines::default();
        let block = b"0123456789\n".repeat(SMALL_BLOCK_BYTES);
        fill(&mut lines, &block);
        let (first, second) = (lines.next_line().unwrap(), lines.next_line().unwrap());
        assert_eq!(first.text.as_bytes().as_ptr() as usize + 11, second.text.as_bytes().as_ptr() as usize);
    }

    #[test]
    fn what_is_begun_can_be_taken() {
        let mut lines = Lines::default();
        assert_eq!(lines.take_begun(), None);
        fill(&mut lines, b"a\nb\r");
        assert_eq!(all(&mut lines), [("a".to_owned(), 2)]);
        assert_eq!((lines.begun_bytes(), lines.take_begun()), (2, Some("b".into())));
        assert_eq!(lines.begun_bytes(), 0);
    }

    proptest! {
        #[test]
        fn blocks_do_not_matter(
            text in "[a\n\räx]{0,60}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            // Behind the text, a line that ends it: a last `\r` would wait.
            let bytes = format!("{text}.\n").into_bytes();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut lines = Lines::default();
            let mut given = Vec::new();
            for pair in cuts.windows(2) {
                fill(&mut lines, &bytes[pair[0]..pair[1]]);
                given.extend(all(&mut lines));
            }
            let unified = format!("{text}.\n").replace("\r\n", "\n").replace('\r', "\n");
            let texts: Vec<_> = given.iter().map(|(text, _)| text.as_str()).collect();
            prop_assert_eq!(texts, unified.lines().collect::<Vec<_>>());
            prop_assert_eq!(given.iter().map(|(_, bytes)| *bytes).sum::<u64>(), bytes.len() as u64);
        }
    }
}
