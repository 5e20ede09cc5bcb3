//! The page `docs/reference/metrics.md`, made from the tables that `GET /metrics` is made of.

use std::fmt::Write as _;

use super::clients::{self, ClientAttribute};
use super::names::{self, Bean, Names};
use super::own::Own;
use super::table::{self, Row};
use super::{own, process};

/// How the tables of the page begin.
const HEAD: &str = "| Name | Type | Unit | Meaning |\n|---|---|---|---|\n";

const INTRODUCTION: &str = "\
# Metrics

`GET /metrics` has all of these as text for Prometheus (format 0.0.4); how to scrape it is in
[the guide](../guide/metrics.md).

Apache's attributes have the names that the JMX exporter's example for Kafka Connect gives them, as Strimzi has it;
`GET /metrics?names=confluent` has the names of Confluent's rules, whose beginnings are told below. Rates, averages,
greatest values and shares are of the latest `metrics.num.samples` windows of `metrics.sample.window.ms`. A number that is
not known is left out. Attributes that are texts are samples of the value 1 with the text as a label of the attribute's
name. Totals of a task count from its start, those of the worker from its own.
";

/// The page, without the line that says how it is made.
#[must_use]
pub fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    let rows = table::rows();
    let mut beans: Vec<Bean> = Vec::new();
    for row in &rows {
        if !beans.contains(&row.bean) {
            beans.push(row.bean);
        }
    }
    for bean in beans {
        section(&mut page, bean, rows.iter().filter(|row| row.bean == bean));
    }
    app_info(&mut page);
    client_attributes(&mut page);
    ours(&mut page, "herdsman's own", own::ALL);
    stages(&mut page);
    ours(&mut page, "The process", process::ALL);
    page
}

fn section<'a>(page: &mut String, bean: Bean, rows: impl Iterator<Item = &'a Row>) {
    let whose = match bean {
        Bean::Worker => "The worker",
        Bean::WorkerConnector => "Tasks of a connector on this worker",
        Bean::Rebalance => "Rebalances of the group",
        Bean::Coordinator => "The member of the group",
        Bean::Connector => "Connectors",
        Bean::Task => "Tasks",
        Bean::SourceTask => "Source tasks",
        Bean::SinkTask => "Sink tasks",
        Bean::TaskError => "Errors of tasks",
        Bean::Transform => "Transforms of tasks",
        Bean::Predicate => "Predicates of tasks",
    };
    let [strimzi, confluent] =
        [Names::Strimzi, Names::Confluent].map(|names| names::of_number(names, bean, ""));
    line(page, format_args!("\n## {whose}\n"));
    let labels = match bean.label_names() {
        [] => "No labels".to_owned(),
        names => format!("Labels: {}", code(names)),
    };
    let of_worker =
        if bean == Bean::Worker { ", which have the label `connector=\"aggregate\"`" } else { "" };
    let note = format_args!(
        "Apache's `{}`. {labels}. With `?names=confluent`: `{confluent}…` in place of `{strimzi}…`{of_worker}.\n",
        bean.type_name()
    );
    line(page, note);
    page.push_str(HEAD);
    for row in rows {
        let name = names::of_number(Names::Strimzi, bean, row.name);
        line(page, format_args!("| `{name}` | {} | {} | {} |", row.kind.name(), row.unit, row.meaning));
    }
}

fn app_info(page: &mut String) {
    page.push_str(
        "\n## What the worker is\n\n\
         Apache's `app-info`. Labels: `clientid`, and what the name says. With `?names=confluent` these are the labels \
         `version`, `commit_id` and `start_time_ms` of `kafka_connect_app_info`, and of `kafka_connect_app`, as it is called \
         where version 1 of the JMX exporter reads the rules.\n\n",
    );
    page.push_str(HEAD);
    page.push_str(
        "| `kafka_connect_version_info` | gauge | text | The version of the worker. |\n\
         | `kafka_connect_commit_id_info` | gauge | text | The commit that the worker was built from. |\n\
         | `kafka_connect_start_time_seconds` | gauge | s | When the worker began, since 1970. |\n",
    );
}

fn client_attributes(page: &mut String) {
    page.push_str(
        "\n## Clients of tasks\n\n\
         Of producers and consumers, where `metrics.clients.interval.ms` has them told: they are as old as that at most. Tasks \
         with equal settings share a producer, and clients of one id count together. Label: `clientid`; with `?names=confluent` \
         `client_type` and `client_id`.\n\n\
         | Name | With `?names=confluent` | Type | Unit | Meaning |\n|---|---|---|---|---|\n",
    );
    for attribute in clients::ALL {
        let [strimzi, confluent] = [Names::Strimzi, Names::Confluent].map(|names| attribute.family(names));
        let ClientAttribute { kind, unit, meaning, .. } = attribute;
        let kind = kind.name();
        line(page, format_args!("| `{strimzi}` | `{confluent}` | {kind} | {unit} | {meaning} |"));
    }
}

fn ours(page: &mut String, title: &str, families: &[Own]) {
    line(page, format_args!("\n## {title}\n"));
    page.push_str("| Name | Type | Labels | Unit | Meaning |\n|---|---|---|---|---|\n");
    for Own { name, kind, labels, unit, meaning } in families {
        let (kind, labels) = (kind.name(), code(labels));
        line(page, format_args!("| `{name}` | {kind} | {labels} | {unit} | {meaning} |"));
    }
}

fn stages(page: &mut String) {
    page.push_str(
        "\nThe label `stage`, and what `GET /health?verbose=true` says in its place:\n\n\
         | `stage` | The worker is currently |\n|---|---|\n",
    );
    for stage in own::stages() {
        line(page, format_args!("| `{}` | {stage} |", own::stage_word(&stage)));
    }
}

fn code(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Writing to a `String` cannot fail.
fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    let _infallible = writeln!(page, "{text}");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::reference::{MADE, check_page};
    use crate::health::Stage;

    #[test]
    fn the_page_of_metrics_is_fresh() {
        check_page("metrics.md", &format!("{MADE}\n\n{}", page()));
    }

    #[test]
    fn each_stage_is_listed_once_in_the_words_of_both() {
        let page = page();
        let stages = own::stages();
        for stage in &stages {
            let row = format!("| `{}` | {stage} |\n", own::stage_word(stage));
            assert_eq!(page.matches(&row).count(), 1, "{row}");
        }
        let words: BTreeSet<_> = stages.iter().map(own::stage_word).collect();
        assert_eq!(words.len(), stages.len(), "a word for each: {words:?}");
    }

    #[test]
    fn the_guide_explains_each_stage_that_a_start_may_have() {
        let guide = include_str!("../../docs/guide/health.md");
        let no_part = |stage: &Stage| matches!(stage, Stage::Handling(_) | Stage::ShuttingDown);
        for stage in own::stages().iter().filter(|stage| !no_part(stage)) {
            let words = stage.to_string();
            let fixed = words.split('…').next().unwrap_or_default();
            assert!(guide.contains(&format!("`{fixed}")), "docs/guide/health.md does not explain '{words}'");
        }
    }

    #[test]
    fn every_row_has_as_many_cells_as_its_head() {
        let mut columns = 0;
        for row in page().lines() {
            let cells = row.matches('|').count();
            assert!(columns == 0 || cells == 0 || cells == columns, "{row}");
            columns = cells;
        }
    }
}
