//! Mamba and Mamba-2 against the data made by the published implementation, and their forms against one another.
#![allow(missing_docs)]

mod support;

use std::path::Path;

use furnace::Remat;
use models::architecture::ModelConfig;
use models::folder::ModelFolder;
use models::forms::{Form, GraphOptions};
use models::frame::LinearKind;
use models::mamba::{Keys, MambaConfig};
use models::mamba2::Mamba2Config;
use models::registry::Listed;
use models::safetensors::TensorFile;
use proptest::prelude::*;
use support::{Arithmetic, Model, floats, golden, peak, relative, worst};

/// Gradients' bar: 3e-5, for Mamba-2 1e-4.
const FOLDERS: [(&str, f64); 2] = [("mamba", 3e-5), ("mamba2", 1e-4)];

fn open(dir: &Path) -> Model {
    let folder = ModelFolder::open(dir).unwrap();
    let parsed = ModelConfig::from_folder(&folder).unwrap();
    assert_eq!(parsed.warnings, [] as [&str; 0]);
    let weights = folder.weights();
    let tensors = weights.names().map(|name| {
        let view = weights.tensor(name).unwrap();
        (name.to_owned(), (view.shape.to_vec(), view.to_f64().unwrap()))
    });
    Model {
        weights: tensors.collect(),
        config: parsed.config,
        pool: std::sync::Arc::new(engine::pool::Pool::new(2)),
    }
}

fn ids(dir: &Path, name: &str) -> (Vec<i64>, usize) {
    let file = TensorFile::open(dir.join("io.safetensors")).unwrap();
    (file.to_i64(name).unwrap(), file.tensor(name).unwrap().shape[1])
}

fn bar(want: &[f64]) -> f64 {
    (1e-5 * peak(want)).max(2e-5)
}

#[test]
fn logits_loss_hidden_states_and_gradients() {
    for (name, gradients) in FOLDERS {
        let Some(dir) = golden(name) else { return };
        let model = open(&dir);
        let (ids, t) = ids(&dir, "input_ids");
        let want = floats(&dir.join("io.safetensors"));
        let graph = model.config.graph(&GraphOptions { labels: true, ..Default::default() }).unwrap();
        let names: Vec<&str> = model.weights.keys().map(String::as_str).collect();
        let graph = furnace::grad_graph(&graph, "loss", &names, Remat::default()).unwrap();
        let none = Default::default();
        let made = model.run(&graph, Arithmetic::F32, &ids, t, &none);
        for key in ["logits", "loss", "hidden_states.0", "hidden_states.1", "hidden_states.2"] {
            let d = worst(&made[key], &want[key]);
            println!("{name}: {key}: {d:e}");
            let most = if key == "loss" { 1e-5 } else { bar(&want[key]) };
            assert!(d <= most, "{name}: {key}: {d:e}");
        }
        let grads = floats(&dir.join("grads.safetensors"));
        assert_eq!(grads.len(), names.len());
        let found = grads.iter().map(|(key, want)| (relative(&made[&format!("grad.{key}")], want), key));
        let (most, key) = found.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
        println!("{name}: gradients: {most:e} relative L2 at most ({key})");
        assert!(most <= gradients, "{name}: grad.{key}: {most:e}");
        let made = model.run(&graph, Arithmetic::F64, &ids, t, &none);
        let d = worst(&made["logits"], &want["logits_f64"]) / peak(&want["logits_f64"]);
        let loss = (made["loss"][0] / want["loss_f64"][0] - 1.0).abs();
        println!("{name}: f64: {d:e} of the largest, loss {loss:e}");
        assert!(d <= 1e-9 && loss <= 1e-9, "{name}: f64: {d:e}, loss {loss:e}");
    }
}

#[test]
fn steps_and_pieces_give_the_sequence() {
    for (name, _) in FOLDERS {
        let Some(dir) = golden(name) else { return };
        let model = open(&dir);
        let (ids, t) = ids(&dir, "input_ids");
        let want = floats(&dir.join("io.safetensors"));
        for cut in [&[1][..], &[5, 1, 8], &[19, 3, 1, 1]] {
            let got = model.pieces(GraphOptions::default(), Arithmetic::F32, &ids, t, cut);
            for key in ["logits", "logits_step"] {
                let d = worst(&got, &want[key]);
                println!("{name}: {cut:?}: {key}: {d:e}");
                assert!(d <= bar(&want[key]), "{name}: {cut:?}: {key}: {d:e}");
            }
        }
    }
}

#[test]
fn greedy_tokens_are_those_of_the_reference() {
    for (name, _) in FOLDERS {
        let Some(dir) = golden(name) else { return };
        let model = open(&dir);
        let ((prompt, length), (want, _)) = (ids(&dir, "gen_prompt"), ids(&dir, "gen_tokens"));
        let options = GraphOptions { states: true, last: true, ..Default::default() };
        let (chunk, step) = (model.config.graph(&options).unwrap(), model.config.step(&options).unwrap());
        let (mut tokens, mut next) = (prompt.clone(), prompt);
        let mut states = model.zeros(1);
        while tokens.len() < want.len() {
            let graph = if next.len() == length { &chunk } else { &step };
            let mut made = model.run(graph, Arithmetic::F32, &next, next.len(), &states);
            let logits = &made["logits"];
            let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
            states.iter_mut().for_each(|(name, state)| *state = made.remove(name).unwrap());
            tokens.push(best as i64);
            next = vec![best as i64];
        }
        assert_eq!(tokens, want, "{name}");
    }
}

/// A random configuration of either.
fn configs() -> impl Strategy<Value = ModelConfig> {
    let sizes = (1usize..5, 1usize..4, 1usize..3, 1usize..9, 1usize..5, any::<[bool; 5]>());
    sizes.prop_map(|(width, group, heads, states, taps, [second, bias, conv_bias, tied, ternary])| {
        let keys = Keys {
            vocab_size: 30,
            hidden_size: width * group * heads,
            state_size: states,
            num_hidden_layers: 2,
            expand: 2.0,
            conv_kernel: taps,
            use_bias: bias,
            use_conv_bias: conv_bias,
            tie_word_embeddings: tied,
            initializer_range: 1.0,
            linear: if ternary { LinearKind::Ternary } else { LinearKind::Full },
            ..MambaConfig::default().keys
        };
        let listed = if second {
            // Some step sizes meet a limit.
            let limit = if bias { [0.01, 0.05] } else { [0.0, f64::INFINITY] };
            Listed::new(Mamba2Config {
                num_heads: group * heads,
                head_dim: 2 * width,
                n_groups: group,
                time_step_limit: limit,
                keys,
                ..Default::default()
            })
        } else {
            Listed::new(MambaConfig { time_step_rank: heads, keys, ..Default::default() })
        };
        let json = listed.to_json();
        let read = ModelConfig::from_json(Path::new("config.json"), &json).unwrap().config;
        assert_eq!(read, ModelConfig::Listed(listed));
        assert_eq!(
            read.parameter_count(),
            Some(read.parameters().iter().map(|p| p.shape.iter().product::<usize>() as u64).sum())
        );
        read
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any split of a sequence gives its logits; in the ternary form integer products those of floats.
    #[test]
    fn any_split_of_any_configuration(
        config in configs(),
        seed in 0u64..1000,
        t in 1usize..20,
        cut in prop::collection::vec(1usize..7, 1..4),
    ) {
        let model = Model::random(config, seed);
        let ids: Vec<i64> = (0..2 * t as i64).map(|k| (k * k + 7 * k + seed as i64) % 30).collect();
        let whole = |form: Form, how| {
            let graph = model.config.graph(&GraphOptions { form, ..Default::default() }).unwrap();
            model.run(&graph, how, &ids, t, &Default::default()).remove("logits").unwrap()
        };
        let exact = whole(Form::Float, Arithmetic::F64);
        let most = 1e-5 * peak(&exact).max(1.0);
        let pieces = model.pieces(GraphOptions::default(), Arithmetic::F64, &ids, t, &cut);
        prop_assert!(worst(&pieces, &exact) <= 1e-9 * peak(&exact).max(1.0));
        if model.config.projections().is_empty() {
            prop_assert!(worst(&whole(Form::Float, Arithmetic::F32), &exact) <= 3.0 * most);
            let pieces = model.pieces(GraphOptions::default(), Arithmetic::F32, &ids, t, &cut);
            prop_assert!(worst(&pieces, &whole(Form::Float, Arithmetic::F32)) <= most);
        } else {
            let integer = whole(Form::Integer, Arithmetic::F64);
            prop_assert!(worst(&integer, &exact) <= most, "{:e}", worst(&integer, &exact));
        }
    }
}
