//! The datagram socket to systemd.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

/// Sends datagrams to an address, which need not be there yet, and may come back.
#[derive(Debug)]
pub(super) struct NotifySocket {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl NotifySocket {
    /// For an absolute path, or `@NAME` in the abstract namespace.
    pub(super) fn open(address: &OsStr) -> io::Result<Self> {
        let address = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(Path::new(address))?,
            _ => {
                let why = "it is neither an absolute path nor the @NAME of an abstract socket";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(NotifySocket { socket, address })
    }

    /// Sends one message. Never blocks: a queue that is full is an error.
    pub(super) fn send(&self, message: &str) -> io::Result<()> {
        self.socket.send_to_addr(message.as_bytes(), &self.address).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_address_are_reached_and_a_full_queue_does_not_block() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("@herdsman-test-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name[1..]).unwrap();
        for (address, systemd) in [
            (path.as_os_str(), UnixDatagram::bind(&path).unwrap()),
            (OsStr::new(&name), UnixDatagram::bind_addr(&abstract_name).unwrap()),
        ] {
            let socket = NotifySocket::open(address).unwrap();
            socket.send("READY=1").unwrap();
            let mut told = [0; 20];
            assert_eq!(systemd.recv(&mut told).unwrap(), 7);
            let full = (0..100_000).find_map(|_| socket.send("WATCHDOG=1").err()).unwrap();
            assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
            drop(systemd);
            assert!(socket.send("WATCHDOG=1").is_err(), "nobody is there");
        }
    }
}
