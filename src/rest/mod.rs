//! The REST API: what a request means, and what is answered. Begin reading at [`api::RestApi`].

pub mod api;
mod dto;
mod error;
pub mod http;
pub mod layers;
mod resources;
pub mod router;
mod shared_probe;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;
pub mod tls;
