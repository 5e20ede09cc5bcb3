//! Clients: each asks one thing, and waits for the answer or leaves.

use herdsman::api::ids::{ConnectorName, TaskId};
use herdsman::herder::msg::{Answer, Draft, HerderError, OffsetsDraft, Request};
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

/// A request for health.
pub(crate) fn health() -> (Request, Client) {
    let (reply, poll) = question(|()| Given::Done);
    let client = Client { kind: Kind::Health, name: "-".into(), text: "health".to_owned(), poll };
    (Request::Health(reply), client)
}

/// A request of any kind.
pub(crate) fn any(random: &mut Random) -> (Request, Client) {
    let name = ConnectorName::from(*random.pick(&NAMES));
    let to = name.clone();
    let (kind, (request, poll)) = match random.below(100) {
        0..10 => return health(),
        10..24 => {
            let targets = [None, None, Some(TargetState::Paused), Some(TargetState::Stopped)];
            let (draft, target) = (draft(random, &name), *random.pick(&targets));
            (Kind::Write, ask(|reply| Request::Create { name: to, draft, target, reply }, Given::Connector))
        }
        24..36 => {
            let draft = draft(random, &name);
            let given = |(_, info)| Given::Connector(info);
            (Kind::Write, ask(|reply| Request::Put { name: to, draft, reply }, given))
        }
        36..42 => {
            let changes = patch(random);
            let given = |(_, info)| Given::Connector(info);
            (Kind::Write, ask(|reply| Request::Patch { name: to, changes, reply }, given))
        }
        42..50 => (Kind::End, ask(|reply| Request::Delete(to, reply), done)),
        50..58 => (Kind::End, ask(|reply| Request::Stop(to, reply), done)),
        58..65 => (Kind::Other, ask(|reply| Request::SetTarget(to, TargetState::Paused, reply), done)),
        65..75 => (Kind::Other, ask(|reply| Request::SetTarget(to, TargetState::Started, reply), done)),
        75..80 => (Kind::Restart, ask(|reply| Request::Restart(to, reply), done)),
        80..84 => {
            let scope = RestartScope { only_failed: random.percent(50), include_tasks: random.percent(50) };
            (Kind::Other, ask(|reply| Request::RestartParts(to, scope, reply), |_| Given::Done))
        }
        84..89 => {
            let id = TaskId { connector: to, index: random.below(3) as u32 };
            (Kind::Other, ask(|reply| Request::RestartTask(id, reply), done))
        }
        89..95 => {
            let ask = ask(|reply| Request::ModifyOffsets(to, OffsetsDraft::Reset, reply), |_| Given::Done);
            (Kind::ChangeOffsets, ask)
        }
        95..96 => (Kind::Other, ask(|reply| Request::Tasks(to, reply), |_| Given::Done)),
        96..97 => (Kind::Other, ask(|reply| Request::Offsets(to, reply), |_| Given::Done)),
        97..98 => (Kind::Other, ask(|reply| Request::ResetTopics(to, reply), done)),
        _ => (Kind::Other, ask(|reply| Request::Info(to, reply), |_| Given::Done)),
    };
    let text = format!("{request:?}");
    (request, Client { kind, name, text, poll })
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
) -> (Request, Poll) {
    let (reply, poll) = question(given);
    (request(reply), poll)
}

fn question<T: 'static>(given: impl Fn(T) -> Given + 'static) -> (Reply<Answer<T>>, Poll)
where
    Answer<T>: Unanswered,
{
    let (reply, pending): (_, Pending<Answer<T>>) = reply();
    (reply, Box::new(move || pending.poll().map(|answer: Result<T, HerderError>| answer.map(&given))))
}
