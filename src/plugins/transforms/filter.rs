//! `Filter`: drops records; a predicate says which.

use super::class::TransformClass;
use crate::api::config_def::ConfigDef;
use crate::api::connect_record::ConnectRecord;
use crate::api::error::Result;
use crate::api::transform::{Fate, Transform};

pub(super) const CLASS: TransformClass = TransformClass {
    name: "org.apache.kafka.connect.transforms.Filter",
    settings: ConfigDef::new,
    create: |_| Ok(Box::new(Filter)),
};

struct Filter;

impl Transform for Filter {
    fn apply(&mut self, _record: &mut ConnectRecord<'_>) -> Result<Fate> {
        Ok(Fate::Dropped)
    }
}
