//! Decode and prefill of a named size with random weights on one thread, beside the bandwidth of memory.
//!
//! `cargo run --release -p models --example speed -- mamba-130m [f32|ternary|both] [prefill tokens]`
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axes::{BlockFormat, DType, TritLayout};
use engine::kernels::packed::quantize_weights_packed;
use engine::measure::{cold_bytes, read_bandwidth};
use engine::pages::Pages;
use engine::{Executable, Tensor, pool::Pool};
use graph::Bindings;
use models::architecture::ModelConfig;
use models::bundle::EmbeddingType;
use models::forms::{CacheType, Form, GraphOptions};
use models::safetensors::Values;
use models::shapes::Shape;

/// A weight as a plan reads it.
enum Held {
    Tensor(Tensor),
    Bytes(Vec<u8>),
}

/// Gigabytes read per second by the widest loads, at best, from as much memory as no cache of a server holds.
fn bandwidth() -> f64 {
    let mut memory = Pages::new(cold_bytes().max(1 << 30), true);
    // Pages that nobody has written to are all one page of zeros.
    memory.fill(1);
    read_bandwidth(&Pool::single(), &memory, Duration::from_millis(300)).best
}

fn weights(config: &ModelConfig, prepared: bool, pool: &Pool) -> BTreeMap<String, Held> {
    let mut held = BTreeMap::new();
    let projections = config.projections();
    for tensor in config.init(1) {
        let Values::F32(values) = &tensor.values else { panic!("f32") };
        let (name, shape) = (tensor.name.to_string(), tensor.shape.to_vec());
        if prepared && projections.contains(&name) {
            let mut bytes = vec![0; TritLayout::Compute.bytes(shape[0], shape[1]).unwrap()];
            let scale = quantize_weights_packed(pool, values, shape[0], shape[1], &mut bytes);
            held.insert(format!("{name}.scale"), Held::Tensor(Tensor::from_f32([], &[scale])));
            held.insert(format!("{name}.trits"), Held::Bytes(bytes));
        } else if prepared && name == config.embedding() {
            let bytes = barewire::blocks::encode(BlockFormat::Q8_0, shape[1], values).unwrap();
            held.insert(name, Held::Bytes(bytes));
        } else {
            if let Some(of) = name.strip_suffix(".A_log") {
                let a: Vec<f32> = values.iter().map(|x| -x.exp()).collect();
                held.insert(format!("{of}.A"), Held::Tensor(Tensor::from_f32(shape.clone(), &a)));
            }
            held.insert(name, Held::Tensor(Tensor::from_f32(shape, values)));
        }
    }
    held
}

/// Seconds of each run of `time` tokens, and what took how long.
fn run(config: &ModelConfig, prepared: bool, time: usize, runs: usize, profile: bool) -> (Vec<f64>, usize) {
    let pool = Arc::new(Pool::new(1));
    let held = weights(config, prepared, &pool);
    let mut options = GraphOptions { states: true, last: true, ..Default::default() };
    if prepared {
        (options.form, options.embedding) = (Form::Prepared, EmbeddingType::Block(BlockFormat::Q8_0));
    }
    let graph = if time == 1 { config.step(&options) } else { config.graph(&options) }.unwrap();
    let graph = graph.specialize(&Bindings::from([("B".into(), 1), ("T".into(), time)]));
    let trits = graph.inputs.iter().filter(|i| graph.ty(i.value).dtype == DType::Trit);
    let layouts = trits.map(|i| (i.name.clone(), TritLayout::Compute)).collect();
    let mut exe = Executable::new(&graph, &premap::Options { layouts, ..Default::default() }, pool).unwrap();
    let specs = config.states(CacheType::F32);
    let make = || specs.iter().map(|s| Tensor::zeros(DType::F32, s.sizes(1, 0))).collect::<Vec<_>>();
    let (mut states, mut next) = (make(), make());
    let ids: Vec<i64> = (0..time as i64).map(|k| (k * 7919 + 3) % config.vocab_size() as i64).collect();
    let planned = exe.plan().graph.clone();
    let ids = Tensor::from_i64(
        planned.ty(planned.inputs[exe.input("input_ids").unwrap()].value).fixed_shape().unwrap(),
        &ids,
    );
    let mut logits = Tensor::zeros(DType::F32, [1, config.vocab_size()]);
    let (mut times, mut bytes) = (vec![], 0);
    for round in 0..runs + 1 {
        exe.set_profile(profile && round > 0);
        let mut io = exe.io();
        bytes = 0;
        for (i, input) in planned.inputs.iter().enumerate() {
            if input.name == "input_ids" {
                io.input(i, &ids);
            } else if let Some(k) = specs.iter().position(|s| s.name == input.name) {
                io.input(i, &states[k]);
            } else {
                match &held[&input.name] {
                    Held::Tensor(t) => {
                        bytes += t.bytes().len();
                        io.input(i, t);
                    }
                    Held::Bytes(b) => {
                        bytes += b.len();
                        io.bytes(i, b);
                    }
                }
            }
        }
        io.output(0, &mut logits);
        for (k, tensor) in next.iter_mut().enumerate() {
            io.output(1 + k, tensor);
        }
        let start = Instant::now();
        exe.run(&mut io).unwrap();
        if round > 0 {
            times.push(start.elapsed().as_secs_f64());
        }
        drop(io);
        std::mem::swap(&mut states, &mut next);
    }
    assert!(logits.f32().iter().all(|x| x.is_finite()));
    if profile {
        let mut parts: BTreeMap<String, f64> = BTreeMap::new();
        for (what, _, time) in exe.profile() {
            *parts.entry(what.chars().take(60).collect()).or_default() +=
                time.as_secs_f64() * 1e3 / runs as f64;
        }
        let mut parts: Vec<_> = parts.into_iter().collect();
        parts.sort_by(|a, b| b.1.total_cmp(&a.1));
        parts.iter().take(12).for_each(|(what, ms)| println!("    {ms:8.3} ms  {what}"));
    }
    times.sort_by(f64::total_cmp);
    (times, bytes)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |k: usize, default: &str| arguments.get(k).cloned().unwrap_or_else(|| default.into());
    let shape = Shape::find(&argument(0, "mamba-130m")).expect("a named size");
    let (kind, prefill) = (argument(1, "both"), argument(2, "1024").parse::<usize>().unwrap());
    let profile = std::env::var_os("PROFILE").is_some();
    let full = shape.config();
    let mut json = full.to_json();
    json["linear"] = "ternary".into();
    let ternary = ModelConfig::from_json("config.json".as_ref(), &json).unwrap().config;
    let mut rates = vec![];
    for (name, config, prepared) in [("f32", &full, false), ("ternary", &ternary, true)] {
        if kind != "both" && kind != name {
            continue;
        }
        let gb = bandwidth();
        let (times, bytes) = run(config, prepared, 1, 20, profile);
        let (best, median) = (times[0], times[times.len() / 2]);
        let limit = bytes as f64 / (gb * 1e9);
        println!(
            "{name}: decode {:.2} ms a token (best {:.2}), {:.1} tokens/s; {:.0} MB at {gb:.1} GB/s are {:.2} ms: {:.0} % of the limit (best {:.0} %)",
            median * 1e3,
            best * 1e3,
            1.0 / median,
            bytes as f64 / 1e6,
            limit * 1e3,
            100.0 * limit / median,
            100.0 * limit / best
        );
        rates.push(1.0 / median);
        if prefill > 1 {
            let (times, _) = run(config, prepared, prefill, 2, profile);
            println!(
                "{name}: prefill {prefill}: {:.0} tokens/s (best {:.0})",
                prefill as f64 / times[times.len() / 2],
                prefill as f64 / times[0]
            );
        }
    }
    if let [full, ternary] = rates[..] {
        println!("ternary over f32: {:.2}", ternary / full);
    }
}
