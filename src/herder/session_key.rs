//! The session key of the group (KIP-507): who makes it and when, and how requests between workers are signed with it
//! and checked.
//!
//! Pure. All this is in force while the group speaks the protocol `sessioned`; whoever asks here has looked at that. The
//! time is the wall clock's, because keys tell in it when they were made.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::stdx::java_base64::{self, Base64Error};
use crate::stdx::java_mac::MacAlgorithm;
use crate::store::session_key::SessionKey;

/// The header that holds the signature of a request, in Base64.
pub const SIGNATURE_HEADER: &str = "X-Connect-Authorization";
/// The header that holds the algorithm of the signature.
pub const ALGORITHM_HEADER: &str = "X-Connect-Request-Signature-Algorithm";

/// How this worker makes keys and signatures: the settings `inter.worker.*`.
#[derive(Debug, Clone)]
pub struct KeySettings {
    /// What new keys are for.
    pub key_algorithm: MacAlgorithm,
    /// How long they are, in bytes.
    pub key_bytes: usize,
    /// How long a key is used; zero is for as long as the leader runs.
    pub ttl: Duration,
    /// How requests are signed.
    pub signature: MacAlgorithm,
    /// Which signatures are accepted.
    pub verification: Vec<MacAlgorithm>,
}

/// A request's signature as it came. It does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestSignature {
    algorithm: String,
    code: Vec<u8>,
}

impl RequestSignature {
    /// Reads the headers of a request; `None` if one is missing. Headers that are wrong are refused in any protocol.
    ///
    /// # Errors
    /// The headers cannot be understood.
    pub fn from_headers(
        signature: Option<&str>,
        algorithm: Option<&str>,
    ) -> Result<Option<Self>, SignatureError> {
        let (Some(signature), Some(algorithm)) = (signature, algorithm) else { return Ok(None) };
        // Java has many more of the family than there are here: those are not accepted, but there they are.
        if !algorithm.starts_with("Hmac") {
            return Err(SignatureError::NoSuchAlgorithm(algorithm.to_owned()));
        }
        let code = java_base64::decode(signature.as_bytes()).map_err(SignatureError::NotBase64)?;
        Ok(Some(RequestSignature { algorithm: algorithm.to_owned(), code }))
    }

    /// The value of [`SIGNATURE_HEADER`].
    pub fn signature_header(&self) -> String {
        java_base64::encode(&self.code)
    }

    /// The value of [`ALGORITHM_HEADER`].
    pub fn algorithm_header(&self) -> &str {
        &self.algorithm
    }
}

impl fmt::Debug for RequestSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestSignature({}, [hidden])", self.algorithm)
    }
}

/// Why a request of another worker is not carried out. The texts are Apache's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// 400: the header names what is no algorithm.
    #[error("Algorithm {0} not available")]
    NoSuchAlgorithm(String),
    /// 400: the header is no Base64.
    #[error("{0}")]
    NotBase64(Base64Error),
    /// 400: a header is missing.
    #[error("Internal request missing required signature")]
    Missing,
    /// 400: the algorithm is not in `inter.worker.verification.algorithms`.
    #[error(
        "This worker does not support the '{algorithm}' key signing algorithm used by other workers. This worker is \
         currently configured to use: [{accepted}]. Check that all workers' configuration files permit the same set of \
         signature algorithms, and correct any misconfigured worker and restart it."
    )]
    NotAccepted {
        /// The algorithm of the request.
        algorithm: String,
        /// The accepted ones.
        accepted: String,
    },
    /// 503: no key was read yet.
    #[error(
        "This worker is still starting up and has not been able to read a session key from the config topic yet"
    )]
    NoKey,
    /// 403: the signature is not that of the body.
    #[error("Internal request contained invalid signature.")]
    Invalid,
}

/// When the key is to be replaced, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expiry {
    Never,
    At(i64),
}

/// The session key as far as this worker knows it.
#[derive(Debug)]
pub struct SessionKeys {
    settings: KeySettings,
    key: Option<SessionKey>,
    expiry: Expiry,
    /// A key of this worker is on its way into the config topic.
    publishing: bool,
}

impl SessionKeys {
    /// No key is known.
    pub fn new(settings: KeySettings) -> Self {
        SessionKeys { settings, key: None, expiry: Expiry::Never, publishing: false }
    }

    /// Takes the key that was in the config topic when this worker started. How old it is counts in any case: nobody may
    /// have been there to replace it.
    pub fn found_at_start(&mut self, key: SessionKey) {
        self.expiry = self.end_of(&key);
        self.key = Some(key);
    }

    /// Takes a key that came while this worker runs, be it its own or another leader's.
    pub fn received(&mut self, key: SessionKey) {
        self.expiry = if self.settings.ttl.is_zero() { Expiry::Never } else { self.end_of(&key) };
        self.key = Some(key);
        self.publishing = false;
    }

    /// The config topic is another than it was: a key that it does not hold is known to nobody who reads it from now on.
    pub fn forget(&mut self) {
        self.key = None;
        self.expiry = Expiry::Never;
        self.publishing = false;
    }

    /// Whether a leader has to publish a new key now: there is none to use. Not while one is on its way.
    pub fn must_publish(&self, now: Timestamp) -> bool {
        !self.publishing && !self.is_usable(now)
    }

    /// Whether a key of this worker is on its way into the config topic.
    pub fn is_publishing(&self) -> bool {
        self.publishing
    }

    /// Whether there is a key that a leader with these settings may use: it is what they ask for, and not used for too
    /// long.
    pub fn is_usable(&self, now: Timestamp) -> bool {
        let suits = |key: &SessionKey| {
            key.algorithm() == self.settings.key_algorithm.name()
                && key.expose().len() == self.settings.key_bytes
        };
        let expired = self.expires_in(now).is_some_and(|left| left.is_zero());
        !expired && self.key.as_ref().is_some_and(suits)
    }

    /// How long the key is to be used yet; `None` if it does not end.
    pub fn expires_in(&self, now: Timestamp) -> Option<Duration> {
        match self.expiry {
            Expiry::Never => None,
            Expiry::At(end_ms) => {
                let left = end_ms.saturating_sub(now.as_millisecond());
                Some(Duration::from_millis(u64::try_from(left).unwrap_or_default()))
            }
        }
    }

    /// The key to publish, of bytes that `fill` makes and nobody can guess. It counts when it was read back.
    pub fn make(&mut self, now: Timestamp, fill: impl FnOnce(&mut [u8])) -> SessionKey {
        let mut bytes = vec![0; self.settings.key_bytes];
        fill(&mut bytes);
        self.publishing = true;
        SessionKey::new(bytes, self.settings.key_algorithm.name(), now.as_millisecond())
    }

    /// The key that was made could not be published.
    pub fn publishing_failed(&mut self) {
        self.publishing = false;
    }

    /// Signs the body of a request, which may be empty; `None` if there is no key.
    pub fn sign(&self, body: &[u8]) -> Option<RequestSignature> {
        let algorithm = self.settings.signature;
        let code = algorithm.sign(self.key.as_ref()?.expose(), body);
        Some(RequestSignature { algorithm: algorithm.name().to_owned(), code })
    }

    /// Whether a request with this signature and body comes from a worker of the group.
    ///
    /// # Errors
    /// It does not, or that cannot be told.
    pub fn check(&self, signature: Option<&RequestSignature>, body: &[u8]) -> Result<(), SignatureError> {
        let signature = signature.ok_or(SignatureError::Missing)?;
        let accepted = &self.settings.verification;
        let algorithm = accepted.iter().find(|accepted| accepted.name() == signature.algorithm);
        let algorithm = algorithm.ok_or_else(|| SignatureError::NotAccepted {
            algorithm: signature.algorithm.clone(),
            accepted: accepted.iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>().join(", "),
        })?;
        let key = self.key.as_ref().ok_or(SignatureError::NoKey)?;
        if algorithm.verify(key.expose(), body, &signature.code) {
            Ok(())
        } else {
            Err(SignatureError::Invalid)
        }
    }

    fn end_of(&self, key: &SessionKey) -> Expiry {
        let ttl = i64::try_from(self.settings.ttl.as_millis()).unwrap_or(i64::MAX);
        Expiry::At(key.created_ms().saturating_add(ttl))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const HOUR_MS: i64 = 3_600_000;

    fn settings() -> KeySettings {
        KeySettings {
            key_algorithm: MacAlgorithm::HmacSha256,
            key_bytes: 32,
            ttl: HOUR,
            signature: MacAlgorithm::HmacSha256,
            verification: vec![MacAlgorithm::HmacSha256],
        }
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    fn key(created_ms: i64) -> SessionKey {
        SessionKey::new((0..32).collect(), "HmacSHA256", created_ms)
    }

    fn keys(settings: KeySettings) -> SessionKeys {
        let mut keys = SessionKeys::new(settings);
        keys.received(key(0));
        keys
    }

    #[test]
    fn a_leader_publishes_a_key_when_there_is_none_or_it_expired() {
        let mut keys = SessionKeys::new(settings());
        assert!(keys.must_publish(at(0)));
        let made = keys.make(at(1000), |bytes| bytes.fill(7));
        assert_eq!((made.expose(), made.algorithm(), made.created_ms()), (&[7; 32][..], "HmacSHA256", 1000));
        assert!(!keys.must_publish(at(2000)), "it is on its way");
        assert!(keys.sign(b"").is_none(), "it counts when it was read back");
        keys.publishing_failed();
        assert!(keys.must_publish(at(2000)), "it has to be tried again");
        keys.received(made);
        assert_eq!(keys.expires_in(at(1000)), Some(HOUR));
        assert!(!keys.must_publish(at(1000 + HOUR_MS - 1)));
        assert!(keys.must_publish(at(1000 + HOUR_MS)));
        let made = keys.make(at(1000 + HOUR_MS), |bytes| bytes.fill(8));
        assert!(!keys.must_publish(at(1000 + HOUR_MS)));
        keys.received(made);
        assert!(!keys.must_publish(at(1000 + HOUR_MS)));
    }

    #[test]
    fn a_leader_replaces_a_key_that_is_not_what_it_would_make() {
        for key in [
            SessionKey::new(vec![1; 16], "HmacSHA256", 0),
            SessionKey::new(vec![1; 32], "HmacSHA512", 0),
            SessionKey::new(vec![1; 32], "HmacSHA1", 0),
        ] {
            let mut keys = SessionKeys::new(settings());
            keys.received(key.clone());
            assert!(keys.must_publish(at(1)), "{key:?}");
        }
        assert!(!keys(settings()).must_publish(at(1)));
    }

    #[test]
    fn without_a_time_to_live_a_key_is_replaced_once_at_the_start() {
        let mut keys = SessionKeys::new(KeySettings { ttl: Duration::ZERO, ..settings() });
        keys.found_at_start(key(500));
        assert!(keys.must_publish(at(501)));
        keys.received(key(501));
        assert!(!keys.must_publish(at(i64::from(i32::MAX))));
        assert_eq!(keys.expires_in(at(501)), None);
        let mut keys = SessionKeys::new(settings());
        keys.found_at_start(key(500));
        assert_eq!(keys.expires_in(at(1500)), Some(HOUR - Duration::from_secs(1)));
        assert!(!keys.must_publish(at(1500)));
    }

    #[test]
    fn no_creation_time_overflows() {
        for created in [i64::MIN, i64::MAX] {
            let mut keys = SessionKeys::new(settings());
            keys.found_at_start(key(created));
            assert_eq!(keys.must_publish(at(0)), created == i64::MIN);
        }
    }

    /// Computed with another implementation, from the key 00 01 02 … 1f.
    #[test]
    fn signatures_are_those_of_java() {
        let sha512 = KeySettings { signature: MacAlgorithm::HmacSha512, ..settings() };
        for (settings, body, algorithm, signature) in [
            (settings(), "", "HmacSHA256", "04tCCW2A9F+Ca0Sp1WB95ySWpBXT9KGoyI47udqNwcs="),
            (
                settings(),
                r#"[{"key":"value"}]"#,
                "HmacSHA256",
                "bBd+r74lMYUWvih0pFmbSYBCFgboFHWKnBp5IOYv0tg=",
            ),
            (
                sha512,
                r#"[{"key":"value"}]"#,
                "HmacSHA512",
                "rCVud2AFU5+zYSYFOuCCUQuiCK6cG9Tjxiz1R7qQq8UIrpD72NFwUDExbIusCh4ezqzm4a2Aq5/vieUzVXmVBw==",
            ),
        ] {
            let signed = keys(settings).sign(body.as_bytes()).unwrap();
            assert_eq!(
                (signed.algorithm_header(), signed.signature_header().as_str()),
                (algorithm, signature)
            );
        }
    }

    #[test]
    fn a_request_is_checked_in_the_order_of_apache() {
        let body = br#"[{"key":"value"}]"#;
        let good = "bBd+r74lMYUWvih0pFmbSYBCFgboFHWKnBp5IOYv0tg=";
        let check = |keys: &SessionKeys, signature, algorithm, body: &[u8]| {
            let signature = RequestSignature::from_headers(signature, algorithm)?;
            keys.check(signature.as_ref(), body)
        };
        let known = keys(settings());
        let told = |signature, algorithm, body: &[u8]| {
            check(&known, signature, algorithm, body).map_err(|error| error.to_string())
        };
        assert_eq!(told(Some(good), Some("HmacSHA256"), body), Ok(()));
        let missing = "Internal request missing required signature";
        let invalid = "Internal request contained invalid signature.";
        let not_accepted = "This worker does not support the 'HmacSHA1' key signing algorithm used by other workers. \
             This worker is currently configured to use: [HmacSHA256]. Check that all workers' configuration files \
             permit the same set of signature algorithms, and correct any misconfigured worker and restart it.";
        for (signature, algorithm, body, expected) in [
            (None, None, &body[..], missing),
            (Some(good), None, body, missing),
            (None, Some("HmacSHA256"), body, missing),
            (Some("!"), Some("nope"), body, "Algorithm nope not available"),
            (Some("ab!"), Some("HmacSHA1"), body, "Illegal base64 character 21"),
            (Some(good), Some("HmacSHA1"), body, not_accepted),
            (Some(good), Some("HmacSHA256"), b"[]", invalid),
            (Some(&good[..40]), Some("HmacSHA256"), body, invalid),
            (Some(""), Some("HmacSHA256"), body, invalid),
        ] {
            assert_eq!(told(signature, algorithm, body), Err(expected.to_owned()));
        }
        let none = SessionKeys::new(settings());
        assert_eq!(check(&none, Some(good), Some("HmacSHA256"), body), Err(SignatureError::NoKey));
        assert!(matches!(
            check(&none, Some(good), Some("HmacSHA512"), body),
            Err(SignatureError::NotAccepted { .. })
        ));
    }

    #[test]
    fn what_was_signed_is_accepted_until_the_key_changes() {
        let all = KeySettings {
            verification: vec![MacAlgorithm::HmacSha512, MacAlgorithm::HmacSha256],
            ..settings()
        };
        let (sender, mut receiver) = (keys(settings()), keys(all));
        for body in [&b""[..], b"[]"] {
            let signature = sender.sign(body);
            assert_eq!(receiver.check(signature.as_ref(), body), Ok(()));
        }
        receiver.received(SessionKey::new(vec![9; 32], "HmacSHA256", 5));
        assert_eq!(receiver.check(sender.sign(b"").as_ref(), b""), Err(SignatureError::Invalid));
    }

    #[test]
    fn neither_key_nor_signature_print_themselves() {
        let keys = keys(settings());
        let printed = format!("{keys:?} {:?}", keys.sign(b"x"));
        assert!(!printed.contains("0, 1, 2") && printed.matches("[hidden]").count() == 2, "{printed}");
    }
}
