//! TLS towards other workers. As in Apache, the settings of the main listeners are those of the client, too: workers of
//! one group are configured alike.

use std::fmt;
use std::io::{self, Read, Write};

use openssl::error::ErrorStack;
use openssl::ssl::{HandshakeError, SslConnector, SslMethod, SslOptions, SslRef, SslStream};
use openssl::x509::X509VerifyResult;

use super::{Identity, TlsError, TlsProtocol, TrustStore, store_of, trusted_by};
use super::{set_cipher_suites, set_identity, set_protocols};
use crate::stdx::system_trust;

/// All that TLS towards other workers is configured with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTlsSettings {
    /// What is shown to a worker that asks for a certificate.
    pub identity: Option<Identity>,
    /// Who may vouch for workers; `None` is whom the system trusts.
    pub trust: Option<TrustStore>,
    /// Whether a certificate must be for the host of the URL (`ssl.endpoint.identification.algorithm`).
    pub verify_host: bool,
    /// What is spoken; empty means TLS 1.2 and 1.3.
    pub protocols: Vec<TlsProtocol>,
    /// Cipher suites by their standard names; empty means OpenSSL's choice.
    pub cipher_suites: Vec<String>,
}

/// Shakes hands with other workers.
#[derive(Clone)]
pub(in crate::rest) struct Shaker {
    connector: SslConnector,
    verify_host: bool,
}

impl fmt::Debug for Shaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shaker").field("verify_host", &self.verify_host).finish_non_exhaustive()
    }
}

/// Why there is no TLS session.
#[derive(Debug)]
pub(in crate::rest) enum ShakeError {
    /// The connection below failed.
    Io(io::Error),
    /// Both sides do not agree; in words.
    Tls(String),
}

impl Shaker {
    /// Reads all files now, so that what is wrong with them is known at start.
    pub(in crate::rest) fn new(settings: &ClientTlsSettings) -> Result<Self, TlsError> {
        let refused = |what: &'static str| move |source| TlsError::Setting { what, source };
        let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(refused("its defaults"))?;
        set_protocols(&mut builder, &settings.protocols)?;
        set_cipher_suites(&mut builder, &settings.cipher_suites)?;
        if let Some(identity) = &settings.identity {
            set_identity(&mut builder, identity)?;
        }
        match &settings.trust {
            Some(trust) => builder.set_cert_store(store_of(trusted_by(trust)?)?),
            None => {
                if let Some(bundle) = system_trust::bundle() {
                    builder
                        .set_ca_file(bundle)
                        .map_err(refused("the certificates that the system trusts"))?;
                }
            }
        }
        // HTTP says itself how long an answer is.
        builder.set_options(SslOptions::IGNORE_UNEXPECTED_EOF);
        Ok(Shaker { connector: builder.build(), verify_host: settings.verify_host })
    }

    /// Shakes hands with a host of that name or address. The deadline is the stream's.
    pub(in crate::rest) fn shake<S: Read + Write>(
        &self,
        host: &str,
        stream: S,
    ) -> Result<SslStream<S>, ShakeError> {
        let refused = |error: ErrorStack| ShakeError::Tls(error.to_string());
        let session = self.connector.configure().map_err(refused)?.verify_hostname(self.verify_host);
        session.connect(host, stream).map_err(|error| match error {
            HandshakeError::SetupFailure(error) => refused(error),
            HandshakeError::WouldBlock(_) => ShakeError::Io(io::ErrorKind::TimedOut.into()),
            HandshakeError::Failure(session) => {
                let distrust = distrust(session.ssl());
                match (session.into_error().into_io_error(), distrust) {
                    (Ok(error), _) => ShakeError::Io(error),
                    (Err(_), Some(why)) => ShakeError::Tls(why),
                    (Err(error), None) => ShakeError::Tls(error.to_string()),
                }
            }
        })
    }
}

/// What is wrong with the certificate of the other side, if it is that.
fn distrust(session: &SslRef) -> Option<String> {
    let result = session.verify_result();
    (result != X509VerifyResult::OK).then(|| {
        format!(
            "its certificate is not accepted: {}. Certificates are checked against ssl.truststore.location, and their \
             names against the host of the URL unless ssl.endpoint.identification.algorithm is empty (both with the \
             prefix listeners.https. if any setting has it)",
            result.error_string()
        )
    })
}
