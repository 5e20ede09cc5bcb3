//! How many requests a second the HTTP floor answers, and how late the latest are: keep-alive connections, one thread
//! each, lock step.
//!
//! `cargo run --release --example http_load -- [--connections 64] [--seconds 5] [--target HOST:PORT] [--path /health]`
//!
//! Without `--target` a server with a fixed answer runs in a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use herdsman::rest::http::{HttpRequest, HttpResponse, ListenerLabel};
use herdsman::rest::limits::ServerLimits;
use herdsman::rest::server::{HttpServer, ListenerConfig, Scheme};
use herdsman::stdx::thread;
use herdsman::stdx::time::Clock;

/// Measures the HTTP floor.
#[derive(Parser)]
struct Options {
    /// Connections at one time.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How long to measure; half a second before does not count.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Who answers.
    #[arg(long)]
    target: Option<String>,
    /// What is asked for.
    #[arg(long, default_value = "/health")]
    path: String,
    /// Only serve, until standard input ends.
    #[arg(long)]
    serve: bool,
}

const BODY: &str =
    r#"{"status":"healthy","message":"Worker has completed startup and is ready to handle requests."}"#;
const WARM_UP: Duration = Duration::from_millis(500);

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if options.serve {
        return serve();
    }
    let (target, _server) = match &options.target {
        Some(target) => (target.clone(), None),
        None => {
            let (address, server) = start_server()?;
            (address, Some(server))
        }
    };
    let micros = Arc::new(Mutex::new(Vec::new()));
    let barrier = Arc::new(Barrier::new(options.connections));
    let clients = (0..options.connections).map(|_| {
        let (target, path) = (target.clone(), options.path.clone());
        let (micros, barrier) = (Arc::clone(&micros), Arc::clone(&barrier));
        let time = Duration::from_secs(options.seconds);
        thread::spawn("client", thread::STACK_BYTES, move || {
            let measured = ask(&target, &path, time, &barrier);
            match measured {
                Ok(measured) => micros.lock().map(|mut all| all.extend(measured)).unwrap_or_default(),
                Err(error) => eprintln!("a client failed: {error:#}"),
            }
        })
    });
    drop(clients.collect::<Result<Vec<_>, _>>()?);
    let mut micros = micros.lock().map(|mut all| std::mem::take(&mut *all)).unwrap_or_default();
    if micros.is_empty() {
        bail!("nothing was answered");
    }
    micros.sort_unstable();
    let at = |share: f64| f64::from(micros[((micros.len() - 1) as f64 * share) as usize]) / 1000.0;
    println!(
        "{} connections, {} s: {:.0} requests/s, p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms",
        options.connections,
        options.seconds,
        micros.len() as f64 / options.seconds as f64,
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0),
    );
    Ok(())
}

fn serve() -> anyhow::Result<()> {
    let listener = ListenerConfig {
        scheme: Scheme::Http,
        host: "127.0.0.1".to_owned(),
        port: 0,
        tls: None,
        label: ListenerLabel::Main,
    };
    let bound = HttpServer::bind(&[listener], ServerLimits::default())?;
    println!("{}", bound.addresses()[0].address);
    let server = bound.serve(Arc::new(|_: HttpRequest| HttpResponse::json(200, BODY)))?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    for line in status.lines().filter(|line| line.starts_with("VmHWM") || line.starts_with("Threads")) {
        eprintln!("server {line}");
    }
    server.stop(Clock.deadline(Duration::from_secs(5)));
    Ok(())
}

/// A server of its own, which ends when its standard input is closed.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        if let Err(error) = self.0.wait() {
            eprintln!("the server cannot be waited for: {error}");
        }
    }
}

fn start_server() -> anyhow::Result<(String, Server)> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("--serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().context("the server has no output")?;
    let mut address = String::new();
    BufReader::new(stdout).read_line(&mut address)?;
    Ok((address.trim().to_owned(), Server(child)))
}

/// Asks over one connection until the time is up. Gives the microseconds each answer took.
fn ask(target: &str, path: &str, time: Duration, barrier: &Barrier) -> anyhow::Result<Vec<u32>> {
    let stream = TcpStream::connect(target);
    barrier.wait();
    let mut stream = stream?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {target}\r\nAccept: */*\r\nUser-Agent: http_load\r\n\r\n");
    let warm = Clock.now().instant + WARM_UP;
    let end = warm + time;
    let mut micros = Vec::with_capacity(1 << 16);
    let mut buffer = [0; 4096];
    loop {
        let asked = Clock.now().instant;
        if asked >= end {
            return Ok(micros);
        }
        stream.write_all(request.as_bytes())?;
        read_answer(&mut stream, &mut buffer)?;
        if asked >= warm {
            let took = Clock.now().instant - asked;
            micros.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        }
    }
}

/// Reads one answer whole.
fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..])?;
        if read == 0 {
            bail!("the connection ended");
        }
        filled += read;
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut answer = httparse::Response::new(&mut fields);
        if let httparse::Status::Complete(head) = answer.parse(&buffer[..filled])? {
            let length =
                answer.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
            let length = length.and_then(|field| str::from_utf8(field.value).ok()?.parse::<usize>().ok());
            if filled == head + length.context("an answer says no length")? {
                return match answer.code {
                    Some(200) => Ok(()),
                    other => bail!("status {other:?}"),
                };
            }
        }
    }
}
