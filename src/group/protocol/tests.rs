//! Tables of what is read and written, and properties: what is written is read back, no bytes panic.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const VERSIONS: [ProtocolVersion; 3] =
    [ProtocolVersion::Eager, ProtocolVersion::Compatible, ProtocolVersion::Sessioned];

fn task(connector: &str, index: u32) -> TaskId {
    TaskId { connector: connector.into(), index }
}

fn sample() -> Assignment {
    Assignment {
        error: AssignmentError::None,
        leader: "L1".into(),
        leader_url: "http://b:8083/".to_owned(),
        config_offset: ConfigOffset::new(17),
        connectors: vec!["src".into()],
        tasks: vec![task("src", 1), task("other", 0)],
        revoked_connectors: vec!["old".into()],
        revoked_tasks: vec![task("old", 2)],
        delay: Duration::from_secs(60),
    }
}

#[test]
fn a_setting_offers_what_it_says_and_what_others_may_need() {
    let offered = |protocol: ConnectProtocol| -> Vec<(&str, i16)> {
        protocol.offers().iter().map(|version| (version.name(), version.header())).collect()
    };
    assert_eq!(offered(ConnectProtocol::Eager), [("default", 0)]);
    assert_eq!(offered(ConnectProtocol::Compatible), [("compatible", 1), ("default", 0)]);
    let sessioned = [("sessioned", 2), ("compatible", 1), ("default", 0)];
    assert_eq!(offered(ConnectProtocol::Sessioned), sessioned);
}

#[test]
fn a_name_on_the_wire_is_one_version() {
    for version in VERSIONS {
        assert_eq!(ProtocolVersion::from_name(version.name()), Some(version));
    }
    assert_eq!(ProtocolVersion::from_name("eager"), None);
}

#[test]
fn an_assignment_may_end_before_its_last_fields_and_nowhere_else() {
    let whole = sample();
    let bytes = whole.encode(ProtocolVersion::Sessioned).unwrap();
    let none = Assignment { delay: Duration::ZERO, ..whole.clone() };
    let no_revoked = Assignment { revoked_connectors: vec![], revoked_tasks: vec![], ..none.clone() };
    let no_work = Assignment { connectors: vec![], tasks: vec![], ..no_revoked.clone() };
    let work = 4 + (2 + 3 + 4 + 4 + 4) + (2 + 5 + 4 + 4);
    let revoked = 4 + (2 + 3 + 4 + 4 + 4);
    let ends = [
        (bytes.len() - 4 - revoked - work, no_work),
        (bytes.len() - 4 - revoked, no_revoked),
        (bytes.len() - 4, none),
        (bytes.len(), whole),
    ];
    for length in 0..=bytes.len() {
        let read = Assignment::decode(&bytes[..length]);
        match ends.iter().find(|(end, _)| *end == length) {
            Some((_, expected)) => assert_eq!(read.as_ref(), Ok(expected), "{length}"),
            None => assert!(matches!(read, Err(DecodeError::CutShort(_))), "{length}: {read:?}"),
        }
    }
}

#[test]
fn metadata_may_end_before_its_allocation_and_nowhere_else() {
    let whole = Metadata {
        url: "http://a:8083/".to_owned(),
        config_offset: ConfigOffset::new(17),
        allocation: Some(sample()),
    };
    let bytes = whole.encode(ProtocolVersion::Compatible).unwrap();
    let end = whole.encode(ProtocolVersion::Eager).unwrap().len();
    for length in 0..bytes.len() {
        let read = Metadata::decode(&bytes[..length]);
        if length == end {
            assert_eq!(read, Ok(Metadata { allocation: None, ..whole.clone() }));
        } else {
            assert!(matches!(read, Err(DecodeError::CutShort(_))), "{length}: {read:?}");
        }
    }
    assert_eq!(Metadata::decode(&[&bytes[..], b"more"].concat()), Ok(whole));
}

#[test]
fn what_no_writer_means_is_refused_by_name() {
    // Version, error, leader "L", url "u", offset 0, then one element for connector "c".
    let before = b"\x00\x02\x00\x00\x00\x01L\x00\x01u\0\0\0\0\0\0\0\0\x00\x00\x00\x01\x00\x01c";
    let with = |rest: &[u8]| Assignment::decode(&[before, rest].concat()).unwrap_err().to_string();
    assert_eq!(with(b"\x00\x00\x00\x01\xFF\xFF\xFF\xFE"), "connector c has no task -2");
    assert_eq!(with(b"\xFF\xFF\xFF\xFF"), "the assignment has a negative length");
    assert_eq!(with(b"\x7F\xFF\xFF\xFF"), "the bytes end before the end of the assignment");
    let error = |bytes: &[u8]| Metadata::decode(bytes).unwrap_err().to_string();
    assert_eq!(error(b"\xFF\xFF"), "version -1 is negative");
    assert_eq!(error(b"\x00\x00\xFF\xFF"), "the url has a negative length");
    assert_eq!(error(b"\x00\x00\x00\x01\xFF"), "the url is not UTF-8");
    // An allocation that is there must be whole.
    let empty = b"\x00\x01\x00\x01u\0\0\0\0\0\0\0\0\x00\x00\x00\x00";
    assert_eq!(error(empty), "the bytes end before the end of the version");
}

#[test]
fn numbers_that_mean_nothing_mean_none() {
    let mut bytes = sample().encode(ProtocolVersion::Sessioned).unwrap();
    let delay = bytes.len() - 4;
    bytes[delay..].copy_from_slice(&(-5_i32).to_be_bytes());
    assert_eq!(Assignment::decode(&bytes).unwrap().delay, Duration::ZERO);
    bytes[2..4].copy_from_slice(&(-7_i16).to_be_bytes());
    assert_eq!(Assignment::decode(&bytes).unwrap().error, AssignmentError::Other(-7));
}

#[test]
fn what_a_version_cannot_express_is_refused_by_name() {
    let error = |assignment: &Assignment, version| assignment.encode(version).unwrap_err().to_string();
    let long = "u".repeat(32768);
    assert_eq!(
        error(&Assignment { leader_url: long.clone(), ..sample() }, ProtocolVersion::Sessioned),
        "the leader's url has a text of 32768 bytes, 32767 at most"
    );
    assert_eq!(
        error(&Assignment { connectors: vec![long.as_str().into()], ..sample() }, ProtocolVersion::Eager),
        "the assignment has a text of 32768 bytes, 32767 at most"
    );
    assert_eq!(
        error(&Assignment { tasks: vec![task("c", 1 << 31)], ..sample() }, ProtocolVersion::Sessioned),
        "task c-2147483648 has a number above 2147483647"
    );
    assert_eq!(error(&sample(), ProtocolVersion::Eager), "the protocol `default` knows no revocation");
    let delayed = Assignment { revoked_connectors: vec![], revoked_tasks: vec![], ..sample() };
    assert_eq!(error(&delayed, ProtocolVersion::Eager), "the protocol `default` knows no delay");
}

#[test]
fn what_is_held_is_what_was_held_and_not_revoked_after_what_is_new() {
    let before = Assignment {
        connectors: vec!["a".into(), "old".into(), "src".into()],
        tasks: vec![task("a", 0), task("old", 2), task("old", 1), task("src", 1)],
        ..sample()
    };
    let mut after = sample();
    after.augment(&before);
    assert_eq!(after.connectors, ["src".into(), "a".into()]);
    assert_eq!(after.tasks, [task("src", 1), task("other", 0), task("a", 0), task("old", 1)]);
    assert_eq!((after.revoked_tasks, after.delay), (sample().revoked_tasks, sample().delay));
}

/// Connectors and tasks without repetition, the tasks of each connector together, as a reader lists them.
fn any_work() -> impl Strategy<Value = (Vec<ConnectorName>, Vec<TaskId>)> {
    let element = (any::<bool>(), prop::collection::btree_set(0..=i32::MAX.unsigned_abs(), 0..4));
    prop::collection::btree_map("[a-c\u{e9}-]{0,6}", element, 0..5).prop_map(|elements| {
        let mut elements: Vec<_> = elements.into_iter().collect();
        elements.sort_by_key(|(_, (itself, _))| !itself);
        let name = |name: &str| ConnectorName::from(name);
        let connectors = elements.iter().filter(|(_, (itself, _))| *itself).map(|(n, _)| name(n)).collect();
        let tasks = elements.iter().flat_map(|(n, (_, tasks))| tasks.iter().map(|&index| task(n, index)));
        (connectors, tasks.collect())
    })
}

fn any_assignment(version: ProtocolVersion) -> impl Strategy<Value = Assignment> {
    let delay = any::<i32>().prop_map(|delay| u64::from(delay.unsigned_abs() & 0x7FFF_FFFF));
    (any::<i16>(), ".{0,8}", ".{0,8}", any::<i64>(), any_work(), any_work(), delay).prop_map(
        move |(error, leader, leader_url, offset, work, revoked, delay)| {
            let (revoked, delay) =
                if version.is_cooperative() { (revoked, delay) } else { Default::default() };
            Assignment {
                error: AssignmentError::from_code(error),
                leader: leader.as_str().into(),
                leader_url,
                config_offset: ConfigOffset::new(offset),
                connectors: work.0,
                tasks: work.1,
                revoked_connectors: revoked.0,
                revoked_tasks: revoked.1,
                delay: Duration::from_millis(delay),
            }
        },
    )
}

fn any_metadata(version: ProtocolVersion) -> impl Strategy<Value = Metadata> {
    let held = any_assignment(version).prop_map(Some);
    let held =
        if version.is_cooperative() { prop_oneof![held, Just(None)].boxed() } else { Just(None).boxed() };
    (".{0,8}", any::<i64>(), held).prop_map(|(url, offset, allocation)| Metadata {
        url,
        config_offset: ConfigOffset::new(offset),
        allocation,
    })
}

fn any_version() -> impl Strategy<Value = ProtocolVersion> {
    prop::sample::select(&VERSIONS[..])
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        (version, assignment, metadata) in
            any_version().prop_flat_map(|v| (Just(v), any_assignment(v), any_metadata(v))),
        more in vec(any::<u8>(), 0..4),
    ) {
        let more = if version.is_cooperative() { more } else { vec![] };
        let bytes = |written: Result<Vec<u8>, EncodeError>| [written.unwrap(), more.clone()].concat();
        prop_assert_eq!(Assignment::decode(&bytes(assignment.encode(version))), Ok(assignment));
        prop_assert_eq!(Metadata::decode(&bytes(metadata.encode(version))), Ok(metadata));
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..60)) {
        drop((Assignment::decode(&bytes), Metadata::decode(&bytes)));
    }

    /// What is nearly right gets further than what is not; and what is read can be written, and is read alike.
    #[test]
    fn no_changed_byte_panics(
        metadata in any_metadata(ProtocolVersion::Sessioned),
        changes in vec(any::<(prop::sample::Index, u8)>(), 1..4),
    ) {
        let mut bytes = metadata.encode(ProtocolVersion::Sessioned).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(read) = Metadata::decode(&bytes) {
            let written = read.encode(ProtocolVersion::Sessioned).unwrap();
            let again = Metadata::decode(&written).unwrap();
            prop_assert_eq!(again.encode(ProtocolVersion::Sessioned).unwrap(), written);
        }
    }
}
