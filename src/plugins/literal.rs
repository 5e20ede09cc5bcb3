//! Reads text as a value, as Connect does with headers: numbers take the smallest type that holds them, brackets make
//! arrays and maps, ISO dates make logical types, and all that is none of these stays text.
//!
//! The grammar is Connect's, its oddities included: only the first token of the text is looked at (`1,2` is 1), what
//! follows a closing bracket is ignored, strings inside brackets keep their backslashes and lose blanks that stand
//! alone between two delimiters.

mod merge;
mod number;
mod temporal;
mod tokens;

use std::sync::Arc;

use bytestring::ByteString;
use indexmap::IndexMap;

use self::merge::CommonSchema;
use self::tokens::Tokens;
use crate::api::data::{Schema, SchemaAndValue, SchemaKind, SchemaRef, Value};

/// How deep arrays and maps may be nested; deeper text stays text.
const MAX_DEPTH: usize = 500;

/// The value that a text stands for; neither schema nor value for `null`.
pub(crate) fn parse(text: &ByteString) -> SchemaAndValue {
    let trimmed = trim(text);
    if trimmed == "null" {
        return SchemaAndValue::null();
    }
    if let Some(boolean) = boolean(trimmed) {
        return boolean;
    }
    let mut tokens = Tokens::new(text);
    let parsed = match tokens.peek().map(trim) {
        Some("[" | "{") => parse_element(&mut tokens, 0).ok(),
        Some(_) => parse_scalar(&mut tokens),
        None => None,
    };
    parsed.unwrap_or_else(|| value_of(SchemaKind::String, Value::String(text.clone())))
}

/// Java's `String.trim`: everything up to and including the blank goes, control characters among it.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

fn value_of(kind: SchemaKind, value: Value) -> SchemaAndValue {
    SchemaAndValue { schema: Some(Arc::new(Schema::new(kind))), value }
}

fn boolean(token: &str) -> Option<SchemaAndValue> {
    let value = match token {
        "true" => true,
        "false" => false,
        _ => return None,
    };
    Some(value_of(SchemaKind::Boolean, Value::Boolean(value)))
}

/// The text is not what the bracket at its beginning promised.
struct Malformed;

type Parsed<T> = Result<T, Malformed>;

/// A date, time, timestamp or number at the beginning of what is left.
fn parse_scalar(tokens: &mut Tokens<'_>) -> Option<SchemaAndValue> {
    let token = trim(tokens.next()?);
    let first = token.chars().next()?;
    if first.is_ascii_digit() {
        // The colons of a time make five tokens of it.
        if let Some((four, rest)) = tokens.split_after(4)
            && let Some(temporal) = temporal::parse(&format!("{token}{four}"))
        {
            *tokens = rest;
            return Some(temporal);
        }
        if let Some(temporal) = temporal::parse(token) {
            return Some(temporal);
        }
    }
    if first.is_ascii_digit() || first == '+' || first == '-' { number::parse(token) } else { None }
}

/// One element of an array, or one key or value of a map; neither schema nor value for `null`.
fn parse_element(tokens: &mut Tokens<'_>, depth: usize) -> Parsed<SchemaAndValue> {
    let token = trim(tokens.peek().ok_or(Malformed)?);
    match token {
        "\"" => {
            tokens.next();
            Ok(parse_quoted(tokens))
        }
        "[" | "{" if depth >= MAX_DEPTH => Err(Malformed),
        "[" => {
            tokens.next();
            parse_array(tokens, depth + 1)
        }
        "{" => {
            tokens.next();
            parse_map(tokens, depth + 1)
        }
        "null" => {
            tokens.next();
            Ok(SchemaAndValue::null())
        }
        _ => match boolean(token) {
            Some(boolean) => {
                tokens.next();
                Ok(boolean)
            }
            None => parse_scalar(tokens).ok_or(Malformed),
        },
    }
}

/// The text after an opening quote, up to the closing one or the end.
fn parse_quoted(tokens: &mut Tokens<'_>) -> SchemaAndValue {
    let mut content = String::new();
    while let Some(token) = tokens.next_not_blank() {
        if trim(token) == "\"" {
            break;
        }
        content.push_str(token);
    }
    temporal::parse(&content).unwrap_or_else(|| value_of(SchemaKind::String, Value::string(content)))
}

fn parse_array(tokens: &mut Tokens<'_>, depth: usize) -> Parsed<SchemaAndValue> {
    let mut common = CommonSchema::default();
    let mut elements = Vec::new();
    while !tokens.take("]") {
        let element = parse_element(tokens, depth)?;
        common.add(&element);
        elements.push(element.value);
        if !tokens.is_next("]") && !tokens.take(",") {
            return Err(Malformed);
        }
    }
    let schema = common.schema();
    if let Some(schema) = &schema {
        elements = elements
            .into_iter()
            .map(|value| merge::align(value, schema))
            .collect::<Option<_>>()
            .ok_or(Malformed)?;
    }
    Ok(value_of(SchemaKind::Array(schema), Value::Array(elements)))
}

fn parse_map(tokens: &mut Tokens<'_>, depth: usize) -> Parsed<SchemaAndValue> {
    let (mut keys, mut values) = (CommonSchema::default(), CommonSchema::default());
    let mut entries = IndexMap::new();
    while !tokens.take("}") {
        let key = parse_element(tokens, depth)?;
        if key.value.is_null() || !tokens.take(":") {
            return Err(Malformed);
        }
        let value = parse_element(tokens, depth)?;
        keys.add(&key);
        values.add(&value);
        entries.insert(key.value, value.value);
        tokens.take(",");
    }
    // Without a schema of the keys Connect gives up that of the values, too.
    let keys = keys.schema();
    let values = keys.as_ref().and_then(|_| values.schema());
    let align = |value: Value, schema: &Option<SchemaRef>| match schema {
        Some(schema) => merge::align(value, schema),
        None => Some(value),
    };
    let entries = entries
        .into_iter()
        .map(|(key, value)| Some((align(key, &keys)?, align(value, &values)?)))
        .collect::<Option<_>>()
        .ok_or(Malformed)?;
    Ok(value_of(SchemaKind::Map(keys, values), Value::Map(Box::new(entries))))
}

#[cfg(test)]
mod tests;
