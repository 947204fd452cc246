//! The configuration: `MambaConfig` of the `transformers` library.

use std::path::Path;

use serde_json::{Value, json};

use super::backbone::{Backbone, backbone_answers};
use super::{Keys, MambaMixer};
use crate::architecture::Architecture;
use crate::config::{MAX_WIDTH, Parsed, whole};
use crate::error::Result;
use crate::json::Fields;

/// Keys that [`MambaConfig`] reads beside the shared ones, or that concern only how the published code computes.
const READ: &[&str] =
    &["time_step_init_scheme", "time_step_rank", "time_step_scale", "use_associative_scan", "use_mambapy"];

/// `MambaConfig` of the published code.
#[derive(Debug, Clone, PartialEq)]
pub struct MambaConfig {
    /// What Mamba-2 has too.
    pub keys: Keys,
    /// Rank of the step sizes, R; ⌈d / 16⌉ where the file says "auto".
    pub time_step_rank: usize,
    /// Scales the first values of `dt_proj.weight`.
    pub time_step_scale: f64,
}

impl Default for MambaConfig {
    /// The library's defaults.
    fn default() -> Self {
        let keys = Keys::new("MambaForCausalLM");
        Self { time_step_rank: keys.hidden_size.div_ceil(16), time_step_scale: 1.0, keys }
    }
}

impl MambaConfig {
    /// `model_type` of the published models.
    pub const MODEL_TYPE: &'static str = "mamba";

    /// Reads a `config.json`; `path` is named in errors and warnings.
    ///
    /// # Errors
    /// [`ModelError::Field`](crate::ModelError::Field) for a value of the wrong kind or size, for values that contradict one
    /// another, and for a key that changes the mathematics.
    ///
    /// ```
    /// use models::mamba::MambaConfig;
    /// let value = serde_json::json!({"model_type": "mamba", "hidden_size": 768, "time_step_rank": "auto"});
    /// let config = MambaConfig::from_json("config.json".as_ref(), &value)?.config;
    /// assert_eq!((config.time_step_rank, config.keys.inner()), (48, 1536));
    /// # Ok::<(), models::ModelError>(())
    /// ```
    pub fn from_json(path: &Path, value: &Value) -> Result<Parsed<Self>> {
        let (fields, mut warnings) = (Fields::new(path, value)?, vec![]);
        let ours = Self::default();
        let keys = Keys::read(path, value, Self::MODEL_TYPE, READ, ours.keys, &mut warnings)?;
        let auto = fields.get("time_step_rank").is_none_or(|rank| rank == "auto");
        let rank = keys.hidden_size.div_ceil(16);
        let config = Self {
            time_step_rank: if auto { rank } else { fields.size("time_step_rank", rank, MAX_WIDTH)? },
            time_step_scale: fields.real("time_step_scale", ours.time_step_scale, 0.0, 1e6)?,
            keys,
        };
        config.validate(path)?;
        Ok(Parsed { config, warnings })
    }

    /// Checks what no single field shows; call it on a configuration that was not read from a file.
    ///
    /// # Errors
    /// [`ModelError::Field`](crate::ModelError::Field) for sizes that are zero or make no model that fits a computer.
    pub fn validate(&self, path: &Path) -> Result<()> {
        self.keys.validate(path, || self.parameter_count())
    }

    /// The `config.json` that `transformers` writes for it.
    pub fn to_json(&self) -> Value {
        let own = json!({
            "intermediate_size": self.keys.inner(),
            "time_step_rank": self.time_step_rank,
            "time_step_scale": whole(self.time_step_scale),
        });
        self.keys.write(Self::MODEL_TYPE, own)
    }

    /// The mixer of each block.
    pub fn mixer(&self) -> MambaMixer {
        let keys = &self.keys;
        MambaMixer {
            hidden: keys.hidden_size,
            inner: keys.inner(),
            states: keys.state_size,
            rank: self.time_step_rank,
            taps: keys.conv_kernel,
            bias: keys.use_bias,
            conv_bias: keys.use_conv_bias,
            steps: [keys.time_step_min, keys.time_step_max, keys.time_step_floor],
            step_scale: self.time_step_scale,
            out_divisor: keys.out_divisor(),
        }
    }
}

impl Architecture for MambaConfig {
    backbone_answers!();
}
