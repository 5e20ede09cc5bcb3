//! The names of loggers: which are listed from the start, which stands above which, and which of Apache's loggers
//! speaks for a module of ours.

/// The name of the logger above all.
pub(super) const ROOT: &str = "root";

/// Modules of this crate with the logger of Apache that tells the same: who sets a level for that one means ours.
/// The first that fits counts.
const COUNTERPARTS: [(&str, &str); 12] = [
    ("herdsman::rest", "org.apache.kafka.connect.runtime.rest.RestServer"),
    ("herdsman::herder", "org.apache.kafka.connect.runtime.standalone.StandaloneHerder"),
    ("herdsman::connector", "org.apache.kafka.connect.runtime.WorkerConnector"),
    ("herdsman::task", "org.apache.kafka.connect.runtime.WorkerTask"),
    ("herdsman::store", "org.apache.kafka.connect.storage"),
    ("herdsman::config", "org.apache.kafka.common.config"),
    ("herdsman::kafka", "org.apache.kafka.clients"),
    ("herdsman::plugins::file", "org.apache.kafka.connect.file"),
    ("herdsman::plugins", "org.apache.kafka.connect"),
    ("herdsman", "org.apache.kafka.connect.runtime.Worker"),
    ("rdkafka", "org.apache.kafka.clients"),
    ("librdkafka", "org.apache.kafka.clients"),
];

/// Loggers that operators set although nothing may have been logged by them yet.
const WELL_KNOWN: [&str; 8] = [
    "org.apache.kafka.clients",
    "org.apache.kafka.connect",
    "org.apache.kafka.connect.file",
    "org.apache.kafka.connect.runtime",
    "org.apache.kafka.connect.runtime.Worker",
    "org.apache.kafka.connect.runtime.WorkerSinkTask",
    "org.apache.kafka.connect.runtime.WorkerSourceTask",
    "org.apache.kafka.connect.runtime.rest.RestServer",
];

/// The loggers that are listed from the start.
pub(super) fn well_known() -> impl Iterator<Item = &'static str> {
    let mut names: Vec<&str> = WELL_KNOWN.to_vec();
    names.extend(COUNTERPARTS.iter().flat_map(|(ours, java)| [*ours, *java]));
    names.into_iter()
}

/// The logger of Apache that tells what ours tells; `None` if `name` is not of this crate.
pub(super) fn counterpart(name: &str) -> Option<&'static str> {
    let is_below = |module: &str| {
        name.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    COUNTERPARTS.iter().find(|(module, _)| is_below(module)).map(|(_, java)| *java)
}

/// The name and all above it, the nearest first: `a.b.C`, `a.b`, `a`, likewise with `::`.
pub(super) fn lineage(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| {
        let end = name.rfind(['.', ':'])?;
        name.get(..end).map(|above| above.trim_end_matches(':'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lineages() {
        assert_eq!(lineage("a.b.C").collect::<Vec<_>>(), ["a.b.C", "a.b", "a"]);
        assert_eq!(lineage("a::b::c").collect::<Vec<_>>(), ["a::b::c", "a::b", "a"]);
        assert_eq!(lineage("a").collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn counterparts() {
        let rest = "org.apache.kafka.connect.runtime.rest.RestServer";
        assert_eq!(counterpart("herdsman::rest::server"), Some(rest));
        assert_eq!(counterpart("herdsman::rest"), Some(rest));
        assert_eq!(counterpart("herdsman::restful"), Some("org.apache.kafka.connect.runtime.Worker"));
        assert_eq!(counterpart("rdkafka::client"), Some("org.apache.kafka.clients"));
        assert_eq!(counterpart("org.apache.kafka.connect.runtime.Worker"), None);
    }
}
