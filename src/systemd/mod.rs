//! What systemd is told of the worker (sd_notify): that it is ready, what it waits for, that it stops, and, for the
//! watchdog, that the tick thread turns.
//!
//! All of it is told by the tick thread itself: systemd restarts a worker whose tick thread is stuck. Telling never
//! blocks; what systemd does not take at once is told again.

mod report;
mod socket;

use std::ffi::OsString;
use std::time::{Duration, Instant};

use report::Report;
use socket::NotifySocket;

use crate::health::{Stage, StartupPhase};

/// Tells systemd. Owned by the tick thread.
#[derive(Debug)]
pub struct Notifier {
    report: Report,
    socket: NotifySocket,
    /// It was logged that systemd takes nothing.
    is_deaf: bool,
}

impl Notifier {
    /// As the environment of the process `pid` asks for it: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`. `None` when
    /// there is nobody to tell; a value that cannot be used is logged.
    pub fn from_environment(variable: impl Fn(&str) -> Option<OsString>, pid: u32) -> Option<Self> {
        let address = variable("NOTIFY_SOCKET").filter(|address| !address.is_empty())?;
        let socket = match NotifySocket::open(&address) {
            Ok(socket) => socket,
            Err(why) => {
                log::warn!(
                    "systemd is told nothing, since NOTIFY_SOCKET={} cannot be used: {why}",
                    address.display()
                );
                return None;
            }
        };
        let number = |name| variable(name).and_then(|value| value.to_str()?.parse::<u64>().ok());
        let is_meant = number("WATCHDOG_PID").is_none_or(|meant| meant == u64::from(pid));
        let timeout = number("WATCHDOG_USEC").filter(|timeout| *timeout > 0 && is_meant);
        Some(Notifier { report: Report::new(timeout.map(Duration::from_micros)), socket, is_deaf: false })
    }

    /// A turn of the tick thread is over. Tells what is new; returns when the next turn is to be over at the latest.
    pub fn turned(&mut self, now: Instant, phase: StartupPhase, stage: Option<&Stage>) -> Option<Instant> {
        let Notifier { report, socket, is_deaf } = self;
        report.turn(now, phase, stage, |message| match socket.send(message) {
            Ok(()) => {
                *is_deaf = false;
                true
            }
            Err(why) => {
                if !std::mem::replace(is_deaf, true) {
                    log::warn!("systemd does not take what it is told, trying again: {why}");
                }
                false
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::stdx::time::Clock;

    #[test]
    fn the_watchdog_is_fed_if_this_process_is_meant() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        for (usec, pid, fed) in [
            (Some("4000000"), None, true),
            (Some("4000000"), Some("7"), true),
            (Some("4000000"), Some("8"), false),
            (Some("0"), None, false),
            (Some("soon"), None, false),
            (None, Some("7"), false),
        ] {
            let variable = |name: &str| match name {
                "NOTIFY_SOCKET" => Some(path.clone().into_os_string()),
                "WATCHDOG_USEC" => usec.map(OsString::from),
                "WATCHDOG_PID" => pid.map(OsString::from),
                other => panic!("{other} was asked for"),
            };
            let mut notifier = Notifier::from_environment(variable, 7).unwrap();
            let now = Clock.now().instant;
            let next = notifier.turned(now, StartupPhase::Starting, None);
            assert_eq!(next, fed.then(|| now + Duration::from_secs(2)), "{usec:?} {pid:?}");
            let mut told = [0; 200];
            let length = systemd.recv(&mut told).unwrap();
            let told = String::from_utf8_lossy(&told[..length]).into_owned();
            assert_eq!(told.contains("WATCHDOG=1"), fed, "{told}");
        }
    }

    #[test]
    fn without_an_address_that_can_be_used_nobody_is_told() {
        for address in [None, Some(""), Some("relative"), Some("vsock:2:1")] {
            let variable = |name: &str| address.filter(|_| name == "NOTIFY_SOCKET").map(OsString::from);
            assert!(Notifier::from_environment(variable, 7).is_none(), "{address:?}");
        }
    }
}
