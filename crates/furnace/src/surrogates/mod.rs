//! Surrogates: ways to take derivatives through a quantiser, each of which nests.
//!
//! Ternary weights are `Q(w) = t / s` with `t = clamp(round(v), −1, 1)`, `v = w s` and `s = 1 / mean|w|`. `Q` is constant
//! almost everywhere, so its derivative says nothing. A surrogate keeps a value for the forward pass and takes every
//! derivative, of any order and in either mode, from a stand-in `S` ([`graph::Var::surrogate`]): the derivative of a sum
//! of products of surrogates is the sum of products that calculus gives for the stand-ins.
//!
//! [`Surrogate::entry`] has one row for each, with equation and source. What changes over a run (λ of a ramp,
//! a temperature) is one number, the knob, which the caller hands in, so that a compiled step takes it as an input.
//! Scales are constants to every derivative, as in BitNet b1.58 (Ma et al. 2024), except for the learned step of LSQ.
//!
//! A caution that belongs here: "Custom gradient estimators are straight-through estimators in disguise" (Schoenbauer et
//! al. 2024) shows that at small learning rates the estimators that keep the value of `Q` train alike after a change of
//! initial weights and learning rate. Gains are to be looked for where the forward changes, and measured.
//!
//! ```
//! use furnace::{grad, surrogates::{Given, Surrogate}};
//! use graph::{Cx, Var};
//! use axes::DType;
//!
//! let w = Cx::eager().array(DType::F64, &[4], &[-2.4, -0.1, 0.6, 0.9]); // mean |w| = 1
//! let loss = |w: &Var| Surrogate::Clipped.quantise(w, &Given::default()).weight.sum_all();
//! assert_eq!(loss(&w).val(), 1.0); // −1 + 0 + 1 + 1
//! assert_eq!(grad(loss)(&w).array()?.to_f64(), [0.0, 1.0, 1.0, 1.0]);
//! assert!("stee".parse::<Surrogate>().unwrap_err().to_string().contains("ste, clipped"));
//! # Ok::<(), graph::GraphError>(())
//! ```

mod rules;
mod table;

pub use rules::{Given, Quantised, uniform};
pub use table::{Curve, Entry, Knob, Range, Surrogate};
