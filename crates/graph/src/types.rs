//! What a value of the graph is: a dtype and a shape.

use crate::dim::{Bindings, Dim};
use axes::DType;
use std::fmt;

/// Dtype and shape of a value, printed as `f32[B,T,128]`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Type {
    /// The element type.
    pub dtype: DType,
    /// Sizes, outermost first (row-major).
    pub shape: Vec<Dim>,
}

impl Type {
    /// A type from its parts.
    pub fn new(dtype: DType, shape: impl IntoIterator<Item = impl Into<Dim>>) -> Type {
        Type { dtype, shape: shape.into_iter().map(Into::into).collect() }
    }

    /// A rank-0 type.
    pub fn scalar(dtype: DType) -> Type {
        Type { dtype, shape: vec![] }
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The same shape with another dtype.
    pub fn with_dtype(&self, dtype: DType) -> Type {
        Type { dtype, shape: self.shape.clone() }
    }

    /// The sizes, when all of them are numbers.
    pub fn fixed_shape(&self) -> Option<Vec<usize>> {
        self.shape.iter().map(Dim::fixed).collect()
    }

    /// Number of elements, when the sizes are numbers (and their product is one).
    pub fn elements(&self) -> Option<usize> {
        // Asked for many times in each step of a plan: no list of the sizes is made.
        self.shape.iter().try_fold(1usize, |n, d| n.checked_mul(d.fixed()?))
    }

    /// The type with bound symbols replaced.
    pub fn substitute(&self, bindings: &Bindings) -> Type {
        Type { dtype: self.dtype, shape: self.shape.iter().map(|d| d.substitute(bindings)).collect() }
    }

    /// Reads the printed form.
    pub fn parse(text: &str) -> Option<Type> {
        let (dtype, rest) = text.trim().split_once('[')?;
        let dtype = DType::from_name(dtype)?;
        let inner = rest.strip_suffix(']')?;
        let shape =
            inner.split(',').filter(|s| !s.trim().is_empty()).map(Dim::parse).collect::<Option<_>>()?;
        Some(Type { dtype, shape })
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.shape.iter().map(|d| d.to_string()).collect();
        write!(f, "{}[{}]", self.dtype.name(), dims.join(","))
    }
}

impl fmt::Debug for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
