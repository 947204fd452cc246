//! Furnace: differentiation of plain closures and of graphs, to any order.
//!
//! A derivative is built as graph, from rules in the op table, so it can be differentiated again; in an eager trace
//! every node also carries its value, so that Rust's own `if` and loops work inside any nesting.
//!
//! ```
//! use furnace::grad;
//! use graph::{Cx, Var};
//!
//! // The activation 0.1 (e^x - 1) for x < 0, x / (1 + x) otherwise.
//! let f = |x: &Var| if x.val() < 0.0 { (x.exp() - 1.0) * 0.1 } else { x / &(x + 1.0) };
//! let third = grad(grad(grad(f)));
//! let x = Cx::eager().scalar(0.1);
//! assert!((third(&x).val() - 4.098080732190423).abs() < 1e-12);
//! ```
//!
//! * Reverse mode is linearisation followed by transposition (Frostig et al. 2021, "Decomposing reverse-mode
//!   automatic differentiation"), node by node; ops with a fused backward offer it as a shortcut (`OpDef::vjp`).
//! * Quantisers have the derivative of a stand-in ([`graph::Var::surrogate`]), of which [`surrogates`] has a table; rules
//!   that are not derivatives are in [`transformations`] and refuse to nest.
//! * `scan` is differentiated by a scan the other way, with memory chosen by [`Remat`].

mod batch;
mod batch_control;
mod closures;
mod control;
mod custom;
mod derivative;
mod error;
mod forward;
mod graphs;
mod implicit;
mod jet;
mod jet_control;
pub mod kernels;
mod laplacian;
mod linear;
mod linear_solve;
pub mod numerical;
pub mod precision;
mod reverse;
pub mod surrogates;
pub mod symbolic;
mod trace;
pub mod transformations;
pub mod typed;

pub use batch::{map, vmap, vmap_axes};
pub use closures::{
    curl, curl_divergence, diff, diff2, diffn, divergence, grad, grad_and_hessian, grad_and_laplacian,
    grad_hvp, grads, hessian, hvp, jacobian, jvp, laplacian, value_and_curl, value_and_curl_divergence,
    value_and_derivatives, value_and_diff, value_and_diff2, value_and_diffn, value_and_divergence,
    value_and_grad, value_and_hessian, value_and_hvp, value_and_jacobian, value_and_laplacian,
    value_grad_and_hessian, value_grad_and_hvp, vjp,
};
pub use custom::{checkpoint, custom_jvp, custom_vjp, stop_gradient};
pub use error::{FurnaceError, Result};
pub use forward::pushforward;
pub use graphs::{
    curl_divergence_graph, diffn_graph, divergence_graph, grad_graph, hessian_graph, hvp_graph,
    jacobian_graph, jvp_graph, laplacian_graph, vjp_graph, vmap_graph,
};
pub use implicit::{fixed_point, implicit_root};
pub use jet::jet;
pub use linear::{linear_transpose, linearize};
pub use linear_solve::{custom_linear_solve, linear_solve};
pub use reverse::pullback;

/// What the backward pass of a `scan` keeps of the forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Remat {
    /// The carried values of every step; the rest of a step is computed again. Memory O(T), work of one more forward.
    #[default]
    Carries,
    /// The carried values of every √T-th step; the others are computed again a chunk at a time. Memory O(√T), work of
    /// two more forwards.
    Sqrt,
    /// The carried values of every k-th step.
    Every(usize),
}
