//! Evaluates a model on given inputs: logits, loss, hidden states, gradients, traces, in any form and precision.

use crate::error::fault;
use crate::loaded::Loaded;
use crate::weights::Weight;
use anyhow::Result;
use axes::DType;
use engine::{Executable, Tensor, pool::Pool};
use furnace::Remat;
use furnace::precision::{Attempt, Precision, Real, Task, adapt};
use graph::{Accumulator, Array, Bindings, Data, EvalCx, Graph, Scalar, interp};
use models::forms::{CacheType, Form, GraphOptions, PLACES};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// How the sequence is cut.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Cut {
    /// All at once.
    #[default]
    Sequence,
    /// Token by token.
    Stream,
    /// In pieces of these lengths; the list repeats and the last piece is cut.
    Chunks(Vec<usize>),
}

/// In which arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum Arithmetic {
    /// On the engine, in f32.
    #[default]
    F32,
    /// In the reference interpreter, in f64 throughout.
    F64,
    /// In the reference interpreter, in any precision; numbers of the model are the doubles that it states. Adaptive: in
    /// intervals of more and more digits until every element of every result is known to the tolerance.
    Precise(Precision),
}

/// Most digits that a model is evaluated with to meet a tolerance. Where a number lies exactly between two that a
/// quantiser rounds to, no number of digits decides.
const MOST_DIGITS: usize = 800;

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Form.
    pub cut: Cut,
    /// Arithmetic.
    pub arithmetic: Arithmetic,
    /// Integer products.
    pub integer: bool,
    /// Hidden states.
    pub hidden: bool,
    /// Gradients of the loss.
    pub grads: bool,
    /// Every inner value that the reference's trace names.
    pub trace: bool,
    /// The decimals of every number, in all digits of the arithmetic.
    pub decimals: bool,
    /// How sums and products of matrices are kept; `None`: as the engine's kernels, or the ops' specifications, do.
    pub accumulator: Option<Accumulator>,
}

/// The inputs of an evaluation.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Sequences.
    pub batch: usize,
    /// Positions.
    pub length: usize,
    /// Token ids, row-major.
    pub input_ids: Vec<i64>,
    /// 1 where a token is real.
    pub attention_mask: Option<Vec<i64>>,
    /// Labels, −100 where ignored; not shifted.
    pub labels: Option<Vec<i64>>,
    /// `x` [B, T, D], of models that are not over tokens.
    pub x: Option<Numbers>,
    /// What outputs are multiplied with for the loss, of such models.
    pub loss_weight: Option<Numbers>,
}

/// Numbers at each position of each sequence.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// How many at each.
    pub width: usize,
    /// All of them, row-major.
    pub values: Vec<f64>,
}

impl Batch {
    /// Whether there is what a loss is made of.
    pub fn has_loss(&self) -> bool {
        self.labels.is_some() || self.loss_weight.is_some()
    }
}

/// What an evaluation gives.
pub struct Evaluation {
    /// Named arrays: `logits`, `loss`, `hidden_states.N`, `grad.NAME`, traces.
    pub values: BTreeMap<String, Array<f64>>,
    /// Counted operations of each piece of the sequence.
    pub operations: Vec<f64>,
    /// The numbers of `values` as decimals, row-major, where they were asked for.
    pub decimals: BTreeMap<String, Vec<String>>,
    /// How far the numbers of each of `values` may be from the exact ones at most, where the arithmetic tells.
    pub bounds: BTreeMap<String, f64>,
    /// The arithmetic that met the tolerance, where one was asked for.
    pub met_by: Option<Precision>,
    /// What is not known to the tolerance.
    open: Option<String>,
}

impl Loaded {
    /// Evaluates a batch.
    pub fn eval(&self, batch: &Batch, request: &Request, pool: &Arc<Pool>) -> Result<Evaluation> {
        self.eval_watched(batch, request, pool, &|_, _| {})
    }

    /// Like [`Loaded::eval`]; in the reference interpreter `watch` is told how many ops of how many are done, for each
    /// piece of the sequence anew.
    pub fn eval_watched(
        &self,
        batch: &Batch,
        request: &Request,
        pool: &Arc<Pool>,
        watch: Watch<'_>,
    ) -> Result<Evaluation> {
        self.check(batch)?;
        let pieces = pieces(&request.cut, batch.length);
        if pieces.len() > 1 && (request.grads || request.trace) {
            return fault("gradients and traces need the whole sequence at once", "use `--form sequence`");
        }
        if request.grads && !batch.has_loss() {
            return fault(
                "gradients need a loss, and the inputs have no `labels`",
                "add `labels` i64 [B, T] to the inputs, or `loss_weight` beside `x`",
            );
        }
        let adaptive = matches!(request.arithmetic, Arithmetic::Precise(Precision::Adaptive { .. }));
        if adaptive && pieces.len() > 1 && batch.has_loss() {
            return fault(
                "the loss of a cut sequence is computed from its logits in f64, which meets no tolerance",
                "use `--form sequence`, or leave `labels` out of the inputs",
            );
        }
        if request.grads && request.integer {
            return fault("gradients flow through the float path", "leave out `--integer`");
        }
        let packed = !self.has_masters();
        if request.grads && packed {
            return self.no_masters("gradients need master weights");
        }
        let caches = self.config.states(CacheType::F32).iter().any(|state| state.is_cache());
        if caches && pieces.len() > 1 && batch.attention_mask.is_some() {
            return fault(
                "an attention mask needs the whole sequence at once: caches of keys do not know it",
                "use `--form sequence`, or leave the mask out",
            );
        }
        let options = GraphOptions {
            form: match (packed, request.integer) {
                (true, _) => Form::Prepared,
                (false, true) => Form::Integer,
                (false, false) => Form::Float,
            },
            mask: batch.attention_mask.is_some(),
            labels: batch.has_loss(),
            states: pieces.len() > 1,
            trace: request.trace,
            embedding: self.embedding_type(),
            ..Default::default()
        };
        let mut made = match request.arithmetic {
            Arithmetic::F32 => {
                // A plan for each length of a piece.
                let plans = RefCell::new(BTreeMap::new());
                self.eval_in::<f32>(batch, request, &options, &pieces, &|graph, feeds, sizes| {
                    self.run_engine(graph, feeds, sizes, &mut plans.borrow_mut(), pool)
                })
            }
            Arithmetic::F64 if pool.compiler().is_some() => {
                self.eval_compiled::<f64>(batch, request, &options, &pieces)
            }
            Arithmetic::Precise(Precision::F128) if pool.compiler().is_some() => {
                self.eval_compiled::<furnace::precision::F128>(batch, request, &options, &pieces)
            }
            #[cfg(target_arch = "x86_64")]
            Arithmetic::Precise(Precision::F80) if pool.compiler().is_some() => {
                self.eval_compiled::<furnace::precision::F80>(batch, request, &options, &pieces)
            }
            Arithmetic::F64 => {
                Interpret { model: self, batch, request, options, pieces: &pieces, watch }.here::<f64>()
            }
            Arithmetic::Precise(Precision::Adaptive { tolerance }) => {
                adapt(tolerance, MOST_DIGITS, |precision| {
                    let task = Interpret { model: self, batch, request, options, pieces: &pieces, watch };
                    let made = precision.run(task)??;
                    Ok(match made.open {
                        Some(open) => Attempt::Open(open),
                        None => Attempt::Done(Evaluation { met_by: Some(precision), ..made }),
                    })
                })
            }
            Arithmetic::Precise(precision) => {
                precision.run(Interpret { model: self, batch, request, options, pieces: &pieces, watch })?
            }
        }?;
        if request.trace && packed {
            self.trace_weights(&mut made.values)?;
        }
        Ok(made)
    }

    /// Evaluates as native code in an arithmetic that it has for whole graphs.
    fn eval_compiled<S: crate::compiled::Arithmetic>(
        &self,
        batch: &Batch,
        request: &Request,
        options: &GraphOptions,
        pieces: &[(usize, usize)],
    ) -> Result<Evaluation> {
        let native = crate::compiled::Native::new()?;
        self.eval_in::<S>(batch, request, options, pieces, &|graph, feeds, sizes| {
            let feeds = feeds.into_iter().map(|feed| match feed {
                Feed::Array(array) => Ok(array),
                Feed::Weight(weight) => weight.to_array(),
            });
            let graph = graph.specialize(sizes);
            let made = native.run_wide(&graph, &feeds.collect::<Result<Vec<_>>>()?)?;
            let cost = interp::cost(&graph::passes::dead_code(&graph));
            Ok((made, cost.operations + cost.transcendental))
        })
    }

    /// Trits and scales under the names that they have in the trace of master weights.
    fn trace_weights(&self, values: &mut BTreeMap<String, Array<f64>>) -> Result<()> {
        for name in self.config.projections() {
            let path = name.strip_prefix("model.").unwrap_or(&name).trim_end_matches(".weight");
            values.insert(format!("{path}.trits"), self.weight(&format!("{name}.trits"))?.to_array()?);
            values.insert(format!("{path}.w_scale"), self.weight(&format!("{name}.scale"))?.to_array()?);
        }
        Ok(())
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        let vocab = self.config.vocab_size() as i64;
        if batch.batch == 0 || batch.length == 0 {
            return fault("input_ids is empty", "give at least one token");
        }
        match (self.config.takes_tokens(), &batch.x) {
            (true, None) => {}
            (false, Some(x)) => {
                let places = batch.batch * batch.length;
                let whole = |numbers: &Numbers| numbers.values.len() == places * numbers.width;
                if !whole(x) || !batch.loss_weight.as_ref().is_none_or(whole) {
                    return fault("`x` or `loss_weight` has not B·T·D numbers", "give arrays of [B, T, D]");
                }
                return Ok(());
            }
            (true, Some(_)) => {
                return fault("the inputs hold `x`, and this model is over tokens", "give `input_ids`");
            }
            (false, None) => {
                return fault(
                    "the inputs hold no `x`, and this model is not over tokens",
                    "give `x` f32 [B, T, D]",
                );
            }
        }
        if let Some((i, id)) = batch.input_ids.iter().enumerate().find(|(_, id)| **id < 0 || **id >= vocab) {
            let (b, t) = (i / batch.length, i % batch.length);
            return fault(
                format!("token id {id} at row {b}, position {t} is outside the vocabulary of {vocab}"),
                "use the tokenizer that belongs to the model, or ids within that range",
            );
        }
        if let Some(l) = batch.labels.iter().flatten().find(|l| **l != -100 && (**l < 0 || **l >= vocab)) {
            return fault(
                format!("label {l} is outside the vocabulary of {vocab}"),
                "use -100 to leave a position out",
            );
        }
        Ok(())
    }

    fn eval_in<S: Real>(
        &self,
        batch: &Batch,
        request: &Request,
        options: &GraphOptions,
        pieces: &[(usize, usize)],
        run: &dyn Fn(&Graph, Vec<Feed<'_, S>>, &Bindings) -> Result<Made<S>>,
    ) -> Result<Evaluation> {
        // A cut sequence is evaluated without labels: its loss is that of the joined logits.
        let labels_inside = options.labels && pieces.len() == 1;
        let mut graph = self.config.graph(&GraphOptions { labels: labels_inside, ..*options })?;
        if request.grads {
            let names: Vec<String> = self.parameters.keys().cloned().collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            graph = furnace::grad_graph(&graph, "loss", &names, Remat::default())?;
        }
        if let Some(how) = request.accumulator {
            graph = graph::passes::accumulate(&graph, how, &[]);
        }
        let mut state: BTreeMap<String, Array<S>> = self
            .config
            .states(options.cache)
            .iter()
            .map(|state| {
                let shape = state.sizes(batch.batch, batch.length);
                let zeros = vec![0.0; shape.iter().product()];
                (state.name.clone(), Array::from_f64(state.dtype, shape, &zeros))
            })
            .collect();
        let mut parts: BTreeMap<String, Vec<Array<S>>> = BTreeMap::new();
        let mut operations = vec![];
        for (from, to) in pieces {
            let columns = |v: &[i64]| -> Vec<i64> {
                v.chunks(batch.length).flat_map(|row| row[*from..*to].to_vec()).collect()
            };
            let shape = [batch.batch, to - from];
            let ids = |v: &[i64]| Feed::Array(Array::int(DType::I64, shape, columns(v)));
            let numbers = |numbers: &Numbers| {
                let row = batch.length * numbers.width;
                let rows = numbers.values.chunks(row.max(1));
                let part = rows.flat_map(|row| &row[from * numbers.width..to * numbers.width]);
                let part = part.map(|x| S::from_f64(*x)).collect();
                Feed::Array(Array::float(DType::F32, [batch.batch, to - from, numbers.width], part))
            };
            let inputs = graph
                .inputs
                .iter()
                .map(|i| {
                    Ok(match i.name.as_str() {
                        "input_ids" => ids(&batch.input_ids),
                        "labels" => ids(batch.labels.as_deref().unwrap_or(&[])),
                        "x" if batch.x.is_some() => numbers(batch.x.as_ref().unwrap_or(&Numbers::default())),
                        "loss_weight" => numbers(batch.loss_weight.as_ref().unwrap_or(&Numbers::default())),
                        "position" => Feed::Array(Array::int(DType::I64, [], vec![*from as i64])),
                        "attention_mask" => {
                            let m = columns(batch.attention_mask.as_deref().unwrap_or(&[]));
                            let m = m.iter().map(|x| S::from_f64(*x as f64)).collect();
                            Feed::Array(Array::float(DType::F32, shape, m))
                        }
                        name => match state.get(name) {
                            Some(state) => Feed::Array(state.clone()),
                            None => Feed::Weight(self.weight(name)?),
                        },
                    })
                })
                .collect::<Result<Vec<_>>>()?;
            let sizes = [("B", batch.batch), ("T", to - from), (PLACES, batch.length)];
            let bindings = Bindings::from(sizes.map(|(name, n)| (name.to_string(), n)));
            let (made, work) = run(&graph, inputs, &bindings)?;
            operations.push(work);
            for (name, value) in made {
                if let Some(s) = state.get_mut(&name) {
                    *s = value;
                } else {
                    parts.entry(name).or_default().push(value);
                }
            }
        }
        parts.retain(|n, _| request.hidden || !n.starts_with("hidden_states."));
        let (mut values, mut decimals, mut bounds) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let tolerance = match request.arithmetic {
            Arithmetic::Precise(Precision::Adaptive { tolerance }) => Some(tolerance),
            _ => None,
        };
        let mut open = None;
        for (name, list) in parts {
            let numbers = || list.iter().flat_map(|a| a.floats());
            if let Some(tolerance) = tolerance {
                open =
                    open.or_else(|| numbers().enumerate().find_map(|(i, x)| unknown(x, tolerance, &name, i)));
            }
            if let Some(f) = numbers().find_map(Real::undefined).filter(|f| !(f.undecided && open.is_some()))
            {
                let remedy = "use more digits, or an arithmetic without bounds";
                return fault(format!("`{name}` has no value: {} ({})", f.problem, f.op), remedy);
            }
            if let Some(bound) = numbers().filter_map(Real::bound).reduce(f64::max) {
                bounds.insert(name.clone(), bound);
            }
            if request.decimals {
                decimals.insert(name.clone(), join(&list, S::to_decimal, i64::to_string).1);
            }
            let (shape, numbers) = join(&list, S::to_f64, |i| *i as f64);
            values.insert(name, Array::from_f64(list[0].dtype, shape, &numbers));
        }
        if let Some(v) = values.get_mut("loss") {
            v.shape = vec![1];
        }
        if options.labels && !labels_inside {
            let loss = match &batch.loss_weight {
                Some(weight) => {
                    values["y"].floats().iter().zip(&weight.values).map(|(y, weight)| y * weight).sum()
                }
                None => cross_entropy(&values["logits"], batch.labels.as_deref().unwrap_or(&[])),
            };
            values.insert("loss".into(), Array::float(DType::F32, [1], vec![loss]));
        }
        Ok(Evaluation { values, operations, decimals, bounds, met_by: None, open })
    }
}

/// Why element `i` of `name` is not known to the tolerance: relative above 1, absolute below.
fn unknown<S: Real>(x: &S, tolerance: f64, name: &str, i: usize) -> Option<String> {
    if let Some(f) = x.undefined().filter(|f| f.undecided) {
        return Some(format!("{} ({}; `{name}`, element {i})", f.problem, f.op));
    }
    let (bound, x) = (x.bound()?, x.to_f64());
    (bound.is_nan() || bound > tolerance * x.abs().max(1.0))
        .then(|| format!("element {i} of `{name}` is {x} within {bound:e}"))
}

fn pieces(cut: &Cut, length: usize) -> Vec<(usize, usize)> {
    let sizes = match cut {
        Cut::Sequence => vec![length],
        Cut::Stream => vec![1],
        Cut::Chunks(list) => list.clone(),
    };
    let mut out = vec![];
    let mut at = 0;
    for n in sizes.iter().cycle().filter(|n| **n > 0) {
        if at >= length {
            break;
        }
        out.push((at, (at + n).min(length)));
        at += n;
    }
    out
}

/// What an input of a graph is given.
enum Feed<'a, S> {
    /// A value of this evaluation.
    Array(Array<S>),
    /// A weight where it lies.
    Weight(Weight<'a>),
}

/// Outputs and taps by name, and the work of the run.
type Made<S> = (Vec<(String, Array<S>)>, f64);

/// Told how many ops of how many are done.
pub type Watch<'a> = &'a dyn Fn(usize, usize);

/// An evaluation in the reference interpreter.
#[derive(Clone, Copy)]
struct Interpret<'a> {
    model: &'a Loaded,
    batch: &'a Batch,
    request: &'a Request,
    options: GraphOptions,
    pieces: &'a [(usize, usize)],
    watch: Watch<'a>,
}

impl Interpret<'_> {
    fn here<S: Real>(self) -> Result<Evaluation> {
        let weights = RefCell::new(BTreeMap::new());
        self.model.eval_in::<S>(
            self.batch,
            self.request,
            &self.options,
            self.pieces,
            &|graph, feeds, sizes| interpret(graph, feeds, sizes, &mut weights.borrow_mut(), self.watch),
        )
    }
}

impl Task for Interpret<'_> {
    type Out = Result<Evaluation>;
    fn run<S: Real>(self) -> furnace::Result<Self::Out> {
        Ok(self.here::<S>())
    }
}

/// What a graph is given as arrays; `weights` keeps their copies from piece to piece.
fn arrays<S: Scalar>(
    graph: &Graph,
    feeds: Vec<Feed<'_, S>>,
    weights: &mut BTreeMap<String, Array<S>>,
) -> Result<Vec<Array<S>>> {
    let mut inputs = vec![];
    for (feed, input) in feeds.into_iter().zip(&graph.inputs) {
        inputs.push(match (feed, weights.get(&input.name)) {
            (Feed::Array(array), _) => array,
            (Feed::Weight(_), Some(array)) => array.clone(),
            (Feed::Weight(weight), None) => {
                let array = weight.to_array()?;
                weights.insert(input.name.clone(), array.clone());
                array
            }
        });
    }
    Ok(inputs)
}

/// Runs a graph in the reference interpreter; `weights` keeps their copies from piece to piece.
fn interpret<S: Scalar>(
    graph: &Graph,
    feeds: Vec<Feed<'_, S>>,
    sizes: &Bindings,
    weights: &mut BTreeMap<String, Array<S>>,
    watch: Watch<'_>,
) -> Result<Made<S>> {
    let inputs = arrays(graph, feeds, weights)?;
    let made = interp::run_watched(graph, inputs, EvalCx::default(), watch)?;
    let cost = interp::cost(&graph::passes::dead_code(&graph.specialize(sizes)));
    Ok((made.outputs.into_iter().chain(made.taps).collect(), cost.operations + cost.transcendental))
}

impl Loaded {
    /// Runs a graph on the engine, weights bound where they lie.
    fn run_engine(
        &self,
        graph: &Graph,
        feeds: Vec<Feed<'_, f32>>,
        sizes: &Bindings,
        plans: &mut BTreeMap<usize, Executable>,
        pool: &Arc<Pool>,
    ) -> Result<Made<f32>> {
        let length = sizes.get("T").copied().unwrap_or(0);
        let exe = match plans.entry(length) {
            Entry::Occupied(ready) => ready.into_mut(),
            Entry::Vacant(place) => {
                let graph = graph.specialize(sizes);
                let options = premap::Options { taps: true, ..self.plan_options(&graph)? };
                place.insert(Executable::new(&graph, &options, pool.clone())?)
            }
        };
        let planned = &exe.plan().graph;
        let named: Vec<_> = planned.outputs.iter().chain(&planned.taps).cloned().collect();
        let mut outputs: Vec<Tensor> = named.iter().map(|o| Tensor::of(planned.ty(o.value))).collect();
        let own: Vec<Option<Tensor>> = feeds
            .iter()
            .map(|feed| match feed {
                Feed::Array(array) => Some(Tensor::from_array(array)),
                Feed::Weight(_) => None,
            })
            .collect();
        let mut io = exe.io();
        for (i, (feed, own)) in feeds.iter().zip(&own).enumerate() {
            match (feed, own) {
                (Feed::Weight(weight), _) => weight.bind(&mut io, i),
                (Feed::Array(_), Some(tensor)) => {
                    io.input(i, tensor);
                }
                (Feed::Array(_), None) => {}
            }
        }
        outputs.iter_mut().enumerate().for_each(|(o, t)| {
            io.output(o, t);
        });
        exe.run(&mut io)?;
        drop(io);
        let work = exe.plan().cost.operations + exe.plan().cost.transcendental;
        Ok((named.into_iter().map(|n| n.name).zip(outputs.iter().map(Tensor::to_array)).collect(), work))
    }
}

/// Joins pieces along the second axis: the sizes, and what `float` or `int` makes of each element.
fn join<S: Scalar, T: Clone>(
    list: &[Array<S>],
    float: impl Fn(&S) -> T,
    int: impl Fn(&i64) -> T,
) -> (Vec<usize>, Vec<T>) {
    let each = |a: &Array<S>| -> Vec<T> {
        match &a.data {
            Data::Float(v) => v.iter().map(&float).collect(),
            Data::Int(v) => v.iter().map(&int).collect(),
        }
    };
    let first = &list[0];
    if list.len() == 1 || first.shape.len() < 2 {
        let last = &list[list.len() - 1];
        return (last.shape.clone(), each(last));
    }
    let (batch, inner) = (first.shape[0], first.shape[2..].iter().product::<usize>());
    let total: usize = list.iter().map(|a| a.shape[1]).sum();
    let mut data = Vec::with_capacity(batch * total * inner);
    let flat: Vec<Vec<T>> = list.iter().map(each).collect();
    for b in 0..batch {
        for (a, v) in list.iter().zip(&flat) {
            let n = a.shape[1] * inner;
            data.extend_from_slice(&v[b * n..(b + 1) * n]);
        }
    }
    let mut shape = first.shape.clone();
    shape[1] = total;
    (shape, data)
}

/// Mean cross entropy of logits (B, T, V) against labels shifted left by one.
fn cross_entropy(logits: &Array<f64>, labels: &[i64]) -> f64 {
    let (t, v) = (logits.shape[1], logits.shape[2]);
    let (mut sum, mut count) = (0.0, 0usize);
    for (row, x) in logits.floats().chunks(v).enumerate() {
        let next = (row % t + 1 < t).then(|| labels[row + 1]).filter(|l| *l >= 0);
        if let Some(l) = next {
            let peak = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = x.iter().map(|x| (x - peak).exp()).sum();
            sum += total.ln() + peak - x[l as usize];
            count += 1;
        }
    }
    sum / count as f64
}
