//! Configurations: defaults, refusals, warnings, and the tensors they imply.

use std::path::Path;

use models::ModelError;
use models::config::{ActivationRounding, MatMulFreeConfig, MlgruForm};
use models::folder::Weights;
use models::safetensors::{NamedTensor, write};
use serde_json::{Value, json};

fn parse(mut value: Value) -> Result<(MatMulFreeConfig, Vec<String>), ModelError> {
    if value.get("model_type").is_none() {
        value["model_type"] = json!("hgrn_bit");
    }
    MatMulFreeConfig::from_json(Path::new("m/config.json"), &value)
        .map(|parsed| (parsed.config, parsed.warnings))
}

fn refused(value: Value, parts: &[&str]) {
    let text = parse(value.clone()).expect_err(&value.to_string()).to_string();
    for part in parts.iter().chain(&["m/config.json"]) {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn defaults_are_the_published_ones() {
    let (config, warnings) = parse(json!({})).unwrap();
    assert_eq!(config, MatMulFreeConfig { extra: Default::default(), ..MatMulFreeConfig::default() });
    assert!(warnings.is_empty());
    assert_eq!((config.input_dim(), config.head_dim(), config.intermediate_size()), (2048, 2048, 5632));
}

#[test]
fn published_sizes_have_the_published_counts() {
    // The published table leaves the norms out: a thousandth of the whole.
    for (layers, hidden, intermediate, count) in
        [(24, 1024, 2816, 373.8e6), (24, 2048, 5632, 1.364e9), (32, 2560, 6912, 2.701e9)]
    {
        let (config, _) = parse(json!({"hidden_size": hidden, "num_hidden_layers": layers})).unwrap();
        assert_eq!(config.intermediate_size(), intermediate);
        let found = config.parameter_count().unwrap() as f64;
        assert!((found / count - 1.0).abs() < 1e-3, "{found} {count}");
    }
}

#[test]
fn other_architectures_are_listed() {
    refused(json!({"model_type": "mamba"}), &["\"mamba\"", "\"hgrn_bit\""]);
    refused(json!({"model_type": 3}), &["model_type"]);
    let none = MatMulFreeConfig::from_json(Path::new("c"), &json!({})).unwrap_err();
    assert!(matches!(none, ModelError::Architecture { .. }), "{none}");
    assert!(MatMulFreeConfig::from_json(Path::new("c"), &json!([1])).is_err());
}

#[test]
fn wrong_values_are_refused() {
    for bad in
        [json!(0), json!(-1), json!(1e18), json!(1.5), json!("64"), json!(true), json!(null), json!([8])]
    {
        refused(json!({"hidden_size": bad}), &["`hidden_size`", "whole number"]);
    }
    refused(json!({"vocab_size": {"__float__": "Infinity"}}), &["`vocab_size`"]);
    refused(json!({"use_lower_bound": 1}), &["`use_lower_bound`", "true or false"]);
    refused(json!({"rms_norm_eps": 0}), &["`rms_norm_eps`"]);
    refused(json!({"rms_norm_eps": {"__float__": "NaN"}}), &["`rms_norm_eps`"]);
    refused(json!({"hidden_size": 48, "num_heads": 5}), &["`num_heads`", "divisor", "48"]);
    refused(json!({"expand_ratio": 2}), &["`expand_ratio`", "use_lower_bound"]);
    refused(json!({"expand_ratio": 1e-9, "use_lower_bound": false}), &["`expand_ratio`"]);
    refused(json!({"attn_mode": "chunk"}), &["`attn_mode`", "fused_recurrent"]);
    refused(json!({"eos_token_id": 32000}), &["`eos_token_id`", "32000"]);
    refused(json!({"pad_token_id": [1, 2]}), &["`pad_token_id`"]);
    refused(json!({"mlgru_form": "new"}), &["`mlgru_form`", "\"released\", \"paper\", \"article\""]);
    let huge = json!({"hidden_size": 131072, "num_hidden_layers": 4096});
    refused(huge, &["2^40"]);
}

#[test]
fn keys_that_change_the_mathematics_are_refused_and_others_warned_about() {
    for (key, value) in [
        ("quantization_config", json!({"bits": 4})),
        ("rope_theta", json!(10000)),
        ("rope_scaling", json!({"type": "linear"})),
        ("conv_bias", json!(true)),
        ("residual_multiplier", json!(0.5)),
    ] {
        refused(json!({key: value}), &[&format!("`{key}`")]);
    }
    let harmless = json!({"rope_scaling": null, "conv_bias": false, "residual_multiplier": 1.0});
    assert_eq!(parse(harmless).unwrap().1.len(), 3);
    let (config, warnings) =
        parse(json!({"dropout": 0.1, "hidden_act": "gelu", "torch_dtype": "float16"})).unwrap();
    assert_eq!(warnings.len(), 2);
    assert!(warnings.iter().any(|text| text.contains("`dropout`")));
    assert!(warnings.iter().any(|text| text.contains("\"gelu\"")));
    assert_eq!(config.to_json()["dropout"], json!(0.1));
}

#[test]
fn numbers_in_the_newer_form_are_numbers() {
    let (config, _) = parse(json!({"rms_norm_eps": {"__float__": "1e-05"}, "hidden_size": 64.0})).unwrap();
    assert_eq!((config.rms_norm_eps, config.hidden_size), (1e-5, 64));
}

#[test]
fn what_is_written_reads_back() {
    let config = MatMulFreeConfig {
        vocab_size: 256,
        hidden_size: 64,
        num_heads: 2,
        expand_ratio: 1.5,
        use_lower_bound: false,
        eos_token_id: vec![],
        bos_token_id: None,
        pad_token_id: Some(0),
        mlgru_form: MlgruForm::Paper,
        activation_rounding: ActivationRounding::HalfToEven,
        bitlinear_norm_eps: 1e-8,
        ..MatMulFreeConfig::default()
    };
    let value = config.to_json();
    assert_eq!(value["eos_token_id"], Value::Null);
    assert_eq!(value["mlgru_form"], "paper");
    assert_eq!(parse(value).unwrap(), (config, vec![]));
    assert!(MatMulFreeConfig::default().to_json().get("mlgru_form").is_none());
}

fn small(change: Value) -> MatMulFreeConfig {
    let mut value =
        json!({"vocab_size": 16, "hidden_size": 8, "num_hidden_layers": 2, "intermediate_size": 12});
    for (key, content) in change.as_object().unwrap() {
        value[key] = content.clone();
    }
    parse(value).unwrap().0
}

fn shape(config: &MatMulFreeConfig, name: &str) -> Option<Vec<usize>> {
    config.expected_tensors().into_iter().find(|(other, _)| other == name).map(|(_, shape)| shape)
}

#[test]
fn variants_change_the_tensors() {
    let plain = small(json!({}));
    assert_eq!(shape(&plain, "model.lower_bounds"), Some(vec![2, 8]));
    assert_eq!(shape(&plain, "model.layers.1.mlp.gate_proj.weight"), Some(vec![24, 8]));
    assert_eq!(shape(&plain, "model.layers.0.attn.h_conv1d.weight"), None);
    let shared = small(json!({"use_short_conv": true, "conv_size": 3}));
    assert_eq!(shape(&shared, "model.layers.0.attn.h_conv1d.weight"), Some(vec![8, 1, 3]));
    let wide = json!({"use_short_conv": true, "share_conv_kernel": false, "expand_ratio": 2, "use_lower_bound": false});
    let wide = small(wide);
    assert_eq!(shape(&wide, "model.layers.0.attn.i_conv1d.weight"), Some(vec![16, 1, 4]));
    assert_eq!(shape(&wide, "model.layers.0.attn.o_proj.weight"), Some(vec![8, 16]));
    assert_eq!(shape(&wide, "model.lower_bounds"), None);
    let tied = small(json!({"tie_word_embeddings": true}));
    assert_eq!(shape(&tied, "lm_head.weight"), None);
    assert_eq!(shape(&tied, "lm_head.norm.weight"), Some(vec![8]));
    let paper = small(json!({"mlgru_form": "paper"}));
    assert_eq!(shape(&paper, "model.layers.0.attn.g_norm.weight"), None);
}

fn on_disk(tensors: &[NamedTensor<'_>]) -> Weights {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.safetensors");
    write(&path, tensors, &Default::default()).unwrap();
    Weights::open(path).unwrap()
}

#[test]
fn all_differences_are_reported_at_once() {
    let config = small(json!({}));
    let mut tensors = config.init(1);
    config.check(&on_disk(&tensors)).unwrap();
    tensors.retain(|tensor| tensor.name != "model.norm.weight");
    tensors[1] = NamedTensor::f32("model.embeddings.weight", &[8, 16], vec![0.0; 128]);
    let last = tensors.len() - 1;
    tensors[last] = NamedTensor::i8("lm_head.norm.weight", &[8], vec![1; 8]);
    tensors.push(NamedTensor::f32("model.rotary.inv_freq", &[1], vec![0.0]));
    let text = config.check(&on_disk(&tensors)).unwrap_err().to_string();
    for part in
        ["missing: `model.norm.weight`", "[8, 16] instead of [16, 8]", "`lm_head.norm.weight` I8", "inv_freq"]
    {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn a_tied_model_may_hold_its_head_twice_if_it_is_the_same() {
    let config = small(json!({"tie_word_embeddings": true}));
    let mut tensors = config.init(1);
    let mut copy = tensors.iter().find(|tensor| tensor.name == "model.embeddings.weight").unwrap().clone();
    copy.name = "lm_head.weight".into();
    tensors.push(copy);
    config.check(&on_disk(&tensors)).unwrap();
    tensors.pop();
    tensors.push(NamedTensor::f32("lm_head.weight", &[16, 8], vec![0.5; 128]));
    assert!(config.check(&on_disk(&tensors)).is_err());
}

#[test]
fn initial_weights_depend_on_the_seed_and_the_name_only() {
    let (a, b) = (small(json!({})), small(json!({"use_short_conv": true, "pad_token_id": 3})));
    assert_eq!(a.init(5), a.init(5));
    let find = |list: Vec<NamedTensor<'static>>, name: &str| {
        list.into_iter().find(|t| t.name == name).unwrap().values
    };
    let name = "model.layers.1.mlp.down_proj.weight";
    assert_eq!(find(a.init(5), name), find(b.init(5), name));
    assert_ne!(find(a.init(5), name), find(a.init(6), name));
    let models::safetensors::Values::F32(rows) = find(b.init(5), "model.embeddings.weight") else { panic!() };
    assert!(rows[24..32].iter().all(|x| *x == 0.0) && rows[..24].iter().all(|x| *x != 0.0));
}
