//! Tests of the conversation against a broker that is played by hand, byte by byte.

use kafka_protocol::messages::{FindCoordinatorRequest, HeartbeatRequest};

use super::*;
use crate::config::client::ClientSettings;
use crate::stdx::time::Clock;

/// A broker at the other end: takes requests apart, and answers in bytes.
struct Played {
    conversation: Conversation,
    heard: Vec<Heard>,
}

/// A request as the broker sees it.
struct Seen {
    api: i16,
    version: i16,
    correlation: i32,
    rest: Vec<u8>,
}

impl Played {
    fn new(login: &[(&str, &str)]) -> Self {
        let settings: ClientSettings = login.iter().copied().collect();
        let settings = ConnectionSettings::from_client("me", &settings).unwrap();
        let mut conversation = Conversation::of("b:1".into(), &settings);
        conversation.begin().unwrap();
        Played { conversation, heard: Vec::new() }
    }

    /// One that was asked for its versions and speaks these.
    fn speaking(login: &[(&str, &str)], ranges: &[(Api, i16, i16)]) -> Self {
        let mut played = Played::new(login);
        let asked = played.seen();
        played.answer(asked.correlation, &versions_3(ranges)).unwrap();
        played
    }

    fn seen(&mut self) -> Seen {
        let unsent = self.conversation.unsent();
        let length = u32::from_be_bytes(unsent[..4].try_into().unwrap()) as usize;
        let frame = unsent[4..4 + length].to_vec();
        self.conversation.sent(4 + length);
        let int16 = |at: usize| i16::from_be_bytes(frame[at..at + 2].try_into().unwrap());
        assert_eq!(&frame[8..12], [0, 2, b'm', b'e'], "the client id");
        Seen {
            api: int16(0),
            version: int16(2),
            correlation: i32::from_be_bytes(frame[4..8].try_into().unwrap()),
            rest: frame[12..].to_vec(),
        }
    }

    fn answer(&mut self, correlation: i32, body: &[u8]) -> Result<(), SocketFault> {
        let mut frame = (body.len() as u32 + 4).to_be_bytes().to_vec();
        frame.extend(correlation.to_be_bytes());
        frame.extend(body);
        self.conversation.received(Clock.now(), &frame, &mut self.heard)
    }

    fn is_ready(&self) -> bool {
        matches!(self.heard.last(), Some(Heard::Ready))
    }
}

fn versions_0(error: i16, ranges: &[(Api, i16, i16)]) -> Vec<u8> {
    let mut body = error.to_be_bytes().to_vec();
    body.extend((ranges.len() as i32).to_be_bytes());
    for (api, min, max) in ranges {
        [api.key(), *min, *max].iter().for_each(|number| body.extend(number.to_be_bytes()));
    }
    body
}

fn versions_3(ranges: &[(Api, i16, i16)]) -> Vec<u8> {
    let mut body = vec![0, 0, ranges.len() as u8 + 1];
    for (api, min, max) in ranges {
        [api.key(), *min, *max].iter().for_each(|number| body.extend(number.to_be_bytes()));
        body.push(0);
    }
    body.extend([0, 0, 0, 0, 0]);
    body
}

const HEARTBEATS: &[(Api, i16, i16)] = &[(Api::Heartbeat, 0, 9), (Api::FindCoordinator, 7, 8)];

fn beat(_: i16) -> HeartbeatRequest {
    HeartbeatRequest::default()
}

#[test]
fn versions_are_asked_for_in_a_form_that_old_brokers_understand() {
    let mut new = Played::speaking(&[], HEARTBEATS);
    assert!(new.is_ready() && !new.conversation.is_waiting());

    let mut old = Played::new(&[]);
    let asked = old.seen();
    assert_eq!((asked.api, asked.version), (18, 3));
    assert!(asked.rest.windows(8).any(|it| it == b"herdsman"));
    // Whatever it was asked in, it refuses in version 0.
    old.answer(asked.correlation, &versions_0(35, &[(Api::ApiVersions, 0, 2)])).unwrap();
    let again = old.seen();
    assert_eq!((again.api, again.version, again.rest.len()), (18, 2, 0));
    let mut answer = versions_0(0, &[(Api::Heartbeat, 0, 1)]);
    answer.extend([0; 4]);
    old.answer(again.correlation, &answer).unwrap();
    assert!(old.is_ready());
    old.conversation.ask(beat).unwrap();
    assert_eq!(old.seen().version, 1);

    // The second is what librdkafka's mock cluster says.
    for refusal in [versions_0(35, &[]), b"\0\x23\x01\0\x12\0\0\0\x02\0\0\0\0".to_vec()] {
        let mut older = Played::new(&[]);
        let asked = older.seen();
        older.answer(asked.correlation, &refusal).unwrap();
        assert_eq!(older.seen().version, 0);
    }
    assert_eq!(new.conversation.ask(beat).unwrap(), 1);
}

#[test]
fn the_highest_common_version_is_spoken_and_none_is_told() {
    let mut played = Played::speaking(&[], HEARTBEATS);
    played.conversation.ask(beat).unwrap();
    assert_eq!(played.seen().version, 4);
    let told = played.conversation.ask(|_| FindCoordinatorRequest::default()).unwrap_err();
    assert_eq!(told.kind(), Kind::Unsupported);
    assert_eq!(
        told.to_string(),
        "broker b:1: it speaks versions 7 to 8 of FindCoordinator, this worker 0 to 6"
    );
    let early = Played::new(&[]).conversation.ask(beat).unwrap_err();
    assert_eq!(early.kind(), Kind::Bug);
}

#[test]
fn answers_come_in_the_order_of_the_requests() {
    for (number, told) in [(1, "an older request (number 1)"), (4, "a later request (number 4)")] {
        let mut played = Played::speaking(&[], HEARTBEATS);
        let first = played.conversation.ask(beat).unwrap();
        let second = played.conversation.ask(beat).unwrap();
        assert_eq!((first, second), (1, 2));
        played.answer(1, &[0; 8]).unwrap();
        let fault = played.answer(number, &[0; 8]).unwrap_err().to_string();
        assert!(fault.contains(told) && fault.contains("Heartbeat (number 2)"), "{fault}");
    }
    let mut played = Played::speaking(&[], HEARTBEATS);
    let fault = played.answer(1, &[0; 8]).unwrap_err().to_string();
    assert!(fault.contains("that nobody asked for"), "{fault}");
}

#[test]
fn an_answer_is_read_to_its_last_byte() {
    // Version 4: tagged fields of the header, throttling, error, tagged fields.
    for (body, expected) in [
        (&[0, 0, 0, 0, 9, 0, 27, 0][..], Ok(27)),
        (&[0, 0, 0, 0, 9, 0, 27, 0, 0][..], Err("1 bytes are left over")),
        (&[0, 0, 0, 0, 9, 0, 27][..], Err("it ends too soon")),
    ] {
        let mut played = Played::speaking(&[], HEARTBEATS);
        let correlation = played.conversation.ask(beat).unwrap();
        played.answer(correlation, body).unwrap();
        let Some(Heard::Answer(answer)) = played.heard.last() else { panic!("no answer") };
        match (answer.decode::<HeartbeatRequest>(), expected) {
            (Ok(read), Ok(code)) => assert_eq!(read.error_code, code),
            (Err(fault), Err(told)) => assert!(fault.to_string().contains(told), "{fault}"),
            (read, _) => panic!("{read:?}"),
        }
        assert_eq!(answer.decode::<FindCoordinatorRequest>().unwrap_err().kind(), Kind::Bug);
    }
}

const PLAIN: &[(&str, &str)] = &[
    ("security.protocol", "sasl_plaintext"),
    ("sasl.mechanism", "PLAIN"),
    ("sasl.username", "alice"),
    ("sasl.password", "s3cret"),
];
const LOGINS: &[(Api, i16, i16)] =
    &[(Api::Heartbeat, 0, 4), (Api::SaslHandshake, 0, 1), (Api::SaslAuthenticate, 0, 1)];

#[test]
fn a_login_comes_before_all_requests_and_can_be_renewed() {
    let mut played = Played::speaking(PLAIN, LOGINS);
    for round in 0..2 {
        let named = played.seen();
        assert_eq!((named.api, named.version, &named.rest[..]), (17, 1, &b"\0\x05PLAIN"[..]));
        if round == 1 {
            played.conversation.ask(beat).unwrap();
            assert!(played.conversation.unsent().is_empty(), "a request waits for the login");
        }
        played.answer(named.correlation, b"\0\0\0\0\0\x01\0\x05PLAIN").unwrap();
        let login = played.seen();
        assert_eq!((login.api, login.version), (36, 1));
        assert_eq!(login.rest, b"\0\0\0\x0d\0alice\0s3cret");
        played.answer(login.correlation, b"\0\0\xFF\xFF\0\0\0\0\0\0\0\0\0\0\x0b\xb8").unwrap();
        assert!(played.is_ready());
        assert_eq!(played.conversation.take_login_lasts(), Some(Duration::from_secs(3)));
        assert_eq!(played.conversation.take_login_lasts(), None);
        if round == 0 {
            played.conversation.renew_login().unwrap();
        }
    }
    assert_eq!(played.seen().api, 12, "the request that waited");
    played.conversation.renew_login().unwrap();
    assert!(played.conversation.unsent().is_empty(), "an answer is awaited: not now");
}

#[test]
fn a_refused_login_says_why() {
    let mut played = Played::speaking(PLAIN, LOGINS);
    let named = played.seen();
    let fault = played.answer(named.correlation, b"\0\x21\0\0\0\x01\0\x06GSSAPI").unwrap_err();
    assert_eq!(fault.kind(), Kind::Authentication);
    assert!(fault.to_string().contains("mechanism PLAIN") && fault.to_string().contains("GSSAPI"), "{fault}");

    let mut played = Played::speaking(PLAIN, LOGINS);
    let named = played.seen();
    played.answer(named.correlation, b"\0\0\0\0\0\0").unwrap();
    let login = played.seen();
    let refusal = b"\0\x3a\0\x04No!\n\0\0\0\0\0\0\0\0\0\0\0\0";
    let fault = played.answer(login.correlation, refusal).unwrap_err().to_string();
    assert!(fault.contains("SaslAuthenticationFailed No!\\n. Check sasl.mechanism"), "{fault}");
    assert!(!fault.contains("s3cret"));
}

#[test]
fn a_frame_that_is_long_is_refused_before_the_login() {
    let mut played = Played::new(PLAIN);
    let length = (SETUP_FRAME_BYTES_MAX as u32 + 1).to_be_bytes();
    let fault = played.conversation.received(Clock.now(), &length, &mut played.heard).unwrap_err();
    assert_eq!(fault.kind(), Kind::Protocol);
    let mut played = Played::speaking(&[], HEARTBEATS);
    played.conversation.received(Clock.now(), &length, &mut played.heard).unwrap();
}
