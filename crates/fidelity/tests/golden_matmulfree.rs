//! The MatMul-free language model against the data made by the published implementation.

mod common;
use common::{golden, read};
use engine::{Tensor, pool::Pool};
use fidelity::eval::{Arithmetic, Batch, Cut, Request};
use fidelity::loaded::Loaded;
use graph::Array;
use models::matmulfree::{Form, GraphOptions};
use models::safetensors::TensorFile;
use std::path::Path;
use std::sync::Arc;

const CASES: [&str; 3] = ["case_a", "case_b", "case_c_shortconv_patched"];

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

fn worst(a: &Array<f64>, b: &[f64]) -> f64 {
    let a = a.to_f64();
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |m, d| if d.is_nan() { f64::NAN } else { m.max(d) })
}

fn each(f: impl Fn(&str, &Path, Loaded, Batch)) {
    for case in CASES {
        let Some(dir) = golden(&format!("matmulfree/{case}")) else { continue };
        f(case, &dir, Loaded::open(&dir).unwrap(), batch(&dir));
    }
}

#[test]
fn logits_loss_hidden_states_and_gradients() {
    let pool = Arc::new(Pool::new(2));
    each(|case, dir, model, batch| {
        let request = Request { hidden: true, grads: true, ..Default::default() };
        let got = model.eval(&batch, &request, &pool).unwrap().values;
        let want = read(dir, "outputs.safetensors");
        for (name, v) in &want {
            let name = match name.as_str() {
                "logits_f64" | "loss_f64" => continue,
                "hidden_states.final_norm" => format!("hidden_states.{}", model.config.num_hidden_layers()),
                n => n.to_string(),
            };
            let d = worst(&got[&name], v);
            assert!(d <= 1e-5, "{case} {name}: {d:e}");
        }
        let grads = read(dir, "grads.safetensors");
        assert_eq!(grads.len(), model.parameters.len());
        for (name, v) in &grads {
            let peak = v.iter().fold(0f64, |m, x| m.max(x.abs()));
            let d = worst(&got[&format!("grad.{name}")], v);
            assert!(d <= 1e-5 * peak, "{case} grad.{name}: {d:e} of {peak:e}");
        }
    });
}

#[test]
fn the_training_form_has_the_gradients_of_the_published_code() {
    let pool = Arc::new(Pool::new(2));
    each(|case, dir, model, batch| {
        let mask = batch.attention_mask.is_some();
        let options = GraphOptions { form: Form::Training, mask, labels: true, ..Default::default() };
        let g = model.sequence(&options, batch.batch, batch.length).unwrap();
        let names: Vec<&str> = model.parameters.keys().map(String::as_str).collect();
        let g = furnace::grad_graph(&g, "loss", &names, furnace::Remat::default()).unwrap();
        let shape = [batch.batch, batch.length];
        let masks = batch.attention_mask.clone().unwrap_or_default();
        let masks: Vec<f32> = masks.into_iter().map(|m| m as f32).collect();
        let inputs: Vec<Tensor> = (g.inputs.iter())
            .map(|i| match i.name.as_str() {
                "input_ids" => Tensor::from_i64(shape, &batch.input_ids),
                "labels" => Tensor::from_i64(shape, batch.labels.as_ref().unwrap()),
                "attention_mask" => Tensor::from_f32(shape, &masks),
                name => model.parameters[name].clone(),
            })
            .collect();
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let made = engine::run_once(&g, &inputs, &Default::default(), pool.clone()).unwrap();
        let grads = read(dir, "grads.safetensors");
        assert_eq!(grads.len(), names.len());
        for (name, v) in &grads {
            let (_, got) = made.iter().find(|(n, _)| *n == format!("grad.{name}")).unwrap();
            let peak = v.iter().fold(0f64, |m, x| m.max(x.abs()));
            let d = worst(&got.to_array(), v);
            assert!(d <= 1e-5 * peak, "{case} grad.{name}: {d:e} of {peak:e}");
        }
        let loss = made.iter().find(|(n, _)| n == "loss").unwrap().1.f32()[0];
        let want = read(dir, "outputs.safetensors")["loss"][0];
        assert!((f64::from(loss) - want).abs() <= 1e-5, "{case}: {loss} against {want}");
    });
}

#[test]
fn double_precision() {
    let pool = Arc::new(Pool::new(1));
    each(|case, dir, model, batch| {
        let request = Request { arithmetic: Arithmetic::F64, grads: true, ..Default::default() };
        let got = model.eval(&batch, &request, &pool).unwrap().values;
        let want = read(dir, "outputs.safetensors");
        for name in ["logits", "loss"] {
            let d = worst(&got[name], &want[&format!("{name}_f64")]);
            assert!(d <= 1e-9, "{case} {name}: {d:e}");
        }
        for (name, v) in read(dir, "grads_f64.safetensors") {
            let peak = v.iter().fold(0f64, |m, x| m.max(x.abs()));
            let d = worst(&got[&format!("grad.{name}")], &v);
            assert!(d <= 1e-9 * peak, "{case} grad.{name}: {d:e} of {peak:e}");
        }
    });
}

#[test]
fn traces_are_exact_where_they_are_integers() {
    let pool = Arc::new(Pool::new(1));
    each(|case, dir, model, batch| {
        let request = Request { trace: true, ..Default::default() };
        let got = model.eval(&batch, &request, &pool).unwrap().values;
        let file = TensorFile::open(dir.join("trace.safetensors")).unwrap();
        let mut integers = 0;
        for name in file.names() {
            let view = file.tensor(name).unwrap();
            let Some(v) = got.get(name) else { panic!("{case}: no {name} in the trace") };
            if name.ends_with(".xq") {
                let want: Vec<i64> = view.bytes.iter().map(|b| *b as i8 as i64).collect();
                assert_eq!(v.ints(), want, "{case} {name}");
                integers += 1;
            } else {
                let want = view.to_f64().unwrap();
                let peak = want.iter().fold(1f64, |m, x| m.max(x.abs()));
                let d = worst(v, &want);
                assert!(d <= 1e-5 * peak, "{case} {name}: {d:e} of {peak:e}");
            }
        }
        assert!(integers > 10);
        let quant = TensorFile::open(dir.join("quant_weights.safetensors")).unwrap();
        for name in quant.names().filter(|n| n.ends_with(".trits")) {
            let want: Vec<i64> = quant.tensor(name).unwrap().bytes.iter().map(|b| *b as i8 as i64).collect();
            let path = name.strip_suffix(".weight.trits").unwrap();
            let path = path.strip_prefix("model.").unwrap_or(path);
            assert_eq!(got[&format!("{path}.trits")].ints(), want, "{case} {name}");
        }
    });
}

#[test]
fn integer_path_agrees_with_the_float_path() {
    let pool = Arc::new(Pool::new(2));
    each(|case, _, model, batch| {
        let float = model.eval(&batch, &Request::default(), &pool).unwrap().values;
        let request = Request { integer: true, ..Default::default() };
        let integer = model.eval(&batch, &request, &pool).unwrap().values;
        let d = worst(&integer["logits"], &float["logits"].to_f64());
        assert!(d <= 1e-4, "{case}: {d:e}");
    });
}

#[test]
fn streaming_and_chunks_equal_the_sequence_form_with_constant_work() {
    let pool = Arc::new(Pool::new(1));
    each(|case, _, model, batch| {
        for integer in [false, true] {
            let whole = Request { integer, hidden: true, ..Default::default() };
            let whole = model.eval(&batch, &whole, &pool).unwrap();
            for cut in [Cut::Stream, Cut::Chunks(vec![5, 1, 8]), Cut::Chunks(vec![2])] {
                let request = Request { integer, hidden: true, cut: cut.clone(), ..Default::default() };
                let got = model.eval(&batch, &request, &pool).unwrap();
                for (name, v) in &whole.values {
                    let d = worst(&got.values[name], &v.to_f64());
                    assert!(d <= 1e-5, "{case} {cut:?} {name}: {d:e}");
                }
                if cut == Cut::Stream {
                    let first = got.operations[0];
                    assert_eq!(got.operations.len(), batch.length);
                    assert!(got.operations.iter().all(|o| *o == first), "{case}: {:?}", got.operations);
                }
            }
        }
    });
}

#[test]
fn greedy_generation_reproduces_the_tokens() {
    let pool = Arc::new(Pool::new(1));
    for form in [Form::Float, Form::Integer, Form::Prepared] {
        each(|case, dir, mut model, batch| {
            let f = TensorFile::open(dir.join("generation.safetensors")).unwrap();
            let want = f.to_i64("generated").unwrap();
            let steps = f.tensor("generated").unwrap().shape[1];
            let step_logits = f.to_f64("step_logits").unwrap();
            let vocab = model.config.vocab_size();
            for b in 0..batch.batch {
                let mut stream = model.stream(1, form, &pool).unwrap();
                let row = b * batch.length..(b + 1) * batch.length;
                for i in row {
                    // Left padding stripped.
                    if batch.attention_mask.as_ref().is_none_or(|m| m[i] == 1) {
                        stream.step(&[batch.input_ids[i] as u32]).unwrap();
                    }
                }
                for k in 0..steps {
                    let logits = stream.logits().to_vec();
                    let reference = &step_logits[(b * steps + k) * vocab..][..vocab];
                    let d =
                        logits.iter().zip(reference).map(|(a, b)| (*a as f64 - b).abs()).fold(0.0, f64::max);
                    assert!(d <= 1e-4, "{case} row {b} step {k}: {d:e}");
                    let token = models::generation::greedy(&logits).unwrap();
                    assert_eq!(i64::from(token), want[b * steps + k], "{case} row {b} step {k}");
                    stream.step(&[token]).unwrap();
                }
            }
        });
    }
}

#[test]
fn token_ids_outside_the_vocabulary_are_refused() {
    let pool = Arc::new(Pool::new(1));
    each(|_, _, model, mut batch| {
        batch.input_ids[3] = model.config.vocab_size() as i64;
        let message = model.eval(&batch, &Request::default(), &pool).err().unwrap().to_string();
        assert!(message.contains("outside the vocabulary"), "{message}");
    });
}
