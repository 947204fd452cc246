//! Optimisers as graph: the same few lines are the update inside the compiled training step and, on eager values, a
//! function that can itself be differentiated.
//!
//! With p the weights, g the gradient, η the learning rate, λ the weight decay (decoupled: p ← p (1 − ηλ) first, except
//! for `adam`), t the number of the update from 1:
//!
//! | rule | update | source |
//! |---|---|---|
//! | `sgd` | b ← μ b + g; p ← p − η (g + μ b with Nesterov, else b) | Sutskever et al. 2013, in PyTorch's form |
//! | `adam` | as `adamw`, with λ p added to g instead of the decay | Kingma and Ba 2014 |
//! | `adamw` | m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; p ← p − η m̂ / (√v̂ + ε) | Loshchilov and Hutter 2017 |
//! | `lion` | p ← p − η sign(β₁ m + (1 − β₁) g); m ← β₂ m + (1 − β₂) g | Chen et al. 2023, arXiv 2302.06675 |
//! | `muon` | b ← μ b + g; p ← p − 0.2 η √max(rows, columns) NS₅(g + μ b) | Jordan et al. 2024; scale of Liu et al. 2025, arXiv 2502.16982 |
//! | `bop` | m ← (1 − γ) m + γ g; a trit goes one level against m where \|m\| ≥ τ | Helwegen et al. 2019, arXiv 1906.02107, for three levels |
//! | `schedule-free` | z ← z − η ĝ / (√v̂ + ε); x ← (1 − c) x + c z, c = η² / Σ η²; gradients at (1 − β₁) z + β₁ x | Defazio et al. 2024, arXiv 2405.15682 |
//!
//! `muon` is for the matrices of the blocks and `bop` for ternary matrices; [`Optimizer::rule`] gives the other
//! parameters AdamW with the same rates. The weights of `schedule-free` are the averages x, which is what is evaluated
//! and exported. A rule's state is a list of [`Slot`]s, which checkpoints hold by name.
//!
//! To differentiate through training there are [`Flat`] (parameters as one vector) and [`unroll`]; [`reversible`] runs
//! momentum descent back to where it began, bit for bit.

mod assign;
mod matrix;
pub mod reversible;
mod rules;
mod unroll;

pub use assign::Optimizer;
pub use matrix::{newton_schulz, ternary_bop};
pub use rules::{Init, Rates, Rule, Slot, Updated};
pub use unroll::{Flat, unroll};
