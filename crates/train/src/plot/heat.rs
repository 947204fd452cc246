//! Heat maps: rows of values over steps, as darkness of one hue.
//!
//! One hue whose opacity grows reads the same in both themes and to colour-blind readers, where a rainbow does not.

use std::fmt::Write;

use super::axis::Axis;
use super::svg::{self, LEVELS, line, number, text, width_of};

/// Cells drawn per map; more are averaged along the rows.
const MOST_CELLS: usize = 4000;

/// A row of a heat map.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatRow {
    /// Shown when the reader points at the row.
    pub name: String,
    /// Stands before the row where rows are high enough.
    pub label: String,
    /// Which of the map's groups it belongs to; rows of a group follow one another.
    pub group: usize,
    /// One for each position of `x`; not finite: no cell.
    pub values: Vec<f64>,
}

/// A heat map.
#[derive(Debug, Clone)]
pub struct HeatMap {
    /// Above the map.
    pub title: String,
    /// Below the title.
    pub note: String,
    /// Below the horizontal axis.
    pub x_label: String,
    /// The positions of the cells, left to right.
    pub x: Vec<f64>,
    /// The rows, top to bottom.
    pub rows: Vec<HeatRow>,
    /// Names of the groups.
    pub groups: Vec<String>,
    /// Number of the colour.
    pub colour: usize,
    /// Whether darkness goes by the logarithm, over three decades below the largest value.
    pub log: bool,
    /// How values are written.
    pub format: fn(f64) -> String,
    /// Width in pixels; the height follows from the rows.
    pub width: f64,
}

impl HeatMap {
    /// The picture as a file of its own.
    pub fn to_svg(&self) -> String {
        self.render(true)
    }

    /// The picture for a page that has the style sheet.
    pub(crate) fn to_inline_svg(&self) -> String {
        self.render(false)
    }

    fn render(&self, alone: bool) -> String {
        let width = self.width;
        let row_height = (280.0 / self.rows.len().max(1) as f64).clamp(3.0, 18.0);
        let labelled = row_height >= 12.0;
        let gap = if self.groups.len() > 1 && labelled { 5.0 } else { 0.0 };
        let top = 54.0;
        let place = |i: usize| top + row_height * i as f64 + gap * self.rows[i].group as f64;
        let bottom = match self.rows.len() {
            0 => top + 120.0,
            n => place(n - 1) + row_height,
        };
        let height = bottom + 36.0;
        let (x, rows) = self.thinned();
        let (low, high) = self.range(&rows);
        let last = |row: &[f64]| row.iter().rev().copied().find(|v| v.is_finite());
        let group_width = self.groups.iter().map(|g| width_of(g)).fold(0.0, f64::max);
        let label_width =
            if labelled { self.rows.iter().map(|r| width_of(&r.label)).fold(0.0, f64::max) } else { 0.0 };
        let left = 16.0 + group_width + label_width;
        let written = rows.iter().filter_map(|r| last(r)).map(|v| width_of(&(self.format)(v)));
        let right = width - if labelled { 14.0 + written.fold(0.0, f64::max) } else { 10.0 };

        let mut svg = String::new();
        svg::open(&mut svg, (width, height), &self.title, alone);
        text(&mut svg, "title", (8.0, 20.0), "start", &self.title);
        text(&mut svg, "muted", (8.0, 38.0), "start", &self.note);
        if rows.is_empty() || x.is_empty() || !high.is_finite() {
            text(&mut svg, "muted", (width / 2.0, (top + bottom) / 2.0), "middle", "no data yet");
            svg.push_str("</svg>\n");
            return svg;
        }
        self.legend(&mut svg, low, high);
        // A cell stands for the time up to the next one.
        let end = x.last().copied().unwrap_or(0.0)
            + if x.len() > 1 { (x[x.len() - 1] - x[0]) / (x.len() - 1) as f64 } else { 1.0 };
        let ends = [x[0], end];
        let axis = Axis::tight(&ends, false, (left, right), ((right - left) / 80.0).max(2.0));
        let axis_at = |value: f64| axis.place(value).clamp(left, right);
        for (i, values) in rows.iter().enumerate() {
            let row = &self.rows[i];
            let y = place(i);
            let inner = (row_height - if row_height >= 6.0 { 1.0 } else { 0.0 }).max(1.0);
            let mut levels: [String; LEVELS.len()] = Default::default();
            for (k, value) in values.iter().enumerate().filter(|(_, v)| v.is_finite()) {
                let (from, to) = (axis_at(x[k]), axis_at(x.get(k + 1).copied().unwrap_or(end)));
                let _ = write!(
                    levels[self.level(*value, low, high)],
                    "M{} {}h{}v{}h-{}z",
                    number(from),
                    number(y),
                    number(to - from),
                    number(inner),
                    number(to - from)
                );
            }
            let shown = last(values).map_or("no value yet".to_owned(), self.format);
            let name = svg::escape(&row.name);
            let _ = writeln!(svg, "<g data-row=\"{name}\"><title>{name}: {}</title>", svg::escape(&shown));
            for (level, path) in levels.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
                let _ = writeln!(svg, "<path class=\"f{} h{level}\" d=\"{path}\"/>", self.colour);
            }
            svg.push_str("</g>\n");
            if labelled {
                let base = y + row_height / 2.0 + 3.5;
                text(&mut svg, "muted", (left - 6.0, base), "end", &row.label);
                if last(values).is_some() {
                    text(&mut svg, "", (width - 6.0, base), "end", &shown);
                }
            }
        }
        self.group_names(&mut svg, place, row_height);
        for (value, label) in axis.ticks().into_iter().filter(|t| (ends[0]..=ends[1]).contains(&t.0)) {
            let at = axis.place(value);
            line(&mut svg, "axis", (at, bottom + 1.0), (at, bottom + 5.0));
            if at + width_of(&label) / 2.0 <= width {
                text(&mut svg, "muted", (at, bottom + 17.0), "middle", &label);
            }
        }
        text(&mut svg, "muted", (right, height - 4.0), "end", &self.x_label);
        svg.push_str("</svg>\n");
        svg
    }

    fn group_names(&self, svg: &mut String, place: impl Fn(usize) -> f64, row_height: f64) {
        let mut free = 0.0;
        for (g, name) in self.groups.iter().enumerate() {
            let Some(first) = self.rows.iter().position(|r| r.group == g) else { continue };
            let count = self.rows.iter().filter(|r| r.group == g).count();
            let middle = place(first) + row_height * count as f64 / 2.0 + 4.0;
            if middle >= free {
                text(svg, "", (8.0, middle), "start", name);
                free = middle + 12.0;
            }
        }
    }

    /// A strip from pale to dark with the values at its ends, at the right of the title.
    fn legend(&self, svg: &mut String, low: f64, high: f64) {
        let (from, to) = ((self.format)(low), (self.format)(high));
        let right = self.width - 6.0;
        let strip = right - width_of(&to) - 6.0;
        text(svg, "muted", (right, 20.0), "end", &to);
        let cell = 7.0;
        let start = strip - cell * LEVELS.len() as f64;
        for level in 0..LEVELS.len() {
            let x = number(start + cell * level as f64);
            let _ = writeln!(
                svg,
                "<rect class=\"f{} h{level}\" x=\"{x}\" y=\"11\" width=\"{cell}\" height=\"9\"/>",
                self.colour
            );
        }
        let from = if self.log { format!("≤ {from}") } else { from };
        text(svg, "muted", (start - 6.0, 20.0), "end", &from);
    }

    /// The values that the ends of the scale stand for.
    fn range(&self, rows: &[Vec<f64>]) -> (f64, f64) {
        let finite = || rows.iter().flatten().copied().filter(|v| v.is_finite());
        let high = finite().fold(f64::NEG_INFINITY, f64::max);
        if self.log {
            return (high / 1000.0, high);
        }
        (finite().fold(f64::INFINITY, f64::min), high)
    }

    fn level(&self, value: f64, low: f64, high: f64) -> usize {
        let share = if high <= low {
            0.0
        } else if self.log {
            if value <= low { 0.0 } else { (value / low).ln() / (high / low).ln() }
        } else {
            (value - low) / (high - low)
        };
        ((share * LEVELS.len() as f64) as usize).min(LEVELS.len() - 1)
    }

    /// Positions and rows with few enough cells: neighbours are averaged, without those that are not finite.
    fn thinned(&self) -> (Vec<f64>, Vec<Vec<f64>>) {
        let columns = (MOST_CELLS / self.rows.len().max(1)).max(20);
        let group = self.x.len().div_ceil(columns).max(1);
        let mean = |part: &[f64]| {
            let finite: Vec<f64> = part.iter().copied().filter(|v| v.is_finite()).collect();
            if finite.is_empty() { f64::NAN } else { finite.iter().sum::<f64>() / finite.len() as f64 }
        };
        let x = self.x.chunks(group).map(|part| part[0]).collect();
        let rows = self.rows.iter().map(|r| r.values.chunks(group).map(mean).collect()).collect();
        (x, rows)
    }
}
