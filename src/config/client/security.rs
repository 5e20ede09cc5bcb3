//! How clients log in and what they trust: SASL and TLS.

use super::super::jaas;
use super::super::stores::{self, KeyStore, TrustStore};
use super::translate::Translation;
use crate::api::config_def::{ConfigError, Password};

pub(super) fn translate(work: &mut Translation<'_>) {
    let protocol = work.settings.get("security.protocol").unwrap_or("plaintext").to_owned();
    if protocol.starts_with("sasl_") {
        sasl(work);
    }
    if protocol.ends_with("ssl") {
        tls(work);
    }
}

fn sasl(work: &mut Translation<'_>) {
    let mechanism = work.get("sasl.mechanism").unwrap_or("GSSAPI");
    let module_class = match mechanism {
        "PLAIN" => "PlainLoginModule",
        "SCRAM-SHA-256" | "SCRAM-SHA-512" => "ScramLoginModule",
        "GSSAPI" => {
            return work.refuse(
                "sasl.mechanism",
                "GSSAPI (Kerberos, also the default of Java) is not built in; use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
            );
        }
        _ => {
            return work.refuse(
                "sasl.mechanism",
                "this cannot be translated for librdkafka: use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
            );
        }
    };
    work.settings.set("sasl.mechanism", mechanism);
    match credentials(work.get("sasl.jaas.config"), module_class) {
        Ok((user, password)) => {
            work.settings.set("sasl.username", user.expose());
            work.settings.set("sasl.password", password.expose());
        }
        Err(message) => {
            let key = work.key("sasl.jaas.config");
            work.errors.push(ConfigError::invalid(&key, Password::HIDDEN, message));
        }
    }
}

/// User name and password of a JAAS text. Messages carry nothing of the text.
fn credentials(jaas: Option<&str>, module_class: &str) -> Result<(Password, Password), String> {
    let jaas = jaas.ok_or("it must name the login module with user name and password")?;
    let module = jaas::parse_module(jaas)?;
    if module.simple_class() != module_class {
        return Err(format!("this mechanism needs the login module {module_class}"));
    }
    let option = |name| module.option(name).cloned().ok_or_else(|| format!("the option {name} is missing"));
    Ok((option("username")?, option("password")?))
}

fn tls(work: &mut Translation<'_>) {
    let written = |error: ConfigError, work: &Translation<'_>| match error {
        ConfigError::Invalid { key, value, message } => {
            ConfigError::Invalid { key: work.key(&key), value, message }
        }
        ConfigError::Message { key, message } => ConfigError::Message { key: work.key(&key), message },
        other @ (ConfigError::Missing { .. }
        | ConfigError::Undefined { .. }
        | ConfigError::WrongType { .. }) => other,
    };
    match stores::key_store(&|name| work.get(name)) {
        Ok(store) => store.into_iter().for_each(|store| set_key_store(work, store)),
        Err(error) => work.errors.push(written(error, work)),
    }
    match stores::trust_store(&|name| work.get(name)) {
        Ok(None) => {}
        Ok(Some(TrustStore::PemFile(path))) => {
            work.settings.set("ssl.ca.location", path.display().to_string());
        }
        Ok(Some(TrustStore::PemText(pem))) => work.settings.set("ssl.ca.pem", pem),
        Err(error) => work.errors.push(written(error, work)),
    }
    cipher_suites(work);
}

fn set_key_store(work: &mut Translation<'_>, store: KeyStore) {
    let key_password = match store {
        KeyStore::PemFile { path, key_password } => {
            // One file holds both; OpenSSL picks what it looks for.
            let path = path.display().to_string();
            work.settings.set("ssl.key.location", path.clone());
            work.settings.set("ssl.certificate.location", path);
            key_password
        }
        KeyStore::PemText { key, chain, key_password } => {
            work.settings.set("ssl.key.pem", key.expose());
            work.settings.set("ssl.certificate.pem", chain);
            key_password
        }
        KeyStore::Pkcs12 { path, password } => {
            work.settings.set("ssl.keystore.location", path.display().to_string());
            work.settings.set("ssl.keystore.password", password.expose());
            None
        }
    };
    if let Some(password) = key_password {
        work.settings.set("ssl.key.password", password.expose());
    }
}

/// Java names suites as the TLS standard does, OpenSSL in its own way. Suites of TLS 1.3 cannot be chosen through
/// librdkafka: they stay allowed.
fn cipher_suites(work: &mut Translation<'_>) {
    const NAME: &str = "ssl.cipher.suites";
    let Some(suites) = work.get(NAME) else { return };
    let mut names = Vec::new();
    for suite in suites.split(',').map(str::trim) {
        let name = openssl::ssl::cipher_name(suite);
        if name == "(NONE)" {
            return work.refuse(NAME, &format!("OpenSSL has no cipher suite {suite}"));
        }
        if !name.starts_with("TLS_") {
            names.push(name);
        }
    }
    if !names.is_empty() {
        work.settings.set(NAME, names.join(":"));
    }
}
