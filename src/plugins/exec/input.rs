//! The way to a program: written as far as it reads, never waited for longer than asked.

use std::io::{self, PipeWriter, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use super::polling::{self, Becomes};

/// Room that is kept when nothing waits.
const ROOM_KEPT: usize = 64 * 1024;

/// What a write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrote {
    /// Everything is in the pipe.
    All,
    /// Some of it waits until the program reads.
    Part,
    /// The program reads no more.
    Closed,
}

/// A pipe to a program, and what waits to go into it.
#[derive(Debug)]
pub(super) struct Input {
    pipe: PipeWriter,
    waiting: Vec<u8>,
    written: usize,
    closed: bool,
}

impl Input {
    pub(super) fn new(pipe: PipeWriter) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&pipe, true)?;
        Ok(Input { pipe, waiting: Vec::new(), written: 0, closed: false })
    }

    /// Where lines to be written are appended.
    pub(super) fn lines(&mut self) -> &mut Vec<u8> {
        &mut self.waiting
    }

    /// Appends a line.
    pub(super) fn say(&mut self, line: &[u8]) {
        self.waiting.extend_from_slice(line);
    }

    /// How many bytes wait.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.len() - self.written
    }

    /// Writes as much as there is room for. What nobody reads any more is forgotten.
    pub(super) fn flush(&mut self) -> Wrote {
        while !self.closed && self.waiting_bytes() > 0 {
            match self.pipe.write(self.waiting.get(self.written..).unwrap_or_default()) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // So that the written part does not grow without end.
                    self.waiting.drain(..self.written);
                    self.written = 0;
                    return Wrote::Part;
                }
                Err(_) => self.closed = true,
            }
        }
        self.waiting.clear();
        self.waiting.shrink_to(ROOM_KEPT);
        self.written = 0;
        if self.closed { Wrote::Closed } else { Wrote::All }
    }

    /// Waits until there may be room.
    pub(super) fn wait(&self, timeout: Duration) -> io::Result<()> {
        polling::wait(&[(self.pipe.as_fd(), Becomes::Writable)], timeout)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn nothing_is_lost_and_nothing_blocks() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut input = Input::new(writer).unwrap();
        let line = vec![b'x'; 1_000_000];
        input.say(&line);
        assert_eq!(input.flush(), Wrote::Part);
        let mut read = vec![0; 10_000];
        reader.read_exact(&mut read).unwrap();
        input.wait(Duration::from_secs(10)).unwrap();
        input.say(b"end");
        let reads = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut rest = Vec::new();
                reader.read_to_end(&mut rest).unwrap();
                rest
            });
            while input.flush() != Wrote::All {
                input.wait(Duration::from_secs(10)).unwrap();
            }
            drop(input);
            reader.join().unwrap()
        });
        assert_eq!(reads.len(), 990_000 + 3);
        assert!(reads.ends_with(b"xend"));
    }

    #[test]
    fn a_reader_that_has_gone_is_told_of() {
        let (reader, writer) = io::pipe().unwrap();
        let mut input = Input::new(writer).unwrap();
        input.say(b"a");
        assert_eq!(input.flush(), Wrote::All);
        drop(reader);
        input.say(b"b");
        assert_eq!(input.flush(), Wrote::Closed);
        assert_eq!(input.waiting_bytes(), 0);
    }
}
