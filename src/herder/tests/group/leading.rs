//! What a leader has to have before it serves.

use super::*;
use crate::herder::msg::STALE_CONFIGURATION;
use crate::herder::view::RunState;
use crate::store::config_state::TargetState;
use crate::store::status_records::StoredStatus;

impl Member {
    /// The config topic is this leader's to write.
    fn claimed(&mut self) {
        let operation = self.claims.pop().expect("it claims nothing");
        self.event(HerderEvent::Claimed(operation, Ok(())));
    }

    /// Leads as often as it joins.
    fn leads_on(&mut self) {
        while self.commands.iter().any(|command| matches!(command, MemberCommand::Join(_))) {
            self.join_as_leader();
        }
    }

    /// Comes back into the group, as its only member, when so many generations have been without this worker.
    fn leads_after(&mut self, generations: i32) {
        self.group(GroupEvent::RejoinNeeded(RejoinCause::Rebalance));
        self.generation += generations;
        self.join_as_leader();
    }
}

/// One that leads, and whose leader's writes are transactions.
fn transactional() -> Member {
    let mut member = Member::new();
    member.herder.membership.group().expect("a group").settings.transactional = true;
    member.event(HerderEvent::Topics(TopicsEvent::Read));
    member.join_as_leader();
    member
}

#[test]
fn a_leader_claims_the_config_topic_before_it_writes() {
    let mut member = transactional();
    let probe = member.probe();
    assert!(member.writes.is_empty(), "the key waits for the claim");
    member.claimed();
    member.write_all();
    assert!(is_answered(&probe));
}

#[test]
fn who_leads_on_keeps_its_claim_and_who_leads_again_does_not_rely_on_it() {
    let mut member = transactional();
    member.claimed();
    member.write_all();
    member.leads_after(0);
    assert!(member.claims.is_empty() && is_answered(&member.probe()), "nobody else has led");
    member.leads_after(1);
    let probe = member.probe();
    assert!(!is_answered(&probe), "another one may have claimed the config topic");
    member.claimed();
    assert!(is_answered(&probe));
}

#[test]
fn who_follows_and_leads_again_claims_the_config_topic_anew() {
    let mut member = transactional();
    member.claimed();
    member.write_all();
    member.group(GroupEvent::RejoinNeeded(RejoinCause::Rebalance));
    member.joins_with();
    let offset = member.offset;
    member.assigned_by_other(offset, &[], &[]);
    member.leads_after(0);
    member.claimed();
    assert!(is_answered(&member.probe()));
}

#[test]
fn a_claim_that_was_asked_for_before_others_led_does_not_count() {
    let mut member = transactional();
    let early = member.claims.pop().expect("it claims");
    member.leads_after(1);
    member.event(HerderEvent::Claimed(early, Ok(())));
    let probe = member.probe();
    member.claimed();
    member.write_all();
    assert!(is_answered(&probe));
}

#[test]
fn a_key_that_was_not_written_is_no_business_of_who_follows_by_now() {
    let mut member = Member::new();
    member.event(HerderEvent::Topics(TopicsEvent::Read));
    member.join_as_leader();
    let (_, operation) = member.writes.remove(0);
    member.group(GroupEvent::RejoinNeeded(RejoinCause::Rebalance));
    member.joins_with();
    member.assigned_by_other(-1, &[], &[]);
    let failed = HerderError::Failed("not written in time".to_owned());
    member.event(HerderEvent::ConfigWritten(operation.unwrap(), Err(failed)));
    assert_eq!(member.stage(), "");
}

#[test]
fn what_waits_to_be_written_is_the_next_leaders_to_write() {
    let mut member = Member::leading();
    member.read(source("a"));
    member.join_as_leader();
    let (stop, stopped) = reply::<Answer<()>>();
    let (delete, deleted) = reply::<Answer<()>>();
    let (pause, paused) = reply::<Answer<()>>();
    member.event(HerderEvent::Request(Request::Stop("a".into(), stop)));
    member.event(HerderEvent::Request(Request::Delete("a".into(), delete)));
    member.event(HerderEvent::Request(Request::SetTarget("a".into(), TargetState::Paused, pause)));
    member.group(GroupEvent::RejoinNeeded(RejoinCause::Rebalance));
    member.joins_with();
    member.write_all();
    assert_eq!(stopped.poll(), Some(Ok(())), "it was on its way");
    assert_eq!(paused.poll(), Some(Ok(())), "any worker may write that");
    assert!(deleted.poll().is_none(), "perhaps another one leads");
    let offset = member.offset;
    member.assigned_by_other(offset, &[], &[]);
    let Some(Err(HerderError::NotHere { url, .. })) = deleted.poll() else { panic!("it keeps the deletion") };
    assert_eq!(url.as_deref(), Some(OTHERS));
}

/// One that leads, writes a stop of `a`, and has its deletion wait behind that.
fn with_a_deletion_waiting(mut member: Member) -> (Member, Pending<Answer<()>>) {
    member.read(source("a"));
    member.join_as_leader();
    let (stop, stopped) = reply::<Answer<()>>();
    let (delete, deleted) = reply::<Answer<()>>();
    member.event(HerderEvent::Request(Request::Stop("a".into(), stop)));
    member.event(HerderEvent::Request(Request::Delete("a".into(), delete)));
    member.group(GroupEvent::RejoinNeeded(RejoinCause::Rebalance));
    member.write_all();
    assert_eq!((stopped.poll(), deleted.poll()), (Some(Ok(())), None), "it leads no more for the moment");
    member.end_stopped();
    (member, deleted)
}

#[test]
fn what_waits_to_be_written_is_written_after_a_rebalance_by_who_leads_on() {
    let (mut member, deleted) = with_a_deletion_waiting(Member::leading());
    member.leads_on();
    member.write_all();
    assert_eq!(deleted.poll(), Some(Ok(())));
}

#[test]
fn what_waits_to_be_written_waits_for_the_claim_too() {
    let mut member = transactional();
    member.claimed();
    member.write_all();
    let (mut member, deleted) = with_a_deletion_waiting(member);
    member.event(HerderEvent::ClaimLost);
    member.leads_on();
    assert!(member.writes.is_empty(), "it would be refused");
    member.claimed();
    member.write_all();
    assert_eq!(deleted.poll(), Some(Ok(())));
}

#[test]
fn what_waits_to_be_written_is_stale_when_others_may_have_led() {
    let (mut member, deleted) = with_a_deletion_waiting(Member::leading());
    member.generation += 1;
    member.leads_on();
    member.write_all();
    let stale = HerderError::Rebalancing(STALE_CONFIGURATION.to_owned());
    assert_eq!(deleted.poll(), Some(Err(stale)), "it was checked against what may have changed");
}

#[test]
fn what_waits_to_be_written_is_for_who_leads_now_whoever_led_between() {
    let (mut member, deleted) = with_a_deletion_waiting(Member::leading());
    member.generation += 1;
    member.joins_with();
    let offset = member.offset;
    member.assigned_by_other(offset, &[], &[]);
    let Some(Err(HerderError::NotHere { url, .. })) = deleted.poll() else { panic!("it is not handed over") };
    assert_eq!(url.as_deref(), Some(OTHERS));
}

#[test]
fn what_nobody_wants_any_more_is_not_written_after_a_rebalance() {
    let (mut member, deleted) = with_a_deletion_waiting(Member::leading());
    drop(deleted);
    member.leads_on();
    assert!(member.writes.is_empty());
}

#[test]
fn a_change_that_was_checked_during_a_rebalance_is_written_after_it() {
    for leads_on in [true, false] {
        let mut member = Member::leading();
        let (reply, created) = reply();
        let request = Request::Create { name: "a".into(), draft: Default::default(), target: None, reply };
        member.event(HerderEvent::Request(request));
        let check = member.checks.pop().expect("it checks nothing");
        member.group(GroupEvent::RejoinNeeded(RejoinCause::Rebalance));
        member.event(HerderEvent::Validated(check, Ok(settings_of("a", &[]))));
        assert!(
            (created.poll().is_none(), member.writes.is_empty()) == (true, true),
            "perhaps another one leads"
        );
        if leads_on {
            member.leads_on();
            member.write_all();
            assert!(member.herder.configs.contains(&"a".into()));
        } else {
            member.joins_with();
            let offset = member.offset;
            member.assigned_by_other(offset, &[], &[]);
            let told = created.poll().expect("an answer").unwrap_err();
            assert!(matches!(told, HerderError::NotHere { url: Some(_), .. }), "{told}");
        }
    }
}

#[test]
fn a_leader_deletes_the_states_of_what_is_not_configured() {
    let mut member = Member::new();
    let status = StoredStatus {
        state: RunState::Running,
        trace: None,
        worker: WorkerId::new("other:8083"),
        generation: Generation::new(1),
        version: None,
    };
    let task = TaskId { connector: "b".into(), index: 0 };
    let record = |of| StatusRecord::Status(of, Some(status.clone()));
    let records = vec![record(StatusOf::Connector("b".into())), record(StatusOf::Task(task))];
    member.event(HerderEvent::StatusRead(records));
    member.event(HerderEvent::Topics(TopicsEvent::Read));
    member.joins_with();
    member.assigned_by_other(-1, &[], &[]);
    assert_eq!(member.said, [""; 0], "that is the leader's to do");
    member.leads_after(0);
    assert_eq!(member.said, ["b-0 gone", "b gone"]);
}

#[test]
fn a_leader_that_cannot_divide_the_work_leaves_for_a_while() {
    let mut member = Member::new();
    member.event(HerderEvent::Topics(TopicsEvent::Read));
    member.joins_with();
    member.joined("ours", Some(vec![("ours".into(), Bytes::from_static(b"no metadata"))]));
    assert_eq!(member.told(), ["cannot divide the work"], "another one may lead");
    member.pass(Duration::from_secs(1));
    let read = member.reads.pop().expect("it reads what it has missed");
    member.event(HerderEvent::CaughtUp(read, Ok(())));
    member.joins_with();
}

#[test]
fn an_assignment_of_an_earlier_generation_is_not_taken() {
    let mut member = Member::new();
    member.event(HerderEvent::Topics(TopicsEvent::Read));
    let metadata = member.joins_with().encode(ProtocolVersion::Sessioned).unwrap();
    member.joined("ours", Some(vec![("ours".into(), metadata.into())]));
    let Some(MemberCommand::Assign { mut assignments, .. }) = member.commands.pop() else {
        panic!("it assigns nothing")
    };
    let (_, assignment) = assignments.remove(0);
    for (generation, phase) in [(0, StartupPhase::Starting), (1, StartupPhase::Ready)] {
        let (generation, assignment) = (Generation::new(generation), assignment.clone());
        member.group(GroupEvent::Assigned { generation, assignment });
        assert_eq!(member.phase, phase, "{generation}");
    }
}

#[test]
fn a_config_topic_that_begins_anew_gets_a_session_key_unless_it_has_one() {
    for has_one in [false, true] {
        let mut member = Member::leading();
        let key = member.herder.configs.session_key().cloned().expect("a key");
        member.event(HerderEvent::Topics(TopicsEvent::ConfigAnew));
        if has_one {
            member.read(vec![ConfigRecord::SessionKey(key)]);
        }
        member.leads_after(0);
        let probe = member.probe();
        assert_eq!(is_answered(&probe), has_one, "without a key no follower can hand in tasks");
        let written: Vec<_> = member.writes.iter().map(|(write, _)| write).collect();
        assert_eq!(matches!(written[..], [ConfigWrite::SessionKey(_)]), !has_one, "{written:?}");
        member.write_all();
        assert!(is_answered(&member.probe()));
    }
}
