//! Transforms and predicates under Apache's class names, one file for each.
//!
//! Those that change the shape of structs work out once for each schema what is to be done (`plans::Plans`), and move
//! the values of a record into the new struct; schemas are never looked through per record.

mod cast;
mod class;
mod drop_headers;
mod extract_field;
mod field_path;
mod filter;
mod flatten;
mod header_from;
mod hoist_field;
mod insert_field;
mod insert_header;
mod java_pattern;
mod mask_field;
mod number_text;
mod plans;
mod predicates;
mod regex_router;
mod replace_field;
mod set_schema_metadata;
mod shape;
mod timestamp_converter;
mod timestamp_router;
mod value_to_key;

use crate::api::registry::Registry;

/// Adds all transforms and predicates.
pub fn register(registry: &mut Registry) {
    let in_both_forms = [
        cast::CLASSES,
        extract_field::CLASSES,
        flatten::CLASSES,
        header_from::CLASSES,
        hoist_field::CLASSES,
        insert_field::CLASSES,
        mask_field::CLASSES,
        replace_field::CLASSES,
        set_schema_metadata::CLASSES,
        timestamp_converter::CLASSES,
    ];
    let of_records = [
        drop_headers::CLASS,
        filter::CLASS,
        insert_header::CLASS,
        regex_router::CLASS,
        timestamp_router::CLASS,
        value_to_key::CLASS,
    ];
    for class in in_both_forms.into_iter().flatten().chain(of_records) {
        registry.add_transform(class);
    }
    predicates::register(registry);
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod page {
    use super::*;
    use crate::config::reference::{check_page, transforms_page};

    #[test]
    fn the_page_of_transforms_is_fresh() {
        let mut registry = Registry::new();
        register(&mut registry);
        check_page("transforms.md", &transforms_page(&registry));
    }
}
