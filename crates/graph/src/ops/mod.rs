//! The ops, one family per file. See [`crate::op`] for what a row is.

pub mod activation;
pub mod along;
pub mod attention;
pub mod binary;
pub mod blocks;
pub mod control;
pub mod convolution;
pub mod dot;
pub mod eigen;
pub mod fourier;
pub mod index;
pub mod linalg;
pub mod linear_attention;
pub mod linear_scan;
pub mod logic;
pub mod long_convolution;
pub mod loss;
pub mod mlstm;
pub mod norm;
pub mod pointwise;
pub mod quantize;
pub mod reduce;
pub mod selective_scan;
pub(crate) mod series;
pub mod shape;
pub mod slice;
pub mod slstm;
pub mod source;
pub mod special;
pub mod ssd;
pub(crate) mod taylor;
pub mod transcendental;
pub mod windows;

use crate::array::{Array, Data};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;
use std::sync::Arc;

/// Fails unless there are `n` operands.
pub(crate) fn arity(inputs: &[Type], n: usize) -> Result<(), String> {
    if inputs.len() == n { Ok(()) } else { Err(format!("takes {n} operands, got {}", inputs.len())) }
}

/// Fails unless operand `i` is floating.
pub(crate) fn float(inputs: &[Type], i: usize) -> Result<(), String> {
    match inputs[i].dtype.is_float() {
        true => Ok(()),
        false => Err(format!("operand {i} must be a floating type, found {}", inputs[i])),
    }
}

/// Fails unless both operands have one type.
pub(crate) fn same(a: &Type, b: &Type) -> Result<(), String> {
    if a == b {
        return Ok(());
    }
    let what = if a.dtype != b.dtype { "dtypes" } else { "shapes" };
    Err(format!("the operands' {what} differ: {a} and {b}"))
}

/// Elementwise function of one array.
pub(crate) fn map<S: Scalar>(a: &Array<S>, f: impl Fn(&S) -> S, g: impl Fn(i64) -> i64) -> Array<S> {
    let data = match &a.data {
        Data::Float(v) => Data::Float(Arc::new(v.iter().map(f).collect())),
        Data::Int(v) => Data::Int(Arc::new(v.iter().map(|x| g(*x)).collect())),
    };
    Array { dtype: a.dtype, shape: a.shape.clone(), data }
}

/// Elementwise function of two arrays of one type.
pub(crate) fn map2<S: Scalar>(
    a: &Array<S>,
    b: &Array<S>,
    f: impl Fn(&S, &S) -> S,
    g: impl Fn(i64, i64) -> i64,
) -> Array<S> {
    let data = match (&a.data, &b.data) {
        (Data::Float(x), Data::Float(y)) => {
            Data::Float(Arc::new(x.iter().zip(y.iter()).map(|(x, y)| f(x, y)).collect()))
        }
        (x, y) => {
            let ints = |d: &Data<S>| match d {
                Data::Int(v) => v.clone(),
                Data::Float(v) => Arc::new(v.iter().map(|s| s.to_f64() as i64).collect()),
            };
            Data::Int(Arc::new(ints(x).iter().zip(ints(y).iter()).map(|(x, y)| g(*x, *y)).collect()))
        }
    };
    Array { dtype: a.dtype, shape: a.shape.clone(), data }
}

/// The sum of two tangents.
pub(crate) fn plus(a: Option<Var>, b: Option<Var>) -> Option<Var> {
    match (a, b) {
        (Some(a), Some(b)) => Some(&a + &b),
        (a, b) => a.or(b),
    }
}

/// The operand of a batch: itself when it has the batch's axis in front, else repeated along one.
pub(crate) fn spread(x: &Var, mapped: bool, size: &crate::Dim) -> Var {
    if mapped {
        return x.clone();
    }
    let (rank, dims) = (x.ty().rank(), shape::in_front(size, x.shape()));
    x.broadcast(&dims, &(1..=rank).collect::<Vec<_>>())
}

/// The value with axis `from` moved to `to`, the others in order.
pub(crate) fn move_axis(x: &Var, from: usize, to: usize) -> Var {
    let mut perm: Vec<usize> = (0..x.ty().rank()).filter(|a| *a != from).collect();
    perm.insert(to, from);
    x.transpose(&perm)
}

/// Wraps integers into the range of a dtype, as the hardware would.
pub(crate) fn wrap(dtype: axes::DType, x: i64) -> i64 {
    match dtype {
        axes::DType::I8 => x as i8 as i64,
        axes::DType::U8 => x as u8 as i64,
        axes::DType::I32 => x as i32 as i64,
        _ => x,
    }
}
