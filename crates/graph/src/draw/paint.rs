//! Coordinates to SVG.

use super::place::{ARM, LINE, Line, PAD, Placed, Rect, SIDE_LINE, part_params, side_params};
use super::sketch::{Block, Kind, Sketch};
use super::{SIZE, SMALL, text_width};
use crate::op::Class;
use std::fmt::Write;

const FONT: &str = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace";
const INK: &str = "#1f2937";
const MUTED: &str = "#64748b";

/// Fill and border.
fn colours(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Input => ("#dcfce7", "#4ade80"),
        Kind::Output => ("#1e293b", "#1e293b"),
        Kind::Part => ("#ffffff", "#475569"),
        Kind::Op(Class::Contract) => ("#ffedd5", "#fb923c"),
        Kind::Op(Class::Reduce) => ("#f3e8ff", "#c084fc"),
        Kind::Op(Class::Index) => ("#ccfbf1", "#2dd4bf"),
        Kind::Op(Class::Control) => ("#fce7f3", "#f472b6"),
        Kind::Op(Class::Composite) => ("#dbeafe", "#60a5fa"),
        Kind::Op(Class::Shape | Class::Source) => ("#f8fafc", "#cbd5e1"),
        Kind::Op(Class::Elementwise) => ("#fefefe", "#94a3b8"),
    }
}

pub(super) fn paint(s: &Sketch, p: &Placed, title: Option<&str>) -> String {
    let head = if title.is_some() { 34.0 } else { 0.0 };
    let width = p.width.max(title.map_or(0.0, |t| text_width(t, 16.0) + 48.0)).ceil();
    let height = (p.height + head).ceil();
    let mut out = String::new();
    let o = &mut out;
    put(
        o,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"{FONT}\" font-size=\"{SIZE}\" fill=\"{INK}\" role=\"img\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fcfcfd\"/>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
         orient=\"auto\"><path d=\"M0 0.5 L8 4 L0 7.5 z\" fill=\"{MUTED}\"/></marker></defs>"
        ),
    );
    if let Some(t) = title {
        put(
            o,
            format_args!(
                "<text x=\"24\" y=\"28\" font-size=\"16\" font-weight=\"bold\">{}</text>",
                escape(t)
            ),
        );
    }
    put(o, format_args!("<g transform=\"translate({:.1} {head})\">", (width - p.width) / 2.0));
    // Outer frames first, so that inner ones lie on them.
    let mut frames: Vec<usize> = (1..s.frames.len()).filter(|f| !s.frames[*f].children.is_empty()).collect();
    frames.sort_by_key(|f| s.frames[*f].depth);
    for f in frames {
        let (r, frame) = (p.frames[f], &s.frames[f]);
        let fill = ["#f1f5f9", "#e8eef6", "#f5f7fb"][(frame.depth - 1) % 3];
        put(
            o,
            format_args!(
                "<rect {} rx=\"10\" fill=\"{fill}\" stroke=\"#cbd5e1\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" font-weight=\"bold\" fill=\"#475569\">{}</text>",
                at(r),
                r.x + 16.0,
                r.y + 26.0,
                escape(&frame.label)
            ),
        );
    }
    put(o, format_args!("<g fill=\"none\" stroke=\"{MUTED}\" stroke-width=\"1.3\">"));
    p.lines.iter().for_each(|l| put(o, format_args!("{}", line(l))));
    put(o, format_args!("</g>"));
    for (b, r) in s.blocks.iter().zip(&p.blocks) {
        block(o, b, *r);
    }
    put(
        o,
        format_args!(
            "<g font-size=\"{SMALL}\" fill=\"#475569\" stroke=\"#ffffff\" stroke-width=\"3\" paint-order=\"stroke\" stroke-linejoin=\"round\">"
        ),
    );
    for l in &p.labels {
        let (x, anchor) = if l.before { (l.x - 5.0, " text-anchor=\"end\"") } else { (l.x + 5.0, "") };
        put(
            o,
            format_args!("<text x=\"{x:.1}\" y=\"{:.1}\"{anchor}>{}</text>", l.y, escape(&s.labels[l.value])),
        );
    }
    out.push_str("</g>\n</g>\n</svg>\n");
    out
}

fn put(out: &mut String, text: std::fmt::Arguments) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}

fn at(r: Rect) -> String {
    format!("x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"", r.x, r.y, r.width, r.height)
}

/// Verticals between points of a pair, curves between pairs.
fn line(l: &Line) -> String {
    let (x, y) = l.points[0];
    let mut d = format!("M{x:.1} {y:.1}");
    for (k, pair) in l.points.windows(2).enumerate() {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        if k % 2 == 0 || (x0 - x1).abs() < 0.5 {
            let _ = write!(d, " L{x1:.1} {y1:.1}");
        } else {
            let middle = (y0 + y1) / 2.0;
            let _ = write!(d, " C{x0:.1} {middle:.1} {x1:.1} {middle:.1} {x1:.1} {y1:.1}");
        }
    }
    let tip = if l.arrow { " marker-end=\"url(#tip)\"" } else { "" };
    let dash = if l.upwards { " stroke-dasharray=\"4 3\"" } else { "" };
    format!("<path d=\"{d}\"{tip}{dash}/>")
}

fn block(o: &mut String, b: &Block, r: Rect) {
    let (fill, border) = colours(b.kind);
    let round = if matches!(b.kind, Kind::Input | Kind::Output) { r.height / 2.0 } else { 6.0 };
    let ink = if b.kind == Kind::Output { "#f8fafc" } else { INK };
    put(o, format_args!("<g><title>{}</title>", escape(&b.tooltip)));
    params(o, b, r);
    put(
        o,
        format_args!(
            "<rect {} rx=\"{round:.1}\" fill=\"{fill}\" stroke=\"{border}\" stroke-width=\"1.2\"/>",
            at(r)
        ),
    );
    let centre = r.x + r.width / 2.0;
    let mut y = r.y + PAD + 11.0;
    let weight = if b.named { " font-weight=\"bold\"" } else { "" };
    put(
        o,
        format_args!(
            "<text x=\"{centre:.1}\" y=\"{y:.1}\" text-anchor=\"middle\" fill=\"{ink}\"{weight}>{}</text>",
            escape(&b.title)
        ),
    );
    for l in &b.lines {
        y += LINE;
        let (x, anchor, ink) = match b.kind {
            Kind::Part => (r.x + PAD + 2.0, "start", "#475569"),
            _ => (centre, "middle", INK),
        };
        let size = SMALL + 1.0;
        put(
            o,
            format_args!(
                "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" text-anchor=\"{anchor}\" fill=\"{ink}\" xml:space=\"preserve\">{}</text>",
                escape(l)
            ),
        );
    }
    let listed = part_params(b);
    if !listed.is_empty() {
        y += 8.0;
        let (x0, x1, mid) = (r.x + PAD, r.x + r.width - PAD, y + 1.0);
        put(
            o,
            format_args!("<path d=\"M{x0:.1} {mid:.1} H{x1:.1}\" stroke=\"#e2b93b\" stroke-width=\"1\"/>"),
        );
    }
    for l in listed {
        y += LINE;
        let size = SMALL + 1.0;
        put(
            o,
            format_args!(
                "<text x=\"{:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"#92600a\">{}</text>",
                r.x + PAD + 2.0,
                escape(l)
            ),
        );
    }
    for t in &b.taps {
        y += LINE;
        put(
            o,
            format_args!(
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"#0ea5e9\"/>\
             <text x=\"{:.1}\" y=\"{y:.1}\" font-size=\"{SMALL}\" fill=\"#0369a1\">{}</text>",
                r.x + PAD + 5.0,
                y - 3.5,
                r.x + PAD + 13.0,
                escape(t)
            ),
        );
    }
    o.push_str("</g>\n");
}

/// The parameters beside a block, each with a short line into it.
fn params(o: &mut String, b: &Block, r: Rect) {
    let list = side_params(b);
    let middle = r.y + r.height / 2.0;
    for (k, text) in list.iter().enumerate() {
        let (width, height) = (text_width(text, SMALL) + 12.0, SIDE_LINE - 4.0);
        let y = middle + (k as f64 - (list.len() - 1) as f64 / 2.0) * SIDE_LINE;
        let x = r.x - ARM - width;
        let enter = y.clamp(r.y + 4.0, r.y + r.height - 4.0);
        put(
            o,
            format_args!(
                "<path d=\"M{:.1} {y:.1} L{:.1} {enter:.1}\" stroke=\"#d9a520\" stroke-width=\"1.2\"/>\
             <rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"4\" fill=\"#fef9c3\" stroke=\"#e2b93b\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"{SMALL}\" fill=\"#854d0e\">{}</text>",
                x + width,
                r.x,
                y - height / 2.0,
                x + 6.0,
                y + 3.5,
                escape(text)
            ),
        );
    }
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML has no way to write the other control characters.
            c if c.is_control() && c != '\n' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
