//! Where the time of a token goes: `profile_token MODEL [TOKENS [THREADS]]`.

use engine::pool::Pool;
use fidelity::loaded::Loaded;
use models::forms::Form;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |k: usize, default: usize| args.get(k).and_then(|n| n.parse().ok()).unwrap_or(default);
    let Some(path) = args.first() else { anyhow::bail!("name a model") };
    let (count, pool) = (number(1, 32), Arc::new(Pool::new(number(2, 1))));
    let opened = Instant::now();
    let mut model = Loaded::open(path)?;
    println!("opened in {:.1} ms", 1e3 * opened.elapsed().as_secs_f64());
    let vocab = model.config.vocab_size() as u32;
    let planned = Instant::now();
    let mut stream = model.stream(1, Form::Prepared, &pool)?;
    println!("planned in {:.1} ms", 1e3 * planned.elapsed().as_secs_f64());
    stream.step(&[0])?;
    stream.set_profile(true);
    let started = Instant::now();
    for k in 0..count as u32 {
        stream.step(&[k * 7919 % vocab])?;
    }
    let total = started.elapsed();
    println!("{:.2} ms a token", 1e3 * total.as_secs_f64() / count as f64);
    let mut sums: BTreeMap<String, (Duration, usize)> = BTreeMap::new();
    for (what, _, time) in stream.profile() {
        let sum = sums.entry(what).or_default();
        *sum = (sum.0 + time, sum.1 + 1);
    }
    let mut rows: Vec<_> = sums.into_iter().collect();
    rows.sort_by_key(|(_, (time, _))| std::cmp::Reverse(*time));
    for (what, (time, steps)) in rows.into_iter().take(24) {
        let each = 1e6 * time.as_secs_f64() / count as f64;
        println!("{each:10.1} us  {steps:4} steps  {:8.2} us each  {what}", each / steps as f64);
    }
    Ok(())
}
