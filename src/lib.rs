//! A Kafka Connect worker: synchronous, thread-based, in one static binary.
