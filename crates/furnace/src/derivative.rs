//! Derivatives of traced values: what the operators on closures and those on graphs have in common.
//!
//! Each takes a builder, variables in it and values computed from them. Whole matrices are one batched product, not a
//! loop: the product with one direction is built in a region, which is then batched over all unit directions.

use crate::batch::{Batched, batch_graph, move_axis, spread};
use crate::forward::pushforward_into;
use crate::jet::push_series;
use crate::linear_solve::count;
use crate::reverse::pullback_into;
use crate::trace::or_zero;
use crate::{Remat, pullback, pushforward};
use axes::DType;
use graph::{Cx, Dim, GraphError, Tangent, Type, Var};

/// All unit vectors of a type: (n, sizes…) for its n elements.
pub(crate) fn basis(cx: &Cx, ty: &Type) -> Var {
    let n = count(ty);
    let square = [n.clone(), n.clone()];
    let index = |axis: i64| {
        let attrs = graph::attrs! { dtype: DType(DType::I64), dims: Dims(square.to_vec()), axis: Int(axis) };
        cx.push1(graph::Op::Iota, attrs, &[])
    };
    let unit = index(0).equal(&index(1)).convert(ty.dtype);
    unit.reshape(&std::iter::once(n).chain(ty.shape.iter().cloned()).collect::<Vec<_>>())
}

/// `product` of one direction of type `ty`, for all unit directions: (n, sizes of the result…).
fn for_all_units(cx: &Cx, ty: &Type, product: impl FnOnce(&Cx, Var) -> Var) -> Var {
    let inner = cx.region();
    let direction = inner.input("direction", ty.clone());
    let made = inner.within(|| product(&inner, direction));
    match inner.finish_region(&[made]) {
        Ok((g, captured)) => {
            let unit = basis(cx, ty);
            let n = unit.shape()[0].clone();
            let inputs: Vec<Batched> =
                captured.into_iter().map(|v| (v, false)).chain([(unit, true)]).collect();
            let (made, mapped) = batch_graph(cx, &g, &inputs, &n).remove(0);
            spread(&made, mapped, &n)
        }
        Err(e) => {
            cx.fail(e);
            cx.poison()
        }
    }
}

/// J by columns, one forward pass for all: sizes (those of y…, those of x…).
pub(crate) fn jacobian_forward(cx: &Cx, x: &Var, y: &Var) -> Var {
    let made = for_all_units(cx, &x.ty(), |inner, t| {
        let made = pushforward_into(cx, inner, std::slice::from_ref(x), &[Some(t)], std::slice::from_ref(y));
        or_zero(made.into_iter().next().flatten(), &inner.import(y))
    });
    let shape: Vec<Dim> = y.shape().into_iter().chain(x.shape()).collect();
    move_axis(&made, 0, y.ty().rank()).reshape(&shape)
}

/// J by rows, one reverse pass for all.
pub(crate) fn jacobian_reverse(cx: &Cx, x: &Var, y: &Var) -> Var {
    let made = for_all_units(cx, &y.ty(), |inner, ct| {
        let (ys, xs) = (std::slice::from_ref(y), std::slice::from_ref(x));
        let made = pullback_into(cx, inner, ys, &[Some(ct)], xs, Remat::default());
        or_zero(made.into_iter().next().flatten(), &inner.import(x))
    });
    made.reshape(&y.shape().into_iter().chain(x.shape()).collect::<Vec<_>>())
}

/// J by columns when x has no more elements than y, else by rows. Sizes that are not known count as large.
pub(crate) fn jacobian(cx: &Cx, x: &Var, y: &Var) -> Var {
    if x.is_poison() || y.is_poison() {
        return cx.poison();
    }
    let size = |v: &Var| v.ty().elements();
    match (size(x), size(y)) {
        (Some(n), Some(m)) if n > m => jacobian_reverse(cx, x, y),
        (None, Some(_)) => jacobian_reverse(cx, x, y),
        _ => jacobian_forward(cx, x, y),
    }
}

/// The gradients of a number.
pub(crate) fn gradients(cx: &Cx, xs: &[Var], y: &Var) -> Vec<Var> {
    let seed = y.full_like(1.0);
    let made = pullback(cx, std::slice::from_ref(y), &[Some(seed)], xs, Remat::default());
    made.into_iter().zip(xs).map(|(g, x)| or_zero(g, x)).collect()
}

/// Directional derivatives.
pub(crate) fn along(cx: &Cx, xs: &[Var], ts: &[Tangent], ys: &[Var]) -> Vec<Var> {
    pushforward(cx, xs, ts, ys).into_iter().zip(ys).map(|(t, y)| or_zero(t, y)).collect()
}

/// Derivatives 1 … n of y in the number x: nested forward mode up to order 2, Taylor mode above.
pub(crate) fn derivatives(cx: &Cx, x: &Var, y: &Var, n: usize) -> Vec<Var> {
    let one = x.full_like(1.0);
    if n <= 2 {
        let mut made = vec![];
        let mut last = y.clone();
        for _ in 0..n {
            let next = along(cx, std::slice::from_ref(x), &[Some(one.clone())], std::slice::from_ref(&last));
            last = next.into_iter().next().unwrap_or_else(|| cx.poison());
            made.push(last.clone());
        }
        return made;
    }
    let mut series: Vec<Tangent> = vec![None; n];
    series[0] = Some(one);
    let made = push_series(cx, cx, std::slice::from_ref(x), &[series], std::slice::from_ref(y)).remove(0);
    let mut factorial = 1.0;
    (1..)
        .zip(made)
        .map(|(k, c)| {
            factorial *= f64::from(k);
            let c = or_zero(c, y);
            if k == 1 { c } else { c * factorial }
        })
        .collect()
}

/// The matrix of second derivatives of a number: forward over reverse.
pub(crate) fn hessian(cx: &Cx, x: &Var, y: &Var) -> (Var, Var) {
    let g = gradients(cx, std::slice::from_ref(x), y).remove(0);
    let h = jacobian_forward(cx, x, &g);
    (g, h)
}

/// The gradient of a number and its derivative along `v`: forward over reverse.
pub(crate) fn grad_hvp(cx: &Cx, x: &Var, y: &Var, v: &Var) -> (Var, Var) {
    let g = gradients(cx, std::slice::from_ref(x), y).remove(0);
    let t = cx.import(v);
    let h = along(cx, std::slice::from_ref(x), &[Some(t)], std::slice::from_ref(&g)).remove(0);
    (g, h)
}

/// An n-vector field's Jacobian, checked to be square, as (n, n).
pub(crate) fn square_jacobian(op: &'static str, cx: &Cx, x: &Var, y: &Var, n: Option<usize>) -> Var {
    if x.is_poison() || y.is_poison() {
        return cx.poison();
    }
    let fits =
        x.ty().rank() == 1 && x.shape() == y.shape() && n.is_none_or(|n| x.shape()[0].fixed() == Some(n));
    if !fits {
        let field = n.map_or("vectors of one size".to_string(), |n| format!("vectors of size {n}"));
        cx.fail(GraphError::NotDifferentiable {
            op,
            problem: format!("it is defined for a map between {field}, found {} to {}", x.ty(), y.ty()),
        });
        return cx.poison();
    }
    jacobian_forward(cx, x, y)
}

/// The sum of the diagonal of a square matrix.
pub(crate) fn trace_of(j: &Var) -> Var {
    if j.is_poison() {
        return j.clone();
    }
    let unit = basis(j.cx(), &Type { dtype: j.dtype(), shape: j.shape()[1..].to_vec() });
    (j * &unit).sum_all()
}

/// The curl from the Jacobian of a field in three dimensions.
pub(crate) fn curl_of(j: &Var) -> Var {
    if j.is_poison() {
        return j.clone();
    }
    let flat = j.reshape(&[Dim::from(9)]);
    let pick = |at: [f64; 3]| flat.gather(&j.cx().array(DType::I64, &[3], &at));
    pick([7.0, 2.0, 3.0]) - pick([5.0, 6.0, 1.0])
}
