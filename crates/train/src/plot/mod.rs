//! Pictures as SVG: line plots, heat maps and rooflines, for a run's page, loss curves and benchmarks.
//!
//! Our own plotter, because the picture goes into files that are compared and committed: equal data give equal
//! bytes, and colours follow the reader's light or dark setting, which the general plotting crates do not offer.

mod axis;
mod heat;
mod roofline;
mod svg;

use std::fmt::Write;

use axis::Axis;
use svg::{line, number, text, width_of};

pub use heat::{HeatMap, HeatRow};
pub use roofline::{Dot, Roof, Roofline};
pub(crate) use svg::{DARK, LIGHT, Theme, escape, style_sheet};

/// Points drawn per series; longer ones are averaged in groups, or the file would outgrow the picture.
const MOST_POINTS: usize = 1000;
/// Distance between the names at the ends of two curves.
const LINE_HEIGHT: f64 = 14.0;

/// A curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name, which stands at its end; empty for a curve that needs none.
    pub name: String,
    /// The points, left to right. Those that are not finite leave a gap.
    pub points: Vec<(f64, f64)>,
    /// Whether points are marked.
    pub marked: bool,
    /// Number of its colour; `None` takes the next one.
    pub colour: Option<usize>,
    /// Faint, dashed or as usual.
    pub stroke: Stroke,
}

/// How a curve is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stroke {
    /// A solid line.
    #[default]
    Solid,
    /// Thin and pale: the values behind a smoothed curve.
    Faint,
    /// Dashed: a limit or a plan rather than a measurement.
    Dashed,
}

impl Series {
    /// A curve without marks.
    pub fn line(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Series { name: name.into(), points, marked: false, colour: None, stroke: Stroke::Solid }
    }

    /// A curve with a mark on each point.
    pub fn marked(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Series { marked: true, ..Self::line(name, points) }
    }

    /// The same in a colour and a stroke of one's own.
    pub fn drawn(self, colour: usize, stroke: Stroke) -> Self {
        Series { colour: Some(colour), stroke, ..self }
    }

    fn thinned(&self) -> Vec<(f64, f64)> {
        if self.points.len() <= MOST_POINTS {
            return self.points.clone();
        }
        let group = self.points.len().div_ceil(MOST_POINTS);
        let mean = |group: &[(f64, f64)]| {
            let n = group.len() as f64;
            (group.iter().map(|p| p.0).sum::<f64>() / n, group.iter().map(|p| p.1).sum::<f64>() / n)
        };
        self.points.chunks(group).map(mean).collect()
    }
}

/// A plot of some curves over common axes.
///
/// ```
/// use train::plot::{Plot, Series};
///
/// let mut plot = Plot::new("Loss", "step", "nats per token");
/// plot.series.push(Series::line("training", vec![(0.0, 5.5), (100.0, 2.5), (200.0, 2.2)]));
/// assert!(plot.to_svg().starts_with("<svg"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// Above the plot.
    pub title: String,
    /// Below the horizontal axis.
    pub x_label: String,
    /// Above the vertical axis.
    pub y_label: String,
    /// Whether the horizontal axis is logarithmic; points at or below zero are left out then.
    pub log_x: bool,
    /// Whether the vertical axis is.
    pub log_y: bool,
    /// Whether a linear vertical axis begins at zero.
    pub from_zero: bool,
    /// A second scale at the right: its name, and what values are multiplied by.
    pub second: Option<(String, f64)>,
    /// The curves.
    pub series: Vec<Series>,
    /// Width and height in pixels.
    pub size: (f64, f64),
}

/// A name at the end of a curve.
struct EndLabel {
    name: String,
    colour: usize,
    at: (f64, f64),
}

impl Plot {
    /// A plot without curves, 720 by 400 pixels.
    pub fn new(title: impl Into<String>, x_label: impl Into<String>, y_label: impl Into<String>) -> Self {
        Plot {
            title: title.into(),
            x_label: x_label.into(),
            y_label: y_label.into(),
            log_x: false,
            log_y: false,
            from_zero: false,
            second: None,
            series: Vec::new(),
            size: (720.0, 400.0),
        }
    }

    /// The picture as a file of its own.
    pub fn to_svg(&self) -> String {
        self.render(true)
    }

    /// The picture for a page that has the style sheet.
    pub(crate) fn to_inline_svg(&self) -> String {
        self.render(false)
    }

    fn render(&self, alone: bool) -> String {
        let (width, height) = self.size;
        let drawn: Vec<Vec<(f64, f64)>> = self.series.iter().map(Series::thinned).collect();
        let usable: Vec<(f64, f64)> =
            drawn.iter().flatten().copied().filter(|&(x, y)| self.shows(x, y)).collect();
        let zero = (self.from_zero && !self.log_y && !usable.is_empty()).then_some(0.0);
        // Zeros alone make no scale.
        let one = zero.filter(|_| usable.iter().all(|p| p.1 == 0.0)).map(|_| 1.0);
        let ys = || usable.iter().map(|p| p.1).chain(zero).chain(one);
        let (bottom, top) = (height - 36.0, 54.0);
        let y = Axis::over(ys(), self.log_y, (bottom, top), ((bottom - top) / 44.0).clamp(2.0, 8.0));
        let y_ticks = y.ticks();
        let widest = |ticks: &[(f64, String)]| ticks.iter().map(|t| width_of(&t.1)).fold(0.0, f64::max);
        let left = 14.0 + widest(&y_ticks);
        let second = self.second.as_ref().filter(|_| !self.log_y).map(|(name, factor)| {
            let axis = y.scaled(*factor, ((bottom - top) / 44.0).clamp(2.0, 8.0));
            (name, *factor, axis.ticks())
        });
        // Names beside the plot, or inside it where a second scale takes that place.
        let names = self.series.iter().filter(|s| s.stroke != Stroke::Faint);
        let names = names.map(|s| width_of(&s.name)).fold(0.0, f64::max);
        let right = width - 12.0 - second.as_ref().map_or(names * 1.08, |(_, _, ticks)| widest(ticks));
        let xs: Vec<f64> = usable.iter().map(|p| p.0).collect();
        let x = Axis::tight(&xs, self.log_x, (left, right), ((right - left) / 80.0).clamp(2.0, 8.0));

        let mut svg = String::new();
        svg::open(&mut svg, self.size, &self.title, alone);
        text(&mut svg, "title", (8.0, 20.0), "start", &self.title);
        text(&mut svg, "muted", (8.0, 38.0), "start", &self.y_label);
        text(&mut svg, "muted", (right, height - 6.0), "end", &self.x_label);
        for (value, label) in &y_ticks {
            let at = y.place(*value);
            line(&mut svg, "grid", (left, at), (right, at));
            text(&mut svg, "muted", (left - 6.0, at + 4.0), "end", label);
        }
        if let Some((name, factor, ticks)) = &second {
            text(&mut svg, "muted", (width - 8.0, 38.0), "end", name);
            for (value, label) in ticks {
                let at = y.place(value / factor);
                line(&mut svg, "axis", (right, at), (right + 4.0, at));
                text(&mut svg, "muted", (width - 8.0, at + 4.0), "end", label);
            }
            line(&mut svg, "axis", (right, bottom), (right, top));
        }
        self.x_ticks(&mut svg, &x, (bottom, width));
        line(&mut svg, "axis", (left, bottom), (right, bottom));
        let mut labels = vec![];
        for (index, (series, points)) in self.series.iter().zip(&drawn).enumerate() {
            labels.extend(self.curve(&mut svg, series, points, series.colour.unwrap_or(index), &x, &y));
        }
        if usable.is_empty() {
            text(&mut svg, "muted", (width / 2.0, (top + bottom) / 2.0), "middle", "no data yet");
        }
        if second.is_some() {
            labels_inside(&mut svg, labels, right, (top, bottom));
        } else {
            labels_outside(&mut svg, labels, right, bottom);
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// Whether a point is drawn.
    fn shows(&self, x: f64, y: f64) -> bool {
        x.is_finite() && y.is_finite() && (!self.log_x || x > 0.0) && (!self.log_y || y > 0.0)
    }

    fn x_ticks(&self, svg: &mut String, x: &Axis, (bottom, width): (f64, f64)) {
        let mut free = 0.0;
        for (value, label) in x.ticks() {
            let at = x.place(value);
            line(svg, "axis", (at, bottom), (at, bottom + 4.0));
            let half = width_of(&label) / 2.0;
            if at - half >= free && at + half <= width {
                text(svg, "muted", (at, bottom + 17.0), "middle", &label);
                free = at + half + 6.0;
            }
        }
    }

    /// Draws a curve; returns its name and where it ends.
    fn curve(
        &self,
        svg: &mut String,
        series: &Series,
        points: &[(f64, f64)],
        colour: usize,
        x: &Axis,
        y: &Axis,
    ) -> Option<EndLabel> {
        let colour = colour % LIGHT.colours.len();
        let mut path = String::new();
        let mut pen_down = false;
        let mut end = None;
        for &(px, py) in points {
            if !self.shows(px, py) {
                pen_down = false;
                continue;
            }
            let at = (x.place(px), y.place(py));
            let _ = write!(path, "{}{} {}", if pen_down { 'L' } else { 'M' }, number(at.0), number(at.1));
            pen_down = true;
            end = Some(at);
        }
        let stroke = match series.stroke {
            Stroke::Solid => "",
            Stroke::Faint => " faint",
            Stroke::Dashed => " dashed",
        };
        let name = svg::escape(&series.name);
        if !path.is_empty() {
            let _ = writeln!(
                svg,
                "<path class=\"curve s{colour}{stroke}\" data-series=\"{name}\" d=\"{path}\"/>"
            );
        }
        if series.marked {
            for &(px, py) in points.iter().filter(|&&(px, py)| self.shows(px, py)) {
                let (cx, cy) = (number(x.place(px)), number(y.place(py)));
                let (px, py) = (axis::label(px, 1.0, 1e9), axis::label(py, 1e-4, 1e6));
                let _ = writeln!(
                    svg,
                    "<circle class=\"f{colour}\" cx=\"{cx}\" cy=\"{cy}\" r=\"2.6\"><title>{px}: {py}</title></circle>"
                );
            }
        }
        let at = end.filter(|_| !series.name.is_empty() && series.stroke != Stroke::Faint)?;
        Some(EndLabel { name: series.name.clone(), colour, at })
    }
}

/// Moves heights in ascending order apart until texts fit between them, and back above `lowest`.
fn spread(heights: &mut [f64], lowest: f64) {
    for i in 1..heights.len() {
        heights[i] = heights[i].max(heights[i - 1] + LINE_HEIGHT);
    }
    let mut room = lowest;
    for height in heights.iter_mut().rev() {
        *height = height.min(room);
        room = *height - LINE_HEIGHT;
    }
}

/// Names at the right of the plot, each at the height of its curve's end.
fn labels_outside(svg: &mut String, mut labels: Vec<EndLabel>, right: f64, bottom: f64) {
    labels.sort_by(|a, b| a.at.1.total_cmp(&b.at.1));
    let mut heights: Vec<f64> = labels.iter().map(|l| l.at.1 + 4.0).collect();
    spread(&mut heights, bottom + 4.0);
    for (label, height) in labels.iter().zip(heights) {
        let class = format!("end f{}", label.colour);
        text(svg, &class, (right + 7.0, height), "start", &label.name);
    }
}

/// Names inside the plot at its right edge: the upper half above their curves' ends, the others below.
fn labels_inside(svg: &mut String, mut labels: Vec<EndLabel>, right: f64, (top, bottom): (f64, f64)) {
    labels.sort_by(|a, b| a.at.1.total_cmp(&b.at.1));
    let above = labels.len().div_ceil(2);
    let place = |(i, l): (usize, &EndLabel)| if i < above { l.at.1 - 14.0 } else { l.at.1 + 22.0 };
    let mut heights: Vec<f64> = labels.iter().enumerate().map(place).collect();
    for i in (1..above).rev() {
        heights[i - 1] = heights[i - 1].min(heights[i] - LINE_HEIGHT);
    }
    heights.first_mut().into_iter().for_each(|first| *first = first.max(top + 10.0));
    spread(&mut heights, bottom - 6.0);
    for (label, height) in labels.iter().zip(heights) {
        let class = format!("end halo f{}", label.colour);
        text(svg, &class, (right - 8.0, height), "end", &label.name);
    }
}

#[cfg(test)]
mod tests;
