//! The typed layer over traced values: named axes that the compiler checks, on handles that build the graph.
//!
//! `axes` writes the operators once for every storage; this file makes [`Var`] such a storage and adds what only
//! traced tensors have. The wrapper is one handle, and every call goes straight to the untyped one.
//!
//! ```
//! use axes::axes;
//! use graph::{Cx, typed::{self, Traced}};
//! axes! { Batch; In = 3; Out = 2; }
//! let cx = Cx::abstract_();
//! let x: Traced<(Batch, In)> = typed::input(&cx, "x", &["B".into(), 3.into()]);
//! let w: Traced<(Out, In)> = typed::input(&cx, "w", &[2.into(), 3.into()]);
//! let y: Traced<(Batch, Out)> = x.linear(&w).sigmoid();
//! let g = cx.finish(&[("y", y.storage())])?;
//! assert_eq!(g.ty(g.outputs[0].value).to_string(), "f32[B,2]");
//! # Ok::<(), graph::GraphError>(())
//! ```

use crate::cx::Cx;
use crate::dim::Dim;
use crate::types::Type;
use crate::var::Var;
use axes::storage::{Algebra, Binary, Reduce, Storage, Unary};
use axes::{Axes, Axis, Element, Last, Tensor, Unitless};

/// A traced tensor with these axes.
pub type Traced<A, T = f32> = Tensor<A, T, Unitless, Var>;

impl Storage for Var {}

impl Algebra for Var {
    #[track_caller]
    fn unary(&self, op: Unary) -> Var {
        match op {
            Unary::Neg => -self,
            Unary::Exp => self.exp(),
            Unary::Log => self.log(),
            Unary::Sqrt => self.sqrt(),
            Unary::Rsqrt => self.rsqrt(),
            Unary::Tanh => self.tanh(),
            Unary::Sigmoid => self.sigmoid(),
            Unary::Silu => self.silu(),
            Unary::Relu => self.relu(),
            Unary::Abs => self.abs(),
            Unary::Sign => self.sign(),
            Unary::Square => self.square(),
            Unary::Reciprocal => self.reciprocal(),
        }
    }

    #[track_caller]
    fn binary(&self, op: Binary, other: &Var) -> Var {
        match op {
            Binary::Add => self + other,
            Binary::Sub => self - other,
            Binary::Mul => self * other,
            Binary::Div => self / other,
            Binary::Max => self.max(other),
            Binary::Min => self.min(other),
        }
    }

    #[track_caller]
    fn affine(&self, scale: f64, offset: f64) -> Var {
        let scaled = match scale {
            1.0 => self.clone(),
            -1.0 if offset != 0.0 => return offset - self,
            -1.0 => -self,
            k => self * k,
        };
        if offset == 0.0 { scaled } else { scaled + offset }
    }

    #[track_caller]
    fn contract(&self, axis: usize, other: &Var, other_axis: usize) -> Var {
        self.dot_general(other, (&[axis], &[other_axis]), (&[], &[]))
    }

    #[track_caller]
    fn reduce(&self, axis: usize, op: Reduce) -> Var {
        match op {
            Reduce::Sum => self.sum(&[axis]),
            Reduce::Max => self.max_over(&[axis]),
            Reduce::Min => self.min_over(&[axis]),
            Reduce::Mean => {
                let n = self.shape().get(axis).cloned().unwrap_or(Dim::from(1));
                self.sum(&[axis]) / self.cx().size_of(&n, self.dtype())
            }
        }
    }

    #[track_caller]
    fn permute(&self, perm: &[usize]) -> Var {
        self.transpose(perm)
    }

    #[track_caller]
    fn broadcast(&self, like: &Var, map: &[usize]) -> Var {
        Var::broadcast(self, &like.shape(), map)
    }
}

/// Puts axes on a handle. The caller answers for the shape: a wrong one is reported by the first op that sees it.
pub fn typed<A: Axes, T>(v: Var) -> Traced<A, T> {
    Tensor::from_storage_unchecked(v)
}

/// An input with these axes; an axis with a declared size must have it.
#[track_caller]
pub fn input<A: Axes, T: Element>(cx: &Cx, name: &str, dims: &[Dim]) -> Traced<A, T> {
    let ty = Type { dtype: T::DTYPE, shape: dims.to_vec() };
    let declared = A::sizes();
    let names = A::names();
    let wrong = names.len() != dims.len()
        || declared.iter().zip(dims).any(|(d, n)| matches!((d, n.fixed()), (Some(d), Some(n)) if *d != n));
    if wrong {
        cx.fail(crate::GraphError::Input {
            name: name.to_string(),
            expected: format!("axes {names:?} with sizes {declared:?}"),
            found: ty.to_string(),
        });
    }
    typed(cx.input(name, ty))
}

/// What traced tensors have beyond the algebra.
pub trait TracedExt<A: Axes> {
    /// The untyped handle.
    fn var(&self) -> &Var;

    /// Names this value for inspection; see [`Cx::tap`].
    fn tap(&self, name: &str);

    /// x · rstd · weight over the last axis; see [`crate::ops::norm::RmsNorm`].
    #[track_caller]
    fn rms_norm(&self, weight: &Traced<(A::Axis,)>, eps: f64) -> Traced<A>
    where
        A: Last,
    {
        typed(self.var().rms_norm(weight.storage(), eps))
    }

    /// Int8 activations and a scale per row; see [`crate::ops::quantize::QuantizeActivations`].
    #[track_caller]
    fn quantize_activations(&self, rounding: &str) -> (Traced<A, i8>, Traced<A::Rest>)
    where
        A: Last,
    {
        let (q, s) = self.var().quantize_activations(rounding);
        (typed(q), typed(s))
    }

    /// The two halves of the last axis, each with the axis `X`.
    #[track_caller]
    fn halves<X: Axis>(&self) -> (Traced<A::Replace<X>>, Traced<A::Replace<X>>)
    where
        A: Last,
    {
        let v = self.var();
        let last = v.ty().rank().saturating_sub(1);
        let n = v.shape().last().and_then(Dim::fixed).unwrap_or(0);
        (typed(v.slice_axis(last, 0, n / 2)), typed(v.slice_axis(last, n / 2, n)))
    }

    /// The value of `self`, every derivative of `stand_in`.
    #[track_caller]
    fn surrogate(&self, stand_in: &Self) -> Traced<A> {
        typed(self.var().surrogate(stand_in.var()))
    }
}

impl<A: Axes, T> TracedExt<A> for Traced<A, T> {
    fn var(&self) -> &Var {
        self.storage()
    }

    fn tap(&self, name: &str) {
        self.storage().cx().tap(name, self.storage());
    }
}

/// h_t = f_t h_{t-1} + x_t over the sequence axis, from the state h0; see [`crate::ops::linear_scan::LinearScan`].
#[track_caller]
pub fn linear_scan<B: Axis, T: Axis, D: Axis>(
    f: &Traced<(B, T, D)>,
    x: &Traced<(B, T, D)>,
    h0: &Traced<(B, D)>,
) -> Traced<(B, T, D)> {
    typed(f.storage().linear_scan(x.storage(), h0.storage(), false))
}

/// Rows of a table at integer indices: the indices' axes, then the rows' axis.
#[track_caller]
pub fn embedding<R, V: Axis, D: Axis>(table: &Traced<(V, D)>, ids: &Traced<R::Rest, i64>) -> Traced<R>
where
    R: Last<Axis = D>,
{
    typed(table.storage().gather(ids.storage()))
}
