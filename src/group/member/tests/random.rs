//! The member under any order of events: it never panics, never spins, and keeps its promises.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::{Action, GroupMember, Input, LinkId, Moment};
use super::world::{LEAVES, joined, refused, synced};
use crate::api::ids::{Generation, MemberId};
use crate::config::broker::Broker;
use crate::group::error_code::GroupError;
use crate::group::events::{GroupEvent, MemberCommand, MemberSettings};
use crate::group::requests::{MemberAnswer, MemberRequest, RequestId};
use crate::stdx::time::Clock;

#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Join,
    Assign,
    Probe,
    Leave,
    TurnTakes(u64),
    Found,
    SearchFails,
    LinkUp,
    LinkDown,
    Answer(i16),
    StaleAnswer(i16),
    StaleLink,
}

fn step() -> impl Strategy<Value = Step> {
    let code = prop_oneof![
        6 => Just(0_i16),
        3 => prop::sample::select(vec![14_i16, 15, 16, 22, 25, 27, 79]),
        1 => prop::sample::select(vec![23_i16, 24, 26, 30, 81, 82, -1, 999]),
    ];
    prop_oneof![
        4 => (0_u64..4000).prop_map(Step::Pass),
        1 => (0_u64..70_000).prop_map(Step::Pass),
        3 => Just(Step::Join),
        2 => Just(Step::Assign),
        2 => Just(Step::Probe),
        1 => Just(Step::Leave),
        1 => (0_u64..100).prop_map(Step::TurnTakes),
        4 => Just(Step::Found),
        1 => Just(Step::SearchFails),
        4 => Just(Step::LinkUp),
        1 => Just(Step::LinkDown),
        8 => code.clone().prop_map(Step::Answer),
        1 => code.prop_map(Step::StaleAnswer),
        1 => Just(Step::StaleLink),
    ]
}

/// What the member does, checked against what it may do.
struct Checked {
    member: GroupMember,
    now: std::time::Instant,
    link: Option<(LinkId, bool)>,
    is_sought: bool,
    awaited: Vec<(RequestId, MemberRequest)>,
    /// The generation that the coordinator gave last.
    generation: i32,
    told_generation: Option<Generation>,
    join_is_open: bool,
    is_over: bool,
    last_lost: Option<String>,
}

impl Checked {
    fn new() -> Self {
        let now = Clock.now().instant;
        Checked {
            member: GroupMember::new(MemberSettings::new("workers", "w"), now),
            now,
            link: None,
            is_sought: false,
            awaited: Vec::new(),
            generation: 0,
            told_generation: None,
            join_is_open: false,
            is_over: false,
            last_lost: None,
        }
    }

    fn step(&mut self, step: &Step) {
        let link = self.link.map_or(LinkId(0), |(link, _)| link);
        let input = match step {
            Step::Pass(millis) => return self.pass(*millis),
            Step::Join => {
                self.join_is_open = true;
                Input::Command(MemberCommand::Join(vec![("sessioned", Bytes::new())]))
            }
            Step::Assign => Input::Command(MemberCommand::Assign {
                generation: Generation::new(self.generation),
                assignments: vec![(MemberId::from("m"), Bytes::new())],
            }),
            Step::Probe => Input::Command(MemberCommand::Probe),
            Step::Leave => {
                // Who leaves does not want to join any more.
                self.join_is_open = false;
                Input::Command(MemberCommand::Leave { reason: LEAVES })
            }
            Step::TurnTakes(seconds) => Input::TurnTakes(Duration::from_secs(*seconds)),
            Step::Found => Input::CoordinatorFound(Broker::new("b", 1)),
            Step::SearchFails => Input::SearchFailed { why: "no".to_owned(), is_fatal: false },
            Step::LinkUp => {
                self.link.iter_mut().for_each(|(_, is_up)| *is_up = true);
                Input::LinkUp(link)
            }
            Step::LinkDown => {
                self.link = None;
                self.awaited.clear();
                Input::LinkDown { link, why: "lost".to_owned(), is_fatal: false }
            }
            Step::Answer(code) => {
                if self.awaited.is_empty() {
                    return;
                }
                let (id, request) = self.awaited.remove(0);
                Input::Answered { link, id, answer: self.answer_to(&request, *code) }
            }
            Step::StaleAnswer(code) => {
                let request = MemberRequest::Leave { member: MemberId::from("m"), reason: LEAVES };
                Input::Answered { link, id: RequestId(u64::MAX), answer: self.answer_to(&request, *code) }
            }
            Step::StaleLink => {
                Input::LinkDown { link: LinkId(u64::MAX), why: "old".to_owned(), is_fatal: true }
            }
        };
        self.input(input);
    }

    fn answer_to(&mut self, request: &MemberRequest, code: i16) -> MemberAnswer {
        let error = GroupError::from_code(code);
        match (request, error) {
            (MemberRequest::Join { .. }, None) => {
                self.generation += 1;
                joined(self.generation, self.generation % 2 == 0)
            }
            (MemberRequest::Join { .. }, Some(error)) => refused(error),
            (MemberRequest::Sync { .. }, None) => synced(),
            (MemberRequest::Sync { .. }, Some(error)) => MemberAnswer::Sync(Err(error)),
            (MemberRequest::Heartbeat { .. }, error) => MemberAnswer::Heartbeat(error.map_or(Ok(()), Err)),
            (MemberRequest::Leave { .. }, error) => MemberAnswer::Leave(error.map_or(Ok(()), Err)),
        }
    }

    fn pass(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(next) = self.member.next_deadline().filter(|next| *next <= end) {
            self.now = next;
            self.input(Input::Timer);
        }
        self.now = end;
        self.input(Input::Timer);
    }

    fn input(&mut self, input: Input) {
        let mut actions = Vec::new();
        self.member.handle(Moment { now: self.now, jitter: 0.5 }, input, &mut actions);
        for action in actions {
            self.check(action);
        }
        let next = self.member.next_deadline();
        assert!(next.is_none_or(|next| next > self.now), "would spin: {:?}", self.member);
    }

    fn check(&mut self, action: Action) {
        assert!(!self.is_over || matches!(action, Action::Tell(_)), "after the end: {action:?}");
        match action {
            Action::FindCoordinator => self.is_sought = true,
            Action::StopSearch => self.is_sought = false,
            Action::Connect { link, .. } => {
                assert_eq!(self.link, None, "one connection at a time");
                self.link = Some((link, false));
            }
            Action::Close(link) => {
                assert_eq!(self.link.take().map(|(open, _)| open), Some(link));
                self.awaited.clear();
            }
            Action::Send { link, id, request } => self.check_request(link, id, request),
            Action::Tell(event) => self.check_event(event),
        }
    }

    fn check_request(&mut self, link: LinkId, id: RequestId, request: MemberRequest) {
        assert_eq!(self.link, Some((link, true)), "only over a connection that is up");
        let kind = std::mem::discriminant(&request);
        let alike = self.awaited.iter().filter(|(_, other)| std::mem::discriminant(other) == kind).count();
        assert!(alike == 0, "two of a kind on their way: {request:?}");
        assert!(self.awaited.iter().all(|(other, _)| *other < id));
        match &request {
            MemberRequest::Heartbeat { generation, .. } | MemberRequest::Sync { generation, .. } => {
                assert_eq!(generation.number(), self.generation, "of a generation that passed");
                let joins = self.awaited.iter().any(|(_, other)| matches!(other, MemberRequest::Join { .. }));
                assert!(!joins, "nothing is sent behind a join");
            }
            MemberRequest::Join { reason, .. } => assert!(reason.len() <= 255),
            MemberRequest::Leave { .. } => {}
        }
        self.awaited.push((id, request));
    }

    fn check_event(&mut self, event: GroupEvent) {
        match event {
            GroupEvent::Joined { generation, .. } => {
                assert!(self.told_generation < Some(generation), "generations only go up");
                self.told_generation = Some(generation);
                self.join_is_open = false;
            }
            GroupEvent::Assigned { generation, .. } => assert_eq!(Some(generation), self.told_generation),
            GroupEvent::RejoinNeeded(_) => self.join_is_open = false,
            GroupEvent::Contact { .. } => self.last_lost = None,
            GroupEvent::ContactLost { why } => {
                assert_ne!(self.last_lost.as_ref(), Some(&why), "told twice");
                self.last_lost = Some(why);
            }
            GroupEvent::Fatal(_) => {
                self.is_over = true;
                self.join_is_open = false;
            }
            // A new beginning: what was lost before does not count.
            GroupEvent::Left | GroupEvent::PollTimeout => self.last_lost = None,
            GroupEvent::CoordinatorUnreachable { .. } => {}
        }
    }

    /// From now on everything works: a join that is open must be answered.
    fn all_is_well(&mut self) {
        for _ in 0..2000 {
            if !self.join_is_open {
                return;
            }
            let next = if self.is_sought {
                self.is_sought = false;
                Step::Found
            } else if self.link.is_some_and(|(_, is_up)| !is_up) {
                Step::LinkUp
            } else if self.awaited.is_empty() {
                Step::Pass(100)
            } else {
                Step::Answer(0)
            };
            self.step(&next);
        }
        panic!("a join was never answered: {:?}", self.member);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn promises_are_kept(steps in prop::collection::vec(step(), 1..80)) {
        let mut checked = Checked::new();
        checked.input(Input::Started);
        for step in &steps {
            checked.step(step);
        }
        checked.all_is_well();
    }
}
