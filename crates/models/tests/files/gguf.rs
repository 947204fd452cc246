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
            let options = GgufOptions { ternary: kind, embedding: None };
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
                let options = GgufOptions { ternary: other, embedding: None };
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
