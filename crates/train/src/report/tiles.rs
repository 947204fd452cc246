//! The head of the page: which run, how it stands, the numbers that people ask for first.

use std::fmt::Write;

use super::units::{bytes, duration, grouped, percent, significant};
use super::{History, State};
use crate::config::TrainConfig;
use crate::plot::escape;
use crate::trits::TernaryShape;

/// Writes name, state, progress and tiles.
pub(super) fn header(html: &mut String, name: &str, config: &TrainConfig, history: &History, state: &State) {
    let (done, steps) = (history.done(), config.train.steps as u64);
    let (class, shown, why) = match state {
        State::Running => ("", "running", String::new()),
        State::Ended(why) => (" warm", "ended early", format!(" · {}", escape(why))),
        State::Over if done >= steps => ("", "finished", String::new()),
        State::Over => (" warm", "not finished", " · the log ends here".into()),
    };
    let share = 100.0 * done as f64 / steps.max(1) as f64;
    let (done, steps) = (done as f64, steps as f64);
    let _ = write!(
        html,
        "<header>\n<div class=\"head\"><h1>{name}</h1><span class=\"state{class}\">{shown}</span></div>\n\
         <p class=\"sub\">{} of {} updates{why}{}</p>\n<div class=\"bar\"><i style=\"width:{:.1}%\"></i></div>\n\
         <div class=\"tiles\">\n",
        grouped(done),
        grouped(steps),
        what(config),
        share.clamp(0.0, 100.0)
    );
    for (label, value, unit, note) in numbers(config, history, matches!(state, State::Running)) {
        let unit = if unit.is_empty() { String::new() } else { format!(" <small>{unit}</small>") };
        let _ = writeln!(
            html,
            "<div class=\"tile\"><span>{label}</span><b>{value}{unit}</b><span>{note}</span></div>"
        );
    }
    html.push_str("</div>\n</header>\n");
}

/// The model and the batch in a few words; a model that was started from a folder has that folder's sizes.
fn what(config: &TrainConfig) -> String {
    let (m, t) = (&config.model, &config.train);
    let model = match m.init_from.is_empty() {
        true => format!("{} with {} blocks of width {}", m.architecture, m.num_hidden_layers, m.hidden_size),
        false => format!("{} from {}", m.architecture, m.init_from),
    };
    let sequences = t.batch_size * t.accumulate;
    escape(&format!(" · {model} · {sequences} sequences of {} tokens per update", config.data.seq_len))
}

/// Label, value, unit, note.
type Tile = (&'static str, String, &'static str, String);

fn numbers(config: &TrainConfig, history: &History, running: bool) -> Vec<Tile> {
    let mut tiles: Vec<Tile> = vec![];
    let bytes_per_token = history.run.as_ref().map_or(f64::NAN, |run| run.bytes_per_token);
    let best = history.validation.iter().filter(|v| v.loss.is_finite());
    if let Some(best) = best.min_by(|a, b| a.loss.total_cmp(&b.loss)) {
        let bits = best.loss / std::f64::consts::LN_2 / bytes_per_token;
        let note = format!("{} bits per byte, at step {}", significant(bits), grouped(best.step));
        tiles.push(("Best validation loss", significant(best.loss), "nats", note));
    }
    let recent = &history.train[history.train.len().saturating_sub(20)..];
    let mean = recent.iter().map(|t| t.loss).sum::<f64>() / recent.len() as f64;
    tiles.push((
        "Training loss",
        significant(mean),
        "nats",
        format!("mean of the last {} records", recent.len()),
    ));
    let per_step = (config.train.batch_size * config.train.accumulate * config.data.seq_len) as f64;
    let mut pace: Vec<f64> =
        history.train.iter().map(|t| t.tokens_per_second).filter(|v| v.is_finite()).collect();
    pace.sort_by(f64::total_cmp);
    let median = pace.get(pace.len() / 2).copied().unwrap_or(f64::NAN);
    let update = format!("{} ms per update, median", significant(1e3 * per_step / median));
    tiles.push(("Speed", grouped(median), "tokens/s", update));
    if let Some(last) = history.train.last() {
        let tokens = (last.step + 1.0) * per_step;
        let left = (config.train.steps as f64 - last.step - 1.0).max(0.0) * per_step / median;
        let note = match running {
            true => format!("about {} left", duration(left)),
            false => format!("{} tokens seen", grouped(tokens)),
        };
        tiles.push(("Time in updates", duration(last.elapsed), "", note));
    }
    if let Some(run) = &history.run {
        let ternary = run.matrices.iter().map(TernaryShape::weights).sum::<usize>();
        let note = match ternary {
            0 => format!("{} tokens of text", grouped(run.train_tokens as f64)),
            n => format!("{} trits in {} matrices", grouped(n as f64), run.matrices.len()),
        };
        tiles.push(("Parameters", grouped(run.parameters as f64), "", note));
        if let Some(look) = history.looks.last() {
            let share = |f: fn(&crate::trits::TritCounts) -> u64| {
                look.counts.iter().map(f).sum::<u64>() as f64 / ternary.max(1) as f64
            };
            let note = format!("{} zeros, {} dead", percent(share(|c| c.zeros)), percent(share(|c| c.dead)));
            let flips = look.since.map_or(f64::NAN, |_| share(|c| c.flips));
            tiles.push(("Last flip rate", percent(flips), "", note));
        }
    }
    let peak = history.memory.iter().map(|m| m.peak).filter(|v| v.is_finite()).fold(f64::NAN, f64::max);
    if let Some(last) = history.memory.last() {
        tiles.push(("Peak memory", bytes(peak), "", format!("plan of the step: {}", bytes(last.plan))));
    }
    tiles
}
