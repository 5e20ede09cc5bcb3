//! Chains of the transforms that ship, in source and sink tasks.

use herdsman::api::Settings;
use herdsman::api::record::RecordMetadata;
use herdsman::plugins;
use herdsman::task::{
    ConverterChoice, Converters, PredicateChoice, TaskEventKind, Tolerance, TransformChoice,
};

use crate::plugins::{Keeper, Lines, numbered};
use crate::support::{Rig, wait_until};

fn settings(entries: &[(&str, &str)]) -> Settings {
    entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A transform by its class within Apache's package, or its alias.
fn transform(class: &str, entries: &[(&str, &str)]) -> TransformChoice {
    let registry = plugins::registry();
    let full = format!("org.apache.kafka.connect.transforms.{class}");
    let plugin = registry.transform(&full).unwrap().clone();
    TransformChoice { plugin, settings: settings(entries), condition: None }
}

/// The transform for records whose topic matches, or does not.
fn where_topic(choice: TransformChoice, pattern: &str, negate: bool) -> TransformChoice {
    let plugin = plugins::registry().predicate("TopicNameMatches").unwrap().clone();
    let settings = settings(&[("pattern", pattern)]);
    TransformChoice { condition: Some(PredicateChoice { plugin, settings, negate }), ..choice }
}

/// JSON without schemas for keys and values.
fn json() -> Converters {
    let plugin = plugins::registry().converter("JsonConverter").unwrap().clone();
    let json = ConverterChoice { plugin, settings: settings(&[("schemas.enable", "false")]) };
    Converters { key: json.clone(), value: json.clone(), header: json }
}

#[test]
fn five_transforms_change_the_records_of_a_source() {
    let rig = Rig::new();
    rig.broker.create_topic("routed", 1).unwrap();
    let lines = Lines::new("t", numbered(300));
    lines.with(|state| state.wants_commit_record = true);
    let mut spec = rig.lines(&lines);
    spec.converters = json();
    spec.transforms = vec![
        transform("HoistField$Value", &[("field", "line")]),
        transform(
            "InsertField$Value",
            &[("topic.field", "topic"), ("static.field", "from"), ("static.value", "edge")],
        ),
        transform("ReplaceField$Value", &[("renames", "line:text")]),
        where_topic(transform("Filter", &[]), "t", true),
        transform("RegexRouter", &[("regex", "t"), ("replacement", "routed")]),
    ];
    let task = rig.start(1, spec);
    let expected: Vec<String> = numbered(300)
        .into_iter()
        .map(|line| format!(r#"{{"text":"{line}","topic":"t","from":"edge"}}"#))
        .collect();
    assert_eq!(rig.consume("routed", 0, 300), expected);
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    assert_eq!(rig.offsets.position("f"), Some(300));
    assert!(rig.kinds().contains(&TaskEventKind::Topic("routed".into())));
    // The task sees its records again as it gave them.
    lines.with(|state| {
        let expected: Vec<_> = numbered(300)
            .into_iter()
            .zip(0..)
            .map(|(line, offset)| (line, Some(RecordMetadata { partition: 0, offset })))
            .collect();
        assert_eq!(state.committed_records, expected);
    });
}

#[test]
fn records_that_a_filter_drops_count_as_delivered() {
    let rig = Rig::new();
    let lines = Lines::new("t", numbered(300));
    lines.with(|state| state.wants_commit_record = true);
    let mut spec = rig.lines(&lines);
    spec.transforms = vec![transform("Filter", &[])];
    let task = rig.start(1, spec);
    wait_until("the offset of the last line", || {
        let position = rig.offsets.position("f");
        (position == Some(300), position)
    });
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    lines.with(|state| {
        let expected: Vec<_> = numbered(300).into_iter().map(|line| (line, None)).collect();
        assert_eq!(state.committed_records, expected);
    });
    assert_eq!(rig.kinds(), [TaskEventKind::Started, TaskEventKind::Stopped], "no topic was used");
}

#[test]
fn five_transforms_change_the_records_of_a_sink() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    rig.produce("t", 0, &(0..100).map(|number| format!(r#"{{"n":{number}}}"#)).collect::<Vec<_>>());
    let keeper = Keeper::new();
    let mut spec = rig.keeper(&keeper, 0);
    spec.converters = json();
    spec.transforms = vec![
        transform("InsertField$Value", &[("offset.field", "offset"), ("topic.field", "topic")]),
        transform("Cast$Value", &[("spec", "offset:string")]),
        transform("HeaderFrom$Value", &[("fields", "n"), ("headers", "h"), ("operation", "copy")]),
        transform("ExtractField$Value", &[("field", "offset")]),
        transform("RegexRouter", &[("regex", ".*"), ("replacement", "elsewhere")]),
    ];
    let task = rig.start(1, spec);
    keeper.wait_for(100);
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    keeper.0.change(|state| {
        let expected: Vec<_> = (0..100).map(|offset| (0, offset, offset.to_string())).collect();
        assert_eq!(state.kept, expected);
        assert_eq!(state.headers.len(), 100);
    });
    // The offsets are those of the topic that the records came from.
    assert_eq!(rig.committed(0), Some(100));
    assert!(rig.kinds().contains(&TaskEventKind::Topic("t".into())));
}

#[test]
fn a_sink_commits_past_records_that_a_filter_drops() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    let values = |number: i32| if number % 2 == 0 { "\"kept\"".to_owned() } else { "null".to_owned() };
    rig.produce("t", 0, &(0..101).map(values).chain(["null".to_owned()]).collect::<Vec<_>>());
    let keeper = Keeper::new();
    let mut spec = rig.keeper(&keeper, 0);
    spec.converters = json();
    let plugin = plugins::registry().predicate("RecordIsTombstone").unwrap().clone();
    let condition = PredicateChoice { plugin, settings: Settings::new(), negate: false };
    spec.transforms = vec![TransformChoice { condition: Some(condition), ..transform("Filter", &[]) }];
    let task = rig.start(1, spec);
    keeper.wait_for(51);
    wait_until("the commit of all records", || (rig.committed(0) == Some(102), rig.committed(0)));
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    keeper.0.change(|state| {
        let offsets: Vec<i64> = state.kept.iter().map(|(_, offset, _)| *offset).collect();
        assert_eq!(offsets, (0..51).map(|number| number * 2).collect::<Vec<i64>>());
    });
}

#[test]
fn a_record_that_cannot_be_transformed_fails_the_task_or_is_left_out() {
    let message = "Caused by: org.apache.kafka.connect.errors.DataException: Only Map objects supported in absence of \
                   schema for [field extraction], found: java.lang.String";
    let fails = || vec![transform("ExtractField$Value", &[("field", "a")])];
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    let lines = Lines::new("t", numbered(10));
    let mut spec = rig.lines(&lines);
    spec.transforms = fails();
    rig.start(1, spec);
    let trace = rig.wait_for_failure(1);
    let first = "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler: stage \
                 TRANSFORMATION with class org.apache.kafka.connect.transforms.ExtractField$Value failed for ";
    assert!(trace.starts_with(first) && trace.contains(message), "{trace}");

    rig.produce("t", 0, &numbered(10));
    let keeper = Keeper::new();
    let mut spec = rig.keeper(&keeper, 0);
    spec.transforms = fails();
    rig.start(2, spec.clone());
    let trace = rig.wait_for_failure(2);
    assert!(trace.starts_with(first) && trace.contains(message), "{trace}");

    spec.errors.tolerance = Tolerance::All;
    let task = rig.start(3, spec);
    wait_until("the commit of what was left out", || (rig.committed(0) == Some(10), rig.committed(0)));
    task.stop();
    rig.wait_for(3, &TaskEventKind::Stopped);
    keeper.0.change(|state| assert!(state.kept.is_empty(), "{state:?}"));
}

#[test]
fn a_transform_that_cannot_be_made_fails_the_task_before_it_starts() {
    let rig = Rig::new();
    let lines = Lines::new("t", numbered(10));
    let mut spec = rig.lines(&lines);
    spec.transforms = vec![transform("InsertField$Value", &[])];
    rig.start(1, spec);
    assert_eq!(
        rig.wait_for_failure(1),
        "org.apache.kafka.connect.errors.ConnectException: org.apache.kafka.common.config.ConfigException: No field \
         insertion configured\nCaused by: org.apache.kafka.common.config.ConfigException: No field insertion \
         configured\n"
    );
    lines.with(|state| assert!(state.started_at.is_empty(), "the plug-in was not touched"));
}
