//! `connectors.md` and `converters.md`: the classes that come with the worker, from their own definitions.

use super::{MADE, line, section};
use crate::api::converter::ConverterRoles;
use crate::api::registry::Registry;

/// The page of connectors.
#[must_use]
pub fn connectors_page(registry: &Registry) -> String {
    let mut page = format!(
        "{MADE}\n\n# Connectors\n\n\
         Those that come with the worker, but for [programs in any language](exec-configs.md), with the settings of their \
         own; [what every connector takes](connector-configs.md) comes on top. `connector.class` is the class, or its last \
         part, with or without `Connector`.\n"
    );
    for class in registry.connectors() {
        let plugin = class.plugin();
        let name = plugin.class();
        let classes = format!("`{name}`. A {}.", class.kind_name());
        section(&mut page, "##", name, &classes, &plugin.config_def());
    }
    page
}

/// The page of converters.
#[must_use]
pub fn converters_page(registry: &Registry) -> String {
    let mut page = format!(
        "{MADE}\n\n# Converters\n\n\
         `key.converter`, `value.converter` and `header.converter` of the worker or of a connector name a class, or its last \
         part, with or without `Converter`; what it takes stands below, as in `value.converter.schemas.enable`. \
         `converter.type` is set by the worker.\n"
    );
    for plugin in registry.converters() {
        let name = plugin.class();
        let roles = match plugin.roles() {
            ConverterRoles::All => "For keys, values and headers.",
            ConverterRoles::HeaderOnly => "For headers only.",
        };
        let classes = format!("`{name}`. {roles}");
        section(&mut page, "##", name, &classes, &plugin.config_def());
    }
    line(
        &mut page,
        format_args!("\nNumbers are in big-endian order, as Kafka's own serializers write them."),
    );
    page
}
