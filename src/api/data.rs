//! Connect's data model: values, and the schemas that describe them.
//!
//! Text and bytes are slices of shared buffers, so that the records of a batch can share one allocation.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use indexmap::IndexMap;
use num_bigint::BigInt;

/// A schema as it is passed around: shared, never changed.
pub type SchemaRef = Arc<Schema>;

/// The type of a value with what belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub enum SchemaKind {
    /// Signed, 8 bits.
    Int8,
    /// Signed, 16 bits.
    Int16,
    /// Signed, 32 bits.
    Int32,
    /// Signed, 64 bits.
    Int64,
    /// IEEE 754, 32 bits.
    Float32,
    /// IEEE 754, 64 bits.
    Float64,
    /// True or false.
    Boolean,
    /// UTF-8 text.
    String,
    /// Bytes.
    Bytes,
    /// A list; the schema of its elements, if they have one in common.
    Array(Option<SchemaRef>),
    /// A map; the schemas of its keys and values, if they have one in common.
    Map(Option<SchemaRef>, Option<SchemaRef>),
    /// Named fields in a fixed order.
    Struct(Fields),
}

impl SchemaKind {
    /// Connect's name of the type, as in messages: `INT32`, `STRUCT`, …
    pub fn name(&self) -> &'static str {
        match self {
            SchemaKind::Int8 => "INT8",
            SchemaKind::Int16 => "INT16",
            SchemaKind::Int32 => "INT32",
            SchemaKind::Int64 => "INT64",
            SchemaKind::Float32 => "FLOAT32",
            SchemaKind::Float64 => "FLOAT64",
            SchemaKind::Boolean => "BOOLEAN",
            SchemaKind::String => "STRING",
            SchemaKind::Bytes => "BYTES",
            SchemaKind::Array(_) => "ARRAY",
            SchemaKind::Map(..) => "MAP",
            SchemaKind::Struct(_) => "STRUCT",
        }
    }
}

/// The fields of a struct schema, in order and by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fields(IndexMap<Arc<str>, SchemaRef>);

impl Fields {
    /// Adds a field; `false` if there is one of that name, which then stays.
    pub fn add(&mut self, name: impl Into<Arc<str>>, schema: SchemaRef) -> bool {
        let name = name.into();
        if self.0.contains_key(&name) {
            return false;
        }
        self.0.insert(name, schema);
        true
    }

    /// Name and schema of each field, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &SchemaRef)> {
        self.0.iter()
    }

    /// The place and schema of a field.
    pub fn get(&self, name: &str) -> Option<(usize, &SchemaRef)> {
        self.0.get_full(name).map(|(index, _, schema)| (index, schema))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Describes values: their type, whether they may be absent, and the names that give them meaning.
///
/// Equality compares everything, default, doc and parameters included.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// The type.
    pub kind: SchemaKind,
    /// Whether null is a value.
    pub optional: bool,
    /// What null stands for, if anything.
    pub default: Option<Value>,
    /// The name: of a record type, or of a [`Logical`] type.
    pub name: Option<Arc<str>>,
    /// The version of the schema.
    pub version: Option<i32>,
    /// What it is for.
    pub doc: Option<Arc<str>>,
    /// Further facts by name; `None` differs from empty.
    pub parameters: Option<IndexMap<String, String>>,
}

impl Schema {
    /// A required, unnamed schema of a type.
    pub fn new(kind: SchemaKind) -> Self {
        Schema {
            kind,
            optional: false,
            default: None,
            name: None,
            version: None,
            doc: None,
            parameters: None,
        }
    }

    /// The same schema, allowing null.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The same schema under a name.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The same schema with a version.
    #[must_use]
    pub fn version(mut self, version: i32) -> Self {
        self.version = Some(version);
        self
    }

    /// The same schema with a parameter; one of the same name is replaced.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.get_or_insert_default().insert(name.into(), value.into());
        self
    }

    /// The logical type that the name stands for, if it is one of Connect's.
    pub fn logical(&self) -> Option<Logical> {
        self.name.as_deref().and_then(Logical::of)
    }

    /// The value, or the default where the value is null and there is a default: Connect's reading «with default».
    pub fn or_default<'a>(&'a self, value: &'a Value) -> &'a Value {
        match &self.default {
            Some(default) if value.is_null() => default,
            Some(_) | None => value,
        }
    }
}

/// Connect's logical types. They are known by the name of the schema alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logical {
    /// Bytes: an unscaled integer; parameter `scale`.
    Decimal,
    /// Int32: days since 1970-01-01.
    Date,
    /// Int32: milliseconds of the day.
    Time,
    /// Int64: milliseconds since 1970-01-01.
    Timestamp,
}

impl Logical {
    /// The schema name of the type.
    pub fn schema_name(self) -> &'static str {
        match self {
            Logical::Decimal => "org.apache.kafka.connect.data.Decimal",
            Logical::Date => "org.apache.kafka.connect.data.Date",
            Logical::Time => "org.apache.kafka.connect.data.Time",
            Logical::Timestamp => "org.apache.kafka.connect.data.Timestamp",
        }
    }

    /// The schema that Connect gives the type: required, version 1. That of a decimal lacks the scale, which
    /// [`Decimal::schema`] knows.
    pub fn schema(self) -> Schema {
        let kind = match self {
            Logical::Decimal => SchemaKind::Bytes,
            Logical::Date | Logical::Time => SchemaKind::Int32,
            Logical::Timestamp => SchemaKind::Int64,
        };
        Schema::new(kind).named(self.schema_name()).version(1)
    }

    /// The logical type of a schema name.
    pub fn of(name: &str) -> Option<Self> {
        [Logical::Decimal, Logical::Date, Logical::Time, Logical::Timestamp]
            .into_iter()
            .find(|logical| logical.schema_name() == name)
    }
}

/// A value of a record.
#[derive(Debug, Clone, Default)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// True or false.
    Boolean(bool),
    /// Signed, 8 bits.
    Int8(i8),
    /// Signed, 16 bits.
    Int16(i16),
    /// Signed, 32 bits.
    Int32(i32),
    /// Signed, 64 bits.
    Int64(i64),
    /// IEEE 754, 32 bits.
    Float32(f32),
    /// IEEE 754, 64 bits.
    Float64(f64),
    /// Text.
    String(ByteString),
    /// Bytes.
    Bytes(Bytes),
    /// A number of [`Logical::Decimal`].
    Decimal(Box<Decimal>),
    /// Milliseconds since 1970-01-01 UTC: a date, time of day or timestamp. Which of them, its schema tells.
    Instant(i64),
    /// A list.
    Array(Vec<Value>),
    /// A map, in the order of insertion.
    Map(Box<IndexMap<Value, Value>>),
    /// Named fields.
    Struct(Box<Struct>),
}

impl Value {
    /// Text of its own, not shared.
    pub fn string(text: impl Into<ByteString>) -> Self {
        Value::String(text.into())
    }

    /// Whether there is no value.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Boolean(a), Value::Boolean(b)) => a == b,
            (Value::Int8(a), Value::Int8(b)) => a == b,
            (Value::Int16(a), Value::Int16(b)) => a == b,
            (Value::Int32(a), Value::Int32(b)) => a == b,
            (Value::Int64(a), Value::Int64(b)) => a == b,
            // By bits, as Java's Float.equals does: NaN equals itself, so a value can be a key.
            (Value::Float32(a), Value::Float32(b)) => a.to_bits() == b.to_bits(),
            (Value::Float64(a), Value::Float64(b)) => a.to_bits() == b.to_bits(),
            (Value::String(a), Value::String(b)) => a == b,
            (Value::Bytes(a), Value::Bytes(b)) => a == b,
            (Value::Decimal(a), Value::Decimal(b)) => a == b,
            (Value::Instant(a), Value::Instant(b)) => a == b,
            (Value::Array(a), Value::Array(b)) => a == b,
            (Value::Map(a), Value::Map(b)) => a == b,
            (Value::Struct(a), Value::Struct(b)) => a == b,
            (_, _) => false,
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Value::Null => {}
            Value::Boolean(v) => v.hash(state),
            Value::Int8(v) => v.hash(state),
            Value::Int16(v) => v.hash(state),
            Value::Int32(v) => v.hash(state),
            Value::Int64(v) | Value::Instant(v) => v.hash(state),
            Value::Float32(v) => v.to_bits().hash(state),
            Value::Float64(v) => v.to_bits().hash(state),
            Value::String(v) => v.hash(state),
            Value::Bytes(v) => v.hash(state),
            Value::Decimal(v) => v.hash(state),
            Value::Array(v) => v.hash(state),
            // Equal maps may differ in order, so only what order cannot change goes in.
            Value::Map(v) => v.len().hash(state),
            Value::Struct(v) => v.values.hash(state),
        }
    }
}

/// A decimal number: `unscaled` × 10^−`scale`. Equal only with equal scales, as Java's BigDecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// All digits.
    pub unscaled: BigInt,
    /// How many of them stand behind the point; may be negative.
    pub scale: i32,
}

impl Decimal {
    /// The schema of decimals with a scale: required, version 1.
    pub fn schema(scale: i32) -> Schema {
        Logical::Decimal.schema().parameter("scale", scale.to_string())
    }
}

/// A value with named fields: one value for each field of its schema, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Struct {
    schema: SchemaRef,
    values: Vec<Value>,
}

impl Struct {
    /// All fields null. `None` if the schema is not that of a struct.
    pub fn new(schema: SchemaRef) -> Option<Self> {
        let SchemaKind::Struct(fields) = &schema.kind else { return None };
        let values = vec![Value::Null; fields.len()];
        Some(Struct { schema, values })
    }

    /// One value for each field, in order. `None` if the schema is not that of a struct, or has another number of
    /// fields. Whether the values fit is for [`super::validation`] to say.
    pub fn from_values(schema: SchemaRef, values: Vec<Value>) -> Option<Self> {
        let SchemaKind::Struct(fields) = &schema.kind else { return None };
        (fields.len() == values.len()).then_some(())?;
        Some(Struct { schema, values })
    }

    /// Its schema.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// One value for each field, in order, as they are stored.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The values, to be changed in place.
    pub fn values_mut(&mut self) -> &mut [Value] {
        &mut self.values
    }

    /// The values alone: what a struct of another schema is built from without copies.
    pub fn into_values(self) -> Vec<Value> {
        self.values
    }

    /// The fields of its schema.
    pub fn fields(&self) -> &Fields {
        match &self.schema.kind {
            SchemaKind::Struct(fields) => fields,
            SchemaKind::Int8
            | SchemaKind::Int16
            | SchemaKind::Int32
            | SchemaKind::Int64
            | SchemaKind::Float32
            | SchemaKind::Float64
            | SchemaKind::Boolean
            | SchemaKind::String
            | SchemaKind::Bytes
            | SchemaKind::Array(_)
            | SchemaKind::Map(..) => unreachable!("`new` takes only the schema of a struct"),
        }
    }

    /// The value of a field as it is stored: a default does not replace null.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.fields().get(field).and_then(|(index, _)| self.values.get(index))
    }

    /// Sets a field; `false` if the schema has none of that name.
    pub fn set(&mut self, field: &str, value: Value) -> bool {
        let Some((index, _)) = self.fields().get(field) else { return false };
        match self.values.get_mut(index) {
            Some(slot) => *slot = value,
            None => unreachable!("there is a value for each field"),
        }
        true
    }

    /// Name, schema and value of each field, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &SchemaRef, &Value)> {
        self.fields().iter().zip(&self.values).map(|((name, schema), value)| (name, schema, value))
    }
}

/// A value with the schema that describes it; no schema for schemaless data.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SchemaAndValue {
    /// The schema, if there is one.
    pub schema: Option<SchemaRef>,
    /// The value.
    pub value: Value,
}

impl SchemaAndValue {
    /// Neither schema nor value: a tombstone on the wire.
    pub fn null() -> Self {
        SchemaAndValue::default()
    }

    /// A value without a schema.
    pub fn schemaless(value: Value) -> Self {
        SchemaAndValue { schema: None, value }
    }

    /// A value with its schema.
    pub fn with_schema(schema: SchemaRef, value: Value) -> Self {
        SchemaAndValue { schema: Some(schema), value }
    }
}
