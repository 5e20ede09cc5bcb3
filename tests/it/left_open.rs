//! A transaction that its coordinator has ended, but not in all of its partitions (KAFKA-20734): who takes the
//! transactional id ends it there, too, as it was decided.

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

use crate::cluster_rights::{rules, strict_broker};
use crate::exactly_once::{self, CommittedReader, QUICK, RECOVERED, append, create, member, sees, source};
use crate::own_kafka::OwnKafka;
use crate::support::{Kafka, SOON, kafka, wait_for};

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

    /// Ends a transaction with one partition, and writes a record into another one as if it had been part of it: there
    /// its end is missing.
    fn leave_open(&mut self, (ended, left): (&str, &str), (key, value): (&str, &str), committed: bool) {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(self.id.clone()))
            .with_transaction_timeout_ms(60_000);
        // A coordinator needs a moment to come about.
        let has_id = |this: &mut Self| -> Result<InitProducerIdResponse, i16> {
            let answer: InitProducerIdResponse = this.ask(ApiKey::InitProducerId, 1, &request);
            if answer.error_code == 0 { Ok(answer) } else { Err(answer.error_code) }
        };
        let producer = wait_for("a producer id", SOON, || has_id(self));
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
    let own = exactly_once::OwnKafka::start(
        &[&QUICK[..], &["transaction.partition.verification.enable=false"]].concat(),
    );
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

#[test]
fn a_task_that_may_not_ask_says_so_once_and_begins() {
    if kafka().is_none() {
        return;
    }
    let broker = strict_broker();
    let kafka = Kafka { bootstrap: broker.address("bootstrap"), dir: broker.dir() };
    let (topic, folder) = (kafka.topic("lines", 1), TempDir::new().unwrap());
    let file = folder.path().join("in.txt");
    append(&file, 0, 10);
    let all = ["--resource-pattern-type", "prefixed", "--operation"];
    let may_write = ["Write", "--topic", &topic, "--topic", "unasked", "--transactional-id", "unasked"];
    rules(&broker, "--add", "--allow-principal", &[&all[..], &may_write].concat());
    let worker = member(&kafka, "unasked").set("session.timeout.ms", "10000").start().healthy();
    let login = "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"alice\" \
                 password=\"alice-secret\";";
    let authority = broker.dir().join("tls/ca.pem");
    let as_alice = [
        ("producer.override.bootstrap.servers", &*broker.address("bootstrap-sasl-ssl")),
        ("producer.override.security.protocol", "SASL_SSL"),
        ("producer.override.sasl.mechanism", "SCRAM-SHA-512"),
        ("producer.override.sasl.jaas.config", login),
        ("producer.override.ssl.truststore.type", "PEM"),
        ("producer.override.ssl.truststore.location", authority.to_str().unwrap()),
    ];
    create(&worker, "lines", &source(&file, &topic, &as_alice));
    let reader = CommittedReader::new(&kafka, &topic);
    sees(&reader, 0, 10);
    let cannot = "Cannot end what may be open of the latest transaction: DescribeProducers failed with";
    // The first transaction has none before it: there is nothing to ask. A transaction of before may be open.
    for (restarts, told) in [(1, 1), (2, 1)] {
        let restart = worker.send("POST", "/connectors/lines/tasks/0/restart", None);
        assert!(restart.status < 300, "{restart:?}");
        append(&file, restarts * 10, restarts * 10 + 10);
        sees(&reader, restarts * 10, restarts * 10 + 10);
        let log = worker.log();
        assert_eq!(log.matches(cannot).count(), told, "{log}");
        rules(&broker, "--add", "--allow-principal", &[&all[..], &["Read", "--topic", "unasked"]].concat());
    }
}

#[test]
#[ignore = "long: scripts/test --long"]
fn a_task_waits_for_all_of_its_offset_topic_and_says_so() {
    if kafka().is_none() {
        return;
    }
    let own = OwnKafka::start(&["--brokers", "2"]);
    let kafka = Kafka { bootstrap: own.address("bootstrap"), dir: own.dir() };
    for topic in ["waits-configs", "waits-offsets", "waits-statuses"] {
        kafka.create_on(1, topic, "compact");
    }
    kafka.create_on(1, "lines", "delete");
    kafka.create_on(2, "away", "compact");
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("in.txt");
    append(&file, 0, 10);
    let worker = member(&kafka, "waits").set("session.timeout.ms", "20000").start().healthy();
    create(&worker, "lines", &source(&file, "lines", &[("offsets.storage.topic", "away")]));
    let reader = CommittedReader::new(&kafka, "lines");
    sees(&reader, 0, 10);
    own.script_below("broker-2", "kill");
    append(&file, 10, 20);
    let restart = worker.send("POST", "/connectors/lines/tasks/0/restart", None);
    assert!(restart.status < 300, "{restart:?}");
    let waits = "Waits before it begins, for what is open of its transactions: ";
    wait_for("words about the wait", RECOVERED, || {
        let log = worker.log();
        if log.contains(waits) { Ok(()) } else { Err(log) }
    });
    own.script_below("broker-2", "restart");
    sees(&reader, 10, 20);
    worker.task_state("lines", 0, "RUNNING");
}
