//! Offsets of source connectors in memory, as compact as they come: a worker may hold millions. Pure.
//!
//! Keys and values lie one after the other in a few large blocks. What all keys of a connector begin with is kept once,
//! and with it an index of places in the blocks: eight bytes an entry, and no allocation for any.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use bytes::{Bytes, BytesMut};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// The size of a block. A larger entry gets one of its own.
const BLOCK_BYTES: usize = 1024 * 1024;

/// Values by key. Both are any bytes; an absent value, an empty one and JSON's null are tombstones.
#[derive(Debug, Default)]
pub(super) struct OffsetTable {
    /// By what their keys begin with, up to the comma after the connector's name; under nothing what has no such form.
    connectors: HashMap<Box<[u8]>, HashTable<Place>>,
    blocks: Blocks,
    hasher: RandomState,
}

/// Where an entry begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    block: u32,
    start: u32,
}

/// The bytes of all entries. Each has the lengths of its key and its value in front.
#[derive(Debug, Default)]
struct Blocks {
    blocks: Vec<Vec<u8>>,
    /// How many bytes belong to entries, and how many to entries that are gone.
    live: usize,
    dead: usize,
}

const LENGTHS_BYTES: usize = 8;

impl OffsetTable {
    /// Stores a value, or forgets it when it is a tombstone.
    pub(super) fn set(&mut self, key: &[u8], value: Option<&[u8]>) {
        let (connector, rest) = key.split_at(connector_bytes(key));
        match value.filter(|value| !value.is_empty() && value.trim_ascii() != b"null") {
            Some(value) => self.insert(connector, rest, value),
            None => self.remove(connector, rest),
        }
        if self.blocks.dead > self.blocks.live.max(BLOCK_BYTES) {
            self.compact();
        }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<Bytes> {
        let (connector, rest) = key.split_at(connector_bytes(key));
        let index = self.connectors.get(connector)?;
        let found = index.find(self.hasher.hash_one(rest), |place| self.blocks.key(*place) == rest)?;
        Some(Bytes::copy_from_slice(self.blocks.value(*found)))
    }

    /// All keys and values whose keys begin with `prefix`, which must end after the comma behind a connector's name; in
    /// no order. They share one allocation.
    pub(super) fn of_connector(&self, prefix: &[u8]) -> Vec<(Bytes, Bytes)> {
        let Some(index) = self.connectors.get(prefix) else { return Vec::new() };
        let mut bytes = BytesMut::new();
        let mut ends = Vec::with_capacity(index.len());
        for place in index {
            bytes.extend_from_slice(prefix);
            bytes.extend_from_slice(self.blocks.key(*place));
            let key_end = bytes.len();
            bytes.extend_from_slice(self.blocks.value(*place));
            ends.push((key_end, bytes.len()));
        }
        let (bytes, mut start) = (bytes.freeze(), 0);
        let slices = ends.into_iter().map(|(key_end, end)| {
            let entry = (bytes.slice(start..key_end), bytes.slice(key_end..end));
            start = end;
            entry
        });
        slices.collect()
    }

    /// How many keys have a value.
    pub(super) fn len(&self) -> usize {
        self.connectors.values().map(HashTable::len).sum()
    }

    fn insert(&mut self, connector: &[u8], key: &[u8], value: &[u8]) {
        let OffsetTable { connectors, blocks, hasher } = self;
        if !connectors.contains_key(connector) {
            connectors.insert(connector.into(), HashTable::new());
        }
        let Some(index) = connectors.get_mut(connector) else { return };
        let hash = hasher.hash_one(key);
        match index.entry(
            hash,
            |place| blocks.key(*place) == key,
            |place| hasher.hash_one(blocks.key(*place)),
        ) {
            Entry::Occupied(mut known) => {
                if !blocks.overwrite(*known.get(), value) {
                    blocks.forget(*known.get());
                    *known.get_mut() = blocks.add(key, value);
                }
            }
            Entry::Vacant(free) => {
                free.insert(blocks.add(key, value));
            }
        }
    }

    fn remove(&mut self, connector: &[u8], key: &[u8]) {
        let OffsetTable { connectors, blocks, hasher } = self;
        let Some(index) = connectors.get_mut(connector) else { return };
        let found = index.find_entry(hasher.hash_one(key), |place| blocks.key(*place) == key);
        if let Ok(entry) = found {
            let (place, _) = entry.remove();
            blocks.forget(place);
        }
        if index.is_empty() {
            connectors.remove(connector);
        }
    }

    /// Writes what is alive into new blocks.
    fn compact(&mut self) {
        let old = std::mem::take(&mut self.blocks);
        for place in self.connectors.values_mut().flatten() {
            *place = self.blocks.add(old.key(*place), old.value(*place));
        }
    }
}

impl Blocks {
    fn add(&mut self, key: &[u8], value: &[u8]) -> Place {
        let size = LENGTHS_BYTES + key.len() + value.len();
        let has_room = |block: &Vec<u8>| block.capacity() - block.len() >= size;
        if !self.blocks.last().is_some_and(has_room) {
            self.blocks.push(Vec::with_capacity(size.max(BLOCK_BYTES)));
        }
        let block = self.blocks.len().saturating_sub(1);
        let Some(bytes) = self.blocks.last_mut() else { return Place { block: 0, start: 0 } };
        let place = Place { block: narrow(block), start: narrow(bytes.len()) };
        bytes.extend_from_slice(&narrow(key.len()).to_le_bytes());
        bytes.extend_from_slice(&narrow(value.len()).to_le_bytes());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
        self.live += size;
        place
    }

    /// Puts another value of the same length in place.
    fn overwrite(&mut self, place: Place, value: &[u8]) -> bool {
        let (key_bytes, value_bytes) = self.lengths(place);
        if value_bytes != value.len() {
            return false;
        }
        let start = wide(place.start) + LENGTHS_BYTES + key_bytes;
        self.blocks[wide(place.block)][start..start + value_bytes].copy_from_slice(value);
        true
    }

    fn forget(&mut self, place: Place) {
        let (key_bytes, value_bytes) = self.lengths(place);
        let size = LENGTHS_BYTES + key_bytes + value_bytes;
        self.live -= size;
        self.dead += size;
    }

    fn key(&self, place: Place) -> &[u8] {
        let (key_bytes, _) = self.lengths(place);
        let start = wide(place.start) + LENGTHS_BYTES;
        &self.blocks[wide(place.block)][start..start + key_bytes]
    }

    fn value(&self, place: Place) -> &[u8] {
        let (key_bytes, value_bytes) = self.lengths(place);
        let start = wide(place.start) + LENGTHS_BYTES + key_bytes;
        &self.blocks[wide(place.block)][start..start + value_bytes]
    }

    fn lengths(&self, place: Place) -> (usize, usize) {
        let at = |start: usize| {
            let bytes = &self.blocks[wide(place.block)][start..start + 4];
            bytes.iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte))
        };
        let start = wide(place.start);
        (at(start), at(start + 4))
    }
}

/// Kafka's keys and values, and so the blocks, are far below 4 GiB; there are not as many blocks either.
fn narrow(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

fn wide(size: u32) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// How many bytes of a key stand before its source partition: `["connector",`. 0 for a key of another form.
fn connector_bytes(key: &[u8]) -> usize {
    let Some(text) = key.strip_prefix(b"[\"") else { return 0 };
    let mut is_escaped = false;
    for (index, byte) in text.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => {
                let end = 2 + index + 1;
                return if key.get(end) == Some(&b',') { end + 1 } else { 0 };
            }
            _ => {}
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_connector_of_a_key_ends_after_its_comma() {
        for (key, expected) in [
            (r#"["a",{"p":1}]"#, r#"["a","#),
            (r#"["a\"b",{}]"#, r#"["a\"b","#),
            (r#"["a\\",null]"#, r#"["a\\","#),
            (r#"["",{}]"#, r#"["","#),
            (r#"["a", {}]"#, r#"["a","#),
            (r#"[ "a",{}]"#, ""),
            (r#"["a"]"#, ""),
            (r#"["a"#, ""),
            ("", ""),
            ("foreign", ""),
        ] {
            assert_eq!(&key[..connector_bytes(key.as_bytes())], expected, "{key}");
        }
    }

    #[test]
    fn a_tombstone_is_no_value_an_empty_one_or_null() {
        for tombstone in [None, Some(&b""[..]), Some(b"null"), Some(b" null\n")] {
            let mut table = OffsetTable::default();
            table.set(b"k", Some(b"v"));
            assert_eq!(table.get(b"k").as_deref(), Some(&b"v"[..]));
            table.set(b"k", tombstone);
            table.set(b"never there", tombstone);
            assert_eq!((table.get(b"k"), table.len()), (None, 0), "{tombstone:?}");
            assert!(table.connectors.is_empty());
        }
    }

    #[test]
    fn an_offset_that_only_counts_up_takes_no_more_room() {
        let mut table = OffsetTable::default();
        for position in 10_000..20_000 {
            table.set(br#"["a",{"p":1}]"#, Some(format!(r#"{{"n":{position}}}"#).as_bytes()));
        }
        assert_eq!(table.get(br#"["a",{"p":1}]"#).as_deref(), Some(&br#"{"n":19999}"#[..]));
        assert_eq!((table.blocks.dead, table.blocks.blocks.len()), (0, 1));
    }

    #[test]
    fn what_is_dead_is_thrown_out_in_the_end() {
        let mut table = OffsetTable::default();
        let value = |round: usize| vec![b'x'; 1000 + round];
        for round in 0..20 {
            for key in 0..1000 {
                table.set(format!(r#"["c{}",{key}]"#, key % 7).as_bytes(), Some(&value(round)));
            }
        }
        assert!(table.blocks.blocks.len() <= 5, "{} blocks for 1 MiB", table.blocks.blocks.len());
        for key in 0..1000 {
            let found = table.get(format!(r#"["c{}",{key}]"#, key % 7).as_bytes());
            assert_eq!(found.as_deref(), Some(&value(19)[..]), "{key}");
        }
    }

    #[test]
    fn an_entry_larger_than_a_block_has_one_of_its_own() {
        let mut table = OffsetTable::default();
        let large = vec![7; BLOCK_BYTES + 1];
        table.set(b"large", Some(&large));
        table.set(b"small", Some(b"v"));
        assert_eq!(table.get(b"large").as_deref(), Some(&large[..]));
        assert_eq!(table.get(b"small").as_deref(), Some(&b"v"[..]));
    }

    fn key() -> impl Strategy<Value = String> {
        prop_oneof![
            (0_u8..3, 0_u8..9).prop_map(|(connector, partition)| format!(r#"["c{connector}",{partition}]"#)),
            "[a-c\\[\",]{0,5}",
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_map(
            steps in prop::collection::vec((key(), prop::option::of("[0-9n]{0,4}")), 0..200),
            compacts in any::<bool>(),
        ) {
            let mut table = OffsetTable::default();
            let mut model: BTreeMap<String, String> = BTreeMap::new();
            for (key, value) in steps {
                table.set(key.as_bytes(), value.as_deref().map(str::as_bytes));
                match value.filter(|value| !value.is_empty()) {
                    Some(value) => model.insert(key, value),
                    None => model.remove(&key),
                };
            }
            if compacts {
                table.compact();
                prop_assert_eq!(table.blocks.dead, 0);
            }
            prop_assert_eq!(table.len(), model.len());
            for (key, value) in &model {
                let found = table.get(key.as_bytes());
                prop_assert_eq!(found.as_deref(), Some(value.as_bytes()));
            }
            for connector in ["c0", "c1", "c2"] {
                let prefix = format!(r#"["{connector}","#);
                let mut found = table.of_connector(prefix.as_bytes());
                found.sort();
                let expected = model.iter().filter(|(key, _)| key.starts_with(&prefix));
                let expected: Vec<(Bytes, Bytes)> =
                    expected.map(|(key, value)| (key.clone().into(), value.clone().into())).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
