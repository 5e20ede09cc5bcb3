//! From creation to deletion, when all goes well.

use super::world::{World, bad, good, none};
use crate::herder::msg::{HerderError, Request, Written};
use crate::herder::view::ConnectorKind;
use crate::store::config_state::TargetState;
use crate::task::TaskEventKind;

#[test]
fn a_connector_is_created_and_then_its_tasks() {
    let mut world = World::ready();
    world.hang("start a-0");
    let info = good(&world.create("a", None));
    assert_eq!(
        world.log(),
        "validate a, write a, start a, tasks a, write 1 tasks of a, start a-0",
        "a creation is answered before its tasks have started"
    );
    assert_eq!((info.name.as_str(), info.tasks.len(), info.kind), ("a", 1, ConnectorKind::Source));
    assert_eq!(info.config["topic"], "t");
    assert_eq!(world.status("a"), "RUNNING", "a task has no status before it runs");
    world.let_go("start a-0");
    assert_eq!(world.status("a"), "RUNNING 0:RUNNING");
}

#[test]
fn a_name_is_taken_once() {
    let mut world = World::running("a", 1);
    let taken = HerderError::Conflict("Connector a already exists".to_owned());
    assert_eq!(bad(&world.create("a", None)), taken);
    world.hang("validate b");
    let (first, second) = (world.create("b", None), world.create("b", None));
    world.let_go("validate b");
    good(&first);
    assert_eq!(bad(&second).to_string(), "Connector b already exists");
}

#[test]
fn an_invalid_connector_is_refused_and_changes_nothing() {
    let mut world = World::running("a", 1);
    world.fail("validate a");
    world.fail("validate b");
    assert_eq!(bad(&world.create("b", None)).to_string(), "b is invalid");
    assert_eq!(bad(&world.put("a", &[("topic", "u")])).to_string(), "a is invalid");
    assert_eq!(world.log(), "validate b, validate a");
    assert_eq!((world.status("a").as_str(), world.status("b").as_str()), ("RUNNING 0:RUNNING", "gone"));
}

#[test]
fn put_makes_what_was_not_there_and_says_so() {
    let mut world = World::ready();
    let (written, info) = good(&world.put("a", &[("tasks.max", "2")]));
    assert_eq!((written, info.tasks.len()), (Written::Created, 2));
    let (written, info) = good(&world.put("a", &[("tasks.max", "3")]));
    assert_eq!((written, info.tasks.len()), (Written::Updated, 3));
    assert_eq!(world.status("a"), "RUNNING 0:RUNNING 1:RUNNING 2:RUNNING");
}

#[test]
fn a_failed_start_is_told_and_leaves_the_connector_failed() {
    let mut world = World::ready();
    world.fail("start a");
    assert_eq!(
        bad(&world.create("a", None)).to_string(),
        "Failed to start connector: a: cannot start a",
        "the first line of the trace is enough"
    );
    assert_eq!(world.status("a"), "FAILED");
    world.let_go("start a");
    good(&world.put("a", &[]));
    assert_eq!(world.status("a"), "RUNNING 0:RUNNING");
}

#[test]
fn patch_merges_into_what_is_there() {
    let mut world = World::running("a", 2);
    let changes = [("topic".to_owned(), Some("u".to_owned())), ("tasks.max".to_owned(), None)];
    let patch = world.ask(|reply| Request::Patch { name: "a".into(), changes: changes.into(), reply });
    let (written, info) = good(&patch);
    assert_eq!((written, info.tasks.len()), (Written::Updated, 1));
    assert_eq!((info.config.get("tasks.max"), info.config["topic"].as_str()), (None, "u"));
    assert_eq!(world.started["a-0"].settings["topic"], "u");
    let patch = world.ask(|reply| Request::Patch { name: "b".into(), changes: [].into(), reply });
    assert_eq!(bad(&patch), HerderError::NotFound("Connector b not found".to_owned()));
}

#[test]
fn two_patches_at_the_same_time_both_count() {
    let mut world = World::running("a", 1);
    world.hang("validate a");
    let patch = |world: &mut World, key: &str| {
        let changes = [(key.to_owned(), Some("set".to_owned()))];
        world.ask(|reply| Request::Patch { name: "a".into(), changes: changes.into(), reply })
    };
    let (first, second) = (patch(&mut world, "x"), patch(&mut world, "y"));
    world.let_go("validate a");
    good(&first);
    let (_, info) = good(&second);
    let settings = |key: &str| info.config.get(key).map(String::as_str);
    assert_eq!((settings("x"), settings("y")), (Some("set"), Some("set")));
}

#[test]
fn pause_ends_the_connector_and_rests_its_tasks() {
    let mut world = World::running("a", 2);
    good(&world.target("a", TargetState::Paused));
    assert_eq!(world.log(), "write a Paused, stop a, pause a-0, pause a-1");
    assert_eq!(world.status("a"), "PAUSED 0:PAUSED 1:PAUSED");
    good(&world.target("a", TargetState::Paused));
    assert_eq!(world.log(), "write a Paused", "pausing twice does nothing more");
    good(&world.target("a", TargetState::Started));
    assert_eq!(world.log(), "write a Started, start a, resume a-0, resume a-1, tasks a");
    assert_eq!(world.status("a"), "RUNNING 0:RUNNING 1:RUNNING");
}

#[test]
fn stop_takes_the_tasks_away_and_resume_makes_them_again() {
    let mut world = World::running("a", 2);
    good(&world.stop("a"));
    assert_eq!(world.log(), "write 0 tasks of a, write a Stopped, stop a-0, stop a-1, stop a");
    assert_eq!((world.status("a").as_str(), world.tasks("a")), ("STOPPED", 0));
    good(&world.stop("a"));
    assert_eq!(world.log(), "write 0 tasks of a, write a Stopped");
    good(&world.target("a", TargetState::Started));
    assert_eq!(world.log(), "write a Started, start a, tasks a, write 2 tasks of a, start a-0, start a-1");
    assert_eq!(world.status("a"), "RUNNING 0:RUNNING 1:RUNNING");
}

#[test]
fn a_stop_is_answered_when_nothing_runs_any_more() {
    let mut world = World::running("a", 1);
    world.hang("stop a-0");
    let stop = world.stop("a");
    none(&stop);
    world.let_go("stop a-0");
    good(&stop);
}

#[test]
fn a_connector_can_begin_paused_or_stopped() {
    for (target, status) in [(TargetState::Paused, "PAUSED"), (TargetState::Stopped, "STOPPED")] {
        let mut world = World::ready();
        good(&world.create("a", Some(target)));
        assert_eq!((world.log().as_str(), world.status("a").as_str()), ("validate a, write a", status));
        good(&world.target("a", TargetState::Started));
        assert_eq!(world.status("a"), "RUNNING 0:RUNNING");
    }
}

#[test]
fn a_delete_is_answered_when_nothing_is_left() {
    let mut world = World::running("a", 1);
    world.hang("stop a");
    let delete = world.delete("a");
    none(&delete);
    assert_eq!((world.log().as_str(), world.status("a").as_str()), ("remove a, stop a, stop a-0", "gone"));
    world.let_go("stop a");
    good(&delete);
    assert_eq!(bad(&world.delete("a")), HerderError::NotFound("Connector a not found".to_owned()));
}

#[test]
fn what_is_not_there_is_said_in_the_words_of_each_request() {
    let mut world = World::ready();
    let not_found = |message: &str| HerderError::NotFound(message.to_owned());
    assert_eq!(bad(&world.target("a", TargetState::Paused)), not_found("Unknown connector a"));
    assert_eq!(bad(&world.stop("a")), not_found("Unknown connector a"));
    assert_eq!(bad(&world.restart("a")), not_found("Unknown connector: a"));
    assert_eq!(bad(&world.restart_task("a", 0)), not_found("Unknown connector: a"));
    assert_eq!(bad(&world.delete("a")), not_found("Connector a not found"));
    let info = world.ask(|reply| Request::Info("a".into(), reply));
    assert_eq!(bad(&info), not_found("Connector a not found"));
    let tasks = world.ask(|reply| Request::Tasks("a".into(), reply));
    assert_eq!(bad(&tasks), not_found("Connector a not found"));
    let offsets = world.ask(|reply| Request::Offsets("a".into(), reply));
    assert_eq!(bad(&offsets), not_found("Connector a not found"));
    good(&world.ask(|reply| Request::ResetTopics("a".into(), reply)));
}

#[test]
fn topics_are_shown_until_they_are_reset_or_the_connector_is_deleted() {
    let mut world = World::running("a", 1);
    for topic in ["u", "t", "u"] {
        world.task_reports("a", 0, TaskEventKind::Topic(topic.into()));
    }
    assert_eq!(world.topics("a"), ["t", "u"]);
    world.log();
    good(&world.ask(|reply| Request::ResetTopics("a".into(), reply)));
    assert!(world.topics("a").is_empty());
    assert_eq!(world.log(), "topics a-0", "what it uses from now on is told anew");
    world.task_reports("a", 0, TaskEventKind::Topic("t".into()));
    world.hang("stop a");
    let _delete = world.delete("a");
    let _create = world.create("a", None);
    assert!(world.topics("a").is_empty(), "the topics of the deleted one");
}

#[test]
fn what_has_a_class_that_is_not_here_fails_with_all_its_tasks() {
    let mut world = World::running("a", 1);
    let gone = ("connector.class", "gone.Connector");
    let why = "Failed to start connector: a: This worker has no connector class of the configured name; see GET \
               /connector-plugins";
    assert_eq!(bad(&world.put("a", &[gone])).to_string(), why);
    assert_eq!(
        (world.log().as_str(), world.status("a").as_str()),
        ("validate a, write a, stop a", "FAILED 0:RUNNING")
    );
    assert_eq!(bad(&world.restart_task("a", 0)).to_string(), "Failed to start task: a-0");
    assert_eq!((world.log().as_str(), world.status("a").as_str()), ("stop a-0", "FAILED 0:FAILED"));
    good(&world.put("a", &[]));
    assert_eq!(world.status("a"), "RUNNING 0:RUNNING");
    good(&world.put("b", &[]));
    bad(&world.put("b", &[gone]));
    good(&world.delete("b"));
}

#[test]
fn a_connector_that_is_resumed_is_shown_at_rest_until_it_runs() {
    for (target, shown) in [(TargetState::Paused, "PAUSED 0:RUNNING"), (TargetState::Stopped, "STOPPED")] {
        let mut world = World::running("a", 1);
        match target {
            TargetState::Stopped => good(&world.stop("a")),
            TargetState::Paused | TargetState::Started => good(&world.target("a", target)),
        }
        world.hang("start a");
        good(&world.target("a", TargetState::Started));
        assert_eq!(world.status("a"), shown);
        world.let_go("start a");
        assert_eq!(world.status("a"), "RUNNING 0:RUNNING");
    }
}
