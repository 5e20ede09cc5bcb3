//! The TLS of a client: whom it trusts, and the certificate that it shows.

use std::fmt;

use openssl::error::ErrorStack;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{Ssl, SslConnector, SslConnectorBuilder, SslMethod, SslVersion};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;

use super::secret;
use crate::config::client::ClientSettings;
use crate::stdx::system_trust;

/// The settings that are understood here.
pub(super) const SETTINGS: &[&str] = &[
    "enable.ssl.certificate.verification",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.cipher.suites",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.location",
    "ssl.keystore.password",
];

/// Makes sessions of TLS, at least 1.2.
#[derive(Clone)]
pub struct Tls {
    connector: SslConnector,
    verify_host: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("verify_host", &self.verify_host).finish_non_exhaustive()
    }
}

impl Tls {
    pub(super) fn from_settings(settings: &ClientSettings) -> Result<Self, String> {
        if let Some(verify) = settings.get("enable.ssl.certificate.verification")
            && verify != "true"
        {
            return Err(
                "enable.ssl.certificate.verification: certificates are always verified; remove the setting"
                    .to_owned(),
            );
        }
        let verify_host = match settings.get("ssl.endpoint.identification.algorithm").unwrap_or("https") {
            "https" => true,
            "none" => false,
            other => {
                return Err(format!(
                    "ssl.endpoint.identification.algorithm={other}: use https, or leave it empty"
                ));
            }
        };
        let refused = |what: &'static str| move |error: ErrorStack| format!("{what}: {error}");
        let mut builder =
            SslConnector::builder(SslMethod::tls_client()).map_err(refused("TLS cannot be set up"))?;
        builder
            .set_min_proto_version(Some(SslVersion::TLS1_2))
            .map_err(refused("TLS 1.2 cannot be required"))?;
        if let Some(suites) = settings.get("ssl.cipher.suites") {
            builder.set_cipher_list(suites).map_err(refused("ssl.cipher.suites"))?;
        }
        trust(&mut builder, settings)?;
        identity(&mut builder, settings)?;
        Ok(Tls { connector: builder.build(), verify_host })
    }

    /// A session with a host of this name or address.
    pub(in crate::kafka) fn session(&self, host: &str) -> Result<Ssl, ErrorStack> {
        self.connector.configure()?.verify_hostname(self.verify_host).into_ssl(host)
    }
}

fn trust(builder: &mut SslConnectorBuilder, settings: &ClientSettings) -> Result<(), String> {
    let (pem, from) = match (settings.get("ssl.ca.pem"), settings.get("ssl.ca.location")) {
        (Some(pem), _) => (pem.as_bytes().to_vec(), "ssl.ca.pem".to_owned()),
        (None, Some(path)) => (read("ssl.ca.location", path)?, format!("ssl.ca.location: {path}")),
        (None, None) => {
            if let Some(bundle) = system_trust::bundle() {
                builder.set_ca_file(bundle).map_err(|error| format!("{}: {error}", bundle.display()))?;
            }
            return Ok(());
        }
    };
    let refused = |error: ErrorStack| format!("{from}: {error}");
    let mut store = X509StoreBuilder::new().map_err(refused)?;
    for certificate in certificates(&pem, &from)? {
        store.add_cert(certificate).map_err(refused)?;
    }
    // In place of what the system trusts, not in addition.
    builder.set_cert_store(store.build());
    Ok(())
}

fn identity(builder: &mut SslConnectorBuilder, settings: &ClientSettings) -> Result<(), String> {
    let Some((from, key, chain)) = key_and_chain(settings)? else { return Ok(()) };
    let refused = |error: ErrorStack| format!("{from}: {error}");
    let (first, issuers) = chain
        .split_first()
        .ok_or_else(|| format!("{from}: there is no certificate; put that of this client first"))?;
    builder.set_certificate(first).map_err(refused)?;
    for issuer in issuers {
        builder.add_extra_chain_cert(issuer.clone()).map_err(refused)?;
    }
    if !first.public_key().map_err(refused)?.public_eq(&key) {
        return Err(format!("{from}: the key does not belong to the certificate"));
    }
    builder.set_private_key(&key).map_err(refused)
}

type KeyAndChain = (String, PKey<Private>, Vec<X509>);

fn key_and_chain(settings: &ClientSettings) -> Result<Option<KeyAndChain>, String> {
    if let Some(path) = settings.get("ssl.keystore.location") {
        let from = format!("ssl.keystore.location: {path}");
        let password = secret(settings, "ssl.keystore.password");
        let store = Pkcs12::from_der(&read("ssl.keystore.location", path)?)
            .and_then(|store| store.parse2(password.as_ref().map_or("", |it| it.expose())))
            .map_err(|error| {
                format!("{from}: cannot open the PKCS12 store, is its password right? {error}")
            })?;
        let key = store.pkey.ok_or_else(|| format!("{from}: there is no private key"))?;
        let chain = store.cert.into_iter().chain(store.ca.into_iter().flatten()).collect();
        return Ok(Some((from, key, chain)));
    }
    let pem = |text: &str, location: &str| -> Result<Option<(String, Vec<u8>)>, String> {
        match (settings.get(text), settings.get(location)) {
            (Some(pem), _) => Ok(Some((text.to_owned(), pem.as_bytes().to_vec()))),
            (None, Some(path)) => Ok(Some((format!("{location}: {path}"), read(location, path)?))),
            (None, None) => Ok(None),
        }
    };
    let key = pem("ssl.key.pem", "ssl.key.location")?;
    let chain = pem("ssl.certificate.pem", "ssl.certificate.location")?;
    match (key, chain) {
        (None, None) => Ok(None),
        (Some((key_from, key)), Some((from, chain))) => {
            let password = secret(settings, "ssl.key.password");
            // Without a passphrase OpenSSL would ask for one on the terminal.
            let passphrase = password.as_ref().map_or("", |it| it.expose());
            let key =
                PKey::private_key_from_pem_passphrase(&key, passphrase.as_bytes()).map_err(|error| {
                    format!("{key_from}: there is no private key that ssl.key.password opens: {error}")
                })?;
            let chain = certificates(&chain, &from)?;
            Ok(Some((from, key, chain)))
        }
        (Some((from, _)), None) => {
            Err(format!("{from}: a key needs a certificate; set ssl.certificate.location"))
        }
        (None, Some((from, _))) => Err(format!("{from}: a certificate needs its key; set ssl.key.location")),
    }
}

fn certificates(pem: &[u8], from: &str) -> Result<Vec<X509>, String> {
    let found = X509::stack_from_pem(pem).map_err(|error| format!("{from}: {error}"))?;
    if found.is_empty() {
        return Err(format!("{from}: there is no block that begins with -----BEGIN CERTIFICATE-----"));
    }
    Ok(found)
}

fn read(setting: &str, path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{setting}: cannot read {path}: {error}"))
}

#[cfg(test)]
mod tests {
    use openssl::asn1::Asn1Time;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::hash::MessageDigest;
    use openssl::nid::Nid;
    use openssl::symm::Cipher;
    use openssl::x509::{X509Builder, X509NameBuilder};
    use tempfile::TempDir;

    use super::*;

    fn key_and_certificate() -> (PKey<Private>, X509) {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", "worker").unwrap();
        let name = name.build();
        let mut builder = X509Builder::new().unwrap();
        builder.set_subject_name(&name).unwrap();
        builder.set_issuer_name(&name).unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        (key, builder.build())
    }

    fn tls<V: Into<String>>(settings: impl IntoIterator<Item = (&'static str, V)>) -> Result<Tls, String> {
        let settings: ClientSettings =
            settings.into_iter().map(|(name, value)| (name, value.into())).collect();
        Tls::from_settings(&settings)
    }

    #[test]
    fn keys_and_certificates_come_from_files_text_and_stores() {
        let folder = TempDir::new().unwrap();
        let (key, certificate) = key_and_certificate();
        let encrypted = key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"s3cret").unwrap();
        let pem = certificate.to_pem().unwrap();
        let both = folder.path().join("both.pem");
        std::fs::write(&both, [&encrypted[..], &pem[..]].concat()).unwrap();
        let both = both.to_str().unwrap();
        let of_file = |password| {
            tls([
                ("ssl.key.location", both),
                ("ssl.certificate.location", both),
                ("ssl.ca.location", both),
                ("ssl.key.password", password),
            ])
        };
        assert!(of_file("s3cret").is_ok());
        let told = of_file("0ther").unwrap_err();
        assert!(told.contains("ssl.key.location") && !told.contains("0ther"), "{told}");

        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let plain = text(key.private_key_to_pem_pkcs8().unwrap());
        let of_text =
            |key: &str| tls([("ssl.key.pem", key.to_owned()), ("ssl.certificate.pem", text(pem.clone()))]);
        assert!(of_text(&plain).is_ok());
        let (other, _) = key_and_certificate();
        let told = of_text(&text(other.private_key_to_pem_pkcs8().unwrap())).unwrap_err();
        assert!(told.contains("does not belong to the certificate"), "{told}");

        let mut store = Pkcs12::builder();
        let store = store.name("worker").pkey(&key).cert(&certificate).build2("st0re").unwrap();
        let path = folder.path().join("store.p12");
        std::fs::write(&path, store.to_der().unwrap()).unwrap();
        let path = path.to_str().unwrap();
        let of_store = |password| tls([("ssl.keystore.location", path), ("ssl.keystore.password", password)]);
        assert!(of_store("st0re").is_ok());
        let told = of_store("0ther").unwrap_err();
        assert!(told.contains(path) && !told.contains("0ther"), "{told}");
    }

    #[test]
    fn halves_are_told() {
        let (key, certificate) = key_and_certificate();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let told = tls([("ssl.key.pem", text(key.private_key_to_pem_pkcs8().unwrap()))]).unwrap_err();
        assert!(told.contains("ssl.certificate.location"), "{told}");
        let told = tls([("ssl.certificate.pem", text(certificate.to_pem().unwrap()))]).unwrap_err();
        assert!(told.contains("ssl.key.location"), "{told}");
        let told = tls([("ssl.ca.pem", "no certificate")]).unwrap_err();
        assert!(told.contains("ssl.ca.pem: there is no block"), "{told}");
    }
}
