//! The chain from logits to a token.

use std::fmt;

use super::processors::{History, LogitBias, LogitsProcessor, Penalties, RepetitionPenalty};
use super::select::{Softmax, best_of, check, cut_mass, greedy, id, key};
use crate::error::{ModelError, Result};
use crate::rng::Rng;

/// Most of the best that top-p tries before it looks at all.
const HEAD: usize = 1024;
/// Weights that are added up alone; a draw finds its block first.
const SUM: usize = 512;

/// How the next token is chosen; [the module](super) has the order and the formulas.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 is greedy.
    pub temperature: f64,
    /// Only the k most likely tokens; 0 is all, and so is any k of at least the vocabulary.
    pub top_k: usize,
    /// Only the fewest most likely tokens that together reach this probability, at least one; 1 is all.
    pub top_p: f64,
    /// Only tokens of at least this share of the best one's probability; 0 is all.
    pub min_p: f64,
    /// Only the fewest most typical tokens that together reach this probability, at least one; 1 is all.
    pub typical_p: f64,
    /// Divides positive and multiplies negative logits of tokens that occurred; 1 is none.
    pub repetition_penalty: f64,
    /// Taken from the logit of a token for each time that it was drawn; 0 is none.
    pub frequency_penalty: f64,
    /// Taken from the logit of a token that was drawn; 0 is none.
    pub presence_penalty: f64,
    /// Added to the logits of these tokens.
    pub logit_bias: Vec<(u32, f64)>,
    /// Seed of the draws.
    pub seed: u64,
}

impl Sampling {
    /// The most likely token every time.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    fn check(&self) -> Result<()> {
        let share = |x: f64| (0.0..=1.0).contains(&x);
        let faults = [
            ("temperature", self.temperature, "a finite number of at least 0", self.temperature >= 0.0),
            ("top_p", self.top_p, "a number from 0 to 1", share(self.top_p)),
            ("min_p", self.min_p, "a number from 0 to 1", share(self.min_p)),
            ("typical_p", self.typical_p, "a number from 0 to 1", share(self.typical_p)),
            (
                "repetition_penalty",
                self.repetition_penalty,
                "a finite number above 0",
                self.repetition_penalty > 0.0,
            ),
            ("frequency_penalty", self.frequency_penalty, "a finite number", true),
            ("presence_penalty", self.presence_penalty, "a finite number", true),
        ];
        for (name, value, expected, valid) in faults {
            if !valid || !value.is_finite() {
                let remedy = "choose a value in that range";
                return Err(ModelError::value(name, expected, value.to_string(), remedy));
            }
        }
        Ok(())
    }

    /// The processors that the options ask for.
    fn processors(&self) -> Result<Vec<Box<dyn LogitsProcessor>>> {
        let mut list: Vec<Box<dyn LogitsProcessor>> = vec![];
        if !self.logit_bias.is_empty() {
            list.push(Box::new(LogitBias::new(self.logit_bias.clone())?));
        }
        if self.repetition_penalty != 1.0 {
            list.push(Box::new(RepetitionPenalty(self.repetition_penalty)));
        }
        let (frequency, presence) = (self.frequency_penalty, self.presence_penalty);
        if frequency != 0.0 || presence != 0.0 {
            list.push(Box::new(Penalties { frequency, presence }));
        }
        Ok(list)
    }
}

impl Default for Sampling {
    /// The model's own distribution: temperature 1 and nothing cut.
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            typical_p: 1.0,
            repetition_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            logit_bias: vec![],
            seed: 0,
        }
    }
}

/// Draws tokens; its random state goes on from call to call.
pub struct Sampler {
    options: Sampling,
    processors: Vec<Box<dyn LogitsProcessor>>,
    rng: Rng,
    scratch: Scratch,
}

/// Memory that is used again for every token.
#[derive(Default)]
struct Scratch {
    logits: Vec<f32>,
    maxima: Vec<f32>,
    keys: Vec<u64>,
    weights: Vec<f64>,
}

impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let processors = self.processors.len();
        f.debug_struct("Sampler")
            .field("options", &self.options)
            .field("processors", &processors)
            .field("rng", &self.rng)
            .finish()
    }
}

impl Sampler {
    /// A sampler at the start of its seed's stream.
    ///
    /// # Errors
    /// [`ModelError::Value`] for an option outside its range.
    pub fn new(options: Sampling) -> Result<Self> {
        options.check()?;
        let (processors, rng) = (options.processors()?, Rng::new(options.seed));
        Ok(Self { options, processors, rng, scratch: Scratch::default() })
    }

    /// Adds a processor behind those that are there.
    pub fn add(&mut self, processor: impl LogitsProcessor + 'static) {
        self.processors.push(Box::new(processor));
    }

    /// The next token of a text.
    ///
    /// # Arguments
    /// * `logits`: one per token of the vocabulary.
    /// * `history`: the tokens so far; only penalties and processors read it.
    ///
    /// # Errors
    /// As [`greedy`], and those of the processors.
    ///
    /// # Examples
    /// ```
    /// use models::generation::{History, Sampler, Sampling};
    /// let mut sampler = Sampler::new(Sampling { top_k: 1, ..Sampling::default() })?;
    /// assert_eq!(sampler.sample(&[0.1, 2.0, 0.3], &History::default())?, 1);
    /// # Ok::<(), models::ModelError>(())
    /// ```
    pub fn sample(&mut self, logits: &[f32], history: &History) -> Result<u32> {
        let Self { options, processors, rng, scratch } = self;
        let Scratch { logits: changed, maxima, keys, weights } = scratch;
        let logits = if processors.is_empty() {
            logits
        } else {
            changed.clear();
            changed.extend_from_slice(logits);
            processors.iter_mut().try_for_each(|processor| processor.process(changed, history))?;
            changed
        };
        if options.temperature == 0.0 {
            return greedy(logits);
        }
        let softmax = Softmax { best: f64::from(check(logits)?), s: options.temperature.recip() };
        if !candidates(options, logits, softmax, maxima, keys) {
            softmax.weights(logits, weights);
            return Ok(draw(rng, weights) as u32);
        }
        keys.sort_unstable_by(|a, b| b.cmp(a));
        weights.clear();
        weights.extend(keys.iter().map(|key| softmax.weight(logits[id(*key) as usize])));
        let kept = weights.iter().take_while(|weight| **weight >= options.min_p).count().max(1);
        weights.truncate(kept);
        keys.truncate(kept);
        if options.typical_p < 1.0 {
            typical(options.typical_p, keys, weights);
        }
        Ok(id(keys[draw(rng, weights)]))
    }

    /// The options.
    pub fn options(&self) -> &Sampling {
        &self.options
    }

    /// The random state, for a generation that goes on elsewhere.
    pub fn rng(&self) -> &Rng {
        &self.rng
    }

    /// Goes on with the draws where [`Sampler::rng`] was taken.
    pub fn set_rng(&mut self, rng: Rng) {
        self.rng = rng;
    }
}

/// The tokens that top-k and top-p leave, in no order, and with neither those that can reach min-p; false where all are
/// left.
fn candidates(
    options: &Sampling,
    logits: &[f32],
    softmax: Softmax,
    maxima: &mut Vec<f32>,
    keys: &mut Vec<u64>,
) -> bool {
    let Sampling { top_k, top_p, min_p, typical_p, .. } = *options;
    let of = |key: u64| softmax.weight(logits[id(key) as usize]);
    if top_k > 0 && top_k < logits.len() {
        best_of(logits, top_k, maxima, keys);
        if top_p < 1.0 {
            let limit = top_p * keys.iter().map(|key| of(*key)).sum::<f64>();
            cut_mass(keys, limit, of);
        }
    } else if top_p < 1.0 {
        let limit = top_p * softmax.sum(logits, SUM);
        let mut k = 64;
        loop {
            best_of(logits, k, maxima, keys);
            let enough = k >= logits.len() || keys.iter().map(|key| of(*key)).sum::<f64>() >= limit;
            if enough {
                break;
            }
            k = if k < HEAD { 4 * k } else { logits.len() };
        }
        cut_mass(keys, limit, of);
    } else if min_p > 0.0 || typical_p < 1.0 {
        keys.clear();
        // Somewhat below the least logit that can reach it: the exact comparison is made on what is left.
        let bound = softmax.best + (min_p.ln() - 1e-6) / softmax.s;
        let reach = logits.iter().enumerate().filter(|(_, logit)| f64::from(**logit) >= bound);
        keys.extend(reach.map(|(id, logit)| key(id, *logit)));
    } else {
        return false;
    }
    true
}

/// Leaves the fewest candidates that reach `share` of the mass, those nearest to the entropy first, in the order in
/// which they were.
fn typical(share: f64, keys: &mut Vec<u64>, weights: &mut Vec<f64>) {
    let total = weights.iter().sum::<f64>();
    let surprise = |weight: f64| -(weight / total).ln();
    let terms = weights.iter().filter(|weight| **weight > 0.0);
    let entropy = terms.map(|weight| weight / total * surprise(*weight)).sum::<f64>();
    let mut order: Vec<(f64, usize)> =
        weights.iter().enumerate().map(|(at, weight)| ((surprise(*weight) - entropy).abs(), at)).collect();
    order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut reached = 0.0;
    let enough = order.iter().position(|(_, at)| {
        reached += weights[*at];
        reached >= share * total
    });
    order.truncate(enough.map_or(order.len(), |last| last + 1));
    let mut kept = vec![false; keys.len()];
    order.iter().for_each(|(_, at)| kept[*at] = true);
    let mut at = kept.iter();
    keys.retain(|_| at.next().is_some_and(|kept| *kept));
    let mut at = kept.iter();
    weights.retain(|_| at.next().is_some_and(|kept| *kept));
}

/// A place drawn in proportion to the weights.
fn draw(rng: &mut Rng, weights: &[f64]) -> usize {
    let sums: Vec<f64> = weights.chunks(SUM).map(|block| block.iter().sum()).collect();
    let mut target = rng.uniform() * sums.iter().sum::<f64>();
    let block = sums.iter().position(|sum| {
        let here = target < *sum;
        target -= if here { 0.0 } else { *sum };
        here
    });
    if let Some(block) = block {
        for (at, weight) in weights.iter().enumerate().skip(block * SUM).take(SUM) {
            target -= weight;
            if target < 0.0 {
                return at;
            }
        }
    }
    // Rounding can leave a hair of the total: the last one that has any weight takes it.
    let end = block.map_or(weights.len(), |block| weights.len().min((block + 1) * SUM));
    weights[..end].iter().rposition(|weight| *weight > 0.0).unwrap_or(0)
}
