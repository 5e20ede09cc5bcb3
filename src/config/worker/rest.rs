//! The settings of the REST server.

use std::time::Duration;

use super::basic_auth::{self, BasicAuth};
use super::headers::{self, HeaderRule};
use super::keys::{self, Mode};
use super::listeners::{self, AdminListeners, Listener, Scheme};
use super::tls::{self, ClientTls, ListenerTls};
use crate::api::Settings;
use crate::api::config_def::{ConfigError, ParsedConfig};
use crate::config::providers::Environment;

/// What other workers and clients are told about where this worker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertised {
    /// The host, if it is not that of the listener.
    pub host: Option<String>,
    /// The port, if it is not that of the listener.
    pub port: Option<u16>,
    /// The scheme: as set, else http if any listener has it.
    pub scheme: Scheme,
}

/// Use from browsers. Only the main listeners answer for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Regular expressions for a whole `Origin`, in the order of the setting; `*` allows all.
    pub origins: Vec<String>,
    /// The methods of a preflight's answer.
    pub methods: Vec<String>,
}

/// Bounds on what clients can make the server hold or wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestLimits {
    /// How long `GET /health` waits for the tick thread.
    pub health_timeout: Duration,
    /// How long any other request waits.
    pub request_timeout: Duration,
    /// Open connections, all listeners together.
    pub connections_max: usize,
    /// After how long a silent or slow connection is closed.
    pub idle_timeout: Duration,
    /// The largest body, in bytes.
    pub body_bytes_max: usize,
    /// The largest request line and headers together, in bytes.
    pub header_bytes_max: usize,
}

/// What the REST server needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestConfig {
    /// Where it listens; never empty.
    pub listeners: Vec<Listener>,
    /// Where `/admin` is served.
    pub admin: AdminListeners,
    /// TLS of the main listeners, if one is https.
    pub tls: Option<ListenerTls>,
    /// TLS of the admin listeners, if one is https.
    pub admin_tls: Option<ListenerTls>,
    /// TLS towards other workers. What is wrong with it matters only to a worker that has to call another over https.
    pub client_tls: Result<ClientTls, ConfigError>,
    /// What is told about where this worker is.
    pub advertised: Advertised,
    /// Use from browsers, if it is allowed.
    pub cors: Option<Cors>,
    /// Headers for every answer of the main listeners.
    pub headers: Vec<HeaderRule>,
    /// Who may use the main listeners, if not everybody.
    pub basic_auth: Option<BasicAuth>,
    /// Bounds.
    pub limits: RestLimits,
}

impl RestConfig {
    /// Reads everything and adds what is wrong to `errors`; none if anything is.
    pub(super) fn from_settings(
        settings: &Settings,
        env: &Environment,
        errors: &mut Vec<ConfigError>,
    ) -> Option<Self> {
        let text = |key: &str| settings.get(key).map(|value| value.trim()).filter(|value| !value.is_empty());
        let mut keep = Keep(errors);
        let main = keep
            .ok(listeners::main_listeners(settings.get("listeners").map_or("http://:8083", String::as_str)));
        let admin = keep.ok(listeners::admin_listeners(settings.get("admin.listeners").map(String::as_str)));
        if let (Some(main), Some(AdminListeners::Separate(separate))) = (&main, &admin)
            && let Some(both) = separate.iter().find(|listener| listener.port != 0 && main.contains(listener))
        {
            let message = "admin.listeners must not name a listener that is in listeners, too";
            keep.0.push(ConfigError::invalid("admin.listeners", &both.to_string(), message));
        }
        let is_https =
            |listeners: &[Listener]| listeners.iter().any(|listener| listener.scheme == Scheme::Https);
        let tls = main.as_deref().filter(|main| is_https(main));
        let tls = tls.map(|_| keep.ok(tls::from_settings(settings, "listeners.https.")));
        let admin_tls = match &admin {
            Some(AdminListeners::Separate(separate)) if is_https(separate) => {
                Some(keep.ok(tls::from_settings(settings, "admin.listeners.https.")))
            }
            _ => None,
        };
        let http_is_there = main.iter().flatten().any(|listener| listener.scheme == Scheme::Http);
        let default_scheme = if http_is_there { Scheme::Http } else { Scheme::Https };
        let advertised = keep.ok(advertised(&text, default_scheme));
        let cors = keep.ok(cors(&text));
        let headers = keep.ok(headers::parse(text("response.http.headers.config").unwrap_or_default()));
        let basic_auth = keep.ok(basic_auth::from_settings(settings, env));
        // Wrong numbers are reported by the table of all settings; here they only end this function.
        let def = keys::config_def(Mode::Standalone);
        let keys = def.keys().filter(|key| key.name.starts_with("rest.")).cloned();
        let parsed = crate::api::config_def::ConfigDef::new().define_all(keys).parse(settings);
        let limits = keep.ok(limits(&parsed.ok()?));
        Some(Self {
            listeners: main?,
            admin: admin?,
            tls: transpose(tls)?,
            admin_tls: transpose(admin_tls)?,
            client_tls: tls::client(settings, "listeners.https."),
            advertised: advertised?,
            cors: cors?,
            headers: headers?,
            basic_auth: basic_auth?,
            limits: limits?,
        })
    }
}

/// Collects errors and goes on.
struct Keep<'a>(&'a mut Vec<ConfigError>);

impl Keep<'_> {
    fn ok<T>(&mut self, result: Result<T, ConfigError>) -> Option<T> {
        result.map_err(|error| self.0.push(error)).ok()
    }
}

/// TLS that is not needed is no failure, TLS that was needed and is wrong is one.
fn transpose(tls: Option<Option<ListenerTls>>) -> Option<Option<ListenerTls>> {
    match tls {
        None => Some(None),
        Some(needed) => needed.map(Some),
    }
}

fn limits(parsed: &ParsedConfig) -> Result<RestLimits, ConfigError> {
    Ok(RestLimits {
        health_timeout: parsed.get("rest.health.timeout.ms")?,
        request_timeout: parsed.get("rest.request.timeout.ms")?,
        connections_max: parsed.get("rest.connections.max")?,
        idle_timeout: parsed.get("rest.idle.timeout.ms")?,
        body_bytes_max: parsed.get("rest.body.bytes.max")?,
        header_bytes_max: parsed.get("rest.header.bytes.max")?,
    })
}

fn advertised<'a>(
    text: &dyn Fn(&str) -> Option<&'a str>,
    default: Scheme,
) -> Result<Advertised, ConfigError> {
    let scheme = match text("rest.advertised.listener").map(str::to_ascii_lowercase).as_deref() {
        None => default,
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        Some(other) => {
            let message = "String must be one of: http, https";
            return Err(ConfigError::invalid("rest.advertised.listener", other, message));
        }
    };
    let port = text("rest.advertised.port").map(|port| {
        port.parse().map_err(|_| ConfigError::invalid("rest.advertised.port", port, "Not a port number"))
    });
    Ok(Advertised {
        host: text("rest.advertised.host.name").map(str::to_owned),
        port: port.transpose()?,
        scheme,
    })
}

fn cors<'a>(text: &dyn Fn(&str) -> Option<&'a str>) -> Result<Option<Cors>, ConfigError> {
    const ORIGIN: &str = "access.control.allow.origin";
    let Some(origins) = text(ORIGIN) else { return Ok(None) };
    let origins: Vec<String> = origins.split(',').map(str::to_owned).collect();
    for (index, origin) in origins.iter().enumerate() {
        if origins.iter().take(index).any(|earlier| earlier == origin) {
            return Err(ConfigError::invalid(ORIGIN, origin, "each origin may be given once"));
        }
        if origin != "*"
            && let Err(error) = regex::Regex::new(&format!("^(?:{origin})$"))
        {
            return Err(ConfigError::invalid(ORIGIN, origin, format!("Invalid regex: {error}")));
        }
    }
    let methods = text("access.control.allow.methods").unwrap_or("GET,POST,HEAD");
    Ok(Some(Cors { origins, methods: methods.split(',').map(|method| method.trim().to_owned()).collect() }))
}
