//! The types of MLIR that the emission API speaks of, as small `Copy` values.
//!
//! An element type is a unit struct (`F32`), a shaped type holds its sizes, so that a type is written the way MLIR prints
//! it: `MemRef::new(F32, [DYN, 16])` is `memref<?x16xf32>`. The element type and the rank are Rust types; sizes are
//! values, because kernels are emitted for sizes that are known when the plan is.

use std::fmt;
use std::hash::Hash;

/// A size that is known only when the code runs: `?`.
pub const DYN: i64 = i64::MIN;

/// The largest rank of a shaped type.
pub const MAX_RANK: usize = 8;

/// A type of MLIR as a Rust type, so that a value of it can be used only where it fits.
pub trait Type: Copy + PartialEq + fmt::Debug + 'static {
    /// The same type, told apart at run time.
    fn any(self) -> AnyType;
    /// The inverse of [`Type::any`].
    fn from_any(any: AnyType) -> Option<Self>;
    /// The name that messages use for the whole family, such as `vector of f32`.
    fn describe() -> String;
}

/// The element types, told apart at run time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Kind {
    /// IEEE binary16.
    F16,
    /// The upper half of an f32.
    BF16,
    /// IEEE binary32.
    F32,
    /// IEEE binary64.
    F64,
    /// The x87 extended format of 80 bits.
    F80,
    /// IEEE binary128.
    F128,
    /// Truth values.
    I1,
    /// Integers of 8 bits, without a sign of their own.
    I8,
    /// Integers of 16 bits.
    I16,
    /// Integers of 32 bits.
    I32,
    /// Integers of 64 bits.
    I64,
    /// Sizes and positions, as wide as a pointer.
    Index,
}

impl Kind {
    /// Whether this is a floating-point type.
    pub fn is_float(self) -> bool {
        matches!(self, Kind::F16 | Kind::BF16 | Kind::F32 | Kind::F64 | Kind::F80 | Kind::F128)
    }

    /// The width in bits; an index has 64.
    pub fn bits(self) -> u32 {
        match self {
            Kind::I1 => 1,
            Kind::I8 => 8,
            Kind::F16 | Kind::BF16 | Kind::I16 => 16,
            Kind::F32 | Kind::I32 => 32,
            Kind::F64 | Kind::I64 | Kind::Index => 64,
            Kind::F80 => 80,
            Kind::F128 => 128,
        }
    }

    /// The bytes that one element takes in a memref on 64-bit targets.
    pub fn bytes(self) -> usize {
        match self {
            Kind::I1 => 1,
            Kind::F80 => 16,
            other => other.bits() as usize / 8,
        }
    }

    /// MLIR's name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::F16 => "f16",
            Kind::BF16 => "bf16",
            Kind::F32 => "f32",
            Kind::F64 => "f64",
            Kind::F80 => "f80",
            Kind::F128 => "f128",
            Kind::I1 => "i1",
            Kind::I8 => "i8",
            Kind::I16 => "i16",
            Kind::I32 => "i32",
            Kind::I64 => "i64",
            Kind::Index => "index",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Sizes of a shaped type whose rank is known at run time; [`DYN`] stands for `?`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Shape {
    rank: u8,
    dims: [i64; MAX_RANK],
}

impl Shape {
    /// Takes the sizes; ranks above [`MAX_RANK`] are cut, which the builder never lets happen.
    pub fn new(sizes: &[i64]) -> Shape {
        let mut dims = [0; MAX_RANK];
        let rank = sizes.len().min(MAX_RANK);
        dims[..rank].copy_from_slice(&sizes[..rank]);
        Shape { rank: rank as u8, dims }
    }

    /// The sizes.
    pub fn sizes(&self) -> &[i64] {
        &self.dims[..usize::from(self.rank)]
    }

    /// The sizes as an array, where the rank is `R`.
    pub fn array<const R: usize>(&self) -> Option<[i64; R]> {
        self.sizes().try_into().ok()
    }
}

/// A type of MLIR, told apart at run time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AnyType {
    /// One element.
    Scalar(Kind),
    /// `vector<…>`, with its sizes.
    Vector(Kind, Shape),
    /// `memref<…>`: sizes, layout and memory space (0 is the default one).
    MemRef(Kind, Shape, Option<(i64, Shape)>, u32),
    /// `tensor<…>`, with its sizes.
    Tensor(Kind, Shape),
    /// `!llvm.ptr`.
    Ptr,
}

impl AnyType {
    /// The element type; a pointer has none.
    pub fn kind(self) -> Option<Kind> {
        match self {
            AnyType::Scalar(k) | AnyType::Vector(k, _) | AnyType::MemRef(k, ..) | AnyType::Tensor(k, _) => {
                Some(k)
            }
            AnyType::Ptr => None,
        }
    }

    /// The sizes of a shaped type; scalars have none.
    pub fn shape(self) -> Option<Shape> {
        match self {
            AnyType::Vector(_, s) | AnyType::MemRef(_, s, ..) | AnyType::Tensor(_, s) => Some(s),
            AnyType::Scalar(_) | AnyType::Ptr => None,
        }
    }
}

struct Size(i64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == DYN { f.write_str("?") } else { write!(f, "{}", self.0) }
    }
}

fn dims(f: &mut fmt::Formatter<'_>, shape: &Shape) -> fmt::Result {
    shape.sizes().iter().try_for_each(|&d| write!(f, "{}x", Size(d)))
}

impl fmt::Display for AnyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnyType::Scalar(kind) => write!(f, "{kind}"),
            AnyType::Ptr => f.write_str("!llvm.ptr"),
            AnyType::Vector(kind, shape) => {
                f.write_str("vector<")?;
                dims(f, shape)?;
                write!(f, "{kind}>")
            }
            AnyType::Tensor(kind, shape) => {
                f.write_str("tensor<")?;
                dims(f, shape)?;
                write!(f, "{kind}>")
            }
            AnyType::MemRef(kind, shape, layout, space) => {
                f.write_str("memref<")?;
                dims(f, shape)?;
                write!(f, "{kind}")?;
                if let Some((offset, strides)) = layout {
                    f.write_str(", strided<[")?;
                    for (k, &stride) in strides.sizes().iter().enumerate() {
                        write!(f, "{}{}", if k == 0 { "" } else { ", " }, Size(stride))?;
                    }
                    f.write_str("]")?;
                    if *offset != 0 {
                        write!(f, ", offset: {}", Size(*offset))?;
                    }
                    f.write_str(">")?;
                }
                if *space != 0 {
                    write!(f, ", {space}")?;
                }
                f.write_str(">")
            }
        }
    }
}

impl Type for AnyType {
    fn any(self) -> AnyType {
        self
    }
    fn from_any(any: AnyType) -> Option<Self> {
        Some(any)
    }
    fn describe() -> String {
        "any type".to_owned()
    }
}

/// `!llvm.ptr`: an address, as the C interface hands it over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Ptr;

impl Type for Ptr {
    fn any(self) -> AnyType {
        AnyType::Ptr
    }
    fn from_any(any: AnyType) -> Option<Self> {
        (any == AnyType::Ptr).then_some(Ptr)
    }
    fn describe() -> String {
        "!llvm.ptr".to_owned()
    }
}
