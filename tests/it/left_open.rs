//! A transaction that its coordinator has ended, but not in all of its partitions (KAFKA-20734): who takes the transactional id
//! ends it there, too, as it was decided.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, ApiKey, EndTxnRequest, EndTxnResponse,
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse, RequestHeader,
    ResponseHeader, TopicName, TransactionalId,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use rdkafka::producer::{BaseProducer, Producer as _};
use tempfile::TempDir;

use crate::exactly_once::{CommittedReader, OwnKafka, QUICK, append, create, member, sees, source};
use crate::support::{Kafka, SOON, kafka};

/// A producer that says to brokers what no client library says.
struct RawProducer {
    stream: TcpStream,
    id: TransactionalId,
}

impl RawProducer {
    fn new(kafka: &Kafka, id: &str) -> Self {
        let stream = TcpStream::connect(&kafka.bootstrap).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        RawProducer { stream, id: TransactionalId(text(id)) }
    }

    fn ask<Q, A>(&mut self, api: ApiKey, version: i16, request: &Q) -> A
    where
        Q: Encodable + HeaderVersion,
        A: Decodable + HeaderVersion,
    {
        let mut frame = BytesMut::new();
        let header = RequestHeader::default().with_request_api_key(api as i16);
        header.with_request_api_version(version).encode(&mut frame, Q::header_version(version)).unwrap();
        request.encode(&mut frame, version).unwrap();
        self.stream.write_all(&u32::try_from(frame.len()).unwrap().to_be_bytes()).unwrap();
        self.stream.write_all(&frame).unwrap();
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        self.stream.read_exact(&mut answer).unwrap();
        let mut answer = Bytes::from(answer);
        ResponseHeader::decode(&mut answer, A::header_version(version)).unwrap();
        A::decode(&mut answer, version).unwrap()
    }

    /// Ends a transaction with one partition, and writes a record into another one as if it had been part of it: there its end
    /// is missing.
    fn leave_open(&mut self, (ended, left): (&str, &str), (key, value): (&str, &str), committed: bool) {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(self.id.clone()))
            .with_transaction_timeout_ms(60_000);
        // A coordinator needs a moment to come about.
        let has_id = |this: &mut Self| -> Result<InitProducerIdResponse, i16> {
            let answer: InitProducerIdResponse = this.ask(ApiKey::InitProducerId, 1, &request);
            if answer.error_code == 0 { Ok(answer) } else { Err(answer.error_code) }
        };
        let producer = crate::support::wait_for("a producer id", SOON, || has_id(self));
        let (number, epoch) = (producer.producer_id, producer.producer_epoch);
        let topic =
            AddPartitionsToTxnTopic::default().with_name(TopicName(text(ended))).with_partitions(vec![0]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(self.id.clone())
            .with_v3_and_below_producer_id(number)
            .with_v3_and_below_producer_epoch(epoch)
            .with_v3_and_below_topics(vec![topic]);
        let added: AddPartitionsToTxnResponse = self.ask(ApiKey::AddPartitionsToTxn, 1, &request);
        let result = &added.results_by_topic_v3_and_below[0].results_by_partition[0];
        assert_eq!(result.partition_error_code, 0);
        let request = EndTxnRequest::default()
            .with_transactional_id(self.id.clone())
            .with_producer_id(number)
            .with_producer_epoch(epoch)
            .with_committed(committed);
        let ended: EndTxnResponse = self.ask(ApiKey::EndTxn, 1, &request);
        assert_eq!(ended.error_code, 0);
        let batch = batch((number.0, epoch), key, value);
        let partition = PartitionProduceData::default().with_index(1).with_records(Some(batch));
        let topic =
            TopicProduceData::default().with_name(TopicName(text(left))).with_partition_data(vec![partition]);
        let request = ProduceRequest::default()
            .with_transactional_id(Some(self.id.clone()))
            .with_acks(-1)
            .with_timeout_ms(30_000)
            .with_topic_data(vec![topic]);
        let produced: ProduceResponse = self.ask(ApiKey::Produce, 7, &request);
        assert_eq!(produced.responses[0].partition_responses[0].error_code, 0);
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn batch((producer_id, producer_epoch): (i64, i16), key: &str, value: &str) -> Bytes {
    let record = Record {
        transactional: true,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id,
        producer_epoch,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence: 0,
        timestamp: 1_700_000_000_000,
        key: Some(Bytes::from(key.to_owned())),
        value: Some(Bytes::from(value.to_owned())),
        headers: Default::default(),
    };
    let mut batch = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut batch, [&record], &options).unwrap();
    batch.freeze()
}

fn offset_key(file: &Path) -> String {
    serde_json::json!(["lines", {"filename": file}]).to_string()
}

#[test]
fn what_a_coordinator_has_left_open_is_ended_as_it_was_decided() {
    if kafka().is_none() {
        return;
    }
    let own = OwnKafka::start(&[&QUICK[..], &["transaction.partition.verification.enable=false"]].concat());
    let kafka = &own.kafka;
    // Brokers make the topic of transactions when its coordinator is looked for.
    let first: BaseProducer = kafka.client().set("transactional.id", "first").create().unwrap();
    first.init_transactions(SOON).unwrap();
    // Five lines have 35 bytes.
    for (committed, how, first) in [(true, "committed", 5), (false, "aborted", 0)] {
        let (group, topic, folder) =
            (kafka.unique("eo-left"), kafka.topic("lines", 1), TempDir::new().unwrap());
        let (file, offsets) = (folder.path().join("in.txt"), format!("{group}-offsets"));
        append(&file, 0, 10);
        kafka.create_compacted(&offsets, 3);
        let record = (&*offset_key(&file), "{\"position\":35}");
        RawProducer::new(kafka, &format!("{group}-lines-0")).leave_open(
            (&topic, &offsets),
            record,
            committed,
        );
        let worker = member(kafka, &group).start().healthy();
        create(&worker, "lines", &source(&file, &topic, &[("exactly.once.support", "required")]));
        sees(&CommittedReader::new(kafka, &topic), first, 10);
        let told = format!(
            "Kafka had left the latest transaction open in the partitions [1] of the topic '{offsets}'; it is {how} there"
        );
        assert!(worker.log().contains(&told), "{}", worker.log());
    }
}
