//! A member, and a network and coordinator that are played. What happens is written down, with milliseconds.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::{Action, GroupMember, Input, LinkId, Moment};
use crate::api::ids::{Generation, MemberId};
use crate::config::broker::Broker;
use crate::group::error_code::GroupError;
use crate::group::events::{GroupEvent, MemberCommand, MemberSettings};
use crate::group::requests::{JoinAnswer, JoinRefusal, MemberAnswer, MemberRequest, RequestId, SyncAnswer};
use crate::stdx::time::Clock;

pub(super) const LEAVES: &str = "the consumer is being closed";

pub(super) struct World {
    pub(super) member: GroupMember,
    start: Instant,
    pub(super) now: Instant,
    /// Brokers answer at once, and connections come about at once.
    pub(super) network: bool,
    pub(super) link: Option<LinkId>,
    /// Requests that were not answered yet, in order.
    pub(super) awaited: Vec<(RequestId, MemberRequest)>,
    lines: Vec<String>,
}

impl World {
    pub(super) fn new() -> Self {
        let start = Clock.now().instant;
        let member = GroupMember::new(MemberSettings::new("workers", "w"), start);
        let mut world = World {
            member,
            start,
            now: start,
            network: true,
            link: None,
            awaited: Vec::new(),
            lines: Vec::new(),
        };
        world.input(Input::Started);
        world
    }

    /// One that is stable in generation 1 as member `m`, a follower; nothing written down yet.
    pub(super) fn stable() -> Self {
        let mut world = World::syncing(false);
        world.answer(synced());
        world.took();
        world
    }

    /// One that has joined generation 1 as member `m`.
    pub(super) fn syncing(leads: bool) -> Self {
        let mut world = World::new();
        world.join();
        world.answer(joined(1, leads));
        world.took();
        world
    }

    pub(super) fn join(&mut self) {
        self.command(MemberCommand::Join(vec![("sessioned", Bytes::from_static(b"meta"))]));
    }

    pub(super) fn command(&mut self, command: MemberCommand) {
        self.input(Input::Command(command));
    }

    pub(super) fn input(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut actions = Vec::new();
            self.member.handle(Moment { now: self.now, jitter: 0.0 }, input, &mut actions);
            for action in actions {
                inputs.extend(self.act(action));
            }
            let next = self.member.next_deadline();
            assert!(next.is_none_or(|next| next > self.now), "would be woken for ever: {:?}", self.member);
        }
    }

    fn act(&mut self, action: Action) -> Option<Input> {
        let broker = Broker::new("b", 1);
        let (line, input) = match action {
            Action::FindCoordinator => {
                ("find".to_owned(), self.network.then_some(Input::CoordinatorFound(broker)))
            }
            Action::StopSearch => ("stop search".to_owned(), None),
            Action::Connect { link, .. } => {
                assert_eq!(self.link, None, "one connection at a time");
                self.link = Some(link);
                ("connect".to_owned(), self.network.then_some(Input::LinkUp(link)))
            }
            Action::Close(link) => {
                assert_eq!(self.link.take(), Some(link));
                self.awaited.clear();
                ("close".to_owned(), None)
            }
            Action::Send { link, id, request } => {
                assert_eq!(self.link, Some(link));
                let line = show(&request);
                self.awaited.push((id, request));
                (line, None)
            }
            Action::Tell(GroupEvent::Contact { at }) => {
                assert_eq!(at, self.now);
                ("<Contact>".to_owned(), None)
            }
            Action::Tell(event) => (format!("<{event:?}>"), None),
        };
        self.lines.push(format!("{} {line}", (self.now - self.start).as_millis()));
        input
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(next) = self.member.next_deadline().filter(|next| *next <= end) {
            self.now = next;
            self.input(Input::Timer);
        }
        self.now = end;
        self.input(Input::Timer);
    }

    /// The coordinator answers the oldest request.
    pub(super) fn answer(&mut self, answer: MemberAnswer) {
        let (id, _) = self.awaited.remove(0);
        let link = self.link.unwrap();
        self.input(Input::Answered { link, id, answer });
    }

    /// The connection is lost.
    pub(super) fn lose_link(&mut self, why: &str) {
        self.awaited.clear();
        let link = self.link.take().unwrap();
        self.input(Input::LinkDown { link, why: why.to_owned(), is_fatal: false });
    }

    /// What happened since the last time, in milliseconds since the first.
    pub(super) fn took(&mut self) -> String {
        std::mem::take(&mut self.lines).join("\n")
    }

    /// What was told since the last time.
    pub(super) fn told(&mut self) -> Vec<String> {
        let lines = std::mem::take(&mut self.lines);
        lines
            .into_iter()
            .filter_map(|line| Some(line.split_once(" <")?.1.trim_end_matches('>').to_owned()))
            .collect()
    }
}

fn show(request: &MemberRequest) -> String {
    match request {
        MemberRequest::Join { member, reason, protocols } => {
            let member = member.as_ref().map_or("nobody", MemberId::as_str);
            let metadata = String::from_utf8_lossy(&protocols[0].1).into_owned();
            format!("Join as {member} with {metadata} {reason:?}")
        }
        MemberRequest::Sync { generation, member, assignments, protocol } => {
            format!("Sync {generation} as {member}, {protocol}, {} assignments", assignments.len())
        }
        MemberRequest::Heartbeat { generation, member } => format!("Heartbeat {generation} as {member}"),
        MemberRequest::Leave { member, reason } => format!("Leave as {member} {reason:?}"),
    }
}

pub(super) fn joined(generation: i32, leads: bool) -> MemberAnswer {
    let (member, leader) = (MemberId::from("m"), MemberId::from(if leads { "m" } else { "other" }));
    MemberAnswer::Join(Ok(JoinAnswer {
        generation: Generation::new(generation),
        member: member.clone(),
        leader,
        protocol_type: Some("connect".to_owned()),
        protocol: Some("sessioned".to_owned()),
        skip_assignment: false,
        members: if leads { vec![(member, Bytes::from_static(b"meta"))] } else { Vec::new() },
    }))
}

pub(super) fn synced() -> MemberAnswer {
    MemberAnswer::Sync(Ok(SyncAnswer {
        protocol_type: Some("connect".to_owned()),
        protocol: Some("sessioned".to_owned()),
        assignment: Bytes::from_static(b"work"),
    }))
}

pub(super) fn refused(error: GroupError) -> MemberAnswer {
    let member = (error == GroupError::MemberIdRequired).then(|| MemberId::from("m1"));
    MemberAnswer::Join(Err(JoinRefusal { error, member }))
}

pub(super) fn is_told(event: &GroupEvent) -> String {
    format!("{event:?}")
}
