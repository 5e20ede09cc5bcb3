//! What is done around every request of the main listeners: who may ask, and which headers go with the answer.

pub mod basic_auth;
pub mod cors;
pub mod response_headers;
