//! From Java's names to librdkafka's: the table for each setting, then what several settings mean together.

use super::table::{self, Rule};
use super::{ClientKind, ClientSettings, Layers, security};
use crate::api::config_def::{ConfigError, ConfigErrors};

/// Translates all settings of one client. `fixed` is what the framework needs in librdkafka's own words.
pub(super) fn translate(
    kind: ClientKind,
    layers: &Layers,
    fixed: ClientSettings,
) -> Result<ClientSettings, ConfigErrors> {
    let mut work = Translation { layers, settings: fixed, errors: Vec::new() };
    // What every Java client does to its sockets.
    work.settings.set("socket.keepalive.enable", "true");
    for (name, written) in layers {
        match table::find(kind, name) {
            Some(key) => work.apply(&key.rule, &written.key, &written.value),
            None if written.shared => {}
            None => log::warn!("the client setting {} is not known and has no effect", written.key),
        }
    }
    security::translate(&mut work);
    work.reconnect();
    match kind {
        ClientKind::Producer => work.producer(),
        ClientKind::Consumer => work.consumer(),
        ClientKind::Admin => {}
    }
    if work.errors.is_empty() { Ok(work.settings) } else { Err(ConfigErrors(work.errors)) }
}

/// One translation under way.
pub(super) struct Translation<'a> {
    layers: &'a Layers,
    pub(super) settings: ClientSettings,
    pub(super) errors: Vec<ConfigError>,
}

impl<'a> Translation<'a> {
    fn apply(&mut self, rule: &Rule, key: &str, value: &str) {
        match rule.apply(key, value) {
            Ok(applied) => {
                applied.notes.iter().for_each(|note| log::warn!("{note}"));
                for (name, value) in applied.settings {
                    self.settings.set(name, value);
                }
            }
            Err(error) => self.errors.push(error),
        }
    }

    /// The value of a setting by its Java name, if it is there and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.layers.get(name).map(|written| written.value.as_str()).filter(|value| !value.is_empty())
    }

    /// Whether a person set it: in the worker file or the connector.
    fn is_set(&self, name: &str) -> bool {
        self.layers.get(name).is_some_and(|written| !written.shared)
    }

    /// The key under which a setting was written, for errors.
    pub(super) fn key(&self, name: &str) -> String {
        self.layers.get(name).map_or_else(|| name.to_owned(), |written| written.key.clone())
    }

    pub(super) fn refuse(&mut self, name: &str, message: &str) {
        let value = self.get(name).unwrap_or("null");
        self.errors.push(ConfigError::invalid(&self.key(name), value, message));
    }

    fn number(&mut self, name: &str, min: i64, max: i64) -> Option<i64> {
        match self.get(name)?.parse::<i64>() {
            Ok(number) if number >= min => return Some(number.min(max)),
            Ok(_) => self.refuse(name, &format!("Value must be at least {min}")),
            Err(_) => self.refuse(name, "Not a number of type INT"),
        }
        None
    }

    fn boolean(&mut self, name: &str) -> Option<bool> {
        match self.get(name)?.to_ascii_lowercase().as_str() {
            "true" => return Some(true),
            "false" => return Some(false),
            _ => self.refuse(name, "Expected value to be either true or false"),
        }
        None
    }

    fn translated(&self, name: &str) -> Option<i64> {
        self.settings.get(name)?.parse().ok()
    }

    /// The longest pause is Java's second in place of librdkafka's ten, so that a broker that comes back is soon met.
    /// librdkafka refuses a longest pause below the first one; what was set moves what was not.
    fn reconnect(&mut self) {
        let first = self.translated("reconnect.backoff.ms");
        let max = self.translated("reconnect.backoff.max.ms");
        match (first, max) {
            (Some(first), max) if max.unwrap_or(1000) < first => {
                self.settings.set("reconnect.backoff.max.ms", first.to_string());
            }
            (None, Some(max)) if max < 100 => self.settings.set("reconnect.backoff.ms", max.to_string()),
            (_, None) => self.settings.set("reconnect.backoff.max.ms", "1000"),
            (_, Some(_)) => {}
        }
    }

    fn producer(&mut self) {
        self.idempotence();
        self.compression_level();
        let timeout = self.number("delivery.timeout.ms", 0, i64::from(i32::MAX));
        let timeout = timeout.map(|timeout| if timeout == i64::from(i32::MAX) { 0 } else { timeout.max(1) });
        if let Some(timeout) = timeout {
            self.settings.set("message.timeout.ms", timeout.to_string());
            if timeout != 0 && timeout <= self.translated("linger.ms").unwrap_or(0) {
                self.refuse("delivery.timeout.ms", "it must be larger than linger.ms");
            }
        }
    }

    /// Idempotence keeps order and avoids doubles, so it is on; a setting that rules it out turns it off, unless it was
    /// asked for in so many words. Without it, order needs a single request in flight: Apache's own choice.
    fn idempotence(&mut self) {
        let wanted = self.boolean("enable.idempotence");
        let acks = match self.get("acks").unwrap_or("all") {
            "all" | "-1" => "all",
            "0" => "0",
            "1" => "1",
            _ => return self.refuse("acks", "String must be one of: all, -1, 0, 1"),
        };
        let in_flight = self.number("max.in.flight.requests.per.connection", 1, 1_000_000);
        let retries = self.number("retries", 0, i64::from(i32::MAX));
        let against = [
            ("acks", acks != "all", "Must set acks to all in order to use the idempotent producer."),
            (
                "max.in.flight.requests.per.connection",
                in_flight.is_some_and(|count| count > 5),
                "Must set max.in.flight.requests.per.connection to at most 5 to use the idempotent producer.",
            ),
            (
                "retries",
                retries == Some(0),
                "Must set retries to non-zero when using the idempotent producer.",
            ),
        ];
        let mut idempotent = wanted.unwrap_or(true);
        for (name, rules_out, message) in against {
            if rules_out && wanted == Some(true) {
                self.refuse(name, message);
            }
            idempotent &= !rules_out;
        }
        self.settings.set("acks", acks);
        self.settings.set("enable.idempotence", idempotent.to_string());
        let in_flight = in_flight.unwrap_or(if idempotent { 5 } else { 1 });
        self.settings.set("max.in.flight.requests.per.connection", in_flight.to_string());
        if let Some(retries) = retries {
            self.settings.set("retries", retries.to_string());
        }
    }

    fn compression_level(&mut self) {
        let (name, max) = match self.settings.get("compression.type") {
            Some("gzip") => ("compression.gzip.level", 9),
            Some("lz4") => ("compression.lz4.level", 12),
            Some("zstd") => ("compression.zstd.level", 12),
            _ => return,
        };
        let Some(text) = self.get(name) else { return };
        let Ok(level) = text.parse::<i64>() else { return self.refuse(name, "Not a number of type INT") };
        let moved = level.clamp(-1, max);
        if moved != level {
            log::warn!("{}={level} is taken as {moved}, the nearest that librdkafka has", self.key(name));
        }
        self.settings.set("compression.level", moved.to_string());
    }

    fn consumer(&mut self) {
        self.assignment_strategy();
        // librdkafka refuses a fetch that is smaller than the largest message it expects.
        if let Some(fetch) = self.translated("fetch.max.bytes")
            && fetch < 1_000_000
        {
            self.settings.set("message.max.bytes", fetch.to_string());
        }
        if self.settings.get("group.protocol") == Some("consumer") {
            for name in ["session.timeout.ms", "heartbeat.interval.ms"] {
                if self.is_set(name) {
                    self.refuse(
                        name,
                        "the broker decides this when group.protocol=consumer; remove the setting",
                    );
                }
            }
            return;
        }
        // librdkafka refuses a session that outlasts the time between two polls; what was set moves what was not.
        let interval = self.translated("max.poll.interval.ms");
        let session = self.translated("session.timeout.ms");
        match (interval, session) {
            (Some(interval), Some(session)) if session > interval => {
                self.refuse("max.poll.interval.ms", "it must not be below session.timeout.ms");
            }
            (Some(interval), None) if interval < 45_000 => {
                self.settings.set("session.timeout.ms", interval.to_string());
            }
            (None, Some(session)) if session > 300_000 => {
                self.settings.set("max.poll.interval.ms", session.to_string());
            }
            (_, _) => {}
        }
    }

    fn assignment_strategy(&mut self) {
        const NAME: &str = "partition.assignment.strategy";
        let is_new_protocol = self.settings.get("group.protocol") == Some("consumer");
        let Some(classes) = self.get(NAME) else {
            // Of Java's default, range and then cooperative-sticky, librdkafka can have the first only; members of
            // both kinds can be in one group, because they agree on range.
            if !is_new_protocol {
                self.settings.set(NAME, "range");
            }
            return;
        };
        if is_new_protocol {
            return self
                .refuse(NAME, "the broker assigns when group.protocol=consumer; use group.remote.assignor");
        }
        let mut names = Vec::new();
        for class in classes.split(',').map(str::trim) {
            match class.strip_prefix("org.apache.kafka.clients.consumer.").unwrap_or(class) {
                "RangeAssignor" => names.push("range"),
                "RoundRobinAssignor" => names.push("roundrobin"),
                "CooperativeStickyAssignor" => names.push("cooperative-sticky"),
                _ => {
                    return self.refuse(
                        NAME,
                        "this cannot be translated for librdkafka: use RangeAssignor, RoundRobinAssignor or \
                         CooperativeStickyAssignor",
                    );
                }
            }
        }
        let is_cooperative = |name: &&str| *name == "cooperative-sticky";
        let first = names.first().is_some_and(is_cooperative);
        let (kept, dropped): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| is_cooperative(name) == first);
        if !dropped.is_empty() {
            let (key, kept) = (self.key(NAME), kept.join(","));
            log::warn!(
                "of {key} only {kept} is used: librdkafka does not mix eager and cooperative assignors"
            );
        }
        self.settings.set(NAME, kept.join(","));
    }
}
