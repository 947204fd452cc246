//! Is every code legal, and every padding trit 0?

use axes::TritLayout;

use super::{Form, PackedTrits};

/// Where a packed matrix is wrong, in words.
pub(crate) struct Fault {
    pub(crate) place: String,
    pub(crate) expected: String,
    pub(crate) found: String,
}

/// Bytes that are tested together: enough for the compiler to use wide registers, few enough to find the fault in.
const PIECE: usize = 4096;

/// The first value that is not −1, 0 or 1.
pub(super) fn illegal_trit(trits: &[i8]) -> Option<usize> {
    let wrong = |t: i8| (t as u8).wrapping_add(1) > 2;
    let piece = trits.chunks(PIECE).position(|piece| piece.iter().fold(false, |any, &t| any | wrong(t)))?;
    let start = piece * PIECE;
    trits[start..].iter().position(|&t| wrong(t)).map(|at| start + at)
}

/// The first byte that holds an illegal code, wherever in a matrix the bytes come from.
pub(crate) fn illegal_byte(layout: TritLayout, bytes: &[u8]) -> Option<usize> {
    match layout {
        TritLayout::Bytes => position(bytes, |byte| byte.wrapping_add(1) > 2),
        // In both two-bit layouts the code 11 is the illegal one.
        TritLayout::Compute | TritLayout::Interchange => position(bytes, |byte| byte & byte >> 1 & 0x55 != 0),
        TritLayout::Storage => position(bytes, |byte| byte > 242),
    }
}

#[inline(always)]
fn position(bytes: &[u8], wrong: impl Fn(u8) -> bool) -> Option<usize> {
    let piece = bytes.chunks(PIECE).position(|piece| piece.iter().fold(false, |any, &b| any | wrong(b)))?;
    let start = piece * PIECE;
    bytes[start..].iter().position(|&b| wrong(b)).map(|at| start + at)
}

/// The first fault of a matrix whose number of bytes is right.
pub(super) fn first_fault(form: Form, bytes: &[u8]) -> Option<Fault> {
    match illegal_byte(form.layout, bytes) {
        Some(at) => Some(illegal_code(form.layout, bytes, at)),
        None => padding_fault(form, bytes),
    }
}

/// The fault of an illegal code at a byte.
pub(crate) fn illegal_code(layout: TritLayout, bytes: &[u8], at: usize) -> Fault {
    let expected = match layout {
        TritLayout::Bytes => "-1, 0 or 1",
        TritLayout::Compute => "codes 00, 01 and 10 (-1, 0, 1)",
        TritLayout::Interchange => "codes 00, 01 and 10 (0, -1, 1)",
        TritLayout::Storage => "a number up to 242",
    };
    let found = match layout {
        TritLayout::Bytes => format!("{}", bytes[at] as i8),
        TritLayout::Compute | TritLayout::Interchange => format!("{:08b}", bytes[at]),
        TritLayout::Storage => format!("{}", bytes[at]),
    };
    Fault { place: format!("packed byte {at}"), expected: expected.into(), found }
}

/// The first row whose last byte, or bytes, hold padding other than 0.
pub(crate) fn padding_fault(form: Form, bytes: &[u8]) -> Option<Fault> {
    let Form { layout, rows, columns } = form;
    let row_bytes = layout.row_bytes(columns);
    let row = match layout {
        TritLayout::Bytes => None,
        _ if columns.is_multiple_of(if layout == TritLayout::Storage { 5 } else { 4 }) => None,
        TritLayout::Interchange => {
            let used = 2 * (columns % 4);
            (0..rows).find(|row| bytes[(row + 1) * row_bytes - 1] >> used != 0)
        }
        TritLayout::Storage => {
            // Digits of 1 above the used ones: (3^(5 − used) − 1)/2.
            let (used, ones) = [(1, 121), (3, 40), (9, 13), (27, 4), (81, 1)][columns % 5];
            (0..rows).find(|row| bytes[(row + 1) * row_bytes - 1] / used != ones)
        }
        TritLayout::Compute => {
            let rest = columns % TritLayout::BLOCK;
            let n = rest.div_ceil(4);
            let packed = PackedTrits::unchecked(layout, rows, columns, bytes);
            (0..rows).find(|&row| {
                let start = packed.tail(row);
                (rest..4 * n).any(|slot| bytes[start + slot % n] >> (2 * (slot / n)) & 3 != 1)
            })
        }
    }?;
    Some(Fault {
        place: format!("row {row}, padding after column {}", columns - 1),
        expected: "zero trits".into(),
        found: "others".into(),
    })
}
