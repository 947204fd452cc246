//! Predicted against measured: how far the cost model is off, over plans that it was not calibrated on.

use super::rig::{Rig, median};
use super::suite::{self, Judged};
use anyhow::Result;
use engine::pool::Pool;
use premap::Machine;
use premap::cost::predict;
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use train::plot::{Plot, Series, Stroke};

/// Seconds of a turn at least.
const TURN: f64 = 0.5e-3;

/// One plan.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What it is.
    pub name: String,
    /// Kind of model.
    pub family: &'static str,
    /// Threads.
    pub threads: usize,
    /// Fused, or one step per op.
    pub fused: bool,
    /// Steps of the plan.
    pub steps: usize,
    /// Milliseconds that were predicted.
    pub predicted_ms: f64,
    /// Milliseconds that were measured, the median of the rounds.
    pub measured_ms: f64,
    /// The fastest round.
    pub best_ms: f64,
    /// The slowest.
    pub worst_ms: f64,
    /// predicted / measured − 1.
    pub error: f64,
}

/// All plans, and how large the errors are.
#[derive(Clone, Debug, Serialize)]
pub struct Judgement {
    /// The machine, as it was calibrated.
    pub machine: Machine,
    /// Rounds in which every plan took its turn.
    pub rounds: usize,
    /// The plans.
    pub plans: Vec<Row>,
    /// Quartiles of the errors' sizes: first, median, third.
    pub quartiles: [f64; 3],
    /// The largest error.
    pub worst: f64,
    /// Share of plans within a quarter.
    pub within_quarter: f64,
}

/// Runs every plan of the suite in turn, `rounds` times, and compares.
///
/// # Errors
/// A plan that cannot be made or run.
pub fn run(machine: &Machine, rounds: usize, say: &mut dyn FnMut(&str)) -> Result<Judgement> {
    say("planning");
    let list = suite::judged(machine.threads)?;
    let pools: Vec<Arc<Pool>> = [1, machine.threads].map(|n| Arc::new(Pool::new(n))).into();
    let pool = |j: &Judged| &pools[usize::from(j.threads > 1)];
    let mut rigs =
        list.iter().map(|j| Rig::new(&j.case.graph, &j.case.options, pool(j))).collect::<Result<Vec<_>>>()?;
    say(&format!("{} plans, {rounds} rounds", list.len()));
    let mut times: Vec<Vec<f64>> = vec![vec![]; list.len()];
    for _ in 0..rounds.max(1) {
        for (rig, times) in rigs.iter_mut().zip(&mut times) {
            times.push(rig.time(TURN)?);
        }
    }
    let rows = list.iter().zip(&rigs).zip(times).map(|((j, rig), mut times)| {
        let measured = median(&mut times);
        let predicted = predict(rig.plan(), machine, j.threads).time * 1e-9;
        Row {
            name: j.case.name.clone(),
            family: j.case.family,
            threads: j.threads,
            fused: j.fuse,
            steps: rig.plan().steps.len(),
            predicted_ms: 1e3 * predicted,
            measured_ms: 1e3 * measured,
            best_ms: 1e3 * times.first().copied().unwrap_or(f64::NAN),
            worst_ms: 1e3 * times.last().copied().unwrap_or(f64::NAN),
            error: predicted / measured - 1.0,
        }
    });
    let plans: Vec<Row> = rows.collect();
    let mut sizes: Vec<f64> = plans.iter().map(|r| r.error.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let at = |share: f64| sizes.get((share * (sizes.len() - 1) as f64).round() as usize).copied();
    let quartiles = [0.25, 0.5, 0.75].map(|s| at(s).unwrap_or(f64::NAN));
    let within = sizes.iter().filter(|e| **e <= 0.25).count() as f64 / sizes.len().max(1) as f64;
    Ok(Judgement {
        machine: machine.clone(),
        rounds,
        plans,
        quartiles,
        worst: sizes.last().copied().unwrap_or(f64::NAN),
        within_quarter: within,
    })
}

impl Judgement {
    /// Predicted over measured on logarithmic axes, with the lines of a quarter.
    pub fn plot(&self) -> Plot {
        let percent = 100.0 * self.quartiles[1];
        let title =
            format!("Predicted and measured: {} plans, median error {percent:.0} %", self.plans.len());
        let mut plot = Plot::new(title, "measured, ms", "predicted, ms");
        (plot.log_x, plot.log_y, plot.size) = (true, true, (760.0, 560.0));
        let all = self.plans.iter().map(|r| r.measured_ms);
        let (low, high) = all.fold((f64::INFINITY, 0.0f64), |(l, h), x| (l.min(x), h.max(x)));
        let (low, high) = (low / 1.3, high * 1.3);
        let line = |factor: f64| vec![(low, low * factor), (high, high * factor)];
        plot.series.push(Series::line("exact", line(1.0)).drawn(5, Stroke::Solid));
        plot.series.push(Series::line("+25 %", line(1.25)).drawn(5, Stroke::Dashed));
        plot.series.push(Series::line("−25 %", line(0.75)).drawn(5, Stroke::Dashed));
        for (k, (threads, fused)) in [(1, true), (1, false), (2, true)].into_iter().enumerate() {
            let of = |r: &&Row| (r.threads.min(2), r.fused) == (threads, fused);
            // A gap before each point: marks without a line between them.
            let points: Vec<(f64, f64)> = self
                .plans
                .iter()
                .filter(of)
                .flat_map(|r| [(r.measured_ms, f64::NAN), (r.measured_ms, r.predicted_ms)])
                .collect();
            plot.series.push(Series::marked("", points).drawn(k, Stroke::Solid));
        }
        plot
    }

    /// The picture.
    pub fn to_svg(&self) -> String {
        self.plot().to_svg()
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let m = &self.machine;
        writeln!(f, "machine  {} ({})\n", m.name, m.note)?;
        writeln!(f, "| plan | threads | fused | steps | predicted ms | measured ms | range | error |")?;
        writeln!(f, "|---|---:|---|---:|---:|---:|---:|---:|")?;
        for r in &self.plans {
            writeln!(
                f,
                "| {} | {} | {} | {} | {:.3} | {:.3} | {:.3}–{:.3} | {:+.0} % |",
                r.name,
                r.threads,
                if r.fused { "yes" } else { "no" },
                r.steps,
                r.predicted_ms,
                r.measured_ms,
                r.best_ms,
                r.worst_ms,
                100.0 * r.error
            )?;
        }
        let [a, b, c] = self.quartiles.map(|q| 100.0 * q);
        writeln!(
            f,
            "\n{} plans: median error {b:.1} %, quartiles {a:.1} % and {c:.1} %, worst {:.0} %, {:.0} % within a quarter",
            self.plans.len(),
            100.0 * self.worst,
            100.0 * self.within_quarter
        )
    }
}
