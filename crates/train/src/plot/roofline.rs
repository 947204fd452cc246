//! A roofline: what a machine's bandwidth and arithmetic allow, and where kernels come to lie beneath it.
//!
//! Both axes are logarithmic. A kernel that does few operations for each byte lies under the slanted part, limited by
//! the bandwidth, the others under the flat one. Williams, Waterman and Patterson 2009, "Roofline: an insightful visual
//! performance model", <https://doi.org/10.1145/1498765.1498785>.

use std::fmt::Write;

use super::axis::{Axis, label};
use super::svg::{self, LIGHT, line, number, text, width_of};

/// Height of a row of text.
const ROW: f64 = 15.0;
/// Width of the list of kernels.
const LIST: f64 = 300.0;

/// The limits of a number of threads.
#[derive(Debug, Clone, PartialEq)]
pub struct Roof {
    /// What it is, such as `2 threads`.
    pub name: String,
    /// Bytes a unit of time.
    pub bandwidth: f64,
    /// Operations in the same time, at most.
    pub peak: f64,
    /// Number of its colour.
    pub colour: usize,
}

/// A kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct Dot {
    /// Its name.
    pub name: String,
    /// Operations for each byte.
    pub intensity: f64,
    /// Operations in the unit of time of the roofs.
    pub rate: f64,
    /// Number of its colour: that of the roof it lies under.
    pub colour: usize,
}

/// The picture.
///
/// ```
/// use train::plot::{Dot, Roof, Roofline};
/// let roof = Roof { name: "1 thread".into(), bandwidth: 30.0, peak: 200.0, colour: 0 };
/// let dot = Dot { name: "matrix-vector".into(), intensity: 4.0, rate: 110.0, colour: 0 };
/// let picture = Roofline { roofs: vec![roof], dots: vec![dot], ..Roofline::new("Roofline", "MAC/byte", "GMAC/s") };
/// assert!(picture.to_svg().contains("matrix-vector"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Roofline {
    /// Above the picture.
    pub title: String,
    /// Below the horizontal axis.
    pub x_label: String,
    /// Above the vertical axis.
    pub y_label: String,
    /// The limits.
    pub roofs: Vec<Roof>,
    /// The kernels, numbered in this order.
    pub dots: Vec<Dot>,
    /// Width and height in pixels.
    pub size: (f64, f64),
}

impl Roofline {
    /// A picture without roofs and kernels, 980 by 560 pixels.
    pub fn new(title: impl Into<String>, x_label: impl Into<String>, y_label: impl Into<String>) -> Self {
        Roofline {
            title: title.into(),
            x_label: x_label.into(),
            y_label: y_label.into(),
            roofs: vec![],
            dots: vec![],
            size: (980.0, 560.0),
        }
    }

    /// The picture as a file of its own. What is not a positive number is left out.
    pub fn to_svg(&self) -> String {
        let sound = |x: f64| x.is_finite() && x > 0.0;
        let roofs: Vec<&Roof> = self.roofs.iter().filter(|r| sound(r.bandwidth) && sound(r.peak)).collect();
        let dots: Vec<&Dot> = self.dots.iter().filter(|d| sound(d.intensity) && sound(d.rate)).collect();
        let height = self.size.1.max(72.0 + ROW * (dots.len() + roofs.len() + 2) as f64);
        let width = self.size.0;
        let (bottom, top, right) = (height - 40.0, 54.0, width - LIST - 12.0);

        let ridges = roofs.iter().map(|r| r.peak / r.bandwidth);
        let xs = || ridges.clone().flat_map(|x| [x / 16.0, x * 4.0]).chain(dots.iter().map(|d| d.intensity));
        let x_ends = xs().fold((f64::MAX, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)));
        let ys = dots.iter().map(|d| d.rate / 1.5);
        let ys = ys.chain(roofs.iter().flat_map(|r| [r.peak * 1.2, (r.bandwidth * x_ends.0).min(r.peak)]));
        let y = Axis::over(ys, true, (bottom, top), 6.0);
        let y_ticks = y.ticks();
        let left = 14.0 + y_ticks.iter().map(|t| width_of(&t.1)).fold(0.0, f64::max);
        let x = Axis::over(xs(), true, (left, right), 6.0);

        let mut out = String::new();
        svg::open(&mut out, (width, height), &self.title, true);
        text(&mut out, "title", (8.0, 20.0), "start", &self.title);
        text(&mut out, "muted", (8.0, 38.0), "start", &self.y_label);
        text(&mut out, "muted", (right, height - 6.0), "end", &self.x_label);
        for (value, name) in &y_ticks {
            line(&mut out, "grid", (left, y.place(*value)), (right, y.place(*value)));
            text(&mut out, "muted", (left - 6.0, y.place(*value) + 4.0), "end", name);
        }
        for (value, name) in x.ticks() {
            line(&mut out, "grid", (x.place(value), bottom), (x.place(value), top));
            text(&mut out, "muted", (x.place(value), bottom + 17.0), "middle", &name);
        }
        line(&mut out, "axis", (left, bottom), (right, bottom));
        let mut row = top;
        for roof in &roofs {
            self.roof(&mut out, roof, (&x, &y), (left, right, bottom));
            let colour = roof.colour % LIGHT.colours.len();
            let (bandwidth, peak) = (label(roof.bandwidth, 1.0, 1e7), label(roof.peak, 1.0, 1e7));
            let name = format!("{}: {bandwidth} GB/s, {peak} {}", roof.name, self.y_label);
            line(&mut out, &format!("curve s{colour}"), (right + 20.0, row - 4.0), (right + 38.0, row - 4.0));
            text(&mut out, &format!("end f{colour}"), (right + 44.0, row), "start", &name);
            row += ROW;
        }
        row += ROW / 2.0;
        // Numbers keep off dots and off one another.
        let mut taken: Vec<(f64, f64)> =
            dots.iter().map(|dot| (x.place(dot.intensity), y.place(dot.rate))).collect();
        for (index, dot) in dots.iter().enumerate() {
            let colour = dot.colour % LIGHT.colours.len();
            let at = (x.place(dot.intensity), y.place(dot.rate));
            let (cx, cy, name) = (number(at.0), number(at.1), svg::escape(&dot.name));
            let (intensity, rate) = (label(dot.intensity, 0.1, 1e7), label(dot.rate, 0.1, 1e7));
            let _ = writeln!(
                out,
                "<circle class=\"f{colour}\" cx=\"{cx}\" cy=\"{cy}\" r=\"3.2\"><title>{name}: {intensity}, {rate}</title></circle>"
            );
            let place = free(&taken, at, (left, right, top, bottom));
            taken.push(place);
            let short = (index + 1).to_string();
            text(&mut out, &format!("halo f{colour}"), (place.0, place.1 + 4.0), "middle", &short);
            text(&mut out, &format!("end f{colour}"), (right + 38.0, row), "end", &short);
            text(&mut out, "", (right + 44.0, row), "start", &dot.name);
            row += ROW;
        }
        out.push_str("</svg>\n");
        out
    }

    fn roof(
        &self,
        out: &mut String,
        roof: &Roof,
        (x, y): (&Axis, &Axis),
        (left, right, bottom): (f64, f64, f64),
    ) {
        // Both parts are straight on these axes; the slanted one is cut at the edges of the picture.
        let ridge = roof.peak / roof.bandwidth;
        let rate = |at: f64| y.place(roof.bandwidth * at);
        let mut from = (left, rate(x.value(left)));
        if from.1 > bottom {
            let at = y.value(bottom) / roof.bandwidth;
            from = (x.place(at), bottom);
        }
        let corner = (x.place(ridge).clamp(left, right), y.place(roof.peak));
        let (colour, name) = (roof.colour % LIGHT.colours.len(), svg::escape(&roof.name));
        let point = |p: (f64, f64)| format!("{} {}", number(p.0), number(p.1));
        let _ = writeln!(
            out,
            "<path class=\"curve s{colour}\" data-series=\"{name}\" d=\"M{}L{}L{}\"/>",
            point(from),
            point(corner),
            point((right, corner.1))
        );
    }
}

/// Where the number of a dot stands: beside it, where no other number does.
fn free(
    taken: &[(f64, f64)],
    at: (f64, f64),
    (left, right, top, bottom): (f64, f64, f64, f64),
) -> (f64, f64) {
    let around = (0..48).map(|i| {
        let (ring, turn) = (f64::from(i / 8 + 1), f64::from(i % 8) * std::f64::consts::FRAC_PI_4);
        (at.0 + 12.5 * ring * turn.cos(), at.1 + 12.0 * ring * turn.sin())
    });
    let inside = |p: &(f64, f64)| p.0 > left + 6.0 && p.0 < right - 6.0 && p.1 > top && p.1 < bottom - 6.0;
    let apart = |p: &(f64, f64)| taken.iter().all(|t| (t.0 - p.0).abs() > 11.0 || (t.1 - p.1).abs() > 9.0);
    around.clone().find(|p| inside(p) && apart(p)).unwrap_or((at.0 + 12.0, at.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_is_drawn_named_and_numbered() {
        let mut picture = Roofline::new("R <&>", "MAC/byte", "GMAC/s");
        assert!(picture.to_svg().ends_with("</svg>\n"), "empty is no error");
        picture.roofs = (0..2)
            .map(|i| Roof {
                name: format!("{i} threads"),
                bandwidth: 30.0 + 9.0 * i as f64,
                peak: 200.0,
                colour: i,
            })
            .collect();
        let dot = |i: usize| Dot { name: format!("kernel {i} <"), intensity: 4.0, rate: 100.0, colour: 0 };
        picture.dots = (0..40).map(dot).collect();
        picture.dots.push(Dot { rate: f64::NAN, ..dot(99) });
        let svg = picture.to_svg();
        assert_eq!(svg.matches("<circle").count(), 40);
        assert!(svg.contains("kernel 39 &lt;") && !svg.contains("kernel 99"));
        assert_eq!(svg.matches("data-series").count(), 2);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}
