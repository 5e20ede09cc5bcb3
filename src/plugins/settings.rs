//! Settings of a plug-in, read by its own definition. What is wrong becomes an error of the kind `Config`.

use crate::api::Settings;
use crate::api::config_def::{ConfigDef, FromConfig, ParsedConfig};
use crate::api::error::{ConnectError, Result};

/// Settings with their types.
pub(super) struct Parsed(ParsedConfig);

/// Reads all defined settings; others are left alone.
pub(super) fn parse(def: &ConfigDef, settings: &Settings) -> Result<Parsed> {
    def.parse(settings).map(Parsed).map_err(|errors| ConnectError::config(errors.to_string()))
}

impl Parsed {
    /// The value of a setting as the type the caller wants.
    pub(super) fn get<T: FromConfig>(&self, name: &str) -> Result<T> {
        self.0.get(name).map_err(|error| ConnectError::config(error.to_string()))
    }

    /// A text; an empty one counts as not given.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>> {
        Ok(self.get::<Option<String>>(name)?.filter(|text| !text.is_empty()))
    }
}
