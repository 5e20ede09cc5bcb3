//! Where `FileStreamSource` reads from: a file that may grow, be truncated or be replaced; a pipe; standard input.
//! No call blocks but for the disk.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

use super::lines::BLOCK_BYTES;
use crate::stdx::thread;

/// How long a replaced file must be silent before the one that took its name is read: whoever writes it may not have
/// noticed the rotation yet.
pub(super) const REPLACED_GRACE: Duration = Duration::from_secs(2);

/// What a read gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// Bytes were appended.
    Bytes,
    /// Nothing now.
    Nothing,
    /// The file is shorter than what was read of it: its content is another. Reading goes on at its beginning.
    Truncated,
    /// Another file has the name now, and the old one has gone silent.
    Replaced,
    /// Nothing ever again.
    End,
}

/// An open source of bytes.
#[derive(Debug)]
pub(super) enum Input {
    /// A file on disk.
    Regular(RegularFile),
    /// A named pipe or a device: has no positions, and no end as long as somebody may write to it.
    Pipe(File),
    /// Standard input, by way of the thread that reads it.
    Stream(Receiver<Vec<u8>>),
}

#[derive(Debug)]
pub(super) struct RegularFile {
    file: File,
    path: PathBuf,
    /// How much of the file was read.
    read: u64,
    /// Since when another file has the name and nothing came from this one.
    replaced: Option<Instant>,
    grace: Duration,
}

impl Input {
    /// Opens a file and goes to a position. `Ok(None)`: there is no such file yet.
    pub(super) fn open(path: &Path, position: u64, grace: Duration) -> io::Result<Option<Self>> {
        // Without the flag, opening a pipe would wait for a writer. Files on disk ignore it.
        let file = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let found = file.metadata()?;
        if found.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !found.is_file() {
            return Ok(Some(Input::Pipe(file)));
        }
        let mut file = RegularFile { file, path: path.to_owned(), read: 0, replaced: None, grace };
        file.go_to(position)?;
        Ok(Some(Input::Regular(file)))
    }

    /// The standard input of the process.
    pub(super) fn stdin() -> io::Result<Self> {
        /// One reader for the life of the process: a read cannot be interrupted, and what a stopped task did not take
        /// is for the next one.
        static READER: Mutex<Option<Receiver<Vec<u8>>>> = Mutex::new(None);
        let mut reader = READER.lock().unwrap_or_else(PoisonError::into_inner);
        let blocks = match &*reader {
            Some(blocks) => blocks.clone(),
            None => reader.insert(read_on_a_thread(io::stdin())?).clone(),
        };
        Ok(Input::Stream(blocks))
    }

    /// Whether offsets mean anything here.
    pub(super) fn has_positions(&self) -> bool {
        matches!(self, Input::Regular(_))
    }

    /// Appends at most one block to `buffer`.
    pub(super) fn read(&mut self, buffer: &mut Vec<u8>, now: Instant) -> io::Result<Got> {
        match self {
            Input::Regular(file) => file.read(buffer, now),
            Input::Pipe(file) => Ok(if append(file, buffer)? == 0 { Got::Nothing } else { Got::Bytes }),
            Input::Stream(blocks) => match blocks.try_recv() {
                Ok(block) => {
                    buffer.extend_from_slice(&block);
                    Ok(Got::Bytes)
                }
                Err(TryRecvError::Empty) => Ok(Got::Nothing),
                Err(TryRecvError::Disconnected) => Ok(Got::End),
            },
        }
    }
}

impl RegularFile {
    fn go_to(&mut self, position: u64) -> io::Result<()> {
        self.read = self.file.seek(SeekFrom::Start(position))?;
        Ok(())
    }

    fn read(&mut self, buffer: &mut Vec<u8>, now: Instant) -> io::Result<Got> {
        let count = append(&mut self.file, buffer)?;
        if count > 0 {
            self.read += count as u64;
            self.replaced = None;
            return Ok(Got::Bytes);
        }
        let open = self.file.metadata()?;
        if open.len() < self.read {
            self.go_to(0)?;
            return Ok(Got::Truncated);
        }
        if !self.name_stands_for_another(&open) {
            self.replaced = None;
            return Ok(Got::Nothing);
        }
        let since = *self.replaced.get_or_insert(now);
        Ok(if now.saturating_duration_since(since) >= self.grace { Got::Replaced } else { Got::Nothing })
    }

    /// As long as the old file is open, its number is not given to another.
    fn name_stands_for_another(&self, open: &Metadata) -> bool {
        fs::metadata(&self.path).is_ok_and(|named| (named.dev(), named.ino()) != (open.dev(), open.ino()))
    }
}

/// Appends at most one block of what is there now.
fn append(file: &mut File, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let before = buffer.len();
    match file.take(BLOCK_BYTES as u64).read_to_end(buffer) {
        Ok(count) => Ok(count),
        // A pipe with nothing in it; what came before stands in the buffer.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(buffer.len() - before),
        Err(error) => Err(error),
    }
}

/// Reads to the end on a thread of its own. Nobody can stop a thread that reads, so nobody waits for it.
fn read_on_a_thread(source: impl Read + Send + 'static) -> io::Result<Receiver<Vec<u8>>> {
    const WAITING_BLOCKS_MAX: usize = 4;
    let (blocks, receiver) = bounded(WAITING_BLOCKS_MAX);
    thread::spawn("stdin-reader", thread::STACK_BYTES, move || send_blocks(source, &blocks))?.abandon();
    Ok(receiver)
}

fn send_blocks(mut source: impl Read, blocks: &Sender<Vec<u8>>) {
    const STREAM_BLOCK_BYTES: usize = 64 * 1024;
    let mut buffer = vec![0; STREAM_BLOCK_BYTES];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                let block = buffer.get(..count).unwrap_or_default().to_vec();
                if blocks.send(block).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                log::error!("standard input cannot be read any further: {error}");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::stdx::time::Clock;

    #[test]
    fn a_stream_gives_its_blocks_and_then_its_end_and_never_blocks() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut input = Input::Stream(read_on_a_thread(reader).unwrap());
        let now = Clock.now().instant;
        let mut buffer = Vec::new();
        assert_eq!(input.read(&mut buffer, now).unwrap(), Got::Nothing);
        writer.write_all(b"abc").unwrap();
        drop(writer);
        let deadline = Clock.deadline(Duration::from_secs(10));
        while input.read(&mut buffer, now).unwrap() != Got::End {
            assert!(!deadline.passed(Clock.now().instant), "no end; read so far: {buffer:?}");
            std::thread::yield_now();
        }
        assert_eq!(buffer, b"abc");
    }

    #[test]
    fn a_replaced_file_is_left_only_after_it_was_silent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "a").unwrap();
        let mut input = Input::open(&path, 0, REPLACED_GRACE).unwrap().unwrap();
        let start = Clock.now().instant;
        let mut old = OpenOptions::new().append(true).open(&path).unwrap();
        fs::rename(&path, folder.path().join("log.1")).unwrap();

        let mut buffer = Vec::new();
        let mut read = |input: &mut Input, after: Duration| input.read(&mut buffer, start + after).unwrap();
        let second = Duration::from_secs(1);
        assert_eq!(read(&mut input, Duration::ZERO), Got::Bytes);
        assert_eq!(read(&mut input, second * 9), Got::Nothing, "nothing has the name");
        fs::write(&path, "new").unwrap();
        assert_eq!(read(&mut input, second * 10), Got::Nothing);
        old.write_all(b"late").unwrap();
        assert_eq!(read(&mut input, second * 12), Got::Bytes);
        assert_eq!(read(&mut input, second * 13), Got::Nothing);
        assert_eq!(read(&mut input, second * 15), Got::Replaced);
    }
}
