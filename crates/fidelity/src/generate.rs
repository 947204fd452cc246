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
use models::forms::{CacheType, Form};
use models::generation::{FinishReason, History, LogitsProcessor, Sampler, Sampling, StopRule, StopStrings};
use models::rng::Rng;
use models::tokenizer::{StreamDecoder, Tokenizer};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How tokens are drawn, and when a turn ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// How the next token is chosen.
    pub sampling: Sampling,
    /// New tokens of a turn at most.
    pub max_tokens: usize,
    /// Go on past the model's end tokens.
    pub ignore_eos: bool,
    /// Texts that end a turn, and are no part of it; [`TextOut`] looks for them.
    pub stop: Vec<String>,
    /// How a model with caches keeps keys and values. [`CacheType::I8`] takes a quarter of the memory and of the bytes that
    /// a token reads back; its rounding, one scale a token and head, changes the logits a little. [`CacheType::F32`] has
    /// the logits of `fidelity eval`. Other models do not ask.
    pub cache: CacheType,
}

impl Default for Options {
    /// 128 tokens from the model's own distribution, keys and values as int8.
    fn default() -> Options {
        Options {
            sampling: Sampling::default(),
            max_tokens: 128,
            ignore_eos: false,
            stop: vec![],
            cache: CacheType::I8,
        }
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
    history: History,
    /// Tokens read and drawn.
    position: u64,
    /// Drawn, and not yet in the state.
    pending: Option<u32>,
}

impl<'a> Generator<'a> {
    /// A generator at the start of a text. Trits are computed from the master weights at the first call.
    ///
    /// # Errors
    /// A sampling option outside its range, or a model that cannot be planned.
    pub fn new(model: &'a mut Loaded, options: &Options, pool: &Arc<Pool>) -> Result<Generator<'a>> {
        let sampler = Sampler::new(options.sampling.clone())?;
        let vocab = model.config.vocab_size();
        let end_tokens = if options.ignore_eos { vec![] } else { model.config.eos_token_id().to_vec() };
        let stop = StopRule { end_tokens, max_tokens: options.max_tokens };
        let stream = model.stream_with(1, Form::Prepared, options.cache, pool)?;
        Ok(Generator {
            stream,
            sampler,
            stop,
            vocab,
            history: History::default(),
            position: 0,
            pending: None,
        })
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
        tokens.iter().for_each(|token| self.history.read(*token));
        self.position += tokens.len() as u64;
        Ok(())
    }

    /// Adds a processor of logits behind those that the options ask for. What it remembers is not part of a snapshot.
    pub fn add_processor(&mut self, processor: impl LogitsProcessor + 'static) {
        self.sampler.add(processor);
    }

    /// Draws tokens until the stop rule says so; `each` sees every token but the end token.
    ///
    /// # Errors
    /// When nothing has been fed, when the logits are no numbers, and whatever `each` returns.
    pub fn generate(&mut self, each: &mut dyn FnMut(u32) -> Result<()>) -> Result<Turn> {
        self.generate_while(&mut |token| each(token).map(|()| true))
    }

    /// As [`Generator::generate`], and `each` says whether to go on; where it does not, the turn has found its end.
    ///
    /// # Errors
    /// Those of [`Generator::generate`].
    pub fn generate_while(&mut self, each: &mut dyn FnMut(u32) -> Result<bool>) -> Result<Turn> {
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
            let token = self.sampler.sample(self.stream.logits(), &self.history)?;
            self.history.drew(token);
            self.position += 1;
            self.pending = Some(token);
            tokens.push(token);
            let mut ended = self.stop.after(token, tokens.len());
            if ended != Some(FinishReason::Stop) && !each(token)? {
                ended = Some(FinishReason::Stop);
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
        self.history = History::default();
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
            sampling: self.sampler.options().clone(),
            random: self.sampler.rng().state(),
            seen: self.history.tokens().to_vec(),
            logits: self.stream.logits().to_vec(),
            cache: self.stream.cache(),
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
        snapshot.check(self.stream.model(), self.stream.cache(), &self.stream.state_sizes(read))?;
        self.stream.restore(read, &snapshot.states, &snapshot.logits);
        if !reseed {
            self.sampler.set_rng(Rng::from_state(snapshot.random));
        }
        self.history = History::from_counts(snapshot.seen.iter().copied());
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
    let mut out = TextOut::new(tokenizer.as_ref(), options)?;
    let mut generator = Generator::new(model, options, pool)?;
    generator.feed(&tokens)?;
    let mut text = String::new();
    generator.generate_while(&mut |token| {
        text += &out.push(token);
        Ok(!out.stopped())
    })?;
    text += &out.finish();
    Ok(text)
}

/// Tokens as text, as it becomes certain: no half characters, and nothing that may be the beginning of a stop string.
///
/// ```
/// use fidelity::generate::{Options, TextOut};
/// let bytes = models::tokenizer::Tokenizer::bytes();
/// let mut out = TextOut::new(Some(&bytes), &Options { stop: vec!["END".into()], ..Options::default() })?;
/// let shown: Vec<String> = b"to the END.".iter().map(|byte| out.push(u32::from(*byte))).collect();
/// assert_eq!((shown.concat().as_str(), out.stopped()), ("to the ", true));
/// # Ok::<(), anyhow::Error>(())
/// ```
pub struct TextOut<'a> {
    decoder: Option<StreamDecoder<'a>>,
    stop: StopStrings,
    stopped: bool,
    first: bool,
}

impl<'a> TextOut<'a> {
    /// Text of a turn. Without a tokenizer it is the ids, with spaces between.
    ///
    /// # Errors
    /// Stop strings that are empty, or that no tokenizer could make.
    pub fn new(tokenizer: Option<&'a Tokenizer>, options: &Options) -> Result<TextOut<'a>> {
        if tokenizer.is_none() && !options.stop.is_empty() {
            return fault(
                "a stop string is a text, and the model's folder has no tokenizer.json to make text with",
                "put its tokenizer.json into the folder, or leave the stop strings out",
            );
        }
        let stop = StopStrings::new(options.stop.clone())?;
        Ok(TextOut { decoder: tokenizer.map(Tokenizer::stream), stop, stopped: false, first: true })
    }

    /// Takes a token; the text that is certain now.
    pub fn push(&mut self, token: u32) -> String {
        let piece = match &mut self.decoder {
            Some(decoder) => decoder.push(token),
            None if self.first => token.to_string(),
            None => format!(" {token}"),
        };
        self.first = false;
        self.checked(&piece)
    }

    /// Whether a stop string is complete.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// What was held back, at the end of a turn.
    pub fn finish(mut self) -> String {
        let rest = self.decoder.take().map(StreamDecoder::finish).unwrap_or_default();
        let mut text = self.checked(&rest);
        if !self.stopped {
            text += &self.stop.finish();
        }
        text
    }

    fn checked(&mut self, piece: &str) -> String {
        if self.stopped {
            return String::new();
        }
        let checked = self.stop.push(piece);
        self.stopped = checked.stopped;
        checked.text
    }
}
