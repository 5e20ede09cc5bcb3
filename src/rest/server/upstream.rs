//! `tiny_http` behind the door: the only file that knows it.
//!
//! What it would do with strangers does not matter here: all it gets are whole requests from the door, over Unix
//! connections that stay open. Its faults that would still matter are kept away:
//! - one failed `accept` ends its accept thread for good: connections are opened only while descriptors are plenty,
//!   and when it ended all the same, a new server takes its place;
//! - dropping its `Server` panics for a socket in the abstract namespace: it is never dropped, and the listening socket
//!   is shut down instead, which ends its accept thread;
//! - its queue and threads have no bound: the door sends one request at a time on each of its bounded connections.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tiny_http::{Header, Request, Response, Server, StatusCode};

use crate::rest::door::{Bearer, Connections, Crew, PASS_FIELD, Pass, Upstream, random_hex};
use crate::rest::http::{Handler, HttpRequest, HttpResponse, Method};
use crate::stdx::pool::{Pool, PoolLimits};
use crate::stdx::thread;
use crate::stdx::time::{Clock, Deadline};

/// Workers that stay however quiet it is.
const WORKERS_KEPT: usize = 2;
/// How long a worker beyond those waits for a request before it ends.
const WORKER_REST: Duration = Duration::from_secs(5);
/// Descriptors that must be free before a connection is opened: what `accept` takes, and a margin for others.
const SPARE_DESCRIPTORS: usize = 8;
/// What answers call this server, unless the handler says otherwise.
const SERVER_NAME: &str = "herdsman";

/// All that answering needs.
pub(super) struct Service {
    pub(super) handler: Arc<dyn Handler>,
    pub(super) connections: Arc<Connections>,
    pub(super) pass: Pass,
    pub(super) clock: Clock,
}

/// The present `tiny_http` server and its workers.
#[derive(Debug)]
pub(super) struct TinyHttp {
    service: Arc<Service>,
    pool: Pool,
    current: Mutex<Arc<Instance>>,
}

/// One `tiny_http` server from its start to its end.
struct Instance {
    server: ManuallyDrop<Server>,
    address: SocketAddr,
    /// A second descriptor of the listening socket; see the top of this file.
    listening: UnixStream,
    service: Arc<Service>,
    pool: Pool,
    /// Requests sent and not answered.
    asked: AtomicUsize,
    /// Workers alive, and those of them that wait for a request.
    workers: AtomicUsize,
    waiting: AtomicUsize,
    /// Another server has taken its place, or is about to: no connection to it is opened any more.
    retired: AtomicBool,
    /// The workers are to end.
    closed: AtomicBool,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("asked", &self.asked).field("workers", &self.workers).finish()
    }
}

impl TinyHttp {
    /// Starts the first server. At most `workers_max` requests are answered at one time.
    pub(super) fn start(service: Service, workers_max: usize) -> io::Result<Self> {
        let service = Arc::new(service);
        let pool = Pool::new(
            "rest-worker",
            PoolLimits {
                threads_max: workers_max + WORKERS_KEPT,
                idle: WORKER_REST,
                stack_bytes: thread::STACK_BYTES,
            },
        );
        let current = Mutex::new(Instance::start(Arc::clone(&service), pool.clone())?);
        Ok(TinyHttp { service, pool, current })
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Instance>> {
        // Nothing panics while the lock is held.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends accept thread and workers; says how many workers are still held by the handler at `deadline`.
    pub(super) fn stop(&self, deadline: Deadline) -> usize {
        self.lock().close();
        self.pool.close(self.service.clock, deadline)
    }
}

impl Upstream for TinyHttp {
    fn connect(&self) -> io::Result<(UnixStream, Arc<dyn Crew>)> {
        let mut current = self.lock();
        // Connecting while descriptors are short would cost the accept thread its life.
        let spare: io::Result<Vec<_>> =
            (0..SPARE_DESCRIPTORS).map(|_| current.listening.try_clone()).collect();
        drop(spare?);
        if current.has_retired() && !current.closed.load(Ordering::Acquire) {
            *current = Instance::start(Arc::clone(&self.service), self.pool.clone())?;
            log::warn!("the HTTP server behind the door did not answer: a new one has taken its place");
        }
        // Refused, it no longer listens: the next try finds it retired.
        let stream = UnixStream::connect_addr(&current.address).inspect_err(|_| current.retire())?;
        Ok((stream, Arc::clone(&*current) as _))
    }
}

impl Instance {
    fn start(service: Arc<Service>, pool: Pool) -> io::Result<Arc<Self>> {
        let name = random_hex().map_err(io::Error::other)?;
        let address = SocketAddr::from_abstract_name(format!("herdsman-{name}"))?;
        let listener = UnixListener::bind_addr(&address)?;
        let listening = UnixStream::from(OwnedFd::from(listener.try_clone()?));
        let server = Server::from_listener(listener, None).map_err(io::Error::other)?;
        let instance = Arc::new(Instance {
            server: ManuallyDrop::new(server),
            address,
            listening,
            service,
            pool,
            asked: AtomicUsize::new(0),
            workers: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            retired: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        });
        for _ in 0..WORKERS_KEPT {
            instance.call_worker();
        }
        Ok(instance)
    }

    fn call_worker(self: &Arc<Self>) {
        self.workers.fetch_add(1, Ordering::Relaxed);
        let instance = Arc::clone(self);
        if self.pool.execute(move || instance.work()).is_err() {
            self.workers.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A worker's life: answers requests until there are none for a while.
    fn work(&self) {
        while !self.closed.load(Ordering::Acquire) {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            let received = self.server.recv_timeout(WORKER_REST);
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            match received {
                Ok(Some(request)) => self.service.serve(request),
                Ok(None) if self.is_overstaffed() => break,
                Ok(None) => {}
                // The accept thread says so once, when it ends.
                Err(error) => {
                    log::debug!("the HTTP server behind the door stopped accepting: {error}");
                    self.retire();
                }
            }
        }
        self.workers.fetch_sub(1, Ordering::Relaxed);
    }

    fn is_overstaffed(&self) -> bool {
        let kept = if self.has_retired() { self.asked.load(Ordering::Relaxed) } else { WORKERS_KEPT };
        self.workers.load(Ordering::Relaxed) > kept
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.retire();
        for _ in 0..=self.workers.load(Ordering::Relaxed) {
            self.server.unblock();
        }
    }
}

impl Crew for Instance {
    fn asked(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    fn answered(&self) {
        self.asked.fetch_sub(1, Ordering::Relaxed);
    }

    fn help(self: Arc<Self>) {
        let held = self.workers.load(Ordering::Relaxed).saturating_sub(self.waiting.load(Ordering::Relaxed));
        if self.asked.load(Ordering::Relaxed) > held && self.waiting.load(Ordering::Relaxed) == 0 {
            self.call_worker();
        }
    }

    fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        if let Err(error) = self.listening.shutdown(Shutdown::Both) {
            log::debug!("the socket behind the door was closed already: {error}");
        }
    }

    fn has_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }
}

impl Service {
    fn serve(&self, mut request: Request) {
        let pass = request.headers().iter().find(|header| header.field.equiv(PASS_FIELD));
        let bearer = pass.and_then(|header| self.pass.check(header.value.as_str()));
        let connection = match bearer {
            None => return turn_away(request),
            Some(Bearer::Proof) => return answer(request, HttpResponse::empty(204)),
            Some(Bearer::Connection(id)) => id,
        };
        let Some(origin) = self.connections.origin(connection) else {
            return answer(request, HttpResponse::error(500, "The connection has ended"));
        };
        let response = match read_whole(&mut request) {
            Ok(body) => {
                let whole = HttpRequest {
                    method: Method::of(request.method().as_str()),
                    target: request.url().to_owned(),
                    headers: request
                        .headers()
                        .iter()
                        .filter(|header| {
                            !header.field.equiv(PASS_FIELD) && !header.field.equiv("content-length")
                        })
                        .map(|header| (header.field.to_string(), header.value.to_string()))
                        .collect(),
                    body,
                    origin,
                };
                catch_unwind(AssertUnwindSafe(|| self.handler.handle(whole))).unwrap_or_else(|_| {
                    log::error!("the handler of {} {} panicked", request.method(), request.url());
                    HttpResponse::error(500, "The worker failed while it handled this request: see its log")
                })
            }
            Err(error) => {
                log::debug!("a request broke off behind the door: {error}");
                return;
            }
        };
        answer(request, response);
    }
}

fn read_whole(request: &mut Request) -> io::Result<Bytes> {
    let Some(length) = request.body_length().filter(|length| *length > 0) else { return Ok(Bytes::new()) };
    let mut body = Vec::with_capacity(length);
    request.as_reader().read_to_end(&mut body)?;
    if body.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(body.into())
}

fn answer(request: Request, response: HttpResponse) {
    let mut headers = Vec::with_capacity(response.headers.len() + 1);
    if !response.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("server")) {
        headers.extend(header("Server", SERVER_NAME));
    }
    headers
        .extend(response.headers.iter().filter_map(|(name, value): &(Cow<'_, str>, _)| header(name, value)));
    let length = response.body.len();
    let response =
        Response::new(StatusCode(response.status), headers, response.body.as_ref(), Some(length), None)
            .with_chunked_threshold(usize::MAX);
    if let Err(error) = request.respond(response) {
        log::debug!("nobody takes an answer any more: {error}");
    }
}

/// A header field; `None`, and a line in the log, if it would not be one line of ASCII.
fn header(name: &str, value: &str) -> Option<Header> {
    let printable = |text: &str| text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte));
    let header = Header::from_bytes(name, value).ok();
    let header = header.filter(|_| printable(name) && printable(value) && !name.contains([' ', ':', '\t']));
    if header.is_none() {
        log::error!("left out a header field of an answer that is not printable ASCII: {name:?}");
    }
    header
}

/// A request that did not come through the door gets nothing.
fn turn_away(request: Request) {
    log::warn!("turned away a request that came to the socket behind the door from outside");
    if request.body_length().is_some_and(|length| length > 0) {
        // Dropping it would read the body to its end, however slow or long, on this thread.
        std::mem::forget(request);
    } else {
        drop(request.into_writer());
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use crossbeam_channel::bounded;

    use super::*;
    use crate::rest::http::ListenerLabel;
    use crate::rest::limits::ServerLimits;
    use crate::rest::server::{HttpServer, ListenerConfig, Scheme};

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn a_new_server_takes_the_place_of_one_that_stopped_accepting() {
        let listener = ListenerConfig {
            scheme: Scheme::Http,
            host: "127.0.0.1".to_owned(),
            port: 0,
            tls: None,
            label: ListenerLabel::Main,
        };
        let (arrived, arrivals) = bounded(8);
        let (release, released) = bounded::<()>(0);
        let bound = HttpServer::bind(&[listener], ServerLimits::default()).unwrap();
        let handler = move |request: HttpRequest| {
            if request.target == "/hold" {
                arrived.send(()).unwrap();
                // The other end is dropped to let it go.
                assert!(released.recv_timeout(SOON).is_err());
            }
            HttpResponse::empty(204)
        };
        let server = bound.serve(Arc::new(handler)).unwrap();
        let address = server.addresses()[0].address;
        let ask = |path: &str| {
            let mut client = TcpStream::connect(address).unwrap();
            client.set_read_timeout(Some(SOON)).unwrap();
            write!(client, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
            client
        };
        let is_answered = |mut client: TcpStream| {
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            answer.starts_with("HTTP/1.1 204 ")
        };
        // More than the connections that are kept, so that others have to be opened.
        let hold = |count: usize| -> Vec<_> {
            let clients = (0..count).map(|_| ask("/hold")).collect();
            (0..count).for_each(|_| arrivals.recv_timeout(SOON).unwrap());
            clients
        };
        let before = hold(3);
        let first = Arc::clone(&server.behind.lock());
        first.listening.shutdown(Shutdown::Both).unwrap();
        let after = hold(4);
        assert!(is_answered(ask("/")));
        assert!(first.has_retired());
        assert!(!Arc::ptr_eq(&first, &server.behind.lock()));
        drop(release);
        assert!(before.into_iter().chain(after).all(is_answered), "also by the one that has retired");
    }
}
