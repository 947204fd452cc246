//! What a model folder holds: configuration, parameters, sizes.
//!
//! Only headers are read, so that a model of many gigabytes is described at once; the counts of trits, which need
//! every weight, are made when they are asked for ([`Inspection::count_trits`]).

use crate::loaded::Loaded;
use crate::premapping::suite;
use crate::weights::Weight;
use anyhow::Result;
use engine::pool::Pool;
use graph::{Bindings, Graph};
use models::architecture::ModelConfig;
use models::folder::ModelFolder;
use models::forms::{CacheType, Form, GraphOptions, PLACES};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A model folder, described.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// `model_type` of the configuration.
    pub architecture: &'static str,
    /// The configuration as it was understood, every default filled in.
    pub config: Value,
    /// The parameters, in the order of the state dict.
    pub parameters: Vec<Parameter>,
    /// Sums.
    pub totals: Totals,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// A parameter.
#[derive(Clone, Debug, Serialize)]
pub struct Parameter {
    /// Its name in the state dict.
    pub name: String,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Element type in the file.
    pub dtype: String,
    /// Whether the model computes with its trits.
    pub ternary: bool,
    /// Elements.
    pub count: u64,
    /// How many of its trits are −1, 0 and 1, once counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trits: Option<[u64; 3]>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Sums over the model.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Totals {
    /// Parameters.
    pub parameters: u64,
    /// Those that are ternary.
    pub ternary_parameters: u64,
    /// Bytes of the weights as stored.
    pub file_bytes: u64,
    /// Bytes with ternary weights at two bits and a scale each, the others as stored.
    pub two_bit_bytes: u64,
    /// Bytes of the recurrent state of one sequence, whatever its length.
    pub state_bytes: u64,
    /// Bytes that the caches of keys and values grow by with each token, in f32.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_bytes: u64,
    /// Arithmetic operations of one streaming step, the first one where caches grow.
    pub operations_per_token: f64,
}

impl Inspection {
    /// Describes a folder from its configuration and the headers of its weights.
    ///
    /// # Errors
    /// Those of opening a folder, and weights that are not those of the configuration.
    pub fn open(dir: impl AsRef<Path>) -> Result<Inspection> {
        let folder = ModelFolder::open(dir)?;
        let parsed = ModelConfig::from_folder(&folder)?;
        let config = parsed.config;
        let ternary: BTreeSet<String> = config.projections().into_iter().collect();
        let mut parameters = vec![];
        let mut totals = Totals::default();
        for (name, shape) in config.expected_tensors() {
            let view = folder.weights().tensor(&name)?;
            let count = shape.iter().map(|n| *n as u64).product::<u64>();
            let bytes = view.bytes.len() as u64;
            let is_ternary = ternary.contains(&name);
            totals.parameters += count;
            totals.file_bytes += bytes;
            totals.ternary_parameters += if is_ternary { count } else { 0 };
            // A scale is one f32.
            totals.two_bit_bytes += if is_ternary { count.div_ceil(4) + 4 } else { bytes };
            let dtype = format!("{:?}", view.dtype).to_lowercase();
            parameters.push(Parameter { name, shape, dtype, ternary: is_ternary, count, trits: None });
        }
        if config.tie_word_embeddings() && ternary.contains("lm_head.weight") {
            // The head's trits are made from the embedding, which stays as it is.
            let count = config.vocab_size() as u64 * config.hidden_size() as u64;
            totals.two_bit_bytes += count.div_ceil(4) + 4;
        }
        for state in config.states(CacheType::F32) {
            let bytes = 4 * state.sizes(1, 1).iter().product::<usize>() as u64;
            if state.is_cache() { totals.cache_bytes += bytes } else { totals.state_bytes += bytes }
        }
        let sizes = [("B", 1), ("T", 1), (PLACES, 1)];
        let sizes = Bindings::from(sizes.map(|(name, n)| (name.to_string(), n)));
        let step = config.step(&prepared())?.specialize(&sizes);
        let cost = premap::plan(&step, &engine::target(), &Default::default())?.cost;
        totals.operations_per_token = cost.operations + cost.transcendental;
        let architecture = config.model_type();
        let config = config.to_json();
        Ok(Inspection { architecture, config, parameters, totals, warnings: parsed.warnings })
    }

    /// Counts the trits of every ternary parameter.
    ///
    /// # Errors
    /// Those of [`Loaded::prepare`].
    pub fn count_trits(&mut self, model: &mut Loaded, pool: &Arc<Pool>) -> Result<()> {
        model.prepare(pool)?;
        for parameter in self.parameters.iter_mut().filter(|p| p.ternary) {
            if let Weight::Packed { layout, shape: [rows, columns], bytes } =
                model.weight(&format!("{}.trits", parameter.name))?
            {
                parameter.trits = Some(barewire::trits::histogram(layout, rows, columns, bytes)?);
            }
        }
        Ok(())
    }
}

/// Which of a model's graphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Which {
    /// The whole sequence at once, from master weights: what is trained.
    #[default]
    Sequence,
    /// One token, from trits: what generates.
    Step,
}

/// A model's graph with the sizes `B` and `T` left open.
///
/// # Errors
/// A configuration that makes no graph.
pub fn model_graph(config: &ModelConfig, which: Which) -> Result<Graph> {
    Ok(match which {
        Which::Sequence => config.graph(&GraphOptions::default())?,
        Which::Step => config.step(&prepared())?,
    })
}

fn prepared() -> GraphOptions {
    GraphOptions { form: Form::Prepared, ..Default::default() }
}

/// What of a model is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PlanForm {
    /// The whole sequence in fake-quantised floats, as the model is published.
    #[default]
    Float,
    /// The whole sequence in integers from master weights.
    Integer,
    /// The whole sequence from packed trits: how a prompt is read.
    Prepared,
    /// One token from packed trits: how text is generated.
    Stream,
    /// Forward, backward, clipping and AdamW (the MatMul-free model).
    Train,
}

/// How a plan is made and for which machine it is predicted.
#[derive(Clone, Debug)]
pub struct PlanRequest<'a> {
    /// What is planned.
    pub form: PlanForm,
    /// Sequences.
    pub batch: usize,
    /// Tokens of each, of a stream those before.
    pub tokens: usize,
    /// Optimisations that are off.
    pub switches: premap::Switches,
    /// The machine that times are for.
    pub machine: &'a premap::Machine,
    /// Its threads.
    pub threads: usize,
    /// Name of the model, for the title.
    pub name: &'a str,
}

/// The plan of a model for the CPU, described: steps, fusion, cutting, layouts, memory, predicted times.
///
/// # Errors
/// A configuration that makes no graph, a graph that cannot be planned, a form that the architecture does not have.
pub fn plan_report(config: &ModelConfig, request: &PlanRequest<'_>) -> Result<premap::Report> {
    let PlanRequest { form, batch, tokens, .. } = *request;
    let sequence = |form| suite::planned(config, form, batch, tokens, 0, false);
    let mut case = match form {
        PlanForm::Float => sequence(Form::Float)?,
        PlanForm::Integer => sequence(Form::Integer)?,
        PlanForm::Prepared => sequence(Form::Prepared)?,
        PlanForm::Stream => suite::planned(config, Form::Prepared, batch, 1, tokens.saturating_sub(1), true)?,
        PlanForm::Train => suite::training(&**config, batch, tokens, true)?,
    };
    case.options.switches = request.switches;
    let target = engine::target();
    let plan = premap::plan(&case.graph, &target, &case.options)?;
    let what = match form {
        PlanForm::Float => "whole sequence, fake-quantised floats",
        PlanForm::Integer => "whole sequence, integers from master weights",
        PlanForm::Prepared => "whole sequence, packed trits",
        PlanForm::Stream => "streaming step, packed trits",
        PlanForm::Train => "training step",
    };
    let title = format!("{}: {what}, {batch} × {tokens} tokens", request.name);
    Ok(premap::Report::new(
        &plan,
        &premap::About {
            title: &title,
            target: target.name,
            machine: request.machine,
            threads: request.threads,
            switches: request.switches,
        },
    ))
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "architecture  {}", self.architecture)?;
        for (key, value) in self.config.as_object().into_iter().flatten() {
            writeln!(f, "  {key:<26}{value}")?;
        }
        let name_width = self.parameters.iter().map(|p| p.name.len()).max().unwrap_or(0).max(9);
        writeln!(
            f,
            "\n{:<name_width$}  {:<16} {:<5} {:<8} {:>12}",
            "parameter", "shape", "dtype", "kind", "count"
        )?;
        for p in &self.parameters {
            let kind = if p.ternary { "ternary" } else { "float" };
            let shape = format!("{:?}", p.shape);
            write!(f, "{:<name_width$}  {shape:<16} {:<5} {kind:<8} {:>12}", p.name, p.dtype, p.count)?;
            if let Some([minus, zero, plus]) = p.trits {
                let share = |n: u64| 100.0 * n as f64 / p.count.max(1) as f64;
                write!(f, "   -1 {:4.1} %  0 {:4.1} %  +1 {:4.1} %", share(minus), share(zero), share(plus))?;
            }
            writeln!(f)?;
        }
        let t = &self.totals;
        writeln!(f)?;
        writeln!(f, "parameters            {} ({} of them ternary)", t.parameters, t.ternary_parameters)?;
        writeln!(f, "weights as stored     {}", size(t.file_bytes))?;
        writeln!(f, "ternary at two bits   {}", size(t.two_bit_bytes))?;
        if t.cache_bytes > 0 {
            writeln!(f, "cache per token       {}", size(t.cache_bytes))?;
        } else {
            writeln!(f, "state per sequence    {}", size(t.state_bytes))?;
        }
        writeln!(f, "work per token        {:.0} operations", t.operations_per_token)
    }
}

/// Bytes in a unit that a person reads.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut amount = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{amount:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_readable() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(5 << 30), "5.0 GiB");
    }
}
