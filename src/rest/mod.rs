//! The REST API: the HTTP floor. A door of our own bounds what clients may take; `tiny_http` serves behind it.

mod door;
pub mod framing;
pub mod http;
pub mod limits;
pub mod server;
pub mod tls;
