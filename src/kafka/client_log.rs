//! What librdkafka says on its own account, as lines of our log.

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// The name under which Connect users find and silence what clients say.
const TARGET: &str = "org.apache.kafka.clients.NetworkClient";

/// Logs a line of librdkafka. `facility` is its word for the kind of line.
pub(super) fn line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    let level = match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => log::Level::Error,
        // A broker that cannot be reached is an error to librdkafka, but it tries again for ever.
        RDKafkaLogLevel::Warning => log::Level::Warn,
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => log::Level::Info,
        RDKafkaLogLevel::Debug => log::Level::Debug,
    };
    let level = if facility == "FAIL" { level.max(log::Level::Warn) } else { level };
    log::log!(target: TARGET, level, "{message} ({facility})");
}

/// Logs an error that concerns a whole client. What librdkafka gets over by itself is said by its own lines already.
pub(super) fn client_error(error: &KafkaError, reason: &str) {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::OperationTimedOut,
        ) => log::debug!(target: TARGET, "{reason}"),
        Some(_) | None => log::warn!(target: TARGET, "{error}: {reason}"),
    }
}
