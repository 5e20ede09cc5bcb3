//! Samples a worker all the time: what it says of its health, and whether it serves.
//!
//! A worker that says it is healthy serves requests (KIP-1017). So no probe that was sent after a request and answered
//! before it with 200 may lie within a request that ends in a refusal.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::support::{Answer, try_send};

/// The pace of the samples.
const PACE: Duration = Duration::from_millis(40);

/// One question and what became of it.
#[derive(Debug, Clone)]
struct Sample {
    from: Instant,
    to: Instant,
    /// `None`: the worker is gone.
    answer: Option<Answer>,
}

/// A worker being watched, until dropped.
pub(super) struct Watch {
    probes: Arc<Mutex<Vec<Sample>>>,
    requests: Arc<Mutex<Vec<Sample>>>,
    stop: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Watch {
    /// Watches the worker at that URL; `path` is of a request that needs its herder.
    pub(super) fn over(url: &str, path: &str) -> Self {
        let (stop, stopped) = bounded(0);
        let sampler = |path: &str| {
            let samples = Arc::new(Mutex::new(Vec::new()));
            let (kept, stopped) = (Arc::clone(&samples), stopped.clone());
            let (url, path) = (url.to_owned(), path.to_owned());
            (samples, std::thread::spawn(move || sample(&url, &path, &stopped, &kept)))
        };
        let (probes, first) = sampler("/health?timeout=300");
        let (requests, second) = sampler(path);
        Watch { probes, requests, stop: Some(stop), threads: vec![first, second] }
    }

    /// How many probes were answered, and how many of them with 200.
    pub(super) fn counts(&self) -> (usize, usize) {
        let probes = self.probes.lock().unwrap();
        let answers = probes.iter().filter_map(|probe| probe.answer.as_ref());
        answers.fold((0, 0), |(all, good), answer| (all + 1, good + usize::from(answer.status == 200)))
    }

    /// Requests that were refused while the worker said it was healthy.
    pub(super) fn lies(&self) -> Vec<String> {
        let probes = self.probes.lock().unwrap();
        let requests = self.requests.lock().unwrap();
        let refused = requests.iter().filter(|request| request.answer.as_ref().is_some_and(is_refusal));
        let healthy = |request: &Sample| {
            probes.iter().any(|probe| {
                let within = probe.from > request.from && probe.to < request.to;
                within && probe.answer.as_ref().is_some_and(|answer| answer.status == 200)
            })
        };
        refused.filter(|request| healthy(request)).map(|request| format!("{:?}", request.answer)).collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop = None;
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

fn sample(url: &str, path: &str, stopped: &Receiver<()>, kept: &Mutex<Vec<Sample>>) {
    while stopped.recv_timeout(PACE) == Err(crossbeam_channel::RecvTimeoutError::Timeout) {
        let from = Instant::now();
        let answer = try_send(url, "GET", path, None).ok();
        let gone = answer.is_none();
        kept.lock().unwrap().push(Sample { from, to: Instant::now(), answer });
        if gone {
            return;
        }
    }
}

/// Whether a worker says that it cannot serve now.
fn is_refusal(answer: &Answer) -> bool {
    let says = |word: &str| answer.body.to_lowercase().contains(word);
    match answer.status {
        409 | 503 => true,
        500 => says("rebalance") || says("timed out"),
        _ => false,
    }
}
