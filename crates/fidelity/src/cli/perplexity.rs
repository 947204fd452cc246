//! `fidelity perplexity`: how well a model predicts a text.

use super::common::{self, Runs, Threads};
use super::print;
use anyhow::Result;
use fidelity::error::Fault;
use fidelity::perplexity::{measure, read};
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde_json::json;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Instant;

pub(super) const EXAMPLES: &str = "\
Every token but the first is predicted from all tokens before it: the recurrent state is
carried from window to window, so --length decides speed and memory and not the result.

Examples:
  fidelity perplexity MODEL --text-file book.txt
  cat *.md | fidelity perplexity MODEL --text-file - --json";

#[derive(clap::Args)]
pub(super) struct Args {
    /// Folder of the model, or a bundle (.fid)
    model: PathBuf,
    /// The text; - is standard input
    #[arg(long, value_name = "FILE")]
    text_file: PathBuf,
    /// Tokens per window
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    length: u32,
    /// Print the numbers as one JSON value
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    runs: Runs,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let bytes = common::read_text(&args.text_file)?;
    let mut model = common::open(&args.model)?;
    let Some(tokenizer) = &model.tokenizer else {
        let cause = format!("{}: there is no tokenizer.json, so a text cannot be read", args.model.display());
        return Err(Fault::new(cause, "put the model's tokenizer.json into the folder").into());
    };
    let text = read(tokenizer, &bytes)?;
    let started = Instant::now();
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::with_draw_target(Some(text.tokens.len() as u64), ProgressDrawTarget::stderr_with_hz(8))
    } else {
        ProgressBar::hidden()
    };
    let found =
        measure(&mut model, &text, args.length as usize, &args.runs.pool(&args.threads)?, &mut |n| {
            bar.set_position(n as u64)
        })?;
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    if args.json {
        let mut value = json!(found);
        value["seconds"] = json!(seconds);
        return print::json(&value);
    }
    print::text(&format!(
        "bits per byte   {:.4}\nnats per token  {:.4}\nperplexity      {:.3}\ntokens          {} ({} predicted, {} bytes)\n",
        found.bits_per_byte,
        found.nats_per_token,
        found.perplexity,
        found.tokens,
        found.predicted,
        found.bytes
    ))?;
    print::note(&format!("{:.0} tokens/s, {seconds:.2} s", found.predicted as f64 / seconds.max(1e-9)));
    Ok(())
}
