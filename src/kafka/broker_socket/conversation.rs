//! What is said over one connection to a broker, without the connection: bytes come in, bytes go out.
//!
//! First the broker is asked which versions it speaks (KIP-511), then there is the login, if there is one; after that
//! any requests, each with a number, and their answers in the same order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, RequestHeader, SaslAuthenticateRequest, SaslHandshakeRequest,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes, VersionRange};

use super::super::security::{Login, LoginExchange};
use super::ConnectionSettings;
use super::api::{Api, Ask};
use super::fault::{SocketFault, SocketFaultKind as Kind};
use super::frames::{FRAME_BYTES_MAX, Frames, SETUP_FRAME_BYTES_MAX};
use super::shape;
use crate::stdx::time::Now;

/// The number of a request on its connection.
pub type CorrelationId = i32;

/// What came of the bytes of a broker.
#[derive(Debug)]
pub enum Heard {
    /// The broker has let us in: requests may be sent.
    Ready,
    /// It answers a request.
    Answer(Answer),
}

/// The answer to a request, not decoded yet.
#[derive(Debug)]
pub struct Answer {
    /// Which request.
    pub correlation: CorrelationId,
    /// Of which API.
    pub api: Api,
    broker: Arc<str>,
    version: i16,
    body: Bytes,
}

impl Answer {
    /// Decodes it as the answer to a request of this type, all of it.
    ///
    /// # Errors
    /// It is no such answer.
    pub fn decode<R: Ask>(&self) -> Result<R::Answer, SocketFault> {
        let Answer { api, broker, version, body, .. } = self;
        let fault = |kind, why: &dyn std::fmt::Display| {
            SocketFault::new(
                broker,
                kind,
                format!("its answer to {api:?} (version {version}) cannot be read: {why}"),
            )
        };
        if *api != R::API {
            return Err(fault(Kind::Bug, &format!("it was taken for one to {:?}", R::API)));
        }
        let mut rest = R::ANSWER.check(*version, body).map_err(|why| fault(Kind::Protocol, &why))?;
        let answer = R::Answer::decode(&mut rest, *version).map_err(|why| fault(Kind::Protocol, &why))?;
        match rest.remaining() {
            0 => Ok(answer),
            left => Err(fault(Kind::Protocol, &format!("{left} bytes are left over"))),
        }
    }
}

/// Both sides of a conversation with a broker. After an error it is over.
#[derive(Debug)]
pub struct Conversation {
    broker: Arc<str>,
    client_id: StrBytes,
    login: Option<Login>,
    step: Step,
    incoming: Frames,
    outgoing: BytesMut,
    /// Requests that wait for a login to be renewed.
    held: VecDeque<(Expected, BytesMut)>,
    expected: VecDeque<Expected>,
    next_correlation: CorrelationId,
    versions: BTreeMap<Api, VersionRange>,
    login_lasts: Option<Duration>,
}

#[derive(Debug)]
enum Step {
    AsksVersions,
    NamesMechanism,
    LogsIn(LoginExchange),
    Ready,
}

/// A request that is to be answered.
#[derive(Debug, Clone, Copy)]
struct Expected {
    correlation: CorrelationId,
    api: Api,
    version: i16,
    flexible_header: bool,
}

impl Conversation {
    /// A conversation in which nothing was said yet. `broker` is what messages call it.
    pub fn of(broker: Arc<str>, settings: &ConnectionSettings) -> Self {
        Conversation {
            broker,
            client_id: StrBytes::from_string(settings.client_id.clone()),
            login: settings.security.login.clone(),
            step: Step::AsksVersions,
            incoming: Frames::default(),
            outgoing: BytesMut::new(),
            held: VecDeque::new(),
            expected: VecDeque::new(),
            next_correlation: 0,
            versions: BTreeMap::new(),
            login_lasts: None,
        }
    }

    /// Says the first words.
    pub fn begin(&mut self) -> Result<(), SocketFault> {
        self.ask_versions(Api::ApiVersions.versions().max)
    }

    /// What is to be sent.
    pub fn unsent(&self) -> &[u8] {
        &self.outgoing
    }

    /// So many of those bytes were sent.
    pub fn sent(&mut self, count: usize) {
        self.outgoing.advance(count);
    }

    /// Whether a request is to be answered.
    pub fn is_waiting(&self) -> bool {
        !self.expected.is_empty() || !self.held.is_empty()
    }

    /// How long the broker lets this login be used, told once.
    pub fn take_login_lasts(&mut self) -> Option<Duration> {
        self.login_lasts.take()
    }

    /// Logs in once more over the same connection (KIP-368). Does nothing while a request is to be answered.
    pub fn renew_login(&mut self) -> Result<(), SocketFault> {
        match (&self.step, &self.login) {
            (Step::Ready, Some(_)) if !self.is_waiting() => self.name_mechanism(),
            (_, _) => Ok(()),
        }
    }

    /// Asks the broker, in the highest version that both sides speak. `make` makes the request for a version.
    ///
    /// # Errors
    /// There is no such version; it is too early to ask.
    pub fn ask<R: Ask>(&mut self, make: impl FnOnce(i16) -> R) -> Result<CorrelationId, SocketFault> {
        let (expected, frame) = self.encode(self.version(R::API)?, make)?;
        if matches!(self.step, Step::Ready) {
            self.say(expected, &frame);
        } else {
            self.held.push_back((expected, frame));
        }
        Ok(expected.correlation)
    }

    /// Takes bytes of the broker.
    ///
    /// # Errors
    /// They are not what a broker says, or it does not let us in.
    pub fn received(&mut self, now: Now, bytes: &[u8], heard: &mut Vec<Heard>) -> Result<(), SocketFault> {
        self.incoming.extend(bytes);
        loop {
            let is_ready = matches!(self.step, Step::Ready);
            let max = if is_ready { FRAME_BYTES_MAX } else { SETUP_FRAME_BYTES_MAX };
            match self.incoming.next(max) {
                Ok(None) => return Ok(()),
                Ok(Some(frame)) => self.frame(now, frame, heard)?,
                Err(why) => return Err(self.fault(Kind::Protocol, why)),
            }
        }
    }

    fn frame(&mut self, now: Now, frame: Bytes, heard: &mut Vec<Heard>) -> Result<(), SocketFault> {
        let answer = self.expected_answer(frame)?;
        match answer.api {
            Api::ApiVersions => self.versions_answered(&answer, heard),
            Api::SaslHandshake => self.mechanism_answered(now, &answer),
            Api::SaslAuthenticate => self.login_answered(&answer, heard),
            Api::Metadata
            | Api::FindCoordinator
            | Api::JoinGroup
            | Api::Heartbeat
            | Api::LeaveGroup
            | Api::SyncGroup
            | Api::OffsetDelete
            | Api::AddPartitionsToTxn
            | Api::EndTxn
            | Api::DescribeProducers
            | Api::DescribeTransactions => {
                heard.push(Heard::Answer(answer));
                Ok(())
            }
        }
    }

    /// Matches a frame with the oldest request that was not answered: a broker answers in the order of the requests.
    fn expected_answer(&mut self, mut frame: Bytes) -> Result<Answer, SocketFault> {
        let Some(correlation) = frame.first_chunk::<4>() else {
            return Err(self.fault(Kind::Protocol, "it sent an answer without a number"));
        };
        let correlation = CorrelationId::from_be_bytes(*correlation);
        frame.advance(4);
        let Some(expected) = self.expected.pop_front() else {
            let why = format!("it sent an answer (number {correlation}) that nobody asked for");
            return Err(self.fault(Kind::Protocol, why));
        };
        if correlation != expected.correlation {
            let age = if correlation < expected.correlation { "an older request" } else { "a later request" };
            let why = format!(
                "it answered {age} (number {correlation}) where {:?} (number {}) was to be answered",
                expected.api, expected.correlation
            );
            return Err(self.fault(Kind::Protocol, why));
        }
        if expected.flexible_header {
            let rest = shape::after_tags(&frame).map_err(|why| {
                let why = format!("the header of its answer to {:?} cannot be read: {why}", expected.api);
                self.fault(Kind::Protocol, why)
            })?;
            frame = frame.slice_ref(rest);
        }
        let Expected { api, version, .. } = expected;
        Ok(Answer { correlation, api, broker: Arc::clone(&self.broker), version, body: frame })
    }

    fn ask_versions(&mut self, version: i16) -> Result<(), SocketFault> {
        let (expected, frame) = self.encode(version, |version| {
            let request = ApiVersionsRequest::default();
            if version < 3 {
                return request;
            }
            request
                .with_client_software_name(StrBytes::from_static_str("herdsman"))
                .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")))
        })?;
        self.say(expected, &frame);
        Ok(())
    }

    fn versions_answered(&mut self, answer: &Answer, heard: &mut Vec<Heard>) -> Result<(), SocketFault> {
        let unsupported = ResponseError::UnsupportedVersion.code();
        // A broker that does not know the version answers in version 0, whatever it was asked in.
        let is_refusal =
            answer.body.first_chunk::<2>().map(|code| i16::from_be_bytes(*code)) == Some(unsupported);
        if is_refusal && answer.version > 0 {
            let refusal =
                Answer { version: 0, body: answer.body.clone(), broker: Arc::clone(&self.broker), ..*answer };
            // It should say which versions it knows, but not all brokers do so in a form that can be read.
            let known = refusal.decode::<ApiVersionsRequest>().ok();
            let known = known.and_then(|known| range_of(&known, Api::ApiVersions));
            return self.ask_versions(known.map_or(0, |known| known.max.clamp(0, answer.version - 1)));
        }
        let answer = answer.decode::<ApiVersionsRequest>()?;
        if let Some(error) = ResponseError::try_from_code(answer.error_code) {
            return Err(self.fault(Kind::Unsupported, format!("it refuses to say what it speaks: {error}")));
        }
        self.versions = Api::ALL.into_iter().filter_map(|api| Some((api, range_of(&answer, api)?))).collect();
        match self.login {
            Some(_) => self.name_mechanism(),
            None => {
                self.ready(heard);
                Ok(())
            }
        }
    }

    fn name_mechanism(&mut self) -> Result<(), SocketFault> {
        let mechanism = self.login.as_ref().map_or("", Login::mechanism);
        let (expected, frame) = self.encode(self.version(Api::SaslHandshake)?, |_| {
            SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(mechanism))
        })?;
        self.step = Step::NamesMechanism;
        self.say(expected, &frame);
        Ok(())
    }

    fn mechanism_answered(&mut self, now: Now, answer: &Answer) -> Result<(), SocketFault> {
        let answer = answer.decode::<SaslHandshakeRequest>()?;
        let Some(login) = &self.login else {
            return Err(self.fault(Kind::Bug, "a login was begun without credentials"));
        };
        if let Some(error) = ResponseError::try_from_code(answer.error_code) {
            let has: Vec<_> = answer.mechanisms.iter().map(|name| name.escape_debug().to_string()).collect();
            let why = format!(
                "it does not accept the SASL mechanism {}: {error}; it has: {}",
                login.mechanism(),
                if has.is_empty() { "none".to_owned() } else { has.join(", ") }
            );
            return Err(self.fault(Kind::Authentication, why));
        }
        let (exchange, first) =
            LoginExchange::begin(login, now.wall).map_err(|why| self.fault(Kind::Authentication, why))?;
        self.step = Step::LogsIn(exchange);
        self.log_in(first)
    }

    fn log_in(&mut self, message: Vec<u8>) -> Result<(), SocketFault> {
        let (expected, frame) = self.encode(self.version(Api::SaslAuthenticate)?, |_| {
            SaslAuthenticateRequest::default().with_auth_bytes(message.into())
        })?;
        self.say(expected, &frame);
        Ok(())
    }

    fn login_answered(&mut self, answer: &Answer, heard: &mut Vec<Heard>) -> Result<(), SocketFault> {
        let answer = answer.decode::<SaslAuthenticateRequest>()?;
        if let Some(error) = ResponseError::try_from_code(answer.error_code) {
            let why = answer.error_message.as_deref().unwrap_or_default();
            let why: String = why.chars().take(200).flat_map(char::escape_debug).collect();
            return Err(
                self.fault(Kind::Authentication, format!("the login failed: {error} {why}").trim_end())
            );
        }
        let Step::LogsIn(exchange) = &mut self.step else {
            return Err(self.fault(Kind::Bug, "a login was answered that was not begun"));
        };
        match exchange.answer(&answer.auth_bytes) {
            Err(why) => Err(self.fault(Kind::Authentication, format!("the login failed: {why}"))),
            Ok(Some(next)) => self.log_in(next),
            Ok(None) => {
                let lasts = u64::try_from(answer.session_lifetime_ms).ok().filter(|lasts| *lasts > 0);
                self.login_lasts = lasts.map(Duration::from_millis);
                self.ready(heard);
                Ok(())
            }
        }
    }

    fn ready(&mut self, heard: &mut Vec<Heard>) {
        self.step = Step::Ready;
        heard.push(Heard::Ready);
        while let Some((expected, frame)) = self.held.pop_front() {
            self.say(expected, &frame);
        }
    }

    /// The highest version of an API that both sides speak.
    fn version(&self, api: Api) -> Result<i16, SocketFault> {
        if self.versions.is_empty() {
            return Err(
                self.fault(Kind::Bug, format!("{api:?} was asked before the broker's versions were known"))
            );
        }
        let ours = api.versions();
        let theirs = self.versions.get(&api);
        match theirs.map(|theirs| ours.intersect(theirs)).filter(|common| !common.is_empty()) {
            Some(common) => Ok(common.max),
            None => {
                let speaks =
                    theirs.map_or("no version".to_owned(), |it| format!("versions {} to {}", it.min, it.max));
                let why = format!("it speaks {speaks} of {api:?}, this worker {} to {}", ours.min, ours.max);
                Err(self.fault(Kind::Unsupported, why))
            }
        }
    }

    fn encode<R: Ask>(
        &mut self,
        version: i16,
        make: impl FnOnce(i16) -> R,
    ) -> Result<(Expected, BytesMut), SocketFault> {
        let correlation = self.next_correlation;
        self.next_correlation = correlation.wrapping_add(1) & CorrelationId::MAX;
        let header = RequestHeader::default()
            .with_request_api_key(R::API.key())
            .with_request_api_version(version)
            .with_correlation_id(correlation)
            .with_client_id(Some(self.client_id.clone()));
        let mut frame = BytesMut::new();
        frame.put_u32(0);
        header
            .encode(&mut frame, R::header_version(version))
            .and_then(|()| make(version).encode(&mut frame, version))
            .map_err(|why| {
                self.fault(Kind::Bug, format!("{:?} (version {version}) cannot be written: {why}", R::API))
            })?;
        let length = frame.len() - 4;
        if length > FRAME_BYTES_MAX {
            let why = format!("{:?} has {length} bytes; a broker takes {FRAME_BYTES_MAX} at most", R::API);
            return Err(self.fault(Kind::Unsupported, why));
        }
        // It fits: the limit is far below 4 GiB.
        frame[..4].copy_from_slice(&(length as u32).to_be_bytes());
        let flexible_header = R::Answer::header_version(version) > 0;
        Ok((Expected { correlation, api: R::API, version, flexible_header }, frame))
    }

    fn say(&mut self, expected: Expected, frame: &[u8]) {
        self.expected.push_back(expected);
        self.outgoing.extend_from_slice(frame);
    }

    fn fault(&self, kind: Kind, detail: impl std::fmt::Display) -> SocketFault {
        SocketFault::new(&self.broker, kind, detail)
    }
}

fn range_of(answer: &ApiVersionsResponse, api: Api) -> Option<VersionRange> {
    let found = answer.api_keys.iter().find(|it| it.api_key == api.key())?;
    Some(VersionRange { min: found.min_version, max: found.max_version })
}

#[cfg(test)]
mod tests;
