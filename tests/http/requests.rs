//! What a client gets for what it sends.

use std::net::Shutdown;

use herdsman::rest::http::ListenerLabel;
use herdsman::rest::limits::ServerLimits;

use crate::client::Client;
use crate::fixture::{Fixture, LARGE_BYTES, listener};

fn small() -> ServerLimits {
    ServerLimits { header_bytes_max: 1024, body_bytes_max: 100 * 1024, ..ServerLimits::default() }
}

#[test]
fn a_request_arrives_as_it_was_sent() {
    let fixture = Fixture::start(small());
    let answer = fixture
        .client()
        .send(
            "POST /echo?a=%20&b HTTP/1.1\r\nHost: h:1\r\nX-A: 1\r\nX-A: 2\r\nTE: trailers\r\n\
             Connection: keep-alive\r\nX-Latin: \u{fc}\r\nContent-Length: 3\r\n\r\na\r\n",
        )
        .answer();
    assert_eq!(
        answer.text(),
        "Post /echo?a=%20&b\n127.0.0.1 Main None\nHost: h:1\nX-A: 1\nX-A: 2\nX-Latin: ??\na\\r\\n"
    );
    let answer = fixture.client().send("BREW /echo HTTP/1.0\r\n\r\n").answer();
    assert_eq!(answer.text(), "other BREW /echo\n127.0.0.1 Main None\n");
    let answer = fixture.client().send("GET /echo?\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n").answer();
    assert_eq!(answer.text(), "Get /echo?%C3%A9\n127.0.0.1 Main None\nHost: a\n");
    let answer = fixture.client().send("GET http://b/echo HTTP/1.1\r\nHost: a\r\n\r\n").answer();
    assert_eq!(answer.text(), "Get /echo\n127.0.0.1 Main None\nHost: a\n");
    let upgrade = "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                   HTTP2-Settings: AAMAAABkAAQ\r\n\r\n";
    let mut client = fixture.client();
    assert_eq!(client.send(upgrade).answer().text(), "Get /echo\n127.0.0.1 Main None\nHost: a\n");
    assert_eq!(client.get("/").status, 200, "the upgrade is ignored, the connection goes on");
}

#[test]
fn an_answer_leaves_as_it_was_given() {
    let fixture = Fixture::start(small());
    let mut client = fixture.client();
    let answer = client.get("/");
    assert_eq!((answer.status, answer.reason.as_str(), answer.text()), (200, "OK", "{}"));
    assert_eq!(answer.field("server"), Some("herdsman"));
    assert!(answer.field("date").is_some_and(|date| date.ends_with(" GMT")));
    assert_eq!(answer.field("transfer-encoding"), None);

    let empty = client.get("/empty");
    assert_eq!((empty.status, empty.field("content-length")), (204, None));

    let odd = client.get("/odd");
    assert_eq!((odd.status, odd.reason.as_str()), (500, "Server Error"));
    assert_eq!(odd.field("x-good"), Some("a"));
    assert_eq!((odd.field("x-bad"), odd.field("x-split")), (None, None), "a split answer");
    assert_eq!(odd.field("server"), Some("other"));

    let large = client.get("/large");
    assert_eq!(large.body.len(), LARGE_BYTES);
    assert!(large.body.iter().all(|byte| *byte == b'x'));
    assert_eq!(large.field("content-length"), Some(LARGE_BYTES.to_string().as_str()));
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn head_is_answered_like_get_without_the_body() {
    let fixture = Fixture::start(small());
    let mut client = fixture.client();
    for path in ["/", "/large", "/empty"] {
        let head = client.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n")).answer_without_body();
        let get = client.get(path);
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        assert_eq!(head.field("content-length"), get.field("content-length"), "{path}");
    }
}

#[test]
fn a_handler_that_panics_costs_its_request_only() {
    let fixture = Fixture::start(small());
    let mut client = fixture.client();
    for _ in 0..5 {
        client.get("/panic").assert_error(500, "a panic");
    }
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn a_connection_stays_as_long_as_both_want() {
    let fixture = Fixture::start(small());
    let cases = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", None, true),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", Some("close"), false),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", Some("close"), false),
        ("GET / HTTP/1.0\r\n\r\n", Some("close"), false),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", Some("keep-alive"), true),
    ];
    for (request, connection, stays) in cases {
        let mut client = fixture.client();
        let answer = client.send(request).answer();
        assert_eq!((answer.status, answer.field("connection")), (200, connection), "{request:?}");
        if stays {
            assert_eq!(client.get("/").status, 200, "{request:?}");
        } else {
            assert!(client.is_ended(), "{request:?}");
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let fixture = Fixture::start(small());
    let mut client = fixture.client();
    let requests: String = (0..200)
        .map(|number| match number % 3 {
            0 => format!("GET /echo?{number} HTTP/1.1\r\nHost: a\r\n\r\n"),
            1 => format!("PUT /echo?{number} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nGET "),
            _ => format!(
                "POST /echo?{number} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                 2\r\nGE\r\n2\r\nT \r\n0\r\n\r\n"
            ),
        })
        .collect();
    client.send(&requests);
    for number in 0..200 {
        let answer = client.answer();
        let (method, body) = [("Get", ""), ("Put", "GET "), ("Post", "GET ")][number % 3];
        let text = answer.text();
        assert!(text.starts_with(&format!("{method} /echo?{number}\n")), "{number}: {text}");
        assert!(text.ends_with(&format!("Host: a\n{body}")), "{number}: {text}");
    }
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert!(client.is_ended());
}

#[test]
fn bodies_arrive_whole_however_they_are_cut() {
    let fixture = Fixture::start(small());
    let body: String = (0..100 * 1024).map(|index| char::from(b'a' + (index % 23) as u8)).collect();
    let mut client = fixture.client();
    client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
    for piece in body.as_bytes().chunks(7001) {
        client.send(piece);
    }
    assert!(client.answer().text().ends_with(&format!("Host: a\n{body}")));
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in body.as_bytes().chunks(997) {
        client.send(format!("{:x}\r\n", piece.len())).send(piece).send("\r\n");
    }
    client.send("0\r\n\r\n");
    assert!(client.answer().text().ends_with(&format!("Host: a\n{body}")));
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on() {
    let fixture = Fixture::start(small());
    let mut client = fixture.client();
    let head = |length| {
        format!("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n")
    };
    let interim = client.send(head(2)).answer_without_body();
    assert_eq!((interim.status, interim.reason.as_str()), (100, "Continue"));
    assert!(client.send("ab").answer().text().ends_with("Host: a\nab"));
    let answer = client.send(head(2) + "cd").answer();
    assert_eq!(answer.status, 200, "no interim answer once the body is there");
    client.send(head(1 << 30)).answer().assert_error(413, "told at once");
    assert!(client.is_ended());
}

#[test]
fn what_is_too_large_is_refused_and_the_connection_ends() {
    let fixture = Fixture::start(small());
    let long = "x".repeat(2000);
    let field = "X: y\r\n".repeat(101);
    let chunk = "x".repeat(101 * 1024);
    let cases = [
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414, "a long target"),
        (format!("GET /{long}"), 414, "a long target without end"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), 431, "a long field"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n"), 431, "many fields"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 102401\r\n\r\n".to_owned(), 413, "a length"),
        (
            format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n19400\r\n{chunk}"),
            413,
            "a chunk",
        ),
        (
            format!(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{}",
                format!("400\r\n{}\r\n", "x".repeat(1024)).repeat(101)
            ),
            413,
            "many chunks",
        ),
    ];
    for (request, status, what) in cases {
        let mut client = fixture.client();
        client.send(&request).answer().assert_error(status, what);
        assert!(client.is_ended(), "{what}");
    }
    assert_eq!(fixture.client().get("/").status, 200);
}

#[test]
fn no_request_is_smuggled_behind_another() {
    let fixture = Fixture::start(small());
    let inner = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let cases = [
        ("Content-Length: 0\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", 400),
        ("Transfer-Encoding: identity", 501),
        ("Transfer-Encoding:\x0bchunked", 400),
        ("Transfer-Encoding : chunked", 400),
        ("X: y\r\n Transfer-Encoding: chunked", 400),
        ("X: y\nTransfer-Encoding: chunked", 400),
        ("Content-Length: 0\r\nContent-Length: 35", 400),
        ("Content-Length: 0, 35", 400),
        ("Content-Length: -1", 400),
        ("Content-Length: +0", 400),
        ("Content-Length: 0x0", 400),
        ("Content-Length: ", 400),
        ("Expect: 200-ok", 417),
    ];
    for (fields, status) in cases {
        let mut client = fixture.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{inner}"));
        client.answer().assert_error(status, fields);
        assert!(client.is_ended(), "one answer, then the end: {fields}");
    }
    let first_lines = [
        ("GET / HTTP/2.0\r\n\r\n", 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("GET /\r\n", 505),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 400),
    ];
    for (bytes, status) in first_lines {
        let mut client = fixture.client();
        client.send(bytes).answer().assert_error(status, bytes);
        assert!(client.is_ended(), "{bytes:?}");
    }
}

#[test]
fn a_body_that_ends_before_its_length_is_no_request() {
    let fixture = Fixture::start(small());
    for body in ["Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n5\r\nabc"] {
        let mut client = fixture.client();
        client.send(format!("POST /panic HTTP/1.1\r\nHost: a\r\n{body}"));
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert!(client.is_ended(), "the handler was not asked: {body:?}");
    }
    // What comes after a length is the next request, and must be one.
    let mut client = fixture.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na{}");
    assert_eq!(client.answer().status, 200);
    client.answer().assert_error(400, "the rest of a body");
    assert!(client.is_ended());
}

#[test]
fn each_listener_says_what_it_is_for() {
    let mut main = listener(ListenerLabel::Main, None);
    main.host = String::new();
    let mut second = listener(ListenerLabel::Admin, None);
    second.host = "localhost".to_owned();
    let fixture = Fixture::listening(&[main, second], ServerLimits::default());
    let addresses = fixture.server.addresses().to_vec();
    assert!(addresses[0].address.ip().is_unspecified());
    let port = addresses[0].address.port();
    let answer = Client::connect(([127, 0, 0, 1], port).into()).get("/echo");
    assert!(answer.text().contains(" Main None\n"), "{}", answer.text());
    let answer = Client::connect(addresses[1].address).get("/echo");
    assert!(answer.text().contains(" Admin None\n"), "{}", answer.text());
    assert_eq!(addresses[1].label, ListenerLabel::Admin);
}
