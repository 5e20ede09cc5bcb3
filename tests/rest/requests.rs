//! Requests beyond the recorded ones.
