//! A broker of a test's own, which may be frozen, ended and started again, cut off, or ask who somebody is.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::relay::{Passage, Relay};

/// The broker; ended when dropped.
pub(crate) struct OwnKafka(TempDir);

impl OwnKafka {
    /// Starts it with further arguments of `scripts/kafka start`.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let own = OwnKafka(TempDir::new().unwrap());
        own.script("start", arguments);
        own
    }

    /// Starts it behind a network that can be cut; gives the address there, at which alone clients find it.
    pub(crate) fn behind_a_relay() -> (Self, Passage, String) {
        let relay = Relay::new();
        let address = format!("127.0.0.1:{}", relay.port());
        let own = OwnKafka::start(&["--property", &format!("advertised.listeners=PLAINTEXT://{address}")]);
        let passage = relay.pass_on_to(&own.address("bootstrap"));
        (own, passage, address)
    }

    /// `scripts/kafka COMMAND --dir DIR ARGUMENT...`.
    pub(crate) fn script(&self, command: &str, arguments: &[&str]) {
        Self::script_in(&self.dir(), command, arguments);
    }

    /// `scripts/kafka COMMAND --dir DIR/FOLDER`.
    pub(crate) fn script_below(&self, folder: &str, command: &str) {
        Self::script_in(&self.dir().join(folder), command, &[]);
    }

    fn script_in(dir: &Path, command: &str, arguments: &[&str]) {
        let mut script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/kafka"));
        script.args([command, "--dir"]).arg(dir).args(arguments).stdout(Stdio::null());
        let output = script.output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs one of Apache's tools as a super user.
    pub(crate) fn tool(&self, class: &str, arguments: &[&str]) {
        let mut script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/kafka"));
        script.args(["tool", class, "--bootstrap-server", &self.address("bootstrap")]).args(arguments);
        let output = script.output().unwrap();
        assert!(output.status.success(), "{class}: {output:?}");
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.0.path().join("kafka")
    }

    /// The address of a listener: what is in the file of that name.
    pub(crate) fn address(&self, listener: &str) -> String {
        std::fs::read_to_string(self.dir().join(listener)).unwrap().trim().to_owned()
    }

    /// Sends the process a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.address("pid");
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Ends it as a power failure would.
    pub(crate) fn kill(&self) {
        self.script("kill", &[]);
    }

    /// Starts it again at the same address with the same data; returns when it answers.
    pub(crate) fn restart(&self) {
        self.script("restart", &[]);
    }
}

impl Drop for OwnKafka {
    fn drop(&mut self) {
        if self.dir().join("pid").exists() {
            // One that is frozen does not end before it is let go.
            self.signal("CONT");
            self.kill();
        }
    }
}
