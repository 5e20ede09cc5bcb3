//! Key stores and trust stores in the names of Java: `ssl.keystore.*`, `ssl.truststore.*`. Clients and listeners share
//! them. Java's own format JKS cannot be read by anything but Java; PKCS12 can, and most `.jks` files are PKCS12.

use std::path::PathBuf;

use openssl::pkcs12::Pkcs12;

use super::files;
use crate::api::config_def::{ConfigError, Password};

/// A private key with its certificate chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyStore {
    /// A file with key and chain in PEM.
    PemFile {
        /// The file.
        path: PathBuf,
        /// The password of the key, if it is encrypted.
        key_password: Option<Password>,
    },
    /// Key and chain in PEM, given in the settings themselves.
    PemText {
        /// The private key.
        key: Password,
        /// The certificate and those that signed it.
        chain: String,
        /// The password of the key, if it is encrypted.
        key_password: Option<Password>,
    },
    /// A PKCS12 file.
    Pkcs12 {
        /// The file.
        path: PathBuf,
        /// Its password.
        password: Password,
    },
}

/// The certificates to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustStore {
    /// A file of certificates in PEM.
    PemFile(PathBuf),
    /// Certificates in PEM: given in the settings themselves, or taken out of a PKCS12 file.
    PemText(String),
}

/// Looks up a setting by its name without prefix, such as `ssl.keystore.type`.
pub type Lookup<'a> = dyn Fn(&str) -> Option<&'a str> + 'a;

/// The key store that the settings describe, if they describe one.
///
/// # Errors
/// The setting that is wrong, with what to do.
pub fn key_store(get: &Lookup<'_>) -> Result<Option<KeyStore>, ConfigError> {
    let get = |name: &str| get(name).filter(|value| !value.trim().is_empty());
    let key_password = get("ssl.key.password").map(Password::new);
    if let Some(key) = get("ssl.keystore.key") {
        let chain = get("ssl.keystore.certificate.chain").ok_or_else(|| {
            let message = "ssl.keystore.key is set, but ssl.keystore.certificate.chain is not";
            ConfigError::message("ssl.keystore.certificate.chain", message)
        })?;
        require_pem("ssl.keystore.type", get("ssl.keystore.type"))?;
        let (key, chain) = (Password::new(key), chain.to_owned());
        return Ok(Some(KeyStore::PemText { key, chain, key_password }));
    }
    let Some(location) = get("ssl.keystore.location") else { return Ok(None) };
    let path = PathBuf::from(location.trim());
    match kind("ssl.keystore", get("ssl.keystore.type"), &path)? {
        Kind::Pem => Ok(Some(KeyStore::PemFile { path, key_password })),
        Kind::Pkcs12 => {
            let password = get("ssl.keystore.password").map(Password::new).ok_or_else(|| {
                let message = "a PKCS12 key store needs its password";
                ConfigError::invalid("ssl.keystore.password", "null", message)
            })?;
            Ok(Some(KeyStore::Pkcs12 { path, password }))
        }
    }
}

/// The trust store that the settings describe, if they describe one. A PKCS12 file is read here, because librdkafka
/// cannot.
///
/// # Errors
/// The setting that is wrong, with what to do.
pub fn trust_store(get: &Lookup<'_>) -> Result<Option<TrustStore>, ConfigError> {
    let get = |name: &str| get(name).filter(|value| !value.trim().is_empty());
    if let Some(certificates) = get("ssl.truststore.certificates") {
        require_pem("ssl.truststore.type", get("ssl.truststore.type"))?;
        return Ok(Some(TrustStore::PemText(certificates.to_owned())));
    }
    let Some(location) = get("ssl.truststore.location") else { return Ok(None) };
    let path = PathBuf::from(location.trim());
    match kind("ssl.truststore", get("ssl.truststore.type"), &path)? {
        Kind::Pem => Ok(Some(TrustStore::PemFile(path))),
        Kind::Pkcs12 => {
            let password = get("ssl.truststore.password").unwrap_or_default();
            certificates_of(&path, password)
                .map(|pem| Some(TrustStore::PemText(pem)))
                .map_err(|message| ConfigError::invalid("ssl.truststore.location", location, message))
        }
    }
}

enum Kind {
    Pem,
    Pkcs12,
}

fn require_pem(key: &str, store_type: Option<&str>) -> Result<(), ConfigError> {
    match store_type.map(str::trim) {
        Some(text) if text.eq_ignore_ascii_case("PEM") => Ok(()),
        other => Err(ConfigError::invalid(
            key,
            other.unwrap_or("JKS"),
            "keys and certificates given in the settings need the type PEM",
        )),
    }
}

/// The form of a store: as said, but a file that is said to be JKS is looked at, because Java's default type is JKS
/// and Java reads PKCS12 files under that name, too.
fn kind(prefix: &str, store_type: Option<&str>, path: &std::path::Path) -> Result<Kind, ConfigError> {
    let type_key = format!("{prefix}.type");
    let location_key = format!("{prefix}.location");
    match store_type.map_or("JKS", str::trim).to_ascii_uppercase().as_str() {
        "PEM" => read(&location_key, path).map(|_bytes| Kind::Pem),
        "PKCS12" => read(&location_key, path).map(|_bytes| Kind::Pkcs12),
        "JKS" => {
            let shown = path.display().to_string();
            let bytes = read(&location_key, path)?;
            match bytes.as_slice() {
                // A DER sequence, which is how every PKCS12 file begins.
                [0x30, ..] => Ok(Kind::Pkcs12),
                [0xFE, 0xED, 0xFE, 0xED, ..] => Err(ConfigError::invalid(
                    &location_key,
                    &shown,
                    "stores of the type JKS can be read by Java only; convert it with \
                     `keytool -importkeystore -srckeystore FILE -destkeystore FILE.p12 -deststoretype PKCS12` \
                     and set the type to PKCS12",
                )),
                _ => Err(ConfigError::invalid(
                    &type_key,
                    store_type.unwrap_or("JKS"),
                    format!("{shown} is no such store; set the type to PEM or PKCS12"),
                )),
            }
        }
        other => Err(ConfigError::invalid(&type_key, other, "String must be one of: PEM, PKCS12, JKS")),
    }
}

fn read(location_key: &str, path: &std::path::Path) -> Result<Vec<u8>, ConfigError> {
    files::read(path).map_err(|cause| {
        let message = format!("cannot read the file: {cause}");
        ConfigError::invalid(location_key, &path.display().to_string(), message)
    })
}

/// All certificates of a PKCS12 file as PEM.
fn certificates_of(path: &std::path::Path, password: &str) -> Result<String, String> {
    let bytes = files::read(path).map_err(|cause| format!("cannot read the file: {cause}"))?;
    let parsed = Pkcs12::from_der(&bytes)
        .and_then(|store| store.parse2(password))
        .map_err(|cause| format!("cannot open the PKCS12 store, is its password right? {cause}"))?;
    let certificates = parsed.cert.into_iter().chain(parsed.ca.into_iter().flatten());
    let mut pem = String::new();
    for certificate in certificates {
        let text = certificate
            .to_pem()
            .map_err(|cause| format!("cannot use a certificate of the store: {cause}"))?;
        pem.push_str(&String::from_utf8_lossy(&text));
    }
    if pem.is_empty() {
        return Err("the PKCS12 store holds no certificates".to_owned());
    }
    Ok(pem)
}
