//! Roots and fixed points as functions of their parameters, differentiated without unrolling the iteration.
//!
//! Where g(θ, x) = 0, the implicit function theorem gives ∂g/∂x dx = −∂g/∂θ dθ: one linear system, whatever the solver did
//! (Blondel et al. 2022, "Efficient and modular implicit differentiation"). The rule is built from derivatives of g at the
//! root, and the root stays a node, so second and higher derivatives hold too, in both modes.

use crate::control::inline;
use crate::custom::apply;
use crate::linear_solve::{slope_of, solved};
use crate::pushforward;
use crate::trace::deepest;
use graph::{Attrs, NodeCx, Tangent, Var};

/// x with `residual(θ, x) = 0`, found by `solve(θ)`. The residual has the type of x, and its derivative in x is not
/// singular there. Both may use values from outside; derivatives flow to those that the residual uses.
///
/// ```
/// use graph::Var;
/// // √θ by Newton's method in a Rust loop; the derivative 1/(2 √θ) knows nothing of the loop.
/// let root = |theta: &Var| {
///     let newton = |t: &[Var]| {
///         let mut x = t[0].full_like(1.0);
///         while (x.val() * x.val() - t[0].val()).abs() > 1e-14 {
///             x = (&x + &(&t[0] / &x)) * 0.5;
///         }
///         x
///     };
///     furnace::implicit_root(|t, x| x * x - &t[0], newton, &[theta])
/// };
/// let theta = graph::Cx::eager().scalar(4.0);
/// assert!((furnace::grad(root)(&theta).val() - 0.25).abs() < 1e-12);
/// assert!((furnace::grad(furnace::grad(root))(&theta).val() + 1.0 / 32.0).abs() < 1e-12);
/// ```
pub fn implicit_root(
    residual: impl Fn(&[Var], &Var) -> Var,
    solve: impl Fn(&[Var]) -> Var,
    theta: &[&Var],
) -> Var {
    let cx = deepest(theta).innermost();
    let operands: Vec<Var> = theta.iter().map(|t| cx.import(t)).collect();
    let n = operands.len();
    // Solved once beforehand, for the root's type, and its value where values are known.
    let trial = cx.region_at();
    let holders: Vec<Var> = operands.iter().map(|x| trial.sample("theta", x)).collect();
    let found = trial.within(|| solve(&holders));
    let ty = found.ty();
    let sample = match (cx.is_eager(), found.array(), ty.fixed_shape()) {
        (true, Ok(a), Some(shape)) => cx.array(ty.dtype, &shape, &a.to_f64()),
        _ => cx.full(&ty, 0.0),
    };
    let made = apply(
        &cx,
        "implicit_root",
        &operands,
        Attrs::new(),
        &[
            ("callee", &operands, &|v| vec![solve(v)]),
            ("residual", &[&operands[..], &[sample]].concat(), &|v| vec![residual(&v[..n], &v[n])]),
        ],
    );
    made.into_iter().next().unwrap_or_else(|| cx.poison())
}

/// x with `f(θ, x) = x`, by iteration from `start` until no element changes by more than `tolerance` (or `rounds` are
/// over); differentiated as a root of f(θ, x) − x.
pub fn fixed_point(
    f: impl Fn(&[Var], &Var) -> Var,
    start: &Var,
    theta: &[&Var],
    tolerance: f64,
    rounds: usize,
) -> Var {
    let iterate = |t: &[Var]| {
        let cx = deepest(&t.iter().collect::<Vec<_>>()).innermost();
        let start = cx.import(start).stop_gradient();
        let (left, change) = (cx.scalar(rounds as f64), cx.scalar(f64::INFINITY));
        let last = cx.while_(
            &[&start, &left, &change],
            |c| {
                let more = c[1].gt(&c[1].full_like(0.0));
                more.and(&c[2].gt(&c[2].full_like(tolerance)))
            },
            |c| {
                let x = f(t, &c[0]);
                let gap = (&x - &c[0]).abs();
                let axes: Vec<usize> = (0..gap.ty().rank()).collect();
                let gap = if axes.is_empty() { gap } else { gap.max_over(&axes) };
                vec![x, &c[1] - 1.0, gap.convert(axes::DType::F64)]
            },
        );
        last[0].clone()
    };
    implicit_root(|t, x| f(t, x) - x, iterate, theta)
}

/// The tangent of the root.
pub(crate) fn jvp(n: &NodeCx, given: &[Tangent]) -> Vec<Tangent> {
    let (Some(residual), Some(root)) = (n.attrs.graph("residual"), n.outputs.first()) else {
        return vec![None];
    };
    let theta: Vec<Var> = n.inputs.iter().map(|v| n.cx.variable(v)).collect();
    let operands: Vec<Var> = theta.iter().chain([root]).cloned().collect();
    let r = inline(n, residual, &operands);
    let Some(change) = pushforward(n.cx, &theta, given, &r[..1]).remove(0) else { return vec![None] };
    let at: Vec<Var> = n.inputs.iter().chain([root]).cloned().collect();
    match slope_of(residual) {
        Ok(matvec) => {
            let operands: Vec<Var> = at.into_iter().chain([-change]).collect();
            vec![Some(solved(n.cx, matvec, &operands))]
        }
        Err(e) => {
            n.cx.fail(e);
            vec![None]
        }
    }
}
