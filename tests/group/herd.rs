//! A member with a herder that a test plays: it joins when it is asked to, and assigns when it leads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, bounded};
use herdsman::api::ids::{Generation, MemberId};
use herdsman::config::broker::Broker;
use herdsman::config::client::ClientSettings;
use herdsman::group::events::{GroupEvent, MemberCommand, MemberSettings};
use herdsman::group::member_thread::{Bootstrap, MemberHandle};
use herdsman::kafka::broker_socket::ConnectionSettings;

/// How long what should be quick may take.
pub(crate) const SOON: Duration = Duration::from_secs(30);

pub(crate) const LEAVES: MemberCommand = MemberCommand::Leave { reason: "the consumer is being closed" };

/// A member, and the events that were not looked at yet.
pub(crate) struct Herder {
    pub(crate) name: &'static str,
    pub(crate) member: MemberHandle,
    events: Receiver<(Instant, GroupEvent)>,
    turn_millis: Arc<AtomicU64>,
    pub(crate) seen: Vec<GroupEvent>,
}

/// What a member has after a round.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stable {
    pub(crate) generation: Generation,
    pub(crate) member: MemberId,
    pub(crate) leader: MemberId,
    pub(crate) protocol: String,
    /// For the leader: the members with their metadata, as text, in order.
    pub(crate) members: Vec<String>,
    pub(crate) assignment: String,
}

/// Apache's defaults, but a heartbeat each second.
pub(crate) fn settings(group: &str, name: &str) -> MemberSettings {
    MemberSettings {
        heartbeat_interval: Duration::from_secs(1),
        session_timeout: Duration::from_secs(10),
        rebalance_timeout: Duration::from_secs(20),
        ..MemberSettings::new(group, name)
    }
}

impl Herder {
    pub(crate) fn start(name: &'static str, settings: MemberSettings, client: &ClientSettings) -> Self {
        let brokers = Broker::parse_list(client.get("bootstrap.servers").unwrap()).unwrap();
        let connection = ConnectionSettings::from_client(&settings.client_id, client).unwrap();
        let (events, inbox) = bounded(1000);
        let turn_millis = Arc::new(AtomicU64::new(0));
        let turn = Arc::clone(&turn_millis);
        let member = MemberHandle::start(
            settings,
            Bootstrap { brokers, connection },
            Box::new(move |event| events.send((Instant::now(), event)).unwrap_or_default()),
            Box::new(move || Duration::from_millis(turn.load(Ordering::Relaxed))),
        )
        .unwrap();
        let mut herder = Herder { name, member, events: inbox, turn_millis, seen: Vec::new() };
        herder.wait("the wish to join", |event| matches!(event, GroupEvent::RejoinNeeded(_)));
        herder
    }

    /// Says that the present turn of the tick thread has lasted so long.
    pub(crate) fn turn_takes(&self, lasts: Duration) {
        self.turn_millis.store(lasts.as_millis() as u64, Ordering::Relaxed);
    }

    pub(crate) fn tell(&self, command: MemberCommand) {
        self.member.tell(command).unwrap();
    }

    pub(crate) fn join(&self) {
        let metadata = |protocol| Bytes::from(format!("{} {protocol}", self.name));
        let protocols = ["sessioned", "compatible", "default"].map(|protocol| (protocol, metadata(protocol)));
        self.tell(MemberCommand::Join(protocols.to_vec()));
    }

    /// Waits for an event; looks at all before it.
    pub(crate) fn wait(&mut self, what: &str, is_it: impl Fn(&GroupEvent) -> bool) -> (Instant, GroupEvent) {
        let deadline = Instant::now() + SOON;
        loop {
            let Ok((at, event)) = self.events.recv_deadline(deadline) else {
                panic!("{}: not in {SOON:?}: {what}; seen: {:#?}", self.name, self.seen);
            };
            self.seen.push(event.clone());
            if is_it(&event) {
                return (at, event);
            }
            assert!(!matches!(event, GroupEvent::Fatal(_)), "{}: {event:?}", self.name);
        }
    }

    /// Plays the herder until the member is stable with so many members in the group, as far as it can tell: joins
    /// whenever that is needed, gives each its name and the generation.
    pub(crate) fn settle(&mut self) -> Stable {
        let mut joined = None;
        loop {
            let (_, event) = self.wait("a round", |event| {
                matches!(
                    event,
                    GroupEvent::RejoinNeeded(_) | GroupEvent::Joined { .. } | GroupEvent::Assigned { .. }
                )
            });
            match event {
                GroupEvent::RejoinNeeded(_) => self.join(),
                GroupEvent::Joined { generation, member, leader, protocol, members } => {
                    if let Some(members) = &members {
                        let work = |(member, metadata): &(MemberId, Bytes)| {
                            let of = String::from_utf8_lossy(metadata).replace(' ', "-");
                            (member.clone(), Bytes::from(format!("{of} in {generation}")))
                        };
                        let assignments = members.iter().map(work).collect();
                        self.tell(MemberCommand::Assign { generation, assignments });
                    }
                    let mut names: Vec<_> = members
                        .iter()
                        .flatten()
                        .map(|(_, metadata)| String::from_utf8_lossy(metadata).into_owned())
                        .collect();
                    names.sort();
                    joined = Some((generation, member, leader, protocol, names));
                }
                GroupEvent::Assigned { generation, assignment } => {
                    let (of, member, leader, protocol, members) = joined.take().unwrap();
                    assert_eq!(of, generation);
                    let assignment = String::from_utf8_lossy(&assignment).into_owned();
                    return Stable { generation, member, leader, protocol, members, assignment };
                }
                GroupEvent::Contact { .. }
                | GroupEvent::ContactLost { .. }
                | GroupEvent::CoordinatorUnreachable { .. }
                | GroupEvent::PollTimeout
                | GroupEvent::Left
                | GroupEvent::Fatal(_) => {}
            }
        }
    }

    /// Joins for the first time and plays the herder until the member is stable.
    pub(crate) fn first_round(&mut self) -> Stable {
        self.join();
        self.settle()
    }

    /// What has come and was not looked at.
    pub(crate) fn take_events(&mut self) -> Vec<GroupEvent> {
        self.events.try_iter().map(|(_, event)| event).collect()
    }
}

pub(crate) fn is_contact(event: &GroupEvent) -> bool {
    matches!(event, GroupEvent::Contact { .. })
}

pub(crate) fn is_lost(event: &GroupEvent) -> bool {
    matches!(event, GroupEvent::ContactLost { .. })
}
