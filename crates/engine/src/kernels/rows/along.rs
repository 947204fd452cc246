//! Taking and adding by index along one axis.

use super::embedding::{IndexOutOfRange, check_ids};
use crate::pool::Pool;

/// Elements of one task at least.
const TASK: usize = 8 * 1024;

/// Sizes of an operand (before, `from`, after) and a result (before, `to`, after) that differ along one axis.
#[derive(Clone, Copy, Debug)]
pub struct Along {
    /// The operand's size along the axis.
    pub from: usize,
    /// The result's.
    pub to: usize,
    /// Elements that follow each other behind the axis.
    pub after: usize,
}

impl Along {
    /// Of the shapes of an operand and a result.
    pub fn new(from: &[usize], to: &[usize], axis: usize) -> Along {
        Along { from: from[axis], to: to[axis], after: to[axis + 1..].iter().product() }
    }

    /// Blocks before the axis that make one task.
    fn blocks(&self) -> usize {
        (TASK / (self.to * self.after).max(1)).max(1)
    }
}

/// `out[b, i, c] = x[b, ids[b, i, c], c]`; `ids` has the sizes of `out`.
///
/// # Errors
/// An id outside the operand's axis; `out` is then unchanged.
pub fn take_along<T: Copy + Send + Sync>(
    pool: &Pool,
    s: Along,
    x: &[T],
    ids: &[i64],
    out: &mut [T],
) -> Result<(), IndexOutOfRange> {
    assert_eq!(out.len(), ids.len(), "an id for each element");
    check_ids(ids, s.from)?;
    if out.is_empty() {
        return Ok(());
    }
    let (block, blocks) = (s.to * s.after, s.blocks());
    pool.chunks(out, blocks * block, |task, out| {
        let ids = &ids[task * blocks * block..];
        for (b, (out, ids)) in out.chunks_exact_mut(block).zip(ids.chunks_exact(block)).enumerate() {
            let x = &x[(task * blocks + b) * s.from * s.after..];
            for (out, ids) in out.chunks_exact_mut(s.after).zip(ids.chunks_exact(s.after)) {
                for (c, (o, id)) in out.iter_mut().zip(ids).enumerate() {
                    *o = x[*id as usize * s.after + c];
                }
            }
        }
    });
    Ok(())
}

/// `out[b, ids[b, i, c], c] += x[b, i, c]` from zeros, in the order of i; `ids` has the sizes of `x`.
///
/// # Errors
/// An id outside the result's axis; `out` is then unchanged.
pub fn scatter_add_along(
    pool: &Pool,
    s: Along,
    ids: &[i64],
    x: &[f32],
    out: &mut [f32],
) -> Result<(), IndexOutOfRange> {
    assert_eq!(x.len(), ids.len(), "an id for each element");
    check_ids(ids, s.to)?;
    if out.is_empty() {
        return Ok(());
    }
    let (block, blocks) = (s.from * s.after, s.blocks());
    pool.chunks(out, blocks * s.to * s.after, |task, out| {
        out.fill(0.0);
        for (b, out) in out.chunks_exact_mut(s.to * s.after).enumerate() {
            let at = (task * blocks + b) * block;
            for (k, (x, id)) in x[at..at + block].iter().zip(&ids[at..at + block]).enumerate() {
                out[*id as usize * s.after + k % s.after] += x;
            }
        }
    });
    Ok(())
}
