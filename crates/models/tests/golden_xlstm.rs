//! Both xLSTM architectures against the data made by the published implementations, and their forms against one another.
//!
//! Everything runs in the reference interpreter, in f32 with every result rounded or in f64 throughout.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use axes::DType;
use furnace::{Remat, grad_graph};
use graph::{Array, Graph, Scalar, interp};
use models::architecture::{Architecture, ModelConfig};
use models::folder::ModelFolder;
use models::forms::{CacheType, Form, GraphOptions};
use models::frame::LinearKind;
use models::safetensors::TensorFile;
use models::xlstm::{WeightMode, XlstmConfig};
use models::xlstm_orig::XlstmOrigConfig;
use serde_json::json;

fn golden(path: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let given = std::env::var_os("FIDELITY_GOLDEN").map(PathBuf::from);
    let places = [Some(root.join("tests/golden")), given, Some(root.join("../shared/golden"))];
    let found = places.into_iter().flatten().map(|p| p.join(path)).find(|p| p.exists());
    if found.is_none() {
        println!("skipped: no golden/{path} (set FIDELITY_GOLDEN)");
    }
    found
}

/// Values by name.
type Values = BTreeMap<String, Array<f64>>;

fn floats(file: &TensorFile) -> Values {
    let one = |name: &str| {
        let shape = file.tensor(name).unwrap().shape.to_vec();
        (name.to_owned(), Array::from_f64(DType::F32, shape, &file.to_f64(name).unwrap()))
    };
    file.names().filter(|name| file.to_f64(name).is_ok()).map(one).collect()
}

/// A golden folder.
struct Case {
    config: ModelConfig,
    weights: Values,
    io: Values,
    grads: Values,
    ids: Array<f64>,
    file: TensorFile,
}

fn cases() -> Vec<Case> {
    ["xlstm", "xlstm_orig"]
        .iter()
        .filter_map(|name| {
            let dir = golden(name)?;
            let folder = ModelFolder::open(&dir).unwrap();
            let parsed = ModelConfig::from_folder(&folder).unwrap();
            assert_eq!(parsed.warnings, Vec::<String>::new());
            let open = |name: &str| TensorFile::open(dir.join(name)).unwrap();
            let (file, weights) = (open("io.safetensors"), open("model.safetensors"));
            assert_eq!(parsed.config.parameter_count(), Some(weights.data_len() / 4));
            let ids = file.tensor("input_ids").unwrap().shape.to_vec();
            let ids = Array::int(DType::I64, ids, file.to_i64("input_ids").unwrap());
            Some(Case {
                config: parsed.config,
                weights: floats(&weights),
                io: floats(&file),
                grads: floats(&open("grads.safetensors")),
                ids,
                file,
            })
        })
        .collect()
}

/// Runs a graph on values by name; results by name.
fn run<S: Scalar>(g: &Graph, given: &Values, round: bool) -> Values {
    let input = |name: &str| {
        let a = given.get(name).unwrap_or_else(|| panic!("no value for {name}"));
        match a.dtype.is_float() {
            true => Array::<S>::from_f64(a.dtype, a.shape.clone(), &a.to_f64()),
            false => Array::<S>::int(a.dtype, a.shape.clone(), a.ints().to_vec()),
        }
    };
    let inputs = g.inputs.iter().map(|i| input(&i.name)).collect();
    let made = interp::run::<S>(g, inputs, round).unwrap();
    let as_f64 = |(name, a): (String, Array<S>)| {
        let values = Array::from_f64(DType::F64, a.shape.clone(), &a.to_f64());
        (name, values)
    };
    made.outputs.into_iter().chain(made.taps).map(as_f64).collect()
}

fn peak(a: &Array<f64>) -> f64 {
    a.to_f64().iter().fold(0.0, |m, x| x.abs().max(m))
}

/// The largest difference; NaN where there is one.
fn worst(a: &Array<f64>, b: &Array<f64>) -> f64 {
    let (a, b) = (a.to_f64(), b.to_f64());
    assert_eq!(a.len(), b.len());
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, |m, d| if d.is_nan() { d } else { m.max(d) })
}

fn with(weights: &Values, more: &[(&str, &Array<f64>)]) -> Values {
    let more = more.iter().map(|(name, a)| ((*name).to_owned(), (*a).clone()));
    weights.clone().into_iter().chain(more).collect()
}

#[test]
fn logits_loss_hidden_states_and_gradients() {
    for c in cases() {
        let kind = c.config.model_type();
        let options = GraphOptions { labels: true, ..Default::default() };
        let g = c.config.graph(&options).unwrap();
        let names: Vec<&str> = c.weights.keys().map(String::as_str).collect();
        let g = grad_graph(&g, "loss", &names, Remat::default()).unwrap();
        let got = run::<f32>(&g, &with(&c.weights, &[("input_ids", &c.ids), ("labels", &c.ids)]), true);
        let mut seen = 0;
        for (name, want) in &c.io {
            let bar = match name.as_str() {
                "logits" => (1e-5 * peak(want)).max(2e-5),
                "loss" => 1e-5,
                n if n.starts_with("hidden_states.") || n.starts_with("block_out.") => {
                    (1e-5 * peak(want)).max(2e-5)
                }
                _ => continue,
            };
            let d = worst(&got[name], want);
            println!("{kind} {name}: {d:.1e} of {bar:.1e}");
            assert!(d <= bar, "{kind} {name}: {d:e}");
            seen += 1;
        }
        assert!(seen >= 4);
        assert_eq!(c.grads.len(), c.weights.len());
        let mut most = (0.0, "");
        for (name, want) in &c.grads {
            let got = &got[&format!("grad.{name}")];
            let square = |a: Vec<f64>| a.iter().map(|x| x * x).sum::<f64>().sqrt();
            let gap = got.to_f64().iter().zip(want.to_f64()).map(|(a, b)| a - b).collect();
            let relative = square(gap) / square(want.to_f64());
            assert!(relative <= 3e-5, "{kind} grad.{name}: {relative:e}");
            if relative > most.0 {
                most = (relative, name);
            }
        }
        println!("{kind} gradients: at most {:.1e} relative ({})", most.0, most.1);
    }
}

#[test]
fn double_precision() {
    for c in cases() {
        let options = GraphOptions { labels: true, ..Default::default() };
        let g = c.config.graph(&options).unwrap();
        let got = run::<f64>(&g, &with(&c.weights, &[("input_ids", &c.ids), ("labels", &c.ids)]), false);
        // The published code rounds its states to f32 behind the last whole chunk, also in its run in doubles
        // (`inference_state_dtype`): there, and in the loss, that is what is compared.
        let rounded = c.config.model_type() == "xlstm";
        for name in ["logits", "loss"] {
            let want = c.file.to_f64(&format!("{name}_f64")).unwrap();
            let [_, time] = c.ids.shape[..] else { panic!("ids are (B, T)") };
            let exact = if rounded { time / 16 * 16 } else { time };
            let per_token = want.len() / c.ids.len();
            let peak = want.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
            for (at, (got, want)) in got[name].to_f64().iter().zip(&want).enumerate() {
                let inside = per_token > 0 && at / per_token % time < exact;
                let bar = if inside || !rounded { 1e-9 } else { 1e-6 };
                let d = (got - want).abs() / peak;
                assert!(d <= bar, "{} {name} {at}: {d:e}", c.config.model_type());
            }
        }
    }
}

/// The states before the first token.
fn fresh(config: &dyn Architecture, batch: usize) -> Values {
    let zero =
        |shape: Vec<usize>| Array::from_f64(DType::F32, shape.clone(), &vec![0.0; shape.iter().product()]);
    config.states(CacheType::F32).into_iter().map(|s| (s.name.clone(), zero(s.sizes(batch, 0)))).collect()
}

fn columns(a: &Array<f64>, from: usize, to: usize) -> Array<f64> {
    let [b, t] = a.shape[..] else { panic!("ids are (B, T)") };
    let rows = (0..b).flat_map(|row| a.ints()[row * t + from..row * t + to].to_vec());
    Array::int(a.dtype, [b, to - from], rows.collect())
}

/// Logits (B, T, V) from pieces of these lengths, in f32; a piece of one token goes through the step.
fn in_pieces(
    config: &dyn Architecture,
    weights: &Values,
    ids: &Array<f64>,
    pieces: &[usize],
    form: Form,
) -> Array<f64> {
    let [b, t] = ids.shape[..] else { panic!("ids are (B, T)") };
    let v = config.vocab_size();
    let options = GraphOptions { states: true, form, ..Default::default() };
    let (chunk, step) = (config.graph(&options).unwrap(), config.step(&options).unwrap());
    let mut states = fresh(config, b);
    let mut out = vec![0.0; b * t * v];
    let (mut at, mut lengths) = (0, pieces.iter().copied().cycle());
    while at < t {
        let n = lengths.next().unwrap().min(t - at);
        let mut given = with(weights, &[("input_ids", &columns(ids, at, at + n))]);
        given.extend(states.clone());
        let got = run::<f32>(if n == 1 { &step } else { &chunk }, &given, true);
        let logits = got["logits"].to_f64();
        for row in 0..b {
            out[(row * t + at) * v..][..n * v].copy_from_slice(&logits[row * n * v..][..n * v]);
        }
        for (name, state) in &mut states {
            *state = Array::from_f64(DType::F32, got[name].shape.clone(), &got[name].to_f64());
        }
        at += n;
    }
    Array::from_f64(DType::F64, [b, t, v], &out)
}

#[test]
fn steps_and_pieces_equal_the_sequence() {
    for c in cases() {
        let kind = c.config.model_type();
        let whole = &c.io["logits"];
        let bar = (1e-5 * peak(whole)).max(2e-5);
        for pieces in [&[1][..], &[7, 1, 1, 12], &[3, 20, 1], &[33]] {
            let got = in_pieces(&*c.config, &c.weights, &c.ids, pieces, Form::Float);
            let d = worst(&got, whole);
            println!("{kind} in pieces of {pieces:?}: {d:.1e} of {bar:.1e}");
            assert!(d <= bar, "{kind} in pieces of {pieces:?}: {d:e}");
            assert!(worst(&got, &c.io["logits_step"]) <= bar);
        }
    }
}

#[test]
fn greedy_tokens() {
    for c in cases() {
        let want = c.file.to_i64("gen_tokens").unwrap();
        let prompt = want.len() - c.io["gen_margin"].len();
        let options = GraphOptions { states: true, last: true, ..Default::default() };
        let (prefill, step) = (c.config.graph(&options).unwrap(), c.config.step(&options).unwrap());
        let mut states = fresh(&*c.config, 1);
        let mut tokens = want[..prompt].to_vec();
        let mut next = tokens.clone();
        while tokens.len() < want.len() {
            let ids = Array::int(DType::I64, [1, next.len()], next.clone());
            let mut given = with(&c.weights, &[("input_ids", &ids)]);
            given.extend(states.clone());
            let got = run::<f32>(if next.len() == 1 { &step } else { &prefill }, &given, true);
            for (name, state) in &mut states {
                *state = Array::from_f64(DType::F32, got[name].shape.clone(), &got[name].to_f64());
            }
            let logits = got["logits"].to_f64();
            let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
            next = vec![best as i64];
            tokens.push(best as i64);
        }
        assert_eq!(tokens, want, "{}", c.config.model_type());
    }
}

/// The same model with q, k, v and o in one matrix, both gates in one, gate and value in one.
#[test]
fn fused_weights_give_the_numbers_of_single_ones() {
    let Some(c) = cases().into_iter().find(|c| c.config.model_type() == "xlstm") else { return };
    let mut json = c.config.to_json();
    json["weight_mode"] = json!("fused");
    let fused = XlstmConfig::from_json(Path::new("config.json"), &json).unwrap().config;
    assert_eq!(fused.weight_mode, WeightMode::Fused);
    let mut weights = Values::new();
    for (name, shape) in fused.expected_tensors() {
        let parts: &[&str] = match name.rsplit('.').nth(1).unwrap() {
            "qkv_opreact" => &["q", "k", "v", "ogate_preact"],
            "ifgate_preact" => &["igate_preact", "fgate_preact"],
            "proj_up_gate_z" => &["proj_up_gate", "proj_up"],
            _ => &[],
        };
        let module = name.rsplit('.').nth(1).unwrap();
        let of = |part: &&str| c.weights[&name.replace(module, part)].to_f64();
        let values = match parts {
            [] => c.weights[&name].to_f64(),
            parts => parts.iter().flat_map(of).collect(),
        };
        weights.insert(name, Array::from_f64(DType::F32, shape, &values));
    }
    let run = |config: &dyn Architecture, weights: &Values| {
        let g = config.graph(&GraphOptions::default()).unwrap();
        run::<f32>(&g, &with(weights, &[("input_ids", &c.ids)]), true)["logits"].clone()
    };
    assert_eq!(worst(&run(&fused, &weights), &run(&*c.config, &c.weights)), 0.0);
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// Initial weights with noise, so that no gate and no norm is a constant.
fn drawn(config: &dyn Architecture, r: &mut Random) -> Values {
    let noise = |r: &mut Random| (r.below(2001) as f64 - 1000.0) / 1000.0;
    let one = |p: models::parameters::Parameter| {
        let values = config.init_parameter(&p, 7);
        let spread = if p.shape.len() == 1 { 0.3 } else { 0.1 };
        let values: Vec<f64> =
            values.iter().map(|x| f64::from((f64::from(*x) + spread * noise(r)) as f32)).collect();
        (p.name.clone(), Array::from_f64(DType::F32, p.shape, &values))
    };
    config.parameters().into_iter().map(one).collect()
}

/// Stream equals sequence, integers equal fake-quantised floats, files say what was configured.
#[test]
fn random_configurations() {
    let mut r = Random(11);
    for round in 0..10 {
        let linear = r.of(&LinearKind::NAMES).1;
        let heads = r.of(&[1, 2, 4]);
        let hidden = 16 * r.of(&[1, 2]);
        let json = match round % 2 {
            0 => json!({
                "model_type": "xlstm", "vocab_size": 40, "hidden_size": hidden, "num_hidden_layers": 1 + r.below(2),
                "num_heads": heads, "use_bias": r.below(2) == 0, "qk_dim_factor": r.of(&[0.5, 1.0]),
                "v_dim_factor": r.of(&[1.0, 1.5]), "ffn_proj_factor": 1.5, "ffn_round_up_to_multiple_of": 8,
                "weight_mode": r.of(&["single", "fused"]), "tie_word_embeddings": r.below(2) == 0, "linear": linear,
            }),
            _ => json!({
                "model_type": "xlstm_orig", "vocab_size": 40, "embedding_dim": hidden, "num_blocks": 2,
                "num_heads": heads, "bias": r.below(2) == 0, "slstm_at": [r.below(2)],
                "conv1d_kernel_size": r.of(&[1, 2, 4]), "qkv_proj_blocksize": r.of(&[2, 4]),
                "slstm_ffn_act": r.of(&["gelu", "relu^2", "swish"]), "tie_weights": r.below(2) == 0,
                "slstm_ffn_round_up_to_multiple_of": 16, "linear": linear,
            }),
        };
        let config = ModelConfig::from_json(Path::new("config.json"), &json).unwrap().config;
        let again = ModelConfig::from_json(Path::new("config.json"), &config.to_json()).unwrap();
        assert_eq!(again.config, config);
        assert_eq!(again.warnings, Vec::<String>::new());
        let weights = drawn(&*config, &mut r);
        let count: usize = weights.values().map(Array::len).sum();
        assert_eq!(config.parameter_count(), Some(count as u64), "{json}");
        let time = 9 + r.below(9);
        let ids = Array::int(DType::I64, [2, time], (0..2 * time).map(|_| r.below(40) as i64).collect());
        let sequence = |form| {
            let g = config.graph(&GraphOptions { form, ..Default::default() }).unwrap();
            run::<f32>(&g, &with(&weights, &[("input_ids", &ids)]), true)["logits"].clone()
        };
        let quantised = linear != "full";
        let whole = sequence(if quantised { Form::Integer } else { Form::Float });
        let pieces = [1 + r.below(4), 1, 1 + r.below(6)];
        let form = if quantised { Form::Integer } else { Form::Float };
        let got = in_pieces(&*config, &weights, &ids, &pieces, form);
        let bar = if quantised { 1e-3 } else { 2e-5 };
        let d = worst(&got, &whole) / peak(&whole).max(1.0);
        assert!(d <= bar, "{json} in pieces of {pieces:?}: {d:e}");
        if quantised {
            let d = worst(&sequence(Form::Float), &whole) / peak(&whole).max(1.0);
            assert!(d <= 1e-3, "{json}: integers differ from floats by {d:e}");
        }
    }
}

#[test]
fn configurations_that_make_no_model_are_refused() {
    let refused = |json: serde_json::Value, text: &str| {
        let error = ModelConfig::from_json(Path::new("config.json"), &json).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    };
    refused(json!({"model_type": "xlstm", "hidden_size": 96, "num_heads": 7}), "num_heads = 7 divides");
    refused(json!({"model_type": "xlstm", "hidden_size": 64, "embedding_dim": 32}), "hidden_size = 64");
    refused(json!({"model_type": "xlstm", "weight_mode": "both"}), "\"fused\"");
    refused(json!({"model_type": "xlstm", "linear": "octal"}), "\"ternary\"");
    refused(json!({"model_type": "xlstm_orig", "slstm_at": [9], "num_blocks": 2}), "slstm_at");
    refused(json!({"model_type": "xlstm_orig", "embedding_dim": 30, "num_heads": 4}), "a divisor");
    refused(json!({"model_type": "xlstm_orig", "embedding_dim": 32, "mlstm_inner_dim": 65}), "64");
    assert_eq!(XlstmOrigConfig::default().slstm_at, [1]);
}
