//! Linear attention against `fast-transformers`.

use axes::DType;
use graph::{Array, Cx, Type, interp};
use models::architecture::ModelConfig;
use models::forms::GraphOptions;
use models::frame::{Frame, LinearKind};
use models::linear_attention::{Names, SoftmaxFree};

use crate::support::{Arrays, Model, bar, close, golden, gradients, read};

#[test]
fn logits_loss_gradients_and_stream() {
    let Some(dir) = golden("linear_attention") else { return };
    let (model, want) = (Model::open(&dir), read(&dir.join("io.safetensors")));
    let (ids, logits) = (&want["input_ids"], want["logits"].floats());
    let options = GraphOptions::default();
    let made = model.sequence(ids, GraphOptions { labels: true, ..options }, true);
    close("logits", made["logits"].floats(), logits, bar(logits));
    close("loss", made["loss"].floats(), want["loss"].floats(), 1e-5);
    let names: Vec<&str> = model.weights.keys().map(String::as_str).collect();
    let made = model.gradients(ids, options, &names, true);
    gradients(&made, &read(&dir.join("grads.safetensors")), 3e-5);
    for cut in [&[1][..], &[5, 1, 8], &[16, 3], &[33]] {
        let found = model.pieces(ids, cut, options, true);
        close(&format!("{cut:?}"), &found, made["logits"].floats(), 1e-5);
        close("recurrent encoder", &found, want["logits_step"].floats(), bar(logits));
    }
}

#[test]
fn greedy_tokens() {
    let Some(dir) = golden("linear_attention") else { return };
    let (model, want) = (Model::open(&dir), read(&dir.join("io.safetensors")));
    let want = want["gen_tokens"].ints();
    let found = model.greedy(&want[..6], want.len() - 6);
    assert_eq!(found, want);
}

#[test]
fn masked_and_not_causal() {
    let Some(dir) = golden("linear_attention") else { return };
    let (model, want) = (Model::open(&dir), read(&dir.join("io.safetensors")));
    let mut json = model.config.to_json();
    json["causal"] = false.into();
    let config = ModelConfig::from_json("config.json".as_ref(), &json).unwrap().config;
    assert!(config.step(&GraphOptions::default()).is_err());
    let model = Model { config, ..model };
    let ids = &want["input_ids"];
    let (batch, time) = (ids.shape[0], ids.shape[1]);
    let lengths = want["lengths"].ints();
    let mask = (0..batch * time).map(|i| f64::from(((i % time) as i64) < lengths[i / time])).collect();
    let mut given = Arrays::new();
    given.insert("input_ids".into(), ids.clone());
    given.insert("attention_mask".into(), Array::float(DType::F32, [batch, time], mask));
    let graph = model.config.graph(&GraphOptions { mask: true, ..Default::default() }).unwrap();
    let made = model.run(&graph, &given, [batch, time, time], true);
    let logits = want["logits_noncausal_masked"].floats();
    // Rows of padding too: their queries see the keys that are real.
    close("masked", made["logits"].floats(), logits, bar(logits));
}

/// The bare attention of given queries, keys and values.
#[test]
fn bare_attention() {
    let Some(dir) = golden("linear_attention") else { return };
    let want = read(&dir.join("io.safetensors"));
    for (causal, name) in [(true, "attn_causal"), (false, "attn_noncausal")] {
        let names = Names { query: "q", key: "k", value: "v", out: "o" };
        let mixer = SoftmaxFree { hidden: 32, heads: 4, eps: 1e-6, causal, bias: false, names };
        let cx = Cx::abstract_();
        let options = GraphOptions::default();
        let mut frame = Frame::new(&cx, &options, LinearKind::Full);
        let ty = || Type::new(DType::F32, [2, 33, 4, 8]);
        let [q, k, v] = ["q", "k", "v"].map(|name| cx.input(name, ty()));
        (frame.batch, frame.time) = (2.into(), 33.into());
        let y = mixer.attend(&frame, 0, [&q, &k, &v]);
        drop(frame);
        let graph = cx.finish(&[("y", &y)]).unwrap();
        let given = ["q", "k", "v"].map(|name| want[name].clone());
        let made = interp::run::<f64>(&graph, given.to_vec(), false).unwrap();
        close(name, made.get("y").unwrap().floats(), want[name].floats(), 2e-5);
        let exact = want[&format!("{name}_f64")].floats();
        close(
            "f64",
            made.get("y").unwrap().floats(),
            exact,
            1e-9 * exact.iter().fold(0.0, |m, x| x.abs().max(m)),
        );
    }
}
