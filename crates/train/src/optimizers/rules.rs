//! One update of one parameter, for each rule; the module's head has the equations.

use graph::{Dim, Var};

use super::matrix::{newton_schulz, ternary_bop};

/// How a gradient becomes an update of one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Descent with momentum.
    Sgd {
        /// μ; at 0 there is no state.
        momentum: f64,
        /// Whether the step looks ahead.
        nesterov: bool,
    },
    /// Adam and AdamW.
    Adam {
        /// β₁ and β₂.
        betas: [f64; 2],
        /// ε.
        eps: f64,
        /// Whether weight decay is apart from the gradient (AdamW).
        decoupled: bool,
    },
    /// The sign of an average.
    Lion {
        /// β₁ and β₂.
        betas: [f64; 2],
    },
    /// Momentum, orthogonalised: for matrices.
    Muon {
        /// μ.
        momentum: f64,
        /// Whether the step looks ahead.
        nesterov: bool,
    },
    /// Flips of trits: for ternary matrices. There is no learning rate.
    Bop {
        /// γ.
        gamma: f64,
        /// τ.
        threshold: f64,
    },
    /// Schedule-free AdamW.
    ScheduleFree {
        /// β₁ (interpolation) and β₂.
        betas: [f64; 2],
        /// ε.
        eps: f64,
    },
}

/// What a state begins as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Zeros of the parameter's shape.
    Zeros,
    /// The parameter.
    Copy,
    /// One number.
    Number(f64),
}

/// A state of one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slot {
    /// What stands before the parameter's name in graph and checkpoint.
    pub prefix: &'static str,
    /// What it begins as.
    pub init: Init,
}

/// The numbers of one update, rank 0.
#[derive(Clone)]
pub struct Rates {
    /// Learning rate η.
    pub lr: Var,
    /// η λ.
    pub decay: Var,
    /// λ.
    pub weight_decay: Var,
    /// η / (1 − β₁ᵗ).
    pub step_size: Var,
    /// 1 / (1 − β₁ᵗ): the step size at η = 1.
    pub unit_step: Var,
    /// √(1 − β₂ᵗ).
    pub root_correction: Var,
}

impl Rates {
    /// Names, as inputs of a graph.
    pub const NAMES: [&'static str; 6] =
        ["lr", "decay", "weight_decay", "step_size", "unit_step", "root_correction"];

    /// The rates of the update after `step` others.
    pub fn new(step: u64, lr: &Var, weight_decay: &Var, betas: [f64; 2]) -> Rates {
        let t = i32::try_from(step + 1).unwrap_or(i32::MAX);
        let [c1, c2] = betas.map(|b| 1.0 - b.powi(t));
        Rates {
            lr: lr.clone(),
            decay: lr * weight_decay,
            weight_decay: weight_decay.clone(),
            step_size: lr / c1,
            unit_step: lr.full_like(1.0 / c1),
            root_correction: lr.full_like(c2).sqrt(),
        }
    }

    /// In the order of [`Rates::NAMES`].
    pub fn list(&self) -> [&Var; 6] {
        let Rates { lr, decay, weight_decay, step_size, unit_step, root_correction } = self;
        [lr, decay, weight_decay, step_size, unit_step, root_correction]
    }

    /// The same rates with the learning rate 1 in the step, and the decay as it is.
    pub fn unit(&self) -> Rates {
        let lr = self.unit_step.full_like(1.0);
        Rates { lr, step_size: self.unit_step.clone(), ..self.clone() }
    }

    /// From a function of the names.
    pub fn of(mut rate: impl FnMut(&'static str) -> Var) -> Rates {
        let [lr, decay, weight_decay, step_size, unit_step, root_correction] = Self::NAMES.map(&mut rate);
        Rates { lr, decay, weight_decay, step_size, unit_step, root_correction }
    }
}

/// What an update makes.
pub struct Updated {
    /// The parameter but for the step.
    pub base: Var,
    /// The step, which is subtracted; none where the rule sets the parameter.
    pub step: Option<Var>,
    /// The states, in the order of [`Rule::slots`].
    pub slots: Vec<Var>,
}

impl Updated {
    /// The parameter after the update.
    pub fn parameter(&self) -> Var {
        match &self.step {
            Some(step) => &self.base - step,
            None => self.base.clone(),
        }
    }
}

const fn zeros(prefix: &'static str) -> Slot {
    Slot { prefix, init: Init::Zeros }
}

impl Rule {
    /// The states of a parameter.
    pub fn slots(&self) -> &'static [Slot] {
        match self {
            Rule::Sgd { momentum, .. } if *momentum == 0.0 => &[],
            Rule::Sgd { .. } | Rule::Lion { .. } | Rule::Muon { .. } | Rule::Bop { .. } => {
                const { &[zeros("m.")] }
            }
            Rule::Adam { .. } => const { &[zeros("m."), zeros("v.")] },
            Rule::ScheduleFree { .. } => {
                const {
                    &[
                        Slot { prefix: "z.", init: Init::Copy },
                        zeros("v."),
                        Slot { prefix: "weight.", init: Init::Number(0.0) },
                    ]
                }
            }
        }
    }

    /// Where the gradient is taken: the parameter, or for `schedule-free` a point between it and its leader.
    pub fn point(&self, p: &Var, slots: &[Var]) -> Var {
        match self {
            Rule::ScheduleFree { betas: [b1, _], .. } => &slots[0] * (1.0 - b1) + &(p * *b1),
            _ => p.clone(),
        }
    }

    /// One update of p (any shape; `muon` wants a matrix) by the gradient g. `decays`: whether weight decay applies.
    pub fn update(&self, p: &Var, g: &Var, slots: &[Var], rates: &Rates, decays: bool) -> Updated {
        let decayed = || if decays { p * &(1.0 - &rates.decay) } else { p.clone() };
        match self {
            Rule::Sgd { momentum, nesterov } => {
                let base = decayed();
                let Some(b) = slots.first() else {
                    return Updated { base, step: Some(g * &rates.lr), slots: vec![] };
                };
                let b = b * *momentum + g;
                let direction = if *nesterov { g + &(&b * *momentum) } else { b.clone() };
                Updated { base, step: Some(direction * &rates.lr), slots: vec![b] }
            }
            Rule::Adam { betas: [b1, b2], eps, decoupled } => {
                let base = if *decoupled { decayed() } else { p.clone() };
                let g = if decays && !decoupled { g + &(p * &rates.weight_decay) } else { g.clone() };
                let (m, v) = (&slots[0], &slots[1]);
                // The order of operations is PyTorch's; lerp for the first moment, as there.
                let m = m + &((&g - m) * (1.0 - b1));
                let v = v * *b2 + &(&g * &g) * (1.0 - b2);
                let denominator = v.sqrt() / &rates.root_correction + *eps;
                let step = &(&m / &denominator) * &rates.step_size;
                Updated { base, step: Some(step), slots: vec![m, v] }
            }
            Rule::Lion { betas: [b1, b2] } => {
                let m = &slots[0];
                let step = (m * *b1 + &(g * (1.0 - b1))).sign() * &rates.lr;
                let m = m * *b2 + &(g * (1.0 - b2));
                Updated { base: decayed(), step: Some(step), slots: vec![m] }
            }
            Rule::Muon { momentum, nesterov } => {
                let b = &slots[0] * *momentum + g;
                let direction = if *nesterov { g + &(&b * *momentum) } else { b.clone() };
                let larger = p.shape().iter().filter_map(Dim::fixed).max().unwrap_or(1) as f64;
                let step = newton_schulz(&direction) * (0.2 * larger.sqrt()) * &rates.lr;
                Updated { base: decayed(), step: Some(step), slots: vec![b] }
            }
            Rule::Bop { gamma, threshold } => {
                let m = &slots[0] * (1.0 - gamma) + &(g * *gamma);
                Updated { base: ternary_bop(p, &m, *threshold), step: None, slots: vec![m] }
            }
            Rule::ScheduleFree { betas: [_, b2], eps } => {
                let (z, v, total) = (&slots[0], &slots[1], &slots[2]);
                let at = self.point(p, slots);
                let v = v * *b2 + &(g * g) * (1.0 - b2);
                let denominator = v.sqrt() / &rates.root_correction + *eps;
                let mut direction = g / &denominator;
                if decays {
                    // Decay at the point where the gradient was taken, as in the authors' code.
                    direction = direction + &at * &rates.weight_decay;
                }
                let z = z - &(direction * &rates.lr);
                // Weights are squares of the learning rate, so that the warm-up counts little in the average.
                let weight = &rates.lr * &rates.lr;
                let total = total + &weight;
                let c = weight / &total;
                let x = p + &((&z - p) * &c);
                Updated { base: x, step: None, slots: vec![z, v, total] }
            }
        }
    }
}
