//! Named elementwise functions, written once for every [`Algebra`].
//!
//! Functions that have no meaning for a quantity with a unit (exp, tanh, …) exist for unitless tensors only.

use crate::axis::Axes;
use crate::storage::{Algebra, Binary, Unary};
use crate::tensor::Tensor;
use crate::unit::{Unit, UnitMul, UnitProduct, Unitless};

impl<A: Axes, T, U: Unit, S: Algebra> Tensor<A, T, U, S> {
    #[track_caller]
    #[inline]
    fn unary<V>(&self, op: Unary) -> Tensor<A, T, V, S> {
        Tensor::from_storage_unchecked(self.storage().unary(op))
    }

    /// |x|.
    #[track_caller]
    pub fn abs(&self) -> Self {
        self.unary(Unary::Abs)
    }

    /// max(x, 0).
    #[track_caller]
    pub fn relu(&self) -> Self {
        self.unary(Unary::Relu)
    }

    /// −1, 0 or +1; 0 at 0.
    #[track_caller]
    pub fn sign(&self) -> Tensor<A, T, Unitless, S> {
        self.unary(Unary::Sign)
    }

    /// x².
    #[track_caller]
    pub fn square(&self) -> Tensor<A, T, UnitProduct<U, U>, S>
    where
        U: UnitMul<U>,
    {
        self.unary(Unary::Square)
    }

    /// The greater of each pair.
    ///
    /// # Panics
    /// If run-time sizes differ, as the operators do.
    #[track_caller]
    pub fn maximum(&self, other: &Self) -> Self {
        self.combine(Binary::Max, other)
    }

    /// The lesser of each pair.
    ///
    /// # Panics
    /// If run-time sizes differ, as the operators do.
    #[track_caller]
    pub fn minimum(&self, other: &Self) -> Self {
        self.combine(Binary::Min, other)
    }
}

macro_rules! unitless {
    ($($(#[$attribute:meta])* $name:ident $op:ident;)*) => {
        impl<A: Axes, T, S: Algebra> Tensor<A, T, Unitless, S> {
            $(
                $(#[$attribute])*
                #[track_caller]
                pub fn $name(&self) -> Self {
                    self.unary(Unary::$op)
                }
            )*

            /// x · `scale` + `offset`; both numbers are rounded to the element type first.
            #[track_caller]
            pub fn affine(&self, scale: f64, offset: f64) -> Self {
                Tensor::from_storage_unchecked(self.storage().affine(scale, offset))
            }
        }
    };
}

unitless! {
    /// eˣ.
    exp Exp;
    /// Natural logarithm.
    log Log;
    /// √x.
    sqrt Sqrt;
    /// 1/√x.
    rsqrt Rsqrt;
    /// Hyperbolic tangent.
    tanh Tanh;
    /// 1/(1 + e⁻ˣ).
    sigmoid Sigmoid;
    /// x · sigmoid(x), also called swish.
    silu Silu;
    /// 1/x.
    reciprocal Reciprocal;
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::axes! { In = 3; }

    #[test]
    fn functions_are_those_of_the_scalar() {
        let values = [-1.5f64, 0.25, 2.0];
        let x = Tensor::<(In,), f64>::vector(values.to_vec()).unwrap();
        let p = x.abs();
        let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
        let check = |y: Tensor<(In,), f64>, f: &dyn Fn(f64) -> f64| {
            assert_eq!(y.into_vec(), values.map(f));
        };
        check(x.exp(), &f64::exp);
        check(x.tanh(), &f64::tanh);
        check(x.sigmoid(), &sigmoid);
        check(x.silu(), &|v| v * sigmoid(v));
        check(x.relu(), &|v| v.max(0.0));
        check(x.sign(), &f64::signum);
        check(x.square(), &|v| v * v);
        check(x.reciprocal(), &|v| 1.0 / v);
        check(p.log(), &|v| v.abs().ln());
        check(p.sqrt(), &|v| v.abs().sqrt());
        check(p.rsqrt(), &|v| 1.0 / v.abs().sqrt());
        check(x.affine(2.0, 1.0), &|v| 2.0 * v + 1.0);
        check(x.maximum(&-&x), &f64::abs);
        check(x.minimum(&-&x), &|v| -v.abs());
    }
}
