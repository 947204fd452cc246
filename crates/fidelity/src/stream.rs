//! A model with its recurrent state: tokens in, logits out, at the same cost and in the same memory at any position.
//!
//! A run of tokens whose logits nobody wants, a prompt, goes through the whole-sequence graph in chunks: weights are
//! read once for all tokens of a chunk. On prepared trits this gives the bits that token by token gives, since sums of
//! integers do not depend on their order and everything else works row by row; `tests/bundle_runs.rs` holds it to that.

use crate::loaded::Loaded;
use crate::weights::{Slot, Weight, bind, slots};
use anyhow::Result;
use axes::DType;
use engine::{Executable, Tensor, pool::Pool};
use graph::Bindings;
use models::matmulfree::{Form, GraphOptions, state_names, step_graph};
use std::sync::Arc;

/// Tokens of a chunk of a prompt. Below 1024, from where on a scan over time is cut and rounds differently.
const CHUNK: usize = 128;

/// A model with its recurrent state; the work of a step does not depend on how many came before.
pub struct Stream<'a> {
    model: &'a Loaded,
    form: Form,
    pool: Arc<Pool>,
    exe: Executable,
    slots: Vec<Slot<'a>>,
    /// The plan of a chunk, made when the first one is read.
    chunk: Option<(Executable, Vec<Slot<'a>>)>,
    names: Vec<String>,
    states: [Vec<Tensor>; 2],
    ids: Tensor,
    logits: Tensor,
}

impl<'a> Stream<'a> {
    pub(crate) fn new(model: &'a Loaded, batch: usize, form: Form, pool: &Arc<Pool>) -> Result<Stream<'a>> {
        let stored = model.embedding_type();
        let graph =
            step_graph(&model.config, form, stored)?.specialize(&Bindings::from([("B".to_string(), batch)]));
        let exe = Executable::new(&graph, &model.plan_options(&graph)?, pool.clone())?;
        let (names, sizes): (Vec<String>, Vec<Vec<usize>>) = state_names(&model.config).into_iter().unzip();
        let slots = slots(&exe.plan().graph, &names, |name| model.weight(name))?;
        let make = || -> Vec<Tensor> {
            let shape = |s: &Vec<usize>| std::iter::once(batch).chain(s.iter().copied()).collect::<Vec<_>>();
            sizes.iter().map(|s| Tensor::zeros(DType::F32, shape(s))).collect()
        };
        Ok(Stream {
            states: [make(), make()],
            ids: Tensor::zeros(DType::I64, [batch]),
            logits: Tensor::zeros(DType::F32, [batch, model.config.vocab_size]),
            chunk: None,
            pool: pool.clone(),
            model,
            form,
            exe,
            slots,
            names,
        })
    }

    /// Feeds one token per sequence; the logits of the next ones, (batch, vocabulary).
    ///
    /// # Errors
    /// A token id that the embedding has no row for.
    pub fn step(&mut self, tokens: &[u32]) -> Result<&[f32]> {
        self.ids.i64_mut().iter_mut().zip(tokens).for_each(|(i, t)| *i = i64::from(*t));
        let mut io = self.exe.io();
        let [now, next] = &mut self.states;
        bind(&mut io, &self.slots, &self.ids, now);
        io.output(0, &mut self.logits);
        for (k, t) in next.iter_mut().enumerate() {
            io.output(1 + k, t);
        }
        self.exe.run(&mut io)?;
        self.states.swap(0, 1);
        Ok(self.logits.f32())
    }

    /// Feeds the tokens of one sequence, in chunks where that is faster; the logits after the last one. The bits are
    /// those of [`Stream::step`] on each.
    ///
    /// # Errors
    /// A token id that the embedding has no row for.
    ///
    /// # Panics
    /// Where the stream has several sequences.
    pub fn feed(&mut self, tokens: &[u32]) -> Result<&[f32]> {
        assert_eq!(self.ids.len(), 1, "one sequence");
        // The last token goes alone: it is the one whose logits are wanted.
        let whole = if self.form == Form::Prepared { tokens.len().saturating_sub(1) / CHUNK } else { 0 };
        for chunk in tokens.chunks(CHUNK).take(whole) {
            self.read(chunk)?;
        }
        for token in &tokens[whole * CHUNK..] {
            self.step(&[*token])?;
        }
        Ok(self.logits.f32())
    }

    /// Reads one whole chunk into the state.
    fn read(&mut self, tokens: &[u32]) -> Result<()> {
        let (mut exe, slots) = match self.chunk.take() {
            Some(chunk) => chunk,
            None => {
                let options = GraphOptions { form: self.form, states: true, ..Default::default() };
                let mut graph = self.model.sequence(&options, 1, CHUNK)?;
                // Nobody reads them: the head is not computed.
                graph.outputs.retain(|o| o.name != "logits");
                let exe = Executable::new(&graph, &self.model.plan_options(&graph)?, self.pool.clone())?;
                let slots = slots(&exe.plan().graph, &self.names, |name| self.model.weight(name))?;
                (exe, slots)
            }
        };
        let ids: Vec<i64> = tokens.iter().map(|t| i64::from(*t)).collect();
        let ids = Tensor::from_i64([1, CHUNK], &ids);
        let mut io = exe.io();
        let [now, next] = &mut self.states;
        bind(&mut io, &slots, &ids, now);
        for (k, t) in next.iter_mut().enumerate() {
            io.output(k, t);
        }
        exe.run(&mut io)?;
        drop(io);
        self.states.swap(0, 1);
        self.chunk = Some((exe, slots));
        Ok(())
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
        self.names.iter().cloned().zip(&self.states[0]).collect()
    }

    /// States and logits as an earlier stream of the same model left them, for [`crate::state`].
    pub(crate) fn places(&mut self) -> (&mut [Tensor], &mut Tensor) {
        (&mut self.states[0], &mut self.logits)
    }

    /// The model.
    pub fn model(&self) -> &'a Loaded {
        self.model
    }

    /// Operations of one step, counted from the plan that runs.
    pub fn operations(&self) -> f64 {
        self.exe.plan().cost.operations + self.exe.plan().cost.transcendental
    }

    /// Multiply-accumulates with packed weights of a step.
    pub fn step_products(&self) -> f64 {
        products(&self.slots) * self.ids.len() as f64
    }

    /// Multiply-accumulates with packed weights of a token of a prompt, once a chunk has been read; its logits are not
    /// computed.
    pub fn prompt_products(&self) -> Option<f64> {
        self.chunk.as_ref().map(|(_, slots)| products(slots))
    }

    /// Bytes of weights that a step reads: all of them, but of a table that is only looked up in one row a sequence.
    pub fn step_bytes(&self) -> usize {
        let graph = &self.exe.plan().graph;
        let looked_up = |value: graph::Value| {
            let mut users = graph.nodes.iter().filter(|node| node.inputs.contains(&value)).peekable();
            let table = |node: &graph::Node| ["gather", "block_rows"].contains(&node.op.name());
            users.peek().is_some() && users.all(|node| table(node) && node.inputs[0] == value)
        };
        let sizes = graph.inputs.iter().zip(&self.slots).map(|(input, slot)| {
            let Slot::Weight(weight) = slot else { return 0 };
            let bytes = weight.bytes().len();
            let rows = graph.ty(input.value).shape.first().and_then(graph::Dim::fixed).unwrap_or(1);
            if looked_up(input.value) { bytes / rows.max(1) * self.ids.len() } else { bytes }
        });
        sizes.sum()
    }

    /// Bytes of the state.
    pub fn state_bytes(&self) -> usize {
        self.states[0].iter().map(|t| t.bytes().len()).sum()
    }
}

/// Weights of packed matrices: a token multiplies each once.
fn products(slots: &[Slot<'_>]) -> f64 {
    let of = |slot: &Slot<'_>| match slot {
        Slot::Weight(Weight::Packed { shape: [rows, columns], .. }) => *rows as f64 * *columns as f64,
        _ => 0.0,
    };
    slots.iter().map(of).sum()
}
