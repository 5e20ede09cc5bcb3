//! Three to seven workers in a group, with all that lies between them: their herders and their members of the group are
//! the real ones; the coordinator, the internal topics, connectors, tasks and clients are played.
//!
//! A seed lives through some time in which everything goes wrong that may go wrong, and then through a quiet time after
//! which all must be well. What must hold at any time is in `checks`, what must hold in the end in `quiet`.

mod checks;
mod coordinator;
mod errands;
mod faults;
mod hands;
mod network;
mod process;
mod quiet;
mod reading;
mod topics;

use std::time::{Duration, Instant};

use herdsman::group::events::{GroupEvent, MemberSettings};
use herdsman::group::member::{Input, LinkId};
use herdsman::group::protocol::ConnectProtocol;
use herdsman::group::requests::{MemberAnswer, MemberRequest, RequestId};
use herdsman::health::StartupPhase;
use herdsman::herder::msg::{Effects, HerderEvent, OperationId, TopicsEvent};
use herdsman::stdx::time::{Clock, Now};
use herdsman::store::config_records::ConfigRecord;
use herdsman::store::config_state::ConfigState;
use herdsman::store::status_records::StatusRecord;
use jiff::{SignedDuration, Timestamp};

use self::checks::Before;
use self::coordinator::{Coordinator, Serial};
use self::errands::{Errand, Waiting};
use self::faults::Fault;
use self::network::{Brokers, Life, Peer};
use self::process::{Inboxed, Process, TASK_STOP};
use self::topics::Topic;
use crate::calls::{Ending, Moods};
use crate::random::Random;
use crate::schedule::Schedule;
use crate::trace::{self, Trace};

/// More turns than that in one simulation: the workers run in circles.
const TURNS_MAX: usize = 200_000;

/// What comes to pass.
enum Coming {
    /// A worker's machine starts it.
    Begins(usize),
    /// Something reaches a process, if that is still there.
    Reaches(Life, News),
    /// A request of a member reaches a broker.
    Asked {
        from: Peer,
        broker: u16,
        id: RequestId,
        request: MemberRequest,
    },
    /// Records reach the config topic.
    ConfigAppended(Life, Appending),
    /// A record reaches the status topic.
    StatusAppended(StatusRecord),
    /// A client asks something.
    Client,
    Fault(Fault),
}

/// A group of records of the config topic on its way.
struct Appending {
    /// Of the write that it belongs to.
    number: u64,
    records: Vec<ConfigRecord>,
    as_leader: bool,
}

/// What reaches a process.
enum News {
    /// For the inbox of its herder.
    Event(HerderEvent),
    /// A call of an instance ends.
    Ends(Ending),
    /// A request.
    Errand(Box<Errand>),
    /// A broker that was asked for the coordinator answers.
    Searched(u64),
    Connected(LinkId),
    LinkDown(LinkId),
    Answered {
        link: LinkId,
        id: RequestId,
        answer: MemberAnswer,
        serial: Option<Serial>,
    },
    ReadsConfig,
    ReadsStatuses,
    /// The time to read the config topic to its end is up.
    CatchUpEnds(OperationId),
    /// A group of records is in the config topic, which ends there now.
    Acknowledged(u64, usize),
    /// A group of records is given up; why.
    Refused(u64, &'static str),
    /// Its tick thread goes on.
    Released,
    /// All of it goes on.
    Resumed,
    /// It has ended.
    Gone,
}

/// What all workers have in common.
struct Common {
    protocol: ConnectProtocol,
    delay_max: Duration,
    unsync_backoff: Duration,
    key_ttl: Duration,
    transactional: bool,
    member: MemberSettings,
}

/// A machine for a worker.
struct Place {
    lives: u32,
    process: Option<Process>,
    /// Until then the coordinator cannot be reached from there.
    cut_until: Duration,
    /// Until then nothing can be read there of the internal topics.
    stalled_until: Duration,
    /// By how much its wall clock is ahead.
    clock_ahead: SignedDuration,
}

struct Cluster<'a> {
    random: Random,
    trace: &'a Trace,
    schedule: Schedule<Coming>,
    start: Instant,
    common: Common,
    places: Vec<Place>,
    brokers: Brokers,
    /// When the coordinator looks at the time.
    coordinator_due: Option<Duration>,
    config: Topic<ConfigRecord>,
    statuses: Topic<StatusRecord>,
    /// What is configured, as all of the config topic says.
    configured: ConfigState,
    /// Who may write the config topic in transactions.
    claimant: Option<Life>,
    moods: Moods,
    waiting: Vec<Waiting>,
    turns: usize,
    /// Nothing goes wrong any more.
    is_calm: bool,
    /// Everything has come to rest.
    is_well: bool,
    /// Nothing more is noted: a cluster that does not come to rest goes on without news.
    notes_until: Duration,
}

/// Lives through one seed.
pub(crate) fn run(seed: u64, trace: &Trace) {
    let mut cluster = Cluster::new(seed, trace);
    let length = cluster.plan();
    cluster.run_until(length);
    cluster.calm_down();
    cluster.come_to_rest();
}

impl<'a> Cluster<'a> {
    fn new(seed: u64, trace: &'a Trace) -> Self {
        let mut random = Random::new(seed);
        let secs = Duration::from_secs;
        let protocol = match random.below(10) {
            0 => ConnectProtocol::Eager,
            1 => ConnectProtocol::Compatible,
            _ => ConnectProtocol::Sessioned,
        };
        let mut member = MemberSettings::new("workers", "w");
        member.rebalance_timeout = secs(*random.pick(&[10, 60]));
        let common = Common {
            protocol,
            delay_max: secs(*random.pick(&[0, 2, 30])),
            unsync_backoff: secs(5),
            key_ttl: secs(*random.pick(&[10, 60, 3600])),
            transactional: random.percent(25),
            member: member.clone(),
        };
        let places = (0..3 + random.below(5)).map(|_| Place {
            lives: 0,
            process: None,
            cut_until: Duration::ZERO,
            stalled_until: Duration::ZERO,
            clock_ahead: SignedDuration::ZERO,
        });
        Cluster {
            places: places.collect(),
            random,
            trace,
            schedule: Schedule::new(),
            start: Clock.now().instant,
            common,
            brokers: Brokers::new(Coordinator::new(member)),
            coordinator_due: None,
            config: Topic::new(),
            statuses: Topic::new(),
            configured: ConfigState::default(),
            claimant: None,
            moods: Moods::default(),
            waiting: Vec::new(),
            turns: 0,
            is_calm: false,
            is_well: false,
            notes_until: Duration::MAX,
        }
    }

    /// The moment as a worker's clocks show it.
    fn now_at(&self, worker: usize) -> Now {
        const BEGINNING: SignedDuration = SignedDuration::from_secs(1_000_000_000);
        let passed = SignedDuration::try_from(self.schedule.now()).unwrap_or_default();
        let wall = Timestamp::UNIX_EPOCH + BEGINNING + passed + self.places[worker].clock_ahead;
        Now { instant: self.start + self.schedule.now(), wall }
    }

    fn process(&mut self, life: Life) -> &mut Process {
        self.process_of(life).unwrap_or_else(|| panic!("{life} has ended"))
    }

    /// The process, if it is there still.
    fn process_of(&mut self, life: Life) -> Option<&mut Process> {
        let place = &mut self.places[life.worker];
        place.process.as_mut().filter(|_| place.lives == life.life)
    }

    /// All that are there.
    fn lives(&self) -> Vec<Life> {
        let there = self.places.iter().enumerate().filter(|(_, place)| place.process.is_some());
        there.map(|(worker, place)| Life { worker, life: place.lives }).collect()
    }

    fn note(&self, line: impl FnOnce() -> String) {
        if self.schedule.now() <= self.notes_until {
            self.trace.add(self.schedule.now(), line);
        }
    }

    fn reach_at(&mut self, delay: Duration, life: Life, news: News) {
        self.schedule.at(self.schedule.now() + delay, Coming::Reaches(life, news));
    }

    /// Goes on until that time.
    fn run_until(&mut self, end: Duration) {
        loop {
            let wakeups = self.lives().into_iter().flat_map(|life| {
                let process = self.places[life.worker].process.as_ref();
                let of_herder = process.filter(|it| it.turns()).and_then(|it| it.wakeup);
                let of_member = process.filter(|it| it.mailbox.is_none()).and_then(|it| it.member_due);
                [(of_herder, (life, false)), (of_member, (life, true))]
            });
            let first = wakeups.filter_map(|(at, what)| Some((at?, what))).min();
            let group = self.coordinator_due.filter(|_| self.brokers.down_until <= self.schedule.now());
            let next = self.schedule.next_at();
            let at = [first.map(|(at, _)| at), group, next].into_iter().flatten().min();
            let Some(at) = at.filter(|at| *at <= end) else { break };
            self.schedule.move_to(at);
            if next.is_some_and(|next| next <= at) {
                let coming = self.schedule.pop();
                coming.into_iter().for_each(|coming| self.come(coming));
            } else if group == Some(at) {
                let answers = self.brokers.group.expire(self.schedule.now());
                answers.into_iter().for_each(|answered| self.answer_of_group(answered));
            } else if let Some((_, (life, is_members))) = first {
                if is_members {
                    self.member(life, Input::Timer);
                } else {
                    self.tell(life, HerderEvent::Wake);
                }
                self.settle(life);
            }
            self.coordinator_due = self.brokers.group.next_deadline();
        }
        self.schedule.move_to(end);
    }

    fn come(&mut self, coming: Coming) {
        match coming {
            Coming::Begins(worker) => self.begin(worker),
            Coming::Reaches(life, news) => self.reach(life, news),
            Coming::Asked { from, broker, id, request } => self.asked(from, broker, id, request),
            Coming::ConfigAppended(life, appending) => self.config_appended(life, appending),
            Coming::StatusAppended(record) => {
                self.statuses.append([record]);
                self.lives().into_iter().for_each(|life| self.read_statuses_soon(life));
            }
            Coming::Client => self.ask_something(),
            Coming::Fault(fault) => self.fail(fault),
        }
    }

    /// A worker starts.
    fn begin(&mut self, worker: usize) {
        if self.places[worker].process.is_some() {
            return;
        }
        self.places[worker].lives += 1;
        let life = Life { worker, life: self.places[worker].lives };
        self.note(|| format!("{life} begins"));
        let (now, start) = (self.now_at(worker), self.start + self.schedule.now());
        let mut process = Process::new(life, &self.common, now, start);
        process.starts_at = Some((self.config.end(), self.statuses.end()));
        (process.config.is_due, process.status.is_due) = (true, true);
        self.places[worker].process = Some(process);
        self.tell(life, HerderEvent::Wake);
        self.tell(life, HerderEvent::Topics(TopicsEvent::Stage("reading".to_owned())));
        self.member(life, Input::Started);
        let topics = [self.reading_delay(), self.reading_delay()];
        self.reach_at(topics[0], life, News::ReadsConfig);
        self.reach_at(topics[1], life, News::ReadsStatuses);
        self.settle(life);
    }

    fn reach(&mut self, life: Life, news: News) {
        let Some(process) = self.process_of(life) else { return self.find_nobody(news) };
        if let Some(mailbox) = &mut process.mailbox
            && !matches!(news, News::Resumed)
        {
            return mailbox.push(news);
        }
        match news {
            News::Event(event) => self.tell(life, event),
            News::Ends(ending) => {
                let fails = !self.is_calm && ending.fails(&mut self.random);
                let told = self.process(life).instances.end(ending, fails);
                told.into_iter().for_each(|event| self.tell(life, event));
            }
            News::Errand(errand) => self.take_errand(life, *errand),
            News::Searched(round) => self.searched(life, round),
            News::Connected(link) => self.connected(life, link),
            News::LinkDown(link) => self.link_down(life, link),
            News::Answered { link, id, answer, serial } => self.answered(life, link, (id, answer), serial),
            News::ReadsConfig => self.read_config(life),
            News::ReadsStatuses => self.read_statuses(life),
            News::CatchUpEnds(operation) => self.catch_up_ends(life, operation),
            News::Acknowledged(number, end) => self.acknowledged(life, number, end),
            News::Refused(number, why) => self.refused(life, number, why),
            News::Released => self.process(life).held_since = None,
            News::Resumed => {
                let mailbox = self.process(life).mailbox.take();
                for news in mailbox.into_iter().flatten() {
                    self.reach(life, news);
                }
            }
            News::Gone => return self.end(life, true),
        }
        self.settle(life);
    }

    /// Something goes into the inbox of a herder.
    fn tell(&mut self, life: Life, event: HerderEvent) {
        self.process(life).inbox.push_back(Inboxed { event, serial: None });
    }

    /// The member has news for its herder.
    fn tell_group(&mut self, life: Life, event: GroupEvent) {
        let at = self.schedule.now();
        let process = self.process(life);
        let is_answer = matches!(
            event,
            GroupEvent::Contact { .. } | GroupEvent::Joined { .. } | GroupEvent::Assigned { .. }
        );
        if is_answer {
            process.contact_at = Some(at);
        }
        let serial = process.assigned.filter(|_| matches!(event, GroupEvent::Assigned { .. }));
        process.inbox.push_back(Inboxed { event: HerderEvent::Group(event), serial });
    }

    /// The herder takes what is in its inbox.
    fn settle(&mut self, life: Life) {
        while let Some(process) = self.process_of(life).filter(|process| process.turns()) {
            let Some(inboxed) = process.inbox.pop_front() else { return };
            self.turn(life, inboxed);
        }
    }

    fn turn(&mut self, life: Life, Inboxed { event, serial }: Inboxed) {
        self.turns += 1;
        assert!(self.turns < TURNS_MAX, "the workers run in circles");
        let now = self.now_at(life.worker);
        if !matches!(event, HerderEvent::Group(GroupEvent::Contact { .. }) | HerderEvent::Wake) {
            self.note(|| format!("{life} {}", trace::event(&event)));
        }
        let start = self.start;
        let process = self.process(life);
        process.instances.note(&event);
        if let HerderEvent::ConfigRead(records, offset) = &event {
            for record in records {
                process.configs.apply(record);
            }
            process.configs.read_to(*offset);
        }
        if let HerderEvent::Topics(TopicsEvent::ConfigUnreadable(why)) = &event {
            process.is_unreadable = why.is_some();
        }
        let before = serial.map(|serial| (serial, Before::of(process)));
        let mut effects = Effects::default();
        let wakeup = process.herder.tick(now, event, &mut effects);
        assert!(wakeup.is_none_or(|at| at > now.instant), "{life}: the herder wants to be woken in the past");
        process.wakeup = wakeup.map(|at| at.saturating_duration_since(start));
        let dropped = self.check_no_early_answers(life);
        if let Some((serial, before)) = before {
            self.note_given(life, serial, &before);
        }
        for effect in effects.drain() {
            self.carry_out(life, effect);
        }
        effects.give_answers();
        let is_stopping = self.process(life).phase == StartupPhase::Stopping;
        assert!(!dropped || is_stopping, "{life} has dropped requests, and does not end");
        self.check_runs(life);
        if serial.is_some() {
            self.check_agreement(life);
        }
        self.take_answers(life);
    }

    /// A process ends: by itself, or by force.
    fn end(&mut self, life: Life, by_itself: bool) {
        self.note(|| format!("{life} ends{}", if by_itself { "" } else { " by force" }));
        let place = &mut self.places[life.worker];
        let process = place.process.take();
        if let Some(mut process) = process {
            let live: Vec<_> = process.instances.all_live().map(|(who, _)| who.to_string()).collect();
            assert!(!by_itself || live.is_empty(), "{life} ends while they run: {live:?}");
            process.mailbox.take().into_iter().flatten().for_each(|news| self.find_nobody(news));
        }
        self.cut_off(life);
        let pause = *self.random.pick(&[Duration::ZERO, Duration::from_secs(5), Duration::from_secs(40)]);
        let back = self.schedule.now() + self.random.up_to(pause);
        self.schedule.at(back, Coming::Begins(life.worker));
    }
}
