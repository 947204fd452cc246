//! Axes: a range of values, the pixels it is drawn on, and ticks at round numbers.

/// A range of values and the pixels it is drawn on.
pub(super) struct Axis {
    low: f64,
    high: f64,
    log: bool,
    /// Between ticks, on a linear axis.
    step: f64,
    /// Multiples of a power of ten that get a tick, on a logarithmic axis.
    factors: &'static [f64],
    pub(super) pixels: (f64, f64),
}

impl Axis {
    /// An axis over these values with about `parts` ticks, which goes out to the next round numbers.
    pub(super) fn over(values: impl Iterator<Item = f64>, log: bool, pixels: (f64, f64), parts: f64) -> Self {
        let (mut low, mut high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if low > high {
            (low, high) = if log { (1.0, 10.0) } else { (0.0, 1.0) };
        }
        if high - low < 1e-12 * high.abs() || high == low {
            (low, high) = if log { (low / 2.0, high * 2.0) } else { (low - 0.5, high + 0.5) };
        }
        let step = nice_step(high - low, parts);
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

    /// An axis that ends where the values end, unless the next round number is close: for steps and times, where a
    /// gap at the end would look like missing data.
    pub(super) fn tight(values: &[f64], log: bool, pixels: (f64, f64), parts: f64) -> Self {
        let mut axis = Axis::over(values.iter().copied(), log, pixels, parts);
        let (low, high) =
            values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        if !log && high > low {
            let near = 0.06 * (high - low);
            axis.low = if low - axis.low > near { low } else { axis.low };
            axis.high = if axis.high - high > near { high } else { axis.high };
        }
        axis
    }

    /// The same pixels for values times `factor`.
    pub(super) fn scaled(&self, factor: f64, parts: f64) -> Self {
        let (low, high) = (self.low * factor, self.high * factor);
        Axis { low, high, log: false, step: nice_step(high - low, parts), ..*self }
    }

    pub(super) fn place(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        let share = (value - self.low) / (self.high - self.low);
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }

    /// The value at a pixel.
    pub(super) fn value(&self, pixel: f64) -> f64 {
        let share = (pixel - self.pixels.0) / (self.pixels.1 - self.pixels.0);
        let value = self.low + share * (self.high - self.low);
        if self.log { 10f64.powf(value) } else { value }
    }

    /// Values worth a line, each with its label.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        if self.log {
            let decades = self.low.floor() as i32..=self.high.ceil() as i32;
            return decades
                .flat_map(|decade| self.factors.iter().map(move |factor| factor * 10f64.powi(decade)))
                .filter(|value| (self.low - 1e-9..=self.high + 1e-9).contains(&value.log10()))
                .map(|value| (value, label(value, value, 1e5)))
                .collect();
        }
        let step = self.step;
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        // Multiples of the step rather than a running sum, whose rounding would show in the labels.
        (first..=last).map(|k| (k as f64 * step, label(k as f64 * step, step, 1e7))).collect()
    }
}

/// The step among 1, 2, 5 × 10ⁿ that divides a range into about `parts` parts.
fn nice_step(range: f64, parts: f64) -> f64 {
    let rough = range / parts;
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
pub(super) fn label(value: f64, step: f64, large: f64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, log: bool) -> Vec<String> {
        Axis::over([low, high].into_iter(), log, (0.0, 1.0), 6.0).ticks().into_iter().map(|t| t.1).collect()
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
        assert_eq!(labels(0.0, 0.0, false), ["-0.6", "-0.4", "-0.2", "0", "0.2", "0.4", "0.6"]);
    }

    #[test]
    fn a_tight_axis_ends_with_the_data() {
        let ends = |values: &[f64]| {
            let axis = Axis::tight(values, false, (0.0, 100.0), 5.0);
            (axis.place(values[0]).round(), axis.place(values[1]).round())
        };
        assert_eq!(ends(&[0.0, 399.0]), (0.0, 100.0), "400 is near enough");
        assert_eq!(ends(&[0.0, 610.0]), (0.0, 100.0), "800 is not");
        let axis = Axis::tight(&[0.0, 610.0], false, (0.0, 100.0), 5.0);
        assert_eq!(
            axis.ticks().iter().map(|t| t.1.as_str()).collect::<Vec<_>>(),
            ["0", "100", "200", "300", "400", "500", "600"]
        );
    }
}
