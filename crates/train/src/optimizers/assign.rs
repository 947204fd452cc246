//! Which rule is whose: a model's parameters and the rules of a configuration.

use std::collections::BTreeSet;

use models::architecture::Architecture;

use super::{Init, Rule, Slot};
use crate::config::{OptimizerConfig, OptimizerKind};
use crate::quantizer::{STEP_SUFFIX, Transform};

/// The rules of every parameter of a model.
#[derive(Clone, Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    transform: Transform,
    ternary: BTreeSet<String>,
}

/// The state of the flip-rate control: κ of one matrix.
pub(crate) const KAPPA: &str = "kappa.";

impl Optimizer {
    /// For a model.
    pub fn new(config: &OptimizerConfig, transform: Transform, model: &dyn Architecture) -> Optimizer {
        Optimizer { config: config.clone(), transform, ternary: model.projections().into_iter().collect() }
    }

    /// The configuration.
    pub fn config(&self) -> &OptimizerConfig {
        &self.config
    }

    /// Whether a parameter is a matrix whose weights are ternary.
    pub fn is_ternary(&self, name: &str) -> bool {
        self.ternary.contains(name)
    }

    /// Whether weight decay applies to a parameter; the learned steps of a quantiser are left alone.
    pub fn decays(&self, name: &str) -> bool {
        self.config.decays(name) && !name.ends_with(STEP_SUFFIX)
    }

    /// The rule of a parameter.
    pub fn rule(&self, name: &str) -> Rule {
        let OptimizerConfig { betas, eps, momentum, nesterov, .. } = self.config;
        let adam = |decoupled| Rule::Adam { betas, eps, decoupled };
        match self.config.kind {
            OptimizerKind::Sgd => Rule::Sgd { momentum, nesterov },
            OptimizerKind::Adam => adam(false),
            OptimizerKind::AdamW => adam(true),
            OptimizerKind::Lion => Rule::Lion { betas },
            // The head's rows are tokens, as the embedding's are: neither is a map between hidden spaces.
            OptimizerKind::Muon if self.is_ternary(name) && !name.starts_with("lm_head") => {
                Rule::Muon { momentum, nesterov }
            }
            OptimizerKind::Bop if self.is_ternary(name) => {
                Rule::Bop { gamma: self.config.bop_gamma, threshold: self.config.bop_threshold }
            }
            OptimizerKind::Muon | OptimizerKind::Bop => adam(true),
            OptimizerKind::ScheduleFree => Rule::ScheduleFree { betas, eps },
        }
    }

    /// The states of a parameter: those of its rule, and κ where the flip rate controls its learning rate.
    pub fn slots(&self, name: &str) -> Vec<Slot> {
        let mut slots = self.rule(name).slots().to_vec();
        if let (Transform::FlipRate { start, .. }, true) = (self.transform, self.is_ternary(name)) {
            slots.push(Slot { prefix: KAPPA, init: Init::Number(start) });
        }
        slots
    }

    /// What becomes of gradients and updates of ternary matrices.
    pub fn transform(&self) -> Transform {
        self.transform
    }
}
