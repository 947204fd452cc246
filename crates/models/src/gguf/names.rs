//! Architectures and names of tensors: those of the state dict, and those in GGUF files.
//!
//! BitNet's and Qwen3's are llama.cpp's (`blk.0.attn_q.weight`). The MatMul-free language model, which no other program has, keeps
//! the names of its state dict with `model.layers.N.` as `blk.N.`, and has the common names for what is common:
//! `token_embd.weight`, `output_norm.weight`, `output.weight`.

use crate::architecture::ModelConfig;

/// `general.architecture` of llama.cpp's BitNet, whose gate is always SiLU there.
pub const BITNET: &str = "bitnet";
/// Names that other programs give to BitNet with a squared ReLU: those of Microsoft's.
pub const BITNET_RELU2: [&str; 2] = ["bitnet-b1.58", "bitnet-25"];
/// Ours, for the MatMul-free language model.
pub const MATMULFREE: &str = "matmulfree";
/// llama.cpp's Qwen3, whose projections lie in blocks of any kind.
pub const QWEN3: &str = "qwen3";
/// Every architecture that is read.
pub const ARCHITECTURES: [&str; 5] = [BITNET, BITNET_RELU2[0], BITNET_RELU2[1], QWEN3, MATMULFREE];

/// Parts of a block of a decoder: in the state dict, in GGUF.
const BLOCK: &[(&str, &str)] = &[
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.attn_sub_norm", "attn_sub_norm"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("mlp.ffn_sub_norm", "ffn_sub_norm"),
    ("input_layernorm", "attn_norm"),
    ("post_attention_layernorm", "ffn_norm"),
];

/// The name in a GGUF file of a parameter's name in the state dict.
///
/// ```
/// use models::{architecture::ModelConfig, bitnet::BitNetConfig, gguf::names::to_gguf};
/// let config = ModelConfig::from(BitNetConfig::default());
/// assert_eq!(to_gguf(&config, "model.layers.3.mlp.down_proj.weight"), "blk.3.ffn_down.weight");
/// assert_eq!(to_gguf(&config, "model.norm.weight"), "output_norm.weight");
/// ```
pub fn to_gguf(config: &ModelConfig, name: &str) -> String {
    if name == config.embedding() {
        return "token_embd.weight".into();
    }
    match name {
        "model.norm.weight" => return "output_norm.weight".into(),
        "lm_head.weight" => return "output.weight".into(),
        _ => {}
    }
    let short = name.strip_prefix("model.").unwrap_or(name);
    let Some((layer, part)) = short.strip_prefix("layers.").and_then(|rest| rest.split_once('.')) else {
        return short.to_owned();
    };
    let known = part.strip_suffix(".weight").and_then(|part| {
        let block = if matches!(config, ModelConfig::MatMulFree(_)) { &[] } else { BLOCK };
        block.iter().find(|(ours, _)| *ours == part)
    });
    match known {
        Some((_, theirs)) => format!("blk.{layer}.{theirs}.weight"),
        None => format!("blk.{layer}.{part}"),
    }
}

/// The name of a ternary matrix's scale: what its products are multiplied by.
pub fn scale_of(tensor: &str) -> String {
    format!("{}.scale", tensor.strip_suffix(".weight").unwrap_or(tensor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitnet::BitNetConfig;
    use crate::config::MatMulFreeConfig;
    use crate::qwen3::Qwen3Config;

    #[test]
    fn every_parameter_has_a_name_of_its_own_that_fits() {
        let small = |tie_word_embeddings| BitNetConfig {
            num_hidden_layers: 3,
            tie_word_embeddings,
            ..Default::default()
        };
        let free = MatMulFreeConfig {
            num_hidden_layers: 3,
            use_short_conv: true,
            share_conv_kernel: false,
            ..Default::default()
        };
        let qwen3 = Qwen3Config { num_hidden_layers: 3, ..Default::default() };
        for config in [ModelConfig::from(small(false)), small(true).into(), free.into(), qwen3.into()] {
            let names: Vec<String> =
                config.parameters().iter().map(|parameter| to_gguf(&config, &parameter.name)).collect();
            let mut unique = names.clone();
            unique.sort();
            unique.dedup();
            assert_eq!(unique.len(), names.len());
            assert!(names.iter().all(|name| name.len() < 60 && !name.contains("model")), "{names:?}");
        }
    }
}
