//! Products with weights in blocks against the op's own evaluation, to the bit: every format, every instruction set, any shape.

mod common;

use axes::{BlockFormat, DType};
use common::{Random, each_level};
use engine::kernels::blocks::{BlockMatrix, gather, linear, scratch};
use engine::pool::Pool;
use graph::{Array, Attrs, EvalCx, Op, attrs};
use half::f16;
use proptest::prelude::*;

/// Where the f16 scales of a block are.
fn scales(format: BlockFormat) -> &'static [usize] {
    match format {
        BlockFormat::Q4K => &[0, 2],
        BlockFormat::Q6K => &[208],
        BlockFormat::Tq1_0 => &[52],
        BlockFormat::Tq2_0 => &[64],
        _ => &[0],
    }
}

/// Blocks of any bytes, with scales between −2 and 2.
fn weights(random: &mut Random, format: BlockFormat, rows: usize, columns: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        (0..format.bytes(rows, columns).unwrap()).map(|_| (random.next() >> 5) as u8).collect();
    for block in bytes.chunks_exact_mut(format.block_bytes()) {
        for at in scales(format) {
            let d = random.f32(-2.0, 2.0);
            let d = if format == BlockFormat::Bf16 {
                half::bf16::from_f32(d).to_bits()
            } else {
                f16::from_f32(d).to_bits()
            };
            block[*at..at + 2].copy_from_slice(&d.to_le_bytes());
        }
    }
    bytes
}

fn attrs_of(format: BlockFormat, columns: usize) -> Attrs {
    attrs! { format: Str(format.name().to_string()), columns: Int(columns as i64) }
}

fn table(format: BlockFormat, rows: usize, columns: usize, bytes: &[u8]) -> Array<f32> {
    let shape = [rows, format.row_bytes(columns).unwrap()];
    Array::int(DType::U8, shape, bytes.iter().map(|b| i64::from(*b)).collect())
}

/// The op's evaluation.
fn naive(op: Op, format: BlockFormat, columns: usize, inputs: &[Array<f32>]) -> Vec<u32> {
    let attrs = attrs_of(format, columns);
    let types = op.infer(&attrs, &inputs.iter().map(Array::ty).collect::<Vec<_>>()).unwrap();
    bits(op.eval(&EvalCx::default(), &attrs, inputs, &types).unwrap()[0].floats())
}

/// Bits, with one NaN for all of them.
fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
}

fn check(format: BlockFormat, x: &[f32], bytes: &[u8], n: usize, m: usize, k: usize) {
    let inputs = [Array::float(DType::F32, [n, k], x.to_vec()), table(format, m, k, bytes)];
    let expected = naive(Op::BlockLinear, format, k, &inputs);
    // Bytes of a file lie at any address.
    let moved: Vec<u8> = [0].iter().chain(bytes).copied().collect();
    let w = BlockMatrix::new(format, m, k, &moved[1..]).unwrap();
    each_level(|level| {
        for threads in [1, 3] {
            let mut memory = vec![f32::NAN; scratch(format, k, n)];
            let mut y = vec![f32::NAN; n * m];
            linear(&Pool::new(threads), x, w, &mut y, &mut memory);
            assert!(bits(&y) == expected, "{format} {level:?} ({n}, {m}, {k}), {threads} threads");
        }
    });
}

#[test]
fn sizes_at_the_edges_of_blocks_and_tiles() {
    let mut random = Random::new(3);
    for format in BlockFormat::ALL {
        let block = format.block();
        for k in [block, 2 * block, 3 * block, 5 * block, 256, 512, 768, 1024, 1280, 2560] {
            for (n, m) in [(1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (1, 19), (2, 5), (3, 6), (5, 4), (13, 37)]
            {
                let x = random.vec(n * k, -3.0, 3.0);
                let bytes = weights(&mut random, format, m, k);
                check(format, &x, &bytes, n, m, k);
            }
        }
    }
}

#[test]
fn many_rows_and_tokens_cross_the_cuts_of_tasks() {
    let mut random = Random::new(4);
    for format in BlockFormat::ALL {
        for (n, m, k) in [(1, 700, 512), (70, 133, 256), (33, 40, 768)] {
            let x = random.vec(n * k, -1.0, 1.0);
            let bytes = weights(&mut random, format, m, k);
            check(format, &x, &bytes, n, m, k);
        }
    }
}

#[test]
fn extreme_weights_and_activations() {
    for format in BlockFormat::ALL {
        let k = 512.max(format.block());
        let row = format.row_bytes(k).unwrap();
        for byte in [0x00, 0x55, 0x80, 0xaa, 0xfe, 0xff] {
            let mut bytes = vec![byte; 5 * row];
            for block in bytes.chunks_exact_mut(format.block_bytes()) {
                for at in scales(format) {
                    let d = f16::from_f32(-1.5).to_bits();
                    block[*at..at + 2].copy_from_slice(&d.to_le_bytes());
                }
            }
            let mut x = vec![1.0; 6 * k];
            x[k..2 * k].fill(0.0);
            x[2 * k..3 * k].fill(-7e-3);
            x[3 * k] = f32::INFINITY;
            x[4 * k + 300] = f32::NAN;
            x[5 * k..6 * k].iter_mut().enumerate().for_each(|(i, x)| *x = 1e-44 * i as f32);
            check(format, &x, &bytes, 6, 5, k);
        }
        // Scales that are infinite or NaN.
        let any: Vec<u8> = (0..3 * row).map(|i| if i % 2 == 0 { 0x7c } else { 0xff }).collect();
        check(format, &vec![0.5; 2 * k], &any, 2, 3, k);
    }
}

#[test]
fn rows_are_the_numbers_that_blocks_stand_for() {
    let mut random = Random::new(5);
    for format in BlockFormat::ALL {
        for k in [format.block(), 768] {
            let bytes = weights(&mut random, format, 9, k);
            let ids = [8i64, 0, 3, 3, 7];
            let inputs = [Array::int(DType::I64, [5], ids.to_vec()), table(format, 9, k, &bytes)];
            let expected = naive(Op::BlockRows, format, k, &inputs);
            let w = BlockMatrix::new(format, 9, k, &bytes).unwrap();
            each_level(|level| {
                let mut out = vec![f32::NAN; 5 * k];
                gather(&Pool::new(2), &ids, w, &mut out).unwrap();
                assert!(bits(&out) == expected, "{format} {level:?}");
            });
            for wrong in [-1, 9, i64::MAX] {
                let refused = gather(&Pool::single(), &[0, wrong], w, &mut vec![0.0; 2 * k]).unwrap_err();
                assert_eq!((refused.position, refused.limit), (1, 9));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    #[test]
    fn any_shape(seed in any::<u64>(), n in 1usize..20, m in 1usize..40, blocks in 1usize..12) {
        let mut random = Random::new(seed);
        for format in BlockFormat::ALL {
            let k = blocks * format.block();
            let x = random.vec(n * k, -2.0, 5.0);
            let bytes = weights(&mut random, format, m, k);
            check(format, &x, &bytes, n, m, k);
        }
    }
}
