//! Fourier transforms of a plan, and what is computed with them.
#![allow(unsafe_code)]

use crate::instr::{Memory, sizes};
use crate::kernels::fourier::{ConvolutionShape, Real, fourier, long_convolution, long_correlation};
use crate::pool::Pool;
use axes::DType;
use graph::{Op, Value};

/// Runs the node `i`, a `fourier`, `long_convolution` or `long_correlation` of f32 or f64.
///
/// # Safety
/// Its operands are written, its results are this step's.
pub(crate) unsafe fn run(m: &Memory<'_>, i: u32, pool: &Pool) {
    // SAFETY: the caller's.
    unsafe {
        match m.plan.graph.nodes[i as usize].types[0].dtype {
            DType::F64 => run_in::<f64>(m, i, pool),
            _ => run_in::<f32>(m, i, pool),
        }
    }
}

unsafe fn run_in<T: Real>(m: &Memory<'_>, i: u32, pool: &Pool) {
    let n = &m.plan.graph.nodes[i as usize];
    let out = |k: u32| Value { node: i, out: k };
    let s = sizes(m.plan, n.inputs[0]);
    // SAFETY: the caller's; inference gives all operands and results one type.
    unsafe {
        let (a, b) = (m.read::<T>(n.inputs[0]), m.read::<T>(n.inputs[1]));
        let reverse = n.attrs.flag("reverse");
        match n.op {
            Op::Fourier => {
                let length = s.last().copied().unwrap_or(1);
                fourier(pool, length, n.attrs.flag("inverse"), a, b, m.write(out(0)), m.write(out(1)));
            }
            Op::LongConvolution => {
                let taps = sizes(m.plan, n.inputs[1])[1];
                let shape = ConvolutionShape { batch: s[0], time: s[1], channels: s[2], taps };
                long_convolution(pool, shape, a, b, reverse, m.write(out(0)));
            }
            _ => {
                let taps = sizes(m.plan, out(0))[1];
                let shape = ConvolutionShape { batch: s[0], time: s[1], channels: s[2], taps };
                long_correlation(pool, shape, a, b, m.write(out(0)));
            }
        }
    }
}
