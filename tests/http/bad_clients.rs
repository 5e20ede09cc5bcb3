//! The server outlives bad clients, and serves the good ones meanwhile.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use herdsman::rest::limits::ServerLimits;

use crate::client::{Client, SOON};
use crate::fixture::{Fixture, now, wait_until};
use crate::process::Process;

/// How long one request on a new connection takes.
fn time_of_a_request(client: impl FnOnce() -> Client) -> Duration {
    let begun = now();
    assert_eq!(client().get("/").status, 200);
    now() - begun
}

#[test]
fn running_out_of_descriptors_passes() {
    let process = Process::start(64, Duration::from_secs(600));
    let mut held = process.client();
    held.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("a request is held", SOON, || match process.client().get("/held").text() {
        "1" => Ok(()),
        other => Err(format!("{other} are")),
    });
    let before = process.descriptors();
    for round in 0..2 {
        let silent: Vec<_> = (0..200).map(|_| process.client()).collect();
        // A waiting `accept` has taken the one it will give, which is not listed.
        wait_until("all descriptors are taken", SOON, || match process.descriptors() {
            62.. => Ok(()),
            other => Err(format!("{other} descriptors")),
        });
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| assert_eq!(process.client().get("/echo").status, 200, "round {round}"));
            }
        });
        drop(silent);
        wait_until("the descriptors come back", SOON, || match process.descriptors() {
            now if now <= before => Ok(()),
            other => Err(format!("{other} descriptors, {before} before")),
        });
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(process.client().get("/large").status, 200, "round {round}"));
            }
        });
    }
    assert_eq!(process.client().get("/open").status, 204);
    assert_eq!(held.answer().status, 200, "who is worked on stays");
    let logged = process.stop();
    assert!(logged.contains("cannot accept a connection"), "the limit was reached: {logged}");
    assert!(logged.lines().count() < 30, "said once a shortage: {logged}");
}

#[test]
fn a_thousand_silent_or_slow_connections_harm_nobody() {
    let idle = Duration::from_secs(3);
    let process = Process::start(4096, idle);
    assert_eq!(process.client().get("/").status, 200);
    let (memory_before, threads_before) = (process.status("VmRSS"), process.status("Threads"));
    let mut bad: Vec<_> = (0..1000).map(|_| process.client().stream).collect();
    let mut times = Vec::new();
    let mut drops = b"GET / HTTP/1.1\r\n".iter();
    let begun = now();
    let mut dripped = begun;
    while now() - begun < idle {
        times.push(time_of_a_request(|| process.client()));
        if now() - dripped > idle / 4 {
            dripped = now();
            let byte = *drops.next().unwrap();
            for slow in &mut bad[500..] {
                // Some have been ended to make room.
                drop(slow.write(&[byte]));
            }
        }
    }
    times.sort();
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    // The machine may be busy with other tests: only the server must not be what is waited for.
    assert!(median < Duration::from_millis(100), "median {median:?}, longest {longest:?}");
    assert!(longest < idle / 2, "median {median:?}, longest {longest:?}");
    let threads = process.status("Threads").saturating_sub(threads_before);
    assert!(threads <= 512 + 64, "{threads} threads more");
    let memory = process.status("VmHWM") - memory_before;
    assert!(memory < 24 * 1024, "{memory} kB more");

    for connection in &mut bad {
        let mut said = Vec::new();
        let ended = connection.read_to_end(&mut said);
        assert!(ended.is_ok() || said.is_empty() || said.starts_with(b"HTTP/1.1 408 "), "{ended:?}");
    }
    let ended_after = now() - begun;
    assert!(ended_after < 5 * idle, "the idle are closed after the configured time, not {ended_after:?}");
    wait_until("the threads end", SOON, || match process.status("Threads").saturating_sub(threads_before) {
        0..32 => Ok(()),
        other => Err(format!("{other} threads more")),
    });
    process.stop();
}

#[test]
fn a_newcomer_takes_the_place_of_the_longest_silent() {
    let fixture = Fixture::start(ServerLimits { connections_max: 4, ..ServerLimits::default() });
    let mut active = fixture.client();
    assert_eq!(active.get("/").status, 200);
    let mut held = fixture.client();
    held.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    fixture.gate.wait_for(1);
    let mut silent = fixture.client();
    let mut slow = fixture.client();
    slow.send("G");
    // A client is silent from when it is let in, which the system may put off.
    fixture.wait_for_connections(4);
    let mut newcomers = Vec::new();
    for _ in 0..3 {
        assert_eq!(active.get("/").status, 200, "who asks is not silent");
        newcomers.push(fixture.client());
        assert_eq!(newcomers.last_mut().unwrap().get("/").status, 200);
    }
    assert!(silent.is_ended() && slow.is_ended(), "a byte is not enough to stay");
    assert!(fixture.server.connections_open() <= 4);
    fixture.gate.open();
    assert_eq!(held.answer().status, 200, "who is worked on stays");
}

#[test]
fn the_idle_and_the_slow_are_ended_after_their_time() {
    let time = Duration::from_millis(400);
    let limits = ServerLimits {
        idle_timeout: time,
        head_timeout: 2 * time,
        transfer_grace: 3 * time,
        transfer_bytes_per_second_min: 1000,
        ..ServerLimits::default()
    };
    let fixture = Fixture::start(limits);
    let dripped = |client: &mut Client, pace: Duration| {
        let (_never, tick) = crossbeam_channel::bounded::<()>(0);
        while client.stream.write_all(b"x").is_ok() && tick.recv_timeout(pace).is_err() {
            client.stream.set_nonblocking(true).unwrap();
            let ended = client.stream.peek(&mut [0]).is_ok();
            client.stream.set_nonblocking(false).unwrap();
            if ended {
                break;
            }
        }
    };
    let begun = now();
    let mut silent = fixture.client();
    assert_eq!(silent.get("/").status, 200);
    assert!(silent.is_ended(), "no word after an answer");
    assert!((time..5 * time).contains(&(now() - begun)), "{:?}", now() - begun);

    let begun = now();
    let mut slow_head = fixture.client();
    slow_head.send("GET /");
    dripped(&mut slow_head, time / 10);
    slow_head.answer().assert_error(408, "a slow head");
    assert!((2 * time..6 * time).contains(&(now() - begun)), "{:?}", now() - begun);

    let begun = now();
    let mut slow_body = fixture.client();
    slow_body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n");
    dripped(&mut slow_body, time / 10);
    slow_body.answer().assert_error(408, "a slow body");
    assert!((3 * time..8 * time).contains(&(now() - begun)), "{:?}", now() - begun);
}

#[test]
fn a_client_that_does_not_take_its_answer_is_dropped() {
    let limits = ServerLimits {
        transfer_grace: Duration::from_millis(300),
        transfer_bytes_per_second_min: 1 << 30,
        ..ServerLimits::default()
    };
    let fixture = Fixture::start(limits);
    let mut client = fixture.client();
    assert_eq!(client.get("/").status, 200);
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the connection is given up", SOON, || match fixture.server.connections_open() {
        0 => Ok(()),
        open => Err(format!("{open} open")),
    });
    let mut taken = Vec::new();
    let end = client.stream.read_to_end(&mut taken);
    assert!(taken.len() < crate::fixture::LARGE_BYTES, "{end:?}");
    assert_eq!(fixture.client().get("/large").status, 200, "who takes it gets it");
}

#[test]
fn held_requests_cost_others_nothing() {
    let fixture = Fixture::start(ServerLimits::default());
    let mut held: Vec<_> = (0..128).map(|_| fixture.client()).collect();
    for client in &mut held {
        client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    fixture.gate.wait_for(128);
    let mut times: Vec<_> = (0..21).map(|_| time_of_a_request(|| fixture.client())).collect();
    times.sort();
    assert!(times[10] < Duration::from_millis(100), "{times:?}");
    fixture.gate.open();
    for client in &mut held {
        assert_eq!(client.answer().status, 200);
    }
}

#[test]
fn all_bodies_together_are_bounded() {
    let limits =
        ServerLimits { body_bytes_max: 100_000, body_bytes_total_max: 300_000, ..ServerLimits::default() };
    let fixture = Fixture::start(limits);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
    let body = "x".repeat(99_999);
    let mut clients: Vec<_> = (0..20).map(|_| fixture.client()).collect();
    for client in &mut clients {
        client.send(head).send(&body);
    }
    let mut refused = 0;
    for client in &mut clients {
        client.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        refused += usize::from(client.stream.peek(&mut [0]).is_ok());
        client.stream.set_read_timeout(Some(SOON)).unwrap();
    }
    assert!(refused >= 17, "at most three fit: {refused} refused");
    let mut statuses: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            drop(client.stream.write_all(b"x"));
            client.try_answer(true).map_or(0, |answer| answer.status)
        })
        .collect();
    statuses.sort_unstable();
    assert!(statuses.contains(&503), "{statuses:?}");
    assert!(statuses.iter().all(|status| [0, 200, 503].contains(status)), "{statuses:?}");
    let mut client = Client::<TcpStream>::connect(fixture.address);
    assert_eq!(client.send(head).send(&body).send("x").answer().status, 200, "the budget came back");
}
