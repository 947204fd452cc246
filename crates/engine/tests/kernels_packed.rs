//! Packed ternary products against plain loops: every layout, every instruction set, any shape.

mod common;

use axes::TritLayout;
use common::{Random, each_level};
use engine::kernels::packed::{
    Gate, PackedMatrix, Product, matmul, matmul_add, matmul_gated, matmul_i32, matmul_many, pack_weights,
    quantize_weights_packed, unpack_rows,
};
use engine::kernels::{math, rows, simd, ternary};
use engine::pool::Pool;
use proptest::prelude::*;

/// Packs by the layouts' specification, one trit at a time. `trits` is (rows, columns).
fn pack(layout: TritLayout, trits: &[i8], rows: usize, columns: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let at =
        |row: usize, column: usize, end: usize| if column < end { trits[row * columns + column] } else { 0 };
    match layout {
        TritLayout::Bytes => out.extend(trits.iter().map(|t| *t as u8)),
        TritLayout::Compute => {
            for group in (0..rows).step_by(4) {
                let members = group..rows.min(group + 4);
                for block in (0..columns).step_by(256) {
                    let end = columns.min(block + 256);
                    let n = (end - block).div_ceil(4);
                    for row in members.clone() {
                        for j in 0..n {
                            let code = |p: usize| ((at(row, block + p * n + j, end) + 1) as u8) << (2 * p);
                            out.push(code(0) | code(1) | code(2) | code(3));
                        }
                    }
                }
            }
        }
        TritLayout::Interchange => {
            for row in 0..rows {
                for byte in 0..columns.div_ceil(4) {
                    let code =
                        |p: usize| [1u8, 0, 2][(at(row, 4 * byte + p, columns) + 1) as usize] << (2 * p);
                    out.push(code(0) | code(1) | code(2) | code(3));
                }
            }
        }
        TritLayout::Storage => {
            for row in 0..rows {
                for byte in 0..columns.div_ceil(5) {
                    let digit = |i: u32| (at(row, 5 * byte + i as usize, columns) + 1) as u8 * 3u8.pow(i);
                    out.push((0..5).map(digit).sum());
                }
            }
        }
    }
    assert_eq!(Some(out.len()), layout.bytes(rows, columns));
    out
}

/// The plain loop.
fn naive(x: &[i8], trits: &[i8], n: usize, m: usize, k: usize) -> Vec<i32> {
    let mut acc = vec![0; n * m];
    for i in 0..n {
        for j in 0..m {
            acc[i * m + j] = (0..k).map(|l| i32::from(x[i * k + l]) * i32::from(trits[j * k + l])).sum();
        }
    }
    acc
}

fn trits(random: &mut Random, len: usize) -> Vec<i8> {
    (0..len).map(|_| random.below(3) as i8 - 1).collect()
}

/// Products in every layout, at every level, with several pools; the scaled form as well.
fn check(x: &[i8], t: &[i8], n: usize, m: usize, k: usize) {
    let expected = naive(x, t, n, m, k);
    let mut random = Random::new((n * m * k) as u64);
    let scale_x: Vec<f32> = (0..n).map(|_| random.f32(0.5, 300.0)).collect();
    let scale_w = random.f32(0.5, 50.0);
    let scaled: Vec<u32> = expected
        .iter()
        .enumerate()
        .map(|(i, &acc)| (acc as f32 / scale_x[i / m] / scale_w).to_bits())
        .collect();
    for layout in TritLayout::ALL {
        let bytes = pack(layout, t, m, k);
        let w = PackedMatrix::new(layout, m, k, &bytes).expect("the size of the layout");
        each_level(|level| {
            for threads in [1, 3] {
                let pool = Pool::new(threads);
                let mut acc = vec![i32::MIN; n * m];
                matmul_i32(&pool, x, n, w, &mut acc);
                assert!(acc == expected, "{layout} {level:?} ({n}, {m}, {k}), {threads} threads");
                let mut y = vec![f32::NAN; n * m];
                matmul(&pool, x, &scale_x, w, scale_w, &mut y);
                let bits: Vec<u32> = y.iter().map(|y| y.to_bits()).collect();
                assert!(bits == scaled, "scaled {layout} {level:?} ({n}, {m}, {k}), {threads} threads");
            }
        });
    }
}

#[test]
fn sizes_at_the_edges_of_blocks_and_tiles() {
    let mut random = Random::new(7);
    for k in [1, 2, 3, 4, 5, 63, 64, 65, 127, 128, 252, 253, 255, 256, 257, 319, 320, 321, 352, 511, 513, 645]
    {
        for m in [1, 2, 3, 4, 5, 7, 31, 33] {
            for n in [1, 2, 4, 5, 13] {
                let (x, t) =
                    ((0..n * k).map(|_| random.next() as i8).collect::<Vec<_>>(), trits(&mut random, m * k));
                check(&x, &t, n, m, k);
            }
        }
    }
}

#[test]
fn many_rows_tokens_and_columns_cross_the_cuts_of_tasks() {
    let mut random = Random::new(8);
    for (n, m, k) in [(1, 700, 1000), (3, 1025, 300), (150, 130, 600), (300, 129, 90), (30, 260, 2100)] {
        let x: Vec<i8> = (0..n * k).map(|_| random.next() as i8).collect();
        let t = trits(&mut random, m * k);
        check(&x, &t, n, m, k);
    }
}

#[test]
fn extremes_do_not_overflow() {
    // 48 units a span, 16-bit sums of 64 pairs: all operands as large as they get, over several spans.
    for k in [256 * 100 + 77, 70_001] {
        for (value, trit) in [(-128, -1), (-128, 1), (127, 1), (127, -1), (-128, 0)] {
            for n in [1, 5] {
                check(&vec![value; n * k], &vec![trit; 2 * k], n, 2, k);
            }
        }
    }
    // Far more columns than an i32 of codes times 64 holds.
    let k = (1 << 23) + 3;
    let (x, t) = (vec![-128i8; k], vec![-1i8; k]);
    let bytes = pack(TritLayout::Compute, &t, 1, k);
    let w = PackedMatrix::new(TritLayout::Compute, 1, k, &bytes).unwrap();
    each_level(|level| {
        let mut acc = [0];
        matmul_i32(&Pool::single(), &x, 1, w, &mut acc);
        assert_eq!(acc, [128 * k as i32], "{level:?}");
    });
}

#[test]
fn nothing_in_nothing_out_and_wrong_sizes_are_refused() {
    let pool = Pool::single();
    for layout in TritLayout::ALL {
        let none = PackedMatrix::new(layout, 3, 0, &[]).unwrap();
        let mut acc = [7; 3];
        matmul_i32(&pool, &[], 1, none, &mut acc);
        assert_eq!(acc, [0; 3], "{layout}: an empty sum is 0");
        matmul_i32(&pool, &[], 0, none, &mut []);
        let size = layout.bytes(2, 9).unwrap();
        for wrong in [size - 1, size + 1] {
            assert!(PackedMatrix::new(layout, 2, 9, &vec![0; wrong]).is_none());
        }
        assert!(PackedMatrix::new(layout, usize::MAX, 9, &[]).is_none());
        let bytes = pack(layout, &[0; 18], 2, 9);
        let w = PackedMatrix::new(layout, 2, 9, &bytes).unwrap();
        let short = std::panic::catch_unwind(|| matmul_i32(&Pool::single(), &[0; 17], 2, w, &mut [0; 4]));
        assert!(short.is_err());
        let beyond = std::panic::catch_unwind(|| unpack_rows(w, 1, 1.0, &mut [0.0; 18]));
        assert!(beyond.is_err());
    }
}

#[test]
fn any_bytes_are_safe() {
    // Illegal codes give some numbers; they must not read elsewhere or panic.
    let mut random = Random::new(9);
    for layout in TritLayout::ALL {
        let bytes: Vec<u8> = (0..layout.bytes(9, 700).unwrap()).map(|_| random.next() as u8).collect();
        let w = PackedMatrix::new(layout, 9, 700, &bytes).unwrap();
        each_level(|_| {
            for n in [1, 6] {
                matmul_i32(&Pool::single(), &vec![-128; n * 700], n, w, &mut vec![0; n * 9]);
            }
            unpack_rows(w, 0, 1.0, &mut vec![0.0; 9 * 700]);
        });
    }
}

#[test]
fn a_wrong_trit_is_noticed() {
    let (n, m, k) = (2, 5, 300);
    let mut random = Random::new(10);
    let x: Vec<i8> = (0..n * k).map(|_| 1 + random.below(100) as i8).collect();
    let mut t = trits(&mut random, m * k);
    let expected = naive(&x, &t, n, m, k);
    t[3 * k + 299] = if t[3 * k + 299] == 0 { 1 } else { 0 };
    for layout in TritLayout::ALL {
        let bytes = pack(layout, &t, m, k);
        let mut acc = vec![0; n * m];
        matmul_i32(&Pool::single(), &x, n, PackedMatrix::new(layout, m, k, &bytes).unwrap(), &mut acc);
        let differ: Vec<usize> = (0..n * m).filter(|i| acc[*i] != expected[*i]).collect();
        assert_eq!(differ, [3, 8], "{layout}");
    }
}

#[test]
fn unpacked_rows_are_the_trits() {
    let mut random = Random::new(11);
    for k in [1, 3, 5, 64, 130, 255, 256, 257, 320, 321, 700] {
        let m = 11;
        let t = trits(&mut random, m * k);
        for layout in TritLayout::ALL {
            let bytes = pack(layout, &t, m, k);
            let w = PackedMatrix::new(layout, m, k, &bytes).unwrap();
            each_level(|level| {
                for (from, rows, factor) in [(0, m, 1.0f32), (3, 6, 0.37), (10, 1, 2.5), (4, 0, 1.0)] {
                    let mut out = vec![f32::NAN; rows * k];
                    unpack_rows(w, from, factor, &mut out);
                    let expected: Vec<f32> =
                        t[from * k..(from + rows) * k].iter().map(|t| f32::from(*t) * factor).collect();
                    assert_eq!(out, expected, "{layout} {level:?} k {k} rows {from}+{rows}");
                }
            });
        }
    }
}

#[test]
fn the_packing_quantiser_is_the_quantiser_packed() {
    let mut random = Random::new(12);
    for (m, k) in [(1, 1), (3, 7), (4, 256), (5, 257), (7, 300), (130, 1000), (9, 512)] {
        let mut w = random.vec(m * k, -1.0, 1.0);
        let mut plain = vec![0; m * k];
        // Values that lie on the threshold exactly, and numbers that are none.
        for fault in [None, Some(f32::NAN), Some(f32::INFINITY)] {
            if let Some(fault) = fault {
                w[m * k / 2] = fault;
            }
            each_level(|level| {
                for threads in [1, 3] {
                    let pool = Pool::new(threads);
                    let scale = rows::quantize_weights(&pool, &w, &mut plain.clone());
                    let mut trits = vec![0; m * k];
                    rows::quantize_weights(&pool, &w, &mut trits);
                    let mut bytes = vec![0xff; TritLayout::Compute.bytes(m, k).unwrap()];
                    let packed = quantize_weights_packed(&pool, &w, m, k, &mut bytes);
                    assert_eq!(packed.to_bits(), scale.to_bits());
                    assert_eq!(
                        bytes,
                        pack(TritLayout::Compute, &trits, m, k),
                        "{level:?} ({m}, {k}) {fault:?}"
                    );
                }
            });
        }
        // On the threshold: 0.5 · 1 is not above it.
        let w: Vec<f32> = (0..m * k).map(|i| [0.5, -0.5, 0.500_000_06, -0.500_000_06, 0.0][i % 5]).collect();
        plain.iter_mut().enumerate().for_each(|(i, t)| *t = [0, 0, 1, -1, 0][i % 5]);
        each_level(|level| {
            let mut bytes = vec![0xff; TritLayout::Compute.bytes(m, k).unwrap()];
            pack_weights(&Pool::single(), &w, m, k, 1.0, &mut bytes);
            assert_eq!(bytes, pack(TritLayout::Compute, &plain, m, k), "{level:?} ({m}, {k})");
        });
    }
}

#[test]
fn the_scaled_form_is_the_unpacked_one() {
    let (n, m, k) = (6, 37, 520);
    let mut random = Random::new(13);
    let x: Vec<i8> = (0..n * k).map(|_| random.next() as i8).collect();
    let t = trits(&mut random, m * k);
    let scale_x = random.vec(n, 1.0, 100.0);
    let (mut acc, mut expected) = (vec![0; n * m], vec![0.0; n * m]);
    ternary::matmul(&Pool::single(), &x, &scale_x, &t, 3.7, &mut acc, &mut expected);
    for layout in TritLayout::ALL {
        let bytes = pack(layout, &t, m, k);
        let mut y = vec![0.0; n * m];
        matmul(&Pool::single(), &x, &scale_x, PackedMatrix::new(layout, m, k, &bytes).unwrap(), 3.7, &mut y);
        assert_eq!(y, expected, "{layout}");
    }
}

#[test]
fn joint_products_have_the_bits_of_single_ones() {
    let mut random = Random::new(14);
    for (n, k, sizes) in [
        (1, 300, [260, 4, 37]),
        (1, 2560, [640, 130, 1]),
        (5, 257, [33, 128, 129]),
        (8, 90, [1, 700, 5]),
        (13, 645, [129, 40, 300]),
        (150, 260, [31, 140, 257]),
    ] {
        let x: Vec<i8> = (0..n * k).map(|_| random.next() as i8).collect();
        let scale_x: Vec<f32> = (0..n).map(|_| random.f32(0.5, 300.0)).collect();
        let all = sizes.map(|m| trits(&mut random, m * k));
        let term = random.vec(n * sizes[0], -3.0, 3.0);
        for layout in TritLayout::ALL {
            let bytes: Vec<_> = all.iter().zip(sizes).map(|(t, m)| pack(layout, t, m, k)).collect();
            let w = |i: usize| PackedMatrix::new(layout, sizes[i], k, &bytes[i]).unwrap();
            // The gate has the shape of the first, with other trits.
            let mut other = all[0].clone();
            other.rotate_left(k / 2);
            let gate_bytes = pack(layout, &other, sizes[0], k);
            let gate_w = PackedMatrix::new(layout, sizes[0], k, &gate_bytes).unwrap();
            each_level(|level| {
                for threads in [1, 3] {
                    let pool = Pool::new(threads);
                    let single = |w, scale_w| {
                        let mut y = vec![f32::NAN; n * PackedMatrix::rows(&w)];
                        matmul(&pool, &x, &scale_x, w, scale_w, &mut y);
                        y
                    };
                    let same = |made: &[f32], expected: &[f32]| {
                        let differ = made.iter().zip(expected).position(|(a, b)| a.to_bits() != b.to_bits());
                        assert_eq!(differ, None, "{layout} {level:?} {n} {k}, {threads} threads");
                    };
                    let mut y = sizes.map(|m| vec![f32::NAN; n * m]);
                    let mut products: Vec<_> = y
                        .iter_mut()
                        .enumerate()
                        .map(|(i, y)| Product { w: w(i), scale_w: 1.5 + i as f32, y })
                        .collect();
                    matmul_many(&pool, &x, &scale_x, &mut products);
                    for i in 0..3 {
                        same(&y[i], &single(w(i), 1.5 + i as f32));
                    }
                    let plain = single(w(0), 0.7);
                    let mut sum = vec![f32::NAN; n * sizes[0]];
                    matmul_add(&pool, &x, &scale_x, w(0), 0.7, &term, &mut sum);
                    same(&sum, &plain.iter().zip(&term).map(|(y, t)| y + t).collect::<Vec<_>>());
                    let gate = single(gate_w, 3.1);
                    let mut silu = vec![0.0; gate.len()];
                    math::silu_slice(&gate, &mut silu);
                    for (function, gate) in [
                        (Gate::Silu, silu),
                        (Gate::SquaredRelu, gate.iter().map(|x| x.max(0.0) * x.max(0.0)).collect()),
                    ] {
                        let expected: Vec<f32> = gate.iter().zip(&plain).map(|(g, u)| g * u).collect();
                        let mut made = vec![f32::NAN; n * sizes[0]];
                        matmul_gated(&pool, &x, &scale_x, (gate_w, 3.1), (w(0), 0.7), function, &mut made);
                        same(&made, &expected);
                    }
                }
            });
        }
    }
    matmul_many(&Pool::single(), &[], &[], &mut []);
}

#[test]
fn levels_have_names_and_the_best_one_is_available() {
    assert!(simd::available(simd::best()));
    for level in simd::Level::ALL {
        let other = simd::Level::ALL.into_iter().filter(|other| other.name() == level.name()).count();
        assert_eq!(other, 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn products_of_any_shape(n in 1usize..30, k in 1usize..1400, m in 1usize..70, seed: u64) {
        let mut random = Random::new(seed);
        let x: Vec<i8> = (0..n * k).map(|_| random.next() as i8).collect();
        let t = trits(&mut random, m * k);
        check(&x, &t, n, m, k);
    }
}
