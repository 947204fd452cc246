//! `fidelity eval`: what a model computes on given tokens.

use super::common::{self, Runs, Threads, Without};
use super::{eval_files, print};
use anyhow::Result;
use fidelity::error::Fault;
use fidelity::eval::{Arithmetic, Batch, Cut, Evaluation, Request};
use furnace::precision::Precision;
use indicatif::{ProgressBar, ProgressDrawTarget};
use models::safetensors::NamedTensor;
use serde_json::{Map, Value, json};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Instant;

pub(super) const EXAMPLES: &str = "\
The inputs hold `input_ids` i64 [B, T], and may hold `attention_mask` (0, 1) and `labels`
(-100 = ignored; shifted here) of the same shape. The outputs hold `logits` [B, T, V],
`loss` [1], `hidden_states.0` (embeddings) to `hidden_states.L` (after the final norm),
`grad.PARAMETER` (not of a bundle, whose weights are trits), and for `trace` every inner
value. A model that is not over tokens takes `x` [B, T, D] and gives `y`; its loss is the
sum of `y` times `loss_weight`.

Examples:
  fidelity eval MODEL --inputs i.safetensors --outputs o.safetensors
  fidelity eval MODEL --inputs i.safetensors --outputs o.safetensors --want loss,grads
  fidelity eval MODEL --inputs i.safetensors --outputs o.safetensors --form chunks:5,1,8
  fidelity eval model.fid --inputs i.safetensors --outputs o.safetensors --form stream
  fidelity eval MODEL --inputs i.safetensors --outputs o.safetensors --dtype f64 --json
  fidelity eval MODEL --inputs i.safetensors --outputs o.safetensors --dtype digits:40
  fidelity eval MODEL --inputs i.safetensors --outputs o.safetensors --dtype adaptive:1e-20";

#[derive(clap::Args)]
pub(super) struct Args {
    /// Folder of the model, or a bundle (.fid)
    model: PathBuf,
    /// The safetensors file to read
    #[arg(long, value_name = "FILE")]
    inputs: PathBuf,
    /// The safetensors file to write
    #[arg(long, value_name = "FILE")]
    outputs: PathBuf,
    /// What to write; without it logits, and the loss if there are labels
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    want: Vec<Want>,
    /// sequence (all at once), stream (token by token), or chunks:5,1,8 (the list repeats, the last piece is cut)
    #[arg(long, default_value = "sequence", value_parser = parse_form)]
    form: Form,
    /// Arithmetic: f32 (the engine), or in the reference interpreter f64, f80, dd (two doubles), f128, digits:N,
    /// interval or interval:N (with bounds), adaptive:TOLERANCE (more digits until every number is known to it); wider ones
    /// are slow
    #[arg(long, default_value = "f32", value_parser = parse_dtype)]
    dtype: Precision,
    /// How sums are kept: plain, pairwise, compensated, wider, f80, f128 or exact; without it as the kernels do
    #[arg(long, value_name = "KIND")]
    accumulator: Option<graph::Accumulator>,
    /// A JSON file to write with every number as a decimal, in all digits of the arithmetic
    #[arg(long, value_name = "FILE")]
    decimals: Option<PathBuf>,
    /// Products of int8 activations and trits instead of fake-quantised floats
    #[arg(long)]
    integer: bool,
    #[command(flatten)]
    without: Without,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    runs: Runs,
    /// Print loss, shapes and counted operations as one JSON value
    #[arg(long)]
    json: bool,
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Want {
    Logits,
    Loss,
    Hidden,
    Grads,
    Trace,
}

#[derive(Clone, Debug)]
struct Form {
    name: String,
    cut: Cut,
}

fn parse_form(text: &str) -> Result<Form, String> {
    let cut = match (text, text.strip_prefix("chunks:")) {
        ("sequence", _) => Cut::Sequence,
        ("stream", _) => Cut::Stream,
        (_, Some(list)) => {
            let sizes = list
                .split(',')
                .map(|n| n.trim().parse().ok().filter(|n| *n > 0))
                .collect::<Option<Vec<usize>>>();
            Cut::Chunks(sizes.ok_or_else(|| {
                format!("`{list}` is no list of lengths; write whole numbers above 0, such as chunks:5,1,8")
            })?)
        }
        _ => {
            return Err(
                "there is no such form; write sequence, stream, or chunks: and lengths, such as chunks:5,1,8"
                    .into(),
            );
        }
    };
    Ok(Form { name: text.to_owned(), cut })
}

fn parse_dtype(text: &str) -> Result<Precision, String> {
    text.parse::<Precision>().map_err(|e| e.to_string())
}

pub(super) fn run(args: &Args) -> Result<()> {
    common::check_output(&args.outputs)?;
    args.decimals.as_deref().map_or(Ok(()), common::check_output)?;
    let batch = eval_files::read_batch(&args.inputs)?;
    let want = want(args, &batch)?;
    let mut model = common::open(&args.model)?;
    model.set_switches(args.without.switches());
    eval_files::check_batch(&batch, model.config.vocab_size(), &args.inputs)?;
    let request = Request {
        cut: args.form.cut.clone(),
        arithmetic: match args.dtype {
            Precision::F32 => Arithmetic::F32,
            Precision::F64 => Arithmetic::F64,
            wider => Arithmetic::Precise(wider),
        },
        decimals: args.decimals.is_some(),
        accumulator: args.accumulator,
        integer: args.integer,
        hidden: want.contains(&Want::Hidden),
        grads: want.contains(&Want::Grads),
        trace: want.contains(&Want::Trace),
    };
    let started = Instant::now();
    let bar = match std::io::stderr().is_terminal() && request.arithmetic != Arithmetic::F32 {
        true => ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr_with_hz(8)),
        false => ProgressBar::hidden(),
    };
    let evaluation = model.eval_watched(&batch, &request, &args.runs.pool(&args.threads)?, &|done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let evaluation = evaluation?;
    let seconds = started.elapsed().as_secs_f64();
    let tensors = eval_files::tensors(&evaluation, &want, args.dtype != Precision::F32);
    let format = [("format".to_owned(), "pt".to_owned())].into();
    models::safetensors::write(&args.outputs, &tensors, &format)?;
    if let Some(path) = &args.decimals {
        eval_files::write_decimals(path, &evaluation, &want, args.dtype)?;
    }
    if args.json {
        print::json(&summary(args, &batch, &evaluation, &tensors, seconds))
    } else {
        print::text(&told(args, &batch, &evaluation, &tensors, seconds))
    }
}

/// What is wanted, or why it cannot be had.
fn want(args: &Args, batch: &Batch) -> Result<Vec<Want>> {
    let mut want = args.want.clone();
    if want.is_empty() {
        want.push(Want::Logits);
        want.extend(batch.has_loss().then_some(Want::Loss));
    }
    let has = |w: Want| want.contains(&w);
    let inner = if has(Want::Grads) { "gradients" } else { "traces" };
    let faults = [
        (
            (has(Want::Loss) || has(Want::Grads)) && !batch.has_loss(),
            format!("{}: there are no `labels`, so there is no loss", args.inputs.display()),
            "add `labels` i64 [B, T] to the inputs, or leave loss and grads out of --want",
        ),
        (
            (has(Want::Grads) || has(Want::Trace)) && args.form.cut != Cut::Sequence,
            format!("{inner} need the whole sequence at once, and the form is {}", args.form.name),
            "use --form sequence, or leave grads and trace out of --want",
        ),
        (
            has(Want::Grads) && args.integer,
            "gradients flow through the float path, and --integer leaves it".to_owned(),
            "leave out --integer, or leave grads out of --want",
        ),
    ];
    match faults.into_iter().find(|(wrong, ..)| *wrong) {
        Some((_, cause, remedy)) => Err(Fault::new(cause, remedy).into()),
        None => Ok(want),
    }
}

fn loss(evaluation: &Evaluation) -> Option<f64> {
    evaluation.values.get("loss").and_then(|l| l.to_f64().first().copied())
}

/// Tokens of each piece, over all sequences.
fn piece_tokens(args: &Args, batch: &Batch, pieces: usize) -> Vec<usize> {
    let sizes = match &args.form.cut {
        Cut::Sequence => vec![batch.length],
        Cut::Stream => vec![1],
        Cut::Chunks(list) => list.clone(),
    };
    let mut left = batch.length;
    let cut = sizes.into_iter().cycle().take(pieces).map(|n| {
        let n = n.min(left);
        left -= n;
        n * batch.batch
    });
    cut.collect()
}

fn summary(
    args: &Args,
    batch: &Batch,
    evaluation: &Evaluation,
    tensors: &[NamedTensor<'_>],
    seconds: f64,
) -> Value {
    let shapes: Map<String, Value> = tensors.iter().map(|t| (t.name.clone(), json!(t.shape))).collect();
    let pieces = piece_tokens(args, batch, evaluation.operations.len());
    let each = evaluation.operations.iter().zip(&pieces).map(|(work, n)| work / (*n).max(1) as f64);
    json!({
        "loss": loss(evaluation),
        "batch": batch.batch,
        "length": batch.length,
        "form": args.form.name,
        "dtype": args.dtype.to_string(),
        "bounds": evaluation.bounds,
        "met_by": evaluation.met_by.map(|p| p.to_string()),
        "integer": args.integer,
        "shapes": shapes,
        "operations": {
            "total": evaluation.operations.iter().sum::<f64>(),
            "pieces": evaluation.operations,
            "tokens": pieces,
            "per_token": each.collect::<Vec<_>>(),
        },
        "seconds": seconds,
    })
}

fn told(
    args: &Args,
    batch: &Batch,
    evaluation: &Evaluation,
    tensors: &[NamedTensor<'_>],
    seconds: f64,
) -> String {
    let mut out = String::new();
    if let Some(loss) = loss(evaluation) {
        out += &format!("loss        {loss:.6}\n");
    }
    let tokens = (batch.batch * batch.length) as f64;
    let work = evaluation.operations.iter().sum::<f64>() / tokens;
    let pieces = evaluation.operations.len();
    let form = &args.form.name;
    out += &format!(
        "operations  {work:.0} per token ({form}, {pieces} {})\n",
        if pieces == 1 { "piece" } else { "pieces" }
    );
    if let Some(worst) = evaluation.bounds.values().copied().reduce(f64::max) {
        let by = evaluation.met_by.map_or(String::new(), |p| format!(", by {p}"));
        out += &format!("bound       {worst:.1e} at most between a number and the exact one{by}\n");
    }
    out += &format!("time        {seconds:.3} s\n");
    out += &format!("written     {} tensors to {}\n", tensors.len(), args.outputs.display());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        assert_eq!(parse_form("chunks:5,1,8").unwrap().cut, Cut::Chunks(vec![5, 1, 8]));
        assert_eq!(parse_form("stream").unwrap().cut, Cut::Stream);
        for bad in ["", "chunks", "chunks:", "chunks:0", "chunks:3,", "chunks:a", "streams"] {
            assert!(parse_form(bad).unwrap_err().contains("chunks:5,1,8"), "{bad}");
        }
    }

    #[test]
    fn arithmetic() {
        assert_eq!(parse_dtype("f64"), Ok(Precision::F64));
        assert_eq!(parse_dtype("digits:50"), Ok(Precision::Digits(50)));
        assert!(parse_dtype("int8").unwrap_err().contains("f32, f64"));
        assert!(parse_dtype("digits:none").unwrap_err().contains("digits:40"));
        assert_eq!(parse_dtype("adaptive:1e-9"), Ok(Precision::Adaptive { tolerance: 1e-9 }));
        assert!(parse_dtype("adaptive:2").unwrap_err().contains("above 0 and below 1"));
    }
}
