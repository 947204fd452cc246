//! Where the time of a training step goes: `cargo run --release -p train --example profile_step`.
//!
//! Random tokens. Arguments: threads (1), memory limit (0), then `30m` for a model of 30 million parameters with 8 × 256
//! tokens instead of the reference run's (three layers of width 128, 8 × 64 tokens), then `stored` for the form without
//! fusion or recomputation; `bf16` keeps gradients in bf16; `sums=exact` (or another accumulator) keeps sums of gradients
//! so; `peak` lists what is in memory when most is. The name of a surrogate or of an optimiser (`ramp`, `lion`) takes
//! that one.

use furnace::surrogates::Surrogate;
use std::sync::Arc;
use train::TrainConfig;
use train::config::{ByteSize, OptimizerKind, Products};
use train::data::Batch;
use train::optimizers::Optimizer;
use train::quantizer::{Quantizer, Transform};
use train::step::{Rates, Step, StepOptions, TrainState};

fn kind(name: &str) -> String {
    format!("[optimizer]\nkind = \"{name}\"\n")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let threads = arguments.first().map_or(Ok(1), |n| n.parse())?;
    let memory = arguments.get(1).map_or(Ok(0), |n| n.parse::<ByteSize>().map(ByteSize::bytes))?;
    let large = arguments.iter().any(|a| a == "30m");
    // A surrogate or an optimiser by name.
    let surrogate = arguments.iter().find_map(|a| a.parse::<Surrogate>().ok()).unwrap_or_default();
    let kind = match arguments.iter().find(|a| TrainConfig::from_toml(&kind(a), "").is_ok()) {
        Some(name) => TrainConfig::from_toml(&kind(name), "")?.optimizer.kind,
        None => OptimizerKind::AdamW,
    };
    let (length, rounds) = if large { (256, 6) } else { (64, 60) };
    let mut model = models::config::MatMulFreeConfig {
        vocab_size: 256,
        hidden_size: 128,
        num_hidden_layers: 3,
        intermediate_size: Some(352),
        bos_token_id: None,
        eos_token_id: vec![],
        ..Default::default()
    };
    if large {
        model.hidden_size = 512;
        model.num_hidden_layers = 9;
        model.intermediate_size = Some(1408);
    }
    let tensors = model.init(0).into_iter().map(|t| {
        let models::safetensors::Values::F32(v) = &t.values else { unreachable!("initial weights are f32") };
        (t.name.clone(), engine::Tensor::from_f32(t.shape.clone(), v))
    });
    let config = train::config::OptimizerConfig { kind, ..Default::default() };
    let optimizer = Optimizer::new(&config, Transform::None, &model);
    let mut tensors: Vec<_> = tensors.collect();
    let quantizer = Quantizer { surrogate, ..Default::default() };
    let steps = quantizer.first_steps(&model, &tensors);
    tensors.extend(steps);
    let mut state = TrainState::new(tensors, &optimizer);
    let pool = Arc::new(engine::pool::Pool::new(threads));
    let mut options =
        StepOptions { memory: (memory > 0).then_some(memory), surrogate, ..StepOptions::new(8, length) };
    if arguments.iter().any(|a| a == "stored") {
        options = StepOptions { fuse: false, products: Products::Float, ..options };
    }
    if arguments.iter().any(|a| a == "bf16") {
        options.gradients = axes::DType::BF16;
    }
    if let Some(how) = arguments.iter().find_map(|a| a.strip_prefix("sums=")) {
        options.accumulator = Some(how.parse::<graph::Accumulator>()?);
    }
    let start = std::time::Instant::now();
    let mut step = Step::new(&model, &optimizer, &options, pool)?;
    println!("planned in {:.2} s", start.elapsed().as_secs_f64());
    let ids = (0..8 * length).map(|i| (i * 7919 % 251) as u32).collect();
    let batch = Batch { ids, labels: None, batch_size: 8, seq_len: length };
    let rates = Rates {
        step: 0,
        lr: 1e-3,
        weight_decay: 0.0,
        share: 1.0,
        knob: surrogate.entry().knob.map_or(0.0, |k| k.from),
    };
    let mut times = vec![];
    let skipped = rounds / 3;
    for i in 0..rounds as u64 {
        if i == skipped as u64 {
            step.executable().ok_or("no plan")?.set_profile(true);
        }
        let start = std::time::Instant::now();
        step.run(&mut state, std::slice::from_ref(&batch), Rates { step: i, ..rates })?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let exe = step.executable().ok_or("no plan")?;
    let (plan, counted) = (exe.plan(), (rounds - skipped) as f64);
    println!(
        "{} steps in the plan, arena {:.1} MB ({:.1} without reuse), {} nodes computed twice",
        plan.steps.len(),
        plan.arena as f64 / 1e6,
        plan.unshared as f64 / 1e6,
        plan.recomputed
    );
    println!("step: {:.2} ms at best, {:.2} ms median", times[0], times[times.len() / 2]);
    if arguments.iter().any(|a| a == "peak") {
        let plan = exe.plan();
        let (step, alive) = premap::remat::fullest(plan);
        println!("in memory during step {step} of {}:", plan.steps.len());
        for (v, bytes) in alive {
            let n = plan.graph.node(v);
            let scope = &plan.graph.scopes[n.scope as usize];
            println!("{:8.2} MB  {} {}  [{scope}]", bytes as f64 / 1e6, n.op.name(), plan.graph.ty(v));
        }
        return Ok(());
    }
    let rows = exe.profile();
    let total: f64 = rows.iter().map(|r| r.2.as_secs_f64()).sum();
    let mut kinds: std::collections::BTreeMap<String, (f64, usize)> = Default::default();
    for (what, _, time) in &rows {
        let kind = what.split(['+', ' ']).next().unwrap_or_default();
        let kind = match what.split(' ').next().unwrap_or_default() {
            w if w.ends_with("+dot_general") => "(product with int8 or trits)".to_string(),
            w if w.contains('+') => "(group)".to_string(),
            _ => kind.to_string(),
        };
        let entry = kinds.entry(kind).or_default();
        entry.0 += time.as_secs_f64();
        entry.1 += 1;
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
    for (kind, (time, count)) in kinds {
        println!("{:6.2} ms {:5.1} %  {count:4} × {kind}", time / counted * 1e3, 100.0 * time / total);
    }
    println!();
    for (what, scope, time) in
        rows.iter().take(if arguments.iter().any(|a| a == "all") { usize::MAX } else { 40 })
    {
        println!("{:6.3} ms  {:.70}  [{scope}]", time.as_secs_f64() / counted * 1e3, what);
    }
    Ok(())
}
