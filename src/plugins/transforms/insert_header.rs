//! `InsertHeader`: one more header, the same for all records.

use std::sync::Arc;

use bytestring::ByteString;

use super::super::literal;
use super::class::TransformClass;
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance};
use crate::api::connect_record::ConnectRecord;
use crate::api::error::Result;
use crate::api::record::Header;
use crate::api::transform::{Fate, Transform};

pub(super) const CLASS: TransformClass = TransformClass {
    name: "org.apache.kafka.connect.transforms.InsertHeader",
    settings,
    create: |settings| Ok(Box::new(InsertHeader::new(settings)?)),
};

const HEADER: &str = "header";
const LITERAL: &str = "value.literal";

fn settings() -> ConfigDef {
    let key = |name, doc| ConfigKey::required(name, ConfigType::String, Importance::High, doc);
    ConfigDef::new().define(key(HEADER, "The name of the header.")).define(key(
        LITERAL,
        "Its value: a number takes the smallest type that holds it, true, false, null, dates, [lists] and {maps} are \
         what they look like, all else is text.",
    ))
}

struct InsertHeader {
    header: Header,
}

impl InsertHeader {
    fn new(config: &Settings) -> Result<Self> {
        let parsed = settings().parse(config)?;
        let key: Arc<str> = parsed.get::<String>(HEADER)?.into();
        let value = literal::parse(&ByteString::from(parsed.get::<String>(LITERAL)?));
        Ok(InsertHeader { header: Header { key, value } })
    }
}

impl Transform for InsertHeader {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Fate> {
        record.headers_mut().push(self.header.clone());
        Ok(Fate::Kept)
    }
}
