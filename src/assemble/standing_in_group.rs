//! The threads that only a worker in a group has: the member of the group and the internal topics. They start before the
//! tick thread and end after it, the member last: it leaves when the states of all that ended are written.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;

use super::cluster::ClusterHands;
use super::fencing::HerderGuard;
use super::hands::tell;
use super::pending_writes::PendingWrites;
use super::topic_sinks::{ConfigSink, StatusSink, on_stage};
use super::{Parts, StartError};
use crate::api::config_def::ConfigError;
use crate::api::ids::WorkerId;
use crate::config::broker::Broker;
use crate::config::client::ClientSettings;
use crate::config::client::internal_topics::internal_topic_clients;
use crate::config::worker::{DistributedConfig, ExactlyOnceSupport, InternalTopic};
use crate::group::events::{MemberCommand, MemberSettings};
use crate::group::member_thread::{Bootstrap, MemberHandle};
use crate::herder::GroupSettings;
use crate::herder::msg::HerderEvent;
use crate::herder::session_key::KeySettings;
use crate::kafka::broker_socket::ConnectionSettings;
use crate::logging::levels::Levels;
use crate::rest::forward::WorkerClient;
use crate::stdx::time::{Clock, Deadline};
use crate::store::connector_offsets::OwnOffsetStores;
use crate::store::offset_store::OffsetStore;
use crate::store::topic_log::{LogTopic, LogsNotStarted, TopicLogs, TopicRole, TopicSpec};
use crate::store::topic_offsets::{Offsets, TopicOffsetStore};
use crate::task::plan::GroupPlans;

/// Why the member leaves when its worker ends, in Apache's words.
const CLOSED: &str = "the consumer is being closed";
/// How long the states of what ended may take to be written at the end.
const STATUSES_TIMEOUT: Duration = Duration::from_secs(5);

/// The running threads of a worker in a group. The order of the fields is the order in which they end.
pub(super) struct StandingInGroup {
    hands: ClusterHands,
    logs: TopicLogs,
    member: Arc<MemberHandle>,
}

impl StandingInGroup {
    /// Starts the threads. Nothing is asked of the group before the herder says so.
    ///
    /// # Errors
    /// A setting that a client of Kafka cannot keep, or no threads.
    pub(super) fn start(
        config: &DistributedConfig,
        worker: &WorkerId,
        kafka: &ClientSettings,
        parts: &Parts,
        (client, levels): (WorkerClient, Arc<Levels>),
    ) -> Result<Self, StartError> {
        let clients = internal_topic_clients(&config.worker.originals.0).map_err(StartError::Config)?;
        let offsets = Offsets::new();
        let topics = topics(config, parts, &offsets);
        let stage = on_stage(parts.inbox.clone());
        let (logs, log) = TopicLogs::start(&clients, topics, stage).map_err(|why| match why {
            LogsNotStarted::Client(why) => StartError::Client(why),
            LogsNotStarted::Thread(why) => StartError::System(why),
        })?;
        let store = TopicOffsetStore::new(log.clone(), config.offset_topic.name.as_str().into(), offsets);
        let store: Arc<dyn OffsetStore> = Arc::new(store);
        drop(parts.offsets.set(store));

        let settings = member_settings(config, worker);
        let connection = ConnectionSettings::from_client(&settings.client_id, kafka)?;
        let servers = config.worker.bootstrap_servers.join(",");
        let brokers = Broker::parse_list(&servers).map_err(|why| {
            StartError::Config(ConfigError::invalid("bootstrap.servers", &servers, why).into())
        })?;
        let bootstrap = Bootstrap { brokers, connection };
        let inbox = parts.inbox.clone();
        let listener = Box::new(move |event| tell(&inbox, HerderEvent::Group(event)));
        let stages = Arc::clone(&parts.shared.stages);
        let turn_age = Box::new(move || stages.turn_age(Clock.now()));
        let member = Arc::new(MemberHandle::start(settings, bootstrap, listener, turn_age)?);
        let hands = ClusterHands {
            inbox: parts.inbox.clone(),
            member: Arc::clone(&member),
            log,
            client,
            jobs: parts.jobs.clone(),
            levels,
            planner: Arc::clone(&parts.planner),
            transactional: config.exactly_once.leader_uses_transactions(),
            statuses: Arc::new(PendingWrites::default()),
        };
        Ok(StandingInGroup { hands, logs, member })
    }

    /// What the tick thread carries its effects out with.
    pub(super) fn hands(&self) -> ClusterHands {
        self.hands.clone()
    }

    /// Ends the threads, once nothing runs any more: the states are written, then the member leaves.
    pub(super) fn stop(self, deadline: Deadline) {
        let statuses = deadline.min(Clock.deadline(STATUSES_TIMEOUT));
        let left = self.hands.statuses.wait(Clock, statuses);
        if left > 0 {
            log::warn!("{left} states were not written to the status topic before the end");
        }
        drop(self.logs);
        self.hands.tell_member(MemberCommand::Leave { reason: CLOSED });
        drop(self.hands);
        drop(self.member);
    }
}

/// What the planner of tasks needs to know of the group; `inbox` is the herder's.
pub(super) fn plans(config: &DistributedConfig, inbox: Sender<HerderEvent>) -> GroupPlans {
    GroupPlans {
        group: config.group_id.clone(),
        offsets: spec(TopicRole::Offset, &config.offset_topic),
        exactly_once: config.exactly_once == ExactlyOnceSupport::Enabled,
        guard: Arc::new(HerderGuard(inbox)),
        own: OwnOffsetStores::default(),
    }
}

fn spec(role: TopicRole, topic: &InternalTopic) -> TopicSpec {
    TopicSpec {
        role,
        name: topic.name.as_str().into(),
        partitions: topic.partitions,
        replication: topic.replicas,
        settings: topic.settings.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
    }
}

fn topics(config: &DistributedConfig, parts: &Parts, offsets: &Arc<Offsets>) -> Vec<LogTopic> {
    let configs = spec(TopicRole::Config, &config.config_topic);
    let statuses = spec(TopicRole::Status, &config.status_topic);
    let config_sink = ConfigSink::new(Arc::clone(&configs.name), parts.inbox.clone());
    let status_sink = StatusSink::new(Arc::clone(&statuses.name), parts.inbox.clone());
    vec![
        LogTopic { spec: spec(TopicRole::Offset, &config.offset_topic), sink: offsets.sink() },
        LogTopic { spec: statuses, sink: Box::new(status_sink) },
        LogTopic { spec: configs, sink: Box::new(config_sink) },
    ]
}

fn member_settings(config: &DistributedConfig, worker: &WorkerId) -> MemberSettings {
    let (group, connection) = (&config.group, &config.connection);
    MemberSettings {
        session_timeout: group.session_timeout,
        rebalance_timeout: group.rebalance_timeout,
        heartbeat_interval: group.heartbeat_interval,
        retry_backoff: connection.retry_backoff,
        retry_backoff_max: connection.retry_backoff_max,
        request_timeout: connection.request_timeout,
        reconnect_backoff: connection.reconnect_backoff,
        reconnect_backoff_max: connection.reconnect_backoff_max,
        ..MemberSettings::new(config.group_id.as_str(), config.member_client_id(worker))
    }
}

/// What the herder needs to know of the group; `url` is where other workers reach this one.
pub(super) fn settings(config: &DistributedConfig, url: String) -> GroupSettings {
    let keys = &config.inter_worker;
    GroupSettings {
        url,
        protocol: config.group.protocol,
        delay_max: config.group.scheduled_rebalance_max_delay,
        sync_timeout: config.group.sync_timeout,
        unsync_backoff: config.group.unsync_backoff,
        keys: KeySettings {
            key_algorithm: keys.key_algorithm,
            key_bytes: keys.key_bytes,
            ttl: keys.ttl,
            signature: keys.signature,
            verification: keys.verification.clone(),
        },
        transactional: config.exactly_once.leader_uses_transactions(),
        exactly_once: config.exactly_once == ExactlyOnceSupport::Enabled,
    }
}
