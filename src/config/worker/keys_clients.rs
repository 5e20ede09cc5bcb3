//! Worker settings that are about connections to brokers and TLS. A standalone worker hands those of them that are
//! no TLS settings to its admin clients only, as Apache does: tasks take theirs from `producer.` and `consumer.`.

use super::keys::{Mode, Modes, WorkerKey};
use crate::api::config_def::{ConfigKey, ConfigType, Importance, Validator};

pub(super) fn keys() -> Vec<WorkerKey> {
    [tls(), connections(), waiting(), logging_in()].concat()
}

fn tls() -> Vec<WorkerKey> {
    use ConfigType::{Class, List, Password, String};
    use Importance::{High, Low, Medium};
    let built = |key| WorkerKey::built(Modes::Both, key);
    let jvm = |key| WorkerKey::recognised(Modes::Both, "it selects code of a JVM", key);
    vec![
        built(ConfigKey::new("ssl.protocol", String, Medium, "The newest TLS version; see `ssl.enabled.protocols`, which decides.").default("TLSv1.3")),
        built(ConfigKey::new("ssl.enabled.protocols", List, Medium, "The TLS versions that may be used.").default("TLSv1.2,TLSv1.3")),
        built(ConfigKey::new("ssl.keystore.type", String, Medium, "The form of the key store: `PEM` or `PKCS12`. `JKS` files in the old format of Java cannot be read; a file of the PKCS12 format is recognised also under the name JKS, as in Java.").default("JKS")),
        built(ConfigKey::new("ssl.keystore.location", String, High, "The key store file. A PEM file holds the private key and the certificate chain.")),
        built(ConfigKey::new("ssl.keystore.password", Password, High, "The password of a PKCS12 key store.")),
        built(ConfigKey::new("ssl.keystore.key", Password, High, "The private key itself, as PEM.")),
        built(ConfigKey::new("ssl.keystore.certificate.chain", Password, High, "The certificate chain itself, as PEM.")),
        built(ConfigKey::new("ssl.key.password", Password, High, "The password of an encrypted private key.")),
        built(ConfigKey::new("ssl.truststore.type", String, Medium, "The form of the trust store: `PEM` or `PKCS12`; `JKS` as for the key store.").default("JKS")),
        built(ConfigKey::new("ssl.truststore.location", String, High, "The file with the certificates that are trusted.")),
        built(ConfigKey::new("ssl.truststore.password", Password, High, "The password of a PKCS12 trust store.")),
        built(ConfigKey::new("ssl.truststore.certificates", Password, High, "The trusted certificates themselves, as PEM.")),
        built(ConfigKey::new("ssl.cipher.suites", List, Low, "The cipher suites that may be used, by their names in the TLS standard; not set is the default of OpenSSL.")),
        built(ConfigKey::new("ssl.endpoint.identification.algorithm", String, Low, "`https` checks the name in the broker's certificate, an empty text does not.").default("https")),
        jvm(ConfigKey::new("ssl.provider", String, Medium, "A security provider of the JVM.")),
        jvm(ConfigKey::new("ssl.secure.random.implementation", String, Low, "A random source of the JVM.")),
        jvm(ConfigKey::new("ssl.keymanager.algorithm", String, Low, "A key manager of the JVM.").default("SunX509")),
        jvm(ConfigKey::new("ssl.trustmanager.algorithm", String, Low, "A trust manager of the JVM.").default("PKIX")),
        jvm(ConfigKey::new("ssl.engine.factory.class", Class, Low, "A TLS engine of the JVM.")),
    ]
}

// Standalone workers have no definition for what follows in Apache either: it passes to the admin client as it is.
fn built(key: ConfigKey) -> WorkerKey {
    WorkerKey::built(Modes::Only(Mode::Distributed), key)
}

fn connections() -> Vec<WorkerKey> {
    use ConfigType::{Int, Long, String};
    use Importance::Low;
    vec![
        built(
            ConfigKey::new("client.id", String, Low, "The name that brokers see in requests of this worker.")
                .default(""),
        ),
        built(
            ConfigKey::new(
                "metadata.max.age.ms",
                Long,
                Low,
                "How often the client asks for the state of the cluster without a reason.",
            )
            .default("300000")
            .at_least(0),
        ),
        built(
            ConfigKey::new(
                "metadata.recovery.strategy",
                String,
                Low,
                "What to do when no known broker answers.",
            )
            .default("rebootstrap")
            .validator(Validator::OneOfIgnoringCase(vec!["rebootstrap".to_owned(), "none".to_owned()])),
        ),
        built(
            ConfigKey::new(
                "metadata.recovery.rebootstrap.trigger.ms",
                Long,
                Low,
                "After how long without an answer the client begins again with `bootstrap.servers`.",
            )
            .default("300000")
            .at_least(0),
        ),
        built(
            ConfigKey::new(
                "send.buffer.bytes",
                Int,
                Low,
                "The send buffer of sockets; -1 is the system's default.",
            )
            .default("131072")
            .at_least(-1),
        ),
        built(
            ConfigKey::new(
                "receive.buffer.bytes",
                Int,
                Low,
                "The receive buffer of sockets; -1 is the system's default.",
            )
            .default("32768")
            .at_least(-1),
        ),
        built(
            ConfigKey::new(
                "connections.max.idle.ms",
                Long,
                Low,
                "After how long an idle connection is closed.",
            )
            .default("540000"),
        ),
    ]
}

fn waiting() -> Vec<WorkerKey> {
    use ConfigType::{Int, Long};
    use Importance::{Low, Medium};
    vec![
        built(
            ConfigKey::new(
                "reconnect.backoff.ms",
                Long,
                Low,
                "The first pause before connecting to a broker again.",
            )
            .default("50")
            .at_least(0),
        ),
        built(
            ConfigKey::new("reconnect.backoff.max.ms", Long, Low, "The longest such pause.")
                .default("1000")
                .at_least(0),
        ),
        built(
            ConfigKey::new("retry.backoff.ms", Long, Low, "The first pause before a request is sent again.")
                .default("100")
                .at_least(0),
        ),
        built(
            ConfigKey::new("retry.backoff.max.ms", Long, Low, "The longest such pause.")
                .default("1000")
                .at_least(0),
        ),
        built(
            ConfigKey::new(
                "socket.connection.setup.timeout.ms",
                Long,
                Low,
                "How long connecting may take at first.",
            )
            .default("10000")
            .at_least(0),
        ),
        built(
            ConfigKey::new(
                "socket.connection.setup.timeout.max.ms",
                Long,
                Low,
                "How long connecting may take after repeated failures.",
            )
            .default("30000")
            .at_least(0),
        ),
        built(
            ConfigKey::new(
                "request.timeout.ms",
                Int,
                Medium,
                "How long the client waits for the answer to a request.",
            )
            .default("40000")
            .at_least(0),
        ),
    ]
}

fn logging_in() -> Vec<WorkerKey> {
    use ConfigType::{List, Password, String};
    use Importance::{Low, Medium};
    vec![
        built(
            ConfigKey::new("security.protocol", String, Medium, "How to talk to brokers.")
                .default("PLAINTEXT")
                .one_of(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]),
        ),
        built(
            ConfigKey::new(
                "sasl.mechanism",
                String,
                Medium,
                "How to log in: `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512` can be used.",
            )
            .default("GSSAPI"),
        ),
        built(ConfigKey::new(
            "sasl.jaas.config",
            Password,
            Medium,
            "The login module with user name and password.",
        )),
        built(ConfigKey::new(
            "security.providers",
            List,
            Low,
            "Security providers of a JVM; must not be set.",
        )),
    ]
}
