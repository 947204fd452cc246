//! A packed matrix, one trit at a time: the plain reading of the layouts that the fast code is tested against.

use axes::{AxesError, TritLayout, TritStorage};

use super::{Form, check};
use crate::error::Result;

/// A matrix of packed trits in borrowed bytes.
///
/// ```
/// use axes::{TritLayout, TritStorage};
/// use barewire::{PackedTrits, trits};
/// let bytes = trits::encode(TritLayout::Storage, 2, 3, &[1, 0, -1, 0, 1, 1])?;
/// let packed = PackedTrits::new(TritLayout::Storage, 2, 3, &bytes)?;
/// assert_eq!((packed.get(0, 2), packed.trit(3)), (-1, 0));
/// # Ok::<(), barewire::WireError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedTrits<'a> {
    layout: TritLayout,
    rows: usize,
    columns: usize,
    bytes: &'a [u8],
}

impl<'a> PackedTrits<'a> {
    /// A view of bytes that are checked in full.
    ///
    /// # Errors
    /// As [`check()`](super::check()).
    pub fn new(layout: TritLayout, rows: usize, columns: usize, bytes: &'a [u8]) -> Result<Self> {
        super::check(layout, rows, columns, bytes)?;
        Ok(Self { layout, rows, columns, bytes })
    }

    /// A view of bytes whose number is right and whose codes the caller has checked or is about to check.
    pub(crate) fn unchecked(layout: TritLayout, rows: usize, columns: usize, bytes: &'a [u8]) -> Self {
        Self { layout, rows, columns, bytes }
    }

    /// How the trits lie.
    pub fn layout(&self) -> TritLayout {
        self.layout
    }

    /// Rows, M.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns, K.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The packed bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// First byte of the part of a row behind the full blocks of the compute layout.
    pub(super) fn tail(&self, row: usize) -> usize {
        let (first, inside, count) = self.group(row);
        let full = self.columns / TritLayout::BLOCK;
        let n = (self.columns % TritLayout::BLOCK).div_ceil(4);
        first * self.layout.row_bytes(self.columns) + full * (TritLayout::BLOCK / 4) * count + inside * n
    }

    /// The group of a row: its first row, the row's place in it, its number of rows.
    fn group(&self, row: usize) -> (usize, usize, usize) {
        let first = row / TritLayout::GROUP * TritLayout::GROUP;
        (first, row - first, TritLayout::GROUP.min(self.rows - first))
    }

    /// The trit of a row and a column.
    ///
    /// # Panics
    /// If either is out of range.
    pub fn get(&self, row: usize, column: usize) -> i8 {
        assert!(row < self.rows && column < self.columns, "trit ({row}, {column}) is out of range");
        let start = row * self.layout.row_bytes(self.columns);
        match self.layout {
            TritLayout::Bytes => self.bytes[start + column] as i8,
            TritLayout::Interchange => match self.bytes[start + column / 4] >> (2 * (column % 4)) & 3 {
                0 => 0,
                1 => -1,
                2 => 1,
                _ => 2,
            },
            TritLayout::Storage => {
                let byte = self.bytes[start + column / 5];
                if byte > 242 { 2 } else { (byte / 3_u8.pow((column % 5) as u32) % 3) as i8 - 1 }
            }
            TritLayout::Compute => {
                let (first, inside, count) = self.group(row);
                let (block, within) = (column / TritLayout::BLOCK, column % TritLayout::BLOCK);
                let wide = TritLayout::BLOCK.min(self.columns - block * TritLayout::BLOCK);
                let n = wide.div_ceil(4);
                let start = first * self.layout.row_bytes(self.columns)
                    + block * (TritLayout::BLOCK / 4) * count
                    + inside * n;
                (self.bytes[start + within % n] >> (2 * (within / n)) & 3) as i8 - 1
            }
        }
    }
}

impl TritStorage for PackedTrits<'_> {
    fn len(&self) -> usize {
        self.rows * self.columns
    }

    fn trit(&self, i: usize) -> i8 {
        self.get(i / self.columns, i % self.columns)
    }

    /// Every code and every padding trit; the index of padding is that of the last trit of its row.
    fn check(&self) -> std::result::Result<(), AxesError> {
        let Self { layout, rows, columns, bytes } = *self;
        if check::first_fault(Form { layout, rows, columns }, bytes).is_none() {
            return Ok(());
        }
        let wrong = (0..self.len()).find(|&i| !(-1..=1).contains(&self.trit(i)));
        let index = wrong.unwrap_or(self.len() - 1);
        Err(AxesError::IllegalTrit { index, found: self.trit(index) })
    }
}
