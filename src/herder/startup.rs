//! The start of the worker, up to the moment at which a health request is answered.
//!
//! First Kafka answers and the offsets are read; until then requests that need the herder are held. Then the
//! connectors of the command line are created, all at once, beside what clients ask for. The worker is ready when
//! each of them runs with all its tasks, or has failed to as far as that does not end the worker.

use super::membership::Membership;
use super::msg::{CommandLineConnector, Draft, Effect, Effects, Exit, HerderError, Request};
use super::operations::{Asker, Operation, Write};
use super::{Herder, Phase};
use crate::api::ids::ConnectorName;
use crate::health::{Stage, StartupPhase};

/// The most requests that are held while the stores are not there.
pub(super) const HELD_MAX: usize = 1024;

/// What is outstanding of the start.
#[derive(Debug)]
pub(super) struct Startup {
    kafka_reached: bool,
    offsets_read: bool,
    /// Taken when the stores are there.
    command_line: Option<Vec<CommandLineConnector>>,
    held: Vec<Request>,
    /// Connectors of the command line that have not come to run.
    left: Vec<String>,
}

impl Startup {
    pub(super) fn new(command_line: Vec<CommandLineConnector>) -> Self {
        Startup {
            kafka_reached: false,
            offsets_read: false,
            command_line: Some(command_line),
            held: Vec::new(),
            left: Vec::new(),
        }
    }

    pub(super) fn stage(&self) -> Stage {
        match (self.kafka_reached, self.offsets_read, self.left.first()) {
            (_, false, _) => Stage::ReadingOffsets,
            (false, true, _) => Stage::ContactingKafka,
            (true, true, Some(name)) => {
                Stage::StartingConnectors { left: self.left.len(), example: name.clone() }
            }
            (true, true, None) => Stage::AwaitingStartup,
        }
    }

    /// Keeps a request for later; gives it back if it can be served (or noted, if it is one for health) now.
    pub(super) fn hold(&mut self, request: Request, effects: &mut Effects) -> Option<Request> {
        if matches!(request, Request::Health(_)) || self.command_line.is_none() {
            return Some(request);
        }
        self.held.retain(Request::is_wanted);
        if self.held.len() < HELD_MAX {
            self.held.push(request);
        } else {
            let why = format!("{HELD_MAX} requests are waiting for the worker to start; try again later");
            request.refuse(HerderError::Failed(why), effects);
        }
        None
    }
}

impl Herder {
    pub(super) fn kafka_reached(&mut self) {
        if let Phase::Starting(startup) = &mut self.phase {
            startup.kafka_reached = true;
        }
    }

    pub(super) fn offsets_read(&mut self, result: Result<(), String>, effects: &mut Effects) {
        let Phase::Starting(startup) = &mut self.phase else { return };
        match result {
            Ok(()) => {
                startup.offsets_read = true;
            }
            Err(why) => effects.push(Effect::Exit(Exit::OffsetsUnreadable(why))),
        }
    }

    /// Once all stores are there, and the worker has its place in its group: creates the connectors of the command line
    /// and serves what was held.
    fn begin_to_serve(&mut self, effects: &mut Effects) {
        let Phase::Starting(startup) = &mut self.phase else { return };
        let stores_are_there = match &self.membership {
            Membership::Alone => startup.kafka_reached && startup.offsets_read,
            // A leader may have to wait until it can write; what needs that waits with it.
            Membership::Group(group) => group.place().is_some(),
        };
        if !stores_are_there {
            return;
        }
        let Some(command_line) = startup.command_line.take() else { return };
        let held = std::mem::take(&mut startup.held);
        startup.left = command_line.iter().map(|connector| connector.name.to_string()).collect();
        for connector in command_line {
            let CommandLineConnector { file, name, settings, target } = connector;
            let draft: Draft = settings.into_iter().map(|(key, value)| (key, Some(value))).collect();
            let asker = Asker::CommandLine { file };
            let write = Write { name, target: Some(target), asker };
            let operation = self.next_operation(Operation::Validating(write));
            effects.push(Effect::Validate(operation, draft));
        }
        for request in held.into_iter().filter(Request::is_wanted) {
            self.take_request(request, effects);
        }
    }

    /// A connector of the command line has come to run.
    pub(super) fn command_line_connector_started(&mut self, name: &str, file: &str) {
        log::info!(target: "org.apache.kafka.connect.cli.ConnectStandalone", "Created connector {name} from {file}");
        if let Phase::Starting(startup) = &mut self.phase {
            startup.left.retain(|left| left != name);
        }
    }

    /// Whether a connector of that name is still to be created from the command line.
    pub(super) fn is_on_command_line(&self, name: &ConnectorName) -> bool {
        match &self.phase {
            Phase::Starting(startup) => startup.left.iter().any(|left| left == name.as_str()),
            Phase::Ready | Phase::Stopping | Phase::Stopped => false,
        }
    }

    /// The worker is ready when nothing of the start is left.
    pub(super) fn go_on_with_start(&mut self, effects: &mut Effects) {
        self.begin_to_serve(effects);
        let Phase::Starting(startup) = &self.phase else { return };
        if startup.command_line.is_some() || !startup.left.is_empty() {
            return;
        }
        self.phase = Phase::Ready;
        effects.push(Effect::Phase(StartupPhase::Ready));
    }
}
