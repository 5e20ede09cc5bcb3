//! Which topics a sink reads that names them by a pattern: those that there are, looked up again and again.
//!
//! librdkafka can subscribe to patterns, but to POSIX ones only. Here the worker matches the names itself, as Java does,
//! and subscribes to what it finds. A look waits for the broker, on a thread that lives as long as that takes.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;

use super::fault::{FaultKind, KafkaFault};
use super::group_events::GroupEvents;
use super::producer::Wake;
use crate::config::client::ClientSettings;
use crate::stdx::java_regex::JavaRegex;
use crate::stdx::mutex::lock;
use crate::stdx::thread;

/// librdkafka's name for `metadata.max.age.ms`, and Java's default for it.
const EVERY: (&str, Duration) = ("topic.metadata.refresh.interval.ms", Duration::from_secs(300));
/// How long a broker may take to tell its topics.
const LOOK: Duration = Duration::from_secs(10);
/// How soon it is asked again when it did not.
const RETRY: Duration = Duration::from_secs(1);

/// The topics whose names a pattern describes.
pub(super) struct TopicWatch {
    pattern: JavaRegex,
    every: Duration,
    /// When to look again; `None` while a look is under way.
    due: Option<Instant>,
    found: Arc<Mutex<Option<Found>>>,
    /// What is subscribed to, ordered.
    subscribed: Vec<String>,
}

type Found = Result<Vec<String>, KafkaFault>;

/// What follows of a look.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing: the topics are the same, or not known yet.
    None,
    /// These are all the topics now.
    To(Vec<String>),
}

impl TopicWatch {
    /// Looks for the first time at once, and then as often as the settings of the consumer say.
    pub(super) fn new(pattern: JavaRegex, settings: &ClientSettings, now: Instant) -> Self {
        let (name, default) = EVERY;
        let every = settings.get(name).and_then(|ms| ms.parse().ok()).map_or(default, Duration::from_millis);
        TopicWatch { pattern, every, due: Some(now), found: Arc::default(), subscribed: Vec::new() }
    }

    /// When [`TopicWatch::look`] has something to do, if nothing wakes the task before.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Begins a look when it is due, and tells what came of the one before. Does not wait; `wake` is called when there is
    /// something to tell.
    ///
    /// # Errors
    /// Something that does not go away by itself.
    pub(super) fn look(
        &mut self,
        client: &Arc<BaseConsumer<GroupEvents>>,
        wake: &Wake,
        now: Instant,
    ) -> Result<Change, KafkaFault> {
        let found = lock(&self.found).take();
        let change = match found {
            None => Change::None,
            Some(found) => self.take(found, now)?,
        };
        if self.due.is_some_and(|due| due <= now) {
            self.begin(client, wake)?;
        }
        Ok(change)
    }

    fn take(&mut self, found: Found, now: Instant) -> Result<Change, KafkaFault> {
        match found {
            Ok(topics) => {
                self.due = Some(now + self.every);
                if topics == self.subscribed {
                    return Ok(Change::None);
                }
                self.subscribed.clone_from(&topics);
                Ok(Change::To(topics))
            }
            Err(fault) if fault.kind().ends_consumer() => Err(fault),
            Err(fault) => {
                self.due = Some(now + self.every.min(RETRY));
                log::debug!("{fault}; it is asked again");
                Ok(Change::None)
            }
        }
    }

    fn begin(&mut self, client: &Arc<BaseConsumer<GroupEvents>>, wake: &Wake) -> Result<(), KafkaFault> {
        self.due = None;
        let (client, pattern, wake) = (Arc::clone(client), self.pattern.clone(), Arc::clone(wake));
        let found = Arc::clone(&self.found);
        let looking = thread::spawn("kafka-topics", thread::STACK_BYTES, move || {
            *lock(&found) = Some(topics(&client, &pattern));
            wake();
        });
        let what = "look the topics of topics.regex up";
        let looking =
            looking.map_err(|error| KafkaFault::other(what, FaultKind::Other, error.to_string()))?;
        // It ends by its own bound, whether the task still wants to know or not.
        looking.abandon();
        Ok(())
    }
}

/// The names of all topics that the pattern describes, ordered.
fn topics(client: &BaseConsumer<GroupEvents>, pattern: &JavaRegex) -> Found {
    let what = "look the topics of topics.regex up (Metadata)";
    let metadata = client.fetch_metadata(None, LOOK).map_err(|error| KafkaFault::new(what, &error))?;
    let mut names = Vec::new();
    for topic in metadata.topics() {
        let is_gone = topic
            .error()
            .is_some_and(|code| FaultKind::of(RDKafkaErrorCode::from(code)) == FaultKind::UnknownTopic);
        let matches = pattern.matches(topic.name());
        let matches = matches
            .map_err(|why| KafkaFault::other(what, FaultKind::Config, format!("topics.regex: {why}")))?;
        if matches && !is_gone {
            names.push(topic.name().to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stdx::time::Clock;

    fn watch(now: Instant) -> TopicWatch {
        let settings = [("topic.metadata.refresh.interval.ms", "5000")].into_iter().collect();
        TopicWatch::new(JavaRegex::new("a.*").unwrap(), &settings, now)
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn only_a_change_is_told_and_looks_go_on_at_their_pace() {
        let now = Clock.now().instant;
        let mut watch = watch(now);
        assert_eq!(watch.due(), Some(now));
        let second = Duration::from_secs(1);
        assert_eq!(watch.take(Ok(names(&["a", "ab"])), now).unwrap(), Change::To(names(&["a", "ab"])));
        assert_eq!(watch.due(), Some(now + 5 * second));
        assert_eq!(watch.take(Ok(names(&["a", "ab"])), now).unwrap(), Change::None);
        let away = || KafkaFault::other("look", FaultKind::Unreachable, "no answer");
        assert_eq!(watch.take(Err(away()), now).unwrap(), Change::None);
        assert_eq!(watch.due(), Some(now + second), "sooner, since nothing is known");
        assert_eq!(watch.take(Ok(names(&["a"])), now).unwrap(), Change::To(names(&["a"])));
        assert_eq!(watch.take(Ok(Vec::new()), now).unwrap(), Change::To(Vec::new()));
    }

    #[test]
    fn what_does_not_pass_fails_the_task() {
        let now = Clock.now().instant;
        let fault = KafkaFault::other("look", FaultKind::Authentication, "no");
        assert_eq!(watch(now).take(Err(fault.clone()), now), Err(fault));
    }
}
