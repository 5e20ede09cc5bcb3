//! From the settings of the REST API to the listeners of the server, and the names under which it is reached.

use crate::api::ids::WorkerId;
use crate::config::stores::{KeyStore, TrustStore as TrustedStore};
use crate::config::worker::{
    AdminListeners, ClientAuth as ConfiguredAuth, ClientTls, HeaderAction, HeaderRule as ConfiguredRule,
    Listener, ListenerTls, RestConfig, Scheme as ConfiguredScheme, WorkerConfig,
};
use crate::rest::api::{ApiSettings, Mode};
use crate::rest::forward::{ClientLimits, WorkerClient};
use crate::rest::http::ListenerLabel;
use crate::rest::layers::basic_auth::BasicAuth;
use crate::rest::layers::cors::Cors;
use crate::rest::layers::response_headers::{HeaderRule, HeaderValue};
use crate::rest::limits::ServerLimits;
use crate::rest::router::AdminMode;
use crate::rest::server::{ListenerAddress, ListenerConfig, Scheme};
use crate::rest::tls::client::ClientTlsSettings;
use crate::rest::tls::{ClientAuth, Identity, Password, PemSource, TlsProtocol, TlsSettings, TrustStore};

/// How the REST API behaves.
///
/// # Errors
/// A pattern of `access.control.allow.origin` is wrong.
pub(super) fn api_settings(config: &WorkerConfig, mode: Mode) -> Result<ApiSettings, regex::Error> {
    let rest = &config.rest;
    Ok(ApiSettings {
        mode,
        request_timeout: rest.limits.request_timeout,
        health_timeout: rest.limits.health_timeout,
        admin: match &rest.admin {
            AdminListeners::Shared => AdminMode::WithMain,
            AdminListeners::Off => AdminMode::Off,
            AdminListeners::Separate(_) => AdminMode::Separate,
        },
        topic_tracking: config.topic_tracking,
        topic_tracking_reset: config.topic_tracking_reset,
        cors: rest.cors.as_ref().map(|cors| Cors::new(&cors.origins, &cors.methods)).transpose()?,
        response_headers: rest.headers.iter().map(header_rule).collect(),
        basic_auth: rest.basic_auth.as_ref().map(|auth| BasicAuth { users: auth.users.clone() }),
    })
}

fn header_rule(rule: &ConfiguredRule) -> HeaderRule {
    let (adds, value) = match &rule.action {
        HeaderAction::Set(text) => (false, HeaderValue::Text(text.clone())),
        HeaderAction::Add(text) => (true, HeaderValue::Text(text.clone())),
        HeaderAction::SetDate(after) => (false, HeaderValue::DateAfter(*after)),
        HeaderAction::AddDate(after) => (true, HeaderValue::DateAfter(*after)),
    };
    HeaderRule { name: rule.name.clone(), adds, value }
}

/// The listeners to bind: the main ones first.
pub fn configs(rest: &RestConfig) -> Vec<ListenerConfig> {
    let main = rest.listeners.iter().map(|listener| config(listener, rest.tls.as_ref(), ListenerLabel::Main));
    let separate = match &rest.admin {
        AdminListeners::Separate(listeners) => listeners.as_slice(),
        AdminListeners::Shared | AdminListeners::Off => &[],
    };
    let admin =
        separate.iter().map(|listener| config(listener, rest.admin_tls.as_ref(), ListenerLabel::Admin));
    main.chain(admin).collect()
}

/// The bounds of the server.
pub fn limits(rest: &RestConfig) -> ServerLimits {
    ServerLimits {
        connections_max: rest.limits.connections_max,
        idle_timeout: rest.limits.idle_timeout,
        header_bytes_max: rest.limits.header_bytes_max,
        body_bytes_max: rest.limits.body_bytes_max,
        ..ServerLimits::default()
    }
}

/// What calls the other workers of a group.
pub fn worker_client(rest: &RestConfig) -> WorkerClient {
    let limits = ClientLimits::default();
    // Answers hold configurations, which are as large as bodies may be; written as JSON they may be larger.
    let largest = u64::try_from(rest.limits.body_bytes_max).unwrap_or(u64::MAX).saturating_mul(4);
    let limits = ClientLimits { answer_bytes_max: limits.answer_bytes_max.max(largest), ..limits };
    match &rest.client_tls {
        Ok(tls) => WorkerClient::new(Ok(&client_settings(tls)), limits),
        Err(why) => WorkerClient::new(Err(why.to_string()), limits),
    }
}

/// The URL by which this machine reaches the first listener.
pub fn local_url(addresses: &[ListenerAddress]) -> String {
    addresses.first().map_or_else(String::new, |listener| {
        let mut address = listener.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("{}://{address}", listener.scheme)
    })
}

/// The URL that this worker tells others (`rest.advertised.*`), and its id, which is host and port of it.
pub fn advertised(rest: &RestConfig, addresses: &[ListenerAddress]) -> (String, WorkerId) {
    let scheme = rest.advertised.scheme;
    let configured = rest.listeners.iter().zip(addresses).find(|(listener, _)| listener.scheme == scheme);
    let (host, port) = configured.map_or_else(
        || (String::new(), 0),
        |(listener, bound)| {
            let host =
                if listener.host.is_empty() { bound.address.ip().to_string() } else { listener.host.clone() };
            (host, bound.address.port())
        },
    );
    let host = rest.advertised.host.clone().unwrap_or(host);
    let port = rest.advertised.port.unwrap_or(port);
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    (format!("{scheme}://{host}:{port}/"), WorkerId::new(format!("{host}:{port}")))
}

fn config(listener: &Listener, tls: Option<&ListenerTls>, label: ListenerLabel) -> ListenerConfig {
    let (scheme, tls) = match listener.scheme {
        ConfiguredScheme::Http => (Scheme::Http, None),
        ConfiguredScheme::Https => (Scheme::Https, tls.map(settings)),
    };
    ListenerConfig { scheme, host: listener.host.clone(), port: listener.port, tls, label }
}

fn settings(tls: &ListenerTls) -> TlsSettings {
    TlsSettings {
        identity: identity(&tls.identity),
        trust: tls.trust.as_ref().map(trust),
        client_auth: match tls.client_auth {
            ConfiguredAuth::None => ClientAuth::None,
            ConfiguredAuth::Requested => ClientAuth::Requested,
            ConfiguredAuth::Required => ClientAuth::Required,
        },
        protocols: tls.protocols.iter().map(|name| protocol(name)).collect(),
        cipher_suites: tls.cipher_suites.clone(),
    }
}

fn client_settings(tls: &ClientTls) -> ClientTlsSettings {
    ClientTlsSettings {
        identity: tls.identity.as_ref().map(identity),
        trust: tls.trust.as_ref().map(trust),
        verify_host: tls.verify_host,
        protocols: tls.protocols.iter().map(|name| protocol(name)).collect(),
        cipher_suites: tls.cipher_suites.clone(),
    }
}

fn trust(store: &TrustedStore) -> TrustStore {
    match store {
        TrustedStore::PemFile(path) => TrustStore::Pem(PemSource::File(path.clone())),
        TrustedStore::PemText(text) => TrustStore::Pem(PemSource::Text(text.clone())),
    }
}

/// Of a name that was checked.
fn protocol(name: &str) -> TlsProtocol {
    if name == "TLSv1.2" { TlsProtocol::Tls12 } else { TlsProtocol::Tls13 }
}

fn identity(store: &KeyStore) -> Identity {
    let password = |secret: &crate::api::config_def::Password| Password::new(secret.expose());
    match store {
        KeyStore::PemFile { path, key_password } => {
            let source = PemSource::File(path.clone());
            Identity::Pem {
                chain: source.clone(),
                key: source,
                key_password: key_password.as_ref().map(password),
            }
        }
        KeyStore::PemText { key, chain, key_password } => Identity::Pem {
            chain: PemSource::Text(chain.clone()),
            key: PemSource::Text(key.expose().to_owned()),
            key_password: key_password.as_ref().map(password),
        },
        KeyStore::Pkcs12 { path, password: secret } => {
            Identity::Pkcs12 { file: path.clone(), password: password(secret) }
        }
    }
}
