//! The mixers that a hybrid may have: one line each.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::article::SimplifiedSsm;
use crate::config::{MAX_WIDTH, Parsed};
use crate::error::Result;
use crate::frame::Mixer;
use crate::json::Fields;
use crate::linear_attention::SoftmaxFree;
use crate::linear_attention::mixer::SHORT;
use crate::mamba::MambaConfig;
use crate::mamba2::Mamba2Config;
use crate::matmulfree::MlgruMixer;
use crate::performer::{Favor, Features, Stabilizer};
use crate::s4::S4Config;
use crate::s5::S5Config;
use crate::transformer::SoftmaxAttention;
use crate::xlstm::XlstmConfig;
use crate::xlstm_orig::XlstmOrigConfig;

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
    Entry { name: "mamba", make: mamba },
    Entry { name: "mamba2", make: mamba2 },
    Entry { name: "mlgru", make: |s, _| Ok(Arc::new(MlgruMixer { hidden: s.hidden, eps: s.eps })) },
    Entry { name: "mlstm", make: mlstm },
    Entry { name: "performer", make: performer },
    Entry { name: "s4d", make: s4d },
    Entry { name: "s5", make: s5 },
    Entry { name: "slstm", make: slstm },
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

/// Reads an architecture's own configuration of these sizes and of what `mixers` says of it.
fn of<C>(own: &Fields<'_>, sizes: Value, read: impl Fn(&Path, &Value) -> Result<Parsed<C>>) -> Result<C> {
    let mut keys = sizes;
    if let Some(keys) = keys.as_object_mut() {
        keys.extend(own.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    Ok(read(own.path(), &keys)?.config)
}

fn mamba(s: Sizes, own: &Fields<'_>) -> Result<Shared> {
    let sizes = json!({"model_type": "mamba", "hidden_size": s.hidden, "time_step_rank": "auto"});
    Ok(Arc::new(of(own, sizes, MambaConfig::from_json)?.mixer()))
}

fn mamba2(s: Sizes, own: &Fields<'_>) -> Result<Shared> {
    let (inner, heads) = (2 * s.hidden, s.heads.max(1));
    let sizes = json!({
        "model_type": "mamba2", "hidden_size": s.hidden, "num_heads": heads, "head_dim": inner / heads,
        "n_groups": 1, "state_size": 64,
    });
    Ok(Arc::new(of(own, sizes, Mamba2Config::from_json)?.mixer()))
}

fn mlstm(s: Sizes, own: &Fields<'_>) -> Result<Shared> {
    let sizes =
        json!({"model_type": "xlstm", "embedding_dim": s.hidden, "num_heads": s.heads, "num_blocks": 1});
    Ok(Arc::new(of(own, sizes, XlstmConfig::from_json)?.mixer()))
}

fn slstm(s: Sizes, own: &Fields<'_>) -> Result<Shared> {
    let sizes = json!({
        "model_type": "xlstm_orig", "embedding_dim": s.hidden, "num_heads": s.heads, "num_blocks": 1, "slstm_at": [0],
    });
    Ok(Arc::new(of(own, sizes, XlstmOrigConfig::from_json)?.scalar(0)))
}

fn s4d(s: Sizes, own: &Fields<'_>) -> Result<Shared> {
    let sizes = json!({"model_type": "s4d", "d_model": s.hidden, "d_state": 64});
    Ok(Arc::new(of(own, sizes, S4Config::from_json)?.block))
}

fn s5(s: Sizes, own: &Fields<'_>) -> Result<Shared> {
    let sizes = json!({
        "model_type": "s5", "d_model": s.hidden, "ssm_size": 64, "blocks": 1, "activation": "half_glu1",
    });
    Ok(Arc::new(of(own, sizes, S5Config::from_json)?.layer))
}

fn ssm(s: Sizes, own: &Fields<'_>) -> Result<Shared> {
    let states = own.size("state_size", 16, 1 << 10)?;
    Ok(Arc::new(SimplifiedSsm { hidden: s.hidden, states }))
}
