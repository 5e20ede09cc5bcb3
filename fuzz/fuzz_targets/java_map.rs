//! The reader of the offsets file: no input panics, and what it takes can be written and read again.

#![no_main]

use herdsman::store::java_map;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(entries) = java_map::read(input) else { return };
    let mut written = Vec::new();
    java_map::write(&mut written, entries.iter().map(|(key, value)| (key.as_deref(), value.as_deref())))
        .expect("a map that was read can be written");
    assert_eq!(java_map::read(&written).as_ref(), Ok(&entries));
});
