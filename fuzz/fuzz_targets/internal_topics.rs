//! The readers of the config and status topics: no record panics, and what they take can be written and read again. The
//! key ends at the first line end of the input.

#![no_main]

use herdsman::store::config_records::ConfigRecord;
use herdsman::store::config_state::ConfigState;
use herdsman::store::status_records::StatusRecord;
use herdsman::store::status_table::StatusTable;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let (key, value) = (parts.next(), parts.next());
    if let Ok(Some(record)) = ConfigRecord::decode(key, value) {
        ConfigState::default().apply(&record);
        let (key, value) = (record.key(), record.value());
        let again = ConfigRecord::decode(Some(key.as_bytes()), value.as_deref());
        assert_eq!(again.expect("a record that was read can be written"), Some(record));
    }
    if let Ok(record) = StatusRecord::decode(key, value) {
        StatusTable::default().read(record.clone());
        let (key, value) = (record.key(), record.value());
        let again = StatusRecord::decode(Some(key.as_bytes()), value.as_deref());
        assert_eq!(again.expect("a record that was read can be written"), record);
    }
});
