//! Bytes of a packed layout as codes: t + 1 in two bits, as in the compute layout, and a fifth trit where there is one.
//!
//! Storage holds five base-3 digits a byte. The fifth, which counts 81, is taken off by two minima of unsigned bytes; the other
//! four are looked up in a table of 128 bytes where the machine has such an instruction, and else taken off in the same way.

use super::layout::Layout;
use crate::cpu::isa::Isa;
use crate::cpu::{Bytes, Ints};
use crate::ir::{Builder, CmpI, I8, I16, Index, MemRef, Value, Vector};
use axes::TritLayout;

/// 81⁻¹ modulo 2³²: a sum that is a multiple of 81 is divided by multiplying with it.
const INVERSE_81: i64 = {
    let mut inverse = 81u32;
    let mut step = 0;
    while step < 5 {
        inverse = inverse.wrapping_mul(2u32.wrapping_sub(81u32.wrapping_mul(inverse)));
        step += 1;
    }
    inverse as i32 as i64
};

/// Codes of four trits in two bits each; the fifth's, times 81, in a byte of its own.
#[derive(Clone, Copy)]
pub(super) struct Codes {
    pub(super) four: Bytes,
    pub(super) fifth: Option<Bytes>,
}

/// x mod n and x − x mod n, for bytes below 3 n.
fn rest(b: &mut Builder, x: Bytes, n: i64) -> (Bytes, Bytes) {
    let by = b.int(x.ty(), n);
    let less = b.subi(x, by);
    let once = b.minui(x, less);
    let less = b.subi(once, by);
    let rest = b.minui(once, less);
    (rest, b.subi(x, rest))
}

/// Bytes shifted, in pairs: what crosses over has to be masked off.
fn moved(b: &mut Builder, x: Bytes, places: i64) -> Bytes {
    let pairs = b.vector_bitcast(x, I16);
    let by = b.int(pairs.ty(), places.abs());
    let made = if places < 0 { b.shrui(pairs, by) } else { b.shli(pairs, by) };
    b.vector_bitcast(made, I8)
}

/// Four base-3 digits, 0 to 80, as four codes of two bits.
fn digits(b: &mut Builder, isa: Isa, x: Bytes) -> Bytes {
    if isa == Isa::Avx512 {
        let table: Vec<i8> = (0..128_i64)
            .map(|i| {
                let digit = |n: i64| i / n % 3;
                (digit(1) | (digit(3) << 2) | (digit(9) << 4) | (digit(27) << 6)) as u8 as i8
            })
            .collect();
        let ty = Vector::new(I8, [64]);
        let (low, high) = (b.dense(ty, &table[..64]), b.dense(ty, &table[64..]));
        return b.intrinsic("llvm.x86.avx512.vpermi2var.qi.512", (low, x, high), ty);
    }
    // 27 d, 9 d, 3 d and d; a multiple of n is n or 2 n or nothing.
    let mut left = x;
    let mut made = None;
    for (n, places) in [(27, 6), (9, 4), (3, 2)] {
        let (next, digit) = rest(b, left, n);
        left = next;
        let (zero, once) = (b.int(x.ty(), 0), b.int(x.ty(), n));
        let (one, two) = (b.int(x.ty(), 1 << places), b.int(x.ty(), i64::from((2u8 << places) as i8)));
        let some = b.cmpi(CmpI::Ne, digit, zero);
        let more = b.cmpi(CmpI::Ugt, digit, once);
        let code = b.select(some, one, zero);
        let code = b.select(more, two, code);
        made = Some(made.map_or(code, |before| b.ori(before, code)));
    }
    made.map_or(left, |made| b.ori(made, left))
}

/// The codes of these bytes.
pub(super) fn codes(b: &mut Builder, isa: Isa, layout: TritLayout, bytes: Bytes) -> Codes {
    match layout {
        TritLayout::Interchange => {
            // 00 → 01, 01 → 00, 10 → 10: the low bit is flipped where the high one is 0.
            let high = moved(b, bytes, -1);
            let (low, ones) = (b.int(bytes.ty(), 0x55), b.int(bytes.ty(), -1));
            let none = b.xori(high, ones);
            let flip = b.andi(none, low);
            Codes { four: b.xori(bytes, flip), fifth: None }
        }
        TritLayout::Storage => {
            let (rest, fifth) = rest(b, bytes, 81);
            Codes { four: digits(b, isa, rest), fifth: Some(fifth) }
        }
        TritLayout::Compute | TritLayout::Bytes => Codes { four: bytes, fifth: None },
    }
}

/// 0, 1, 2 from 0, 81, 162.
pub(super) fn lowered(b: &mut Builder, fifth: Bytes) -> Bytes {
    // Their lowest bits.
    let mask = b.int(fifth.ty(), 3);
    b.andi(fifth, mask)
}

/// Sums of products with 81 times a code as sums of products with the code.
pub(super) fn divided(b: &mut Builder, sum: Ints) -> Ints {
    let inverse = b.int(sum.ty(), INVERSE_81);
    b.muli(sum, inverse)
}

/// Plane `plane` of 64 bytes' activations, which begin at a column: byte j meets column planes · j + plane. On AVX-512.
pub(super) fn plane(
    b: &mut Builder,
    l: &Layout,
    x: Value<MemRef<I8, 2>>,
    (token, column): (Value<Index>, Value<Index>),
    plane: usize,
) -> Bytes {
    let planes = l.planes();
    let vectors: Vec<Bytes> = (0..planes)
        .map(|v| {
            let at = b.offset(column, 64 * v);
            b.vector_load(x, (token, at), [64])
        })
        .collect();
    let mut made = vectors[0];
    for (v, vector) in vectors.iter().enumerate().skip(1) {
        // What the vectors before have given stays; the first time it is picked from them.
        let index: Vec<usize> = (0..64)
            .map(|j| {
                let from = planes * j + plane;
                match from / 64 {
                    owner if owner == v => 64 + from % 64,
                    0 if v == 1 => from,
                    _ => j,
                }
            })
            .collect();
        made = b.shuffle(made, *vector, &index);
    }
    made
}

/// Writes the activations of `count` whole blocks of a token as planes of 64 bytes, byte after byte.
pub(super) fn spread(
    b: &mut Builder,
    l: &Layout,
    x: Value<MemRef<I8, 2>>,
    token: Value<Index>,
    to: Value<MemRef<I8, 2>>,
) {
    let planes = l.planes();
    b.for_(0, l.whole, 1, (), |b, unit, ()| {
        let base = b.scaled(unit, l.block());
        b.for_(0, 64, 1, (), |b, j, ()| {
            let from = b.scaled(j, planes);
            let from = b.addi(base, from);
            for p in 0..planes {
                let at = b.offset(from, p);
                let v = b.load(x, (token, at));
                let there = b.addi(base, j);
                let there = b.offset(there, 64 * p);
                b.store(v, to, (token, there));
            }
        });
    });
}

/// `count` bytes of a row of `x`, `step` apart.
pub(super) fn strided(
    b: &mut Builder,
    x: Value<MemRef<I8, 2>>,
    (token, column): (Value<Index>, usize),
    (count, step): (usize, usize),
    mut put: impl FnMut(&mut Builder, Value<I8>, Value<Index>),
) {
    b.for_(0, count, 1, (), |b, j, ()| {
        let at = b.scaled(j, step);
        let at = b.offset(at, column);
        let v = b.load(x, (token, at));
        put(b, v, j);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiples_of_81_are_divided() {
        for k in [0i32, 1, -7, 1 << 20, i32::MAX / 81] {
            assert_eq!((81 * k).wrapping_mul(INVERSE_81 as i32), k);
        }
    }
}
