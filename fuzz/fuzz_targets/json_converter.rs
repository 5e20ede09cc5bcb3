//! The JSON reader must not panic, whatever the bytes; and what was written once must come back and be written alike.

#![no_main]

use herdsman::api::Settings;
use herdsman::api::converter::{Converter, ConverterRole};
use herdsman::api::registry::Registry;
use libfuzzer_sys::fuzz_target;

fn converter(schemas_enable: &str) -> Box<dyn Converter> {
    let mut registry = Registry::new();
    herdsman::plugins::converters::register(&mut registry);
    let settings = Settings::from_iter([("schemas.enable".to_owned(), schemas_enable.to_owned())]);
    registry.converter("JsonConverter").unwrap().converter(&settings, ConverterRole::Value).unwrap()
}

fuzz_target!(|bytes: &[u8]| {
    let message = bytes.to_vec().into();
    let _ = converter("false").to_connect("t", Some(&message));

    let mut converter = converter("true");
    let Ok(read) = converter.to_connect("t", Some(&message)) else { return };
    // What Connect reads leniently, null for a required text say, it may refuse to write.
    let Ok(written) = converter.from_connect("t", read.schema.as_ref(), &read.value) else { return };
    // Infinities come back as 0, as in Apache; from then on nothing changes.
    let mut rewrite = |json| {
        let read = converter.to_connect("t", Some(&json)).unwrap();
        converter.from_connect("t", read.schema.as_ref(), &read.value).unwrap().unwrap()
    };
    let Some(written) = written.map(&mut rewrite) else { return };
    assert_eq!(rewrite(written.clone()), written);
});
