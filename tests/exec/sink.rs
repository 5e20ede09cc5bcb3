//! Sinks: what they acknowledge is committed and nothing else.

use herdsman::api::sink::SinkOffsets;

use crate::support::{Sink, nobody_is_left, partition, script, wait_for, written};

/// Reads the id of the record in `heard` into `id`; empty for other lines.
const ID: &str = r#"take_id() { id=; case $heard in '{"record"'*) id=${heard#*'"id":'}; id=${id%%,*};; esac; }
"#;

#[test]
fn only_what_is_acknowledged_is_committed() {
    // Acknowledges record 2, then 1, and the others when it is asked for the second time.
    let body = format!(
        r#"{ID}say '{{"ready":{{}}}}'; flushes=0
        while hear; do
            echo "$heard" >>told; take_id
            case $id in 2) say '{{"ack":{{"ids":[2]}}}}';; 3) say '{{"ack":{{"ids":[1]}}}}';; esac
            case $heard in '{{"flush"'*) flushes=$((flushes+1)); [ $flushes = 2 ] && say '{{"ack":{{"through":4}}}}';; esac
        done"#
    );
    let (folder, command) = script(&body);
    let more = [("flush.timeout.ms", "300")];
    let mut sink = Sink::start(folder.path(), &command, &more).unwrap();
    sink.put(0, 4).unwrap();
    wait_for("two acknowledgements", || (sink.committed() >= 2).then_some(()));
    wait_for("the rest", || (sink.committed() == 4).then_some(()));
    sink.task.close(&[partition(1)]).unwrap();
    sink.task.stop().unwrap();
    let told = written(folder.path(), "told");
    for line in [
        r#"{"open":{"partitions":[{"topic":"t","partition":0},{"topic":"t","partition":1}]}}"#,
        r#"{"record":{"id":1,"topic":"t","partition":0,"offset":0,"key":null,"value":"0-0"}}"#,
        r#"{"close":{"partitions":[{"topic":"t","partition":1}]}}"#,
        r#"{"stop":{}}"#,
    ] {
        assert!(told.lines().any(|told| told == line), "{line} is not in\n{told}");
    }
    nobody_is_left(folder.path());
}

#[test]
fn lies_and_silence_fail_the_task_with_words() {
    let cases = [
        (r#"say '{"ack":{"ids":[99]}}'"#, "acknowledged the id 99, which it was not given"),
        (r#"say '{"ack":{"ids":[1]}}'; say '{"ack":{"ids":[1]}}'"#, "acknowledged the id 1 twice"),
        (r#"say '{"ack":{"ids":[1],"all":true}}'"#, "unknown field `all`"),
        (r#"say '{"record":{}}'"#, "a sink gives no records"),
        ("exit 0", "ended with exit status: 0"),
        (r#"say '{"failed":{"message":"disk full"}}'"#, "has given up: disk full"),
    ];
    for (lie, words) in cases {
        let body = format!(
            "{ID}say '{{\"ready\":{{}}}}'; while [ -z \"$id\" ]; do hear; take_id; done; {lie}\nexec sleep 1000"
        );
        let (folder, command) = script(&body);
        let mut sink = Sink::start(folder.path(), &command, &[("restart.max", "0")]).unwrap();
        let error = sink.put(0, 2).err().unwrap_or_else(|| sink.failure());
        assert!(error.message().contains(words), "{lie}: {error}");
        nobody_is_left(folder.path());
    }
}

#[test]
fn a_sink_that_hangs_is_killed_after_a_while() {
    let silent = "while hear; do :; done";
    for (body, records, words) in [
        (silent, 1, "has not acknowledged a record for progress.timeout.ms=300"),
        (silent, 20, "has not acknowledged a record for progress.timeout.ms=300"),
        ("exec sleep 1000", 200_000, "for progress.timeout.ms=300"),
        ("exec 3<&- 5<&-; exec sleep 1000", 3, "closed its descriptor HERDSMAN_READ_FD"),
    ] {
        let (folder, command) = script(&format!("say '{{\"ready\":{{}}}}'; {body}"));
        let max = if records == 20 { "5" } else { "1000000" };
        let patience = if body.contains("<&-") { "60000" } else { "300" };
        let more = [
            ("progress.timeout.ms", patience),
            ("inflight.max", max),
            ("restart.max", "0"),
            ("flush.timeout.ms", "0"),
        ];
        let mut sink = Sink::start(folder.path(), &command, &more).unwrap();
        let error = wait_for("a failure", || sink.put(0, records).err());
        assert!(error.message().contains(words), "{body}: {error}");
        nobody_is_left(folder.path());
    }
}

#[test]
fn what_a_program_did_not_acknowledge_before_its_end_is_read_again() {
    // Each run acknowledges two records and ends.
    let body = format!(
        r#"{ID}say '{{"ready":{{}}}}'; count=0
        while [ $count -lt 3 ] && hear; do
            take_id; [ -z "$id" ] && continue
            count=$((count+1)); echo "$heard" >>records
            [ $count = 3 ] || say "{{\"ack\":{{\"ids\":[$id]}}}}"
        done
        exit 1"#
    );
    let (folder, command) = script(&body);
    let more = [("restart.max", "50"), ("flush.timeout.ms", "0")];
    let mut sink = Sink::start(folder.path(), &command, &more).unwrap();
    let mut batch = sink.batch(0, 5);
    for round in 1..=3 {
        let first_lost = 2 * round;
        wait_for("a seek", || {
            match sink.task.put(&batch) {
                Ok(()) => batch.clear(),
                Err(error) => assert!(error.is_retriable(), "{error}"),
            }
            let seeks: Vec<SinkOffsets> = std::mem::take(&mut *sink.asked.seeks.lock().unwrap());
            let seek = seeks.last()?;
            assert_eq!(seek[&partition(0)], first_lost);
            Some(())
        });
        // The worker may ask before it has carried out the seek.
        assert_eq!(sink.committed(), first_lost);
        sink.go_to(0, first_lost);
        batch = sink.batch(0, 5);
    }
    assert!(sink.committed() >= 6);
    let records = written(folder.path(), "records");
    let values: Vec<_> = records.lines().map(|line| line.split("\"value\":").nth(1).unwrap()).collect();
    let expected = ["0-0", "0-1", "0-2", "0-2", "0-3", "0-4", "0-4", "0-5", "0-6"]
        .map(|value| format!("\"{value}\"}}}}"));
    assert_eq!(values[..9], expected);
}
