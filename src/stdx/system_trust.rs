//! Where systems keep the certificates that they trust. The OpenSSL of a static binary does not know.

use std::path::Path;

const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The file with the certificates that this system trusts, if it has one in a usual place. `SSL_CERT_FILE` and
/// `SSL_CERT_DIR` are OpenSSL's own affair.
pub fn bundle() -> Option<&'static Path> {
    BUNDLES.into_iter().map(Path::new).find(|path| path.is_file())
}
