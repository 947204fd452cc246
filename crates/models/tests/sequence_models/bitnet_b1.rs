//! BitNet b1 against the common package, and its layer in the paper's form against a transcription of the paper.

use axes::DType;
use graph::{Array, Cx, Type, interp};
use models::decoder::BinaryForm;
use models::forms::{Form, GraphOptions};

use crate::support::{Arrays, Model, bar, close, golden, gradients, read};

#[test]
fn logits_loss_hidden_states_and_gradients() {
    let Some(dir) = golden("bitnet_b1") else { return };
    let (model, want) = (Model::open(&dir), read(&dir.join("io.safetensors")));
    let ids = &want["input_ids"];
    let options = GraphOptions { labels: true, ..Default::default() };
    let made = model.sequence(ids, options, true);
    for name in ["logits", "hidden_states.0", "hidden_states.1", "hidden_states.2"] {
        let want = want[name].floats();
        close(name, made[name].floats(), want, bar(want));
    }
    close("loss", made["loss"].floats(), want["loss"].floats(), 1e-5);
    let exact = want["logits_f64"].floats();
    let made = model.sequence(ids, options, false);
    close("f64", made["logits"].floats(), exact, 1e-9 * exact.iter().fold(0.0, |m, x| x.abs().max(m)));
    let names: Vec<&str> = model.weights.keys().map(String::as_str).collect();
    let grads = read(&dir.join("grads.safetensors"));
    assert_eq!(grads.len(), names.len());
    gradients(&model.gradients(ids, options, &names, true), &grads, 3e-5);
    gradients(
        &model.gradients(ids, GraphOptions { form: Form::Training, ..options }, &names, true),
        &grads,
        3e-5,
    );
}

#[test]
fn forms_and_greedy_tokens() {
    let Some(dir) = golden("bitnet_b1") else { return };
    let (mut model, want) = (Model::open(&dir), read(&dir.join("io.safetensors")));
    model.prepare();
    let (ids, logits) = (&want["input_ids"], want["logits"].floats());
    for form in [Form::Float, Form::Integer, Form::Prepared, Form::Training] {
        let options = GraphOptions { form, ..Default::default() };
        for cut in [&[29][..], &[1], &[5, 1, 8]] {
            let found = model.pieces(ids, cut, options, true);
            close(&format!("{form:?} {cut:?}"), &found, logits, bar(logits));
        }
    }
    let want = want["gen_tokens"].ints();
    assert_eq!(model.greedy(&want[..8], want.len() - 8), want);
}

/// y, and the gradients of Σ y² where they are asked for.
fn layer(form: BinaryForm, given: &Arrays, per_tensor: Option<bool>, masters: bool) -> Vec<Array<f64>> {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::new(DType::F32, [5, 40]));
    let w = cx.input("W", Type::new(DType::F32, [24, 40]));
    let y = form.norm(&x);
    let (t, s_w) = form.quantizer().apply(&w);
    let weights = t.convert(DType::F32) / s_w.broadcast(&w.shape(), &[]);
    let (q, s) = match per_tensor {
        None => form.activations(&y),
        // As equation 4 has it: one γ, and no rounding.
        Some(rounded) => {
            let gamma = y.abs().max_over(&[0, 1]);
            let s = BinaryForm::paper_scale(&gamma);
            let scaled = &y * &s.broadcast(&y.shape(), &[]);
            let q = match rounded {
                true => scaled.round_half_even().clamp(-128.0, 127.0),
                false => scaled.clamp(-128.0 + 1e-5, 128.0 - 1e-5),
            };
            (q, s.broadcast(&[5.into()], &[]))
        }
    };
    let x_q = (q.convert(DType::F32) / s.broadcast_last(&40.into())).surrogate(&y);
    let out = x_q.linear(&weights.surrogate(&w));
    let loss = out.square().sum_all();
    let graph = cx.finish(&[("y", &out), ("loss", &loss)]).unwrap();
    let graph = match masters {
        true => furnace::grad_graph(&graph, "loss", &["x", "W"], furnace::Remat::default()).unwrap(),
        false => graph,
    };
    let inputs: Vec<Array<f64>> = graph.inputs.iter().map(|i| given[&i.name].clone()).collect();
    let made = interp::run::<f64>(&graph, inputs, false).unwrap();
    let get = |name: &str| made.get(name).cloned();
    ["y", "grad.x", "grad.W"].into_iter().filter_map(get).collect()
}

#[test]
fn the_layer_of_the_package_and_of_the_paper() {
    let Some(dir) = golden("bitnet_b1") else { return };
    let want = read(&dir.join("layer.safetensors"));
    let made = layer(BinaryForm::Package, &want, None, true);
    for (found, name) in made.iter().zip(["bitnet025_y", "bitnet025_dx", "bitnet025_dW"]) {
        let want = want[name].floats();
        close(name, found.floats(), want, bar(want));
    }
    for (rounded, name) in [(false, "paper_y"), (true, "paper_y_int")] {
        let found = layer(BinaryForm::Paper, &want, Some(rounded), false);
        close(name, found[0].floats(), want[name].floats(), 2e-5);
    }
    let weights: Vec<f32> = want["W"].floats().iter().map(|x| *x as f32).collect();
    let (signs, scale) = BinaryForm::Paper.quantizer().quantize(&weights);
    let signs: Vec<f64> = signs.into_iter().map(f64::from).collect();
    assert_eq!(signs, want["paper_Wb"].floats());
    close("beta", &[1.0 / f64::from(scale)], want["paper_beta"].floats(), 1e-7);
}
