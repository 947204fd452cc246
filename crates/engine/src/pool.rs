//! A small thread pool for data-parallel loops over borrowed data.
//!
//! `run(n, task)` calls `task(0) … task(n - 1)`, each once, on the workers and on the caller, and returns when
//! all are done. Tasks lie in lanes of neighbours, one for each thread; who has finished its own takes from the others'.
//! Which thread runs a task is open, what a task computes is not, so results do not depend on the number of threads. A
//! waiting worker spins for some microseconds, since kernels of one step follow each other closely, and then parks.
//!
//! No lock is taken while all threads are awake. A word of each lane holds the number of the round and the next task; a
//! thread takes a task by exchanging that word, which only succeeds within the round whose job it has read. The caller
//! waits for tasks, not for workers: one that the system has put aside holds up nobody unless it has a task in hand.
//!
//! With one lane for all, two threads that stream a matrix read every other piece of it, and a core that jumps loses what it
//! had asked for ahead: on a Zen 5, products of 1.6 to 9 MB were 1.16 to 1.39 times as fast on two threads as on one.
//!
//! Rejected: rayon (work stealing decides how reductions are split, and a fork costs microseconds more than the
//! smallest kernels here), `std::thread::scope` (a thread start for each kernel), a mutex around the job.
#![allow(unsafe_code)]

mod pin;
mod split;

use crate::code::Compile;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

pub(crate) use split::Split;

/// Rounds of spinning before a thread parks; some tens of microseconds.
const SPINS: usize = 4000;
/// Bits of a ticket that count tasks; the others count rounds.
const INDEX: u32 = 24;
/// Most lanes; with more threads, several share one. Each is written twice by who opens a round.
const LANES: usize = 8;
/// More than the tasks of any round: a ticket with this index hands out nothing.
const CLOSED: usize = (1 << INDEX) - 1;
/// Most tasks of a round.
const MOST: usize = CLOSED - 1;

/// A function that runs one task of the closure behind the pointer.
type Call = unsafe fn(*const (), usize);

/// What threads write to is kept apart, so that one does not take the other's cache line away.
#[repr(align(128))]
struct Apart<T>(T);

struct Shared {
    /// For each lane the number of the round above [`INDEX`] bits, below them its next task to hand out.
    tickets: Box<[Apart<AtomicU64>]>,
    /// Tasks of the round that have been finished.
    done: Apart<AtomicUsize>,
    /// The job of the round: written while all tickets are closed, so that who exchanges an open one has read its job.
    data: AtomicPtr<()>,
    call: AtomicPtr<()>,
    count: AtomicUsize,
    /// Threads that take part.
    threads: usize,
    stop: AtomicBool,
    /// Workers that wait for `wake`, or are about to.
    parked: AtomicUsize,
    /// Whether the caller waits for `finished`, or is about to.
    waiting: AtomicBool,
    sleep: Mutex<()>,
    wake: Condvar,
    finished: Condvar,
    /// The first panic of the round.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    failed: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Tasks run outside the locks, so a poisoned lock still guards consistent data.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// The lane that thread `index` begins with.
    fn lane(&self, index: usize) -> usize {
        index * self.tickets.len() / self.threads.max(index + 1)
    }

    /// Where lane `lane` begins in a round of `count` tasks; the next one's begin is its end.
    fn begin(&self, lane: usize, count: usize) -> usize {
        lane * count / self.tickets.len()
    }

    /// Takes tasks of round `round` until there are none, those of lane `own` first.
    fn work(&self, round: u64, own: usize) {
        let lanes = self.tickets.len();
        for lane in (own..lanes).chain(0..own) {
            while self.take(round, lane) {}
        }
    }

    /// Runs some tasks of a lane; whether there may be more.
    fn take(&self, round: u64, lane: usize) -> bool {
        let word = &self.tickets[lane].0;
        let ticket = word.load(Ordering::Acquire);
        let first = ticket as usize & CLOSED;
        let (data, call) = (self.data.load(Ordering::Acquire), self.call.load(Ordering::Acquire));
        let count = self.count.load(Ordering::Acquire);
        let end = self.begin(lane + 1, count);
        if ticket >> INDEX != round || first >= end {
            return false;
        }
        // Large rounds are handed out in runs that get shorter; a sixteenth of its share is the most that a thread
        // which is put aside holds up.
        let run = ((end - first) / 16).max(1);
        let next = ticket + run as u64;
        if word.compare_exchange(ticket, next, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return true;
        }
        // SAFETY: had a field above been of a later round, the ticket would have been closed by then and the
        // exchange failed. So the job is that of this round, whose caller waits until the tasks just taken are
        // reported as done below; and the caller made `call` from a function of this type.
        let call = unsafe { std::mem::transmute::<*mut (), Call>(call) };
        // Once a task has failed, what is left counts as done.
        if !self.failed.load(Ordering::Acquire)
            && let Err(cause) = catch_unwind(AssertUnwindSafe(|| {
                // SAFETY: as above; each task is taken once.
                (first..first + run).for_each(|index| unsafe { call(data, index) });
            }))
        {
            lock(&self.panic).get_or_insert(cause);
            self.failed.store(true, Ordering::Release);
        }
        if self.done.0.fetch_add(run, Ordering::SeqCst) + run == count && self.waiting.load(Ordering::SeqCst)
        {
            let _guard = lock(&self.sleep);
            self.finished.notify_all();
        }
        true
    }

    /// The number of a round that is open in a lane, other than `seen`.
    fn opened(&self, seen: u64, lane: usize) -> Option<u64> {
        let ticket = self.tickets[lane].0.load(Ordering::SeqCst);
        (ticket >> INDEX != seen).then_some(ticket >> INDEX)
    }

    fn worker(&self, lane: usize) {
        let mut seen = 0;
        loop {
            let mut round = None;
            for _ in 0..SPINS {
                round = self.opened(seen, lane);
                if round.is_some() {
                    break;
                }
                std::hint::spin_loop();
            }
            seen = round.unwrap_or_else(|| {
                let mut guard = lock(&self.sleep);
                self.parked.fetch_add(1, Ordering::SeqCst);
                // Either this sees the new round, or its caller sees that somebody is parked.
                let round = loop {
                    if let Some(round) = self.opened(seen, lane) {
                        break round;
                    }
                    guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
                };
                self.parked.fetch_sub(1, Ordering::SeqCst);
                round
            });
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            self.work(seen, lane);
        }
    }

    /// Opens a round for the job that `job` writes, wakes who is parked, and returns its number.
    fn open(&self, job: impl FnOnce()) -> u64 {
        let last = self.tickets[0].0.load(Ordering::Relaxed) >> INDEX;
        for word in &self.tickets {
            word.0.store((last << INDEX) | CLOSED as u64, Ordering::Release);
        }
        job();
        let round = (last + 1) & (u64::MAX >> INDEX);
        let count = self.count.load(Ordering::Relaxed);
        for (lane, word) in self.tickets.iter().enumerate() {
            // An exchange, not a store: the look at `parked` below must come after it, and emulators of machines with
            // weaker ordering on those with stronger are known to let a plain store pass a later load.
            word.0.swap((round << INDEX) | self.begin(lane, count) as u64, Ordering::SeqCst);
        }
        if self.parked.load(Ordering::SeqCst) > 0 {
            let _guard = lock(&self.sleep);
            self.wake.notify_all();
        }
        round
    }
}

/// A pool of threads; see the module's head.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// let pool = engine::pool::Pool::new(2);
/// let sum = AtomicUsize::new(0);
/// pool.run(10, |i| { sum.fetch_add(i, Ordering::Relaxed); });
/// assert_eq!(sum.into_inner(), 45);
/// ```
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Set while a round is running; a second caller runs its loop alone instead of waiting.
    taken: AtomicBool,
    pinned: bool,
    compiler: Option<Arc<dyn Compile>>,
    /// Rounds and tasks that were dealt out so far.
    dealt: [AtomicUsize; 2],
}

impl Pool {
    /// A pool of `threads` threads, the caller included: `threads - 1` are started (fewer where the system
    /// refuses more). 0 counts as 1.
    pub fn new(threads: usize) -> Self {
        Self::start(threads, &[])
    }

    /// As [`Pool::new`], with each thread on a processor of its own: the calling thread stays on the first of those
    /// that it may use from now on, each worker on a further one. Where there are fewer than `threads`, or the system
    /// is not Linux, nothing is pinned; [`Pool::is_pinned`] tells.
    ///
    /// Pinned threads keep their caches, and lose where other programs want the same processors.
    pub fn pinned(threads: usize) -> Self {
        let processors = pin::allowed();
        if processors.is_empty() || processors.len() < threads || !pin::pin(processors[0]) {
            return Self::new(threads);
        }
        Self::start(threads, &processors)
    }

    /// Worker `i` is pinned to processor `i`, where there is one.
    fn start(threads: usize, processors: &[usize]) -> Self {
        let shared = Arc::new(Shared {
            tickets: (0..threads.clamp(1, LANES)).map(|_| Apart(AtomicU64::new(CLOSED as u64))).collect(),
            done: Apart(AtomicUsize::new(0)),
            data: AtomicPtr::new(std::ptr::null_mut()),
            call: AtomicPtr::new(std::ptr::null_mut()),
            count: AtomicUsize::new(0),
            threads: threads.max(1),
            stop: AtomicBool::new(false),
            parked: AtomicUsize::new(0),
            waiting: AtomicBool::new(false),
            sleep: Mutex::new(()),
            wake: Condvar::new(),
            finished: Condvar::new(),
            panic: Mutex::new(None),
            failed: AtomicBool::new(false),
        });
        let workers = (1..threads)
            .map_while(|index| {
                let (shared, processor) = (Arc::clone(&shared), processors.get(index).copied());
                let worker = move || {
                    if let Some(processor) = processor {
                        pin::pin(processor);
                    }
                    shared.worker(shared.lane(index));
                };
                std::thread::Builder::new().name(format!("engine-{index}")).spawn(worker).ok()
            })
            .collect();
        let pinned = !processors.is_empty();
        Self {
            shared,
            workers,
            taken: AtomicBool::new(false),
            pinned,
            compiler: None,
            dealt: Default::default(),
        }
    }

    /// A pool that only ever uses the calling thread.
    pub fn single() -> Self {
        Self::new(1)
    }

    /// The same threads with a compiler: plans that are made for them run as compiled code.
    #[must_use]
    pub fn with_compiler(mut self, compiler: Arc<dyn Compile>) -> Self {
        self.compiler = Some(compiler);
        self
    }

    /// The compiler, where one was chosen.
    pub fn compiler(&self) -> Option<Arc<dyn Compile>> {
        self.compiler.clone()
    }

    /// Number of threads that share the work, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Rounds that were dealt out to threads so far, and their tasks: what a plan says of its cuts is held against this.
    pub fn dealt(&self) -> (usize, usize) {
        (self.dealt[0].load(Ordering::Relaxed), self.dealt[1].load(Ordering::Relaxed))
    }

    /// Whether each thread was given a processor of its own.
    pub fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// Calls `task(i)` once for each `i < count` and returns when all calls have returned. A task may call `run`
    /// again: the inner loop runs on its own thread.
    ///
    /// # Panics
    /// With the panic of a task, after all threads have let go of the closure.
    pub fn run<F: Fn(usize) + Sync>(&self, count: usize, task: F) {
        if self.workers.is_empty() || count < 2 || self.taken.swap(true, Ordering::Acquire) {
            (0..count).for_each(task);
            return;
        }
        // Only who holds the pool writes.
        self.dealt[0].fetch_add(1, Ordering::Relaxed);
        self.dealt[1].fetch_add(count, Ordering::Relaxed);
        for from in (0..count).step_by(MOST) {
            let result = self.round(MOST.min(count - from), &|index| task(from + index));
            if let Err(cause) = result {
                self.taken.store(false, Ordering::Release);
                resume_unwind(cause);
            }
        }
        self.taken.store(false, Ordering::Release);
    }

    /// One round of at most [`MOST`] tasks; the caller has taken the pool.
    fn round<F: Fn(usize) + Sync>(&self, count: usize, task: &F) -> Result<(), Box<dyn Any + Send>> {
        /// # Safety
        /// `task` points to an `F`.
        unsafe fn call<F: Fn(usize)>(task: *const (), index: usize) {
            // SAFETY: the caller's word.
            unsafe { (*task.cast::<F>())(index) }
        }
        let shared = &*self.shared;
        let round = shared.open(|| {
            shared.data.store(std::ptr::from_ref(task).cast::<()>().cast_mut(), Ordering::Release);
            shared.call.store(call::<F> as Call as *mut (), Ordering::Release);
            shared.count.store(count, Ordering::Release);
            shared.done.0.store(0, Ordering::Release);
        });
        shared.work(round, 0);
        let done = || shared.done.0.load(Ordering::SeqCst) == count;
        let mut spins = 0;
        while !done() && spins < SPINS {
            std::hint::spin_loop();
            spins += 1;
        }
        if !done() {
            let mut guard = lock(&shared.sleep);
            // An exchange for the reason given in `open`.
            shared.waiting.swap(true, Ordering::SeqCst);
            // Either this sees the last task done, or who does it sees that somebody waits.
            while !done() {
                guard = shared.finished.wait(guard).unwrap_or_else(PoisonError::into_inner);
            }
            shared.waiting.store(false, Ordering::SeqCst);
        }
        if shared.failed.swap(false, Ordering::AcqRel) {
            return lock(&shared.panic).take().map_or(Ok(()), Err);
        }
        Ok(())
    }

    /// Calls `task(i, chunk)` for each chunk of `a`, of `size` elements each (the last may be shorter).
    pub fn chunks<A: Send, F>(&self, a: &mut [A], size: usize, task: F)
    where
        F: Fn(usize, &mut [A]) + Sync,
    {
        let count = a.len().div_ceil(size);
        let a = Split::new(a, size);
        // SAFETY: `run` calls each index once, so no chunk is borrowed twice.
        self.run(count, |i| task(i, unsafe { a.chunk(i) }));
    }

    /// As [`Pool::chunks`] over two arrays with chunks of `sizes` elements; `count` chunks.
    ///
    /// # Panics
    /// Where an array has not `count` chunks (its last may be shorter).
    pub fn chunks2<A: Send, B: Send, F>(
        &self,
        count: usize,
        (a, b): (&mut [A], &mut [B]),
        sizes: [usize; 2],
        task: F,
    ) where
        F: Fn(usize, &mut [A], &mut [B]) + Sync,
    {
        let (a, b) = (Split::of(count, a, sizes[0]), Split::of(count, b, sizes[1]));
        // SAFETY: `run` calls each index once, so no chunk is borrowed twice.
        self.run(count, |i| unsafe { task(i, a.chunk(i), b.chunk(i)) });
    }

    /// As [`Pool::chunks2`] over three arrays.
    pub fn chunks3<A: Send, B: Send, C: Send, F>(
        &self,
        count: usize,
        (a, b, c): (&mut [A], &mut [B], &mut [C]),
        sizes: [usize; 3],
        task: F,
    ) where
        F: Fn(usize, &mut [A], &mut [B], &mut [C]) + Sync,
    {
        let (a, b, c) =
            (Split::of(count, a, sizes[0]), Split::of(count, b, sizes[1]), Split::of(count, c, sizes[2]));
        // SAFETY: `run` calls each index once, so no chunk is borrowed twice.
        self.run(count, |i| unsafe { task(i, a.chunk(i), b.chunk(i), c.chunk(i)) });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        // A round without tasks ends the spinning and the sleep.
        self.shared.open(|| self.shared.count.store(0, Ordering::Release));
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}
