//! Rows of numbers in the block formats of [`BlockFormat`]: decoding, encoding, checking.
//!
//! The page of [`BlockFormat`] says what the bytes are. Decoding is fixed to the bit: scales are widened from f16, products
//! are f32 in the order that `decode.rs` writes them. Encoding is free, and chosen so: the formats with one scale a block are
//! rounded as the programs that read them do (so files compare equal), `q4_k` and `q6_k` are searched for the least
//! squared error (`search.rs`). Numbers that no block can hold, such as NaN or a scale beyond f16, are refused.
//!
//! Every function takes whole rows, any number of them: a caller with several threads cuts the rows.

mod decode;
mod encode;
mod search;

use std::panic::resume_unwind;

use axes::BlockFormat;

use crate::error::{Result, WireError};

/// Bytes of one row.
fn row_bytes(format: BlockFormat, columns: usize) -> Result<usize> {
    let row = format.row_bytes(columns).filter(|_| columns > 0);
    row.ok_or_else(|| WireError::Blocks {
        format: format.name(),
        what: "columns".into(),
        expected: format!("a multiple of {} numbers a row", format.block()),
        found: columns.to_string(),
        remedy: "choose a format whose blocks divide the row",
    })
}

fn length(format: BlockFormat, what: &str, unit: &str, expected: Option<usize>, found: usize) -> Result<()> {
    if expected == Some(found) {
        return Ok(());
    }
    let expected = expected.map_or("a size that can be counted".into(), |n| format!("{n} {unit}"));
    let (what, found) = (what.into(), format!("{found} {unit}"));
    let remedy = "pass whole rows, and the sizes that belong to them";
    Err(WireError::Blocks { format: format.name(), what, expected, found, remedy })
}

/// The number of rows in `len` elements of rows of `row`.
fn rows(format: BlockFormat, what: &str, unit: &str, row: usize, len: usize) -> Result<usize> {
    if len.is_multiple_of(row) {
        return Ok(len / row);
    }
    let (what, expected, found) = (what.into(), format!("rows of {row} {unit}"), format!("{len} {unit}"));
    let remedy = "pass whole rows, and the sizes that belong to them";
    Err(WireError::Blocks { format: format.name(), what, expected, found, remedy })
}

/// The numbers of whole rows, row-major.
///
/// Any bytes of the right length are numbers; a scale may be infinite or NaN, as f16 can be.
///
/// # Errors
/// [`WireError::Blocks`] for columns that are no whole blocks, and for bytes that are no whole rows.
///
/// ```
/// use axes::BlockFormat;
/// use barewire::blocks;
/// // d = 1.0, then the 32 integers 0 to 31.
/// let bytes: Vec<u8> = [0x00, 0x3c].into_iter().chain(0..32).collect();
/// assert_eq!(blocks::decode(BlockFormat::Q8_0, 32, &bytes)?[..3], [0.0, 1.0, 2.0]);
/// assert!(blocks::decode(BlockFormat::Q8_0, 32, &bytes[1..]).is_err());
/// # Ok::<(), barewire::WireError>(())
/// ```
pub fn decode(format: BlockFormat, columns: usize, bytes: &[u8]) -> Result<Vec<f32>> {
    let rows = rows(format, "bytes", "bytes", row_bytes(format, columns)?, bytes.len())?;
    let numbers = rows.checked_mul(columns).filter(|n| n.checked_mul(4).is_some());
    let Some(numbers) = numbers else {
        return Err(length(format, "numbers", "numbers", None, rows).unwrap_err());
    };
    let mut out = vec![0.0; numbers];
    decode::rows(format, bytes, &mut out);
    Ok(out)
}

/// [`decode`] into given memory of rows × columns numbers.
///
/// # Errors
/// As [`decode`], and for memory of another length.
pub fn decode_into(format: BlockFormat, columns: usize, bytes: &[u8], out: &mut [f32]) -> Result<()> {
    let rows = rows(format, "bytes", "bytes", row_bytes(format, columns)?, bytes.len())?;
    length(format, "numbers", "numbers", rows.checked_mul(columns), out.len())?;
    decode::rows(format, bytes, out);
    Ok(())
}

/// The blocks of whole rows of numbers, row-major.
///
/// `s · t` with trits `t` and one scale `s` a block comes back as the numbers `s' · t` from `q2_0`, `tq1_0` and `tq2_0`, `s'`
/// being s rounded to f16.
///
/// # Errors
/// [`WireError::Blocks`] for columns that are no whole blocks, numbers that are no whole rows, a number that is not finite, and
/// numbers so large that their scale does not fit f16.
///
/// ```
/// use axes::BlockFormat;
/// use barewire::blocks;
/// let row: Vec<f32> = (0..64).map(|i| 0.5 * (i % 3 - 1) as f32).collect();
/// let bytes = blocks::encode(BlockFormat::Q2_0, 64, &row)?;
/// assert_eq!(bytes.len(), 18);
/// assert_eq!(blocks::decode(BlockFormat::Q2_0, 64, &bytes)?, row);
/// # Ok::<(), barewire::WireError>(())
/// ```
pub fn encode(format: BlockFormat, columns: usize, numbers: &[f32]) -> Result<Vec<u8>> {
    let row = row_bytes(format, columns)?;
    let rows = rows(format, "numbers", "numbers", columns, numbers.len())?;
    // No more bytes than the numbers take.
    let mut bytes = vec![0; rows * row];
    encode_checked(format, columns, numbers, &mut bytes)?;
    Ok(bytes)
}

/// [`encode`] into given memory.
///
/// # Errors
/// As [`encode`], and for memory of another length.
pub fn encode_into(format: BlockFormat, columns: usize, numbers: &[f32], bytes: &mut [u8]) -> Result<()> {
    let row = row_bytes(format, columns)?;
    let rows = rows(format, "numbers", "numbers", columns, numbers.len())?;
    length(format, "bytes", "bytes", rows.checked_mul(row), bytes.len())?;
    encode_checked(format, columns, numbers, bytes)
}

/// Numbers from which on it pays to start threads for the formats that are searched, some milliseconds of one thread.
const SEARCHED: usize = 1 << 15;
/// And for those that are rounded.
const ROUNDED: usize = 1 << 20;

/// Encodes whole rows, cut into runs of blocks for several threads. What a block becomes depends on its numbers alone, and of
/// several faults the first one is told, so the cut is not to be seen.
fn encode_checked(format: BlockFormat, columns: usize, numbers: &[f32], bytes: &mut [u8]) -> Result<()> {
    let (block, size) = (format.block(), format.block_bytes());
    let least = match format {
        BlockFormat::Q4K | BlockFormat::Q6K => SEARCHED,
        _ => ROUNDED,
    };
    let threads = match numbers.len() / least {
        0 | 1 => 1,
        most => std::thread::available_parallelism().map_or(1, usize::from).min(most),
    };
    let each = (numbers.len() / block).div_ceil(threads).max(1);
    let mut runs = numbers.chunks(each * block).zip(bytes.chunks_mut(each * size)).enumerate();
    let run = |(i, (numbers, bytes)): (usize, (&[f32], &mut [u8]))| {
        encode_run(format, columns, i * each * block, numbers, bytes)
    };
    if threads == 1 {
        return runs.try_for_each(run);
    }
    std::thread::scope(|scope| {
        let run = &run;
        let started: Vec<_> = runs.map(|part| scope.spawn(move || run(part))).collect();
        let mut started = started.into_iter();
        started.try_for_each(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// Encodes blocks that begin with number `first`.
fn encode_run(
    format: BlockFormat,
    columns: usize,
    first: usize,
    numbers: &[f32],
    bytes: &mut [u8],
) -> Result<()> {
    let blocks = numbers.chunks_exact(format.block()).zip(bytes.chunks_exact_mut(format.block_bytes()));
    for (i, (numbers, bytes)) in blocks.enumerate() {
        let fault = match numbers.iter().position(|x| !x.is_finite()) {
            Some(at) => {
                Some((at, "a finite number", numbers[at], "remove what is not finite from the weights"))
            }
            None if !encode::block(format, numbers, bytes) => {
                let peak = numbers.iter().fold(0.0, |m: f32, x| m.max(x.abs()));
                Some((0, "numbers whose scale fits f16", peak, "scale the weights down, or use bf16"))
            }
            None => None,
        };
        if let Some((at, expected, found, remedy)) = fault {
            let at = first + i * format.block() + at;
            let what = format!("row {}, column {}", at / columns, at % columns);
            let (expected, found) = (expected.into(), found.to_string());
            return Err(WireError::Blocks { format: format.name(), what, expected, found, remedy });
        }
    }
    Ok(())
}
