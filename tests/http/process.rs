//! A server in a process of its own: its memory, threads and descriptors are its own, and can be limited.
//!
//! The process is this test binary, told by the environment to serve.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use herdsman::rest::http::ListenerLabel;
use herdsman::rest::limits::ServerLimits;
use herdsman::rest::server::HttpServer;
use herdsman::stdx::time::Clock;

use crate::client::{Client, SOON};
use crate::fixture::{Answers, Gate, listener};

/// Set, it makes the test `serves_when_told` serve; its value is the timeout of idle connections in milliseconds.
const SERVE: &str = "HERDSMAN_TEST_SERVE";
const TOLD: &str = "listening on ";

/// A server process, ended when dropped.
pub(crate) struct Process {
    child: Child,
    /// Kept open: the test harness of the process writes its verdict to it.
    _stdout: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts one with so many descriptors.
    pub(crate) fn start(descriptors_max: u32, idle_timeout: Duration) -> Self {
        let limited = format!(
            "ulimit -n {descriptors_max} && exec \"$0\" --exact process::serves_when_told --nocapture"
        );
        let mut child = Command::new("sh")
            .args(["-c", &limited])
            .arg(std::env::current_exe().unwrap())
            .env(SERVE, idle_timeout.as_millis().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let told = stdout
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once(TOLD)?.1.to_owned()));
        let address = told.expect("the server tells its address").parse().unwrap();
        Process { child, _stdout: stdout, address }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// A number of `/proc/…/status`: kilobytes, or how many.
    pub(crate) fn status(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.unwrap().split_whitespace().next().unwrap().parse().unwrap()
    }

    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Ends it in good order; gives what it logged.
    pub(crate) fn stop(mut self) -> String {
        drop(self.child.stdin.take());
        let mut logged = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut logged).unwrap();
        assert!(self.child.wait().unwrap().success(), "{logged}");
        logged
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After a stop there is nothing left to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn serves_when_told() {
    let Ok(idle) = std::env::var(SERVE) else { return };
    let config = simplelog::Config::default();
    simplelog::WriteLogger::init(log::LevelFilter::Warn, config, std::io::stderr()).unwrap();
    let idle_timeout = Duration::from_millis(idle.parse().unwrap());
    let limits = ServerLimits { idle_timeout, head_timeout: idle_timeout, ..ServerLimits::default() };
    let bound = HttpServer::bind(&[listener(ListenerLabel::Main, None)], limits).unwrap();
    let address = bound.addresses()[0].address;
    let server = bound.serve(Arc::new(Answers(Arc::new(Gate::default())))).unwrap();
    println!("{TOLD}{address}");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    server.stop(Clock.deadline(SOON));
}
