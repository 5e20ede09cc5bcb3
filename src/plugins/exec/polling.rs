//! Waits for descriptors, always with a bound.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

/// What a descriptor can become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Becomes {
    /// There is something to read, or its end.
    Readable,
    /// There is room to write, or nobody reads.
    Writable,
}

/// Waits until one of the descriptors has become what is waited for, or the time is up; without descriptors until then.
pub(super) fn wait(fds: &[(BorrowedFd<'_>, Becomes)], timeout: Duration) -> io::Result<()> {
    let mut polled: Vec<PollFd<'_>> = fds
        .iter()
        .map(|(fd, becomes)| {
            let flags = match becomes {
                Becomes::Readable => PollFlags::IN,
                Becomes::Writable => PollFlags::OUT,
            };
            PollFd::from_borrowed_fd(*fd, flags)
        })
        .collect();
    let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
    match rustix::event::poll(&mut polled, Some(&timeout)) {
        // A signal is a reason to look around, too.
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
