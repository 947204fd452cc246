//! A group of rows at a time, whole bytes at a time. The callers have checked lengths and codes.

use axes::TritLayout;

/// Columns that lie at one bit position of a full block of the compute layout, and so its bytes per row.
const RUN: usize = TritLayout::BLOCK / 4;

/// Packs the rows of one group; `trits` is (rows, columns).
pub(super) fn encode(layout: TritLayout, columns: usize, trits: &[i8], bytes: &mut [u8]) {
    match layout {
        TritLayout::Bytes => {
            for (byte, &trit) in bytes.iter_mut().zip(trits) {
                *byte = trit as u8;
            }
        }
        TritLayout::Compute => each_run(columns, trits.len() / columns, |trit, byte, wide, n| {
            compute_run(&trits[trit..][..wide], &mut bytes[byte..][..n]);
        }),
        TritLayout::Interchange => {
            for (trits, bytes) in lines(trits, bytes, columns, layout) {
                for (trits, byte) in trits.chunks(4).zip(bytes) {
                    *byte = fold(trits, 0, 4, |t| ((t == 1) as u8) << 1 | (t == -1) as u8);
                }
            }
        }
        TritLayout::Storage => {
            for (trits, bytes) in lines(trits, bytes, columns, layout) {
                for (trits, byte) in trits.chunks(5).zip(bytes) {
                    // A trit that is not there is 0, whose digit is 1.
                    *byte =
                        fold(trits, 121 / POWERS[trits.len()] * POWERS[trits.len()], 3, |t| (t + 1) as u8);
                }
            }
        }
    }
}

/// 3^i.
const POWERS: [u8; 6] = [1, 3, 9, 27, 81, 243];

/// The digits of up to `trits.len()` trits in base `base`, the first the lowest, added to `rest`.
#[inline(always)]
fn fold(trits: &[i8], rest: u8, base: u8, digit: impl Fn(i8) -> u8) -> u8 {
    rest + trits.iter().rev().fold(0, |sum, &t| sum * base + digit(t))
}

/// Rows of trits with their bytes, for the row-major layouts.
fn lines<'a>(
    trits: &'a [i8],
    bytes: &'a mut [u8],
    columns: usize,
    layout: TritLayout,
) -> impl Iterator<Item = (&'a [i8], &'a mut [u8])> {
    trits.chunks_exact(columns).zip(bytes.chunks_exact_mut(layout.row_bytes(columns)))
}

/// The pieces of a group of the compute layout: first trit, first byte, trits, bytes.
#[inline(always)]
fn each_run(columns: usize, rows: usize, mut take: impl FnMut(usize, usize, usize, usize)) {
    let mut byte = 0;
    for start in (0..columns).step_by(TritLayout::BLOCK) {
        let wide = TritLayout::BLOCK.min(columns - start);
        let n = wide.div_ceil(4);
        for row in 0..rows {
            take(row * columns + start, byte, wide, n);
            byte += n;
        }
    }
}

/// One row of one block: bits 2p and 2p + 1 of byte j are column p·n + j, n the number of bytes.
#[inline(always)]
fn compute_run(trits: &[i8], bytes: &mut [u8]) {
    if let (Ok(trits), Ok(bytes)) =
        (<&[i8; TritLayout::BLOCK]>::try_from(trits), <&mut [u8; RUN]>::try_from(&mut *bytes))
    {
        for j in 0..RUN {
            let code = |p: usize| ((trits[p * RUN + j] + 1) as u8) << (2 * p);
            bytes[j] = code(0) | code(1) | code(2) | code(3);
        }
        return;
    }
    let n = bytes.len();
    for (j, byte) in bytes.iter_mut().enumerate() {
        let code = |p: usize| ((trits.get(p * n + j).map_or(0, |t| *t) + 1) as u8) << (2 * p);
        *byte = code(0) | code(1) | code(2) | code(3);
    }
}

/// What the 256 bytes of the interchange layout hold; illegal codes never get here.
const INTERCHANGE: [[i8; 4]; 256] = {
    let mut table = [[0; 4]; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut i = 0;
        while i < 4 {
            table[byte][i] = [0, -1, 1, 0][byte >> (2 * i) & 3];
            i += 1;
        }
        byte += 1;
    }
    table
};

/// What the 243 legal bytes of the storage layout hold.
const STORAGE: [[i8; 5]; 256] = {
    let mut table = [[0; 5]; 256];
    let mut byte = 0;
    while byte < 243 {
        let (mut rest, mut i) = (byte, 0);
        while i < 5 {
            table[byte][i] = (rest % 3) as i8 - 1;
            rest /= 3;
            i += 1;
        }
        byte += 1;
    }
    table
};

/// Unpacks the rows of one group; `trits` is (rows, columns).
pub(super) fn decode(layout: TritLayout, columns: usize, bytes: &[u8], trits: &mut [i8]) {
    match layout {
        TritLayout::Bytes => {
            for (trit, &byte) in trits.iter_mut().zip(bytes) {
                *trit = byte as i8;
            }
        }
        TritLayout::Compute => each_run(columns, trits.len() / columns, |trit, byte, wide, n| {
            let (trits, bytes) = (&mut trits[trit..][..wide], &bytes[byte..][..n]);
            for (p, run) in trits.chunks_mut(n).enumerate() {
                for (trit, &byte) in run.iter_mut().zip(bytes) {
                    *trit = (byte >> (2 * p) & 3) as i8 - 1;
                }
            }
        }),
        TritLayout::Interchange => look_up(&INTERCHANGE, layout, columns, bytes, trits),
        TritLayout::Storage => look_up(&STORAGE, layout, columns, bytes, trits),
    }
}

fn look_up<const N: usize>(
    table: &[[i8; N]; 256],
    layout: TritLayout,
    columns: usize,
    bytes: &[u8],
    trits: &mut [i8],
) {
    for (bytes, trits) in bytes.chunks_exact(layout.row_bytes(columns)).zip(trits.chunks_exact_mut(columns)) {
        let (whole, last) = trits.as_chunks_mut::<N>();
        for (trits, &byte) in whole.iter_mut().zip(bytes) {
            *trits = table[usize::from(byte)];
        }
        if let Some(&byte) = bytes.last() {
            let count = last.len();
            last.copy_from_slice(&table[usize::from(byte)][..count]);
        }
    }
}

/// How many trits are −1 and +1. Padding is 0 and so is not among them.
pub(super) fn count(layout: TritLayout, bytes: &[u8]) -> [u64; 2] {
    match layout {
        TritLayout::Bytes => tally(bytes, |byte| [(byte == 0xFF) as u64, (byte == 1) as u64]),
        TritLayout::Interchange => pairs(bytes, |low, high| [low & !high, high & !low]),
        // Code 0 is −1, code 2 is +1.
        TritLayout::Compute => pairs(bytes, |low, high| [!(low | high), high & !low]),
        TritLayout::Storage => {
            let mut found = [0_u64; 256];
            for &byte in bytes {
                found[usize::from(byte)] += 1;
            }
            let mut counts = [0; 2];
            for (trits, times) in STORAGE.iter().zip(found) {
                counts[0] += times * trits.iter().filter(|t| **t == -1).count() as u64;
                counts[1] += times * trits.iter().filter(|t| **t == 1).count() as u64;
            }
            counts
        }
    }
}

/// Counts over the low and the high bits of the codes, which are spread over the even bits of a word.
fn pairs(bytes: &[u8], pick: impl Fn(u64, u64) -> [u64; 2]) -> [u64; 2] {
    const EVEN: u64 = 0x5555_5555_5555_5555;
    let ones = |word: u64, mask: u64| {
        pick(word & EVEN, word >> 1 & EVEN).map(|bits| u64::from((bits & EVEN & mask).count_ones()))
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let mut total =
        words.iter().fold([0; 2], |sum, word| add(sum, ones(u64::from_le_bytes(*word), u64::MAX)));
    for &byte in rest {
        total = add(total, ones(u64::from(byte), 0xFF));
    }
    total
}

fn tally(bytes: &[u8], pick: impl Fn(u8) -> [u64; 2]) -> [u64; 2] {
    bytes.iter().fold([0; 2], |sum, &byte| add(sum, pick(byte)))
}

fn add(a: [u64; 2], b: [u64; 2]) -> [u64; 2] {
    [a[0] + b[0], a[1] + b[1]]
}
