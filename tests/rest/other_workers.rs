//! What can be wrong with the worker at the other end: gone, slow, another server, with other certificates.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use herdsman::herder::msg::{HerderError, Proof, SignatureFault};
use herdsman::logging::Logger;
use herdsman::logging::level::LogLevel;
use herdsman::logging::levels::Levels;
use herdsman::rest::forward::{ClientLimits, ForwardError, WorkerClient, tasks_body};
use herdsman::rest::tls::client::ClientTlsSettings;
use herdsman::rest::tls::{ClientAuth, Identity, PemSource, TlsSettings, TrustStore};
use herdsman::stdx::error_class::ErrorClass;
use herdsman::stdx::time::Clock;
use serde_json::Value as Json;

use crate::certificates::Pair;
use crate::group::{Got, Member, MemberSettings, Part, ask, client};
use crate::odd::{Odd, wait_for_end};
use crate::worker::SOON;

/// A follower that does not wait long, before a leader of that URL.
fn hasty_follower(url: &str, request_timeout: Duration) -> Member {
    let limits = ClientLimits {
        connect_timeout: Duration::from_secs(3),
        answer_margin: Duration::from_millis(100),
        answer_bytes_max: 1024 * 1024,
    };
    let settings = MemberSettings { client: client(limits), request_timeout, ..MemberSettings::default() };
    Member::start(settings, Part::follows(url))
}

fn delete_through(url: &str) -> Got {
    ask(&hasty_follower(url, SOON), "DELETE /connectors/c", &[], "")
}

#[test]
fn a_worker_that_is_gone_is_named_with_what_to_look_at() {
    let gone = Member::playing(Part::Leads).end();
    for url in [gone.as_str(), "http://no-such-host.invalid:8083/"] {
        let got = delete_through(url);
        assert_eq!(got.status, 500);
        let begin = format!("IO Error trying to forward REST request: {url} cannot be reached: ");
        assert!(got.message().starts_with(&begin), "{got:?}");
        for part in ["rest.advertised.host.name", "rest.advertised.port", "it has just ended"] {
            assert!(got.message().contains(part), "{got:?}");
        }
    }
    assert!(delete_through(&gone).message().contains("Connection refused"));
    for url in ["ftp://h:1/", "h:1", "", "http://"] {
        let got = delete_through(url);
        assert_eq!(got.status, 500, "{url}: {got:?}");
        assert!(got.message().contains("trying to forward REST request"), "{url}: {got:?}");
    }
}

#[test]
fn another_server_is_told_by_what_it_answers() {
    let io = "IO Error trying to forward REST request: ";
    let table = [
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
            500,
            io,
            "text/html",
        ),
        ("HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n<html>", 500, io, "status 404"),
        ("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", 500, io, "no body"),
        ("HTTP/1.1 500 Oh\r\nContent-Length: 7\r\n\r\n{\"x\":1}", 500, io, "no answer of Connect"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", 500, io, "ended before its answer"),
        ("", 500, io, "ended before its answer"),
        ("SSH-2.0-OpenSSH_9.6\r\n", 500, io, "ended before its answer"),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            500,
            "Unexpected status code when handling forwarded request: 302",
            "must lead to the worker itself",
        ),
        (
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            500,
            "Unexpected status code when handling forwarded request: 307",
            "",
        ),
        ("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}", 201, "", ""),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, "", ""),
        (
            "HTTP/1.1 418 Teapot\r\nContent-Length: 34\r\n\r\n{\"error_code\":999,\"message\":\"tea\"}",
            418,
            "tea",
            "",
        ),
    ];
    for (answer, status, begin, part) in table {
        let odd = Odd::sending(answer);
        let got = delete_through(&odd.url);
        assert_eq!(got.status, status, "{answer}: {got:?}");
        assert!(got.message().starts_with(begin) && got.message().contains(part), "{answer}: {got:?}");
        if status == 500 {
            assert!(got.message().contains(&odd.url), "{answer}: {got:?}");
        }
    }
    let odd = Odd::sending("HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nwho?");
    let got = delete_through(&odd.url);
    assert_eq!((got.status, got.body), (401, Json::from("User cannot access the resource.")));
}

#[test]
fn a_worker_that_hangs_is_waited_for_as_long_as_the_request_may_take() {
    for begun in ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"] {
        let odd = Odd::answering(move |stream| {
            stream.write_all(begun.as_bytes()).unwrap();
            wait_for_end(stream);
        });
        let follower = hasty_follower(&odd.url, Duration::from_millis(200));
        let deadline = Clock.deadline(SOON);
        let got = ask(&follower, "DELETE /connectors/c", &[], "");
        assert!(!deadline.passed(Clock.now().instant));
        assert_eq!(got.status, 500);
        let begin = format!("IO Error trying to forward REST request: {} has not answered within", odd.url);
        assert!(got.message().starts_with(&begin), "{got:?}");
        assert!(got.message().contains("It may still do what was asked"), "{got:?}");
    }
}

#[test]
fn an_answer_without_end_is_cut_off() {
    let odd = Odd::answering(|stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let chunk = vec![b' '; 64 * 1024];
        let sent = (0..16384).take_while(|_| stream.write_all(&chunk).is_ok()).count();
        assert!(sent < 1024, "{sent} chunks were taken");
    });
    let got = delete_through(&odd.url);
    assert_eq!(got.status, 500);
    assert!(got.message().contains("is larger than 1048576 bytes"), "{got:?}");
}

#[test]
fn workers_send_each_other_what_is_signed() {
    let leader = Member::playing(Part::Leads);
    let client = client(ClientLimits::default());
    let tasks = vec![[("key".to_owned(), "value".to_owned())].into()];
    let body = tasks_body(&tasks).unwrap();
    assert_eq!(body, r#"[{"key":"value"}]"#);
    let proof = Proof { signature: Some("c2ln".to_owned()), algorithm: Some("HmacSHA256".to_owned()), body };
    let soon = || Clock.deadline(SOON);
    client.submit_tasks(&leader.url, &"a/b c".into(), &proof, soon()).unwrap();
    let fence = Proof { body: Bytes::new(), ..proof.clone() };
    client.fence(&leader.url, &"c".into(), &fence, soon()).unwrap();
    client.fence(&leader.url, &"c".into(), &Proof::default(), soon()).unwrap();
    assert_eq!(leader.asked(), [r#"submit a/b c [{"key":"value"}]"#, "fence c", "fence c"]);
    assert_eq!(leader.proofs(), [proof, fence, Proof::default()]);
    let lines: Vec<String> = leader.seen().into_iter().map(|seen| seen.line).collect();
    let fenced = "PUT /connectors/c/fence";
    assert_eq!(lines, ["POST /connectors/a%2Fb%20c/tasks", fenced, fenced]);
    let shown = format!("{:?}", Proof { signature: Some("secret".to_owned()), ..Proof::default() });
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn who_sends_to_the_leader_learns_what_to_do_about_a_refusal() {
    let leader = Member::playing(Part::Leads);
    let client = client(ClientLimits::default());
    let fence = |url: &str, timeout| {
        let refused = client.fence(url, &"c".into(), &Proof::default(), Clock.deadline(timeout));
        let error = refused.unwrap_err();
        (error.status(), error.class(), error)
    };
    let wrong = HerderError::Unsigned(SignatureFault::Wrong, "wrong".to_owned());
    for (refusal, status, class) in [
        (wrong, 403, ErrorClass::Retriable),
        (HerderError::Conflict("new tasks".to_owned()), 409, ErrorClass::Retriable),
        (HerderError::Failed("fail".to_owned()), 500, ErrorClass::Retriable),
        (HerderError::BadRequest("bad".to_owned()), 400, ErrorClass::Fatal),
        (HerderError::NotFound("none".to_owned()), 404, ErrorClass::Fatal),
    ] {
        leader.plays([Part::Refuses(refusal.clone())]);
        let (found, found_class, error) = fence(&leader.url, SOON);
        assert_eq!((found, found_class), (Some(status), class));
        assert!(matches!(&error, ForwardError::Refused { message, .. } if *message == refusal.to_string()));
    }
    let gone = leader.end();
    let (status, class, error) = fence(&gone, SOON);
    assert_eq!((status, class, error.is_unsent()), (None, ErrorClass::Retriable, true));
    let (_, class, error) = fence(&gone, Duration::ZERO);
    assert_eq!((class, error.is_unsent()), (ErrorClass::Retriable, false));
    let odd = Odd::sending("HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n<html>");
    let (status, class, _) = fence(&odd.url, SOON);
    assert_eq!((status, class), (None, ErrorClass::Retriable));
}

/// What this process logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_secret_of_a_forwarded_request_is_logged_at_any_level() {
    let log = Log::default();
    Logger::new(Arc::new(Levels::new(LogLevel::All)), log.clone()).install().unwrap();
    let leader = Member::playing(Part::Leads);
    let follower = Member::playing(Part::follows(&leader.url));
    let password = "q".repeat(64);
    let headers = [("Authorization", password.as_str()), ("X-Connect-Authorization", password.as_str())];
    let body = format!(r#"{{"name":"secret-keeper","config":{{"password":"{password}"}}}}"#);
    assert_eq!(ask(&follower, "POST /connectors", &headers, &body).status, 201);
    assert_eq!(leader.seen()[0].header("authorization"), Some(password.as_str()));
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let forwarded = format!("Forwarding POST /connectors?forward=true to the leader at {}", leader.url);
    assert!(log.contains(&forwarded), "{log}");
    let found = log.lines().find(|line| line.contains("qqqqqq") || line.contains("7171 7171"));
    assert_eq!(found, None);
}

fn identity(pair: &Pair) -> Identity {
    Identity::Pem {
        chain: PemSource::Text(pair.certificate_pem()),
        key: PemSource::Text(pair.key_pem()),
        key_password: None,
    }
}

fn trust(pair: &Pair) -> TrustStore {
    TrustStore::Pem(PemSource::Text(pair.certificate_pem()))
}

#[test]
fn workers_call_each_other_over_https_with_the_certificates_of_both() {
    let authority = Pair::authority("authority");
    let stranger = Pair::authority("stranger");
    let server = TlsSettings {
        identity: identity(&authority.issue("leader")),
        trust: Some(trust(&authority)),
        client_auth: ClientAuth::Required,
        protocols: Vec::new(),
        cipher_suites: Vec::new(),
    };
    let settings = MemberSettings { tls: Some(server), ..MemberSettings::default() };
    let leader = Member::start(settings, Part::Leads);
    let good = ClientTlsSettings {
        identity: Some(identity(&authority.issue("follower"))),
        trust: Some(trust(&authority)),
        verify_host: true,
        protocols: Vec::new(),
        cipher_suites: Vec::new(),
    };
    let other_name = leader.url.replace("127.0.0.1", "localhost");
    let unknown = ClientTlsSettings { trust: Some(trust(&stranger)), ..good.clone() };
    let system = ClientTlsSettings { trust: None, ..good.clone() };
    let lax = ClientTlsSettings { verify_host: false, ..good.clone() };
    let anonymous = ClientTlsSettings { identity: None, ..good.clone() };
    let foreign = ClientTlsSettings { identity: Some(identity(&stranger)), ..good.clone() };
    let accepted = "its certificate is not accepted";
    for (tls, url, status, part) in [
        (Ok(&good), &leader.url, 204, ""),
        (Ok(&lax), &other_name, 204, ""),
        (Ok(&good), &other_name, 500, accepted),
        (Ok(&unknown), &leader.url, 500, accepted),
        (Ok(&system), &leader.url, 500, accepted),
        (Ok(&anonymous), &leader.url, 500, "certificate required"),
        (Ok(&foreign), &leader.url, 500, "unknown ca"),
        (
            Err("ssl.keystore.location is wrong".to_owned()),
            &leader.url,
            500,
            "ssl.keystore.location is wrong",
        ),
    ] {
        let client = WorkerClient::new(tls.clone(), ClientLimits::default());
        let settings = MemberSettings { client, ..MemberSettings::default() };
        let follower = Member::start(settings, Part::follows(url));
        let got = ask(&follower, "DELETE /connectors/c", &[], "");
        assert_eq!(got.status, status, "{tls:?}: {got:?}");
        assert!(got.message().contains(part), "{part}: {got:?}");
        if status == 500 {
            let begin = format!("IO Error trying to forward REST request: no TLS session with {url}: ");
            assert!(got.message().starts_with(&begin), "{got:?}");
        }
    }
    assert_eq!(leader.asked().len(), 2);
}
