//! How well a model predicts a text: nats per token, perplexity, bits per byte.
//!
//! Every token but the first is predicted from *all* tokens before it. The text runs through the whole-sequence
//! graph in windows, and the recurrent state is carried from window to window, so the window's length decides speed
//! and memory and not the result; the strided re-reading that models with a bounded context need has no use here.
//! Logits are at most [`LOGITS`] numbers at a time, whatever the length of the text.
//!
//! Bits per byte, Σ nats / (ln 2 · bytes), compares models with different tokenizers.

use crate::error::{check_tokens, fault};
use crate::loaded::Loaded;
use crate::stream::{Runner, Want};
use anyhow::Result;
use axes::DType;
use engine::{Tensor, pool::Pool};
use models::forms::{CacheType, Form};
use models::tokenizer::Tokenizer;
use serde::Serialize;
use std::sync::Arc;

/// Logits that are held at once: 64 MiB of f32.
pub const LOGITS: usize = 1 << 24;

/// A text as a model reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// Bytes of text that the predicted tokens spell (all but the first token).
    pub bytes: usize,
}

/// The measurement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Perplexity {
    /// Mean bits per byte of text.
    pub bits_per_byte: f64,
    /// Mean negative log likelihood of a token.
    pub nats_per_token: f64,
    /// e to that power.
    pub perplexity: f64,
    /// Tokens of the text.
    pub tokens: usize,
    /// Tokens that were predicted.
    pub predicted: usize,
    /// Bytes that those spell.
    pub bytes: usize,
    /// Tokens per window.
    pub window: usize,
}

/// Reads a text with a tokenizer; one that begins texts with a special token lets the first word be predicted too.
///
/// # Errors
/// An empty text, or bytes that the tokenizer does not take.
pub fn read(tokenizer: &Tokenizer, text: &[u8]) -> Result<Text> {
    let plain = tokenizer.encode_bytes(text)?;
    let mut tokens = vec![];
    if let (false, Ok(text)) = (tokenizer.is_bytes(), std::str::from_utf8(text)) {
        let prompt = tokenizer.encode_prompt(text)?;
        // What the tokenizer puts before the text; a token that it puts after is no part of the text.
        let extra = prompt.len().saturating_sub(plain.len());
        let leading = (0..=extra).find(|at| prompt[*at..].starts_with(&plain)).unwrap_or(0);
        tokens.extend_from_slice(&prompt[..leading]);
    }
    let unpredicted = match plain.first() {
        Some(_) if tokenizer.is_bytes() => 1,
        Some(first) if tokens.is_empty() => tokenizer.decode(&[*first]).len(),
        _ => 0,
    };
    tokens.extend_from_slice(&plain);
    if tokens.len() < 2 {
        let found = if text.is_empty() { "the text is empty" } else { "the text is a single token" };
        return fault(found, "give a text of at least two tokens: each is predicted from those before it");
    }
    Ok(Text { tokens, bytes: text.len().saturating_sub(unpredicted).max(1) })
}

/// Measures a text; `progress` hears how many tokens have been predicted.
///
/// # Arguments
/// * `window`: tokens per run of the graph; cut so that the logits stay within [`LOGITS`].
///
/// # Errors
/// A text of fewer than two tokens, a window of none, or a token id outside the vocabulary.
pub fn measure(
    model: &mut Loaded,
    text: &Text,
    window: usize,
    pool: &Arc<Pool>,
    progress: &mut dyn FnMut(usize),
) -> Result<Perplexity> {
    let vocab = model.config.vocab_size();
    check_tokens(&text.tokens, vocab, "the text")?;
    let total = text.tokens.len().saturating_sub(1);
    if total == 0 {
        return fault("there is no token to predict", "give a text of at least two tokens");
    }
    if window == 0 {
        return fault("a window of 0 tokens", "give a window of at least one token, such as 1024");
    }
    let window = window.min((LOGITS / vocab).max(1)).min(total);
    model.prepare(pool)?;
    let mut run = Windows::new(model, pool);
    let (mut nats, mut at) = (0.0, 0);
    while at < total {
        let n = window.min(total - at);
        let logits = run.next(&text.tokens[at..at + n])?;
        for (row, next) in logits.chunks(vocab).zip(&text.tokens[at + 1..]) {
            nats += negative_log_likelihood(row, *next);
        }
        at += n;
        progress(at);
    }
    let nats_per_token = nats / total as f64;
    Ok(Perplexity {
        bits_per_byte: nats / std::f64::consts::LN_2 / text.bytes as f64,
        nats_per_token,
        perplexity: nats_per_token.exp(),
        tokens: text.tokens.len(),
        predicted: total,
        bytes: text.bytes,
        window,
    })
}

/// −ln softmax(logits)\[token\], the sum in f64.
fn negative_log_likelihood(logits: &[f32], token: u32) -> f64 {
    let peak = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = logits.iter().map(|x| f64::from(x - peak).exp()).sum();
    total.ln() + f64::from(peak) - f64::from(logits[token as usize])
}

/// The whole-sequence graph on consecutive windows of one text.
struct Windows<'a> {
    runner: Runner<'a>,
    vocab: usize,
    logits: Tensor,
}

impl<'a> Windows<'a> {
    fn new(model: &'a Loaded, pool: &'a Arc<Pool>) -> Windows<'a> {
        let runner = Runner::new(model, 1, Form::Prepared, CacheType::F32, pool);
        Windows { runner, vocab: model.config.vocab_size(), logits: Tensor::zeros(DType::F32, [0]) }
    }

    /// Logits (n, V) after each of n tokens.
    fn next(&mut self, tokens: &[u32]) -> Result<&[f32]> {
        let shape = [1, tokens.len(), self.vocab];
        if self.logits.shape() != shape {
            self.logits = Tensor::zeros(DType::F32, shape);
        }
        let ids: Vec<i64> = tokens.iter().map(|t| i64::from(*t)).collect();
        self.runner.run(&ids, Want::All, Some(&mut self.logits))?;
        Ok(self.logits.f32())
    }
}
