//! Where the bytes of the packed layouts lie, by arithmetic on sizes that are known when code is made.
//!
//! `axes::TritLayout` has the definitions. Compute: rows in groups of four, in a group 64 bytes of each row for every 256
//! columns, then ⌈r/4⌉ bytes of each row for the r columns that remain. Interchange and storage: row after row.

use axes::TritLayout;

/// Rows of a full group.
pub(super) const GROUP: usize = TritLayout::GROUP;
/// Columns of a whole block of the compute layout.
pub(super) const BLOCK: usize = TritLayout::BLOCK;
/// Planes of the compute layout: trits of a byte.
pub(super) const PLANES: usize = 4;

/// The cut of a matrix of trits, (rows, columns), in one of the packed layouts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) kind: TritLayout,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Whole blocks of a row, of 64 bytes each.
    pub(super) whole: usize,
    /// Bytes of a row behind them; 0 where there are none.
    pub(super) tail: usize,
    /// Columns of the tail.
    pub(super) rest: usize,
}

impl Layout {
    pub(super) fn new(kind: TritLayout, rows: usize, columns: usize) -> Layout {
        let planes = if kind == TritLayout::Storage { 5 } else { PLANES };
        let rest = columns % (64 * planes);
        Layout { kind, rows, columns, whole: columns / (64 * planes), tail: rest.div_ceil(planes), rest }
    }

    /// Trits of a byte.
    pub(super) fn planes(&self) -> usize {
        if self.kind == TritLayout::Storage { 5 } else { PLANES }
    }

    /// Columns of a whole block.
    pub(super) fn block(&self) -> usize {
        64 * self.planes()
    }

    /// Whether the trits of a plane are neighbouring columns.
    pub(super) fn is_compute(&self) -> bool {
        self.kind == TritLayout::Compute
    }

    pub(super) fn row_bytes(&self) -> usize {
        self.kind.row_bytes(self.columns)
    }

    pub(super) fn bytes(&self) -> usize {
        self.rows * self.row_bytes()
    }

    /// Columns of plane `plane` of the tail: the first one, their number, and how far apart they are.
    pub(super) fn plane(&self, plane: usize) -> (usize, usize, usize) {
        let start = self.whole * self.block();
        if self.is_compute() {
            let from = (plane * self.tail).min(self.rest);
            return (start + from, self.tail.min(self.rest - from), 1);
        }
        let count = self.rest.saturating_sub(plane).div_ceil(self.planes());
        (start + plane.min(self.rest), count, self.planes())
    }

    /// Full groups of rows whose tails can be read `padded` bytes at a time without leaving the matrix.
    pub(super) fn safe_groups(&self, padded: usize) -> usize {
        let groups = self.rows / GROUP;
        if self.tail == 0 {
            return groups;
        }
        let size = GROUP * self.row_bytes();
        groups.min((self.bytes() + self.tail).saturating_sub(padded) / size)
    }

    /// In a group of `rows` rows: bytes from a row's block to the next row's, and from a block to the row's next one.
    pub(super) fn steps(&self, rows: usize) -> (usize, usize) {
        if self.is_compute() { (64, 64 * rows) } else { (self.row_bytes(), 64) }
    }

    /// In a group of `rows` rows: the first row's tail, and bytes to the next row's.
    pub(super) fn tails(&self, rows: usize) -> (usize, usize) {
        if self.is_compute() {
            (self.whole * 64 * rows, self.tail)
        } else {
            (self.whole * 64, self.row_bytes())
        }
    }

    /// The byte of block `unit` of row `row`, from the first byte of the first row; `rows` rows lie there, which begin a
    /// group. A `unit` of `whole` is the tail.
    pub(super) fn place(&self, rows: usize, row: usize, unit: usize) -> usize {
        let (first, inside) = (row / GROUP * GROUP, row % GROUP);
        let size = GROUP.min(rows - first);
        let start = first * self.row_bytes();
        if unit < self.whole {
            let (down, along) = self.steps(size);
            start + unit * along + down * inside
        } else {
            let (tail, down) = self.tails(size);
            start + tail + inside * down
        }
    }
}

/// A number as a sum of powers of two, the largest first, each at most `most`: the lengths of vectors that cover it.
pub(in crate::cpu) fn pieces(len: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let left = len - at;
        let size = if left >= most { most } else { left.checked_ilog2().map_or(0, |bits| 1 << bits) };
        at += size;
        (size > 0).then_some((at - size, size))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_definition() {
        let l = Layout::new(TritLayout::Compute, 6, 300);
        assert_eq!((l.whole, l.tail, l.rest, l.row_bytes()), (1, 11, 44, 75));
        assert_eq!(l.place(6, 1, 0), 64);
        assert_eq!(l.place(6, 1, 1), 4 * 64 + 11);
        // The last group has two rows.
        assert_eq!(l.place(6, 5, 0), 4 * 75 + 64);
        assert_eq!(l.place(6, 5, 1), 4 * 75 + 2 * 64 + 11);
        assert_eq!((l.plane(0), l.plane(3)), ((256, 11, 1), (289, 11, 1)));
        assert_eq!(Layout::new(TritLayout::Compute, 1, 5).plane(3), (5, 0, 1));
    }

    #[test]
    fn rows_of_five_trits_a_byte_lie_one_after_the_other() {
        let l = Layout::new(TritLayout::Storage, 6, 333);
        assert_eq!((l.whole, l.tail, l.rest, l.row_bytes(), l.block()), (1, 3, 13, 67, 320));
        assert_eq!((l.place(6, 1, 0), l.place(6, 5, 1)), (67, 5 * 67 + 64));
        assert_eq!((l.plane(0), l.plane(2), l.plane(3)), ((320, 3, 5), (322, 3, 5), (323, 2, 5)));
        assert_eq!(Layout::new(TritLayout::Storage, 1, 2).plane(4), (2, 0, 5));
    }

    #[test]
    fn pieces_cover() {
        assert_eq!(pieces(45, 16).collect::<Vec<_>>(), [(0, 16), (16, 16), (32, 8), (40, 4), (44, 1)]);
        assert_eq!(pieces(0, 16).count(), 0);
    }

    #[test]
    fn reads_of_safe_groups_stay_inside() {
        for (rows, columns, padded) in [(9, 300, 64), (40, 4, 64), (8, 256, 64), (5, 1000, 128), (4, 4, 16)] {
            let l = Layout::new(TritLayout::Compute, rows, columns);
            let safe = l.safe_groups(padded);
            let end = |groups: usize| groups * GROUP * l.row_bytes() - l.tail + padded;
            assert!(l.tail == 0 || safe == 0 || end(safe) <= l.bytes(), "{l:?}");
            assert!(l.tail == 0 || safe == rows / GROUP || end(safe + 1) > l.bytes(), "{l:?}");
        }
    }
}
