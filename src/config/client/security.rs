//! Logins, keys and certificates of clients: settings that have to be looked at together.

use crate::api::Settings;
use crate::api::config_def::ConfigError;
use crate::config::jaas;
use crate::config::stores::{self, KeyStore, TrustStore};

type Pairs = Vec<(String, String)>;

/// What Java's security settings are in librdkafka's words.
pub(super) fn translate(java: &Settings) -> Result<Pairs, Vec<ConfigError>> {
    let mut pairs = Pairs::new();
    let mut errors = Vec::new();
    let mut take = |result: Result<Pairs, ConfigError>| match result {
        Ok(more) => pairs.extend(more),
        Err(error) => errors.push(error),
    };
    take(protocol(java));
    let uses = |part: &str| {
        get(java, "security.protocol").is_some_and(|value| value.to_ascii_uppercase().contains(part))
    };
    if uses("SASL") {
        take(login(java));
    }
    if uses("SSL") {
        take(key_store(java));
        take(trust_store(java));
        take(host_name_check(java));
    }
    if errors.is_empty() { Ok(pairs) } else { Err(errors) }
}

fn get<'a>(java: &'a Settings, name: &str) -> Option<&'a str> {
    java.get(name).map(|value| value.trim())
}

fn pair(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

fn protocol(java: &Settings) -> Result<Pairs, ConfigError> {
    const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
    match get(java, "security.protocol") {
        None => Ok(Pairs::new()),
        Some(value) if PROTOCOLS.iter().any(|known| known.eq_ignore_ascii_case(value)) => {
            Ok(vec![pair("security.protocol", value.to_ascii_lowercase())])
        }
        Some(value) => {
            let message =
                "String must be one of (case insensitive): PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL";
            Err(ConfigError::invalid("security.protocol", value, message))
        }
    }
}

fn login(java: &Settings) -> Result<Pairs, ConfigError> {
    let mechanism = get(java, "sasl.mechanism").unwrap_or("GSSAPI");
    let module = match mechanism {
        "PLAIN" => "PlainLoginModule",
        "SCRAM-SHA-256" | "SCRAM-SHA-512" => "ScramLoginModule",
        other => {
            let message = "this worker's clients cannot keep it: use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512";
            return Err(ConfigError::invalid("sasl.mechanism", other, message));
        }
    };
    // The text holds a password, so it is never shown.
    let wrong = |message: String| ConfigError::invalid("sasl.jaas.config", "[hidden]", &message);
    let text = get(java, "sasl.jaas.config").filter(|text| !text.is_empty()).ok_or_else(|| {
        wrong(format!(
            "{mechanism} needs a login, such as `…{module} required username=\"…\" password=\"…\";`"
        ))
    })?;
    let parsed = jaas::parse_module(text).map_err(wrong)?;
    if parsed.simple_class() != module {
        return Err(wrong(format!("{mechanism} needs {module}, not {}", parsed.simple_class())));
    }
    let option = |name: &str| {
        parsed
            .option(name)
            .map(|value| value.expose().to_owned())
            .ok_or_else(|| wrong(format!("it lacks {name}")))
    };
    Ok(vec![
        pair("sasl.mechanism", mechanism),
        pair("sasl.username", option("username")?),
        pair("sasl.password", option("password")?),
    ])
}

fn key_store(java: &Settings) -> Result<Pairs, ConfigError> {
    let store = stores::key_store(&|name| java.get(name).map(String::as_str))?;
    let password = |secret: &Option<crate::api::config_def::Password>| {
        secret.as_ref().map(|secret| pair("ssl.key.password", secret.expose()))
    };
    Ok(match store {
        None => Pairs::new(),
        Some(KeyStore::PemFile { path, key_password }) => {
            let path = path.display().to_string();
            let files = [pair("ssl.certificate.location", &*path), pair("ssl.key.location", &*path)];
            files.into_iter().chain(password(&key_password)).collect()
        }
        Some(KeyStore::PemText { key, chain, key_password }) => {
            let texts = [pair("ssl.certificate.pem", chain), pair("ssl.key.pem", key.expose())];
            texts.into_iter().chain(password(&key_password)).collect()
        }
        Some(KeyStore::Pkcs12 { path, password }) => vec![
            pair("ssl.keystore.location", path.display().to_string()),
            pair("ssl.keystore.password", password.expose()),
        ],
    })
}

fn trust_store(java: &Settings) -> Result<Pairs, ConfigError> {
    let store = stores::trust_store(&|name| java.get(name).map(String::as_str))?;
    Ok(match store {
        None => Pairs::new(),
        Some(TrustStore::PemFile(path)) => vec![pair("ssl.ca.location", path.display().to_string())],
        Some(TrustStore::PemText(text)) => vec![pair("ssl.ca.pem", text)],
    })
}

fn host_name_check(java: &Settings) -> Result<Pairs, ConfigError> {
    const KEY: &str = "ssl.endpoint.identification.algorithm";
    match get(java, KEY) {
        None => Ok(Pairs::new()),
        Some("") => Ok(vec![pair(KEY, "none")]),
        Some(value) if value.eq_ignore_ascii_case("https") => Ok(vec![pair(KEY, "https")]),
        Some(value) => Err(ConfigError::invalid(KEY, value, "it is https, or empty to check no host name")),
    }
}
