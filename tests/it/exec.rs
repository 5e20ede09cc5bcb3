//! Programs as connectors of the real worker.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::support::{SOON, Worker, WorkerSetup, wait_for, wait_until};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/exec/");

/// A worker that may run the examples and what is in its folder.
fn setup() -> WorkerSetup {
    let setup = WorkerSetup::new();
    let allowed = format!("{EXAMPLES},{}/", setup.folder().display());
    setup.set("exec.allowed", allowed)
}

fn append(worker: &Worker, text: &str) {
    let mut file = OpenOptions::new().append(true).open(worker.folder().join("in.txt")).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[track_caller]
fn arrives(worker: &Worker, text: &str) {
    wait_for("the output", SOON, || match fs::read_to_string(worker.folder().join("out.txt")) {
        Ok(out) if out == text => Ok(()),
        other => Err((other, worker.log())),
    });
}

#[test]
fn lines_pass_through_programs_and_go_on_after_a_kill() {
    let (source, sink) = (format!("{EXAMPLES}lines_source.py"), format!("{EXAMPLES}lines_sink.py"));
    let worker = setup()
        .file("in.txt", "one\nzwölf\n")
        .connector(
            "source",
            &[("connector.class", "ExecSource"), ("command", &source), ("file", "in.txt"), ("topic", "t")],
        )
        .connector(
            "sink",
            &[("connector.class", "ExecSink"), ("command", &sink), ("file", "out.txt"), ("topics", "t")],
        )
        .start()
        .healthy();
    arrives(&worker, "one\nzwölf\n");
    assert!(
        worker.log().contains("[source|task-0] task 0 of 1 reads in.txt from byte 0"),
        "{}",
        worker.log()
    );
    wait_for("the offset of all lines", SOON, || {
        let offsets = worker.get("/connectors/source/offsets").json();
        if offsets["offsets"][0]["offset"]["position"] == 11 { Ok(()) } else { Err(offsets) }
    });
    let worker = worker.kill_and_restart().healthy();
    append(&worker, "after\n");
    arrives(&worker, "one\nzwölf\nafter\n");
}

#[test]
fn a_killed_worker_leaves_no_program() {
    let setup = setup().file(
        "stubborn",
        "#!/bin/sh\ntrap '' TERM HUP INT PIPE\necho $$ >pid\necho '{\"ready\":{}}' >&$HERDSMAN_WRITE_FD\n\
         while :; do sleep 0.1; done\n",
    );
    let program = setup.folder().join("stubborn");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let program = program.to_str().unwrap().to_owned();
    let mut worker = setup
        .connector("source", &[("connector.class", "ExecSource"), ("command", &program), ("topic", "t")])
        .start()
        .healthy();
    let pid = fs::read_to_string(worker.folder().join("pid")).unwrap();
    let command_line = || fs::read_to_string(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default();
    assert!(command_line().contains("stubborn"), "{}", command_line());
    worker.signal("KILL");
    worker.wait_end();
    wait_until("the end of the program", SOON, || !command_line().contains("stubborn"));
}

#[test]
fn a_worker_runs_only_what_its_settings_allow() {
    let worker = WorkerSetup::new().start().healthy();
    let config =
        json!({"name": "x", "connector.class": "ExecSource", "command": "/bin/sh,-c,true", "topic": "t"});
    let answer = worker.send("PUT", "/connectors/x/config", Some(&config));
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.body.contains("this worker does not run /bin/sh"), "{answer:?}");
    assert!(answer.body.contains("the setting exec.allowed of the worker, which is empty"), "{answer:?}");
}

#[test]
fn a_program_that_fails_says_so_in_the_status_of_its_task() {
    let setup = setup().file("fails", "#!/bin/sh\necho 'why: no such table' >&2\nexit 4\n");
    let program = setup.folder().join("fails");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let program = program.to_str().unwrap().to_owned();
    let worker = setup.start().healthy();
    let config = json!({"connector.class": "ExecSource", "command": program, "topic": "t"});
    assert_eq!(worker.send("PUT", "/connectors/x/config", Some(&config)).status, 201);
    let status = worker.task_state("x", 0, "FAILED");
    let trace = status["trace"].as_str().unwrap();
    assert!(trace.contains("ended with exit status: 4, before it was ready"), "{trace}");
    wait_until("the program's own words", SOON, || worker.log().contains("[x|task-0] why: no such table"));
}
