//! A `config.json` of any architecture from the sizes that all of them have: what a training run starts from.
//!
//! Each architecture has words of its own for the same thing (`hidden_size`, `d_model`, `embedding_dim`, `dim`); what is not
//! said here keeps the default of its published code, and `[model.options]` of a run overrules anything.

use serde_json::{Map, Value, json};

use crate::registry;

/// The sizes, in words that are all architectures' alike.
#[derive(Clone, Copy, Debug)]
pub struct Sizes<'a> {
    /// Tokens.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Heads, where there are any.
    pub num_heads: usize,
    /// Width of the channel mixer; 0: the architecture's own share of `hidden_size`.
    pub intermediate_size: usize,
    /// Longest sequence, where positions are learned.
    pub positions: usize,
    /// What projections are: a name of [`crate::frame::LinearKind`]; empty: the architecture's own.
    pub linear: &'a str,
    /// Token mixers of a hybrid; a shorter list repeats.
    pub blocks: &'a [String],
    /// Whether the head uses the embedding's weights.
    pub tie_word_embeddings: bool,
    /// Standard deviation of initial weights.
    pub initializer_range: f64,
    /// The token that ends a text.
    pub eos_token_id: Option<u32>,
}

/// A short name of the hybrid.
pub const HYBRID: &str = "hybrid";

/// Names that [`sized`] knows.
pub fn names() -> impl Iterator<Item = &'static str> {
    let listed = registry::TABLE.iter().map(|entry| entry.model_type);
    ["bitnet", "qwen3", HYBRID].into_iter().chain(listed.filter(|name| *name != "s4"))
}

/// A `config.json` of the architecture with that `model_type`; nothing for a name that is none.
pub fn sized(model_type: &str, sizes: &Sizes<'_>) -> Option<Value> {
    let &Sizes { vocab_size: vocab, hidden_size: d, num_hidden_layers: layers, .. } = sizes;
    let heads = sizes.num_heads.max(1);
    let wide = |share: usize| match sizes.intermediate_size {
        0 => share * d,
        given => given,
    };
    let positions = sizes.positions.max(1);
    let tied = sizes.tie_word_embeddings;
    let range = sizes.initializer_range;
    let mut made = match model_type {
        "bitnet" | "qwen3" | "bitnet_b1" | "transformer" => json!({
            "vocab_size": vocab, "hidden_size": d, "num_hidden_layers": layers, "num_attention_heads": heads,
            "num_key_value_heads": heads, "head_dim": d / heads, "intermediate_size": wide(4),
            "max_position_embeddings": positions, "tie_word_embeddings": tied, "initializer_range": range,
        }),
        "mamba" => json!({
            "vocab_size": vocab, "hidden_size": d, "num_hidden_layers": layers, "initializer_range": range,
            "tie_word_embeddings": tied, "time_step_rank": "auto",
        }),
        // Heads of the inner width, which is twice the stream's, of at most 64 channels.
        "mamba2" => {
            let width = (1..=64.min(2 * d)).rev().find(|width| (2 * d).is_multiple_of(*width)).unwrap_or(1);
            json!({
                "vocab_size": vocab, "hidden_size": d, "num_hidden_layers": layers, "initializer_range": range,
                "tie_word_embeddings": tied, "num_heads": 2 * d / width, "head_dim": width, "n_groups": 1,
                "state_size": 64, "chunk_size": 64,
            })
        }
        "xlstm" => json!({
            "vocab_size": vocab, "embedding_dim": d, "num_blocks": layers, "num_heads": heads,
            "tie_word_embeddings": tied,
        }),
        "xlstm_orig" => json!({
            "vocab_size": vocab, "embedding_dim": d, "num_blocks": layers, "num_heads": heads,
            "context_length": positions, "tie_weights": tied,
            "slstm_at": (0..layers).filter(|layer| layer % 2 == 1).collect::<Vec<_>>(),
        }),
        "linear_attention" => json!({
            "vocab_size": vocab, "d_model": d, "n_layers": layers, "n_heads": heads, "d_ff": wide(4),
            "max_pos": positions,
        }),
        "performer" => json!({
            "num_tokens": vocab, "dim": d, "depth": layers, "heads": heads, "dim_head": (d / heads).max(1),
            "max_seq_len": positions, "causal": true, "stabilizer": "running",
        }),
        "mega" => json!({
            "architectures": ["MegaForCausalLM"], "is_decoder": true, "bidirectional": false, "vocab_size": vocab,
            "hidden_size": d, "num_hidden_layers": layers, "intermediate_size": wide(2),
            "nffn_hidden_size": wide(2),
            // A multiple of two: positions turn pairs.
            "shared_representation_size": (d / 2).next_multiple_of(2),
            "ema_projection_size": 16, "relative_positional_bias": "rotary", "max_positions": positions,
            "use_chunking": false, "chunk_size": -1, "initializer_range": range, "pad_token_id": null,
        }),
        // State spaces over numbers have no language model of their own: they are a hybrid's blocks.
        HYBRID | "fidelity_hybrid" | "s4d" | "s5" => {
            let own = [model_type.to_owned()];
            let given = if ["s4d", "s5"].contains(&model_type) { &own[..] } else { sizes.blocks };
            let blocks: Vec<&String> = given.iter().cycle().take(layers).collect();
            let mut made = json!({
                "vocab_size": vocab, "hidden_size": d, "num_heads": heads, "blocks": blocks,
            });
            if sizes.intermediate_size > 0 {
                made["intermediate_size"] = json!(sizes.intermediate_size);
            }
            made
        }
        _ => return None,
    };
    let name = if [HYBRID, "s4d", "s5"].contains(&model_type) { "fidelity_hybrid" } else { model_type };
    let keys = made.as_object_mut()?;
    let mut add = |key: &str, value: Value| keys.insert(key.to_owned(), value);
    add("model_type", json!(name));
    add("bos_token_id", Value::Null);
    add("eos_token_id", json!(sizes.eos_token_id));
    if !sizes.linear.is_empty() {
        add("linear", json!(sizes.linear));
    }
    if name == "bitnet" {
        let online =
            [("quant_method", "bitnet"), ("linear_class", "autobitlinear"), ("quantization_mode", "online")];
        let online: Map<String, Value> =
            online.map(|(key, value)| (key.to_owned(), json!(value))).into_iter().collect();
        add("quantization_config", Value::Object(online));
    }
    Some(made)
}
