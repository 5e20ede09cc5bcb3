//! Metadata and assignments of the group: the bytes that Java's classes wrote, and what they read.

use std::time::Duration;

use herdsman::api::ids::{ConfigOffset, ConnectorName, MemberId, TaskId};
use herdsman::group::protocol::{Assignment, AssignmentError, Metadata, ProtocolVersion};
use serde_json::Value as Json;

use super::{check_format, compare};

pub(crate) const FORMAT: &str = "connect-protocol/1";

#[test]
fn messages_of_the_group_are_those_of_apache() {
    check_format(FORMAT, "vectors", check);
}

fn check(vector: &Json) -> Result<(), String> {
    let bytes = bytes(vector["hex"].as_str().ok_or("no hex")?)?;
    let meaning = &vector["meaning"];
    let may_fail = vector["error"] == true;
    match vector["kind"].as_str() {
        Some("metadata") => {
            let Some(read) = read(Metadata::decode(&bytes), may_fail)? else { return Ok(()) };
            let allocation = &meaning["allocation"];
            let meaning = Metadata {
                url: text(&meaning["url"]),
                config_offset: offset(meaning)?,
                allocation: (!allocation.is_null()).then(|| assignment(allocation)).transpose()?,
            };
            compare("read", &meaning, &read)?;
            check_written(vector, &bytes, |version| meaning.encode(version).map_err(|e| e.to_string()))
        }
        Some("assignment") => {
            let Some(read) = read(Assignment::decode(&bytes), may_fail)? else { return Ok(()) };
            let meaning = assignment(meaning)?;
            compare("read", &meaning, &read)?;
            check_written(vector, &bytes, |version| meaning.encode(version).map_err(|e| e.to_string()))
        }
        other => Err(format!("no kind {other:?}")),
    }
}

/// What was read; `None` when that failed as it should.
fn read<T, E: std::fmt::Display>(read: Result<T, E>, must_fail: bool) -> Result<Option<T>, String> {
    match (read, must_fail) {
        (Ok(read), false) => Ok(Some(read)),
        (Err(_), true) => Ok(None),
        (Ok(_), true) => Err("expected an error".to_owned()),
        (Err(error), false) => Err(error.to_string()),
    }
}

fn check_written(
    vector: &Json,
    bytes: &[u8],
    encode: impl Fn(ProtocolVersion) -> Result<Vec<u8>, String>,
) -> Result<(), String> {
    if vector["encode"] != true {
        return Ok(());
    }
    let protocol = vector["protocol"].as_str().and_then(ProtocolVersion::from_name);
    let written = encode(protocol.ok_or("no such protocol")?)?;
    compare("written", &hex(bytes), &hex(&written))
}

fn assignment(json: &Json) -> Result<Assignment, String> {
    Ok(Assignment {
        error: match json["error"].as_i64() {
            Some(0) => AssignmentError::None,
            Some(1) => AssignmentError::ConfigMismatch,
            other => AssignmentError::Other(other.and_then(|code| code.try_into().ok()).ok_or("no error")?),
        },
        leader: MemberId::new(text(&json["leader"])),
        leader_url: text(&json["leader_url"]),
        config_offset: offset(json)?,
        connectors: connectors(&json["connectors"])?,
        tasks: tasks(&json["tasks"])?,
        revoked_connectors: connectors(&json["revoked_connectors"])?,
        revoked_tasks: tasks(&json["revoked_tasks"])?,
        delay: Duration::from_millis(json["delay_ms"].as_u64().ok_or("no delay")?),
    })
}

fn offset(json: &Json) -> Result<ConfigOffset, String> {
    Ok(ConfigOffset::new(json["config_offset"].as_i64().ok_or("no config offset")?))
}

fn connectors(json: &Json) -> Result<Vec<ConnectorName>, String> {
    let list = json.as_array().ok_or("no list of connectors")?;
    Ok(list.iter().map(|name| ConnectorName::new(text(name))).collect())
}

fn tasks(json: &Json) -> Result<Vec<TaskId>, String> {
    let list = json.as_array().ok_or("no list of tasks")?;
    let task = |task: &Json| {
        let index = task[1].as_u64().and_then(|index| index.try_into().ok()).ok_or("no number of a task")?;
        Ok(TaskId { connector: ConnectorName::new(text(&task[0])), index })
    };
    list.iter().map(task).collect()
}

fn text(json: &Json) -> String {
    json.as_str().unwrap_or_default().to_owned()
}

fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<_> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    let pairs = digits.chunks_exact(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]));
    let bytes: Vec<u8> = pairs.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    if bytes.len() * 2 == hex.len() { Ok(bytes) } else { Err("not hexadecimal".to_owned()) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
