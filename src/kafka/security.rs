//! How the connections of the group's member are secured: TLS, and a login by SASL.
//!
//! The settings are the same that librdkafka gets for the other clients of the worker. They are read once, with all
//! files that they name; one that these connections cannot keep is an error that names it. Secrets are in [`Password`]s.

mod login;
mod tls;
mod unsecured_token;

pub(super) use login::LoginExchange;
pub use login::{Login, ScramHash};
pub use tls::Tls;
pub use unsecured_token::UnsecuredToken;

use super::fault::{FaultKind, KafkaFault};
use crate::api::config_def::Password;
use crate::config::client::ClientSettings;

/// What a connection does before it talks Kafka's protocol.
#[derive(Debug, Clone)]
pub struct Security {
    /// The session of TLS, if there is one.
    pub(super) tls: Option<Tls>,
    /// The login, if there is one.
    pub(super) login: Option<Login>,
}

impl Security {
    /// Neither TLS nor a login.
    pub fn none() -> Self {
        Security { tls: None, login: None }
    }

    /// Of the settings of a client, in librdkafka's names. Reads the files that they name.
    ///
    /// # Errors
    /// A setting that is wrong, or that these connections cannot keep; a file that cannot be used.
    pub fn from_settings(settings: &ClientSettings) -> Result<Self, KafkaFault> {
        let protocol = settings.get("security.protocol").unwrap_or("plaintext");
        let (with_login, with_tls) = match protocol.to_ascii_lowercase().as_str() {
            "plaintext" => (false, false),
            "ssl" => (false, true),
            "sasl_plaintext" => (true, false),
            "sasl_ssl" => (true, true),
            _ => {
                return Err(refused(format!(
                    "security.protocol={protocol}: use one of plaintext, ssl, sasl_plaintext, sasl_ssl"
                )));
            }
        };
        let tls = with_tls.then(|| {
            only_known(settings, &["ssl.", "enable.ssl."], tls::SETTINGS)?;
            Tls::from_settings(settings)
        });
        let login = with_login.then(|| {
            only_known(settings, &["sasl.", "enable.sasl."], login::SETTINGS)?;
            Login::from_settings(settings)
        });
        Ok(Security { tls: tls.transpose().map_err(refused)?, login: login.transpose().map_err(refused)? })
    }
}

/// Nothing that is set may be passed over in silence: it would be a promise about security that is not kept.
fn only_known(settings: &ClientSettings, prefixes: &[&str], known: &[&str]) -> Result<(), String> {
    let concerns = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
    match settings.iter().find(|(name, _)| concerns(name) && !known.contains(name)) {
        None => Ok(()),
        Some((name, _)) => Err(format!(
            "{name}: the connection to the group's coordinator cannot keep this setting; remove it"
        )),
    }
}

fn refused(detail: impl Into<String>) -> KafkaFault {
    KafkaFault::other("secure the connection to the group's coordinator", FaultKind::Config, detail)
}

fn secret(settings: &ClientSettings, name: &str) -> Option<Password> {
    settings.get(name).map(Password::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(settings: &[(&str, &str)]) -> Result<Security, String> {
        let settings: ClientSettings = settings.iter().copied().collect();
        Security::from_settings(&settings).map_err(|fault| fault.to_string())
    }

    #[test]
    fn what_cannot_be_kept_is_named() {
        let plain =
            [("security.protocol", "sasl_plaintext"), ("sasl.mechanism", "PLAIN"), ("sasl.username", "u")];
        for (settings, named) in [
            (vec![("security.protocol", "quic")], "security.protocol=quic"),
            (vec![("security.protocol", "ssl"), ("ssl.crl.location", "/crl")], "ssl.crl.location"),
            (vec![("security.protocol", "ssl"), ("ssl.ca.location", "/none.pem")], "/none.pem"),
            (
                vec![("security.protocol", "ssl"), ("enable.ssl.certificate.verification", "false")],
                "enable.ssl.certificate.verification",
            ),
            (vec![("security.protocol", "ssl"), ("ssl.cipher.suites", "none-such")], "ssl.cipher.suites"),
            (vec![("security.protocol", "sasl_ssl")], "sasl.mechanism"),
            ([&plain[..], &[("sasl.kerberos.keytab", "/k")]].concat(), "sasl.kerberos.keytab"),
            (plain.to_vec(), "sasl.password"),
            (
                vec![("security.protocol", "sasl_plaintext"), ("sasl.mechanism", "GSSAPI")],
                "sasl.mechanism=GSSAPI",
            ),
        ] {
            let told = parse(&settings).unwrap_err();
            assert!(told.contains(named), "{settings:?}: {told}");
        }
    }

    #[test]
    fn settings_of_what_is_not_used_do_not_matter() {
        let security = parse(&[("ssl.crl.location", "/crl"), ("sasl.kerberos.keytab", "/k")]).unwrap();
        assert!(security.tls.is_none() && security.login.is_none());
    }

    #[test]
    fn secrets_are_never_shown() {
        let settings = [
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "alice"),
            ("sasl.password", "alice-secret"),
        ];
        let shown = format!("{:?}", parse(&settings).unwrap());
        assert!(!shown.contains("alice-secret"), "{shown}");
        let wrong = [&settings[..], &[("sasl.password", "x\0alice-secret")]].concat();
        let told = parse(&wrong).unwrap_err();
        assert!(told.contains("sasl.password") && !told.contains("alice-secret"), "{told}");
    }
}
