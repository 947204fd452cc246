//! The table of surrogates: name, equation, source, knob.

use std::fmt;
use std::str::FromStr;

use crate::FurnaceError;

/// A way to take derivatives through the ternary quantiser; see [`Surrogate::entry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Surrogate {
    /// Straight-through.
    #[default]
    Ste,
    /// Straight-through within a bound.
    Clipped,
    /// A staircase of hard tanhs.
    HardTanh,
    /// A staircase of tanhs, behind the quantiser.
    Tanh,
    /// Differentiable soft quantisation: the staircase is the value too.
    Dsq,
    /// Rectified straight-through: a power function around each threshold.
    Reste,
    /// A softmax over the three levels.
    Softmax,
    /// A learned step.
    Lsq,
    /// A ramp from the weights to the quantised ones.
    Ramp,
    /// Dead weights add a bias.
    Tequila,
    /// Straight-through where the rounding error is small.
    Trust,
    /// Stochastic rounding.
    Stochastic,
    /// The proximal map of a piecewise-affine regulariser.
    Proximal,
}

/// How a knob goes from its first value to its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Curve {
    /// In equal steps.
    #[default]
    Linear,
    /// By equal factors; both ends must be above 0.
    Geometric,
    /// It stays where it begins.
    Constant,
}

/// Numbers that a parameter may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The least.
    pub low: f64,
    /// Whether `low` itself is left out.
    pub above: bool,
    /// The largest.
    pub high: f64,
}

impl Range {
    /// Whether `x` is allowed.
    pub fn contains(&self, x: f64) -> bool {
        (if self.above { x > self.low } else { x >= self.low }) && x <= self.high && x.is_finite()
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.above, self.high.is_finite()) {
            (true, false) => write!(f, "a number above {}", self.low),
            (false, false) => write!(f, "a number of at least {}", self.low),
            (true, true) => write!(f, "a number above {} and up to {}", self.low, self.high),
            (false, true) => write!(f, "a number from {} to {}", self.low, self.high),
        }
    }
}

/// The one number of a surrogate that a schedule may move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knob {
    /// What it is.
    pub meaning: &'static str,
    /// Its first value, by default.
    pub from: f64,
    /// Its last value, by default.
    pub to: f64,
    /// The share of a run after which it has its last value, by default.
    pub until: f64,
    /// How it gets there.
    pub curve: Curve,
    /// What it may be.
    pub range: Range,
}

impl Knob {
    /// The value when the share `progress` of a run is over.
    ///
    /// ```
    /// use furnace::surrogates::Surrogate;
    /// let knob = Surrogate::Ramp.entry().knob.unwrap();
    /// assert_eq!([0.0, 0.25, 0.5, 0.9].map(|p| knob.at(p)), [0.0, 0.5, 1.0, 1.0]);
    /// ```
    pub fn at(&self, progress: f64) -> f64 {
        let share = if self.until > 0.0 { (progress / self.until).clamp(0.0, 1.0) } else { 1.0 };
        match self.curve {
            Curve::Constant => self.from,
            Curve::Linear if share >= 1.0 => self.to,
            Curve::Linear => self.from + (self.to - self.from) * share,
            Curve::Geometric => self.from * (self.to / self.from).powf(share),
        }
    }

    /// The knob with values of the caller's own.
    ///
    /// # Errors
    /// Which value is outside its range, and the range.
    pub fn with(self, from: Option<f64>, to: Option<f64>, until: Option<f64>) -> Result<Knob, String> {
        let knob = Knob {
            from: from.unwrap_or(self.from),
            to: to.unwrap_or(if self.curve == Curve::Constant { from.unwrap_or(self.to) } else { self.to }),
            until: until.unwrap_or(self.until),
            curve: match (self.curve, to) {
                (Curve::Constant, Some(_)) => Curve::Linear,
                (curve, _) => curve,
            },
            ..self
        };
        for (name, value) in [("from", knob.from), ("to", knob.to)] {
            // The end of a schedule is the limit, which a formula need not be defined at: it is never computed.
            let limit = name == "to" && value == self.range.low && knob.curve != Curve::Geometric;
            if !self.range.contains(value) && !limit {
                return Err(format!("{name} ({}) is {value}: expected {}", self.meaning, self.range));
            }
        }
        match (0.0..=1.0).contains(&knob.until) {
            true => Ok(knob),
            false => Err(format!("until is {}: expected a share of the run between 0 and 1", knob.until)),
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// The name, as a configuration spells it.
    pub name: &'static str,
    /// Value and stand-in, with v = w s and levels −1, 0, 1.
    pub equation: &'static str,
    /// Where it is from.
    pub source: &'static str,
    /// Whether its value is another than that of the quantiser: the product is then one of floats, not of trits.
    pub alters_forward: bool,
    /// The number that may change over a run.
    pub knob: Option<Knob>,
}

const fn above(low: f64) -> Range {
    Range { low, above: true, high: f64::INFINITY }
}

const fn share() -> Range {
    Range { low: 0.0, above: false, high: 1.0 }
}

const fn constant(meaning: &'static str, value: f64, range: Range) -> Option<Knob> {
    Some(Knob { meaning, from: value, to: value, until: 1.0, curve: Curve::Constant, range })
}

impl Surrogate {
    /// Every surrogate, in the order of the table.
    pub const ALL: [Surrogate; 13] = {
        use Surrogate::*;
        [Ste, Clipped, HardTanh, Tanh, Dsq, Reste, Softmax, Lsq, Ramp, Tequila, Trust, Stochastic, Proximal]
    };

    /// Name, equation, source and knob.
    pub fn entry(self) -> &'static Entry {
        &TABLE[self as usize]
    }
}

impl fmt::Display for Surrogate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.entry().name)
    }
}

impl FromStr for Surrogate {
    type Err = FurnaceError;

    /// # Errors
    /// [`FurnaceError::Unknown`] with every name.
    fn from_str(name: &str) -> Result<Self, FurnaceError> {
        Surrogate::ALL.into_iter().find(|s| s.entry().name == name).ok_or_else(|| FurnaceError::Unknown {
            kind: "surrogate",
            name: name.to_string(),
            known: TABLE.iter().map(|e| e.name).collect::<Vec<_>>().join(", "),
        })
    }
}

/// In the order of [`Surrogate`].
static TABLE: [Entry; 13] = [
    Entry {
        name: "ste",
        equation: "value Q(w); S = w",
        source: "Bengio, Léonard and Courville 2013, arXiv 1308.3432",
        alters_forward: false,
        knob: None,
    },
    Entry {
        name: "clipped",
        equation: "value Q(w); S = clamp(v, −c, c) / s",
        source: "Hubara et al. 2016, Binarized Neural Networks, arXiv 1602.02830",
        alters_forward: false,
        knob: constant("the bound c in steps of the quantiser; at 1.5 it is `trust` at ½", 2.0, above(0.0)),
    },
    Entry {
        name: "hard-tanh",
        equation: "value Q(w); S = (h(v − ½) + h(v + ½)) / s, h(x) = clamp(x / 2a, −½, ½)",
        source: "Deng et al. 2018, GXNOR-Net (rectangular windows around the thresholds), arXiv 1705.09283",
        alters_forward: false,
        knob: constant(
            "the half width a of the windows; ½ is the hard tanh of binary networks",
            0.5,
            Range { low: 0.0, above: true, high: 0.5 },
        ),
    },
    Entry {
        name: "tanh",
        equation: "value Q(w); S = (½ tanh(k(v − ½)) + ½ tanh(k(v + ½)) + v/10) / s",
        source: "tanh staircase after Lahoud et al. 2019, Self-Binarizing Networks, arXiv 1902.00730; the leak v/10 keeps \
                 weights far from a threshold alive",
        alters_forward: false,
        knob: constant("the sharpness k", 3.0, above(0.0)),
    },
    Entry {
        name: "dsq",
        equation: "value and S: ∓½ + ½ tanh(k(v ± ½)) / tanh(k/2) within −1 … 1, ±1 beyond, over s",
        source: "Gong et al. 2019, Differentiable Soft Quantization, arXiv 1908.05033",
        alters_forward: true,
        knob: Some(Knob {
            meaning: "the sharpness k",
            from: 2.0,
            to: 20.0,
            until: 0.8,
            curve: Curve::Geometric,
            range: above(0.0),
        }),
    },
    Entry {
        name: "reste",
        equation: "value Q(w); S = ½ sign(v) (1 + f(z)) / s, z = 2|v| − 1, f = sign(z)|z|^(1/o), its chord for |z| < 0.1, \
                   constant for |z| > 1.5",
        source: "Wu et al. 2023, Rectified Straight Through Estimator, arXiv 2308.06689",
        alters_forward: false,
        knob: Some(Knob {
            meaning: "the power o",
            from: 1.0,
            to: 3.0,
            until: 1.0,
            curve: Curve::Linear,
            range: Range { low: 1.0, above: false, high: f64::INFINITY },
        }),
    },
    Entry {
        name: "softmax",
        equation: "value and S: Σ_k k softmax_k(−(v − k)² / τ) / s, k = −1, 0, 1",
        source: "temperature relaxation as in Hestia, arXiv 2601.20745",
        alters_forward: true,
        knob: Some(Knob {
            meaning: "the temperature τ",
            from: 1.0,
            to: 0.01,
            until: 0.8,
            curve: Curve::Geometric,
            range: above(0.0),
        }),
    },
    Entry {
        name: "lsq",
        equation: "value Δ clamp(round(w/Δ), −1, 1) with a learned step Δ; rounding is straight-through, dΔ times 1/√N",
        source: "Esser et al. 2019, Learned Step Size Quantization, arXiv 1902.08153",
        alters_forward: true,
        knob: None,
    },
    Entry {
        name: "ramp",
        equation: "value w + λ (Q(w) − w); S = w",
        source: "linear blend of weights and quantised weights, λ from 0 to 1",
        alters_forward: true,
        knob: Some(Knob {
            meaning: "the share λ of the quantised weights",
            from: 0.0,
            to: 1.0,
            until: 0.5,
            curve: Curve::Linear,
            range: share(),
        }),
    },
    Entry {
        name: "tequila",
        equation: "value Q(w) and a bias λ Σ w over the weights of a row whose trit is 0; S = w",
        source: "Tequila, arXiv 2509.23809",
        alters_forward: true,
        knob: Some(Knob {
            meaning: "the weight λ of the bias",
            from: 1e-3,
            to: 0.0,
            until: 0.8,
            curve: Curve::Linear,
            range: share(),
        }),
    },
    Entry {
        name: "trust",
        equation: "value Q(w); S = w where |v − t| ≤ T, else constant",
        source: "trust mask of QuEST, arXiv 2502.05003, without its rotation and its scale; T is half a step, as there",
        alters_forward: false,
        knob: constant(
            "the largest trusted rounding error T, in steps of the quantiser; below ½ weights stick at thresholds",
            0.5,
            above(0.0),
        ),
    },
    Entry {
        name: "stochastic",
        equation: "value clamp(⌊v + u⌋, −1, 1) / s, u uniform in [0, 1); S = w",
        source: "stochastic rounding, as in Zhao et al. 2024, Direct Quantized Training, arXiv 2412.04787",
        alters_forward: true,
        knob: None,
    },
    Entry {
        name: "proximal",
        equation: "value (h(v − ½) + h(v + ½)) / s, h(x) = clamp(x/ρ, −½, ½): the proximal map of the piecewise-affine \
                   regulariser; S = w",
        source: "Jin et al. 2025, PARQ, arXiv 2503.15748, after Bai et al. 2018, ProxQuant, arXiv 1810.00861",
        alters_forward: true,
        knob: Some(Knob {
            meaning: "the inverse slope ρ of the map",
            from: 1.0,
            to: 0.0,
            until: 0.5,
            curve: Curve::Linear,
            range: Range { low: 0.0, above: true, high: 1.0 },
        }),
    },
];
