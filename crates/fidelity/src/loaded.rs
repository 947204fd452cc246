//! A model from disk, ready to run.

use anyhow::{Context, Result};
use engine::{Executable, Tensor, pool::Pool};
use graph::{Bindings, Graph};
use models::config::MatMulFreeConfig;
use models::folder::{ModelFolder, Weights};
use models::matmulfree::{Form, GraphOptions, prepare_graph, sequence_graph, state_names, step_graph};
use models::tokenizer::Tokenizer;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Configuration, weights and tokenizer of a model folder.
pub struct Loaded {
    /// The configuration.
    pub config: MatMulFreeConfig,
    /// The parameters under their names in the state dict.
    pub parameters: BTreeMap<String, Tensor>,
    /// The tokenizer, when the folder has one.
    pub tokenizer: Option<Tokenizer>,
    /// What the user should know.
    pub warnings: Vec<String>,
    prepared: Option<BTreeMap<String, Tensor>>,
}

/// The parameters of a weights file as tensors, converted to f32.
pub fn parameters(config: &MatMulFreeConfig, weights: &Weights) -> Result<BTreeMap<String, Tensor>> {
    config
        .expected_tensors()
        .into_iter()
        .map(|(name, shape)| {
            let values = weights.to_f32(&name)?;
            Ok((name, Tensor::from_f32(shape, &values)))
        })
        .collect()
}

impl Loaded {
    /// Opens a folder of `config.json`, `model.safetensors` (or shards) and, when there is one, `tokenizer.json`.
    pub fn open(dir: impl AsRef<Path>) -> Result<Loaded> {
        let folder = ModelFolder::open(dir)?;
        let parsed = MatMulFreeConfig::from_folder(&folder)?;
        let parameters = parameters(&parsed.config, folder.weights())?;
        let tokenizer = match folder.tokenizer_path() {
            Some(path) => Some(Tokenizer::from_file(&path)?),
            None => None,
        };
        // `from_folder` has the folder's own warnings among its.
        let warnings = parsed.warnings;
        Ok(Loaded { config: parsed.config, parameters, tokenizer, warnings, prepared: None })
    }

    /// A model from its parts.
    pub fn from_parts(
        config: MatMulFreeConfig,
        parameters: BTreeMap<String, Tensor>,
        tokenizer: Option<Tokenizer>,
    ) -> Loaded {
        Loaded { config, parameters, tokenizer, warnings: vec![], prepared: None }
    }

    /// Number of parameters.
    pub fn parameter_count(&self) -> usize {
        self.parameters.values().map(Tensor::len).sum()
    }

    /// Trits, scales and lower bounds, computed from the master weights at the first call.
    pub fn prepare(&mut self, pool: &Arc<Pool>) -> Result<()> {
        if self.prepared.is_none() {
            let g = prepare_graph(&self.config)?;
            let inputs: Vec<&Tensor> = g.inputs.iter().map(|i| &self.parameters[&i.name]).collect();
            let made = engine::run_once(&g, &inputs, &Default::default(), pool.clone())?;
            self.prepared = Some(made.into_iter().collect());
        }
        Ok(())
    }

    /// The weight called `name`, prepared or not.
    pub fn weight(&self, name: &str) -> Option<&Tensor> {
        self.parameters.get(name).or_else(|| self.prepared.as_ref()?.get(name))
    }

    /// The whole-sequence graph for these sizes.
    pub fn sequence(&self, options: &GraphOptions, batch: usize, length: usize) -> Result<Graph> {
        let bindings = Bindings::from([("B".to_string(), batch), ("T".to_string(), length)]);
        Ok(sequence_graph(&self.config, options)?.specialize(&bindings))
    }

    /// A stream: one token in, one row of logits out, with a state of constant size.
    pub fn stream(&mut self, batch: usize, form: Form, pool: &Arc<Pool>) -> Result<Stream<'_>> {
        if form == Form::Prepared {
            self.prepare(pool)?;
        }
        let g = step_graph(&self.config, form)?.specialize(&Bindings::from([("B".to_string(), batch)]));
        let exe = Executable::new(&g, &Default::default(), pool.clone())?;
        let make = || -> Vec<Tensor> {
            let shape = |s: &Vec<usize>| std::iter::once(batch).chain(s.iter().copied()).collect::<Vec<_>>();
            state_names(&self.config).iter().map(|(_, s)| Tensor::zeros(axes::DType::F32, shape(s))).collect()
        };
        let logits = Tensor::zeros(axes::DType::F32, [batch, self.config.vocab_size]);
        Ok(Stream {
            states: [make(), make()],
            ids: Tensor::zeros(axes::DType::I64, [batch]),
            exe,
            logits,
            model: self,
        })
    }
}

/// A model with its recurrent state; the work of a step does not depend on how many came before.
pub struct Stream<'a> {
    model: &'a Loaded,
    exe: Executable,
    states: [Vec<Tensor>; 2],
    ids: Tensor,
    logits: Tensor,
}

impl Stream<'_> {
    /// Feeds one token per sequence; the logits of the next ones, (batch, vocabulary).
    pub fn step(&mut self, tokens: &[u32]) -> Result<&[f32]> {
        self.ids.i64_mut().iter_mut().zip(tokens).for_each(|(i, t)| *i = i64::from(*t));
        let names = state_names(&self.model.config);
        let mut io = self.exe.io();
        let (now, next) = self.states.split_at_mut(1);
        for (i, input) in self.exe.plan().graph.inputs.iter().enumerate() {
            if input.name == "input_ids" {
                io.input(i, &self.ids);
            } else if let Some(k) = names.iter().position(|(n, _)| *n == input.name) {
                io.input(i, &now[0][k]);
            } else {
                io.input(
                    i,
                    self.model.weight(&input.name).with_context(|| format!("no weight {}", input.name))?,
                );
            }
        }
        io.output(0, &mut self.logits);
        for (k, t) in next[0].iter_mut().enumerate() {
            io.output(1 + k, t);
        }
        self.exe.run(&mut io)?;
        self.states.swap(0, 1);
        Ok(self.logits.f32())
    }

    /// The logits of the last step.
    pub fn logits(&self) -> &[f32] {
        self.logits.f32()
    }

    /// Back to the state before the first token.
    pub fn reset(&mut self) {
        self.states[0].iter_mut().for_each(|t| t.f32_mut().fill(0.0));
    }

    /// The recurrent states by name.
    pub fn states(&self) -> Vec<(String, &Tensor)> {
        state_names(&self.model.config).into_iter().map(|(n, _)| n).zip(&self.states[0]).collect()
    }

    /// Operations of one step, counted from the plan that runs.
    pub fn operations(&self) -> f64 {
        self.exe.plan().cost.operations + self.exe.plan().cost.transcendental
    }

    /// Bytes of the state.
    pub fn state_bytes(&self) -> usize {
        self.states[0].iter().map(|t| t.bytes().len()).sum()
    }
}
