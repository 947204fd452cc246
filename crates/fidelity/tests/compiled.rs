//! Models run as native code: the tokens of the published implementation, one call for each of them, and training with the
//! engine's numbers.

mod common;

use common::golden;
use common::training::{Workshop, records};
use engine::pool::Pool;
use fidelity::compiled::Native;
use fidelity::loaded::Loaded;
use models::matmulfree::Form;
use models::safetensors::TensorFile;
use std::sync::Arc;

/// The compiler, or a note that a test is left out.
fn native() -> Option<Arc<Native>> {
    match Native::new() {
        Ok(native) => Some(Arc::new(native)),
        Err(e) => {
            println!("skipped: {e}");
            None
        }
    }
}

#[test]
fn generation_reproduces_the_tokens_with_one_call_for_each() {
    let Some(native) = native() else { return };
    let pool = Arc::new(Pool::single().with_compiler(native.clone()));
    for form in [Form::Float, Form::Integer, Form::Prepared] {
        for case in ["case_a", "case_b", "case_c_shortconv_patched"] {
            let Some(dir) = golden(&format!("matmulfree/{case}")) else { continue };
            let mut model = Loaded::open(&dir).unwrap();
            let inputs = TensorFile::open(dir.join("inputs.safetensors")).unwrap();
            let (ids, shape) =
                (inputs.to_i64("input_ids").unwrap(), inputs.tensor("input_ids").unwrap().shape.to_vec());
            let mask = inputs.contains("attention_mask").then(|| inputs.to_i64("attention_mask").unwrap());
            let f = TensorFile::open(dir.join("generation.safetensors")).unwrap();
            let (want, steps) = (f.to_i64("generated").unwrap(), f.tensor("generated").unwrap().shape[1]);
            for b in 0..shape[0] {
                let mut stream = model.stream(1, form, &pool).unwrap();
                let (before, mut fed) = (native.count().1, 0);
                // Left padding stripped.
                for i in
                    (b * shape[1]..(b + 1) * shape[1]).filter(|i| mask.as_ref().is_none_or(|m| m[*i] == 1))
                {
                    stream.step(&[ids[i] as u32]).unwrap();
                    fed += 1;
                }
                for k in 0..steps {
                    let token = models::generation::greedy(stream.logits()).unwrap();
                    assert_eq!(i64::from(token), want[b * steps + k], "{form:?} {case} row {b} step {k}");
                    stream.step(&[token]).unwrap();
                    fed += 1;
                }
                assert_eq!(native.count().1 - before, fed, "{form:?} {case}: one call a token");
            }
        }
    }
}

#[test]
fn training_steps_have_the_engines_numbers() {
    if native().is_none() {
        return;
    }
    let shop = Workshop::new();
    let settings = ["train.steps=6", "train.eval_every=3", "train.memory=0"];
    for products in ["integer", "float"] {
        let products = format!("train.products={products}");
        for engine in ["engine", "compiled"] {
            let chosen = format!("engine={engine}");
            let _ = std::fs::remove_dir_all(shop.path(engine));
            shop.train(engine, &[&settings[..], &[products.as_str(), chosen.as_str()]].concat()).ok();
        }
        for key in ["loss", "grad_norm"] {
            let values = |dir: &str| -> Vec<f64> {
                records(&shop.path(dir), "train").iter().map(|r| r[key].as_f64().unwrap()).collect()
            };
            let (a, b) = (values("engine"), values("compiled"));
            assert_eq!(a.len(), b.len());
            for (step, (x, y)) in a.iter().zip(&b).enumerate() {
                // A trit that rounds the other way moves the gradient a little, the loss hardly.
                let tolerance = if key == "loss" { 1e-5 } else { 1e-3 };
                assert!((x - y).abs() <= tolerance * x, "{products}, step {step}, {key}: {x} and {y}");
            }
        }
    }
}
