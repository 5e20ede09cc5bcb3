//! What a TLS session says about its client.

/// What a TLS session says about its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsPeer {
    /// Such as `TLSv1.3`.
    pub protocol: String,
    /// The subject of the client's certificate, such as `CN=probe, O=Example`; `None` if it showed none.
    pub subject: Option<String>,
}
