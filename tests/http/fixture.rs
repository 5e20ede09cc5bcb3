//! A server in this process, with a handler that shows what it got and can be held.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use herdsman::rest::http::{Handler, HttpRequest, HttpResponse, ListenerLabel, Method};
use herdsman::rest::limits::ServerLimits;
use herdsman::rest::server::{HttpServer, ListenerConfig, Scheme, Stopped};
use herdsman::rest::tls::TlsSettings;
use herdsman::stdx::time::Clock;

use crate::client::{Client, SOON};

/// What `/large` answers with: more than all buffers on the way hold.
pub(crate) const LARGE_BYTES: usize = 24 * 1024 * 1024;

/// A server, stopped when dropped.
pub(crate) struct Fixture {
    pub(crate) server: HttpServer,
    pub(crate) address: SocketAddr,
    pub(crate) gate: Arc<Gate>,
}

/// Holds requests for `/hold` until it is opened, by the test or by a request for `/open`.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    held: usize,
    open: bool,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.held += 1;
        self.changed.notify_all();
        let wait = self.changed.wait_timeout_while(state, 3 * SOON, |state| !state.open);
        wait.unwrap().0.held -= 1;
    }

    pub(crate) fn open(&self) {
        self.state.lock().unwrap().open = true;
        self.changed.notify_all();
    }

    fn held(&self) -> usize {
        self.state.lock().unwrap().held
    }

    /// Waits until so many requests are held.
    pub(crate) fn wait_for(&self, held: usize) {
        let state = self.state.lock().unwrap();
        let (state, wait) = self.changed.wait_timeout_while(state, SOON, |state| state.held < held).unwrap();
        assert!(!wait.timed_out(), "{} requests are held, not {held}", state.held);
    }
}

/// Answers by the path.
pub(crate) struct Answers(pub(crate) Arc<Gate>);

impl Handler for Answers {
    fn handle(&self, request: HttpRequest) -> HttpResponse {
        let path = request.target.split('?').next().unwrap_or_default();
        match path {
            "/hold" => {
                self.0.pass();
                HttpResponse::json(200, "\"held\"")
            }
            "/held" => HttpResponse::json(200, self.0.held().to_string()),
            "/open" => {
                self.0.open();
                HttpResponse::empty(204)
            }
            "/echo" => echo(&request),
            "/empty" => HttpResponse::empty(204),
            "/large" => HttpResponse::json(200, vec![b'x'; LARGE_BYTES]),
            "/odd" => HttpResponse::json(500, "{}")
                .with_header("X-Good", "a")
                .with_header("X-Bad", "a\r\nX-Split: b")
                .with_header("Server", "other"),
            "/panic" => panic!("of the test"),
            _ => HttpResponse::json(200, "{}"),
        }
    }
}

/// Method, target, origin, fields and body, a line each.
fn echo(request: &HttpRequest) -> HttpResponse {
    let method = if let Method::Other(name) = &request.method {
        format!("other {name}")
    } else {
        format!("{:?}", request.method)
    };
    let origin = &request.origin;
    let subject = origin.tls.as_ref().map(|tls| tls.subject.as_deref().unwrap_or("nobody"));
    let fields: String = request.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let body = request.body.escape_ascii();
    let (peer, listener) = (origin.peer.ip(), origin.listener);
    HttpResponse::json(
        200,
        format!("{method} {}\n{peer} {listener:?} {subject:?}\n{fields}{body}", request.target),
    )
}

pub(crate) fn listener(label: ListenerLabel, tls: Option<TlsSettings>) -> ListenerConfig {
    let scheme = if tls.is_some() { Scheme::Https } else { Scheme::Http };
    ListenerConfig { scheme, host: "127.0.0.1".to_owned(), port: 0, tls, label }
}

impl Fixture {
    pub(crate) fn start(limits: ServerLimits) -> Self {
        Self::listening(&[listener(ListenerLabel::Main, None)], limits)
    }

    pub(crate) fn with_tls(settings: TlsSettings, limits: ServerLimits) -> Self {
        Self::listening(&[listener(ListenerLabel::Main, Some(settings))], limits)
    }

    pub(crate) fn listening(listeners: &[ListenerConfig], limits: ServerLimits) -> Self {
        let gate = Arc::new(Gate::default());
        let bound = HttpServer::bind(listeners, limits).unwrap();
        let address = bound.addresses()[0].address;
        let server = bound.serve(Arc::new(Answers(Arc::clone(&gate)))).unwrap();
        Fixture { server, address, gate }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Waits until so many clients have been let in.
    pub(crate) fn wait_for_connections(&self, open: usize) {
        wait_until("clients are let in", SOON, || match self.server.connections_open() {
            seen if seen == open => Ok(()),
            seen => Err(format!("{seen} connections, not {open}")),
        });
    }

    pub(crate) fn stop(self, time: Duration) -> Stopped {
        self.server.stop(Clock.deadline(time))
    }
}

/// Waits until `probe` gives a value; tells what was last seen if it does not in time.
pub(crate) fn wait_until<T>(what: &str, time: Duration, mut probe: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Clock.deadline(time);
    let (_never, tick) = crossbeam_channel::bounded::<()>(0);
    loop {
        match probe() {
            Ok(value) => return value,
            Err(seen) => {
                assert!(!deadline.passed(now()), "{what}: not within {time:?}; last seen: {seen}");
                assert!(tick.recv_timeout(Duration::from_millis(10)).is_err());
            }
        }
    }
}

pub(crate) fn now() -> Instant {
    Clock.now().instant
}
