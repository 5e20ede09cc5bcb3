//! A group of workers of both kinds, and what the broker knows of it.

use std::fmt;
use std::process::Child;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::java::JavaWorker;
use super::watch::Watch;
use crate::support::{Answer, Kafka, Worker, WorkerSetup, try_send, wait_for};

/// How long a cluster may take to come to rest after a disturbance.
pub(super) const REST: Duration = Duration::from_secs(60);
/// How long a worker of Apache's may take to start on a busy machine.
const JAVA_START: Duration = Duration::from_secs(120);

/// Whose worker it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ours,
    Java,
}

enum Process {
    Ours(Box<Worker>),
    Java(JavaWorker),
}

/// One worker of the cluster; killed when dropped.
pub(super) struct Member {
    pub(super) kind: Kind,
    pub(super) url: String,
    process: Process,
    watch: Option<Watch>,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.kind, self.url)
    }
}

impl Member {
    /// The name that statuses have for it.
    pub(super) fn worker_id(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    fn child(&mut self) -> &mut Child {
        match &mut self.process {
            Process::Ours(worker) => worker.child(),
            Process::Java(worker) => worker.child(),
        }
    }

    fn log(&self) -> String {
        match &self.process {
            Process::Ours(worker) => worker.log(),
            Process::Java(worker) => worker.log(),
        }
    }
}

/// The group as the broker describes it.
#[derive(Debug, Clone)]
pub(super) struct Described {
    pub(super) state: String,
    /// What the group speaks.
    pub(super) protocol: String,
    pub(super) members: usize,
    /// The leader's URL, if all members were told the same.
    leader: Option<String>,
}

/// Workers of one group on a real Kafka.
pub(super) struct Cluster<'k> {
    pub(super) kafka: &'k Kafka,
    pub(super) group: String,
    settings: Vec<(String, String)>,
    pub(super) members: Vec<Member>,
    observer: BaseConsumer,
    /// What is asked of ours all the time, from when it is known.
    watched: Option<String>,
    counts: (usize, usize),
}

impl<'k> Cluster<'k> {
    /// A group without members; `settings` are those of all, over quick defaults.
    pub(super) fn new(kafka: &'k Kafka, name: &str, settings: &[(&str, &str)]) -> Self {
        let group = kafka.unique(name);
        let converter = "org.apache.kafka.connect.storage.StringConverter";
        let defaults = [
            ("bootstrap.servers", kafka.bootstrap.as_str()),
            ("group.id", &group),
            ("key.converter", converter),
            ("value.converter", converter),
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "1000"),
            ("scheduled.rebalance.max.delay.ms", "0"),
            ("offset.flush.interval.ms", "200"),
            ("offset.storage.partitions", "3"),
            ("status.storage.partitions", "2"),
            ("connector.client.config.override.policy", "All"),
        ];
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let mut all: Vec<_> = defaults.into_iter().map(owned).collect();
        for (topic, name) in [("config", "configs"), ("offset", "offsets"), ("status", "statuses")] {
            all.push((format!("{topic}.storage.topic"), format!("{group}-{name}")));
            all.push((format!("{topic}.storage.replication.factor"), "1".to_owned()));
        }
        all.extend(settings.iter().copied().map(owned));
        let observer = kafka.client().create().unwrap();
        let (members, watched, counts) = (Vec::new(), None, (0, 0));
        Cluster { kafka, group, settings: all, members, observer, watched, counts }
    }

    /// Starts a worker; it is the last of the members then. Does not wait for it.
    pub(super) fn start(&mut self, kind: Kind) {
        self.start_with(kind, &[]);
    }

    /// Starts a worker that has settings of its own.
    pub(super) fn start_with(&mut self, kind: Kind, more: &[(&str, &str)]) {
        let mut settings = self.settings.clone();
        settings.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let (process, url) = match kind {
            Kind::Ours => {
                let setup = WorkerSetup::distributed(&self.group).kafka(&self.kafka.bootstrap);
                let setup = settings.iter().fold(setup, |setup, (key, value)| setup.set(key, value));
                let worker = setup.start();
                let url = worker.url().trim_end_matches('/').to_owned();
                (Process::Ours(Box::new(worker)), url)
            }
            Kind::Java => {
                let worker = JavaWorker::start(&settings);
                let url = worker.url.clone();
                (Process::Java(worker), url)
            }
        };
        self.members.push(Member { kind, url, process, watch: None });
        self.watch_ours();
    }

    /// Starts workers one after another, so that the first of them leads; waits until all are in.
    pub(super) fn start_all(&mut self, kinds: &[Kind]) {
        for kind in kinds {
            self.start(*kind);
            self.settled();
        }
    }

    /// Asks every member of ours for that all the time, from now on.
    pub(super) fn watch(&mut self, path: String) {
        self.watched = Some(path);
        self.watch_ours();
    }

    fn watch_ours(&mut self) {
        let Some(path) = &self.watched else { return };
        for member in self.members.iter_mut().filter(|member| member.kind == Kind::Ours) {
            member.watch.get_or_insert_with(|| Watch::over(&member.url, path));
        }
    }

    /// Fails if a worker of ours said that it is healthy while it refused to serve. Gives the number of probes so far, and
    /// how many of them found a worker healthy.
    pub(super) fn honest(&self) -> (usize, usize) {
        let mut counts = self.counts;
        for member in &self.members {
            let Some(watch) = &member.watch else { continue };
            let lies = watch.lies();
            assert!(
                lies.is_empty(),
                "{member:?} said it was healthy while it refused: {lies:?}\n{}",
                member.log()
            );
            let (all, good) = watch.counts();
            counts = (counts.0 + all, counts.1 + good);
        }
        counts
    }

    /// Ends a member as a power failure would.
    pub(super) fn kill(&mut self, index: usize) -> Kind {
        let mut member = self.members.remove(index);
        member.child().kill().unwrap();
        member.child().wait().unwrap();
        self.count(&member)
    }

    /// Ends a member as an operator would.
    pub(super) fn stop(&mut self, index: usize) -> Kind {
        let mut member = self.members.remove(index);
        let pid = member.child().id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        wait_for(&format!("the end of {member:?}"), REST, || match member.child().try_wait().unwrap() {
            Some(status) => Ok(status),
            None => Err("it runs"),
        });
        self.count(&member)
    }

    fn count(&mut self, member: &Member) -> Kind {
        if let Some(watch) = &member.watch {
            let (all, good) = watch.counts();
            self.counts = (self.counts.0 + all, self.counts.1 + good);
        }
        member.kind
    }

    /// The group as the broker sees it; `None` while it cannot tell.
    pub(super) fn described(&self, group: &str) -> Option<Described> {
        let list = self.observer.fetch_group_list(Some(group), Duration::from_secs(5)).ok()?;
        let group = list.groups().first()?;
        let told = group.members().iter().map(|member| leader_url(member.assignment().unwrap_or_default()));
        let mut told: Vec<_> = told.collect();
        told.dedup();
        Some(Described {
            state: group.state().to_owned(),
            protocol: group.protocol().to_owned(),
            members: group.members().len(),
            leader: if told.len() == 1 { told.remove(0) } else { None },
        })
    }

    /// Waits until the broker has exactly the members of the cluster in a stable generation, and each says that it is
    /// healthy.
    pub(super) fn settled(&mut self) -> Described {
        let patience =
            if self.members.iter().any(|member| member.kind == Kind::Java) { JAVA_START } else { REST };
        let described = wait_for(&format!("a stable group of {:?}", self.members), patience, || {
            self.watch_for_ends();
            match self.described(&self.group) {
                Some(group) if group.state == "Stable" && group.members == self.members.len() => Ok(group),
                other => Err(other),
            }
        });
        for member in &self.members {
            wait_for(&format!("{member:?} is healthy"), REST, || {
                match try_send(&member.url, "GET", "/health?timeout=1000&verbose=true", None) {
                    Ok(Answer { status: 200, .. }) => Ok(()),
                    other => Err((other, member.log())),
                }
            });
        }
        described
    }

    fn watch_for_ends(&mut self) {
        for member in &mut self.members {
            let ended = member.child().try_wait().unwrap();
            assert!(ended.is_none(), "{member:?} ended with {ended:?}:\n{}", member.log());
        }
    }

    /// The member that leads, once the group is stable.
    pub(super) fn leader(&self) -> usize {
        wait_for("a leader", REST, || {
            let group = self.described(&self.group);
            let stable = group.as_ref().filter(|group| group.state == "Stable");
            let url = stable.and_then(|group| group.leader.clone());
            let is_it =
                |member: &Member| url.as_deref().is_some_and(|url| url.trim_end_matches('/') == member.url);
            self.members.iter().position(is_it).ok_or(group)
        })
    }

    /// Has a member of that kind lead: who leads before it is stopped and started again.
    pub(super) fn led_by(&mut self, kind: Kind) {
        self.settled();
        while self.members[self.leader()].kind != kind {
            let leader = self.leader();
            let stopped = self.stop(leader);
            self.settled();
            self.start(stopped);
            self.settled();
        }
    }

    /// Sends a request to a member, again as long as it answers that the group is being rearranged.
    pub(super) fn ask(&self, member: usize, request: &Request) -> Answer {
        let Request { method, path, body } = request;
        let url = &self.members[member].url;
        wait_for(
            &format!("{method} {path} is let in at {:?}", self.members[member]),
            REST,
            || match try_send(url, method, path, body.as_ref()) {
                Ok(answer) if may_pass(&answer) => Err(Ok(answer)),
                Ok(answer) => Ok(answer),
                Err(why) => Err(Err(why.to_string())),
            },
        )
    }
}

/// A request of a client.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) body: Option<serde_json::Value>,
}

/// Whether it was not done, and may be done when the group is at rest.
fn may_pass(answer: &Answer) -> bool {
    let says = |text: &str| answer.body.contains(text);
    match answer.status {
        409 => !says("already exists"),
        500 => says("IO Error trying to forward REST request"),
        _ => false,
    }
}

/// The leader's URL in an assignment: after version, error and the leader's member id.
fn leader_url(assignment: &[u8]) -> Option<String> {
    let text = |at: usize| {
        let length = usize::from(u16::from_be_bytes([*assignment.get(at)?, *assignment.get(at + 1)?]));
        let bytes = assignment.get(at + 2..at + 2 + length)?;
        Some((String::from_utf8(bytes.to_vec()).ok()?, at + 2 + length))
    };
    let (_, after) = text(4)?;
    Some(text(after)?.0)
}
