//! Worker settings: from properties to typed values, mistakes, notes and the lines of the start.

use super::*;

/// A file that is there: nobody looks into it here.
const SOME_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
const CONVERTER: &str = "org.apache.kafka.connect.storage.StringConverter";

fn raw(entries: &[(&str, &str)]) -> RawConfig {
    let mut raw = RawConfig::default();
    raw.set("key.converter", CONVERTER);
    raw.set("value.converter", CONVERTER);
    raw.set("offset.storage.file.filename", "/tmp/offsets");
    for (key, value) in entries {
        raw.set(*key, *value);
    }
    raw
}

fn load(entries: &[(&str, &str)]) -> Result<StandaloneConfig, String> {
    StandaloneConfig::from_raw(&raw(entries), &Environment::new()).map_err(|error| error.to_string())
}

#[test]
fn every_default_satisfies_its_own_type_and_condition() {
    for entry in keys::all() {
        let mut key = entry.key.clone();
        if key.is_required() {
            key = key.default_or_null(None);
        }
        let name = key.name.clone();
        let def = crate::api::config_def::ConfigDef::new().define(key);
        if let Err(error) = def.parse(&Settings::new()) {
            panic!("{name}: {error}");
        }
    }
}

#[test]
fn every_name_is_in_the_table_once() {
    let mut names: Vec<_> = keys::all().iter().map(|entry| &entry.key.name).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn defaults() {
    let config = load(&[]).unwrap();
    assert_eq!(config.offset_file, PathBuf::from("/tmp/offsets"));
    let worker = config.worker;
    assert_eq!(worker.bootstrap_servers, ["localhost:9092"]);
    assert_eq!(worker.offset_flush_interval, Duration::from_secs(60));
    assert_eq!(worker.header_converter.class, "org.apache.kafka.connect.storage.SimpleHeaderConverter");
    assert_eq!(worker.rest.listeners[0].to_string(), "http://:8083");
    assert_eq!(worker.rest.limits.health_timeout, Duration::from_secs(10));
    assert_eq!(worker.rest.limits.body_bytes_max, 4 * 1024 * 1024);
    assert_eq!(worker.notes, Vec::<String>::new());
}

#[test]
fn all_errors_are_reported_at_once() {
    let raw = RawConfig::new(Settings::from([
        ("listeners".to_owned(), "ftp://x:1".to_owned()),
        ("offset.flush.interval.ms".to_owned(), "soon".to_owned()),
        ("rest.health.timeout.ms".to_owned(), "0".to_owned()),
        ("plugin.discovery".to_owned(), "magic".to_owned()),
        ("rest.extension.classes".to_owned(), "com.example.Guard".to_owned()),
        ("connector.client.config.override.policy".to_owned(), "com.example.Mine".to_owned()),
    ]));
    let error = StandaloneConfig::from_raw(&raw, &Environment::new()).unwrap_err().to_string();
    for expected in [
        "Missing required configuration \"key.converter\" which has no default value.",
        "Missing required configuration \"value.converter\" which has no default value.",
        "Missing required configuration \"offset.storage.file.filename\" which has no default value.",
        "Invalid value soon for configuration offset.flush.interval.ms: Not a number of type LONG",
        "Invalid value 0 for configuration rest.health.timeout.ms: Value must be at least 1",
        "Invalid plugin.discovery value, must be one of [only_scan, hybrid_warn, hybrid_fail, service_load]",
        "Listener protocol must be either \"http\" or \"https\".",
        "the REST extension com.example.Guard runs in a JVM only",
        "Class com.example.Mine could not be found.",
    ] {
        assert!(error.contains(expected), "{expected:?} is missing in:\n{error}");
    }
}

#[test]
fn converters_take_what_stands_below_their_key() {
    let config = load(&[
        ("key.converter.schemas.enable", "false"),
        ("key.converter.plugin.version", ""),
        ("value.converter.x", "1"),
    ])
    .unwrap();
    let settings = &config.worker.key_converter.settings;
    assert_eq!(settings, &Settings::from([("schemas.enable".to_owned(), "false".to_owned())]));
}

#[test]
fn notes_tell_what_does_nothing() {
    let notes = load(&[
        ("internal.key.converter", "x"),
        ("internal.key.converter.schemas.enable", "false"),
        ("metric.reporters", "com.acme.Reporter"),
        ("metrics.recording.level", "INFO"),
        ("group.id", "g"),
        ("offset.flush.intervall.ms", "1"),
    ])
    .unwrap()
    .worker
    .notes;
    assert_eq!(
        notes,
        [
            "The settings internal.key.converter, internal.key.converter.schemas.enable are ignored: internal data is \
             always JSON without schemas. Remove them.",
            "metric.reporters has no effect here: GET /metrics has them for Prometheus",
            "These worker settings are not known and do nothing: offset.flush.intervall.ms (did you mean \
             offset.flush.interval.ms?)",
        ]
    );
}

#[test]
fn values_are_printed_as_java_prints_them() {
    let printed =
        load(&[("ssl.key.password", "hunter2"), ("bootstrap.servers", "a:1, b:2")]).unwrap().to_string();
    let mut lines = printed.lines();
    assert_eq!(lines.next(), Some("StandaloneConfig values:"));
    let lines: Vec<_> = lines.collect();
    assert!(lines.is_sorted(), "{printed}");
    for expected in [
        "\tbootstrap.servers = [a:1, b:2]",
        "\tadmin.listeners = null",
        "\tssl.key.password = [hidden]",
        "\tssl.keystore.password = null",
        "\toffset.storage.file.filename = /tmp/offsets",
    ] {
        assert!(lines.contains(&expected), "{expected:?} is missing in:\n{printed}");
    }
}

#[test]
fn references_are_resolved_before_anything_is_parsed() {
    let env = Environment::from([("PORT".to_owned(), "1234".to_owned())]);
    let raw = raw(&[
        ("config.providers", "env"),
        ("config.providers.env.class", "EnvVar"),
        ("listeners", "http://127.0.0.1:${env:PORT}"),
    ]);
    let config = StandaloneConfig::from_raw(&raw, &env).unwrap();
    assert_eq!(config.worker.rest.listeners[0].port, 1234);
}

#[test]
fn a_reference_that_cannot_be_replaced_is_named_with_its_setting() {
    let load = |entry| {
        let providers = [("config.providers", "env"), ("config.providers.env.class", "EnvVar")];
        load(&[providers.as_slice(), &[entry]].concat())
    };
    assert_eq!(
        load(("offset.flush.interval.ms", "${env:FLUSH}")).unwrap_err(),
        "Invalid value ${env:FLUSH} for configuration offset.flush.interval.ms: Not a number of type LONG \
         (${env:FLUSH} stands there as it is written: the environment variable FLUSH is not set)"
    );
    assert_eq!(
        load(("bootstrap.servers", "${env:KAFKA}:9092")).unwrap().worker.notes,
        [
            "In the setting bootstrap.servers, ${env:KAFKA} stands there as it is written: the environment variable KAFKA \
             is not set"
        ]
    );
    // Without a provider of that name it may be no reference at all.
    assert!(load(("client.id", "${x:y}")).unwrap().worker.notes.is_empty());
}

#[test]
fn https_listeners_use_prefixed_settings_or_plain_ones_but_never_both() {
    let plain =
        [("listeners", "https://h:1"), ("ssl.keystore.type", "PEM"), ("ssl.keystore.location", SOME_FILE)];
    let tls = load(&plain).unwrap().worker.rest.tls.unwrap();
    assert!(matches!(tls.identity, super::super::stores::KeyStore::PemFile { .. }));
    let mixed = [plain.as_slice(), &[("listeners.https.ssl.client.auth", "required")]].concat();
    assert_eq!(
        load(&mixed).unwrap_err(),
        "Invalid value null for configuration listeners.https.ssl.keystore.location: an https listener needs a key store"
    );
    let prefixed = [
        ("listeners", "https://h:1"),
        ("listeners.https.ssl.keystore.type", "PEM"),
        ("listeners.https.ssl.keystore.location", SOME_FILE),
        ("listeners.https.ssl.client.auth", "required"),
    ];
    assert_eq!(load(&prefixed).unwrap().worker.rest.tls.unwrap().client_auth, ClientAuth::Required);
}

#[test]
fn tls_towards_other_workers_is_that_of_the_listeners_and_matters_only_where_it_is_used() {
    let client = |settings: &[(&str, &str)]| load(settings).unwrap().worker.rest.client_tls;
    let tls = client(&[]).unwrap();
    assert_eq!((tls.identity, tls.trust, tls.verify_host), (None, None, true));
    let folder = tempfile::tempdir().unwrap();
    let [trust, key] = ["t.pem", "k.pem"].map(|name| folder.path().join(name).display().to_string());
    for file in [&trust, &key] {
        std::fs::write(file, "").unwrap();
    }
    let tls = client(&[
        ("ssl.truststore.location", "/unused.pem"),
        ("listeners.https.ssl.truststore.type", "PEM"),
        ("listeners.https.ssl.truststore.location", &trust),
        ("listeners.https.ssl.keystore.type", "PEM"),
        ("listeners.https.ssl.keystore.location", &key),
        ("listeners.https.ssl.endpoint.identification.algorithm", ""),
        ("listeners.https.ssl.enabled.protocols", "TLSv1.3"),
    ])
    .unwrap();
    assert!(matches!(tls.identity, Some(super::super::stores::KeyStore::PemFile { .. })));
    assert_eq!(tls.trust, Some(super::super::stores::TrustStore::PemFile(trust.into())));
    assert_eq!((tls.verify_host, tls.protocols.join(",").as_str()), (false, "TLSv1.3"));
    let wrong = client(&[("listeners.https.ssl.endpoint.identification.algorithm", "ldap")]).unwrap_err();
    let expected = "Invalid value ldap for configuration listeners.https.ssl.endpoint.identification.algorithm: use https";
    assert!(wrong.to_string().starts_with(expected), "{wrong}");
}

#[test]
fn a_store_that_cannot_be_read_is_named() {
    for store_type in ["PEM", "PKCS12", "JKS"] {
        let missing = [
            ("listeners", "https://h:1"),
            ("ssl.keystore.type", store_type),
            ("ssl.keystore.location", "/nowhere/k"),
        ];
        let expected =
            "Invalid value /nowhere/k for configuration ssl.keystore.location: cannot read the file";
        assert!(load(&missing).unwrap_err().starts_with(expected), "{:?}", load(&missing));
    }
}

#[test]
fn one_mistake_has_one_message() {
    assert_eq!(
        load(&[("offset.flush.interval.ms", "soon")]).unwrap_err(),
        "Invalid value soon for configuration offset.flush.interval.ms: Not a number of type LONG"
    );
}

#[test]
fn admin_listeners_must_be_others() {
    let error = load(&[("listeners", "http://h:1"), ("admin.listeners", "http://h:1")]).unwrap_err();
    assert!(error.contains("configuration admin.listeners: "), "{error}");
}

#[test]
fn advertised_scheme_is_http_if_any_listener_has_it() {
    let pem = [("ssl.keystore.type", "PEM"), ("ssl.keystore.location", SOME_FILE)];
    let scheme = |listeners| {
        load(&[pem.as_slice(), &[("listeners", listeners)]].concat()).unwrap().worker.rest.advertised.scheme
    };
    assert_eq!(scheme("https://h:1,http://h:2"), Scheme::Http);
    assert_eq!(scheme("https://h:1"), Scheme::Https);
}

#[test]
fn cross_origin_use_is_off_without_origins() {
    assert_eq!(load(&[]).unwrap().worker.rest.cors, None);
    let cors = load(&[("access.control.allow.origin", "http://a,*")]).unwrap().worker.rest.cors.unwrap();
    assert_eq!((cors.origins.len(), cors.methods.join(" ")), (2, "GET POST HEAD".to_owned()));
    assert!(load(&[("access.control.allow.origin", "a,a")]).is_err());
}

#[test]
fn basic_authentication_reads_the_files_of_apache() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let users = file("users.properties", "alice=hunter2\nbob = x y\n");
    let module = "org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule";
    let jaas = file("jaas.conf", &format!("KafkaConnect {{\n {module} required\n file=\"{users}\";\n}};"));
    let extension = "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension";
    let by_key =
        load(&[("rest.extension.classes", extension), ("rest.basic.auth.jaas.file", &jaas)]).unwrap();
    let users = &by_key.worker.rest.basic_auth.as_ref().unwrap().users;
    assert_eq!(
        users.iter().map(|(user, p)| format!("{user}:{}", p.expose())).collect::<Vec<_>>(),
        ["alice:hunter2", "bob:x y"]
    );
    assert!(!format!("{by_key:?}").contains("hunter2"));

    let options = format!("-Xmx1g -Djava.security.auth.login.config={jaas}");
    let env = Environment::from([("KAFKA_OPTS".to_owned(), options)]);
    let by_env = StandaloneConfig::from_raw(&raw(&[("rest.extension.classes", extension)]), &env).unwrap();
    assert_eq!(by_env.worker.rest.basic_auth, by_key.worker.rest.basic_auth);
    assert!(load(&[("rest.extension.classes", extension)]).unwrap_err().contains("KAFKA_OPTS"));
}

#[test]
fn folders_with_jars_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let [jars, deep, empty] = ["jars", "deep", "empty"].map(|name| folder.path().join(name));
    std::fs::create_dir_all(&jars).unwrap();
    std::fs::create_dir_all(deep.join("plugin")).unwrap();
    std::fs::create_dir_all(&empty).unwrap();
    std::fs::write(jars.join("a.jar"), "").unwrap();
    std::fs::write(deep.join("plugin/b.jar"), "").unwrap();
    let missing = folder.path().join("missing");
    assert_eq!(jar_folders(&[jars.clone(), deep.clone(), empty, missing]), [jars, deep]);
}

proptest::proptest! {
    #[test]
    fn no_secret_in_debug_or_log(secret in "[a-z0-9]{12,24}") {
        let config = load(&[
            ("ssl.keystore.password", &secret),
            ("producer.sasl.jaas.config", &secret),
            ("sasl.jaas.config", &secret),
            ("key.converter.basic.auth.user.info", &secret),
            ("unknown.setting", &secret),
        ])
        .unwrap();
        let printed = format!("{config} {config:?} {:?}", raw(&[("password", &secret)]));
        proptest::prop_assert!(!printed.contains(&secret), "{}", printed);
    }
}
