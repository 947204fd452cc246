//! The panels: each a picture and a line that says how to read it.

use std::fmt::Write;

use super::History;
use super::units::{byte_unit, bytes, grouped, percent, significant, time_unit};
use crate::plot::{HeatMap, HeatRow, Plot, Series, Stroke};
use crate::trits::{BIN, BINS, TernaryShape, TritCounts, TritLook};

/// Width and height of a panel, a third of a wide page; smaller screens show it a little smaller.
const SMALL: (f64, f64) = (400.0, 236.0);
/// The panel that takes two thirds.
const LARGE: (f64, f64) = (820.0, 560.0);
/// Records from which on a smoothed curve is worth drawing.
const SMOOTHED_FROM: usize = 40;

fn figure(html: &mut String, svg: &str, caption: &str) {
    let _ = writeln!(html, "<figure>{svg}<figcaption>{caption}</figcaption></figure>");
}

/// A curve of noisy values: each of them pale, and their mean over a twentieth of the curve around each.
fn smoothed(name: &str, points: Vec<(f64, f64)>, colour: usize, label: fn(f64) -> String) -> Vec<Series> {
    let finite: Vec<(f64, f64)> = points.iter().copied().filter(|p| p.1.is_finite()).collect();
    let Some(last) = finite.last() else {
        return vec![Series::line(name, points).drawn(colour, Stroke::Solid)];
    };
    if points.len() < SMOOTHED_FROM {
        let label = format!("{name} {}", label(last.1));
        return vec![Series::line(label, points).drawn(colour, Stroke::Solid)];
    }
    let smooth = centred_means(&finite, points.len() / 40);
    let label = format!("{name} {}", label(smooth.last().unwrap_or(last).1));
    vec![
        Series::line(name, points).drawn(colour, Stroke::Faint),
        Series::line(label, smooth).drawn(colour, Stroke::Solid),
    ]
}

/// Means over up to `half` neighbours on both sides. At the beginning, where a loss falls steeply, the window grows
/// evenly on both sides, so that the curve does not lag; at the end it has only a left side.
fn centred_means(points: &[(f64, f64)], half: usize) -> Vec<(f64, f64)> {
    let mut sums = vec![0.0];
    for (i, p) in points.iter().enumerate() {
        sums.push(sums[i] + p.1);
    }
    (points.iter().enumerate())
        .map(|(i, p)| {
            let half = half.min(i);
            let (from, to) = (i - half, (i + half + 1).min(points.len()));
            (p.0, (sums[to] - sums[from]) / (to - from) as f64)
        })
        .collect()
}

/// Loss, learning rate, gradient norm.
pub(super) fn learning(html: &mut String, history: &History) {
    let train =
        |f: fn(&super::TrainRow) -> f64| history.train.iter().map(|t| (t.step, f(t))).collect::<Vec<_>>();
    let mut loss = Plot::new("Loss", "step", "nats per token");
    loss.series = smoothed("training", train(|t| t.loss), 0, significant);
    if let Some(last) = history.validation.last() {
        let points = history.validation.iter().map(|v| (v.step, v.loss)).collect();
        let name = format!("validation {}", significant(last.loss));
        loss.series.push(Series::marked(name, points).drawn(1, Stroke::Solid));
    }
    if let Some(run) = history.run.as_ref().filter(|run| run.bytes_per_token > 0.0) {
        loss.second = Some(("bits per byte".into(), 1.0 / std::f64::consts::LN_2 / run.bytes_per_token));
    }
    let broad = Plot { size: LARGE, ..loss.clone() }.to_inline_svg();
    let narrow = Plot { size: (SMALL.0, 300.0), ..loss }.to_inline_svg();
    html.push_str("<div class=\"panels\">\n");
    let _ = writeln!(
        html,
        "<figure class=\"wide\"><div class=\"broad\">{broad}</div><div class=\"narrow\">{narrow}</div><figcaption>How \
         surprised the model is by the next token: nats at the left, bits per byte of text at the right. Validation \
         text is held back from training; when its curve turns up while training goes on falling, the model has begun \
         to learn by heart.</figcaption></figure>"
    );
    let mut lr = Plot { size: SMALL, from_zero: true, ..Plot::new("Learning rate", "step", "per update") };
    lr.series.push(Series::line("", train(|t| t.lr)).drawn(2, Stroke::Solid));
    figure(html, &lr.to_inline_svg(), "The size of an update, as the schedule sets it.");
    let mut norm = Plot { size: SMALL, log_y: true, ..Plot::new("Gradient norm", "step", "before clipping") };
    norm.series = smoothed("", train(|t| t.grad_norm), 3, |_| String::new());
    figure(
        html,
        &norm.to_inline_svg(),
        "Spikes are batches that the model found hard; a steady rise is instability.",
    );
    html.push_str("</div>\n");
}

/// Flips, zeros and dead weights: over the whole model, and of each matrix.
pub(super) fn ternary(html: &mut String, history: &History) {
    let Some(run) = &history.run else { return };
    let looks: Vec<&TritLook> =
        history.looks.iter().filter(|look| look.counts.len() == run.matrices.len()).collect();
    let weights = run.matrices.iter().map(TernaryShape::weights).sum::<usize>().max(1) as f64;
    let rows = run.matrices.iter().map(|m| m.rows).sum::<usize>();
    let total = |look: &TritLook, f: fn(&TritCounts) -> u64| look.counts.iter().map(f).sum::<u64>() as f64;
    let per_cent = |f: fn(&TritCounts) -> u64, all: bool| -> Vec<(f64, f64)> {
        let shown = looks.iter().filter(|look| all || look.since.is_some());
        shown.map(|look| (look.step as f64, 100.0 * total(look, f) / weights)).collect()
    };
    let named = |name: &str, points: Vec<(f64, f64)>| {
        let value = points.last().map_or(String::new(), |p| format!(" {}", percent(p.1 / 100.0)));
        Series::line(format!("{name}{value}"), points)
    };
    html.push_str("<div class=\"panels\">\n");

    let mut flips = Plot {
        size: SMALL,
        from_zero: true,
        ..Plot::new("Flip rate", "step", "% of all trits, look to look")
    };
    flips.series.push(named("", per_cent(|c| c.flips, false)).drawn(0, Stroke::Solid));
    let interval = looks.last().and_then(|look| Some(look.step - look.since?));
    let interval = interval.map_or(String::new(), |n| format!(" (here the last {n} steps)"));
    let caption = format!(
        "Trits that differ from the look before{interval}. It should fall with the learning rate; at zero the ternary \
         model has stopped learning."
    );
    figure(html, &flips.to_inline_svg(), &caption);

    let mut zeros = Plot {
        size: SMALL,
        from_zero: true,
        ..Plot::new("Zeros and dead weights", "step", "% of all trits")
    };
    zeros.series.push(named("zero", per_cent(|c| c.zeros, true)).drawn(2, Stroke::Solid));
    zeros.series.push(named("dead", per_cent(|c| c.dead, true)).drawn(1, Stroke::Solid));
    let caption = "Zeros are the sparsity of the model. A weight is dead when it is 0 and was 0 at every look so far: \
                   capacity that has never been used. The first look finds every zero dead.";
    figure(html, &zeros.to_inline_svg(), caption);

    let mut silent =
        Plot { size: SMALL, from_zero: true, ..Plot::new("Dead output units", "step", "rows of zeros") };
    let points: Vec<(f64, f64)> =
        looks.iter().map(|look| (look.step as f64, total(look, |c| c.dead_rows))).collect();
    let last = points.last().map_or(String::new(), |p| grouped(p.1));
    silent.series.push(Series::line(last, points).drawn(3, Stroke::Solid));
    let caption = format!(
        "Of {} output units in all matrices, those whose weights are all 0: they give 0 for any input.{}",
        grouped(rows as f64),
        worst(&run.matrices, looks.last().copied())
    );
    figure(html, &silent.to_inline_svg(), &caption);

    let flips = HeatMap {
        title: "Flip rate by matrix".into(),
        note: "strong colour: many flips (logarithmic)".into(),
        log: true,
        ..heat(&run.matrices, &looks, |c| c.flips, false)
    };
    let caption =
        "A row that is pale from early on has frozen; one that keeps its colour to the end has not settled.";
    figure(html, &flips.to_inline_svg(), caption);
    let zeros = HeatMap {
        title: "Zeros by matrix".into(),
        note: "strong colour: sparse".into(),
        colour: 2,
        ..heat(&run.matrices, &looks, |c| c.zeros, true)
    };
    let caption = "The quantiser leaves about a third of normally distributed weights at 0.";
    figure(html, &zeros.to_inline_svg(), caption);
    let dead = HeatMap {
        title: "Dead weights by matrix".into(),
        note: "strong colour: many dead (logarithmic)".into(),
        colour: 1,
        log: true,
        ..heat(&run.matrices, &looks, |c| c.dead, true)
    };
    let caption =
        "Can only fall. A matrix that keeps its colour is larger than it needs to be, or gets no gradient.";
    figure(html, &dead.to_inline_svg(), caption);
    if let Some(map) = distances(&looks) {
        let caption = "How far weights are from where their trit changes, in steps of the quantiser: below 0 the trit is \
                       0. A dark row at 0 is where flips come from; rows that no longer change have settled.";
        figure(html, &map.to_inline_svg(), caption);
    }
    html.push_str("</div>\n");
}

/// The histogram of distances over the whole model, look by look; `None` where the log has none.
fn distances(looks: &[&TritLook]) -> Option<HeatMap> {
    let total = |look: &TritLook, bin: usize| look.counts.iter().map(|c| c.distance[bin]).sum::<u64>() as f64;
    let all: Vec<f64> = looks.iter().map(|look| (0..BINS).map(|bin| total(look, bin)).sum()).collect();
    if all.iter().all(|n| *n == 0.0) {
        return None;
    }
    let rows = (0..BINS).rev().map(|bin| {
        let (from, to) = (bin as f64 * BIN - 0.5, (bin + 1) as f64 * BIN - 0.5);
        let name = if bin + 1 == BINS { format!("{from} and beyond") } else { format!("{from} to {to}") };
        let values = looks.iter().zip(&all).map(|(look, n)| total(look, bin) / n).collect();
        HeatRow { name, label: format!("{from}"), group: 0, values }
    });
    Some(HeatMap {
        title: "Distance to the threshold".into(),
        note: "strong colour: many weights".into(),
        x_label: "step".into(),
        x: looks.iter().map(|look| look.step as f64).collect(),
        rows: rows.collect(),
        groups: vec![String::new()],
        colour: 3,
        log: false,
        format: percent,
        width: SMALL.0,
    })
}

/// Names the matrix with the most dead rows.
fn worst(shapes: &[TernaryShape], look: Option<&TritLook>) -> String {
    let Some(look) = look else { return String::new() };
    let most = look.counts.iter().zip(shapes).max_by_key(|(counts, _)| counts.dead_rows);
    match most {
        Some((counts, shape)) if counts.dead_rows > 0 => format!(
            " Most of them, {}, are in <code>{}</code>.",
            grouped(counts.dead_rows as f64),
            crate::plot::escape(&shape.name)
        ),
        _ => String::new(),
    }
}

/// A heat map of shares of the trits, a row for each matrix, without its texts. `all`: with the first look, which has
/// no flips.
fn heat(shapes: &[TernaryShape], looks: &[&TritLook], count: fn(&TritCounts) -> u64, all: bool) -> HeatMap {
    // `layers.3.attn.i_proj` is row `i_proj` of group `3`; `lm_head` is a group of its own.
    let parts = |name: &str| -> (String, String) {
        match name.strip_prefix("layers.").and_then(|rest| rest.split_once('.')) {
            Some((layer, rest)) => (layer.into(), rest.rsplit('.').next().unwrap_or(rest).into()),
            None => (String::new(), name.into()),
        }
    };
    let mut groups: Vec<String> = vec![];
    let shown: Vec<&&TritLook> = looks.iter().filter(|look| all || look.since.is_some()).collect();
    let rows = shapes.iter().enumerate().map(|(i, shape)| {
        let (group, label) = parts(&shape.name);
        if groups.last() != Some(&group) {
            groups.push(group);
        }
        let weights = shape.weights().max(1) as f64;
        let values = shown.iter().map(|look| count(&look.counts[i]) as f64 / weights).collect();
        HeatRow { name: shape.name.clone(), label, group: groups.len() - 1, values }
    });
    let rows = rows.collect();
    HeatMap {
        title: String::new(),
        note: String::new(),
        x_label: "step".into(),
        // What is found holds from the look on; what has flipped did so since the look before.
        x: shown.iter().map(|look| if all { look.step } else { look.since.unwrap_or(0) } as f64).collect(),
        rows,
        groups,
        colour: 0,
        log: false,
        format: percent,
        width: SMALL.0,
    }
}

/// Tokens per second and memory over time, and where the bytes are.
pub(super) fn resources(html: &mut String, history: &History) {
    let longest = history.train.last().map_or(0.0, |t| t.elapsed);
    let (unit, seconds) = time_unit(longest);
    let x_label = format!("{unit} in updates");
    html.push_str("<div class=\"panels\">\n");
    let mut pace =
        Plot { size: SMALL, from_zero: true, ..Plot::new("Throughput", &*x_label, "tokens per second") };
    let points = history.train.iter().map(|t| (t.elapsed / seconds, t.tokens_per_second)).collect();
    pace.series = smoothed("", points, 0, grouped);
    figure(
        html,
        &pace.to_inline_svg(),
        "Training tokens per second of each update; evaluations do not count.",
    );

    let known = || history.memory.iter().flat_map(|m| [m.peak, m.plan, m.state]).filter(|v| v.is_finite());
    let (unit, size) = byte_unit(known().fold(0.0, f64::max));
    let mut memory = Plot { size: SMALL, from_zero: true, ..Plot::new("Memory", &*x_label, unit) };
    let curve = |f: fn(&super::MemoryRow) -> f64| -> Vec<(f64, f64)> {
        history.memory.iter().map(|m| (m.elapsed / seconds, f(m) / size)).collect()
    };
    memory.series = vec![
        Series::line("peak", curve(|m| m.peak)).drawn(1, Stroke::Solid),
        Series::line("resident", curve(|m| m.resident)).drawn(0, Stroke::Solid),
        Series::line("plan", curve(|m| m.plan)).drawn(4, Stroke::Dashed),
        Series::line("weights", curve(|m| m.state)).drawn(3, Stroke::Dashed),
    ];
    let caption = "Of the process: resident now, and the most so far. Dashed: what the step's plan holds, and weights \
                   with both moments of the optimiser. A resident curve that keeps rising is a leak.";
    figure(html, &memory.to_inline_svg(), caption);
    facts(html, history);
    html.push_str("</div>\n");
}

/// A table of the bytes.
fn facts(html: &mut String, history: &History) {
    let Some(last) = history.memory.last() else { return };
    let peak = history.memory.iter().map(|m| m.peak).filter(|v| v.is_finite()).fold(f64::NAN, f64::max);
    let mut rows = vec![
        ("Plan of the step", "activations, gradients, scratch", last.plan),
        ("Weights and optimiser", "f32, 12 bytes a parameter for AdamW", last.state),
        ("Resident at the end", "with text, tokenizer, evaluation", last.resident),
        ("Peak", "of any session", peak),
    ];
    if let Some(run) = history.run.as_ref().filter(|run| !run.matrices.is_empty()) {
        let packed: usize = run.matrices.iter().map(|m| m.rows * m.columns.div_ceil(4)).sum();
        rows.push(("Ternary weights, packed", "two bits each: what inference reads", packed as f64));
    }
    html.push_str("<figure><table class=\"facts\"><caption>Where the bytes are</caption><tbody>");
    for (name, note, value) in rows {
        let _ = write!(html, "<tr><td>{name}<small>{note}</small></td><td>{}</td></tr>", bytes(value));
    }
    html.push_str("</tbody></table></figure>\n");
}

#[cfg(test)]
mod tests {
    use super::centred_means;

    #[test]
    fn means_follow_a_straight_line_without_lag() {
        let points: Vec<(f64, f64)> = (0..100).map(|i| (f64::from(i), 7.0 - 0.5 * f64::from(i))).collect();
        let smooth = centred_means(&points, 10);
        assert!((0..90).all(|i| (smooth[i].1 - points[i].1).abs() < 1e-9));
        assert!((smooth[99].1 - (points[89].1 + points[99].1) / 2.0).abs() < 1e-9, "the last eleven");
        assert_eq!(centred_means(&[], 3), []);
    }
}
