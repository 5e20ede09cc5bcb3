//! Client settings of a connector: whether the policy lets it have them, and whether this worker can keep them.

use super::{
    ClientKind, Outcome, ValidationContext, ValidationStep, below, has_dead_letter_queue, undefined,
};
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigError, ConfigValue, Password};
use crate::api::registry::ConnectorClass;
use crate::config::topic_creation;

/// Checks the overrides for every client that the connector will have.
pub(super) fn check(
    context: &ValidationContext,
    class: &ConnectorClass,
    settings: &Settings,
    notice: &dyn Fn(ValidationStep),
    outcome: &mut Outcome,
) {
    let queue = has_dead_letter_queue(class, settings);
    let clients = match class {
        ConnectorClass::Source(_) => {
            [Some(ClientKind::Producer), None, creates_topics(context, settings).then_some(ClientKind::Admin)]
        }
        ConnectorClass::Sink(_) => [
            queue.then_some(ClientKind::Producer),
            Some(ClientKind::Consumer),
            queue.then_some(ClientKind::Admin),
        ],
    };
    for client in clients.into_iter().flatten() {
        notice(ValidationStep::CheckingOverrides(client));
        outcome.add_counting_keys(&ConfigDef::new(), of_client(context, client, settings));
    }
}

fn creates_topics(context: &ValidationContext, settings: &Settings) -> bool {
    context.topic_creation && topic_creation::is_used(settings)
}

fn of_client(context: &ValidationContext, client: ClientKind, settings: &Settings) -> Vec<ConfigValue> {
    let prefix = client.override_prefix();
    let overrides = below(settings, prefix);
    let refused = context.override_policy.violations(settings, prefix);
    let impossible = (context.client_check)(client, &overrides);
    let messages_about = |key: &str, setting: &str| {
        let refused = refused.iter().filter(|error| error.key() == key);
        let impossible = impossible.iter().filter(|error| error.key() == setting);
        refused.chain(impossible).map(ConfigError::to_string).collect()
    };
    let values = overrides.iter().map(|(setting, value)| {
        let key = format!("{prefix}{setting}");
        let shown = if is_secret(setting) { Password::HIDDEN } else { value };
        ConfigValue { errors: messages_about(&key, setting), ..undefined(&key, Some(shown)) }
    });
    values.collect()
}

/// Whether Kafka's clients take the setting as a password.
fn is_secret(setting: &str) -> bool {
    setting == "sasl.jaas.config"
        || setting.ends_with("password")
        || ["ssl.keystore.key", "ssl.keystore.certificate.chain", "ssl.truststore.certificates"]
            .contains(&setting)
}
