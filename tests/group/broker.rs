//! A real Apache Kafka: the one that the tests were given, or one of a test's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use herdsman::config::client::ClientSettings;
use tempfile::TempDir;

/// A broker that `scripts/kafka start` brought up.
pub(crate) struct Kafka {
    pub(crate) dir: PathBuf,
    pub(crate) bootstrap: String,
}

/// The real Kafka that the tests were given; `None` when they are to do without it.
pub(crate) fn kafka() -> Option<Kafka> {
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if named("HERDSMAN_WITHOUT_KAFKA").is_some_and(|value| value == "1") {
        eprintln!("left out: it needs a real Kafka, and HERDSMAN_WITHOUT_KAFKA=1 is set");
        return None;
    }
    match (named("HERDSMAN_TEST_KAFKA"), named("HERDSMAN_TEST_KAFKA_DIR")) {
        (Some(bootstrap), Some(dir)) => {
            Some(Kafka { bootstrap: bootstrap.into_string().unwrap(), dir: dir.into() })
        }
        _ => panic!(
            "no Kafka: set HERDSMAN_TEST_KAFKA and HERDSMAN_TEST_KAFKA_DIR, or HERDSMAN_WITHOUT_KAFKA=1"
        ),
    }
}

/// A name that no other test and no other run of this one uses.
pub(crate) fn unique(name: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("{name}-{}-{}", std::process::id(), now.as_nanos())
}

impl Kafka {
    /// The settings of a client without TLS and login.
    pub(crate) fn client(&self) -> ClientSettings {
        [("bootstrap.servers", self.bootstrap.as_str())].into_iter().collect()
    }

    /// The address of a further listener.
    pub(crate) fn listener(&self, file: &str) -> String {
        fs::read_to_string(self.dir.join(file)).unwrap().trim().to_owned()
    }

    /// The path of a file in its folder.
    pub(crate) fn file(&self, name: &str) -> String {
        self.dir.join(name).to_str().unwrap().to_owned()
    }
}

/// A Kafka of the test's own, which it may stop.
pub(crate) struct OwnKafka {
    pub(crate) kafka: Kafka,
    _folder: TempDir,
}

impl OwnKafka {
    pub(crate) fn start(options: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let dir = folder.path().join("kafka");
        script("start", &dir, options);
        let bootstrap = fs::read_to_string(dir.join("bootstrap")).unwrap().trim().to_owned();
        OwnKafka { kafka: Kafka { dir, bootstrap }, _folder: folder }
    }

    /// Sends its process a signal: STOP freezes it, CONT lets it go on.
    pub(crate) fn signal(&self, name: &str) {
        let pid = fs::read_to_string(self.kafka.dir.join("pid")).unwrap();
        let status = Command::new("kill").args([&format!("-{name}"), pid.trim()]).status().unwrap();
        assert!(status.success());
    }

    /// Kills it as a power failure would.
    pub(crate) fn kill(&self) {
        script("kill", &self.kafka.dir, &[]);
    }

    /// Starts it again on the same ports with the same data.
    pub(crate) fn restart(&self) {
        script("restart", &self.kafka.dir, &[]);
    }
}

impl Drop for OwnKafka {
    fn drop(&mut self) {
        script("kill", &self.kafka.dir, &[]);
    }
}

/// `scripts/kafka COMMAND --dir DIR OPTIONS`.
fn script(command: &str, dir: &Path, options: &[&str]) {
    let output =
        Command::new("scripts/kafka").args([command, "--dir"]).arg(dir).args(options).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}
