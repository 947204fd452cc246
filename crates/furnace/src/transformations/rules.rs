//! The elementwise rules, on gradients and inside reverse mode.

use graph::ops::special::Surrogate;
use graph::{Attr, NodeCx, Op, Tangent, Var};

use crate::FurnaceError;

/// What makes another gradient of a gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transformation {
    /// g' = g (1 + δ sign(g) (clamp(v, ±1.5) − t)), t the trit of v = w s: element-wise gradient scaling (Lee, Kim and Ham
    /// 2021, arXiv 2104.00903). A weight is pushed harder toward the side that its rounding error is on.
    Ewgs {
        /// δ, from 0.
        delta: f64,
    },
    /// g' = sign(g) max(|g|, ½ / s), and 0 at 0.
    Literal,
    /// g' = sign(g) max(|g|, min(G |g|, d / (η N))).
    Bounded {
        /// G, from 1.
        gain: f64,
        /// N, above 0.
        horizon: f64,
        /// η, above 0.
        rate: f64,
    },
}

/// A row of [`TRANSFORMATIONS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransformationEntry {
    /// The name, as a configuration spells it.
    pub name: &'static str,
    /// What becomes of a gradient g at a weight w, with v = w s, t = trit(v).
    pub equation: &'static str,
    /// Where it is from.
    pub source: &'static str,
}

/// Every gradient transformation; the last is [`super::FlipRate`].
pub const TRANSFORMATIONS: [TransformationEntry; 4] = [
    TransformationEntry {
        name: "ewgs",
        equation: "g (1 + δ sign(g) (v − t))",
        source: "Lee, Kim and Ham 2021, arXiv 2104.00903",
    },
    TransformationEntry {
        name: "ags-literal",
        equation: "sign(g) max(|g|, ½/s), 0 at 0",
        source: "adaptive gradient scaling as published, guarded; for ablation",
    },
    TransformationEntry {
        name: "ags-bounded",
        equation: "sign(g) max(|g|, min(G|g|, d/(ηN))), d the distance to the nearest threshold",
        source: "adaptive gradient scaling with a bounded gain and the unit of a gradient",
    },
    TransformationEntry {
        name: "ags-flip-rate",
        equation: "w ← w − η u, η = clip(κ/s / RMS(u), η_min, η_max), κ ← κ exp(γ clip((ρ* − ρ)/ρ*, ±1))",
        source: "adaptive gradient scaling as a learning rate that the measured flip rate controls",
    },
];

/// Beyond this EWGS sees no larger rounding error.
const REACH: f64 = 1.5;

impl Transformation {
    /// Its name in [`TRANSFORMATIONS`].
    pub fn name(&self) -> &'static str {
        match self {
            Transformation::Ewgs { .. } => "ewgs",
            Transformation::Literal => "ags-literal",
            Transformation::Bounded { .. } => "ags-bounded",
        }
    }

    /// The transformed gradient g of weights w (one shape). It refuses to be differentiated.
    pub fn apply(&self, g: &Var, w: &Var) -> Var {
        self.apply_at(g, w, None)
    }

    /// As [`Transformation::apply`]; the learning rate of `Bounded` is `rate`, rank 0, if there is one.
    pub fn apply_at(&self, g: &Var, w: &Var, rate: Option<&Var>) -> Var {
        let (trits, s) = w.quantize_weights();
        let v = w * &s;
        let made = match self {
            Transformation::Ewgs { delta } => {
                let error = v.clamp(-REACH, REACH) - trits.convert(w.dtype());
                g * &(g.sign() * &error * *delta + 1.0)
            }
            Transformation::Literal => {
                let floor = s.full_like(0.5) / &s;
                g.sign() * g.abs().max(&floor.broadcast(&g.shape(), &[]))
            }
            Transformation::Bounded { gain, horizon, rate: fixed } => {
                let distance = (v.abs() - 0.5).abs() / &s;
                let reach = match rate {
                    Some(rate) => distance / &(rate * *horizon),
                    None => distance / (fixed * horizon),
                };
                let size = g.abs();
                g.sign() * size.max(&(&size * *gain).min(&reach))
            }
        };
        marked(&made, self.name())
    }

    /// The ternary weights Q(w); in reverse mode w gets their transformed cotangent. Forward mode and second derivatives
    /// are refused, by an error that the builder records.
    pub fn quantise(&self, w: &Var) -> Var {
        let (trits, s) = w.quantize_weights();
        let q = trits.convert(w.dtype()) / &s;
        q.transformed(w, self.name(), Some(&self.parameters()))
    }

    fn parameters(&self) -> Vec<f64> {
        match self {
            Transformation::Ewgs { delta } => vec![*delta],
            Transformation::Literal => vec![],
            Transformation::Bounded { gain, horizon, rate } => vec![*gain, *horizon, *rate],
        }
    }

    /// The rule of a name with these parameters, in the order of the variant's fields.
    ///
    /// # Errors
    /// [`FurnaceError::Unknown`] for another name or number of parameters, [`FurnaceError::Parameter`] for a value
    /// outside its range.
    pub fn named(name: &str, parameters: &[f64]) -> Result<Transformation, FurnaceError> {
        let check = |what: &'static str, value: f64, holds: bool, expected: &'static str| {
            let error = || FurnaceError::Parameter { rule: name.to_string(), what, value, expected };
            if holds && value.is_finite() { Ok(()) } else { Err(error()) }
        };
        match (name, parameters) {
            ("ewgs", [delta]) => {
                check("δ", *delta, *delta >= 0.0, "a number of at least 0")?;
                Ok(Transformation::Ewgs { delta: *delta })
            }
            ("ags-literal", []) => Ok(Transformation::Literal),
            ("ags-bounded", [gain, horizon, rate]) => {
                check("the gain G", *gain, *gain >= 1.0, "a number of at least 1")?;
                check("the horizon N", *horizon, *horizon > 0.0, "a number of steps above 0")?;
                check("the learning rate η", *rate, *rate > 0.0, "a number above 0")?;
                Ok(Transformation::Bounded { gain: *gain, horizon: *horizon, rate: *rate })
            }
            _ => Err(FurnaceError::Unknown {
                kind: "gradient transformation",
                name: format!("{name} with {} parameter(s)", parameters.len()),
                known: "ewgs (δ), ags-literal, ags-bounded (G, N, η)".into(),
            }),
        }
    }
}

/// The value, which refuses to be differentiated.
pub(super) fn marked(v: &Var, rule: &str) -> Var {
    v.transformed(v, rule, None)
}

/// The cotangents of a gradient transformation's operands; `None` for any other node.
pub(crate) fn vjp(op: Op, n: &NodeCx, wanted: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
    let rule = (op == Op::Surrogate).then(|| Surrogate::rule(n.attrs)).flatten()?;
    let parameters = match n.attrs.get("parameters") {
        Some(Attr::Floats(p)) => p.as_slice(),
        _ => {
            n.cx.fail(Surrogate::refusal(rule));
            return Some(vec![None; 2]);
        }
    };
    let made = match (Transformation::named(rule, parameters), &ct[0]) {
        (Ok(rule), Some(g)) => wanted[1].then(|| rule.apply(g, &n.inputs[1])),
        (Ok(_), None) => None,
        (Err(e), _) => {
            n.cx.fail(graph::GraphError::NotADerivative { rule: rule.into(), problem: e.to_string() });
            None
        }
    };
    Some(vec![None, made])
}
