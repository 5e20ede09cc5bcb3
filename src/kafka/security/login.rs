//! The login by SASL: which mechanism with which credentials, and one exchange of it with a broker.

use std::fmt;

use jiff::Timestamp;
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::config::SASLConfig;
use rsasl::prelude::{Mechname, SASLClient, Session, SessionError, State};
use rsasl::property::{AuthId, OAuthBearerKV, OAuthBearerToken, Password as PasswordProperty};
use serde::Deserialize;

use super::secret;
use super::unsecured_token::UnsecuredToken;
use crate::api::config_def::Password;
use crate::config::client::ClientSettings;

/// The settings that are understood here.
pub(super) const SETTINGS: &[&str] = &[
    "enable.sasl.oauthbearer.unsecure.jwt",
    "sasl.mechanism",
    "sasl.oauthbearer.config",
    "sasl.password",
    "sasl.username",
];

/// How often a password may be hashed for SCRAM. Fewer rounds are refused by RFC 7677 and by Java; far more would hold
/// up the thread that sends the heartbeats. Brokers use 4096 to 16384.
const ROUNDS: std::ops::RangeInclusive<u32> = 4096..=100_000;

/// The hash of a SCRAM mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as what they are")]
pub enum ScramHash {
    Sha256,
    Sha512,
}

/// Who logs in, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// Name and password as they are.
    Plain {
        /// The name.
        user: String,
        /// The password.
        password: Password,
    },
    /// Name and password; both sides prove that they know it.
    Scram {
        /// The hash.
        hash: ScramHash,
        /// The name.
        user: String,
        /// The password.
        password: Password,
    },
    /// A token that this client makes by itself.
    OauthBearer(UnsecuredToken),
}

impl Login {
    pub(super) fn from_settings(settings: &ClientSettings) -> Result<Self, String> {
        let mechanism = settings.get("sasl.mechanism").ok_or("sasl.mechanism is not set")?;
        match mechanism {
            "PLAIN" => {
                let (user, password) = name_and_password(settings)?;
                Ok(Login::Plain { user, password })
            }
            "SCRAM-SHA-256" | "SCRAM-SHA-512" => {
                let hash = if mechanism == "SCRAM-SHA-256" { ScramHash::Sha256 } else { ScramHash::Sha512 };
                let (user, password) = name_and_password(settings)?;
                Ok(Login::Scram { hash, user, password })
            }
            "OAUTHBEARER" => {
                if settings.get("enable.sasl.oauthbearer.unsecure.jwt") != Some("true") {
                    return Err("sasl.mechanism=OAUTHBEARER: only unsecured tokens can be made; set \
                                enable.sasl.oauthbearer.unsecure.jwt=true and sasl.oauthbearer.config"
                        .to_owned());
                }
                let text = settings.get("sasl.oauthbearer.config").unwrap_or_default();
                UnsecuredToken::parse(text).map(Login::OauthBearer)
            }
            other => {
                Err(format!("sasl.mechanism={other}: use PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"))
            }
        }
    }

    /// The name of the mechanism.
    pub fn mechanism(&self) -> &'static str {
        match self {
            Login::Plain { .. } => "PLAIN",
            Login::Scram { hash: ScramHash::Sha256, .. } => "SCRAM-SHA-256",
            Login::Scram { hash: ScramHash::Sha512, .. } => "SCRAM-SHA-512",
            Login::OauthBearer(_) => "OAUTHBEARER",
        }
    }
}

fn name_and_password(settings: &ClientSettings) -> Result<(String, Password), String> {
    let needed = |name: &str| {
        let value = secret(settings, name).filter(|value| !value.expose().is_empty());
        let value = value.ok_or_else(|| format!("{name} is not set"))?;
        if value.expose().contains('\0') {
            return Err(format!("{name} must not contain the character NUL"));
        }
        Ok(value)
    };
    Ok((needed("sasl.username")?.expose().to_owned(), needed("sasl.password")?))
}

/// One login under way. Knows nothing of Kafka: messages of the mechanism go out and come in.
pub(in crate::kafka) struct LoginExchange {
    session: Session,
    mechanism: &'static str,
    is_finished: bool,
}

impl fmt::Debug for LoginExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginExchange").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}

impl LoginExchange {
    /// Begins a login; gives the first message for the broker.
    ///
    /// # Errors
    /// What is wrong, in words without secrets.
    pub(in crate::kafka) fn begin(login: &Login, now: Timestamp) -> Result<(Self, Vec<u8>), String> {
        let mechanism = login.mechanism();
        let name = Mechname::parse(mechanism.as_bytes()).map_err(|error| error.to_string())?;
        let config = SASLConfig::builder()
            .with_default_mechanisms()
            .with_callback(Answers::of(login, now))
            .map_err(|error| error.to_string())?;
        let session = SASLClient::new(config).start_suggested(&[name]).map_err(|error| error.to_string())?;
        let mut exchange = LoginExchange { session, mechanism, is_finished: false };
        let first = exchange.step(None)?;
        Ok((exchange, first))
    }

    /// Takes a message of the broker; gives the next one for it, or nothing once the login is complete.
    ///
    /// # Errors
    /// The broker refuses, or does not prove what it should.
    pub(in crate::kafka) fn answer(&mut self, message: &[u8]) -> Result<Option<Vec<u8>>, String> {
        if self.is_finished {
            return Ok(None);
        }
        match self.mechanism {
            "OAUTHBEARER" if !message.is_empty() => return Err(refused_token(message)),
            "SCRAM-SHA-256" | "SCRAM-SHA-512" => check_scram(message)?,
            _ => {}
        }
        let next = self.step(Some(message))?;
        Ok(if self.is_finished { None } else { Some(next) })
    }

    fn step(&mut self, message: Option<&[u8]>) -> Result<Vec<u8>, String> {
        let mut next = Vec::new();
        let state = self.session.step(message, &mut next).map_err(|error| error.to_string())?;
        self.is_finished = matches!(state, State::Finished(_));
        Ok(next)
    }
}

/// Messages of SCRAM are attributes between commas, such as `r=…,s=…,i=4096`, where the last says how often to hash.
/// `rsasl` relies on that form, and panics at any other.
fn check_scram(message: &[u8]) -> Result<(), String> {
    let mut attributes = message.split(|byte| *byte == b',');
    if !attributes.clone().all(|attribute| matches!(attribute, [b'a'..=b'z' | b'A'..=b'Z', b'=', ..])) {
        return Err("the broker sent what is no message of SCRAM".to_owned());
    }
    let Some(rounds) = attributes.find_map(|attribute| attribute.strip_prefix(b"i=")) else { return Ok(()) };
    let rounds = std::str::from_utf8(rounds).ok().and_then(|text| text.parse::<u32>().ok());
    match rounds {
        Some(rounds) if ROUNDS.contains(&rounds) => Ok(()),
        Some(rounds) => Err(format!(
            "the broker asks for {rounds} rounds of SCRAM; {} to {} are accepted",
            ROUNDS.start(),
            ROUNDS.end()
        )),
        None => Err("the broker asks for a number of rounds of SCRAM that is none".to_owned()),
    }
}

/// What a broker says of a token that it refuses, RFC 7628.
fn refused_token(message: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        status: String,
    }
    match serde_json::from_slice::<Refusal>(message) {
        Ok(refusal) => format!("the broker refuses the token: {}", refusal.status.escape_debug()),
        Err(_) => "the broker refuses the token".to_owned(),
    }
}

/// What the mechanisms ask for.
enum Answers {
    Password { user: String, password: Password },
    Token { token: Password, extensions: Vec<(String, String)> },
}

impl Answers {
    fn of(login: &Login, now: Timestamp) -> Self {
        match login {
            Login::Plain { user, password } | Login::Scram { user, password, .. } => {
                Answers::Password { user: user.clone(), password: password.clone() }
            }
            Login::OauthBearer(token) => Answers::Token {
                token: Password::new(token.compact(now)),
                extensions: token
                    .extensions()
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
            },
        }
    }
}

impl SessionCallback for Answers {
    fn callback(
        &self,
        _: &SessionData,
        _: &Context<'_>,
        request: &mut Request<'_>,
    ) -> Result<(), SessionError> {
        match self {
            Answers::Password { user, password } => {
                request.satisfy::<AuthId>(user)?.satisfy::<PasswordProperty>(password.expose().as_bytes())?;
            }
            Answers::Token { token, extensions } => {
                let pairs: Vec<(&str, &str)> =
                    extensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                request.satisfy::<OAuthBearerToken>(token.expose())?;
                if !pairs.is_empty() {
                    request.satisfy::<OAuthBearerKV>(&pairs)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(login: &Login) -> (LoginExchange, String) {
        let now = Timestamp::from_millisecond(1_000_000).unwrap();
        let (exchange, first) = LoginExchange::begin(login, now).unwrap();
        (exchange, String::from_utf8(first).unwrap())
    }

    fn scram() -> Login {
        Login::Scram { hash: ScramHash::Sha256, user: "user".into(), password: Password::new("pencil") }
    }

    #[test]
    fn plain_is_one_message() {
        let login = Login::Plain { user: "alice".into(), password: Password::new("pass,=word") };
        let (mut exchange, first) = begin(&login);
        assert_eq!(first, "\0alice\0pass,=word");
        assert_eq!(exchange.answer(b"").unwrap(), None);
    }

    #[test]
    fn a_token_is_one_message_and_its_refusal_is_told() {
        let token = UnsecuredToken::parse("principal=alice extension_trace=7").unwrap();
        let login = Login::OauthBearer(token);
        let (mut exchange, first) = begin(&login);
        let token = first.split("Bearer ").nth(1).unwrap().trim_end_matches('\u{1}').to_owned();
        assert_eq!(first, format!("n,,\u{1}trace=7\u{1}auth=Bearer {token}\u{1}\u{1}"));
        assert_eq!(exchange.answer(b"").unwrap(), None);
        let (mut exchange, _) = begin(&login);
        let told = exchange.answer(br#"{"status":"invalid_token"}"#).unwrap_err();
        assert_eq!(told, "the broker refuses the token: invalid_token");
    }

    #[test]
    fn scram_refuses_a_broker_that_cheats() {
        let (_, first) = begin(&scram());
        let nonce = first.strip_prefix("n,,n=user,r=").expect("no channel binding is claimed").to_owned();
        assert!(nonce.len() >= 16, "{nonce}");
        let salt = "W22ZaJ0SNY7soEsUEjb6gQ==";
        for (rounds, told) in
            [("1", "4096 to 100000"), ("4294967295", "4096 to 100000"), ("many", "that is none")]
        {
            let (mut exchange, _) = begin(&scram());
            let error = exchange.answer(format!("r={nonce}x,s={salt},i={rounds}").as_bytes()).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
        let (mut exchange, _) = begin(&scram());
        assert!(exchange.answer(format!("r=other,s={salt},i=4096").as_bytes()).is_err(), "a foreign nonce");
        for last in ["v=AAAA", "e=invalid-proof", "", "v", ",v=AAAA"] {
            let (mut exchange, first) = begin(&scram());
            let nonce = first.strip_prefix("n,,n=user,r=").unwrap();
            let proof = exchange.answer(format!("r={nonce}x,s={salt},i=4096").as_bytes()).unwrap().unwrap();
            assert!(String::from_utf8(proof).unwrap().starts_with("c=biws,r="));
            assert!(exchange.answer(last.as_bytes()).is_err(), "no proof that it knows the password: {last}");
        }
        for first in ["", ",", "r", "r=x,s", "r=x,s=y,,", "r=x,s=y", "=,=,="] {
            let (mut exchange, _) = begin(&scram());
            assert!(exchange.answer(first.as_bytes()).is_err(), "{first}");
        }
    }
}
