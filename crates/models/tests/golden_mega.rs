//! MEGA against the data made by the published implementation, and its forms against one another.

mod sequence;

use axes::DType;
use graph::Array;
use models::architecture::{Architecture, ModelConfig};
use models::folder::ModelFolder;
use models::forms::GraphOptions;
use models::mega::{MegaActivation, MegaConfig, MegaNorm, RelativeBias};
use sequence::*;

fn case(name: &str) -> Option<(ModelConfig, Values, Values, std::path::PathBuf)> {
    let dir = golden(name)?;
    let folder = ModelFolder::open(&dir).unwrap();
    let parsed = ModelConfig::from_folder(&folder).unwrap();
    assert_eq!(parsed.warnings, Vec::<String>::new());
    let mut written = folder.config().clone();
    written.sort_all_objects();
    assert_eq!(parsed.config.to_json(), written);
    let (mut io, weights) = (read(&dir.join("io.safetensors")), read(&dir.join("model.safetensors")));
    io.extend(weights.clone());
    io.insert("labels".into(), io["input_ids"].clone());
    Some((parsed.config, io, weights, dir))
}

#[test]
fn outputs_hidden_states_loss_and_gradients_are_the_references() {
    for name in ["mega_causal", "mega_bidir"] {
        let Some((model, io, _, dir)) = case(name) else { return };
        let options = GraphOptions { mask: true, ..GraphOptions::default() };
        let graph = with_gradients(&*model, &options);
        let shape = &io["input_ids"].shape;
        let sizes = [("B", shape[0]), ("T", shape[1])];
        let wide = run::<f64>(&graph, &io, &sizes);
        // The reference transforms its moving average in f32 also where the rest is f64.
        let apart = distance(&wide["logits"], &io["logits_f64"]);
        assert!(apart < 1e-7, "{name}: {apart:e}");
        let made = run::<f32>(&graph, &io, &sizes);
        near("logits", &made["logits"], &io["logits"]);
        for layer in 0..3 {
            let name = format!("hidden_states.{layer}");
            near(&name, &made[&name], &io[&name]);
        }
        assert!((made["loss"].to_f64()[0] - io["loss"].to_f64()[0]).abs() < 1e-5, "{name}");
        gradients(&made, &read(&dir.join("grads.safetensors")), 3e-5);
    }
}

#[test]
fn the_step_gives_the_references_and_any_cut_the_same() {
    let Some((model, io, weights, _)) = case("mega_causal") else { return };
    let options = GraphOptions::default();
    for lengths in [vec![1; 33], vec![33], vec![7, 1, 1, 12, 30], vec![1, 20, 12]] {
        let made = pieces(&*model, &options, &weights, ("input_ids", &io["input_ids"]), &lengths, "logits");
        near("logits", &made, &io["logits_step"]);
        near("logits", &made, &io["logits"]);
    }
}

fn small(seed: u64) -> MegaConfig {
    let bit = |k: u64| (seed >> k) & 1 == 1;
    MegaConfig {
        vocab_size: 17,
        hidden_size: 6,
        num_hidden_layers: 2,
        intermediate_size: 10,
        ema_projection_size: 1 + seed as usize % 3,
        shared_representation_size: 4,
        chunk_size: bit(0).then_some(4),
        normalize_before_mega: bit(1),
        normalize_before_ffn: !bit(1),
        use_normalized_ffn: !bit(2),
        add_lm_hidden_dense_layer: bit(2),
        add_token_type_embeddings: bit(2),
        nffn_hidden_size: 7,
        max_positions: 16,
        normalization_type: [MegaNorm::Scale, MegaNorm::Layer, MegaNorm::Rms][seed as usize % 3],
        attention_activation: [MegaActivation::Softmax, MegaActivation::Laplace, MegaActivation::Relu2]
            [seed as usize / 2 % 3],
        relative_positional_bias: [RelativeBias::Rotary, RelativeBias::Simple][seed as usize / 3 % 2],
        initializer_range: 0.5,
        ..MegaConfig::default()
    }
}

#[test]
fn any_cut_of_any_configuration_is_the_whole_sequence() {
    for seed in 0..24 {
        let model = small(seed);
        let weights = initial(&model, seed);
        let ids: Vec<i64> = (0..22).map(|k| (k * 7 + seed as i64 * 3) % 17).collect();
        let ids = Array::int(DType::I64, vec![2, 11], ids);
        let mut given = weights.clone();
        given.insert("input_ids".into(), ids.clone());
        let options = GraphOptions::default();
        let whole = run::<f64>(&model.graph(&options).unwrap(), &given, &[("B", 2), ("T", 11)]);
        for lengths in [vec![1; 11], vec![3, 5, 1, 2], vec![6, 5], vec![1, 10], vec![4, 4, 3]] {
            let made = pieces(&model, &options, &weights, ("input_ids", &ids), &lengths, "logits");
            let d = distance(&made, &whole["logits"]);
            assert!(d < 1e-9, "seed {seed}, {lengths:?}: {d:e}");
        }
    }
}

#[test]
fn models_without_a_step_say_so() {
    let model = MegaConfig { is_decoder: false, bidirectional: true, masked: true, ..small(0) };
    assert!(model.states(Default::default()).is_empty());
    let error = model.step(&GraphOptions::default()).unwrap_err().to_string();
    assert!(error.contains("whole sequence"), "{error}");
}

#[test]
fn contradictions_are_named() {
    let read = |key: &str, value: serde_json::Value| {
        let mut config = MegaConfig::default().to_json();
        config[key] = value;
        MegaConfig::from_json("config.json".as_ref(), &config).unwrap_err().to_string()
    };
    for (key, value, says) in [
        ("bidirectional", true.into(), "is_decoder"),
        ("normalization_type", "batchnorm".into(), "scalenorm"),
        ("activation", "gelu".into(), "silu"),
        ("use_chunking", true.into(), "chunk_size"),
        ("add_cross_attention", true.into(), "encoder"),
        ("shared_representation_size", 3.into(), "even"),
        ("quantization_config", serde_json::json!({"bits": 4}), "quantization_config"),
    ] {
        let error = read(key, value);
        assert!(error.contains(says), "{error}");
    }
}
