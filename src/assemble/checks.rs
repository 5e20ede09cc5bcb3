//! What can be known of the worker's settings before anything starts: whether its converters are there, and whether
//! its clients can be set up as is said.

use crate::api::Settings;
use crate::api::config_def::{ConfigError, ConfigErrors};
use crate::api::converter::ConverterRoles;
use crate::api::registry::Registry;
use crate::config::client::{ClientLayers, ClientSettings, worker_client};
use crate::config::worker::{ConverterConfig, WorkerConfig};

/// Checks what the tasks of this worker will be made with; returns the settings of the worker's own clients.
///
/// # Errors
/// All that is wrong.
pub(super) fn check(config: &WorkerConfig, registry: &Registry) -> Result<ClientSettings, ConfigErrors> {
    let mut errors = Vec::new();
    let converters = [
        ("key.converter", &config.key_converter),
        ("value.converter", &config.value_converter),
        ("header.converter", &config.header_converter),
    ];
    for (key, converter) in converters {
        errors.extend(check_converter(registry, key, converter).err().into_iter().flat_map(|why| why.0));
    }
    let layers = ClientLayers {
        worker: &config.originals.0,
        connector: &Settings::new(),
        policy: config.override_policy,
    };
    let own = worker_client(&config.originals.0);
    let of_tasks =
        [layers.source_producer().err(), layers.sink_consumer("", 0).err(), layers.max_poll_records().err()];
    let of_clients = own.as_ref().err().cloned().into_iter().chain(of_tasks.into_iter().flatten());
    for error in of_clients.flat_map(|why| why.0) {
        if !errors.contains(&error) {
            errors.push(error);
        }
    }
    if errors.is_empty() { own } else { Err(ConfigErrors(errors)) }
}

fn check_converter(registry: &Registry, key: &str, converter: &ConverterConfig) -> Result<(), ConfigErrors> {
    let class = &converter.class;
    let refuse = |message: String| Err(ConfigError::invalid(key, class, message).into());
    let Some(plugin) = registry.converter(class) else {
        return refuse(format!("Class {class} could not be found."));
    };
    if key != "header.converter" && plugin.roles() == ConverterRoles::HeaderOnly {
        return refuse(format!("Class {class} does not implement the Converter interface"));
    }
    let mut settings = converter.settings.clone();
    settings.insert("converter.type".to_owned(), key.trim_end_matches(".converter").to_owned());
    plugin.config_def().parse(&settings).map(|_parsed| ()).map_err(|why| {
        let of_worker = why.0.into_iter().map(|error| match error {
            ConfigError::Invalid { key: own, value, message } => {
                ConfigError::Invalid { key: format!("{key}.{own}"), value, message }
            }
            other @ (ConfigError::Missing { .. }
            | ConfigError::Message { .. }
            | ConfigError::Undefined { .. }
            | ConfigError::WrongType { .. }) => other,
        });
        ConfigErrors(of_worker.collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::connector_file::ConnectorFile;
    use crate::config::worker::{RawConfig, StandaloneConfig};

    fn wrong(entries: &[(&str, &str)]) -> Vec<String> {
        let mut raw = RawConfig::default();
        for key in ["key.converter", "value.converter"] {
            raw.set(key, "org.apache.kafka.connect.storage.StringConverter");
        }
        raw.set("offset.storage.file.filename", "offsets");
        entries.iter().for_each(|(key, value)| raw.set(*key, *value));
        let config = StandaloneConfig::from_raw(&raw, &Default::default()).unwrap();
        let checked = check(&config.worker, &crate::plugins::registry());
        checked.err().map_or_else(Vec::new, |why| why.0.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_worker_without_mistakes_passes() {
        assert_eq!(wrong(&[]), Vec::<String>::new());
        let aliases = [("key.converter", "JsonConverter"), ("key.converter.schemas.enable", "false")];
        assert_eq!(wrong(&aliases), Vec::<String>::new());
    }

    #[test]
    fn the_files_that_ship_are_right() {
        let conf = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
        for file in ["connect-standalone.properties", "quickstart/worker.properties"] {
            let raw = RawConfig::load(&conf.join(file)).unwrap();
            let config = StandaloneConfig::from_raw(&raw, &Default::default()).unwrap();
            assert_eq!(config.worker.notes, Vec::<String>::new(), "{file}");
            assert!(check(&config.worker, &crate::plugins::registry()).is_ok(), "{file}");
        }
        for file in
            ["connect-file-source", "connect-file-sink", "quickstart/file-source", "quickstart/file-sink"]
        {
            let file = conf.join(format!("{file}.properties"));
            let connector = ConnectorFile::load(&file).unwrap();
            let plugin = crate::plugins::registry().connector(&connector.config["connector.class"]).cloned();
            plugin.unwrap().plugin().config_def().parse(&connector.config).unwrap();
        }
    }

    #[test]
    fn classes_and_client_settings_that_cannot_be_are_named() {
        let table = [
            (("key.converter", "no.Such"), "Class no.Such could not be found."),
            (("value.converter", "SimpleHeaderConverter"), "does not implement the Converter interface"),
            (("header.converter", "${env:NOPE}"), "configuration header.converter"),
            (("producer.acks", "7"), "configuration producer.acks: String must be one of: all, -1, 0, 1"),
            (("consumer.interceptor.classes", "a.B"), "configuration consumer.interceptor.classes"),
            (("consumer.max.poll.records", "0"), "configuration consumer.max.poll.records"),
            (("security.protocol", "NOPE"), "configuration security.protocol"),
            (("bootstrap.servers", "localhost"), "Invalid url in bootstrap.servers: localhost"),
        ];
        for (entry, words) in table {
            let found = wrong(&[entry]);
            assert!(found.len() == 1 && found[0].contains(words), "{entry:?}: {found:?}");
        }
        let json = [("key.converter", "JsonConverter"), ("key.converter.schemas.cache.size", "x")];
        assert!(
            wrong(&json)[0].contains("configuration key.converter.schemas.cache.size"),
            "{:?}",
            wrong(&json)
        );
    }
}
