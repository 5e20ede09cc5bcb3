//! The example worker as a process of its own: its command line, and its records after it was killed.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use herdsman::kafka::embedded::EmbeddedBroker;
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::wait_for;

/// The program, built if it is not: cargo builds no examples when only one test program is asked for.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo.args(["build", "--locked", "--example", "own_plugins", "--message-format", "json"]);
        // As this test was built, so that nothing is built twice.
        if cfg!(feature = "faults") {
            cargo.arg("--all-features");
        }
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let Output { status, stdout, stderr } = cargo.output().unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        let built = String::from_utf8(stdout).unwrap();
        let messages = built.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
        let mut programs = messages.filter(|message| message["target"]["name"] == "own_plugins");
        programs.find_map(|message| message["executable"].as_str().map(PathBuf::from)).unwrap()
    })
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(program()).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_worker_needs_few_lines_beside_its_plug_ins() {
    let main = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/own_plugins/main.rs"));
    assert!(main.unwrap().lines().count() < 30);
}

#[test]
fn it_has_the_command_line_of_herdsman() {
    let version = env!("CARGO_PKG_VERSION");
    let (code, out, _) = run(&["--version"]);
    let plugins = ["FolderSourceConnector", "JsonFilesSinkConnector", "Redact"];
    let lines: String = plugins.iter().map(|plugin| format!("com.example.{plugin} {version}\n")).collect();
    assert_eq!((code, out), (Some(0), format!("herdsman {version}\n{lines}")));
    let (code, out, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    for command in ["standalone", "distributed", "health"] {
        assert!(out.contains(command), "{out}");
    }
    let (code, _, err) = run(&["standalone", "/nowhere.properties"]);
    assert_eq!(code, Some(2), "{err}");
    let (code, _, _) = run(&["health", "--url", "http://127.0.0.1:1"]);
    assert_eq!(code, Some(3));
}

#[test]
fn it_is_a_worker_of_a_group() {
    let folder = TempDir::new().unwrap();
    let converter = "org.apache.kafka.connect.storage.StringConverter";
    let mut settings = format!(
        "listeners=http://127.0.0.1:0\nkey.converter={converter}\nvalue.converter={converter}\ngroup.id=own\n\
         offset.storage.partitions=1\n"
    );
    for topic in ["config", "offset", "status"] {
        settings
            .push_str(&format!("{topic}.storage.topic=own-{topic}\n{topic}.storage.replication.factor=1\n"));
    }
    fs::write(folder.path().join("worker.properties"), settings).unwrap();
    let arguments = ["distributed", "--embedded-kafka", "--url-file", "url", "worker.properties"];
    let process = Process::of(folder, &arguments);
    let url = process.url();
    wait_for("health", || (run(&["health", "--url", &url]).0 == Some(0)).then_some(()));
    let plugins = ureq::get(format!("{url}/connector-plugins")).call().unwrap();
    let plugins = plugins.into_body().read_to_string().unwrap();
    let (class, version) = ("com.example.FolderSourceConnector", env!("CARGO_PKG_VERSION"));
    let plugin = format!("{{\"class\":\"{class}\",\"type\":\"source\",\"version\":\"{version}\"}}");
    assert!(plugins.contains(&plugin), "{plugins}");
}

/// A worker with both connectors of the example, in a folder of its own; killed when dropped.
struct Process {
    child: Child,
    folder: TempDir,
}

/// What a worker with both connectors is told.
const STANDALONE: &[&str] =
    &["standalone", "--url-file", "url", "worker.properties", "lines.properties", "files.properties"];

impl Process {
    fn start(folder: TempDir, bootstrap: &str) -> Self {
        let converter = "org.apache.kafka.connect.storage.StringConverter";
        let worker = format!(
            "bootstrap.servers={bootstrap}\nlisteners=http://127.0.0.1:0\nkey.converter={converter}\n\
             value.converter={converter}\noffset.storage.file.filename=offsets\noffset.flush.interval.ms=200\n\
             consumer.session.timeout.ms=6000\nconsumer.auto.offset.reset=earliest\n"
        );
        let files = [
            ("worker.properties", worker.as_str()),
            ("lines.properties", "name=lines\nconnector.class=FolderSource\nfolder=in\ntopic=lines\n"),
            ("files.properties", "name=files\nconnector.class=JsonFilesSink\nfolder=out\ntopics=lines\n"),
        ];
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        Process::of(folder, STANDALONE)
    }

    fn of(folder: TempDir, arguments: &[&str]) -> Self {
        Process { child: Process::spawn(folder.path(), arguments), folder }
    }

    fn spawn(folder: &Path, arguments: &[&str]) -> Child {
        drop(fs::remove_file(folder.join("url")));
        let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
        let mut command = Command::new(program());
        command.args(arguments).current_dir(folder);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command.spawn().unwrap()
    }

    fn kill_and_restart(mut self) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = Process::spawn(self.folder.path(), STANDALONE);
        self
    }

    fn add_lines(&self, lines: std::ops::Range<usize>) {
        let path = self.folder.path().join("in/numbers");
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        for line in lines {
            writeln!(file, "line {line}").unwrap();
        }
    }

    /// The lines that the sink has written.
    fn written(&self) -> Vec<Json> {
        let text = fs::read_to_string(self.folder.path().join("out/lines-0.jsonl")).unwrap_or_default();
        // The last one may be on its way.
        text.split_inclusive('\n').filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until so many different lines have arrived.
    fn wait_for_lines(&self, count: usize) {
        wait_for(&format!("{count} lines"), || {
            let seen: BTreeSet<String> =
                self.written().iter().map(|line| line["value"].to_string()).collect();
            (seen.len() >= count).then_some(())
        });
    }

    /// Its REST API.
    fn url(&self) -> String {
        let file = self.folder.path().join("url");
        wait_for("the URL file", || fs::read_to_string(&file).ok()).trim().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            eprintln!("--- log of the worker ---\n{log}");
        }
    }
}

#[test]
fn it_goes_on_where_it_was_killed() {
    let broker = EmbeddedBroker::start().unwrap();
    broker.create_topic("lines", 1).unwrap();
    let folder = TempDir::new().unwrap();
    for name in ["in", "out"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    let process = Process::start(folder, broker.bootstrap_servers());
    process.add_lines(0..100);
    process.wait_for_lines(100);
    process.add_lines(100..200);
    let process = process.kill_and_restart();
    process.add_lines(200..300);
    process.wait_for_lines(300);
    // The source may send a line twice after a kill; what Kafka has, the sink has written once.
    let offsets: Vec<i64> = process.written().iter().map(|line| line["offset"].as_i64().unwrap()).collect();
    assert_eq!(offsets, (0..offsets.len() as i64).collect::<Vec<_>>());
}
