//! TLS: who shakes hands with whom, what stalls nobody, and what is told about bad files.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use herdsman::rest::http::ListenerLabel;
use herdsman::rest::limits::ServerLimits;
use herdsman::rest::server::{HttpServer, Scheme};
use herdsman::rest::tls::{ClientAuth, Identity, Password, PemSource, TlsProtocol, TlsSettings, TrustStore};
use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVersion};

use crate::certificates::Pair;
use crate::client::{Client, SOON};
use crate::fixture::{Fixture, listener, now};

fn pem(pair: &Pair) -> Identity {
    Identity::Pem {
        chain: PemSource::Text(pair.certificate_pem()),
        key: PemSource::Text(pair.key_pem()),
        key_password: None,
    }
}

fn settings(identity: Identity) -> TlsSettings {
    TlsSettings {
        identity,
        trust: None,
        client_auth: ClientAuth::None,
        protocols: Vec::new(),
        cipher_suites: Vec::new(),
    }
}

/// Shakes hands, trusting `authority`, as `identity` if asked, with at most that version.
fn connect(
    address: SocketAddr,
    authority: &Pair,
    identity: Option<&Pair>,
    version: Option<SslVersion>,
) -> Result<Client<SslStream<TcpStream>>, String> {
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.cert_store_mut().add_cert(authority.certificate.clone()).unwrap();
    connector.set_max_proto_version(version).unwrap();
    if let Some(pair) = identity {
        connector.set_certificate(&pair.certificate).unwrap();
        connector.set_private_key(&pair.key).unwrap();
    }
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    connector.build().connect("127.0.0.1", stream).map(Client::over).map_err(|error| error.to_string())
}

/// The status of one request, or why there was none: a server of TLS 1.3 refuses a client after its handshake.
fn ask(mut client: Client<SslStream<TcpStream>>) -> Result<String, String> {
    let request = b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    client.stream.write_all(request).map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut client.stream, &mut answer).map_err(|error| error.to_string())?;
    let answer = String::from_utf8(answer).unwrap();
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).ok_or(answer)
}

#[test]
fn keys_are_read_from_pem_and_pkcs12() {
    let authority = Pair::authority("authority");
    let server = authority.issue("server");
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let both = format!("{}{}", server.certificate_pem(), server.key_pem());
    let both = file("both.pem", both.as_bytes());
    let chain = file("chain.pem", server.certificate_pem().as_bytes());
    let identities = [
        pem(&server),
        Identity::Pem {
            chain: PemSource::File(both.clone()),
            key: PemSource::File(both),
            key_password: None,
        },
        Identity::Pem {
            chain: PemSource::File(chain),
            key: PemSource::Text(server.encrypted_key_pem("secret")),
            key_password: Some(Password::new("secret")),
        },
        Identity::Pkcs12 {
            file: file("server.p12", &server.pkcs12("secret")),
            password: Password::new("secret"),
        },
    ];
    for identity in identities {
        let shown = format!("{identity:?}");
        assert!(!shown.contains("secret") && !shown.contains("PRIVATE"), "{shown}");
        let fixture = Fixture::with_tls(settings(identity), ServerLimits::default());
        let mut client = connect(fixture.address, &authority, None, None).unwrap();
        assert_eq!(client.get("/").status, 200, "{shown}");
        let text = client.get("/echo").text().to_owned();
        assert!(text.contains("Main Some(\"nobody\")\n"), "{text}");
        assert_eq!(client.get("/large").body.len(), crate::fixture::LARGE_BYTES);
    }
}

#[test]
fn client_certificates_are_asked_for_as_configured() {
    let authority = Pair::authority("authority");
    let server = authority.issue("server");
    let friend = authority.issue("friend");
    let stranger = Pair::authority("other").issue("friend");
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("trust.p12");
    fs::write(&store, authority.pkcs12("secret")).unwrap();
    let trusts = [
        TrustStore::Pem(PemSource::Text(authority.certificate_pem())),
        TrustStore::Pkcs12 { file: store, password: Password::new("secret") },
    ];
    let friend_shown = "Some(\"O=herdsman, CN=friend\")";
    let nobody_shown = "Some(\"nobody\")";
    let cases = [
        (ClientAuth::None, None, Some(nobody_shown)),
        (ClientAuth::None, Some(&friend), Some(nobody_shown)),
        (ClientAuth::Requested, None, Some(nobody_shown)),
        (ClientAuth::Requested, Some(&friend), Some(friend_shown)),
        (ClientAuth::Requested, Some(&stranger), None),
        (ClientAuth::Required, None, None),
        (ClientAuth::Required, Some(&friend), Some(friend_shown)),
        (ClientAuth::Required, Some(&stranger), None),
    ];
    for trust in trusts {
        for (client_auth, client, shown) in &cases {
            let settings = TlsSettings {
                client_auth: *client_auth,
                trust: Some(trust.clone()),
                ..settings(pem(&server))
            };
            let fixture = Fixture::with_tls(settings, ServerLimits::default());
            for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
                let answer = connect(fixture.address, &authority, *client, Some(version)).and_then(ask);
                match shown {
                    Some(shown) => {
                        let answer = answer.unwrap();
                        assert!(answer.contains(shown), "{client_auth:?}: {answer}");
                    }
                    None => assert!(answer.is_err(), "{client_auth:?}: {answer:?}"),
                }
            }
        }
    }
}

#[test]
fn only_configured_versions_and_suites_are_spoken() {
    let authority = Pair::authority("authority");
    let server = authority.issue("server");
    let newest = TlsSettings { protocols: vec![TlsProtocol::Tls13], ..settings(pem(&server)) };
    let fixture = Fixture::with_tls(newest, ServerLimits::default());
    assert!(connect(fixture.address, &authority, None, Some(SslVersion::TLS1_2)).is_err());
    assert!(connect(fixture.address, &authority, None, None).is_ok());

    let suites = ["TLS_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"];
    let chosen = TlsSettings { cipher_suites: suites.map(str::to_owned).to_vec(), ..settings(pem(&server)) };
    let fixture = Fixture::with_tls(chosen, ServerLimits::default());
    for (version, suite) in [SslVersion::TLS1_3, SslVersion::TLS1_2].into_iter().zip(suites) {
        let client = connect(fixture.address, &authority, None, Some(version)).unwrap();
        let spoken = client.stream.ssl().current_cipher().and_then(|cipher| cipher.standard_name());
        assert_eq!(spoken, Some(suite));
    }
}

#[test]
fn a_stalled_handshake_stops_nobody_and_ends() {
    let authority = Pair::authority("authority");
    let server = authority.issue("server");
    let limits = ServerLimits { handshake_timeout: Duration::from_millis(1500), ..ServerLimits::default() };
    let fixture = Fixture::with_tls(settings(pem(&server)), limits);
    let begun = now();
    let mut stalled: Vec<_> = (0..40).map(|_| fixture.client()).collect();
    // The beginning of a ClientHello, and for some of them never more.
    for client in &mut stalled[20..] {
        client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    }
    let mut client = connect(fixture.address, &authority, None, None).unwrap();
    assert_eq!(client.get("/").status, 200);
    assert!(now() - begun < Duration::from_millis(1500), "while the others stall");
    for client in &mut stalled {
        assert!(client.is_ended());
    }
    assert_eq!(client.get("/").status, 200);
    let mut plain = fixture.client();
    plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut said = Vec::new();
    std::io::Read::read_to_end(&mut plain.stream, &mut said).unwrap();
    assert!(!said.starts_with(b"HTTP"), "no HTTP in plain text");
}

#[test]
fn settings_that_cannot_work_say_what_to_do() {
    let authority = Pair::authority("authority");
    let server = authority.issue("server");
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let missing = folder.path().join("missing.pem");
    let store = write("server.p12", &server.pkcs12("secret"));
    let text = |pem: String| PemSource::Text(pem);
    let with = |chain, key| Identity::Pem { chain, key, key_password: None };
    let certificate = || text(server.certificate_pem());
    let cases = [
        (settings(with(PemSource::File(missing.clone()), text(server.key_pem()))), "missing.pem: check that"),
        (
            settings(with(certificate(), text("nothing".to_owned()))),
            "holds no readable private key: it should",
        ),
        (
            settings(with(text("nothing".to_owned()), text(server.key_pem()))),
            "holds no certificate: it should",
        ),
        (
            settings(with(certificate(), text(authority.key_pem()))),
            "does not belong to the first certificate",
        ),
        (
            settings(with(certificate(), text(server.encrypted_key_pem("s")))),
            "or one that ssl.key.password opens",
        ),
        (
            settings(Identity::Pkcs12 { file: store, password: Password::new("wrong") }),
            "server.p12 holds no readable PKCS12 store: check its password",
        ),
        (
            TlsSettings { client_auth: ClientAuth::Required, ..settings(pem(&server)) },
            "set ssl.truststore.location",
        ),
        (
            TlsSettings { cipher_suites: vec!["TLS_WITH_ROT13".to_owned()], ..settings(pem(&server)) },
            "unknown cipher suite TLS_WITH_ROT13",
        ),
        (
            TlsSettings { cipher_suites: vec!["TLS_ROT13".to_owned()], ..settings(pem(&server)) },
            "unknown cipher suite TLS_ROT13",
        ),
    ];
    for (settings, told) in cases {
        let config = listener(ListenerLabel::Main, Some(settings));
        let error = HttpServer::bind(&[config], ServerLimits::default()).unwrap_err();
        assert_eq!(error.to_string(), "cannot set up TLS for https://127.0.0.1:0");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains(told), "{told}: {cause}");
    }
    let mut config = listener(ListenerLabel::Main, None);
    config.scheme = Scheme::Https;
    let error = HttpServer::bind(&[config], ServerLimits::default()).unwrap_err().to_string();
    assert!(error.contains("does not go with missing TLS settings"), "{error}");
}
