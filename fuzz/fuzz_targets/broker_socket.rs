//! What a broker says to the group's connection, under any bytes: no panic, no allocation that the bytes do not account
//! for, and no other outcome when they come one by one.
#![no_main]

use herdsman::config::client::ClientSettings;
use herdsman::kafka::broker_socket::ConnectionSettings;
use herdsman::kafka::broker_socket::api::Api;
use herdsman::kafka::broker_socket::conversation::{Answer, Conversation, Heard};
use herdsman::stdx::time::Clock;
use kafka_protocol::messages::{
    FindCoordinatorRequest, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, OffsetDeleteRequest,
    SyncGroupRequest,
};
use libfuzzer_sys::fuzz_target;

const LOGINS: [&[(&str, &str)]; 4] = [
    &[],
    &[("sasl.mechanism", "PLAIN")],
    &[("sasl.mechanism", "SCRAM-SHA-256")],
    &[
        ("sasl.mechanism", "OAUTHBEARER"),
        ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
        ("sasl.oauthbearer.config", "principal=alice"),
    ],
];

/// A broker whose frames are right and whose answers are any bytes.
struct Broker {
    conversation: Conversation,
    read: Vec<String>,
}

impl Broker {
    fn new(login: &[(&str, &str)]) -> Self {
        let protocol = if login.is_empty() { "plaintext" } else { "sasl_plaintext" };
        let name = [("security.protocol", protocol), ("sasl.username", "alice"), ("sasl.password", "secret")];
        let settings: ClientSettings = name.iter().chain(login).copied().collect();
        let settings = ConnectionSettings::from_client("fuzz", &settings).expect("they are right");
        let mut conversation = Conversation::of("broker".into(), &settings);
        conversation.begin().expect("nothing was said yet");
        Broker { conversation, read: Vec::new() }
    }

    /// Answers the oldest request that it sees; `false` once the conversation is over.
    fn answer(&mut self, body: &[u8], piece: usize) -> bool {
        let unsent = self.conversation.unsent();
        let Some(length) = unsent.first_chunk::<4>() else { return false };
        let length = u32::from_be_bytes(*length) as usize;
        let mut frame = (body.len() as u32 + 4).to_be_bytes().to_vec();
        frame.extend(&unsent[8..12]);
        frame.extend(body);
        self.conversation.sent(4 + length);
        let mut heard = Vec::new();
        for piece in frame.chunks(piece) {
            if let Err(fault) = self.conversation.received(Clock.now(), piece, &mut heard) {
                self.read.push(fault.to_string());
                return false;
            }
        }
        heard.iter().for_each(|heard| match heard {
            Heard::Ready => self.ask_all(),
            Heard::Answer(answer) => self.read.push(decoded(answer)),
        });
        true
    }

    fn ask_all(&mut self) {
        // Those that the broker has no version of are refused.
        drop(self.conversation.ask(|_| FindCoordinatorRequest::default()));
        drop(self.conversation.ask(|_| JoinGroupRequest::default()));
        drop(self.conversation.ask(|_| SyncGroupRequest::default()));
        drop(self.conversation.ask(|_| HeartbeatRequest::default()));
        drop(self.conversation.ask(|_| LeaveGroupRequest::default()));
        drop(self.conversation.ask(|_| OffsetDeleteRequest::default()));
    }
}

fn decoded(answer: &Answer) -> String {
    match answer.api {
        Api::FindCoordinator => format!("{:?}", answer.decode::<FindCoordinatorRequest>()),
        Api::JoinGroup => format!("{:?}", answer.decode::<JoinGroupRequest>()),
        Api::SyncGroup => format!("{:?}", answer.decode::<SyncGroupRequest>()),
        Api::Heartbeat => format!("{:?}", answer.decode::<HeartbeatRequest>()),
        Api::LeaveGroup => format!("{:?}", answer.decode::<LeaveGroupRequest>()),
        Api::OffsetDelete => format!("{:?}", answer.decode::<OffsetDeleteRequest>()),
        Api::SaslHandshake | Api::ApiVersions | Api::SaslAuthenticate => String::new(),
    }
}

fn talk(login: &[(&str, &str)], mut bytes: &[u8], piece: usize) -> Vec<String> {
    let mut broker = Broker::new(login);
    while let Some((length, rest)) = bytes.split_first() {
        let (body, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        if !broker.answer(body, piece) {
            break;
        }
        bytes = rest;
    }
    broker.read
}

fuzz_target!(|bytes: &[u8]| {
    let Some((login, bytes)) = bytes.split_first() else { return };
    let login = LOGINS[usize::from(*login) % LOGINS.len()];
    // The first message of SCRAM is another each time.
    if login.first() == Some(&("sasl.mechanism", "SCRAM-SHA-256")) {
        drop(talk(login, bytes, 1));
    } else {
        assert_eq!(talk(login, bytes, 1), talk(login, bytes, usize::MAX));
    }
    // Bytes without a right frame.
    let settings = ConnectionSettings::from_client("fuzz", &ClientSettings::default()).expect("they are right");
    let mut conversation = Conversation::of("broker".into(), &settings);
    conversation.begin().expect("nothing was said yet");
    drop(conversation.received(Clock.now(), bytes, &mut Vec::new()));
});
