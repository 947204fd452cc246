//! BitNet configurations: what is read, what is refused.

use models::architecture::Architecture;
use models::architecture::ModelConfig;
use models::bitnet::{Activation, BitNetConfig, ScaleMeaning};
use serde_json::{Value, json};
use std::path::Path;

fn value() -> Value {
    json!({
        "model_type": "bitnet", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 128, "eos_token_id": [1, 2],
        "bos_token_id": 0, "rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"},
        "quantization_config": {
            "quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "online"
        },
    })
}

fn read(value: &Value) -> Result<models::config::Parsed<BitNetConfig>, models::ModelError> {
    BitNetConfig::from_json(Path::new("config.json"), value)
}

#[test]
fn published_keys_are_read() {
    let config = read(&value()).unwrap().config;
    assert_eq!((config.head_dim(), config.kv_dim()), (16, 32));
    assert_eq!((config.rope_theta, config.eos_token_id.as_slice()), (500_000.0, &[1, 2][..]));
    assert_eq!(config.hidden_act, Activation::Relu2);
    assert_eq!(config.quantization.scale, ScaleMeaning::Multiply);
    assert!(!config.quantization.packed);
    // The released 2B4T file has the base at the top.
    let mut old = value();
    old["rope_parameters"].take();
    old["rope_theta"] = json!(10000.0);
    assert_eq!(read(&old).unwrap().config.rope_theta, 10000.0);
    // What is written is read again as the same.
    let again = read(&config.to_json()).unwrap();
    assert_eq!(again.config.to_json(), config.to_json());
    assert!(again.warnings.is_empty(), "{:?}", again.warnings);
}

#[test]
fn the_released_shape_has_its_parameters() {
    let config = BitNetConfig { tie_word_embeddings: true, ..Default::default() };
    config.validate(Path::new("config.json")).unwrap();
    let ternary: usize = {
        let shapes: std::collections::HashMap<_, _> = config.expected_tensors().into_iter().collect();
        config.projections().iter().map(|name| shapes[name].iter().product::<usize>()).sum()
    };
    assert_eq!(ternary, 2_084_044_800);
    assert_eq!(config.parameter_count(), Some(2_412_820_480));
}

#[test]
fn what_changes_the_mathematics_is_refused() {
    for (key, content) in [
        ("attention_bias", json!(true)),
        ("rope_scaling", json!({"rope_type": "llama3", "factor": 8.0})),
        ("rope_parameters", json!({"rope_type": "yarn", "rope_theta": 1e4})),
        ("partial_rotary_factor", json!(0.5)),
        ("sliding_window", json!(128)),
        ("hidden_act", json!("gelu")),
        ("head_dim", json!(32)),
        ("num_key_value_heads", json!(3)),
        ("num_attention_heads", json!(7)),
        ("quantization_config", json!(null)),
        ("quantization_config", json!({"quant_method": "gptq"})),
        ("quantization_config", json!({"quant_method": "bitnet", "linear_class": "other"})),
        ("quantization_config", json!({"quant_method": "bitnet", "use_rms_norm": true})),
        ("quantization_config", json!({"quant_method": "bitnet", "modules_to_not_convert": ["q_proj"]})),
    ] {
        let mut changed = value();
        changed[key] = content;
        let error = read(&changed).expect_err(&format!("{changed}")).to_string();
        assert!(error.contains(key), "{key}: {error}");
    }
    let mut odd = value();
    odd["favourite_colour"] = json!("blue");
    assert!(read(&odd).unwrap().warnings[0].contains("favourite_colour"));
}

#[test]
fn any_architecture_is_known_by_its_type() {
    let config = ModelConfig::from_json(Path::new("config.json"), &value()).unwrap().config;
    assert_eq!((config.model_type(), config.vocab_size()), ("bitnet", 128));
    assert_eq!(config.projections().len(), 14);
}
