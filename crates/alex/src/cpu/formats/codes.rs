//! Blocks of numbers as codes: integers without a sign, 32 to a vector, their offset and gain known by the format; scales of a
//! block and within it.
//!
//! Codes come in the order of the columns but where a byte holds neighbours (`q1_0`, `q2_0`): there the first numbers of sixteen
//! bytes come first, and activations are laid out in that order once.

use crate::cpu::{Bytes, Floats, Ints};
use crate::ir::{Builder, F16, F32, I8, I16, I32, Index, MemRef, Value, Vector};
use axes::BlockFormat;

/// Columns that are unpacked at once.
pub(super) const STRETCH: usize = 256;
/// Codes of a vector.
pub(super) const WIDTH: usize = 32;

/// The bytes of a matrix.
pub(super) type Matrix = Value<MemRef<I8, 1>>;

/// A number is gain · code − offset.
pub(super) fn meaning(format: BlockFormat) -> (i64, i64) {
    match format {
        BlockFormat::Q8_0 => (1, 128),
        BlockFormat::Q4_0 => (1, 8),
        BlockFormat::Q6K => (1, 32),
        BlockFormat::Q1_0 => (2, 1),
        BlockFormat::Q2_0 | BlockFormat::Tq1_0 | BlockFormat::Tq2_0 => (1, 1),
        BlockFormat::Q4K | BlockFormat::F16 | BlockFormat::Bf16 => (1, 0),
    }
}

/// Numbers of neighbouring columns in one byte, where they are neighbours.
pub(super) fn neighbours(format: BlockFormat) -> usize {
    match format {
        BlockFormat::Q1_0 => 8,
        BlockFormat::Q2_0 => 4,
        _ => 1,
    }
}

/// The byte of a block's scale.
fn scale_at(format: BlockFormat) -> usize {
    match format {
        BlockFormat::Q6K | BlockFormat::Tq1_0 | BlockFormat::Tq2_0 => format.block_bytes() - 2,
        _ => 0,
    }
}

fn load(b: &mut Builder, w: Matrix, at: Value<Index>, offset: usize, count: usize) -> Bytes {
    let at = b.offset(at, offset);
    b.vector_load(w, at, [count])
}

/// (x >> places) & mask, for bytes: shifted in pairs.
fn field(b: &mut Builder, x: Bytes, places: i64, mask: i64) -> Bytes {
    let mask = b.int(x.ty(), mask);
    if places == 0 {
        return b.andi(x, mask);
    }
    let pairs = b.vector_bitcast(x, I16);
    let by = b.int(pairs.ty(), places);
    let down = b.shrui(pairs, by);
    let down = b.vector_bitcast(down, I8);
    b.andi(down, mask)
}

/// One vector behind the other.
fn joined(b: &mut Builder, x: Bytes, y: Bytes) -> Bytes {
    let all: Vec<usize> = (0..x.ty().lanes() + y.ty().lanes()).collect();
    b.shuffle(x, y, &all)
}

/// The codes of `len` columns, whole blocks, whose bytes begin at `at`.
pub(super) fn codes(
    b: &mut Builder,
    format: BlockFormat,
    w: Matrix,
    at: Value<Index>,
    len: usize,
) -> Vec<Bytes> {
    let mut out = vec![];
    for k in 0..len / format.block() {
        let at = b.offset(at, k * format.block_bytes());
        block(b, format, w, at, &mut out);
    }
    out
}

fn block(b: &mut Builder, format: BlockFormat, w: Matrix, at: Value<Index>, out: &mut Vec<Bytes>) {
    match format {
        BlockFormat::F16 | BlockFormat::Bf16 => {}
        BlockFormat::Q8_0 => {
            let bytes = load(b, w, at, 2, 32);
            let sign = b.int(bytes.ty(), -128);
            out.push(b.xori(bytes, sign));
        }
        BlockFormat::Q4_0 => {
            let bytes = load(b, w, at, 2, 16);
            let (low, high) = (field(b, bytes, 0, 15), field(b, bytes, 4, 15));
            out.push(joined(b, low, high));
        }
        BlockFormat::Q2_0 => {
            let bytes = load(b, w, at, 2, 16);
            let p: Vec<Bytes> = (0..4).map(|p| field(b, bytes, 2 * p, 3)).collect();
            out.extend([joined(b, p[0], p[1]), joined(b, p[2], p[3])]);
        }
        BlockFormat::Q1_0 => {
            let bytes = load(b, w, at, 2, 16);
            let p: Vec<Bytes> = (0..8).map(|p| field(b, bytes, p, 1)).collect();
            out.extend(p.chunks_exact(2).map(|p| joined(b, p[0], p[1])));
        }
        BlockFormat::Q4K => {
            for p in 0..4 {
                let bytes = load(b, w, at, 16 + 32 * p, 32);
                out.extend([field(b, bytes, 0, 15), field(b, bytes, 4, 15)]);
            }
        }
        BlockFormat::Q6K => {
            for h in 0..2 {
                let low = [load(b, w, at, 64 * h, 32), load(b, w, at, 64 * h + 32, 32)];
                let high = load(b, w, at, 128 + 32 * h, 32);
                for p in 0..4 {
                    let four = field(b, low[p % 2], 4 * (p / 2) as i64, 15);
                    let two = field(b, high, 2 * p as i64, 3);
                    let pairs = b.vector_bitcast(two, I16);
                    let by = b.int(pairs.ty(), 4);
                    let up = b.shli(pairs, by);
                    let up = b.vector_bitcast(up, I8);
                    out.push(b.ori(four, up));
                }
            }
        }
        BlockFormat::Tq1_0 => {
            // Vectors of 32, 16 and 4 bytes and five, five and four digits.
            let mut parts = vec![];
            for (first, count, digits) in [(0, 32, 5), (32, 16, 5), (48, 4, 4)] {
                let bytes = load(b, w, at, first, count);
                let mut rest = b.extui(bytes, I16);
                for _ in 0..digits {
                    let [three, low, by] = [3, 255, 8].map(|n| b.int(rest.ty(), n));
                    let tripled = b.muli(rest, three);
                    let digit = b.shrui(tripled, by);
                    parts.push(b.trunci(digit, I8));
                    rest = b.andi(tripled, low);
                }
            }
            out.extend(&parts[..5]);
            out.extend(parts[5..9].chunks_exact(2).map(|p| joined(b, p[0], p[1])));
            let (low, high) = (joined(b, parts[10], parts[11]), joined(b, parts[12], parts[13]));
            let last = joined(b, low, high);
            out.push(joined(b, parts[9], last));
        }
        BlockFormat::Tq2_0 => {
            for h in 0..2 {
                let bytes = load(b, w, at, 32 * h, 32);
                out.extend((0..4).map(|p| field(b, bytes, 2 * p, 3)));
            }
        }
    }
}

/// Codes in the order of the columns.
pub(super) fn in_order(b: &mut Builder, format: BlockFormat, codes: Vec<Bytes>) -> Vec<Bytes> {
    let step = neighbours(format);
    if step == 1 {
        return codes;
    }
    // A block is `step` runs of sixteen.
    let each = 16 * step / WIDTH;
    let mut out = vec![];
    for block in codes.chunks_exact(each) {
        let mut all = block.to_vec();
        while all.len() > 1 {
            all = all.chunks_exact(2).map(|p| joined(b, p[0], p[1])).collect();
        }
        for v in 0..each {
            let index: Vec<usize> =
                (0..WIDTH).map(|i| WIDTH * v + i).map(|n| n % step * 16 + n / step).collect();
            out.push(b.shuffle(all[0], all[0], &index));
        }
    }
    out
}

/// The f16 at each of these bytes.
fn halves(b: &mut Builder, w: Matrix, at: Value<Index>, offsets: &[usize]) -> Floats {
    let mut bytes = load(b, w, at, offsets[0], 2);
    let mut parts: Vec<Bytes> = vec![bytes];
    parts.extend(offsets[1..].iter().map(|o| load(b, w, at, *o, 2)));
    if parts.len() > 1 {
        while parts.len() > 1 {
            parts =
                parts.chunks(2).map(|p| if p.len() == 2 { joined(b, p[0], p[1]) } else { p[0] }).collect();
        }
        bytes = parts[0];
    }
    let words = b.vector_bitcast(bytes, I16);
    let numbers = b.bitcast(words, F16);
    b.extf(numbers, F32)
}

/// The scale of each unit of `unit` columns among `len`.
pub(super) fn scales(
    b: &mut Builder,
    format: BlockFormat,
    w: Matrix,
    at: Value<Index>,
    (len, unit): (usize, usize),
) -> Floats {
    let block = |u: usize| u * unit / format.block() * format.block_bytes() + scale_at(format);
    let offsets: Vec<usize> = (0..len / unit).map(block).collect();
    halves(b, w, at, &offsets)
}

/// `q4_k`: the scale of the minima.
pub(super) fn minimum(b: &mut Builder, w: Matrix, at: Value<Index>) -> Floats {
    halves(b, w, at, &[2])
}

/// `q4_k`: scales and minima of eight groups. `q6_k`: scales of sixteen.
pub(super) fn groups(
    b: &mut Builder,
    format: BlockFormat,
    w: Matrix,
    at: Value<Index>,
) -> (Ints, Option<Ints>) {
    if format == BlockFormat::Q6K {
        let bytes = load(b, w, at, 192, 16);
        return (b.extsi(bytes, I32), None);
    }
    let [s, z, rest] = [4, 8, 12].map(|o| load(b, w, at, o, 4));
    let part = |b: &mut Builder, x: Bytes, low: Bytes| {
        let first = field(b, x, 0, 63);
        let two = field(b, x, 6, 3);
        let (two, low) = (b.extui(two, I32), b.extui(low, I32));
        let by = b.int(two.ty(), 4);
        let up = b.shli(two, by);
        let second = b.ori(up, low);
        let first = b.extui(first, I32);
        b.shuffle(first, second, &[0, 1, 2, 3, 4, 5, 6, 7])
    };
    let (low, high) = (field(b, rest, 0, 15), field(b, rest, 4, 15));
    (part(b, s, low), Some(part(b, z, high)))
}

/// `count` numbers of f16 or bf16.
pub(super) fn floats(
    b: &mut Builder,
    format: BlockFormat,
    w: Matrix,
    at: Value<Index>,
    count: usize,
) -> Floats {
    let bytes = load(b, w, at, 0, 2 * count);
    let words = b.vector_bitcast(bytes, I16);
    if format == BlockFormat::F16 {
        let numbers = b.bitcast(words, F16);
        return b.extf(numbers, F32);
    }
    let wide = b.extui(words, I32);
    let by = b.int(wide.ty(), 16);
    let up = b.shli(wide, by);
    b.bitcast(up, F32)
}

/// A vector of the same lanes.
pub(super) fn floats_of(lanes: usize) -> Vector<F32> {
    Vector::new(F32, [lanes])
}
