//! From JSON to Connect's values. Where JSON and schema disagree Connect is lenient: what is no number is 0, what is no
//! text is null; only logical types, maps and structs insist on their form.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytestring::ByteString;
use indexmap::IndexMap;
use num_bigint::BigInt;

use super::base64;
use super::decimal_scale;
use super::members::Members;
use super::reader::Node;
use crate::api::data::{Decimal, Fields, Logical, Schema, SchemaKind, SchemaRef, Struct, Value};
use crate::api::error::{ConnectError, ErrorKind, Result};
use crate::api::validation;
use crate::plugins::decimal::Notation;
use crate::stdx::java_calendar::MILLIS_PER_DAY;

/// Reads the values and schemas of one message.
pub(super) struct ToConnect<'a> {
    /// The message: texts become slices of it.
    pub(super) message: &'a ByteString,
    pub(super) replace_null_with_default: bool,
}

impl ToConnect<'_> {
    /// The value of a node. Calls itself for what is nested, so scalars are read elsewhere: the stack stays small.
    pub(super) fn value(&self, schema: Option<&SchemaRef>, node: Node<'_>) -> Result<Value> {
        let Some(schema) = schema else { return Ok(self.without_schema(node)) };
        match self.scalar(schema, node)? {
            ControlFlow::Break(value) => Ok(value),
            ControlFlow::Continue((Container::Array(element), node)) => self.array(element, node),
            ControlFlow::Continue((Container::Map(keys, values), node)) => self.map(keys, values, node),
            ControlFlow::Continue((Container::Struct(fields), node)) => self.structure(schema, fields, node),
        }
    }

    /// The value of a node whose schema is none of an array, map or struct; else what it is, and the node.
    fn scalar<'s, 'n>(
        &self,
        schema: &'s SchemaRef,
        node: Node<'n>,
    ) -> Result<ControlFlow<Value, (Container<'s>, Node<'n>)>> {
        if node == Node::Null {
            return self.null(schema).map(ControlFlow::Break);
        }
        if let Some(logical) = schema.logical() {
            return logical_value(logical, schema, &node).map(ControlFlow::Break);
        }
        Ok(ControlFlow::Break(match &schema.kind {
            #[expect(clippy::cast_possible_truncation, reason = "Connect keeps the low bits")]
            SchemaKind::Int8 => Value::Int8(integer(&node) as i8),
            #[expect(clippy::cast_possible_truncation, reason = "Connect keeps the low bits")]
            SchemaKind::Int16 => Value::Int16(integer(&node) as i16),
            #[expect(clippy::cast_possible_truncation, reason = "Connect keeps the low bits")]
            SchemaKind::Int32 => Value::Int32(integer(&node) as i32),
            SchemaKind::Int64 => Value::Int64(integer(&node)),
            SchemaKind::Float32 => Value::Float32(number_text(&node).parse().unwrap_or(0.0)),
            SchemaKind::Float64 => Value::Float64(number_text(&node).parse().unwrap_or(0.0)),
            SchemaKind::Boolean => Value::Boolean(node == Node::Boolean(true)),
            SchemaKind::String => node.into_text().map_or(Value::Null, |text| Value::String(self.text(text))),
            SchemaKind::Bytes => match node.into_text().map(|text| base64::decode(&text)) {
                Some(Ok(bytes)) => Value::Bytes(bytes.into()),
                Some(Err(error)) => return Err(ConnectError::data("Invalid bytes field").caused_by(error)),
                None => Value::Null,
            },
            SchemaKind::Array(element) => {
                return Ok(ControlFlow::Continue((Container::Array(element.as_ref()), node)));
            }
            SchemaKind::Map(keys, values) => {
                return Ok(ControlFlow::Continue((Container::Map(keys.as_ref(), values.as_ref()), node)));
            }
            SchemaKind::Struct(fields) => {
                return Ok(ControlFlow::Continue((Container::Struct(fields), node)));
            }
        }))
    }

    /// What stands for null.
    fn null(&self, schema: &Schema) -> Result<Value> {
        match &schema.default {
            Some(default) if self.replace_null_with_default => Ok(default.clone()),
            Some(_) | None if schema.optional => Ok(Value::Null),
            Some(_) | None => {
                let kind = schema.kind.name();
                Err(ConnectError::data(format!("Invalid null value for required {kind} field")))
            }
        }
    }

    /// The value of a node whose schema is unknown.
    fn without_schema(&self, node: Node<'_>) -> Value {
        match node {
            Node::Array(nodes) => {
                let mut values = Vec::with_capacity(nodes.len());
                for node in nodes {
                    values.push(self.without_schema(node));
                }
                Value::Array(values)
            }
            Node::Object(members) => {
                let mut map = IndexMap::with_capacity(members.len());
                for (name, node) in *members {
                    map.insert(Value::String(self.text(name)), self.without_schema(node));
                }
                Value::Map(Box::new(map))
            }
            Node::Missing
            | Node::Null
            | Node::Boolean(_)
            | Node::Integer(_)
            | Node::Fraction(_)
            | Node::String(_) => self.scalar_without_schema(node),
        }
    }

    fn scalar_without_schema(&self, node: Node<'_>) -> Value {
        match node {
            Node::Boolean(value) => Value::Boolean(value),
            Node::Integer(_) => Value::Int64(integer(&node)),
            Node::Fraction(_) => Value::Float64(number_text(&node).parse().unwrap_or(0.0)),
            Node::String(text) => Value::String(self.text(text)),
            Node::Missing | Node::Null | Node::Array(_) | Node::Object(_) => Value::Null,
        }
    }

    fn text(&self, text: Cow<'_, str>) -> ByteString {
        match text {
            Cow::Borrowed(part) => self.message.slice_ref(part),
            Cow::Owned(text) => text.into(),
        }
    }

    /// Connect goes over whatever has children: the values of an object become elements, a scalar has none.
    fn array(&self, element: Option<&SchemaRef>, node: Node<'_>) -> Result<Value> {
        let nodes = match node {
            Node::Array(nodes) => nodes,
            Node::Object(members) => members.into_iter().map(|(_, node)| node).collect(),
            Node::Missing
            | Node::Null
            | Node::Boolean(_)
            | Node::Integer(_)
            | Node::Fraction(_)
            | Node::String(_) => Vec::new(),
        };
        let mut values = Vec::with_capacity(nodes.len());
        for node in nodes {
            values.push(self.value(element, node)?);
        }
        Ok(Value::Array(values))
    }

    fn map(&self, keys: Option<&SchemaRef>, values: Option<&SchemaRef>, node: Node<'_>) -> Result<Value> {
        let mut map = IndexMap::new();
        if keys.is_some_and(|keys| keys.kind == SchemaKind::String) {
            let found = node.type_name();
            let members = node.into_members().ok_or_else(|| {
                ConnectError::data(format!(
                    "Maps with string fields should be encoded as JSON objects, but found {found}"
                ))
            })?;
            for (name, node) in members {
                map.insert(Value::String(self.text(name)), self.value(values, node)?);
            }
        } else {
            for pair in pairs(node)? {
                let (key, value) = pair?;
                map.insert(self.value(keys, key)?, self.value(values, value)?);
            }
        }
        Ok(Value::Map(Box::new(map)))
    }

    fn structure(&self, schema: &SchemaRef, fields: &Fields, node: Node<'_>) -> Result<Value> {
        let found = node.type_name();
        let mut members = node.into_members().ok_or_else(|| {
            ConnectError::data(format!("Structs should be encoded as JSON objects, but found {found}"))
        })?;
        let mut values = Vec::with_capacity(fields.len());
        for (name, field) in fields.iter() {
            // What JSON lacks counts as null.
            let node = members.take(name).unwrap_or(Node::Null);
            let value = self.value(Some(field), node)?;
            validation::validate_field(name, field, &value)?;
            values.push(value);
        }
        match Struct::from_values(schema.clone(), values) {
            Some(value) => Ok(Value::Struct(Box::new(value))),
            None => unreachable!("there is one value for each field"),
        }
    }

    /// The schema that a node describes.
    pub(super) fn schema(&self, node: Node<'_>) -> Result<SchemaRef> {
        let mut members = node.into_members().unwrap_or_default();
        let kind = self.kind(&mut members)?;
        self.with_attributes(kind, members)
    }

    fn kind(&self, members: &mut Members<'_>) -> Result<SchemaKind> {
        let name = members.take("type").and_then(Node::into_text);
        let name = name.ok_or_else(|| ConnectError::data("Schema must contain 'type' field"))?;
        match &*name {
            "array" => self.array_kind(members),
            "map" => self.map_kind(members),
            "struct" => self.fields(members.take("fields")).map(SchemaKind::Struct),
            other => scalar_kind(other),
        }
    }

    fn array_kind(&self, members: &mut Members<'_>) -> Result<SchemaKind> {
        let element = self.part(members, "items", "Array schema did not specify the element type")?;
        Ok(SchemaKind::Array(Some(element)))
    }

    fn map_kind(&self, members: &mut Members<'_>) -> Result<SchemaKind> {
        let keys = self.part(members, "keys", "Map schema did not specify the key type")?;
        let values = self.part(members, "values", "Map schema did not specify the value type")?;
        Ok(SchemaKind::Map(Some(keys), Some(values)))
    }

    /// The schema that a member of another describes.
    fn part(&self, members: &mut Members<'_>, name: &str, missing: &str) -> Result<SchemaRef> {
        match members.take(name) {
            None | Some(Node::Null) => Err(ConnectError::data(missing)),
            Some(node) => self.schema(node),
        }
    }

    /// The schema with all that belongs to it besides its type. What has the wrong form is ignored, but for parameters.
    fn with_attributes(&self, kind: SchemaKind, mut members: Members<'_>) -> Result<SchemaRef> {
        let mut schema = Schema::new(kind);
        let mut take = |name: &str| members.take(name);
        schema.optional = take("optional") == Some(Node::Boolean(true));
        schema.name = take("name").and_then(Node::into_text).map(Arc::from);
        #[expect(clippy::cast_possible_truncation, reason = "Connect keeps the low bits")]
        if let Some(version @ Node::Integer(_)) = take("version") {
            schema.version = Some(integer(&version) as i32);
        }
        schema.doc = take("doc").and_then(Node::into_text).map(Arc::from);
        for (name, value) in take("parameters").and_then(Node::into_members).unwrap_or_default() {
            let value = value.into_text();
            let value =
                value.ok_or_else(|| ConnectError::data("Schema parameters must have string values."))?;
            schema = schema.parameter(name, value);
        }
        match take("default") {
            Some(default) => self.with_default(schema, default),
            None => Ok(Arc::new(schema)),
        }
    }

    fn fields(&self, node: Option<Node<'_>>) -> Result<Fields> {
        let Some(Node::Array(nodes)) = node else {
            return Err(ConnectError::data("Struct schema's \"fields\" argument is not an array."));
        };
        let mut fields = Fields::default();
        for node in nodes {
            let mut members = node.into_members().unwrap_or_default();
            let name = members.take("field").and_then(Node::into_text);
            let name =
                name.ok_or_else(|| ConnectError::data("Struct schema's field name not specified properly"))?;
            let schema = self.schema(Node::Object(Box::new(members)))?;
            add_field(&mut fields, &name, schema)?;
        }
        Ok(fields)
    }

    fn with_default(&self, schema: Schema, node: Node<'_>) -> Result<SchemaRef> {
        let schema = Arc::new(schema);
        let value = self.value(Some(&schema), node)?;
        let invalid =
            |cause| ConnectError::new(ErrorKind::SchemaBuilder, "Invalid default value").caused_by(cause);
        if let Value::Struct(_) = value {
            // Apache compares the struct's schema with one that is still being built: it refuses all such defaults.
            return Err(invalid(ConnectError::data("Struct schemas do not match.")));
        }
        validation::validate(&schema, &value).map_err(invalid)?;
        let mut schema = Arc::unwrap_or_clone(schema);
        schema.default = Some(value).filter(|value| !value.is_null());
        Ok(Arc::new(schema))
    }
}

/// What has values inside.
enum Container<'s> {
    Array(Option<&'s SchemaRef>),
    Map(Option<&'s SchemaRef>, Option<&'s SchemaRef>),
    Struct(&'s Fields),
}

/// The entries of a map whose keys are not all texts.
fn pairs<'n>(node: Node<'n>) -> Result<impl Iterator<Item = Result<(Node<'n>, Node<'n>)>>> {
    let found = node.type_name();
    let Node::Array(entries) = node else {
        return Err(ConnectError::data(format!(
            "Maps with non-string fields should be encoded as JSON array of tuples, but found {found}"
        )));
    };
    Ok(entries.into_iter().map(|entry| {
        let found = entry.type_name();
        let Node::Array(tuple) = entry else {
            return Err(ConnectError::data(format!(
                "Found invalid map entry instead of array tuple: {found}"
            )));
        };
        let [key, value] = <[Node<'_>; 2]>::try_from(tuple).map_err(|tuple| {
            let length = tuple.len();
            ConnectError::data(format!("Found invalid map entry, expected length 2 but found :{length}"))
        })?;
        Ok((key, value))
    }))
}

fn scalar_kind(name: &str) -> Result<SchemaKind> {
    Ok(match name {
        "int8" => SchemaKind::Int8,
        "int16" => SchemaKind::Int16,
        "int32" => SchemaKind::Int32,
        "int64" => SchemaKind::Int64,
        "float" => SchemaKind::Float32,
        "double" => SchemaKind::Float64,
        "boolean" => SchemaKind::Boolean,
        "string" => SchemaKind::String,
        "bytes" => SchemaKind::Bytes,
        unknown => return Err(ConnectError::data(format!("Unknown schema type: {unknown}"))),
    })
}

fn add_field(fields: &mut Fields, name: &str, schema: SchemaRef) -> Result<()> {
    if name.is_empty() {
        return Err(ConnectError::new(ErrorKind::SchemaBuilder, "fieldName cannot be null."));
    }
    if !fields.add(name, schema) {
        return Err(ConnectError::new(
            ErrorKind::SchemaBuilder,
            format!("Cannot create field because of field name duplication {name}"),
        ));
    }
    Ok(())
}

/// The low 64 bits of a number; 0 for what is none.
fn integer(node: &Node<'_>) -> i64 {
    match node {
        Node::Integer(text) => {
            text.parse().ok().or_else(|| Notation::of(text).map(|number| number.low_bits())).unwrap_or(0)
        }
        Node::Fraction(text) => Notation::of(text).map_or(0, |number| number.low_bits()),
        Node::Missing
        | Node::Null
        | Node::Boolean(_)
        | Node::String(_)
        | Node::Array(_)
        | Node::Object(_) => 0,
    }
}

/// The digits of a number to read a float from; those of 0 for what is no number, and for zeros of either sign.
fn number_text<'n>(node: &Node<'n>) -> &'n str {
    match node {
        Node::Integer(text) | Node::Fraction(text) => {
            let negative_zero =
                text.starts_with('-') && Notation::of(text).is_some_and(|number| number.is_zero());
            if negative_zero { "0" } else { text }
        }
        Node::Missing
        | Node::Null
        | Node::Boolean(_)
        | Node::String(_)
        | Node::Array(_)
        | Node::Object(_) => "0",
    }
}

fn logical_value(logical: Logical, schema: &Schema, node: &Node<'_>) -> Result<Value> {
    let invalid = |name: &str, wanted: &str| {
        let found = node.type_name();
        ConnectError::data(format!(
            "Invalid type for {name}, underlying representation should be {wanted} but was {found}"
        ))
    };
    // Connect wants a number of 32 bits here and wraps nothing.
    let int32 = |name| match node {
        Node::Integer(text) => text.parse::<i32>().map_err(|_| invalid(name, "integer")),
        Node::Missing
        | Node::Null
        | Node::Boolean(_)
        | Node::Fraction(_)
        | Node::String(_)
        | Node::Array(_)
        | Node::Object(_) => Err(invalid(name, "integer")),
    };
    match (logical, node) {
        (Logical::Date, _) => Ok(Value::Instant(i64::from(int32("Date")?) * MILLIS_PER_DAY)),
        (Logical::Time, _) => {
            let millis = i64::from(int32("Time")?);
            if !(0..=MILLIS_PER_DAY).contains(&millis) {
                return Err(ConnectError::data(
                    "Time values must use number of milliseconds greater than 0 and less than 86400000",
                ));
            }
            Ok(Value::Instant(millis))
        }
        (Logical::Timestamp, Node::Integer(_)) => Ok(Value::Instant(integer(node))),
        (Logical::Timestamp, _) => Err(invalid("Timestamp", "integral")),
        (Logical::Decimal, Node::Integer(text) | Node::Fraction(text)) => {
            let number = Notation::of(text).ok_or_else(|| invalid("Decimal", "numeric or bytes"))?;
            let unscaled = number.unscaled().ok_or_else(|| invalid("Decimal", "numeric or bytes"))?;
            Ok(Value::Decimal(Box::new(Decimal { unscaled, scale: number.scale() })))
        }
        (Logical::Decimal, Node::String(text)) => decimal(schema, text)
            .map_err(|cause| ConnectError::data("Invalid bytes for Decimal field").caused_by(cause)),
        (Logical::Decimal, _) => Err(invalid("Decimal", "numeric or bytes")),
    }
}

fn decimal(schema: &Schema, text: &str) -> Result<Value> {
    let bytes =
        base64::decode(text).map_err(|error| ConnectError::data("Invalid base64").caused_by(error))?;
    if bytes.is_empty() {
        return Err(ConnectError::data("Zero length BigInteger"));
    }
    let unscaled = BigInt::from_signed_bytes_be(&bytes);
    Ok(Value::Decimal(Box::new(Decimal { unscaled, scale: decimal_scale(schema)? })))
}
