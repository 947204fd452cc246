//! Whatever the configuration: a stream gives what the sequence gives, integers what floats give, and configurations are
//! read as they were written.

use axes::DType;
use graph::Array;
use models::architecture::ModelConfig;
use models::forms::{Form, GraphOptions};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Model, worst};

const KINDS: [&str; 3] = ["full", "ternary", "binary"];

fn linear_attention(heads: usize, layers: usize, kind: &str) -> Value {
    json!({
        "model_type": "linear_attention", "vocab_size": 19, "d_model": 4 * heads, "n_heads": heads, "n_layers": layers,
        "d_ff": 12, "max_pos": 32, "linear": kind, "activation": "relu",
    })
}

fn performer(heads: usize, layers: usize, kind: &str, relu: bool) -> Value {
    json!({
        "model_type": "performer", "num_tokens": 19, "dim": 8, "depth": layers, "heads": heads, "dim_head": 4,
        "nb_features": 6, "max_seq_len": 32, "causal": true, "linear": kind, "generalized_attention": relu,
        "stabilizer": "running",
    })
}

fn transformer(heads: usize, layers: usize, kind: &str) -> Value {
    json!({
        "model_type": "transformer", "vocab_size": 19, "hidden_size": 4 * heads, "num_attention_heads": heads,
        "num_key_value_heads": 1, "num_hidden_layers": layers, "intermediate_size": 12, "linear": kind,
    })
}

fn binary(layers: usize, form: &str) -> Value {
    json!({
        "model_type": "bitnet_b1", "vocab_size": 19, "hidden_size": 8, "num_attention_heads": 2, "num_key_value_heads": 1,
        "num_hidden_layers": layers, "intermediate_size": 12, "bitnet_form": form, "bos_token_id": 0, "eos_token_id": 0,
    })
}

fn hybrid(blocks: &[&str], kind: &str, mlp: bool) -> Value {
    let mut value = json!({
        "model_type": "fidelity_hybrid", "vocab_size": 19, "hidden_size": 8, "num_heads": 2, "blocks": blocks,
        "linear": kind, "mixers": { "performer": { "nb_features": 5 }, "ssm": { "state_size": 3 } },
    });
    if mlp {
        value["intermediate_size"] = 12.into();
    }
    value
}

fn configuration() -> impl Strategy<Value = Value> {
    let mixers = prop::sample::select(vec!["attention", "linear_attention", "mlgru", "performer", "ssm"]);
    let kind = || prop::sample::select(KINDS.to_vec());
    prop_oneof![
        (1..4usize, 1..3usize, kind()).prop_map(|(h, l, k)| linear_attention(h, l, k)),
        (1..4usize, 1..3usize, kind(), any::<bool>()).prop_map(|(h, l, k, r)| performer(h, l, k, r)),
        (1..4usize, 1..3usize, kind()).prop_map(|(h, l, k)| transformer(h, l, k)),
        (1..3usize, prop::sample::select(vec!["package", "paper"])).prop_map(|(l, form)| binary(l, form)),
        (prop::collection::vec(mixers, 1..4), kind(), any::<bool>())
            .prop_map(|(blocks, k, mlp)| hybrid(&blocks, k, mlp)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn streams_are_sequences_and_integers_are_floats(
        json in configuration(),
        seed in 0..1000u64,
        tokens in prop::collection::vec(0..19i64, 22),
        cut in prop::collection::vec(1..7usize, 1..5),
    ) {
        let mut model = Model::new(&json, seed);
        let written = model.config.to_json();
        let again = ModelConfig::from_json("config.json".as_ref(), &written).unwrap();
        prop_assert_eq!(&again.config, &model.config);
        prop_assert!(again.warnings.is_empty(), "{:?}", again.warnings);
        prop_assert_eq!(
            model.config.parameter_count().unwrap() as usize,
            model.weights.values().map(Array::len).sum::<usize>()
        );
        model.prepare();
        let ids = Array::int(DType::I64, [2, 11], tokens);
        let options = GraphOptions::default();
        // In f64 no rounding of an activation is so near that a sum in another order would flip it.
        let whole = model.sequence(&ids, options, false);
        let whole = whole["logits"].floats();
        let stream = model.pieces(&ids, &cut, options, false);
        prop_assert!(worst(&stream, whole) <= 1e-5, "{}: stream off by {:e}", written, worst(&stream, whole));
        if model.config.projections().is_empty() {
            return Ok(());
        }
        for form in [Form::Integer, Form::Training, Form::Prepared] {
            let made = model.sequence(&ids, GraphOptions { form, ..options }, false);
            let d = worst(made["logits"].floats(), whole);
            // The scales of prepared weights are f32.
            let bound = if form == Form::Prepared { 1e-3 } else { 1e-9 };
            prop_assert!(d <= bound, "{}: {:?} off by {:e}", written, form, d);
        }
    }
}

/// Every parameter but buffers has a gradient that the loss feels.
#[test]
fn every_parameter_has_a_gradient() {
    let blocks = ["mlgru", "ssm", "linear_attention", "performer", "attention"];
    for json in
        [hybrid(&blocks, "binary", true), transformer(2, 2, "ternary"), linear_attention(2, 2, "binary")]
    {
        let model = Model::new(&json, 3);
        let ids = Array::int(DType::I64, [1, 9], vec![3, 1, 4, 1, 5, 9, 2, 6, 5]);
        let buffers = model.config.buffers();
        let names: Vec<&str> = model.weights.keys().map(String::as_str).collect();
        let made = model.gradients(&ids, GraphOptions::default(), &names, false);
        for name in names {
            let zero = made[&format!("grad.{name}")].floats().iter().all(|x| *x == 0.0);
            // No query is turned so far that the first key counts alone.
            assert_eq!(zero, buffers.iter().any(|buffer| buffer == name), "{name}");
        }
    }
}

#[test]
fn faults_name_what_is_wrong() {
    let read = |json: Value| ModelConfig::from_json("config.json".as_ref(), &json).unwrap_err().to_string();
    let error = read(hybrid(&["mlgru", "hyena"], "full", false));
    assert!(error.contains("`blocks`") && error.contains("hyena") && error.contains("\"mlgru\""), "{error}");
    let error = read(hybrid(&[], "full", false));
    assert!(error.contains("`blocks`"), "{error}");
    let mut json = linear_attention(2, 1, "quaternary");
    assert!(read(json.clone()).contains("\"binary\""));
    json["linear"] = "full".into();
    json["n_heads"] = 3.into();
    assert!(read(json).contains("`n_heads`"));
    let mut json = binary(1, "package");
    json["quantization_config"] = json!({ "quant_method": "bitnet" });
    assert!(read(json).contains("`quantization_config`"));
    let mut json = performer(1, 1, "full", false);
    json["rotary_position_emb"] = true.into();
    assert!(read(json).contains("`rotary_position_emb`"));
}
