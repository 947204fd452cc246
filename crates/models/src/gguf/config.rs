//! A configuration from the keys of a GGUF file.
//!
//! The keys of llama.cpp say what a model is; where they leave something open, `fidelity.config` (a `config.json`, which
//! files written here have) fills it in. The keys win, since other programs edit them.

use barewire::gguf::Gguf;
use serde_json::{Map, Value, json};

use super::meta::Meta;
use super::model::CONFIG;
use super::names::{ARCHITECTURES, BITNET, BITNET_RELU2, MATMULFREE, QWEN3};
use super::tokenizer;
use crate::architecture::ModelConfig;
use crate::error::{ModelError, Result};
use crate::json;

/// No size is larger.
const MOST: u64 = 1 << 32;

/// The configuration that the keys describe.
pub(super) fn config(file: &Gguf, warnings: &mut Vec<String>) -> Result<ModelConfig> {
    const KEY: &str = "general.architecture";
    let architecture = Meta::new(file, "").text(KEY)?.unwrap_or_default();
    let meta = Meta::new(file, &architecture);
    let label = file.path().join(CONFIG);
    let base = match meta.text(CONFIG)? {
        Some(text) => json::parse(&label, &text)?,
        None => Value::Object(Map::new()),
    };
    if !base.is_object() {
        return Err(meta.fault(CONFIG, "a JSON object"));
    }
    let value = match architecture.as_str() {
        BITNET | "bitnet-b1.58" | "bitnet-25" => bitnet(meta, base)?,
        QWEN3 => qwen3(meta, base)?,
        MATMULFREE if base.get("model_type").is_some() => base,
        MATMULFREE => return Err(meta.fault(CONFIG, "the config.json of the model")),
        _ => {
            let known = ARCHITECTURES.map(|name| format!("\"{name}\"")).join(", ");
            return Err(ModelError::field(
                file.path(),
                KEY,
                format!("one of {known}"),
                format!("\"{}\"", architecture.escape_debug()),
                "use a model of a supported architecture, or a newer version",
            ));
        }
    };
    let parsed = ModelConfig::from_json(&label, &value)?;
    warnings.extend(parsed.warnings);
    Ok(parsed.config)
}

/// A `config.json` of the keys that decoders share, over what `base` has.
fn decoder(meta: Meta<'_>, mut base: Value) -> Result<Value> {
    let file = meta.file;
    let heads = meta.needed(".attention.head_count", MOST)?;
    let vocab = file.tensor("token_embd.weight").ok().map(|tensor| tensor.matrix()[0] as u64);
    let vocab = match (vocab, meta.size(".vocab_size", MOST)?) {
        (Some(rows), _) => rows,
        (None, Some(size)) => size,
        (None, None) => return Err(meta.fault(".vocab_size", "the number of tokens")),
    };
    let scaling = meta.text(".rope.scaling.type")?.unwrap_or_default();
    let unscaled = |name: &str| Ok::<_, ModelError>(meta.real(name)?.is_none_or(|factor| factor == 1.0));
    if !["", "none", "linear"].contains(&scaling.as_str())
        || !unscaled(".rope.scaling.factor")?
        || !unscaled(".rope.scale_linear")?
    {
        return Err(
            meta.fault(".rope.scaling.type", "positions that are not scaled (\"none\", or a factor of 1)")
        );
    }
    let special = tokenizer::special_tokens(file, usize::try_from(vocab).unwrap_or(usize::MAX))?;
    let eos = match special.eos.as_slice() {
        [] => base.get("eos_token_id").cloned().unwrap_or(Value::Null),
        [one] => json!(one),
        many => json!(many),
    };
    let bos =
        special.bos.map_or_else(|| base.get("bos_token_id").cloned().unwrap_or(Value::Null), |id| json!(id));
    let kv = meta.size(".attention.head_count_kv", MOST)?.unwrap_or(heads);
    let mut set = |key: &str, value: Value| base[key] = value;
    set("vocab_size", json!(vocab));
    set("hidden_size", json!(meta.needed(".embedding_length", MOST)?));
    set("num_hidden_layers", json!(meta.needed(".block_count", MOST)?));
    set("intermediate_size", json!(meta.needed(".feed_forward_length", MOST)?));
    set("num_attention_heads", json!(heads));
    set("num_key_value_heads", json!(kv));
    let eps = meta.real(".attention.layer_norm_rms_epsilon")?;
    set(
        "rms_norm_eps",
        json!(eps.ok_or_else(|| meta.fault(".attention.layer_norm_rms_epsilon", "a number"))?),
    );
    set("tie_word_embeddings", json!(!file.contains("output.weight")));
    set("bos_token_id", bos);
    set("eos_token_id", eos);
    if let Some(length) = meta.size(".context_length", MOST)? {
        set("max_position_embeddings", json!(length.max(1)));
    }
    let theta = meta.real(".rope.freq_base")?.unwrap_or(10000.0);
    set("rope_theta", json!(theta));
    set("rope_parameters", json!({"rope_theta": theta, "rope_type": "default"}));
    Ok(base)
}

/// A `config.json` of BitNet's keys over what `base` has.
fn bitnet(meta: Meta<'_>, base: Value) -> Result<Value> {
    let hidden = meta.needed(".embedding_length", MOST)?;
    let heads = meta.needed(".attention.head_count", MOST)?;
    if let Some(width) = meta.size(".rope.dimension_count", MOST)?
        && heads.checked_mul(width) != Some(hidden)
    {
        return Err(meta.fault(".rope.dimension_count", "the width of a head, all of which is rotated"));
    }
    // Microsoft's programs compute a squared ReLU under their name, llama.cpp SiLU under its; a key of ours says it itself.
    let act = meta.text(".hidden_act")?;
    let act =
        act.unwrap_or_else(|| if BITNET_RELU2.contains(&meta.prefix) { "relu2" } else { "silu" }.into());
    let mut base = decoder(meta, base)?;
    base["model_type"] = json!("bitnet");
    base["hidden_act"] = json!(act);
    base["quantization_config"] =
        json!({"quant_method": "bitnet", "linear_class": "bitlinear", "quantization_mode": "offline"});
    Ok(base)
}

/// A `config.json` of Qwen3's keys over what `base` has.
fn qwen3(meta: Meta<'_>, base: Value) -> Result<Value> {
    let hidden = meta.needed(".embedding_length", MOST)?;
    let heads = meta.needed(".attention.head_count", MOST)?;
    let width = match meta.size(".attention.key_length", MOST)? {
        Some(width) => width,
        None => match hidden.checked_div(heads) {
            Some(width) => width,
            None => return Err(meta.fault(".attention.head_count", "at least one head")),
        },
    };
    for (name, expected) in [
        (".attention.value_length", "the width of a key, attention.key_length"),
        (".rope.dimension_count", "the width of a head, all of which is rotated"),
    ] {
        if meta.size(name, MOST)?.is_some_and(|found| found != width) {
            return Err(meta.fault(name, format!("{expected} ({width})")));
        }
    }
    let mut base = decoder(meta, base)?;
    base["model_type"] = json!("qwen3");
    base["hidden_act"] = json!("silu");
    base["head_dim"] = json!(width);
    Ok(base)
}
