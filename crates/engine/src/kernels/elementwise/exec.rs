//! The interpreter of the elementwise machine.
#![allow(unsafe_code)]

use std::ops::Range;

use super::super::math;
use super::super::simd::{Isa, multiversion};
use super::{BLOCK, Dtype, EwOp, Input, MAX_OPS, Output, Program};

/// Runs `program` for the elements of `rows` of a group of shape `(n_rows, cols)`.
///
/// `inputs[i]` belongs to `Load(i)`; `outputs[i]`, `n_rows * cols` elements, to the program's output `i`. Threads
/// may run disjoint ranges of rows of the same buffers at one time (see [`Output::share`]). `scratch` holds
/// [`Program::scratch_len`] elements; its content does not matter.
///
/// An element's result depends on its own inputs only, not on the range or the block that it falls into.
///
/// # Panics
/// Where a buffer is too short, or their number is not the program's.
///
/// ```
/// use engine::kernels::elementwise::{Access, EwOp, Input, Output, Program, run};
/// // y = silu(x) * w, where w is one value for each column
/// let ops = vec![EwOp::Load(0), EwOp::Silu(0), EwOp::Load(1), EwOp::Mul(1, 2)];
/// let program = Program::new(ops, vec![3])?;
/// let (x, w, mut y) = ([0.0, 1.0, 2.0, 3.0], [1.0, 2.0], [0.0; 4]);
/// let mut scratch = vec![0.0; program.scratch_len()];
/// let inputs = [Input::f32(&x, Access::Full), Input::f32(&w, Access::Row)];
/// run(&program, 2, 2, &inputs, &mut [Output::f32(&mut y)], 0..2, &mut scratch);
/// assert!((y[1] - 2.0 * 0.7310586).abs() < 1e-6);
/// # Ok::<(), engine::kernels::elementwise::ProgramError>(())
/// ```
pub fn run(
    program: &Program,
    n_rows: usize,
    cols: usize,
    inputs: &[Input<'_>],
    outputs: &mut [Output<'_>],
    rows: Range<usize>,
    scratch: &mut [f32],
) {
    assert!(
        inputs.len() >= program.n_inputs(),
        "{} inputs, the program loads {}",
        inputs.len(),
        program.n_inputs()
    );
    assert_eq!(outputs.len(), program.outputs().len(), "one buffer for each output");
    assert!(scratch.len() >= program.scratch_len(), "scratch of {} is too short", scratch.len());
    assert!(rows.start <= rows.end && rows.end <= n_rows, "rows {rows:?} of {n_rows}");
    for input in &inputs[..program.n_inputs()] {
        input.check(n_rows, cols);
    }
    for output in outputs.iter() {
        assert!(output.len >= n_rows * cols, "output of {} elements for {n_rows} x {cols}", output.len);
    }
    if cols == 0 {
        return;
    }
    blocks(program, cols, inputs, outputs, rows.start * cols..rows.end * cols, scratch);
}

multiversion! {
    fn blocks(
        program: &Program,
        cols: usize,
        inputs: &[Input<'_>],
        outputs: &mut [Output<'_>],
        elements: Range<usize>,
        scratch: &mut [f32],
    ) = blocks_body
}

#[inline(always)]
fn blocks_body<I: Isa>(
    program: &Program,
    cols: usize,
    inputs: &[Input<'_>],
    outputs: &mut [Output<'_>],
    elements: Range<usize>,
    scratch: &mut [f32],
) {
    let ops = program.ops();
    let registers = scratch.as_mut_ptr();
    // Where each value of the current block lies.
    let mut place = [std::ptr::null::<f32>(); MAX_OPS];
    // The output, plus one, into which an operation may write its value straight away.
    let mut straight = [0u16; MAX_OPS];
    // Values that are stored: as loads they are copied, since an output may lie on their buffer.
    let mut stored = [false; MAX_OPS];
    // SAFETY: slots are below `n_registers`, and `scratch` holds that many blocks (checked in `run`).
    let slot = |op: usize| unsafe { registers.add(program.slot(op) * BLOCK) };

    for (index, &register) in program.outputs().iter().enumerate() {
        stored[register] = true;
        let output = &outputs[index];
        let used = &inputs[..program.n_inputs()];
        let fresh = output.dtype == Dtype::F32
            && !used.iter().any(|input| output.overlaps(input.start, input.len * input.dtype.size()))
            && (0..outputs.len()).all(|other| {
                let other_output = &outputs[other];
                other == index
                    || !output.overlaps(other_output.start, other_output.len * other_output.dtype.size())
            });
        if fresh && straight[register] == 0 && !matches!(ops[register], EwOp::Load(_) | EwOp::Const(_)) {
            straight[register] = index as u16 + 1;
        }
    }
    for (index, op) in ops.iter().enumerate() {
        // SAFETY: a slot is BLOCK elements of `scratch`; no other reference into it lives.
        let whole = || unsafe { std::slice::from_raw_parts_mut(slot(index), BLOCK) };
        match *op {
            EwOp::Const(value) => whole().fill(value),
            EwOp::Load(input) if inputs[input].constant(cols, elements.start, BLOCK) => {
                inputs[input].fill(whole(), elements.start, cols);
            }
            _ => {}
        }
        place[index] = slot(index);
    }

    let mut start = elements.start;
    while start < elements.end {
        let n = BLOCK.min(elements.end - start);
        for (index, op) in ops.iter().enumerate() {
            if let EwOp::Load(input) = *op {
                let input = &inputs[input];
                let direct = if stored[index] { None } else { input.direct(start, n, cols) };
                if let Some(direct) = direct {
                    place[index] = direct;
                    continue;
                }
                // The block before may have been read in place.
                place[index] = slot(index);
                if !input.constant(cols, elements.start, BLOCK) {
                    // SAFETY: a slot is BLOCK >= n elements of `scratch`; no other reference into it lives.
                    input.fill(unsafe { std::slice::from_raw_parts_mut(slot(index), n) }, start, cols);
                }
                continue;
            }
            if matches!(op, EwOp::Const(_)) {
                continue;
            }
            let target = match straight[index] {
                0 => slot(index),
                // SAFETY: the output holds the group's elements (checked in `run`).
                output => unsafe { outputs[usize::from(output) - 1].start.cast::<f32>().add(start) },
            };
            place[index] = target;
            // SAFETY: `target` is either a slot that differs from the operands' slots (`Program::new`) or part of
            // an output that overlaps no input; n elements either way.
            let out = unsafe { std::slice::from_raw_parts_mut(target, n) };
            // SAFETY: operands are earlier values of this block: slots, outputs or inputs, n elements each, and
            // none of them is `out`.
            let read = |register: usize| unsafe { std::slice::from_raw_parts(place[register], n) };
            step::<I>(*op, out, read);
        }
        for (index, &register) in program.outputs().iter().enumerate() {
            if usize::from(straight[register]) != index + 1 {
                // SAFETY: n elements of a slot or of another output (see `stored`), hence not this output's.
                let values = unsafe { std::slice::from_raw_parts(place[register], n) };
                outputs[index].store(values, start);
            }
        }
        start += n;
    }
}

/// One operation over one block.
#[inline(always)]
fn step<'a, I: Isa>(op: EwOp, out: &mut [f32], read: impl Fn(usize) -> &'a [f32]) {
    macro_rules! one {
        ($a:expr, |$x:ident| $value:expr) => {
            for (out, &$x) in out.iter_mut().zip(read($a)) {
                *out = $value;
            }
        };
    }
    macro_rules! two {
        ($a:expr, $b:expr, |$x:ident, $y:ident| $value:expr) => {
            for ((out, &$x), &$y) in out.iter_mut().zip(read($a)).zip(read($b)) {
                *out = $value;
            }
        };
    }
    macro_rules! three {
        ($a:expr, $b:expr, $c:expr, |$x:ident, $y:ident, $z:ident| $value:expr) => {
            for (((out, &$x), &$y), &$z) in out.iter_mut().zip(read($a)).zip(read($b)).zip(read($c)) {
                *out = $value;
            }
        };
    }
    macro_rules! mask {
        ($condition:expr) => {
            if $condition { 1.0 } else { 0.0 }
        };
    }
    match op {
        EwOp::Const(_) | EwOp::Load(_) => {}
        EwOp::Add(a, b) => two!(a, b, |x, y| x + y),
        EwOp::Sub(a, b) => two!(a, b, |x, y| x - y),
        EwOp::Mul(a, b) => two!(a, b, |x, y| x * y),
        EwOp::Div(a, b) => two!(a, b, |x, y| x / y),
        EwOp::Max(a, b) => two!(a, b, |x, y| if (x > y) | x.is_nan() { x } else { y }),
        EwOp::Min(a, b) => two!(a, b, |x, y| if (x < y) | x.is_nan() { x } else { y }),
        EwOp::Pow(a, b) => two!(a, b, |x, y| x.powf(y)),
        EwOp::Fma(a, b, c) => three!(a, b, c, |x, y, z| I::fma(x, y, z)),
        EwOp::Neg(a) => one!(a, |x| -x),
        EwOp::Abs(a) => one!(a, |x| x.abs()),
        EwOp::Sign(a) => one!(a, |x| if x > 0.0 {
            1.0
        } else if x < 0.0 {
            -1.0
        } else {
            x
        }),
        EwOp::Sqrt(a) => one!(a, |x| x.sqrt()),
        EwOp::Rsqrt(a) => one!(a, |x| 1.0 / x.sqrt()),
        EwOp::Recip(a) => one!(a, |x| 1.0 / x),
        EwOp::Square(a) => one!(a, |x| x * x),
        EwOp::Exp(a) => one!(a, |x| math::exp::<I>(x)),
        EwOp::Log(a) => one!(a, |x| math::log::<I>(x)),
        EwOp::Tanh(a) => one!(a, |x| math::tanh::<I>(x)),
        EwOp::Sigmoid(a) => one!(a, |x| math::sigmoid::<I>(x)),
        EwOp::Silu(a) => one!(a, |x| math::silu::<I>(x)),
        EwOp::Softplus(a) => one!(a, |x| math::softplus::<I>(x)),
        EwOp::Erf(a) => one!(a, |x| math::erf::<I>(x)),
        EwOp::Floor(a) => one!(a, |x| I::floor(x)),
        EwOp::Ceil(a) => one!(a, |x| -I::floor(-x)),
        EwOp::RoundEven(a) => one!(a, |x| I::round_even(x)),
        EwOp::RoundAway(a) => one!(a, |x| math::round_away::<I>(x)),
        EwOp::Sin(a) => math::sin_slice(read(a), out),
        EwOp::Cos(a) => math::cos_slice(read(a), out),
        EwOp::CmpLt(a, b) => two!(a, b, |x, y| mask!(x < y)),
        EwOp::CmpLe(a, b) => two!(a, b, |x, y| mask!(x <= y)),
        EwOp::CmpEq(a, b) => two!(a, b, |x, y| mask!(x == y)),
        EwOp::CmpNe(a, b) => two!(a, b, |x, y| mask!(x != y)),
        EwOp::CmpGt(a, b) => two!(a, b, |x, y| mask!(x > y)),
        EwOp::CmpGe(a, b) => two!(a, b, |x, y| mask!(x >= y)),
        EwOp::And(a, b) => two!(a, b, |x, y| mask!((x != 0.0) & (y != 0.0))),
        EwOp::Or(a, b) => two!(a, b, |x, y| mask!((x != 0.0) | (y != 0.0))),
        EwOp::Not(a) => one!(a, |x| mask!(x == 0.0)),
        EwOp::Select(c, a, b) => three!(c, a, b, |x, y, z| if x != 0.0 { y } else { z }),
    }
}
