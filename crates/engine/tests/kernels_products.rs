//! Matrix products and ternary products against plain loops; the pool's promises.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Random, assert_close, each_level, wide};
use engine::kernels::gemm::{MatMut, MatRef, gemm, gemm_parallel};
use engine::kernels::ternary;
use engine::pool::Pool;
use proptest::prelude::*;

/// A stored so that its view is `(rows, cols)`: plainly, or as the transpose of its transpose.
fn view(data: &[f32], rows: usize, cols: usize, transposed: bool) -> MatRef<'_, f32> {
    if transposed { MatRef::row_major(data, cols, rows).t() } else { MatRef::row_major(data, rows, cols) }
}

#[test]
fn gemm_matches_f64_for_any_layout_and_thread_count() {
    let shapes = [
        (1, 1, 1),
        (1, 40, 30),
        (40, 1, 30),
        (7, 5, 1),
        (3, 4, 0),
        (65, 33, 17),
        (512, 128, 128),
        (128, 704, 512),
        (352, 128, 512),
        (512, 704, 128),
        (1, 2000, 3000),
        (2000, 300, 20),
    ];
    for (m, n, k) in shapes {
        let mut random = Random::new((m * n + k) as u64);
        let (a, b, c0) =
            (random.vec(m * k, -1.0, 1.0), random.vec(k * n, -1.0, 1.0), random.vec(m * n, -1.0, 1.0));
        for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
            let (av, bv) = (view(&a, m, k, ta), view(&b, k, n, tb));
            let at = |i: usize, l: usize| f64::from(if ta { a[l * m + i] } else { a[i * k + l] });
            let bt = |l: usize, j: usize| f64::from(if tb { b[j * k + l] } else { b[l * n + j] });
            for (alpha, beta) in [(1.0, 0.0), (0.5, 2.0)] {
                let start: Vec<f32> = if beta == 0.0 { vec![f32::NAN; m * n] } else { c0.clone() };
                let mut c = start.clone();
                gemm(alpha, av, bv, beta, MatMut::row_major(&mut c, m, n));
                if m * n * k < 1_000_000 {
                    let mut expected = vec![0.0; m * n];
                    for i in 0..m {
                        for j in 0..n {
                            let sum: f64 = (0..k).map(|l| at(i, l) * bt(l, j)).sum();
                            let old =
                                if beta == 0.0 { 0.0 } else { f64::from(beta) * f64::from(c0[i * n + j]) };
                            expected[i * n + j] = f64::from(alpha) * sum + old;
                        }
                    }
                    assert_close(&c, &expected, 2e-6);
                }
                let mut tiled = Vec::new();
                for threads in [1, 2, 3] {
                    let mut d = start.clone();
                    gemm_parallel(&Pool::new(threads), alpha, av, bv, beta, MatMut::row_major(&mut d, m, n));
                    assert_close(&d, &wide(&c), 2e-6);
                    tiled.push(d);
                }
                assert!(tiled.iter().all(|d| d == &tiled[0]), "{m} x {n} x {k}: threads change the result");
            }
        }
    }
}

#[test]
fn gemm_f64_strided_output_and_bad_shapes() {
    let (a, b) = ([1.0f64, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
    let mut c = [0.0; 8];
    let target = MatMut::with_strides(&mut c, 2, 2, 1, 4);
    gemm(1.0, MatRef::row_major(&a, 2, 2), MatRef::row_major(&b, 2, 2), 0.0, target);
    assert_eq!(c, [19.0, 43.0, 0.0, 0.0, 22.0, 50.0, 0.0, 0.0]);
    let panics = |f: fn()| std::panic::catch_unwind(f).is_err();
    assert!(panics(|| {
        let _ = MatMut::with_strides(&mut [0.0f32; 8], 2, 2, 1, 1);
    }));
    assert!(panics(|| {
        let _ = MatMut::with_strides(&mut [0.0f32; 8], 2, 3, 0, 1);
    }));
    assert!(panics(|| {
        let _ = MatMut::row_major(&mut [0.0f32; 3], 2, 2);
    }));
    assert!(panics(|| {
        let _ = MatRef::row_major(&[0.0f32; 3], 2, 2);
    }));
}

fn naive(x: &[i8], t: &[i8], k: usize, n: usize, m: usize) -> Vec<i32> {
    let mut out = Vec::new();
    for i in 0..n {
        for j in 0..m {
            out.push((0..k).map(|l| i32::from(x[i * k + l]) * i32::from(t[j * k + l])).sum());
        }
    }
    out
}

#[test]
fn ternary_products_are_exact() {
    let shapes = [
        (1, 1, 1),
        (1, 33, 5),
        (2, 100, 4),
        (3, 31, 7),
        (9, 32, 130),
        (17, 352, 9),
        (1, 2048, 300),
        (2, 70, 1),
    ];
    each_level(|_| {
        for (n, k, m) in shapes {
            let mut random = Random::new((n * k * m) as u64);
            let x: Vec<i8> = (0..n * k).map(|_| random.next() as i8).collect();
            let t: Vec<i8> = (0..m * k).map(|_| random.below(3) as i8 - 1).collect();
            // The ends of the range, where 16-bit sums would overflow first.
            for (x, t) in [
                (x.clone(), t.clone()),
                (vec![-128; n * k], vec![1; m * k]),
                (vec![127; n * k], vec![-1; m * k]),
            ] {
                let expected = naive(&x, &t, k, n, m);
                for threads in [1, 3] {
                    let mut acc = vec![7; n * m];
                    ternary::matmul_i32(&Pool::new(threads), &x, &t, n, &mut acc);
                    assert_eq!(acc, expected);
                }
                let scale: Vec<f32> = (0..n).map(|_| random.f32(0.1, 50.0)).collect();
                let (mut acc, mut y) = (vec![0; n * m], vec![0.0; n * m]);
                ternary::matmul(&Pool::single(), &x, &scale, &t, 1.7, &mut acc, &mut y);
                for i in 0..n * m {
                    assert_eq!(y[i], expected[i] as f32 / scale[i / m] / 1.7);
                }
            }
        }
    });
    let mut none = [3; 4];
    ternary::matmul_i32(&Pool::single(), &[], &[], 2, &mut none);
    assert_eq!(none, [0; 4]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn ternary_products_of_any_shape(n in 1usize..20, k in 1usize..1200, m in 1usize..12, seed: u64) {
        let mut random = Random::new(seed);
        let x: Vec<i8> = (0..n * k).map(|_| random.next() as i8).collect();
        let t: Vec<i8> = (0..m * k).map(|_| random.below(3) as i8 - 1).collect();
        let mut acc = vec![0; n * m];
        ternary::matmul_i32(&Pool::single(), &x, &t, n, &mut acc);
        prop_assert_eq!(acc, naive(&x, &t, k, n, m));
    }
}

#[test]
fn pool_runs_each_task_once() {
    for threads in [0, 1, 2, 5] {
        let pool = Pool::new(threads);
        assert_eq!(pool.threads(), threads.max(1));
        for count in [0, 1, 2, 3, 100] {
            for _ in 0..50 {
                let calls: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                pool.run(count, |task| {
                    calls[task].fetch_add(1, Ordering::Relaxed);
                });
                assert!(calls.iter().all(|calls| calls.load(Ordering::Relaxed) == 1));
            }
        }
        let mut data = vec![0; 103];
        pool.chunks(&mut data, 10, |index, chunk| chunk.fill(index));
        assert!(data.iter().enumerate().all(|(i, &x)| x == i / 10));
    }
}

fn add(sum: &AtomicUsize, x: usize) {
    sum.fetch_add(x, Ordering::Relaxed);
}

#[test]
fn pool_of_short_rounds_loses_nothing() {
    let pool = Pool::pinned(2);
    assert!(pool.threads() == 2 || !pool.is_pinned());
    let mut data = vec![0u64; 40];
    // Rounds that begin while a worker is anywhere between two of them, then some that find it parked.
    for round in 0..60_000 {
        let count = 2 + round % 39;
        pool.chunks(&mut data[..count], 1, |_, x| x[0] += 1);
        if round % 20_000 == 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
    let expected = |i: usize| (0..60_000).filter(|round| i < 2 + round % 39).count() as u64;
    assert!(data.iter().enumerate().all(|(i, x)| *x == expected(i)));
    // Many tasks are handed out in runs.
    let calls: Vec<AtomicUsize> = (0..100_000).map(|_| AtomicUsize::new(0)).collect();
    pool.run(calls.len(), |task| add(&calls[task], 1));
    assert!(calls.iter().all(|calls| calls.load(Ordering::Relaxed) == 1));
}

#[test]
fn pool_nests_and_survives_pauses_and_panics() {
    let pool = Pool::new(3);
    let sum = AtomicUsize::new(0);
    pool.run(4, |_| pool.run(5, |task| add(&sum, task)));
    assert_eq!(sum.load(Ordering::Relaxed), 40);
    // Long enough for the workers to park.
    std::thread::sleep(std::time::Duration::from_millis(20));
    for round in 0..20 {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.run(50, |task| assert!(task != round, "task {task} fails"));
        }));
        let cause = result.unwrap_err();
        assert_eq!(cause.downcast_ref::<String>(), Some(&format!("task {round} fails")));
        sum.store(0, Ordering::Relaxed);
        pool.run(10, |task| add(&sum, task));
        assert_eq!(sum.load(Ordering::Relaxed), 45);
    }
    // Callers on several threads share one pool.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let sum = AtomicUsize::new(0);
                    pool.run(10, |task| add(&sum, task));
                    assert_eq!(sum.load(Ordering::Relaxed), 45);
                }
            });
        }
    });
}
