//! The process of a worker: its herder, its member of the group, what it runs, and how far it has read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use herdsman::api::ids::{ConnectorName, WorkerId};
use herdsman::group::member::GroupMember;
use herdsman::health::StartupPhase;
use herdsman::herder::msg::{HerderEvent, OperationId};
use herdsman::herder::session_key::KeySettings;
use herdsman::herder::view::ConnectorView;
use herdsman::herder::{GroupSettings, Herder, HerderSettings, Random as SessionRandom};
use herdsman::stdx::java_mac::MacAlgorithm;
use herdsman::stdx::time::Now;
use herdsman::store::config_records::ConfigRecord;
use herdsman::store::config_state::ConfigState;

use super::coordinator::Serial;
use super::network::{Life, Line};
use super::topics::Reader;
use super::{Common, News};
use crate::fakes;
use crate::instances::{Instances, Who};

pub(super) const TASK_STOP: Duration = Duration::from_secs(5);

/// An event that waits for the herder.
pub(super) struct Inboxed {
    pub(super) event: HerderEvent,
    /// Of an assignment: which of all generations it is of.
    pub(super) serial: Option<Serial>,
}

/// A change of what is configured on its way: one group of records after the other.
pub(super) struct Writing {
    pub(super) groups: VecDeque<Vec<ConfigRecord>>,
    pub(super) operation: Option<OperationId>,
    pub(super) failure: &'static str,
    pub(super) as_leader: bool,
    /// Names the group that is on its way.
    pub(super) number: u64,
    /// How far is to be read, once it is in the topic.
    pub(super) target: Option<usize>,
}

pub(super) struct Process {
    pub(super) herder: Herder,
    pub(super) wakeup: Option<Duration>,
    pub(super) inbox: VecDeque<Inboxed>,
    /// Since when its tick thread is held up.
    pub(super) held_since: Option<Duration>,
    /// What reaches it while all of it is suspended.
    pub(super) mailbox: Option<Vec<News>>,
    pub(super) member: GroupMember,
    pub(super) member_due: Option<Duration>,
    pub(super) line: Option<Line>,
    /// Which of its consecutive searches for the coordinator.
    pub(super) search: u64,
    /// The generation that the answer belongs to that the member is about to take.
    pub(super) assigned: Option<Serial>,
    pub(super) instances: Instances,
    pub(super) configs: ConfigState,
    pub(super) views: BTreeMap<ConnectorName, Arc<ConnectorView>>,
    pub(super) phase: StartupPhase,
    pub(super) config: Reader,
    pub(super) status: Reader,
    /// How far is to be read before it joins.
    pub(super) starts_at: Option<(usize, usize)>,
    pub(super) catch_ups: Vec<(OperationId, usize)>,
    pub(super) writing: Option<Writing>,
    pub(super) last_write: u64,
    /// When the last status that it wrote is in the topic.
    pub(super) statuses_at: Duration,
    /// The generation that gave it what it ever held.
    pub(super) given: BTreeMap<Who, Serial>,
    /// The last generation whose assignment it took.
    pub(super) took: Option<Serial>,
    /// The generation in which it last claimed the config topic.
    pub(super) claimed: Option<Serial>,
    /// When its member heard of the coordinator last.
    pub(super) contact_at: Option<Duration>,
    /// The reader of the config topic has said that it cannot read; the herder has heard so.
    pub(super) is_stalled: bool,
    pub(super) is_unreadable: bool,
    /// All has ended; the member leaves.
    pub(super) is_ending: bool,
}

impl Process {
    pub(super) fn new(life: Life, common: &Common, now: Now, start: Instant) -> Self {
        let keys = KeySettings {
            key_algorithm: MacAlgorithm::HmacSha256,
            key_bytes: 32,
            ttl: common.key_ttl,
            signature: MacAlgorithm::HmacSha256,
            verification: vec![MacAlgorithm::HmacSha256],
        };
        let group = GroupSettings {
            url: url(life.worker),
            protocol: common.protocol,
            delay_max: common.delay_max,
            sync_timeout: Duration::from_secs(3),
            unsync_backoff: common.unsync_backoff,
            keys,
            transactional: common.transactional,
            exactly_once: false,
        };
        let made = AtomicU64::new(0);
        let fill = move |bytes: &mut [u8]| {
            let number = made.fetch_add(1, Ordering::Relaxed);
            let text = format!("{life} {number}");
            bytes.iter_mut().zip(text.bytes().cycle()).for_each(|(byte, with)| *byte = with);
            Ok(())
        };
        let settings = HerderSettings {
            worker: WorkerId::new(format!("w{}:8083", life.worker)),
            registry: fakes::registry(),
            task_stop_timeout: TASK_STOP,
            group: Some(group),
            random: SessionRandom(Arc::new(fill)),
        };
        Process {
            herder: Herder::new(settings, Vec::new(), now),
            wakeup: None,
            inbox: VecDeque::new(),
            held_since: None,
            mailbox: None,
            member: GroupMember::new(common.member.clone(), start),
            member_due: None,
            line: None,
            search: 0,
            assigned: None,
            instances: Instances::default(),
            configs: ConfigState::default(),
            views: BTreeMap::new(),
            phase: StartupPhase::Starting,
            config: Reader::default(),
            status: Reader::default(),
            starts_at: None,
            catch_ups: Vec::new(),
            writing: None,
            last_write: 0,
            statuses_at: Duration::ZERO,
            given: BTreeMap::new(),
            took: None,
            claimed: None,
            contact_at: None,
            is_stalled: false,
            is_unreadable: false,
            is_ending: false,
        }
    }

    /// Whether something is there, as far as this worker has read.
    pub(super) fn is_configured(&self, who: &Who) -> bool {
        self.configs.connector(who.connector()).is_some_and(|config| match who {
            Who::Connector(_) => true,
            Who::Task(id) => (id.index as usize) < config.tasks.len(),
        })
    }

    /// Whether the herder takes events at the moment.
    pub(super) fn turns(&self) -> bool {
        self.held_since.is_none() && self.mailbox.is_none()
    }
}

/// Where a worker is reached.
pub(super) fn url(worker: usize) -> String {
    format!("http://w{worker}:8083/")
}

/// The worker that is reached there.
pub(super) fn worker_at(url: &str) -> Option<usize> {
    url.strip_prefix("http://w")?.strip_suffix(":8083/")?.parse().ok()
}
