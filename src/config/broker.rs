//! Where a broker is, as `bootstrap.servers` names it.

use std::fmt;
use std::sync::Arc;

/// The port of a broker that is named without one.
const PORT: u16 = 9092;

/// The host and port of a broker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Broker {
    /// Its name or address.
    pub host: Arc<str>,
    /// Its port.
    pub port: u16,
}

impl Broker {
    /// Of host and port.
    pub fn new(host: impl Into<Arc<str>>, port: u16) -> Self {
        Broker { host: host.into(), port }
    }

    /// The brokers of `bootstrap.servers`: `host:port` between commas. A protocol before a host has no effect.
    ///
    /// # Errors
    /// What is wrong, as text that names the setting.
    pub fn parse_list(text: &str) -> Result<Vec<Broker>, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let brokers: Vec<Broker> = parts.map(Broker::parse).collect::<Result<_, _>>()?;
        if brokers.is_empty() {
            return Err("bootstrap.servers names no broker".to_owned());
        }
        Ok(brokers)
    }

    fn parse(part: &str) -> Result<Broker, String> {
        let invalid = || format!("Invalid url in bootstrap.servers: {part}: use host:port");
        let address = part.split_once("://").map_or(part, |(_, address)| address);
        let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(invalid)?)),
            None => match address.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (address, None),
            },
        };
        let port = port.map_or(Ok(PORT), str::parse).ok().filter(|port| *port != 0).ok_or_else(invalid)?;
        let allowed = |c: char| c.is_alphanumeric() || "-._%:".contains(c);
        if host.is_empty() || !host.chars().all(allowed) {
            return Err(invalid());
        }
        Ok(Broker::new(host, port))
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_brokers() {
        let shown = |text| {
            Broker::parse_list(text).map(|brokers| brokers.iter().map(Broker::to_string).collect::<Vec<_>>())
        };
        assert_eq!(
            shown(" a:1, PLAINTEXT://b.example:2 ,[::1]:3,::1:4,c,").unwrap(),
            ["a:1", "b.example:2", "[::1]:3", "[::1]:4", "c:9092"]
        );
        for wrong in ["", " , ", "a:b", "a:0", "a:70000", ":1", "[::1]1", "a b:1", "a/b:1"] {
            let told = shown(wrong).unwrap_err();
            assert!(told.contains("bootstrap.servers"), "{wrong}: {told}");
        }
    }
}
