//! Sources: what they say becomes records, and what they must not say fails their task.

use std::fs;

use herdsman::api::offset::OffsetMap;

use crate::support::{Source, Stored, nobody_is_left, script, text, wait_for, written};

#[test]
fn a_program_is_told_its_task_and_offsets_and_hears_which_records_kafka_has() {
    let (folder, command) = script(
        r#"hear; echo "$heard" >told
        say '{"offsets":{"source_partitions":[{"f":"a"},{"f":"b"}]}}'; hear; echo "$heard" >>told
        say '{"ready":{}}'
        for id in 3 5 9; do
            say "{\"record\":{\"id\":$id,\"source_partition\":{\"f\":\"a\"},\"source_offset\":{\"n\":$id},\"value\":\"v$id\"}}"
        done
        while hear; do echo "$heard" >>told; done"#,
    );
    let stored = Stored(vec![(OffsetMap::of("f", "a"), OffsetMap::of("n", 2))]);
    let more = [("exec.task", "1"), ("exec.tasks", "3"), ("own", "ä,\"")];
    let mut source = Source::start(folder.path(), &command, &more, stored).unwrap();
    assert!(source.task.wants_commit_record());
    let records = source.records(3).unwrap();
    assert_eq!(records.iter().map(text).collect::<Vec<_>>(), ["v3", "v5", "v9"]);
    assert_eq!(records[2].source_offset, Some(OffsetMap::of("n", 9)));
    assert_eq!((&*records[0].topic, records[0].partition), ("t", None));
    source.acknowledge(&records[2]);
    source.task.commit_record(&records[0], None).unwrap();
    source.task.commit().unwrap();
    source.acknowledge(&records[1]);
    source.task.stop().unwrap();
    let told = written(folder.path(), "told");
    let mut lines = told.lines();
    let start: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    let start = &start["start"];
    assert_eq!((&start["task"], &start["tasks"], &start["kind"]), (&1.into(), &3.into(), &"source".into()));
    assert_eq!(
        (&start["config"]["own"], &start["config"]["exec.task"]),
        (&"ä,\"".into(), &serde_json::Value::Null)
    );
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [
            r#"{"offsets":[{"source_partition":{"f":"a"},"source_offset":{"n":2}},{"source_partition":{"f":"b"},"source_offset":null}]}"#,
            r#"{"ack":{"ids":[9]}}"#,
            r#"{"dropped":{"ids":[3]}}"#,
            r#"{"ack":{"ids":[5]}}"#,
            r#"{"stop":{}}"#,
        ]
    );
    nobody_is_left(folder.path());
}

#[test]
fn what_a_program_does_wrong_fails_its_task_with_words() {
    let rest = "exec sleep 1000";
    let cases = [
        ("say nonsense", "said a line that cannot be used, and was killed: expected"),
        (r#"say '{"record":{"id":1}}'"#, "must say {\"ready\":{}} before"),
        (r#"say '{"ready":{}}'; say '{"ready":{}}'"#, "said twice that it is ready"),
        (r#"say '{"ready":{}}'; say '{"ack":{"ids":[1]}}'"#, "a source acknowledges nothing"),
        (r#"say '{"ready":{}}'; say '{"record":{"value":1}}'"#, "the record has no id"),
        (
            r#"say '{"ready":{}}'; say '{"record":{"id":2}}'; say '{"record":{"id":2}}'"#,
            "has the id 2 after the id 2: ids must grow",
        ),
        (r#"say '{"ready":{}}'; say '{"record":{"id":2,"vlaue":2}}'"#, "unknown field `vlaue`"),
        (
            r#"say '{"ready":{}}'; head -c 5000000 /dev/zero | tr '\0' x >&"$HERDSMAN_WRITE_FD""#,
            "a line is longer than limits.line.bytes=4096",
        ),
        (r#"say '{"failed":{"message":"no such table"}}'"#, "has given up: no such table"),
        (r#"say '{"ready":{}}'; say '{"failed":{"message":"late"}}'"#, "has given up: late"),
    ];
    for (body, words) in cases {
        let (folder, command) = script(&format!("{body}\n{rest}"));
        let more = [("limits.line.bytes", "4096")];
        let error = match Source::start(folder.path(), &command, &more, Stored::default()) {
            Err(error) => error,
            Ok(mut source) => source.failure(),
        };
        assert!(error.message().contains(words), "{body}: {error}");
        assert!(error.message().contains(&command) && !error.is_retriable(), "{body}: {error}");
        nobody_is_left(folder.path());
    }
}

#[test]
fn a_program_that_does_not_start_says_why() {
    let (folder, command) = script("exit 3");
    let start = |command: &str, more: &[(&str, &str)]| {
        Source::start(folder.path(), command, more, Stored::default()).err().unwrap().to_string()
    };
    let cases = [
        (start(&command, &[]), "ended with exit status: 3, before it was ready"),
        (start("/no/such/program", &[]), "cannot run /no/such/program: No such file or directory"),
        (start(folder.path().to_str().unwrap(), &[]), "Permission denied"),
        (start(&command, &[("directory", "/no/such/folder")]), "could not be started: No such file"),
    ];
    for (error, words) in cases {
        assert!(error.contains(words), "{words}: {error}");
    }
    for (body, words) in [
        ("exec sleep 1000", "did not say that it is ready within start.timeout.ms=300"),
        ("exec 4>&- 5>&- 6>&-; exec sleep 1000", "closed its descriptor HERDSMAN_WRITE_FD"),
        ("kill -9 $$", "ended with signal: 9"),
    ] {
        let (folder, command) = script(body);
        let timeout = if body.starts_with("exec sleep") { "300" } else { "20000" };
        let more = [("start.timeout.ms", timeout)];
        let error = Source::start(folder.path(), &command, &more, Stored::default()).err().unwrap();
        assert!(error.message().contains(words), "{body}: {error}");
        nobody_is_left(folder.path());
    }
}

#[test]
fn a_program_that_ends_is_started_again_but_not_for_ever() {
    let (folder, command) =
        script(r#"hear; say '{"ready":{}}'; say '{"record":{"id":1,"value":"x"}}'; exit 7"#);
    let more = [("restart.max", "2")];
    let mut source = Source::start(folder.path(), &command, &more, Stored::default()).unwrap();
    let records = source.records(3).unwrap();
    // Of a program that has gone: nobody is told.
    source.acknowledge(&records[0]);
    let error = source.failure();
    assert!(error.message().contains("ended with exit status: 7"), "{error}");
    assert!(error.message().contains("started again restart.max=2 times"), "{error}");
    assert_eq!(written(folder.path(), "pids").lines().count(), 3);
    nobody_is_left(folder.path());
}

#[test]
fn a_program_that_has_no_more_to_give_is_left_in_peace() {
    let (folder, command) =
        script(r#"say '{"ready":{"acks":false}}'; say '{"record":{"value":"x"}}'; exit 0"#);
    let mut source = Source::start(folder.path(), &command, &[], Stored::default()).unwrap();
    assert!(!source.task.wants_commit_record());
    assert_eq!(source.records(1).unwrap().len(), 1);
    nobody_is_left(folder.path());
    for _ in 0..20 {
        source.task.poll().unwrap();
    }
    source.task.stop().unwrap();
    assert_eq!(written(folder.path(), "pids").lines().count(), 1);
}

#[test]
fn a_program_that_does_not_read_is_killed_after_a_while() {
    let (folder, command) = script(
        r#"say '{"ready":{}}'; n=0
        while [ $n -lt 300000 ]; do n=$((n+1)); echo "{\"record\":{\"id\":$((n+10000000000))}}"; done >&"$HERDSMAN_WRITE_FD"
        exec sleep 1000"#,
    );
    let more = [("progress.timeout.ms", "300"), ("restart.max", "0")];
    let mut source = Source::start(folder.path(), &command, &more, Stored::default()).unwrap();
    let error = wait_for("a failure", || match source.records(1) {
        Ok(records) => {
            records.iter().for_each(|record| source.acknowledge(record));
            None
        }
        Err(error) => Some(error),
    });
    assert!(error.message().contains("did not read what it was told for progress.timeout.ms=300"), "{error}");
    nobody_is_left(folder.path());
}

#[test]
fn a_program_has_its_limits_and_its_own_environment() {
    let (folder, command) = script(
        r#"(ulimit -n; ulimit -v; echo "$TOKEN" "$CARGO_MANIFEST_DIR"; ls /proc/self/fd | wc -l) >limits
        say '{"ready":{}}'; hear; hear"#,
    );
    let more =
        [("limits.files", "77"), ("limits.memory.bytes", "1073741824"), ("environment.TOKEN", "a token")];
    let mut source = Source::start(folder.path(), &command, &more, Stored::default()).unwrap();
    let limits = fs::read_to_string(folder.path().join("limits")).unwrap();
    let limits: Vec<_> = limits.lines().map(str::trim).collect();
    assert_eq!(limits[..3], ["77", "1048576", "a token"]);
    // Three of its own, two for lines, and one that `ls` opens; a test runner may have left some open.
    assert!(limits[3].parse::<u32>().unwrap() <= 10, "{limits:?}");
    source.task.stop().unwrap();
}
