//! The layout of the authors' own checkpoints (`state-spaces/mamba-130m`, `state-spaces/mamba2-130m` and the like): a
//! `config.json` of {d_model, n_layer, ssm_cfg, …} and a `pytorch_model.bin`.
//!
//! It is read as the layout of `transformers`: [`config`] translates the one, [`name`] the names of the other.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{MambaConfig, backbone::EMBEDDING};
use crate::error::Result;
use crate::json::Fields;
use crate::mamba2::Mamba2Config;

/// Whether a `config.json` is one of that layout.
pub fn is_original(value: &Value) -> bool {
    let has = |key: &str| value.get(key).is_some();
    !has("model_type") && has("d_model") && has("n_layer")
}

/// The name in the layout of `transformers` of a tensor.
pub fn name(original: &str) -> &str {
    match original {
        "backbone.embedding.weight" => EMBEDDING,
        other => other,
    }
}

const READ: &[&str] = &[
    "attn_cfg",
    "attn_layer_idx",
    "d_intermediate",
    "d_model",
    "fused_add_norm",
    "n_layer",
    "pad_vocab_size_multiple",
    "residual_in_fp32",
    "rms_norm",
    "ssm_cfg",
    "tie_embeddings",
    "vocab_size",
];

/// The `config.json` of `transformers` that says the same. Token ids are those of GPT-NeoX's vocabulary, which all published
/// ones use.
///
/// # Errors
/// [`ModelError::Field`](crate::ModelError::Field) for what the published code has and this does not: layers of attention,
/// channel mixers, LayerNorm, other keys in `ssm_cfg` than sizes and first values.
pub fn config(path: &Path, value: &Value) -> Result<Value> {
    let fields = Fields::new(path, value)?;
    for (key, content) in fields.iter() {
        let empty = match content {
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Number(n) => n.as_f64() == Some(0.0),
            _ => content.is_null(),
        };
        match key.as_str() {
            "attn_cfg" | "attn_layer_idx" | "d_intermediate" if !empty => {
                return Err(fields.fault(key, "nothing: blocks of another kind than Mamba's are not read"));
            }
            key if READ.contains(&key) || key.starts_with('_') => {}
            _ => return Err(fields.fault(key, format!("one of {}", READ.join(", ")))),
        }
    }
    if !fields.flag("rms_norm", true)? {
        return Err(fields.fault("rms_norm", "true"));
    }
    let none = Value::Object(Map::new());
    let ssm = Fields::new(path, fields.get("ssm_cfg").unwrap_or(&none))?;
    let layer = ssm.text("layer", "Mamba1")?;
    let second = match layer {
        "Mamba1" => false,
        "Mamba2" => true,
        _ => return Err(ssm.fault("layer", "\"Mamba1\" or \"Mamba2\"")),
    };
    let limit = 1 << 24;
    let multiple = fields.size("pad_vocab_size_multiple", 8, 1 << 16)?;
    let width = fields.size("d_model", 2560, limit)?;
    let mut made = json!({
        "model_type": if second { Mamba2Config::MODEL_TYPE } else { MambaConfig::MODEL_TYPE },
        "architectures": [if second { "Mamba2ForCausalLM" } else { "MambaForCausalLM" }],
        "hidden_size": width,
        "num_hidden_layers": fields.size("n_layer", 64, limit)?,
        "vocab_size": fields.size("vocab_size", 50_277, limit)?.next_multiple_of(multiple),
        "tie_word_embeddings": fields.flag("tie_embeddings", true)?,
        "state_size": if second { 128 } else { 16 },
        "rescale_prenorm_residual": true,
        "initializer_range": 0.02,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": 0,
    });
    for (key, content) in ssm.iter() {
        let to = match (key.as_str(), second) {
            ("layer", _) => continue,
            ("d_state", _) => "state_size",
            ("d_conv", _) => "conv_kernel",
            ("expand", _) => "expand",
            ("dt_min", _) => "time_step_min",
            ("dt_max", _) => "time_step_max",
            ("dt_init_floor", _) => "time_step_floor",
            ("conv_bias", _) => "use_conv_bias",
            ("bias", _) => "use_bias",
            ("dt_rank", false) => "time_step_rank",
            ("dt_scale", false) => "time_step_scale",
            ("headdim", true) => "head_dim",
            ("ngroups", true) => "n_groups",
            ("chunk_size", true) => "chunk_size",
            ("dt_limit", true) => "time_step_limit",
            _ => {
                return Err(ssm.fault(key, "none: this key of `ssm_cfg` is not read"));
            }
        };
        made[to] = content.clone();
    }
    if second {
        let expand = made.get("expand").and_then(crate::json::number).unwrap_or(2.0);
        let head = made.get("head_dim").and_then(crate::json::number).unwrap_or(64.0);
        let inner = (width as f64 * expand) as usize;
        made["head_dim"] = json!(head as usize);
        made["num_heads"] = json!(inner / (head as usize).max(1));
        if made.get("n_groups").is_none() {
            made["n_groups"] = json!(1);
        }
    }
    made.sort_all_objects();
    Ok(made)
}
