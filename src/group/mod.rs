//! The group of workers that share connectors and tasks among them: Kafka's group protocol, of the type `connect`.
//!
//! A member says what it holds and how far it has read the config topic ([`protocol::Metadata`]). One of them is the
//! leader: it compares that with what is configured and tells each what to take up and what to give up
//! ([`protocol::Assignment`]). Java workers may be among them, and may lead.
//!
//! Begin reading at [`leader::Leader::lead`]. Nothing here reads a clock or sends anything: bytes come in, bytes go out.

pub mod assignor;
pub mod division;
pub mod eager;
pub mod leader;
pub mod protocol;
#[cfg(test)]
mod tests;
