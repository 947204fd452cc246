//! What the configurations of decoders share: the keys of `config.json` that mean the same in each, the checks of their
//! sizes, the parameters, and most answers to [`Architecture`](crate::architecture::Architecture).
//!
//! An architecture has its own keys, defaults and refusals beside these, in a file of its own.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Decoder, Linears};
use crate::config::{HOUSEKEEPING, MAX_INTERMEDIATE, MAX_LAYERS, MAX_VOCAB, MAX_WIDTH};
use crate::config::{changes_mathematics, one_token, whole};
use crate::error::{ModelError, Result};
use crate::json::Fields;
use crate::parameters::{Init, Parameter, count};
use crate::rope;

/// The linear layers of a block.
const LINEAR: [&str; 7] = [
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
];

/// The keys that every decoder's `config.json` has, as they were read.
pub(crate) struct Keys {
    pub(crate) vocab_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) num_hidden_layers: usize,
    pub(crate) num_attention_heads: usize,
    pub(crate) num_key_value_heads: usize,
    pub(crate) max_position_embeddings: usize,
    pub(crate) initializer_range: f64,
    pub(crate) rms_norm_eps: f64,
    pub(crate) rope_theta: f64,
    pub(crate) tie_word_embeddings: bool,
    pub(crate) bos_token_id: Option<u32>,
    pub(crate) eos_token_id: Vec<u32>,
    pub(crate) extra: Map<String, Value>,
}

/// A `$to` with the keys of `$from`, which has fields of the same names, and fields of its own.
macro_rules! each_key {
    ($from:expr, $to:ident, $($own:tt)*) => {{
        let from = $from;
        $to {
            vocab_size: from.vocab_size,
            hidden_size: from.hidden_size,
            intermediate_size: from.intermediate_size,
            num_hidden_layers: from.num_hidden_layers,
            num_attention_heads: from.num_attention_heads,
            num_key_value_heads: from.num_key_value_heads,
            max_position_embeddings: from.max_position_embeddings,
            initializer_range: from.initializer_range,
            rms_norm_eps: from.rms_norm_eps,
            rope_theta: from.rope_theta,
            tie_word_embeddings: from.tie_word_embeddings,
            bos_token_id: from.bos_token_id,
            eos_token_id: from.eos_token_id,
            extra: from.extra,
            $($own)*
        }
    }};
}
pub(crate) use each_key;

/// The answers of a configuration that has these fields and a `decoder()`; what is special stands beside the macro.
macro_rules! decoder_answers {
    () => {
        crate::architecture::field_answers!();

        fn parameters(&self) -> Vec<crate::parameters::Parameter> {
            self.decoder().parameters(self.initializer_range)
        }

        fn parameter_count(&self) -> Option<u64> {
            self.decoder().parameter_count()
        }

        fn projections(&self) -> Vec<String> {
            self.decoder().projections()
        }

        fn quantizer(&self) -> crate::frame::Quantizer {
            self.decoder().linear.quantizer().unwrap_or_default()
        }

        fn embedding(&self) -> &'static str {
            crate::decoder::EMBEDDING
        }

        fn states(&self, cache: crate::forms::CacheType) -> Vec<crate::forms::State> {
            crate::decoder::states(&self.decoder(), cache)
        }

        fn graph(
            &self,
            options: &crate::forms::GraphOptions,
        ) -> std::result::Result<graph::Graph, graph::GraphError> {
            crate::decoder::graph(&self.decoder(), options)
        }

        fn storable(&self) -> Vec<&'static str> {
            let both = [crate::decoder::EMBEDDING, "lm_head.weight"];
            both[..if self.tie_word_embeddings { 1 } else { 2 }].to_vec()
        }

        fn formats(&self) -> &std::collections::BTreeMap<String, axes::BlockFormat> {
            &self.formats
        }

        fn stored_as(&self, wanted: crate::bundle::EmbeddingType) -> crate::bundle::EmbeddingType {
            use crate::bundle::EmbeddingType;
            match wanted {
                EmbeddingType::Bf16 => EmbeddingType::Block(axes::BlockFormat::Bf16),
                EmbeddingType::I8 => EmbeddingType::Block(axes::BlockFormat::Q8_0),
                other => other,
            }
        }

        fn chunk(&self) -> usize {
            256
        }
    };
}
pub(crate) use decoder_answers;

impl Keys {
    /// Reads them; `read` are the keys that the architecture knows, `ours` its defaults, `places` that of
    /// `max_position_embeddings`. What else the file says is kept, with a warning unless it is known to be harmless.
    pub(crate) fn read(
        path: &Path,
        value: &Value,
        kind: &str,
        read: &[&str],
        ours: &Decoder<'_>,
        places: usize,
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        let fields = Fields::new(path, value)?;
        let mut extra = Map::new();
        for (key, content) in fields.iter() {
            if read.contains(&key.as_str()) || rope::is_read(key, content) || key == "model_type" {
                continue;
            }
            if changes_mathematics(key, content) {
                return Err(fields.fault(key, "nothing here, since this architecture does not have it"));
            }
            if !HOUSEKEEPING.contains(&key.as_str()) {
                warnings.push(format!("{}: `{key}` is not a key of {kind} and is ignored", path.display()));
            }
            extra.insert(key.clone(), content.clone());
        }
        let vocab_size = fields.size("vocab_size", ours.vocab, MAX_VOCAB)?;
        let heads = fields.size("num_attention_heads", ours.heads, MAX_WIDTH)?;
        Ok(Self {
            vocab_size,
            hidden_size: fields.size("hidden_size", ours.hidden, MAX_WIDTH)?,
            intermediate_size: fields.size("intermediate_size", ours.intermediate, MAX_INTERMEDIATE)?,
            num_hidden_layers: fields.size("num_hidden_layers", ours.layers, MAX_LAYERS)?,
            num_attention_heads: heads,
            // The library takes null for one of its own to each head.
            num_key_value_heads: match value.get("num_key_value_heads") {
                Some(Value::Null) => heads,
                _ => fields.size("num_key_value_heads", ours.groups, MAX_WIDTH)?,
            },
            max_position_embeddings: fields.size("max_position_embeddings", places, 1 << 32)?,
            initializer_range: fields.real("initializer_range", 0.02, 0.0, 1e3)?,
            rms_norm_eps: fields.real("rms_norm_eps", ours.eps, 0.0, 1.0)?,
            rope_theta: rope::theta(&fields, ours.theta)?,
            tie_word_embeddings: fields.flag("tie_word_embeddings", ours.tied)?,
            bos_token_id: one_token(&fields, "bos_token_id", &[], vocab_size)?,
            eos_token_id: fields.tokens("eos_token_id", &[], vocab_size)?,
            extra,
        })
    }

    /// The same keys for a `config.json`, with an architecture's own keys and what else its file had.
    pub(crate) fn write(&self, kind: &str, own: Value) -> Value {
        let tokens = match self.eos_token_id.as_slice() {
            [] => Value::Null,
            [one] => json!(one),
            many => json!(many),
        };
        let mut value = json!({
            "attention_bias": false,
            "attention_dropout": 0.0,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": tokens,
            "hidden_size": self.hidden_size,
            "initializer_range": self.initializer_range,
            "intermediate_size": self.intermediate_size,
            "max_position_embeddings": self.max_position_embeddings,
            "model_type": kind,
            "num_attention_heads": self.num_attention_heads,
            "num_hidden_layers": self.num_hidden_layers,
            "num_key_value_heads": self.num_key_value_heads,
            "rms_norm_eps": self.rms_norm_eps,
            // Old readers look for the first, new ones for the second.
            "rope_theta": whole(self.rope_theta),
            "rope_parameters": { "rope_theta": self.rope_theta, "rope_type": "default" },
            "tie_word_embeddings": self.tie_word_embeddings,
            "use_cache": true,
            "vocab_size": self.vocab_size,
        });
        for (key, content) in own.as_object().into_iter().flatten().chain(&self.extra) {
            value[key] = content.clone();
        }
        value.sort_all_objects();
        value
    }
}

impl Decoder<'_> {
    /// Checks sizes one by one; `own` are those of the architecture's own keys.
    pub(crate) fn check_sizes(&self, path: &Path, own: &[(&str, usize, usize)]) -> Result<()> {
        let sizes = [
            ("vocab_size", self.vocab, MAX_VOCAB),
            ("hidden_size", self.hidden, MAX_WIDTH),
            ("intermediate_size", self.intermediate, MAX_INTERMEDIATE),
            ("num_hidden_layers", self.layers, MAX_LAYERS),
            ("num_attention_heads", self.heads, MAX_WIDTH),
            ("num_key_value_heads", self.groups, MAX_WIDTH),
        ];
        match sizes.iter().chain(own).find(|(_, size, max)| *size == 0 || size > max) {
            Some((field, size, max)) => {
                Err(fault(path, field, format!("a whole number from 1 to {max}"), size.to_string()))
            }
            None => Ok(()),
        }
    }

    /// Checks how sizes go together, once each is one: `width` is the key that the heads' width comes from.
    pub(crate) fn check_heads(&self, path: &Path, width: &str, found: String) -> Result<()> {
        if !self.heads.is_multiple_of(self.groups) {
            let expected = format!("a divisor of num_attention_heads = {}", self.heads);
            return Err(fault(path, "num_key_value_heads", expected, self.groups.to_string()));
        }
        if !self.width.is_multiple_of(2) {
            return Err(fault(path, width, "heads of even width: the rotation turns pairs".into(), found));
        }
        let wide = self.heads.checked_mul(self.width).is_none_or(|width| width > MAX_WIDTH);
        if wide || self.parameter_count().is_none_or(|count| count > 1 << 40) {
            let found = format!(
                "vocab_size {}, hidden_size {}, num_hidden_layers {}, heads of width {}",
                self.vocab, self.hidden, self.layers, self.width
            );
            return Err(fault(path, "hidden_size", "a model of at most 2^40 parameters".into(), found));
        }
        Ok(())
    }

    /// Every parameter, in the order of the published state dict, as master weights; matrices are drawn with this deviation.
    pub fn parameters(&self, deviation: f64) -> Vec<Parameter> {
        let (d, n) = (self.hidden, self.intermediate);
        let (queries, keys) = (self.heads * self.width, self.groups * self.width);
        let mut list = Vec::new();
        let mut add =
            |name: String, shape: &[usize], init| list.push(Parameter { name, shape: shape.to_vec(), init });
        let (normal, one) = (Init::Normal(deviation), Init::Constant(1.0));
        add(super::EMBEDDING.into(), &[self.vocab, d], normal);
        for layer in 0..self.layers {
            let at = |name: &str| format!("model.layers.{layer}.{name}.weight");
            let shapes = [[queries, d], [keys, d], [keys, d], [d, queries], [n, d], [n, d], [d, n]];
            let normed = matches!(self.linear, Linears::Normed(kind) if kind.is_quantized());
            let each = |add: &mut dyn FnMut(String, &[usize], Init), (name, shape): (&&str, [usize; 2])| {
                add(at(name), &shape, normal);
                if normed {
                    add(at(&format!("{name}.norm")), &shape[1..], one);
                }
            };
            let mut linear = LINEAR.iter().zip(shapes);
            linear.by_ref().take(4).for_each(|matrix| each(&mut add, matrix));
            if self.sub_norms {
                add(at("self_attn.attn_sub_norm"), &[queries], one);
            }
            if self.head_norms {
                add(at("self_attn.q_norm"), &[self.width], one);
                add(at("self_attn.k_norm"), &[self.width], one);
            }
            linear.for_each(|matrix| each(&mut add, matrix));
            if self.sub_norms {
                add(at("mlp.ffn_sub_norm"), &[n], one);
            }
            add(at("input_layernorm"), &[d], one);
            add(at("post_attention_layernorm"), &[d], one);
        }
        add("model.norm.weight".into(), &[d], one);
        if !self.tied {
            add("lm_head.weight".into(), &[self.vocab, d], normal);
        }
        list
    }

    /// Number of parameters; nothing if it does not fit 64 bits.
    pub fn parameter_count(&self) -> Option<u64> {
        count(self.layers, |layers| Self { layers, ..self.clone() }.parameters(0.0))
    }

    /// The ternary matrices with one scale: names in the state dict.
    pub fn projections(&self) -> Vec<String> {
        let layers = 0..if self.linear.quantizer().is_some() { self.layers } else { 0 };
        let all = layers.flat_map(|l| LINEAR.map(|name| format!("model.layers.{l}.{name}.weight")));
        all.filter(|name| !self.formats.contains_key(name)).collect()
    }
}

/// The error for a size.
pub(crate) fn fault(path: &Path, field: &str, expected: String, found: String) -> ModelError {
    ModelError::field(path, field, expected, found, "correct one of the two values")
}
