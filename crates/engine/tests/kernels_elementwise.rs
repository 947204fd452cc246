//! The register machine against a scalar interpreter of the same program.

#![allow(unsafe_code)]

mod common;

use EwOp::*;
use common::{Random, each_level};
use engine::kernels::elementwise::{Access, BLOCK, Dtype, EwOp, Input, Output, Program, ProgramError, run};
use engine::pool::Pool;
use half::bf16;

/// The specification: one element through one operation, functions in f64.
fn naive(op: EwOp, r: &[f32], load: impl Fn(usize) -> f32) -> f32 {
    let wide = |f: fn(f64) -> f64, a: usize| f(f64::from(r[a])) as f32;
    let mask = |x: bool| f32::from(u8::from(x));
    match op {
        Const(x) => x,
        Load(i) => load(i),
        Add(a, b) => r[a] + r[b],
        Sub(a, b) => r[a] - r[b],
        Mul(a, b) => r[a] * r[b],
        Div(a, b) => r[a] / r[b],
        Max(a, b) if r[a].is_nan() || r[b].is_nan() => f32::NAN,
        Min(a, b) if r[a].is_nan() || r[b].is_nan() => f32::NAN,
        Max(a, b) => r[a].max(r[b]),
        Min(a, b) => r[a].min(r[b]),
        Pow(a, b) => r[a].powf(r[b]),
        Fma(a, b, c) => (f64::from(r[a]) * f64::from(r[b]) + f64::from(r[c])) as f32,
        Neg(a) => -r[a],
        Abs(a) => r[a].abs(),
        Sign(a) => {
            if r[a] == 0.0 || r[a].is_nan() {
                r[a]
            } else {
                r[a].signum()
            }
        }
        Sqrt(a) => r[a].sqrt(),
        Rsqrt(a) => 1.0 / r[a].sqrt(),
        Recip(a) => 1.0 / r[a],
        Square(a) => r[a] * r[a],
        Exp(a) => wide(f64::exp, a),
        Log(a) => wide(f64::ln, a),
        Tanh(a) => wide(f64::tanh, a),
        Sigmoid(a) => wide(|x| 1.0 / (1.0 + (-x).exp()), a),
        Silu(a) => wide(|x| x / (1.0 + (-x).exp()), a),
        Softplus(a) => wide(|x| x.max(0.0) + (-x.abs()).exp().ln_1p(), a),
        Erf(_) => f32::NAN,
        Floor(a) => r[a].floor(),
        Ceil(a) => r[a].ceil(),
        RoundEven(a) => r[a].round_ties_even(),
        RoundAway(a) => r[a].round(),
        Sin(a) => wide(f64::sin, a),
        Cos(a) => wide(f64::cos, a),
        CmpLt(a, b) => mask(r[a] < r[b]),
        CmpLe(a, b) => mask(r[a] <= r[b]),
        CmpEq(a, b) => mask(r[a] == r[b]),
        CmpNe(a, b) => mask(r[a] != r[b]),
        CmpGt(a, b) => mask(r[a] > r[b]),
        CmpGe(a, b) => mask(r[a] >= r[b]),
        And(a, b) => mask(r[a] != 0.0 && r[b] != 0.0),
        Or(a, b) => mask(r[a] != 0.0 || r[b] != 0.0),
        Not(a) => mask(r[a] == 0.0),
        Select(c, a, b) => {
            if r[c] != 0.0 {
                r[a]
            } else {
                r[b]
            }
        }
    }
}

fn close(a: f32, b: f32) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-6 * (1.0 + b.abs())
}

/// Each operation alone, exact ones to the bit.
#[test]
fn every_operation() {
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -0.5,
        1.5,
        2.5,
        -2.5,
        0.499_999_97,
        -0.499_999_97,
        8_388_607.5,
        8_388_609.0,
        -3e9,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MIN_POSITIVE,
        1e-40,
        f32::MAX,
    ];
    let mut random = Random::new(3);
    let mut a: Vec<f32> = special.iter().flat_map(|&x| [x; 20]).collect();
    let mut b: Vec<f32> = special.iter().cycle().take(a.len()).copied().collect();
    a.extend(random.vec(301, -4.0, 4.0));
    b.extend(random.vec(301, -4.0, 4.0));
    let c = random.vec(a.len(), -1.0, 1.0);
    let exact = [
        Add(0, 1),
        Sub(0, 1),
        Mul(0, 1),
        Div(0, 1),
        Max(0, 1),
        Min(0, 1),
        Pow(0, 1),
        Neg(0),
        Abs(0),
        Sign(0),
        Sqrt(0),
        Rsqrt(0),
        Recip(0),
        Square(0),
        Floor(0),
        Ceil(0),
        RoundEven(0),
        RoundAway(0),
        CmpLt(0, 1),
        CmpLe(0, 1),
        CmpEq(0, 1),
        CmpNe(0, 1),
        CmpGt(0, 1),
        CmpGe(0, 1),
        And(0, 1),
        Or(0, 1),
        Not(0),
        Select(0, 1, 2),
    ];
    let near = [Fma(2, 2, 2), Exp(2), Log(2), Tanh(2), Sigmoid(2), Silu(2), Softplus(2), Sin(2), Cos(2)];
    each_level(|level| {
        for (op, is_exact) in exact.map(|op| (op, true)).into_iter().chain(near.map(|op| (op, false))) {
            let program = Program::new(vec![Load(0), Load(1), Load(2), op], vec![3]).unwrap();
            let mut y = vec![0.0; a.len()];
            let mut scratch = vec![f32::NAN; program.scratch_len()];
            let inputs = [&a, &b, &c].map(|x| Input::f32(x, Access::Full));
            run(&program, 1, a.len(), &inputs, &mut [Output::f32(&mut y)], 0..1, &mut scratch);
            for i in 0..a.len() {
                let expected = naive(op, &[a[i], b[i], c[i]], |_| 0.0);
                let equal = y[i].to_bits() == expected.to_bits()
                    || (y[i].is_nan() && expected.is_nan())
                    // The sign of a zero that two equal zeros compete for is open.
                    || (matches!(op, Max(..) | Min(..)) && y[i] == expected);
                let fine = if is_exact { equal } else { close(y[i], expected) };
                assert!(fine, "{level:?} {op:?} of {}, {}: {} instead of {expected}", a[i], b[i], y[i]);
            }
        }
    });
}

/// Random programs with every kind of input, several outputs, row ranges, two threads.
#[test]
fn random_programs() {
    let pool = Pool::new(3);
    let mut random = Random::new(11);
    let mut cases = Vec::new();
    for shape in [(1, 1), (1, 700), (7, 1), (5, 128), (3, 257), (40, 13), (2, 512), (9, 300)] {
        for _ in 0..40 {
            let mut ops = vec![Load(0), Load(1), Load(2), Load(3), Load(4), Load(5), Const(0.75)];
            for _ in 0..random.below(30) + 1 {
                let n = ops.len();
                let (a, b, c) = (random.below(n), random.below(n), random.below(n));
                ops.push(match random.below(10) {
                    0 => Add(a, b),
                    1 => Sub(a, b),
                    2 => Mul(a, a),
                    3 => Floor(a),
                    4 => Neg(b),
                    5 => Max(a, b),
                    6 => Select(a, b, c),
                    7 => CmpLt(a, b),
                    8 => Min(a, b),
                    _ => Abs(a),
                });
            }
            let outputs = vec![ops.len() - 1, random.below(ops.len()), ops.len() - 1];
            cases.push((shape, ops, outputs, random.next()));
        }
    }
    each_level(|_| {
        for ((rows, cols), ops, outputs, seed) in &cases {
            let (rows, cols) = (*rows, *cols);
            let len = rows * cols;
            let mut random = Random::new(u64::from(*seed));
            let full = random.vec(len, -1.5, 1.5);
            let row = random.vec(cols, -1.5, 1.5);
            let col: Vec<i8> = (0..rows).map(|_| random.below(3) as i8 - 1).collect();
            let scalar = [bf16::from_f32(0.625)];
            let transposed = random.vec(len, -1.5, 1.5);
            let mask: Vec<u8> = (0..len).map(|_| random.below(2) as u8).collect();
            let (dims, strides) = ([rows, cols], [1, rows as isize]);
            let inputs = [
                Input::f32(&full, Access::Full),
                Input::f32(&row, Access::Row),
                Input::i8(&col, Access::Col),
                Input::bf16(&scalar, Access::Scalar),
                Input::f32(&transposed, Access::Strided { dims: &dims, strides: &strides, offset: 0 }),
                Input::mask(&mask, Access::Full),
            ];
            let program = Program::new(ops.clone(), outputs.clone()).unwrap();
            let (mut y0, mut y1, mut y2) = (vec![9.0; len], vec![9.0; len], vec![bf16::ZERO; len]);
            let buffers = [Output::f32(&mut y0), Output::f32(&mut y1), Output::bf16(&mut y2)];
            // Uneven ranges of rows on different threads.
            pool.run(rows.div_ceil(2), |task| {
                let range = task * 2..(task * 2 + 2).min(rows);
                let mut scratch = vec![f32::NAN; program.scratch_len()];
                // SAFETY: the tasks write disjoint rows.
                let mut buffers = buffers.each_ref().map(|buffer| unsafe { buffer.share() });
                run(&program, rows, cols, &inputs, &mut buffers, range, &mut scratch);
            });
            for i in 0..len {
                let load = |input: usize| match input {
                    0 => full[i],
                    1 => row[i % cols],
                    2 => f32::from(col[i / cols]),
                    3 => 0.625,
                    4 => transposed[i % cols * rows + i / cols],
                    _ => f32::from(mask[i]),
                };
                let mut registers: Vec<f32> = Vec::new();
                for &op in ops {
                    let value = naive(op, &registers, load);
                    registers.push(value);
                }
                // All operations used here are correctly rounded: there is nothing to tolerate.
                let same = |a: f32, b: f32| a == b || (a.is_nan() && b.is_nan());
                let (e0, e1) = (registers[outputs[0]], registers[outputs[1]]);
                assert!(same(y0[i], e0), "{ops:?} at {i}: {} instead of {e0}", y0[i]);
                assert!(same(y1[i], e1), "{ops:?} at {i}: {} instead of {e1}", y1[i]);
                let e2 = bf16::from_f32(y0[i]);
                assert!(y2[i] == e2 || (y2[i].is_nan() && e2.is_nan()));
            }
        }
    });
}

#[test]
fn in_place_and_conversions() {
    each_level(|_| {
        let len = 3 * BLOCK + 17;
        let x: Vec<f32> = (0..len).map(|i| i as f32 * 0.37 - 100.0).collect();
        let mut buffer = x.clone();
        let mut copy = vec![0.0; len];
        let (mut small, mut flag, mut whole) = (vec![0i8; len], vec![0u8; len], vec![0i32; len]);
        // The first output overwrites the input, the second is that input unchanged.
        let program =
            Program::new(vec![Load(0), Const(2.0), Mul(0, 1), RoundAway(0)], vec![2, 0, 3, 3, 3]).unwrap();
        let mut scratch = vec![0.0; program.scratch_len()];
        let start = buffer.as_mut_ptr().cast::<u8>();
        // SAFETY: output 0 is exactly the buffer of input 0, read with full access; nobody else uses it.
        let (input, output) = unsafe {
            (Input::from_raw(start, len, Dtype::F32, Access::Full), Output::from_raw(start, len, Dtype::F32))
        };
        let mut outputs = [
            output,
            Output::f32(&mut copy),
            Output::i8(&mut small),
            Output::mask(&mut flag),
            Output::i32(&mut whole),
        ];
        run(&program, 1, len, &[input], &mut outputs, 0..1, &mut scratch);
        for i in 0..len {
            assert_eq!(buffer[i], x[i] * 2.0);
            assert_eq!(copy[i], x[i]);
            assert_eq!(small[i], x[i].round() as i8);
            assert_eq!(flag[i], u8::from(x[i].round() != 0.0));
            assert_eq!(whole[i], x[i].round() as i32);
        }
    });
}

#[test]
fn registers_are_reused_and_programs_checked() {
    let mut ops = vec![Load(0)];
    ops.extend((0..100).map(Tanh));
    assert!(Program::new(ops, vec![100]).unwrap().n_registers() <= 3);
    assert_eq!(Program::new(vec![Neg(0)], vec![0]), Err(ProgramError::Operand { op: 0, operand: 0 }));
    assert_eq!(Program::new(vec![Load(0)], vec![1]), Err(ProgramError::Output(1)));
    assert_eq!(Program::new(vec![Load(0); 257], vec![0]), Err(ProgramError::TooLong(257)));
}

/// A buffer that is input and output, i8 and f32, with several threads on different rows.
#[test]
fn in_place_on_several_threads() {
    let pool = Pool::new(3);
    let (rows, cols) = (37, 100);
    let program = Program::new(vec![Load(0), Neg(0)], vec![1]).unwrap();
    let mut small: Vec<i8> = (0..rows * cols).map(|i| (i % 251) as u8 as i8 / 2).collect();
    let expected: Vec<i8> = small.iter().map(|x| -x).collect();
    let (start, len) = (small.as_mut_ptr().cast::<u8>(), small.len());
    // SAFETY: the output is exactly the input's buffer, read with full access; nobody else uses it.
    let (input, output) = unsafe {
        (Input::from_raw(start, len, Dtype::I8, Access::Full), Output::from_raw(start, len, Dtype::I8))
    };
    pool.run(rows, |row| {
        let mut scratch = vec![0.0; program.scratch_len()];
        // SAFETY: the tasks write disjoint rows.
        let mut output = [unsafe { output.share() }];
        run(&program, rows, cols, &[input], &mut output, row..row + 1, &mut scratch);
    });
    assert_eq!(small, expected);
}

/// Blocks that lie inside a row, then one that spans two, and back: a row's values are read in place or copied.
#[test]
fn row_inputs_that_change_between_in_place_and_copied() {
    each_level(|_| {
        for cols in [255, 256, 257, 300, 511, 513, 700, 1025] {
            let rows = 5;
            let row: Vec<f32> = (0..cols).map(|c| c as f32).collect();
            let mut y = vec![-1.0; rows * cols];
            let program = Program::new(vec![Load(0), Const(0.5), Add(0, 1)], vec![2]).unwrap();
            let mut scratch = vec![f32::NAN; program.scratch_len()];
            let inputs = [Input::f32(&row, Access::Row)];
            run(&program, rows, cols, &inputs, &mut [Output::f32(&mut y)], 0..rows, &mut scratch);
            assert!(y.iter().enumerate().all(|(i, &y)| y == row[i % cols] + 0.5), "{cols} columns");
        }
    });
}
