//! What is to become of records that fail, from the settings `errors.*` of a connector.

use std::time::Duration;

use super::refused;
use crate::api::Settings;
use crate::api::error::{ConnectError, Result};
use crate::api::registry::ConnectorClass;
use crate::config::client::ClientLayers;
use crate::task::RetryPolicy;
use crate::task::spec::{DeadLetterSpec, ErrorHandling, ErrorLog, Tolerance};

/// References in the settings are resolved.
///
/// # Errors
/// Of kind `Config`: a setting that is none, which validation lets through only as a reference.
pub(super) fn handling(
    class: &ConnectorClass,
    connector: &Settings,
    layers: &ClientLayers<'_>,
) -> Result<ErrorHandling> {
    let timeout = number(connector, "errors.retry.timeout", "LONG", 0_i64)?;
    let delay_max = number(connector, "errors.retry.delay.max.ms", "LONG", 60_000_i64)?;
    let retry = RetryPolicy {
        timeout: u64::try_from(timeout).ok().map(Duration::from_millis),
        delay_max: Duration::from_millis(u64::try_from(delay_max).unwrap_or_default()),
    };
    let tolerance = match text(connector, "errors.tolerance") {
        None | Some("none") => Tolerance::None,
        Some("all") => Tolerance::All,
        Some(other) => {
            return Err(invalid("errors.tolerance", other, "String must be one of: none, all"));
        }
    };
    let logs = flag(connector, "errors.log.enable")?;
    let log = match (logs, flag(connector, "errors.log.include.messages")?) {
        (false, _) => ErrorLog::Off,
        (true, false) => ErrorLog::Errors,
        (true, true) => ErrorLog::WithRecords,
    };
    let dead_letters = match class {
        ConnectorClass::Source(_) => None,
        ConnectorClass::Sink(_) => dead_letters(connector, layers)?,
    };
    Ok(ErrorHandling { retry, tolerance, log, dead_letters })
}

fn dead_letters(connector: &Settings, layers: &ClientLayers<'_>) -> Result<Option<DeadLetterSpec>> {
    let Some(topic) = text(connector, "errors.deadletterqueue.topic.name").filter(|topic| !topic.is_empty())
    else {
        return Ok(None);
    };
    Ok(Some(DeadLetterSpec {
        topic: topic.into(),
        replication: number(connector, "errors.deadletterqueue.topic.replication.factor", "SHORT", 3_i16)?,
        with_context: flag(connector, "errors.deadletterqueue.context.headers.enable")?,
        producer: layers.dead_letter_producer().map_err(refused)?,
        admin: layers.connector_admin("connector-dlq-adminclient-").map_err(refused)?,
    }))
}

fn text<'a>(connector: &'a Settings, key: &str) -> Option<&'a str> {
    connector.get(key).map(|text| text.trim())
}

fn number<T: std::str::FromStr>(connector: &Settings, key: &str, kind: &str, default: T) -> Result<T> {
    let Some(text) = text(connector, key) else { return Ok(default) };
    text.parse().map_err(|_| invalid(key, text, &format!("Not a number of type {kind}")))
}

fn flag(connector: &Settings, key: &str) -> Result<bool> {
    match text(connector, key) {
        None => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(text) => Err(invalid(key, text, "Expected value to be either true or false")),
    }
}

fn invalid(key: &str, value: &str, message: &str) -> ConnectError {
    ConnectError::config(format!("Invalid value {value} for configuration {key}: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::override_policy::OverridePolicy;

    fn planned(class: &str, settings: &[(&str, &str)]) -> Result<ErrorHandling> {
        let settings: Settings =
            settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let worker: Settings = [
            ("bootstrap.servers", "b:9092"),
            ("producer.linger.ms", "7"),
            ("producer.compression.type", "gzip"),
            ("security.protocol", "SSL"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        let layers = ClientLayers { worker: &worker, connector: &settings, policy: OverridePolicy::All };
        let class = crate::plugins::registry().connector(class).cloned().unwrap();
        handling(&class, &settings, &layers)
    }

    #[test]
    fn without_settings_a_record_that_fails_fails_the_task() {
        for class in ["FileStreamSource", "FileStreamSink"] {
            let ErrorHandling { retry, tolerance, log, dead_letters } = planned(class, &[]).unwrap();
            let none = RetryPolicy { timeout: Some(Duration::ZERO), delay_max: Duration::from_secs(60) };
            assert_eq!((retry, tolerance, log), (none, Tolerance::None, ErrorLog::Off));
            assert!(dead_letters.is_none());
        }
    }

    #[test]
    fn every_setting_counts() {
        let settings = [
            ("errors.retry.timeout", " 5000 "),
            ("errors.retry.delay.max.ms", "700"),
            ("errors.tolerance", "all"),
            ("errors.log.enable", "TRUE"),
            ("errors.log.include.messages", "true"),
            ("errors.deadletterqueue.topic.name", " dead "),
            ("errors.deadletterqueue.topic.replication.factor", "-1"),
            ("errors.deadletterqueue.context.headers.enable", "true"),
            ("producer.override.linger.ms", "9"),
            ("admin.override.request.timeout.ms", "1234"),
        ];
        let of_source = planned("FileStreamSource", &settings).unwrap();
        assert!(of_source.dead_letters.is_none());
        let ErrorHandling { retry, tolerance, log, dead_letters } =
            planned("FileStreamSink", &settings).unwrap();
        let expected = (Some(Duration::from_secs(5)), Duration::from_millis(700));
        assert_eq!((retry.timeout, retry.delay_max), expected);
        assert_eq!((tolerance, log), (Tolerance::All, ErrorLog::WithRecords));
        let DeadLetterSpec { topic, replication, with_context, producer, admin } = dead_letters.unwrap();
        assert_eq!((&*topic, replication, with_context), ("dead", -1, true));
        assert_eq!(producer.get("client.id"), Some("connector-dlq-producer"));
        assert_eq!(producer.get("linger.ms"), Some("9"), "the connector's goes before the worker's");
        assert_eq!(producer.get("compression.type"), Some("gzip"));
        assert_eq!(producer.get("security.protocol"), None, "producers do not inherit it");
        assert_eq!(producer.get("bootstrap.servers"), Some("b:9092"));
        assert_eq!(admin.get("client.id"), Some("connector-dlq-adminclient-"));
        assert_eq!(admin.get("security.protocol").map(str::to_lowercase).as_deref(), Some("ssl"));
        assert_eq!(admin.get("socket.timeout.ms"), Some("1234"));
    }

    #[test]
    fn for_ever_and_without_records() {
        let settings = [("errors.retry.timeout", "-1"), ("errors.log.enable", "true")];
        let handling = planned("FileStreamSource", &settings).unwrap();
        assert_eq!((handling.retry.timeout, handling.log), (None, ErrorLog::Errors));
        let settings = [("errors.log.include.messages", "true")];
        assert_eq!(planned("FileStreamSource", &settings).unwrap().log, ErrorLog::Off);
        let delay = planned("FileStreamSource", &[("errors.retry.delay.max.ms", "-5")]).unwrap();
        assert_eq!(delay.retry.delay_max, Duration::ZERO);
    }

    #[test]
    fn what_is_no_setting_is_named() {
        let table = [
            ("errors.retry.timeout", "soon", "Not a number of type LONG"),
            ("errors.retry.delay.max.ms", "1.5", "Not a number of type LONG"),
            ("errors.tolerance", "ALL", "String must be one of: none, all"),
            ("errors.log.enable", "yes", "Expected value to be either true or false"),
            ("errors.log.include.messages", "1", "Expected value to be either true or false"),
            ("errors.deadletterqueue.topic.replication.factor", "99999", "Not a number of type SHORT"),
            (
                "errors.deadletterqueue.context.headers.enable",
                "",
                "Expected value to be either true or false",
            ),
        ];
        for (key, value, message) in table {
            let settings = [("errors.deadletterqueue.topic.name", "dead"), (key, value)];
            let error = planned("FileStreamSink", &settings).unwrap_err();
            let expected = format!("Invalid value {value} for configuration {key}: {message}");
            assert_eq!(
                (error.kind().class_name(), error.message()),
                ("org.apache.kafka.common.config.ConfigException", expected.as_str())
            );
        }
    }
}
