//! The REST API: what a request means, and what is answered. Begin reading at [`api::RestApi`]; below it is the HTTP
//! floor: [`server`], and its [`door`], which bounds what clients may take and calls the API.

pub mod api;
mod door;
mod dto;
mod errand;
mod error;
pub mod forward;
pub mod framing;
pub mod http;
pub mod layers;
pub mod limits;
mod resources;
pub mod router;
pub mod server;
mod shared_probe;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;
pub mod tls;
