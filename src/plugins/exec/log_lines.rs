//! What a program prints, as lines of the worker's log: cut where they are too long, counted where they are too many.

use std::io::{PipeReader, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::polling::{self, Becomes};
use crate::stdx::log_context::LogContext;
use crate::stdx::time::Clock;

/// The logger under which programs speak. Whose program it is, the context says.
const TARGET: &str = "herdsman.exec.program";
/// The longest line that is logged; more of it is left out.
const LINE_BYTES_MAX: usize = 8 * 1024;
const BLOCK_BYTES: usize = 16 * 1024;
/// More than a pipe holds: who goes on writing after the end of the program is not the program.
const BLOCKS_AFTER_END_MAX: usize = 16;
const SECOND: Duration = Duration::from_secs(1);
/// The longest wait for output, after which is looked whether lines were left out.
const TICK: Duration = Duration::from_secs(1);

/// Cuts bytes into lines of bounded length and counts.
#[derive(Debug)]
struct LogLines {
    line: Vec<u8>,
    /// Bytes of the line that are left out.
    cut: usize,
    per_second: usize,
    since: Instant,
    logged: usize,
    left_out: usize,
}

impl LogLines {
    fn new(per_second: usize, now: Instant) -> Self {
        LogLines { line: Vec::new(), cut: 0, per_second, since: now, logged: 0, left_out: 0 }
    }

    fn take(&mut self, bytes: &[u8], now: Instant, log: &mut dyn FnMut(&str)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            let room = LINE_BYTES_MAX - self.line.len();
            let (kept, cut) = text.split_at(text.len().min(room));
            self.line.extend_from_slice(kept);
            self.cut += cut.len();
            if ends {
                self.end_line(now, log);
            }
        }
    }

    /// Ends the line that was begun, if any.
    fn end_line(&mut self, now: Instant, log: &mut dyn FnMut(&str)) {
        let line = std::mem::take(&mut self.line);
        let cut = std::mem::take(&mut self.cut);
        self.tick(now, log);
        if self.logged >= self.per_second {
            self.left_out += 1;
            return;
        }
        self.logged += 1;
        let text = String::from_utf8_lossy(&line);
        // Nobody shall write lines of our log, or steer the terminal that shows it.
        let mut text: String = text
            .trim_end()
            .chars()
            .map(|c| if c.is_control() && c != '\t' { '\u{FFFD}' } else { c })
            .collect();
        if cut > 0 {
            text.push_str(&format!("… ({cut} bytes left out)"));
        }
        log(&text);
    }

    /// Begins the next second when this one is over, and tells what was left out.
    fn tick(&mut self, now: Instant, log: &mut dyn FnMut(&str)) {
        if now.saturating_duration_since(self.since) < SECOND {
            return;
        }
        self.tell_left_out(log);
        self.since = now;
        self.logged = 0;
    }

    fn tell_left_out(&mut self, log: &mut dyn FnMut(&str)) {
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 0 {
            log(&format!(
                "({left_out} lines of the program left out: more than log.lines.per.second={})",
                self.per_second
            ));
        }
    }
}

/// Logs all that comes out of `output`, until its end, or until `ended` has no writer any more and nothing is left.
/// Neither may block. Runs on a thread of its own.
pub(super) fn follow(mut output: PipeReader, ended: &PipeReader, per_second: usize, context: &Arc<str>) {
    let _context = LogContext::enter(context);
    let mut log = |line: &str| log::info!(target: TARGET, "{line}");
    let mut lines = LogLines::new(per_second, Clock.now().instant);
    let mut block = vec![0; BLOCK_BYTES];
    let mut has_ended = false;
    let mut blocks_left = BLOCKS_AFTER_END_MAX;
    loop {
        has_ended = has_ended || is_over(ended);
        if has_ended {
            blocks_left -= 1;
        }
        if blocks_left == 0 {
            break;
        }
        let now = Clock.now().instant;
        match output.read(&mut block) {
            Ok(0) => break,
            Ok(count) => lines.take(block.get(..count).unwrap_or_default(), now, &mut log),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && !has_ended => {
                lines.tick(now, &mut log);
                let fds = [(output.as_fd(), Becomes::Readable), (ended.as_fd(), Becomes::Readable)];
                if polling::wait(&fds, TICK).is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    let now = Clock.now().instant;
    if !lines.line.is_empty() {
        lines.end_line(now, &mut log);
    }
    lines.tell_left_out(&mut log);
}

/// Whether the writing end was closed; nothing is ever written to it.
fn is_over(mut signal: &PipeReader) -> bool {
    matches!(signal.read(&mut [0]), Ok(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn logged(per_second: usize, pieces: &[(u64, &[u8])]) -> Vec<String> {
        let start = Clock.now().instant;
        let mut found = Vec::new();
        let mut log = |line: &str| found.push(line.to_owned());
        let mut lines = LogLines::new(per_second, start);
        for (ms, piece) in pieces {
            lines.take(piece, start + Duration::from_millis(*ms), &mut log);
        }
        found
    }

    #[test]
    fn lines_are_put_together_and_cleaned() {
        let found = logged(10, &[(0, b"a"), (1, b"b\r\n\x1b[31mred\tx\nhalf")]);
        assert_eq!(found, ["ab", "\u{FFFD}[31mred\tx"]);
    }

    #[test]
    fn a_long_line_is_cut() {
        let long = [vec![b'x'; LINE_BYTES_MAX + 5], b"\nnext\n".to_vec()].concat();
        let found = logged(10, &[(0, &long)]);
        assert!(found[0].ends_with("x… (5 bytes left out)"), "{}", &found[0][LINE_BYTES_MAX - 10..]);
        assert_eq!(found[1], "next");
    }

    #[test]
    fn too_many_lines_are_counted() {
        let found = logged(2, &[(0, b"1\n2\n3\n4\n"), (999, b"5\n"), (1000, b"6\n")]);
        let told = "(3 lines of the program left out: more than log.lines.per.second=2)";
        assert_eq!(found, ["1", "2", told, "6"]);
    }

    proptest! {
        #[test]
        fn no_output_makes_it_grow(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5000), 0..20)) {
            let now = Clock.now().instant;
            let mut lines = LogLines::new(5, now);
            for piece in pieces {
                lines.take(&piece, now, &mut |line| {
                    assert!(line.chars().count() <= LINE_BYTES_MAX + 50);
                    assert!(!line.contains('\n'));
                });
                prop_assert!(lines.line.len() <= LINE_BYTES_MAX);
            }
        }
    }
}
