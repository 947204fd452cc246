//! The mixers that a hybrid may have: one line each.

use std::sync::Arc;

use crate::article::SimplifiedSsm;
use crate::config::MAX_WIDTH;
use crate::error::Result;
use crate::frame::Mixer;
use crate::json::Fields;
use crate::linear_attention::SoftmaxFree;
use crate::linear_attention::mixer::SHORT;
use crate::matmulfree::MlgruMixer;
use crate::performer::{Favor, Features, Stabilizer};
use crate::transformer::SoftmaxAttention;

/// A mixer that models on several threads share.
pub type Shared = Arc<dyn Mixer + Send + Sync>;

/// What every mixer of a hybrid is told.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Width of the residual stream, D.
    pub hidden: usize,
    /// Heads.
    pub heads: usize,
    /// eps of norms.
    pub eps: f64,
}

/// A line of the table.
pub struct Entry {
    /// The name in `blocks` and in `mixers`.
    pub name: &'static str,
    /// Makes it; the fields are its own, of `mixers`.
    pub make: fn(Sizes, &Fields<'_>) -> Result<Shared>,
}

/// Every mixer.
pub static MIXERS: &[Entry] = &[
    Entry { name: "attention", make: attention },
    Entry { name: "linear_attention", make: linear_attention },
    Entry { name: "mlgru", make: |s, _| Ok(Arc::new(MlgruMixer { hidden: s.hidden, eps: s.eps })) },
    Entry { name: "performer", make: performer },
    Entry { name: "ssm", make: ssm },
];

fn attention(s: Sizes, own: &Fields<'_>) -> Result<Shared> {
    let theta = own.real("rope_theta", 10_000.0, 0.0, 1e12)?;
    Ok(Arc::new(SoftmaxAttention { hidden: s.hidden, heads: s.heads, theta }))
}

fn linear_attention(s: Sizes, own: &Fields<'_>) -> Result<Shared> {
    let eps = own.real("eps", 1e-6, 0.0, 1.0)?;
    let Sizes { hidden, heads, .. } = s;
    Ok(Arc::new(SoftmaxFree { hidden, heads, eps, causal: true, bias: false, names: SHORT }))
}

/// Its stabiliser is the running one, since a hybrid has no reference that looks ahead.
fn performer(s: Sizes, own: &Fields<'_>) -> Result<Shared> {
    let Sizes { hidden, heads, .. } = s;
    let width = own.size("dim_head", (hidden / heads).max(1), MAX_WIDTH)?;
    let features = own.size("nb_features", Favor::default_features(width), MAX_WIDTH)?;
    let relu = own.flag("generalized_attention", false)?;
    let kind = if relu { Features::Relu } else { Features::Softmax };
    let stabilizer = Stabilizer::Running;
    Ok(Arc::new(Favor { hidden, heads, width, features, kind, stabilizer, causal: true }))
}

fn ssm(s: Sizes, own: &Fields<'_>) -> Result<Shared> {
    let states = own.size("state_size", 16, 1 << 10)?;
    Ok(Arc::new(SimplifiedSsm { hidden: s.hidden, states }))
}
