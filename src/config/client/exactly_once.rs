//! Settings of the clients that sources have in distributed mode beside an ordinary producer: a producer with transactions,
//! and the clients of a topic for the offsets of one connector.

use super::internal_topics::{InternalTopicClients, OF_GROUP_MEMBERS, PRODUCER_FIXED, consumer_fixed};
use super::{ClientKind, ClientLayers, ClientSettings, Layers, add, translate};
use crate::api::config_def::ConfigErrors;

/// Settings of a producer that mean nothing where the transaction itself bounds how long its records are tried, or that
/// are the worker's to set.
const OF_TRANSACTIONS: &[&str] =
    &["delivery.timeout.ms", "retries", "transactional.id", "enable.idempotence"];

impl ClientLayers<'_> {
    /// The settings of the producer of a source task that writes in transactions.
    ///
    /// # Errors
    /// All settings that cannot be kept, or that may not be overridden.
    pub fn transactional_producer(
        &self,
        client_id: &str,
        transactional_id: &str,
    ) -> Result<ClientSettings, ConfigErrors> {
        let framework = [
            ("client.id", client_id),
            ("acks", "all"),
            // The end of a transaction waits for its records, so nothing is gained by keeping them back.
            ("linger.ms", "0"),
            ("buffer.memory", "33554432"),
            ("max.request.size", "1048576"),
        ];
        let mut java = self.layered(ClientKind::Producer, &framework)?;
        for name in OF_TRANSACTIONS {
            if let Some(written) = java.remove(*name)
                && !(*name == "enable.idempotence" && written.value.eq_ignore_ascii_case("true"))
            {
                log::warn!(
                    "{}={} is passed over: the task writes in transactions",
                    written.key,
                    written.value
                );
            }
        }
        add(&mut java, [("enable.idempotence", "true")], "", true);
        let fixed = [("partitioner", "murmur2_random"), ("transactional.id", transactional_id)];
        translate::translate(ClientKind::Producer, &java, fixed.into_iter().collect())
    }

    /// Whether the producer of a connector reaches the brokers that the worker is configured with, by the same words.
    ///
    /// # Errors
    /// As for the producer.
    pub fn uses_brokers_of_worker(&self) -> Result<bool, ConfigErrors> {
        let java = self.layered(ClientKind::Producer, &[])?;
        let own = java.get("bootstrap.servers").map(|written| written.value.as_str());
        let of_worker =
            self.worker.get("bootstrap.servers").map_or(super::BOOTSTRAP_SERVERS, |text| text.trim());
        Ok(own.is_none_or(|own| own == of_worker))
    }

    /// The clients of a topic for the offsets of one connector: made of the connector's own. `committed_only`: what was
    /// not committed is never read; else that is the default, which the connector may change.
    ///
    /// # Errors
    /// All settings that cannot be kept, or that may not be overridden.
    pub fn offset_clients(
        &self,
        connector: &str,
        committed_only: bool,
    ) -> Result<InternalTopicClients, ConfigErrors> {
        let client_id = |kind: &str| format!("connector-offset-{kind}-{connector}");
        let admin = self.connector_admin(&client_id("adminclient"))?;
        let consumer_id = client_id("consumer");
        let group = self.worker.get("group.id").map_or("", |text| text.trim());
        let mut java = self.layered(ClientKind::Consumer, &[("isolation.level", "read_committed")])?;
        for name in OF_GROUP_MEMBERS {
            java.remove(*name);
        }
        add(
            &mut java,
            [("client.id", consumer_id.as_str()), ("allow.auto.create.topics", "false")],
            "",
            true,
        );
        // What only asks where the topic ends counts open transactions, too.
        let mut asking = copy(&java);
        add(&mut asking, [("isolation.level", "read_uncommitted")], "", true);
        asking.remove("group.id");
        let fixed = [("enable.auto.commit", "false")].into_iter().collect();
        let offsets = translate::translate(ClientKind::Consumer, &asking, fixed)?;
        add(&mut java, [("auto.offset.reset", "none"), ("group.id", group)], "", true);
        if committed_only {
            add(&mut java, [("isolation.level", "read_committed")], "", true);
        }
        let consumer = translate::translate(ClientKind::Consumer, &java, consumer_fixed())?;
        let producer = self.offset_producer(&client_id("producer"))?;
        Ok(InternalTopicClients {
            admin,
            offsets,
            consumer,
            committed_consumer: None,
            // There is no status topic.
            status_producer: producer.clone(),
            producer,
            leader_producer: None,
        })
    }

    fn offset_producer(&self, client_id: &str) -> Result<ClientSettings, ConfigErrors> {
        let mut java = self.layered(ClientKind::Producer, &[("linger.ms", "0")])?;
        java.remove("transactional.id");
        let needed = [
            ("client.id", client_id),
            ("acks", "all"),
            ("enable.idempotence", "false"),
            ("max.in.flight.requests.per.connection", "1"),
            ("delivery.timeout.ms", "2147483647"),
        ];
        add(&mut java, needed, "", true);
        translate::translate(ClientKind::Producer, &java, PRODUCER_FIXED.into_iter().collect())
    }
}

fn copy(layers: &Layers) -> Layers {
    let mut copy = Layers::new();
    for (name, written) in layers {
        let (key, value) = (written.key.clone(), written.value.clone());
        copy.insert(name.clone(), super::Written { key, value, shared: written.shared });
    }
    copy
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::consumer::BaseConsumer;
    use rdkafka::producer::BaseProducer;

    use super::*;
    use crate::api::Settings;
    use crate::config::override_policy::OverridePolicy;

    fn settings(entries: &[(&str, &str)]) -> Settings {
        entries.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn config(settings: &ClientSettings) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in settings.iter() {
            config.set(name, value);
        }
        config
    }

    #[test]
    fn a_producer_with_transactions_is_one_whatever_was_set() {
        let worker = settings(&[("bootstrap.servers", "b:1"), ("producer.compression.type", "lz4")]);
        let connector = settings(&[
            ("producer.override.transactional.id", "mine"),
            ("producer.override.enable.idempotence", "false"),
            ("producer.override.delivery.timeout.ms", "900000"),
            ("producer.override.transaction.timeout.ms", "9000"),
        ]);
        let layers = ClientLayers { worker: &worker, connector: &connector, policy: OverridePolicy::All };
        let producer = layers.transactional_producer("connector-producer-c-0", "g-c-0").unwrap();
        for (name, value) in [
            ("transactional.id", Some("g-c-0")),
            ("enable.idempotence", Some("true")),
            ("client.id", Some("connector-producer-c-0")),
            ("transaction.timeout.ms", Some("9000")),
            ("message.timeout.ms", None),
        ] {
            assert_eq!(producer.get(name), value, "{name}");
        }
        config(&producer).create::<BaseProducer>().unwrap();
    }

    #[test]
    fn the_topic_of_a_connector_is_read_with_its_own_clients() {
        let worker = settings(&[("bootstrap.servers", "b:1"), ("group.id", "g"), ("ssl.key.password", "x")]);
        let own = settings(&[
            ("consumer.override.isolation.level", "read_uncommitted"),
            ("consumer.override.session.timeout.ms", "600000"),
            ("producer.override.linger.ms", "7"),
        ]);
        let layers = ClientLayers { worker: &worker, connector: &own, policy: OverridePolicy::All };
        for (committed_only, level) in [(true, "read_committed"), (false, "read_uncommitted")] {
            let clients = layers.offset_clients("c", committed_only).unwrap();
            assert_eq!(clients.consumer.get("isolation.level"), Some(level));
            assert_eq!(clients.offsets.get("isolation.level"), Some("read_uncommitted"));
            assert_eq!(clients.consumer.get("client.id"), Some("connector-offset-consumer-c"));
            assert_eq!(clients.producer.get("client.id"), Some("connector-offset-producer-c"));
            assert_eq!(clients.producer.get("linger.ms"), Some("7"));
            assert_eq!(clients.producer.get("message.timeout.ms"), Some("0"));
            config(&clients.consumer).create::<BaseConsumer>().unwrap();
            config(&clients.offsets).create::<BaseConsumer>().unwrap();
            config(&clients.producer).create::<BaseProducer>().unwrap();
        }
        let none = Settings::new();
        let layers = ClientLayers { connector: &none, ..layers };
        let clients = layers.offset_clients("c", false).unwrap();
        assert_eq!(clients.consumer.get("isolation.level"), Some("read_committed"));
    }

    #[test]
    fn brokers_are_the_same_by_their_words() {
        let worker = settings(&[("bootstrap.servers", "b:1")]);
        for (key, value, same) in [
            ("x", "y", true),
            ("producer.override.bootstrap.servers", "b:1", true),
            ("producer.override.bootstrap.servers", "b:2", false),
        ] {
            let connector = settings(&[(key, value)]);
            let layers = ClientLayers { worker: &worker, connector: &connector, policy: OverridePolicy::All };
            assert_eq!(layers.uses_brokers_of_worker().unwrap(), same, "{key}={value}");
        }
    }
}
