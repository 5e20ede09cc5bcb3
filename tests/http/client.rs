//! A client that sends any bytes and reads whole answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any answer of a test takes on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// One connection, over TCP or TLS.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
    unread: Vec<u8>,
}

/// One answer, whole.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, SOON).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_write_timeout(Some(SOON)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client::over(stream)
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Client { stream, unread: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).answer()
    }

    /// The next answer; panics if the connection ends before.
    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer(true).expect("the connection ended before an answer")
    }

    /// The next answer, which has no body whatever its length says.
    pub(crate) fn answer_without_body(&mut self) -> Answer {
        self.try_answer(false).expect("the connection ended before an answer")
    }

    /// The next answer; `None` if the connection ends before.
    pub(crate) fn try_answer(&mut self, with_body: bool) -> Option<Answer> {
        loop {
            if let Some(answer) = self.parse(with_body) {
                return Some(answer);
            }
            let mut block = [0; 16 * 1024];
            match self.stream.read(&mut block) {
                Ok(0) => return None,
                Ok(read) => self.unread.extend_from_slice(&block[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => {
                    panic!("no answer but {error}; so far {:?}", self.unread.escape_ascii().to_string())
                }
            }
        }
    }

    fn parse(&mut self, with_body: bool) -> Option<Answer> {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(end) = head.parse(&self.unread).unwrap() else { return None };
        let fields: Vec<_> = head
            .headers
            .iter()
            .map(|field| (field.name.to_owned(), String::from_utf8(field.value.to_vec()).unwrap()))
            .collect();
        let mut answer = Answer {
            status: head.code.unwrap(),
            reason: head.reason.unwrap().to_owned(),
            fields,
            body: Vec::new(),
        };
        let length = answer.field("content-length").map_or(0, |length| length.parse().unwrap());
        let length: usize = if with_body { length } else { 0 };
        if self.unread.len() < end + length {
            return None;
        }
        answer.body = self.unread[end..end + length].to_vec();
        self.unread.drain(..end + length);
        Some(answer)
    }

    /// Whether the server ends the connection, without a further byte.
    pub(crate) fn is_ended(&mut self) -> bool {
        assert_eq!(self.unread, b"", "bytes that belong to no answer");
        match self.stream.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    /// Asserts Connect's error body.
    pub(crate) fn assert_error(&self, status: u16, what: &str) {
        assert_eq!(self.status, status, "{what}: {self:?}");
        assert_eq!(self.field("content-type"), Some("application/json"), "{what}");
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(body["error_code"], status, "{what}");
        assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{what}");
    }
}
