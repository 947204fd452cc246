//! The buffer plan as a picture: time to the right, bytes of the arena upwards, a rectangle for each value.
//!
//! Above it the time of each step, coloured by what limits it. The styles are those of the workspace's plots: light and
//! dark by the reader's setting, hues that colour-blind readers tell apart.

use super::Report;
use super::names::ROLES;
use super::table::{bytes, time};
use std::fmt::Write;

const WIDTH: f64 = 1080.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 18.0;
const STRIP: f64 = 46.0;
const PLOT: f64 = 420.0;
const TOP: f64 = 92.0;

const LIGHT: [&str; 7] = ["#0072b2", "#c75000", "#008560", "#a8558a", "#946c00", "#5b5fc7", "#5c6672"];
const DARK: [&str; 7] = ["#56b4e9", "#f58a3c", "#2fc29a", "#e29bc6", "#e3b341", "#a3a6f5", "#95a0ad"];

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}

fn style() -> String {
    let theme = |back: &str, ink: &str, muted: &str, grid: &str, colours: &[&str; 7]| {
        let mut css = format!(
            ".back{{fill:{back}}}text{{fill:{ink}}}text.m{{fill:{muted}}}.g{{stroke:{grid}}}.a{{stroke:{muted}}}\
             .p{{stroke:{ink}}}rect.b{{stroke:{back}}}"
        );
        for (k, c) in colours.iter().enumerate() {
            let _ = write!(css, ".r{k}{{fill:{c}}}");
        }
        css
    };
    format!(
        "text{{font:11.5px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;font-variant-numeric:tabular-nums}}\
         text.t{{font-size:14px;font-weight:600}}rect.b{{stroke-width:.6;fill-opacity:.86}}rect.b:hover{{fill-opacity:1}}\
         .p{{stroke-dasharray:5 4;stroke-width:1.2}}{}@media(prefers-color-scheme:dark){{{}}}",
        theme("#ffffff", "#1c2128", "#5c6672", "#e6e9ed", &LIGHT),
        theme("#12161c", "#e4e8ee", "#95a0ad", "#262d36", &DARK)
    )
}

/// A step among 1, 2, 5 × 10ⁿ.
fn nice(range: f64, parts: f64) -> f64 {
    let rough = (range / parts).max(1e-12);
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|f| f * power >= rough).unwrap_or(10.0);
    factor * power
}

pub(super) fn draw(r: &Report) -> String {
    let height = TOP + STRIP + 14.0 + PLOT + 74.0;
    let mut svg = String::new();
    let o = &mut svg;
    let title = escape(&r.title);
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        o,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-label=\"{title}\">\n<title>{title}</title>\n<style>{}</style>\n\
         <rect class=\"back\" width=\"{WIDTH}\" height=\"{height}\"/>",
        escape(&style())
    );
    heading(o, r);
    // A step begins when those before it end; one that takes no time is still seen.
    let total: f64 = r.steps.iter().map(|s| s.predicted_ns.max(0.0)).sum::<f64>();
    let least = if total > 0.0 { total / 4000.0 } else { 1.0 };
    let mut at = vec![0.0];
    for s in &r.steps {
        at.push(at[at.len() - 1] + s.predicted_ns.max(least));
    }
    let end = at[at.len() - 1].max(1e-9);
    let x = |t: f64| LEFT + t / end * (WIDTH - LEFT - RIGHT);
    strip(o, r, &at, &x);
    let (top, bottom) = (TOP + STRIP + 14.0, TOP + STRIP + 14.0 + PLOT);
    let most = (r.memory.arena.max(r.memory.peak).max(1)) as f64 * 1.04;
    let y = |b: f64| bottom - b / most * (bottom - top);
    let unit = 1024f64.powi(((most.ln() / 1024f64.ln()).floor() as i32).clamp(0, 3));
    let step = nice(most / unit, 6.0) * unit;
    let mut tick = 0.0;
    while tick <= most {
        let _ = writeln!(
            o,
            "<line class=\"g\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{2:.1}\" y2=\"{2:.1}\"/>\
             <text class=\"m\" x=\"{3:.1}\" y=\"{4:.1}\" text-anchor=\"end\">{1}</text>",
            WIDTH - RIGHT,
            bytes(tick),
            y(tick),
            LEFT - 6.0,
            y(tick) + 4.0
        );
        tick += step;
    }
    for b in &r.memory.buffers {
        let role = ROLES.iter().position(|n| *n == b.role).unwrap_or(ROLES.len() - 1);
        let (from, to) = (x(at[b.from]), x(at[b.to + 1]));
        let (high, low) = (y((b.offset + b.bytes) as f64), y(b.offset as f64));
        let _ = writeln!(
            o,
            "<rect class=\"b r{role}\" x=\"{from:.1}\" y=\"{high:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}</title></rect>",
            (to - from).max(0.4),
            (low - high).max(0.4),
            escape(&format!(
                "{} {}, {}, {}, steps {} to {}",
                b.name,
                b.ty,
                b.role,
                bytes(b.bytes as f64),
                b.from,
                b.to
            ))
        );
    }
    let (arena, peak) = (r.memory.arena as f64, r.memory.peak as f64);
    let _ = writeln!(
        o,
        "<line class=\"p\" x1=\"{LEFT}\" x2=\"{0:.1}\" y1=\"{1:.1}\" y2=\"{1:.1}\"/>\
         <text x=\"{0:.1}\" y=\"{2:.1}\" text-anchor=\"end\">arena {3}, most alive {4}</text>",
        WIDTH - RIGHT,
        y(arena),
        y(arena) - 5.0,
        bytes(arena),
        bytes(peak)
    );
    let step = nice(end, 9.0);
    let mut tick = 0.0;
    while tick <= end * 1.0001 {
        let _ = writeln!(
            o,
            "<line class=\"a\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{bottom}\" y2=\"{1}\"/>\
             <text class=\"m\" x=\"{0:.1}\" y=\"{2}\" text-anchor=\"middle\">{3}</text>",
            x(tick),
            bottom + 4.0,
            bottom + 17.0,
            time(tick)
        );
        tick += step;
    }
    let _ = writeln!(
        o,
        "<line class=\"a\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\
         <text class=\"m\" x=\"{0:.1}\" y=\"{1}\" text-anchor=\"end\">predicted time</text>",
        WIDTH - RIGHT,
        bottom + 34.0
    );
    legend(o, r, bottom + 56.0);
    svg.push_str("</svg>\n");
    svg
}

fn heading(o: &mut String, r: &Report) {
    let m = &r.memory;
    let saved = 100.0 * (1.0 - m.arena as f64 / m.unshared.max(1) as f64);
    let threads = if r.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", r.threads) };
    let lines = [
        ("t", 22.0, r.title.clone()),
        (
            "",
            41.0,
            format!(
                "{} steps, predicted {} on {} ({threads})",
                r.steps.len(),
                time(r.predicted_ns),
                r.machine
            ),
        ),
        (
            "m",
            59.0,
            format!(
                "arena {}, {} without reuse: {saved:.0} % saved; inputs {} and outputs {} lie outside",
                bytes(m.arena as f64),
                bytes(m.unshared as f64),
                bytes(m.inputs as f64),
                bytes(m.outputs as f64)
            ),
        ),
    ];
    for (class, y, text) in lines {
        let _ = writeln!(o, "<text class=\"{class}\" x=\"8\" y=\"{y}\">{}</text>", escape(&text));
    }
}

/// A bar for each step, as high as its share of the longest, coloured by what limits it.
fn strip(o: &mut String, r: &Report, at: &[f64], x: &impl Fn(f64) -> f64) {
    let colour = |bound: &str| match bound {
        "arithmetic" => 1,
        "traffic" => 0,
        _ => 6,
    };
    let _ = writeln!(
        o,
        "<text class=\"m\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">steps</text>",
        LEFT - 6.0,
        TOP + STRIP / 2.0 + 4.0
    );
    for (k, s) in r.steps.iter().enumerate() {
        let full = (s.compute_ns.max(s.memory_ns) / s.predicted_ns.max(1e-9)).clamp(0.12, 1.0);
        let high = STRIP * full;
        let _ = writeln!(
            o,
            "<rect class=\"b r{}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{high:.1}\"><title>{}</title></rect>",
            colour(s.bound),
            x(at[k]),
            TOP + STRIP - high,
            (x(at[k + 1]) - x(at[k])).max(0.4),
            escape(&format!(
                "{} {}: {}, limit {} [{}]",
                s.step,
                s.name,
                time(s.predicted_ns),
                s.bound,
                s.part
            ))
        );
    }
    let mut right = WIDTH - RIGHT;
    for (name, k) in [("fixed", 6), ("traffic", 0), ("arithmetic", 1)] {
        let width = 6.6 * name.len() as f64;
        let _ = writeln!(
            o,
            "<text class=\"m\" x=\"{right:.1}\" y=\"84\" text-anchor=\"end\">{name}</text>\
             <rect class=\"r{k}\" x=\"{:.1}\" y=\"75\" width=\"10\" height=\"10\"/>",
            right - width - 14.0
        );
        right -= width + 30.0;
    }
    let _ = writeln!(
        o,
        "<text class=\"m\" x=\"{right:.1}\" y=\"84\" text-anchor=\"end\">steps are limited by</text>"
    );
}

fn legend(o: &mut String, r: &Report, y: f64) {
    let mut x = LEFT;
    for (k, role) in ROLES.iter().enumerate() {
        if !r.memory.buffers.iter().any(|b| b.role == *role) {
            continue;
        }
        let _ = writeln!(
            o,
            "<rect class=\"r{k}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"10\" height=\"10\"/>\
             <text class=\"m\" x=\"{:.1}\" y=\"{y:.1}\">{role}</text>",
            y - 9.0,
            x + 15.0
        );
        x += 34.0 + 6.6 * role.len() as f64;
    }
}
