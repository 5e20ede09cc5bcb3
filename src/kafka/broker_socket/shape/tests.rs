//! The shapes against answers made by them, and against bytes that are none.

use bytes::Buf;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, ApiVersionsRequest, DescribeProducersRequest, DescribeTransactionsRequest,
    EndTxnRequest, FindCoordinatorRequest, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest,
    MetadataRequest, OffsetDeleteRequest, SaslAuthenticateRequest, SaslHandshakeRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::Decodable;
use proptest::prelude::*;

use super::super::api::Ask;
use super::*;

#[test]
fn a_list_must_fit_into_the_bytes() {
    // JoinGroup 0: error, generation, protocol, leader, member, then a list that says it has two thousand million.
    let mut body = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    body.extend(i32::MAX.to_be_bytes());
    let check = |body: &[u8]| JOIN_GROUP.check(0, &Bytes::copy_from_slice(body)).map(|body| body.to_vec());
    assert_eq!(check(&body), Err(Misshapen::EndsTooSoon));
    let end = body.len();
    body[end - 4..].copy_from_slice(&(-2_i32).to_be_bytes());
    assert_eq!(check(&body), Err(Misshapen::Length));
    body[end - 4..].copy_from_slice(&[0; 4]);
    assert_eq!(check(&body), Ok(body.clone()));
    let whole = body.clone();
    body.push(7);
    assert_eq!(check(&body), Err(Misshapen::LeftOver(1)));
    // Nulls become empty, but for the protocol, which may be null.
    body.pop();
    body[6..].copy_from_slice(&[0xFF; 10]);
    let mended = check(&body).unwrap();
    assert_eq!((&mended[..6], &mended[6..8], &mended[8..]), (&whole[..6], &[0xFF; 2][..], &whole[8..]));
}

#[test]
fn lists_are_bounded_even_if_the_bytes_are_there() {
    let count = ELEMENTS_MAX as i32 + 1;
    let mut body = vec![0, 0];
    body.extend(count.to_be_bytes());
    body.resize(6 + 2 * count as usize, 0);
    assert_eq!(SASL_HANDSHAKE.check(1, &body.into()), Err(Misshapen::TooMany));
    assert_eq!(after_tags(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0, 0]), Err(Misshapen::EndsTooSoon));
    assert_eq!(after_tags(&[0xFF, 0xFF, 0xFF, 0xFF, 0x7F]), Err(Misshapen::Length));
    assert_eq!(after_tags(&[0x80, 0]), Err(Misshapen::Length), "a number has one form");
    assert_eq!(after_tags(&[1, 9, 2, 0, 0, 42]), Ok(&[42][..]));
}

#[test]
fn a_list_in_a_tagged_field_is_checked_too() {
    // ApiVersions 3: no error, no APIs, no throttling, one tagged field.
    let check = |tag: u8, value: &[u8]| {
        let body = [&[0, 0, 1, 0, 0, 0, 0, 1, tag, value.len() as u8][..], value].concat();
        API_VERSIONS.check(3, &body.into()).map(drop)
    };
    assert_eq!(check(0, &[1]), Ok(()));
    assert_eq!(check(0, &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]), Err(Misshapen::EndsTooSoon));
    assert_eq!(check(0, &[2]), Err(Misshapen::EndsTooSoon));
    assert_eq!(check(0, &[1, 0]), Err(Misshapen::LeftOver(1)));
    assert_eq!(check(9, &[1, 0]), Ok(()));
}

/// Writes an answer of a shape; `choices` decides how long things are and which are null.
struct Sample<'a> {
    choices: &'a mut dyn Iterator<Item = u8>,
    version: i16,
    flexible: bool,
    bytes: Vec<u8>,
}

impl Sample<'_> {
    fn fields(&mut self, fields: &[Field]) {
        let version = self.version;
        for field in fields.iter().filter(|it| (it.since..=it.until).contains(&version)) {
            self.field(field.kind);
        }
    }

    fn field(&mut self, kind: Kind) {
        let length = usize::from(self.choices.next().unwrap_or(1) % 4);
        // The longest stands for null.
        let length = (length < 3).then_some(length);
        match kind {
            Kind::Fixed(count) => self.bytes.extend(std::iter::repeat_n(0, count)),
            Kind::Text | Kind::NullableText | Kind::Bytes => {
                self.length(kind, length);
                self.bytes.extend(std::iter::repeat_n(b'x', length.unwrap_or(0)));
            }
            Kind::Numbers(bytes) => {
                self.length(kind, length);
                self.bytes.extend(std::iter::repeat_n(0, bytes * length.unwrap_or(0)));
            }
            Kind::List(element) => {
                self.length(kind, length);
                for _ in 0..length.unwrap_or(0) {
                    self.fields(element);
                    self.tags(&[]);
                }
            }
        }
    }

    fn length(&mut self, kind: Kind, length: Option<usize>) {
        let number = length.map_or(-1, |length| length as i32);
        if self.flexible {
            self.bytes.push((number + 1) as u8);
        } else if matches!(kind, Kind::Text | Kind::NullableText) {
            self.bytes.extend((number as i16).to_be_bytes());
        } else {
            self.bytes.extend(number.to_be_bytes());
        }
    }

    fn tags(&mut self, known: &[(u32, Kind)]) {
        if !self.flexible {
            return;
        }
        self.bytes.push(known.len() as u8 + 1);
        for (tag, kind) in known {
            let outer = std::mem::take(&mut self.bytes);
            self.field(*kind);
            let value = std::mem::replace(&mut self.bytes, outer);
            self.bytes.extend([*tag as u8, value.len() as u8]);
            self.bytes.extend(value);
        }
        self.bytes.extend([77, 1, 0]);
    }
}

/// What a shape allows can be decoded, to the last byte, in every version that is spoken.
fn agrees<R: Ask>(choices: &[u8]) {
    let versions = R::API.versions();
    for version in versions.min..=versions.max {
        let flexible = version >= R::ANSWER.flexible_since;
        let mut choices = choices.iter().copied();
        let mut sample = Sample { choices: &mut choices, version, flexible, bytes: Vec::new() };
        sample.fields(R::ANSWER.fields);
        sample.tags(R::ANSWER.tagged);
        let bytes = Bytes::from(sample.bytes);
        let mut mended = R::ANSWER.check(version, &bytes).unwrap_or_else(|why| panic!("{version}: {why}"));
        R::Answer::decode(&mut mended, version).unwrap_or_else(|why| panic!("{version}: {why}"));
        assert_eq!(mended.remaining(), 0, "{:?} {version}", R::API);
    }
}

/// Bytes that are no answer are refused by one of the two, without harm.
fn survives<R: Ask>(bytes: &Bytes) {
    let versions = R::API.versions();
    for version in versions.min..=versions.max {
        if let Ok(mut mended) = R::ANSWER.check(version, bytes) {
            drop(R::Answer::decode(&mut mended, version));
        }
    }
}

macro_rules! each {
    ($check:ident, $argument:expr) => {
        $check::<ApiVersionsRequest>($argument);
        $check::<SaslHandshakeRequest>($argument);
        $check::<SaslAuthenticateRequest>($argument);
        $check::<MetadataRequest>($argument);
        $check::<FindCoordinatorRequest>($argument);
        $check::<JoinGroupRequest>($argument);
        $check::<SyncGroupRequest>($argument);
        $check::<HeartbeatRequest>($argument);
        $check::<LeaveGroupRequest>($argument);
        $check::<OffsetDeleteRequest>($argument);
        $check::<DescribeTransactionsRequest>($argument);
        $check::<DescribeProducersRequest>($argument);
        $check::<AddPartitionsToTxnRequest>($argument);
        $check::<EndTxnRequest>($argument);
    };
}

proptest! {
    #[test]
    fn the_shapes_are_those_of_the_decoders(choices in prop::collection::vec(any::<u8>(), 0..60)) {
        each!(agrees, &choices);
    }

    #[test]
    fn no_bytes_do_harm(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0_u8..4, Just(0xFF)], 0..80)) {
        let bytes = Bytes::from(bytes);
        each!(survives, &bytes);
    }
}
