//! The pages of `docs/reference/` about settings, made from the tables that parse them. A test fails when one is stale; run
//! the tests with `HERDSMAN_UPDATE_DOCS=1` to write them again.

mod plugins;
mod transforms;

use std::fmt::Write as _;

pub use plugins::{connectors_page, converters_page};
pub use transforms::transforms_page;

use super::client::ClientKind;
use super::client::table::{self as client_table, ClientKey, Rule};
use super::topic_creation;
use super::worker::keys::{self, Mode, Modes, Support};
use crate::api::config_def::{ConfigDef, ConfigKey, Default};

/// How every such page begins.
pub(crate) const MADE: &str =
    "<!-- Made from the tables in src/; HERDSMAN_UPDATE_DOCS=1 cargo test writes it again. -->";

/// `worker-configs.md`.
#[must_use]
pub fn worker_page() -> String {
    let mut page = format!(
        "{MADE}\n\n# Worker configs\n\n\
         What a worker properties file can hold. Values can contain references to config providers, such as \
         `${{env:HOME}}`. Settings for clients stand below `producer.`, `consumer.` and `admin.`: see \
         [client settings](client-settings.md). A name that is not here is a warning at start, never an error. \
         TLS settings (`ssl.*`) of listeners may also stand below `listeners.https.` and `admin.listeners.https.`; \
         if any does, only those count.\n\n\
         «Built» says whether a setting has its effect in this version. The others are read and checked, and named \
         once at start if they are set.\n"
    );
    let parts = [
        ("Both modes", Modes::Both),
        ("Standalone mode", Modes::Only(Mode::Standalone)),
        ("Distributed mode", Modes::Only(Mode::Distributed)),
    ];
    for (title, modes) in parts {
        line(&mut page, format_args!("\n## {title}\n"));
        line(
            &mut page,
            format_args!("| Name | Type | Default | Valid | Importance | Built | What it does |"),
        );
        line(&mut page, format_args!("|---|---|---|---|---|---|---|"));
        for entry in keys::all().iter().filter(|entry| entry.modes == modes) {
            let built = match entry.support {
                Support::Built => "yes".to_owned(),
                Support::Recognised(instead) => format!("no: {instead}"),
            };
            let [name, kind, default, valid, importance, doc] = cells(&entry.key);
            let row =
                format_args!("| {name} | {kind} | {default} | {valid} | {importance} | {built} | {doc} |");
            line(&mut page, row);
        }
    }
    page
}

/// `connector-configs.md`, from the settings that the framework gives to source and to sink connectors.
#[must_use]
pub fn connector_page(source: &ConfigDef, sink: &ConfigDef) -> String {
    let mut page = format!(
        "{MADE}\n\n# Connector configs\n\n\
         What every connector takes beside its own settings. Client settings stand below `producer.override.`, \
         `consumer.override.` and `admin.override.`: see [client settings](client-settings.md).\n"
    );
    parts(&mut page, source, sink);
    line(
        &mut page,
        format_args!(
            "\n## Topics that sources create\n\n\
             For each group of `topic.creation.groups`, its alias in place of `ALIAS`, and for the group `default`, which \
             is always there. What else stands below `topic.creation.ALIAS.` is a setting of the new topic, such as \
             `cleanup.policy`. See [the guide](../guide/topic-creation.md).\n"
        ),
    );
    table(&mut page, &topic_creation::reference().keys().collect::<Vec<_>>());
    page
}

/// A table for what sources and sinks have in common, and one for each.
fn parts(page: &mut String, source: &ConfigDef, sink: &ConfigDef) {
    let (in_source, in_sink) =
        (|key: &ConfigKey| source.key(&key.name).is_some(), |key: &ConfigKey| sink.key(&key.name).is_some());
    let parts: [(&str, Vec<&ConfigKey>); 3] = [
        ("Sources and sinks", source.keys().filter(|key| in_sink(key)).collect()),
        ("Sources", source.keys().filter(|key| !in_sink(key)).collect()),
        ("Sinks", sink.keys().filter(|key| !in_source(key)).collect()),
    ];
    for (title, keys) in parts {
        line(page, format_args!("\n## {title}\n"));
        table(page, &keys);
    }
}

fn table(page: &mut String, keys: &[&ConfigKey]) {
    line(page, format_args!("| Name | Type | Default | Valid | Importance | What it does |"));
    line(page, format_args!("|---|---|---|---|---|---|"));
    for key in keys {
        line(page, format_args!("| {} |", cells(key).join(" | ")));
    }
}

/// The page of connectors that come with the worker, from the settings of their own.
#[must_use]
pub fn plugin_page(introduction: &str, source: &ConfigDef, sink: &ConfigDef) -> String {
    let mut page = format!("{MADE}\n\n{introduction}\n");
    parts(&mut page, source, sink);
    page
}

/// `client-settings.md`.
#[must_use]
pub fn client_page() -> String {
    let mut page = format!(
        "{MADE}\n\n# Client settings\n\n\
         Clients are set up in the names of Apache Kafka's Java clients: below `producer.`, `consumer.` and `admin.` in \
         the worker file, below `producer.override.`, `consumer.override.` and `admin.override.` in a connector, where \
         the worker's `connector.client.config.override.policy` permits it. Producers and consumers inherit nothing \
         from the top of the worker file but `bootstrap.servers`, not even `security.protocol`; admin clients inherit \
         all of it.\n\n\
         The worker hands them to librdkafka as this table says. A setting that cannot be translated is an error that \
         names it; a name that is not here does nothing and is told once.\n\n\
         | Java's name | Clients | What becomes of it |\n|---|---|---|\n"
    );
    for key in client_table::all() {
        let row = format_args!("| `{}` | {} | {} |", key.name, clients(key), becomes(&key.rule));
        line(&mut page, row);
    }
    page
}

fn clients(key: &ClientKey) -> String {
    let names = key.clients.iter().map(|role| match role {
        ClientKind::Producer => "producer",
        ClientKind::Consumer => "consumer",
        ClientKind::Admin => "admin",
    });
    names.collect::<Vec<_>>().join(", ")
}

fn becomes(rule: &Rule) -> String {
    match *rule {
        Rule::Text(to) | Rule::Boolean(to) => format!("`{to}`"),
        Rule::Servers(to) => format!("`{to}`; a scheme in front of an address is passed over"),
        Rule::Number(targets) => {
            let targets = targets.iter().map(|(to, min, max)| format!("`{to}`, {min} to {max}"));
            format!("{}; a value beyond is taken as the nearest", targets.collect::<Vec<_>>().join(" and "))
        }
        Rule::Kibibytes(to, min, max) => format!("`{to}` in KiB, {min} to {max}"),
        Rule::Choice(to, choices) => {
            let choice = |(java, ours): &(&str, &str)| {
                if java.eq_ignore_ascii_case(ours) {
                    format!("`{java}`")
                } else if java.is_empty() {
                    format!("empty → `{ours}`")
                } else {
                    format!("`{java}` → `{ours}`")
                }
            };
            format!("`{to}`: {}", choices.iter().map(choice).collect::<Vec<_>>().join(", "))
        }
        Rule::Together(text) => text.to_owned(),
        Rule::Worker(text) => format!("used by the worker: {text}"),
        Rule::Ignored(text) => format!("no effect: {text}"),
        Rule::Only(accepted, remedy) => {
            let accepted: Vec<_> = accepted
                .iter()
                .map(|value| if value.is_empty() { "empty".to_owned() } else { format!("`{value}`") })
                .collect();
            format!("no effect if {}; otherwise an error: {remedy}", accepted.join(" or "))
        }
    }
}

/// A heading with the simple name of a class, the classes, and a table of what they take.
fn section(page: &mut String, level: &str, name: &str, classes: &str, def: &ConfigDef) {
    let simple = name.rsplit('.').next().unwrap_or(name);
    line(page, format_args!("\n{level} {simple}\n\n{classes}\n"));
    match def.keys().collect::<Vec<_>>() {
        keys if keys.is_empty() => line(page, format_args!("No settings.")),
        keys => table(page, &keys),
    }
}

/// Name, type, default, condition, importance and documentation as cells of a table.
fn cells(key: &ConfigKey) -> [String; 6] {
    let default = match &key.default {
        Default::Required => "required".to_owned(),
        Default::Null => "none".to_owned(),
        Default::Text(text) if text.is_empty() => "empty".to_owned(),
        Default::Text(text) => format!("`{text}`"),
    };
    let valid = key.validator.as_ref().map_or_else(String::new, ToString::to_string);
    let kind = key.config_type.to_string();
    let cells = [
        format!("`{}`", key.name),
        kind,
        default,
        valid,
        key.importance.to_string(),
        key.documentation.clone(),
    ];
    cells.map(|cell| escape(&cell))
}

/// A `|` inside a cell would end it.
fn escape(cell: &str) -> String {
    cell.replace('|', "\\|")
}

/// Writing to a `String` cannot fail.
fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    let _infallible = writeln!(page, "{text}");
}

/// Fails if the page `name` of `docs/reference/` is not `text`; writes it instead if `HERDSMAN_UPDATE_DOCS` is set.
#[cfg(test)]
pub(crate) fn check_page(name: &str, text: &str) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference");
    let path = folder.join(name);
    if std::fs::read_to_string(&path).is_ok_and(|committed| committed == text) {
        return;
    }
    let update = std::env::var_os("HERDSMAN_UPDATE_DOCS").is_some();
    assert!(update, "docs/reference/{name} is stale: HERDSMAN_UPDATE_DOCS=1 cargo test writes it again");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(&path, text).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_worker_settings_is_fresh() {
        check_page("worker-configs.md", &worker_page());
    }

    #[test]
    fn the_page_of_client_settings_is_fresh() {
        check_page("client-settings.md", &client_page());
    }

    #[test]
    fn every_row_has_as_many_cells_as_its_head() {
        for text in [worker_page(), client_page()] {
            let mut columns = 0;
            for row in text.lines().map(|row| row.replace("\\|", "")) {
                let cells = row.matches('|').count();
                assert!(columns == 0 || cells == 0 || cells == columns, "{row}");
                columns = cells;
            }
        }
    }
}
