//! Text from a model, token by token, with a state of constant size.
//!
//! A [`Generator`] is fed a prompt and then draws tokens; both go through the streaming step on prepared trits, so a
//! token costs the same at any position, in the same memory; prompts are read in chunks ([`Stream::feed`]). It can be fed again after it has stopped: a conversation is one long text.
//!
//! The end token that stops a turn counts as a token and is not shown; it enters the state when the next turn begins.

use crate::error::{check_tokens, fault};
use crate::loaded::{Loaded, Stream};
use crate::state::{Snapshot, fingerprint};
use anyhow::Result;
use engine::pool::Pool;
use models::forms::Form;
use models::generation::{FinishReason, Sampler, Sampling, StopRule};
use models::rng::Rng;
use models::tokenizer::Tokenizer;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How tokens are drawn, and when a turn ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// How the next token is chosen.
    pub sampling: Sampling,
    /// New tokens of a turn at most.
    pub max_tokens: usize,
    /// Go on past the model's end tokens.
    pub ignore_eos: bool,
}

impl Default for Options {
    /// 128 tokens from the model's own distribution.
    fn default() -> Options {
        Options { sampling: Sampling::default(), max_tokens: 128, ignore_eos: false }
    }
}

/// What a turn gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// The new tokens, the end token included.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub finish: FinishReason,
    /// Time spent on them.
    pub time: Duration,
}

/// A model that goes on with a text.
///
/// ```no_run
/// use engine::pool::Pool;
/// use fidelity::{generate::{Generator, Options}, loaded::Loaded};
/// let pool = Pool::single().into();
/// let mut model = Loaded::open("model")?;
/// let mut generator = Generator::new(&mut model, &Options::default(), &pool)?;
/// generator.feed(&[72, 105])?;
/// let turn = generator.generate(&mut |token| Ok(println!("{token}")))?;
/// println!("{} tokens, {}", turn.tokens.len(), turn.finish.name());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Generator<'a> {
    stream: Stream<'a>,
    sampler: Sampler,
    stop: StopRule,
    vocab: usize,
    seen: Seen,
    /// Tokens read and drawn.
    position: u64,
    /// Drawn, and not yet in the state.
    pending: Option<u32>,
}

/// The tokens that occurred, once each: all that a repetition penalty asks of the past, in bounded memory.
struct Seen {
    ids: Vec<u32>,
    known: Vec<bool>,
}

impl Seen {
    fn new(vocab: usize) -> Seen {
        Seen { ids: vec![], known: vec![false; vocab] }
    }

    fn add(&mut self, token: u32) {
        if let Some(known) = self.known.get_mut(token as usize)
            && !std::mem::replace(known, true)
        {
            self.ids.push(token);
        }
    }
}

impl<'a> Generator<'a> {
    /// A generator at the start of a text. Trits are computed from the master weights at the first call.
    ///
    /// # Errors
    /// A sampling option outside its range, or a model that cannot be planned.
    pub fn new(model: &'a mut Loaded, options: &Options, pool: &Arc<Pool>) -> Result<Generator<'a>> {
        let sampler = Sampler::new(options.sampling)?;
        let vocab = model.config.vocab_size();
        let end_tokens = if options.ignore_eos { vec![] } else { model.config.eos_token_id().to_vec() };
        let stop = StopRule { end_tokens, max_tokens: options.max_tokens };
        let stream = model.stream(1, Form::Prepared, pool)?;
        Ok(Generator { stream, sampler, stop, vocab, seen: Seen::new(vocab), position: 0, pending: None })
    }

    /// Reads tokens without drawing any.
    ///
    /// # Errors
    /// A token id outside the vocabulary; nothing has been read then.
    pub fn feed(&mut self, tokens: &[u32]) -> Result<()> {
        check_tokens(tokens, self.vocab, "the prompt")?;
        if tokens.is_empty() {
            return Ok(());
        }
        self.settle()?;
        self.stream.feed(tokens)?;
        tokens.iter().for_each(|token| self.seen.add(*token));
        self.position += tokens.len() as u64;
        Ok(())
    }

    /// Draws tokens until the stop rule says so; `each` sees every token but the end token.
    ///
    /// # Errors
    /// When nothing has been fed, when the logits are no numbers, and whatever `each` returns.
    pub fn generate(&mut self, each: &mut dyn FnMut(u32) -> Result<()>) -> Result<Turn> {
        if self.position == 0 {
            return fault(
                "there is nothing to go on from: the prompt is empty",
                "feed at least one token first",
            );
        }
        let started = Instant::now();
        let mut tokens = vec![];
        let mut finish = FinishReason::Length;
        while tokens.len() < self.stop.max_tokens {
            self.settle()?;
            let token = self.sampler.sample(self.stream.logits(), &self.seen.ids)?;
            self.seen.add(token);
            self.position += 1;
            self.pending = Some(token);
            tokens.push(token);
            let ended = self.stop.after(token, tokens.len());
            if ended != Some(FinishReason::Stop) {
                each(token)?;
            }
            if let Some(reason) = ended {
                finish = reason;
                break;
            }
        }
        Ok(Turn { tokens, finish, time: started.elapsed() })
    }

    /// Back to the start of a text; the random state goes on.
    pub fn reset(&mut self) {
        self.stream.reset();
        self.seen = Seen::new(self.vocab);
        self.position = 0;
        self.pending = None;
    }

    /// Tokens read and drawn so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// All that the next tokens depend on, to go on from later.
    ///
    /// # Errors
    /// None for a generator that exists.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot {
            model: fingerprint(self.stream.model())?,
            position: self.position,
            pending: self.pending,
            sampling: *self.sampler.options(),
            random: self.sampler.rng().state(),
            seen: self.seen.ids.clone(),
            logits: self.stream.logits().to_vec(),
            states: self.stream.states(),
        })
    }

    /// Goes on where a snapshot was taken. Options for sampling stay those of this generator; its random state becomes
    /// the snapshot's, unless `reseed` keeps the one of its seed.
    ///
    /// # Errors
    /// A snapshot of another model, or one that this model cannot have left; the generator is then unchanged.
    pub fn restore(&mut self, snapshot: &Snapshot, reseed: bool) -> Result<()> {
        // The last token that was drawn is not in the state.
        let read = usize::try_from(snapshot.position).unwrap_or(usize::MAX);
        let read = read.saturating_sub(usize::from(snapshot.pending.is_some()));
        snapshot.check(self.stream.model(), &self.stream.state_sizes(read))?;
        self.stream.restore(read, &snapshot.states, &snapshot.logits);
        if !reseed {
            self.sampler = Sampler::resume(*self.sampler.options(), Rng::from_state(snapshot.random))?;
        }
        self.seen = Seen::new(self.vocab);
        snapshot.seen.iter().for_each(|token| self.seen.add(*token));
        (self.position, self.pending) = (snapshot.position, snapshot.pending);
        Ok(())
    }

    /// Bytes of the state, which no text makes longer, but for caches of keys and values.
    pub fn state_bytes(&self) -> usize {
        self.stream.state_bytes()
    }

    /// Puts the last drawn token into the state.
    fn settle(&mut self) -> Result<()> {
        if let Some(token) = self.pending.take() {
            self.stream.step(&[token])?;
        }
        Ok(())
    }
}

/// Token ids of a prompt; one that is empty begins with the token that begins a text (`bos_token_id`).
///
/// # Errors
/// A folder without tokenizer, bytes that its tokenizer does not take, or nothing to begin with.
pub fn prompt_tokens(tokenizer: Option<&Tokenizer>, bos: Option<u32>, text: &[u8]) -> Result<Vec<u32>> {
    let mut tokens = match tokenizer {
        _ if text.is_empty() => vec![],
        Some(tokenizer) => encode(tokenizer, text)?,
        None => {
            return fault(
                "the model's folder has no tokenizer.json, so a text cannot be read",
                "put its tokenizer.json into the folder, or give token ids with `--tokens 1,2,3`",
            );
        }
    };
    if tokens.is_empty() {
        tokens.extend(bos);
    }
    if tokens.is_empty() {
        return fault(
            "the prompt is empty, and this model has no token that begins a text (`bos_token_id`)",
            "give a PROMPT, `--text-file FILE` or `--tokens 1,2,3`",
        );
    }
    Ok(tokens)
}

/// Bytes as a prompt: any for the byte-level tokenizer, UTF-8 with the tokenizer's special tokens for the others.
fn encode(tokenizer: &Tokenizer, text: &[u8]) -> Result<Vec<u32>> {
    Ok(match std::str::from_utf8(text) {
        Ok(text) if !tokenizer.is_bytes() => tokenizer.encode_prompt(text)?,
        _ => tokenizer.encode_bytes(text)?,
    })
}

/// Goes on with a text and returns what is new: the form that a training run's samples use.
///
/// # Errors
/// Those of [`prompt_tokens`] and [`Generator`].
pub fn complete(model: &mut Loaded, prompt: &str, options: &Options, pool: &Arc<Pool>) -> Result<String> {
    let tokenizer = model.tokenizer.clone();
    let tokens = prompt_tokens(tokenizer.as_ref(), model.config.bos_token_id(), prompt.as_bytes())?;
    let mut generator = Generator::new(model, options, pool)?;
    generator.feed(&tokens)?;
    let mut shown = vec![];
    generator.generate(&mut |token| {
        shown.push(token);
        Ok(())
    })?;
    Ok(tokenizer.map_or_else(
        || shown.iter().map(u32::to_string).collect::<Vec<_>>().join(" "),
        |tokenizer| tokenizer.decode(&shown),
    ))
}
