//! Learning rate and weight decay as pure functions of the step, so that a resumed run needs nothing but its
//! step number.
//!
//! With `p` the peak, `N` the number of steps, `w` the warm-up, `f` the final share, and `s` from 0:
//!
//! | kind | learning rate after the warm-up, which is `p (s + 1) / w` |
//! |---|---|
//! | constant | `p` |
//! | linear | `p (1 − (1 − f) u)`, `u = (s − w) / (N − w)` |
//! | cosine | `p (f + (1 − f) (1 + cos πu) / 2)` |
//! | cosine-halve-midway | `p (f + (1 − f) (1 + cos(πs/N)) / 2)`, times ½ in the second stage |
//! | two-stage | `p (1 − (1 − f) s/N)`, times `second_lr_fraction` in the second stage |
//!
//! The second stage begins at the first step `s ≥ switch_at · N`. The third row is the usual curve, which starts
//! at the end of the warm-up; the fourth is that of the reference run of the MatMul-free language model (Zhu et
//! al. 2024, §5: cosine, "halved midway"), which runs over all steps and so makes a small jump at `s = w`. The
//! last is from "The Era of 1-bit LLMs: Training Tips, Code and FAQ" (Ma et al. 2024): a high rate first, a lower
//! one for the second half, and no weight decay there, since ternary weights need none to settle.

use std::f64::consts::PI;

use crate::config::{ScheduleConfig, ScheduleKind, TrainConfig};

/// The schedule of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    config: ScheduleConfig,
    peak: f64,
    weight_decay: f64,
    steps: u64,
}

impl Schedule {
    /// The schedule that a configuration describes.
    pub fn new(config: &TrainConfig) -> Self {
        Schedule {
            config: config.schedule.clone(),
            peak: config.optimizer.lr,
            weight_decay: config.optimizer.weight_decay,
            steps: config.train.steps as u64,
        }
    }

    /// The learning rate of step `step`, counted from 0. Steps past the end get that of the end.
    ///
    /// ```
    /// use train::{TrainConfig, schedule::Schedule};
    ///
    /// let schedule = Schedule::new(&TrainConfig::default()); // 400 steps, 20 of them warm-up, peak 4e-3
    /// assert_eq!(schedule.learning_rate(0), 4e-3 / 20.0);
    /// assert!(schedule.learning_rate(200) < 0.51 * schedule.learning_rate(199));
    /// ```
    pub fn learning_rate(&self, step: u64) -> f64 {
        let warmup = self.config.warmup_steps as u64;
        if step < warmup {
            return self.peak * (step + 1) as f64 / warmup as f64;
        }
        let step = step.min(self.steps);
        // Part and whole apart: π·s/N rounds differently from π·(s/N), and the reference has the former.
        let run = (step as f64, self.steps.max(1) as f64);
        let after_warmup =
            (step.saturating_sub(warmup) as f64, self.steps.saturating_sub(warmup).max(1) as f64);
        let last = self.config.final_fraction;
        // The final share is added last: at 0 it leaves the reference run's formula exact to the last bit.
        let to_last = |share: f64| self.peak * share * (1.0 - last) + self.peak * last;
        let linear = |(s, n): (f64, f64)| 1.0 - s / n;
        let cosine = |(s, n): (f64, f64)| 0.5 * (1.0 + (PI * s / n).cos());
        match self.config.kind {
            ScheduleKind::Constant => self.peak,
            ScheduleKind::Linear => to_last(linear(after_warmup)),
            ScheduleKind::Cosine => to_last(cosine(after_warmup)),
            ScheduleKind::CosineHalveMidway => {
                to_last(cosine(run)) * if self.second_stage(step) { 0.5 } else { 1.0 }
            }
            ScheduleKind::TwoStage => {
                to_last(linear(run))
                    * if self.second_stage(step) { self.config.second_lr_fraction } else { 1.0 }
            }
        }
    }

    /// The weight decay of step `step`: constant, except that `two-stage` drops it for its second stage.
    pub fn weight_decay(&self, step: u64) -> f64 {
        if self.config.kind == ScheduleKind::TwoStage && self.second_stage(step) {
            return self.config.second_weight_decay;
        }
        self.weight_decay
    }

    fn second_stage(&self, step: u64) -> bool {
        step as f64 >= self.config.switch_at * self.steps as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(kind: ScheduleKind, steps: usize, warmup: usize, last: f64) -> Schedule {
        let mut config = TrainConfig::default();
        config.schedule.kind = kind;
        config.schedule.warmup_steps = warmup;
        config.schedule.final_fraction = last;
        config.train.steps = steps;
        config.optimizer.weight_decay = 0.1;
        Schedule::new(&config)
    }

    #[test]
    fn halve_midway_is_the_reference_formula() {
        let schedule = schedule(ScheduleKind::CosineHalveMidway, 400, 20, 0.0);
        for s in 0..400u64 {
            let mut expected = if s < 20 {
                4e-3 * (s + 1) as f64 / 20.0
            } else {
                4e-3 * 0.5 * (1.0 + (PI * s as f64 / 400.0).cos())
            };
            if s >= 200 {
                expected *= 0.5;
            }
            assert_eq!(schedule.learning_rate(s), expected, "step {s}");
        }
        assert_eq!(schedule.weight_decay(0), 0.1);
        assert_eq!(schedule.weight_decay(399), 0.1);
    }

    #[test]
    fn two_stage_drops_both_rates_midway_and_ends_at_zero() {
        let schedule = schedule(ScheduleKind::TwoStage, 100, 10, 0.0);
        assert!((schedule.learning_rate(49) - 4e-3 * 0.51).abs() < 1e-15);
        assert!((schedule.learning_rate(50) - 4e-3 * 0.5 * 2.0 / 3.0).abs() < 1e-15);
        assert_eq!(schedule.learning_rate(100), 0.0);
        assert_eq!((schedule.weight_decay(49), schedule.weight_decay(50)), (0.1, 0.0));
    }

    #[test]
    fn curves_go_from_the_peak_to_the_final_share() {
        for kind in [ScheduleKind::Linear, ScheduleKind::Cosine] {
            let schedule = schedule(kind, 100, 10, 0.1);
            assert_eq!(schedule.learning_rate(9), 4e-3);
            assert!((schedule.learning_rate(10) - 4e-3).abs() < 1e-15);
            assert!((schedule.learning_rate(100) - 4e-4).abs() < 1e-15);
            assert_eq!(schedule.learning_rate(1000), schedule.learning_rate(100));
            assert!((10..100).all(|s| schedule.learning_rate(s + 1) < schedule.learning_rate(s)));
        }
        let middle = schedule(ScheduleKind::Linear, 100, 10, 0.1).learning_rate(55);
        assert!((middle - 4e-3 * 0.55).abs() < 1e-15);
        assert_eq!(schedule(ScheduleKind::Constant, 10, 0, 0.0).learning_rate(9), 4e-3);
    }

    #[test]
    fn odd_lengths_are_finite() {
        for kind in [
            ScheduleKind::Linear,
            ScheduleKind::Cosine,
            ScheduleKind::CosineHalveMidway,
            ScheduleKind::TwoStage,
        ] {
            for (steps, warmup) in [(0, 0), (1, 0), (1, 1), (3, 20), (20, 20)] {
                let schedule = schedule(kind, steps, warmup, 0.0);
                assert!(
                    (0..30).all(|s| (0.0..=4e-3).contains(&schedule.learning_rate(s))),
                    "{kind:?} {steps} {warmup}"
                );
            }
        }
    }
}
