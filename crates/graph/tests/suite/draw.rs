//! The drawing: complete, deterministic, and without text or lines over other things.

use crate::generate;
use crate::model::language_model;
use graph::Graph;
use graph::draw::{DrawOptions, svg};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
struct Rect {
    x: f64,
    y: f64,
    w: f64,
    h: f64,
    frame: bool,
}

fn attribute(tag: &str, name: &str) -> Option<f64> {
    let at = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    tag[at..].split('"').next()?.parse().ok()
}

/// The rectangles of blocks and frames.
fn rects(text: &str) -> Vec<Rect> {
    let tags = text.split('<').filter(|t| t.starts_with("rect ") && t.contains("rx="));
    tags.filter_map(|t| {
        let [x, y, w, h] = ["x", "y", "width", "height"].map(|a| attribute(t, a));
        Some(Rect { x: x?, y: y?, w: w?, h: h?, frame: t.contains("rx=\"10\"") })
    })
    .collect()
}

/// Points along the wires.
fn wires(text: &str) -> Vec<Vec<(f64, f64)>> {
    let lines = &text[text.find("stroke-width=\"1.3\"").unwrap()..];
    let lines = &lines[..lines.find("</g>").unwrap()];
    let read = |d: &str| -> Vec<(f64, f64)> {
        let spread = d.replace(['M', 'L', 'C'], " ");
        let numbers: Vec<f64> = spread.split_whitespace().map(|n| n.parse().unwrap()).collect();
        let kinds: Vec<char> = d.chars().filter(|c| "MLC".contains(*c)).collect();
        let (mut at, mut points) = (0, vec![]);
        for k in kinds {
            let next = |i: usize| (numbers[at + 2 * i], numbers[at + 2 * i + 1]);
            let from = points.last().copied().unwrap_or(next(0));
            let (end, used) = if k == 'C' { (next(2), 6) } else { (next(0), 2) };
            for step in 1..=20 {
                let t = step as f64 / 20.0;
                let mix = |a: f64, b: f64, c: f64, e: f64| {
                    let s = 1.0 - t;
                    s * s * s * a + 3.0 * s * s * t * b + 3.0 * s * t * t * c + t * t * t * e
                };
                let (c1, c2) = if k == 'C' { (next(0), next(1)) } else { (from, end) };
                points.push((mix(from.0, c1.0, c2.0, end.0), mix(from.1, c1.1, c2.1, end.1)));
            }
            at += used;
        }
        points
    };
    lines.split(" d=\"").skip(1).map(|l| read(l.split('"').next().unwrap())).collect()
}

fn check(g: &Graph, depth: usize) -> String {
    let options = DrawOptions { depth, title: Some("A <title> & more".into()) };
    let text = svg(g, &options);
    assert_eq!(text, svg(g, &options));
    assert!(!text.contains("=\"NaN") && !text.contains("NaN NaN"), "{text}");
    let all = rects(&text);
    let blocks: Vec<Rect> = all.iter().copied().filter(|r| !r.frame).collect();
    let size = ["width", "height"].map(|a| attribute(&text[..400], a).unwrap());
    for (i, a) in blocks.iter().enumerate() {
        assert!(a.x >= 0.0 && a.y >= 0.0 && a.x + a.w <= size[0] && a.y + a.h <= size[1], "{a:?} is outside");
        for b in &blocks[..i] {
            let apart = a.x >= b.x + b.w - 0.2
                || b.x >= a.x + a.w - 0.2
                || a.y >= b.y + b.h - 0.2
                || b.y >= a.y + a.h - 0.2;
            assert!(apart, "{a:?} and {b:?} overlap\n{g}");
        }
    }
    for line in wires(&text) {
        for (x, y) in &line {
            let through = blocks
                .iter()
                .find(|r| *x > r.x + 0.5 && *x < r.x + r.w - 0.5 && *y > r.y + 0.5 && *y < r.y + r.h - 0.5);
            assert!(through.is_none(), "a line runs through {through:?} at {x}, {y}\n{g}");
        }
    }
    text
}

#[test]
fn a_language_model_is_drawn_at_every_depth() {
    let g = language_model(3);
    g.verify().unwrap();
    for depth in 0..5 {
        let text = check(&g, depth);
        for name in ["input_ids", "labels", "logits", "loss", "f32[B,T,64]"] {
            assert!(text.contains(name), "{name} is missing at depth {depth}");
        }
        if let Ok(folder) = std::env::var("DRAW_TO") {
            std::fs::write(format!("{folder}/depth{depth}.svg"), &text).unwrap();
        }
    }
    let text = check(&g, 2);
    for name in [
        ">layers.0<",
        ">layers.2<",
        ">attn<",
        "f_proj.weight f32[64,64]",
        "hidden_states.3",
        "ternary_linear",
    ] {
        assert!(text.contains(name), "{name} is missing");
    }
    assert!(text.contains("A &lt;title&gt; &amp; more"));
    assert!(text.contains("suite/model.rs:"), "source places are in the tooltips");
}

#[test]
fn an_empty_graph_is_drawn() {
    check(&Graph::parse("graph() -> () {}").unwrap(), 2);
    check(&Graph::parse("graph(x=%0) -> (y=%0, z=%0) { %0:f32[] = input }").unwrap(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn random_graphs_are_drawn(choices in generate::choices(), depth in 0..4usize) {
        check(&generate::graph(&choices), depth);
    }
}
