//! What the groups of a connector say.

use super::*;

fn settings(pairs: &[(&str, &str)]) -> Settings {
    pairs.iter().map(|(key, value)| (format!("{PREFIX}{key}"), (*value).to_owned())).collect()
}

const DEFAULTS: [(&str, &str); 2] = [("default.replication.factor", "1"), ("default.partitions", "2")];

fn groups(pairs: &[(&str, &str)]) -> TopicGroups {
    TopicGroups::parse(&settings(&[&DEFAULTS[..], pairs].concat())).unwrap().unwrap()
}

/// Alias, partitions, replicas and settings that a topic gets.
fn planned(groups: &TopicGroups, topic: &str) -> String {
    let group = groups.group_of(topic).unwrap();
    let settings: Vec<_> = group.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let number = |number: Option<i32>| number.map_or_else(|| "broker".to_owned(), |count| count.to_string());
    let (partitions, replication) = (number(group.partitions), number(group.replication.map(i32::from)));
    format!("{} {partitions} {replication} {}", group.name, settings.join(",")).trim_end().to_owned()
}

fn errors(pairs: &[(&str, &str)]) -> Vec<String> {
    match TopicGroups::parse(&settings(pairs)) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.0.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_connector_that_says_nothing_creates_nothing() {
    assert!(TopicGroups::parse(&Settings::new()).unwrap().is_none());
    let other = Settings::from([("topics.creation.default.partitions".to_owned(), "1".to_owned())]);
    assert!(!is_used(&other));
    assert!(is_used(&settings(&[("groups", "")])));
}

#[test]
fn the_first_group_that_describes_a_topic_counts_and_the_default_group_is_last() {
    let groups = groups(&[
        ("groups", " compacted , default,wide,unsaid"),
        ("compacted.include", r"state-\w+, .*\.keyed"),
        ("compacted.exclude", "state-of.*"),
        ("compacted.partitions", "-1"),
        ("compacted.cleanup.policy", "compact"),
        ("wide.include", ".*,never"),
        ("wide.exclude", "narrow|state-of_art, small"),
        ("wide.partitions", "12"),
        ("wide.replication.factor", "-1"),
        ("default.retention.ms", "1000"),
        // Has no effect.
        ("default.include", "("),
        ("default.exclude", ".*"),
    ]);
    for (topic, expected) in [
        ("state-a", "compacted broker 1 cleanup.policy=compact"),
        ("x.keyed", "compacted broker 1 cleanup.policy=compact"),
        ("x.keyed2", "wide 12 broker"),
        ("state-of", "wide 12 broker"),
        ("state-of_art", "default 2 1 retention.ms=1000"),
        ("narrow", "default 2 1 retention.ms=1000"),
        ("narrower", "wide 12 broker"),
        ("small", "default 2 1 retention.ms=1000"),
    ] {
        assert_eq!(planned(&groups, topic), expected, "{topic}");
    }
}

#[test]
fn patterns_are_those_of_java() {
    let groups = groups(&[("groups", "a"), ("a.include", r"(?i)UP.*,\p{Lower}+_(?!x).*")]);
    for (topic, group) in [("upper", "a"), ("low_y", "a"), ("LOW_y", "a"), ("low_x", "default")] {
        assert_eq!(groups.group_of(topic).unwrap().name, group, "{topic}");
    }
}

#[test]
fn what_is_wrong_is_told_in_the_words_of_apache() {
    let replication = "Replication factor must be positive and not larger than the number of brokers in the Kafka \
        cluster, or -1 to use the broker's default";
    let partitions = "Number of partitions must be positive, or -1 to use the broker's default";
    let missing = |key| {
        format!("Missing required configuration \"topic.creation.default.{key}\" which has no default value.")
    };
    for number in ["0", "-2"] {
        assert_eq!(
            errors(&[("default.replication.factor", number), ("default.partitions", number)]),
            [
                format!("Invalid value {number} for configuration replication.factor: {replication}"),
                format!("Invalid value {number} for configuration partitions: {partitions}")
            ]
        );
    }
    assert_eq!(errors(&[("groups", "")]), [missing("replication.factor"), missing("partitions")]);
    assert_eq!(
        errors(&[("default.replication.factor", "many"), ("default.partitions", "1")]),
        [
            "Invalid value many for configuration topic.creation.default.replication.factor: Not a number of type SHORT"
        ]
    );
    assert_eq!(
        errors(&[("groups", "g"), ("default.replication.factor", "1"), ("default.partitions", "0")]),
        [format!("Invalid value 0 for configuration partitions: {partitions}")],
        "what others would have is told once"
    );
    let of_group = |pair| errors(&[&DEFAULTS[..], &[("groups", "g"), pair]].concat());
    assert_eq!(
        of_group(("g.partitions", "0")),
        [format!("Invalid value 0 for configuration partitions: {partitions}")]
    );
    let found = of_group(("g.include", "a,(b"));
    assert!(
        found.len() == 1
            && found[0].starts_with(
                "Invalid value [a, (b] for configuration include: Syntax error in regular expression: "
            ),
        "{found:?}"
    );
    assert_eq!(of_group(("g.exclude", "a,b")), [""; 0]);
}

#[test]
fn fields_stand_where_apache_has_them() {
    let def = define(&settings(&[&DEFAULTS[..], &[("groups", "g,default")]].concat()));
    let fields: Vec<_> = def
        .keys()
        .map(|key| {
            let group = key.group.as_deref().unwrap_or_default();
            let default = key.default_text().unwrap_or("required");
            format!("{} | {group} | {} | {} | {default}", key.name, key.order_in_group, key.display_name)
        })
        .collect();
    assert_eq!(
        fields,
        [
            "topic.creation.default.include | default: default | 0 | Inclusion Topic Pattern for default | .*",
            "topic.creation.default.exclude | default: default | 1 | Exclusion Topic Pattern for default | ",
            "topic.creation.default.replication.factor | default: default | 2 | Replication Factor for Topics in \
             default | required",
            "topic.creation.default.partitions | default: default | 3 | Partition Count for Topics in default | required",
            "topic.creation.g.include | Topic Creation: g: Topic Creation: g | 0 | Inclusion Topic Pattern for Topic \
             Creation: g | ",
            "topic.creation.g.exclude | Topic Creation: g: Topic Creation: g | 1 | Exclusion Topic Pattern for Topic \
             Creation: g | ",
            "topic.creation.g.replication.factor | Topic Creation: g: Topic Creation: g | 2 | Replication Factor for \
             Topics in Topic Creation: g | 1",
            "topic.creation.g.partitions | Topic Creation: g: Topic Creation: g | 3 | Partition Count for Topics in \
             Topic Creation: g | 2",
        ]
    );
}

#[test]
fn what_does_nothing_is_told() {
    assert_eq!(notes(&settings(&DEFAULTS)), [""; 0]);
    assert_eq!(
        notes(&settings(&[
            ("groups", "a,default"),
            ("a.partitions", "1"),
            ("b.partitions", "1"),
            ("b.x", "1")
        ])),
        [
            "'default' topic creation group always exists and does not need to be listed explicitly",
            "topic.creation.b.partitions, topic.creation.b.x do nothing: topic.creation.groups does not list their group",
        ]
    );
}

#[test]
fn a_topic_is_told_as_in_apache() {
    let groups = groups(&[("default.cleanup.policy", "compact"), ("default.partitions", "-1")]);
    let group = groups.group_of("t").unwrap();
    assert_eq!(
        group.new_topic("t"),
        "(name=t, numPartitions=default, replicationFactor=1, replicasAssignments=null, \
         configs={cleanup.policy=compact})"
    );
    assert_eq!(
        group.to_string(),
        "TopicCreationGroup{name='default', inclusionPattern=.*, exclusionPattern=, numPartitions=-1, \
         replicationFactor=1, otherConfigs={cleanup.policy=compact}}"
    );
}
