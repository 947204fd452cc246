//! Choosing the next token from logits, and when to stop.
//!
//! A [`Sampler`] does these things to the logits `l` of a position, in this order; what an option at its default leaves
//! alone is skipped. With c(i) the number of times that token i was drawn, T the temperature, p = softmax(l / T):
//!
//! | step | formula | source |
//! |---|---|---|
//! | logit bias | l(i) ← l(i) + b(i) | the `logit_bias` of chat services |
//! | repetition penalty θ | of tokens read or drawn: l ← l / θ if l > 0, else l · θ | Keskar et al. 2019, <https://arxiv.org/abs/1909.05858> |
//! | frequency penalty f, presence penalty q | l(i) ← l(i) − f c(i) − q [c(i) > 0] | the `frequency_penalty` and `presence_penalty` of chat services |
//! | own processors | [`LogitsProcessor`], in the order in which they were added | |
//! | temperature | l / T; T = 0 takes the most likely token and ends here | |
//! | top-k | the k most likely | Fan et al. 2018, <https://arxiv.org/abs/1805.04833> |
//! | top-p | the fewest most likely whose p, of those that are left, add up to P | Holtzman et al. 2020, <https://arxiv.org/abs/1904.09751> |
//! | min-p | those of p ≥ M · max p | Nguyen et al. 2024, <https://arxiv.org/abs/2407.01082> |
//! | typical-p | the fewest whose p add up to Y, nearest first by \|−ln p − H\|, H the entropy of what is left | Meister et al. 2022, <https://arxiv.org/abs/2202.00666> |
//! | draw | one uniform number | |
//!
//! The order of the cuts is that of `transformers`; penalties count as `vllm` counts: repetition over the whole text, the
//! others over what was drawn. Weights are f64 made by arithmetic alone, with an exponential of our own, and ties go to
//! the lower id, so a seed gives the same text on every machine that computes the same logits.
//!
//! Nothing sorts a vocabulary (`select.rs` says how the best are found). Of 128,256 logits, on one core of a server of
//! 2024: greedy 35 µs, top-k 50 25 µs, min-p 50 µs, top-p 0.35 ms and a plain draw 0.5 ms, which need the sum over all;
//! `cargo bench -p models --bench sampling` measures it.

mod processors;
mod sampler;
mod select;
mod stop;

pub use processors::{History, LogitBias, LogitsProcessor, Occurrence, Penalties, RepetitionPenalty};
pub use sampler::{Sampler, Sampling};
pub use select::greedy;
pub use stop::{Checked, StopStrings};

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// The model produced an end token, or the text a stop string.
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
