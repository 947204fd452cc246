//! What is the same about the graphs of all architectures: the forms they come in, what they take and give, states.

use std::fmt;

use axes::DType;
use furnace::surrogates::Surrogate;
use graph::{Cx, Dim, Graph, GraphError, Var};

use crate::bundle::EmbeddingType;

/// How projections are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Form {
    /// Fake-quantised floats from master weights, as the model is trained and published.
    #[default]
    Float,
    /// Integer products from master weights.
    Integer,
    /// Integer products from prepared trits.
    Prepared,
    /// Integer products from master weights with the derivatives of [`Form::Float`]: the training step.
    Training,
}

/// How keys and values are cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CacheType {
    /// As they are.
    #[default]
    F32,
    /// A quarter: i8 with a scale for each token and head.
    I8,
}

/// What a graph takes and gives.
#[derive(Clone, Copy, Debug, Default)]
pub struct GraphOptions {
    /// How projections are computed.
    pub form: Form,
    /// Takes `attention_mask` f32 [B, T].
    pub mask: bool,
    /// Takes `labels` i64 [B, T] and gives `loss`.
    pub labels: bool,
    /// Takes and gives the states; without, they start at zero. Where they are caches, takes `position` i64 [] too.
    pub states: bool,
    /// Names every inner value that the reference's trace names.
    pub trace: bool,
    /// Gives the logits of the last position alone, [B, V].
    pub last: bool,
    /// How the embedding lies in memory, in the prepared form, and with it a head that is not ternary.
    pub embedding: EmbeddingType,
    /// How keys and values are cached.
    pub cache: CacheType,
    /// How derivatives pass the quantiser of the weights, in the forms that have derivatives (the MatMul-free model only).
    /// One that changes over a run takes `quantizer.knob` f32 [], `lsq` a step `NAME.step` f32 [] for each matrix,
    /// `stochastic` a key `quantizer.key` i64 [] for its noise.
    pub surrogate: Surrogate,
}

/// The size of a state that grows with the text: places of a cache.
pub const PLACES: &str = "S";

/// A state that a graph takes and gives under one name.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Its name.
    pub name: String,
    /// Its sizes without the batch before them; [`PLACES`] where it grows.
    pub shape: Vec<Dim>,
    /// Its element type.
    pub dtype: DType,
}

impl State {
    /// A state of a constant size, f32.
    pub fn fixed(name: String, shape: &[usize]) -> Self {
        Self { name, shape: shape.iter().map(|n| (*n).into()).collect(), dtype: DType::F32 }
    }

    /// Whether it is a cache: its new rows are written in place, and its first axis is as long as the text may become.
    pub fn is_cache(&self) -> bool {
        self.shape.first().is_some_and(|size| size.fixed().is_none())
    }

    /// The sizes for a batch and this many places.
    pub fn sizes(&self, batch: usize, places: usize) -> Vec<usize> {
        let sizes = self.shape.iter().map(|size| size.fixed().unwrap_or(places));
        std::iter::once(batch).chain(sizes).collect()
    }
}

impl fmt::Display for CacheType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::F32 => "f32",
            Self::I8 => "int8",
        })
    }
}

impl std::str::FromStr for CacheType {
    type Err = String;

    /// ```
    /// use models::forms::CacheType;
    /// assert_eq!(CacheType::I8.to_string().parse(), Ok(CacheType::I8));
    /// assert!("int4".parse::<CacheType>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "f32" => Ok(Self::F32),
            "int8" | "i8" => Ok(Self::I8),
            _ => Err(format!(
                "expected a type that keys and values are cached in, f32 or int8, found `{text}`"
            )),
        }
    }
}

/// Ends a graph; without a trace only the hidden states keep their names.
pub(crate) fn finish(cx: Cx, outputs: Vec<(String, Var)>, trace: bool) -> Result<Graph, GraphError> {
    let named: Vec<(&str, &Var)> = outputs.iter().map(|(n, v)| (n.as_str(), v)).collect();
    let mut g = cx.finish(&named)?;
    if !trace {
        g.taps.retain(|t| ["hidden_states.", "block_out."].iter().any(|kept| t.name.starts_with(kept)));
    }
    Ok(g)
}

/// Mean cross entropy of logits (B, T, V) at each position against the next label (B, T); −100 and the last position are
/// left out.
pub(crate) fn loss(logits: &Var, labels: &Var) -> Var {
    let shape = logits.shape();
    let (zero, one) = (Dim::from(0), Dim::from(1));
    let next = labels.slice_axis(1, 1, shape[1].clone());
    let next = next.pad(&[zero.clone(), zero.clone()], &[zero, one], graph::ops::loss::IGNORE as f64);
    let rows = &shape[0] * &shape[1];
    let logits = logits.reshape(&[rows.clone(), shape[2].clone()]);
    logits.cross_entropy(&next.reshape(&[rows]))
}
