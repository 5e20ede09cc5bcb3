//! Where the REST server listens: `listeners` and `admin.listeners`.

use std::fmt;

use crate::api::config_def::ConfigError;

/// The protocol of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        })
    }
}

/// One place to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// HTTP or HTTPS.
    pub scheme: Scheme,
    /// A name, an IPv4 address, an IPv6 address without brackets, or empty for every interface.
    pub host: String,
    /// The port; 0 takes a free one.
    pub port: u16,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "{}://[{}]:{}", self.scheme, self.host, self.port);
        }
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

/// Where `/admin` is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminListeners {
    /// On the main listeners.
    Shared,
    /// Nowhere: 404.
    Off,
    /// On these only, which serve nothing else.
    Separate(Vec<Listener>),
}

/// Parses `listeners`: at least one URL.
pub(super) fn main_listeners(text: &str) -> Result<Vec<Listener>, ConfigError> {
    let error = |message: &str| ConfigError::invalid("listeners", &bracketed(text), message);
    if text.trim().is_empty() {
        return Err(error(
            "Invalid value for listeners, at least one URL is expected, ex: http://localhost:8080,https://localhost:8443.",
        ));
    }
    parse_list(text).map_err(error)
}

/// Parses `admin.listeners`, where no value and an empty one mean different things.
pub(super) fn admin_listeners(text: Option<&str>) -> Result<AdminListeners, ConfigError> {
    let Some(text) = text else { return Ok(AdminListeners::Shared) };
    if text.trim().is_empty() {
        return Ok(AdminListeners::Off);
    }
    parse_list(text)
        .map(AdminListeners::Separate)
        .map_err(|message| ConfigError::invalid("admin.listeners", &bracketed(text), message))
}

fn bracketed(text: &str) -> String {
    let items: Vec<_> = text.split(',').map(str::trim).collect();
    format!("[{}]", items.join(", "))
}

fn parse_list(text: &str) -> Result<Vec<Listener>, &'static str> {
    text.split(',').map(|url| parse(url.trim())).collect()
}

fn parse(url: &str) -> Result<Listener, &'static str> {
    const FORMAT: &str = "Listener doesn't have the right format (protocol://hostname:port).";
    if url.is_empty() {
        return Err("Empty URL found when parsing listeners list.");
    }
    let (scheme, address) = url.split_once("://").ok_or(FORMAT)?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        "" => return Err(FORMAT),
        _ => return Err("Listener protocol must be either \"http\" or \"https\"."),
    };
    let (host, port) = address.rsplit_once(':').ok_or(FORMAT)?;
    let port = port.parse().map_err(|_| FORMAT)?;
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']').ok_or(FORMAT)?,
        None if host.contains([':', '/', '@']) => return Err(FORMAT),
        None => host,
    };
    Ok(Listener { scheme, host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let actual = main_listeners(text)
            .map(|listeners| listeners.iter().map(Listener::to_string).collect::<Vec<_>>().join(" "))
            .map_err(|error| error.to_string());
        let expected = expected.map(str::to_owned).map_err(|message| {
            format!("Invalid value {} for configuration listeners: {message}", bracketed(text))
        });
        assert_eq!(actual, expected, "{text}");
    }

    #[test]
    fn urls() {
        const FORMAT: &str = "Listener doesn't have the right format (protocol://hostname:port).";
        check("http://:8083", Ok("http://:8083"));
        check("HTTP://a:0, https://[::1]:8443", Ok("http://a:0 https://[::1]:8443"));
        check("http://0.0.0.0:80", Ok("http://0.0.0.0:80"));
        check("http://myhost", Err(FORMAT));
        check("http:/myhost:80", Err(FORMAT));
        check("http://h:port", Err(FORMAT));
        check("http://h:65536", Err(FORMAT));
        check("http://::1:80", Err(FORMAT));
        check("ftp://h:1", Err("Listener protocol must be either \"http\" or \"https\"."));
        check("http://h:1,,http://h:2", Err("Empty URL found when parsing listeners list."));
        check(
            "",
            Err(
                "Invalid value for listeners, at least one URL is expected, ex: http://localhost:8080,https://localhost:8443.",
            ),
        );
    }

    #[test]
    fn admin_listeners_may_be_shared_off_or_separate() {
        assert_eq!(admin_listeners(None), Ok(AdminListeners::Shared));
        assert_eq!(admin_listeners(Some(" ")), Ok(AdminListeners::Off));
        let listener = Listener { scheme: Scheme::Http, host: "h".to_owned(), port: 1 };
        assert_eq!(admin_listeners(Some("http://h:1")), Ok(AdminListeners::Separate(vec![listener])));
        assert_eq!(admin_listeners(Some("x")).unwrap_err().key(), "admin.listeners");
    }
}
