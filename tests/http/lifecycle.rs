//! Binding and stopping.

use std::net::TcpStream;
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

#[test]
fn a_stop_finds_connections_that_are_answered_just_then() {
    for _ in 0..10 {
        let fixture = Fixture::start(ServerLimits::default());
        let mut clients: Vec<_> = (0..8).map(|_| fixture.client()).collect();
        for client in &mut clients {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        assert_eq!(clients[0].answer().status, 200);
        assert_eq!(fixture.stop(SOON), Stopped::default(), "none waits for its next request");
        for client in &mut clients[1..] {
            drop(client.try_answer(true));
        }
        assert!(clients.iter_mut().all(Client::is_ended));
    }
}
