//! The members of a JSON object, found by their names.

use std::borrow::Cow;
use std::collections::HashMap;

use super::reader::Node;

/// Up to so many members are looked through: that is quicker than hashing their names. Of more there is a table, so that
/// hostile messages take no longer for each.
const FEW: usize = 16;
/// Room that an object with members begins with.
const ROOM: usize = 8;

/// In the order of their first mention; a later one of the same name replaces the value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Members<'a> {
    /// [`Node::Missing`], which no member is, stands where one was taken.
    entries: Vec<(Cow<'a, str>, Node<'a>)>,
    /// Where each is, once there are many.
    places: Option<HashMap<Cow<'a, str>, usize>>,
    /// Behind the one that was taken last: most messages have their members in the order of the schema.
    next: usize,
}

impl<'a> Members<'a> {
    pub(super) fn insert(&mut self, name: Cow<'a, str>, node: Node<'a>) {
        if let Some((_, old)) = self.place(&name).and_then(|place| self.entries.get_mut(place)) {
            *old = node;
            return;
        }
        if self.entries.is_empty() {
            self.entries.reserve_exact(ROOM);
        }
        let place = self.entries.len();
        match &mut self.places {
            Some(places) => drop(places.insert(name.clone(), place)),
            None if place == FEW => {
                let names = self.entries.iter().map(|(name, _)| name).chain([&name]);
                self.places = Some(names.cloned().zip(0..).collect());
            }
            None => {}
        }
        self.entries.push((name, node));
    }

    /// The value of a member, which is not there any more afterwards.
    pub(super) fn take(&mut self, name: &str) -> Option<Node<'a>> {
        let is_next = self.entries.get(self.next).is_some_and(|(next, _)| next == name);
        let place = if is_next { self.next } else { self.place(name)? };
        self.next = place + 1;
        let (_, node) = self.entries.get_mut(place)?;
        Some(std::mem::replace(node, Node::Missing)).filter(|node| *node != Node::Missing)
    }

    /// How many there were at first.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn place(&self, name: &str) -> Option<usize> {
        match &self.places {
            Some(places) => places.get(name).copied(),
            None => self.entries.iter().position(|(known, _)| known == name),
        }
    }
}

impl<'a> IntoIterator for Members<'a> {
    type Item = (Cow<'a, str>, Node<'a>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    /// All, in their order; none may have been taken before.
    fn into_iter(self) -> Self::IntoIter {
        debug_assert!(self.entries.iter().all(|(_, node)| *node != Node::Missing), "a member was taken");
        self.entries.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Few or many, they are what a map that keeps its order holds.
        #[test]
        fn members_are_those_of_a_map(
            names in prop::collection::vec(0..60_u8, 0..80),
            taken in prop::collection::vec(0..60_u8, 0..80),
        ) {
            let (mut members, mut map) = (Members::default(), IndexMap::new());
            for (number, name) in names.iter().enumerate() {
                let text = number.to_string();
                map.insert(name.to_string(), text.clone());
                members.insert(name.to_string().into(), Node::String(text.into()));
            }
            prop_assert_eq!(members.len(), map.len());
            let member = |(name, text): (&String, &String)| {
                (Cow::from(name.clone()), Node::String(text.clone().into()))
            };
            let all: Vec<_> = map.iter().map(member).collect();
            prop_assert_eq!(members.clone().into_iter().collect::<Vec<_>>(), all);
            for name in taken {
                let expected = map.shift_remove(&name.to_string()).map(|text| Node::String(text.into()));
                prop_assert_eq!(members.take(&name.to_string()), expected);
            }
        }
    }
}
