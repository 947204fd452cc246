//! The function and its derivatives over an interval, broken where they break, with kinks marked.

use super::features::{Course, Sampler, joined};
use super::{Feature, Kind, Study};
use train::plot::{Plot, Series, Stroke};

/// A plot over `range`, with values for the other variables, and what was found on the way.
pub fn draw(study: &Study, fixed: Vec<(String, f64)>, range: (f64, f64)) -> (Plot, Vec<Feature>) {
    let course = Sampler { study, fixed }.run(range);
    let text = study.orders[0].expression.to_string();
    let title: String =
        if text.chars().count() > 84 { text.chars().take(83).chain(['…']).collect() } else { text };
    let mut plot = Plot::new(title, study.variable.clone(), "");
    plot.size = (720.0, 440.0);
    let (low, high) = window(&course);
    for k in 0..study.orders.len() {
        plot.series.push(Series::line(label(k), curve(&course, k, (low, high))).drawn(k, Stroke::Solid));
    }
    let inside = |y: f64| (low..=high).contains(&y);
    let mut marks = vec![];
    for f in &course.features {
        if f.kind == Kind::Pole {
            let line = vec![(f.x, low), (f.x, high)];
            plot.series.push(Series::line("", line).drawn(5, Stroke::Dashed));
            continue;
        }
        // Marks stand on the function itself: one at a kink, two at a jump.
        let sides = value_beside(&course, f.x);
        for y in [sides.0, sides.1].into_iter().flatten().filter(|y| inside(*y)) {
            if marks.last() != Some(&(f.x, y)) {
                marks.extend([(f.x, f64::NAN), (f.x, y)]);
            }
        }
    }
    if !marks.is_empty() {
        plot.series.push(Series::marked("", marks).drawn(0, Stroke::Solid));
    }
    (plot, course.features)
}

fn label(order: usize) -> String {
    match order {
        0 => "f".into(),
        1 => "f′".into(),
        2 => "f″".into(),
        3 => "f‴".into(),
        k => {
            const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
            let digits: String = k.to_string().bytes().map(|b| DIGITS[(b - b'0') as usize]).collect();
            format!("f⁽{digits}⁾")
        }
    }
}

/// The function just left and just right of a place.
fn value_beside(course: &Course, x: f64) -> (Option<f64>, Option<f64>) {
    let right = course.samples.iter().position(|(s, _)| s.x >= x).unwrap_or(0);
    let near = course.samples.iter().map(|(s, _)| s).enumerate();
    let close = near.filter(|(i, _)| i.abs_diff(right) <= 2);
    let mut sides: Vec<(f64, f64)> =
        close.filter_map(|(_, s)| s.values[0].filter(|_| (s.x - x).abs() < 1e-7).map(|y| (s.x, y))).collect();
    sides.sort_by(|a, b| a.0.total_cmp(&b.0));
    match (sides.first(), sides.last()) {
        (Some(a), Some(b)) if joined(Some(a.1), Some(b.1)) => (Some(b.1), None),
        (Some(a), Some(b)) => (Some(a.1), Some(b.1)),
        _ => (None, None),
    }
}

/// The heights that are worth showing: all, unless a few lie far outside of where most are.
fn window(course: &Course) -> (f64, f64) {
    let mut all: Vec<f64> =
        course.samples.iter().flat_map(|(s, _)| s.values.iter().flatten().copied()).collect();
    all.sort_by(f64::total_cmp);
    let (Some(&least), Some(&most)) = (all.first(), all.last()) else { return (-1.0, 1.0) };
    let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize];
    let poles = course.features.iter().any(|f| f.kind == Kind::Pole);
    let share = if poles { 0.12 } else { 0.04 };
    let (a, b) = (at(share), at(1.0 - share));
    let spread = (b - a).max(1e-9 * a.abs().max(b.abs())).max(1e-12);
    // A pole's flanks are far away; the ends of an ordinary curve are not.
    if !poles && most - least <= 8.0 * spread {
        (least, most)
    } else {
        (least.max(a - spread), most.min(b + spread))
    }
}

/// The points of one order, with gaps where it breaks and where it leaves the window.
fn curve(course: &Course, order: usize, (low, high): (f64, f64)) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = vec![];
    let gap = |points: &mut Vec<(f64, f64)>, x: f64| points.push((x, f64::NAN));
    let mut before: Option<(f64, f64)> = None;
    for (i, (s, _)) in course.samples.iter().enumerate() {
        let Some(y) = s.values[order] else {
            gap(&mut points, s.x);
            before = None;
            continue;
        };
        let inside = (low..=high).contains(&y);
        if let Some((px, py)) = before {
            // Where the line crosses the edge of the window.
            let crossing = |edge: f64| (px + (s.x - px) * (edge - py) / (y - py), edge);
            let was = (low..=high).contains(&py);
            if was != inside && y.is_finite() && py.is_finite() {
                let outer = if was { y } else { py };
                let edge = if outer > high { high } else { low };
                points.push(crossing(edge));
            }
        }
        if inside {
            points.push((s.x, y));
        } else {
            gap(&mut points, s.x);
        }
        before = Some((s.x, y));
        let next = course.samples.get(i + 1).and_then(|(n, _)| n.values[order]);
        if course.samples[i].1 && !joined(Some(y), next) {
            gap(&mut points, s.x);
            before = None;
        }
    }
    points
}
