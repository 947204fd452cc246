//! How gradients pass the quantiser of the weights in a run: which surrogate, where its schedule stands at a step, and
//! which gradient transformation comes after.
//!
//! Surrogates that keep the value of the quantiser (`ste`, `clipped`, `hard-tanh`, `tanh`, `reste`, `trust`) train with the
//! same integer products as the default; only the derivative differs. Those that alter the forward (`dsq`, `softmax`,
//! `lsq`, `ramp`, `stochastic`, `proximal`) multiply floats, which costs about what `train.products = "float"` does;
//! `tequila` keeps integers and adds a bias. Where a schedule has come to its end, at `until`, the run goes on with the
//! plain straight-through step, which is fast and exact: what is evaluated and exported is always the hard ternary model.

use axes::DType;
use engine::Tensor;
use furnace::surrogates::{Curve, Knob, Surrogate};
use furnace::transformations::{FlipRate, Transformation};
use models::architecture::Architecture;

use crate::config::TrainConfig;
use crate::error::{Result, TrainError};
use crate::step::TrainState;

/// What stands behind a matrix's name in the name of its learned step.
pub const STEP_SUFFIX: &str = ".step";

/// A gradient transformation of a run.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum Transform {
    /// None.
    #[default]
    None,
    /// Elementwise, before the optimiser.
    Gradient(Transformation),
    /// The optimiser's step at a learning rate that the flip rate controls.
    FlipRate {
        /// The constants of the control.
        rule: FlipRate,
        /// κ at first.
        start: f64,
        /// The share of trits to flip in an update at the peak learning rate.
        target: f64,
    },
}

/// The quantiser of a run.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Quantizer {
    /// The surrogate before its schedule ends.
    pub surrogate: Surrogate,
    /// Its schedule.
    pub knob: Option<Knob>,
    /// What becomes of gradients.
    pub transform: Transform,
}

impl Quantizer {
    /// As a configuration says.
    ///
    /// # Errors
    /// [`TrainError::Value`] for unknown names, with all names, and for values out of range.
    pub fn new(c: &TrainConfig) -> Result<Quantizer> {
        let q = &c.quantizer;
        let value = |key, found: String, expected: String| TrainError::Value { key, found, expected };
        let surrogate: Surrogate = q.surrogate.parse().map_err(|_| {
            let names = Surrogate::ALL.map(|s| s.entry().name).join(", ");
            value("quantizer.surrogate", format!("`{}`", q.surrogate), format!("one of {names}"))
        })?;
        let set = [("from", q.from), ("to", q.to), ("until", q.until)];
        let knob = match surrogate.entry().knob {
            Some(knob) => Some(knob.with(q.from.0, q.to.0, q.until.0).map_err(|problem| {
                let of = |(name, v): &(&str, crate::config::Auto)| v.0.map(|v| format!("{name} = {v}"));
                let given: Vec<String> = set.iter().filter_map(of).collect();
                value("quantizer.from, to, until", given.join(", "), format!("for `{surrogate}`: {problem}"))
            })?),
            None => match set.iter().find(|(_, v)| v.0.is_some()) {
                None => None,
                Some((name, v)) => {
                    let found = format!("{} ({name})", v.0.unwrap_or_default());
                    let expected = format!("\"auto\": `{surrogate}` has no parameter");
                    return Err(value("quantizer.from, to, until", found, expected));
                }
            },
        };
        if surrogate == Surrogate::Lsq && c.model.tie_word_embeddings {
            let expected =
                "another surrogate: a head that is the embedding cannot be exported with a step of its own";
            return Err(value("quantizer.surrogate", "lsq with tied embeddings".into(), expected.into()));
        }
        let parameter = |e: furnace::FurnaceError| {
            value("quantizer.strength, horizon", format!("not usable ({e})"), "values in range".into())
        };
        let transform = match q.transform.as_str() {
            "none" => Transform::None,
            "ewgs" => {
                Transform::Gradient(Transformation::named("ewgs", &[q.strength.or(0.2)]).map_err(parameter)?)
            }
            "ags-literal" => Transform::Gradient(Transformation::Literal),
            "ags-bounded" => {
                let parameters = [q.strength.or(4.0), q.horizon, c.optimizer.lr];
                Transform::Gradient(Transformation::named("ags-bounded", &parameters).map_err(parameter)?)
            }
            "ags-flip-rate" => {
                use crate::config::OptimizerKind::{Bop, ScheduleFree};
                if matches!(c.optimizer.kind, Bop | ScheduleFree) {
                    let expected = "sgd, adam, adamw, lion or muon with quantizer.transform = \"ags-flip-rate\": the \
                                    other rules have no step whose length could be controlled";
                    return Err(value("optimizer.kind", "not one of these".into(), expected.into()));
                }
                let rule = FlipRate { gain: q.strength.or(0.05), least: 0.0, most: 10.0 * c.optimizer.lr };
                Transform::FlipRate { rule, start: 0.03, target: q.flip_rate }
            }
            other => {
                let names = furnace::transformations::TRANSFORMATIONS.map(|t| t.name).join(", ");
                let expected = format!("none, {names}");
                return Err(value("quantizer.transform", format!("`{other}`"), expected));
            }
        };
        Ok(Quantizer { surrogate, knob, transform })
    }

    /// The surrogate of a step: the plain straight-through one when a schedule that altered the forward is over.
    pub fn surrogate_at(&self, progress: f64) -> Surrogate {
        let over = self.knob.is_some_and(|k| k.curve != Curve::Constant && progress >= k.until);
        if over && self.surrogate.entry().alters_forward { Surrogate::Ste } else { self.surrogate }
    }

    /// The knob's value at a step.
    pub fn knob_at(&self, progress: f64) -> f64 {
        self.knob.map_or(0.0, |k| k.at(progress))
    }

    /// Names of the learned steps; empty but for `lsq`.
    pub fn steps(&self, model: &dyn Architecture) -> Vec<String> {
        match self.surrogate {
            Surrogate::Lsq => model.projections().iter().map(|n| format!("{n}{STEP_SUFFIX}")).collect(),
            _ => vec![],
        }
    }

    /// The learned steps as they begin: the mean magnitude of each matrix, which is the scale of the plain quantiser.
    pub fn first_steps(
        &self,
        model: &dyn Architecture,
        parameters: &[(String, Tensor)],
    ) -> Vec<(String, Tensor)> {
        let steps = self.steps(model).into_iter().map(|name| {
            let matrix = name.trim_end_matches(STEP_SUFFIX);
            let weights = parameters.iter().find(|(n, _)| n == matrix).map_or(&[][..], |(_, t)| t.f32());
            let mean = weights.iter().map(|w| f64::from(w.abs())).sum::<f64>() / weights.len().max(1) as f64;
            (name, Tensor::from_f32([], &[mean.max(1e-5) as f32]))
        });
        steps.collect()
    }
}

/// The weights as the model computes with them everywhere outside of the training step: learned steps folded into their
/// matrices, so that the plain quantiser gives the same trits and the step as its scale. `None` where there are none.
///
/// With trits t and density d (the share that is not 0), the matrix t · Δ / d has mean magnitude Δ.
pub fn folded(state: &TrainState) -> Option<TrainState> {
    state.names.iter().any(|n| n.ends_with(STEP_SUFFIX)).then(|| {
        let find = |name: &str| state.names.iter().position(|n| n == name);
        let keep = state.names.iter().enumerate().filter(|(_, n)| !n.ends_with(STEP_SUFFIX));
        let rows = keep.map(|(i, name)| {
            let p = &state.parameters[i];
            match find(&format!("{name}{STEP_SUFFIX}")) {
                Some(step) => (name.clone(), fold(p, state.parameters[step].f32()[0])),
                None => (name.clone(), Tensor::from_f32(p.shape().to_vec(), p.f32())),
            }
        });
        TrainState::bare(rows.collect())
    })
}

fn fold(matrix: &Tensor, step: f32) -> Tensor {
    let step = step.max(1e-5);
    let trits: Vec<f32> =
        matrix.f32().iter().map(|w| (w / step).clamp(-1.0, 1.0).round_ties_even()).collect();
    let used = trits.iter().filter(|t| **t != 0.0).count().max(1);
    let size = (f64::from(step) * trits.len() as f64 / used as f64) as f32;
    let mut made = Tensor::zeros(DType::F32, matrix.shape().to_vec());
    made.f32_mut().iter_mut().zip(trits).for_each(|(m, t)| *m = t * size);
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(settings: &[&str]) -> Result<Quantizer> {
        let mut c = TrainConfig::default();
        c.apply_overrides(&settings.iter().map(|s| s.to_string()).collect::<Vec<_>>())?;
        Quantizer::new(&c)
    }

    #[test]
    fn the_default_is_straight_through_and_nothing_else() {
        let plain = of(&[]).unwrap();
        assert_eq!(plain, Quantizer::default());
        assert_eq!(plain.surrogate_at(0.5), Surrogate::Ste);
    }

    #[test]
    fn schedules_hand_over_to_the_straight_through_step() {
        let ramp = of(&["quantizer.surrogate=ramp"]).unwrap();
        assert_eq!([0.0, 0.25, 0.49].map(|p| ramp.surrogate_at(p)), [Surrogate::Ramp; 3]);
        assert_eq!([0.5, 1.0].map(|p| ramp.surrogate_at(p)), [Surrogate::Ste; 2]);
        assert_eq!(ramp.knob_at(0.25), 0.5);
        let slow = of(&["quantizer.surrogate=ramp", "quantizer.until=0.8", "quantizer.from=0.2"]).unwrap();
        assert!((slow.knob_at(0.4) - 0.6).abs() < 1e-12 && slow.surrogate_at(0.7) == Surrogate::Ramp);
        // What keeps the forward stays to the end; so does what has no schedule.
        for name in ["reste", "clipped", "lsq", "stochastic"] {
            let q = of(&[&format!("quantizer.surrogate={name}")]).unwrap();
            assert_eq!(q.surrogate_at(1.0).entry().name, name);
        }
    }

    #[test]
    fn what_cannot_be_is_said_with_what_can() {
        for (settings, parts) in [
            (
                &["quantizer.surrogate=stee"][..],
                &["quantizer.surrogate", "`stee`", "ste, clipped", "proximal"][..],
            ),
            (&["quantizer.surrogate=ramp", "quantizer.to=1.5"], &["to = 1.5", "from 0 to 1"]),
            (&["quantizer.surrogate=softmax", "quantizer.from=0"], &["temperature", "above 0"]),
            (&["quantizer.surrogate=ramp", "quantizer.until=7"], &["between 0 and 1"]),
            (&["quantizer.from=0.5"], &["`ste` has no parameter"]),
            (&["quantizer.transform=ewg"], &["`ewg`", "ewgs, ags-literal, ags-bounded, ags-flip-rate"]),
            (&["quantizer.transform=ewgs", "quantizer.strength=-1"], &["at least 0"]),
            (&["quantizer.transform=ags-bounded", "quantizer.strength=0.5"], &["gain G is 0.5"]),
            (&["quantizer.transform=ags-flip-rate", "optimizer.kind=bop"], &["optimizer.kind", "adamw"]),
            (&["quantizer.surrogate=lsq", "model.tie_word_embeddings=true"], &["tied embeddings"]),
            (&["quantizer.surrogate=ramp", "quantizer.to=much"], &["much", "auto"]),
        ] {
            let told = of(settings).unwrap_err().to_string();
            assert!(parts.iter().all(|part| told.contains(part)), "{settings:?}: {told}");
        }
    }

    #[test]
    fn a_folded_matrix_has_the_trits_and_the_step() {
        let values: Vec<f32> = (0..64).map(|i| ((i * 37 % 64) as f32 - 31.0) / 40.0).collect();
        let matrix = Tensor::from_f32([8, 8], &values);
        for step in [0.2f32, 0.55, 0.7] {
            let made = fold(&matrix, step);
            let mean = made.f32().iter().map(|w| f64::from(w.abs())).sum::<f64>() / 64.0;
            assert!((mean / f64::from(step) - 1.0).abs() < 1e-6, "{mean} and {step}");
            for (w, m) in values.iter().zip(made.f32()) {
                let trit = (w / step).clamp(-1.0, 1.0).round_ties_even();
                assert_eq!((f64::from(*m) / mean).round_ties_even().clamp(-1.0, 1.0), f64::from(trit));
            }
        }
    }
}
