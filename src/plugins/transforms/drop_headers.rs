//! `DropHeaders`: leaves out all headers of given names.

use super::class::TransformClass;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance, Validator};
use crate::api::connect_record::ConnectRecord;
use crate::api::error::Result;
use crate::api::transform::{Fate, Transform};

pub(super) const CLASS: TransformClass = TransformClass {
    name: "org.apache.kafka.connect.transforms.DropHeaders",
    settings,
    create: |config| Ok(Box::new(DropHeaders { names: settings().parse(config)?.get(HEADERS)? })),
};

const HEADERS: &str = "headers";

fn settings() -> ConfigDef {
    let doc = "The names of the headers to leave out; case matters.";
    let headers = ConfigKey::required(HEADERS, ConfigType::List, Importance::High, doc);
    ConfigDef::new().define(headers.validator(Validator::Elements { may_be_none: false }))
}

struct DropHeaders {
    names: Vec<String>,
}

impl Transform for DropHeaders {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Fate> {
        record.headers_mut().retain(|header| !self.names.iter().any(|name| **name == *header.key));
        Ok(Fate::Kept)
    }
}
