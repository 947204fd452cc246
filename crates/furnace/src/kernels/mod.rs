//! Derivatives of plain Rust functions over a generic scalar: loops, `match`, indices, whatever the function does.
//!
//! A kernel written as `fn f<S: Scalar>(x: &[S]) -> Vec<S>` runs in any arithmetic, and two of them differentiate it:
//! [`Dual`] carries a tangent along (forward mode, [`diff`] and [`jvp`]), [`Sym`] writes down what is computed as a graph
//! (reverse mode, [`grad`] and [`vjp`]; [`trace`] gives the graph itself). The derivative does what the function did: of a sum
//! of selected inputs it is a sum of selected cotangents, without one multiplication.
//!
//! ```
//! use furnace::kernels::{Operations, count, grad, jvp};
//! use graph::Scalar;
//!
//! /// A row of a ternary matrix times x: two bits a weight, 1 adds, 2 subtracts, 0 skips.
//! fn accumulate<S: Scalar>(codes: &[u8], x: &[S]) -> S {
//!     let mut sum = S::from_f64(0.0);
//!     for (i, x) in x.iter().enumerate() {
//!         match codes[i / 4] >> (i % 4 * 2) & 3 {
//!             1 => sum = sum + x.clone(),
//!             2 => sum = sum - x.clone(),
//!             _ => {}
//!         }
//!     }
//!     sum
//! }
//!
//! let codes = [0b10_01_00_01];
//! let (y, slope) = grad(|x| accumulate(&codes, x), &[1.0, 2.0, 3.0, 4.0])?;
//! assert_eq!((y, slope), (0.0, vec![1.0, 0.0, 1.0, -1.0]));
//!
//! let ((_, tangent), work) = count(|x| jvp(|x| vec![accumulate(&codes, x)], x, x), &[1.0, 2.0, 3.0, 4.0]);
//! assert_eq!(tangent[0].value(), 0.0);
//! assert_eq!(work, Operations { additions: 6, ..Operations::default() });
//! # Ok::<(), furnace::FurnaceError>(())
//! ```
//!
//! A closure around a generic function takes its type from where it is passed, so no trait has to be implemented. A trace
//! follows the branches that the given point takes, as every derivative of the crate does; trace again where they may
//! change.

mod counted;
mod sym;

pub use counted::{Counted, Operations, count};
pub use sym::Sym;

use crate::{Remat, Result, vjp_graph};
use graph::{Array, Cx, Dual, Graph, Named, Op, Scalar, interp, passes};

/// The derivative of a function of one number.
///
/// ```
/// use furnace::kernels::diff;
/// use graph::Scalar;
///
/// fn power<S: Scalar>(x: S) -> S {
///     let mut y = S::from_f64(1.0);
///     for _ in 0..5 {
///         y = y * x.clone();
///     }
///     y
/// }
/// assert_eq!(diff(power)(2.0f64), 80.0);
/// // The scalar can be a dual itself: the second derivative.
/// assert_eq!(diff(diff(power))(2.0f64), 160.0);
/// ```
pub fn diff<S: Scalar>(f: impl Fn(Dual<S>) -> Dual<S>) -> impl Fn(S) -> S {
    move |x| f(Dual { value: x, tangent: S::from_f64(1.0) }).tangent
}

/// Values of a function and their derivatives along `t`, in any arithmetic.
pub fn jvp<S: Scalar>(f: impl Fn(&[Dual<S>]) -> Vec<Dual<S>>, x: &[S], t: &[S]) -> (Vec<S>, Vec<S>) {
    let along: Vec<Dual<S>> =
        x.iter().zip(t).map(|(x, t)| Dual { value: x.clone(), tangent: t.clone() }).collect();
    f(&along).into_iter().map(|y| (y.value, y.tangent)).unzip()
}

/// The graph of what a function does at `x`: inputs `x.0`, `x.1`, …, outputs `y.0`, `y.1`, ….
///
/// # Errors
/// An op that could not be traced.
pub fn trace(f: impl Fn(&[Sym]) -> Vec<Sym>, x: &[f64]) -> Result<Graph> {
    let cx = Cx::eager();
    let inputs: Vec<graph::Var> = x.iter().map(|x| cx.variable(&cx.scalar(*x))).collect();
    let symbols: Vec<Sym> = inputs.iter().map(|v| Sym::of(v.clone())).collect();
    let outputs: Vec<graph::Var> = f(&symbols).iter().map(|y| y.var_in(&cx)).collect();
    let names: Vec<String> = (0..outputs.len()).map(|i| format!("y.{i}")).collect();
    let ids: Vec<graph::Value> = inputs.iter().map(graph::Var::id).collect();
    let named: Vec<(&str, &graph::Var)> = names.iter().map(String::as_str).zip(&outputs).collect();
    let mut g = cx.finish(&named)?;
    // The variables were numbers while the function ran; from here on they are inputs.
    for (i, id) in ids.into_iter().enumerate() {
        let node = &mut g.nodes[id.node as usize];
        (node.op, node.attrs, node.inputs) = (Op::Input, graph::Attrs::new(), vec![]);
        g.inputs.push(Named { name: format!("x.{i}"), value: id });
    }
    Ok(passes::dead_code(&g))
}

/// The graph of values and pulled-back cotangents: further inputs `cotangent.y.0`, …, further outputs
/// `cotangent.x.0`, …. It can be evaluated in any arithmetic, printed, compiled.
pub fn vjp(f: impl Fn(&[Sym]) -> Vec<Sym>, x: &[f64]) -> Result<Graph> {
    let g = trace(f, x)?;
    let names: Vec<String> = g.inputs.iter().map(|i| i.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Ok(passes::dead_code(&vjp_graph(&g, &names, Remat::default())?))
}

/// The value of a function with one result, and its derivative with respect to every input, by reverse mode: for a
/// function of many inputs the work of a few evaluations, not of one for each.
pub fn grad(f: impl Fn(&[Sym]) -> Sym, x: &[f64]) -> Result<(f64, Vec<f64>)> {
    let g = vjp(|x| vec![f(x)], x)?;
    let number = |x: f64| Array::<f64>::from_f64(axes::DType::F64, [], &[x]);
    let inputs: Vec<_> = x.iter().map(|x| number(*x)).chain([number(1.0)]).collect();
    let found = interp::run(&g, inputs, false)?;
    let mut values = found.outputs.iter().flat_map(|(_, a)| a.to_f64());
    Ok((values.next().unwrap_or(f64::NAN), values.collect()))
}
