//! The named formats in which a row of numbers lies in blocks that carry their own scales. This page is their
//! specification; the codecs are in `barewire`, the products in `engine`.
//!
//! A matrix is out-major, (rows M, columns K), K a multiple of the format's block; a row is its blocks one after the
//! other, a matrix its rows. Numbers are little-endian. The formats and their names are those of GGUF files, so a
//! matrix is used where it lies in one.

use std::fmt;
use std::str::FromStr;

use crate::error::AxesError;

/// How a row of numbers lies in blocks. `d` and `m` are f16 scales of a block; `q` are its integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlockFormat {
    /// One number of two bytes, IEEE binary16.
    F16,
    /// One number of two bytes, the upper half of an f32.
    Bf16,
    /// 32 numbers d·q: d, then 32 × i8.
    Q8_0,
    /// 32 numbers d·(q − 8): d, then 16 bytes; byte j has q of number j in its low half, of j + 16 in its high half.
    Q4_0,
    /// 256 numbers in 8 groups of 32, d·s·q − m·z: d, m, 12 bytes of six-bit s and z of each group, 128 bytes of q.
    ///
    /// Of the 12 bytes, byte g < 4 has s of group g, byte 4 + g its z, in their low six bits; of group 4 + g, byte 8 + g
    /// has the low four bits of s (low half) and of z (high half), the two high bits of byte g and byte 4 + g the rest.
    /// Bytes 32 p + j of the q have number 64 p + j (low half) and 64 p + 32 + j (high half).
    Q4K,
    /// 256 numbers in 16 groups of 16, d·s·(q − 32): 128 bytes of the low four bits of q, 64 bytes of its two high bits,
    /// 16 × i8 of s, d.
    ///
    /// Of each half of 128 numbers, h: low bits of number 128 h + 32 p + j are in byte 64 h + 32 (p mod 2) + j, in the
    /// low half for p < 2 and in the high half for the others; high bits are in byte 32 h + j, bits 2p and 2p + 1.
    Q6K,
    /// 128 numbers ±d: d, then 16 bytes; bit j mod 8 of byte j / 8 says whether number j is +d.
    Q1_0,
    /// 64 numbers d·(q − 1): d, then 16 bytes; bits 2(j mod 4) and up of byte j / 4 have q of number j. q may be 3.
    Q2_0,
    /// 256 numbers d·(q − 1), q below 3: 48 bytes of five and 4 bytes of four base-3 digits, d.
    ///
    /// A byte b stands for the fraction b/256, its digits come from the top: the first is ⌊3b/256⌋, the next that of
    /// 3b mod 256. Digit n of byte j is number 32 n + j (j < 32), 160 + 16 n + (j − 32) (j < 48), 240 + 4 n + (j − 48).
    Tq1_0,
    /// 256 numbers d·(q − 1): 64 bytes, d. Bits 2p and up of byte 32 h + j have q of number 128 h + 32 p + j.
    Tq2_0,
}

impl BlockFormat {
    /// Every format.
    pub const ALL: [BlockFormat; 10] = [
        BlockFormat::F16,
        BlockFormat::Bf16,
        BlockFormat::Q8_0,
        BlockFormat::Q4_0,
        BlockFormat::Q4K,
        BlockFormat::Q6K,
        BlockFormat::Q1_0,
        BlockFormat::Q2_0,
        BlockFormat::Tq1_0,
        BlockFormat::Tq2_0,
    ];

    /// The name used in files and options.
    pub const fn name(self) -> &'static str {
        match self {
            BlockFormat::F16 => "f16",
            BlockFormat::Bf16 => "bf16",
            BlockFormat::Q8_0 => "q8_0",
            BlockFormat::Q4_0 => "q4_0",
            BlockFormat::Q4K => "q4_k",
            BlockFormat::Q6K => "q6_k",
            BlockFormat::Q1_0 => "q1_0",
            BlockFormat::Q2_0 => "q2_0",
            BlockFormat::Tq1_0 => "tq1_0",
            BlockFormat::Tq2_0 => "tq2_0",
        }
    }

    /// Numbers of one block.
    pub const fn block(self) -> usize {
        match self {
            BlockFormat::F16 | BlockFormat::Bf16 => 1,
            BlockFormat::Q8_0 | BlockFormat::Q4_0 => 32,
            BlockFormat::Q2_0 => 64,
            BlockFormat::Q1_0 => 128,
            BlockFormat::Q4K | BlockFormat::Q6K | BlockFormat::Tq1_0 | BlockFormat::Tq2_0 => 256,
        }
    }

    /// Bytes of one block.
    pub const fn block_bytes(self) -> usize {
        match self {
            BlockFormat::F16 | BlockFormat::Bf16 => 2,
            BlockFormat::Q8_0 => 34,
            BlockFormat::Q4_0 | BlockFormat::Q1_0 | BlockFormat::Q2_0 => 18,
            BlockFormat::Q4K => 144,
            BlockFormat::Q6K => 210,
            BlockFormat::Tq1_0 => 54,
            BlockFormat::Tq2_0 => 66,
        }
    }

    /// Bytes of a row of `columns` numbers, or `None` where they are not whole blocks or the number does not fit.
    ///
    /// ```
    /// use axes::BlockFormat;
    /// assert_eq!(BlockFormat::Q6K.row_bytes(2560), Some(2100));
    /// assert_eq!(BlockFormat::Q6K.row_bytes(2561), None);
    /// ```
    pub const fn row_bytes(self, columns: usize) -> Option<usize> {
        match columns.is_multiple_of(self.block()) {
            true => (columns / self.block()).checked_mul(self.block_bytes()),
            false => None,
        }
    }

    /// Bytes of a matrix of `rows` × `columns`, or `None` as for [`BlockFormat::row_bytes`].
    pub const fn bytes(self, rows: usize, columns: usize) -> Option<usize> {
        match self.row_bytes(columns) {
            Some(row) => rows.checked_mul(row),
            None => None,
        }
    }
}

impl fmt::Display for BlockFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for BlockFormat {
    type Err = AxesError;

    fn from_str(name: &str) -> Result<Self, AxesError> {
        let lower = name.to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|format| format.name() == lower)
            .ok_or_else(|| AxesError::UnknownFormat { found: name.to_owned() })
    }
}
