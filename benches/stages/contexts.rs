//! What tasks are given that have no worker: no offsets, and nobody to ask.

use std::time::Duration;

use herdsman::api::error::Result;
use herdsman::api::ids::TopicPartition;
use herdsman::api::offset::OffsetMap;
use herdsman::api::sink::{SinkOffsets, SinkTaskContext};
use herdsman::api::source::SourceTaskContext;

pub(crate) struct NoContext;

impl SourceTaskContext for NoContext {
    fn offset(&self, _: &OffsetMap) -> Result<Option<OffsetMap>> {
        Ok(None)
    }
}

impl SinkTaskContext for NoContext {
    fn seek(&self, _: SinkOffsets) {}

    fn timeout(&self, _: Duration) {}

    fn assignment(&self) -> Vec<TopicPartition> {
        Vec::new()
    }

    fn pause(&self, _: &[TopicPartition]) {}

    fn resume(&self, _: &[TopicPartition]) {}

    fn request_commit(&self) {}
}
