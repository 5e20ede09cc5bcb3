//! From translated settings to librdkafka's own configuration.

use rdkafka::ClientConfig;

use crate::config::client::ClientSettings;

/// The settings as librdkafka's client takes them.
pub(super) fn client_config(settings: &ClientSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in settings.iter() {
        config.set(name, value);
    }
    config
}
