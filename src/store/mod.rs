//! What the worker keeps: configs, offsets, statuses.

pub mod config_state;
