//! The operators on closures.
//!
//! Each operator comes with a form that also returns what it computes on the way: `value_and_…`.

use crate::derivative as d;
use crate::laplacian::laplacian as laplacian_of;
use crate::trace::{Trace, expect_floats, expect_number, expect_scalar_operand, or_zero, trace};
use crate::{Remat, pullback, pushforward};
use graph::{Tangent, Var};

/// A function of one operand at a point.
fn at(op: &'static str, f: impl Fn(&Var) -> Var, x: &Var) -> (Trace, Var, Var) {
    let t = trace(&|xs| vec![f(&xs[0])], &[x]);
    expect_floats(op, &t.cx, &[x]);
    let (x, y) = (t.xs[0].clone(), t.ys[0].clone());
    (t, x, y)
}

/// The derivative of a function of one number; the result may have any shape.
///
/// ```
/// let x = graph::Cx::eager().scalar(0.0);
/// assert_eq!(furnace::diff(|x| x.sin())(&x).val(), 1.0);
/// ```
pub fn diff(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> Var {
    let both = value_and_diff(f);
    move |x| both(x).1
}

/// The value and the derivative of a function of one number.
pub fn value_and_diff(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> (Var, Var) {
    let all = derivatives("diff", 1, f);
    move |x| ends(all(x))
}

/// The second derivative of a function of one number.
pub fn diff2(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> Var {
    let both = value_and_diff2(f);
    move |x| both(x).1
}

/// The value and the second derivative of a function of one number.
pub fn value_and_diff2(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> (Var, Var) {
    let all = derivatives("diff2", 2, f);
    move |x| ends(all(x))
}

/// The n-th derivative of a function of one number, from order 3 on by Taylor mode: the cost grows with n², where that of
/// nested first derivatives grows exponentially.
///
/// ```
/// let x = graph::Cx::eager().scalar(0.5);
/// let fifth = furnace::diffn(5, |x| x.powf(7.0))(&x).val();
/// assert!((fifth - 2520.0 * 0.25).abs() < 1e-9);
/// ```
pub fn diffn(n: usize, f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> Var {
    let both = value_and_diffn(n, f);
    move |x| both(x).1
}

/// The value and the n-th derivative of a function of one number.
pub fn value_and_diffn(n: usize, f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> (Var, Var) {
    let all = derivatives("diffn", n, f);
    move |x| ends(all(x))
}

/// The value and the derivatives 1 … n of a function of one number.
pub fn value_and_derivatives(n: usize, f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> Vec<Var> {
    derivatives("diffn", n, f)
}

fn derivatives(op: &'static str, n: usize, f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> Vec<Var> {
    move |x| {
        let (t, x, y) = at(op, &f, x);
        expect_scalar_operand(op, &t.cx, &x);
        let made = d::derivatives(&t.cx, &x, &y, n);
        std::iter::once(y).chain(made).collect()
    }
}

fn ends(all: Vec<Var>) -> (Var, Var) {
    (all[0].clone(), all[all.len() - 1].clone())
}

/// The gradient of a scalar function.
///
/// ```
/// let x = graph::Cx::eager().scalar(3.0);
/// assert_eq!(furnace::grad(|x| x * x)(&x).val(), 6.0);
/// ```
pub fn grad(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> Var {
    let both = value_and_grad(f);
    move |x| both(x).1
}

/// The value and the gradient of a scalar function.
pub fn value_and_grad(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> (Var, Var) {
    move |x| {
        let (y, g) = grads(|xs| f(&xs[0]), &[x]);
        (y, g.into_iter().next().unwrap_or_else(|| x.clone()))
    }
}

/// The value of a scalar function of several operands and its gradient with respect to each.
pub fn grads(f: impl Fn(&[Var]) -> Var, xs: &[&Var]) -> (Var, Vec<Var>) {
    let t = trace(&|xs| vec![f(xs)], xs);
    expect_floats("grad", &t.cx, xs);
    expect_number("grad", &t.cx, &t.ys[0]);
    let gradients = d::gradients(&t.cx, &t.xs, &t.ys[0]);
    (t.ys[0].clone(), gradients)
}

/// Values of a function, and the map from cotangents of its results to cotangents of its operands.
pub fn vjp<F: Fn(&[Var]) -> Vec<Var>>(f: F, xs: &[&Var]) -> (Vec<Var>, impl Fn(&[Var]) -> Vec<Var> + use<F>) {
    let Trace { cx, xs, ys } = trace(&f, xs);
    expect_floats("vjp", &cx, &xs.iter().collect::<Vec<_>>());
    let results = ys.clone();
    let pull = move |cts: &[Var]| {
        let cts: Vec<Tangent> = cts.iter().map(|c| Some(cx.import(c))).collect();
        let made = pullback(&cx, &ys, &cts, &xs, Remat::default());
        made.into_iter().zip(&xs).map(|(g, x)| or_zero(g, x)).collect()
    };
    (results, pull)
}

/// Values of a function and their directional derivatives along `ts`.
pub fn jvp(f: impl Fn(&[Var]) -> Vec<Var>, xs: &[&Var], ts: &[&Var]) -> (Vec<Var>, Vec<Var>) {
    let t = trace(&f, xs);
    expect_floats("jvp", &t.cx, xs);
    let ts: Vec<Tangent> = ts.iter().map(|v| Some(t.cx.import(v))).collect();
    let tangents = pushforward(&t.cx, &t.xs, &ts, &t.ys);
    let tangents = tangents.into_iter().zip(&t.ys).map(|(t, y)| or_zero(t, y)).collect();
    (t.ys, tangents)
}

/// The Jacobian: sizes (those of the result…, those of the operand…). By columns in one batched forward pass when the
/// operand has no more elements than the result, else by rows in one batched reverse pass.
///
/// ```
/// let cx = graph::Cx::eager();
/// let x = cx.array(axes::DType::F64, &[3], &[1.0, 2.0, 3.0]);
/// let j = furnace::jacobian(|x| x * x)(&x);
/// assert_eq!(j.array()?.to_f64(), [2.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 6.0]);
/// # Ok::<(), graph::GraphError>(())
/// ```
pub fn jacobian(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> Var {
    let both = value_and_jacobian(f);
    move |x| both(x).1
}

/// The value and the Jacobian.
pub fn value_and_jacobian(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> (Var, Var) {
    move |x| {
        let (t, x, y) = at("jacobian", &f, x);
        let j = d::jacobian(&t.cx, &x, &y);
        (y, j)
    }
}

/// The matrix of second derivatives of a scalar function, sizes (operand…, operand…): one batched forward pass over the
/// gradient.
pub fn hessian(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> Var {
    let all = value_grad_and_hessian(f);
    move |x| all(x).2
}

/// The value and the second derivatives.
pub fn value_and_hessian(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> (Var, Var) {
    let all = value_grad_and_hessian(f);
    move |x| {
        let (y, _, h) = all(x);
        (y, h)
    }
}

/// The gradient and the second derivatives.
pub fn grad_and_hessian(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> (Var, Var) {
    let all = value_grad_and_hessian(f);
    move |x| {
        let (_, g, h) = all(x);
        (g, h)
    }
}

/// The value, the gradient and the second derivatives.
pub fn value_grad_and_hessian(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> (Var, Var, Var) {
    move |x| {
        let (t, x, y) = at("hessian", &f, x);
        expect_number("hessian", &t.cx, &y);
        let (g, h) = d::hessian(&t.cx, &x, &y);
        (y, g, h)
    }
}

/// The second derivatives of a scalar function times a direction, without the matrix: forward over reverse.
pub fn hvp(f: impl Fn(&Var) -> Var) -> impl Fn(&Var, &Var) -> Var {
    let all = value_grad_and_hvp(f);
    move |x, v| all(x, v).2
}

/// The value and the Hessian's product with a direction.
pub fn value_and_hvp(f: impl Fn(&Var) -> Var) -> impl Fn(&Var, &Var) -> (Var, Var) {
    let all = value_grad_and_hvp(f);
    move |x, v| {
        let (y, _, h) = all(x, v);
        (y, h)
    }
}

/// The gradient and the Hessian's product with a direction.
pub fn grad_hvp(f: impl Fn(&Var) -> Var) -> impl Fn(&Var, &Var) -> (Var, Var) {
    let all = value_grad_and_hvp(f);
    move |x, v| {
        let (_, g, h) = all(x, v);
        (g, h)
    }
}

/// The value, the gradient and the Hessian's product with a direction.
pub fn value_grad_and_hvp(f: impl Fn(&Var) -> Var) -> impl Fn(&Var, &Var) -> (Var, Var, Var) {
    move |x, v| {
        let (t, x, y) = at("hvp", &f, x);
        expect_number("hvp", &t.cx, &y);
        let (g, h) = d::grad_hvp(&t.cx, &x, &y, v);
        (y, g, h)
    }
}

/// The sum of the second derivatives along each element of the operand, by the forward Laplacian; of a result with
/// several elements, that of each.
///
/// ```
/// let cx = graph::Cx::eager();
/// let x = cx.array(axes::DType::F64, &[2], &[0.3, 0.4]);
/// // |x|⁴ in the plane has the Laplacian 16 |x|².
/// let l = furnace::laplacian(|x| (x * x).sum_all().square())(&x).val();
/// assert!((l - 16.0 * 0.25).abs() < 1e-12);
/// ```
pub fn laplacian(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> Var {
    let both = value_and_laplacian(f);
    move |x| both(x).1
}

/// The value and the Laplacian.
pub fn value_and_laplacian(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> (Var, Var) {
    move |x| {
        let (t, x, y) = at("laplacian", &f, x);
        let (_, l) = laplacian_of(&t.cx, &x, &y);
        (y, l)
    }
}

/// The gradient of a scalar function, which the forward Laplacian has at hand, and the Laplacian.
pub fn grad_and_laplacian(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> (Var, Var) {
    move |x| {
        let (t, x, y) = at("laplacian", &f, x);
        expect_number("laplacian", &t.cx, &y);
        let (g, l) = laplacian_of(&t.cx, &x, &y);
        (g.reshape(&x.shape()), l)
    }
}

/// ∇ · f of a field of vectors: the trace of its Jacobian.
pub fn divergence(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> Var {
    let both = value_and_divergence(f);
    move |x| both(x).1
}

/// The value and the divergence.
pub fn value_and_divergence(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> (Var, Var) {
    move |x| {
        let (t, x, y) = at("divergence", &f, x);
        let j = d::square_jacobian("divergence", &t.cx, &x, &y, None);
        (y, d::trace_of(&j))
    }
}

/// ∇ × f of a field in three dimensions.
pub fn curl(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> Var {
    let all = value_and_curl_divergence(f);
    move |x| all(x).1
}

/// The value and the curl.
pub fn value_and_curl(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> (Var, Var) {
    let all = value_and_curl_divergence(f);
    move |x| {
        let (y, c, _) = all(x);
        (y, c)
    }
}

/// The curl and the divergence of a field in three dimensions, from one Jacobian.
pub fn curl_divergence(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> (Var, Var) {
    let all = value_and_curl_divergence(f);
    move |x| {
        let (_, c, div) = all(x);
        (c, div)
    }
}

/// The value, the curl and the divergence of a field in three dimensions.
pub fn value_and_curl_divergence(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> (Var, Var, Var) {
    move |x| {
        let (t, x, y) = at("curl", &f, x);
        let j = d::square_jacobian("curl", &t.cx, &x, &y, Some(3));
        (y, d::curl_of(&j), d::trace_of(&j))
    }
}
