//! The operators on closures.

use crate::{Remat, pullback, pushforward};
use graph::{GraphError, Tangent, Var};

fn zeros(t: Tangent, like: &Var) -> Var {
    t.unwrap_or_else(|| like.full_like(0.0))
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
    let cx = deepest(xs);
    let fresh: Vec<Var> = xs.iter().map(|x| cx.variable(x)).collect();
    let y = f(&fresh);
    if y.ty().rank() != 0 && !y.is_poison() {
        cx.fail(GraphError::NotDifferentiable {
            op: "grad",
            problem: format!(
                "the function must return a number (rank 0), found {}; sum it, or use `vjp`",
                y.ty()
            ),
        });
    }
    let y = cx.import(&y);
    let seed = y.full_like(1.0);
    let made = pullback(&cx, std::slice::from_ref(&y), &[Some(seed)], &fresh, Remat::default());
    let gradients = made.into_iter().zip(&fresh).map(|(g, x)| zeros(g, x)).collect();
    (y, gradients)
}

/// Values of a function, and the map from cotangents of its results to cotangents of its operands.
pub fn vjp<F: Fn(&[Var]) -> Vec<Var>>(f: F, xs: &[&Var]) -> (Vec<Var>, impl Fn(&[Var]) -> Vec<Var> + use<F>) {
    let cx = deepest(xs);
    let fresh: Vec<Var> = xs.iter().map(|x| cx.variable(x)).collect();
    let ys: Vec<Var> = f(&fresh).iter().map(|y| cx.import(y)).collect();
    let results = ys.clone();
    let pull = move |cts: &[Var]| {
        let cts: Vec<Tangent> = cts.iter().map(|c| Some(cx.import(c))).collect();
        let made = pullback(&cx, &ys, &cts, &fresh, Remat::default());
        made.into_iter().zip(&fresh).map(|(g, x)| zeros(g, x)).collect()
    };
    (results, pull)
}

/// Values of a function and their directional derivatives along `ts`.
pub fn jvp(f: impl Fn(&[Var]) -> Vec<Var>, xs: &[&Var], ts: &[&Var]) -> (Vec<Var>, Vec<Var>) {
    let cx = deepest(xs);
    let fresh: Vec<Var> = xs.iter().map(|x| cx.variable(x)).collect();
    let ys: Vec<Var> = f(&fresh).iter().map(|y| cx.import(y)).collect();
    let ts: Vec<Tangent> = ts.iter().map(|t| Some(cx.import(t))).collect();
    let made = pushforward(&cx, &fresh, &ts, &ys);
    let tangents = made.into_iter().zip(&ys).map(|(t, y)| zeros(t, y)).collect();
    (ys, tangents)
}

/// The innermost builder among the operands.
fn deepest(xs: &[&Var]) -> graph::Cx {
    let cx = xs.iter().map(|x| x.cx()).max_by_key(|cx| cx.depth());
    cx.expect("a derivative is taken with respect to at least one operand").clone()
}
