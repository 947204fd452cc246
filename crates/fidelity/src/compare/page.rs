//! The page of a comparison: Markdown with tables, and pictures beside it.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use train::plot::{Plot, Series};

use super::{Comparison, Outcome};

/// Writes `compare.md`, `compare.json` and the pictures into the folder of the comparison; the page.
///
/// # Errors
/// A folder that cannot be written.
pub fn write(comparison: &Comparison, outcomes: &[Outcome]) -> Result<PathBuf> {
    let dir = &comparison.dir;
    let page = dir.join("compare.md");
    models::atomic::write_bytes(&dir.join("compare.json"), &serde_json::to_vec_pretty(outcomes)?)?;
    let mut text = String::from("# Architectures compared\n\n");
    let first = &comparison.entries[0].train;
    let _ = writeln!(
        text,
        "Every model saw {} updates of {} sequences; learning rate {}, seed {}, unless said otherwise. Times are of one \
         thread, medians.\n",
        first.train.steps,
        first.train.batch_size * first.train.accumulate,
        first.optimizer.lr,
        first.data.seed
    );
    text.push_str(&table(outcomes));
    let mut picture = |name: &str, plot: Plot| -> Result<()> {
        if plot.series.iter().all(|series| series.points.is_empty()) {
            return Ok(());
        }
        let title = plot.title.clone();
        models::atomic::write_bytes(&dir.join(name), plot.to_svg().as_bytes())?;
        let _ = writeln!(text, "\n## {title}\n\n![{title}]({name})");
        Ok(())
    };
    let curves = |title: &str, y: &str, of: &dyn Fn(&Outcome) -> Vec<(f64, f64)>| {
        let mut plot = Plot::new(title, "tokens", y);
        plot.series = outcomes.iter().map(|o| Series::line(o.name.as_str(), of(o))).collect();
        plot
    };
    picture("training.svg", curves("Training loss", "nats per token", &|o| smooth(&o.training)))?;
    picture("held-out.svg", curves("Held-out loss", "nats per token", &|o| o.held_out.clone()))?;
    picture(
        "accuracy.svg",
        curves("Right answers", "share of the held-out answers", &|o| o.accuracy.clone()),
    )?;
    let by_length = |title: &str, y: &str, of: &dyn Fn(&Outcome) -> Vec<(f64, f64)>| {
        let mut plot = curves(title, y, of);
        plot.x_label = "tokens before".into();
        plot.log_x = true;
        plot.from_zero = true;
        plot.series.iter_mut().for_each(|series| series.marked = true);
        plot
    };
    picture("lengths.svg", by_length("Right answers by length", "share", &|o| o.extrapolation.clone()))?;
    let cost = |o: &Outcome, of: &dyn Fn(&super::Cost) -> f64| -> Vec<(f64, f64)> {
        o.costs.iter().map(|c| (c.position.max(1) as f64, of(c))).collect()
    };
    picture("time.svg", by_length("Time of a token", "microseconds", &|o| cost(o, &|c| c.seconds * 1e6)))?;
    picture(
        "memory.svg",
        by_length("Carried from token to token", "kilobytes", &|o| cost(o, &|c| c.state_bytes as f64 / 1e3)),
    )?;
    text.push_str(&costs(outcomes));
    models::atomic::write_bytes(&page, text.as_bytes())?;
    Ok(page)
}

/// What each model came to, as a table.
pub fn table(outcomes: &[Outcome]) -> String {
    let task = outcomes.iter().any(|o| !o.accuracy.is_empty());
    let measure = if task { "right answers" } else { "bits per byte" };
    let mut text = format!(
        "| model | width × blocks | parameters | few-valued | held-out loss | {measure} | training tokens/s | training memory |\n\
         |---|---|---|---|---|---|---|---|\n"
    );
    for o in outcomes {
        let best = o.held_out.iter().map(|(_, loss)| *loss).fold(f64::INFINITY, f64::min);
        let result = match task {
            true => format!("{:.1} %", 100.0 * o.accuracy.last().map_or(0.0, |(_, right)| *right)),
            false => format!("{:.3}", best / std::f64::consts::LN_2 / o.bytes_per_token),
        };
        let _ = writeln!(
            text,
            "| {} | {} × {} | {} | {:.0} % | {:.4} | {result} | {:.0} | {:.1} MB |",
            o.name,
            o.hidden_size,
            o.layers,
            o.parameters,
            100.0 * o.quantized,
            best,
            o.tokens_per_second,
            o.training_bytes as f64 / 1e6
        );
    }
    text
}

fn costs(outcomes: &[Outcome]) -> String {
    let mut text = String::from(
        "\n## Cost of a token\n\n| model | tokens before | time of a token | of a prompt's token | carried |\n|---|---|---|---|---|\n",
    );
    for (o, c) in outcomes.iter().flat_map(|o| o.costs.iter().map(move |c| (o, c))) {
        let _ = writeln!(
            text,
            "| {} | {} | {:.1} µs | {:.1} µs | {:.1} kB |",
            o.name,
            c.position,
            c.seconds * 1e6,
            c.prompt_seconds * 1e6,
            c.state_bytes as f64 / 1e3
        );
    }
    text
}

/// A running mean over a fiftieth of the curve.
fn smooth(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let width = (points.len() / 50).max(1);
    let mean = |part: &[(f64, f64)]| part.iter().map(|p| p.1).sum::<f64>() / part.len() as f64;
    points.windows(width).map(|part| (part[part.len() - 1].0, mean(part))).collect()
}
