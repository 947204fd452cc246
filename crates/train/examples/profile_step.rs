//! Where the time of a training step goes: `cargo run --release -p train --example profile_step`.
//!
//! The reference run's shapes (three layers of width 128, 8 × 64 tokens) on one thread, random tokens.

use std::sync::Arc;
use train::data::Batch;
use train::step::{Rates, Step, TrainState};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = std::env::args().nth(1).map_or(Ok(1), |n| n.parse())?;
    let model = models::config::MatMulFreeConfig {
        vocab_size: 256,
        hidden_size: 128,
        num_hidden_layers: 3,
        intermediate_size: Some(352),
        bos_token_id: None,
        eos_token_id: vec![],
        ..Default::default()
    };
    let tensors = model.init(0).into_iter().map(|t| {
        let models::safetensors::Values::F32(v) = &t.values else { unreachable!("initial weights are f32") };
        (t.name.clone(), engine::Tensor::from_f32(t.shape.clone(), v))
    });
    let mut state = TrainState::new(tensors.collect());
    let optimizer = train::config::OptimizerConfig::default();
    let pool = Arc::new(engine::pool::Pool::new(threads));
    let mut step = Step::new(&model, &optimizer, 8, 64, 1, pool)?;
    let batch =
        Batch { ids: (0..512).map(|i| (i * 7919 % 251) as u32).collect(), batch_size: 8, seq_len: 64 };
    let rates = Rates { step: 0, lr: 1e-3, weight_decay: 0.0 };
    let mut times = vec![];
    for i in 0..60 {
        if i == 20 {
            step.executable().set_profile(true);
        }
        let start = std::time::Instant::now();
        step.run(&mut state, std::slice::from_ref(&batch), Rates { step: i, ..rates })?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let exe = step.executable();
    println!("{} steps in the plan, arena {} bytes", exe.plan().steps.len(), exe.plan().arena);
    println!("step: {:.2} ms at best, {:.2} ms median", times[0], times[times.len() / 2]);
    let rows = exe.profile();
    let total: f64 = rows.iter().map(|r| r.2.as_secs_f64()).sum();
    let mut kinds: std::collections::BTreeMap<String, (f64, usize)> = Default::default();
    for (what, _, time) in &rows {
        let kind = what.split(['+', ' ']).next().unwrap_or_default();
        let kind = if what.contains('+') { "(group)".to_string() } else { kind.to_string() };
        let entry = kinds.entry(kind).or_default();
        entry.0 += time.as_secs_f64();
        entry.1 += 1;
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
    for (kind, (time, count)) in kinds {
        println!("{:6.2} ms {:5.1} %  {count:4} × {kind}", time / 40.0 * 1e3, 100.0 * time / total);
    }
    println!();
    for (what, scope, time) in rows.iter().take(40) {
        println!("{:6.3} ms  {:.70}  [{scope}]", time.as_secs_f64() / 40.0 * 1e3, what);
    }
    Ok(())
}
