//! Gradient transformations: backward rules through a quantiser that are not derivatives.
//!
//! A derivative's backward map is linear in the cotangent. EWGS and the adaptive gradient scaling of the MatMul-free line
//! of work are not, so there is no function whose derivative they are, no forward mode, and no derivative of what they
//! give. They say so: [`Transformation::quantise`] allows one reverse-mode gradient, and its result, like that of
//! [`Transformation::apply`], refuses to be differentiated ([`crate::FurnaceError::NotADerivative`]). For nested
//! derivatives there are [`crate::surrogates`].
//!
//! **Adaptive gradient scaling.** As published, the rule is g' = sign(g) · max(|g|, θ) with the quantiser's threshold θ,
//! meant to let small gradients move a weight over its threshold. It compares a gradient with a weight, so it depends on
//! the scale of the loss; it has no fixed point, since every small gradient becomes ±θ; and it is 0 · ∞ at 0. Three
//! forms:
//!
//! * **ags-literal**: the rule with 0 at 0, for ablation. Descent with it does not converge.
//! * **ags-bounded**: g' = sign(g) · max(|g|, min(G|g|, τ)), τ = d / (η N), with d the distance of the weight to its
//!   nearest threshold, η the learning rate, N a number of steps. τ has the unit of a gradient: g = τ carries the weight
//!   over its threshold in N steps of gradient descent. The gain is at most G, so fixed points stay; G → ∞ gives a
//!   literal rule with the floor τ.
//! * **ags-flip-rate** ([`FlipRate`]): the direction u of the optimiser stays, its length follows the share of trits that
//!   flip: w ← w − η u, η = clip(κ Δ / RMS(u), η_min, η_max), Δ = 1/s the quantiser's step, and κ ← κ exp(γ clip((ρ* − ρ)
//!   / ρ*, −1, 1)) for the measured rate ρ and the wanted one ρ*. Invariant to the scale of the loss.
//!
//! ```
//! use furnace::{FurnaceError, grad, transformations::Transformation};
//! use graph::{Cx, Var};
//! use axes::DType;
//!
//! let cx = Cx::eager();
//! let w = cx.array(DType::F64, &[2], &[0.6, 1.4]); // mean |w| = 1, trits 1 and 1
//! let ewgs = Transformation::Ewgs { delta: 0.5 };
//! let loss = |w: &Var| ewgs.quantise(w).sum_all();
//! assert_eq!(grad(loss)(&w).array()?.to_f64(), [0.8, 1.2]); // 1 + 0.5 (v − t)
//! let _ = grad(|w: &Var| grad(loss)(w).sum_all())(&w);
//! let refused = FurnaceError::from(cx.error().unwrap());
//! assert!(refused.to_string().contains("`ewgs` is a gradient transformation, not a derivative"));
//! # Ok::<(), graph::GraphError>(())
//! ```

mod flip_rate;
mod rules;

pub use flip_rate::FlipRate;
pub(crate) use rules::vjp;
pub use rules::{TRANSFORMATIONS, Transformation, TransformationEntry};
