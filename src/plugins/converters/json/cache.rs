//! Schemas that were read or written before, in bounded number.

use std::hash::Hash;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use indexmap::IndexMap;

use crate::api::data::SchemaRef;

/// Longer schema texts are not kept, so that hostile messages cannot fill the memory with them.
const MAX_TEXT: usize = 64 * 1024;

/// A map that makes room by dropping its entries in turn.
struct Bounded<K, V> {
    entries: IndexMap<K, V>,
    capacity: usize,
    next_victim: usize,
}

impl<K: Hash + Eq, V> Bounded<K, V> {
    fn new(capacity: usize) -> Self {
        Bounded { entries: IndexMap::new(), capacity, next_victim: 0 }
    }

    fn insert(&mut self, key: K, value: V) {
        if self.capacity == 0 {
            return;
        }
        if self.entries.len() >= self.capacity {
            self.entries.swap_remove_index(self.next_victim);
            self.next_victim = (self.next_victim + 1) % self.capacity;
        }
        self.entries.insert(key, value);
    }
}

/// Schemas by their JSON text.
pub(super) struct ReadSchemas {
    by_text: Bounded<ByteString, SchemaRef>,
    /// The one used last: most messages of a topic have the same.
    last: Option<(ByteString, SchemaRef)>,
}

impl ReadSchemas {
    pub(super) fn new(capacity: usize) -> Self {
        ReadSchemas { by_text: Bounded::new(capacity), last: None }
    }

    /// The schema used last and the length of its text, if that text comes next. An object that begins alike ends alike,
    /// so nothing is parsed.
    pub(super) fn at_start_of(&self, rest: &str) -> Option<(SchemaRef, usize)> {
        let (text, schema) = self.last.as_ref()?;
        rest.as_bytes().starts_with(text.as_bytes()).then(|| (schema.clone(), text.len()))
    }

    pub(super) fn get(&mut self, text: &str) -> Option<SchemaRef> {
        let (text, schema) = self.by_text.entries.get_key_value(text)?;
        self.last = Some((text.clone(), schema.clone()));
        Some(schema.clone())
    }

    /// Keeps the schema of a text that is a JSON object.
    pub(super) fn insert(&mut self, text: &str, schema: &SchemaRef) {
        if text.len() > MAX_TEXT || self.by_text.capacity == 0 {
            return;
        }
        let text = ByteString::from(text);
        self.by_text.insert(text.clone(), schema.clone());
        self.last = Some((text, schema.clone()));
    }
}

/// The JSON of schemas by identity: a schema is shared and never changed, so the same address is the same schema for as
/// long as an entry holds it.
pub(super) struct WrittenSchemas {
    by_address: Bounded<usize, (SchemaRef, Bytes)>,
    /// The one used last: most records of a task have the same.
    last: Option<(SchemaRef, Bytes)>,
}

impl WrittenSchemas {
    pub(super) fn new(capacity: usize) -> Self {
        WrittenSchemas { by_address: Bounded::new(capacity), last: None }
    }

    pub(super) fn get(&mut self, schema: &SchemaRef) -> Option<&Bytes> {
        if !self.last.as_ref().is_some_and(|(last, _)| Arc::ptr_eq(last, schema)) {
            self.last = Some(self.by_address.entries.get(&address(schema))?.clone());
        }
        self.last.as_ref().map(|(_, json)| json)
    }

    pub(super) fn insert(&mut self, schema: &SchemaRef, json: Bytes) {
        self.by_address.insert(address(schema), (schema.clone(), json));
    }
}

fn address(schema: &SchemaRef) -> usize {
    Arc::as_ptr(schema).addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::data::{Schema, SchemaKind};

    #[test]
    fn caches_are_bounded_and_find_what_they_hold() {
        let schemas: Vec<SchemaRef> = (0..10).map(|_| Arc::new(Schema::new(SchemaKind::Int8))).collect();
        for capacity in [0, 1, 3] {
            let mut written = WrittenSchemas::new(capacity);
            let mut read = ReadSchemas::new(capacity);
            for (index, schema) in schemas.iter().enumerate() {
                let text = format!("{{\"{index}\"}}");
                written.insert(schema, Bytes::from(text.clone()));
                read.insert(&text, schema);
                assert_eq!(written.get(schema).is_some(), capacity > 0);
                assert_eq!(read.get(&text).is_some(), capacity > 0);
                assert_eq!(read.at_start_of(&format!("{text},")).is_some(), capacity > 0);
            }
            assert_eq!(written.by_address.entries.len(), capacity);
            assert_eq!(read.by_text.entries.len(), capacity);
        }
    }
}
