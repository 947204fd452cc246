//! The named ways in which a matrix of trits lies in memory. This page is their specification; the codecs are in
//! `barewire`, the products in `engine`.
//!
//! A matrix is out-major, (rows M, columns K). No layout pads a row by more than four trits. Padding trits are 0, so
//! every matrix has exactly one encoding, and a decoder can refuse all others.

use std::fmt;
use std::str::FromStr;

use crate::error::AxesError;

/// How trits lie in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TritLayout {
    /// One i8 each, row-major: −1, 0, 1. The form that plain loops work on.
    #[default]
    Bytes,
    /// Two bits each, code t + 1 (0, 1, 2; 3 is illegal), tiled as the kernels read it.
    ///
    /// Rows go in groups of [`TritLayout::GROUP`] (the last group may be smaller). A group holds, for each block of
    /// [`TritLayout::BLOCK`] columns, 64 bytes of each of its rows, then, for the remaining r columns, ⌈r/4⌉ bytes of
    /// each of its rows. Within n such bytes of one row, bits 2p and 2p + 1 of byte j are column p·n + j of that block.
    /// Four masks therefore yield four runs of neighbouring columns without a shuffle.
    Compute,
    /// Two bits each, 00 = 0, 01 = −1, 10 = +1 (11 is illegal), row-major; each row starts on a byte. Column c of a
    /// row is in bits 2(c mod 4) of its byte c/4. For exchange with other programs.
    Interchange,
    /// Five trits a byte, row-major; each row starts on a byte. Byte j of a row is Σ (t + 1)·3^i over its columns
    /// 5j + i, so 0 to 242; 243 and above are illegal. 1.6 bits a weight, for storage.
    Storage,
}

impl TritLayout {
    /// Every layout.
    pub const ALL: [TritLayout; 4] =
        [TritLayout::Bytes, TritLayout::Compute, TritLayout::Interchange, TritLayout::Storage];
    /// Rows of a full group of the compute layout.
    pub const GROUP: usize = 4;
    /// Columns of a full block of the compute layout.
    pub const BLOCK: usize = 256;

    /// The name used in files and options.
    pub const fn name(self) -> &'static str {
        match self {
            TritLayout::Bytes => "bytes",
            TritLayout::Compute => "compute",
            TritLayout::Interchange => "interchange",
            TritLayout::Storage => "storage",
        }
    }

    /// Bytes of one row of `columns` trits.
    ///
    /// ```
    /// use axes::TritLayout;
    /// assert_eq!(TritLayout::Compute.row_bytes(1024), 256);
    /// assert_eq!(TritLayout::Storage.row_bytes(1024), 205);
    /// ```
    pub const fn row_bytes(self, columns: usize) -> usize {
        match self {
            TritLayout::Bytes => columns,
            TritLayout::Compute | TritLayout::Interchange => columns.div_ceil(4),
            TritLayout::Storage => columns.div_ceil(5),
        }
    }

    /// Bytes of a matrix of `rows` × `columns`, or `None` where the number does not fit a `usize`.
    pub const fn bytes(self, rows: usize, columns: usize) -> Option<usize> {
        rows.checked_mul(self.row_bytes(columns))
    }
}

impl fmt::Display for TritLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for TritLayout {
    type Err = AxesError;

    fn from_str(name: &str) -> Result<Self, AxesError> {
        Self::ALL
            .into_iter()
            .find(|layout| layout.name() == name)
            .ok_or_else(|| AxesError::UnknownLayout { found: name.to_owned() })
    }
}
