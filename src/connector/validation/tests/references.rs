//! What is shown of settings whose values config providers give.

use super::*;

const NOT_SHOWN: &str = "The message quotes what a config provider gave, and is not shown.";

#[test]
fn settings_are_shown_as_they_were_written() {
    let draft = source(&[
        ("topic", "${env:TOPIC}"),
        ("odd", "1"),
        ("producer.override.client.id", "x-${env:TOPIC}"),
        ("value.converter", "JsonConverter"),
        ("value.converter.cache", "${env:NUMBER}"),
        ("secret", "${env:SECRET}"),
        ("errors.retry.timeout", "${env:UNSET}"),
    ]);
    let infos = infos(&draft);
    let table = [
        ("topic", Some("${env:TOPIC}")),
        ("producer.override.client.id", Some("x-${env:TOPIC}")),
        ("value.converter", Some("x.JsonConverter")),
        ("value.converter.cache", Some("${env:NUMBER}")),
        ("secret", Some("[hidden]")),
        ("errors.retry.timeout", None),
    ];
    for (key, shown) in table {
        assert_eq!(value(&infos, key).value.as_deref(), shown, "{key}");
    }
    let unset = "Invalid value ${env:UNSET} for configuration errors.retry.timeout: Not a number of type LONG \
                 (${env:UNSET} stands there as it is written: the environment variable UNSET is not set)";
    assert_eq!(errors(&infos), [("errors.retry.timeout", unset), ("topic", "It is odd.")]);
}

#[test]
fn messages_hold_references_in_place_of_values() {
    let secret = "${env:SECRET}";
    let names_secret = [("topic", secret), ("quote", "yes")];
    let queue = |topics| sink(&[topics, ("errors.deadletterqueue.topic.name", "${env:SHORT}")]);
    let table: [(Draft, &[&str]); 6] = [
        (
            source(&[("tasks.max", secret)]),
            &["Invalid value ${env:SECRET} for configuration tasks.max: Not a number of type INT"],
        ),
        (source(&names_secret), &["Invalid value ${env:SECRET} for configuration topic: It is odd."]),
        (source(&[("topic", secret), ("quote", "part")]), &[NOT_SHOWN]),
        (
            queue(("topics", "a,d")),
            &[
                "The DLQ topic '${env:SHORT}' may not be included in the list of topics ('topics=[a, ${env:SHORT}]') \
                 consumed by the connector",
            ],
        ),
        (
            queue(("topics.regex", ".*")),
            &[
                "The DLQ topic '${env:SHORT}' may not be matched by the regex for the topics ('topics.regex=.*') \
                 consumed by the connector",
            ],
        ),
        (source(&[("producer.override.jmx.port", secret)]), &["librdkafka has no such setting"]),
    ];
    assert_messages(&table);
    let complaint = validator(OverridePolicy::All).check(&table[0].0).unwrap_err().to_string();
    assert!(complaint.contains("Invalid value ${env:SECRET} for configuration tasks.max"), "{complaint}");
}

#[test]
fn what_cannot_be_validated_at_all_tells_no_value_either() {
    let given = |list: &str, required: &str| {
        format!(
            "Configuration '{list}' is ${{env:SECRET}}: each alias that a config provider gives must have a setting \
             '{required}'."
        )
    };
    let table = [
        (
            ("connector.class", "${env:SECRET}"),
            "Failed to find any class that implements Connector and which name matches ${env:SECRET}, available \
             connectors are: x.MySinkConnector, x.MySourceConnector"
                .to_owned(),
        ),
        (
            ("connector.class", "${env:UNSET}"),
            "Failed to find any class that implements Connector and which name matches ${env:UNSET}, available \
             connectors are: x.MySinkConnector, x.MySourceConnector (${env:UNSET} stands there as it is written: the \
             environment variable UNSET is not set)"
                .to_owned(),
        ),
        (("connector.plugin.version", "[${env:SECRET}"), "Unbounded range: [${env:SECRET}".to_owned()),
        (("transforms", "${env:SECRET}"), given("transforms", "transforms.ALIAS.type")),
        (("predicates", "${env:SECRET}"), given("predicates", "predicates.ALIAS.type")),
        (("topic.creation.groups", "${env:SECRET}"), given("topic.creation.groups", "topic.creation.ALIAS.include")),
    ];
    for (entry, expected) in table {
        let error = validator(OverridePolicy::All).check(&source(&[entry])).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let known = source(&[("transforms", "${env:SHORT}"), ("transforms.d.type", "x.T")]);
    let message =
        "Invalid value x.T for configuration transforms.${env:SHORT}.type: Class x.T could not be found.";
    assert_messages(&[(known, &[message])]);
}
