//! What clients ask of a cluster about one connector, each with what it needs and what comes of it.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::cluster::{Cluster, Request};
use super::shape::{Config, Offset, Shape, Target, expect_status};

/// The lines of the file that a subject reads, and where the second of them begins.
const LINES: &str = "one\ntwo\n";
const END: u64 = 8;
const SECOND_LINE: u64 = 4;

/// A change of a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Create,
    Reconfigure,
    Patch,
    RestartConnector,
    RestartTask,
    RestartAll,
    Pause,
    Resume,
    Stop,
    AlterOffsets,
    ResetOffsets,
    Delete,
}

use Operation::{
    AlterOffsets, Create, Delete, Patch, Pause, Reconfigure, ResetOffsets, RestartAll, RestartConnector,
    RestartTask, Resume, Stop,
};

/// A whole life: each finds what it needs.
pub(super) const LIFE: [Operation; 13] = [
    Create,
    Reconfigure,
    Patch,
    RestartConnector,
    RestartTask,
    RestartAll,
    Pause,
    Resume,
    Stop,
    AlterOffsets,
    Resume,
    Stop,
    Delete,
];

/// Those that leave different traces when they are cut short.
pub(super) const DISTURBED: [Operation; 9] =
    [Create, Reconfigure, Pause, Resume, Stop, RestartAll, AlterOffsets, ResetOffsets, Delete];

/// A connector that things are done to: a file source of a file that does not grow.
pub(super) struct Subject {
    name: String,
    topic: String,
    file: PathBuf,
    /// As it is known to be.
    shape: Option<Shape>,
}

impl Subject {
    /// One that is not there yet. `topic` is there; `folder` outlives it.
    pub(super) fn new(cluster: &Cluster<'_>, name: &str, topic: &str, folder: &std::path::Path) -> Self {
        let file = folder.join(format!("{name}.txt"));
        fs::write(&file, LINES).unwrap();
        Subject { name: format!("{}-{name}", cluster.group), topic: topic.to_owned(), file, shape: None }
    }

    /// Has a member do it, and waits until all members show what comes of it.
    pub(super) fn undergo(&mut self, cluster: &Cluster<'_>, member: usize, operation: Operation) {
        let (request, status) = self.request(operation);
        let answer = cluster.ask(member, &request);
        expect_status(&answer, status, &(operation, &cluster.members[member]));
        let after = self.after(operation);
        self.shape = cluster.agreed(&self.name, &[after]);
    }

    /// Does what an operation needs to be possible.
    pub(super) fn prepare(&mut self, cluster: &Cluster<'_>, member: usize, operation: Operation) {
        let needs: &[Operation] = match operation {
            Create => &[],
            Reconfigure | Patch | RestartConnector | RestartTask | RestartAll | Pause | Stop | Delete => {
                &[Create]
            }
            Resume => &[Create, Pause],
            AlterOffsets | ResetOffsets => &[Create, Stop],
        };
        for operation in needs {
            self.undergo(cluster, member, *operation);
        }
    }

    /// Waits until all members show that an operation was done, or that it was not, which it may only be if it was not
    /// answered; says whether it was.
    pub(super) fn was_done(&mut self, cluster: &Cluster<'_>, operation: Operation, answered: bool) -> bool {
        let (before, after) = (self.shape.clone(), self.after(operation));
        let candidates = if answered { vec![after.clone()] } else { vec![after.clone(), before] };
        self.shape = cluster.agreed(&self.name, &candidates);
        self.shape == after
    }

    /// Waits until all members show it as it is known to be.
    pub(super) fn stands(&mut self, cluster: &Cluster<'_>) {
        cluster.agreed(&self.name, std::slice::from_ref(&self.shape));
    }

    /// Has it gone.
    pub(super) fn clear(mut self, cluster: &Cluster<'_>) {
        if self.shape.is_some() {
            self.undergo(cluster, 0, Delete);
        }
    }

    /// The request of an operation, and the status of a good answer.
    pub(super) fn request(&self, operation: Operation) -> (Request, u16) {
        let config = || self.after(operation).map(|shape| json!(shape.config));
        let offsets = |position: u64| json!({"offsets": [{"partition": {"filename": self.file}, "offset": {"position": position}}]});
        let (method, path, body, status): (_, _, Option<Json>, _) = match operation {
            Create => ("POST", "", Some(json!({"name": self.name, "config": config()})), 201),
            Reconfigure => ("PUT", "/config", config(), 200),
            Patch => ("PATCH", "/config", Some(json!({"batch.size": self.batch(operation)})), 200),
            RestartConnector => ("POST", "/restart", None, 204),
            RestartTask => ("POST", "/tasks/0/restart", None, 204),
            RestartAll => ("POST", "/restart?includeTasks=true", None, 202),
            Pause => ("PUT", "/pause", None, 202),
            Resume => ("PUT", "/resume", None, 202),
            Stop => ("PUT", "/stop", None, 204),
            AlterOffsets => ("PATCH", "/offsets", Some(offsets(SECOND_LINE)), 200),
            ResetOffsets => ("DELETE", "/offsets", None, 200),
            Delete => ("DELETE", "", None, 204),
        };
        let path = match operation {
            Create => "/connectors".to_owned(),
            Reconfigure | Patch | RestartConnector | RestartTask | RestartAll | Pause | Resume | Stop
            | AlterOffsets | ResetOffsets | Delete => format!("/connectors/{}{path}", self.name),
        };
        (Request { method, path, body }, status)
    }

    /// What comes of an operation when it is done.
    fn after(&self, operation: Operation) -> Option<Shape> {
        let now = || self.shape.clone().unwrap();
        let stopped = |offset| Shape { target: Target::Stopped, tasks: 0, offset, ..now() };
        let running = || Shape { target: Target::Running, tasks: 1, offset: Offset::At(END), ..now() };
        match operation {
            Create => {
                let config = self.config(operation);
                Some(Shape { config, target: Target::Running, tasks: 1, offset: Offset::At(END) })
            }
            Reconfigure | Patch => Some(Shape { config: self.config(operation), ..now() }),
            RestartConnector | RestartTask | RestartAll => Some(now()),
            Pause => Some(Shape { target: Target::Paused, ..now() }),
            Resume => Some(running()),
            Stop => Some(stopped(now().offset)),
            AlterOffsets => Some(stopped(Offset::At(SECOND_LINE))),
            ResetOffsets => Some(stopped(Offset::None)),
            Delete => None,
        }
    }

    fn config(&self, operation: Operation) -> Config {
        let file = self.file.display().to_string();
        let batch = self.batch(operation);
        let settings = [
            ("name", self.name.as_str()),
            ("connector.class", "FileStreamSource"),
            ("tasks.max", "1"),
            ("topic", &self.topic),
            ("file", &file),
            ("batch.size", &batch),
        ];
        settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    /// A setting that each change of the settings has another value of.
    fn batch(&self, operation: Operation) -> String {
        let now = self.shape.as_ref().map(|shape| shape.config["batch.size"].parse::<u32>().unwrap());
        match operation {
            Reconfigure => now.unwrap_or_default() + 1,
            Patch => now.unwrap_or_default() + 10,
            Create | RestartConnector | RestartTask | RestartAll | Pause | Resume | Stop | AlterOffsets
            | ResetOffsets | Delete => now.unwrap_or(100),
        }
        .to_string()
    }
}
