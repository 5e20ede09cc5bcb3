//! Requests: those of clients, which workers pass on to the leader or an owner, two hops at most, and those of workers
//! among each other.

use std::time::Duration;

use herdsman::api::Settings;
use herdsman::health::StartupPhase;
use herdsman::herder::msg::{Answer, HerderError, HerderEvent, OperationId, SubmitTasks};

use super::network::Life;
use super::process::{url, worker_at};
use super::{Cluster, News};
use crate::clients::{Ask, Client, Given};

/// How long clients wait; those who ask for health wait less.
const PATIENCE: Duration = Duration::from_secs(90);
const HEALTH_PATIENCE: Duration = Duration::from_secs(10);
/// How often a request is passed on.
const HOPS_MAX: u8 = 2;

/// A request on its way.
pub(super) struct Errand {
    pub(super) ask: Ask,
    hops: u8,
    /// Where the config topic ended when it was asked for the first time.
    pub(super) asked_at: usize,
    pub(super) leaves_at: Duration,
    /// A worker that waits for the answer, and for what.
    asker: Option<(Life, OperationId)>,
}

/// A request whose answer somebody waits for.
pub(super) struct Waiting {
    pub(super) at: Life,
    pub(super) client: Client,
    pub(super) errand: Errand,
}

impl Cluster<'_> {
    /// A client asks some worker something.
    pub(super) fn ask_something(&mut self) {
        let ask = Ask::any(&mut self.random);
        let lives = self.lives();
        if !lives.is_empty() {
            let at = *self.random.pick(&lives);
            self.ask(at, ask);
        }
    }

    pub(super) fn ask(&mut self, at: Life, ask: Ask) {
        let patience = if matches!(ask, Ask::Health) { HEALTH_PATIENCE } else { PATIENCE };
        // Some do not stay for the answer.
        let patience = if self.random.percent(95) { patience } else { Duration::from_millis(5) };
        let leaves_at = self.schedule.now() + patience;
        let errand = Errand { ask, hops: 0, asked_at: self.config.end(), leaves_at, asker: None };
        self.reach_at(Duration::ZERO, at, News::Errand(Box::new(errand)));
    }

    /// A request reaches a worker.
    pub(super) fn take_errand(&mut self, at: Life, errand: Errand) {
        let (request, client) = errand.ask.put();
        self.waiting.push(Waiting { at, client, errand });
        self.tell(at, HerderEvent::Request(request));
    }

    /// What reaches a process that is not there.
    pub(super) fn find_nobody(&mut self, news: News) {
        if let News::Errand(errand) = news {
            self.hand_back(errand.asker, Err(HerderError::Failed("nobody is there".to_owned())));
        }
    }

    /// Whoever waits for a worker that has ended finds that it is gone.
    pub(super) fn cut_off(&mut self, gone: Life) {
        let (cut, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.at == gone);
        self.waiting = left;
        for waiting in cut {
            let why = "the connection was lost".to_owned();
            self.hand_back(waiting.errand.asker, Err(HerderError::Failed(why)));
        }
    }

    /// The answer goes back to the worker that asked, if it was one.
    fn hand_back(&mut self, asker: Option<(Life, OperationId)>, outcome: Answer<()>) {
        if let Some((life, operation)) = asker {
            let delay = self.net_delay();
            self.reach_at(delay, life, News::Event(HerderEvent::ConfigWritten(operation, outcome)));
        }
    }

    /// A worker hands the tasks of a connector to the leader.
    pub(super) fn submit_tasks(&mut self, from: Life, submit: SubmitTasks) {
        let SubmitTasks { operation, name, leader_url, proof } = submit;
        let tasks: Vec<Settings> = serde_json::from_slice(&proof.body).expect("tasks as JSON");
        let errand = Errand {
            ask: Ask::SubmitTasks(name, tasks, proof),
            hops: HOPS_MAX,
            asked_at: self.config.end(),
            leaves_at: self.schedule.now() + PATIENCE,
            asker: Some((from, operation)),
        };
        self.send(&leader_url, errand);
    }

    /// Sends a request to the worker of that address. Now and then it is lost, or its answer.
    fn send(&mut self, to: &str, mut errand: Errand) {
        let worker = worker_at(to).expect("an address of a worker");
        let chance = if self.is_calm { 0 } else { self.random.below(100) };
        let delay = self.net_delay();
        let there = self.places[worker].process.is_some();
        if !there || chance == 98 {
            return self.hand_back(errand.asker, Err(HerderError::Failed("not reached".to_owned())));
        }
        if chance == 99 {
            let asker = errand.asker.take();
            self.hand_back(asker, Err(HerderError::Failed("no answer".to_owned())));
        }
        let to = Life { worker, life: self.places[worker].lives };
        self.reach_at(delay, to, News::Errand(Box::new(errand)));
    }

    /// Answers are given when what led to them has been carried out, not before.
    /// Says whether requests were dropped, as a worker does that begins to end.
    pub(super) fn check_no_early_answers(&mut self, at: Life) -> bool {
        let mut early = Vec::new();
        self.waiting.retain_mut(|waiting| {
            if waiting.at != at {
                return true;
            }
            match waiting.client.poll() {
                None => true,
                Some(answer) => {
                    early.push((waiting.client.text.clone(), answer, waiting.errand.asker));
                    false
                }
            }
        });
        let any = !early.is_empty();
        for (text, answer, asker) in early {
            assert!(
                matches!(answer, Err(HerderError::ShuttingDown)),
                "{at}: {text} has its answer before the effects: {answer:?}"
            );
            self.note(|| format!("{at}     answer to {text}: {answer:?}"));
            self.hand_back(asker, answer.map(|_| ()));
        }
        any
    }

    pub(super) fn take_answers(&mut self, at: Life) {
        let now = self.schedule.now();
        let waiting = std::mem::take(&mut self.waiting);
        let mut answered = Vec::new();
        for waiting in waiting {
            if waiting.at == at
                && let Some(answer) = waiting.client.poll()
            {
                answered.push((waiting, answer));
            } else if waiting.errand.leaves_at > now || waiting.errand.asker.is_some() || self.is_calm {
                self.waiting.push(waiting);
            }
        }
        for (waiting, answer) in answered {
            self.note(|| format!("{at}     answer to {}: {answer:?}", waiting.client.text));
            self.take_answer(waiting, answer);
        }
    }

    fn take_answer(&mut self, waiting: Waiting, answer: Answer<Given>) {
        let Waiting { at, client, mut errand } = waiting;
        match &answer {
            Ok(given) => self.check_answer(at, &client, &errand, given),
            // One that is to be asked of itself is told that it is not the time.
            Err(HerderError::NotHere { url: Some(other), .. })
                if errand.hops < HOPS_MAX && *other != url(at.worker) =>
            {
                errand.hops += 1;
                return self.send(other, errand);
            }
            Err(HerderError::ShuttingDown) => {
                let phase = self.process(at).phase;
                assert_eq!(phase, StartupPhase::Stopping, "{at}: {} was not answered", client.text);
            }
            Err(why) => {
                let passes_it_on = matches!(why, HerderError::NotHere { .. } | HerderError::Rebalancing(_));
                assert!(
                    !passes_it_on || !self.is_well,
                    "{at}: {} meets {why:?}, and all is well",
                    client.text
                );
            }
        }
        self.hand_back(errand.asker, answer.map(|_| ()));
    }
}
