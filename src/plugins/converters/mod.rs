//! Converters under Apache's class names. Each but one converts keys, values and headers alike.

mod boolean;
mod byte_array;
mod charset;
mod class;
mod json;
mod number;
mod simple_header;
mod string;

use crate::api::Settings;
use crate::api::converter::Converter;
use crate::api::error::Result;
use crate::api::registry::Registry;

/// Adds all converters.
pub fn register(registry: &mut Registry) {
    registry.add_converter(json::CLASS);
    registry.add_converter(simple_header::SimpleHeaderConverter);
    registry.add_converter(string::CLASS);
    registry.add_converter(byte_array::CLASS);
    registry.add_converter(boolean::CLASS);
    for class in number::CLASSES {
        registry.add_converter(class);
    }
}

/// A `JsonConverter`, for plug-ins whose own format is Connect's JSON.
pub(super) fn json(settings: &Settings) -> Result<Box<dyn Converter>> {
    (json::CLASS.create)(settings)
}
