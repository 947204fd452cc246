//! Models between folders, bundles and GGUF files: trits, scales and logits equal after every pair of conversions, blocks
//! equal in every byte; and llama.cpp's logits for the same file, where llama-cpp-python is at hand.

mod blocks;
#[path = "../common/mod.rs"]
mod common;
mod peers;

use common::golden;
use engine::pool::Pool;
use fidelity::convert::{EngineQuantizer, Form, Model, write};
use fidelity::eval::{Batch, Cut, Request};
use fidelity::loaded::Loaded;
use models::architecture::ModelConfig;
use models::bitnet::{BitNetConfig, Quantization};
use models::bundle::{ModelBundle, PackOptions};
use models::config::MatMulFreeConfig;
use models::decoder::Activation;
use models::exchange::{Exchange, FolderSource};
use models::folder::{ModelFolder, SaveOptions, save_folder};
use models::gguf::{GgufModel, GgufOptions};
use models::qwen3::Qwen3Config;
use models::safetensors::{FloatType, NamedTensor};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

fn pool() -> Arc<Pool> {
    Arc::new(Pool::new(2))
}

/// Random weights of this deviation: 0.02 is the published one, more gives a model opinions.
fn bitnet(hidden_act: Activation, layers: usize, hidden: usize, vocab: usize, deviation: f64) -> ModelConfig {
    BitNetConfig {
        vocab_size: vocab,
        hidden_size: hidden,
        intermediate_size: 2 * hidden,
        num_hidden_layers: layers,
        num_attention_heads: 8,
        num_key_value_heads: 4,
        hidden_act,
        bos_token_id: Some(0),
        eos_token_id: vec![1],
        rope_theta: 10000.0,
        tie_word_embeddings: true,
        initializer_range: deviation,
        quantization: Quantization { packed: false, ..Default::default() },
        ..Default::default()
    }
    .into()
}

fn matmulfree() -> ModelConfig {
    MatMulFreeConfig {
        vocab_size: 256,
        hidden_size: 256,
        intermediate_size: Some(512),
        num_hidden_layers: 2,
        use_short_conv: true,
        initializer_range: 0.5,
        bos_token_id: None,
        eos_token_id: vec![],
        ..Default::default()
    }
    .into()
}

/// A byte-pair tokenizer of `count` tokens: bytes as characters, pairs of lowercase letters, and fill.
fn tokenizer(count: usize) -> Value {
    let bytes: Value = serde_json::from_str(&models::tokenizer::byte_level_json()).unwrap();
    let mut vocab = bytes["model"]["vocab"].as_object().unwrap().clone();
    let mut merges = vec![];
    let letters = || ('a'..='z').chain(['Ġ']);
    for (a, b) in letters().flat_map(|a| letters().map(move |b| (a, b))) {
        let (pair, id) = (format!("{a}{b}"), vocab.len());
        if id < count - 2 && !vocab.contains_key(&pair) {
            vocab.insert(pair, json!(id));
            merges.push(format!("{a} {b}"));
        }
    }
    let added = (vocab.len()..count).map(|id| {
        json!({"id": id, "content": format!("<|{id}|>"), "special": true, "single_word": false, "lstrip": false,
               "rstrip": false, "normalized": false})
    });
    let mut file = bytes.clone();
    file["added_tokens"] = added.collect();
    file["model"]["vocab"] = vocab.into();
    file["model"]["merges"] = json!(merges);
    file["pre_tokenizer"]["use_regex"] = json!(true);
    file
}

/// A folder of random master weights.
fn masters(dir: &Path, config: &ModelConfig) {
    let parameters = config.parameters();
    let tensors: Vec<NamedTensor<'_>> = parameters
        .iter()
        .map(|p| NamedTensor::f32(p.name.clone(), &p.shape, config.init_parameter(p, 11)))
        .collect();
    save_folder(dir, &config.to_json(), &tensors, SaveOptions::default()).unwrap();
    std::fs::write(dir.join("tokenizer.json"), tokenizer(config.vocab_size()).to_string()).unwrap();
}

type Trits = Vec<(Vec<i8>, u32)>;

/// Every ternary matrix with its scale's bits.
fn trits(path: &Path) -> Trits {
    let all = |source: &mut dyn Exchange| -> Trits {
        let names = source.config().projections();
        let one = |name: &String| {
            let (trits, scale) = source.trits(name).unwrap();
            (trits, scale.divisor().to_bits())
        };
        names.iter().map(one).collect()
    };
    match path.extension().and_then(|end| end.to_str()) {
        Some("fid") => all(&mut ModelBundle::open(path).unwrap()),
        Some("gguf") => {
            let mut model = GgufModel::open(path).unwrap();
            model.find_blocks(2).unwrap();
            all(&mut model)
        }
        _ => {
            let folder = ModelFolder::open(path).unwrap();
            let config = ModelConfig::from_folder(&folder).unwrap().config;
            all(&mut FolderSource::new(&folder, config, &mut EngineQuantizer::new(pool())))
        }
    }
}

fn convert(from: &Path, to: &Path, form: Form) -> Vec<String> {
    write(&Model::open(from).unwrap(), to, form, &pool(), &mut |_| {}).unwrap()
}

fn batch(length: usize, vocab: usize) -> Batch {
    let input_ids = (0..length).map(|i| ((i * 7919 + i * i * 31) % vocab) as i64).collect();
    Batch { batch: 1, length, input_ids, attention_mask: None, labels: None, ..Batch::default() }
}

fn logits(path: &Path, batch: &Batch, cut: Cut) -> Vec<f64> {
    let request = Request { cut, integer: true, ..Default::default() };
    Loaded::open(path).unwrap().eval(batch, &request, &pool()).unwrap().values["logits"].to_f64()
}

#[test]
fn every_pair_of_forms_keeps_trits_scales_and_logits() {
    let dir = tempfile::tempdir().unwrap();
    for (n, config) in [bitnet(Activation::Relu2, 2, 256, 256, 0.1), matmulfree()].into_iter().enumerate() {
        let place = |name: &str| dir.path().join(format!("{n}{name}"));
        let start = place("masters");
        masters(&start, &config);
        let wanted = trits(&start);
        let gguf = |name: &str| {
            Form::Gguf(GgufOptions {
                ternary: Some(barewire::gguf::GgmlType::named(name).unwrap()),
                embedding: None,
            })
        };
        let mut forms = vec![
            ("a.fid", Form::Bundle(PackOptions::default())),
            ("a.gguf", gguf("tq2_0")),
            ("b.gguf", gguf("i2_s")),
            ("c.gguf", gguf("tq1_0")),
        ];
        if n == 0 {
            forms.push(("packed", Form::Packed(None)));
        }
        let batch = batch(9, 256);
        let expected = [Cut::Sequence, Cut::Stream].map(|cut| (cut.clone(), logits(&start, &batch, cut)));
        for (first, form) in &forms {
            let one = place(first);
            convert(&start, &one, *form);
            assert_eq!(trits(&one), wanted, "{first}");
            for (cut, expected) in &expected {
                assert!(logits(&one, &batch, cut.clone()) == *expected, "{first} {cut:?}");
            }
            for (second, form) in &forms {
                let two = place(&format!("2{second}"));
                convert(&one, &two, *form);
                assert_eq!(trits(&two), wanted, "{first} to {second}");
            }
            // Master weights that quantise to the same: the scale to a rounding where none of f32's gives it.
            let back = place("back");
            convert(&one, &back, Form::Folder(FloatType::F32));
            for ((a, s), (b, t)) in trits(&back).iter().zip(&wanted) {
                let (s, t) = (f32::from_bits(*s), f32::from_bits(*t));
                assert!(a == b && (s / t - 1.0).abs() < 1e-6, "{first} to masters: {s} {t}");
            }
        }
    }
}

#[test]
fn the_published_packed_form_goes_through_every_other() {
    let Some(start) = golden("bitnet_b158/packed") else { return };
    let dir = tempfile::tempdir().unwrap();
    let wanted = trits(&start);
    let f16 = Form::Gguf(GgufOptions { ternary: Some(barewire::gguf::GgmlType::F16), embedding: None });
    let (fid, gguf, packed) = (dir.path().join("a.fid"), dir.path().join("a.gguf"), dir.path().join("a"));
    let forms = [(&fid, Form::Bundle(PackOptions::default())), (&gguf, f16), (&packed, Form::Packed(None))];
    for (one, form) in &forms {
        convert(&start, one, *form);
        assert_eq!(trits(one), wanted, "{}", one.display());
    }
    // Its scale multiplies, and does so still where no bundle came between.
    let config = |path: &Path| std::fs::read_to_string(path.join("config.json")).unwrap();
    assert!(config(&packed).contains("\"autobitlinear\""));
    for (from, _) in &forms {
        for (name, form) in [("b.fid", forms[0].1), ("b.gguf", f16), ("b", Form::Packed(None))] {
            let to = dir.path().join(name);
            convert(from, &to, form);
            assert_eq!(trits(&to), wanted, "{} to {name}", from.display());
        }
    }
}

#[test]
fn a_tokenizer_and_its_files_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let (start, gguf, end) = (dir.path().join("a"), dir.path().join("a.gguf"), dir.path().join("b"));
    let config = bitnet(Activation::Silu, 1, 256, 600, 0.02);
    masters(&start, &config);
    std::fs::write(start.join("tokenizer_config.json"), r#"{"chat_template": "{{ messages[0].content }}!"}"#)
        .unwrap();
    convert(&start, &gguf, Form::Gguf(GgufOptions::default()));
    let model = Loaded::open(&gguf).unwrap();
    let ids = fidelity::chat::prompt(&gguf, &model, &fidelity::chat::question(None, "hello <|599|> wörld"))
        .unwrap();
    assert_eq!(model.tokenizer.as_ref().unwrap().decode_verbatim(&ids), "hello <|599|> wörld!");
    assert!(ids.contains(&599));
    convert(&gguf, &end, Form::Packed(None));
    for name in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        assert_eq!(
            std::fs::read(end.join(name)).unwrap(),
            std::fs::read(start.join(name)).unwrap(),
            "{name}"
        );
    }
}

fn qwen3(tied: bool) -> ModelConfig {
    Qwen3Config {
        vocab_size: 512,
        hidden_size: 256,
        intermediate_size: 512,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 64,
        bos_token_id: Some(0),
        eos_token_id: vec![1],
        tie_word_embeddings: tied,
        ..Default::default()
    }
    .into()
}
