//! The parser of headers must read every text as some value, and that value must have a text of its own.

#![no_main]

use herdsman::api::Settings;
use herdsman::api::registry::Registry;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut registry = Registry::new();
    herdsman::plugins::converters::register(&mut registry);
    let plugin = registry.converter("SimpleHeaderConverter").unwrap();
    let mut converter = plugin.header_converter(&Settings::new()).unwrap().unwrap();
    let read = converter.to_connect("t", "k", Some(&bytes.to_vec().into())).unwrap();
    converter.from_connect("t", "k", read.schema.as_ref(), &read.value).unwrap();
});
