//! What holds for all values, and what settings are refused. Single values are compared with Apache's in
//! `tests/vectors`.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use proptest::prelude::*;

use super::*;
use crate::api::Settings;
use crate::api::connect_record::ConnectRecord;
use crate::api::data::{Fields, Logical, Schema, SchemaAndValue, SchemaKind, Struct, Value};
use crate::api::error::Result;
use crate::api::record::SinkRecord;
use crate::api::transform::{Fate, Transform};

/// Settings as a test gives them.
type Given<'a> = &'a [(&'a str, &'a str)];

fn made(class: &str, settings: Given) -> Result<Box<dyn Transform>> {
    let mut registry = Registry::new();
    register(&mut registry);
    let settings: Settings =
        settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let class = format!("org.apache.kafka.connect.transforms.{class}");
    registry.transform(&class).unwrap().transform(&settings)
}

/// The value of a record after a transform of values.
fn transformed(class: &str, settings: Given, value: SchemaAndValue) -> SchemaAndValue {
    let mut record = SinkRecord {
        topic: "t".into(),
        partition: 0,
        offset: 0,
        key: SchemaAndValue::null(),
        value,
        timestamp: None,
        headers: Vec::new(),
        original_topic: "t".into(),
        raw: None,
    };
    let mut transform = made(&format!("{class}$Value"), settings).unwrap();
    let fate = transform.apply(&mut ConnectRecord::Sink(&mut record)).unwrap();
    assert_eq!(fate, Fate::Kept);
    record.value
}

/// Nested fields.
#[derive(Debug, Clone)]
enum Tree {
    Leaf(i32),
    Inner(BTreeMap<String, Tree>),
}

fn trees() -> impl Strategy<Value = BTreeMap<String, Tree>> {
    let leaf = any::<i32>().prop_map(Tree::Leaf);
    let tree = leaf.prop_recursive(3, 20, 4, |inner| {
        prop::collection::btree_map("[a-c]{1,2}", inner, 1..4).prop_map(Tree::Inner)
    });
    prop::collection::btree_map("[a-c]{1,2}", tree, 1..4)
}

impl Tree {
    fn with_schema(&self) -> (Schema, Value) {
        match self {
            Tree::Leaf(number) => (Schema::new(SchemaKind::Int32), Value::Int32(*number)),
            Tree::Inner(children) => {
                let (mut fields, mut values) = (Fields::default(), Vec::new());
                for (name, child) in children {
                    let (schema, value) = child.with_schema();
                    fields.add(name.as_str(), Arc::new(schema));
                    values.push(value);
                }
                let schema = Schema::new(SchemaKind::Struct(fields));
                let fields = Struct::from_values(Arc::new(schema.clone()), values).unwrap();
                (schema, Value::Struct(Box::new(fields)))
            }
        }
    }

    fn without_schema(&self) -> Value {
        match self {
            Tree::Leaf(number) => Value::Int32(*number),
            Tree::Inner(children) => {
                let entry =
                    |(name, child): (&String, &Tree)| (Value::string(name.as_str()), child.without_schema());
                Value::Map(Box::new(children.iter().map(entry).collect()))
            }
        }
    }

    /// The paths to all leaves, with dots.
    fn paths(&self, prefix: &str, paths: &mut Vec<String>) {
        match self {
            Tree::Leaf(_) => paths.push(prefix.to_owned()),
            Tree::Inner(children) => {
                for (name, child) in children {
                    let dot = if prefix.is_empty() { "" } else { "." };
                    child.paths(&format!("{prefix}{dot}{name}"), paths);
                }
            }
        }
    }
}

fn with_schema(tree: &Tree) -> SchemaAndValue {
    let (schema, value) = tree.with_schema();
    SchemaAndValue { schema: Some(Arc::new(schema)), value }
}

proptest! {
    #[test]
    fn a_flat_field_is_what_its_path_leads_to(children in trees()) {
        let tree = Tree::Inner(children);
        let mut paths = Vec::new();
        tree.paths("", &mut paths);
        for data in [with_schema(&tree), SchemaAndValue { schema: None, value: tree.without_schema() }] {
            let flat = transformed("Flatten", &[], data.clone());
            for path in &paths {
                let nested = [("field", path.as_str()), ("field.syntax.version", "V2")];
                let expected = transformed("ExtractField", &nested, data.clone());
                let found = transformed("ExtractField", &[("field", path.as_str())], flat.clone());
                prop_assert_eq!(&found.value, &expected.value, "{}", path);
                prop_assert_eq!(found.schema, expected.schema, "{}", path);
            }
        }
    }

    #[test]
    fn what_is_hoisted_can_be_extracted(children in trees()) {
        let tree = Tree::Inner(children);
        for data in [with_schema(&tree), SchemaAndValue { schema: None, value: tree.without_schema() }] {
            let hoisted = transformed("HoistField", &[("field", "f")], data.clone());
            prop_assert_eq!(transformed("ExtractField", &[("field", "f")], hoisted), data);
        }
    }

    #[test]
    fn names_that_are_given_back_leave_nothing_changed(children in trees()) {
        let tree = Tree::Inner(children);
        for data in [with_schema(&tree), SchemaAndValue { schema: None, value: tree.without_schema() }] {
            let there = transformed("ReplaceField", &[("renames", "a:x,b:y,cc:z")], data.clone());
            prop_assert_eq!(transformed("ReplaceField", &[("renames", "x:a,y:b,z:cc")], there), data);
        }
    }

    #[test]
    fn numbers_survive_as_texts(number: i64, fraction: f64) {
        let fields = IndexMap::from([
            (Value::string("n"), Value::Int64(number)),
            (Value::string("f"), Value::Float64(fraction)),
        ]);
        let data = SchemaAndValue { schema: None, value: Value::Map(Box::new(fields)) };
        let texts = transformed("Cast", &[("spec", "n:string,f:string")], data.clone());
        let back = transformed("Cast", &[("spec", "n:int64,f:float64")], texts);
        prop_assert!(back == data || fraction.is_nan());
    }

    #[test]
    fn moments_survive_as_texts(millis in -60_000_000_000_000_i64..250_000_000_000_000) {
        let schema = Some(Arc::new(Logical::Timestamp.schema()));
        let data = SchemaAndValue { schema, value: Value::Instant(millis) };
        let settings = |target| [("target.type", target), ("format", "yyyy-MM-dd HH:mm:ss.SSS Z")];
        let text = transformed("TimestampConverter", &settings("string"), data.clone());
        prop_assert_eq!(transformed("TimestampConverter", &settings("Timestamp"), text), data);
    }
}

#[test]
fn settings_that_cannot_be_kept() {
    let table: [(&str, Given, &str); 9] = [
        (
            "RegexRouter",
            &[("regex", "(a)"), ("replacement", "$2")],
            "Invalid value $2 for configuration replacement: No group 2",
        ),
        (
            "RegexRouter",
            &[("regex", "a"), ("replacement", "${n}")],
            "Invalid value ${n} for configuration replacement: No group with name {n}",
        ),
        (
            "RegexRouter",
            &[("regex", "(?x)a"), ("replacement", "b")],
            "Invalid value (?x)a for configuration regex: Invalid regex: The flag x is not supported near index \
             2\n(?x)a",
        ),
        (
            "TimestampRouter",
            &[("timestamp.format", "b")],
            "Invalid value b for configuration timestamp.format: Illegal pattern character 'b'",
        ),
        (
            "InsertField$Value",
            &[("static.field", "f!")],
            "Invalid value null for configuration static.value: No value specified for static field: f",
        ),
        (
            "Cast$Value",
            &[("spec", "a:int8:int16")],
            "Invalid value [a:int8:int16] for configuration spec: Invalid mapping: a:int8:int16",
        ),
        (
            "Cast$Value",
            &[],
            "Missing required configuration \"spec\" which has no default value.\nMust specify at \
                             least one field to cast.",
        ),
        (
            "ValueToKey",
            &[],
            "Missing required configuration \"fields\" which has no default value.\nConfiguration 'fields' values must \
             not be null.",
        ),
        (
            "TimestampConverter$Key",
            &[("target.type", "unix"), ("format", "yyyy'")],
            "Invalid value java.lang.IllegalArgumentException: Unterminated quote for configuration \
             TimestampConverter requires a SimpleDateFormat-compatible pattern for string timestamps: yyyy'",
        ),
    ];
    for (class, settings, message) in table {
        let Err(error) = made(class, settings) else { panic!("{class} {settings:?}") };
        assert_eq!(error.message(), message, "{class} {settings:?}");
    }
}
