//! Clients: each asks one thing, and waits for the answer or leaves.

use herdsman::api::Settings;
use herdsman::api::ids::{ConnectorName, TaskId};
use herdsman::herder::msg::{Answer, Draft, HerderError, OffsetsDraft, Proof, Request};
use herdsman::herder::view::ConnectorInfo;
use herdsman::stdx::reply::{Pending, Reply, Unanswered, reply};
use herdsman::store::config_state::{RestartScope, TargetState};

use crate::fakes;
use crate::random::Random;

/// The names that clients use.
pub(crate) const NAMES: [&str; 3] = ["a", "b", "c"];

/// What was asked for, as far as the answer can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Health,
    Write,
    /// A stop or a deletion.
    End,
    Restart,
    ChangeOffsets,
    Other,
}

/// Somebody who waits for an answer.
pub(crate) struct Client {
    pub(crate) kind: Kind,
    pub(crate) name: ConnectorName,
    pub(crate) text: String,
    poll: Box<dyn Fn() -> Option<Answer<Given>>>,
}

/// A good answer.
#[derive(Debug)]
pub(crate) enum Given {
    Done,
    Connector(ConnectorInfo),
}

impl Client {
    /// The answer, if there is one: each is given once.
    pub(crate) fn poll(&self) -> Option<Answer<Given>> {
        (self.poll)()
    }
}

/// What a client asks; it can be asked again, of another worker.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    Health,
    Create(ConnectorName, Draft, Option<TargetState>),
    Put(ConnectorName, Draft),
    Patch(ConnectorName, Draft),
    Delete(ConnectorName),
    Stop(ConnectorName),
    SetTarget(ConnectorName, TargetState),
    Restart(ConnectorName),
    RestartParts(ConnectorName, RestartScope),
    RestartTask(TaskId),
    ResetOffsets(ConnectorName),
    Tasks(ConnectorName),
    Offsets(ConnectorName),
    ResetTopics(ConnectorName),
    Info(ConnectorName),
    /// Of another worker.
    SubmitTasks(ConnectorName, Vec<Settings>, Proof),
}

impl Ask {
    /// Anything.
    pub(crate) fn any(random: &mut Random) -> Self {
        let name = ConnectorName::from(*random.pick(&NAMES));
        match random.below(100) {
            0..10 => Ask::Health,
            10..24 => {
                let targets = [None, None, Some(TargetState::Paused), Some(TargetState::Stopped)];
                let (draft, target) = (draft(random, &name), *random.pick(&targets));
                Ask::Create(name, draft, target)
            }
            24..36 => {
                let draft = draft(random, &name);
                Ask::Put(name, draft)
            }
            36..42 => Ask::Patch(name, patch(random)),
            42..50 => Ask::Delete(name),
            50..58 => Ask::Stop(name),
            58..65 => Ask::SetTarget(name, TargetState::Paused),
            65..75 => Ask::SetTarget(name, TargetState::Started),
            75..80 => Ask::Restart(name),
            80..84 => {
                let scope =
                    RestartScope { only_failed: random.percent(50), include_tasks: random.percent(50) };
                Ask::RestartParts(name, scope)
            }
            84..89 => Ask::RestartTask(TaskId { connector: name, index: random.below(3) as u32 }),
            89..95 => Ask::ResetOffsets(name),
            95..96 => Ask::Tasks(name),
            96..97 => Ask::Offsets(name),
            97..98 => Ask::ResetTopics(name),
            _ => Ask::Info(name),
        }
    }

    /// The request, and who waits for its answer.
    pub(crate) fn put(&self) -> (Request, Client) {
        let to = self.name();
        let (kind, (request, poll)) = match self.clone() {
            Ask::Health => (Kind::Health, ask(Request::Health, done)),
            Ask::Create(name, draft, target) => {
                (Kind::Write, ask(|reply| Request::Create { name, draft, target, reply }, Given::Connector))
            }
            Ask::Put(name, draft) => {
                let given = |(_, info)| Given::Connector(info);
                (Kind::Write, ask(|reply| Request::Put { name, draft, reply }, given))
            }
            Ask::Patch(name, changes) => {
                let given = |(_, info)| Given::Connector(info);
                (Kind::Write, ask(|reply| Request::Patch { name, changes, reply }, given))
            }
            Ask::Delete(name) => (Kind::End, ask(|reply| Request::Delete(name, reply), done)),
            Ask::Stop(name) => (Kind::End, ask(|reply| Request::Stop(name, reply), done)),
            Ask::SetTarget(name, state) => {
                (Kind::Other, ask(|reply| Request::SetTarget(name, state, reply), done))
            }
            Ask::Restart(name) => (Kind::Restart, ask(|reply| Request::Restart(name, reply), done)),
            Ask::RestartParts(name, scope) => {
                (Kind::Other, ask(|reply| Request::RestartParts(name, scope, reply), |_| Given::Done))
            }
            Ask::RestartTask(id) => (Kind::Other, ask(|reply| Request::RestartTask(id, reply), done)),
            Ask::ResetOffsets(name) => {
                let request = |reply| Request::ModifyOffsets(name, OffsetsDraft::Reset, reply);
                (Kind::ChangeOffsets, ask(request, |_| Given::Done))
            }
            Ask::Tasks(name) => (Kind::Other, ask(|reply| Request::Tasks(name, reply), |_| Given::Done)),
            Ask::Offsets(name) => (Kind::Other, ask(|reply| Request::Offsets(name, reply), |_| Given::Done)),
            Ask::ResetTopics(name) => (Kind::Other, ask(|reply| Request::ResetTopics(name, reply), done)),
            Ask::Info(name) => (Kind::Other, ask(|reply| Request::Info(name, reply), Given::Connector)),
            Ask::SubmitTasks(name, tasks, proof) => {
                (Kind::Other, ask(|reply| Request::SubmitTasks { name, tasks, proof, reply }, done))
            }
        };
        (request, Client { kind, name: to, text: format!("{self:?}"), poll })
    }

    /// Whom it is about; of the other requests there is nothing to say.
    pub(crate) fn name(&self) -> ConnectorName {
        match self {
            Ask::Health => "-".into(),
            Ask::Create(name, ..)
            | Ask::Put(name, _)
            | Ask::Patch(name, _)
            | Ask::Delete(name)
            | Ask::Stop(name)
            | Ask::SetTarget(name, _)
            | Ask::Restart(name)
            | Ask::RestartParts(name, _)
            | Ask::ResetOffsets(name)
            | Ask::Tasks(name)
            | Ask::Offsets(name)
            | Ask::ResetTopics(name)
            | Ask::Info(name)
            | Ask::SubmitTasks(name, ..) => name.clone(),
            Ask::RestartTask(id) => id.connector.clone(),
        }
    }
}

/// The settings of a connector: they decide how many tasks it has and what those are told.
pub(crate) fn settings(random: &mut Random, name: &ConnectorName) -> Vec<(String, String)> {
    // A class that this worker does not have can come from a cluster with others.
    let class = if random.percent(3) { "gone.Connector" } else { fakes::CLASS };
    let all = [
        ("name", name.to_string()),
        ("connector.class", class.to_owned()),
        ("tasks.max", random.below(4).to_string()),
        ("value", random.below(3).to_string()),
    ];
    all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn draft(random: &mut Random, name: &ConnectorName) -> Draft {
    settings(random, name).into_iter().map(|(key, value)| (key, Some(value))).collect()
}

fn patch(random: &mut Random) -> Draft {
    let tasks = random.percent(50).then(|| random.below(4).to_string());
    let value = Some(random.below(3).to_string());
    [("tasks.max".to_owned(), tasks), ("value".to_owned(), value)].into_iter().collect()
}

fn done(_: ()) -> Given {
    Given::Done
}

type Poll = Box<dyn Fn() -> Option<Answer<Given>>>;

fn ask<T: 'static>(
    request: impl FnOnce(Reply<Answer<T>>) -> Request,
    given: impl Fn(T) -> Given + 'static,
) -> (Request, Poll)
where
    Answer<T>: Unanswered,
{
    let (reply, pending): (_, Pending<Answer<T>>) = reply();
    let poll = move || pending.poll().map(|answer: Result<T, HerderError>| answer.map(&given));
    (request(reply), Box::new(poll))
}
