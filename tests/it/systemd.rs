//! What systemd is told by the real binary: the start, what the worker waits for, the end, and that the tick thread turns.

use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use crate::support::{Faults, SOON, Worker, WorkerSetup, kafka, wait_until};

/// `WatchdogSec` of the tests. The worker gives a sign of life in half of it.
const WATCHDOG: Duration = Duration::from_millis(1600);

/// The end of the socket that systemd has.
struct Systemd(UnixDatagram);

impl Systemd {
    /// Listens on a path in the folder of a worker, which is told so.
    fn on_a_path(setup: WorkerSetup) -> (Self, WorkerSetup) {
        let path = setup.folder().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        (Systemd(socket), told_of(setup, path.to_str().unwrap()))
    }

    /// Listens on an abstract name.
    fn on_a_name(name: &str, setup: WorkerSetup) -> (Self, WorkerSetup) {
        let name = format!("herdsman-{name}-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        (Systemd(socket), told_of(setup, &format!("@{name}")))
    }

    /// The next message within this time.
    fn told_within(&self, time: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(time)).unwrap();
        let mut message = [0; 4096];
        match self.0.recv(&mut message) {
            Ok(length) => Some(String::from_utf8(message[..length].to_vec()).unwrap()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                None
            }
        }
    }

    /// All messages up to the one with such a line; there is never as long as the watchdog's time between signs of life.
    fn until(&self, line: &str) -> Vec<String> {
        let began = Instant::now();
        let mut told = Vec::new();
        let mut last_sign = Instant::now();
        while began.elapsed() < SOON {
            let message = self.told_within(WATCHDOG).unwrap_or_else(|| panic!("silence after {told:?}"));
            if has(&message, "WATCHDOG=1") {
                last_sign = Instant::now();
            }
            assert!(last_sign.elapsed() < WATCHDOG, "no sign of life after {told:?}");
            let is_it = has(&message, line);
            told.push(message);
            if is_it {
                return told;
            }
        }
        panic!("no {line} in {told:?}");
    }

    /// Takes what was told until now.
    fn forget(&self) {
        self.0.set_nonblocking(true).unwrap();
        while self.0.recv(&mut [0; 4096]).is_ok() {}
        self.0.set_nonblocking(false).unwrap();
    }
}

fn told_of(setup: WorkerSetup, address: &str) -> WorkerSetup {
    let usec = WATCHDOG.as_micros().to_string();
    setup.env("NOTIFY_SOCKET", address).env("WATCHDOG_USEC", usec)
}

/// Whether a message has such a line. Of a line that ends with `=` the beginning is enough.
fn has(message: &str, line: &str) -> bool {
    message.lines().any(|told| told == line || (line.ends_with('=') && told.starts_with(line)))
}

fn lives_and_ends(systemd: &Systemd, mut worker: Worker) {
    let start = systemd.until("READY=1");
    assert!(start[0].contains("STATUS=starting: "), "{start:?}");
    assert!(start.last().unwrap().contains("STATUS=ready"), "{start:?}");
    assert_eq!(worker.get("/health").status, 200, "ready is what a probe calls healthy");
    for _ in 0..3 {
        systemd.until("WATCHDOG=1");
    }
    worker.signal("TERM");
    let end = systemd.until("STOPPING=1");
    assert!(end.iter().all(|message| !has(message, "READY=1")), "it was told twice: {end:?}");
    worker.wait_end();
}

#[test]
fn a_worker_alone_tells_its_start_its_life_and_its_end() {
    let (systemd, setup) = Systemd::on_a_path(WorkerSetup::new());
    lives_and_ends(&systemd, setup.start());
}

#[test]
fn a_worker_of_a_group_tells_its_start_its_life_and_its_end() {
    let Some(kafka) = kafka() else { return };
    let setup = WorkerSetup::distributed(&kafka.unique("systemd")).kafka(&kafka.bootstrap);
    let (systemd, setup) = Systemd::on_a_name("group", setup);
    lives_and_ends(&systemd, setup.start());
}

#[test]
fn a_worker_that_waits_for_a_broker_is_alive_and_not_ready() {
    let (systemd, setup) = Systemd::on_a_name("absent", WorkerSetup::new().kafka("127.0.0.1:1"));
    let _worker = setup.start();
    let mut told = systemd.until("STATUS=starting: trying to reach the Kafka cluster");
    for _ in 0..4 {
        told.extend(systemd.until("WATCHDOG=1"));
    }
    assert!(told.iter().all(|message| !has(message, "READY=1")), "{told:?}");
}

fn held_gives_no_sign_of_life(setup: WorkerSetup) {
    let (faults, setup) = Faults::of(setup);
    let (systemd, setup) = Systemd::on_a_path(setup);
    let worker = setup.start().healthy();
    systemd.until("READY=1");
    faults.hold("tick");
    // Its next turn is the one that does not end.
    wait_until("the tick thread is held", SOON, || worker.get("/health?timeout=50").status == 500);
    systemd.forget();
    assert_eq!(systemd.told_within(2 * WATCHDOG), None, "systemd ends the worker after {WATCHDOG:?}");
    faults.let_go("tick");
    systemd.until("WATCHDOG=1");
    assert_eq!(worker.get("/health").status, 200);
}

#[test]
fn a_tick_thread_that_is_held_gives_no_sign_of_life() {
    held_gives_no_sign_of_life(WorkerSetup::new());
}

#[test]
fn a_tick_thread_that_is_held_in_a_group_gives_no_sign_of_life() {
    let Some(kafka) = kafka() else { return };
    held_gives_no_sign_of_life(WorkerSetup::distributed(&kafka.unique("watched")).kafka(&kafka.bootstrap));
}
