//! TLS of a listener: what it is configured with, and the OpenSSL acceptor made of it. That of the client is below.
//!
//! Errors name the file and what to do about it; passwords and keys never appear.

pub mod client;

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use openssl::error::ErrorStack;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{
    HandshakeError, SslAcceptor, SslContextBuilder, SslMethod, SslOptions, SslRef, SslSessionCacheMode,
    SslStream, SslVerifyMode, SslVersion,
};
use openssl::stack::Stack;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::{X509, X509Name};

/// A password; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Wraps it.
    pub fn new(password: impl Into<String>) -> Self {
        Password(password.into())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// Where PEM text comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum PemSource {
    /// A file, read once.
    File(PathBuf),
    /// The text itself.
    Text(String),
}

impl fmt::Debug for PemSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for PemSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PemSource::File(path) => write!(f, "{}", path.display()),
            PemSource::Text(_) => f.write_str("the PEM text of the configuration"),
        }
    }
}

/// Who the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A certificate, followed by those of its issuers, and its key. Both may be the same file.
    Pem {
        /// The certificate chain.
        chain: PemSource,
        /// The private key.
        key: PemSource,
        /// What the key is encrypted with, if it is.
        key_password: Option<Password>,
    },
    /// A PKCS12 key store.
    Pkcs12 {
        /// The store.
        file: PathBuf,
        /// Its password.
        password: Password,
    },
}

/// Whom the server trusts to vouch for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustStore {
    /// Certificates in PEM.
    Pem(PemSource),
    /// The certificates of a PKCS12 store.
    Pkcs12 {
        /// The store.
        file: PathBuf,
        /// Its password.
        password: Password,
    },
}

/// `ssl.client.auth`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// Clients are not asked for a certificate.
    #[default]
    None,
    /// Clients may show one; it must be trusted if they do.
    Requested,
    /// Clients must show one that is trusted.
    Required,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as what they are")]
pub enum TlsProtocol {
    Tls12,
    Tls13,
}

/// All that a TLS listener is configured with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// Certificate and key.
    pub identity: Identity,
    /// Needed where clients are asked for certificates.
    pub trust: Option<TrustStore>,
    /// Whether they are.
    pub client_auth: ClientAuth,
    /// What is spoken; empty means TLS 1.2 and 1.3.
    pub protocols: Vec<TlsProtocol>,
    /// Cipher suites by their standard names (`TLS_AES_128_GCM_SHA256`); empty means OpenSSL's choice.
    pub cipher_suites: Vec<String>,
}

/// What a TLS session says about its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsPeer {
    /// Such as `TLSv1.3`.
    pub protocol: String,
    /// The subject of the client's certificate, such as `CN=probe, O=Example`; `None` if it showed none.
    pub subject: Option<String>,
}

/// Why a TLS listener cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: check that the file exists and that this user may read it")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What was read is not what it should be.
    #[error("{from} holds no {what}: {remedy}")]
    Content {
        /// Where it was read from.
        from: String,
        /// What was looked for.
        what: &'static str,
        /// What to do.
        remedy: &'static str,
        /// Why.
        source: ErrorStack,
    },
    /// The key does not belong to the certificate.
    #[error("the private key in {key} does not belong to the first certificate in {chain}")]
    Mismatch {
        /// Where the certificate was read from.
        chain: String,
        /// Where the key was read from.
        key: String,
        /// Why.
        source: ErrorStack,
    },
    /// Clients are to show certificates that nothing could be checked against.
    #[error(
        "ssl.client.auth asks clients for certificates, but no trust store is set: set ssl.truststore.location"
    )]
    NoTrustStore,
    /// A cipher suite that OpenSSL does not know.
    #[error("unknown cipher suite {0}: use standard names such as TLS_AES_128_GCM_SHA256")]
    CipherSuite(String),
    /// OpenSSL refused a setting.
    #[error("TLS refuses {what}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// Why.
        source: ErrorStack,
    },
}

/// Shakes hands with the clients of one listener.
#[derive(Clone)]
pub(super) struct Acceptor(SslAcceptor);

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acceptor")
    }
}

impl Acceptor {
    /// Shakes hands. The deadline is the stream's.
    pub(super) fn accept<S: Read + Write + fmt::Debug>(&self, stream: S) -> io::Result<SslStream<S>> {
        self.0.accept(stream).map_err(|error| match error {
            HandshakeError::SetupFailure(error) => io::Error::other(error),
            HandshakeError::Failure(session) => io::Error::other(session.into_error()),
            HandshakeError::WouldBlock(_) => io::ErrorKind::TimedOut.into(),
        })
    }
}

/// Makes the acceptor of a listener. Reads all files now, so that what is wrong with them is known at start.
pub(super) fn acceptor(settings: &TlsSettings) -> Result<Acceptor, TlsError> {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())
        .map_err(|source| TlsError::Setting { what: "its defaults", source })?;
    set_protocols(&mut acceptor, &settings.protocols)?;
    set_cipher_suites(&mut acceptor, &settings.cipher_suites)?;
    set_identity(&mut acceptor, &settings.identity)?;
    set_client_auth(&mut acceptor, settings)?;
    // Sessions are resumed by tickets alone; a cache would grow with clients.
    acceptor.set_session_cache_mode(SslSessionCacheMode::OFF);
    acceptor.set_options(SslOptions::NO_RENEGOTIATION);
    Ok(Acceptor(acceptor.build()))
}

/// What an established session says about its client.
pub(super) fn peer_of(session: &SslRef) -> TlsPeer {
    let subject = session.peer_certificate().map(|certificate| subject_text(certificate.subject_name()));
    TlsPeer { protocol: session.version_str().to_owned(), subject }
}

fn subject_text(name: &openssl::x509::X509NameRef) -> String {
    let parts = name.entries().filter_map(|entry| {
        let key = entry.object().nid().short_name().ok()?;
        let value = entry.data().to_string().ok()?;
        Some(format!("{key}={value}"))
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn set_protocols(context: &mut SslContextBuilder, protocols: &[TlsProtocol]) -> Result<(), TlsError> {
    let refused = |source| TlsError::Setting { what: "ssl.enabled.protocols", source };
    let speaks = |protocol| protocols.is_empty() || protocols.contains(&protocol);
    let (lowest, highest) = match (speaks(TlsProtocol::Tls12), speaks(TlsProtocol::Tls13)) {
        (true, false) => (SslVersion::TLS1_2, SslVersion::TLS1_2),
        (false, _) => (SslVersion::TLS1_3, SslVersion::TLS1_3),
        (true, true) => (SslVersion::TLS1_2, SslVersion::TLS1_3),
    };
    context.set_min_proto_version(Some(lowest)).map_err(refused)?;
    context.set_max_proto_version(Some(highest)).map_err(refused)
}

fn set_cipher_suites(context: &mut SslContextBuilder, suites: &[String]) -> Result<(), TlsError> {
    let refused = |source| TlsError::Setting { what: "ssl.cipher.suites", source };
    let mut of_13 = Vec::new();
    let mut of_12 = Vec::new();
    for suite in suites {
        // Of TLS 1.3 are the names that say no key exchange.
        if suite.starts_with("TLS_") && !suite.contains("_WITH_") {
            of_13.push(suite.as_str());
            continue;
        }
        match openssl::ssl::cipher_name(suite) {
            "(NONE)" => return Err(TlsError::CipherSuite(suite.clone())),
            name => of_12.push(name),
        }
    }
    if !of_13.is_empty() {
        context.set_ciphersuites(&of_13.join(":")).map_err(|_| TlsError::CipherSuite(of_13.join(", ")))?;
    }
    if !of_12.is_empty() {
        context.set_cipher_list(&of_12.join(":")).map_err(refused)?;
    }
    Ok(())
}

fn set_identity(context: &mut SslContextBuilder, identity: &Identity) -> Result<(), TlsError> {
    let (certificates, chain_from, key, key_from) = match identity {
        Identity::Pem { chain, key, key_password } => {
            let certificates = read_certificates(chain)?;
            (certificates, chain.to_string(), read_key(key, key_password.as_ref())?, key.to_string())
        }
        Identity::Pkcs12 { file, password } => {
            let (certificates, key) = read_pkcs12(file, password)?;
            let from = file.display().to_string();
            let key = key.ok_or_else(|| missing(&from, "private key", "export the key pair into it"))?;
            (certificates, from.clone(), key, from)
        }
    };
    let refused = |source| TlsError::Setting { what: "the certificate", source };
    let (first, issuers) = certificates
        .split_first()
        .ok_or_else(|| missing(&chain_from, "certificate", "put the server's certificate first"))?;
    context.set_certificate(first).map_err(refused)?;
    for issuer in issuers {
        context.add_extra_chain_cert(issuer.clone()).map_err(refused)?;
    }
    let mismatch = |source| TlsError::Mismatch { chain: chain_from.clone(), key: key_from.clone(), source };
    context.set_private_key(&key).map_err(mismatch)?;
    context.check_private_key().map_err(mismatch)
}

fn set_client_auth(context: &mut SslContextBuilder, settings: &TlsSettings) -> Result<(), TlsError> {
    let mode = match settings.client_auth {
        ClientAuth::None => return Ok(()),
        ClientAuth::Requested => SslVerifyMode::PEER,
        ClientAuth::Required => SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT,
    };
    let trusted = trusted_by(settings.trust.as_ref().ok_or(TlsError::NoTrustStore)?)?;
    let refused = |source| TlsError::Setting { what: "the trust store", source };
    let mut names = Stack::<X509Name>::new().map_err(refused)?;
    for certificate in &trusted {
        let name = certificate.subject_name().to_owned().map_err(refused)?;
        names.push(name).map_err(refused)?;
    }
    context.set_cert_store(store_of(trusted)?);
    context.set_client_ca_list(names);
    context.set_session_id_context(b"herdsman").map_err(refused)?;
    context.set_verify(mode);
    Ok(())
}

/// The certificates of a trust store.
fn trusted_by(trust: &TrustStore) -> Result<Vec<X509>, TlsError> {
    match trust {
        TrustStore::Pem(source) => read_certificates(source),
        TrustStore::Pkcs12 { file, password } => Ok(read_pkcs12(file, password)?.0),
    }
}

fn store_of(certificates: Vec<X509>) -> Result<X509Store, TlsError> {
    let refused = |source| TlsError::Setting { what: "the trust store", source };
    let mut store = X509StoreBuilder::new().map_err(refused)?;
    for certificate in certificates {
        store.add_cert(certificate).map_err(refused)?;
    }
    Ok(store.build())
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn read_pem(source: &PemSource) -> Result<Vec<u8>, TlsError> {
    match source {
        PemSource::File(path) => read(path),
        PemSource::Text(text) => Ok(text.clone().into_bytes()),
    }
}

fn read_certificates(from: &PemSource) -> Result<Vec<X509>, TlsError> {
    const REMEDY: &str = "it should hold blocks that begin with -----BEGIN CERTIFICATE-----";
    let certificates = X509::stack_from_pem(&read_pem(from)?).map_err(|source| TlsError::Content {
        from: from.to_string(),
        what: "readable certificate",
        remedy: REMEDY,
        source,
    })?;
    if certificates.is_empty() {
        return Err(missing(&from.to_string(), "certificate", REMEDY));
    }
    Ok(certificates)
}

fn read_key(from: &PemSource, password: Option<&Password>) -> Result<PKey<Private>, TlsError> {
    let pem = read_pem(from)?;
    // Without a passphrase OpenSSL would ask for one on the terminal.
    let passphrase = password.map_or("", |password| password.0.as_str());
    PKey::private_key_from_pem_passphrase(&pem, passphrase.as_bytes()).map_err(|source| TlsError::Content {
        from: from.to_string(),
        what: "readable private key",
        remedy: "it should hold an unencrypted PKCS8 key, or one that ssl.key.password opens",
        source,
    })
}

fn read_pkcs12(file: &Path, password: &Password) -> Result<(Vec<X509>, Option<PKey<Private>>), TlsError> {
    let unreadable = |source| TlsError::Content {
        from: file.display().to_string(),
        what: "readable PKCS12 store",
        remedy: "check its password and its type; a JKS store can be turned into PKCS12 by \
                 keytool -importkeystore -deststoretype PKCS12",
        source,
    };
    let store =
        Pkcs12::from_der(&read(file)?).and_then(|store| store.parse2(&password.0)).map_err(unreadable)?;
    let issuers = store.ca.into_iter().flatten();
    Ok((store.cert.into_iter().chain(issuers).collect(), store.pkey))
}

fn missing(from: &str, what: &'static str, remedy: &'static str) -> TlsError {
    TlsError::Content { from: from.to_owned(), what, remedy, source: ErrorStack::get() }
}
