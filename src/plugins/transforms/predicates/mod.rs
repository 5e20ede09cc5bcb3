//! Predicates under Apache's class names.

mod has_header_key;
mod record_is_tombstone;
mod topic_name_matches;

use crate::api::registry::Registry;

pub(super) fn register(registry: &mut Registry) {
    registry.add_predicate(has_header_key::HasHeaderKey);
    registry.add_predicate(record_is_tombstone::RecordIsTombstone);
    registry.add_predicate(topic_name_matches::TopicNameMatches);
}
