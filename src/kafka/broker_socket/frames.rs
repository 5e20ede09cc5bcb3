//! Kafka's frames: four bytes of length, then so many bytes.

use bytes::{Buf, Bytes, BytesMut};

/// The longest frame that is taken or sent. A broker takes no longer request (`socket.request.max.bytes`), so no member
/// says more of itself; only a leader of a very large group hears from several of those at once.
pub const FRAME_BYTES_MAX: usize = 100 * 1024 * 1024;

/// The longest frame that is taken before the broker has let us in; what Java's brokers take at that time.
pub const SETUP_FRAME_BYTES_MAX: usize = 512 * 1024;

/// Bytes that have come, until they are whole frames. Room is made for what has come, never for what was announced.
#[derive(Debug, Default)]
pub(super) struct Frames(BytesMut);

/// A length that no frame has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it sent a frame of {length} bytes, where at most {max} are accepted; is this the port of a Kafka broker, and \
     security.protocol that of the port?"
)]
pub(super) struct NoFrame {
    length: u32,
    max: usize,
}

impl Frames {
    /// Takes bytes as they come.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole frame without its length, if it is there.
    pub(super) fn next(&mut self, max: usize) -> Result<Option<Bytes>, NoFrame> {
        let Some(length) = self.0.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length);
        let wanted = usize::try_from(length).ok().filter(|wanted| *wanted <= max);
        let wanted = wanted.ok_or(NoFrame { length, max })?;
        if self.0.len() - 4 < wanted {
            return Ok(None);
        }
        self.0.advance(4);
        Ok(Some(self.0.split_to(wanted).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_whole_however_the_bytes_come() {
        let bytes = [0, 0, 0, 2, 7, 8, 0, 0, 0, 0, 0, 0, 0, 1, 9];
        let mut frames = Frames::default();
        let mut seen = Vec::new();
        for byte in bytes {
            frames.extend(&[byte]);
            while let Some(frame) = frames.next(2).unwrap() {
                seen.push(frame.to_vec());
            }
        }
        assert_eq!(seen, [vec![7, 8], vec![], vec![9]]);
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_its_bytes_come() {
        for (bytes, length) in [([0, 0, 0, 3], 3), (*b"HTTP", 0x4854_5450), ([0xFF; 4], u32::MAX)] {
            let mut frames = Frames::default();
            frames.extend(&bytes);
            assert_eq!(frames.next(2), Err(NoFrame { length, max: 2 }));
        }
    }
}
