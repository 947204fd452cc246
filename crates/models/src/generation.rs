//! Choosing the next token from logits, and when to stop.
//!
//! The order of operations is that of `transformers`: repetition penalty, temperature, top-k, top-p, then one
//! draw. Everything is computed in f64 and sorted with ties to the lower id, so that a seed gives the same text on
//! every machine whose `exp` agrees. Top-p after Holtzman et al. 2020, <https://arxiv.org/abs/1904.09751>; the
//! repetition penalty after Keskar et al. 2019, <https://arxiv.org/abs/1909.05858>.

use std::cmp::Ordering;

use crate::error::{ModelError, Result};
use crate::rng::Rng;

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 is greedy.
    pub temperature: f64,
    /// Only the k most likely tokens; 0 is all, and so is any k of at least the vocabulary.
    pub top_k: usize,
    /// Only the fewest most likely tokens that together reach this probability, at least one; 1 is all.
    pub top_p: f64,
    /// Divides positive and multiplies negative logits of tokens that occurred; 1 is none.
    pub repetition_penalty: f64,
    /// Seed of the draws.
    pub seed: u64,
}

impl Sampling {
    /// The most likely token every time.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }
}

impl Default for Sampling {
    /// The model's own distribution: temperature 1 and nothing cut.
    fn default() -> Self {
        Self { temperature: 1.0, top_k: 0, top_p: 1.0, repetition_penalty: 1.0, seed: 0 }
    }
}

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// The model produced an end token.
    Stop,
    /// As many tokens as were asked for.
    Length,
}

impl FinishReason {
    /// The name in JSON output: `"stop"` or `"length"`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

/// When a generation ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopRule {
    /// Tokens that end it; none to go on past them.
    pub end_tokens: Vec<u32>,
    /// New tokens at most.
    pub max_tokens: usize,
}

impl StopRule {
    /// Whether it ends with `token`, the `produced`-th new one, counted from 1.
    pub fn after(&self, token: u32, produced: usize) -> Option<FinishReason> {
        if self.end_tokens.contains(&token) {
            Some(FinishReason::Stop)
        } else {
            (produced >= self.max_tokens).then_some(FinishReason::Length)
        }
    }
}

/// The most likely token; of equal ones, the lowest id.
///
/// # Errors
/// [`ModelError::Value`] if there are no logits, one is NaN or +∞, or all are −∞.
pub fn greedy(logits: &[f32]) -> Result<u32> {
    check(logits)?;
    let best =
        logits.iter().enumerate().fold(0, |best, (id, logit)| if *logit > logits[best] { id } else { best });
    Ok(best as u32)
}

/// Draws tokens; its random state goes on from call to call.
#[derive(Debug, Clone)]
pub struct Sampler {
    options: Sampling,
    rng: Rng,
}

impl Sampler {
    /// A sampler at the start of its seed's stream.
    ///
    /// # Errors
    /// [`ModelError::Value`] for an option outside its range.
    pub fn new(options: Sampling) -> Result<Self> {
        let Sampling { temperature, top_p, repetition_penalty, .. } = options;
        let faults = [
            ("temperature", temperature, "a finite number of at least 0", temperature >= 0.0),
            ("top_p", top_p, "a number from 0 to 1", (0.0..=1.0).contains(&top_p)),
            ("repetition_penalty", repetition_penalty, "a finite number above 0", repetition_penalty > 0.0),
        ];
        for (name, value, expected, valid) in faults {
            if !valid || !value.is_finite() {
                return Err(ModelError::value(
                    name,
                    expected,
                    value.to_string(),
                    "choose a value in that range",
                ));
            }
        }
        Ok(Self { options, rng: Rng::new(options.seed) })
    }

    /// The next token of a text.
    ///
    /// # Arguments
    /// * `logits`: one per token of the vocabulary.
    /// * `history`: the tokens so far, prompt included; only the repetition penalty reads them.
    ///
    /// # Errors
    /// As [`greedy`].
    ///
    /// # Examples
    /// ```
    /// use models::generation::{Sampler, Sampling};
    /// let mut sampler = Sampler::new(Sampling { top_k: 1, ..Sampling::default() })?;
    /// assert_eq!(sampler.sample(&[0.1, 2.0, 0.3], &[])?, 1);
    /// # Ok::<(), models::ModelError>(())
    /// ```
    pub fn sample(&mut self, logits: &[f32], history: &[u32]) -> Result<u32> {
        let penalised = self.penalise(logits, history);
        let logits = penalised.as_deref().unwrap_or(logits);
        let best = greedy(logits)?;
        if self.options.temperature == 0.0 {
            return Ok(best);
        }
        let candidates = self.candidates(logits, f64::from(logits[best as usize]));
        let total = candidates.iter().map(|(_, weight)| weight).sum::<f64>();
        let mut target = self.rng.uniform() * total;
        for (id, weight) in &candidates {
            target -= weight;
            if target < 0.0 {
                return Ok(*id);
            }
        }
        // Rounding can leave a hair of the total: the last candidate that has any weight takes it.
        Ok(candidates.iter().rev().find(|(_, weight)| *weight > 0.0).map_or(best, |(id, _)| *id))
    }

    /// A sampler whose draws go on where [`Sampler::rng`] was taken; the seed of `options` is not used.
    ///
    /// # Errors
    /// As [`Sampler::new`].
    pub fn resume(options: Sampling, rng: Rng) -> Result<Self> {
        Ok(Self { rng, ..Self::new(options)? })
    }

    /// The options.
    pub fn options(&self) -> &Sampling {
        &self.options
    }

    /// The random state, for a generation that goes on elsewhere.
    pub fn rng(&self) -> &Rng {
        &self.rng
    }

    /// Logits with those of earlier tokens made less likely, each once however often it occurred.
    fn penalise(&self, logits: &[f32], history: &[u32]) -> Option<Vec<f32>> {
        let penalty = self.options.repetition_penalty;
        if penalty == 1.0 {
            return None;
        }
        let mut seen = vec![false; logits.len()];
        let mut changed = logits.to_vec();
        for id in history.iter().map(|id| *id as usize) {
            if id < logits.len() && !std::mem::replace(&mut seen[id], true) {
                let logit = f64::from(logits[id]);
                changed[id] = (if logit > 0.0 { logit / penalty } else { logit * penalty }) as f32;
            }
        }
        Some(changed)
    }

    /// The tokens that remain, most likely first, with weights that need not sum to 1.
    fn candidates(&self, logits: &[f32], best: f64) -> Vec<(u32, f64)> {
        let Sampling { temperature, top_k, top_p, .. } = self.options;
        let weight = |logit: f32| ((f64::from(logit) - best) / temperature).exp();
        let mut list = (0_u32..).zip(logits).map(|(id, logit)| (id, weight(*logit))).collect::<Vec<_>>();
        let cut_k = top_k > 0 && top_k < list.len();
        if !cut_k && top_p >= 1.0 {
            return list;
        }
        // By logit, not weight: far below the best, different logits have the same weight, zero.
        let order = |a: &(u32, f64), b: &(u32, f64)| -> Ordering {
            let (left, right) = (logits[a.0 as usize], logits[b.0 as usize]);
            // No logit is NaN here, and -0 equals 0.
            right.partial_cmp(&left).unwrap_or(Ordering::Equal).then(a.0.cmp(&b.0))
        };
        if cut_k {
            list.select_nth_unstable_by(top_k - 1, order);
            list.truncate(top_k);
        }
        list.sort_unstable_by(order);
        if top_p < 1.0 {
            let limit = top_p * list.iter().map(|(_, weight)| weight).sum::<f64>();
            let mut reached = 0.0;
            let kept = list.iter().position(|(_, weight)| {
                reached += weight;
                reached >= limit
            });
            list.truncate(kept.map_or(list.len(), |last| last + 1));
        }
        list
    }
}

fn check(logits: &[f32]) -> Result<()> {
    let fault = |expected: &str, found: String| {
        Err(ModelError::value(
            "logits",
            expected,
            found,
            "look for the layer in which the values first go wrong",
        ))
    };
    if let Some(id) = logits.iter().position(|logit| logit.is_nan() || *logit == f32::INFINITY) {
        return fault("finite numbers or -inf", format!("{} for token {id}", logits[id]));
    }
    if !logits.iter().any(|logit| logit.is_finite()) {
        return fault("at least one finite logit", format!("none in {}", logits.len()));
    }
    Ok(())
}
