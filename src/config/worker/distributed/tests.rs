//! Settings of distributed mode: defaults, what counts, mistakes and notes, all in the words of Apache.

use super::*;

fn raw(entries: &[(&str, &str)]) -> RawConfig {
    let mut raw = RawConfig::default();
    for (key, value) in [
        ("group.id", "g"),
        ("key.converter", "org.apache.kafka.connect.storage.StringConverter"),
        ("value.converter", "org.apache.kafka.connect.storage.StringConverter"),
        ("config.storage.topic", "configs"),
        ("offset.storage.topic", "offsets"),
        ("status.storage.topic", "statuses"),
    ]
    .iter()
    .chain(entries)
    {
        raw.set(*key, *value);
    }
    raw
}

fn load(entries: &[(&str, &str)]) -> Result<DistributedConfig, String> {
    DistributedConfig::from_raw(&raw(entries), &Environment::new()).map_err(|error| error.to_string())
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn defaults_are_those_of_apache() {
    let config = load(&[]).unwrap();
    assert_eq!((config.group_id.as_str(), &config.client_id), ("g", &None));
    assert_eq!(
        config.group,
        GroupConfig {
            session_timeout: ms(10_000),
            heartbeat_interval: ms(3000),
            rebalance_timeout: ms(60_000),
            sync_timeout: ms(3000),
            unsync_backoff: ms(300_000),
            protocol: ConnectProtocol::Sessioned,
            scheduled_rebalance_max_delay: ms(300_000),
        }
    );
    assert_eq!(
        config.connection,
        ConnectionConfig {
            request_timeout: ms(40_000),
            retry_backoff: ms(100),
            retry_backoff_max: ms(1000),
            reconnect_backoff: ms(50),
            reconnect_backoff_max: ms(1000),
            setup_timeout: ms(10_000),
            setup_timeout_max: ms(30_000),
            max_idle: Some(ms(540_000)),
            metadata_max_age: ms(300_000),
            rebootstrap_after: Some(ms(300_000)),
            send_buffer: Some(131_072),
            receive_buffer: Some(32_768),
        }
    );
    let topic = |name: &str, partitions| InternalTopic {
        name: name.to_owned(),
        partitions: Some(partitions),
        replicas: Some(3),
        settings: Settings::new(),
    };
    assert_eq!(config.config_topic, topic("configs", 1));
    assert_eq!(config.offset_topic, topic("offsets", 25));
    assert_eq!(config.status_topic, topic("statuses", 5));
    assert_eq!(config.exactly_once, ExactlyOnceSupport::Disabled);
    assert_eq!(
        config.inter_worker,
        InterWorkerKeys {
            key_algorithm: MacAlgorithm::HmacSha256,
            key_bytes: 32,
            ttl: ms(3_600_000),
            signature: MacAlgorithm::HmacSha256,
            verification: vec![MacAlgorithm::HmacSha256],
        }
    );
    assert_eq!(config.worker.notes, Vec::<String>::new());
}

#[test]
fn what_is_set_counts() {
    let config = load(&[
        ("client.id", "me"),
        ("connect.protocol", "EAGER"),
        ("exactly.once.source.support", "Preparing"),
        ("scheduled.rebalance.max.delay.ms", "0"),
        ("metadata.recovery.strategy", "NONE"),
        ("connections.max.idle.ms", "-1"),
        ("send.buffer.bytes", "-1"),
        ("config.storage.replication.factor", "-1"),
        ("config.storage.min.insync.replicas", "2"),
        ("offset.storage.partitions", "-1"),
        ("offset.storage.segment.bytes", "100"),
        ("inter.worker.key.generation.algorithm", "HmacSHA512"),
        ("inter.worker.signature.algorithm", "HmacSHA384"),
        ("inter.worker.verification.algorithms", "HmacSHA256, HmacSHA384"),
    ])
    .unwrap();
    assert_eq!(config.group.protocol, ConnectProtocol::Eager);
    assert_eq!(config.group.scheduled_rebalance_max_delay, ms(0));
    assert_eq!(config.exactly_once, ExactlyOnceSupport::Preparing);
    let ConnectionConfig { rebootstrap_after, max_idle, send_buffer, .. } = config.connection;
    assert_eq!((rebootstrap_after, max_idle, send_buffer), (None, None, None));
    let setting = |name: &str, value: &str| Settings::from([(name.to_owned(), value.to_owned())]);
    assert_eq!((config.config_topic.replicas, config.offset_topic.partitions), (None, None));
    assert_eq!(config.config_topic.settings, setting("min.insync.replicas", "2"));
    assert_eq!(config.offset_topic.settings, setting("segment.bytes", "100"));
    let InterWorkerKeys { key_bytes, signature, verification, .. } = config.inter_worker;
    assert_eq!((key_bytes, signature, verification.len()), (64, MacAlgorithm::HmacSha384, 2));
}

#[test]
fn client_ids_are_those_of_apache() {
    let worker = WorkerId::new("h:8083");
    for (entries, member, base) in
        [(&[][..], "connect-h:8083", "g-"), (&[("client.id", "me")], "me", "g-me-")]
    {
        let config = load(entries).unwrap();
        assert_eq!(
            (config.member_client_id(&worker).as_str(), config.client_id_base().as_str()),
            (member, base)
        );
    }
}

#[test]
fn keys_have_the_size_that_java_gives_them() {
    for (bits, bytes) in [("40", 5), ("41", 6), ("48", 6), ("256", 32)] {
        assert_eq!(load(&[("inter.worker.key.size", bits)]).unwrap().inter_worker.key_bytes, bytes);
    }
}

#[test]
fn what_is_wrong_is_said_in_the_words_of_apache() {
    let replicas = "Replication factor must be positive and not larger than the number of brokers in the Kafka \
                    cluster, or -1 to use the broker's default";
    let partitions = "Number of partitions must be positive, or -1 to use the broker's default";
    let present = "Signature algorithm must be present in inter.worker.verification.algorithms list";
    let supported = "is not supported by this worker; the supported algorithms are: [HmacSHA256, HmacSHA384, \
                     HmacSHA512]";
    for (key, value, message) in [
        ("group.id", "", "String must be non-empty"),
        ("config.storage.topic", "", "String must be non-empty"),
        ("connect.protocol", "x", "Invalid Connect protocol compatibility"),
        ("connect.protocol", "", "Invalid Connect protocol compatibility"),
        (
            "exactly.once.source.support",
            "x",
            "String must be one of (case insensitive): DISABLED, ENABLED, PREPARING",
        ),
        ("scheduled.rebalance.max.delay.ms", "-1", "Value must be at least 0"),
        ("scheduled.rebalance.max.delay.ms", "2147483648", "Not a number of type INT"),
        ("inter.worker.key.ttl.ms", "-1", "Value must be at least 0"),
        ("heartbeat.interval.ms", "0", "Value must be at least 1"),
        (
            "heartbeat.interval.ms",
            "10000",
            "Heartbeat must be set lower than the session timeout, which is 10000",
        ),
        ("config.storage.replication.factor", "0", replicas),
        ("status.storage.replication.factor", "-2", replicas),
        ("offset.storage.partitions", "0", partitions),
        ("inter.worker.key.size", "x", "Not a number of type INT"),
        ("inter.worker.signature.algorithm", "HmacSHA512", present),
        ("inter.worker.signature.algorithm", "HmacSHA1", &format!("the algorithm HmacSHA1 {supported}")),
        ("inter.worker.key.generation.algorithm", "AES", &format!("the algorithm AES {supported}")),
    ] {
        let error = load(&[(key, value)]).unwrap_err();
        let expected = format!("Invalid value {value} for configuration {key}: {message}");
        assert!(error.lines().any(|line| line == expected), "{expected:?} is missing in:\n{error}");
    }
    for (key, value, expected) in [
        (
            "inter.worker.verification.algorithms",
            "",
            "Invalid value [] for configuration inter.worker.verification.algorithms: At least one signature \
             verification algorithm must be provided",
        ),
        (
            "inter.worker.verification.algorithms",
            "HmacSHA256,HmacSHA1",
            &format!(
                "Invalid value [HmacSHA256, HmacSHA1] for configuration inter.worker.verification.algorithms: the \
                 algorithm HmacSHA1 {supported}"
            ),
        ),
        (
            "inter.worker.key.size",
            "39",
            "Unable to create key generator with algorithm HmacSHA256 and key size 39: Key length must be at \
             least 40 bits",
        ),
    ] {
        assert_eq!(load(&[(key, value)]).unwrap_err(), expected);
    }
}

#[test]
fn what_must_be_there_is_named() {
    let error =
        DistributedConfig::from_raw(&RawConfig::default(), &Environment::new()).unwrap_err().to_string();
    for key in ["group.id", "config.storage.topic", "offset.storage.topic", "status.storage.topic"] {
        let expected = format!("Missing required configuration \"{key}\" which has no default value.");
        assert!(error.contains(&expected), "{expected:?} is missing in:\n{error}");
    }
    assert!(!error.contains("offset.storage.file.filename"), "{error}");
}

#[test]
fn notes_tell_what_does_nothing() {
    let config = load(&[
        ("config.storage.partitions", "7"),
        ("config.storage.cleanup.policy", "delete"),
        ("offset.storage.file.filename", "/tmp/offsets"),
        ("status.storage.cleanup.policy", "compact"),
        ("status.storage.topic", "offsets"),
        ("group.idd", "x"),
    ])
    .unwrap();
    let notes: Vec<_> = config.worker.notes.iter().map(|note| note.split_once(' ').unwrap().0).collect();
    let ignored = [
        "config.storage.partitions",
        "config.storage.cleanup.policy",
        "offset.storage.file.filename",
        "status.storage.cleanup.policy",
    ];
    assert_eq!(notes[1..5], ignored);
    assert!(config.worker.notes[0].contains("group.idd (did you mean group.id?)"), "{notes:?}");
    assert!(config.worker.notes[5].contains("should name three topics"), "{notes:?}");
    for topic in [&config.config_topic, &config.offset_topic, &config.status_topic] {
        assert_eq!(topic.settings, Settings::new());
    }
}

#[test]
fn values_are_printed_as_java_prints_them() {
    let printed = load(&[("sasl.jaas.config", "hunter2")]).unwrap().to_string();
    assert!(printed.starts_with("DistributedConfig values:\n\taccess.control.allow.methods = "), "{printed}");
    for expected in [
        "\tgroup.id = g",
        "\tinter.worker.key.size = null",
        "\tinter.worker.verification.algorithms = [HmacSHA256]",
        "\tsasl.jaas.config = [hidden]",
    ] {
        assert!(printed.lines().any(|line| line == expected), "{expected:?} is missing in:\n{printed}");
    }
    assert!(!printed.contains("offset.storage.file.filename"), "{printed}");
}

proptest::proptest! {
    #[test]
    fn no_secret_in_debug_or_log(secret in "[a-z0-9]{12,24}") {
        let config = load(&[
            ("sasl.jaas.config", &secret),
            ("ssl.keystore.password", &secret),
            ("producer.sasl.jaas.config", &secret),
        ])
        .unwrap();
        let printed = format!("{config} {config:?}");
        proptest::prop_assert!(!printed.contains(&secret), "{}", printed);
    }
}
