//! Servers at the address of a worker that are none, or are about to end.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use herdsman::stdx::thread::{self, JoinOnDrop, STACK_BYTES};

use crate::worker::SOON;

/// Answers one request in its own way.
pub(crate) struct Odd {
    pub(crate) url: String,
    address: SocketAddr,
    _thread: JoinOnDrop,
}

impl Odd {
    pub(crate) fn answering(answer: impl FnOnce(&mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = thread::spawn("odd", STACK_BYTES, move || {
            let (mut stream, _) = listener.accept().unwrap();
            drop(listener);
            stream.set_read_timeout(Some(SOON)).unwrap();
            stream.set_write_timeout(Some(SOON)).unwrap();
            if read_head(&mut stream) {
                answer(&mut stream);
            }
        });
        Odd { url: format!("http://{address}/"), address, _thread: thread.unwrap() }
    }

    /// Answers with these bytes and closes.
    pub(crate) fn sending(bytes: &'static str) -> Self {
        Odd::answering(|stream| drop(stream.write_all(bytes.as_bytes())))
    }
}

impl Drop for Odd {
    fn drop(&mut self) {
        // Nobody may have called.
        drop(TcpStream::connect(self.address));
    }
}

fn read_head(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            Ok(_) | Err(_) => return false,
        }
    }
    true
}

/// Waits until the other side has gone.
pub(crate) fn wait_for_end(stream: &mut TcpStream) {
    let mut rest = [0; 1024];
    loop {
        match stream.read(&mut rest) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the other side has not gone");
                return;
            }
        }
    }
}
