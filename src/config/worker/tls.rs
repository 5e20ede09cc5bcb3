//! TLS of the listeners: the settings below `listeners.https.` or `admin.listeners.https.`, else the plain ones. Those of
//! the main listeners are also for calls of other workers.

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

/// TLS towards other workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTls {
    /// What is shown to a worker that asks for a certificate.
    pub identity: Option<KeyStore>,
    /// Whose certificates are accepted; none is the system's list.
    pub trust: Option<TrustStore>,
    /// Whether a certificate must be for the host of the URL.
    pub verify_host: bool,
    /// The TLS versions that may be used; never empty.
    pub protocols: Vec<String>,
    /// Cipher suites by their names in the TLS standard; empty is OpenSSL's default.
    pub cipher_suites: Vec<String>,
}

/// Reads TLS for listeners.
pub(super) fn from_settings(settings: &Settings, prefix: &str) -> Result<ListenerTls, ConfigError> {
    let tls = Prefixed::of(settings, prefix);
    let identity = tls.identity()?.ok_or_else(|| {
        ConfigError::invalid(&tls.key("ssl.keystore.location"), "null", "an https listener needs a key store")
    })?;
    let client_auth = match tls.get("ssl.client.auth").unwrap_or("none") {
        "none" => ClientAuth::None,
        "requested" => ClientAuth::Requested,
        "required" => ClientAuth::Required,
        other => {
            let message = "String must be one of: required, requested, none";
            return Err(ConfigError::invalid(&tls.key("ssl.client.auth"), other, message));
        }
    };
    Ok(ListenerTls {
        identity,
        trust: tls.trust()?,
        client_auth,
        protocols: tls.protocols()?,
        cipher_suites: tls.list("ssl.cipher.suites", ""),
    })
}

/// Reads TLS towards other workers.
pub(super) fn client(settings: &Settings, prefix: &str) -> Result<ClientTls, ConfigError> {
    const VERIFY_HOST: &str = "ssl.endpoint.identification.algorithm";
    let tls = Prefixed::of(settings, prefix);
    let verify_host = match tls.get(VERIFY_HOST).unwrap_or("https") {
        "" => false,
        name if name.eq_ignore_ascii_case("https") => true,
        other => {
            let message = "use https, or leave it empty to accept certificates of other hosts";
            return Err(ConfigError::invalid(&tls.key(VERIFY_HOST), other, message));
        }
    };
    Ok(ClientTls {
        identity: tls.identity()?,
        trust: tls.trust()?,
        verify_host,
        protocols: tls.protocols()?,
        cipher_suites: tls.list("ssl.cipher.suites", ""),
    })
}

/// The settings with a prefix. If any begins with it, only those that do count, otherwise the plain ones: a main listener
/// never mixes both.
struct Prefixed<'a> {
    settings: &'a Settings,
    prefix: &'a str,
}

impl<'a> Prefixed<'a> {
    fn of(settings: &'a Settings, prefix: &'a str) -> Self {
        let is_used = settings.keys().any(|key| key.starts_with(prefix));
        Prefixed { settings, prefix: if is_used { prefix } else { "" } }
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.settings.get(&self.key(name)).map(|value| value.trim())
    }

    fn identity(&self) -> Result<Option<KeyStore>, ConfigError> {
        stores::key_store(&|name| self.get(name)).map_err(|error| with_prefix(error, self.prefix))
    }

    fn trust(&self) -> Result<Option<TrustStore>, ConfigError> {
        stores::trust_store(&|name| self.get(name)).map_err(|error| with_prefix(error, self.prefix))
    }

    fn list(&self, name: &str, default: &str) -> Vec<String> {
        let text = self.get(name).filter(|text| !text.is_empty()).unwrap_or(default);
        text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
    }

    fn protocols(&self) -> Result<Vec<String>, ConfigError> {
        let protocols = self.list("ssl.enabled.protocols", "TLSv1.2,TLSv1.3");
        match protocols.iter().find(|protocol| !["TLSv1.2", "TLSv1.3"].contains(&protocol.as_str())) {
            None => Ok(protocols),
            Some(other) => {
                let message = "String must be one of: TLSv1.2, TLSv1.3";
                Err(ConfigError::invalid(&self.key("ssl.enabled.protocols"), other, message))
            }
        }
    }
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
