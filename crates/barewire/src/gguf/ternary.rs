//! Matrices that are trits times one number, whatever type they are stored in: looked at, unpacked, repacked.
//!
//! The ternary types have a scale for each block, and writers of ternary models put the same one into all of them. Such
//! a matrix is a [`TritLayout`] matrix in other bytes, so it is moved bit by bit and never through floating point. Blocks
//! of zeros may have any scale: writers give them 0.

use std::io::{self, Write};
use std::ops::Range;

use axes::TritLayout;
use half::f16;

use super::{GgmlType, GgufTensor, I2_S_BLOCK, I2_S_TAIL};
use crate::error::{Result, WireError};
use crate::{blocks, trits};

/// Bytes of a block of 256 columns of the compute layout.
const RUN: usize = TritLayout::BLOCK / 4;
/// Bytes of a TQ2_0 block, its scale last.
const TQ2_0: usize = RUN + 2;

/// A matrix that may be d times trits: so far only d is known.
#[derive(Clone, Copy, Debug)]
pub struct Ternary<'a> {
    kind: GgmlType,
    rows: usize,
    columns: usize,
    bytes: &'a [u8],
    scale: f32,
}

impl<'a> GgufTensor<'a> {
    /// The tensor as a matrix of trits times the magnitude of its first number that is not 0; `None` for types without
    /// codecs, and where that magnitude is not finite.
    pub fn ternary(&self) -> Option<Ternary<'a>> {
        let [rows, columns] = self.matrix();
        let mut this = Ternary { kind: self.kind, rows, columns, bytes: self.bytes, scale: 0.0 };
        this.scale = this.magnitude()?;
        Some(this)
    }
}

impl Ternary<'_> {
    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// d: what the trits are multiplied by. 0 for a matrix of zeros.
    pub fn scale(&self) -> f32 {
        self.scale
    }

    fn row_bytes(&self) -> usize {
        (self.bytes.len() - if self.kind == GgmlType::I2_S { I2_S_TAIL } else { 0 }) / self.rows
    }

    fn magnitude(&self) -> Option<f32> {
        if self.kind == GgmlType::I2_S {
            let at = self.bytes.len() - I2_S_TAIL;
            let d = f32::from_le_bytes(*self.bytes[at..].first_chunk()?);
            // A negative one would turn the trits around; no writer makes it.
            return (d.is_finite() && d >= 0.0).then_some(d);
        }
        if self.kind == GgmlType::F32 {
            let (numbers, _) = self.bytes.as_chunks::<4>();
            let first = numbers.iter().map(|b| f32::from_le_bytes(*b)).find(|x| *x != 0.0);
            return Some(first.unwrap_or(0.0).abs()).filter(|d| d.is_finite());
        }
        let format = self.kind.format()?;
        let row = self.row_bytes();
        let mut numbers = vec![0.0; self.columns];
        for bytes in self.bytes.chunks_exact(row) {
            blocks::decode_into(format, self.columns, bytes, &mut numbers).ok()?;
            if let Some(first) = numbers.iter().find(|x| **x != 0.0) {
                return Some(first.abs()).filter(|d| d.is_finite());
            }
        }
        Some(0.0)
    }

    /// Unpacks rows into trits, row-major; false where a number is neither 0 nor d nor −d.
    ///
    /// # Panics
    /// If `trits` does not have the rows' trits, or the rows are not there.
    pub fn unpack(&self, rows: Range<usize>, trits: &mut [i8]) -> bool {
        assert_eq!(trits.len(), rows.len() * self.columns, "a trit for each weight");
        let row = self.row_bytes();
        if self.kind == GgmlType::I2_S {
            return self.unpack_planes(rows, trits);
        }
        let bytes = &self.bytes[rows.start * row..rows.end * row];
        if self.kind == GgmlType::F32 {
            let (numbers, _) = bytes.as_chunks::<4>();
            return each(numbers.iter().map(|b| f32::from_le_bytes(*b)), self.scale, trits);
        }
        let Some(format) = self.kind.format() else { return false };
        let mut numbers = vec![0.0; self.columns];
        bytes.chunks_exact(row).zip(trits.chunks_exact_mut(self.columns)).all(|(bytes, trits)| {
            blocks::decode_into(format, self.columns, bytes, &mut numbers).is_ok()
                && each(numbers.iter().copied(), self.scale, trits)
        })
    }

    /// Rows of I2_S: a block of 128 may have the end of one row and the start of the next.
    fn unpack_planes(&self, rows: Range<usize>, trits: &mut [i8]) -> bool {
        let first = rows.start * self.columns;
        let mut legal = true;
        for (at, trit) in (first..).zip(trits) {
            let (block, within) = (at / I2_S_BLOCK, at % I2_S_BLOCK);
            let code = self.bytes[block * 32 + within % 32] >> (6 - 2 * (within / 32)) & 3;
            legal &= code < 3;
            *trit = code as i8 - 1;
        }
        legal
    }

    /// Packs rows into a layout; false as for [`unpack`](Self::unpack). The first row is a multiple of
    /// [`TritLayout::GROUP`].
    ///
    /// # Panics
    /// If `bytes` is not as long as the packed rows, or the first row is another.
    pub fn pack(&self, layout: TritLayout, rows: Range<usize>, bytes: &mut [u8]) -> bool {
        let packed = layout.row_bytes(self.columns);
        assert!(
            rows.start.is_multiple_of(TritLayout::GROUP) && bytes.len() == rows.len() * packed,
            "whole groups"
        );
        let fast = layout == TritLayout::Compute
            && self.columns.is_multiple_of(TritLayout::BLOCK)
            && [GgmlType::TQ2_0, GgmlType::I2_S].contains(&self.kind);
        let mut trits = vec![0; if fast { 0 } else { TritLayout::GROUP * self.columns }];
        for (first, bytes) in
            rows.clone().step_by(TritLayout::GROUP).zip(bytes.chunks_mut(TritLayout::GROUP * packed))
        {
            let count = bytes.len() / packed;
            let group = first..first + count;
            let done = if fast {
                self.repack(group, bytes)
            } else {
                let trits = &mut trits[..count * self.columns];
                self.unpack(group, trits)
                    && trits::encode_into(layout, count, self.columns, trits, bytes).is_ok()
            };
            if !done {
                return false;
            }
        }
        true
    }

    /// The whole matrix in a layout, on some threads; `None` where it is not ternary.
    pub fn packed(&self, layout: TritLayout, threads: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; layout.bytes(self.rows, self.columns)?];
        self.packed_into(layout, threads, &mut bytes).then_some(bytes)
    }

    /// The same into given memory of [`TritLayout::bytes`] bytes; false where it is not ternary.
    ///
    /// # Panics
    /// If the memory has another length.
    pub fn packed_into(&self, layout: TritLayout, threads: usize, bytes: &mut [u8]) -> bool {
        let row = layout.row_bytes(self.columns);
        assert_eq!(Some(bytes.len()), layout.bytes(self.rows, self.columns), "the packed matrix");
        let share = self.rows.div_ceil(threads.max(1)).next_multiple_of(TritLayout::GROUP);
        let pieces = bytes.chunks_mut(share * row).enumerate();
        std::thread::scope(|scope| {
            let work = |(n, piece): (usize, &mut [u8])| {
                let first = n * share;
                self.pack(layout, first..first + piece.len() / row, piece)
            };
            let mut running = vec![];
            let mut mine = true;
            for piece in pieces {
                if threads <= 1 {
                    mine &= work(piece);
                } else {
                    running.push(scope.spawn(move || work(piece)));
                }
            }
            running.into_iter().all(|thread| thread.join().unwrap_or(false)) && mine
        })
    }

    /// A group of rows from the two types whose codes are those of the compute layout, in another order.
    fn repack(&self, rows: Range<usize>, bytes: &mut [u8]) -> bool {
        let blocks = self.columns / TritLayout::BLOCK;
        let count = rows.len();
        let d = f16::from_f32(self.scale);
        let mut legal = true;
        for (r, row) in rows.enumerate() {
            for block in 0..blocks {
                let to = &mut bytes[(block * count + r) * RUN..][..RUN];
                let (low, high) = to.split_at_mut(RUN / 2);
                let at = row * blocks + block;
                if self.kind == GgmlType::TQ2_0 {
                    let from = &self.bytes[at * TQ2_0..][..TQ2_0];
                    let scale = f16::from_le_bytes([from[RUN], from[RUN + 1]]);
                    if scale == f16::ZERO {
                        // Whatever the codes are.
                        low.fill(0x55);
                        high.fill(0x55);
                        continue;
                    }
                    legal &= interleave::<0, 4, 2, 6>(&from[..RUN], low, high);
                    let ones = || low.iter().chain(high.iter()).all(|byte| *byte == 0x55);
                    legal &= scale == d || (scale.is_finite() && ones());
                } else {
                    legal &= interleave::<6, 2, 4, 0>(&self.bytes[at * RUN..][..RUN], low, high);
                }
            }
        }
        legal
    }
}

/// Of 32 bytes a and 32 bytes b, which hold columns 0 … 127 and 128 … 255 in planes of 32, makes planes of 64. Columns
/// 0 … 31 are at bit A0 of a byte, 32 … 63 at B0, 64 … 95 at A1, 96 … 127 at B1. False if a code is 3.
fn interleave<const A0: u32, const A1: u32, const B0: u32, const B1: u32>(
    from: &[u8],
    low: &mut [u8],
    high: &mut [u8],
) -> bool {
    let (a, b) = from.split_at(RUN / 2);
    let mut threes = 0;
    for (((a, b), low), high) in a.iter().zip(b).zip(low).zip(high) {
        threes |= (a & a >> 1 | b & b >> 1) & 0x55;
        let code = |byte: &u8, bit: u32| byte >> bit & 3;
        *low = code(a, A0) | code(a, A1) << 2 | code(b, A0) << 4 | code(b, A1) << 6;
        *high = code(a, B0) | code(a, B1) << 2 | code(b, B0) << 4 | code(b, B1) << 6;
    }
    threes == 0
}

/// The trits of numbers; false where one is neither 0 nor ±d.
fn each(numbers: impl Iterator<Item = f32>, d: f32, trits: &mut [i8]) -> bool {
    let mut legal = true;
    for (x, trit) in numbers.zip(trits) {
        *trit = i8::from(x > 0.0) - i8::from(x < 0.0);
        legal &= x == 0.0 || x.abs() == d;
    }
    legal
}

/// Writes trits as a tensor of a ternary type, or of F16, BF16 or F32: each is d times its trit. Types with scales in f16
/// round d to it; 1 is exact in all of them.
///
/// # Errors
/// [`WireError::Blocks`] for columns that are no whole blocks and for a d that the type cannot hold; [`WireError::Trits`]
/// where trits are too few; [`WireError::Output`] if `out` fails.
pub fn write_ternary(
    kind: GgmlType,
    columns: usize,
    trits: &[i8],
    d: f32,
    out: &mut dyn Write,
) -> Result<()> {
    if columns == 0 || !trits.len().is_multiple_of(columns) {
        return Err(WireError::Trits {
            layout: "bytes",
            rows: trits.len() / columns.max(1),
            columns,
            what: "trits".into(),
            expected: "whole rows".into(),
            found: trits.len().to_string(),
            remedy: "pass whole rows",
        });
    }
    if kind == GgmlType::I2_S {
        return Ok(write_planes(trits, d, out)?);
    }
    for row in trits.chunks_exact(columns) {
        let numbers: Vec<f32> = row.iter().map(|t| f32::from(*t) * d).collect();
        match kind.format() {
            Some(format) => out.write_all(&blocks::encode(format, columns, &numbers)?)?,
            None => out.write_all(&numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>())?,
        }
    }
    Ok(())
}

fn write_planes(trits: &[i8], d: f32, out: &mut dyn Write) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(trits.len() / 4);
    for block in trits.chunks(I2_S_BLOCK) {
        let code =
            |p: usize, j: usize| ((block.get(32 * p + j).copied().unwrap_or(0) + 1) as u8) << (6 - 2 * p);
        bytes.extend((0..32).map(|j| code(0, j) | code(1, j) | code(2, j) | code(3, j)));
    }
    out.write_all(&bytes)?;
    let mut tail = [0; I2_S_TAIL];
    tail[..4].copy_from_slice(&d.to_le_bytes());
    out.write_all(&tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trits(count: usize, seed: u64) -> Vec<i8> {
        let mut x = seed;
        let next = |_| {
            x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((x >> 60) % 3) as i8 - 1
        };
        (0..count).map(next).collect()
    }

    const KINDS: [GgmlType; 8] = [
        GgmlType::TQ2_0,
        GgmlType::TQ1_0,
        GgmlType::Q2_0,
        GgmlType::I2_S,
        GgmlType::F16,
        GgmlType::BF16,
        GgmlType::F32,
        GgmlType::Q8_0,
    ];

    #[test]
    fn every_type_gives_back_the_trits_in_every_layout() {
        for kind in KINDS {
            for (rows, columns) in [(1, 256), (6, 512), (9, 768), (4, 128), (8, 64), (2, 192)] {
                if kind.bytes(&[rows, columns]).is_none() {
                    continue;
                }
                let mut wanted = trits(rows * columns, 5);
                wanted[..columns.min(256)].fill(0);
                // Q8_0 has the scale of its largest number, 127 times.
                let d = if kind == GgmlType::Q8_0 { 127.0 } else { 0.5 };
                let mut bytes = vec![];
                write_ternary(kind, columns, &wanted, d, &mut bytes).unwrap();
                assert_eq!(bytes.len() as u64, kind.bytes(&[rows, columns]).unwrap());
                let tensor = GgufTensor { name: "w", kind, shape: &[rows, columns], bytes: &bytes };
                let ternary = tensor.ternary().unwrap();
                let mut found = vec![0; wanted.len()];
                assert!(ternary.unpack(0..rows, &mut found), "{kind}");
                assert_eq!(found, wanted, "{kind} {rows}×{columns}");
                let zeros = wanted.iter().all(|t| *t == 0) && kind != GgmlType::I2_S;
                assert_eq!(ternary.scale(), if zeros { 0.0 } else { d }, "{kind}");
                for layout in TritLayout::ALL {
                    let expected = crate::trits::encode(layout, rows, columns, &wanted).unwrap();
                    for threads in [1, 2, 5] {
                        assert_eq!(ternary.packed(layout, threads).unwrap(), expected, "{kind} {layout}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_not_ternary_is_said_so() {
        for kind in KINDS {
            let (rows, columns) = (5, 512);
            let mut bytes = vec![];
            write_ternary(kind, columns, &trits(rows * columns, 7), 1.0, &mut bytes).unwrap();
            let row = if kind == GgmlType::I2_S { columns / 4 } else { bytes.len() / rows };
            match kind {
                // A code of 3.
                GgmlType::TQ2_0 | GgmlType::I2_S => bytes[3 * row + 5] = 0xff,
                GgmlType::Q2_0 => bytes[3 * row + 9] = 0xff,
                // Another scale.
                GgmlType::TQ1_0 => bytes[3 * row + 53] ^= 0x04,
                _ => bytes[3 * row + 7] ^= 0x10,
            }
            let tensor = GgufTensor { name: "w", kind, shape: &[rows, columns], bytes: &bytes };
            let ternary = tensor.ternary().unwrap();
            assert_eq!(ternary.packed(TritLayout::Compute, 2), None, "{kind}");
            assert!(
                ternary.pack(TritLayout::Compute, 0..2, &mut [0; 256]) || kind == GgmlType::F32,
                "{kind}"
            );
        }
        let mut bytes = vec![];
        write_ternary(GgmlType::TQ2_0, 256, &trits(1024, 9), 1.0, &mut bytes).unwrap();
        bytes[2 * TQ2_0 + RUN + 1] ^= 0x04;
        let tensor = GgufTensor { name: "w", kind: GgmlType::TQ2_0, shape: &[4, 256], bytes: &bytes };
        assert_eq!(tensor.ternary().unwrap().packed(TritLayout::Compute, 1), None);
    }
}
