//! `fidelity generate`: a text goes on, token by token.

use super::common::{self, Placement, Runs, Threads};
use super::{interactive, print};
use anyhow::Result;
use fidelity::chat;
use fidelity::error::Fault;
use fidelity::generate::{Generator, Options, TextOut, Turn, prompt_tokens};
use fidelity::state::Snapshot;
use models::forms::CacheType;
use models::generation::Sampling;
use models::tokenizer::Tokenizer;
use serde_json::json;
use std::path::PathBuf;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub(super) const EXAMPLES: &str = "\
Without a prompt the text begins with the model's first token (`bos_token_id`), if it has
one. Without a seed one is chosen and told on standard error.

The order: --logit-bias, penalties, --temperature, --top-k, --top-p, --min-p, --typical-p,
then one draw. --greedy takes the most likely token after biases and penalties.

Examples:
  fidelity generate MODEL \"The state of the art\" --max-tokens 100
  fidelity generate MODEL --text-file prompt.txt --temperature 0.8 --top-p 0.95 --seed 7
  fidelity generate MODEL --tokens 1,2,3 --greedy --ignore-eos --json
  fidelity generate MODEL \"Q: why? A:\" --stop \"\\nQ:\" --min-p 0.05 --repetition-penalty 1.1
  fidelity generate MODEL \"Once\" --logit-bias 13=-inf,42=2.5
  fidelity generate model.gguf --chat \"Why is the sky blue?\" --system \"Be brief.\"
  fidelity generate MODEL --interactive
  fidelity generate model.fid \"Once\" --max-tokens 50 --save-state once.state
  fidelity generate model.fid --load-state once.state --max-tokens 50
  echo \"Once upon a time\" | fidelity generate MODEL --text-file -";

#[derive(clap::Args)]
pub(super) struct Args {
    /// Folder of the model, a bundle (.fid) or a GGUF file
    model: PathBuf,
    /// The text to go on with
    #[arg(conflicts_with_all = ["tokens", "text_file"])]
    prompt: Option<String>,
    /// The text to go on with as token ids; needs no tokenizer
    #[arg(long, value_name = "IDS", value_delimiter = ',', conflicts_with = "text_file")]
    tokens: Vec<u32>,
    /// The file that holds the text to go on with; - is standard input
    #[arg(long, value_name = "FILE")]
    text_file: Option<PathBuf>,
    /// A message, put into the model's chat template: the model answers instead of going on
    #[arg(long, value_name = "MESSAGE", conflicts_with_all = ["prompt", "tokens", "text_file", "interactive"])]
    chat: Option<String>,
    /// What the model is told before the message
    #[arg(long, value_name = "TEXT", requires = "chat")]
    system: Option<String>,
    /// New tokens at most
    #[arg(long, value_name = "N", default_value_t = 128)]
    max_tokens: usize,
    /// The most likely token every time
    #[arg(long, conflicts_with_all = ["temperature", "top_p", "top_k", "min_p", "typical_p"])]
    greedy: bool,
    /// Below 1 the likely tokens become likelier, above 1 the others; 0 is greedy [default: 1]
    #[arg(long, value_name = "X")]
    temperature: Option<f64>,
    /// Only the most likely tokens that together reach this probability; 1: all [default: 1]
    #[arg(long, value_name = "P")]
    top_p: Option<f64>,
    /// Only the K most likely tokens; 0: all [default: 0]
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Only tokens of at least this share of the likeliest one's probability; 0: all [default: 0]
    #[arg(long, value_name = "P")]
    min_p: Option<f64>,
    /// Only the most typical tokens that together reach this probability; 1: all [default: 1]
    #[arg(long, value_name = "P")]
    typical_p: Option<f64>,
    /// Above 1, tokens that occurred become less likely; 1: off [default: 1]
    #[arg(long, value_name = "X")]
    repetition_penalty: Option<f64>,
    /// Taken from a token's logit for each time that it was drawn; 0: off [default: 0]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    frequency_penalty: Option<f64>,
    /// Taken from a token's logit once it was drawn; 0: off [default: 0]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    presence_penalty: Option<f64>,
    /// Added to a token's logit; -inf forbids the token. Several with commas, or given again
    #[arg(long, value_name = "ID=B", value_delimiter = ',', value_parser = parse_bias)]
    logit_bias: Vec<(u32, f64)>,
    /// End where this text appears, and show nothing of it; may be given again. \n, \t and \\ are
    /// a line feed, a tab and a backslash
    #[arg(long, value_name = "TEXT", value_parser = parse_stop)]
    stop: Vec<String>,
    /// Seed of the draws: the same seed gives the same text
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Go on past the model's end token
    #[arg(long)]
    ignore_eos: bool,
    /// Write the state after the last token: a file of constant size, to go on from with --load-state
    #[arg(long, value_name = "FILE", conflicts_with = "interactive")]
    save_state: Option<PathBuf>,
    /// Go on from a state of this model as if nothing had happened; its sampling options hold unless given again, and a
    /// --seed draws anew. A prompt is read after the state
    #[arg(long, value_name = "FILE", conflicts_with = "interactive")]
    load_state: Option<PathBuf>,
    /// Print prompt_tokens, tokens, text and finish_reason as one JSON value
    #[arg(long)]
    json: bool,
    /// Read lines from standard input and answer each; the state stays between them. /reset forgets, /quit ends
    #[arg(long, conflicts_with_all = ["json", "tokens"])]
    interactive: bool,
    /// Cache keys and values as int8 or f32; for models of attention. int8 takes a quarter of the memory and rounds: one
    /// scale for each token and head. f32 gives the logits of `fidelity eval`. A loaded state says which
    /// [default: int8]
    #[arg(long, value_name = "TYPE", value_parser = str::parse::<CacheType>)]
    kv: Option<CacheType>,
    #[command(flatten)]
    placement: Placement,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    runs: Runs,
}

impl Args {
    /// What was given, then what a loaded state says, then the defaults.
    fn options(&self, loaded: Option<&Snapshot>) -> Options {
        let chosen = || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            // Short enough to be typed again.
            u64::from(now.subsec_nanos() ^ now.as_secs() as u32)
        };
        let base = loaded.map_or_else(Sampling::default, |snapshot| snapshot.sampling.clone());
        let greedy = self.greedy.then_some(0.0);
        let sampling = Sampling {
            temperature: greedy.or(self.temperature).unwrap_or(base.temperature),
            top_k: self.top_k.unwrap_or(base.top_k),
            top_p: self.top_p.unwrap_or(base.top_p),
            min_p: self.min_p.unwrap_or(base.min_p),
            typical_p: self.typical_p.unwrap_or(base.typical_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(base.repetition_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(base.frequency_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(base.presence_penalty),
            logit_bias: match self.logit_bias.as_slice() {
                [] => base.logit_bias,
                given => given.to_vec(),
            },
            seed: self.seed.unwrap_or_else(|| loaded.map_or_else(chosen, |snapshot| snapshot.sampling.seed)),
        };
        Options {
            sampling,
            max_tokens: self.max_tokens,
            ignore_eos: self.ignore_eos,
            stop: self.stop.clone(),
            cache: self.kv.or(loaded.and_then(|snapshot| snapshot.cache)).unwrap_or(CacheType::I8),
        }
    }

    /// The bytes of the prompt, if one was given.
    fn text(&self) -> Result<Option<Vec<u8>>> {
        Ok(match (&self.prompt, &self.text_file) {
            (Some(text), _) => Some(text.clone().into_bytes()),
            (None, Some(path)) => Some(common::read_text(path)?),
            (None, None) => None,
        })
    }
}

pub(super) fn run(args: &Args) -> Result<()> {
    let text = args.text()?;
    let mut model = args.placement.open(&args.model)?;
    let tokenizer = model.tokenizer.clone();
    let bos = model.config.bos_token_id();
    let loaded = args.load_state.as_deref().map(Snapshot::read).transpose()?;
    if let Some(path) = &args.save_state {
        common::check_output(path)?;
    }
    let options = args.options(loaded.as_ref());
    let pool = args.runs.pool(&args.threads)?;
    if args.interactive {
        let Some(tokenizer) = tokenizer else {
            let cause =
                format!("{}: there is no tokenizer.json, so lines cannot be read", args.model.display());
            let remedy =
                "put the model's tokenizer.json into the folder, or use --tokens without --interactive";
            return Err(Fault::new(cause, remedy).into());
        };
        let generator = Generator::new(&mut model, &options, &pool)?;
        return interactive::Chat::new(generator, tokenizer, bos, options).run(text);
    }
    let prompt = match args.tokens.as_slice() {
        [] if args.chat.is_some() => {
            let messages = chat::question(args.system.as_deref(), args.chat.as_deref().unwrap_or_default());
            chat::prompt(&args.model, &model, &messages)?
        }
        [] if loaded.is_some() => more(tokenizer.as_ref(), text)?,
        [] => prompt_tokens(tokenizer.as_ref(), bos, text.as_deref().unwrap_or_default())?,
        tokens => tokens.to_vec(),
    };
    let mut shown = Shown::new(tokenizer.as_ref(), &options, !args.json)?;
    let mut generator = Generator::new(&mut model, &options, &pool)?;
    if let Some(snapshot) = &loaded {
        generator.restore(snapshot, args.seed.is_some())?;
    }
    let started = Instant::now();
    generator.feed(&prompt)?;
    let prefill = started.elapsed().as_secs_f64();
    let turn = generator.generate_while(&mut |token| shown.token(token))?;
    let text = shown.finish()?;
    if let Some(path) = &args.save_state {
        generator.snapshot()?.write(path)?;
    }
    if args.json {
        return print::json(&json!({
            "prompt_tokens": prompt,
            "tokens": turn.tokens,
            "text": text,
            "finish_reason": turn.finish.name(),
        }));
    }
    print::text("\n")?;
    print::note(&format!("prompt {} tokens in {prefill:.2} s, {}", prompt.len(), told(&turn, &options)));
    if let Some(path) = &args.save_state {
        print::note(&format!("state after {} tokens saved to {}", generator.position(), path.display()));
    }
    Ok(())
}

/// Token ids of a text that follows another: nothing is put before it, and there may be none.
fn more(tokenizer: Option<&Tokenizer>, text: Option<Vec<u8>>) -> Result<Vec<u32>> {
    match (text, tokenizer) {
        (None, _) => Ok(vec![]),
        (Some(text), Some(tokenizer)) => Ok(tokenizer.encode_bytes(&text)?),
        // Says what is missing.
        (Some(text), None) => prompt_tokens(None, None, &text),
    }
}

/// A line about a turn.
pub(super) fn told(turn: &Turn, options: &Options) -> String {
    let seconds = turn.time.as_secs_f64();
    let speed = turn.tokens.len() as f64 / seconds.max(1e-9);
    let count = turn.tokens.len();
    let mut line =
        format!("{count} new tokens in {seconds:.2} s ({speed:.0} tokens/s), {}", turn.finish.name());
    if options.sampling.temperature > 0.0 {
        line += &format!(", seed {}", options.sampling.seed);
    }
    line
}

/// `ID=B`.
fn parse_bias(text: &str) -> Result<(u32, f64), String> {
    let wrong = || format!("expected a token and a number, as in 42=-1.5, found `{text}`");
    let (id, bias) = text.split_once('=').ok_or_else(wrong)?;
    Ok((id.trim().parse().map_err(|_| wrong())?, bias.trim().parse().map_err(|_| wrong())?))
}

/// A stop string with its escapes replaced: a shell makes a line feed hard to type.
fn parse_stop(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        out.push(match c {
            '\\' => match rest.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('\\') => '\\',
                _ => return Err("a backslash stands before n, t or another backslash".into()),
            },
            c => c,
        });
    }
    if out.is_empty() { Err("a stop string has at least one character".into()) } else { Ok(out) }
}

/// Shows tokens as they come, and keeps their text.
pub(super) struct Shown<'a> {
    out: TextOut<'a>,
    /// The whole text, where there is a tokenizer.
    text: Option<String>,
    print: bool,
}

impl<'a> Shown<'a> {
    /// Without a tokenizer the ids are shown.
    pub(super) fn new(tokenizer: Option<&'a Tokenizer>, options: &Options, print: bool) -> Result<Shown<'a>> {
        let text = tokenizer.map(|_| String::new());
        Ok(Shown { out: TextOut::new(tokenizer, options)?, text, print })
    }

    /// One token; false where the text is at its end.
    pub(super) fn token(&mut self, token: u32) -> Result<bool> {
        let piece = self.out.push(token);
        self.show(&piece)?;
        Ok(!self.out.stopped())
    }

    fn show(&mut self, piece: &str) -> Result<()> {
        if let Some(text) = &mut self.text {
            text.push_str(piece);
        }
        if self.print && !piece.is_empty() { print::text(piece) } else { Ok(()) }
    }

    /// The whole text, if there is a tokenizer.
    pub(super) fn finish(self) -> Result<Option<String>> {
        let rest = self.out.finish();
        if self.print && !rest.is_empty() {
            print::text(&rest)?;
        }
        Ok(self.text.map(|text| text + &rest))
    }
}
