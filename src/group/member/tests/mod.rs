//! The member against a coordinator that a test plays: time is a number, the network does what it is told.

mod codes;
mod contact;
mod random;
mod rounds;
mod world;
