//! Eigenvalues and eigenvectors of symmetric matrices.
//!
//! Cyclic Jacobi rotations (Golub and Van Loan, section 8.5): they need square roots only, converge quadratically, and so
//! reach the last digit of whatever arithmetic evaluates them. Derivatives by Giles 2008, section 3.1: for distinct
//! eigenvalues; between equal ones the eigenvectors have no derivative, and the coupling is left out.

use super::linalg::{cubic, square, symmetric};
use super::{arity, series};
use crate::array::Array;
use crate::attrs::Attrs;
use crate::dim::Dim;
use crate::op::{Class, Cost, EvalCx, NodeCx, Op, OpDef, Tangent};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;

/// A symmetric (…, n, n) → (eigenvalues in rising order (…, n), eigenvectors as columns (…, n, n)); reads the lower triangle
/// of A. The entry of largest magnitude of each vector is positive.
pub struct Eigh;

/// Most sweeps over all pairs; a dozen suffice in double precision.
const SWEEPS: usize = 64;

/// One rotation in the plane (p, q), which makes the entry there zero.
fn rotate<S: Scalar>(a: &mut [S], v: &mut [S], n: usize, p: usize, q: usize) {
    let zero = S::from_f64(0.0);
    let off = a[p * n + q].clone();
    let gap = a[q * n + q].clone() - a[p * n + p].clone();
    if off == zero && gap == zero {
        return;
    }
    // tan θ = 2a / (d ± √(d² + 4a²)): written so that an entry that is zero but moves turns the plane as far as it must.
    let twice = S::from_f64(2.0) * off.clone();
    let root = (gap.clone() * gap.clone() + twice.clone() * twice.clone()).sqrt();
    let t = twice / if gap < zero { gap - root } else { gap + root };
    let one = S::from_f64(1.0);
    let c = one.clone() / (one + t.clone() * t.clone()).sqrt();
    let s = t.clone() * c.clone();
    let turned = |x: S, y: S| (c.clone() * x.clone() - s.clone() * y.clone(), s.clone() * x + c.clone() * y);
    a[p * n + p] = a[p * n + p].clone() - t.clone() * off.clone();
    a[q * n + q] = a[q * n + q].clone() + t * off;
    (a[p * n + q], a[q * n + p]) = (zero.clone(), zero);
    for r in 0..n {
        if r != p && r != q {
            let (x, y) = turned(a[r * n + p].clone(), a[r * n + q].clone());
            (a[r * n + p], a[p * n + r]) = (x.clone(), x);
            (a[r * n + q], a[q * n + r]) = (y.clone(), y);
        }
        let (x, y) = turned(v[r * n + p].clone(), v[r * n + q].clone());
        (v[r * n + p], v[r * n + q]) = (x, y);
    }
}

/// Values in rising order, and vectors as columns, of the symmetric matrix with this lower triangle.
fn jacobi<S: Scalar>(lower: &[S], n: usize) -> (Vec<S>, Vec<S>) {
    let mut a: Vec<S> =
        (0..n * n).map(|k| lower[(k / n).max(k % n) * n + (k / n).min(k % n)].clone()).collect();
    let mut v: Vec<S> = (0..n * n).map(|k| S::from_f64(f64::from(u8::from(k / n == k % n)))).collect();
    let mut left = SWEEPS;
    // Two more sweeps after the entries vanish in the arithmetic: their tangents and error terms vanish one sweep later.
    let mut more = 2;
    while left > 0 && more > 0 {
        let largest = (0..n).fold(S::from_f64(0.0), |m, r| m.maximum(&a[r * n + r].abs()));
        let settled = (0..n * n).all(|k| k / n == k % n || largest.clone() + a[k].abs() == largest);
        more -= usize::from(settled);
        left -= 1;
        (0..n).for_each(|p| (p + 1..n).for_each(|q| rotate(&mut a, &mut v, n, p, q)));
    }
    let mut at: Vec<usize> = (0..n).collect();
    let less = |x: &usize, y: &usize| a[x * n + x].partial_cmp(&a[y * n + y]);
    at.sort_by(|x, y| less(x, y).unwrap_or(std::cmp::Ordering::Equal));
    let mut vectors = vec![S::from_f64(0.0); n * n];
    for (c, k) in at.iter().enumerate() {
        let peak = (0..n).fold(0, |b, r| if v[r * n + k].abs() > v[b * n + k].abs() { r } else { b });
        let negative = v[peak * n + k] < S::from_f64(0.0);
        for r in 0..n {
            let x = v[r * n + k].clone();
            vectors[r * n + c] = if negative { -x } else { x };
        }
    }
    (at.iter().map(|k| a[k * n + k].clone()).collect(), vectors)
}

/// 1 / (w_j - w_i) at entry (i, j), 0 where they are equal.
fn gaps(w: &Var) -> Var {
    let mut shape = w.shape();
    let rank = shape.len();
    shape.push(shape[rank - 1].clone());
    let lead = 0..rank - 1;
    let rows = w.broadcast(&shape, &lead.clone().chain([rank - 1]).collect::<Vec<_>>());
    let columns = w.broadcast(&shape, &lead.chain([rank]).collect::<Vec<_>>());
    let gap = columns - rows;
    let zero = gap.full_like(0.0);
    let equal = gap.equal(&zero);
    equal.select(&zero, &equal.select(&gap.full_like(1.0), &gap).reciprocal())
}

impl OpDef for Eigh {
    const NAME: &'static str = "eigh";
    const CLASS: Class = Class::Contract;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 1)?;
        square(inputs)?;
        let last = inputs[0].rank() - 1;
        let values = Type { dtype: inputs[0].dtype, shape: inputs[0].shape[..last].to_vec() };
        Ok(vec![values, inputs[0].clone()])
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        _: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let rank = i[0].shape.len();
        let n = i[0].shape[rank - 1];
        let count: usize = i[0].shape[..rank - 2].iter().product();
        let (mut values, mut vectors) = (vec![], vec![]);
        for k in 0..count {
            let (w, v) = jacobi(&i[0].floats()[k * n * n..(k + 1) * n * n], n);
            values.extend(w);
            vectors.extend(v);
        }
        let dtype = types[0].dtype;
        Ok(vec![
            Array::float(dtype, i[0].shape[..rank - 1].to_vec(), values),
            Array::float(dtype, i[0].shape.clone(), vectors),
        ])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        let Some(t) = &t[0] else { return Some(vec![None, None]) };
        let (w, v) = (&n.outputs[0], &n.outputs[1]);
        let p = v.t().bmm(&symmetric(t)).bmm(v);
        Some(vec![Some(p.diagonal()), Some(v.bmm(&(gaps(w) * p)))])
    }
    fn batch(n: &NodeCx, _: &[bool], _: &Dim) -> Option<Vec<Var>> {
        Some(n.cx.push(Op::Eigh, Attrs::new(), &[&n.inputs[0]]))
    }
    /// With V = V_0 U and B = V_0ᵀ A V_0: Σ B_j U_{k-j} = Σ U_j W_{k-j} off the diagonal gives U_k, on it W_k; UᵀU = 1 gives
    /// the diagonal of U_k.
    fn jet(n: &NodeCx, s: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
        let (w0, v0) = (&n.outputs[0], &n.outputs[1]);
        let unit = n.cx.eye(w0.shape().last()?, w0.dtype());
        let rank = v0.ty().rank();
        let unit = unit.broadcast(&v0.shape(), &[rank - 2, rank - 1]);
        let apart = gaps(w0);
        let (mut b, mut u, mut w) = (vec![None], vec![Some(unit)], vec![None::<Var>]);
        let by_columns = |u: &Var, w: &Var| {
            let axes: Vec<usize> = (0..rank).filter(|a| *a != rank - 2).collect();
            u * &w.broadcast(&u.shape(), &axes)
        };
        for (j, a) in s[0].iter().enumerate() {
            let k = j + 1;
            b.push(a.as_ref().map(|a| v0.t().bmm(&symmetric(a)).bmm(v0)));
            let left = series::product(&b, &u, k, 1..=k, Var::bmm);
            let right = series::product(&u, &w, k, 1..=j, by_columns).map(|v| -v);
            let rest = super::plus(left, right);
            w.push(rest.as_ref().map(Var::diagonal));
            let off = rest.map(|r| &apart * &r);
            let inner = series::product(&u, &u, k, 1..=j, |a, b| a.t().bmm(b));
            let own = inner.map(|v| v.diagonal().diagonal_matrix() * -0.5);
            u.push(super::plus(off, own));
        }
        let vectors = u.split_off(1).into_iter().map(|u| u.map(|u| v0.bmm(&u))).collect();
        Some(vec![w.split_off(1), vectors])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        cubic(40.0, inputs, out)
    }
}
