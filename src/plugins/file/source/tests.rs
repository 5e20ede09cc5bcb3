//! `FileStreamSource` on real files.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use tempfile::TempDir;

use super::*;

/// What the worker would have stored for the task.
struct Stored(Option<OffsetMap>);

impl SourceTaskContext for Stored {
    fn offset(&self, partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        assert_eq!(partition.iter().map(|(name, _)| name).collect::<Vec<_>>(), [FILENAME]);
        Ok(self.0.clone())
    }
}

struct Fixture {
    folder: TempDir,
    path: PathBuf,
    reader: Reader,
}

fn settings(path: &Path, more: &[(&str, &str)]) -> Settings {
    let file = path.to_str().unwrap();
    [("file", file), ("topic", "lines")]
        .iter()
        .chain(more)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn reader(path: &Path, position: Option<i64>, more: &[(&str, &str)]) -> Result<Reader> {
    let stored = Stored(position.map(|position| OffsetMap::of(POSITION, position)));
    let mut reader = Reader::new(&stored, &settings(path, more))?;
    reader.replaced_grace = Duration::ZERO;
    Ok(reader)
}

fn fixture(content: &[u8], position: Option<i64>, more: &[(&str, &str)]) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.txt");
    fs::write(&path, content).unwrap();
    let reader = reader(&path, position, more).unwrap();
    Fixture { folder, path, reader }
}

impl Fixture {
    fn append(&self, content: &[u8]) {
        OpenOptions::new().append(true).open(&self.path).unwrap().write_all(content).unwrap();
    }

    /// Text and position of each record of one poll.
    fn poll(&mut self) -> Vec<(String, Option<i64>)> {
        match self.reader.poll().unwrap() {
            PollOutcome::Records(records) => records.iter().map(text_and_position).collect(),
            PollOutcome::Idle(_) => vec![],
        }
    }

    #[track_caller]
    fn expect(&mut self, records: &[(&str, i64)]) {
        let expected: Vec<_> = records.iter().map(|(text, at)| ((*text).to_owned(), Some(*at))).collect();
        assert_eq!(self.poll(), expected);
    }
}

fn text_and_position(record: &SourceRecord) -> (String, Option<i64>) {
    let Value::String(text) = &record.value.value else { panic!("{record:?}") };
    let position = match record.source_offset.as_ref().and_then(|offset| offset.get(POSITION)) {
        Some(OffsetValue::Long(position)) => Some(*position),
        Some(OffsetValue::Null) => None,
        other => panic!("{other:?}"),
    };
    (text.to_string(), position)
}

#[test]
fn a_record_is_what_apache_makes_of_a_line() {
    let mut fixture = fixture(b"one\n", None, &[]);
    let PollOutcome::Records(records) = fixture.reader.poll().unwrap() else { panic!("idle") };
    let [record] = &records[..] else { panic!("{records:?}") };
    let file = fixture.path.to_str().unwrap();
    assert_eq!(*record.source_partition, OffsetMap::of(FILENAME, file));
    assert_eq!(record.source_offset, Some(OffsetMap::of(POSITION, 4)));
    assert_eq!((&*record.topic, record.partition), ("lines", None));
    assert_eq!(record.key, SchemaAndValue::null());
    assert_eq!(record.value.schema.as_deref(), Some(&Schema::new(SchemaKind::String)));
    assert_eq!(record.value.value, Value::string("one"));
    let age = Clock.now().wall.as_millisecond() - record.timestamp.unwrap();
    assert!((0..60_000).contains(&age), "{age} ms");
}

#[test]
fn appended_lines_come_and_a_partial_line_is_held_back() {
    let mut fixture = fixture(b"one\ntw", None, &[]);
    fixture.expect(&[("one", 4)]);
    fixture.expect(&[]);
    fixture.append(b"o\r\n\xC3\xA4\n");
    fixture.expect(&[("two", 9), ("\u{e4}", 12)]);
}

#[test]
fn a_task_goes_on_at_the_stored_position_also_behind_non_ascii_text() {
    let content = "\u{e4}\u{f6}\nnext\n".as_bytes();
    fixture(content, Some(5), &[]).expect(&[("next", 10)]);
    fixture(content, Some(10), &[]).expect(&[]);
    fixture(content, None, &[]).expect(&[("\u{e4}\u{f6}", 5), ("next", 10)]);
}

#[test]
fn a_batch_has_the_size_that_was_asked_for() {
    let mut fixture = fixture(b"a\nb\nc\n", None, &[(BATCH_SIZE, "2")]);
    fixture.expect(&[("a", 2), ("b", 4)]);
    fixture.expect(&[("c", 6)]);
    fixture.expect(&[]);
}

#[test]
fn a_poll_is_bounded_in_bytes_whatever_the_batch_size() {
    let line = [&b"x".repeat(99)[..], b"\n"].concat();
    let lines = 2 * POLL_BYTES_MAX as usize / line.len();
    let mut fixture = fixture(&line.repeat(lines), None, &[(BATCH_SIZE, "2147483647")]);
    let first = fixture.poll().len();
    assert!(first < lines, "{first}");
    assert_eq!(first + fixture.poll().len() + fixture.poll().len(), lines);
}

#[test]
fn waits_for_a_missing_file_and_longer_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("later.txt");
    let mut fixture = Fixture { reader: reader(&path, None, &[]).unwrap(), folder, path };
    let mut waits = Vec::new();
    for _ in 0..9 {
        let PollOutcome::Idle(wait) = fixture.reader.poll().unwrap() else { panic!("records") };
        waits.push(wait.as_millis());
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    assert!(matches!(fixture.reader.place, Place::Missing { warned: true, .. }));
    fs::write(&fixture.path, "here\n").unwrap();
    fixture.expect(&[("here", 5)]);
}

#[test]
fn a_truncated_file_is_read_again_and_what_was_begun_is_given() {
    let mut fixture = fixture(b"one\ntwo\nbeg", None, &[]);
    fixture.expect(&[("one", 4), ("two", 8)]);
    fs::write(&fixture.path, "new\n").unwrap();
    fixture.expect(&[("beg", 0), ("new", 4)]);
    fixture.append(b"more\n");
    fixture.expect(&[("more", 9)]);
}

#[test]
fn a_file_shorter_than_the_stored_position_is_read_from_its_beginning() {
    fixture(b"new\n", Some(1000), &[]).expect(&[("new", 4)]);
}

#[test]
fn a_file_that_takes_the_name_is_read_after_the_old_one() {
    let mut fixture = fixture(b"one\n", None, &[]);
    fixture.expect(&[("one", 4)]);
    fixture.append(b"two\nbeg");
    fs::rename(&fixture.path, fixture.folder.path().join("in.txt.1")).unwrap();
    fixture.expect(&[("two", 8)]);
    fixture.expect(&[]);
    fs::write(&fixture.path, "new\n").unwrap();
    fixture.expect(&[("beg", 0)]);
    fixture.expect(&[("new", 4)]);
}

#[test]
fn a_pipe_is_read_without_waiting_and_has_no_positions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut fixture = Fixture { reader: reader(&path, Some(1000), &[]).unwrap(), folder, path };
    assert_eq!(fixture.poll(), []);
    for line in ["a", "b"] {
        // Each writer closes the pipe; the next one goes on.
        fixture.append(format!("{line}\n").as_bytes());
        assert_eq!(fixture.poll(), [(line.to_owned(), None)]);
    }
    assert_eq!(fixture.poll(), []);
}

#[test]
fn the_last_line_of_a_stream_needs_no_end() {
    let (blocks, receiver) = crossbeam_channel::bounded(1);
    let mut fixture = fixture(b"", None, &[]);
    fixture.reader.place = Place::Open(Input::Stream(receiver));
    assert_eq!(fixture.poll(), []);
    blocks.send(b"a\nb".to_vec()).unwrap();
    assert_eq!(fixture.poll(), [("a".to_owned(), None)]);
    drop(blocks);
    assert_eq!(fixture.poll(), [("b".to_owned(), None)]);
    assert_eq!(fixture.poll(), []);
}

#[test]
fn a_line_without_end_is_an_error_before_it_fills_the_memory() {
    let mut fixture = fixture(&b"x".repeat(LINE_BYTES_MAX + 1), None, &[]);
    let error = fixture.reader.poll().unwrap_err();
    assert!(error.message().starts_with("A line at byte 0 is longer than 16777216 bytes"), "{error}");
    assert!(error.message().contains("in.txt") && !error.is_retriable());
}

#[test]
fn what_cannot_be_read_fails_and_says_what() {
    let folder = tempfile::tempdir().unwrap();
    let error = reader(folder.path(), None, &[]).unwrap().poll().unwrap_err();
    assert_eq!(error.message(), format!("Cannot open {}", folder.path().display()));
    let stored = Stored(Some(OffsetMap::of(POSITION, "7")));
    let error = Reader::new(&stored, &settings(folder.path(), &[])).err().unwrap();
    assert_eq!(error.message(), "Offset position is the incorrect type");
}

#[test]
fn settings_are_those_of_apache() {
    let def = FileStreamSource.config_def();
    let keys: Vec<_> =
        def.keys().map(|key| (key.name.as_str(), key.is_required(), key.default_text())).collect();
    assert_eq!(keys, [("file", false, None), ("topic", true, None), ("batch.size", false, Some("2000"))]);
    let error = |more: &[(&str, &str)]| {
        let mut settings = settings(Path::new("f"), more);
        settings.retain(|_, value| value != "absent");
        Reader::new(&Stored(None), &settings).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(
        error(&[("topic", "absent")]),
        "Missing required configuration \"topic\" which has no default value."
    );
    assert_eq!(error(&[("topic", " ")]), "Invalid value  for configuration topic: String must be non-empty");
    assert!(error(&[(BATCH_SIZE, "0")]).ends_with("Value must be at least 1"));
}

#[test]
fn one_task_gets_the_settings_of_the_connector() {
    struct Nobody;
    impl ConnectorContext for Nobody {
        fn request_task_reconfiguration(&self) {}
        fn raise_error(&self, error: ConnectError) {
            panic!("{error}");
        }
    }
    let settings = settings(Path::new("f"), &[("x", "y")]);
    let mut connector = FileStreamSource.connector();
    connector.start(Arc::new(Nobody), &settings).unwrap();
    assert_eq!(connector.task_configs(4).unwrap(), [settings]);
    connector.stop().unwrap();
}

#[test]
fn changes_of_offsets_are_checked() {
    let partition = OffsetMap::of(FILENAME, "f");
    let check = |settings: &Settings, partition: &OffsetMap, offset: Option<OffsetMap>| {
        FileStreamSource
            .alter_offsets(settings, &[(partition.clone(), offset)])
            .map_err(|error| error.message().to_owned())
    };
    let with_file = settings(Path::new("f"), &[]);
    let at = |value: OffsetValue| Some(OffsetMap::of(POSITION, value));
    assert_eq!(check(&with_file, &partition, at(3.into())), Ok(AlterOffsets::Checked));
    assert_eq!(check(&with_file, &OffsetMap::of("other", "f"), None), Ok(AlterOffsets::Checked));
    for (settings, partition, offset, message) in [
        (&settings(Path::new(""), &[]), &partition, None, "Offsets cannot be modified if the 'file'"),
        (&with_file, &partition, Some(OffsetMap::new()), "Offset objects should either be null or contain"),
        (
            &with_file,
            &partition,
            at("3".into()),
            "The value for the 'position' key in the offset is expected",
        ),
        (&with_file, &partition, at(OffsetValue::Null), "The value for the 'position' key in the offset is"),
        (
            &with_file,
            &partition,
            at((-1).into()),
            "The value for the 'position' key in the offset should be a",
        ),
        (&with_file, &OffsetMap::of("x", "f"), at(3.into()), "Partition objects should contain the key"),
    ] {
        let error = check(settings, partition, offset).unwrap_err();
        assert!(error.starts_with(message), "{error}");
    }
}
