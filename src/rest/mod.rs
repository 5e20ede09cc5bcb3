//! The REST API: what a request means, and what is answered.

pub mod http;
mod router;
pub mod tls;
