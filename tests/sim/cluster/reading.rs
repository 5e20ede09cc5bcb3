//! How workers read the internal topics and write the config topic: each at its own pace, and a write has ended when its
//! worker has read it back.

use std::time::Duration;

use herdsman::api::ids::ConfigOffset;
use herdsman::herder::msg::{HerderError, HerderEvent, OperationId, TopicsEvent};
use herdsman::store::config_write::ConfigWrite;

use super::network::Life;
use super::process::Writing;
use super::{Appending, Cluster, Coming, News};

/// How long a group of records may take, with its being read back.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);

impl Cluster<'_> {
    pub(super) fn reading_delay(&mut self) -> Duration {
        match self.random.below(if self.is_calm { 95 } else { 100 }) {
            0..60 => Duration::ZERO,
            60..95 => self.random.up_to(Duration::from_millis(30)),
            _ => self.random.up_to(Duration::from_secs(3)),
        }
    }

    pub(super) fn read_config_soon(&mut self, life: Life) {
        let delay = self.reading_delay();
        let reader = &mut self.process(life).config;
        if !std::mem::replace(&mut reader.is_due, true) {
            self.reach_at(delay, life, News::ReadsConfig);
        }
    }

    pub(super) fn read_statuses_soon(&mut self, life: Life) {
        let delay = self.reading_delay();
        let reader = &mut self.process(life).status;
        if !std::mem::replace(&mut reader.is_due, true) {
            self.reach_at(delay, life, News::ReadsStatuses);
        }
    }

    /// How long it will be until the topics can be read there.
    fn stalls_for(&self, life: Life) -> Option<Duration> {
        let until = self.places[life.worker].stalled_until;
        Some(until.saturating_sub(self.schedule.now())).filter(|left| !left.is_zero())
    }

    pub(super) fn read_config(&mut self, life: Life) {
        if let Some(left) = self.stalls_for(life) {
            return self.reach_at(left, life, News::ReadsConfig);
        }
        let most = *self.random.pick(&[1, 3, 100]);
        let from = self.process(life).config.position;
        let (records, position) = self.config.read(from, most);
        if std::mem::take(&mut self.process(life).is_stalled) {
            self.tell(life, HerderEvent::Topics(TopicsEvent::ConfigUnreadable(None)));
        }
        let process = self.process(life);
        process.config.position = position;
        process.config.is_due = false;
        if !records.is_empty() {
            let offset = ConfigOffset::new(i64::try_from(position).unwrap());
            self.tell(life, HerderEvent::ConfigRead(records, offset));
        }
        if position < self.config.end() {
            self.read_config_soon(life);
        }
        let catch_ups = std::mem::take(&mut self.process(life).catch_ups);
        let (done, left): (Vec<_>, Vec<_>) =
            catch_ups.into_iter().partition(|(_, target)| *target <= position);
        self.process(life).catch_ups = left;
        for (operation, _) in done {
            self.tell(life, HerderEvent::CaughtUp(operation, Ok(())));
        }
        self.is_read_back(life);
        self.is_read_at_start(life);
    }

    pub(super) fn read_statuses(&mut self, life: Life) {
        if let Some(left) = self.stalls_for(life) {
            return self.reach_at(left, life, News::ReadsStatuses);
        }
        let from = self.process(life).status.position;
        let (records, position) = self.statuses.read(from, 100);
        let process = self.process(life);
        process.status.position = position;
        process.status.is_due = false;
        if !records.is_empty() {
            self.tell(life, HerderEvent::StatusRead(records));
        }
        if position < self.statuses.end() {
            self.read_statuses_soon(life);
        }
        self.is_read_at_start(life);
    }

    fn is_read_at_start(&mut self, life: Life) {
        let process = self.process(life);
        let (config, status) = (process.config.position, process.status.position);
        if process.starts_at.take_if(|(first, second)| *first <= config && *second <= status).is_some() {
            self.tell(life, HerderEvent::Topics(TopicsEvent::Read));
        }
    }

    /// The herder wants the config topic read to its end.
    pub(super) fn catch_up(&mut self, life: Life, operation: OperationId, timeout: Duration) {
        let end = self.config.end();
        self.process(life).catch_ups.push((operation, end));
        self.reach_at(timeout, life, News::CatchUpEnds(operation));
        self.read_config_soon(life);
    }

    pub(super) fn catch_up_ends(&mut self, life: Life, operation: OperationId) {
        let catch_ups = &mut self.process(life).catch_ups;
        if let Some(index) = catch_ups.iter().position(|(waiting, _)| *waiting == operation) {
            catch_ups.remove(index);
            let why = "it was not read to its end in time".to_owned();
            self.tell(life, HerderEvent::CaughtUp(operation, Err(why)));
        }
    }

    /// A change of what is configured is to be written.
    pub(super) fn write(&mut self, life: Life, write: &ConfigWrite, operation: Option<OperationId>) {
        self.check_write(life, write);
        let transactional = self.common.transactional;
        let process = self.process(life);
        assert!(process.writing.is_none(), "{life} writes two changes at a time");
        process.writing = Some(Writing {
            groups: write.records().into(),
            operation,
            failure: write.failure(),
            as_leader: transactional && write.is_leaders(),
            number: 0,
            target: None,
        });
        self.go_on_writing(life);
    }

    /// Sends the next group of records; ends a write that has no more.
    fn go_on_writing(&mut self, life: Life) {
        let process = self.process(life);
        let Some(writing) = &mut process.writing else { return };
        let Some(records) = writing.groups.pop_front() else { return self.end_write(life, Ok(())) };
        process.last_write += 1;
        (writing.number, writing.target) = (process.last_write, None);
        let appending = Appending { number: writing.number, records, as_leader: writing.as_leader };
        let number = appending.number;
        let delay = self.net_delay();
        self.schedule.at(self.schedule.now() + delay, Coming::ConfigAppended(life, appending));
        self.reach_at(WRITE_PATIENCE, life, News::Refused(number, "not written in time"));
    }

    /// Records reach the topic. Now and then they are not taken, or that they are is not heard.
    pub(super) fn config_appended(&mut self, life: Life, appending: Appending) {
        let Appending { number, records, as_leader } = appending;
        let delay = self.net_delay();
        if as_leader && self.claimant != Some(life) {
            return self.reach_at(delay, life, News::Refused(number, "another leader writes now"));
        }
        let chance = if self.is_calm { 0 } else { self.random.below(200) };
        if chance == 199 {
            return self.reach_at(delay, life, News::Refused(number, "not taken"));
        }
        self.note(|| format!("{life} wrote to {}: {records:?}", self.config.end()));
        for record in &records {
            self.configured.apply(record);
        }
        self.config.append(records);
        let end = self.config.end();
        match chance {
            197 => {}
            198 => self.reach_at(delay, life, News::Refused(number, "perhaps not taken")),
            _ => self.reach_at(delay, life, News::Acknowledged(number, end)),
        }
        self.lives().into_iter().for_each(|reader| self.read_config_soon(reader));
    }

    pub(super) fn acknowledged(&mut self, life: Life, number: u64, end: usize) {
        let process = self.process(life);
        if let Some(writing) = process.writing.as_mut().filter(|writing| writing.number == number) {
            writing.target = Some(end);
            self.is_read_back(life);
        }
    }

    fn is_read_back(&mut self, life: Life) {
        let process = self.process(life);
        let position = process.config.position;
        let target = process.writing.as_ref().and_then(|writing| writing.target);
        if target.is_some_and(|target| target <= position) {
            self.go_on_writing(life);
        }
    }

    pub(super) fn refused(&mut self, life: Life, number: u64, why: &str) {
        let writing = self.process(life).writing.as_ref().filter(|writing| writing.number == number);
        let Some(writing) = writing else { return };
        let (failure, as_leader) = (writing.failure, writing.as_leader);
        if as_leader {
            self.claimant.take_if(|claimant| *claimant == life);
            self.tell(life, HerderEvent::ClaimLost);
        }
        self.end_write(life, Err(HerderError::Failed(format!("{failure}: {why}"))));
    }

    fn end_write(&mut self, life: Life, outcome: Result<(), HerderError>) {
        let ended = self.process(life).writing.take();
        if let Some(operation) = ended.and_then(|writing| writing.operation) {
            self.tell(life, HerderEvent::ConfigWritten(operation, outcome));
        }
    }
}
