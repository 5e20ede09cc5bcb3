//! All that goes wrong, and when.

use std::time::Duration;

use herdsman::connector::{ConnectorEvent, ConnectorEventKind};
use herdsman::herder::msg::{HerderEvent, TopicsEvent};
use jiff::SignedDuration;

use super::network::Life;
use super::{Cluster, Coming, News};
use crate::instances::Who;
use crate::random::Random;

/// Something that goes wrong somewhere.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// A process ends by force.
    Crash,
    /// A process is told to end.
    Stop,
    /// All of a process is suspended.
    Suspend,
    /// A tick thread is held up.
    Hold,
    /// A member's connection breaks.
    Break,
    /// A member's connection falls silent.
    Silence,
    /// A worker cannot reach the coordinator.
    CutOff,
    /// The coordinator moves to another broker.
    Move,
    /// The coordinator is gone for a while.
    Outage,
    /// The coordinator forgets who was there.
    Amnesia,
    /// A worker cannot read the internal topics, and may not know.
    Stall,
    /// A wall clock jumps.
    WallJump,
    /// The time of all jumps.
    Jump,
    /// The internal topics are compacted.
    Compact,
    /// A connector or task fails, or a connector wants other tasks.
    Trouble,
}

impl Fault {
    fn any(random: &mut Random) -> Fault {
        match random.below(100) {
            0..10 => Fault::Crash,
            10..16 => Fault::Stop,
            16..21 => Fault::Suspend,
            21..25 => Fault::Hold,
            25..32 => Fault::Break,
            32..37 => Fault::Silence,
            37..43 => Fault::CutOff,
            43..50 => Fault::Move,
            50..54 => Fault::Outage,
            54..57 => Fault::Amnesia,
            57..65 => Fault::Stall,
            65..69 => Fault::WallJump,
            69..71 => Fault::Jump,
            71..78 => Fault::Compact,
            _ => Fault::Trouble,
        }
    }
}

impl Cluster<'_> {
    /// Plans all that comes to pass whatever the workers do. Says for how long.
    pub(super) fn plan(&mut self) -> Duration {
        for worker in 0..self.places.len() {
            let late = *self.random.pick(&[Duration::ZERO, Duration::from_secs(1), Duration::from_secs(30)]);
            let at = self.random.up_to(late);
            self.schedule.at(at, Coming::Begins(worker));
        }
        let length = Duration::from_secs(*self.random.pick(&[10, 30, 60]));
        for _ in 0..5 + self.random.below(25) {
            let at = self.random.up_to(length);
            self.schedule.at(at, Coming::Client);
        }
        // Some seeds are nearly without faults: what goes wrong there is by order alone.
        let most = *self.random.pick(&[2, 8, 16]);
        for _ in 0..self.random.below(most) {
            let (at, fault) = (self.random.up_to(length), Fault::any(&mut self.random));
            self.schedule.at(at, Coming::Fault(fault));
        }
        length
    }

    pub(super) fn fail(&mut self, fault: Fault) {
        let lives = self.lives();
        if lives.is_empty() || self.is_calm {
            return;
        }
        let (now, life) = (self.schedule.now(), *self.random.pick(&lives));
        let worker = life.worker;
        self.note(|| format!("{life} ! {fault:?}"));
        match fault {
            Fault::Crash => self.end(life, false),
            Fault::Stop => self.reach_at(Duration::ZERO, life, News::Event(HerderEvent::Stop)),
            Fault::Suspend => self.suspend(life),
            Fault::Hold => {
                let lasts = self.some_time();
                let process = self.process(life);
                if process.held_since.is_none() {
                    process.held_since = Some(now);
                    self.reach_at(lasts, life, News::Released);
                }
            }
            Fault::Break => {
                if let Some(link) = self.process(life).line.as_ref().map(|line| line.link) {
                    self.reach_at(Duration::ZERO, life, News::LinkDown(link));
                }
            }
            Fault::Silence => {
                if let Some(line) = &mut self.process(life).line {
                    line.is_silent = true;
                }
            }
            Fault::CutOff => {
                let lasts = self.some_time();
                self.places[worker].cut_until = now + lasts;
                self.lose_lines(&[life]);
            }
            Fault::Move => self.move_group(false),
            Fault::Amnesia => self.move_group(true),
            Fault::Outage => {
                let lasts = self.some_time();
                self.brokers.down_until = now + lasts;
                self.lose_lines(&lives);
            }
            Fault::Stall => self.stall(life),
            Fault::WallJump => {
                let by = SignedDuration::from_secs(self.random.below(7200) as i64 - 3600);
                self.places[worker].clock_ahead += by;
            }
            Fault::Jump => {
                let by = self.random.up_to(Duration::from_secs(60));
                self.schedule.move_to(now + by);
            }
            Fault::Compact => self.compact(),
            Fault::Trouble => {
                let process = self.places[worker].process.as_mut().expect("it is there");
                let event = process.instances.trouble(&mut self.random, &mut self.moods);
                let soon = self.random.up_to(Duration::from_millis(100));
                let Some(event) = event else { return };
                let others = self.others_notice(life, &event);
                self.reach_at(soon, life, News::Event(event));
                for (other, event) in others {
                    self.reach_at(soon, other, News::Event(event));
                }
            }
        }
    }

    /// A connector wants other tasks: so does an instance that another worker has not let go of yet.
    fn others_notice(&mut self, life: Life, event: &HerderEvent) -> Vec<(Life, HerderEvent)> {
        let HerderEvent::Connector(ConnectorEvent { name, kind, .. }) = event else { return Vec::new() };
        if *kind != ConnectorEventKind::ReconfigurationRequested {
            return Vec::new();
        }
        let mut noticed = Vec::new();
        for other in self.lives().into_iter().filter(|other| *other != life) {
            for (who, epoch) in self.process(other).instances.all_live() {
                if *who == Who::Connector(name.clone()) {
                    let (name, kind) = (name.clone(), kind.clone());
                    noticed.push((other, HerderEvent::Connector(ConnectorEvent { name, epoch, kind })));
                }
            }
        }
        noticed
    }

    fn some_time(&mut self) -> Duration {
        let longest = *self.random.pick(&[1, 8, 20, 70]);
        self.random.up_to(Duration::from_secs(longest))
    }

    fn suspend(&mut self, life: Life) {
        let lasts = self.some_time();
        let process = self.process(life);
        if process.mailbox.is_none() {
            process.mailbox = Some(Vec::new());
            self.reach_at(lasts, life, News::Resumed);
        }
    }

    /// Connections break, or fall silent.
    fn lose_lines(&mut self, lives: &[Life]) {
        for life in lives {
            let breaks = self.random.percent(70);
            let Some(line) = &mut self.process(*life).line else { continue };
            let link = line.link;
            if breaks {
                self.reach_at(Duration::ZERO, *life, News::LinkDown(link));
            } else {
                line.is_silent = true;
            }
        }
    }

    fn move_group(&mut self, forgets: bool) {
        let now = self.schedule.now();
        let (down, loads) =
            (self.random.up_to(Duration::from_secs(5)), self.random.up_to(Duration::from_secs(2)));
        let down = if self.random.percent(50) { Duration::ZERO } else { down };
        self.brokers.move_group(now, down, loads, forgets);
        let lives = self.lives();
        self.lose_lines(&lives);
    }

    fn stall(&mut self, life: Life) {
        let lasts = self.some_time();
        self.places[life.worker].stalled_until = self.schedule.now() + lasts;
        self.read_config_soon(life);
        if self.random.percent(50) && self.process(life).starts_at.is_none() {
            let why = "the broker does not answer".to_owned();
            self.process(life).is_stalled = true;
            self.tell(life, HerderEvent::Topics(TopicsEvent::ConfigUnreadable(Some(why))));
            self.settle(life);
        }
    }

    /// Tombstones stay for longer than anybody takes to read.
    fn compact(&mut self) {
        let lives = self.lives();
        let read = |life: &Life| self.places[life.worker].process.as_ref().map(|it| it.config.position);
        let old = lives.iter().filter_map(read).min().unwrap_or_default();
        let dirty = self.random.below(self.config.end() as u64 + 1) as usize;
        self.config.compact(dirty, old);
        let dirty = self.random.below(self.statuses.end() as u64 + 1) as usize;
        self.statuses.compact(dirty, 0);
    }
}
