//! What the member's thread does between two waits.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, TryRecvError};
use mio::{Events, Poll, Token, Waker};

use super::names::Names;
use super::search::{Outcome, Search};
use super::{Bootstrap, Listener, TurnAge};
use crate::config::broker::Broker;
use crate::group::events::{GroupEvent, MemberCommand, MemberSettings};
use crate::group::member::{Action, GroupMember, Input, LinkId, Moment};
use crate::group::requests::{MemberRequest, RequestId};
use crate::group::wire;
use crate::kafka::broker_socket::conversation::{CorrelationId, Heard};
use crate::kafka::broker_socket::{BrokerConnection, ConnectionSettings, SocketFault};
use crate::stdx::error_class::ErrorClass;
use crate::stdx::time::{Clock, Now};

/// The name under which Connect users find what is said of the group.
const TARGET: &str = "org.apache.kafka.connect.runtime.distributed.WorkerCoordinator";
/// Nothing waits longer, whatever the deadlines say.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const READY_EVENTS: usize = 64;

/// The thread's own state.
pub(super) struct Work {
    settings: MemberSettings,
    connection_settings: Arc<ConnectionSettings>,
    member: GroupMember,
    link: Option<OpenLink>,
    search: Search,
    names: Names,
    poll: Poll,
    last_token: usize,
    clock: Clock,
    listener: Guard,
    turn_age: TurnAge,
    inputs: VecDeque<Input>,
}

/// The connection to the coordinator.
struct OpenLink {
    id: LinkId,
    broker: Broker,
    connection: BrokerConnection,
    awaited: BTreeMap<CorrelationId, RequestId>,
}

/// Whoever ends the thread by a panic has it told to the herder.
struct Guard(Listener);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0)(GroupEvent::Fatal("the thread of the group's member panicked".to_owned()));
        }
    }
}

impl Work {
    pub(super) fn new(
        settings: MemberSettings,
        bootstrap: Bootstrap,
        poll: Poll,
        waker: Arc<Waker>,
        listener: Listener,
        turn_age: TurnAge,
    ) -> Self {
        let clock = Clock;
        Work {
            member: GroupMember::new(settings.clone(), clock.now().instant),
            settings,
            connection_settings: Arc::new(bootstrap.connection),
            link: None,
            search: Search::new(bootstrap.brokers),
            names: Names::new(waker),
            poll,
            last_token: 0,
            clock,
            listener: Guard(listener),
            turn_age,
            inputs: VecDeque::from([Input::Started]),
        }
    }

    pub(super) fn run(mut self, commands: &Receiver<MemberCommand>) {
        let mut events = Events::with_capacity(READY_EVENTS);
        loop {
            let is_told_to_end = self.take_commands(commands);
            let now = self.clock.now();
            self.take_names(now);
            self.drive(now);
            self.inputs.push_back(Input::TurnTakes((self.turn_age)()));
            self.think();
            if is_told_to_end && !self.member.is_leaving() {
                return;
            }
            if let Err(error) = self.poll.poll(&mut events, Some(self.next_wait()))
                && error.kind() != io::ErrorKind::Interrupted
            {
                (self.listener.0)(GroupEvent::Fatal(format!("cannot wait for sockets: {error}")));
                return;
            }
        }
    }

    /// Whether the handle was dropped.
    fn take_commands(&mut self, commands: &Receiver<MemberCommand>) -> bool {
        loop {
            match commands.try_recv() {
                Ok(command) => self.inputs.push_back(Input::Command(command)),
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => return true,
            }
        }
    }

    fn take_names(&mut self, now: Now) {
        let mut outcomes = Vec::new();
        while let Some((broker, found)) = self.names.next_found() {
            match &found {
                Ok(addresses) => self.search.set_addresses(now, &broker, addresses),
                Err(why) => self.search.have_no_address(&broker, why, &mut outcomes),
            }
            let Some(link) = self.link.as_mut().filter(|link| link.broker == broker) else { continue };
            match found {
                Ok(addresses) => link.connection.set_addresses(now, addresses),
                Err(why) => {
                    if let Err(fault) = link.connection.has_no_address(&why) {
                        self.link_failed(&fault);
                    }
                }
            }
        }
        self.note(outcomes);
    }

    fn drive(&mut self, now: Now) {
        let mut outcomes = Vec::new();
        self.search.drive(now, self.poll.registry(), &self.settings.group_id, &mut outcomes);
        self.note(outcomes);
        let Some(link) = &mut self.link else { return };
        let mut heard = Vec::new();
        let outcome = link.connection.drive(now, self.poll.registry(), &mut heard);
        let fault = heard.into_iter().find_map(|heard| hear(link, heard, &mut self.inputs).err());
        if let Some(fault) = fault.or(outcome.err()) {
            self.link_failed(&fault);
        }
    }

    fn note(&mut self, outcomes: Vec<Outcome>) {
        self.inputs.extend(outcomes.into_iter().map(|outcome| match outcome {
            Outcome::Found(broker) => Input::CoordinatorFound(broker),
            Outcome::Failed { why, is_fatal } => Input::SearchFailed { why, is_fatal },
        }));
    }

    fn link_failed(&mut self, fault: &SocketFault) {
        if let Some(link) = self.link.take() {
            let is_fatal = match fault.class() {
                ErrorClass::Retriable => false,
                ErrorClass::Fatal | ErrorClass::Bug => true,
            };
            self.inputs.push_back(Input::LinkDown { link: link.id, why: fault.to_string(), is_fatal });
        }
    }

    /// Lets the member take in all that happened, and does what it wants, until nothing is left.
    fn think(&mut self) {
        let mut actions = Vec::new();
        while let Some(input) = self.inputs.pop_front() {
            let at = Moment { now: self.clock.now().instant, jitter: jitter() };
            self.member.handle(at, input, &mut actions);
            for action in actions.drain(..) {
                self.carry_out(action);
            }
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::FindCoordinator => self.ask_one_more(),
            Action::StopSearch => self.search.stop(),
            Action::Connect { link, broker } => {
                let connection = self.connect(&broker);
                self.link = Some(OpenLink { id: link, broker, connection, awaited: BTreeMap::new() });
                self.drive(self.clock.now());
            }
            Action::Close(link) => drop(self.link.take_if(|open| open.id == link)),
            Action::Send { link, id, request } => self.send(link, id, request),
            Action::Tell(event) => {
                self.log(&event);
                (self.listener.0)(event);
            }
        }
    }

    fn ask_one_more(&mut self) {
        // While all are being asked, their answers are awaited.
        if let Some(broker) = self.search.next_broker() {
            let connection = self.connect(&broker);
            self.search.ask(broker, connection);
            let mut outcomes = Vec::new();
            self.search.drive(self.clock.now(), self.poll.registry(), &self.settings.group_id, &mut outcomes);
            self.note(outcomes);
        }
    }

    fn connect(&mut self, broker: &Broker) -> BrokerConnection {
        self.last_token += 1;
        let (token, now) = (Token(self.last_token), self.clock.now());
        let name: Arc<str> = broker.to_string().into();
        let settings = Arc::clone(&self.connection_settings);
        let mut connection = BrokerConnection::new(name, &broker.host, settings, token, now);
        if let Some(addresses) = self.names.ask(broker) {
            connection.set_addresses(now, addresses);
        }
        connection
    }

    fn send(&mut self, link: LinkId, id: RequestId, request: MemberRequest) {
        let Some(open) = self.link.as_mut().filter(|open| open.id == link) else { return };
        match wire::send(&mut open.connection, self.clock.now(), &self.settings, request) {
            Ok(correlation) => drop(open.awaited.insert(correlation, id)),
            Err(fault) => self.link_failed(&fault),
        }
    }

    fn next_wait(&self) -> Duration {
        let of_link = self.link.as_ref().and_then(|link| link.connection.next_deadline());
        let deadlines =
            self.member.next_deadline().into_iter().chain(of_link).chain(self.search.next_deadline());
        let now = self.clock.now().instant;
        deadlines.min().map_or(LONGEST_WAIT, |at| at.saturating_duration_since(now).min(LONGEST_WAIT))
    }

    fn log(&self, event: &GroupEvent) {
        let (client, group) = (&self.settings.client_id, &self.settings.group_id);
        let said = |level, text: &str| {
            log::log!(target: TARGET, level, "[Worker clientId={client}, groupId={group}] {text}");
        };
        match event {
            GroupEvent::RejoinNeeded(cause) => said(log::Level::Info, &format!("Rejoin is needed: {cause}")),
            GroupEvent::Joined { generation, member, leader, protocol, .. } => said(
                log::Level::Info,
                &format!(
                    "Joined generation {generation} as {member}, protocol {protocol}; the leader is {leader}"
                ),
            ),
            GroupEvent::Assigned { generation, .. } => {
                said(log::Level::Info, &format!("Got the assignment of generation {generation}"));
            }
            GroupEvent::Contact { .. } => {}
            GroupEvent::ContactLost { why } => {
                said(log::Level::Warn, &format!("Contact with the group coordinator is lost: {why}"));
            }
            GroupEvent::CoordinatorUnreachable { why } => said(
                log::Level::Error,
                &format!("The group coordinator was not found in time, all work is to stop: {why}"),
            ),
            GroupEvent::PollTimeout => said(
                log::Level::Warn,
                "worker poll timeout has expired: the tick thread did not come back to the group within \
                 rebalance.timeout.ms, so the member leaves it",
            ),
            GroupEvent::Left => said(log::Level::Info, "Left the group"),
            GroupEvent::Fatal(why) => said(log::Level::Error, why),
        }
    }
}

/// Turns what the coordinator said into inputs.
fn hear(link: &mut OpenLink, heard: Heard, inputs: &mut VecDeque<Input>) -> Result<(), SocketFault> {
    match heard {
        Heard::Ready => inputs.push_back(Input::LinkUp(link.id)),
        Heard::Answer(answer) => {
            let id = link.awaited.remove(&answer.correlation);
            if let (Some(id), Some(answer)) = (id, wire::read(&answer)?) {
                inputs.push_back(Input::Answered { link: link.id, id, answer });
            }
        }
    }
    Ok(())
}

/// A random number from 0 to 1; a half if the system has none.
fn jitter() -> f64 {
    let mut bytes = [0; 4];
    match openssl::rand::rand_bytes(&mut bytes) {
        Ok(()) => f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}
