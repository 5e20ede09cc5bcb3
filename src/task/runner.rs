//! Runs tasks on a few threads: a task has a thread only while it has something to do.
//!
//! A task is a state machine. Each turn of it ends with what should happen [`Next`]; between turns it is a value in
//! a table and costs no thread. So a thousand sources that wait for their files need a handful of threads.
//!
//! - No two turns of one task run at the same time.
//! - A turn may block: plug-in code does. It holds one thread. When tasks are ready and no thread has taken one up
//!   for [`STALL`], the runner adds a thread, up to the bound of its pool: a blocked task stops no other.
//! - A task that is always busy gives its thread back after [`SLICE`] if another waits.
//! - [`Waker::wake`] makes a task due at once, from any thread, without blocking. A wake during a turn is not lost:
//!   the task has another turn.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::stdx::panics;
use crate::stdx::pool::{Pool, PoolLimits};
use crate::stdx::thread::{self, JoinOnDrop};
use crate::stdx::time::{Clock, Deadline};

/// How long ready tasks wait for a thread before the runner adds one.
const STALL: Duration = Duration::from_millis(10);
/// How long a busy task keeps its thread while others wait.
const SLICE: Duration = Duration::from_millis(20);
/// How long a thread without work stays.
const IDLE: Duration = Duration::from_secs(10);

/// What should happen after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another turn at once.
    Again,
    /// Another turn at the given moment, or when woken.
    At(Instant),
    /// Another turn when woken.
    WhenWoken,
    /// No more turns: the task is dropped.
    Done,
}

/// A task as the runner sees it.
pub trait Turn: Send {
    /// One turn. May block; `now` is when it began.
    fn turn(&mut self, now: Instant) -> Next;

    /// A turn panicked with `message`. No turn follows: say that the task failed and let go of what it holds.
    fn panicked(&mut self, message: &str);
}

/// Makes a task due at once. Cheap to clone; outlives its task without harm.
#[derive(Debug, Clone)]
pub struct Waker {
    shared: Arc<Shared>,
    key: u64,
}

impl Waker {
    /// Gives the task a turn soon. Never blocks. A task that has ended ignores it.
    pub fn wake(&self) {
        let mut core = self.shared.lock();
        let Some(slot) = core.slots.get_mut(&self.key) else { return };
        match slot.state {
            State::Waiting(due) => {
                slot.state = State::Ready;
                if let Some(due) = due {
                    core.due.remove(&(due, self.key));
                }
                core.ready.push_back(self.key);
                self.shared.staff(&mut core);
            }
            State::Running { .. } => slot.state = State::Running { woken: true },
            State::Ready => {}
        }
    }
}

impl Waker {
    /// Whether its task has ended.
    pub fn is_over(&self) -> bool {
        !self.shared.lock().slots.contains_key(&self.key)
    }
}

/// Runs tasks; see the module. Dropping it stops its timer; [`TaskRunner::close`] waits for its threads.
#[derive(Debug)]
pub struct TaskRunner {
    shared: Arc<Shared>,
    timer: Option<JoinOnDrop>,
}

#[derive(Debug)]
struct Shared {
    pool: Pool,
    /// Threads that are started without waiting for a stall.
    crew: usize,
    core: Mutex<Core>,
    /// Tells the timer that something changed that it may have to wait for.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Core {
    slots: HashMap<u64, Slot>,
    ready: VecDeque<u64>,
    due: BTreeSet<(Instant, u64)>,
    /// Threads that run or look for tasks.
    workers: usize,
    /// How often a thread took up a task: the timer sees from it whether any did.
    taken: u64,
    /// The moment the timer sleeps until; a nearer one must wake it.
    timer_until: Option<Instant>,
    /// The timer knows that tasks are ready and looks whether they move.
    watched: bool,
    next_key: u64,
    closed: bool,
}

struct Slot {
    /// `None` while a thread runs it.
    task: Option<Box<dyn Turn>>,
    state: State,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.state.fmt(f)
    }
}

#[derive(Debug, Clone, Copy)]
enum State {
    Waiting(Option<Instant>),
    Ready,
    Running { woken: bool },
}

impl TaskRunner {
    /// A runner without tasks. `threads_max` bounds its threads: at least the number of tasks whose plug-ins may
    /// block at the same time. Fails when the system has no thread for the timer.
    pub fn new(threads_max: usize) -> io::Result<Self> {
        let limits = PoolLimits { threads_max, idle: IDLE, stack_bytes: thread::PLUGIN_STACK_BYTES };
        let crew = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, threads_max.max(2));
        let shared = Arc::new(Shared {
            pool: Pool::new("task-thread", limits),
            crew,
            core: Mutex::default(),
            changed: Condvar::new(),
        });
        let timer = thread::spawn("task-timer", thread::STACK_BYTES, {
            let shared = Arc::clone(&shared);
            move || shared.keep_time()
        })?;
        Ok(TaskRunner { shared, timer: Some(timer) })
    }

    /// Takes a task and gives it its first turn soon. `build` gets the waker of the new task.
    pub fn spawn(&self, build: impl FnOnce(Waker) -> Box<dyn Turn>) -> Waker {
        let key = {
            let mut core = self.shared.lock();
            core.next_key += 1;
            core.next_key
        };
        let waker = Waker { shared: Arc::clone(&self.shared), key };
        let task = build(waker.clone());
        let mut core = self.shared.lock();
        core.slots.insert(key, Slot { task: Some(task), state: State::Ready });
        core.ready.push_back(key);
        self.shared.staff(&mut core);
        waker
    }

    /// Tasks that have not ended.
    pub fn tasks(&self) -> usize {
        self.shared.lock().slots.len()
    }

    /// Threads alive now, the timer not counted.
    pub fn threads(&self) -> usize {
        self.shared.pool.threads()
    }

    /// Gives no more turns and waits for those that run, at most until `deadline`. Returns how many threads are
    /// still held by plug-in code: they are abandoned. Tasks that have not ended are dropped without a last turn.
    pub fn close(self, clock: Clock, deadline: Deadline) -> usize {
        self.shared.shut();
        self.shared.pool.close(clock, deadline)
    }
}

impl Drop for TaskRunner {
    fn drop(&mut self) {
        self.shared.shut();
        drop(self.timer.take());
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Core> {
        // Nothing panics while the lock is held: turns run outside of it.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the timer, drops the tasks that have no turn now, and lets the threads end after their turn.
    fn shut(&self) {
        let tasks = {
            let mut core = self.lock();
            core.closed = true;
            core.ready.clear();
            core.due.clear();
            std::mem::take(&mut core.slots)
        };
        self.changed.notify_all();
        // Outside of the lock: dropping a task drops its clients.
        drop(tasks);
    }

    /// Sees that ready tasks get a thread: at once up to the crew, later by the timer when nothing moves.
    fn staff(self: &Arc<Self>, core: &mut Core) {
        if core.workers < self.crew {
            self.add_worker(core);
        }
        if !core.watched {
            self.changed.notify_all();
        }
    }

    /// `false` when the pool has no thread to give: those that run take the ready tasks up, and the timer tries again.
    fn add_worker(self: &Arc<Self>, core: &mut Core) -> bool {
        let shared = Arc::clone(self);
        let added = self.pool.execute(move || shared.work()).is_ok();
        core.workers += usize::from(added);
        added
    }

    /// The timer's loop: makes due tasks ready and adds threads where ready tasks wait.
    fn keep_time(self: &Arc<Self>) {
        let mut core = self.lock();
        // Since when no thread has taken up a task although one was ready, and the count of then.
        let mut stall: Option<(Instant, u64)> = None;
        while !core.closed {
            let now = Clock.now().instant;
            self.make_ready(&mut core, now);
            while core.workers < self.crew.min(core.ready.len()) && self.add_worker(&mut core) {}
            stall = match stall {
                _ if core.ready.is_empty() => None,
                Some((since, taken)) if taken == core.taken => Some((since, taken)),
                Some(_) | None => Some((now, core.taken)),
            };
            if let Some((since, _)) = &mut stall
                && now.saturating_duration_since(*since) >= STALL
            {
                self.add_worker(&mut core);
                *since = now;
            }
            let due = core.due.first().map(|(due, _)| *due);
            let check = stall.map(|(since, _)| since + STALL);
            let until = due.into_iter().chain(check).min();
            core.watched = stall.is_some();
            core.timer_until = until;
            core = match until {
                None => self.changed.wait(core).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let wait = until.saturating_duration_since(now);
                    self.changed.wait_timeout(core, wait).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn make_ready(&self, core: &mut Core, now: Instant) {
        while let Some(&(due, key)) = core.due.first() {
            if due > now {
                break;
            }
            core.due.pop_first();
            if let Some(slot) = core.slots.get_mut(&key) {
                slot.state = State::Ready;
                core.ready.push_back(key);
            }
        }
    }

    /// A thread's loop: takes ready tasks up until there are none.
    fn work(self: &Arc<Self>) {
        while let Some((key, mut task)) = self.take() {
            match panics::caught(|| self.run_slice(task.as_mut())) {
                Ok(next) => self.put_back(key, task, next),
                Err(message) => {
                    if panics::caught(|| task.panicked(&message)).is_err() {
                        log::error!("a task panicked while it reported a panic: {message}");
                    }
                    self.put_back(key, task, Next::Done);
                }
            }
        }
    }

    fn take(&self) -> Option<(u64, Box<dyn Turn>)> {
        let mut core = self.lock();
        while let Some(key) = core.ready.pop_front() {
            let Some(slot) = core.slots.get_mut(&key) else { continue };
            if let Some(task) = slot.task.take() {
                slot.state = State::Running { woken: false };
                core.taken += 1;
                return Some((key, task));
            }
        }
        core.workers -= 1;
        None
    }

    /// Turns of one task until it wants to wait, or its slice is over and another task waits.
    fn run_slice(&self, task: &mut dyn Turn) -> Next {
        let started = Clock.now().instant;
        let mut now = started;
        loop {
            let next = task.turn(now);
            if next != Next::Again {
                return next;
            }
            now = Clock.now().instant;
            if now - started >= SLICE {
                let core = self.lock();
                if core.closed || !core.ready.is_empty() {
                    return next;
                }
            }
        }
    }

    fn put_back(self: &Arc<Self>, key: u64, task: Box<dyn Turn>, next: Next) {
        let mut core = self.lock();
        let Some(slot) = core.slots.get_mut(&key) else {
            drop(core);
            // The runner was closed meanwhile; the task ends here.
            drop(task);
            return;
        };
        let woken = matches!(slot.state, State::Running { woken: true });
        match next {
            Next::Done => {
                core.slots.remove(&key);
                drop(core);
                drop(task);
                return;
            }
            Next::Again => slot.state = State::Ready,
            Next::At(_) | Next::WhenWoken if woken => slot.state = State::Ready,
            Next::At(due) => slot.state = State::Waiting(Some(due)),
            Next::WhenWoken => slot.state = State::Waiting(None),
        }
        slot.task = Some(task);
        match slot.state {
            State::Ready => core.ready.push_back(key),
            State::Waiting(Some(due)) => {
                core.due.insert((due, key));
                if core.timer_until.is_none_or(|until| due < until) {
                    self.changed.notify_all();
                }
            }
            State::Waiting(None) | State::Running { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::{Receiver, Sender, bounded};

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    /// A task made of a closure.
    struct Script<F>(F, Option<Sender<String>>);

    impl<F: FnMut(Instant) -> Next + Send> Turn for Script<F> {
        fn turn(&mut self, now: Instant) -> Next {
            (self.0)(now)
        }

        fn panicked(&mut self, message: &str) {
            if let Some(sender) = &self.1 {
                sender.send(message.to_owned()).unwrap();
            }
        }
    }

    fn script(turn: impl FnMut(Instant) -> Next + Send + 'static) -> Box<dyn Turn> {
        Box::new(Script(turn, None))
    }

    fn receive<T>(receiver: &Receiver<T>, what: &str) -> T {
        receiver.recv_timeout(SOON).unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    #[test]
    fn a_thousand_waiting_tasks_need_few_threads() {
        let runner = TaskRunner::new(2000).unwrap();
        let (turns, seen) = bounded(10_000);
        for task in 0..1000 {
            let turns = turns.clone();
            runner.spawn(|_| {
                let mut left = 5;
                script(move |now| {
                    turns.send(task).unwrap();
                    left -= 1;
                    if left == 0 { Next::WhenWoken } else { Next::At(now + Duration::from_millis(20)) }
                })
            });
        }
        for _ in 0..5000 {
            receive(&seen, "a turn of each task");
        }
        assert_eq!(runner.tasks(), 1000);
        assert!(runner.threads() <= 16, "{} threads", runner.threads());
    }

    #[test]
    fn blocked_tasks_stop_nobody() {
        let runner = TaskRunner::new(64).unwrap();
        let (go, gate) = bounded::<()>(0);
        for _ in 0..20 {
            let gate = gate.clone();
            runner.spawn(|_| {
                script(move |_| {
                    assert!(gate.recv().is_err());
                    Next::Done
                })
            });
        }
        let (turned, seen) = bounded(1);
        runner.spawn(|_| {
            script(move |_| {
                turned.send(()).unwrap();
                Next::Done
            })
        });
        receive(&seen, "a turn beside twenty blocked tasks");
        drop(go);
        assert_eq!(runner.close(Clock, Clock.deadline(SOON)), 0);
    }

    #[test]
    fn a_wake_during_a_turn_gives_another() {
        let runner = TaskRunner::new(4).unwrap();
        let (entered, inside) = bounded(0);
        let (leave, gate) = bounded(0);
        let waker = runner.spawn(|_| {
            script(move |_| {
                entered.send(()).unwrap();
                gate.recv().unwrap();
                Next::WhenWoken
            })
        });
        receive(&inside, "the first turn");
        waker.wake();
        leave.send(()).unwrap();
        receive(&inside, "the turn after the wake");
        leave.send(()).unwrap();
        waker.wake();
        receive(&inside, "the turn of the second wake");
        leave.send(()).unwrap();
    }

    #[test]
    fn a_wake_comes_before_the_due_time() {
        let runner = TaskRunner::new(4).unwrap();
        let (turned, seen) = bounded(4);
        let waker = runner.spawn(|_| {
            script(move |now| {
                turned.send(()).unwrap();
                Next::At(now + Duration::from_secs(3600))
            })
        });
        receive(&seen, "the first turn");
        for _ in 0..100 {
            waker.wake();
            receive(&seen, "the turn of a wake");
        }
        assert!(runner.shared.lock().due.len() <= 1, "old due times stay");
    }

    #[test]
    fn a_busy_task_lets_others_in() {
        let runner = TaskRunner::new(1).unwrap();
        runner.spawn(|_| script(|_| Next::Again));
        let (turned, seen) = bounded(1);
        runner.spawn(|_| {
            script(move |_| {
                turned.send(()).unwrap();
                Next::Done
            })
        });
        receive(&seen, "a turn beside a busy task on one thread");
    }

    #[test]
    fn a_panic_ends_its_task_alone() {
        let runner = TaskRunner::new(2).unwrap();
        let (said, hears) = bounded(1);
        runner.spawn(|_| Box::new(Script(|_| panic!("of the test"), Some(said))));
        assert_eq!(receive(&hears, "the report of a panic"), "of the test");
        let (turned, seen) = bounded(1);
        runner.spawn(|_| {
            script(move |_| {
                turned.send(()).unwrap();
                Next::Done
            })
        });
        receive(&seen, "a turn after a panic");
    }
}
