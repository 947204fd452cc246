//! Single trits in each layout, as `axes::TritLayout` specifies them.

use axes::TritLayout;

use super::frame::Rows;
use crate::ir::{Builder, CmpI, I8, Index, Value};

/// Where trit (i, j) of an n × k matrix lies: its byte, and for packed layouts which of the byte's trits it is.
fn place(
    b: &mut Builder,
    layout: TritLayout,
    (n, k): (Value<Index>, Value<Index>),
    (i, j): (Value<Index>, Value<Index>),
) -> (Value<Index>, Value<Index>) {
    let row_major = |b: &mut Builder, per_byte: i64| {
        let per_byte = b.index(per_byte);
        let row = b.ceildivui(k, per_byte);
        let start = b.muli(i, row);
        let byte = b.divui(j, per_byte);
        (b.addi(start, byte), b.remui(j, per_byte))
    };
    match layout {
        TritLayout::Bytes => row_major(b, 1),
        TritLayout::Interchange => row_major(b, 4),
        TritLayout::Storage => row_major(b, 5),
        TritLayout::Compute => {
            // Groups of four rows (the last may have fewer); in a group, blocks of 256 columns, each with 64 bytes a row, then
            // the remaining columns with a quarter of their number, rounded up.
            let four = b.index(4);
            let (group, block) = (b.index(TritLayout::GROUP as i64), b.index(TritLayout::BLOCK as i64));
            let quarter = b.index(TritLayout::BLOCK as i64 / 4);
            let first = b.divui(i, group);
            let first = b.muli(first, group);
            let rest = b.subi(n, first);
            let rows = b.minui(rest, group);
            let inside = b.subi(i, first);
            let row_bytes = b.ceildivui(k, four);
            let start = b.muli(first, row_bytes);
            let whole = b.divui(k, block);
            let at = b.divui(j, block);
            let column = b.remui(j, block);
            // Bytes of a row in this block: 64, or a quarter of what remains.
            let is_whole = b.cmpi(CmpI::Ult, at, whole);
            let remaining = b.remui(k, block);
            let last = b.ceildivui(remaining, four);
            let run = b.select(is_whole, quarter, last);
            let before = b.muli(at, rows);
            let before = b.muli(before, quarter);
            let start = b.addi(start, before);
            let row = b.muli(inside, run);
            let start = b.addi(start, row);
            let byte = b.remui(column, run);
            (b.addi(start, byte), b.divui(column, run))
        }
    }
}

/// Trit (i, j) of an n × k matrix, as −1, 0 or +1.
pub(super) fn load(
    b: &mut Builder,
    bytes: Rows<I8>,
    layout: TritLayout,
    shape: (Value<Index>, Value<Index>),
    at: (Value<Index>, Value<Index>),
) -> Value<I8> {
    let (byte, part) = place(b, layout, shape, at);
    let byte = b.load(bytes, (0, byte));
    let one = b.constant(I8, 1);
    match layout {
        TritLayout::Bytes => byte,
        TritLayout::Compute | TritLayout::Interchange => {
            let part = b.index_cast(part, I8);
            let shift = b.addi(part, part);
            let code = b.shrui(byte, shift);
            let three = b.constant(I8, 3);
            let code = b.andi(code, three);
            if layout == TritLayout::Compute {
                return b.subi(code, one);
            }
            // 00 = 0, 01 = −1, 10 = +1: the high bit less the low one.
            let high = b.shrui(code, one);
            let low = b.andi(code, one);
            b.subi(high, low)
        }
        TritLayout::Storage => {
            let three = b.constant(I8, 3);
            let digits = b.for_(0, part, 1, byte, |b, _, rest| b.divui(rest, three));
            let code = b.remui(digits, three);
            b.subi(code, one)
        }
    }
}

/// Adds trit (i, j) to bytes that were zero before their first trit was written.
pub(super) fn store(
    b: &mut Builder,
    trit: Value<I8>,
    bytes: Rows<I8>,
    layout: TritLayout,
    shape: (Value<Index>, Value<Index>),
    at: (Value<Index>, Value<Index>),
) {
    let (byte, part) = place(b, layout, shape, at);
    let one = b.constant(I8, 1);
    if layout == TritLayout::Bytes {
        return b.store(trit, bytes, (0, byte));
    }
    let old = b.load(bytes, (0, byte));
    let code = match layout {
        TritLayout::Interchange => {
            // +1 is 10, −1 is 01.
            let zero = b.constant(I8, 0);
            let two = b.constant(I8, 2);
            let positive = b.cmpi(CmpI::Sgt, trit, zero);
            let negative = b.cmpi(CmpI::Slt, trit, zero);
            let low = b.select(negative, one, zero);
            b.select(positive, two, low)
        }
        _ => b.addi(trit, one),
    };
    let value = if layout == TritLayout::Storage {
        let three = b.constant(I8, 3);
        b.for_(0, part, 1, code, |b, _, code| b.muli(code, three))
    } else {
        let part = b.index_cast(part, I8);
        let shift = b.addi(part, part);
        b.shli(code, shift)
    };
    let new = b.addi(old, value);
    b.store(new, bytes, (0, byte));
}
