//! Table look-up and its transpose.

use super::ROWS_PER_TASK;
use crate::pool::Pool;

/// A token, class or row number that the table does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexOutOfRange {
    /// Where in the list of indices it stands.
    pub position: usize,
    /// The index.
    pub index: i64,
    /// Number of rows or classes.
    pub limit: usize,
}

impl std::fmt::Display for IndexOutOfRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "index {} at position {} is not in 0..{}", self.index, self.position, self.limit)
    }
}

impl std::error::Error for IndexOutOfRange {}

pub(in crate::kernels) fn check_ids(ids: &[i64], limit: usize) -> Result<(), IndexOutOfRange> {
    match ids.iter().position(|&id| !usize::try_from(id).is_ok_and(|id| id < limit)) {
        Some(position) => Err(IndexOutOfRange { position, index: ids[position], limit }),
        None => Ok(()),
    }
}

/// `out[n] = table[ids[n]]`: `table` is `(V, cols)`, `ids` is `(N)`, `out` is `(N, cols)`.
///
/// # Errors
/// An id outside `0 .. V`.
pub fn gather<T: Copy + Send + Sync>(
    pool: &Pool,
    table: &[T],
    cols: usize,
    ids: &[i64],
    out: &mut [T],
) -> Result<(), IndexOutOfRange> {
    assert_eq!(out.len(), ids.len() * cols, "out is (N, cols)");
    if cols == 0 {
        return Ok(());
    }
    check_ids(ids, table.len() / cols)?;
    pool.chunks(out, ROWS_PER_TASK * cols, |task, out| {
        for (out, &id) in out.chunks_exact_mut(cols).zip(&ids[task * ROWS_PER_TASK..]) {
            out.copy_from_slice(&table[id as usize * cols..][..cols]);
        }
    });
    Ok(())
}

/// `table[ids[n]] += rows[n]`, in the order of n, on one thread: repeated ids make any other order another result.
/// Shapes as in [`gather`].
///
/// # Errors
/// An id outside `0 .. V`; the table is then unchanged.
pub fn scatter_add(table: &mut [f32], cols: usize, ids: &[i64], rows: &[f32]) -> Result<(), IndexOutOfRange> {
    assert_eq!(rows.len(), ids.len() * cols, "rows are (N, cols)");
    if cols == 0 {
        return Ok(());
    }
    check_ids(ids, table.len() / cols)?;
    for (row, &id) in rows.chunks_exact(cols).zip(ids) {
        for (out, &x) in table[id as usize * cols..][..cols].iter_mut().zip(row) {
            *out += x;
        }
    }
    Ok(())
}
