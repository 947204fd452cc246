//! A small thread pool for data-parallel loops over borrowed data.
//!
//! `run(n, task)` calls `task(0) … task(n - 1)`, each once, on the workers and on the caller, and returns when
//! all are done. Tasks are handed out one by one from a counter: which thread runs a task is open, what a task
//! computes is not, so results do not depend on the number of threads. A waiting worker spins for some
//! microseconds, since kernels of one step follow each other closely, and then parks.
//!
//! Rejected: rayon (work stealing decides how reductions are split, and a fork costs microseconds more than the
//! smallest kernels here), `std::thread::scope` (a thread start for each kernel).
#![allow(unsafe_code)]

use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Rounds of spinning before a thread parks; some 20 microseconds.
const SPINS: usize = 4000;

/// The task of the current round with its lifetime erased.
#[derive(Clone, Copy)]
struct Job {
    task: *const (dyn Fn(usize) + Sync),
    count: usize,
}

// SAFETY: the closure behind the pointer is `Sync`, and `run` keeps it alive until every worker let go of it.
unsafe impl Send for Job {}

struct Shared {
    /// Number of the current round; a change tells the workers that there is work.
    round: AtomicU64,
    /// Next task to hand out.
    next: AtomicUsize,
    /// Workers that took the current job and have not finished it; raised under the lock of `job`.
    busy: AtomicUsize,
    stop: AtomicBool,
    job: Mutex<Option<Job>>,
    wake: Condvar,
    done: Condvar,
    /// The first panic of the round.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Tasks run outside the locks, so a poisoned lock still guards consistent data.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn work(&self, job: Job) {
        // SAFETY: `run` does not return, hence the closure lives, before this worker reports that it is done.
        let task = unsafe { &*job.task };
        let result = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let index = self.next.fetch_add(1, Ordering::Relaxed);
                if index >= job.count {
                    break;
                }
                task(index);
            }
        }));
        if let Err(cause) = result {
            // Nothing further is handed out: the round has failed.
            self.next.store(job.count, Ordering::Relaxed);
            lock(&self.panic).get_or_insert(cause);
        }
    }

    fn worker(&self) {
        let mut seen = 0;
        loop {
            let mut spins = 0;
            while self.round.load(Ordering::Acquire) == seen && spins < SPINS {
                std::hint::spin_loop();
                spins += 1;
            }
            let job = {
                let mut job = lock(&self.job);
                while self.round.load(Ordering::Acquire) == seen && !self.stop.load(Ordering::Acquire) {
                    job = self.wake.wait(job).unwrap_or_else(PoisonError::into_inner);
                }
                if self.stop.load(Ordering::Acquire) {
                    return;
                }
                seen = self.round.load(Ordering::Acquire);
                if job.is_some() {
                    self.busy.fetch_add(1, Ordering::Relaxed);
                }
                *job
            };
            // A worker that woke too late finds no job: the caller did not wait for it.
            let Some(job) = job else { continue };
            self.work(job);
            if self.busy.fetch_sub(1, Ordering::AcqRel) == 1 {
                let _guard = lock(&self.job);
                self.done.notify_all();
            }
        }
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
    /// Held by the thread whose round is running; a second caller runs its loop alone instead of waiting.
    turn: Mutex<()>,
}

impl Pool {
    /// A pool of `threads` threads, the caller included: `threads - 1` are started (fewer where the system
    /// refuses more). 0 counts as 1.
    pub fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            round: AtomicU64::new(0),
            next: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            job: Mutex::new(None),
            wake: Condvar::new(),
            done: Condvar::new(),
            panic: Mutex::new(None),
        });
        let workers = (1..threads)
            .map_while(|index| {
                let shared = Arc::clone(&shared);
                let builder = std::thread::Builder::new().name(format!("engine-{index}"));
                builder.spawn(move || shared.worker()).ok()
            })
            .collect();
        Self { shared, workers, turn: Mutex::new(()) }
    }

    /// A pool that only ever uses the calling thread.
    pub fn single() -> Self {
        Self::new(1)
    }

    /// Number of threads that share the work, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task(i)` once for each `i < count` and returns when all calls have returned. A task may call `run`
    /// again: the inner loop runs on its own thread.
    ///
    /// # Panics
    /// With the panic of a task, after all threads have let go of the closure.
    pub fn run<F: Fn(usize) + Sync>(&self, count: usize, task: F) {
        if self.workers.is_empty() || count < 2 {
            (0..count).for_each(task);
            return;
        }
        let Ok(_turn) = self.turn.try_lock() else {
            (0..count).for_each(task);
            return;
        };
        let erased: *const (dyn Fn(usize) + Sync + '_) = &task;
        // SAFETY: only the lifetime changes. The pointer is used by `work` alone, and this function waits below
        // until `busy` is 0, that is until no worker is in `work` or can enter it for this round.
        let erased: *const (dyn Fn(usize) + Sync + 'static) = unsafe { std::mem::transmute(erased) };
        let job = Job { task: erased, count };
        let shared = &*self.shared;
        {
            let mut slot = lock(&shared.job);
            *slot = Some(job);
            shared.next.store(0, Ordering::Relaxed);
            shared.round.fetch_add(1, Ordering::Release);
            shared.wake.notify_all();
        }
        shared.work(job);
        // From here on no further worker can enter: it would have to find the job in the slot.
        *lock(&shared.job) = None;
        let mut spins = 0;
        while shared.busy.load(Ordering::Acquire) != 0 && spins < SPINS {
            std::hint::spin_loop();
            spins += 1;
        }
        let mut slot = lock(&shared.job);
        while shared.busy.load(Ordering::Acquire) != 0 {
            slot = shared.done.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
        drop(slot);
        let cause = lock(&shared.panic).take();
        drop(_turn);
        if let Some(cause) = cause {
            resume_unwind(cause);
        }
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
        {
            let _guard = lock(&self.shared.job);
            self.shared.stop.store(true, Ordering::Release);
            // Ends the spinning too.
            self.shared.round.fetch_add(1, Ordering::Release);
            self.shared.wake.notify_all();
        }
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

/// A slice borrowed for writing, of which tasks take disjoint parts.
pub(crate) struct Split<'a, T> {
    start: *mut T,
    len: usize,
    size: usize,
    life: PhantomData<&'a mut [T]>,
}

// SAFETY: only the unsafe methods reach the elements, and their callers promise that parts do not overlap.
unsafe impl<T: Send> Sync for Split<'_, T> {}

impl<'a, T> Split<'a, T> {
    /// Chunks of `size` elements.
    pub(crate) fn new(data: &'a mut [T], size: usize) -> Self {
        Self { start: data.as_mut_ptr(), len: data.len(), size, life: PhantomData }
    }

    fn of(count: usize, data: &'a mut [T], size: usize) -> Self {
        assert_eq!(
            data.len().div_ceil(size.max(1)),
            count,
            "an array of {} is not {count} chunks of {size}",
            data.len()
        );
        Self::new(data, size)
    }

    /// Chunk `index`.
    ///
    /// # Safety
    /// No two live parts may overlap.
    unsafe fn chunk(&self, index: usize) -> &'a mut [T] {
        let from = (index * self.size).min(self.len);
        // SAFETY: handed on to the caller.
        unsafe { self.part(from, self.size.min(self.len - from)) }
    }

    /// Elements `from .. from + len`.
    ///
    /// # Safety
    /// No two live parts may overlap.
    #[inline(always)]
    pub(crate) unsafe fn part(&self, from: usize, len: usize) -> &'a mut [T] {
        assert!(from <= self.len && len <= self.len - from, "part {from}+{len} of a slice of {}", self.len);
        // SAFETY: in bounds (checked), and not otherwise borrowed (caller).
        unsafe { std::slice::from_raw_parts_mut(self.start.add(from), len) }
    }
}
