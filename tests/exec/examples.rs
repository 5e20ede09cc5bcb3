//! The programs of `examples/exec`, as users are told to run them.

use std::fs;
use std::io::Write;

use herdsman::api::offset::OffsetMap;

use crate::support::{Sink, Source, Stored, text, wait_for, written};

fn example(name: &str) -> String {
    format!("{}/examples/exec/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn lines_source_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in");
    fs::write(&path, "old\nzwölf \"x\"\nhalf").unwrap();
    let file = path.to_str().unwrap();
    let stored = Stored(vec![(OffsetMap::of("file", file), OffsetMap::of("position", 4))]);
    let mut source =
        Source::start(folder.path(), &example("lines_source.py"), &[("file", file)], stored).unwrap();
    let records = source.records(1).unwrap();
    assert_eq!(records.iter().map(text).collect::<Vec<_>>(), ["zwölf \"x\""]);
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b" line\n").unwrap();
    let records = source.records(1).unwrap();
    assert_eq!(text(&records[0]), "half line");
    assert_eq!(records[0].source_offset, Some(OffsetMap::of("position", 25)));
    source.task.stop().unwrap();
}

#[test]
fn lines_sink_acknowledges_what_is_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let more = [("file", out.to_str().unwrap()), ("inflight.max", "2500")];
    let mut sink = Sink::start(folder.path(), &example("lines_sink.py"), &more).unwrap();
    sink.put(0, 5000).unwrap();
    wait_for("all acknowledged", || (sink.committed() == 5000).then_some(()));
    let lines = written(folder.path(), "out");
    assert_eq!(lines.lines().count(), 5000);
    assert_eq!(lines.lines().last(), Some("0-4999"));
    sink.task.stop().unwrap();
}

#[test]
fn spool_source_removes_what_kafka_has() {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    fs::create_dir(&spool).unwrap();
    for (name, content) in [("a", "one \"1\" \\"), ("b", "two")] {
        fs::write(spool.join(name), content).unwrap();
    }
    let more = [("environment.SPOOL", spool.to_str().unwrap())];
    let mut source =
        Source::start(folder.path(), &example("spool_source.sh"), &more, Stored::default()).unwrap();
    let first = source.records(1).unwrap();
    assert_eq!(text(&first[0]), "one \"1\" \\");
    assert!(spool.join("a").exists());
    source.acknowledge(&first[0]);
    let second = source.records(1).unwrap();
    assert_eq!(text(&second[0]), "two");
    assert!(!spool.join("a").exists() && spool.join("b").exists());
    source.task.stop().unwrap();
}

#[test]
fn append_sink_acknowledges_nothing_that_it_could_not_write() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink =
        Sink::start(folder.path(), &example("append_sink.sh"), &[("environment.OUT", "/dev/full")]).unwrap();
    wait_for("the program ends", || sink.put(0, 3).err());
    assert_eq!(sink.committed(), 0);
    sink.task.stop().unwrap();
}

#[test]
fn append_sink_acknowledges_each() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let more = [("environment.OUT", out.to_str().unwrap())];
    let mut sink = Sink::start(folder.path(), &example("append_sink.sh"), &more).unwrap();
    sink.put(0, 30).unwrap();
    wait_for("all acknowledged", || (sink.committed() == 30).then_some(()));
    assert_eq!(written(folder.path(), "out").lines().count(), 30);
    sink.task.stop().unwrap();
}
