//! Linear algebra of batched matrices (…, n, n): solving, triangular solving, determinant, Cholesky factor.
//!
//! The rules are the classical ones (Giles 2008, "Collected matrix derivative results for forward and reverse mode
//! algorithmic differentiation"): a solve is differentiated by solves with the same matrix, never through the elimination, so
//! that the derivative is as well conditioned as the problem, and is made of ops of the table again. Singular matrices have
//! no derivative here: it comes out as not a number.

use super::{arity, float, series};
use crate::array::Array;
use crate::attrs::Attrs;
use crate::dim::Dim;
use crate::op::{Class, Cost, EvalCx, NodeCx, Op, OpDef, Tangent, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;

/// Fails unless operand 0 holds square matrices.
pub(super) fn square(inputs: &[Type]) -> Result<(), String> {
    float(inputs, 0)?;
    let s = &inputs[0].shape;
    match s.len() {
        0 | 1 => Err(format!("takes matrices, found {}", inputs[0])),
        r if s[r - 1] != s[r - 2] => Err(format!("takes square matrices, found {}", inputs[0])),
        _ => Ok(()),
    }
}

/// Fails unless operand 1 holds right-hand sides (…, n, m) for the matrices of operand 0.
fn sides(inputs: &[Type]) -> Result<(), String> {
    arity(inputs, 2)?;
    square(inputs)?;
    let r = inputs[0].rank();
    let fits = inputs[1].dtype == inputs[0].dtype
        && inputs[1].rank() == r
        && inputs[1].shape[..r - 1] == inputs[0].shape[..r - 1];
    match fits {
        true => Ok(()),
        false => Err(format!("right-hand sides {} do not fit the matrices {}", inputs[1], inputs[0])),
    }
}

/// Work of `factor` n³ per matrix, and n² per right-hand side.
pub(super) fn cubic(factor: f64, inputs: &[Type], out: &[Type]) -> Cost {
    let n = inputs[0].shape.last().and_then(Dim::fixed).unwrap_or(0) as f64;
    let sides = if inputs.len() > 1 { 2.0 * n * elements(&inputs[1..]) } else { 0.0 };
    Cost {
        operations: factor * n * elements(&inputs[..1]) + sides,
        transcendental: 0.0,
        bytes: bytes(inputs) + bytes(out),
    }
}

/// Each matrix of `a` with each of `b` through `f`, results joined.
fn each<S: Scalar>(
    a: &Array<S>,
    b: &Array<S>,
    ty: &Type,
    f: impl Fn(&[S], &[S], usize, usize) -> Vec<S>,
) -> Array<S> {
    let (n, m) = (a.shape[a.shape.len() - 1], b.shape[b.shape.len() - 1]);
    let count: usize = a.shape[..a.shape.len() - 2].iter().product();
    let out = (0..count)
        .flat_map(|k| {
            f(&a.floats()[k * n * n..(k + 1) * n * n], &b.floats()[k * n * m..(k + 1) * n * m], n, m)
        })
        .collect();
    Array::float(ty.dtype, b.shape.clone(), out)
}

pub(super) fn transposed<S: Scalar>(a: &[S], n: usize) -> Vec<S> {
    (0..n * n).map(|k| a[k % n * n + k / n].clone()).collect()
}

/// Gaussian elimination with partial pivoting (Golub and Van Loan, section 3.4): the factors in one matrix, the rows in
/// their new order, and whether an odd number of exchanges was made.
fn eliminate<S: Scalar>(a: &[S], n: usize) -> (Vec<S>, Vec<usize>, bool) {
    let (mut a, mut rows, mut odd) = (a.to_vec(), (0..n).collect::<Vec<_>>(), false);
    for c in 0..n {
        let best = (c + 1..n).fold(c, |b, r| if a[r * n + c].abs() > a[b * n + c].abs() { r } else { b });
        if best != c {
            (0..n).for_each(|k| a.swap(c * n + k, best * n + k));
            rows.swap(c, best);
            odd = !odd;
        }
        if a[c * n + c] == S::from_f64(0.0) {
            continue;
        }
        for r in c + 1..n {
            let factor = a[r * n + c].clone() / a[c * n + c].clone();
            for k in c + 1..n {
                a[r * n + k] = a[r * n + k].clone() - factor.clone() * a[c * n + k].clone();
            }
            a[r * n + c] = factor;
        }
    }
    (a, rows, odd)
}

/// T X = B in place, forwards where T is lower, else backwards, with its diagonal or with ones there.
fn substitute<S: Scalar>(t: &[S], x: &mut [S], n: usize, m: usize, lower: bool, unit: bool) {
    for step in 0..n {
        let r = if lower { step } else { n - 1 - step };
        let known = if lower { 0..r } else { r + 1..n };
        for c in 0..m {
            let mut sum = x[r * m + c].clone();
            for k in known.clone() {
                sum = sum - t[r * n + k].clone() * x[k * m + c].clone();
            }
            x[r * m + c] = if unit { sum } else { sum / t[r * n + r].clone() };
        }
    }
}

fn with_sides(n: &NodeCx, op: Op, attrs: Attrs, b: &Var) -> Var {
    n.cx.push1(op, attrs, &[&n.inputs[0], b])
}

/// `op(A) X` for a node whose matrix may be meant transposed.
fn times(n: &NodeCx, a: &Var, x: &Var) -> Var {
    if n.attrs.flag("transposed") { a.t().bmm(x) } else { a.bmm(x) }
}

/// Coefficient k of X where A X = B: the solution for B_k - Σ_{j≥1} A_j X_{k-j}.
fn solved_series(n: &NodeCx, op: Op, s: &[Vec<Tangent>], part: impl Fn(&Var) -> Var) -> Vec<Tangent> {
    let a: Vec<Tangent> = std::iter::once(None).chain(s[0].iter().map(|c| c.as_ref().map(&part))).collect();
    let mut x = vec![Some(n.outputs[0].clone())];
    for k in 1..=s[1].len() {
        let moved = series::product(&a, &x, k, 1..=k, |a, x| times(n, a, x)).map(|v| -v);
        x.push(super::plus(s[1][k - 1].clone(), moved).map(|b| with_sides(n, op, n.attrs.clone(), &b)));
    }
    x.split_off(1)
}

/// The attributes with `transposed` turned round.
fn adjoint(n: &NodeCx) -> Attrs {
    n.attrs.clone().with("transposed", crate::Attr::Bool(!n.attrs.flag("transposed")))
}

macro_rules! solve {
    ($(#[$doc:meta])* $op:ident, $name:literal, attrs: $attrs:expr, cost: $cost:literal,
     |$a:ident, $x:ident, $n:ident, $m:ident, $at:ident| $f:expr, part |$node:ident, $t:ident| $part:expr) => {
        $(#[$doc])*
        pub struct $op;
        impl OpDef for $op {
            const NAME: &'static str = $name;
            const ATTRS: &'static [&'static str] = $attrs;
            const CLASS: Class = Class::Contract;
            fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
                sides(inputs)?;
                Ok(vec![inputs[1].clone()])
            }
            fn eval<S: Scalar>(
                _: &EvalCx, $at: &Attrs, i: &[Array<S>], types: &[Type],
            ) -> Result<Vec<Array<S>>, String> {
                Ok(vec![each(&i[0], &i[1], &types[0], |$a, b, $n, $m| {
                    let $a = if $at.flag("transposed") { transposed($a, $n) } else { $a.to_vec() };
                    let mut $x = b.to_vec();
                    $f;
                    $x
                })])
            }
            fn jvp($node: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
                let moved = t[0].as_ref().map(|$t| -times($node, &$part, &$node.outputs[0]));
                let b = super::plus(t[1].clone(), moved);
                Some(vec![b.map(|b| with_sides($node, Op::$op, $node.attrs.clone(), &b))])
            }
            fn transpose(n: &NodeCx, linear: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
                if linear[0] {
                    return None;
                }
                Some(vec![None, ct[0].as_ref().map(|c| with_sides(n, Op::$op, adjoint(n), c))])
            }
            fn batch(n: &NodeCx, mapped: &[bool], size: &Dim) -> Option<Vec<Var>> {
                let v = [0, 1].map(|k| super::along::batched(&n.inputs[k], mapped[k], size));
                Some(n.cx.push(Op::$op, n.attrs.clone(), &[&v[0], &v[1]]))
            }
            fn jet($node: &NodeCx, s: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
                Some(vec![solved_series($node, Op::$op, s, |$t| $part)])
            }
            fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
                cubic($cost, inputs, out)
            }
        }
    };
}

solve!(
    /// (A, B) → X with A X = B, or Aᵀ X = B where `transposed`, by elimination with partial pivoting.
    Solve, "solve", attrs: &["transposed"], cost: 0.67,
    |a, x, n, m, attrs| {
        let (lu, rows, _) = eliminate(&a, n);
        x = rows.iter().flat_map(|r| x[r * m..(r + 1) * m].to_vec()).collect();
        substitute(&lu, &mut x, n, m, true, true);
        substitute(&lu, &mut x, n, m, false, false);
    },
    part |node, t| { let _ = node; t.clone() }
);
solve!(
    /// (A, B) → X with T X = B, or Tᵀ X = B where `transposed`, T being the lower or the upper triangle of A.
    TriangularSolve, "triangular_solve", attrs: &["lower", "transposed"], cost: 0.0,
    |a, x, n, m, attrs| substitute(&a, &mut x, n, m, attrs.flag("lower") != attrs.flag("transposed"), false),
    part |node, t| if node.attrs.flag("lower") { t.tril() } else { t.triu() }
);

/// The determinant of each matrix.
pub struct Determinant;
impl OpDef for Determinant {
    const NAME: &'static str = "determinant";
    const CLASS: Class = Class::Reduce;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 1)?;
        square(inputs)?;
        let kept = inputs[0].rank() - 2;
        Ok(vec![Type { dtype: inputs[0].dtype, shape: inputs[0].shape[..kept].to_vec() }])
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        _: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let rank = i[0].shape.len();
        let (n, shape) = (i[0].shape[rank - 1], i[0].shape[..rank - 2].to_vec());
        let out = (0..shape.iter().product())
            .map(|k| {
                let (lu, _, odd) = eliminate(&i[0].floats()[k * n * n..(k + 1) * n * n], n);
                let one = S::from_f64(if odd { -1.0 } else { 1.0 });
                (0..n).fold(one, |d, r| d * lu[r * n + r].clone())
            })
            .collect();
        Ok(vec![Array::float(types[0].dtype, shape, out)])
    }
    /// Jacobi's formula: det A tr(A⁻¹ Ȧ).
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![t[0].as_ref().map(|t| &n.outputs[0] * &n.inputs[0].solve(t).trace())])
    }
    fn batch(n: &NodeCx, _: &[bool], _: &Dim) -> Option<Vec<Var>> {
        Some(n.cx.push(Op::Determinant, Attrs::new(), &[&n.inputs[0]]))
    }
    /// y' = y g with g = tr G and A G = A'.
    fn jet(n: &NodeCx, s: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
        let a = series::of(&n.inputs[0], &s[0]);
        let (mut solved, mut traces): (Vec<Tangent>, Vec<Tangent>) = (vec![], vec![]);
        let mut y = vec![Some(n.outputs[0].clone())];
        for k in 1..a.len() {
            let j = k - 1;
            let moved = series::product(&a, &solved, j, 1..=j, Var::bmm).map(|v| -v);
            let side = super::plus(a[k].as_ref().map(|c| c * k as f64), moved);
            solved.push(side.map(|b| n.inputs[0].solve(&b)));
            traces.push(solved[j].as_ref().map(Var::trace));
            let sum = series::product(&traces, &y, j, 0..=j, |a, b| a * b);
            y.push(sum.map(|v| v / k as f64));
        }
        Some(vec![y.split_off(1)])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        cubic(0.67, inputs, out)
    }
}

/// The symmetric matrix whose lower triangle is that of `x`.
pub(super) fn symmetric(x: &Var) -> Var {
    let strict = x.entries("gt").select(x, &x.full_like(0.0));
    x.tril() + strict.t()
}

/// The lower triangular factor L of A = L Lᵀ; reads the lower triangle of A. Where A is not positive definite, what depends
/// on the failed root is not a number.
pub struct Cholesky;
impl Cholesky {
    /// L Φ(L⁻¹ S L⁻ᵀ), with Φ the lower triangle with half of the diagonal.
    fn slope(l: &Var, s: &Var) -> Var {
        let half = l.triangular_solve(s, true, false).t();
        let w = l.triangular_solve(&half, true, false);
        let strict = w.entries("gt").select(&w, &w.full_like(0.0));
        l.bmm(&((w.tril() + strict) * 0.5))
    }
}
impl OpDef for Cholesky {
    const NAME: &'static str = "cholesky";
    const CLASS: Class = Class::Contract;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 1)?;
        square(inputs)?;
        Ok(inputs.to_vec())
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        _: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        Ok(vec![each(&i[0], &i[0], &types[0], |a, _, n, _| {
            let mut l = vec![S::from_f64(0.0); n * n];
            for r in 0..n {
                for c in 0..=r {
                    let sum = (0..c)
                        .fold(a[r * n + c].clone(), |s, k| s - l[r * n + k].clone() * l[c * n + k].clone());
                    l[r * n + c] = if r == c { sum.sqrt() } else { sum / l[c * n + c].clone() };
                }
            }
            l
        })])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![t[0].as_ref().map(|t| Cholesky::slope(&n.outputs[0], &symmetric(t)))])
    }
    fn batch(n: &NodeCx, _: &[bool], _: &Dim) -> Option<Vec<Var>> {
        Some(n.cx.push(Op::Cholesky, Attrs::new(), &[&n.inputs[0]]))
    }
    /// L_0 L_kᵀ + L_k L_0ᵀ = A_k - Σ_{0<j<k} L_j L_{k-j}ᵀ.
    fn jet(n: &NodeCx, s: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
        let mut l = vec![Some(n.outputs[0].clone())];
        for (j, a) in s[0].iter().enumerate() {
            let inner = series::product(&l, &l, j + 1, 1..=j, |a, b| a.bmm(&b.t())).map(|v| -v);
            let rest = super::plus(a.as_ref().map(symmetric), inner);
            l.push(rest.map(|r| Cholesky::slope(&n.outputs[0], &r)));
        }
        Some(vec![l.split_off(1)])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        cubic(0.33, &inputs[..1], out)
    }
}
