//! The key that the workers of a group sign their requests to each other with.

use std::fmt;

/// A session key as it stands in the config topic. It does not print its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKey {
    bytes: Vec<u8>,
    algorithm: String,
    created_ms: i64,
}

impl SessionKey {
    /// Of its bytes, the algorithm that it is for by Java's name, and the time it was made, in milliseconds since 1970.
    pub fn new(bytes: Vec<u8>, algorithm: impl Into<String>, created_ms: i64) -> Self {
        SessionKey { bytes, algorithm: algorithm.into(), created_ms }
    }

    /// The key itself, for what signs with it or stores it and for nothing else.
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }

    /// What it is for by Java's name; another worker may have used one that is not known here.
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// When it was made, in milliseconds since 1970, by the clock of whoever made it.
    pub fn created_ms(&self) -> i64 {
        self.created_ms
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKey")
            .field("bytes", &format_args!("[hidden]"))
            .field("algorithm", &self.algorithm)
            .field("created_ms", &self.created_ms)
            .finish()
    }
}
