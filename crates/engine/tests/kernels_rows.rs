//! Row kernels against plain loops in f64, over odd shapes, for one and several threads.

mod common;

use common::{Random, assert_close, each_level, wide};
use engine::kernels::rows::{self, AdamW, Rounding};
use engine::pool::Pool;

const SHAPES: [(usize, usize); 9] =
    [(1, 1), (1, 33), (5, 1), (3, 7), (33, 32), (64, 31), (70, 100), (2, 1500), (100, 128)];

/// Runs `kernel` with 1, 2 and 3 threads; the results must be the same to the bit.
fn same_for_all_threads<T: PartialEq + std::fmt::Debug>(kernel: impl Fn(&Pool) -> T) -> T {
    let one = kernel(&Pool::single());
    for threads in [2, 3] {
        assert_eq!(kernel(&Pool::new(threads)), one, "{threads} threads");
    }
    one
}

#[test]
fn rms_norm_and_gradient() {
    each_level(|_| {
        for (rows, cols) in SHAPES {
            let mut random = Random::new((rows * 1000 + cols) as u64);
            let x = random.vec(rows * cols, -3.0, 3.0);
            let dy = random.vec(rows * cols, -1.0, 1.0);
            let w = random.vec(cols, 0.2, 2.0);
            let (mut y64, mut dx64, mut dw64, mut r64) = (vec![], vec![], vec![0.0; cols], vec![]);
            for (x, dy) in x.chunks(cols).zip(dy.chunks(cols)) {
                let (x, dy) = (wide(x), wide(dy));
                let r = 1.0 / (x.iter().map(|x| x * x).sum::<f64>() / cols as f64 + 1e-6).sqrt();
                let mean = (0..cols).map(|c| x[c] * r * dy[c] * f64::from(w[c])).sum::<f64>() / cols as f64;
                for c in 0..cols {
                    y64.push(x[c] * r * f64::from(w[c]));
                    dx64.push((dy[c] * f64::from(w[c]) - x[c] * r * mean) * r);
                    dw64[c] += dy[c] * x[c] * r;
                }
                r64.push(r);
            }
            let (y, rstd, dx, dw) = same_for_all_threads(|pool| {
                let (mut y, mut rstd) = (vec![0.0; x.len()], vec![0.0; rows]);
                rows::rms_norm(pool, &x, &w, 1e-6, &mut y, &mut rstd);
                let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; cols]);
                let mut scratch = vec![f32::NAN; rows::rms_norm_grad_scratch(rows, cols)];
                rows::rms_norm_grad(pool, &x, &w, &rstd, &dy, &mut dx, &mut dw, &mut scratch);
                (y, rstd, dx, dw)
            });
            assert_close(&y, &y64, 5e-7);
            assert_close(&rstd, &r64, 3e-7);
            // With one column the gradient is a difference of nearly equal numbers.
            let scale = if cols == 1 { 1.0 } else { 0.0 };
            let found: Vec<f32> = dx.iter().copied().chain([scale]).collect();
            let expected: Vec<f64> = dx64.iter().copied().chain([f64::from(scale)]).collect();
            assert_close(&found, &expected, if cols == 1 { 1e-3 } else { 2e-6 });
            assert_close(&dw, &dw64, 1e-6);
        }
    });
}

#[test]
fn quantisers() {
    each_level(|_| {
        for (rows, cols) in SHAPES {
            let mut random = Random::new((rows * 77 + cols) as u64);
            let mut y = random.vec(rows * cols, -5.0, 5.0);
            y[..cols].fill(0.0);
            for rounding in [Rounding::HalfAway, Rounding::HalfEven] {
                let (q, scale, back) = same_for_all_threads(|pool| {
                    let (mut q, mut scale, mut back) =
                        (vec![0; y.len()], vec![0.0; rows], vec![0.0; y.len()]);
                    rows::quantize_activations(pool, &y, cols, rounding, &mut q, &mut scale);
                    rows::dequantize(pool, &q, &scale, &mut back);
                    (q, scale, back)
                });
                for r in 0..rows {
                    let row = &y[r * cols..][..cols];
                    let s = 127.0 / row.iter().fold(1e-5f32, |best, x| best.max(x.abs()));
                    assert_eq!(scale[r], s);
                    for c in 0..cols {
                        let v = row[c] * s;
                        let expected = match rounding {
                            Rounding::HalfAway => v.round(),
                            Rounding::HalfEven => v.round_ties_even(),
                        };
                        assert_eq!(q[r * cols + c], expected.clamp(-128.0, 127.0) as i8);
                        assert_eq!(back[r * cols + c], expected / s);
                    }
                }
                // The fused forms agree with norm, then quantiser, to the bit.
                let w = random.vec(cols, 0.5, 1.5);
                let pool = Pool::single();
                let (mut n, mut rstd, mut q2) = (vec![0.0; y.len()], vec![0.0; rows], vec![0; y.len()]);
                let (mut scale2, mut fake2) = (vec![0.0; rows], vec![0.0; y.len()]);
                rows::rms_norm(&pool, &y, &w, 1e-6, &mut n, &mut rstd);
                rows::quantize_activations(&pool, &n, cols, rounding, &mut q2, &mut scale2);
                rows::dequantize(&pool, &q2, &scale2, &mut fake2);
                let fused = same_for_all_threads(|pool| {
                    let (mut q, mut r, mut s) = (vec![0; y.len()], vec![0.0; rows], vec![0.0; rows]);
                    rows::rms_norm_quantize(pool, &y, &w, 1e-6, rounding, &mut q, &mut r, &mut s);
                    (q, r, s)
                });
                assert_eq!(fused, (q2, rstd.clone(), scale2.clone()));
                let fake = same_for_all_threads(|pool| {
                    let (mut f, mut r, mut s) = (vec![0.0; y.len()], vec![0.0; rows], vec![0.0; rows]);
                    rows::rms_norm_fake_quantize(pool, &y, &w, 1e-6, rounding, &mut f, &mut r, &mut s);
                    (f, r, s)
                });
                assert_eq!(fake, (fake2, rstd, scale2));
            }
        }
        let mut random = Random::new(5);
        for len in [1, 2, 31, 33, 1024, 1025, 50_000] {
            let w = random.vec(len, -1.0, 1.0);
            let mean = w.iter().map(|w| f64::from(w.abs())).sum::<f64>() / len as f64;
            let (trits, fake, scale) = same_for_all_threads(|pool| {
                let (mut trits, mut fake) = (vec![0; len], vec![0.0; len]);
                let scale = rows::quantize_weights(pool, &w, &mut trits);
                assert_eq!(rows::fake_quantize_weights(pool, &w, &mut fake), scale);
                (trits, fake, scale)
            });
            assert!((f64::from(scale) * mean - 1.0).abs() < 3e-7);
            for i in 0..len {
                let t = (w[i] * scale).round_ties_even().clamp(-1.0, 1.0);
                assert_eq!(f32::from(trits[i]), t);
                assert_eq!(fake[i], t / scale);
            }
        }
    });
    let mut scale = [0.0];
    rows::quantize_activations(
        &Pool::single(),
        &[1.0, f32::NAN],
        2,
        Rounding::HalfEven,
        &mut [0; 2],
        &mut scale,
    );
    assert!(scale[0].is_nan());
}

#[test]
fn reductions() {
    each_level(|_| {
        for (rows, cols) in SHAPES {
            let mut random = Random::new((rows + cols) as u64);
            let x = random.vec(rows * cols, -1.0, 2.0);
            let found = same_for_all_threads(|pool| {
                let mut out = [(); 4].map(|()| vec![0.0; rows]);
                let [sum, mean, max, min] = &mut out;
                rows::sum_rows(pool, &x, cols, sum);
                rows::mean_rows(pool, &x, cols, mean);
                rows::max_rows(pool, &x, cols, max);
                rows::min_rows(pool, &x, cols, min);
                let mut best = vec![0; rows];
                rows::argmax_rows(pool, &x, cols, &mut best);
                let mut columns = vec![0.0; cols];
                let mut scratch = vec![f32::NAN; rows::column_sums_scratch(rows, cols)];
                rows::sum_columns(pool, &x, &mut columns, &mut scratch);
                (out, best, columns)
            });
            let ([sum, mean, max, min], best, columns) = found;
            let x64 = wide(&x);
            let per_row: Vec<f64> = x64.chunks(cols).map(|row| row.iter().sum()).collect();
            let size = (cols as f64).sqrt();
            for r in 0..rows {
                let row = &x[r * cols..][..cols];
                assert!((f64::from(sum[r]) - per_row[r]).abs() < 1e-6 * size + 1e-6 * per_row[r].abs());
                assert!((f64::from(mean[r]) - per_row[r] / cols as f64).abs() < 1e-6);
                assert_eq!(max[r], row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
                assert_eq!(min[r], row.iter().copied().fold(f32::INFINITY, f32::min));
                assert_eq!(best[r] as usize, row.iter().position(|&x| x == max[r]).unwrap());
            }
            let expected: Vec<f64> = (0..cols).map(|c| x64.chunks(cols).map(|row| row[c]).sum()).collect();
            for (found, expected) in columns.iter().zip(&expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-5);
            }
            let squares: f64 = x64.iter().map(|x| x * x).sum();
            assert!((rows::sum_of_squares(&x) / squares - 1.0).abs() < 1e-12);
            assert!((rows::sum_all(&x) - x64.iter().sum::<f64>()).abs() < 1e-6 * squares.sqrt() + 1e-5);
        }
        let pool = Pool::single();
        let x = [1.0, f32::NAN, 3.0, f32::NEG_INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY, 7.0, 7.0, 2.0];
        let (mut max, mut min, mut best) = ([0.0; 3], [0.0; 3], [9; 3]);
        rows::max_rows(&pool, &x, 3, &mut max);
        rows::min_rows(&pool, &x, 3, &mut min);
        rows::argmax_rows(&pool, &x, 3, &mut best);
        assert!(max[0].is_nan() && min[0].is_nan());
        assert_eq!((max[1], max[2], min[2]), (f32::NEG_INFINITY, 7.0, 2.0));
        assert_eq!(best, [1, 0, 0]);
    });
}

#[test]
fn softmax_and_cross_entropy() {
    each_level(|_| {
        for (rows, cols) in SHAPES {
            let mut random = Random::new((rows * 3 + cols) as u64);
            let mut x = random.vec(rows * cols, -8.0, 8.0);
            // Far from 0: only differences may matter.
            x[..cols].iter_mut().for_each(|x| *x += 1000.0);
            let mut labels: Vec<i64> = (0..rows).map(|_| random.below(cols) as i64).collect();
            if rows > 2 {
                labels[1] = -100;
            }
            let (p, log_p, loss, lse, d) = same_for_all_threads(|pool| {
                let (mut p, mut log_p) = (vec![0.0; x.len()], vec![0.0; x.len()]);
                rows::softmax(pool, &x, cols, &mut p);
                rows::log_softmax(pool, &x, cols, &mut log_p);
                let (mut lse, mut d) = (vec![0.0; rows], vec![0.0; x.len()]);
                let loss = rows::cross_entropy(pool, &x, &labels, -100, &mut lse).unwrap();
                rows::cross_entropy_grad(pool, &x, &labels, -100, &lse, 0.25, &mut d).unwrap();
                let mut in_place = x.clone();
                rows::cross_entropy_grad_in_place(pool, &mut in_place, &labels, -100, &lse, 0.25).unwrap();
                assert_eq!(in_place, d);
                (p, log_p, loss, lse, d)
            });
            let (mut total, mut count) = (0.0, 0);
            for r in 0..rows {
                let row = wide(&x[r * cols..][..cols]);
                let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = row.iter().map(|x| (x - max).exp()).sum();
                assert!((f64::from(lse[r]) - max - sum.ln()).abs() < 1e-6 * (1.0 + max.abs()));
                for c in 0..cols {
                    let i = r * cols + c;
                    let exact = (row[c] - max).exp() / sum;
                    assert!((f64::from(p[i]) - exact).abs() < 1e-6);
                    assert!(
                        (f64::from(log_p[i]) - (row[c] - max - sum.ln())).abs()
                            < 2e-6 * (1.0 + exact.ln().abs())
                    );
                    let hot = f64::from(u8::from(labels[r] == c as i64));
                    let expected = if labels[r] == -100 { 0.0 } else { (exact - hot) * 0.25 };
                    // logsumexp near 1000 has 6e-5 between its f32.
                    assert!((f64::from(d[i]) - expected).abs() < 1e-6 + 1e-7 * max.abs());
                }
                if labels[r] != -100 {
                    total += max + sum.ln() - row[labels[r] as usize];
                    count += 1;
                }
            }
            assert_eq!(loss.count, count);
            assert!((f64::from(loss.loss) - total / f64::from(count as u32)).abs() < 1e-4);
        }
    });
    let pool = Pool::single();
    let bad = rows::cross_entropy(&pool, &[0.0; 6], &[0, 3], -100, &mut [0.0; 2]).unwrap_err();
    assert_eq!((bad.position, bad.index, bad.limit), (1, 3, 3));
    let none = rows::cross_entropy(&pool, &[0.0; 6], &[-100, -100], -100, &mut [0.0; 2]).unwrap();
    assert!(none.loss.is_nan() && none.count == 0);
}

#[test]
fn embedding() {
    let mut random = Random::new(1);
    let (rows, cols, n) = (11, 5, 80);
    let table = random.vec(rows * cols, -1.0, 1.0);
    let ids: Vec<i64> = (0..n).map(|_| random.below(rows) as i64).collect();
    let out = same_for_all_threads(|pool| {
        let mut out = vec![0.0; n * cols];
        rows::gather(pool, &table, cols, &ids, &mut out).unwrap();
        out
    });
    let mut sums = table.clone();
    rows::scatter_add(&mut sums, cols, &ids, &out).unwrap();
    for row in 0..rows {
        let times = ids.iter().filter(|&&id| id == row as i64).count() as f32;
        for c in 0..cols {
            assert!((sums[row * cols + c] - table[row * cols + c] * (1.0 + times)).abs() < 1e-4);
        }
    }
    for bad in [-1, rows as i64] {
        assert!(rows::gather(&Pool::single(), &table, cols, &[0, bad], &mut [0.0; 10]).is_err());
        assert_eq!(rows::scatter_add(&mut sums, cols, &[bad], &[0.0; 5]).unwrap_err().index, bad);
    }
}

#[test]
fn adamw() {
    each_level(|_| {
        let mut random = Random::new(2);
        let len = 40_001;
        let start = random.vec(len, -1.0, 1.0);
        let gradients: Vec<_> = (0..5).map(|_| random.vec(len, -1.0, 1.0)).collect();
        let config = AdamW { lr: 4e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1 };
        let (p, m, v) = same_for_all_threads(|pool| {
            let (mut p, mut m, mut v) = (start.clone(), vec![0.0; len], vec![0.0; len]);
            for (step, g) in gradients.iter().enumerate() {
                rows::adamw_step(pool, &config, step as u64 + 1, 0.5, &mut p, g, &mut m, &mut v);
            }
            (p, m, v)
        });
        let mut expected = (wide(&start), vec![0.0; len], vec![0.0; len]);
        for (step, g) in gradients.iter().enumerate() {
            for i in 0..len {
                let g = f64::from(g[i]) * 0.5;
                let (p, m, v) = (&mut expected.0[i], &mut expected.1[i], &mut expected.2[i]);
                *p *= 1.0 - 4e-3 * 0.1;
                *m = 0.9 * *m + 0.1 * g;
                *v = 0.95 * *v + 0.05 * g * g;
                let t = step as i32 + 1;
                let (m_hat, v_hat) = (*m / (1.0 - 0.9f64.powi(t)), *v / (1.0 - 0.95f64.powi(t)));
                *p -= 4e-3 * m_hat / (v_hat.sqrt() + 1e-8);
            }
        }
        assert_close(&p, &expected.0, 1e-6);
        assert_close(&m, &expected.1, 1e-6);
        assert_close(&v, &expected.2, 1e-6);
    });
}
