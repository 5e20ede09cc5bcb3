//! Binding, stopping, and strangers at the socket behind the door.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::sync::Arc;
use std::time::Duration;

use herdsman::rest::http::{HttpRequest, HttpResponse, ListenerLabel};
use herdsman::rest::limits::ServerLimits;
use herdsman::rest::server::{HttpServer, Stopped};

use crate::client::{Client, SOON};
use crate::fixture::{Fixture, listener};

#[test]
fn a_port_in_use_is_told_by_its_address() {
    let fixture = Fixture::start(ServerLimits::default());
    let mut second = listener(ListenerLabel::Main, None);
    second.port = fixture.address.port();
    let error = HttpServer::bind(&[second], ServerLimits::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot listen on http://{}: the port is in use; stop what uses it or choose another, or 0 for any",
            fixture.address
        )
    );
    let mut nowhere = listener(ListenerLabel::Main, None);
    nowhere.host = "[2001:db8::1]".to_owned();
    let error = HttpServer::bind(&[nowhere], ServerLimits::default()).unwrap_err().to_string();
    assert!(error.starts_with("cannot listen on http://[2001:db8::1]:0: "), "{error}");
}

#[test]
fn clients_of_a_bound_server_wait_until_it_serves() {
    let bound = HttpServer::bind(&[listener(ListenerLabel::Main, None)], ServerLimits::default()).unwrap();
    let mut client = Client::connect(bound.addresses()[0].address);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let server = bound.serve(Arc::new(|_: HttpRequest| HttpResponse::empty(204))).unwrap();
    assert_eq!(client.answer().status, 204);
    drop(server);
    assert!(client.is_ended(), "a server that is dropped ends its connections");
}

#[test]
fn a_stop_lets_requests_finish_and_refuses_new_ones() {
    let fixture = Fixture::start(ServerLimits::default());
    let address = fixture.address;
    let gate = Arc::clone(&fixture.gate);
    let mut held = fixture.client();
    held.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut silent = fixture.client();
    assert_eq!(silent.get("/").status, 200);
    let mut begun = fixture.client();
    begun.send("GET / HT");
    gate.wait_for(1);
    let stopped = std::thread::scope(|scope| {
        let stopping = scope.spawn(|| fixture.stop(SOON));
        assert!(silent.is_ended());
        assert!(begun.is_ended());
        assert!(TcpStream::connect(address).is_err(), "newcomers are refused");
        gate.open();
        stopping.join().unwrap()
    });
    let answer = held.answer();
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    assert!(held.is_ended(), "the second request of the pipeline is not begun");
    assert_eq!(stopped, Stopped::default());
}

#[test]
fn a_stop_has_a_deadline() {
    let fixture = Fixture::start(ServerLimits::default());
    let gate = Arc::clone(&fixture.gate);
    let mut held = fixture.client();
    held.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    gate.wait_for(1);
    let stopped = fixture.stop(Duration::from_millis(100));
    assert_eq!(stopped, Stopped { connections_cut: 1, requests_abandoned: 1 });
    assert!(held.is_ended());
    gate.open();
}

/// The abstract sockets of this process's servers, as any process can list them.
fn sockets_behind_doors() -> Vec<String> {
    let own: Vec<_> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .map(|link| link.display().to_string())
        .collect();
    let sockets = fs::read_to_string("/proc/net/unix").unwrap();
    let names = sockets.lines().filter_map(|line| {
        let (rest, name) = line.split_once('@')?;
        let inode = rest.split_whitespace().next_back()?;
        own.contains(&format!("socket:[{inode}]")).then(|| name.to_owned())
    });
    names.filter(|name| name.starts_with("herdsman-")).collect()
}

#[test]
fn a_stranger_at_the_socket_behind_the_door_gets_nothing() {
    let fixture = Fixture::start(ServerLimits::default());
    let names = sockets_behind_doors();
    assert!(!names.is_empty());
    for name in names {
        for request in [
            "GET /panic HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            format!("GET /panic HTTP/1.1\r\nx-herdsman-door: {}0\r\n\r\n", "0".repeat(32)),
            "POST /panic HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc".to_owned(),
            "POST /panic HTTP/1.1\r\nContent-Length: 1000000000000000\r\n\r\nabc".to_owned(),
            "POST /panic HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        ] {
            let address = SocketAddr::from_abstract_name(&name).unwrap();
            // A server of another test may have stopped meanwhile.
            let Ok(mut stranger) = UnixStream::connect_addr(&address) else { continue };
            stranger.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            if stranger.write_all(request.as_bytes()).is_ok() {
                assert!(!matches!(stranger.read(&mut [0]), Ok(1..)), "{request:?}");
            }
        }
    }
    assert_eq!(fixture.client().get("/").status, 200);
}
