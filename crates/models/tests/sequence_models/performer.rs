//! Performer against `performer-pytorch`.

use axes::DType;
use graph::{Cx, Type, interp};
use models::forms::GraphOptions;
use models::frame::{Frame, LinearKind};
use models::performer::{Favor, Features, Stabilizer};

use crate::support::{Model, bar, close, golden, gradients, read};

#[test]
fn logits_loss_and_gradients() {
    let Some(dir) = golden("performer") else { return };
    let (model, want) = (Model::open(&dir), read(&dir.join("io.safetensors")));
    let (ids, logits) = (&want["input_ids"], want["logits"].floats());
    let options = GraphOptions { labels: true, ..Default::default() };
    let made = model.sequence(ids, options, true);
    close("logits", made["logits"].floats(), logits, bar(logits));
    close("loss", made["loss"].floats(), want["loss"].floats(), 1e-5);
    let exact = want["logits_f64"].floats();
    let made = model.sequence(ids, options, false);
    close("f64", made["logits"].floats(), exact, 1e-9 * exact.iter().fold(0.0, |m, x| x.abs().max(m)));
    let grads = read(&dir.join("grads.safetensors"));
    let names: Vec<&str> = grads.keys().map(String::as_str).collect();
    gradients(&model.gradients(ids, options, &names, true), &grads, 3e-5);
}

#[test]
fn a_stream_does_not_look_ahead() {
    let Some(dir) = golden("performer") else { return };
    let (model, want) = (Model::open(&dir), read(&dir.join("io.safetensors")));
    let mut json = model.config.to_json();
    json["stabilizer"] = "running".into();
    let config = models::architecture::ModelConfig::from_json("config.json".as_ref(), &json).unwrap().config;
    let model = Model { config, ..model };
    let ids = &want["input_ids"];
    let options = GraphOptions::default();
    let whole = model.sequence(ids, options, true);
    close("running against all", whole["logits"].floats(), want["logits"].floats(), 1e-3);
    // The last position of a prefix has seen what the package's maximum has seen.
    let (batch, half, vocab) = (2, 16, 96);
    for b in 0..batch {
        let row = |v: &[f64], time: usize| v[(b * time + half - 1) * vocab..][..vocab].to_vec();
        let found = row(whole["logits"].floats(), ids.shape[1]);
        let prefix = row(want["logits_prefix"].floats(), half);
        close("prefix", &found, &prefix, 1e-3);
    }
    for cut in [&[1][..], &[5, 1, 8], &[16, 3], &[32]] {
        let found = model.pieces(ids, cut, options, true);
        close(&format!("{cut:?}"), &found, whole["logits"].floats(), 1e-5);
    }
    let exact = model.sequence(ids, options, false);
    close("f64", &model.pieces(ids, &[3, 1, 7], options, false), exact["logits"].floats(), 1e-12);
}

/// The bare attention of given queries, keys and values, each of both kinds and forms.
#[test]
fn bare_attention() {
    let Some(dir) = golden("performer") else { return };
    let want = read(&dir.join("io.safetensors"));
    for (kind, word) in [(Features::Softmax, "softmax"), (Features::Relu, "relu")] {
        for (causal, form) in [(true, "causal"), (false, "noncausal")] {
            let name = format!("{word}_{form}");
            let stabilizer = Stabilizer::All;
            let favor = Favor { hidden: 32, heads: 4, width: 8, features: 24, kind, stabilizer, causal };
            let cx = Cx::abstract_();
            let options = GraphOptions::default();
            let mut frame = Frame::new(&cx, &options, LinearKind::Full);
            (frame.batch, frame.time) = (2.into(), 32.into());
            let [q, k, v] = ["q", "k", "v"].map(|name| cx.input(name, Type::new(DType::F32, [2, 4, 32, 8])));
            let w = cx.input("w", Type::new(DType::F32, [24, 8]));
            let [q, k, v] = [q, k, v].map(|x| x.transpose(&[0, 2, 1, 3]));
            let y = favor.attend(&frame, 0, [&q, &k, &v], &w);
            let y = y.reshape(&[2.into(), 32.into(), 4.into(), 8.into()]).transpose(&[0, 2, 1, 3]);
            drop(frame);
            let graph = cx.finish(&[("y", &y)]).unwrap();
            let mut given = ["q", "k", "v"].map(|name| want[name].clone()).to_vec();
            given.push(want[&format!("{name}.projection")].clone());
            let made = interp::run::<f64>(&graph, given, false).unwrap();
            let found = made.get("y").unwrap().floats();
            close(&name, found, want[&format!("{name}.out")].floats(), 2e-5);
            let exact = want[&format!("{name}.out_f64")].floats();
            close("f64", found, exact, 1e-9 * exact.iter().fold(0.0, |m, x| x.abs().max(m)));
        }
    }
}
