//! A model with what it carries from token to token: tokens in, logits out.
//!
//! A recurrent state has a constant size, and a token costs the same at any position. Caches of keys and values grow with
//! the text: they are allocated in places that double, which the system gives memory to as they are written, and their new
//! rows are written where they lie.
//!
//! A run of tokens whose logits nobody wants, a prompt, goes through the whole-sequence graph in chunks: weights are
//! read once for all tokens of a chunk. On prepared trits this gives the bits that token by token gives, since sums of
//! integers do not depend on their order and everything else works row by row; `tests/bundle_runs.rs` holds it to that.

use crate::loaded::Loaded;
use crate::weights::{Slot, Weight, bind, slots};
use anyhow::{Result, ensure};
use axes::DType;
use engine::{Executable, Tensor, pool::Pool};
use graph::Bindings;
use models::forms::{CacheType, Form, GraphOptions, PLACES, State};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Places that caches have at first; a plan for twice as many costs about as much as two tokens.
const FIRST_PLACES: usize = 64;

/// Memory of a plan for a chunk, in bytes, above which it is given back once a prompt has been read. Getting it again costs
/// a thousandth of the time that reading a chunk takes.
const RELEASE: usize = 8 << 20;

/// Which logits a run is to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Want {
    /// None: the head is not computed.
    None,
    /// Those after the last token of each sequence, (B, V).
    Last,
    /// All, (B, T, V).
    All,
}

/// A model with its states, fed some tokens at a time. Plans are made when they are first needed.
pub(crate) struct Runner<'a> {
    model: &'a Loaded,
    pool: Arc<Pool>,
    options: GraphOptions,
    batch: usize,
    specs: Vec<State>,
    names: Vec<String>,
    /// Caches, and the recurrent states before and after a run.
    states: Vec<Tensor>,
    next: Vec<Option<Tensor>>,
    /// Places of the caches.
    places: usize,
    /// Tokens read.
    position: usize,
    plans: BTreeMap<(usize, Want), (Executable, Vec<Slot<'a>>)>,
}

impl<'a> Runner<'a> {
    pub(crate) fn new(
        model: &'a Loaded,
        batch: usize,
        form: Form,
        cache: CacheType,
        pool: &Arc<Pool>,
    ) -> Runner<'a> {
        let embedding = model.embedding_type();
        let options = GraphOptions { form, states: true, embedding, cache, ..Default::default() };
        let specs = model.config.states(cache);
        let make = |spec: &State| Tensor::zeros(spec.dtype, spec.sizes(batch, FIRST_PLACES));
        Runner {
            pool: pool.clone(),
            names: specs.iter().map(|spec| spec.name.clone()).collect(),
            states: specs.iter().map(make).collect(),
            next: specs.iter().map(|spec| (!spec.is_cache()).then(|| make(spec))).collect(),
            places: FIRST_PLACES,
            position: 0,
            plans: BTreeMap::new(),
            model,
            options,
            batch,
            specs,
        }
    }

    /// Whether what is carried grows with the text.
    fn grows(&self) -> bool {
        self.specs.iter().any(State::is_cache)
    }

    /// Makes room for `count` more tokens: twice as many places, and the rows so far in them.
    fn reserve(&mut self, count: usize) {
        let wanted = self.position + count;
        if !self.grows() || wanted <= self.places {
            return;
        }
        let places = wanted.max(2 * self.places).next_multiple_of(FIRST_PLACES);
        for (spec, old) in self.specs.iter().zip(&mut self.states).filter(|(spec, _)| spec.is_cache()) {
            let mut new = Tensor::zeros(spec.dtype, spec.sizes(self.batch, places));
            let row = old.bytes().len() / (self.batch * self.places).max(1);
            for b in 0..self.batch {
                let rows = &old.bytes()[b * self.places * row..][..self.position * row];
                new.bytes_mut()[b * places * row..][..rows.len()].copy_from_slice(rows);
            }
            *old = new;
        }
        self.places = places;
        // Their caches were smaller.
        self.plans.clear();
    }

    fn plan(&self, time: usize, want: Want) -> Result<(Executable, Vec<Slot<'a>>)> {
        let config = &self.model.config;
        let mut graph = match (time, want) {
            (1, Want::Last) => config.step(&self.options)?,
            _ => config.graph(&GraphOptions { last: want == Want::Last, ..self.options })?,
        };
        if want == Want::None {
            graph.outputs.retain(|o| o.name != "logits");
        }
        let sizes = [("B", self.batch), ("T", time), (PLACES, self.places)];
        let graph = graph.specialize(&Bindings::from(sizes.map(|(name, n)| (name.to_string(), n))));
        let mut options = self.model.plan_options(&graph)?;
        let caches = self.specs.iter().filter(|spec| spec.is_cache());
        options.donate.extend(caches.map(|spec| (spec.name.clone(), spec.name.clone())));
        let exe = Executable::new(&graph, &options, self.pool.clone())?;
        let slots = slots(&exe.plan().graph, &self.names, |name| self.model.weight(name))?;
        engine::pages::trim();
        Ok((exe, slots))
    }

    /// Reads `time` tokens of each sequence, row-major; `logits` are (B, V) or (B, T, V), and nothing where none are wanted.
    pub(crate) fn run(&mut self, tokens: &[i64], want: Want, logits: Option<&mut Tensor>) -> Result<()> {
        let time = tokens.len() / self.batch.max(1);
        ensure!(time > 0 && tokens.len() == time * self.batch, "some tokens of each sequence");
        self.reserve(time);
        let (mut exe, slots) = match self.plans.remove(&(time, want)) {
            Some(plan) => plan,
            None => self.plan(time, want)?,
        };
        let ids = exe
            .input("input_ids")
            .and_then(|i| exe.plan().graph.ty(exe.plan().graph.inputs[i].value).fixed_shape());
        let ids = Tensor::from_i64(ids.unwrap_or_default(), tokens);
        let position = Tensor::from_i64([], &[self.position as i64]);
        let first = usize::from(want != Want::None);
        let mut io = exe.io();
        for (k, ((state, next), slot)) in
            self.states.iter_mut().zip(&mut self.next).zip(state_inputs(&slots)).enumerate()
        {
            match (next, slot) {
                (None, Some(input)) => {
                    io.in_place(input, first + k, state);
                }
                (Some(next), Some(input)) => {
                    io.input(input, state).output(first + k, next);
                }
                (_, None) => {}
            }
        }
        bind(&mut io, &slots, &ids, &position);
        if let Some(logits) = logits {
            io.output(0, logits);
        }
        exe.run(&mut io)?;
        drop(io);
        for (state, next) in self.states.iter_mut().zip(&mut self.next) {
            if let Some(next) = next {
                std::mem::swap(state, next);
            }
        }
        self.position += time;
        self.plans.insert((time, want), (exe, slots));
        Ok(())
    }

    /// Gives back the memory of plans for chunks, where it is large; the plans stay.
    fn release(&mut self) {
        let chunks = self.plans.iter_mut().filter(|((time, _), _)| *time > 1);
        chunks.filter(|(_, (exe, _))| exe.memory() > RELEASE).for_each(|(_, (exe, _))| exe.release());
    }

    /// Drops plans for chunks of other lengths than these: each holds memory for its activations.
    fn keep(&mut self, lengths: &[usize]) {
        self.plans.retain(|(time, _), _| lengths.contains(time));
    }

    pub(crate) fn reset(&mut self) {
        self.position = 0;
        for (spec, state) in self.specs.iter().zip(&mut self.states).filter(|(spec, _)| !spec.is_cache()) {
            *state = Tensor::zeros(spec.dtype, spec.sizes(self.batch, 0));
        }
    }
}

/// The input of each state, in the order of the states.
fn state_inputs<'s>(slots: &'s [Slot<'_>]) -> impl Iterator<Item = Option<usize>> + 's {
    let place = move |k: usize| slots.iter().position(|slot| matches!(slot, Slot::State(s) if *s == k));
    (0..).map(place)
}

/// A model with its state; the work of a step does not depend on how many came before, but for caches.
pub struct Stream<'a> {
    runner: Runner<'a>,
    logits: Tensor,
}

impl<'a> Stream<'a> {
    pub(crate) fn new(
        model: &'a Loaded,
        batch: usize,
        form: Form,
        cache: CacheType,
        pool: &Arc<Pool>,
    ) -> Result<Stream<'a>> {
        let mut runner = Runner::new(model, batch, form, cache, pool);
        // What cannot be planned is known before the first token.
        let step = runner.plan(1, Want::Last)?;
        runner.plans.insert((1, Want::Last), step);
        let logits = Tensor::zeros(DType::F32, [batch, model.config.vocab_size()]);
        Ok(Stream { runner, logits })
    }

    /// Feeds one token per sequence; the logits of the next ones, (batch, vocabulary).
    ///
    /// # Errors
    /// A token id that the embedding has no row for.
    pub fn step(&mut self, tokens: &[u32]) -> Result<&[f32]> {
        self.read(tokens, Want::Last)?;
        Ok(self.logits.f32())
    }

    fn read(&mut self, tokens: &[u32], want: Want) -> Result<()> {
        let ids: Vec<i64> = tokens.iter().map(|t| i64::from(*t)).collect();
        let logits = (want != Want::None).then_some(&mut self.logits);
        self.runner.run(&ids, want, logits)
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
        assert_eq!(self.runner.batch, 1, "one sequence");
        let size = self.runner.model.config.chunk();
        self.runner.reserve(tokens.len());
        if self.runner.grows() && self.runner.options.form == Form::Prepared {
            // What is left is a chunk too; only the last token's logits are computed.
            let chunks = tokens.chunks(size);
            let last = chunks.len().saturating_sub(1);
            for (k, chunk) in chunks.enumerate() {
                if k == last {
                    // Its plan is another one.
                    self.runner.release();
                }
                self.read(chunk, if k == last { Want::Last } else { Want::None })?;
            }
            self.runner.keep(&[1, size]);
            self.runner.release();
            return Ok(self.logits.f32());
        }
        // The last token goes alone: it is the one whose logits are wanted.
        let prepared = self.runner.options.form == Form::Prepared;
        let whole = if prepared { tokens.len().saturating_sub(1) / size } else { 0 };
        for chunk in tokens.chunks(size).take(whole) {
            self.read(chunk, Want::None)?;
        }
        self.runner.release();
        for token in &tokens[whole * size..] {
            self.step(&[*token])?;
        }
        Ok(self.logits.f32())
    }

    /// The logits of the last step.
    pub fn logits(&self) -> &[f32] {
        self.logits.f32()
    }

    /// Back to the state before the first token.
    pub fn reset(&mut self) {
        self.runner.reset();
    }

    /// What is carried, by name, as numbers: sizes and values, of caches the rows of the tokens so far.
    pub fn states(&self) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let runner = &self.runner;
        let state = |(spec, tensor): (&State, &Tensor)| {
            let shape = spec.sizes(runner.batch, runner.position);
            let numbers = numbers(tensor);
            if !spec.is_cache() {
                return (spec.name.clone(), shape, numbers);
            }
            let row = numbers.len() / (runner.batch * runner.places).max(1);
            let rows = numbers.chunks(runner.places * row);
            let rows = rows.flat_map(|sequence| &sequence[..runner.position * row]).copied().collect();
            (spec.name.clone(), shape, rows)
        };
        runner.specs.iter().zip(&runner.states).map(state).collect()
    }

    /// Names and sizes of the states after `position` tokens, for [`crate::state`].
    pub(crate) fn state_sizes(&self, position: usize) -> Vec<(String, Vec<usize>)> {
        let sizes = |spec: &State| (spec.name.clone(), spec.sizes(self.runner.batch, position));
        self.runner.specs.iter().map(sizes).collect()
    }

    /// Goes on from states and logits as an earlier stream of the same model left them after `position` tokens.
    pub(crate) fn restore(
        &mut self,
        position: usize,
        states: &[(String, Vec<usize>, Vec<f32>)],
        logits: &[f32],
    ) {
        self.runner.position = 0;
        self.runner.reserve(position);
        self.runner.position = position;
        let runner = &mut self.runner;
        for (tensor, (_, _, values)) in runner.states.iter_mut().zip(states) {
            // One sequence: rows of a cache are its first ones.
            match tensor.dtype() {
                DType::I8 => tensor.i8_mut().iter_mut().zip(values).for_each(|(q, x)| *q = *x as i8),
                _ => tensor.f32_mut()[..values.len()].copy_from_slice(values),
            }
        }
        self.logits.f32_mut().copy_from_slice(logits);
    }

    /// How keys and values are cached; none where nothing grows with the text.
    pub fn cache(&self) -> Option<CacheType> {
        self.runner.grows().then_some(self.runner.options.cache)
    }

    /// The model.
    pub fn model(&self) -> &'a Loaded {
        self.runner.model
    }

    /// Operations of one step, counted from the plan that runs; of a cache all places count.
    pub fn operations(&self) -> f64 {
        let plan = self.runner.plans.get(&(1, Want::Last)).map(|(exe, _)| exe.plan());
        plan.map_or(0.0, |plan| plan.cost.operations + plan.cost.transcendental)
    }

    /// Measures every part of a step from now on.
    pub fn set_profile(&mut self, on: bool) {
        if let Some((exe, _)) = self.runner.plans.get_mut(&(1, Want::Last)) {
            exe.set_profile(on);
        }
    }

    /// Time per part of a step since [`Stream::set_profile`]: what, where in the model, time.
    pub fn profile(&self) -> Vec<(String, String, std::time::Duration)> {
        self.runner.plans.get(&(1, Want::Last)).map(|(exe, _)| exe.profile()).unwrap_or_default()
    }

    /// Multiply-accumulates with packed weights of a step.
    pub fn step_products(&self) -> f64 {
        let plan = self.runner.plans.get(&(1, Want::Last));
        plan.map_or(0.0, |(exe, slots)| products(exe, slots)) * self.runner.batch as f64
    }

    /// Multiply-accumulates with packed weights of a token of a prompt, once a chunk has been read; its logits are not
    /// computed.
    pub fn prompt_products(&self) -> Option<f64> {
        let mut chunks =
            self.runner.plans.iter().filter(|((time, want), _)| *time > 1 && *want == Want::None);
        chunks.next().map(|(_, (exe, slots))| products(exe, slots))
    }

    /// Bytes of weights that a step reads: all of them, but of a table that is only looked up in one row a sequence.
    pub fn step_bytes(&self) -> usize {
        let Some((exe, slots)) = self.runner.plans.get(&(1, Want::Last)) else { return 0 };
        let graph = &exe.plan().graph;
        let looked_up = |value: graph::Value| {
            let mut users = graph.nodes.iter().filter(|node| node.inputs.contains(&value)).peekable();
            let table = |node: &graph::Node| ["gather", "block_rows"].contains(&node.op.name());
            users.peek().is_some() && users.all(table)
        };
        let sizes = graph.inputs.iter().zip(slots).map(|(input, slot)| {
            let Slot::Weight(weight) = slot else { return 0 };
            let bytes = weight.bytes().len();
            let rows = graph.ty(input.value).shape.first().and_then(graph::Dim::fixed).unwrap_or(1);
            if looked_up(input.value) { bytes / rows.max(1) * self.runner.batch } else { bytes }
        });
        sizes.sum()
    }

    /// Bytes of the state; of caches, of the tokens so far.
    pub fn state_bytes(&self) -> usize {
        let (batch, position) = (self.runner.batch, self.runner.position);
        let size = |spec: &State| {
            spec.sizes(batch, position).iter().product::<usize>() * spec.dtype.size().unwrap_or(1)
        };
        self.runner.specs.iter().map(size).sum()
    }
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    match tensor.dtype() {
        DType::I8 => tensor.i8().iter().map(|q| f32::from(*q)).collect(),
        _ => tensor.f32().to_vec(),
    }
}

/// Weights of the packed matrices of a plan, in trits or in blocks: a token multiplies each once.
fn products(exe: &Executable, slots: &[Slot<'_>]) -> f64 {
    let graph = &exe.plan().graph;
    let of = |(input, slot): (&graph::Named, &Slot<'_>)| match slot {
        Slot::Weight(Weight::Packed { shape: [rows, columns], .. }) => *rows as f64 * *columns as f64,
        Slot::Weight(_) => {
            let blocks =
                |node: &&graph::Node| node.op.name() == "block_linear" && node.inputs.contains(&input.value);
            let rows = graph.ty(input.value).shape.first().and_then(graph::Dim::fixed).unwrap_or(0);
            let user = graph.nodes.iter().find(blocks);
            user.map_or(0.0, |node| rows as f64 * node.attrs.int("columns", 0) as f64)
        }
        _ => 0.0,
    };
    graph.inputs.iter().zip(slots).map(of).sum()
}
