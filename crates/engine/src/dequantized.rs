//! Products of a gradient with int8 activations or trits: a · (q / scale), contracted over the rows of q.
//!
//! q becomes floats in blocks of rows, in scratch memory that stays in the cache, right before the product reads them;
//! the whole dequantised factor never lies in memory. The cost is one pass over q for a product that reads it as often
//! as the left factor has rows.

use crate::dot::{Factor, product};
use crate::kernels::gemm::{MatMut, MatRef, gemm_parallel};
use crate::kernels::packed::{PackedMatrix, unpack_rows};
use crate::kernels::rows;
use crate::pool::Pool;
use graph::Node;
use graph::ops::dot::DotAxes;
use premap::cut::FLOAT_ROWS as TASK;

/// The right factor: int8 activations or trits.
#[derive(Clone, Copy)]
pub(crate) enum Quantized<'a> {
    /// One byte each, row-major.
    Bytes(&'a [i8]),
    /// Packed trits.
    Packed(PackedMatrix<'a>),
}

impl Quantized<'_> {
    /// q / scale for whole rows from row `at`; `scale` has one element, or one per row of q.
    fn rows(self, at: usize, cols: usize, scale: &[f32], out: &mut [f32]) {
        match (self, scale) {
            (Quantized::Bytes(q), [_]) => {
                rows::dequantize_rows(&q[at * cols..][..out.len()], scale, out.len(), out);
            }
            (Quantized::Bytes(q), _) => {
                let scale = &scale[at..at + out.len() / cols];
                rows::dequantize_rows(&q[at * cols..][..out.len()], scale, cols, out);
            }
            // The bits of ±1 / scale.
            (Quantized::Packed(w), [scale]) => unpack_rows(w, at, 1.0 / scale, out),
            (Quantized::Packed(w), _) => {
                let each = out.chunks_exact_mut(cols).zip(&scale[at..]).enumerate();
                each.for_each(|(r, (out, scale))| unpack_rows(w, at + r, 1.0 / scale, out));
            }
        }
    }
}

/// A product ready to run.
pub(crate) struct Dequantized {
    /// Rows of the result.
    m: usize,
    /// Rows of q, the contracted size.
    rows: usize,
    /// Columns of q and of the result.
    cols: usize,
    /// The left factor.
    left: Factor,
}

impl Dequantized {
    /// The product of `dot` whose operands have the shapes `sa` and `sq`.
    pub(crate) fn new(dot: &Node, sa: &[usize], sq: &[usize]) -> Dequantized {
        let d = DotAxes::new(&dot.attrs, sa.len(), sq.len());
        Dequantized {
            m: product(sa, &d.lhs_free),
            rows: product(sa, &d.lhs_contract),
            cols: sq.last().copied().unwrap_or(1),
            left: Factor::new(sa, &[], &d.lhs_free, &d.lhs_contract),
        }
    }

    /// Rows of a block. Depends on the shape alone, so that no result depends on the number of threads.
    fn block(&self) -> usize {
        premap::cut::float_rows(self.rows, self.cols)
    }

    /// Elements of scratch.
    pub(crate) fn scratch(&self) -> usize {
        self.left.scratch() + self.block() * self.cols
    }

    /// c (m, cols) = a · (q / scale); `scale` has one element, or one per row of q.
    pub(crate) fn run(
        &self,
        pool: &Pool,
        a: &[f32],
        q: Quantized<'_>,
        scale: &[f32],
        c: &mut [f32],
        scratch: &mut [f32],
    ) {
        if c.is_empty() {
            return;
        }
        if self.rows == 0 {
            c.fill(0.0);
            return;
        }
        let (left, right) = scratch.split_at_mut(self.left.scratch());
        let a = self.left.elements(a, left);
        let cols = self.cols;
        for from in (0..self.rows).step_by(self.block()) {
            let len = self.block().min(self.rows - from);
            let floats = &mut right[..len * cols];
            pool.chunks(floats, TASK * cols, |task, floats| {
                q.rows(from + task * TASK, cols, scale, floats);
            });
            let lhs = MatRef::with_strides(
                &a[from * self.left.contract..],
                self.m,
                len,
                self.left.free,
                self.left.contract,
            );
            let beta = if from == 0 { 0.0 } else { 1.0 };
            let out = MatMut::row_major(c, self.m, cols);
            gemm_parallel(pool, 1.0, lhs, MatRef::row_major(floats, len, cols), beta, out);
        }
    }
}
