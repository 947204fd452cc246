//! Binary linear layers (Wang et al. 2023, "BitNet: Scaling 1-bit Transformers for Large Language Models", arXiv 2310.11453).
//!
//! No code was published with the paper; two forms are known here. The *package* is PyPI's `bitnet` 0.2.5, which others
//! train with: W_q = sign(W − mean W) · mean|W|, sign(0) = 0, and activations x / |x| · K^(−1/2), a norm without weights
//! that is 1/K of the RMS norm, quantised per token as in BitNet b1.58 (127 / max|x|, half to even). The *paper* has a
//! LayerNorm without weights, Q_b = 128, γ = max|x| and sign(0) = −1: y = W_b · Clip(x Q_b / γ, −Q_b + ε, Q_b − ε) · β γ / Q_b
//! with β = mean|W|; its text takes γ over the tensor in training and over each token at inference. γ is that of each
//! token here in every form, since else a token would depend on later ones, and clipped values are rounded, to the range of
//! int8.

use axes::DType;
use graph::Var;

use crate::frame::Quantizer;

/// Which of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BinaryForm {
    /// The common package's.
    #[default]
    Package,
    /// The paper's.
    Paper,
}

/// Q_b of the paper.
const Q_B: f64 = 128.0;
/// eps of the paper's LayerNorm.
const LAYER_NORM_EPS: f64 = 1e-5;
/// The floor under |x| in `torch.nn.functional.normalize`, squared.
const NORMALIZE_EPS: f64 = 1e-24;

impl BinaryForm {
    pub(crate) const NAMES: [(Self, &'static str); 2] = [(Self::Package, "package"), (Self::Paper, "paper")];

    /// The name in `config.json`.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize].1
    }

    /// How weights become signs.
    pub fn quantizer(self) -> Quantizer {
        match self {
            Self::Package => Quantizer::Sign,
            Self::Paper => Quantizer::SignOrMinus,
        }
    }

    /// x (…, K) before it is quantised.
    pub fn norm(self, x: &Var) -> Var {
        let last = x.ty().rank().saturating_sub(1);
        let size = x.shape()[last].clone();
        let k = size.fixed().unwrap_or(1) as f64;
        let weight = |value: f64| x.cx().full(&graph::Type::new(x.dtype(), [size.clone()]), value);
        match self {
            // x / |x| · K^(−1/2) is x / √mean x² / K.
            Self::Package => x.rms_norm(&weight(1.0 / k), NORMALIZE_EPS / k),
            Self::Paper => {
                let centred = x - &x.mean(&[last]).broadcast_last(&size);
                centred.rms_norm(&weight(1.0), LAYER_NORM_EPS)
            }
        }
    }

    /// Normed activations (…, K) in int8, and their scales (…): x ≈ q / s.
    pub fn activations(self, x: &Var) -> (Var, Var) {
        match self {
            Self::Package => x.quantize_activations("half_even"),
            Self::Paper => {
                let last = x.ty().rank().saturating_sub(1);
                let scale = Self::paper_scale(&x.abs().max_over(&[last]));
                let scaled = x * &scale.broadcast_last(&x.shape()[last]);
                (scaled.round_half_even().clamp(-Q_B, Q_B - 1.0).convert(DType::I8), scale)
            }
        }
    }

    /// Q_b / γ.
    pub fn paper_scale(gamma: &Var) -> Var {
        Q_B / gamma.max(&gamma.full_like(graph::ops::quantize::FLOOR))
    }
}
