//! TLS of the listeners: the settings below `listeners.https.` or `admin.listeners.https.`, else the plain ones.

use super::super::stores::{self, KeyStore, TrustStore};
use crate::api::Settings;
use crate::api::config_def::ConfigError;

/// Whether clients must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked.
    None,
    /// They are asked and may have none.
    Requested,
    /// They must.
    Required,
}

/// TLS of one set of listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTls {
    /// The server's own key and certificates.
    pub identity: KeyStore,
    /// Whose client certificates are accepted; none is the system's list.
    pub trust: Option<TrustStore>,
    /// Whether client certificates are asked for.
    pub client_auth: ClientAuth,
    /// The TLS versions that may be used, such as `TLSv1.3`; never empty.
    pub protocols: Vec<String>,
    /// Cipher suites by their names in the TLS standard; empty is OpenSSL's default.
    pub cipher_suites: Vec<String>,
}

/// Reads TLS for listeners. If any setting begins with `prefix`, only those that do count, otherwise the plain ones:
/// a main listener never mixes both.
pub(super) fn from_settings(settings: &Settings, prefix: &str) -> Result<ListenerTls, ConfigError> {
    let prefixed = settings.keys().any(|key| key.starts_with(prefix));
    let prefix = if prefixed { prefix } else { "" };
    let get = |name: &str| settings.get(&format!("{prefix}{name}")).map(|value| value.trim());
    let at = |error: ConfigError| with_prefix(error, prefix);
    let identity = stores::key_store(&get).map_err(at)?.ok_or_else(|| {
        let message = "an https listener needs a key store";
        ConfigError::invalid(&format!("{prefix}ssl.keystore.location"), "null", message)
    })?;
    let client_auth = match get("ssl.client.auth").unwrap_or("none") {
        "none" => ClientAuth::None,
        "requested" => ClientAuth::Requested,
        "required" => ClientAuth::Required,
        other => {
            let message = "String must be one of: required, requested, none";
            return Err(ConfigError::invalid(&format!("{prefix}ssl.client.auth"), other, message));
        }
    };
    let list = |name: &str, default: &str| -> Vec<String> {
        let text = get(name).filter(|text| !text.is_empty()).unwrap_or(default);
        text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
    };
    let protocols = list("ssl.enabled.protocols", "TLSv1.2,TLSv1.3");
    if let Some(other) =
        protocols.iter().find(|protocol| !["TLSv1.2", "TLSv1.3"].contains(&protocol.as_str()))
    {
        let message = "String must be one of: TLSv1.2, TLSv1.3";
        return Err(ConfigError::invalid(&format!("{prefix}ssl.enabled.protocols"), other, message));
    }
    let cipher_suites = list("ssl.cipher.suites", "");
    Ok(ListenerTls {
        identity,
        trust: stores::trust_store(&get).map_err(at)?,
        client_auth,
        protocols,
        cipher_suites,
    })
}

/// The same error about the setting with its prefix.
fn with_prefix(error: ConfigError, prefix: &str) -> ConfigError {
    match error {
        ConfigError::Invalid { key, value, message } => {
            ConfigError::Invalid { key: format!("{prefix}{key}"), value, message }
        }
        ConfigError::Message { key, message } => {
            ConfigError::Message { key: format!("{prefix}{key}"), message }
        }
        other @ (ConfigError::Missing { .. }
        | ConfigError::Undefined { .. }
        | ConfigError::WrongType { .. }) => other,
    }
}
