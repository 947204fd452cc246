//! Models to GGUF and back: trits and scales equal in every type, configuration and files as they were.

use std::path::Path;

use barewire::gguf::{GgmlType, Gguf, GgufWriter, TensorSpec, Value};
use models::ModelError;
use models::architecture::ModelConfig;
use models::bitnet::BitNetConfig;
use models::bundle::Quantizer;
use models::config::MatMulFreeConfig;
use models::decoder::Activation;
use models::exchange::{Exchange, FolderSource, write_packed_folder};
use models::folder::{ModelFolder, SaveOptions, save_folder};
use models::gguf::{GgufModel, GgufOptions, Scale, write_model};
use models::qwen3::Qwen3Config;
use models::safetensors::NamedTensor;
use models::tokenizer::byte_level_json;

/// The quantiser as its definition reads.
struct Absmean;

impl Quantizer for Absmean {
    fn quantize(&mut self, weights: &[f32], trits: &mut [i8]) -> f32 {
        let mean = weights.iter().map(|w| f64::from(w.abs())).sum::<f64>() / weights.len() as f64;
        let scale = 1.0 / (mean as f32).max(1e-5);
        for (trit, w) in trits.iter_mut().zip(weights) {
            *trit = (w * scale).round_ties_even().clamp(-1.0, 1.0) as i8;
        }
        scale
    }

    fn lower_bounds(&mut self, _: &ModelConfig, bounds: &[f32]) -> Result<Vec<f32>, ModelError> {
        Ok(bounds.to_vec())
    }
}

fn bitnet(tied: bool) -> ModelConfig {
    BitNetConfig {
        vocab_size: 256,
        hidden_size: 256,
        intermediate_size: 512,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        bos_token_id: Some(1),
        eos_token_id: vec![2, 3],
        rope_theta: 10000.0,
        tie_word_embeddings: tied,
        quantization: models::bitnet::Quantization { packed: false, ..Default::default() },
        ..Default::default()
    }
    .into()
}

fn matmulfree(tied: bool) -> ModelConfig {
    MatMulFreeConfig {
        vocab_size: 256,
        hidden_size: 256,
        intermediate_size: Some(512),
        num_hidden_layers: 2,
        use_short_conv: true,
        tie_word_embeddings: tied,
        ..Default::default()
    }
    .into()
}

/// A folder of random master weights and a byte-level tokenizer.
fn folder(dir: &Path, config: &ModelConfig) -> ModelFolder {
    let parameters = config.parameters();
    let tensors: Vec<NamedTensor<'_>> = parameters
        .iter()
        .map(|p| NamedTensor::f32(p.name.clone(), &p.shape, config.init_parameter(p, 3)))
        .collect();
    save_folder(dir, &config.to_json(), &tensors, SaveOptions::default()).unwrap();
    std::fs::write(dir.join("tokenizer.json"), byte_level_json()).unwrap();
    std::fs::write(dir.join("tokenizer_config.json"), r#"{"chat_template": "{{ messages[0].content }}"}"#)
        .unwrap();
    ModelFolder::open(dir).unwrap()
}

type Weights = Vec<(String, Vec<i8>, f32)>;

/// All trits with their scales, and all numbers.
fn contents(source: &mut dyn Exchange) -> (Weights, Vec<(String, Vec<f32>)>) {
    let config = source.config().clone();
    let projections = config.projections();
    let ternary = |name: &String| {
        let (trits, scale) = source.trits(name).unwrap();
        (name.clone(), trits, scale.divisor())
    };
    let trits = projections.iter().map(ternary).collect();
    let others = config.expected_tensors().into_iter().filter(|(name, _)| !projections.contains(name));
    let numbers =
        others.map(|(name, _)| (name.clone(), source.numbers(&name).unwrap().into_owned())).collect();
    (trits, numbers)
}

#[test]
fn every_type_keeps_trits_scales_numbers_and_files() {
    let dir = tempfile::tempdir().unwrap();
    for (n, config) in
        [bitnet(true), bitnet(false), matmulfree(false), matmulfree(true)].into_iter().enumerate()
    {
        let place = dir.path().join(format!("m{n}"));
        let folder = folder(&place, &config);
        let mut quantizer = Absmean;
        let mut source = FolderSource::new(&folder, config.clone(), &mut quantizer);
        let wanted = contents(&mut source);
        let kinds = ["tq2_0", "tq1_0", "q2_0", "i2_s", "f16", "bf16", "f32"];
        for kind in kinds.map(|name| GgmlType::named(name).unwrap()) {
            let path = dir.path().join(format!("m{n}.gguf"));
            let options = GgufOptions { ternary: Some(kind), embedding: None };
            write_model(&path, &mut source, options, &mut |_| {}).unwrap();
            let mut model = GgufModel::open(&path).unwrap();
            assert_eq!(model.warnings(), [] as [&str; 0], "{kind}");
            assert_eq!(contents(&mut model), wanted, "{kind} {n}");
            assert!(model.tokenizer().unwrap().unwrap().is_bytes());
            assert_eq!(model.chat_template().as_deref(), Some("{{ messages[0].content }}"));
            let names: Vec<String> =
                Exchange::files(&model).unwrap().into_iter().map(|(name, _)| name).collect();
            assert_eq!(names, ["generation_config.json", "tokenizer_config.json", "tokenizer.json"]);
            match (model.config(), &config) {
                (ModelConfig::BitNet(a), ModelConfig::BitNet(b)) => {
                    assert_eq!(
                        (a.hidden_act, a.rope_theta, a.rms_norm_eps),
                        (b.hidden_act, b.rope_theta, b.rms_norm_eps)
                    );
                    assert_eq!(
                        (&a.eos_token_id, a.bos_token_id, a.tie_word_embeddings),
                        (&b.eos_token_id, b.bos_token_id, b.tie_word_embeddings)
                    );
                }
                (a, b) => assert_eq!(a, b),
            }
            // And from there into every other.
            let again = dir.path().join("again.gguf");
            for other in kinds.map(|name| GgmlType::named(name).unwrap()) {
                let options = GgufOptions { ternary: Some(other), embedding: None };
                write_model(&again, &mut model, options, &mut |_| {}).unwrap();
                assert_eq!(contents(&mut GgufModel::open(&again).unwrap()), wanted, "{kind} to {other}");
            }
        }
    }
}

#[test]
fn a_packed_folder_keeps_both_meanings_of_its_scale() {
    let dir = tempfile::tempdir().unwrap();
    let config = bitnet(true);
    let masters = folder(&dir.path().join("masters"), &config);
    let mut quantizer = Absmean;
    let mut source = FolderSource::new(&masters, config, &mut quantizer);
    let wanted = contents(&mut source);
    // Quantised masters divide; a GGUF of another program multiplies.
    let gguf = dir.path().join("m.gguf");
    write_model(&gguf, &mut source, GgufOptions::default(), &mut |_| {}).unwrap();
    let mut multiplied = GgufModel::open(&gguf).unwrap();
    for (n, source) in [&mut source as &mut dyn Exchange, &mut multiplied].into_iter().enumerate() {
        let path = dir.path().join(format!("packed{n}"));
        write_packed_folder(&path, source, None, &mut |_| {}).unwrap();
        let packed = ModelFolder::open(&path).unwrap();
        let config = ModelConfig::from_folder(&packed).unwrap().config;
        let mut quantizer = Absmean;
        let mut back = FolderSource::new(&packed, config, &mut quantizer);
        assert_eq!(contents(&mut back), wanted);
        let again = dir.path().join("again.gguf");
        write_model(&again, &mut back, GgufOptions::default(), &mut |_| {}).unwrap();
        assert_eq!(contents(&mut GgufModel::open(&again).unwrap()), wanted);
    }
    // A scale that multiplies stays one.
    let s = Scale::Multiply(0.3);
    assert_eq!((s.factor(), s.divisor()), (0.3, 1.0 / 0.3));
}

#[test]
fn embeddings_in_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let config = bitnet(true);
    let folder = folder(&dir.path().join("m"), &config);
    let mut quantizer = Absmean;
    let mut source = FolderSource::new(&folder, config, &mut quantizer);
    let path = dir.path().join("m.gguf");
    let options = GgufOptions { embedding: Some(GgmlType::Q6_K), ..Default::default() };
    write_model(&path, &mut source, options, &mut |_| {}).unwrap();
    let model = GgufModel::open(&path).unwrap();
    let tensor = model.tensor("model.embed_tokens.weight").unwrap();
    assert_eq!((tensor.kind, tensor.shape), (GgmlType::Q6_K, &[256, 256][..]));
    let found = model.values("model.embed_tokens.weight").unwrap();
    let wanted = source.numbers("model.embed_tokens.weight").unwrap();
    let error = found.iter().zip(wanted.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(error < 2e-3, "{error}");
}

/// A file of these keys and no tensors.
fn file(pairs: &[(&str, Value<'static>)]) -> Gguf {
    let pairs: Vec<_> = pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    Gguf::from_bytes(GgufWriter::new(Vec::new(), &pairs, &[]).unwrap().finish().unwrap()).unwrap()
}

#[test]
fn what_is_no_model_is_refused_with_the_key() {
    let error = |pairs: &[(&str, Value<'static>)]| GgufModel::new(file(pairs)).unwrap_err().to_string();
    let text = error(&[]);
    assert!(text.contains("general.architecture") && text.contains("matmulfree"), "{text}");
    let arch = ("general.architecture", Value::text("bitnet"));
    assert!(error(std::slice::from_ref(&arch)).contains("bitnet.embedding_length"));
    let mut keys = vec![
        arch,
        ("bitnet.embedding_length", Value::U32(256)),
        ("bitnet.attention.head_count", Value::U32(4)),
        ("bitnet.vocab_size", Value::U32(100)),
        ("bitnet.block_count", Value::U32(4000)),
        ("bitnet.feed_forward_length", Value::U32(512)),
        ("bitnet.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
    ];
    let text = error(&keys);
    assert!(text.contains("those of 4000 layers") && text.contains("0 tensors"), "{text}");
    keys[4].1 = Value::U64(u64::MAX);
    assert!(error(&keys).contains("bitnet.block_count"));
    keys[4].1 = Value::U32(1);
    keys.push(("bitnet.rope.scaling.factor", Value::F32(2.0)));
    assert!(error(&keys).contains("scaling"));
    keys[7] = ("tokenizer.ggml.bos_token_id", Value::U32(100));
    assert!(error(&keys).contains("below 100"));
    keys[7] = ("bitnet.hidden_act", Value::text("gelu"));
    assert!(error(&keys).contains("hidden_act"));
    keys[0].1 = Value::text("matmulfree");
    assert!(error(&keys).contains("fidelity.config"));
}

#[test]
fn the_gate_is_what_the_architecture_says_unless_a_key_does() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("m");
    let config = bitnet(true);
    let folder = folder(&place, &config);
    let mut quantizer = Absmean;
    let mut source = FolderSource::new(&folder, config, &mut quantizer);
    let path = dir.path().join("m.gguf");
    let notes = write_model(&path, &mut source, GgufOptions::default(), &mut |_| {}).unwrap();
    assert!(notes.iter().any(|note| note.contains("SiLU")), "{notes:?}");
    let file = Gguf::open(&path).unwrap();
    let drop_key = |gone: &str, architecture: &str| {
        let pairs: Vec<(String, Value<'_>)> = file
            .metadata()
            .filter(|(key, _)| *key != gone)
            .map(|(key, value)| {
                let key = key.replacen("bitnet.", &format!("{architecture}."), 1);
                let value = if key == "general.architecture" { Value::text(architecture) } else { value };
                (key, value)
            })
            .collect();
        let specs: Vec<_> = file.tensors().map(|t| TensorSpec::new(t.name, t.kind, t.shape)).collect();
        let mut writer = GgufWriter::new(Vec::new(), &pairs, &specs).unwrap();
        file.tensors().for_each(|t| writer.tensor(t.name, t.bytes).unwrap());
        let model = GgufModel::new(Gguf::from_bytes(writer.finish().unwrap()).unwrap()).unwrap();
        match model.config() {
            ModelConfig::BitNet(config) => config.hidden_act,
            _ => unreachable!(),
        }
    };
    assert_eq!(drop_key("none", "bitnet"), Activation::Relu2);
    assert_eq!(drop_key("bitnet.hidden_act", "bitnet"), Activation::Silu);
    assert_eq!(drop_key("bitnet.hidden_act", "bitnet-b1.58"), Activation::Relu2);
    assert_eq!(drop_key("bitnet.hidden_act", "bitnet-25"), Activation::Relu2);
}

fn qwen3() -> ModelConfig {
    Qwen3Config {
        vocab_size: 256,
        hidden_size: 256,
        intermediate_size: 512,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        // Not the width of the stream over the heads.
        head_dim: 128,
        bos_token_id: Some(1),
        eos_token_id: vec![2, 3],
        rope_theta: 1e6,
        tie_word_embeddings: true,
        ..Default::default()
    }
    .into()
}

#[test]
fn matrices_in_blocks_keep_their_bytes_and_name_their_formats() {
    let dir = tempfile::tempdir().unwrap();
    let config = qwen3();
    let folder = folder(&dir.path().join("m"), &config);
    let mut quantizer = Absmean;
    let mut source = FolderSource::new(&folder, config.clone(), &mut quantizer);
    let path = dir.path().join("m.gguf");
    for kind in ["q2_0", "q4_0", "q8_0", "q4_k", "q6_k", "q1_0", "tq1_0", "tq2_0", "f16", "bf16", "f32"] {
        let kind = GgmlType::named(kind).unwrap();
        let options = GgufOptions { ternary: Some(kind), embedding: Some(GgmlType::Q6_K) };
        assert!(write_model(&path, &mut source, options, &mut |_| {}).unwrap().is_empty());
        let model = GgufModel::open(&path).unwrap();
        assert_eq!(model.warnings(), [] as [&str; 0], "{kind}");
        let ModelConfig::Qwen3(found) = model.config() else { unreachable!() };
        assert_eq!(found.formats.get("model.embed_tokens.weight"), GgmlType::Q6_K.format().as_ref());
        assert_eq!(found.formats.len(), if kind == GgmlType::F32 { 1 } else { 15 }, "{kind}");
        assert_eq!(found.formats.get("model.layers.1.mlp.down_proj.weight"), kind.format().as_ref());
        let found = Qwen3Config { formats: Default::default(), ..found.as_ref().clone() };
        assert_eq!(ModelConfig::from(found), config);
        for name in ["model.layers.1.mlp.down_proj.weight", "model.layers.0.self_attn.q_norm.weight"] {
            let tensor = model.tensor(name).unwrap();
            let wanted = source.numbers(name).unwrap().into_owned();
            let wanted = match tensor.kind.format() {
                Some(format) => {
                    let columns = tensor.matrix()[1];
                    let bytes = barewire::blocks::encode(format, columns, &wanted).unwrap();
                    barewire::blocks::decode(format, columns, &bytes).unwrap()
                }
                None => wanted,
            };
            assert_eq!(*model.values(name).unwrap(), wanted, "{kind} {name}");
        }
    }
    // One scale for a whole matrix of blocks is no format of numbers.
    let options = GgufOptions { ternary: Some(GgmlType::I2_S), embedding: None };
    let error = write_model(&path, &mut source, options, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("in blocks") && error.contains("I2_S"), "{error}");
}

#[test]
fn keys_and_tensors_that_make_no_qwen3_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = qwen3();
    let folder = folder(&dir.path().join("m"), &config);
    let mut quantizer = Absmean;
    let mut source = FolderSource::new(&folder, config, &mut quantizer);
    let path = dir.path().join("m.gguf");
    let options = GgufOptions { ternary: Some(GgmlType::Q2_0), embedding: Some(GgmlType::Q6_K) };
    write_model(&path, &mut source, options, &mut |_| {}).unwrap();
    let file = Gguf::open(&path).unwrap();
    // The file with one key set to another value or gone, and a tensor more.
    let changed = |key: &str, value: Option<Value<'static>>, more: Option<&str>| {
        let pairs = file.metadata().map(|(key, value)| (key.to_owned(), value));
        let mut pairs: Vec<(String, Value<'_>)> =
            pairs.filter(|(found, _)| found != key && found != "fidelity.config").collect();
        pairs.extend(value.map(|value| (key.to_owned(), value)));
        let mut specs: Vec<_> = file.tensors().map(|t| TensorSpec::new(t.name, t.kind, t.shape)).collect();
        specs.extend(more.map(|name| TensorSpec::new(name, GgmlType::F32, &[1])));
        let mut writer = GgufWriter::new(Vec::new(), &pairs, &specs).unwrap();
        file.tensors().for_each(|t| writer.tensor(t.name, t.bytes).unwrap());
        more.iter().for_each(|name| writer.tensor(name, &0.5f32.to_le_bytes()).unwrap());
        GgufModel::new(Gguf::from_bytes(writer.finish().unwrap()).unwrap())
    };
    assert!(changed("none", None, None).is_ok());
    for key in ["attention.value_length", "attention.head_count_kv", "rope.dimension_count", "context_length"]
    {
        // Keys that have a default; more heads of keys than there are rows are seen at the tensors.
        let found = changed(&format!("qwen3.{key}"), None, None);
        assert_eq!(found.is_ok(), key != "attention.head_count_kv", "{key}");
    }
    let max = Value::U64(u64::MAX);
    for (key, value, told) in [
        ("embedding_length", None, "qwen3.embedding_length"),
        ("embedding_length", Some(Value::U32(0)), "hidden_size"),
        ("embedding_length", Some(Value::text("256")), "qwen3.embedding_length"),
        ("block_count", None, "qwen3.block_count"),
        ("block_count", Some(max.clone()), "qwen3.block_count"),
        ("block_count", Some(Value::U32(65_535)), "layers"),
        ("feed_forward_length", Some(Value::U32(511)), "[511, 256]"),
        ("attention.head_count", Some(Value::U32(0)), "num_attention_heads"),
        ("attention.head_count", Some(Value::U32(3)), "num_key_value_heads"),
        ("attention.head_count_kv", Some(Value::U32(0)), "num_key_value_heads"),
        ("attention.head_count_kv", Some(max.clone()), "qwen3.attention.head_count_kv"),
        ("attention.key_length", None, "qwen3.attention.value_length"),
        ("attention.key_length", Some(Value::U32(0)), "qwen3.attention.value_length"),
        ("attention.value_length", Some(Value::U32(64)), "qwen3.attention.value_length"),
        ("rope.dimension_count", Some(Value::U32(64)), "qwen3.rope.dimension_count"),
        ("rope.freq_base", Some(Value::F32(f32::NAN)), "qwen3.rope.freq_base"),
        ("rope.freq_base", Some(Value::F32(-1.0)), "rope_theta"),
        ("rope.scaling.type", Some(Value::text("yarn")), "qwen3.rope.scaling.type"),
        ("rope.scaling.factor", Some(Value::F32(4.0)), "scaling"),
        ("rope.scale_linear", Some(Value::F32(2.0)), "scaling"),
        ("attention.layer_norm_rms_epsilon", None, "layer_norm_rms_epsilon"),
        ("attention.layer_norm_rms_epsilon", Some(Value::F32(-1.0)), "rms_norm_eps"),
    ] {
        let text = match changed(&format!("qwen3.{key}"), value.clone(), None) {
            Ok(_) => panic!("{key} {value:?} is taken"),
            Err(error) => error.to_string(),
        };
        assert!(text.contains(told), "{key} {value:?}: {text}");
    }
    // A bias would be left out; a scale beside blocks takes part.
    let text = changed("none", None, Some("blk.0.attn_q.bias")).unwrap_err().to_string();
    assert!(text.contains("attn_q.bias"), "{text}");
    let scaled = changed("none", None, Some("blk.0.attn_q.scale")).unwrap();
    let ModelConfig::Qwen3(config) = scaled.config() else { unreachable!() };
    let name = "model.layers.0.self_attn.q_proj.weight";
    assert!(!config.formats.contains_key(name) && config.formats.len() == 14);
    let plain = GgufModel::open(&path).unwrap();
    let half: Vec<f32> = plain.values(name).unwrap().iter().map(|x| 0.5 * x).collect();
    assert_eq!(*scaled.values(name).unwrap(), half);
}
