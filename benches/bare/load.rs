//! The load for the REST API: requests over kept connections, all driven by one thread.
//!
//! One thread, so that what is measured is the worker's time, and not how long a thread of the load waited for a
//! processor that both share.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::{Result, now};

/// How long all may be silent before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// One kept connection: sends the request again as soon as it has the answer.
struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
    asked: Instant,
}

/// Keeps `connections` busy with the request for `duration`, and prints rate and times of the answers as JSON.
pub(crate) fn load(address: &str, path: &str, connections: usize, duration: Duration) -> Result<()> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let address: SocketAddr = address.parse()?;
    let mut poll = Poll::new()?;
    let mut open = Vec::with_capacity(connections);
    for number in 0..connections {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
        open.push(Connection { stream, answer: Vec::new(), asked: now() });
    }
    let start = now();
    for connection in &mut open {
        connection.ask(&request)?;
    }
    let mut times = Vec::with_capacity(1 << 20);
    let mut events = Events::with_capacity(connections);
    while now() < start + duration {
        poll.poll(&mut events, Some(PATIENCE))?;
        if events.is_empty() {
            return Err(format!("no answer in {PATIENCE:?}").into());
        }
        for event in &events {
            let connection = open.get_mut(event.token().0).ok_or("an event of no connection")?;
            if connection.is_answered()? {
                times.push(now() - connection.asked);
                connection.ask(&request)?;
            }
        }
    }
    report(times, now() - start);
    Ok(())
}

impl Connection {
    fn ask(&mut self, request: &str) -> Result<()> {
        self.answer.clear();
        self.asked = now();
        // Never too much for the socket's buffer: no request is sent before the last one was answered.
        Ok(self.stream.write_all(request.as_bytes())?)
    }

    /// Reads what is there. Whether the answer has arrived whole.
    fn is_answered(&mut self) -> Result<bool> {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err("the server closed the connection".into()),
                Ok(read) => self.answer.extend_from_slice(buffer.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            if is_complete(&self.answer)? {
                return Ok(true);
            }
        }
    }
}

/// Whether an answer has arrived whole. One with another status than 200 is an error.
fn is_complete(answer: &[u8]) -> Result<bool> {
    let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(false) };
    let text = std::str::from_utf8(answer.get(..head).unwrap_or_default())?;
    if !text.starts_with("HTTP/1.1 200") {
        return Err(text.lines().next().unwrap_or_default().to_owned().into());
    }
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    Ok(answer.len() >= head + 4 + length.ok_or("an answer without a length")?)
}

fn report(mut times: Vec<Duration>, took: Duration) {
    times.sort_unstable();
    let at = |share: f64| {
        let index = ((times.len() as f64 - 1.0) * share) as usize;
        times.get(index).copied().unwrap_or_default().as_secs_f64() * 1000.0
    };
    let rate = times.len() as f64 / took.as_secs_f64();
    println!("{{\"rate\": {rate:.0}, \"p50_ms\": {:.3}, \"p99_ms\": {:.3}}}", at(0.5), at(0.99));
}
