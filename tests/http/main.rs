//! The HTTP floor on real sockets: what good clients get, what bad ones cannot take, with TLS and without.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something unexpected happens"
)]

mod bad_clients;
mod certificates;
mod client;
mod fixture;
mod lifecycle;
mod process;
mod requests;
mod tls;
