//! One line a request, as Connect's access log words it.

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

/// Logs one answered request; `None` for bytes that made no request.
pub(super) fn log_request(
    peer: SocketAddr,
    at: Timestamp,
    head: Option<&RequestHead>,
    status: u16,
    bytes: usize,
    took: Duration,
) {
    log::info!(target: TARGET, "{}", line(peer, at, head, status, bytes, took));
}

fn line(
    peer: SocketAddr,
    at: Timestamp,
    head: Option<&RequestHead>,
    status: u16,
    bytes: usize,
    took: Duration,
) -> String {
    let request = head.map_or("-".to_owned(), |head| {
        format!("{} {} HTTP/1.{}", head.method(), printable(head.target()), head.minor_version)
    });
    let field = |name| head.and_then(|head| head.field(name)).map(printable).unwrap_or_default();
    let (referer, agent) = (field("referer"), field("user-agent"));
    let time = at.to_zoned(TimeZone::UTC).strftime("%d/%b/%Y:%H:%M:%S %z");
    let (ip, millis) = (peer.ip().to_canonical(), took.as_millis());
    format!(r#"{ip} - - [{time}] "{request}" {status} {bytes} "{referer}" "{agent}" {millis}"#)
}

/// What a client sent, made harmless for one line of a log.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|c| if c.is_control() || c == '"' { '\'' } else { c }).collect()
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
        assert_eq!(
            line(([127, 0, 0, 1], 5).into(), at, Some(&head(request)), 201, 151, took),
            "127.0.0.1 - - [22/Nov/2026:20:02:23 +0000] \"POST /connectors?forward=true HTTP/1.1\" 201 151 \"\" \
             \"kafka-connect\" 33"
        );
    }

    #[test]
    fn no_client_can_forge_a_line() {
        let request = b"GET /\"x HTTP/1.1\r\nHost: a\r\nUser-Agent: a\" 200 \xff\r\n\r\n";
        let at = Timestamp::UNIX_EPOCH;
        assert_eq!(
            line(([127, 0, 0, 1], 5).into(), at, Some(&head(request)), 200, 0, Duration::ZERO),
            "127.0.0.1 - - [01/Jan/1970:00:00:00 +0000] \"GET /'x HTTP/1.1\" 200 0 \"\" \"a' 200 \u{fffd}\" 0"
        );
    }
}
