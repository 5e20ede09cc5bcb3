//! Which client settings a connector may override (KIP-458).

use crate::api::Settings;
use crate::api::config_def::ConfigError;

/// The policy of `connector.client.config.override.policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverridePolicy {
    /// Everything may be overridden.
    All,
    /// Nothing may be.
    None,
    /// Only what decides as whom the client logs in.
    Principal,
}

impl OverridePolicy {
    /// Reads an alias or class name of Apache.
    ///
    /// # Errors
    /// The class is none of the three: a policy that cannot be kept must not be dropped in silence.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let name = text.strip_prefix("org.apache.kafka.connect.connector.policy.").unwrap_or(text);
        match name.strip_suffix("ConnectorClientConfigOverridePolicy").unwrap_or(name) {
            "All" => Ok(Self::All),
            "None" => Ok(Self::None),
            "Principal" => Ok(Self::Principal),
            _ => Err(ConfigError::invalid(
                "connector.client.config.override.policy",
                text,
                format!("Class {text} could not be found. Use All, None or Principal."),
            )),
        }
    }

    /// The name that messages use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "All",
            Self::None => "None",
            Self::Principal => "Principal",
        }
    }

    /// Whether a client setting (prefix stripped) may be overridden.
    #[must_use]
    pub fn permits(self, setting: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Principal => ["sasl.jaas.config", "sasl.mechanism", "security.protocol"].contains(&setting),
        }
    }

    /// What a connector's settings below `prefix` (such as `producer.override.`) break: one message for each, about
    /// the setting with its prefix. Asked at validation and again at start.
    #[must_use]
    pub fn violations(self, connector: &Settings, prefix: &str) -> Vec<ConfigError> {
        let overrides = connector.keys().filter_map(|key| Some((key, key.strip_prefix(prefix)?)));
        let refused = overrides.filter(|(_, setting)| !self.permits(setting));
        refused
            .map(|(key, setting)| {
                let policy = self.name();
                ConfigError::message(
                    key,
                    format!(
                        "The '{policy}' policy does not allow '{setting}' to be overridden in the connector configuration."
                    ),
                )
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: OverridePolicy, expected: &[&str]) {
        let connector: Settings =
            ["producer.override.acks", "producer.override.sasl.mechanism", "consumer.override.x", "acks"]
                .map(|key| (key.to_owned(), "v".to_owned()))
                .into();
        let violations = policy.violations(&connector, "producer.override.");
        let keys: Vec<&str> = violations.iter().map(ConfigError::key).collect();
        assert_eq!(keys, expected, "{policy:?}");
    }

    #[test]
    fn policies() {
        check(OverridePolicy::All, &[]);
        check(OverridePolicy::Principal, &["producer.override.acks"]);
        check(OverridePolicy::None, &["producer.override.acks", "producer.override.sasl.mechanism"]);
        let connector = [("producer.override.acks".to_owned(), "1".to_owned())].into();
        assert_eq!(
            OverridePolicy::None.violations(&connector, "producer.override.")[0].to_string(),
            "The 'None' policy does not allow 'acks' to be overridden in the connector configuration."
        );
    }

    #[test]
    fn names() {
        let long = "org.apache.kafka.connect.connector.policy.PrincipalConnectorClientConfigOverridePolicy";
        assert_eq!(OverridePolicy::parse(long), Ok(OverridePolicy::Principal));
        assert_eq!(
            OverridePolicy::parse("NoneConnectorClientConfigOverridePolicy"),
            Ok(OverridePolicy::None)
        );
        assert!(OverridePolicy::parse("com.example.Mine").is_err());
    }
}
