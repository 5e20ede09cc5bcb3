//! What Connect's attributes are called in Prometheus: by the rules of one of the two exporters that published dashboards
//! are made for. See ADR 9.

use super::exposition::Labels;

/// Whose rules the names follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Names {
    /// The example of the JMX exporter for Connect, as Strimzi has it: `kafka_connect_source_task_…`.
    #[default]
    Strimzi,
    /// The rules of Confluent and of Strimzi's own reporter: `kafka_connect_source_task_metrics_…`.
    Confluent,
}

impl Names {
    /// The words of `GET /metrics?names=…`.
    pub const ALL: [(&'static str, Names); 2] =
        [("strimzi", Names::Strimzi), ("confluent", Names::Confluent)];

    /// The names of that word; `None` if there are none.
    pub fn from_word(word: &str) -> Option<Self> {
        Names::ALL.into_iter().find(|(name, _)| *name == word).map(|(_, names)| names)
    }
}

/// A kind of bean in which Apache's worker keeps attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bean {
    /// The worker itself.
    Worker,
    /// A connector's tasks on this worker.
    WorkerConnector,
    /// The rebalances of the group.
    Rebalance,
    /// The member of the group.
    Coordinator,
    /// A connector.
    Connector,
    /// A task of either kind.
    Task,
    /// A source task.
    SourceTask,
    /// A sink task.
    SinkTask,
    /// The errors of a task.
    TaskError,
    /// A transform of a task.
    Transform,
    /// A predicate of a task.
    Predicate,
}

impl Bean {
    /// Its `type` in Apache.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Bean::Worker | Bean::WorkerConnector => "connect-worker-metrics",
            Bean::Rebalance => "connect-worker-rebalance-metrics",
            Bean::Coordinator => "connect-coordinator-metrics",
            Bean::Connector => "connector-metrics",
            Bean::Task => "connector-task-metrics",
            Bean::SourceTask => "source-task-metrics",
            Bean::SinkTask => "sink-task-metrics",
            Bean::TaskError => "task-error-metrics",
            Bean::Transform => "connector-transform-metrics",
            Bean::Predicate => "connector-predicate-metrics",
        }
    }

    /// The labels that say whose it is.
    pub(super) fn label_names(self) -> &'static [&'static str] {
        match self {
            Bean::Worker | Bean::Rebalance => &[],
            Bean::WorkerConnector | Bean::Connector => &["connector"],
            Bean::Coordinator => &["clientid"],
            Bean::Task | Bean::SourceTask | Bean::SinkTask | Bean::TaskError => &["connector", "task"],
            Bean::Transform => &["connector", "task", "transform"],
            Bean::Predicate => &["connector", "task", "predicate"],
        }
    }
}

/// The name of an attribute that is a number.
pub(super) fn of_number(names: Names, bean: Bean, attribute: &str) -> String {
    let bean = match names {
        Names::Strimzi => {
            let short = bean.type_name().trim_end_matches("-metrics");
            short.strip_prefix("connect-").unwrap_or(short)
        }
        Names::Confluent => bean.type_name(),
    };
    format!("kafka_connect_{bean}_{attribute}").replace('-', "_")
}

/// The names of an attribute that is a text: it becomes a label of a sample that is 1.
pub(super) fn of_text(names: Names, bean: Bean, attribute: &str) -> Vec<String> {
    match (names, bean) {
        (Names::Strimzi, _) => vec![of_number(names, bean, attribute)],
        // Confluent's rules have one name for all texts of a connector, and none for those of a task; Strimzi's reporter
        // has a name for each.
        (Names::Confluent, Bean::Connector) => {
            let together = "kafka_connect_connector_metrics".to_owned();
            vec![together, format!("{}_info", of_number(names, bean, attribute))]
        }
        (
            Names::Confluent,
            Bean::Worker
            | Bean::WorkerConnector
            | Bean::Rebalance
            | Bean::Coordinator
            | Bean::Task
            | Bean::SourceTask
            | Bean::SinkTask
            | Bean::TaskError
            | Bean::Transform
            | Bean::Predicate,
        ) => vec![format!("{}_info", of_number(names, bean, attribute))],
    }
}

/// The labels of the worker itself.
pub(super) fn of_worker(names: Names) -> Labels {
    match names {
        Names::Strimzi => Labels::none(),
        Names::Confluent => Labels::none().with("connector", "aggregate"),
    }
}

/// The label that names a client of Kafka.
pub(super) fn client_label(names: Names) -> &'static str {
    match names {
        Names::Strimzi => "clientid",
        Names::Confluent => "client_id",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_rules() {
        let table = [
            (
                Bean::Worker,
                "connector-count",
                "worker_connector_count",
                "connect_worker_metrics_connector_count",
            ),
            (
                Bean::Rebalance,
                "completed-rebalances-total",
                "worker_rebalance_completed_rebalances_total",
                "connect_worker_rebalance_metrics_completed_rebalances_total",
            ),
            (
                Bean::Coordinator,
                "assigned-tasks",
                "coordinator_assigned_tasks",
                "connect_coordinator_metrics_assigned_tasks",
            ),
            (
                Bean::Task,
                "running-ratio",
                "connector_task_running_ratio",
                "connector_task_metrics_running_ratio",
            ),
            (
                Bean::SinkTask,
                "put-batch-avg-time-ms",
                "sink_task_put_batch_avg_time_ms",
                "sink_task_metrics_put_batch_avg_time_ms",
            ),
            (
                Bean::TaskError,
                "total-retries",
                "task_error_total_retries",
                "task_error_metrics_total_retries",
            ),
        ];
        for (bean, attribute, strimzi, confluent) in table {
            assert_eq!(of_number(Names::Strimzi, bean, attribute), format!("kafka_connect_{strimzi}"));
            assert_eq!(of_number(Names::Confluent, bean, attribute), format!("kafka_connect_{confluent}"));
        }
        assert_eq!(of_text(Names::Strimzi, Bean::Connector, "status"), ["kafka_connect_connector_status"]);
        assert_eq!(
            of_text(Names::Confluent, Bean::Connector, "status"),
            ["kafka_connect_connector_metrics", "kafka_connect_connector_metrics_status_info"]
        );
        assert_eq!(of_text(Names::Strimzi, Bean::Task, "status"), ["kafka_connect_connector_task_status"]);
    }
}
