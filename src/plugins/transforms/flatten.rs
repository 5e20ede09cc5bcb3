//! `Flatten`: the fields of nested structs and maps as fields of the outermost one.

use std::sync::Arc;

use indexmap::IndexMap;

use super::class::{PartTransform, TransformClass, for_both_parts};
use super::plans::Plans;
use super::shape;
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance};
use crate::api::connect_record::{ConnectRecord, RecordPart};
use crate::api::data::{Fields, Schema, SchemaKind, SchemaRef, Struct, Value};
use crate::api::error::{ConnectError, Result};
use crate::api::text::java_class;

pub(super) const CLASSES: [TransformClass; 2] = for_both_parts::<Flatten>(
    ["org.apache.kafka.connect.transforms.Flatten$Key", "org.apache.kafka.connect.transforms.Flatten$Value"],
    settings,
);

const PURPOSE: &str = "flattening";
const DELIMITER: &str = "delimiter";

fn settings() -> ConfigDef {
    let doc = "What stands between the names of the outer and the inner field.";
    let key = ConfigKey::new(DELIMITER, ConfigType::String, Importance::Medium, doc);
    ConfigDef::new().define(key.default("."))
}

struct Flatten {
    delimiter: String,
    plans: Plans<Plan>,
}

struct Plan {
    target: SchemaRef,
    nodes: Vec<Node>,
}

/// What becomes of a field.
enum Node {
    /// It stays.
    Leaf,
    /// A struct: its fields, and how many leaves they have in all.
    Inner(Vec<Node>, usize),
}

impl PartTransform for Flatten {
    fn new(config: &Settings) -> Result<Self> {
        Ok(Flatten { delimiter: settings().parse(config)?.get(DELIMITER)?, plans: Plans::new() })
    }

    fn apply(&mut self, record: &mut ConnectRecord<'_>, part: RecordPart) -> Result<()> {
        let data = record.part_mut(part);
        if data.value.is_null() {
            return Ok(());
        }
        let Flatten { delimiter, plans } = self;
        if data.schema.is_none() {
            let map = std::mem::take(shape::map_mut(&mut data.value, PURPOSE)?);
            let mut flat = IndexMap::with_capacity(map.len());
            flatten_map(map, "", delimiter, &mut flat)?;
            data.value = Value::Map(Box::new(flat));
            return Ok(());
        }
        let schema = shape::fields(&data.value, PURPOSE)?.schema();
        let plan = plans.of(schema, |schema| Plan::new(schema, delimiter))?;
        let mut values = Vec::with_capacity(shape::fields_of(&plan.target)?.len());
        if let Value::Struct(fields) = std::mem::take(&mut data.value) {
            flatten_struct(*fields, &plan.nodes, &mut values);
        }
        shape::put_struct(data, Arc::clone(&plan.target), values)
    }
}

/// Moves the leaves of a struct to the end of `flat`.
fn flatten_struct(fields: Struct, nodes: &[Node], flat: &mut Vec<Value>) {
    // Whole fields are read with their defaults; a struct is taken as it is.
    let schema = Arc::clone(fields.schema());
    let schemas = shape::fields_of(&schema).into_iter().flat_map(Fields::iter);
    for ((value, (_, schema)), node) in fields.into_values().into_iter().zip(schemas).zip(nodes) {
        match (node, value) {
            (Node::Leaf, Value::Null) => flat.push(schema.default.clone().unwrap_or_default()),
            (Node::Leaf, value) => flat.push(value),
            (Node::Inner(nodes, _), Value::Struct(inner)) => flatten_struct(*inner, nodes, flat),
            (Node::Inner(_, leaves), _) => flat.resize(flat.len() + leaves, Value::Null),
        }
    }
}

fn flatten_map(
    map: IndexMap<Value, Value>,
    prefix: &str,
    delimiter: &str,
    flat: &mut IndexMap<Value, Value>,
) -> Result<()> {
    for (key, value) in map {
        let Value::String(name) = &key else { return Err(shape::no_field_name(&key, PURPOSE)) };
        let is_nested = !prefix.is_empty();
        match value {
            Value::Map(inner) if is_nested => {
                flatten_map(*inner, &joined(prefix, delimiter, name), delimiter, flat)?;
            }
            Value::Map(inner) => flatten_map(*inner, name, delimiter, flat)?,
            Value::Decimal(_) | Value::Instant(_) => {
                return Err(ConnectError::data(format!(
                    "Flatten transformation was passed a value of type {} which is not supported by Connect's data API",
                    java_class(&value)
                )));
            }
            Value::Struct(_) => {
                return Err(ConnectError::data(format!(
                    "Flatten transformation does not support {} for record without schemas (for field {}).",
                    java_class(&value),
                    if is_nested { joined(prefix, delimiter, name) } else { name.to_string() }
                )));
            }
            Value::Null
            | Value::Boolean(_)
            | Value::Int8(_)
            | Value::Int16(_)
            | Value::Int32(_)
            | Value::Int64(_)
            | Value::Float32(_)
            | Value::Float64(_)
            | Value::String(_)
            | Value::Bytes(_)
            | Value::Array(_) => {
                let key = if is_nested { Value::string(joined(prefix, delimiter, name)) } else { key };
                flat.insert(key, value);
            }
        }
    }
    Ok(())
}

/// The name of a field within another; that of an outermost field is its own.
fn joined(prefix: &str, delimiter: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}{delimiter}{name}") }
}

impl Plan {
    fn new(schema: &SchemaRef, delimiter: &str) -> Result<Self> {
        let mut flat = Fields::default();
        let outer = Outer { prefix: "", optional: schema.optional, default: None };
        let nodes = nodes(shape::fields_of(schema)?, &outer, delimiter, &mut flat)?;
        Ok(Plan { target: Arc::new(shape::rebuilt(schema, flat)), nodes })
    }
}

/// What fields take over from the struct around them.
struct Outer<'a> {
    prefix: &'a str,
    optional: bool,
    default: Option<&'a Struct>,
}

/// Adds the leaves of some fields to `flat`, and tells where they come from.
fn nodes(fields: &Fields, outer: &Outer<'_>, delimiter: &str, flat: &mut Fields) -> Result<Vec<Node>> {
    let mut nodes = Vec::with_capacity(fields.len());
    for (own_name, schema) in fields.iter() {
        let name = joined(outer.prefix, delimiter, own_name);
        let optional = outer.optional || schema.optional;
        let of_outer =
            || outer.default.and_then(|fields| fields.get(own_name)).filter(|value| !value.is_null());
        let default = schema.default.as_ref().or_else(of_outer);
        match &schema.kind {
            SchemaKind::Struct(inner) => {
                let default = match default {
                    Some(Value::Struct(fields)) => Some(&**fields),
                    _ => None,
                };
                let before = flat.len();
                let inner_nodes =
                    self::nodes(inner, &Outer { prefix: &name, optional, default }, delimiter, flat)?;
                nodes.push(Node::Inner(inner_nodes, flat.len() - before));
            }
            SchemaKind::Map(..) => {
                return Err(ConnectError::data(format!(
                    "Flatten transformation does not support MAP for record with schemas (for field {name})."
                )));
            }
            SchemaKind::Int8
            | SchemaKind::Int16
            | SchemaKind::Int32
            | SchemaKind::Int64
            | SchemaKind::Float32
            | SchemaKind::Float64
            | SchemaKind::Boolean
            | SchemaKind::String
            | SchemaKind::Bytes
            | SchemaKind::Array(_) => {
                let leaf = Schema { optional, default: default.cloned(), ..(**schema).clone() };
                shape::add_field(flat, name, Arc::new(leaf))?;
                nodes.push(Node::Leaf);
            }
        }
    }
    Ok(nodes)
}
