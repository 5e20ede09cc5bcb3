//! The first contact with Kafka: asked for again and again, since a broker may come later than this worker.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::hands::tell;
use crate::config::client::ClientSettings;
use crate::herder::msg::HerderEvent;
use crate::kafka::admin::cluster_id;
use crate::kafka::fault::{FaultKind, KafkaFault};
use crate::stdx::backoff::Backoff;
use crate::stdx::thread::{self, JoinOnDrop};
use crate::stdx::time::Clock;

/// How long one try may take; the worker cannot end sooner while one goes on.
const TRY_TIMEOUT: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The pauses between lines of the log about it.
const FIRST_LINE_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_LINE_PAUSE: Duration = Duration::from_secs(60);

/// The id of the Kafka cluster, once it is known.
pub type ClusterId = Arc<OnceLock<String>>;

/// Tries until Kafka answers, or until its client cannot be set up at all; dropping it ends that.
#[derive(Debug)]
pub struct KafkaContact {
    _stop: Sender<Infallible>,
    _thread: JoinOnDrop,
}

impl KafkaContact {
    /// Begins to try with the settings of the worker's own clients. Sets the cluster's id, and tells the herder;
    /// settings that librdkafka refuses are told to `refused`, which must have room.
    pub fn start(
        settings: ClientSettings,
        id: ClusterId,
        inbox: Sender<HerderEvent>,
        refused: Sender<KafkaFault>,
    ) -> io::Result<Self> {
        let (stop, stopped) = bounded(0);
        let body = move || match keep_trying(&settings, &stopped) {
            Ok(Some(found)) => {
                log::info!(target: "org.apache.kafka.connect.runtime.WorkerConfig", "Kafka cluster ID: {found}");
                drop(id.set(found));
                tell(&inbox, HerderEvent::KafkaReached);
            }
            Ok(None) => {}
            // Closed: the worker ends already.
            Err(fault) => drop(refused.try_send(fault)),
        };
        let thread = thread::spawn("kafka-contact", thread::STACK_BYTES, body)?;
        Ok(KafkaContact { _stop: stop, _thread: thread })
    }
}

/// For how long no broker has answered, and when that is to be told again: after pauses that double.
struct Silence {
    began: Instant,
    next_line: Instant,
    pause: Duration,
}

impl Silence {
    fn since(began: Instant) -> Self {
        Silence { began, next_line: began, pause: FIRST_LINE_PAUSE }
    }

    /// The seconds that it has lasted at `now`, if that is to be told.
    fn is_worth_a_line(&mut self, now: Instant) -> Option<u64> {
        if now < self.next_line {
            return None;
        }
        self.next_line = now + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_LINE_PAUSE);
        Some(now.saturating_duration_since(self.began).as_secs())
    }
}

/// The id of the cluster, `None` if told to end before it is known. Fails with what will not change.
fn keep_trying(
    settings: &ClientSettings,
    stopped: &Receiver<Infallible>,
) -> Result<Option<String>, KafkaFault> {
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    let mut silence = Silence::since(Clock.now().instant);
    loop {
        match cluster_id(settings, Clock.deadline(TRY_TIMEOUT)) {
            Ok(id) => return Ok(Some(id)),
            Err(why) if why.kind() == FaultKind::Config => return Err(why),
            Err(why) => {
                if let Some(seconds) = silence.is_worth_a_line(Clock.now().instant) {
                    log::warn!(
                        target: "org.apache.kafka.connect.runtime.WorkerConfig",
                        "no Kafka broker answers yet, for {seconds} s now; the worker keeps trying: {why}"
                    );
                }
            }
        }
        match stopped.recv_timeout(backoff.next_delay(0.5)) {
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Ok(never) => match never {},
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_told_with_growing_pauses() {
        let began = Clock.now().instant;
        let mut silence = Silence::since(began);
        let told: Vec<_> = (0..200)
            .filter_map(|second| silence.is_worth_a_line(began + Duration::from_secs(second)))
            .collect();
        assert_eq!(told, [0, 1, 3, 7, 15, 31, 63, 123, 183]);
    }
}
