//! Apache's own worker in distributed mode, as a member of a cluster.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// How much of its log a failure shows.
const LOG_LINES: usize = 200;

/// A running worker of Apache's; killed when dropped.
pub(super) struct JavaWorker {
    child: Child,
    pub(super) url: String,
    folder: TempDir,
}

impl JavaWorker {
    /// Starts it with these settings, on a port of its own; does not wait for anything.
    pub(super) fn start(settings: &[(String, String)]) -> Self {
        let folder = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}");
        let mut text = format!("listeners={url}\nrest.advertised.host.name=127.0.0.1\n");
        for (key, value) in settings {
            text.push_str(&format!("{key}={value}\n"));
        }
        let properties = folder.path().join("worker.properties");
        fs::write(&properties, text).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/kafka");
        let child = Command::new(script)
            .arg("connect-distributed")
            .arg(&properties)
            .env("KAFKA_HEAP_OPTS", "-Xms64m -Xmx512m")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        JavaWorker { child, url, folder }
    }

    /// The end of its log, without what others asked of it.
    pub(super) fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().filter(|line| !line.contains("runtime.rest.RestServer")).collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// The process: the script has replaced itself by the virtual machine.
    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for JavaWorker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("--- end of the log of Apache's worker at {} ---\n{}", self.url, self.log());
        }
    }
}
