//! What changes logits before a token is chosen: the trait, the tokens so far, and the published penalties.

use std::collections::HashMap;

use crate::error::{ModelError, Result};

/// How often a token occurred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// The token.
    pub id: u32,
    /// Times that it was read, as part of a prompt.
    pub read: u32,
    /// Times that it was drawn.
    pub drawn: u32,
}

/// The tokens so far, counted: all that penalties ask of the past, in memory that no text makes larger than its vocabulary.
///
/// ```
/// use models::generation::History;
/// let mut history = History::from_prompt(&[7, 7, 3]);
/// history.drew(3);
/// let counts: Vec<_> = history.tokens().iter().map(|t| (t.id, t.read, t.drawn)).collect();
/// assert_eq!(counts, [(7, 2, 0), (3, 1, 1)]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    tokens: Vec<Occurrence>,
    place: HashMap<u32, usize>,
    last: Option<u32>,
}

impl History {
    /// After reading these tokens.
    pub fn from_prompt(tokens: &[u32]) -> Self {
        let mut history = Self::default();
        tokens.iter().for_each(|token| history.read(*token));
        history
    }

    /// From counts, each token once, as [`History::tokens`] gave them; which was the last is not known then.
    pub fn from_counts(counts: impl IntoIterator<Item = Occurrence>) -> Self {
        let mut history = Self::default();
        for count in counts {
            *history.entry(count.id) = count;
        }
        history.last = None;
        history
    }

    /// Counts a token of a prompt.
    pub fn read(&mut self, id: u32) {
        let entry = self.entry(id);
        entry.read = entry.read.saturating_add(1);
    }

    /// Counts a drawn token.
    pub fn drew(&mut self, id: u32) {
        let entry = self.entry(id);
        entry.drawn = entry.drawn.saturating_add(1);
    }

    /// Every token that occurred, once, in the order of their first occurrence.
    pub fn tokens(&self) -> &[Occurrence] {
        &self.tokens
    }

    /// The last token of the text, if this history has seen it.
    pub fn last(&self) -> Option<u32> {
        self.last
    }

    fn entry(&mut self, id: u32) -> &mut Occurrence {
        self.last = Some(id);
        let at = *self.place.entry(id).or_insert(self.tokens.len());
        if at == self.tokens.len() {
            self.tokens.push(Occurrence { id, read: 0, drawn: 0 });
        }
        &mut self.tokens[at]
    }
}

/// A change of the logits before a token is chosen from them.
///
/// To forbid a token, set its logit to −∞. NaN and +∞ are refused when the token is chosen, as is a vocabulary of −∞.
///
/// # Examples
/// A rule that ends a text when the same token comes twice:
/// ```
/// use models::generation::{History, LogitsProcessor, Sampler, Sampling};
///
/// struct NoStutter { end: u32 }
///
/// impl LogitsProcessor for NoStutter {
///     fn process(&mut self, logits: &mut [f32], history: &History) -> models::error::Result<()> {
///         if let Some(last) = history.last() {
///             let again = std::mem::replace(&mut logits[last as usize], f32::NEG_INFINITY);
///             logits[self.end as usize] = logits[self.end as usize].max(again);
///         }
///         Ok(())
///     }
/// }
///
/// let mut sampler = Sampler::new(Sampling::greedy())?;
/// sampler.add(NoStutter { end: 0 });
/// let logits = [0.5, 3.0, 1.0];
/// assert_eq!(sampler.sample(&logits, &History::default())?, 1);
/// assert_eq!(sampler.sample(&logits, &History::from_prompt(&[1]))?, 0);
/// # Ok::<(), models::ModelError>(())
/// ```
pub trait LogitsProcessor: Send {
    /// Changes `logits`, one per token of the vocabulary, for the position that follows `history`.
    ///
    /// # Errors
    /// Whatever makes a choice impossible.
    fn process(&mut self, logits: &mut [f32], history: &History) -> Result<()>;
}

/// Adds a number to the logits of some tokens; −∞ forbids one.
#[derive(Debug, Clone, PartialEq)]
pub struct LogitBias(Vec<(u32, f64)>);

impl LogitBias {
    /// Of tokens and what is added.
    ///
    /// # Errors
    /// A bias that is NaN or +∞.
    pub fn new(biases: Vec<(u32, f64)>) -> Result<Self> {
        match biases.iter().find(|(_, bias)| bias.is_nan() || *bias == f64::INFINITY) {
            None => Ok(Self(biases)),
            Some((id, bias)) => Err(ModelError::value(
                "logit bias",
                "a finite number, or -inf to forbid a token",
                format!("{bias} for token {id}"),
                "-100 is in effect never and 100 always",
            )),
        }
    }
}

impl LogitsProcessor for LogitBias {
    fn process(&mut self, logits: &mut [f32], _: &History) -> Result<()> {
        let vocab = logits.len();
        for (id, bias) in &self.0 {
            let Some(logit) = logits.get_mut(*id as usize) else {
                return Err(ModelError::value(
                    "logit bias",
                    format!("a token of the vocabulary of {vocab}"),
                    format!("token {id}"),
                    "use ids of the model's tokenizer",
                ));
            };
            *logit = (f64::from(*logit) + bias) as f32;
        }
        Ok(())
    }
}

/// Divides positive and multiplies negative logits of tokens that occurred, each once however often it did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RepetitionPenalty(pub f64);

impl LogitsProcessor for RepetitionPenalty {
    fn process(&mut self, logits: &mut [f32], history: &History) -> Result<()> {
        for token in history.tokens() {
            if let Some(logit) = logits.get_mut(token.id as usize) {
                let old = f64::from(*logit);
                *logit = (if old > 0.0 { old / self.0 } else { old * self.0 }) as f32;
            }
        }
        Ok(())
    }
}

/// Takes from the logit of a token a number for each time that it was drawn, and another once if it was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Penalties {
    /// For each time.
    pub frequency: f64,
    /// Once.
    pub presence: f64,
}

impl LogitsProcessor for Penalties {
    fn process(&mut self, logits: &mut [f32], history: &History) -> Result<()> {
        for token in history.tokens().iter().filter(|token| token.drawn > 0) {
            if let Some(logit) = logits.get_mut(token.id as usize) {
                let less = self.frequency * f64::from(token.drawn) + self.presence;
                *logit = (f64::from(*logit) - less) as f32;
            }
        }
        Ok(())
    }
}
