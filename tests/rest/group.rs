//! Workers of a group in one process: real servers and APIs, whose herders only play a part.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select};
use herdsman::api::Settings;
use herdsman::api::ids::{ConnectorName, WorkerId};
use herdsman::api::source::AlterOffsets;
use herdsman::herder::msg::{
    Answer, ConnectorOffsets, HerderError, HerderEvent, Proof, Request, STALE_CONFIGURATION, Target, Written,
};
use herdsman::herder::view::{ConnectorInfo, ConnectorKind, ConnectorStatus, RunState, Status};
use herdsman::rest::api::{Mode, RestApi};
use herdsman::rest::forward::{ClientLimits, WorkerClient};
use herdsman::rest::http::{Handler, HttpRequest, ListenerLabel};
use herdsman::rest::limits::ServerLimits;
use herdsman::rest::server::{HttpServer, ListenerConfig, Scheme};
use herdsman::rest::tls::TlsSettings;
use herdsman::stdx::reply::Reply;
use herdsman::stdx::thread::{self, JoinOnDrop, STACK_BYTES};
use serde_json::Value as Json;

use crate::worker::{SOON, api_settings, parts_before};

/// What the herder of a worker does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// Does it.
    Leads,
    /// Says that it is the worker's of that URL, or that it knows none.
    Follows(Option<String>),
    /// Says that a rebalance is due.
    Rearranges,
    /// Refuses it.
    Refuses(HerderError),
}

impl Part {
    pub(crate) fn follows(url: &str) -> Self {
        Part::Follows(Some(url.to_owned()))
    }

    fn answer<T>(&self, reply: Reply<Answer<T>>, target: Target, done: T)
    where
        Answer<T>: herdsman::stdx::reply::Unanswered,
    {
        reply.send(match self {
            Part::Leads => Ok(done),
            Part::Follows(url) => Err(HerderError::NotHere { target, url: url.clone() }),
            Part::Rearranges => Err(HerderError::Rebalancing(STALE_CONFIGURATION.to_owned())),
            Part::Refuses(why) => Err(why.clone()),
        });
    }
}

/// A request as the server of a worker got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Method and target.
    pub(crate) line: String,
    /// Header fields, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body as text.
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Default)]
struct State {
    parts: VecDeque<Part>,
    asked: Vec<String>,
    proofs: Vec<Proof>,
    seen: Vec<Seen>,
}

/// A worker.
pub(crate) struct Member {
    /// Where it is, as it advertises it.
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
    server: HttpServer,
    _stop: Sender<Infallible>,
    _herder: JoinOnDrop,
}

/// How a member differs from the usual one.
pub(crate) struct MemberSettings {
    pub(crate) tls: Option<TlsSettings>,
    pub(crate) client: WorkerClient,
    pub(crate) request_timeout: Duration,
}

impl Default for MemberSettings {
    fn default() -> Self {
        MemberSettings { tls: None, client: client(ClientLimits::default()), request_timeout: SOON }
    }
}

/// A client without TLS.
pub(crate) fn client(limits: ClientLimits) -> WorkerClient {
    WorkerClient::new(Err("there is no TLS in this test".to_owned()), limits)
}

impl Member {
    pub(crate) fn playing(part: Part) -> Self {
        Member::start(MemberSettings::default(), part)
    }

    pub(crate) fn start(settings: MemberSettings, part: Part) -> Self {
        let scheme = if settings.tls.is_some() { Scheme::Https } else { Scheme::Http };
        let listener = ListenerConfig {
            scheme,
            host: "127.0.0.1".to_owned(),
            port: 0,
            tls: settings.tls,
            label: ListenerLabel::Main,
        };
        let bound = HttpServer::bind(&[listener], ServerLimits::default()).unwrap();
        let url = format!("{scheme}://{}/", bound.addresses()[0].address);
        let state = Arc::new(Mutex::new(State { parts: [part].into(), ..State::default() }));
        let (inbox, events) = bounded(64);
        let mut api = api_settings();
        api.mode = Mode::Distributed(settings.client);
        api.request_timeout = settings.request_timeout;
        let api = RestApi::new(parts_before(inbox, &url, api));
        let log = Arc::clone(&state);
        let server = bound.serve(Arc::new(move |request: HttpRequest| {
            log.lock().unwrap().seen.push(seen(&request));
            api.handle(request)
        }));
        let (stop, stopped) = bounded(0);
        let herder = Arc::clone(&state);
        let herder = thread::spawn("herder", STACK_BYTES, move || play(&herder, &events, &stopped));
        Member { url, state, server: server.unwrap(), _stop: stop, _herder: herder.unwrap() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.url.trim_end_matches('/').rsplit_once("//").unwrap().1.parse().unwrap()
    }

    /// Plays these parts, one for each request, and the last one from then on.
    pub(crate) fn plays(&self, parts: impl IntoIterator<Item = Part>) {
        self.state.lock().unwrap().parts = parts.into_iter().collect();
    }

    /// What the herder was asked since the last call of this.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    /// The proofs that the herder got since the last call of this.
    pub(crate) fn proofs(&self) -> Vec<Proof> {
        std::mem::take(&mut self.state.lock().unwrap().proofs)
    }

    /// What the server got since the last call of this.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }

    /// Ends it; nobody listens at its address from then on.
    pub(crate) fn end(self) -> String {
        let Member { url, server, .. } = self;
        drop(server);
        url
    }
}

fn seen(request: &HttpRequest) -> Seen {
    let headers = request.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone()));
    let method = format!("{:?}", request.method).to_uppercase();
    Seen {
        line: format!("{method} {}", request.target),
        headers: headers.collect(),
        body: String::from_utf8(request.body.to_vec()).unwrap(),
    }
}

fn play(state: &Mutex<State>, events: &Receiver<HerderEvent>, stopped: &Receiver<Infallible>) {
    loop {
        let event = select! {
            recv(stopped) -> _closed => return,
            recv(events) -> event => event,
        };
        let Ok(HerderEvent::Request(request)) = event else { return };
        let mut state = state.lock().unwrap();
        let part = match state.parts.len() {
            1 => state.parts[0].clone(),
            _ => state.parts.pop_front().unwrap(),
        };
        carry_out(request, &part, &mut state);
    }
}

/// Notes what is asked in the words of the request, and answers as the part says.
fn carry_out(request: Request, part: &Part, state: &mut State) {
    use Target::{Leader, Owner};
    let mut note = |what: String| state.asked.push(what);
    match request {
        Request::Health(reply) => reply.send(Ok(())),
        Request::Create { name, draft, target, reply } => {
            note(format!("create {name} {} {target:?}", serde_json::to_string(&draft).unwrap()));
            part.answer(reply, Leader, info(&name));
        }
        Request::Put { name, draft, reply } => {
            note(format!("put {name} {}", serde_json::to_string(&draft).unwrap()));
            let written = if name.as_str() == "new" { Written::Created } else { Written::Updated };
            part.answer(reply, Leader, (written, info(&name)));
        }
        Request::Patch { name, changes, reply } => {
            note(format!("patch {name} {}", serde_json::to_string(&changes).unwrap()));
            part.answer(reply, Leader, (Written::Updated, info(&name)));
        }
        Request::Delete(name, reply) => {
            note(format!("delete {name}"));
            part.answer(reply, Leader, ());
        }
        Request::Info(name, reply) => part.answer(reply, Leader, info(&name)),
        Request::Tasks(_, reply) => part.answer(reply, Leader, Vec::new()),
        Request::SetTarget(name, target, reply) => {
            note(format!("set {name} {target:?}"));
            reply.send(Ok(()));
        }
        Request::Stop(name, reply) => {
            note(format!("stop {name}"));
            part.answer(reply, Leader, ());
        }
        Request::Restart(name, reply) => {
            note(format!("restart {name}"));
            part.answer(reply, Owner, ());
        }
        Request::RestartParts(name, scope, reply) => {
            note(format!("restart {name} failed={} tasks={}", scope.only_failed, scope.include_tasks));
            part.answer(reply, Leader, status(&name));
        }
        Request::RestartTask(id, reply) => {
            note(format!("restart {id}"));
            part.answer(reply, Owner, ());
        }
        Request::ResetTopics(name, reply) => {
            note(format!("reset topics of {name}"));
            reply.send(Ok(()));
        }
        Request::Offsets(_, reply) => part.answer(reply, Leader, ConnectorOffsets::Source(Vec::new())),
        Request::ModifyOffsets(name, draft, reply) => {
            note(format!("modify offsets of {name} {draft:?}"));
            part.answer(reply, Leader, AlterOffsets::Checked);
        }
        Request::SubmitTasks { name, tasks, proof, reply } => {
            note(format!("submit {name} {}", serde_json::to_string(&tasks).unwrap()));
            state.proofs.push(proof);
            part.answer(reply, Leader, ());
        }
        Request::Fence { name, proof, reply } => {
            note(format!("fence {name}"));
            state.proofs.push(proof);
            part.answer(reply, Leader, ());
        }
        Request::SetClusterLevel { namespace, level, reply } => {
            note(format!("level {namespace} {level}"));
            reply.send(Ok(()));
        }
    }
}

fn info(name: &ConnectorName) -> ConnectorInfo {
    let config = Settings::from([("name".to_owned(), name.to_string())]);
    ConnectorInfo { name: name.clone(), config, tasks: Vec::new(), kind: ConnectorKind::Source }
}

fn status(name: &ConnectorName) -> ConnectorStatus {
    let connector = Status {
        state: RunState::Restarting,
        worker: WorkerId::new("leader:8083"),
        trace: None,
        version: None,
    };
    ConnectorStatus { name: name.clone(), connector, tasks: [].into(), kind: ConnectorKind::Source }
}

/// What a client gets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) content_type: Option<String>,
    /// `null` if there is none.
    pub(crate) body: Json,
}

impl Got {
    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

/// Asks a worker as a client does; the first word of the line is the method.
pub(crate) fn ask(worker: &Member, line: &str, headers: &[(&str, &str)], body: &str) -> Got {
    let (method, path) = line.split_once(' ').unwrap();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(3 * SOON))
        .proxy(None)
        .build()
        .into();
    let url = format!("http://{}{path}", worker.address());
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = if body.is_empty() {
        agent.run(request.body(()).unwrap())
    } else {
        agent.run(request.header("Content-Type", "application/json").body(body).unwrap())
    };
    let mut answer = answer.unwrap();
    let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (location, content_type) = (header("Location"), header("Content-Type"));
    let text = answer.body_mut().read_to_string().unwrap();
    let body = match content_type.as_deref() {
        _ if text.is_empty() => Json::Null,
        // The one answer of Connect that says it is JSON and is not.
        Some(_) if answer.status() == 401 => Json::String(text),
        _ => serde_json::from_str(&text).unwrap(),
    };
    Got { status: answer.status().as_u16(), location, content_type, body }
}
