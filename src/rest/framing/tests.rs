//! Tables of what is read and what is refused, and properties: cuts change nothing, no bytes panic.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const LIMITS: FrameLimits = FrameLimits { header_bytes_max: 256, body_bytes_max: 64 };

/// All that came of a stream of bytes.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    requests: Vec<(RequestHead, Vec<u8>)>,
    refusal: Option<Refusal>,
    /// A request is on its way.
    unfinished: bool,
}

/// Feeds the pieces and steps as far as they go.
fn read<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Outcome {
    let mut framer = Framer::new(LIMITS);
    let mut outcome = Outcome::default();
    let mut head = None;
    let mut body = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            let space = framer.space();
            let length = space.len().min(piece.len());
            space[..length].copy_from_slice(&piece[..length]);
            framer.filled(length);
            piece = &piece[length..];
            loop {
                match framer.step(&mut body) {
                    Ok(Step::NeedMore) => break,
                    Ok(Step::Head(complete)) => head = Some(complete),
                    Ok(Step::Body) => {}
                    Ok(Step::End) => {
                        let head = head.take().expect("a head comes before an end");
                        outcome.requests.push((head, std::mem::take(&mut body)));
                    }
                    Err(refusal) => {
                        outcome.refusal = Some(refusal);
                        return outcome;
                    }
                }
            }
        }
    }
    outcome.unfinished = head.is_some() || framer.has_begun();
    outcome
}

fn refusal_of(bytes: &str) -> Option<u16> {
    read([bytes.as_bytes()]).refusal.map(|refusal| refusal.status())
}

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}")
}

#[test]
fn what_is_no_request_is_refused() {
    let long_line = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(300));
    let long_field = get(&format!("X: {}\r\n", "x".repeat(300)));
    let cases = [
        ("\x16\x03\x01\x02\x00\x01\x00", 400, "TLS on a plain port"),
        ("\0\0\0\0", 400, "binary"),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a space first"),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "no token"),
        ("ANENDLESSMETHODTHATNOBODYHASEVERHEARDOF / HTTP/1.1\r\n", 400, "no method"),
        ("GET /\r\n", 505, "HTTP/0.9"),
        ("GET / HTTP/0.9\r\n", 505, "HTTP/0.9, said"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "the preface of HTTP/2"),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, "a version to come"),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", 400, "a version in small letters"),
        ("GET / x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a space in the target"),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "two spaces"),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, "a space last"),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "no path"),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the asterisk of OPTIONS"),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a tunnel"),
        ("GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a fragment"),
        (&long_line, 414, "a long line"),
        (&long_field, 431, "a long field"),
        ("GET / HTTP/1.1\nHost: a\n\n", 400, "bare LF"),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", 400, "bare LF in a field"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "bare LF at the end"),
        ("GET / HTTP/1.1\rHost: a\r\n\r\n", 400, "bare CR"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400, "bare CR in a value"),
        ("GET / HTTP/1.1\r\n\r\n", 400, "no Host"),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "an empty Host"),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "a Host that is none"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "two Hosts"),
        (&get("X: a\r\n b\r\n"), 400, "a folded line"),
        (&get("X : a\r\n"), 400, "a space before the colon"),
        (&get("X\r\n"), 400, "no colon"),
        (&get(": a\r\n"), 400, "no name"),
        (&get("X: a\0b\r\n"), 400, "a NUL"),
        (&get("Expect: much\r\n"), 417, "an unknown expectation"),
    ];
    for (bytes, status, what) in cases {
        assert_eq!(refusal_of(bytes), Some(status), "{what}: {bytes:?}");
    }
}

#[test]
fn no_two_readers_can_disagree_about_where_a_body_ends() {
    let cases = [
        (post("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), 400, "CL.TE"),
        (post("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"), 400, "TE.CL"),
        (post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", "0\r\n\r\n"), 400, "TE.TE"),
        (post("Transfer-Encoding: chunked\r\ntransfer-encoding: chunked", "0\r\n\r\n"), 400, "twice"),
        (post("Transfer-Encoding: xchunked", "0\r\n\r\n"), 501, "nearly chunked"),
        (post("Transfer-Encoding: chunked, chunked", "0\r\n\r\n"), 501, "chunked twice"),
        (post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"), 501, "a coding inside"),
        (post("Transfer-Encoding: identity", ""), 501, "identity"),
        (post("Transfer-Encoding:", ""), 501, "an empty coding"),
        (post("Transfer-Encoding : chunked", "0\r\n\r\n"), 400, "a space before the colon"),
        (post(" Transfer-Encoding: chunked", "0\r\n\r\n"), 400, "a space before the name"),
        (post("X: a\r\n\tTransfer-Encoding: chunked", "0\r\n\r\n"), 400, "folded away"),
        (post("Transfer-Encoding:\x0bchunked", "0\r\n\r\n"), 400, "a vertical tab"),
        (post("Content-Length: 1\r\nContent-Length: 1", "a"), 400, "two lengths, the same"),
        (post("Content-Length: 1\r\nContent-Length: 2", "a"), 400, "two lengths"),
        (post("Content-Length: 1, 1", "a"), 400, "a list of lengths"),
        (post("Content-Length: -1", ""), 400, "below zero"),
        (post("Content-Length: +1", "a"), 400, "a sign"),
        (post("Content-Length: 0x1", "a"), 400, "hexadecimal"),
        (post("Content-Length: 1 1", "a"), 400, "a space inside"),
        (post("Content-Length: 1e1", "a"), 400, "an exponent"),
        (post("Content-Length:", "a"), 400, "nothing"),
        (post("Content-Length: \u{661}", "a"), 400, "a digit of another script"),
        (post("Content-Length: 65", ""), 413, "one too many"),
        (post("Content-Length: 18446744073709551617", ""), 413, "beyond 64 bits"),
        (
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
            400,
            "chunked in HTTP/1.0",
        ),
    ];
    for (bytes, status, what) in cases {
        assert_eq!(refusal_of(&bytes), Some(status), "{what}: {bytes:?}");
    }
}

#[test]
fn malformed_chunks_are_refused() {
    let long_extension = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(300));
    let long_trailer = format!("0\r\nX: {}\r\n\r\n", "x".repeat(300));
    let cases = [
        ("\r\n", 400, "no size"),
        (";a\r\n", 400, "no size but an extension"),
        ("g\r\n", 400, "no digit"),
        ("-1\r\n", 400, "below zero"),
        ("0x1\r\na\r\n0\r\n\r\n", 400, "a prefix"),
        ("1 \r\na\r\n0\r\n\r\n", 400, "a space"),
        ("1\na\r\n0\r\n\r\n", 400, "bare LF after a size"),
        ("1;a\na\r\n0\r\n\r\n", 400, "bare LF after an extension"),
        ("1\rXa\r\n0\r\n\r\n", 400, "bare CR after a size"),
        ("1\r\naa\r\n0\r\n\r\n", 400, "longer than said"),
        ("1\r\na\n0\r\n\r\n", 400, "bare LF after data"),
        ("0\r\n\n", 400, "bare LF at the end"),
        ("0\r\nX: a\n\r\n", 400, "bare LF in a trailer"),
        ("000000001\r\na\r\n0\r\n\r\n", 400, "nine digits"),
        ("ffffffff\r\n", 413, "a large chunk"),
        ("41\r\n", 413, "one too many"),
        (&long_extension, 431, "a long extension"),
        (&long_trailer, 431, "a long trailer"),
    ];
    for (body, status, what) in cases {
        let bytes = post("Transfer-Encoding: chunked", body);
        assert_eq!(refusal_of(&bytes), Some(status), "{what}: {body:?}");
    }
    let many = format!("1\r\na\r\n{}", "20\r\n0123456789abcdef0123456789abcdef\r\n".repeat(2));
    assert_eq!(refusal_of(&post("Transfer-Encoding: chunked", &many)), Some(413), "too many small chunks");
}

#[test]
fn bodies_are_read_to_their_end_and_no_further() {
    let cases = [
        (post("Content-Length: 3", "abc"), "abc"),
        (post("Content-Length: 0003", "abc"), "abc"),
        (post("Content-Length: 0", ""), ""),
        (post("X: y", ""), ""),
        (post("Transfer-Encoding: chunked", "0\r\n\r\n"), ""),
        (post("Transfer-Encoding: Chunked", "3\r\nabc\r\n0\r\n\r\n"), "abc"),
        (post("Transfer-Encoding: chunked", "1\r\na\r\n00002;x=\"y\"\r\nbc\r\n0\r\nX: y\r\n\r\n"), "abc"),
        (post("Transfer-Encoding: chunked", "A\r\n0123456789\r\n0;x\r\n\r\n"), "0123456789"),
    ];
    for (bytes, body) in cases {
        let both = format!("{bytes}{}", get(""));
        let outcome = read([both.as_bytes()]);
        assert_eq!(outcome.refusal, None, "{bytes:?}");
        let bodies: Vec<_> = outcome.requests.iter().map(|(_, body)| body.as_slice()).collect();
        assert_eq!(bodies, [body.as_bytes(), b""], "{bytes:?}");
        assert!(!outcome.unfinished, "{bytes:?}");
        let short = read([&bytes.as_bytes()[..bytes.len() - 1]]);
        assert_eq!((short.requests.len(), short.refusal, short.unfinished), (0, None, true), "{bytes:?}");
    }
}

#[test]
fn heads_say_what_was_sent() {
    let bytes = "\r\nPUT http://b:1/x%20y?z HTTP/1.1\r\nHost: b:1\r\nX-a:  1 \r\nx-A: 2\r\nExpect: 100-Continue\r\n\
                 Content-Length: 1\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\na";
    let outcome = read([bytes.as_bytes()]);
    let (head, _) = &outcome.requests[0];
    assert_eq!((head.method(), head.path_and_query()), ("PUT", b"/x%20y?z".as_slice()));
    assert_eq!(head.target(), b"http://b:1/x%20y?z");
    assert_eq!(head.field("x-a"), Some(b"1".as_slice()));
    assert_eq!(head.fields().filter(|(name, _)| name.eq_ignore_ascii_case("x-a")).count(), 2);
    assert_eq!(head.body, BodyLength::Fixed(1));
    assert!(head.expects_continue && !head.keep_alive);

    let first = |bytes: &str| read([bytes.as_bytes()]).requests.remove(0).0;
    assert!(first(&get("")).keep_alive);
    assert!(!first("GET / HTTP/1.0\r\n\r\n").keep_alive);
    assert!(first("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
    assert_eq!(first("GET HTTP://a HTTP/1.1\r\nHost: a\r\n\r\n").path_and_query(), b"/");
    assert_eq!(first("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").path_and_query(), b"*");
    assert_eq!(first("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n").path_and_query(), "/\u{e9}".as_bytes());
}

/// Streams that begin well: whole requests, in any number, and then anything.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let request = prop_oneof![
        Just(get("")),
        Just("\r\n".to_owned()),
        Just(get("Connection: close\r\n")),
        "[a-z]{0,20}".prop_map(|body| post(&format!("Content-Length: {}", body.len()), &body)),
        vec("[a-z]{1,9}", 0..5).prop_map(|chunks| {
            let mut body: String =
                chunks.iter().map(|data| format!("{:x};e\r\n{data}\r\n", data.len())).collect();
            body.push_str("0\r\nT: t\r\n\r\n");
            post("Transfer-Encoding: chunked", &body)
        }),
        "[ -~\r\n]{0,40}".prop_map(|value| get(&format!("X: {value}\r\n"))),
        "[ -~]{0,300}".prop_map(|path| format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n")),
    ];
    (vec(request, 0..5), vec(any::<u8>(), 0..40)).prop_map(|(requests, rest)| {
        let mut bytes = requests.concat().into_bytes();
        bytes.extend(rest);
        bytes
    })
}

proptest! {
    #[test]
    fn cuts_change_nothing(bytes in streams(), cuts in vec(any::<prop::sample::Index>(), 0..20)) {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        at.push(0);
        at.push(bytes.len());
        at.sort_unstable();
        let whole = read([bytes.as_slice()]);
        prop_assert_eq!(&read(at.windows(2).map(|pair| &bytes[pair[0]..pair[1]])), &whole);
        prop_assert_eq!(&read(bytes.chunks(1)), &whole);
    }

    #[test]
    fn arbitrary_bytes_never_panic(pieces in vec(vec(any::<u8>(), 0..100), 0..20)) {
        read(pieces.iter().map(Vec::as_slice));
    }

    #[test]
    fn one_changed_byte_never_panics(bytes in streams(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = bytes;
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let whole = read([bytes.as_slice()]);
        prop_assert_eq!(read(bytes.chunks(7)), whole);
    }
}
