//! The configuration: arguments of the published constructors.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::S5Layer;
use crate::config::{MAX_LAYERS, MAX_VOCAB, MAX_WIDTH, Parsed};
use crate::encoder::Shell;
use crate::error::Result;
use crate::frame::LinearKind;
use crate::json::Fields;
use crate::mega::config::{choice, rest};
use crate::s4::Discretization;

/// What follows the state-space model in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum S5Activation {
    /// W₁g ⊙ σ(W₂g) of g = gelu(y).
    FullGlu,
    /// g ⊙ σ(W₂g).
    HalfGlu1,
    /// y ⊙ σ(W₂g).
    HalfGlu2,
    /// g.
    Gelu,
}

/// A stack of S5 layers behind an encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct S5Config {
    /// The layer.
    pub layer: S5Layer,
    /// Layers.
    pub n_layers: usize,
    /// Norm before the state-space model, else after the residual.
    pub prenorm: bool,
    /// Inputs and outputs.
    pub shell: Shell,
    /// What projections are.
    pub linear: LinearKind,
    /// Every other key of the file, written back as it was.
    pub extra: Map<String, Value>,
}

const READ: &[&str] = &[
    "C_init",
    "P",
    "activation",
    "bidirectional",
    "blocks",
    "clip_eigs",
    "conj_sym",
    "d_input",
    "d_model",
    "d_output",
    "discretization",
    "dt_max",
    "dt_min",
    "linear",
    "n_layers",
    "prenorm",
    "ssm_size",
    "step_rescale",
    "vocab_size",
];

/// Keys of how golden cases were made, and one that has one value here.
const KEPT: &[&str] = &["B", "L", "batchnorm", "seed"];

const ACTIVATIONS: [(S5Activation, &str); 4] = [
    (S5Activation::FullGlu, "full_glu"),
    (S5Activation::HalfGlu1, "half_glu1"),
    (S5Activation::HalfGlu2, "half_glu2"),
    (S5Activation::Gelu, "gelu"),
];
const DISCRETIZATIONS: [(Discretization, &str); 2] =
    [(Discretization::Zoh, "zoh"), (Discretization::Bilinear, "bilinear")];
const READOUTS: [(&str, &str); 3] = [
    ("trunc_standard_normal", "trunc_standard_normal"),
    ("lecun_normal", "lecun_normal"),
    ("complex_normal", "complex_normal"),
];

impl S5Config {
    /// `model_type` in `config.json`.
    pub const MODEL_TYPE: &'static str = "s5";

    /// Reads a `config.json`; `path` is named in errors and warnings.
    ///
    /// # Errors
    /// [`ModelError::Field`](crate::ModelError::Field) for values of the wrong kind or size, or that contradict one another,
    /// and for batch norms.
    pub fn from_json(path: &Path, value: &Value) -> Result<Parsed<Self>> {
        let fields = Fields::new(path, value)?;
        let mut warnings = vec![];
        if fields.flag("batchnorm", false)? {
            return Err(fields.fault("batchnorm", "false: the statistics of batch norms are not had here"));
        }
        let extra = rest(path, &fields, Self::MODEL_TYPE, READ, KEPT, &mut warnings)?;
        let d_model = fields.size("d_model", 64, MAX_WIDTH)?;
        let ssm_size = fields.size("ssm_size", 64, MAX_WIDTH)?;
        let blocks = fields.size("blocks", 1, MAX_WIDTH)?;
        let conj_sym = fields.flag("conj_sym", true)?;
        let each = ssm_size / blocks;
        if !ssm_size.is_multiple_of(blocks) || !each.is_multiple_of(2) {
            return Err(fields
                .fault("blocks", format!("a divisor of ssm_size = {ssm_size} that leaves an even size")));
        }
        let states = if conj_sym { ssm_size / 2 } else { ssm_size };
        if fields.size("P", states, MAX_WIDTH)? != states {
            return Err(fields.fault("P", format!("{states}, as ssm_size and conj_sym say")));
        }
        let layer = S5Layer {
            d_model,
            states,
            blocks,
            conj_sym,
            clip_eigs: fields.flag("clip_eigs", false)?,
            bidirectional: fields.flag("bidirectional", false)?,
            discretization: choice(&fields, "discretization", "zoh", &DISCRETIZATIONS)?,
            activation: choice(&fields, "activation", "gelu", &ACTIVATIONS)?,
            readout: choice(&fields, "C_init", "trunc_standard_normal", &READOUTS)?,
            dt_min: fields.real("dt_min", 0.001, 0.0, 1e3)?,
            dt_max: fields.real("dt_max", 0.1, 0.0, 1e3)?,
            step_rescale: fields.real("step_rescale", 1.0, 0.0, 1e6)?,
        };
        let shell = Shell {
            inputs: Some(fields.size("d_input", 1, MAX_WIDTH)?),
            vocabulary: fields.optional_size("vocab_size", MAX_VOCAB)?,
            width: d_model,
            classes: fields.optional_size("d_output", MAX_VOCAB)?,
            flax: true,
        };
        let config = Self {
            layer,
            n_layers: fields.size("n_layers", 1, MAX_LAYERS)?,
            prenorm: fields.flag("prenorm", false)?,
            shell,
            linear: choice(&fields, "linear", "full", &LinearKind::NAMES)?,
            extra,
        };
        Ok(Parsed { config, warnings })
    }

    /// The `config.json` of it.
    pub fn to_json(&self) -> Value {
        fn name<T: PartialEq>(names: &[(T, &'static str)], value: T) -> &'static str {
            names.iter().find(|(v, _)| *v == value).map_or("", |(_, name)| name)
        }
        let l = &self.layer;
        let mut value = json!({
            "model_type": Self::MODEL_TYPE,
            "d_model": l.d_model,
            "d_input": self.shell.inputs,
            "ssm_size": l.size(),
            "P": l.states,
            "blocks": l.blocks,
            "conj_sym": l.conj_sym,
            "clip_eigs": l.clip_eigs,
            "bidirectional": l.bidirectional,
            "discretization": name(&DISCRETIZATIONS, l.discretization),
            "activation": name(&ACTIVATIONS, l.activation),
            "C_init": l.readout,
            "dt_min": l.dt_min,
            "dt_max": l.dt_max,
            "step_rescale": l.step_rescale,
            "prenorm": self.prenorm,
            "n_layers": self.n_layers,
        });
        for (key, size) in [("d_output", self.shell.classes), ("vocab_size", self.shell.vocabulary)] {
            if let Some(size) = size {
                value[key] = size.into();
            }
        }
        if self.linear != LinearKind::Full {
            value["linear"] = self.linear.name().into();
        }
        for (key, content) in &self.extra {
            value[key] = content.clone();
        }
        value.sort_all_objects();
        value
    }
}
