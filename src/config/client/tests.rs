//! Client settings: layers, translation, and whether librdkafka takes what comes out.

use std::path::Path;

use proptest::prelude::*;
use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::producer::BaseProducer;

use super::table::Rule;
use super::*;

fn settings(entries: &[(&str, &str)]) -> Settings {
    entries.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

static NOTHING: std::sync::LazyLock<Settings> = std::sync::LazyLock::new(Settings::new);

fn layers<'a>(worker: &'a Settings, connector: &'a Settings) -> ClientLayers<'a> {
    ClientLayers { worker, connector, policy: OverridePolicy::All }
}

type Translated = Result<ClientSettings, String>;

fn text(errors: ConfigErrors) -> String {
    errors.to_string()
}

fn producer_of(entries: &[(&str, &str)]) -> Translated {
    layers(&NOTHING, &with_prefix("producer.override.", entries)).source_producer().map_err(text)
}

fn consumer_of(entries: &[(&str, &str)]) -> Translated {
    layers(&NOTHING, &with_prefix("consumer.override.", entries)).sink_consumer("c", 0).map_err(text)
}

fn with_prefix(prefix: &str, entries: &[(&str, &str)]) -> Settings {
    entries.iter().map(|&(key, value)| (format!("{prefix}{key}"), value.to_owned())).collect()
}

/// Values that `client` must have; `None` is a name that must not be there.
fn check(client: Translated, expected: &[(&str, Option<&str>)]) {
    let client = client.unwrap();
    for &(name, value) in expected {
        assert_eq!(client.get(name), value, "{name} in {:?}", client.iter().collect::<Vec<_>>());
    }
}

/// Creates a real client; librdkafka checks every name, value and combination then. No broker is needed.
fn create(kind: ClientKind, client: &ClientSettings) {
    let mut config = ClientConfig::new();
    for (name, value) in client.iter() {
        config.set(name, value);
    }
    let result = match kind {
        ClientKind::Producer | ClientKind::Admin => config.create::<BaseProducer>().map(drop),
        ClientKind::Consumer => config.create::<BaseConsumer>().map(drop),
    };
    if let Err(error) = result {
        panic!("librdkafka refuses {:?}: {error}", client.iter().collect::<Vec<_>>());
    }
}

#[test]
fn defaults_are_those_of_connect() {
    let producer = producer_of(&[]).unwrap();
    for (name, value) in [
        ("bootstrap.servers", "localhost:9092"),
        ("acks", "all"),
        ("enable.idempotence", "true"),
        ("max.in.flight.requests.per.connection", "5"),
        ("message.timeout.ms", "0"),
        ("linger.ms", "5"),
        ("queue.buffering.max.kbytes", "32768"),
        ("message.max.bytes", "1048576"),
        ("partitioner", "murmur2_random"),
    ] {
        assert_eq!(producer.get(name), Some(value), "{name}");
    }
    create(ClientKind::Producer, &producer);
    let consumer = consumer_of(&[]).unwrap();
    for (name, value) in [
        ("group.id", "connect-c"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("fetch.queue.backoff.ms", "5"),
        ("auto.offset.reset", "earliest"),
        ("isolation.level", "read_uncommitted"),
        ("partition.assignment.strategy", "range"),
    ] {
        assert_eq!(consumer.get(name), Some(value), "{name}");
    }
    assert_eq!(consumer.get("topic.blacklist"), None);
    create(ClientKind::Consumer, &consumer);
}

#[test]
fn later_layers_win_and_tasks_inherit_nothing_from_the_top() {
    let worker = settings(&[
        ("bootstrap.servers", "b:1"),
        ("security.protocol", "SSL"),
        ("client.id", "top"),
        ("listeners", "http://:1"),
        ("producer.linger.ms", "7"),
        ("producer.batch.size", "1"),
        ("admin.client.id", "mine"),
        ("consumer.group.id", "g"),
    ]);
    let connector =
        settings(&[("producer.override.batch.size", "2"), ("admin.override.retry.backoff.ms", "9")]);
    let expected = [
        ("bootstrap.servers", Some("b:1")),
        ("linger.ms", Some("7")),
        ("batch.size", Some("2")),
        ("security.protocol", None),
        ("client.id", Some("connector-producer")),
    ];
    let layers = layers(&worker, &connector);
    check(layers.source_producer().map_err(text), &expected);
    let admin = layers.connector_admin("connector-adminclient-c-0").map_err(text);
    let expected =
        [("security.protocol", Some("ssl")), ("client.id", Some("mine")), ("retry.backoff.ms", Some("9"))];
    check(admin, &expected);
    check(layers.sink_consumer("c", 0).map_err(text), &[("group.id", Some("g"))]);
    let own = worker_client(&worker).map_err(text);
    check(own, &[("security.protocol", Some("ssl")), ("client.id", Some("top"))]);
}

#[test]
fn equal_settings_are_equal_clients() {
    assert_eq!(producer_of(&[("linger.ms", "5")]), producer_of(&[]));
    assert_ne!(producer_of(&[("linger.ms", "6")]), producer_of(&[]));
}

#[test]
fn the_policy_of_the_worker_is_kept() {
    let connector = settings(&[("producer.override.acks", "1"), ("consumer.override.group.id", "g")]);
    let layers = ClientLayers { worker: &NOTHING, connector: &connector, policy: OverridePolicy::None };
    assert_eq!(
        layers.source_producer().map_err(text),
        Err("The 'None' policy does not allow 'acks' to be overridden in the connector configuration."
            .to_owned())
    );
    assert!(layers.sink_consumer("c", 0).is_err() && layers.max_poll_records().is_err());
    assert!(layers.connector_admin("a").is_ok());
}

#[test]
fn patterns_pass_over_internal_topics() {
    let blacklist = |entries: &[(&str, &str)]| {
        let connector = settings(entries);
        let client = layers(&NOTHING, &connector).sink_consumer("c", 0).unwrap();
        create(ClientKind::Consumer, &client);
        client.get("topic.blacklist").map(str::to_owned)
    };
    let pattern = ("topics.regex", ".*");
    assert!(blacklist(&[pattern]).unwrap().contains("__consumer_offsets"));
    assert_eq!(blacklist(&[("topics", "__consumer_offsets")]), None);
    assert_eq!(blacklist(&[pattern, ("consumer.override.exclude.internal.topics", "false")]), None);
}

#[test]
fn idempotence_gives_way_unless_it_was_asked_for() {
    let values = |idempotence, in_flight, acks| {
        [
            ("enable.idempotence", Some(idempotence)),
            ("max.in.flight.requests.per.connection", Some(in_flight)),
            ("acks", Some(acks)),
        ]
    };
    check(producer_of(&[("enable.idempotence", "false")]), &values("false", "1", "all"));
    check(producer_of(&[("acks", "1")]), &values("false", "1", "1"));
    check(producer_of(&[("acks", "-1")]), &values("true", "5", "all"));
    check(producer_of(&[("max.in.flight.requests.per.connection", "8")]), &values("false", "8", "all"));
    check(producer_of(&[("retries", "0")]), &values("false", "1", "all"));
    assert_eq!(
        producer_of(&[("enable.idempotence", "true"), ("acks", "1")]).unwrap_err(),
        "Invalid value 1 for configuration producer.override.acks: Must set acks to all in order to use the \
         idempotent producer."
    );
    for entries in [[("acks", "0")], [("retries", "0")], [("enable.idempotence", "false")]] {
        create(ClientKind::Producer, &producer_of(&entries).unwrap());
    }
}

#[test]
fn numbers_are_converted_and_moved_into_bounds() {
    check(producer_of(&[("delivery.timeout.ms", "120000")]), &[("message.timeout.ms", Some("120000"))]);
    check(producer_of(&[("buffer.memory", "1000")]), &[("queue.buffering.max.kbytes", Some("1"))]);
    check(producer_of(&[("send.buffer.bytes", "-1")]), &[("socket.send.buffer.bytes", Some("0"))]);
    check(
        producer_of(&[("request.timeout.ms", "60000")]),
        &[("socket.timeout.ms", Some("60000")), ("request.timeout.ms", Some("60000"))],
    );
    check(producer_of(&[("linger.ms", "1000000")]), &[("linger.ms", Some("900000"))]);
    let client = producer_of(&[("compression.type", "ZSTD"), ("compression.zstd.level", "19")]).unwrap();
    assert_eq!(client.get("compression.level"), Some("12"));
    check(
        producer_of(&[("compression.type", "lz4"), ("compression.gzip.level", "3")]),
        &[("compression.level", None)],
    );
    check(consumer_of(&[("fetch.max.bytes", "5000")]), &[("message.max.bytes", Some("5000"))]);
    check(consumer_of(&[("max.poll.interval.ms", "30000")]), &[("session.timeout.ms", Some("30000"))]);
    let records = |value| {
        layers(&NOTHING, &settings(&[("consumer.override.max.poll.records", value)]))
            .max_poll_records()
            .map_err(text)
    };
    assert_eq!(records("7"), Ok(7));
    assert!(records("0").unwrap_err().contains("consumer.override.max.poll.records"));
    for entries in [
        [("fetch.max.bytes", "10")],
        [("max.poll.interval.ms", "30000")],
        [("reconnect.backoff.ms", "20000")],
    ] {
        create(ClientKind::Consumer, &consumer_of(&entries).unwrap());
    }
}

#[test]
fn a_broker_that_comes_back_is_met_within_a_second_unless_somebody_wants_longer_pauses() {
    let pauses = |entries: &[(&str, &str)]| {
        let client = consumer_of(entries).unwrap();
        create(ClientKind::Consumer, &client);
        ["reconnect.backoff.ms", "reconnect.backoff.max.ms"]
            .map(|name| client.get(name).unwrap_or("-").to_owned())
    };
    assert_eq!(pauses(&[]), ["-", "1000"]);
    assert_eq!(pauses(&[("reconnect.backoff.ms", "700")]), ["700", "1000"]);
    assert_eq!(pauses(&[("reconnect.backoff.ms", "20000")]), ["20000", "20000"]);
    assert_eq!(pauses(&[("reconnect.backoff.max.ms", "60000")]), ["-", "60000"]);
    assert_eq!(pauses(&[("reconnect.backoff.max.ms", "20")]), ["20", "20"]);
}

#[test]
fn assignors() {
    const P: &str = "org.apache.kafka.clients.consumer.";
    let of = |names: &[&str]| {
        let classes: Vec<_> = names.iter().map(|name| format!("{P}{name}")).collect();
        let client = consumer_of(&[("partition.assignment.strategy", &classes.join(", "))])?;
        create(ClientKind::Consumer, &client);
        Ok::<_, String>(client.get("partition.assignment.strategy").unwrap().to_owned())
    };
    assert_eq!(of(&["RangeAssignor", "CooperativeStickyAssignor"]), Ok("range".to_owned()));
    assert_eq!(of(&["CooperativeStickyAssignor"]), Ok("cooperative-sticky".to_owned()));
    assert_eq!(of(&["RoundRobinAssignor", "RangeAssignor"]), Ok("roundrobin,range".to_owned()));
    assert!(of(&["StickyAssignor"]).unwrap_err().contains("partition.assignment.strategy"));
    create(
        ClientKind::Consumer,
        &consumer_of(&[("group.protocol", "consumer"), ("group.remote.assignor", "uniform")]).unwrap(),
    );
    assert!(consumer_of(&[("group.protocol", "consumer"), ("session.timeout.ms", "9000")]).is_err());
}

#[test]
fn what_cannot_be_translated_is_named_with_what_to_do() {
    for (name, value, expected) in [
        ("interceptor.classes", "com.example.I", "remove the setting"),
        ("partitioner.class", "com.example.P", "default partitioner"),
        ("transactional.id", "t", "exactly.once.source.support"),
        ("key.serializer", "com.example.S", "hands bytes"),
        ("acks", "2", "String must be one of"),
        ("linger.ms", "soon", "Not a number"),
        ("security.protocol", "TLS", "String must be one of"),
    ] {
        let error = producer_of(&[(name, value)]).unwrap_err();
        assert!(error.contains(&format!("configuration producer.override.{name}: ")), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    let both = producer_of(&[("acks", "2"), ("linger.ms", "soon")]).unwrap_err();
    assert_eq!(both.lines().count(), 2, "{both}");
    assert!(consumer_of(&[("auto.offset.reset", "by_duration:PT1H")]).is_err());
    assert_eq!(producer_of(&[("no.such.setting", "1")]), producer_of(&[]));
}

#[test]
fn validation_is_told_the_names_without_prefix() {
    let errors =
        translate(ClientKind::Producer, &settings(&[("acks", "2"), ("linger.ms", "5")])).unwrap_err();
    assert_eq!(errors.0.iter().map(ConfigError::key).collect::<Vec<_>>(), ["acks"]);
    assert!(translate(ClientKind::Producer, &settings(&[("acks", "0")])).is_ok());
}

const JAAS: &str =
    "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"u\" password=\"hunter2\";";

#[test]
fn logging_in() {
    let scram = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.jaas.config", JAAS),
    ];
    check(
        producer_of(&scram),
        &[
            ("sasl.mechanism", Some("SCRAM-SHA-512")),
            ("sasl.username", Some("u")),
            ("sasl.password", Some("hunter2")),
        ],
    );
    create(ClientKind::Producer, &producer_of(&scram).unwrap());
    for (mechanism, expected) in [
        ("GSSAPI", "not built in"),
        ("OAUTHBEARER", "use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
        ("PLAIN", "this mechanism needs the login module PlainLoginModule"),
    ] {
        let error = producer_of(&[scram[0], ("sasl.mechanism", mechanism), scram[2]]).unwrap_err();
        assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
    }
    // Without a SASL protocol nothing of it counts.
    check(producer_of(&[("sasl.mechanism", "GSSAPI")]), &[("sasl.mechanism", None)]);
}

/// A key pair in the forms that Java's settings can name.
struct Stores {
    folder: tempfile::TempDir,
    key: String,
    certificate: String,
}

impl Stores {
    fn new() -> Self {
        use openssl::{asn1, hash, pkcs12, pkey, rsa, x509};
        let key = pkey::PKey::from_rsa(rsa::Rsa::generate(2048).unwrap()).unwrap();
        let mut name = x509::X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", "localhost").unwrap();
        let name = name.build();
        let mut certificate = x509::X509Builder::new().unwrap();
        certificate.set_version(2).unwrap();
        certificate.set_subject_name(&name).unwrap();
        certificate.set_issuer_name(&name).unwrap();
        certificate.set_pubkey(&key).unwrap();
        certificate.set_not_before(&asn1::Asn1Time::days_from_now(0).unwrap()).unwrap();
        certificate.set_not_after(&asn1::Asn1Time::days_from_now(1).unwrap()).unwrap();
        certificate.sign(&key, hash::MessageDigest::sha256()).unwrap();
        let certificate = certificate.build();
        let mut store = pkcs12::Pkcs12::builder();
        store.name("k").pkey(&key).cert(&certificate);
        let store = store.build2("secret").unwrap().to_der().unwrap();
        let text = |pem: Vec<u8>| String::from_utf8(pem).unwrap();
        let stores = Self {
            folder: tempfile::tempdir().unwrap(),
            key: text(key.private_key_to_pem_pkcs8().unwrap()),
            certificate: text(certificate.to_pem().unwrap()),
        };
        std::fs::write(stores.path("k.p12"), store).unwrap();
        std::fs::write(stores.path("old.jks"), b"\xFE\xED\xFE\xED\0\0").unwrap();
        std::fs::write(stores.path("k.pem"), format!("{}{}", stores.key, stores.certificate)).unwrap();
        stores
    }

    fn path(&self, name: &str) -> String {
        Path::join(self.folder.path(), name).display().to_string()
    }
}

#[test]
fn key_stores_and_trust_stores() {
    let stores = Stores::new();
    let (pem, p12, jks) = (stores.path("k.pem"), stores.path("k.p12"), stores.path("old.jks"));
    let ssl = ("security.protocol", "SSL");
    let files = [
        ssl,
        ("ssl.keystore.type", "PEM"),
        ("ssl.keystore.location", &pem),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", &pem),
        ("ssl.endpoint.identification.algorithm", ""),
        ("ssl.cipher.suites", "TLS_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    ];
    let client = producer_of(&files);
    create(ClientKind::Producer, client.as_ref().unwrap());
    check(
        client,
        &[
            ("ssl.key.location", Some(&pem)),
            ("ssl.certificate.location", Some(&pem)),
            ("ssl.ca.location", Some(&pem)),
            ("ssl.endpoint.identification.algorithm", Some("none")),
            ("ssl.cipher.suites", Some("ECDHE-RSA-AES128-GCM-SHA256")),
        ],
    );
    let texts = [
        ssl,
        ("ssl.keystore.type", "PEM"),
        ("ssl.keystore.key", &stores.key),
        ("ssl.keystore.certificate.chain", &stores.certificate),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.certificates", &stores.certificate),
    ];
    create(ClientKind::Producer, &producer_of(&texts).unwrap());
    // Java's default type is JKS, and its key tool writes PKCS12 all the same.
    let unnamed = [
        ssl,
        ("ssl.keystore.location", p12.as_str()),
        ("ssl.keystore.password", "secret"),
        ("ssl.truststore.location", &p12),
        ("ssl.truststore.password", "secret"),
    ];
    let client = producer_of(&unnamed).unwrap();
    assert_eq!(client.get("ssl.keystore.location"), Some(p12.as_str()));
    assert_eq!(client.get("ssl.ca.pem").map(str::trim), Some(stores.certificate.trim()));
    create(ClientKind::Producer, &client);
    let error = producer_of(&[ssl, ("ssl.truststore.location", &jks)]).unwrap_err();
    assert!(
        error.contains("producer.override.ssl.truststore.location: ") && error.contains("keytool"),
        "{error}"
    );
    let error = producer_of(&[unnamed[0], unnamed[1]]).unwrap_err();
    assert!(error.contains("a PKCS12 key store needs its password"), "{error}");
    let error = producer_of(&[ssl, unnamed[3], ("ssl.truststore.password", "wrong")]).unwrap_err();
    assert!(error.contains("is its password right?") && !error.contains("wrong"), "{error}");
}

#[test]
fn addresses_of_brokers_need_host_and_port() {
    let servers = |text: &str| {
        worker_client(&Settings::from([("bootstrap.servers".to_owned(), text.to_owned())]))
            .map(|client| client.get("bootstrap.servers").unwrap().to_owned())
            .map_err(|why| why.to_string())
    };
    for (text, expected) in [
        ("a:1", "a:1"),
        (" a_b-c.d:9092 ,, 10.0.0.1:65535", "a_b-c.d:9092,10.0.0.1:65535"),
        ("PLAINTEXT://a:1,[::1]:2", "a:1,[::1]:2"),
    ] {
        assert_eq!(servers(text), Ok(expected.to_owned()), "{text}");
    }
    for text in ["a", "a:", ":1", "a:0", "a:65536", "a:b", "a b:1", "http://a", "[]:1"] {
        let expected = format!("Invalid url in bootstrap.servers: {text}; it needs the form host:port");
        assert!(servers(text).unwrap_err().ends_with(&expected), "{text}");
    }
    for text in ["", " ", ",,"] {
        assert!(
            servers(text).unwrap_err().ends_with("No bootstrap urls given in bootstrap.servers"),
            "{text}"
        );
    }
}

/// A value that a rule of the table takes.
fn sample(rule: &Rule) -> Option<String> {
    match rule {
        Rule::Text(_) => Some("x".to_owned()),
        Rule::Servers(_) => Some("localhost:9092".to_owned()),
        Rule::Boolean(_) => Some("true".to_owned()),
        Rule::Number(targets) => {
            targets.iter().map(|(_, min, max)| (*min).max(30_000).min(*max).to_string()).min()
        }
        Rule::Kibibytes(..) => Some("1048576".to_owned()),
        Rule::Choice(_, choices) => choices.first().map(|(java, _)| (*java).to_owned()),
        Rule::Together(_) | Rule::Worker(_) | Rule::Ignored(_) | Rule::Only(..) => None,
    }
}

#[test]
fn librdkafka_accepts_every_name_that_the_table_gives() {
    let stores = Stores::new();
    let pem = stores.path("k.pem");
    for kind in [ClientKind::Producer, ClientKind::Consumer, ClientKind::Admin] {
        let samples = table::all()
            .filter(|key| key.clients.contains(&kind))
            .filter_map(|key| Some((format!("{}{}", kind.override_prefix(), key.name), sample(&key.rule)?)));
        let mut connector: Settings = samples.collect();
        let security = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.jaas.config", JAAS),
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.location", pem.as_str()),
            ("ssl.key.password", "unused"),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.location", pem.as_str()),
            ("ssl.endpoint.identification.algorithm", "https"),
        ];
        connector.extend(with_prefix(kind.override_prefix(), &security));
        // The broker's part in the new protocol; tried apart from this.
        connector
            .retain(|key, _| !key.ends_with("group.protocol") && !key.ends_with("group.remote.assignor"));
        let client = match kind {
            ClientKind::Producer => layers(&NOTHING, &connector).source_producer(),
            ClientKind::Consumer => layers(&NOTHING, &connector).sink_consumer("c", 0),
            ClientKind::Admin => layers(&NOTHING, &connector).connector_admin("id"),
        };
        create(kind, &client.unwrap());
    }
}

#[test]
fn every_choice_and_bound_of_the_table_is_accepted_by_librdkafka() {
    for key in table::all() {
        let Some(&kind) = key.clients.first() else { panic!("{} belongs to no client", key.name) };
        let values: Vec<String> = match key.rule {
            Rule::Choice(_, choices) => choices.iter().map(|(java, _)| (*java).to_owned()).collect(),
            Rule::Number(_) => vec!["-1".to_owned(), i64::MAX.to_string()],
            Rule::Text(_)
            | Rule::Servers(_)
            | Rule::Boolean(_)
            | Rule::Kibibytes(..)
            | Rule::Together(_)
            | Rule::Worker(_)
            | Rule::Ignored(_)
            | Rule::Only(..) => continue,
        };
        for value in values {
            let connector = with_prefix(kind.override_prefix(), &[(key.name, &value)]);
            let client = match kind {
                ClientKind::Producer => layers(&NOTHING, &connector).source_producer(),
                ClientKind::Consumer => layers(&NOTHING, &connector).sink_consumer("c", 0),
                ClientKind::Admin => layers(&NOTHING, &connector).connector_admin("id"),
            };
            match client {
                Ok(client) if !["security.protocol", "group.protocol"].contains(&key.name) => {
                    create(kind, &client)
                }
                Ok(_) => {}
                // Only what contradicts another value may be refused.
                Err(error) => assert!(
                    ["security.protocol", "session.timeout.ms", "linger.ms"].contains(&key.name),
                    "{}={value}: {error}",
                    key.name
                ),
            }
        }
    }
}

proptest! {
    #[test]
    fn no_secret_in_debug(secret in "[a-z0-9]{12,24}") {
        let jaas = format!("x.PlainLoginModule required username=\"u\" password=\"{secret}\";");
        let client = producer_of(&[
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.jaas.config", &jaas),
            ("ssl.key.password", &secret),
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.key", &secret),
            ("ssl.keystore.certificate.chain", "chain"),
        ]).unwrap();
        prop_assert_eq!(client.get("ssl.key.pem"), Some(secret.as_str()));
        let printed = format!("{client:?}");
        prop_assert!(!printed.contains(&secret), "{}", printed);
    }
}
