//! One line a request, as Connect's access log words it.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::rest::framing::RequestHead;

const TARGET: &str = "org.apache.kafka.connect.runtime.rest.RestServer";

/// Whether anybody reads the lines.
pub(super) fn is_on() -> bool {
    log::log_enabled!(target: TARGET, log::Level::Info)
}

/// One answered request.
pub(super) struct Line<'r> {
    pub(super) peer: SocketAddr,
    /// When the request was complete.
    pub(super) at: Timestamp,
    /// `None` for bytes that made no request.
    pub(super) head: Option<&'r RequestHead>,
    pub(super) status: u16,
    /// All of the answer, head and body.
    pub(super) bytes: usize,
    pub(super) took: Duration,
}

impl Line<'_> {
    /// Logs it.
    pub(super) fn log(&self) {
        log::info!(target: TARGET, "{self}");
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.at.to_zoned(TimeZone::UTC);
        write!(f, "{} - - [{}] \"", self.peer.ip().to_canonical(), time.strftime("%d/%b/%Y:%H:%M:%S %z"))?;
        match self.head {
            Some(head) => {
                write!(f, "{} {} HTTP/1.{}", head.method(), Harmless(head.target()), head.minor_version)
            }
            None => f.write_str("-"),
        }?;
        let field = |name| Harmless(self.head.and_then(|head| head.field(name)).unwrap_or_default());
        let (referer, agent, millis) = (field("referer"), field("user-agent"), self.took.as_millis());
        write!(f, "\" {} {} \"{referer}\" \"{agent}\" {millis}", self.status, self.bytes)
    }
}

/// What a client sent, made harmless for one line of a log.
struct Harmless<'r>(&'r [u8]);

impl fmt::Display for Harmless<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(self.0);
        let harmful = |c: char| c.is_control() || c == '"';
        let mut parts = text.split(harmful);
        f.write_str(parts.next().unwrap_or_default())?;
        parts.try_for_each(|part| write!(f, "'{part}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::framing::{FrameLimits, Framer, Step};

    fn head(bytes: &[u8]) -> RequestHead {
        let mut framer = Framer::new(FrameLimits { header_bytes_max: 1000, body_bytes_max: 0 });
        framer.space()[..bytes.len()].copy_from_slice(bytes);
        framer.filled(bytes.len());
        match framer.step(&mut Vec::new()) {
            Ok(Step::Head(head)) => head,
            other => panic!("no head: {other:?}"),
        }
    }

    #[test]
    fn a_line_is_that_of_connect() {
        let request =
            b"POST /connectors?forward=true HTTP/1.1\r\nHost: a\r\nUser-Agent: kafka-connect\r\n\r\n";
        let at = "2026-11-22T20:02:23.456Z".parse().unwrap();
        let took = Duration::from_millis(33);
        let head = &head(request);
        let line =
            Line { peer: ([127, 0, 0, 1], 5).into(), at, head: Some(head), status: 201, bytes: 151, took };
        assert_eq!(
            line.to_string(),
            "127.0.0.1 - - [22/Nov/2026:20:02:23 +0000] \"POST /connectors?forward=true HTTP/1.1\" 201 151 \"\" \
             \"kafka-connect\" 33"
        );
        let line = Line { head: None, status: 400, ..line };
        assert_eq!(line.to_string(), "127.0.0.1 - - [22/Nov/2026:20:02:23 +0000] \"-\" 400 151 \"\" \"\" 33");
    }

    #[test]
    fn no_client_can_forge_a_line() {
        let request = b"GET /\"x HTTP/1.1\r\nHost: a\r\nUser-Agent: a\" 200 \xff\r\n\r\n";
        let (at, took, head) = (Timestamp::UNIX_EPOCH, Duration::ZERO, &head(request));
        let line =
            Line { peer: ([127, 0, 0, 1], 5).into(), at, head: Some(head), status: 200, bytes: 0, took };
        assert_eq!(
            line.to_string(),
            "127.0.0.1 - - [01/Jan/1970:00:00:00 +0000] \"GET /'x HTTP/1.1\" 200 0 \"\" \"a' 200 \u{fffd}\" 0"
        );
    }
}
