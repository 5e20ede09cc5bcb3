//! The headers that tell of a failure in the dead letter queue: `errors.deadletterqueue.context.headers.enable`. Pure.

use std::sync::Arc;

use bytes::Bytes;

use super::super::conversion::RawHeaders;
use super::super::stage::StageFailure;
use super::Place;
use crate::api::ids::TaskId;

/// Apache's headers, in Apache's order. Values are texts; nothing of the record itself is in them but what the error says.
pub(super) fn of(task: &TaskId, from: &Place<'_>, failure: &StageFailure) -> RawHeaders {
    let StageFailure { stage, class, error } = failure;
    let headers = [
        ("topic", from.topic.to_owned()),
        ("partition", from.partition.to_string()),
        ("offset", from.offset.to_string()),
        ("connector.name", task.connector.to_string()),
        ("task.id", task.index.to_string()),
        ("stage", stage.to_string()),
        ("class.name", (*class).to_owned()),
        ("exception.class.name", error.kind().class_name().to_owned()),
        ("exception.message", error.message().to_owned()),
        ("exception.stacktrace", error.trace()),
    ];
    let named = headers.map(|(name, text)| {
        let name: Arc<str> = format!("__connect.errors.{name}").into();
        (name, Some(Bytes::from(text)))
    });
    named.into()
}

#[cfg(test)]
mod tests {
    use super::super::super::stage::Stage;
    use super::*;
    use crate::api::error::ConnectError;

    #[test]
    fn there_are_the_ten_headers_of_apache() {
        let failure = StageFailure {
            stage: Stage::ValueConverter,
            class: "org.apache.kafka.connect.json.JsonConverter",
            error: ConnectError::data("Converting byte[] to Kafka Connect data failed").caused_by("no JSON"),
        };
        let task = TaskId { connector: "größer".into(), index: 3 };
        let from = Place { topic: "t", partition: 7, offset: 42, timestamp: None };
        let headers = of(&task, &from, &failure);
        let shown: Vec<String> = headers
            .into_iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8(value.unwrap().into()).unwrap()))
            .collect();
        expect_test::expect![[r#"
            __connect.errors.topic: t
            __connect.errors.partition: 7
            __connect.errors.offset: 42
            __connect.errors.connector.name: größer
            __connect.errors.task.id: 3
            __connect.errors.stage: VALUE_CONVERTER
            __connect.errors.class.name: org.apache.kafka.connect.json.JsonConverter
            __connect.errors.exception.class.name: org.apache.kafka.connect.errors.DataException
            __connect.errors.exception.message: Converting byte[] to Kafka Connect data failed
            __connect.errors.exception.stacktrace: org.apache.kafka.connect.errors.DataException: Converting byte[] to Kafka Connect data failed
            Caused by: no JSON
        "#]]
        .assert_eq(&shown.join("\n"));
    }
}
