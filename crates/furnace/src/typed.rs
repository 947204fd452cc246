//! The operators on typed closures: axes and units of derivatives are computed by the compiler.
//!
//! The derivative of a value in unit `U` by one in unit `V` has unit `U / V`, which must be a named unit (see
//! `axes::units!`); the gradient of a number has the axes of what it is taken by, a Jacobian those of the result and then
//! those of the operand. Nothing of this exists at run time: each function is the untyped one behind a relabelling.
//!
//! ```
//! use axes::units;
//! use furnace::typed::{self, Q};
//! units! { Metre: "m"; Newton: "N"; NewtonPerMetre: "N/m"; Joule: "J"; }
//! units! { @relations Newton * Metre = Joule; NewtonPerMetre * Metre = Newton; }
//!
//! let cx = graph::Cx::eager();
//! let stiffness: Q<NewtonPerMetre> = typed::number(&cx, 3.0);
//! let energy = |x: &Q<Metre>| -> Q<Joule> { (&stiffness * x) * x * 0.5 };
//! let force: Q<Newton> = typed::grad(energy)(&typed::number(&cx, 2.0));
//! assert_eq!(force.storage().val(), 6.0);
//! ```

use axes::{Axes, Axis, Prepend, Tensor, Unit, UnitDiv, UnitQuotient};
use graph::{Cx, Var};

/// A traced tensor with axes, unit and element type.
pub type Quantity<A, U, T = f64> = Tensor<A, T, U, Var>;

/// A traced number with a unit.
pub type Q<U, T = f64> = Quantity<(), U, T>;

/// The unit of a derivative of the second order: U / V / V.
pub type Curvature<U, V> = UnitQuotient<UnitQuotient<U, V>, V>;

fn wrap<A: Axes, U, T>(v: Var) -> Quantity<A, U, T> {
    Tensor::from_storage_unchecked(v)
}

/// A typed function as an untyped one.
fn bare<A: Axes, B: Axes, U, V, T>(
    f: impl Fn(&Quantity<A, V, T>) -> Quantity<B, U, T>,
) -> impl Fn(&Var) -> Var {
    move |x| f(&wrap(x.clone())).into_storage()
}

/// A number of type f64 with a unit.
#[track_caller]
pub fn number<U: Unit>(cx: &Cx, value: f64) -> Q<U> {
    wrap(cx.scalar(value))
}

/// The derivative of a function of one number.
pub fn diff<B: Axes, U: UnitDiv<V>, V: Unit, T>(
    f: impl Fn(&Q<V, T>) -> Quantity<B, U, T>,
) -> impl Fn(&Q<V, T>) -> Quantity<B, UnitQuotient<U, V>, T> {
    let g = crate::diff(bare(f));
    move |x| wrap(g(x.storage()))
}

/// The second derivative of a function of one number.
pub fn diff2<B: Axes, U: UnitDiv<V>, V: Unit, T>(
    f: impl Fn(&Q<V, T>) -> Quantity<B, U, T>,
) -> impl Fn(&Q<V, T>) -> Quantity<B, Curvature<U, V>, T>
where
    UnitQuotient<U, V>: UnitDiv<V>,
{
    let g = crate::diff2(bare(f));
    move |x| wrap(g(x.storage()))
}

/// The gradient of a number: the axes of the operand, unit `U / V`.
pub fn grad<A: Axes, U: UnitDiv<V>, V: Unit, T>(
    f: impl Fn(&Quantity<A, V, T>) -> Q<U, T>,
) -> impl Fn(&Quantity<A, V, T>) -> Quantity<A, UnitQuotient<U, V>, T> {
    let both = value_and_grad(f);
    move |x| both(x).1
}

/// The value and the gradient of a number.
pub fn value_and_grad<A: Axes, U: UnitDiv<V>, V: Unit, T>(
    f: impl Fn(&Quantity<A, V, T>) -> Q<U, T>,
) -> impl Fn(&Quantity<A, V, T>) -> (Q<U, T>, Quantity<A, UnitQuotient<U, V>, T>) {
    let both = crate::value_and_grad(bare(f));
    move |x| {
        let (y, g) = both(x.storage());
        (wrap(y), wrap(g))
    }
}

/// Value and directional derivative; the direction has the operand's unit, the derivative the result's.
pub fn jvp<A: Axes, B: Axes, U: Unit, V: Unit, T>(
    f: impl Fn(&Quantity<A, V, T>) -> Quantity<B, U, T>,
    x: &Quantity<A, V, T>,
    t: &Quantity<A, V, T>,
) -> (Quantity<B, U, T>, Quantity<B, U, T>) {
    let f = bare(f);
    let (y, t) = crate::jvp(|v| vec![f(&v[0])], &[x.storage()], &[t.storage()]);
    (wrap(y[0].clone()), wrap(t[0].clone()))
}

/// Value and the product of a unitless cotangent with the derivative.
pub fn vjp<A: Axes, B: Axes, U: UnitDiv<V>, V: Unit, T>(
    f: impl Fn(&Quantity<A, V, T>) -> Quantity<B, U, T>,
    x: &Quantity<A, V, T>,
    ct: &Quantity<B, axes::Unitless, T>,
) -> (Quantity<B, U, T>, Quantity<A, UnitQuotient<U, V>, T>) {
    let f = bare(f);
    let (y, pull) = crate::vjp(move |v: &[Var]| vec![f(&v[0])], &[x.storage()]);
    (wrap(y[0].clone()), wrap(pull(std::slice::from_ref(ct.storage()))[0].clone()))
}

/// The Jacobian of a vector by a vector: axes (result, operand).
pub fn jacobian<I: Axis, O: Axis, U: UnitDiv<V>, V: Unit, T>(
    f: impl Fn(&Quantity<(I,), V, T>) -> Quantity<(O,), U, T>,
) -> impl Fn(&Quantity<(I,), V, T>) -> Quantity<(O, I), UnitQuotient<U, V>, T> {
    let g = crate::jacobian(bare(f));
    move |x| wrap(g(x.storage()))
}

/// The second derivatives of a number by a vector.
pub fn hessian<I: Axis, U: UnitDiv<V>, V: Unit, T>(
    f: impl Fn(&Quantity<(I,), V, T>) -> Q<U, T>,
) -> impl Fn(&Quantity<(I,), V, T>) -> Quantity<(I, I), Curvature<U, V>, T>
where
    UnitQuotient<U, V>: UnitDiv<V>,
{
    let g = crate::hessian(bare(f));
    move |x| wrap(g(x.storage()))
}

/// The second derivatives of a number times a direction in the operand's unit.
pub fn hvp<A: Axes, U: UnitDiv<V>, V: Unit, T>(
    f: impl Fn(&Quantity<A, V, T>) -> Q<U, T>,
) -> impl Fn(&Quantity<A, V, T>, &Quantity<A, V, T>) -> Quantity<A, UnitQuotient<U, V>, T> {
    let g = crate::hvp(bare(f));
    move |x, v| wrap(g(x.storage(), v.storage()))
}

/// The Laplacian of a number.
pub fn laplacian<A: Axes, U: UnitDiv<V>, V: Unit, T>(
    f: impl Fn(&Quantity<A, V, T>) -> Q<U, T>,
) -> impl Fn(&Quantity<A, V, T>) -> Q<Curvature<U, V>, T>
where
    UnitQuotient<U, V>: UnitDiv<V>,
{
    let g = crate::laplacian(bare(f));
    move |x| wrap(g(x.storage()))
}

/// The divergence of a field.
pub fn divergence<I: Axis, U: UnitDiv<V>, V: Unit, T>(
    f: impl Fn(&Quantity<(I,), V, T>) -> Quantity<(I,), U, T>,
) -> impl Fn(&Quantity<(I,), V, T>) -> Q<UnitQuotient<U, V>, T> {
    let g = crate::divergence(bare(f));
    move |x| wrap(g(x.storage()))
}

/// The curl of a field in three dimensions.
pub fn curl<I: Axis, U: UnitDiv<V>, V: Unit, T>(
    f: impl Fn(&Quantity<(I,), V, T>) -> Quantity<(I,), U, T>,
) -> impl Fn(&Quantity<(I,), V, T>) -> Quantity<(I,), UnitQuotient<U, V>, T> {
    let g = crate::curl(bare(f));
    move |x| wrap(g(x.storage()))
}

/// A function on every slice along a new first axis `X`.
pub fn vmap<X: Axis, A: Axes + Prepend<X>, B: Axes + Prepend<X>, U: Unit, V: Unit, T>(
    f: impl Fn(&Quantity<A, V, T>) -> Quantity<B, U, T>,
) -> impl Fn(&Quantity<<A as Prepend<X>>::Output, V, T>) -> Quantity<<B as Prepend<X>>::Output, U, T> {
    let g = crate::vmap(bare(f));
    move |x| wrap(g(x.storage()))
}
