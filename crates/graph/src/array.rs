//! Values of the naive evaluation: dense row-major arrays.

use crate::dim::Bindings;
use crate::error::{GraphError, Result};
use crate::scalar::Scalar;
use crate::types::Type;
use axes::DType;
use std::sync::Arc;

/// The elements: floats in the scalar of the evaluation, everything else (integers, booleans, trits) as i64.
#[derive(Clone, Debug, PartialEq)]
pub enum Data<S> {
    /// Elements of a floating dtype.
    Float(Arc<Vec<S>>),
    /// Elements of an integer dtype, of `bool` (0, 1) or of trits (-1, 0, 1).
    Int(Arc<Vec<i64>>),
}

/// A dense array.
#[derive(Clone, Debug, PartialEq)]
pub struct Array<S> {
    /// The element type that the graph states.
    pub dtype: DType,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: Data<S>,
}

impl<S: Scalar> Array<S> {
    /// Floats of the given dtype.
    pub fn float(dtype: DType, shape: impl Into<Vec<usize>>, data: Vec<S>) -> Array<S> {
        let shape = shape.into();
        debug_assert_eq!(shape.iter().product::<usize>(), data.len());
        Array { dtype, shape, data: Data::Float(Arc::new(data)) }
    }

    /// Integers, booleans or trits.
    pub fn int(dtype: DType, shape: impl Into<Vec<usize>>, data: Vec<i64>) -> Array<S> {
        let shape = shape.into();
        debug_assert_eq!(shape.iter().product::<usize>(), data.len());
        Array { dtype, shape, data: Data::Int(Arc::new(data)) }
    }

    /// From doubles, converted as the dtype says.
    pub fn from_f64(dtype: DType, shape: impl Into<Vec<usize>>, data: &[f64]) -> Array<S> {
        if dtype.is_float() {
            Array::float(dtype, shape, data.iter().map(|x| S::from_f64(*x)).collect())
        } else {
            Array::int(dtype, shape, data.iter().map(|x| *x as i64).collect())
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The floats; an empty slice for integer data.
    pub fn floats(&self) -> &[S] {
        match &self.data {
            Data::Float(v) => v,
            Data::Int(_) => &[],
        }
    }

    /// The integers; an empty slice for float data.
    pub fn ints(&self) -> &[i64] {
        match &self.data {
            Data::Int(v) => v,
            Data::Float(_) => &[],
        }
    }

    /// Every element as a double.
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            Data::Float(v) => v.iter().map(S::to_f64).collect(),
            Data::Int(v) => v.iter().map(|x| *x as f64).collect(),
        }
    }

    /// The same elements with other sizes.
    pub fn reshaped(&self, shape: Vec<usize>) -> Array<S> {
        Array { dtype: self.dtype, shape, data: self.data.clone() }
    }

    /// A new array whose element `i` is this one's element `source(i)`, or `fill` where there is none.
    pub fn pick(&self, shape: Vec<usize>, fill: f64, source: impl Fn(usize) -> Option<usize>) -> Array<S> {
        let n: usize = shape.iter().product();
        let data = match &self.data {
            Data::Float(v) => Data::Float(Arc::new(
                (0..n).map(|i| source(i).map_or_else(|| S::from_f64(fill), |j| v[j].clone())).collect(),
            )),
            Data::Int(v) => {
                Data::Int(Arc::new((0..n).map(|i| source(i).map_or(fill as i64, |j| v[j])).collect()))
            }
        };
        Array { dtype: self.dtype, shape, data }
    }

    /// The type with fixed sizes.
    pub fn ty(&self) -> Type {
        Type::new(self.dtype, self.shape.iter().copied())
    }

    /// Checks this value against an input's type and binds the symbols that the type names.
    pub fn check(&self, name: &str, ty: &Type, bindings: &mut Bindings) -> Result<()> {
        let fail = || GraphError::Input {
            name: name.to_string(),
            expected: ty.to_string(),
            found: self.ty().to_string(),
        };
        if ty.dtype != self.dtype || ty.rank() != self.shape.len() {
            return Err(fail());
        }
        bind_shape(&ty.shape, &self.shape, bindings).then_some(()).ok_or_else(fail)
    }
}

/// Matches sizes with numbers; symbols that stand alone are bound by what they meet first. False when they differ.
pub fn bind_shape(shape: &[crate::Dim], sizes: &[usize], bindings: &mut Bindings) -> bool {
    for (dim, n) in shape.iter().zip(sizes) {
        let text = dim.to_string();
        if dim.fixed().is_none() && text.chars().all(|c| c.is_alphanumeric() || c == '_') {
            bindings.entry(text).or_insert(*n);
        }
        if dim.bind(bindings).is_ok_and(|m| m != *n) {
            return false;
        }
    }
    true
}

/// Row-major strides.
pub fn strides(shape: &[usize]) -> Vec<usize> {
    let mut s = vec![1; shape.len()];
    for i in (0..shape.len().saturating_sub(1)).rev() {
        s[i] = s[i + 1] * shape[i + 1];
    }
    s
}

/// The index along each axis of linear position `i`.
pub fn unravel(mut i: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for k in (0..shape.len()).rev() {
        index[k] = i % shape[k];
        i /= shape[k];
    }
    index
}

/// The linear position of an index.
pub fn ravel(index: &[usize], shape: &[usize]) -> usize {
    index.iter().zip(shape).fold(0, |at, (i, n)| at * n + i)
}
