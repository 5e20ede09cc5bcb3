//! The settings that a plug-in takes: names, types, defaults, checks and documentation in one place.

/// The settings of a plug-in.
#[derive(Debug, Clone, Default)]
pub struct ConfigDef;

/// What checking one setting gave.
#[derive(Debug, Clone)]
pub struct ConfigValue;
