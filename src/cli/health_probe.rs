//! `herdsman health`: asks a worker for its health, for systemd, containers and scripts without an HTTP client.

use std::time::Duration;

use anyhow::{Context, anyhow};
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use super::{Exit, Failure, HealthArgs, Outcome};

/// How much sooner the worker is to answer than the probe gives up, so that its answer arrives.
const MARGIN: Duration = Duration::from_millis(500);
/// The longest body that is read; KIP-1017's have a hundred bytes.
const BODY_BYTES_MAX: u64 = 64 * 1024;

/// Prints the body of the answer, and ends by its status.
pub(super) fn run(args: &HealthArgs) -> Outcome {
    match ask(args) {
        Ok((status, body)) => {
            println!("{}", body.trim_end());
            exit_of(status).ok_or_else(|| {
                let why = anyhow!("{} answered with status {status}, which is no health answer", args.url);
                Failure::new(Exit::NoAnswer, why)
            })
        }
        Err(error) => Err(Failure::new(Exit::NoAnswer, error)),
    }
}

fn exit_of(status: u16) -> Option<Exit> {
    match status {
        200 => Some(Exit::Done),
        500 => Some(Exit::Unhealthy),
        503 => Some(Exit::Starting),
        _ => None,
    }
}

fn ask(args: &HealthArgs) -> anyhow::Result<(u16, String)> {
    let mut tls =
        TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(RootCerts::PlatformVerifier);
    if let Some(file) = &args.ca_file {
        let pem = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let certificate = Certificate::from_pem(&pem)
            .with_context(|| format!("{} holds no certificate", file.display()))?;
        tls = tls.root_certs(RootCerts::new_with_certs(&[certificate]));
    }
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(args.timeout))
        .http_status_as_error(false)
        // The worker is near, whatever proxy the environment names for the world outside.
        .proxy(None)
        .tls_config(tls.build())
        .build()
        .into();
    let no_answer = || format!("no answer from {}", args.url);
    let mut response = agent.get(health_url(args)).call().with_context(no_answer)?;
    let body =
        response.body_mut().with_config().limit(BODY_BYTES_MAX).read_to_string().with_context(no_answer)?;
    Ok((response.status().as_u16(), body))
}

/// The address to ask: `/health` below the URL, unless it names a path of its own.
fn health_url(args: &HealthArgs) -> String {
    let base = args.url.trim_end_matches('/');
    let has_path = base.split_once("://").map_or(base, |(_, rest)| rest).contains('/');
    let path = if has_path { "" } else { "/health" };
    let patience = args.timeout.saturating_sub(MARGIN).max(args.timeout / 2);
    format!("{base}{path}?timeout={}", patience.as_millis().clamp(1, 10_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worker_is_asked_to_answer_before_the_probe_gives_up() {
        let url = |url: &str, seconds| {
            let timeout = Duration::from_secs_f64(seconds);
            health_url(&HealthArgs { url: url.to_owned(), timeout, ca_file: None })
        };
        assert_eq!(url("http://h:1", 12.0), "http://h:1/health?timeout=10000");
        assert_eq!(url("http://h:1/", 2.0), "http://h:1/health?timeout=1500");
        assert_eq!(url("http://h:1/connect/health", 0.5), "http://h:1/connect/health?timeout=250");
    }
}
