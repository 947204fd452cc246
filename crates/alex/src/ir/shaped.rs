//! Types with sizes: vectors, tensors and memrefs.

use super::element::Element;
use super::types::{AnyType, DYN, Shape, Type};

/// `vector<…>`: `R` sizes, all known.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Vector<E, const R: usize = 1> {
    /// The element type.
    pub elem: E,
    /// The sizes, outermost first.
    pub sizes: [i64; R],
}

impl<E, const R: usize> Vector<E, R> {
    /// `vector<sizes x elem>`.
    pub fn new(elem: E, sizes: [usize; R]) -> Self {
        Vector { elem, sizes: sizes.map(|n| n as i64) }
    }

    /// The number of elements.
    pub fn lanes(&self) -> usize {
        self.sizes.iter().product::<i64>().max(0) as usize
    }
}

/// `tensor<…>`, with sizes or [`DYN`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tensor<E, const R: usize> {
    /// The element type.
    pub elem: E,
    /// The sizes, outermost first.
    pub sizes: [i64; R],
}

impl<E, const R: usize> Tensor<E, R> {
    /// `tensor<sizes x elem>`.
    pub fn new(elem: E, sizes: [i64; R]) -> Self {
        Tensor { elem, sizes }
    }
}

/// How the elements of a memref lie.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Layout<const R: usize> {
    /// Row-major without gaps.
    Identity,
    /// `strided<[strides], offset: offset>`, in elements.
    Strided {
        /// The place of the first element.
        offset: i64,
        /// The distance of neighbours, axis by axis.
        strides: [i64; R],
    },
}

/// `memref<…>`, with sizes or [`DYN`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MemRef<E, const R: usize> {
    /// The element type.
    pub elem: E,
    /// The sizes, outermost first.
    pub sizes: [i64; R],
    /// How the elements lie.
    pub layout: Layout<R>,
    /// The memory space; 0 is the default one, 3 a GPU's shared memory.
    pub space: u32,
}

impl<E, const R: usize> MemRef<E, R> {
    /// `memref<sizes x elem>`, row-major.
    pub fn new(elem: E, sizes: [i64; R]) -> Self {
        MemRef { elem, sizes, layout: Layout::Identity, space: 0 }
    }

    /// The same with sizes that are all known only at run time.
    pub fn dynamic(elem: E) -> Self {
        MemRef::new(elem, [DYN; R])
    }

    /// The same with an offset and strides, in elements.
    #[must_use]
    pub fn strided(self, offset: i64, strides: [i64; R]) -> Self {
        MemRef { layout: Layout::Strided { offset, strides }, ..self }
    }

    /// The same in another memory space.
    #[must_use]
    pub fn in_space(self, space: u32) -> Self {
        MemRef { space, ..self }
    }

    /// Offset and strides, with [`DYN`] where they are not known.
    pub fn strides(&self) -> (i64, [i64; R]) {
        match self.layout {
            Layout::Strided { offset, strides } => (offset, strides),
            Layout::Identity => {
                let mut strides = [1; R];
                for k in (0..R.saturating_sub(1)).rev() {
                    strides[k] = times(strides[k + 1], self.sizes[k + 1]);
                }
                (0, strides)
            }
        }
    }

    /// The number of sizes that are [`DYN`].
    pub fn unknown(&self) -> usize {
        self.sizes.iter().filter(|&&d| d == DYN).count()
    }
}

/// A product where either may be unknown.
pub(crate) fn times(a: i64, b: i64) -> i64 {
    if a == DYN || b == DYN { DYN } else { a.checked_mul(b).unwrap_or(DYN) }
}

/// A sum where either may be unknown.
pub(crate) fn plus(a: i64, b: i64) -> i64 {
    if a == DYN || b == DYN { DYN } else { a.checked_add(b).unwrap_or(DYN) }
}

impl<E: Element, const R: usize> Type for Vector<E, R> {
    fn any(self) -> AnyType {
        AnyType::Vector(E::KIND, Shape::new(&self.sizes))
    }
    fn from_any(any: AnyType) -> Option<Self> {
        match any {
            AnyType::Vector(kind, shape) if kind == E::KIND => {
                Some(Vector { elem: E::default(), sizes: shape.array()? })
            }
            _ => None,
        }
    }
    fn describe() -> String {
        format!("vector of rank {R} of {}", E::KIND)
    }
}

impl<E: Element, const R: usize> Type for Tensor<E, R> {
    fn any(self) -> AnyType {
        AnyType::Tensor(E::KIND, Shape::new(&self.sizes))
    }
    fn from_any(any: AnyType) -> Option<Self> {
        match any {
            AnyType::Tensor(kind, shape) if kind == E::KIND => {
                Some(Tensor { elem: E::default(), sizes: shape.array()? })
            }
            _ => None,
        }
    }
    fn describe() -> String {
        format!("tensor of rank {R} of {}", E::KIND)
    }
}

impl<E: Element, const R: usize> Type for MemRef<E, R> {
    fn any(self) -> AnyType {
        let layout = match self.layout {
            Layout::Identity => None,
            Layout::Strided { offset, strides } => Some((offset, Shape::new(&strides))),
        };
        AnyType::MemRef(E::KIND, Shape::new(&self.sizes), layout, self.space)
    }
    fn from_any(any: AnyType) -> Option<Self> {
        match any {
            AnyType::MemRef(kind, shape, layout, space) if kind == E::KIND => {
                let layout = match layout {
                    None => Layout::Identity,
                    Some((offset, strides)) => Layout::Strided { offset, strides: strides.array()? },
                };
                Some(MemRef { elem: E::default(), sizes: shape.array()?, layout, space })
            }
            _ => None,
        }
    }
    fn describe() -> String {
        format!("memref of rank {R} of {}", E::KIND)
    }
}
