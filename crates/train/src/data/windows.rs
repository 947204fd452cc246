//! The windows of the validation text: evenly spread, the same at every evaluation.

use crate::error::Result;

use super::sampler::Batch;
use super::tokens::TokenSet;

/// Where `count` windows of `seq_len` tokens begin in a text of `len` tokens: `k (len − seq_len) / (count − 1)`,
/// rounded down, for `k = 0 … count − 1`, so that the first begins with the text and the last ends with it.
/// Empty if not even one fits.
///
/// ```
/// use train::data::validation_offsets;
///
/// assert_eq!(validation_offsets(100, 10, 4), [0, 30, 60, 90]);
/// ```
pub fn validation_offsets(len: usize, seq_len: usize, count: usize) -> Vec<usize> {
    let Some(room) = len.checked_sub(seq_len) else { return Vec::new() };
    let gaps = count.saturating_sub(1).max(1) as u128;
    (0..count).map(|k| (k as u128 * room as u128 / gaps) as usize).collect()
}

/// The validation windows in batches of `batch_size`; the last may be smaller.
///
/// # Errors
/// [`TrainError::TooShort`](crate::TrainError::TooShort) if the text is shorter than one window.
pub fn validation_batches(
    set: &TokenSet,
    seq_len: usize,
    windows: usize,
    batch_size: usize,
) -> Result<Vec<Batch>> {
    set.check_length(seq_len)?;
    let offsets = validation_offsets(set.len(), seq_len, windows);
    Ok(offsets.chunks(batch_size.max(1)).map(|chunk| Batch::gather(set, seq_len, chunk)).collect())
}
