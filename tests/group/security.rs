//! Against a real Kafka with TLS and logins.

use std::time::Duration;

use herdsman::config::client::{ClientSettings, worker_client};
use herdsman::group::events::GroupEvent;

use crate::broker::{Kafka, OwnKafka, kafka, unique};
use crate::herd::{Herder, is_contact, is_lost, settings};

/// The settings as a worker file has them, translated as for all clients of the worker.
fn client(bootstrap: &str, java: &[(&str, &str)]) -> ClientSettings {
    let java = [("bootstrap.servers", bootstrap)].into_iter().chain(java.iter().copied());
    worker_client(&java.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()).unwrap()
}

fn login(module: &str, password: &str) -> String {
    format!("org.apache.kafka.common.security.{module} required username=\"alice\" password=\"{password}\";")
}

#[track_caller]
fn is_let_in(client: &ClientSettings) {
    let mut herder = Herder::start("w1", settings(&unique("connect"), "w1"), client);
    // A broker that has just started may not have a coordinator at once; after that nothing may be lost.
    herder.first_round();
    herder.seen.clear();
    herder.wait("a heartbeat", is_contact);
    assert!(!herder.seen.iter().any(is_lost), "{:?}", herder.seen);
}

/// What is told when a broker does not let in; the member keeps trying.
fn refusal(client: &ClientSettings) -> String {
    let mut herder = Herder::start("w1", settings(&unique("connect"), "w1"), client);
    herder.join();
    let (_, event) = herder.wait("a refusal", is_lost);
    let GroupEvent::ContactLost { why } = event else { panic!("{event:?}") };
    why
}

#[test]
fn a_password_lets_in_over_tls() {
    let Some(kafka) = kafka() else { return };
    let (bootstrap, authority) = (kafka.listener("bootstrap-sasl-ssl"), kafka.file("tls/ca.pem"));
    let with = |mechanism, module, password| {
        let security = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", mechanism),
            ("sasl.jaas.config", &login(module, password)),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.location", &authority),
        ];
        client(&bootstrap, &security)
    };
    is_let_in(&with("SCRAM-SHA-512", "scram.ScramLoginModule", "alice-secret"));
    is_let_in(&with("SCRAM-SHA-256", "scram.ScramLoginModule", "alice-secret"));
    is_let_in(&with("PLAIN", "plain.PlainLoginModule", "alice-secret"));
    for (mechanism, module) in
        [("SCRAM-SHA-512", "scram.ScramLoginModule"), ("PLAIN", "plain.PlainLoginModule")]
    {
        let told = refusal(&with(mechanism, module, "wr0ng-secret"));
        assert!(told.contains("SaslAuthenticationFailed") && told.contains("sasl.jaas.config"), "{told}");
        assert!(!told.contains("wr0ng-secret"), "{told}");
    }
}

fn with_certificate<'a>(kafka: &Kafka, store: &'a str, authority: &'a str) -> ClientSettings {
    let security = [
        ("security.protocol", "SSL"),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", authority),
        ("ssl.keystore.type", "PEM"),
        ("ssl.keystore.location", store),
    ];
    client(&kafka.listener("bootstrap-ssl"), &security)
}

#[test]
fn a_client_certificate_lets_in() {
    let Some(kafka) = kafka() else { return };
    let (authority, store) = (kafka.file("tls/ca.pem"), kafka.file("tls/client-keystore.pem"));
    is_let_in(&with_certificate(&kafka, &store, &authority));
    // By name, too: the server's certificate has both.
    let by_name = kafka.listener("bootstrap-ssl").replace("127.0.0.1", "localhost");
    let settings = with_certificate(&kafka, &store, &authority).with("bootstrap.servers", by_name);
    is_let_in(&settings);
}

#[test]
fn who_is_not_let_in_hears_why() {
    let Some(kafka) = kafka() else { return };
    let (authority, store) = (kafka.file("tls/ca.pem"), kafka.file("tls/client-keystore.pem"));
    let good = with_certificate(&kafka, &store, &authority);

    let foreign = good.clone().with("ssl.ca.location", kafka.file("tls/client.pem"));
    let told = refusal(&foreign);
    assert!(told.contains("its certificate is not trusted"), "{told}");

    let no_certificate = client(
        &kafka.listener("bootstrap-ssl"),
        &[
            ("security.protocol", "SSL"),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.location", &authority),
        ],
    );
    let told = refusal(&no_certificate);
    assert!(told.contains("broker 127.0.0.1:"), "{told}");

    // TLS towards a plain port, and the other way round.
    let told = refusal(&good.clone().with("bootstrap.servers", kafka.bootstrap.as_str()));
    assert!(told.contains("security.protocol"), "{told}");
    let plain = [("bootstrap.servers", kafka.listener("bootstrap-ssl"))].into_iter().collect();
    let told = refusal(&plain);
    assert!(told.contains("security.protocol"), "{told}");
}

#[test]
fn the_name_of_the_host_is_verified_unless_told_not_to() {
    let Some(kafka) = kafka() else { return };
    let (authority, store) = (kafka.file("tls/ca.pem"), kafka.file("tls/client-keystore.pem"));
    // 127.0.0.2 is this machine, too, but the certificate does not have it; the broker listens on 127.0.0.1 only, so
    // its own certificate is asked for under another name by way of the settings.
    let good = with_certificate(&kafka, &store, &authority);
    let told = name_refusal(&kafka, &good);
    assert!(told.contains("its certificate is not trusted"), "{told}");
    let lenient = good.with("ssl.endpoint.identification.algorithm", "none");
    let told = name_refusal(&kafka, &lenient);
    assert!(!told.contains("not trusted"), "{told}");
}

/// Asks a relay on another address of this machine, which leads to the broker.
fn name_refusal(kafka: &Kafka, client: &ClientSettings) -> String {
    let relay = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    let address = relay.local_addr().unwrap();
    let target = kafka.listener("bootstrap-ssl");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // One connection is enough: it is refused, or leads on to the coordinator under its own name.
            let (mut inner, _) = relay.accept().unwrap();
            let mut outer = std::net::TcpStream::connect(target).unwrap();
            let (mut inner_2, mut outer_2) = (inner.try_clone().unwrap(), outer.try_clone().unwrap());
            let back = std::thread::spawn(move || std::io::copy(&mut outer_2, &mut inner_2).is_ok());
            drop(std::io::copy(&mut inner, &mut outer));
            drop(outer.shutdown(std::net::Shutdown::Both));
            drop(back.join());
        });
        let client = client.clone().with("bootstrap.servers", address.to_string());
        let mut herder = Herder::start("w1", settings(&unique("connect"), "w1"), &client);
        herder.join();
        let (_, event) = herder.wait("an outcome", |event| is_lost(event) || is_contact(event));
        format!("{event:?}")
    })
}

#[test]
fn a_token_lets_in_and_a_login_is_renewed_before_it_ends() {
    if kafka().is_none() {
        return;
    }
    let own = OwnKafka::start(&[
        "--sasl-ssl",
        "--property",
        "listener.name.sasl_ssl.sasl.enabled.mechanisms=OAUTHBEARER,SCRAM-SHA-256",
        "--property",
        "listener.name.sasl_ssl.oauthbearer.sasl.jaas.config=\
         org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"b\";",
        "--property",
        "listener.name.sasl_ssl.scram-sha-256.connections.max.reauth.ms=4000",
    ]);
    let kafka = &own.kafka;
    let base: ClientSettings = [
        ("bootstrap.servers", kafka.listener("bootstrap-sasl-ssl")),
        ("security.protocol", "sasl_ssl".to_owned()),
        ("ssl.ca.location", kafka.file("tls/ca.pem")),
    ]
    .into_iter()
    .collect();
    let token = base
        .clone()
        .with("sasl.mechanism", "OAUTHBEARER")
        .with("enable.sasl.oauthbearer.unsecure.jwt", "true")
        .with("sasl.oauthbearer.config", "principal=alice extension_traceId=7");
    is_let_in(&token);
    let told = refusal(
        &token.clone().with("sasl.mechanism", "PLAIN").with("sasl.username", "a").with("sasl.password", "b"),
    );
    assert!(told.contains("UnsupportedSaslMechanism") && told.contains("OAUTHBEARER"), "{told}");

    let scram = base
        .with("sasl.mechanism", "SCRAM-SHA-256")
        .with("sasl.username", "alice")
        .with("sasl.password", "alice-secret");
    let mut herder = Herder::start("w1", settings(&unique("connect"), "w1"), &scram);
    herder.first_round();
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        let (_, event) = herder.wait("a heartbeat", |_| true);
        assert!(matches!(event, GroupEvent::Contact { .. }), "the login is renewed between heartbeats");
    }
}
