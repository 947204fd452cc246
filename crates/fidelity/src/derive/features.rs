//! Where a function is not smooth: kinks, jumps, poles, edges of its domain.
//!
//! Between samples at which every comparison, sign and rounding comes out the same (`furnace::symbolic::Decisions`) the
//! expression is one formula without a switch; where they differ, bisection finds the switch to the last bit. What the
//! values do on its two sides says what it is.

use super::Study;
use furnace::symbolic::{Decisions, Expression};

/// Samples of an interval.
const SAMPLES: usize = 480;
/// Switches between two samples at most.
const BETWEEN: usize = 6;

/// A point at which the function or one of the studied derivatives is not continuous.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Where.
    pub x: f64,
    /// What.
    pub kind: Kind,
    /// The lowest order that is not continuous there.
    pub order: usize,
    /// Its values just left and just right.
    pub sides: (Option<f64>, Option<f64>),
}

/// What happens at a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The function is continuous, a derivative jumps.
    Kink,
    /// The function jumps.
    Jump,
    /// The function grows without bound.
    Pole,
    /// The function has a value on one side only.
    Edge,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Kink => "kink",
            Kind::Jump => "jump",
            Kind::Pole => "pole",
            Kind::Edge => "edge",
        }
    }
}

/// One place with the values of all orders and what was decided.
#[derive(Clone)]
pub(super) struct Sample {
    pub(super) x: f64,
    pub(super) values: Vec<Option<f64>>,
    decided: Vec<Decisions>,
}

impl Sample {
    fn same(&self, o: &Sample) -> bool {
        self.decided == o.decided
            && self.values.iter().zip(&o.values).all(|(a, b)| a.is_some() == b.is_some())
    }
}

/// The samples from left to right; a `true` follows a sample after which something switches.
pub(super) struct Course {
    pub(super) samples: Vec<(Sample, bool)>,
    pub(super) features: Vec<Feature>,
}

pub(super) struct Sampler<'a> {
    pub(super) study: &'a Study,
    /// Values of the other variables.
    pub(super) fixed: Vec<(String, f64)>,
}

impl Sampler<'_> {
    fn at(&self, x: f64) -> Sample {
        let mut at: Vec<(&str, f64)> = self.fixed.iter().map(|(n, x)| (n.as_str(), *x)).collect();
        at.push((&self.study.variable, x));
        let constant = self.study.orders[0].expression.variables().is_empty();
        let at = if constant { &[][..] } else { &at[..] };
        let one = |e: &Expression| {
            let mut decided = Decisions::new();
            let y = e.value_and_decisions(at, &mut decided).ok();
            (y, decided)
        };
        let (values, decided) = self.study.orders.iter().map(|o| one(&o.expression)).unzip();
        Sample { x, values, decided }
    }

    /// The two neighbours between which `a` ends, as near as doubles are.
    fn switch(&self, a: &Sample, b: &Sample) -> (Sample, Sample) {
        let (mut left, mut right) = (a.clone(), b.clone());
        for _ in 0..80 {
            let middle = left.x + (right.x - left.x) / 2.0;
            if middle <= left.x || middle >= right.x {
                break;
            }
            let m = self.at(middle);
            if m.same(a) { left = m } else { right = m }
        }
        (left, right)
    }

    /// The course over an interval.
    pub(super) fn run(&self, (low, high): (f64, f64)) -> Course {
        let mut course = Course { samples: vec![], features: vec![] };
        let mut before = self.at(low);
        for i in 1..=SAMPLES {
            let next = self.at(low + (high - low) * i as f64 / SAMPLES as f64);
            for _ in 0..BETWEEN {
                if before.same(&next) {
                    break;
                }
                let (left, right) = self.switch(&before, &next);
                let feature = feature(&left, &right);
                let broken = feature.is_some();
                course.features.extend(feature);
                if before.x < left.x {
                    course.samples.push((before, false));
                }
                course.samples.push((left, broken));
                before = right;
            }
            if before.x < next.x {
                course.samples.push((before, false));
            }
            before = next;
        }
        course.samples.push((before, false));
        // A sample exactly at a switch is one place seen from both sides.
        let near = 1e-9 * (high - low);
        let mut kept: Vec<Feature> = vec![];
        for f in course.features.drain(..) {
            match kept.last_mut() {
                Some(last) if (f.x - last.x).abs() < near => {
                    if f.order < last.order {
                        *last = f;
                    } else if f.order == last.order {
                        last.sides.1 = f.sides.1;
                    }
                }
                _ => kept.push(f),
            }
        }
        course.features = kept;
        course
    }
}

/// Whether two values are the ends of one smooth piece, so near to each other as they are.
pub(super) fn joined(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-7 * (1e-3 + a.abs().max(b.abs())),
        (None, None) => true,
        _ => false,
    }
}

fn feature(left: &Sample, right: &Sample) -> Option<Feature> {
    let order = (0..left.values.len()).find(|k| !joined(left.values[*k], right.values[*k]))?;
    let sides = (left.values[order], right.values[order]);
    let large = |v: Option<f64>| v.is_some_and(|v| v.abs() > 1e9);
    let kind = match (order, sides) {
        (0, sides) if large(sides.0) || large(sides.1) => Kind::Pole,
        (0, (None, _) | (_, None)) => Kind::Edge,
        (0, _) => Kind::Jump,
        _ => Kind::Kink,
    };
    // The nearest number of few digits between the two, which is what a person wrote.
    let x = left.x + (right.x - left.x) / 2.0;
    let short: f64 = format!("{x:.9e}").parse().unwrap_or(x);
    let x = if (short - x).abs() <= 1e-9 * x.abs().max(1e-6) { short } else { x };
    Some(Feature { x: if x.abs() < 1e-12 { 0.0 } else { x }, kind, order, sides })
}
