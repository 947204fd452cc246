//! Writing a model as GGUF, one tensor in memory at a time.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use barewire::gguf::{Array, GgmlType, GgufWriter, TensorSpec, Value, write_ternary};
use barewire::{WireError, blocks};
use serde_json::Value as Json;

use super::model::{CONFIG, FILES, SCALES, Scale};
use super::names::{BITNET, BITNET_RELU2, MATMULFREE, QWEN3, scale_of, to_gguf};
use super::tokenizer::CHAT_TEMPLATE;
use super::vocabulary;
use crate::architecture::ModelConfig;
use crate::atomic;
use crate::bitnet::Activation;
use crate::error::{ModelError, Result};
use crate::exchange::Exchange;
use crate::folder::TOKENIZER;

/// How a file is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GgufOptions {
    /// Type of the matrices in the layers. Unless said, each keeps the type that it has in a file of this kind or in a
    /// bundle's blocks; others become TQ2_0, which most programs read, and bf16 in a model that has no ternary ones.
    pub ternary: Option<GgmlType>,
    /// Type of embedding and head, where that is not ternary; as they are stored unless said.
    pub embedding: Option<GgmlType>,
}

/// A tensor to be written.
struct Plan {
    /// In the state dict.
    name: String,
    spec: TensorSpec,
    part: Part,
}

enum Part {
    Ternary {
        scale: Scale,
        beside: bool,
        /// The bytes are the source's.
        copied: bool,
    },
    Numbers,
    /// The number beside a ternary matrix.
    Scale(f32),
}

/// Writes a model: to a temporary name, synced, renamed. Returns what the user should know. `progress` is called before
/// each tensor with its name.
///
/// # Errors
/// [`ModelError::Tensor`] for sizes that a type does not take and numbers that it cannot hold, those of the source, and
/// [`ModelError::Io`].
pub fn write_model(
    path: &Path,
    source: &mut dyn Exchange,
    options: GgufOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<String>> {
    let plans = plans(path, source, options)?;
    let (metadata, mut notes) = metadata(source, &plans)?;
    notes.extend(rounded_again(source, &plans)?);
    let specs: Vec<TensorSpec> = plans.iter().map(|plan| plan.spec.clone()).collect();
    let located = |error: WireError| match error {
        WireError::Output(source) => ModelError::io("write", path, source),
        other => other.into(),
    };
    atomic::try_write(path, |out| {
        let mut writer = GgufWriter::new(out, &metadata, &specs).map_err(located)?;
        for plan in &plans {
            if !matches!(plan.part, Part::Scale(_)) {
                progress(&plan.name);
            }
            write_tensor(path, &mut writer, source, plan)?;
        }
        writer.finish().map_err(located)?;
        Ok(())
    })?;
    Ok(notes)
}

/// Says so where matrices of few bits become other blocks of few bits.
fn rounded_again(source: &dyn Exchange, plans: &[Plan]) -> Result<Option<String>> {
    let mut count = 0;
    for plan in plans.iter().filter(|plan| matches!(plan.part, Part::Numbers) && plan.spec.shape.len() == 2) {
        let few = |kind: GgmlType| kind.format().is_some_and(|format| format.block() > 1);
        let stored = source.stored(&plan.name)?;
        // These two hold each other's numbers.
        let twins = [stored, plan.spec.kind].iter().all(|k| [GgmlType::TQ1_0, GgmlType::TQ2_0].contains(k));
        count += usize::from(few(stored) && few(plan.spec.kind) && stored != plan.spec.kind && !twins);
    }
    let note = format!("{count} matrices were in blocks of another type and have been rounded a second time");
    Ok((count > 0).then_some(note))
}

/// Every tensor of the file, in the order of the state dict.
fn plans(path: &Path, source: &mut dyn Exchange, options: GgufOptions) -> Result<Vec<Plan>> {
    if let ModelConfig::Listed(config) = source.config() {
        return Err(ModelError::Architecture {
            path: path.into(),
            found: format!("\"{}\"", config.model_type()),
            supported: ["hgrn_bit", "bitnet", "qwen3"].iter().map(|name| format!("\"{name}\"")).collect(),
            remedy: "convert the model to a folder or pack it as a bundle: no GGUF layout is written for it"
                .into(),
        });
    }
    let config = source.config().clone();
    let projections: std::collections::BTreeSet<String> = config.projections().into_iter().collect();
    let mut parameters = config.expected_tensors();
    let head = "lm_head.weight";
    if projections.contains(head) && !parameters.iter().any(|(name, _)| name == head) {
        parameters.push((head.into(), vec![config.vocab_size(), config.hidden_size()]));
    }
    // Matrices that no architecture calls ternary are numbers, and rounded to the type.
    let blocks = matches!(config, ModelConfig::Qwen3(_));
    // Weights that nothing says are ternary are not to become it unasked.
    let usual = if blocks { GgmlType::BF16 } else { GgmlType::TQ2_0 };
    let mut plans = vec![];
    for (name, shape) in parameters {
        let theirs = to_gguf(&config, &name);
        // One channel each: the middle 1 of a convolution says nothing.
        let sizes: Vec<usize> = match shape.as_slice() {
            &[channels, 1, taps] => vec![channels, taps],
            other => other.to_vec(),
        };
        let kind = match name.as_str() {
            _ if projections.contains(&name) => options.ternary.or(source.kept(&name)).unwrap_or(usual),
            _ if name == config.embedding() || name == head => match options.embedding {
                Some(kind) => kind,
                None => source.stored(&name)?,
            },
            _ if shape.len() == 2 && (blocks || config.formats().contains_key(&name)) => {
                options.ternary.or(source.kept(&name)).unwrap_or(usual)
            }
            _ => GgmlType::F32,
        };
        if !projections.contains(&name) && kind != GgmlType::F32 && kind.format().is_none() {
            let expected = "numbers in f32 or in blocks";
            let remedy = "choose another type: q2_0, q4_0, q8_0, q4_k, q6_k, f16";
            return Err(ModelError::tensor(path, name, expected, kind.name(), remedy));
        }
        let spec = TensorSpec::new(theirs, kind, &sizes);
        if kind.bytes(&sizes).is_none() {
            let expected = format!("sizes that {kind} takes (rows of whole blocks)");
            let remedy = "choose another type: f16 takes any size, q2_0 rows of 64, i2_s matrices of 128";
            return Err(ModelError::tensor(path, name, expected, format!("{sizes:?}"), remedy));
        }
        if !projections.contains(&name) {
            plans.push(Plan { name, spec, part: Part::Numbers });
            continue;
        }
        let scale = source.scale(&name)?;
        let copied = source.kept(&name) == Some(kind) && source.bytes(&name, kind).is_some();
        // I2_S has its scale in f32 itself; types of many bits round a number of their own choice.
        let beside = !copied && kind.is_ternary() && kind != GgmlType::I2_S
            || !copied && [GgmlType::F16, GgmlType::BF16, GgmlType::F32].contains(&kind);
        let number = TensorSpec::new(scale_of(&spec.name), GgmlType::F32, &[1]);
        plans.push(Plan { name: name.clone(), spec, part: Part::Ternary { scale, beside, copied } });
        if beside {
            plans.push(Plan { name, spec: number, part: Part::Scale(scale.factor()) });
        }
    }
    Ok(plans)
}

fn write_tensor(
    path: &Path,
    writer: &mut GgufWriter<&mut dyn Write>,
    source: &mut dyn Exchange,
    plan: &Plan,
) -> Result<()> {
    let Plan { name, spec, part } = plan;
    let located = |error: WireError| match error {
        WireError::Output(source) => ModelError::io("write", path, source),
        other => other.into(),
    };
    let columns = spec.shape.last().copied().unwrap_or(1);
    match part {
        Part::Scale(d) => writer.tensor(&spec.name, &d.to_le_bytes()).map_err(located),
        Part::Ternary { scale, beside, copied } => {
            if let Some(bytes) = source.bytes(name, spec.kind).filter(|_| *copied) {
                return writer.tensor(&spec.name, bytes).map_err(located);
            }
            let (trits, _) = source.trits(name)?;
            let d = if *beside { 1.0 } else { scale.factor() };
            let fill = |out: &mut dyn Write| {
                write_ternary(spec.kind, columns, &trits, d, out).map_err(WireError::into_io)
            };
            writer.tensor_with(&spec.name, fill).map_err(located)
        }
        Part::Numbers => {
            if let Some(bytes) = source.bytes(name, spec.kind) {
                return writer.tensor(&spec.name, bytes).map_err(located);
            }
            let numbers = source.numbers(name)?;
            let Some(format) = spec.kind.format() else {
                let bytes = numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>();
                return writer.tensor(&spec.name, &bytes).map_err(located);
            };
            let mut bytes = vec![];
            // Parts that are large enough for several threads; the whole matrix at once would be one more copy of it.
            for rows in numbers.chunks(columns * (1_usize << 23).div_ceil(columns)) {
                bytes.extend(blocks::encode(format, columns, rows)?);
            }
            writer.tensor(&spec.name, &bytes).map_err(located)
        }
    }
}

/// The keys of a model.
fn metadata(source: &dyn Exchange, plans: &[Plan]) -> Result<(Vec<(String, Value<'static>)>, Vec<String>)> {
    let config = source.config();
    let most = most(config, plans);
    let architecture = match config {
        ModelConfig::BitNet(c) if most == GgmlType::I2_S && c.hidden_act == Activation::Relu2 => {
            BITNET_RELU2[0]
        }
        ModelConfig::BitNet(_) => BITNET,
        ModelConfig::Qwen3(_) => QWEN3,
        ModelConfig::MatMulFree(_) => MATMULFREE,
        // Refused before anything is written.
        ModelConfig::Listed(_) => config.model_type(),
    };
    let mut list: Vec<(String, Value<'static>)> = vec![
        ("general.architecture".into(), Value::text(architecture)),
        ("general.type".into(), Value::text("model")),
        ("general.quantization_version".into(), Value::U32(2)),
        ("general.file_type".into(), Value::U32(file_type(most))),
    ];
    let mut notes = vec![];
    let mut add = |key: &str, value: Value<'static>| list.push((format!("{architecture}.{key}"), value));
    let size = |n: usize| Value::U32(u32::try_from(n).unwrap_or(u32::MAX));
    add("vocab_size", size(config.vocab_size()));
    add("embedding_length", size(config.hidden_size()));
    add("block_count", size(config.num_hidden_layers()));
    match config {
        ModelConfig::BitNet(c) => {
            add("context_length", size(c.max_position_embeddings));
            add("feed_forward_length", size(c.intermediate_size));
            add("attention.head_count", size(c.num_attention_heads));
            add("attention.head_count_kv", size(c.num_key_value_heads));
            add("attention.layer_norm_rms_epsilon", Value::F32(c.rms_norm_eps as f32));
            add("rope.dimension_count", size(c.head_dim()));
            add("rope.freq_base", Value::F32(c.rope_theta as f32));
            add("rope.scaling.type", Value::text("linear"));
            add("rope.scaling.factor", Value::F32(1.0));
            add("hidden_act", Value::text(c.hidden_act.name()));
            if architecture == BITNET && c.hidden_act == Activation::Relu2 {
                notes.push(
                    "llama.cpp computes SiLU in every model of this architecture: it will load the file and compute \
                     something else than its squared ReLU"
                        .into(),
                );
            }
            if architecture == BITNET && !c.tie_word_embeddings {
                notes.push(
                    "llama.cpp ties the head of this architecture to the embedding: it will refuse the file"
                        .into(),
                );
            }
        }
        ModelConfig::MatMulFree(c) => {
            add("context_length", size(c.max_position_embeddings));
            add("feed_forward_length", size(c.intermediate_size()));
            add("attention.layer_norm_rms_epsilon", Value::F32(c.rms_norm_eps as f32));
        }
        ModelConfig::Qwen3(c) => {
            add("context_length", size(c.max_position_embeddings));
            add("feed_forward_length", size(c.intermediate_size));
            add("attention.head_count", size(c.num_attention_heads));
            add("attention.head_count_kv", size(c.num_key_value_heads));
            add("attention.key_length", size(c.head_dim));
            add("attention.value_length", size(c.head_dim));
            add("attention.layer_norm_rms_epsilon", Value::F32(c.rms_norm_eps as f32));
            add("rope.dimension_count", size(c.head_dim));
            add("rope.freq_base", Value::F32(c.rope_theta as f32));
        }
        ModelConfig::Listed(_) => {}
    }
    let files = source.files()?;
    let text = |name: &str| {
        let bytes = files.iter().find(|(found, _)| found == name).map(|(_, bytes)| bytes);
        bytes.and_then(|bytes| std::str::from_utf8(bytes).ok())
    };
    let eos = config.eos_token_id();
    let (tokenizer, more) = vocabulary::metadata(
        text(TOKENIZER),
        config.vocab_size(),
        config.bos_token_id(),
        eos,
        config.pad_token_id(),
    );
    list.extend(tokenizer);
    notes.extend(more);
    if let Some(template) =
        crate::chat::template_of(text("chat_template.jinja"), text("tokenizer_config.json"))
    {
        list.push((CHAT_TEMPLATE.into(), Value::text(template)));
    }
    list.push((CONFIG.into(), Value::text(config_text(config))));
    for (name, bytes) in &files {
        if name != TOKENIZER {
            match std::str::from_utf8(bytes) {
                Ok(text) => list.push((format!("{FILES}{name}"), Value::text(text))),
                Err(_) => notes.push(format!("{name} is no text and was left out")),
            }
        }
    }
    let kept: BTreeMap<&str, f32> = plans
        .iter()
        .filter_map(|plan| match plan.part {
            Part::Ternary { scale: Scale::Divide(s), .. } if (1.0 / (1.0 / s)).to_bits() != s.to_bits() => {
                Some((plan.spec.name.as_str(), s))
            }
            _ => None,
        })
        .collect();
    if !kept.is_empty() {
        list.push((SCALES[0].into(), Value::Array(Array::texts(kept.keys()))));
        list.push((SCALES[1].into(), Value::Array(Array::f32s(&kept.values().copied().collect::<Vec<_>>()))));
    }
    Ok((list, notes))
}

/// The type that most matrices of the layers have.
fn most(config: &ModelConfig, plans: &[Plan]) -> GgmlType {
    let edge = |name: &str| name == config.embedding() || name == "lm_head.weight";
    let mut counts: BTreeMap<&str, (usize, GgmlType)> = BTreeMap::new();
    for plan in plans.iter().filter(|plan| plan.spec.shape.len() == 2 && !edge(&plan.name)) {
        counts.entry(plan.spec.kind.name()).or_insert((0, plan.spec.kind)).0 += 1;
    }
    counts.into_values().max_by_key(|(count, _)| *count).map_or(GgmlType::F32, |(_, kind)| kind)
}

fn config_text(config: &ModelConfig) -> String {
    let value: Json = config.to_json();
    value.to_string()
}

/// llama.cpp's number for what most tensors are, which it shows and does not use.
fn file_type(kind: GgmlType) -> u32 {
    match kind {
        GgmlType::F32 => 0,
        GgmlType::F16 => 1,
        GgmlType::Q4_0 => 2,
        GgmlType::Q8_0 => 7,
        GgmlType::Q4_K => 15,
        GgmlType::Q6_K => 18,
        GgmlType::BF16 => 32,
        GgmlType::TQ1_0 => 36,
        GgmlType::TQ2_0 => 37,
        // Both 40: Microsoft's for I2_S, llama.cpp's for Q1_0.
        GgmlType::Q2_0 => 41,
        _ => 40,
    }
}
