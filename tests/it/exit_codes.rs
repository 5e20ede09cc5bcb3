//! How the process ends: the codes that supervisors and scripts see, and the words that go with them.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use crate::support::WorkerSetup;

fn run(args: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_herdsman")).args(args).output().unwrap();
    let words = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&words).into_owned())
}

#[track_caller]
fn ends(setup: WorkerSetup, code: i32, words: &[&str]) {
    let mut worker = setup.spawn();
    let status = worker.wait_end();
    let log = worker.log();
    assert_eq!(status.code(), Some(code), "{log}");
    for word in words {
        assert!(log.contains(word), "no «{word}» in:\n{log}");
    }
}

#[test]
fn help_and_version_are_as_people_expect() {
    let (code, words) = run(&["--help"]);
    assert_eq!(code, 0);
    assert!(words.contains("standalone") && words.contains("health"), "{words}");
    assert_eq!(run(&["standalone", "--help"]).0, 0);
    let (code, words) = run(&["--version"]);
    assert_eq!((code, words), (0, format!("herdsman {}\n", env!("CARGO_PKG_VERSION"))));
    assert_eq!(run(&[]).0, 2);
    assert_eq!(run(&["nonsense"]).0, 2);
    assert_eq!(run(&["standalone"]).0, 2);
    assert_eq!(run(&["standalone", "--set", "x", "worker.properties"]).0, 2);
    // 2 would be a worker that is starting.
    for wrong in [["--timeout", "0"], ["--url", "localhost:8083"], ["--nonsense", "1"]] {
        assert_eq!(run(&["health", wrong[0], wrong[1]]).0, 3, "{wrong:?}");
    }
    assert_eq!(run(&["health", "--help"]).0, 0);
    let set = ["standalone", "--set", "key.converter=no.Such", "conf/connect-standalone.properties"];
    let (code, words) = run(&set);
    assert!(code == 2 && words.contains("no.Such"), "what is set goes over the file: {code} {words}");
}

#[test]
fn a_wrong_worker_config_names_everything_that_is_wrong() {
    let setup = WorkerSetup::new().set("offset.flush.interval.ms", "soon").set("listeners", "ftp://x");
    let words = [
        "Invalid value soon for configuration offset.flush.interval.ms: Not a number of type LONG",
        "Listener protocol must be either \"http\" or \"https\".",
        "worker.properties",
    ];
    ends(setup, 2, &words);
    for (key, value) in [
        ("key.converter", "no.Such"),
        ("producer.acks", "7"),
        ("consumer.interceptor.classes", "a.B"),
        ("security.protocol", "NOPE"),
        ("bootstrap.servers", "localhost"),
        ("offset.storage.file.filename", ""),
    ] {
        ends(WorkerSetup::new().kafka("localhost:1").set(key, value), 2, &[key, "worker.properties"]);
    }
    let stale = WorkerSetup::new().file("url", "http://an.earlier.worker").set("key.converter", "no.Such");
    let mut worker = stale.spawn();
    assert_eq!(worker.wait_end().code(), Some(2));
    assert!(!worker.folder().join("url").exists(), "a script would take the address of an earlier worker");
    let no_certificate = WorkerSetup::new()
        .kafka("localhost:1")
        .set("security.protocol", "SSL")
        .set("ssl.truststore.type", "PEM")
        .set("ssl.truststore.certificates", "nonsense");
    ends(no_certificate, 2, &["ConfigException"]);
    let (code, words) = run(&["standalone", "/nowhere/worker.properties"]);
    assert_eq!(code, 2);
    assert!(words.contains("/nowhere/worker.properties"), "{words}");
}

#[test]
fn a_bad_connector_file_ends_the_worker() {
    ends(WorkerSetup::new().connector_file("missing.properties"), 3, &["missing.properties"]);
    for (content, words) in [
        (r#"{"name": "c", "config": 5"#, "broken JSON: EOF"),
        (r#"{"name": "c", "config": {"a": []}}"#, "the value of 'a' is no text, number or boolean"),
        ("", "missing the mandatory 'name'"),
    ] {
        ends(WorkerSetup::new().file("c.json", content).connector_file("c.json"), 3, &["c.json", words]);
    }
    ends(WorkerSetup::new().connector_file("/dev/zero"), 3, &["/dev/zero", "right file"]);
    let invalid = WorkerSetup::new().connector("c", &[("connector.class", "FileStreamSource")]);
    ends(invalid, 3, &["Missing required configuration \"topic\" which has no default value."]);
    let unknown = WorkerSetup::new().connector("c", &[("connector.class", "NoSuch")]);
    ends(unknown, 3, &["NoSuch"]);
}

#[test]
fn a_port_in_use_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = format!("http://{}", taken.local_addr().unwrap());
    ends(WorkerSetup::new().set("listeners", listener.clone()), 2, &[&listener, "in use"]);
}

#[test]
fn offsets_that_cannot_be_read_end_the_worker_and_stay_as_they_are() {
    let sample = fs::read("tests/vectors/connect-offsets-multi.bin").unwrap();
    let cut = sample.get(..sample.len() / 2).unwrap();
    for content in [cut, b"hello, I am not yours"] {
        let setup = WorkerSetup::new().file("offsets", content);
        let mut worker = setup.spawn();
        assert_eq!(worker.wait_end().code(), Some(3), "{}", worker.log());
        assert!(worker.log().contains("offsets"), "{}", worker.log());
        assert_eq!(fs::read(worker.folder().join("offsets")).unwrap(), content);
    }
    ends(WorkerSetup::new().set("offset.storage.file.filename", "no/such/folder"), 3, &["no/such/folder"]);
}

#[test]
fn signals_end_the_worker_in_order_with_their_code() {
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let connector = [("connector.class", "FileStreamSource"), ("file", "in.txt"), ("topic", "t")];
        let mut worker =
            WorkerSetup::new().file("in.txt", "a\n").connector("c", &connector).start().healthy();
        worker.signal(signal);
        assert_eq!(worker.wait_end().code(), Some(code), "{signal}: {}", worker.log());
        assert!(worker.log().contains("Kafka Connect stopped"), "{}", worker.log());
    }
}

#[test]
fn a_second_signal_ends_a_worker_that_hangs_at_once() {
    let connector = [
        ("connector.class", "herdsman.test.BlockingSourceConnector"),
        ("block.in", "poll"),
        ("release.file", "never"),
        ("topic", "t"),
    ];
    let setup = WorkerSetup::new().set("task.shutdown.graceful.timeout.ms", "60000");
    let mut worker = setup.connector("c", &connector).start().healthy();
    worker.signal("TERM");
    crate::support::wait_until("the first signal is noticed", crate::support::SOON, || {
        worker.log().contains("signal 15")
    });
    worker.signal("TERM");
    assert_eq!(worker.wait_end().code(), Some(143));
    assert!(worker.log().contains("ends at once"), "{}", worker.log());
}
