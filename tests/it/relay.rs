//! A network between a worker and a broker: passes all bytes on, and can lose them for a while without closing anything.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// Listens on a port and passes each connection on to another address. Goes on until the end of the tests.
pub(crate) struct Relay {
    listener: TcpListener,
    gate: Arc<Gate>,
}

/// Whether bytes pass.
#[derive(Default)]
struct Gate {
    is_shut: Mutex<bool>,
    changed: Condvar,
}

/// Lets bytes pass, or keeps them.
pub(crate) struct Passage(Arc<Gate>);

impl Relay {
    /// On any port.
    pub(crate) fn new() -> Self {
        Self::on(0)
    }

    /// On this port.
    pub(crate) fn on(port: u16) -> Self {
        Relay { listener: TcpListener::bind(("127.0.0.1", port)).unwrap(), gate: Arc::default() }
    }

    /// The port that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// Begins to pass on.
    pub(crate) fn pass_on_to(self, address: &str) -> Passage {
        let Relay { listener, gate } = self;
        let (address, passage) = (address.to_owned(), Passage(Arc::clone(&gate)));
        spawn("relay", move || {
            for near in listener.incoming() {
                let (near, address, gate) = (near.unwrap(), address.clone(), Arc::clone(&gate));
                spawn("relay of a connection", move || connect(near, &address, &gate));
            }
        });
        passage
    }
}

impl Passage {
    /// Keeps all bytes, also those that end a connection.
    pub(crate) fn shut(&self) {
        self.set(true);
    }

    /// Passes on what was kept, and what comes.
    pub(crate) fn open(&self) {
        self.set(false);
    }

    fn set(&self, is_shut: bool) {
        *self.0.is_shut.lock().unwrap() = is_shut;
        self.0.changed.notify_all();
    }
}

impl Gate {
    fn wait(&self) {
        let guard = self.is_shut.lock().unwrap();
        drop(self.changed.wait_while(guard, |is_shut| *is_shut).unwrap());
    }
}

fn connect(near: TcpStream, address: &str, gate: &Arc<Gate>) {
    gate.wait();
    // Nobody there: dropping the near end says so.
    let Ok(far) = TcpStream::connect(address) else { return };
    for stream in [&near, &far] {
        stream.set_nodelay(true).unwrap();
    }
    for (from, to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)] {
        let gate = Arc::clone(gate);
        spawn("relay of a direction", move || pump(from, to, &gate));
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, gate: &Gate) {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut bytes).unwrap_or(0);
        gate.wait();
        // Whoever hangs up ends it, in both directions.
        if count == 0 || to.write_all(&bytes[..count]).is_err() {
            drop((from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both)));
            return;
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).unwrap();
}
