//! How programs end: when they are told, when they must, and with all that they have started.

use std::fs;
use std::time::Duration;

use herdsman::stdx::time::Clock;

use crate::support::{Sink, Source, Stored, nobody_is_left, partition, script, wait_for, written};

/// Starts and stops a source; how long the stop took.
fn stop(body: &str, timeout_ms: &str) -> (tempfile::TempDir, Duration) {
    let (folder, command) = script(body);
    let more = [("stop.timeout.ms", timeout_ms)];
    let mut source = Source::start(folder.path(), &command, &more, Stored::default()).unwrap();
    let before = Clock.now().instant;
    source.task.stop().unwrap();
    let took = Clock.now().instant - before;
    nobody_is_left(folder.path());
    (folder, took)
}

#[test]
fn a_program_that_listens_has_time_to_end() {
    let body = r#"hear; say '{"ready":{}}'; hear; echo "$heard" >last; hear || echo end >>last"#;
    let (folder, took) = stop(body, "60000");
    assert_eq!(written(folder.path(), "last"), "{\"stop\":{}}\nend\n");
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn a_program_that_does_not_listen_gets_a_signal() {
    let body = r#"trap 'echo term >last; exit 0' TERM; say '{"ready":{}}'; while :; do sleep 0.05; done"#;
    let (folder, took) = stop(body, "1000");
    assert_eq!(written(folder.path(), "last"), "term\n");
    assert!(took >= Duration::from_millis(500), "{took:?}");
}

#[test]
fn a_program_that_ignores_signals_is_killed_with_all_it_started() {
    let body = r#"trap '' TERM; sleep 1000 & echo $! >>pids
        (trap '' TERM; while :; do sleep 0.05; done) & echo $! >>pids
        say '{"ready":{"acks":false}}'; while :; do say '{"record":{}}' || sleep 1; done"#;
    let (folder, took) = stop(body, "600");
    assert!(took >= Duration::from_millis(600) && took < Duration::from_secs(20), "{took:?}");
    assert_eq!(written(folder.path(), "pids").lines().count(), 3);
}

#[test]
fn a_program_that_ends_and_leaves_others_with_its_descriptors_has_ended() {
    let (folder, command) = script(r#"say '{"ready":{}}'; sleep 1000 & echo $! >>pids; exit 5"#);
    let more = [("restart.max", "0")];
    let mut source = Source::start(folder.path(), &command, &more, Stored::default()).unwrap();
    let error = source.failure();
    assert!(error.message().contains("ended with exit status: 5"), "{error}");
    nobody_is_left(folder.path());
}

#[test]
fn whom_a_program_leaves_behind_in_a_group_of_its_own_holds_nobody_up() {
    let (folder, command) = script(
        r#"say '{"ready":{"acks":false}}'
        python3 -c 'import os
os.setsid()
open("pids", "a").write(f"{os.getpid()}\n")
open("free", "w").write("yes")
while True:
    os.write(int(os.environ["HERDSMAN_WRITE_FD"]), b"{\"record\":{}}\n" * 1000)
    os.write(1, b"chatter\n" * 100)' &
        while ! [ -s free ]; do sleep 0.01; done
        exit 5"#,
    );
    let more = [("restart.max", "0"), ("limits.line.bytes", "1024")];
    let mut source = Source::start(folder.path(), &command, &more, Stored::default()).unwrap();
    let error = source.failure();
    assert!(error.message().contains("ended with exit status: 5"), "{error}");
    drop(source);
    // Nobody reads any more; so it ends, too.
    nobody_is_left(folder.path());
}

#[test]
fn a_task_that_is_dropped_takes_its_program_along() {
    let (folder, command) = script(r#"trap '' TERM; say '{"ready":{}}'; while :; do sleep 0.05; done"#);
    let source = Source::start(folder.path(), &command, &[], Stored::default()).unwrap();
    drop(source);
    nobody_is_left(folder.path());
}

#[test]
fn a_program_outlives_the_thread_of_the_task_that_started_it() {
    let (folder, command) = script(r#"say '{"ready":{}}'; while hear; do echo "$heard" >>heard; done"#);
    let path = folder.path().to_owned();
    let starter = std::thread::Builder::new();
    let started =
        starter.spawn(move || Source::start(&path, &command, &[], Stored::default()).unwrap()).unwrap();
    let mut source = started.join().unwrap();
    source.task.poll().unwrap();
    let pid = written(folder.path(), "pids");
    let command_line = fs::read_to_string(format!("/proc/{}/cmdline", pid.trim())).unwrap();
    assert!(command_line.contains("program"), "{command_line:?}");
    source.task.stop().unwrap();
    wait_for("the stop", || {
        fs::read_to_string(folder.path().join("heard")).ok().filter(|heard| heard.contains("stop"))
    });
}

#[test]
fn a_sink_that_neither_acknowledges_nor_ends_is_gone_while_the_worker_waits_for_its_task() {
    let (folder, command) =
        script(r#"trap '' TERM; say '{"ready":{}}'; while :; do hear || sleep 0.05; done"#);
    let more = [("flush.timeout.ms", "60000"), ("stop.timeout.ms", "60000")];
    let mut sink = Sink::start(folder.path(), &command, &more).unwrap();
    sink.put(0, 3).unwrap();
    let before = Clock.now().instant;
    assert_eq!(sink.committed(), 0);
    sink.task.close(&[partition(0)]).unwrap();
    sink.task.stop().unwrap();
    let took = Clock.now().instant - before;
    // The default of task.shutdown.graceful.timeout.ms.
    assert!(took < Duration::from_secs(5), "{took:?}");
    nobody_is_left(folder.path());
}
