//! A worker within the test's own process.

use std::fs;

use herdsman::api::Settings;
use herdsman::{Health, StartError, Worker};
use tempfile::TempDir;

use crate::folder_source::FolderSource;
use crate::json_files_sink::JsonFilesSink;
use crate::redact::Redact;
use crate::{SOON, wait_for};

fn settings(pairs: &[(&str, &str)]) -> Settings {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Settings of a worker whose offsets are in this folder.
fn worker_settings(folder: &TempDir) -> Settings {
    let converter = "org.apache.kafka.connect.storage.StringConverter";
    let offsets = folder.path().join("offsets");
    settings(&[
        ("key.converter", converter),
        ("value.converter", converter),
        ("offset.storage.file.filename", offsets.to_str().unwrap()),
        ("offset.flush.interval.ms", "200"),
    ])
}

#[test]
fn records_pass_from_a_source_to_a_sink_through_a_transform() {
    let folder = TempDir::new().unwrap();
    let (lines, out) = (folder.path().join("in"), folder.path().join("out"));
    fs::create_dir(&lines).unwrap();
    fs::create_dir(&out).unwrap();
    fs::write(lines.join("cards"), "4000 1234\n4000 5678\n").unwrap();
    let source = settings(&[
        ("connector.class", "FolderSource"),
        ("folder", lines.to_str().unwrap()),
        ("topic", "cards"),
        ("transforms", "r"),
        ("transforms.r.type", "Redact"),
        ("transforms.r.keep", "4"),
    ]);
    let sink = settings(&[
        ("connector.class", "com.example.JsonFilesSinkConnector"),
        ("folder", out.to_str().unwrap()),
        ("topics", "cards"),
    ]);
    let builder = Worker::builder().source(FolderSource).sink(JsonFilesSink).transform(Redact);
    let worker = builder
        .standalone(worker_settings(&folder))
        .embedded_kafka()
        .connector("cards", source)
        .connector("files", sink)
        .start()
        .unwrap();
    assert_eq!(worker.health(SOON), Health::Healthy);
    let url = format!("{}/connectors/cards/status", worker.url());
    let status = ureq::get(&url).call().unwrap().body_mut().read_to_string().unwrap();
    let version = format!("\"version\":\"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(status.contains(&version), "{status}");
    let file = out.join("cards-0.jsonl");
    let written =
        wait_for("two lines", || fs::read_to_string(&file).ok().filter(|lines| lines.lines().count() == 2));
    assert_eq!(
        written,
        "{\"topic\":\"cards\",\"offset\":0,\"key\":null,\"value\":\"*****1234\"}\n\
         {\"topic\":\"cards\",\"offset\":1,\"key\":null,\"value\":\"*****5678\"}\n"
    );
    assert!(worker.bootstrap_servers().is_some());
    worker.stop();
    assert!(ureq::get(&url).call().is_err());
}

#[test]
fn a_worker_that_gives_up_says_why() {
    let folder = TempDir::new().unwrap();
    let source = settings(&[("connector.class", "FolderSource"), ("folder", "/nowhere"), ("topic", "t")]);
    let builder = Worker::builder().source(FolderSource);
    let standalone = builder.standalone(worker_settings(&folder)).embedded_kafka().connector("lost", source);
    let worker = standalone.start().unwrap();
    let Health::Ended(why) = worker.health(SOON) else { panic!("{:?}", worker.health(SOON)) };
    assert!(why.contains("folder names no folder"), "{why}");
}

#[test]
fn what_hinders_a_start_is_an_error() {
    let twice = Worker::builder().source(FolderSource).source(FolderSource);
    match twice.standalone(Settings::new()).start() {
        Err(StartError::Plugin(taken)) => assert_eq!(taken.class, "com.example.FolderSourceConnector"),
        other => panic!("{other:?}"),
    }
    let folder = TempDir::new().unwrap();
    let mut wrong = worker_settings(&folder);
    wrong.insert("offset.flush.interval.ms".to_owned(), "soon".to_owned());
    match Worker::builder().standalone(wrong).embedded_kafka().start() {
        Err(StartError::Settings(why)) => {
            assert!(why.to_string().contains("offset.flush.interval.ms"), "{why}")
        }
        other => panic!("{other:?}"),
    }
}
