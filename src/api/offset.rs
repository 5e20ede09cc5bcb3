//! Where a source stands: maps from names to simple values, as Connect stores them.

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;

/// A value in a source partition or source offset.
#[derive(Debug, Clone, PartialEq)]
pub enum OffsetValue {
    /// No value.
    Null,
    /// A truth value.
    Boolean(bool),
    /// A whole number. What was stored narrower comes back as this.
    Long(i64),
    /// A fraction.
    Double(f64),
    /// A text.
    String(Arc<str>),
}

/// A source partition (which part of the source) or a source offset (how far into it).
///
/// Most have one entry with a fixed name; that costs no allocation. Two maps are equal when they hold the same
/// entries in any order.
#[derive(Debug, Clone, Default)]
pub struct OffsetMap(SmallVec<[(Cow<'static, str>, OffsetValue); 1]>);

impl OffsetMap {
    /// No entries.
    pub fn new() -> Self {
        OffsetMap::default()
    }

    /// One entry.
    pub fn of(name: impl Into<Cow<'static, str>>, value: impl Into<OffsetValue>) -> Self {
        let mut map = OffsetMap::new();
        map.insert(name, value);
        map
    }

    /// Sets an entry; an earlier one of the same name is replaced.
    pub fn insert(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<OffsetValue>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(other, _)| *other == name) {
            Some(entry) => entry.1 = value,
            None => self.0.push((name, value)),
        }
    }

    /// The value of a name, if there is an entry for it.
    pub fn get(&self, name: &str) -> Option<&OffsetValue> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// The entries in the order they were set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &OffsetValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for OffsetMap {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

impl From<i64> for OffsetValue {
    fn from(value: i64) -> Self {
        OffsetValue::Long(value)
    }
}

impl From<bool> for OffsetValue {
    fn from(value: bool) -> Self {
        OffsetValue::Boolean(value)
    }
}

impl From<f64> for OffsetValue {
    fn from(value: f64) -> Self {
        OffsetValue::Double(value)
    }
}

impl From<&str> for OffsetValue {
    fn from(value: &str) -> Self {
        OffsetValue::String(value.into())
    }
}

impl<T: Into<OffsetValue>> From<Option<T>> for OffsetValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(OffsetValue::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter_and_a_name_stands_once() {
        let mut left = OffsetMap::of("topic", "t");
        left.insert("partition", 1);
        let mut right = OffsetMap::of("partition", 2);
        right.insert("topic", "t");
        assert_ne!(left, right);
        right.insert("partition", 1);
        assert_eq!(left, right);
        assert_eq!(right.len(), 2);
    }
}
