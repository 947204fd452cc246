//! Every task runs once, whatever the numbers of tasks and threads, whoever panics, and whoever else uses the pool.
#![cfg(not(target_family = "wasm"))]

use engine::pool::Pool;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

/// How often each task ran.
fn counts(pool: &Pool, count: usize) -> Vec<usize> {
    let ran: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
    pool.run(count, |i| {
        ran[i].fetch_add(1, Ordering::Relaxed);
    });
    ran.into_iter().map(AtomicUsize::into_inner).collect()
}

#[test]
fn each_task_runs_once() {
    for threads in [1, 2, 3, 8, 11] {
        let pool = Pool::new(threads);
        for round in 0..400 {
            let count = [0, 1, 2, 3, 7, 8, 9, 31, 64, 257][round % 10];
            assert!(counts(&pool, count).iter().all(|n| *n == 1), "{count} tasks, {threads} threads");
        }
        assert!(counts(&pool, 100_003).iter().all(|n| *n == 1), "{threads} threads");
    }
}

#[test]
fn workers_that_sleep_wake_up() {
    let pool = Pool::new(4);
    for _ in 0..20 {
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert_eq!(counts(&pool, 50), [1; 50]);
    }
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
    for threads in [1, 2, 5] {
        let pool = Pool::new(threads);
        for bad in [0, 1, 50, 98, 99] {
            let run = || pool.run(100, |i| assert_ne!(i, bad, "task {i}"));
            let cause = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
            let text = cause.downcast_ref::<String>().cloned().unwrap_or_default();
            assert!(text.contains(&format!("task {bad}")), "{text}");
            assert_eq!(counts(&pool, 77), [1; 77]);
        }
        let all = || pool.run(64, |i| panic!("task {i}"));
        assert!(catch_unwind(AssertUnwindSafe(all)).is_err());
        assert_eq!(counts(&pool, 3), [1; 3]);
    }
}

#[test]
fn tasks_and_other_threads_may_use_the_pool_too() {
    let pool = Pool::new(3);
    let sum = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..50 {
                    pool.run(10, |_| {
                        pool.run(4, |_| {
                            sum.fetch_add(1, Ordering::Relaxed);
                        })
                    });
                }
            });
        }
    });
    assert_eq!(sum.into_inner(), 3 * 50 * 40);
}
