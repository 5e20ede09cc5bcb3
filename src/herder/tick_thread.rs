//! The thread that owns the herder: it takes one event after another from the inbox, and hands out the effects.
//!
//! **It runs no plug-in code and waits for nothing but the next event.** Whatever it hands an effect to must take it
//! without blocking.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::Herder;
use super::meter::{HerderMeter, Metering};
use super::msg::{Effect, Effects, Exit, HerderEvent, Wakeup};
use super::view::Views;
use crate::health::{SharedPhase, Stage, StageBoard, StartupPhase};
use crate::stdx::thread::{self, JoinOnDrop};
use crate::stdx::time::Clock;
use crate::task::counters::TaskBoard;

/// How many events may wait for the tick thread. A sender that finds it full waits, up to its own deadline.
pub const INBOX_EVENTS_MAX: usize = 4096;

/// A turn that takes longer is logged with its event: something in it blocks.
const SLOW_TURN: Duration = Duration::from_millis(50);

/// Carries out effects, on the tick thread.
pub trait Outside: Send {
    /// Carries out one effect without blocking. What it leads to at once, without any other thread, is put into
    /// `echo`, and handled before the inbox is looked at again.
    fn carry_out(&mut self, effect: Effect, echo: &mut VecDeque<HerderEvent>);

    /// A turn is over: for who watches that the loop turns. Must not block. Returns when the next turn is to be over at
    /// the latest, even if nothing happens.
    fn turned(&mut self, _now: Instant, _phase: StartupPhase, _stage: Option<&Stage>) -> Wakeup {
        None
    }
}

/// What all threads see of the herder without asking it.
#[derive(Debug, Clone)]
pub struct Shared {
    /// How far the worker has come.
    pub phase: Arc<SharedPhase>,
    /// What it is doing.
    pub stages: Arc<StageBoard>,
    /// What runs.
    pub views: Arc<Views>,
    /// What the tick thread counts.
    pub meter: Arc<HerderMeter>,
    /// What tasks count.
    pub tasks: Arc<TaskBoard>,
}

/// The running thread; dropping it ends the loop and waits for it.
#[derive(Debug)]
pub struct TickThread {
    // Dropped first: the loop sees the channel closed and ends.
    _stop: Sender<Infallible>,
    // Dropped second: waits for the loop.
    _thread: JoinOnDrop,
}

impl TickThread {
    /// Starts the loop. The receiver tells, once, why the herder wants the worker to end.
    pub fn start(
        herder: Herder,
        inbox: Receiver<HerderEvent>,
        outside: impl Outside + 'static,
        shared: Shared,
    ) -> io::Result<(Self, Receiver<Exit>)> {
        let (stop, stopped) = bounded(0);
        let (exit, exits) = bounded(1);
        let metering = Metering::new(Arc::clone(&shared.meter));
        let turns = Turns { herder, outside, shared, metering, clock: Clock, exit };
        let inbox = Inbox(inbox);
        let thread =
            thread::spawn("tick", thread::PLUGIN_STACK_BYTES, move || turns.run(&inbox.0, &stopped))?;
        Ok((TickThread { _stop: stop, _thread: thread }, exits))
    }
}

/// What is sent to the loop. It ends with the loop, whether that was told to end or panicked.
struct Inbox(Receiver<HerderEvent>);

impl Drop for Inbox {
    fn drop(&mut self) {
        // A channel keeps what it holds as long as it has senders: here replies that are left get their answer.
        self.0.try_iter().for_each(drop);
    }
}

struct Turns<O> {
    herder: Herder,
    outside: O,
    shared: Shared,
    metering: Metering,
    clock: Clock,
    exit: Sender<Exit>,
}

impl<O: Outside> Turns<O> {
    fn run(mut self, inbox: &Receiver<HerderEvent>, stopped: &Receiver<Infallible>) {
        let mut echo = VecDeque::new();
        let mut wakeup = self.turn(HerderEvent::Wake, &mut echo);
        loop {
            let event = match echo.pop_front() {
                Some(event) => event,
                None => match self.next_event(inbox, stopped, wakeup) {
                    Some(event) => event,
                    None => return,
                },
            };
            wakeup = self.turn(event, &mut echo);
        }
    }

    /// Waits for the next event; `None` once the loop is to end.
    fn next_event(
        &self,
        inbox: &Receiver<HerderEvent>,
        stopped: &Receiver<Infallible>,
        wakeup: Wakeup,
    ) -> Option<HerderEvent> {
        const LONGEST_WAIT: Duration = Duration::from_secs(60);
        let now = self.clock.now().instant;
        let wait = wakeup.map_or(LONGEST_WAIT, |at| at.saturating_duration_since(now).min(LONGEST_WAIT));
        select! {
            recv(stopped) -> _closed => None,
            recv(inbox) -> event => event.ok(),
            default(wait) => Some(HerderEvent::Wake),
        }
    }

    fn turn(&mut self, event: HerderEvent, echo: &mut VecDeque<HerderEvent>) -> Wakeup {
        let start = self.clock.now();
        let what = event.describe();
        self.shared.stages.begin_turn(what, start);
        #[cfg(feature = "faults")]
        crate::faults::hold_while_told("tick");
        self.metering.event(start.instant, &event);
        let mut effects = Effects::default();
        let wakeup = self.herder.tick(start, event, &mut effects);
        let now = self.clock.now();
        let stage = self.herder.stage();
        self.shared.stages.wait_for(stage.clone(), now);
        for effect in effects.drain() {
            self.carry_out(effect, echo);
        }
        effects.give_answers();
        self.shared.stages.end_turn();
        let end = self.clock.now().instant;
        let took = end.saturating_duration_since(start.instant);
        self.metering.turned(end, took, &self.herder);
        if took > SLOW_TURN {
            log::warn!("the tick thread took {} ms for {what}: something in it blocks", took.as_millis());
        }
        let watched = self.outside.turned(end, self.shared.phase.load(), stage.as_ref());
        wakeup.into_iter().chain(watched).min()
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "all but what is shared is for the outside")]
    fn carry_out(&mut self, effect: Effect, echo: &mut VecDeque<HerderEvent>) {
        self.metering.effect(&effect);
        match effect {
            Effect::Phase(phase) => self.shared.phase.store(phase),
            Effect::Publish(name, view) => {
                let tasks = view.as_ref().map_or(0, |view| view.info.tasks.len());
                self.shared.tasks.keep_tasks(&name, tasks);
                self.shared.views.publish(name, view);
            }
            // Holds one: the first reason to end is the one that counts.
            Effect::Exit(exit) => drop(self.exit.try_send(exit)),
            other => self.outside.carry_out(other, echo),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::herder::msg::{HerderError, Request};
    use crate::stdx::reply::reply;

    #[test]
    fn who_waits_in_the_inbox_when_the_loop_ends_is_answered() {
        let (sender, receiver) = bounded(2);
        let (reply, pending) = reply();
        sender.send(HerderEvent::Request(Request::Health(reply))).unwrap();
        drop(Inbox(receiver));
        assert_eq!(pending.poll(), Some(Err(HerderError::ShuttingDown)));
        assert!(sender.send(HerderEvent::Wake).is_err());
    }
}
