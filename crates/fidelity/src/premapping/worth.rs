//! What each optimisation is worth: the reference models with everything on, then without one thing at a time.

use super::rig::{Rig, median};
use super::suite::{self, Case};
use anyhow::Result;
use engine::pool::Pool;
use premap::cost::predict;
use premap::{Machine, Optimization, Switches};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;

/// Seconds of a turn at least.
const TURN: f64 = 2e-3;

/// A reference model without one optimisation.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The optimisation; `None` with everything on, and everything off at the end.
    pub without: String,
    /// Milliseconds, the median.
    pub measured_ms: f64,
    /// The fastest.
    pub best_ms: f64,
    /// Times with it over times without it, the median over the rounds: above 1 is what it gains.
    pub slower: f64,
    /// The same as the cost model says.
    pub predicted_slower: f64,
    /// Bytes of the arena.
    pub arena: usize,
    /// The arena with everything on.
    pub arena_with: usize,
    /// Steps of the plan.
    pub steps: usize,
}

/// A model's rows.
#[derive(Clone, Debug, Serialize)]
pub struct Model {
    /// What it is.
    pub name: String,
    /// `sequence`, `streaming step` or `training step`.
    pub kind: &'static str,
    /// Threads.
    pub threads: usize,
    /// With everything on, without one at a time, with everything off.
    pub rows: Vec<Row>,
}

/// The table.
#[derive(Clone, Debug, Serialize)]
pub struct Worth {
    /// The machine that predictions are for.
    pub machine: Machine,
    /// Models.
    pub models: Vec<Model>,
}

/// The switch settings that are tried: names and what is off.
fn settings() -> Vec<(String, Switches)> {
    let mut list = vec![("nothing".to_owned(), Switches::default())];
    list.extend(Optimization::ALL.map(|o| (o.name().to_owned(), Switches::without([o]))));
    list.push(("all of them".to_owned(), Switches::without(Optimization::ALL)));
    list
}

/// Measures the reference models (`small` ones for a test), each setting in turn, `rounds` times.
///
/// # Errors
/// A plan that cannot be made or run.
pub fn run(
    machine: &Machine,
    threads: usize,
    rounds: usize,
    small: bool,
    say: &mut dyn FnMut(&str),
) -> Result<Worth> {
    let pool = Arc::new(Pool::new(threads));
    let mut models = vec![];
    for case in suite::reference(small)? {
        say(&case.name);
        models.push(weigh(&case, machine, &pool, rounds)?);
    }
    Ok(Worth { machine: machine.clone(), models })
}

fn weigh(case: &Case, machine: &Machine, pool: &Arc<Pool>, rounds: usize) -> Result<Model> {
    let list = settings();
    let mut rigs = list
        .iter()
        .map(|(_, switches)| {
            let case = suite::without(case, *switches);
            Rig::new(&case.graph, &case.options, pool)
        })
        .collect::<Result<Vec<_>>>()?;
    let mut times: Vec<Vec<f64>> = vec![vec![]; rigs.len()];
    for _ in 0..rounds.max(1) {
        for (rig, times) in rigs.iter_mut().zip(&mut times) {
            times.push(rig.time(TURN)?);
        }
    }
    let predicted: Vec<f64> = rigs.iter().map(|r| predict(r.plan(), machine, pool.threads()).time).collect();
    let arena = rigs[0].plan().arena;
    let rows = list.iter().zip(&rigs).zip(&times).zip(&predicted).map(|((((name, _), rig), own), time)| {
        let mut ratios: Vec<f64> = own.iter().zip(&times[0]).map(|(without, with)| without / with).collect();
        let mut sorted = own.clone();
        Row {
            without: name.clone(),
            measured_ms: 1e3 * median(&mut sorted),
            best_ms: 1e3 * sorted[0],
            slower: median(&mut ratios),
            predicted_slower: time / predicted[0],
            arena: rig.plan().arena,
            arena_with: arena,
            steps: rig.plan().steps.len(),
        }
    });
    let rows = rows.collect();
    Ok(Model { name: case.name.clone(), kind: case.family, threads: pool.threads(), rows })
}

impl fmt::Display for Worth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for m in &self.models {
            let plural = if m.threads == 1 { "" } else { "s" };
            writeln!(f, "### {}: {}, {} thread{plural}\n", m.kind, m.name, m.threads)?;
            writeln!(f, "| without | what it does | ms | time | predicted | arena | steps |")?;
            writeln!(f, "|---|---|---:|---:|---:|---:|---:|")?;
            for r in &m.rows {
                let about = r.without.parse::<Optimization>().map_or("", Optimization::about);
                writeln!(
                    f,
                    "| {} | {about} | {:.3} | {:.2} × | {:.2} × | {:.2} MB ({:.2} ×) | {} |",
                    r.without,
                    r.measured_ms,
                    r.slower,
                    r.predicted_slower,
                    r.arena as f64 / 1e6,
                    r.arena as f64 / r.arena_with.max(1) as f64,
                    r.steps
                )?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
