//! The report as Markdown tables.

use super::{Kernel, ModelReport, Report, Speed, Spread};
use crate::inspect::size;
use std::fmt::Write;

/// Best, median and tenth percentile.
fn three(spread: &Spread, digits: usize) -> String {
    format!("{:.digits$} / {:.digits$} / {:.digits$}", spread.best, spread.median, spread.low)
}

pub(super) fn write(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(out, "# fidelity bench\n");
    let _ = writeln!(
        out,
        "fidelity {}, {}, {} kernels, threads {}; took {:.0} s. Triples are best / median / tenth percentile.\n",
        report.version,
        report.processor.as_deref().unwrap_or("unknown processor"),
        report.simd,
        report.threads.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
        report.seconds
    );
    machine(&mut out, report);
    if !report.layouts.is_empty() {
        let _ = writeln!(out, "## Faster layout of trits\n");
        for found in &report.layouts {
            let _ = writeln!(out, "- {}", found.told());
        }
        out.push('\n');
    }
    kernels(&mut out, &report.kernels);
    if let Some(model) = &report.model {
        self::model(&mut out, model);
    }
    for note in report.energy.iter().chain(&report.notes) {
        let _ = writeln!(out, "- {note}");
    }
    out
}

fn machine(out: &mut String, report: &Report) {
    let machine = &report.machine;
    let _ = writeln!(out, "## Machine\n\n| what | threads | rate |\n|---|---:|---:|");
    let _ = writeln!(out, "| clock, GHz | 1 | {} |", three(&machine.clock_ghz, 2));
    for b in &machine.bandwidth {
        let pages = match (b.huge_pages, b.huge_share) {
            (false, _) => String::new(),
            (true, Some(share)) => format!(", huge pages ({:.0} % got)", 100.0 * share),
            (true, None) => ", huge pages".into(),
        };
        let _ = writeln!(out, "| reads{pages}, GB/s | {} | {} |", b.threads, three(&b.gigabytes, 1));
    }
    for peak in &machine.peaks {
        let _ = writeln!(out, "| peak, {} | {} | {} |", peak.unit, peak.threads, three(&peak.rate, 0));
    }
    out.push('\n');
}

fn kernels(out: &mut String, kernels: &[Kernel]) {
    if kernels.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "## Products of int8 activations with packed trits, and of activations with weights in blocks\n\n\
         | rows × columns | tokens | layout | weights | threads | µs | GB/s | GMAC/s | reads beside, GB/s | limit | of it |\n\
         |---|---:|---|---|---:|---:|---:|---:|---:|---|---:|"
    );
    for k in kernels {
        let _ = writeln!(
            out,
            "| {} × {} | {} | {} | {} | {} | {} | {:.1} | {:.0} | {} | {} | {:.0} % |",
            k.rows,
            k.columns,
            k.tokens,
            k.layout,
            if k.cold { "cold" } else { "hot" },
            k.threads,
            three(&k.microseconds, 1),
            k.gigabytes,
            k.gmacs,
            k.beside.map_or_else(|| "–".to_owned(), |b| format!("{b:.1}")),
            k.limit,
            k.percent
        );
    }
    out.push('\n');
}

fn model(out: &mut String, model: &ModelReport) {
    let _ = writeln!(
        out,
        "## {}\n\nFiles {}; a token reads {} of weights and multiplies {:.2} G of them.\n",
        model.name,
        size(model.file_bytes),
        size(model.token_bytes as u64),
        model.token_macs / 1e9
    );
    let peers = model.decode.iter().chain(&model.prefill).any(|s| s.versus.is_some());
    if !model.decode.is_empty() || !model.prefill.is_empty() {
        let more = if peers {
            (" peer, tokens/s | ratio of medians | of bests | range |", "---:|---:|---:|---:|")
        } else {
            ("", "")
        };
        let _ = writeln!(
            out,
            "| what | threads | tokens/s | limit | of it | reads beside, GB/s | J/token |{}\n|---|---:|---:|---:|---:|---:|---:|{}",
            more.0, more.1
        );
        for speed in &model.decode {
            line(out, "decode", speed, peers);
        }
        for speed in &model.prefill {
            line(out, &format!("prompt of {}", speed.tokens), speed, peers);
        }
        let name = model.decode.iter().chain(&model.prefill).find_map(|s| s.versus.as_ref()).map(|v| &v.name);
        if let Some(name) = name {
            let _ = writeln!(out, "\nThe peer is {name}, in turn with us, round by round.");
        }
        out.push('\n');
    }
    for start in &model.start {
        let _ = writeln!(
            out,
            "- start to first token, threads {}, file in the system's cache: {} s",
            start.threads,
            three(&start.seconds, 3)
        );
    }
    if let Some(memory) = model.memory {
        let _ = writeln!(
            out,
            "- resident memory at most {}, {:+.1} MiB against the file",
            size(memory.peak),
            memory.over as f64 / f64::from(1 << 20)
        );
    }
    if let Some(peak) = model.peer_memory {
        let _ = writeln!(out, "- resident memory of the peer's process at most {}", size(peak));
    }
}

fn line(out: &mut String, what: &str, speed: &Speed, peers: bool) {
    let _ = write!(
        out,
        "| {what} | {} | {} | {:.1} ({}) | {:.0} % | {:.1} | {} |",
        speed.threads,
        three(&speed.rate, 1),
        speed.limit,
        speed.limited_by,
        speed.percent,
        speed.beside,
        speed.joules.map_or_else(|| "–".to_owned(), |j| format!("{j:.3}"))
    );
    if let Some(v) = speed.versus.as_ref().filter(|_| peers) {
        let [low, high] = v.range;
        let _ = write!(
            out,
            " {} | {:.2} | {:.2} | {low:.2} to {high:.2} |",
            three(&v.rate, 1),
            v.of_medians,
            v.of_bests
        );
    }
    out.push('\n');
}
