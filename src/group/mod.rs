//! The group of workers that share connectors and tasks among them: Kafka's group protocol, of the type `connect`.
//!
//! A member says what it holds and how far it has read the config topic ([`protocol::Metadata`]). One of them is the
//! leader: it compares that with what is configured and tells each what to take up and what to give up
//! ([`protocol::Assignment`]). Java workers may be among them, and may lead.
//!
//! [`leader::Leader::lead`] divides the work; [`member`] decides what to say to the coordinator, and when;
//! [`member_thread`] says it, and alone reads a clock and sends anything.

pub mod assignor;
pub mod division;
pub mod eager;
pub mod error_code;
pub mod events;
pub mod leader;
pub mod member;
pub mod member_thread;
pub mod protocol;
pub mod requests;
#[cfg(test)]
mod tests;
mod wire;
