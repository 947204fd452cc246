//! Line plots as SVG: enough for loss curves and benchmarks.
//!
//! Its own plotter, some 300 lines, because the picture goes into files that are compared and committed: equal
//! data give equal bytes, and colours follow the reader's light or dark setting, which the general plotting
//! crates do not offer.

use std::fmt::Write;

/// Points drawn per series; longer ones are averaged in groups, or the file would outgrow the picture.
const MOST_POINTS: usize = 1000;
const MARGIN: Margins = Margins { left: 64.0, right: 16.0, top: 36.0, bottom: 46.0 };
/// Hues of Okabe & Ito's palette, told apart by colour-blind readers; shades that stand out on white and black.
const COLOURS: [&str; 6] = ["#2b8cc4", "#d55e00", "#0f9d70", "#c56a9d", "#b58900", "#7a6fd0"];

struct Margins {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

/// A curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// The points, left to right. Those that are not finite leave a gap.
    pub points: Vec<(f64, f64)>,
    /// Whether points are marked.
    pub marked: bool,
}

impl Series {
    /// A curve without marks.
    pub fn line(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Series { name: name.into(), points, marked: false }
    }

    /// A curve with a mark on each point.
    pub fn marked(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Series { name: name.into(), points, marked: true }
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
    /// Beside the vertical axis.
    pub y_label: String,
    /// Whether the horizontal axis is logarithmic; points at or below zero are left out then.
    pub log_x: bool,
    /// Whether the vertical axis is.
    pub log_y: bool,
    /// The curves.
    pub series: Vec<Series>,
    /// Width and height in pixels.
    pub size: (f64, f64),
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
            series: Vec::new(),
            size: (720.0, 400.0),
        }
    }

    /// The picture.
    pub fn to_svg(&self) -> String {
        let (width, height) = self.size;
        let drawn: Vec<Vec<(f64, f64)>> = self.series.iter().map(Series::thinned).collect();
        let usable = |&&(x, y): &&(f64, f64)| self.shows(x, y);
        let xs = drawn.iter().flatten().filter(usable).map(|p| p.0);
        let ys = drawn.iter().flatten().filter(usable).map(|p| p.1);
        let x = Axis::over(xs, self.log_x, (MARGIN.left, width - MARGIN.right));
        let y = Axis::over(ys, self.log_y, (height - MARGIN.bottom, MARGIN.top));

        let mut svg = String::new();
        self.head(&mut svg);
        self.grid(&mut svg, &x, &y);
        for (index, (series, points)) in self.series.iter().zip(&drawn).enumerate() {
            self.curve(&mut svg, series, points, index, &x, &y);
        }
        if !drawn.iter().flatten().any(|&(x, y)| self.shows(x, y)) {
            text(&mut svg, width / 2.0, height / 2.0, "middle", "no data yet");
        }
        self.legend(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    fn shows(&self, x: f64, y: f64) -> bool {
        x.is_finite() && y.is_finite() && (!self.log_x || x > 0.0) && (!self.log_y || y > 0.0)
    }

    fn head(&self, svg: &mut String) {
        let (width, height) = self.size;
        let title = escape(&self.title);
        // Writing to a String cannot fail, here and below.
        let _ = write!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" aria-label=\"{title}\">\n<title>{title}</title>\n<style>\n\
             .back{{fill:#fff}} .grid{{stroke:#e3e6ea}} .axis{{stroke:#57606a}} \
             text{{fill:#1f2328;font:12px system-ui,sans-serif}} .curve{{fill:none;stroke-width:1.6;\
             stroke-linejoin:round}}\n@media (prefers-color-scheme: dark){{.back{{fill:#0d1117}} \
             .grid{{stroke:#2a3038}} .axis{{stroke:#9aa4af}} text{{fill:#e6edf3}}}}\n</style>\n\
             <rect class=\"back\" width=\"{width}\" height=\"{height}\"/>\n"
        );
        text(svg, width / 2.0, 22.0, "middle", &self.title);
        text(svg, (MARGIN.left + width - MARGIN.right) / 2.0, height - 10.0, "middle", &self.x_label);
        let middle = (MARGIN.top + height - MARGIN.bottom) / 2.0;
        let _ = writeln!(
            svg,
            "<text transform=\"translate(16 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            number(middle),
            escape(&self.y_label)
        );
    }

    fn grid(&self, svg: &mut String, x: &Axis, y: &Axis) {
        let (left, right) = x.pixels;
        let (bottom, top) = y.pixels;
        for (value, label) in y.ticks() {
            let at = y.place(value);
            line(svg, "grid", (left, at), (right, at));
            text(svg, left - 8.0, at + 4.0, "end", &label);
        }
        for (value, label) in x.ticks() {
            let at = x.place(value);
            line(svg, "grid", (at, bottom), (at, top));
            text(svg, at, bottom + 18.0, "middle", &label);
        }
        line(svg, "axis", (left, bottom), (right, bottom));
        line(svg, "axis", (left, bottom), (left, top));
    }

    fn curve(
        &self,
        svg: &mut String,
        series: &Series,
        points: &[(f64, f64)],
        index: usize,
        x: &Axis,
        y: &Axis,
    ) {
        let colour = COLOURS[index % COLOURS.len()];
        let mut path = String::new();
        let mut pen_down = false;
        for &(px, py) in points {
            if !self.shows(px, py) {
                pen_down = false;
                continue;
            }
            let command = if pen_down { 'L' } else { 'M' };
            let _ = write!(path, "{command}{} {}", number(x.place(px)), number(y.place(py)));
            pen_down = true;
        }
        if !path.is_empty() {
            let _ = writeln!(svg, "<path class=\"curve\" stroke=\"{colour}\" d=\"{path}\"/>");
        }
        if series.marked {
            for &(px, py) in points.iter().filter(|&&(px, py)| self.shows(px, py)) {
                let (cx, cy) = (number(x.place(px)), number(y.place(py)));
                let _ = writeln!(svg, "<circle cx=\"{cx}\" cy=\"{cy}\" r=\"3\" fill=\"{colour}\"/>");
            }
        }
    }

    fn legend(&self, svg: &mut String) {
        // Loss curves fall, so the upper right is free.
        let right = self.size.0 - MARGIN.right - 8.0;
        for (index, series) in self.series.iter().enumerate() {
            let at = MARGIN.top + 14.0 + 18.0 * index as f64;
            text(svg, right - 28.0, at, "end", &series.name);
            let _ = writeln!(
                svg,
                "<path class=\"curve\" stroke=\"{}\" d=\"M{} {}h22\"/>",
                COLOURS[index % COLOURS.len()],
                number(right - 22.0),
                number(at - 4.0)
            );
        }
    }
}

/// A range of values and the pixels it is drawn on.
struct Axis {
    low: f64,
    high: f64,
    log: bool,
    /// Between ticks, on a linear axis.
    step: f64,
    /// Multiples of a power of ten that get a tick, on a logarithmic axis.
    factors: &'static [f64],
    pixels: (f64, f64),
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>, log: bool, pixels: (f64, f64)) -> Self {
        let (mut low, mut high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if low > high {
            (low, high) = if log { (1.0, 10.0) } else { (0.0, 1.0) };
        }
        if high - low < 1e-12 * high.abs() {
            (low, high) = if log { (low / 2.0, high * 2.0) } else { (low - 0.5, high + 0.5) };
        }
        let step = nice_step(high - low);
        let factors: &[f64] = if (high / low).log10() < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        if log {
            // Out to the next round numbers, so that the ends have labels.
            let ends = (low, high);
            let round = |decade: f64| factors.iter().map(move |factor| factor * 10f64.powf(decade));
            low = round(low.log10().floor())
                .filter(|&v| v <= ends.0 * (1.0 + 1e-9))
                .fold(f64::MIN_POSITIVE, f64::max);
            let above = high.log10().floor();
            high = round(above)
                .chain(round(above + 1.0))
                .filter(|&v| v >= ends.1 * (1.0 - 1e-9))
                .fold(f64::MAX, f64::min);
            (low, high) = (low.log10(), high.log10());
        } else {
            (low, high) = ((low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step);
        }
        Axis { low, high, log, step, factors, pixels }
    }

    fn place(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        let share = (value - self.low) / (self.high - self.low);
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }

    /// Values worth a line, each with its label.
    fn ticks(&self) -> Vec<(f64, String)> {
        if self.log {
            let decades = self.low.floor() as i32..=self.high.ceil() as i32;
            return decades
                .flat_map(|decade| self.factors.iter().map(move |factor| factor * 10f64.powi(decade)))
                .filter(|value| (self.low - 1e-9..=self.high + 1e-9).contains(&value.log10()))
                .map(|value| (value, label(value, value, 1e5)))
                .collect();
        }
        let step = self.step;
        let first = (self.low / step).round() as i64;
        let last = (self.high / step).round() as i64;
        // Multiples of the step rather than a running sum, whose rounding would show in the labels.
        (first..=last).map(|k| (k as f64 * step, label(k as f64 * step, step, 1e7))).collect()
    }
}

/// The step among 1, 2, 5 × 10ⁿ that divides a range into four to ten parts.
fn nice_step(range: f64) -> f64 {
    let rough = range / 6.0;
    let power = 10f64.powf(rough.log10().floor());
    let factor = rough / power;
    power
        * if factor < 1.5 {
            1.0
        } else if factor < 3.5 {
            2.0
        } else if factor < 7.5 {
            5.0
        } else {
            10.0
        }
}

/// A number with as many decimals as the distance between ticks calls for; `large` and up in powers of ten.
fn label(value: f64, step: f64, large: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if value.abs() >= large || value.abs() < 1e-4 {
        let text = format!("{value:.3e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.'));
    }
    let decimals = (-step.abs().log10()).ceil().clamp(0.0, 8.0) as usize;
    format!("{value:.decimals$}")
}

/// A coordinate: two decimals are finer than a pixel, and the same on every machine.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let (x1, y1, x2, y2) = (number(from.0), number(from.1), number(to.0), number(to.1));
    let _ = writeln!(svg, "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>");
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, content: &str) {
    let (x, y, content) = (number(x), number(y), escape(content));
    let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{content}</text>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, log: bool) -> Vec<String> {
        Axis::over([low, high].into_iter(), log, (0.0, 1.0)).ticks().into_iter().map(|t| t.1).collect()
    }

    #[test]
    fn ticks_are_round_numbers_that_cover_the_data() {
        assert_eq!(labels(0.0, 400.0, false), ["0", "50", "100", "150", "200", "250", "300", "350", "400"]);
        assert_eq!(
            labels(2.13, 5.56, false),
            ["2.0", "2.5", "3.0", "3.5", "4.0", "4.5", "5.0", "5.5", "6.0"]
        );
        assert_eq!(labels(-0.3, 0.3, false), ["-0.3", "-0.2", "-0.1", "0", "0.1", "0.2", "0.3"]);
        assert_eq!(labels(1e-3, 10.0, true), ["0.001", "0.01", "0.1", "1", "10"]);
        assert_eq!(labels(1.0, 10.0, true), ["1", "2", "5", "10"]);
        assert_eq!(
            labels(1.88, 5.56, false),
            ["1.5", "2.0", "2.5", "3.0", "3.5", "4.0", "4.5", "5.0", "5.5", "6.0"]
        );
        assert_eq!(labels(1.4, 3.0, true), ["1", "2", "5"]);
        assert_eq!(labels(1e5, 2.5e7, true), ["1e5", "2e5", "5e5", "1e6", "2e6", "5e6", "1e7", "2e7", "5e7"]);
        assert_eq!(labels(0.0, 250_000.0, false), ["0", "50000", "100000", "150000", "200000", "250000"]);
        assert_eq!(labels(3.0, 3.0, false), ["2.4", "2.6", "2.8", "3.0", "3.2", "3.4", "3.6"]);
    }

    #[test]
    fn the_picture_is_the_same_every_time_and_well_formed() {
        let mut plot = Plot::new("a < b & \"c\"", "step", "loss");
        plot.series.push(Series::line("one", vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0), (3.0, 2.0)]));
        plot.series.push(Series::marked("two", vec![(0.0, 2.0), (3.0, 1.5)]));
        let svg = plot.to_svg();
        assert_eq!(svg, plot.clone().to_svg());
        assert!(svg.contains("a &lt; b &amp; &quot;c&quot;") && !svg.contains("NaN"));
        assert_eq!(svg.matches("<circle").count(), 2);
        let curve = svg.lines().find(|line| line.contains(COLOURS[0])).unwrap();
        assert_eq!(curve.matches('M').count(), 2, "a value that is not finite leaves a gap: {curve}");
        assert!(svg.contains("prefers-color-scheme: dark"));
        let opened = svg.matches("<text").count();
        assert_eq!(opened, svg.matches("</text>").count());
    }

    #[test]
    fn empty_and_unusable_data_give_a_picture_all_the_same() {
        let mut plot = Plot::new("t", "x", "y");
        assert!(plot.to_svg().contains("no data yet"));
        plot.log_y = true;
        plot.series.push(Series::marked("s", vec![(1.0, 0.0), (2.0, -1.0), (f64::INFINITY, 1.0)]));
        let svg = plot.to_svg();
        assert!(svg.contains("no data yet") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn long_series_are_thinned_to_their_means() {
        let series = Series::line("s", (0..10_000).map(|i| (f64::from(i), 1.0)).collect());
        let thin = series.thinned();
        assert_eq!(thin.len(), 1000);
        assert_eq!(thin[0], (4.5, 1.0));
    }
}
