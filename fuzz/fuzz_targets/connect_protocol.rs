//! The readers of what members of the group say and are told: no input panics, and what was read is written alike.

#![no_main]

use herdsman::group::protocol::{Assignment, Metadata, ProtocolVersion};
use libfuzzer_sys::fuzz_target;

const VERSION: ProtocolVersion = ProtocolVersion::Sessioned;

fuzz_target!(|input: &[u8]| {
    if let Ok(read) = Assignment::decode(input) {
        let written = read.encode(VERSION).expect("an assignment that was read can be written");
        let again = Assignment::decode(&written).expect("an assignment that was written can be read");
        // Connectors may have been listed in pieces; from then on nothing changes.
        assert_eq!(again.encode(VERSION), Ok(written));
    }
    if let Ok(read) = Metadata::decode(input) {
        let written = read.encode(VERSION).expect("metadata that was read can be written");
        let again = Metadata::decode(&written).expect("metadata that was written can be read");
        assert_eq!(again.encode(VERSION), Ok(written));
    }
});
