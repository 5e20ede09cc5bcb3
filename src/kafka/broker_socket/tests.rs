//! A connection to servers that are no brokers, or do not behave.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use mio::{Events, Poll};

use super::*;
use crate::stdx::time::Clock;

const SOON: Duration = Duration::from_secs(10);

fn settings(client: &[(&str, &str)]) -> Result<ConnectionSettings, String> {
    let client: ClientSettings = client.iter().copied().collect();
    ConnectionSettings::from_client("me", &client).map_err(|fault| fault.to_string())
}

/// Connects until the connection is over.
fn fault(client: &[(&str, &str)], listener: &TcpListener) -> SocketFault {
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(8);
    let settings = Arc::new(settings(client).unwrap());
    let mut connection = BrokerConnection::new("b:1".into(), "localhost", settings, Token(1), Clock.now());
    connection.set_addresses(Clock.now(), vec![listener.local_addr().unwrap()]);
    let deadline = Clock.deadline(SOON);
    loop {
        let now = Clock.now();
        assert!(!deadline.passed(now.instant), "no end in {SOON:?}");
        if let Err(fault) = connection.drive(now, poll.registry(), &mut Vec::new()) {
            return fault;
        }
        let wait = connection.next_deadline().unwrap().saturating_duration_since(now.instant);
        poll.poll(&mut events, Some(wait)).unwrap();
    }
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// A server that waits for the first bytes, and then says something or just ends.
fn saying(words: &'static [u8]) -> TcpListener {
    let listener = listener();
    let server = listener.try_clone().unwrap();
    let body = move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut first = [0; 16];
        assert!(stream.read(&mut first).unwrap() > 0);
        stream.write_all(words).unwrap();
    };
    crate::stdx::thread::spawn("server", crate::stdx::thread::STACK_BYTES, body).unwrap().abandon();
    listener
}

#[test]
fn a_server_that_says_nothing_is_given_up_in_time() {
    let timeout = ("socket.connection.setup.timeout.ms", "200");
    let told = fault(&[timeout], &listener());
    assert_eq!(told.kind(), SocketFaultKind::Unreachable);
    assert_eq!(told.to_string(), "broker b:1: it did not answer within 200 ms");
    let told = fault(&[timeout, ("security.protocol", "ssl")], &listener());
    assert!(told.to_string().contains("handshake of TLS within 200 ms"), "{told}");
}

#[test]
fn who_is_no_broker_is_told() {
    let told = fault(&[], &saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    assert_eq!(told.kind(), SocketFaultKind::Protocol);
    assert!(told.to_string().contains("is this the port of a Kafka broker"), "{told}");
    let told = fault(&[("security.protocol", "ssl")], &saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    assert_eq!(told.kind(), SocketFaultKind::Tls);
    let told = fault(&[], &saying(b""));
    assert!(told.to_string().contains("security.protocol"), "{told}");
}

#[test]
fn settings_of_connections_are_kept_or_refused() {
    assert_eq!(settings(&[]).unwrap().setup_timeout, Duration::from_secs(10));
    let lookup = "resolve_canonical_bootstrap_servers_only";
    for (name, value) in [("client.dns.lookup", lookup), ("socket.connection.setup.timeout.ms", "soon")] {
        let told = settings(&[(name, value)]).unwrap_err();
        assert!(told.contains(name), "{told}");
    }
    assert!(settings(&[("client.dns.lookup", "use_all_dns_ips")]).is_ok());
}
