//! The linear scan and the causal convolution against plain loops in f64; gradients by the adjoint identity's sums.

mod common;

use common::{Random, assert_close, each_level, wide};
use engine::kernels::scan::{
    ConvShape, ScanShape, conv1d_causal_depthwise, conv1d_causal_depthwise_grad, linear_scan,
    linear_scan_chunked, linear_scan_chunked_scratch, linear_scan_grad,
};
use engine::pool::Pool;

const SHAPES: [(usize, usize, usize); 6] =
    [(1, 1, 1), (2, 5, 3), (1, 40, 33), (3, 7, 128), (2, 3, 600), (1, 130, 1)];

/// Order in which the steps are taken.
fn order(time: usize, reverse: bool) -> Vec<usize> {
    if reverse { (0..time).rev().collect() } else { (0..time).collect() }
}

#[test]
fn linear_scans() {
    each_level(|_| {
        for (batch, time, channels) in SHAPES {
            for (reverse, with_state) in [(false, false), (false, true), (true, true)] {
                let shape = ScanShape { batch, time, channels };
                let mut random = Random::new((time * channels) as u64);
                let f = random.vec(shape.len(), 0.0, 1.0);
                let (x, dout) = (random.vec(shape.len(), -1.0, 1.0), random.vec(shape.len(), -1.0, 1.0));
                let (h0, dlast) =
                    (random.vec(batch * channels, -1.0, 1.0), random.vec(batch * channels, -1.0, 1.0));
                let (h0, dlast) = (with_state.then_some(&h0[..]), with_state.then_some(&dlast[..]));
                let (mut h64, mut dx64, mut df64) = (wide(&x), wide(&x), wide(&x));
                let mut dh64 = vec![0.0; batch * channels];
                for b in 0..batch {
                    for d in 0..channels {
                        let at = |t: usize| (b * time + t) * channels + d;
                        let start = h0.map_or(0.0, |h0| f64::from(h0[b * channels + d]));
                        let mut h = start;
                        let mut before = Vec::new();
                        for t in order(time, reverse) {
                            before.push(h);
                            h = f64::from(f[at(t)]) * h + f64::from(x[at(t)]);
                            h64[at(t)] = h;
                        }
                        let mut g = dlast.map_or(0.0, |dlast| f64::from(dlast[b * channels + d]));
                        for t in order(time, !reverse) {
                            g += f64::from(dout[at(t)]);
                            dx64[at(t)] = g;
                            df64[at(t)] = g * before.pop().unwrap();
                            g *= f64::from(f[at(t)]);
                        }
                        dh64[b * channels + d] = g;
                    }
                }
                let mut first = None;
                for threads in [1, 3] {
                    let pool = Pool::new(threads);
                    let mut out = vec![f32::NAN; shape.len()];
                    linear_scan(&pool, shape, &f, &x, h0, &mut out, reverse);
                    assert_close(&out, &h64, 1e-6);
                    let mut chunked = Vec::new();
                    for chunk in [1, 4, 16, 1000] {
                        let mut out = vec![f32::NAN; shape.len()];
                        let mut scratch = vec![f32::NAN; linear_scan_chunked_scratch(shape, chunk)];
                        linear_scan_chunked(&pool, shape, &f, &x, h0, &mut out, reverse, chunk, &mut scratch);
                        assert_close(&out, &h64, 2e-6);
                        chunked.push(out);
                    }
                    let (mut dx, mut df) = (vec![f32::NAN; shape.len()], vec![f32::NAN; shape.len()]);
                    let mut dh0 = vec![f32::NAN; batch * channels];
                    let gradients = (&mut dx[..], &mut df[..], Some(&mut dh0[..]));
                    linear_scan_grad(&pool, shape, &f, &out, h0, &dout, dlast, reverse, gradients);
                    assert_close(&dx, &dx64, 1e-6);
                    if df64.iter().any(|x| *x != 0.0) {
                        assert_close(&df, &df64, 2e-6);
                    }
                    assert_close(&dh0, &dh64, 1e-6);
                    let all = (out, chunked, dx, df, dh0);
                    assert_eq!(first.get_or_insert(all.clone()), &all);
                }
            }
        }
    });
}

#[test]
fn convolution() {
    each_level(|_| {
        for (batch, time, channels) in SHAPES {
            for (width, with_state) in [(1, false), (2, true), (4, false), (4, true)] {
                let scan = ScanShape { batch, time, channels };
                let shape = ConvShape { scan, width };
                let mut random = Random::new((time * channels + width) as u64);
                let (x, w) = (random.vec(scan.len(), -1.0, 1.0), random.vec(channels * width, -1.0, 1.0));
                let dout = random.vec(scan.len(), -1.0, 1.0);
                let state = random.vec(shape.state_len(), -1.0, 1.0);
                let state = with_state.then_some(&state[..]);
                let kept = width - 1;
                // All rows of one sequence and channel: the state's, then x's.
                let row = |b: usize, r: usize, d: usize| {
                    if r >= kept {
                        f64::from(x[(b * time + r - kept) * channels + d])
                    } else {
                        state.map_or(0.0, |state| f64::from(state[(b * kept + r) * channels + d]))
                    }
                };
                let mut out64 = vec![0.0; scan.len()];
                let mut dw64 = vec![0.0; w.len()];
                let (mut dx64, mut dstate64) = (vec![0.0; scan.len()], vec![0.0; shape.state_len()]);
                for b in 0..batch {
                    for t in 0..time {
                        for d in 0..channels {
                            let i = (b * time + t) * channels + d;
                            for k in 0..width {
                                let (tap, g) = (f64::from(w[d * width + k]), f64::from(dout[i]));
                                out64[i] += tap * row(b, t + k, d);
                                dw64[d * width + k] += g * row(b, t + k, d);
                                if t + k >= kept {
                                    dx64[(b * time + t + k - kept) * channels + d] += g * tap;
                                } else {
                                    dstate64[(b * kept + t + k) * channels + d] += g * tap;
                                }
                            }
                        }
                    }
                }
                let mut first = None;
                for threads in [1, 3] {
                    let pool = Pool::new(threads);
                    let (mut out, mut next) = (vec![f32::NAN; scan.len()], vec![f32::NAN; shape.state_len()]);
                    conv1d_causal_depthwise(&pool, shape, &x, &w, state, &mut out, Some(&mut next));
                    assert_close(&out, &out64, 1e-6);
                    for (i, &next) in next.iter().enumerate() {
                        let (b, r, d) = (i / channels / kept, i / channels % kept, i % channels);
                        assert_eq!(f64::from(next), row(b, time + r, d));
                    }
                    let (mut dx, mut dw) = (vec![f32::NAN; scan.len()], vec![f32::NAN; w.len()]);
                    let mut dstate = vec![f32::NAN; shape.state_len()];
                    let gradients = (&mut dx[..], &mut dw[..], Some(&mut dstate[..]));
                    conv1d_causal_depthwise_grad(&pool, shape, &x, &w, state, &dout, gradients);
                    assert_close(&dx, &dx64, 1e-6);
                    assert_close(&dstate, &dstate64, 1e-6);
                    for (found, expected) in dw.iter().zip(&dw64) {
                        assert!((f64::from(*found) - expected).abs() < 1e-5);
                    }
                    let all = (out, dx, dw, dstate);
                    assert_eq!(first.get_or_insert(all.clone()), &all);
                }
            }
        }
    });
}
