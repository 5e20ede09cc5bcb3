//! What the transform classes have in common: their names, their settings, and their forms for keys and for values.

use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance};
use crate::api::connect_record::{ConnectRecord, RecordPart};
use crate::api::error::Result;
use crate::api::registry::VERSION;
use crate::api::transform::{Fate, Transform, TransformPlugin};

/// A class of transforms.
pub(super) struct TransformClass {
    /// The full class name.
    pub(super) name: &'static str,
    /// The settings it takes.
    pub(super) settings: fn() -> ConfigDef,
    /// Makes a transform; fails with an error of kind `Config`.
    pub(super) create: fn(&Settings) -> Result<Box<dyn Transform>>,
}

impl TransformPlugin for TransformClass {
    fn class(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> &'static str {
        VERSION
    }

    fn config_def(&self) -> ConfigDef {
        (self.settings)()
    }

    fn transform(&self, settings: &Settings) -> Result<Box<dyn Transform>> {
        (self.create)(settings)
    }
}

/// A transform that is there in two forms: one for keys, one for values.
pub(super) trait PartTransform: Send + Sized + 'static {
    /// Made with the given settings; fails with an error of kind `Config`.
    fn new(settings: &Settings) -> Result<Self>;

    /// Changes the key or the value of the record.
    fn apply(&mut self, record: &mut ConnectRecord<'_>, part: RecordPart) -> Result<()>;
}

/// The two forms of a transform by their full names, that for keys first.
pub(super) const fn for_both_parts<T: PartTransform>(
    [key, value]: [&'static str; 2],
    settings: fn() -> ConfigDef,
) -> [TransformClass; 2] {
    [
        TransformClass { name: key, settings, create: on_key::<T> },
        TransformClass { name: value, settings, create: on_value::<T> },
    ]
}

fn on_key<T: PartTransform>(settings: &Settings) -> Result<Box<dyn Transform>> {
    Ok(Box::new(OnPart { part: RecordPart::Key, transform: T::new(settings)? }))
}

fn on_value<T: PartTransform>(settings: &Settings) -> Result<Box<dyn Transform>> {
    Ok(Box::new(OnPart { part: RecordPart::Value, transform: T::new(settings)? }))
}

struct OnPart<T> {
    part: RecordPart,
    transform: T,
}

impl<T: PartTransform> Transform for OnPart<T> {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Fate> {
        self.transform.apply(record, self.part)?;
        Ok(Fate::Kept)
    }
}

/// Whether the default of a field stands in for its null.
pub(super) const REPLACE_NULL: &str = "replace.null.with.default";

/// The setting [`REPLACE_NULL`].
pub(super) fn replace_null_key() -> ConfigKey {
    let doc = "Whether a field that is null and has a default is read as that default.";
    ConfigKey::new(REPLACE_NULL, ConfigType::Boolean, Importance::Medium, doc).default("true")
}
