//! The group of workers that share connectors and tasks among them: Kafka's group protocol, of the type `connect`.
//!
//! [`member`] decides what to say to the coordinator, and when; [`member_thread`] says it.

pub mod broker;
pub mod error_code;
pub mod events;
pub mod member;
pub mod member_thread;
pub mod requests;
mod wire;
