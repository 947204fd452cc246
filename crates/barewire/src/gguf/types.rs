//! The element types of tensors in GGUF files, by number: name, numbers and bytes of a block.
//!
//! All that any version of ggml has written into files are known here, so that an error can name one that has no code. Those
//! with a [`BlockFormat`] are specified there; I2_S is specified here.

use std::fmt;

use axes::BlockFormat;

/// An element type, by its number in the file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GgmlType(u32);

/// Numbers and bytes of a block, or why there are none.
#[derive(Clone, Copy)]
enum Size {
    Block(u64, u64),
    /// Two bits a number, and 32 bytes at the end.
    Planes,
    /// The type was taken back; files that have it are written for one machine.
    Gone,
}

use Size::{Block, Gone, Planes};

/// Number, name, size.
const TYPES: &[(u32, &str, Size)] = &[
    (0, "F32", Block(1, 4)),
    (1, "F16", Block(1, 2)),
    (2, "Q4_0", Block(32, 18)),
    (3, "Q4_1", Block(32, 20)),
    (4, "Q4_2", Gone),
    (5, "Q4_3", Gone),
    (6, "Q5_0", Block(32, 22)),
    (7, "Q5_1", Block(32, 24)),
    (8, "Q8_0", Block(32, 34)),
    (9, "Q8_1", Block(32, 36)),
    (10, "Q2_K", Block(256, 84)),
    (11, "Q3_K", Block(256, 110)),
    (12, "Q4_K", Block(256, 144)),
    (13, "Q5_K", Block(256, 176)),
    (14, "Q6_K", Block(256, 210)),
    (15, "Q8_K", Block(256, 292)),
    (16, "IQ2_XXS", Block(256, 66)),
    (17, "IQ2_XS", Block(256, 74)),
    (18, "IQ3_XXS", Block(256, 98)),
    (19, "IQ1_S", Block(256, 50)),
    (20, "IQ4_NL", Block(32, 18)),
    (21, "IQ3_S", Block(256, 110)),
    (22, "IQ2_S", Block(256, 82)),
    (23, "IQ4_XS", Block(256, 136)),
    (24, "I8", Block(1, 1)),
    (25, "I16", Block(1, 2)),
    (26, "I32", Block(1, 4)),
    (27, "I64", Block(1, 8)),
    (28, "F64", Block(1, 8)),
    (29, "IQ1_M", Block(256, 56)),
    (30, "BF16", Block(1, 2)),
    (31, "Q4_0_4_4", Gone),
    (32, "Q4_0_4_8", Gone),
    (33, "Q4_0_8_8", Gone),
    (34, "TQ1_0", Block(256, 54)),
    (35, "TQ2_0", Block(256, 66)),
    (36, "I2_S", Planes),
    (37, "I8_S", Gone),
    (38, "TL1", Gone),
    (39, "MXFP4", Block(32, 17)),
    (40, "NVFP4", Block(64, 36)),
    (41, "Q1_0", Block(128, 18)),
    (42, "Q2_0", Block(64, 18)),
];

/// Types with a [`BlockFormat`].
const FORMATS: &[(GgmlType, BlockFormat)] = &[
    (GgmlType::F16, BlockFormat::F16),
    (GgmlType::BF16, BlockFormat::Bf16),
    (GgmlType::Q8_0, BlockFormat::Q8_0),
    (GgmlType::Q4_0, BlockFormat::Q4_0),
    (GgmlType::Q4_K, BlockFormat::Q4K),
    (GgmlType::Q6_K, BlockFormat::Q6K),
    (GgmlType::Q1_0, BlockFormat::Q1_0),
    (GgmlType::Q2_0, BlockFormat::Q2_0),
    (GgmlType::TQ1_0, BlockFormat::Tq1_0),
    (GgmlType::TQ2_0, BlockFormat::Tq2_0),
];

/// Weights of one I2_S block: each of its 32 bytes has one of each plane.
pub const I2_S_BLOCK: usize = 128;
/// Bytes behind the codes of an I2_S tensor: the scale and zeros.
pub const I2_S_TAIL: usize = 32;

#[allow(missing_docs)]
impl GgmlType {
    pub const F32: Self = Self(0);
    pub const F16: Self = Self(1);
    pub const Q4_0: Self = Self(2);
    pub const Q8_0: Self = Self(8);
    pub const Q4_K: Self = Self(12);
    pub const Q6_K: Self = Self(14);
    pub const F64: Self = Self(28);
    pub const BF16: Self = Self(30);
    pub const TQ1_0: Self = Self(34);
    pub const TQ2_0: Self = Self(35);
    pub const Q1_0: Self = Self(41);
    pub const Q2_0: Self = Self(42);
}

impl GgmlType {
    /// Ternary weights of Microsoft's BitNet (Wang et al. 2024, arXiv:2410.16144) with one scale for the tensor.
    ///
    /// A tensor of n weights, n a multiple of 128, row after row, is n/4 bytes of codes c, then the scale d (f32), then 28
    /// bytes of zeros; a weight is d·(c − 1), c below 3. Of each 128 weights, number 32 p + j has its code in byte j of
    /// their 32 bytes, in bits 6 − 2p and 7 − 2p: four planes, the first in the highest bits. Rows need not be whole
    /// blocks, only the tensor has to be.
    ///
    /// Builds of that program without `ACT_PARALLEL` quantise to an order of their own under the same number (byte (r, k)
    /// has the codes of rows 4r … 4r + 3 in column k). The files that are published, and its converter's, have the planes.
    pub const I2_S: Self = Self(36);

    /// The type of that number, if any file can have it.
    pub fn new(number: u32) -> Option<Self> {
        row(number).map(|_| Self(number))
    }

    /// The type of that name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        TYPES.iter().find(|(_, known, _)| known.eq_ignore_ascii_case(name)).map(|(number, ..)| Self(*number))
    }

    /// The type of tensors in a block format.
    pub fn of(format: BlockFormat) -> Self {
        FORMATS.iter().find(|(_, known)| *known == format).map_or(Self::F16, |(kind, _)| *kind)
    }

    /// The number in the file.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The name as ggml spells it.
    pub fn name(self) -> &'static str {
        row(self.0).map_or("?", |(_, name, _)| *name)
    }

    /// The block format, where its codecs exist.
    pub fn format(self) -> Option<BlockFormat> {
        FORMATS.iter().find(|(kind, _)| *kind == self).map(|(_, format)| *format)
    }

    /// Whether every weight is −1, 0 or +1 times a scale, by the type itself or by what is usually put into it.
    pub fn is_ternary(self) -> bool {
        [Self::TQ1_0, Self::TQ2_0, Self::Q2_0, Self::I2_S].contains(&self)
    }

    /// Bytes of a tensor of these sizes, outermost first; `None` where rows are not whole blocks, where a size is 0 or the
    /// product is too large, and for types that were taken back.
    ///
    /// ```
    /// use barewire::gguf::GgmlType;
    /// assert_eq!(GgmlType::TQ2_0.bytes(&[3, 512]), Some(3 * 2 * 66));
    /// assert_eq!(GgmlType::I2_S.bytes(&[4, 128]), Some(128 + 32));
    /// assert_eq!(GgmlType::TQ2_0.bytes(&[3, 500]), None);
    /// ```
    pub fn bytes(self, shape: &[usize]) -> Option<u64> {
        let (_, _, size) = row(self.0)?;
        if shape.contains(&0) {
            return None;
        }
        let count = shape.iter().try_fold(1u64, |n, size| n.checked_mul(*size as u64))?;
        match *size {
            Block(block, bytes) => {
                let columns = shape.last().copied().unwrap_or(1) as u64;
                columns.is_multiple_of(block).then(|| (count / block).checked_mul(bytes))?
            }
            Planes if count.is_multiple_of(I2_S_BLOCK as u64) => (count / 4).checked_add(I2_S_TAIL as u64),
            Planes | Gone => None,
        }
    }

    /// Why a tensor of these sizes has no bytes.
    pub(super) fn refusal(self, shape: &[usize]) -> String {
        match row(self.0).map(|(_, _, size)| *size) {
            _ if shape.contains(&0) => "sizes of at least 1".into(),
            Some(Block(block, _)) if !shape.last().is_some_and(|n| (*n as u64).is_multiple_of(block)) => {
                format!("rows of whole blocks of {block} numbers, as {self} has them")
            }
            Some(Planes) => format!("a multiple of {I2_S_BLOCK} weights, as {self} has them"),
            Some(Gone) => format!("a type that is the same on every machine ({self} is not)"),
            _ => "fewer than 2^64 bytes".into(),
        }
    }
}

fn row(number: u32) -> Option<&'static (u32, &'static str, Size)> {
    TYPES.iter().find(|(known, ..)| *known == number)
}

impl fmt::Display for GgmlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for GgmlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_types_have_the_same_sizes_and_names() {
        for format in BlockFormat::ALL {
            let kind = GgmlType::of(format);
            assert_eq!(kind.format(), Some(format));
            assert_eq!(GgmlType::named(format.name()), Some(kind));
            let shape = [3, 2 * format.block()];
            assert_eq!(kind.bytes(&shape), format.bytes(3, shape[1]).map(|n| n as u64), "{kind}");
        }
    }

    #[test]
    fn numbers_are_given_once() {
        for (at, (number, name, _)) in TYPES.iter().enumerate() {
            assert!(TYPES[at + 1..].iter().all(|(n, other, _)| n != number && other != name), "{name}");
            assert_eq!(GgmlType::new(*number).map(GgmlType::name), Some(*name));
        }
        assert_eq!(GgmlType::new(43), None);
        assert_eq!(GgmlType::F32.bytes(&[usize::MAX, usize::MAX]), None);
        assert_eq!(GgmlType::F32.bytes(&[]), Some(4));
    }
}
