//! Models run from the bytes of a bundle: the numbers of the folder, in every layout, form and instruction set.

mod common;

use axes::TritLayout;
use common::{golden, read};
use engine::kernels::simd::{self, Level};
use engine::pool::Pool;
use fidelity::convert::{Form as Target, Model, write};
use fidelity::error::Fault;
use fidelity::eval::{Arithmetic, Batch, Cut, Request};
use fidelity::loaded::Loaded;
use fidelity::perplexity::{Text, measure};
use models::bundle::{EmbeddingType, PackOptions};
use models::config::MatMulFreeConfig;
use models::folder::{SaveOptions, save_folder};
use models::matmulfree::Form;
use models::safetensors::TensorFile;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

const CASES: [&str; 3] = ["case_a", "case_b", "case_c_shortconv_patched"];
const LAYOUTS: [TritLayout; 4] =
    [TritLayout::Compute, TritLayout::Interchange, TritLayout::Storage, TritLayout::Bytes];

fn pool() -> Arc<Pool> {
    Arc::new(Pool::new(2))
}

/// Packs a folder and opens the bundle.
fn packed(folder: &Path, layout: TritLayout, embedding: EmbeddingType) -> (tempfile::TempDir, Loaded) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.fid");
    let form = Target::Bundle(PackOptions { layout, embedding: Some(embedding), ..Default::default() });
    write(&Model::open(folder).unwrap(), &path, form, &pool(), &mut |_| {}).unwrap();
    let model = Loaded::open(&path).unwrap();
    assert!(model.bundle().is_some() && model.parameters.is_empty());
    (dir, model)
}

fn batch(dir: &Path) -> Batch {
    let f = TensorFile::open(dir.join("inputs.safetensors")).unwrap();
    let shape = f.tensor("input_ids").unwrap().shape.to_vec();
    let get = |n: &str| f.contains(n).then(|| f.to_i64(n).unwrap());
    Batch {
        batch: shape[0],
        length: shape[1],
        input_ids: get("input_ids").unwrap(),
        attention_mask: get("attention_mask"),
        labels: get("labels"),
        ..Batch::default()
    }
}

fn each(f: impl Fn(&str, &Path, Batch)) {
    for case in CASES {
        let Some(dir) = golden(&format!("matmulfree/{case}")) else { continue };
        f(case, &dir, batch(&dir));
    }
}

fn worst(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |m, d| if d.is_nan() { f64::NAN } else { m.max(d) })
}

/// A model with widths that nothing divides, short convolutions and lower bounds, in a folder.
fn awkward() -> (tempfile::TempDir, PathBuf, MatMulFreeConfig) {
    let config = MatMulFreeConfig {
        vocab_size: 259,
        hidden_size: 130,
        num_hidden_layers: 2,
        num_heads: 2,
        intermediate_size: Some(301),
        use_short_conv: true,
        initializer_range: 0.5,
        bos_token_id: None,
        eos_token_id: vec![],
        ..Default::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model");
    save_folder(&path, &config.to_json(), &config.init(5), SaveOptions::default()).unwrap();
    (dir, path, config)
}

fn tokens(count: usize, vocab: usize) -> Vec<u32> {
    (0..count).map(|i| (i * 7919 % vocab) as u32).collect()
}

#[test]
fn logits_and_loss_are_those_of_the_float_path_and_of_the_published_code() {
    each(|case, dir, batch| {
        let float = Loaded::open(dir).unwrap().eval(&batch, &Request::default(), &pool()).unwrap().values;
        let published = read(dir, "outputs.safetensors");
        for layout in LAYOUTS {
            let (_dir, model) = packed(dir, layout, EmbeddingType::F32);
            for cut in [Cut::Sequence, Cut::Stream, Cut::Chunks(vec![3, 1])] {
                let request = Request { hidden: true, cut: cut.clone(), ..Default::default() };
                let got = model.eval(&batch, &request, &pool()).unwrap().values;
                for name in ["logits", "loss"] {
                    let d = worst(&got[name].to_f64(), &float[name].to_f64());
                    assert!(d <= 1e-4, "{case} {layout} {cut:?} {name}: {d:e}");
                    let d = worst(&got[name].to_f64(), &published[name]);
                    assert!(d <= 1e-4, "{case} {layout} {cut:?} published {name}: {d:e}");
                }
                assert!(got.contains_key("hidden_states.0"));
            }
            let request = Request { arithmetic: Arithmetic::F64, ..Default::default() };
            let wide = model.eval(&batch, &request, &pool()).unwrap().values;
            let d = worst(&wide["logits"].to_f64(), &published["logits_f64"]);
            assert!(d <= 1e-6, "{case} {layout} in f64: {d:e}");
        }
    });
}

#[test]
fn greedy_tokens_are_those_of_the_published_code() {
    each(|case, dir, batch| {
        let f = TensorFile::open(dir.join("generation.safetensors")).unwrap();
        let want = f.to_i64("generated").unwrap();
        let steps = f.tensor("generated").unwrap().shape[1];
        for layout in LAYOUTS {
            let (_dir, mut model) = packed(dir, layout, EmbeddingType::F32);
            for b in 0..batch.batch {
                let row = b * batch.length..(b + 1) * batch.length;
                let real = row.filter(|i| batch.attention_mask.as_ref().is_none_or(|m| m[*i] == 1));
                let prompt: Vec<u32> = real.map(|i| batch.input_ids[i] as u32).collect();
                let mut stream = model.stream(1, Form::Prepared, &pool()).unwrap();
                let mut logits = stream.feed(&prompt).unwrap().to_vec();
                for k in 0..steps {
                    let token = models::generation::greedy(&logits).unwrap();
                    assert_eq!(i64::from(token), want[b * steps + k], "{case} {layout} row {b} step {k}");
                    logits = stream.step(&[token]).unwrap().to_vec();
                }
            }
        }
    });
}

/// The level is one for the process.
static LEVEL: Mutex<()> = Mutex::new(());

#[test]
fn every_instruction_set_layout_and_thread_count_gives_the_same_bits() {
    let _turn = LEVEL.lock().unwrap_or_else(PoisonError::into_inner);
    let (_folder, awkward, _) = awkward();
    let mut folders: Vec<PathBuf> = CASES.iter().filter_map(|c| golden(&format!("matmulfree/{c}"))).collect();
    folders.push(awkward.clone());
    for folder in folders {
        let batch = match folder == awkward {
            true => Batch {
                batch: 2,
                length: 9,
                input_ids: tokens(18, 259).into_iter().map(i64::from).collect(),
                attention_mask: None,
                labels: None,
                ..Batch::default()
            },
            false => batch(&folder),
        };
        let mut first: Option<Vec<f64>> = None;
        for layout in LAYOUTS {
            let (_dir, model) = packed(&folder, layout, EmbeddingType::F32);
            for level in Level::ALL.into_iter().filter(|level| simd::force(*level)) {
                for threads in [1, 3] {
                    for cut in [Cut::Sequence, Cut::Stream, Cut::Chunks(vec![4, 1])] {
                        let request = Request { cut: cut.clone(), ..Default::default() };
                        let pool = Arc::new(Pool::new(threads));
                        let got = model.eval(&batch, &request, &pool).unwrap().values["logits"].to_f64();
                        let first = first.get_or_insert_with(|| got.clone());
                        assert!(*first == got, "{} {layout} {level:?} {threads} {cut:?}", folder.display());
                    }
                }
            }
        }
    }
    simd::force(simd::best());
}

#[test]
fn a_folder_streams_the_bits_of_its_bundle() {
    let (_folder, path, config) = awkward();
    let (_dir, mut bundle) = packed(&path, TritLayout::Storage, EmbeddingType::F32);
    let mut folder = Loaded::open(&path).unwrap();
    let prompt = tokens(20, config.vocab_size);
    let a = folder.stream(1, Form::Prepared, &pool()).unwrap().feed(&prompt).unwrap().to_vec();
    let b = bundle.stream(1, Form::Prepared, &pool()).unwrap().feed(&prompt).unwrap().to_vec();
    assert_eq!(a, b);
}

#[test]
fn a_prompt_read_in_chunks_leaves_the_bits_of_one_read_token_by_token() {
    let _turn = LEVEL.lock().unwrap_or_else(PoisonError::into_inner);
    let (_folder, path, config) = awkward();
    let mut model = Loaded::open(&path).unwrap();
    for level in Level::ALL.into_iter().filter(|level| simd::force(*level)) {
        for count in [1, 127, 128, 129, 130, 300, 513] {
            let prompt = tokens(count, config.vocab_size);
            let mut chunked = model.stream(1, Form::Prepared, &pool()).unwrap();
            let logits = chunked.feed(&prompt).unwrap().to_vec();
            let states: Vec<Vec<f32>> = chunked.states().into_iter().map(|(_, _, values)| values).collect();
            let mut single = model.stream(1, Form::Prepared, &pool()).unwrap();
            for token in &prompt {
                single.step(&[*token]).unwrap();
            }
            assert!(logits == single.logits(), "{count} tokens, {level:?}");
            for (state, (name, _, values)) in states.iter().zip(single.states()) {
                assert!(*state == values, "{name} after {count} tokens, {level:?}");
            }
            assert!(states.iter().flatten().any(|x| *x != 0.0));
        }
    }
    simd::force(simd::best());
}

#[test]
fn narrow_embeddings_are_the_numbers_that_they_stand_for() {
    let (_folder, path, config) = awkward();
    let prompt = tokens(40, config.vocab_size);
    let whole = Loaded::open(&path).unwrap();
    let table = whole.parameters["model.embeddings.weight"].f32();
    let d = config.hidden_size;
    for (kind, tolerance) in [(EmbeddingType::Bf16, 2f32.powi(-8)), (EmbeddingType::I8, 1.0 / 127.0)] {
        let (_dir, model) = packed(&path, TritLayout::Compute, kind);
        let batch = Batch {
            batch: 1,
            length: prompt.len(),
            input_ids: prompt.iter().map(|t| i64::from(*t)).collect(),
            attention_mask: None,
            labels: None,
            ..Batch::default()
        };
        let request = Request { hidden: true, ..Default::default() };
        let got = model.eval(&batch, &request, &pool()).unwrap().values;
        let rows = got["hidden_states.0"].to_f64();
        for (row, token) in rows.chunks(d).zip(&prompt) {
            let own = &table[*token as usize * d..][..d];
            let most = own.iter().fold(0f32, |m, x| m.max(x.abs()));
            for (x, y) in row.iter().zip(own) {
                assert!((*x as f32 - y).abs() <= tolerance * most, "{kind:?} {x} {y}");
            }
        }
        let request = Request { hidden: true, arithmetic: Arithmetic::F64, ..Default::default() };
        let wide = model.eval(&batch, &request, &pool()).unwrap().values;
        let d = worst(&wide["hidden_states.0"].to_f64(), &rows);
        assert!(d <= 1e-6, "{kind:?}: {d:e}");
    }
}

#[test]
fn perplexity_is_that_of_the_folder() {
    let (_folder, path, config) = awkward();
    let text = Text { tokens: tokens(200, config.vocab_size), bytes: 200 };
    let whole = measure(&mut Loaded::open(&path).unwrap(), &text, 64, &pool(), &mut |_| {}).unwrap();
    for layout in LAYOUTS {
        let (_dir, mut model) = packed(&path, layout, EmbeddingType::F32);
        assert_eq!(measure(&mut model, &text, 64, &pool(), &mut |_| {}).unwrap(), whole, "{layout}");
    }
}

#[test]
fn traces_name_trits_and_scales() {
    each(|case, dir, batch| {
        let request = Request { trace: true, integer: true, ..Default::default() };
        let whole = Loaded::open(dir).unwrap().eval(&batch, &request, &pool()).unwrap().values;
        let (_dir, model) = packed(dir, TritLayout::Interchange, EmbeddingType::F32);
        let got = model.eval(&batch, &request, &pool()).unwrap().values;
        for (name, value) in &whole {
            let Some(found) = got.get(name) else {
                assert!(name.contains("lower_bounds_eff"), "{case}: no {name}");
                continue;
            };
            assert!(worst(&found.to_f64(), &value.to_f64()) <= 1e-5, "{case} {name}");
        }
        assert!(got.keys().any(|n| n.ends_with(".trits")) && got.keys().any(|n| n.ends_with(".xq")));
    });
}

#[test]
fn what_needs_master_weights_is_refused_with_the_remedy() {
    let (_folder, path, config) = awkward();
    let (_dir, mut model) = packed(&path, TritLayout::Compute, EmbeddingType::F32);
    let ids: Vec<i64> = tokens(8, config.vocab_size).into_iter().map(i64::from).collect();
    let batch = Batch { batch: 1, length: 8, input_ids: ids.clone(), labels: Some(ids), ..Batch::default() };
    let request = Request { grads: true, ..Default::default() };
    let error = model.eval(&batch, &request, &pool()).err().unwrap();
    assert!(error.downcast_ref::<Fault>().unwrap().remedy().contains("fidelity unpack"), "{error}");
    for form in [Form::Float, Form::Integer] {
        let error = model.stream(1, form, &pool()).err().unwrap();
        assert!(error.downcast_ref::<Fault>().unwrap().remedy().contains("fidelity unpack"), "{error}");
    }
    let error = model.weight("model.layers.0.attn.i_proj.weight").err().unwrap().to_string();
    assert!(error.contains("i_proj") && error.contains("unpack"), "{error}");
    assert!(model.weight("model.layers.9.attn.i_proj.weight").is_err());
}
