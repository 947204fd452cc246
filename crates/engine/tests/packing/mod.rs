//! Packed trits and their products as plain loops, on any machine.
#![allow(unreachable_pub)]

use axes::TritLayout;

/// Packs by the layouts' specification, one trit at a time. `trits` is (rows, columns).
pub fn pack(layout: TritLayout, trits: &[i8], rows: usize, columns: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let at =
        |row: usize, column: usize, end: usize| if column < end { trits[row * columns + column] } else { 0 };
    match layout {
        TritLayout::Bytes => out.extend(trits.iter().map(|t| *t as u8)),
        TritLayout::Compute => {
            for group in (0..rows).step_by(4) {
                let members = group..rows.min(group + 4);
                for block in (0..columns).step_by(256) {
                    let end = columns.min(block + 256);
                    let n = (end - block).div_ceil(4);
                    for row in members.clone() {
                        for j in 0..n {
                            let code = |p: usize| ((at(row, block + p * n + j, end) + 1) as u8) << (2 * p);
                            out.push(code(0) | code(1) | code(2) | code(3));
                        }
                    }
                }
            }
        }
        TritLayout::Interchange => {
            for row in 0..rows {
                for byte in 0..columns.div_ceil(4) {
                    let code =
                        |p: usize| [1u8, 0, 2][(at(row, 4 * byte + p, columns) + 1) as usize] << (2 * p);
                    out.push(code(0) | code(1) | code(2) | code(3));
                }
            }
        }
        TritLayout::Storage => {
            for row in 0..rows {
                for byte in 0..columns.div_ceil(5) {
                    let digit = |i: u32| (at(row, 5 * byte + i as usize, columns) + 1) as u8 * 3u8.pow(i);
                    out.push((0..5).map(digit).sum());
                }
            }
        }
    }
    assert_eq!(Some(out.len()), layout.bytes(rows, columns));
    out
}

/// The plain loop.
pub fn naive(x: &[i8], trits: &[i8], n: usize, m: usize, k: usize) -> Vec<i32> {
    let mut acc = vec![0; n * m];
    for i in 0..n {
        for j in 0..m {
            acc[i * m + j] = (0..k).map(|l| i32::from(x[i * k + l]) * i32::from(trits[j * k + l])).sum();
        }
    }
    acc
}
