//! The training step as one plan: forward, backward, gradient clipping and the optimiser's update.
//!
//! The graph has two parts. The first yields the loss and the gradient's norm and changes nothing; the second
//! overwrites weights and optimiser state in place. Between them the loop looks at both numbers, so that a step that is not
//! finite leaves everything as it was.
//!
//! The rules of the update are those of [`crate::optimizers`]; for AdamW the order of operations is PyTorch's (Loshchilov
//! and Hutter 2017): decay, moments, bias correction outside the root, eps added to the corrected root.

mod graph;
mod precise;
mod state;

pub use graph::{plan_options, step_graph, updated};
pub use state::{NamedSlot, TrainState};

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use ::graph::{Accumulator, Bindings, Cx, Var};
use axes::DType;
use engine::{Blame, Executable, Tensor, pool::Pool};
use furnace::precision::Precision;
use furnace::surrogates::Surrogate;
use models::architecture::{Architecture, ModelConfig};
use models::forms::{Form, GraphOptions};
use premap::Options;

use self::graph::load;
use self::precise::Precise;
use crate::config::{GradientType, Products, TrainConfig};
use crate::data::Batch;
use crate::error::{Result, TrainError};
use crate::optimizers::{self, Optimizer};
use crate::quantizer::{Transform, folded};

/// The numbers of one update that change from step to step.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Updates done before this one.
    pub step: u64,
    /// Learning rate.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// The learning rate as a share of its peak.
    pub share: f64,
    /// The value of the quantiser's knob.
    pub knob: f64,
}

/// What a step reports.
#[derive(Clone, Copy, Debug)]
pub struct StepResult {
    /// Loss before the update.
    pub loss: f32,
    /// Norm of the gradient before clipping.
    pub grad_norm: f32,
}

/// The shape of a step and how it is planned.
#[derive(Clone, Debug, PartialEq)]
pub struct StepOptions {
    /// Sequences per batch, B.
    pub batch: usize,
    /// Positions per sequence, T.
    pub length: usize,
    /// Batches whose gradients are added up before an update.
    pub accumulate: usize,
    /// Bytes that weights, moments and the plan may take together; `None`: no limit, nothing is computed twice.
    pub memory: Option<usize>,
    /// Integer products forward, or the products of fake-quantised floats.
    pub products: Products,
    /// What gradients are kept in between the backward pass and the update: f32 or bf16.
    pub gradients: DType,
    /// How sums of gradients and of the optimiser are kept; `None`: as the kernels do.
    pub accumulator: Option<Accumulator>,
    /// Another arithmetic than the engine's f32, in the reference interpreter.
    pub scalar: Option<Precision>,
    /// Fused loops and kernels; without, one step per op, whose result is kept until its last reader and never computed
    /// again: the form that a fused plan is measured against.
    pub fuse: bool,
    /// How derivatives pass the quantiser of the weights in this step.
    pub surrogate: Surrogate,
}

impl StepOptions {
    /// One batch per update, integer products, fused, without a limit.
    pub fn new(batch: usize, length: usize) -> StepOptions {
        StepOptions {
            batch,
            length,
            accumulate: 1,
            memory: None,
            products: Products::Integer,
            gradients: DType::F32,
            accumulator: None,
            scalar: None,
            fuse: true,
            surrogate: Surrogate::Ste,
        }
    }

    /// As a configuration says, with the plain straight-through estimator.
    pub fn of(c: &TrainConfig) -> StepOptions {
        StepOptions {
            accumulate: c.train.accumulate,
            memory: (c.train.memory.bytes() > 0).then(|| c.train.memory.bytes()),
            products: c.train.products,
            gradients: match c.train.gradients {
                GradientType::F32 => DType::F32,
                GradientType::BF16 => DType::BF16,
            },
            accumulator: c.precision.accumulator.accumulator(),
            scalar: c.precision.scalar.wider(),
            fuse: c.train.fuse,
            ..StepOptions::new(c.train.batch_size, c.data.seq_len)
        }
    }
}

/// What runs a step.
enum Runner {
    Engine(Box<Executable>),
    Interpreter(Precise),
}

/// A step ready to run.
pub struct Step {
    runner: Runner,
    ids: Tensor,
    labels: Tensor,
    key: Tensor,
    /// Numbers that change from step to step: name, place among the inputs, value.
    numbers: Vec<(String, usize, Tensor)>,
    loss: Tensor,
    grad_norm: Tensor,
    optimizer: Optimizer,
    /// Places of every weight and state among inputs and outputs, in the order of [`TrainState::tensors`].
    places: Vec<(usize, usize)>,
    /// Places of the token ids, of the labels, and of the key of the noise.
    fed: [Option<usize>; 2],
    keyed: Option<usize>,
}

impl Step {
    /// Compiles the step for one batch shape; with a scalar of its own it is interpreted.
    pub fn new(
        c: &dyn Architecture,
        optimizer: &Optimizer,
        options: &StepOptions,
        pool: Arc<Pool>,
    ) -> Result<Step> {
        let g = step_graph(c, optimizer, options)?;
        let input = |name: &str| g.inputs.iter().position(|i| i.name == name);
        let output = |name: &str| g.outputs.iter().position(|o| o.name == name);
        let mut places = vec![];
        for (name, _) in updated(c, options) {
            let own = optimizer.slots(&name).into_iter().map(|s| s.prefix);
            for prefix in std::iter::once("").chain(own) {
                let (from, to) = (format!("{prefix}{name}"), format!("new.{prefix}{name}"));
                places.extend(input(&from).zip(output(&to)));
            }
        }
        let numbers = NUMBERS
            .into_iter()
            .filter_map(|name| input(name).map(|at| (name.to_string(), at, Tensor::zeros(DType::F32, []))));
        let ids = input("input_ids").map(|i| Tensor::of(g.ty(g.inputs[i].value)));
        let scalar = || Tensor::zeros(DType::F32, []);
        let ids = ids.unwrap_or_else(scalar);
        let fed = ["input_ids", "labels"].map(input);
        let labels = ids.clone();
        let keyed = input("quantizer.key");
        let numbers = numbers.collect();
        let runner = match options.scalar {
            None => {
                let plan = plan_options(c, optimizer, options);
                Runner::Engine(Box::new(load(c, &g, plan, options, &pool)?))
            }
            Some(scalar) => Runner::Interpreter(Precise::new(g, scalar)),
        };
        Ok(Step {
            runner,
            ids,
            labels,
            key: Tensor::from_i64([], &[0]),
            numbers,
            loss: scalar(),
            grad_norm: scalar(),
            optimizer: optimizer.clone(),
            places,
            fed,
            keyed,
        })
    }

    /// The loaded plan, for its memory and its profile; an interpreted step has none.
    pub fn executable(&mut self) -> Option<&mut Executable> {
        match &mut self.runner {
            Runner::Engine(exe) => Some(exe),
            Runner::Interpreter(_) => None,
        }
    }

    /// Bytes of the plan, 0 where there is none.
    pub fn plan_bytes(&mut self) -> usize {
        self.executable().map_or(0, |exe| exe.memory())
    }

    /// One update from as many batches as the step accumulates.
    pub fn run(&mut self, state: &mut TrainState, batches: &[Batch], rates: Rates) -> Result<StepResult> {
        let ids = batches.iter().flat_map(|b| b.ids.iter());
        self.ids.i64_mut().iter_mut().zip(ids).for_each(|(t, id)| *t = i64::from(*id));
        self.labels
            .i64_mut()
            .iter_mut()
            .zip(batches.iter().flat_map(Batch::targets))
            .for_each(|(t, label)| *t = label);
        // The noise of a step is a function of its number, so that a resumed run draws the same.
        self.key.i64_mut()[0] = (rates.step as i64) << 20;
        let values = numbers(&rates, &self.optimizer);
        for (name, _, tensor) in &mut self.numbers {
            let found = values.iter().find(|(n, _)| n == name).map_or(0.0, |(_, v)| *v);
            tensor.f32_mut()[0] = found as f32;
        }
        let exe = match &mut self.runner {
            Runner::Engine(exe) => exe,
            Runner::Interpreter(precise) => {
                let mut inputs: Vec<&Tensor> = vec![&self.ids; precise.graph.inputs.len()];
                for ((from, _), (_, tensor)) in self.places.iter().zip(state.tensors()) {
                    inputs[*from] = tensor;
                }
                if let [_, Some(at)] = self.fed {
                    inputs[at] = &self.labels;
                }
                self.keyed.iter().for_each(|at| inputs[*at] = &self.key);
                self.numbers.iter().for_each(|(_, at, tensor)| inputs[*at] = tensor);
                let made = precise.run(&inputs)?;
                let result = [made[0].f32()[0], made[1].f32()[0]];
                // Nothing has been overwritten yet.
                if !result.iter().all(|x| x.is_finite()) {
                    return Err(not_finite(rates.step, result, None));
                }
                for ((_, to), (_, tensor)) in self.places.iter().zip(state.tensors_mut()) {
                    tensor.f32_mut().copy_from_slice(made[*to].f32());
                }
                return Ok(StepResult { loss: result[0], grad_norm: result[1] });
            }
        };
        let mut io = exe.io();
        for ((from, to), (_, tensor)) in self.places.iter().zip(state.tensors_mut()) {
            io.in_place(*from, *to, tensor);
        }
        for (at, tensor) in self.fed.iter().zip([&self.ids, &self.labels]) {
            if let Some(at) = at {
                io.input(*at, tensor);
            }
        }
        if let Some(at) = self.keyed {
            io.input(at, &self.key);
        }
        for (_, at, tensor) in &self.numbers {
            io.input(*at, tensor);
        }
        io.output(0, &mut self.loss).output(1, &mut self.grad_norm);
        exe.run_early(&mut io)?;
        let result = [io.scalar(0), io.scalar(1)];
        if !result.iter().all(|x| x.is_finite()) {
            let blame = exe.find_nonfinite(&mut io)?;
            return Err(not_finite(rates.step, result, blame));
        }
        exe.run_rest(&mut io)?;
        Ok(StepResult { loss: result[0], grad_norm: result[1] })
    }
}

/// Inputs of a step that are one number each.
const NUMBERS: [&str; 8] = [
    "lr",
    "decay",
    "weight_decay",
    "step_size",
    "unit_step",
    "root_correction",
    "wanted_flips",
    "quantizer.knob",
];

/// Their values at a step, by the formulas of the optimisers in f64.
fn numbers(rates: &Rates, optimizer: &Optimizer) -> Vec<(&'static str, f64)> {
    let cx = Cx::eager();
    let (lr, decay) = (cx.scalar(rates.lr), cx.scalar(rates.weight_decay));
    let made = optimizers::Rates::new(rates.step, &lr, &decay, optimizer.config().betas);
    let mut list: Vec<_> = optimizers::Rates::NAMES.into_iter().zip(made.list().map(Var::val)).collect();
    if let Transform::FlipRate { target, .. } = optimizer.transform() {
        // At the end of a schedule nothing is to flip; the control divides by what is wanted.
        list.push(("wanted_flips", (target * rates.share).max(1e-12)));
    }
    list.push(("quantizer.knob", rates.knob));
    list
}

fn not_finite(step: u64, result: [f32; 2], blame: Option<Blame>) -> TrainError {
    TrainError::NotFinite {
        step,
        quantity: if result[0].is_finite() { "gradient norm" } else { "loss" },
        blame: blame.map_or_else(|| "the value itself overflowed".into(), |b| b.to_string()),
        checkpoint: "no checkpoint was written yet".into(),
    }
}

/// Losses of validation batches.
pub struct Evaluator {
    config: ModelConfig,
    by_batch: BTreeMap<(usize, usize), Executable>,
    by_logits: BTreeMap<(usize, usize), Executable>,
    pool: Arc<Pool>,
}

impl Evaluator {
    /// An evaluator of a model.
    pub fn new(config: ModelConfig, pool: Arc<Pool>) -> Evaluator {
        Evaluator { config, by_batch: BTreeMap::new(), by_logits: BTreeMap::new(), pool }
    }

    /// The mean loss over windows, of the hard ternary model.
    pub fn loss(&mut self, state: &TrainState, batches: &[Batch]) -> Result<f64> {
        let folded = folded(state);
        let state = folded.as_ref().unwrap_or(state);
        let (mut sum, mut windows) = (0.0, 0.0);
        for b in batches {
            let mut loss = Tensor::zeros(DType::F32, []);
            self.output("loss", state, b, &mut loss)?;
            sum += f64::from(loss.f32()[0]) * b.batch_size as f64;
            windows += b.batch_size as f64;
        }
        Ok(sum / windows)
    }

    /// Mean loss and share of right answers over the places that are asked, of the hard ternary model.
    pub fn answers(&mut self, state: &TrainState, batches: &[Batch]) -> Result<[f64; 2]> {
        let folded = folded(state);
        let state = folded.as_ref().unwrap_or(state);
        let (mut loss, mut right, mut asked) = (0.0, 0usize, 0usize);
        let vocab = self.config.vocab_size();
        for b in batches {
            let mut logits = Tensor::zeros(DType::F32, [b.batch_size, b.seq_len, vocab]);
            self.output("logits", state, b, &mut logits)?;
            let targets: Vec<i64> = b.targets().collect();
            for (row, labels) in targets.chunks(b.seq_len).enumerate() {
                for (t, label) in labels.iter().enumerate().skip(1) {
                    let Ok(label) = usize::try_from(*label) else { continue };
                    let at = (row * b.seq_len + t - 1) * vocab;
                    let logits = &logits.f32()[at..at + vocab];
                    let most = logits.iter().fold(f32::NEG_INFINITY, |most, x| most.max(*x));
                    let sum: f64 = logits.iter().map(|x| f64::from(x - most).exp()).sum();
                    loss += sum.ln() - f64::from(logits[label] - most);
                    let best = logits.iter().enumerate().fold(
                        0,
                        |best, (k, x)| {
                            if *x > logits[best] { k } else { best }
                        },
                    );
                    right += usize::from(best == label);
                    asked += 1;
                }
            }
        }
        let asked = asked.max(1) as f64;
        Ok([loss / asked, right as f64 / asked])
    }

    /// Computes one output for a batch.
    fn output(&mut self, name: &str, state: &TrainState, b: &Batch, out: &mut Tensor) -> Result<()> {
        let known = if name == "loss" { &mut self.by_batch } else { &mut self.by_logits };
        let exe = match known.entry((b.batch_size, b.seq_len)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let options =
                    GraphOptions { form: Form::Integer, labels: name == "loss", ..Default::default() };
                let bindings =
                    Bindings::from([("B".to_string(), b.batch_size), ("T".to_string(), b.seq_len)]);
                let mut g = self.config.graph(&options)?.specialize(&bindings);
                g.taps.clear();
                g.outputs.retain(|o| o.name == name);
                entry.insert(Executable::new(&g, &Options::default(), self.pool.clone())?)
            }
        };
        let ids: Vec<i64> = b.ids.iter().map(|id| i64::from(*id)).collect();
        let ids = Tensor::from_i64([b.batch_size, b.seq_len], &ids);
        let labels = Tensor::from_i64([b.batch_size, b.seq_len], &b.targets().collect::<Vec<_>>());
        let mut io = exe.io();
        for (i, input) in exe.plan().graph.inputs.iter().enumerate() {
            let named = state.names.iter().position(|n| *n == input.name);
            let fed = if input.name == "labels" { &labels } else { &ids };
            io.input(i, named.map_or(fed, |k| &state.parameters[k]));
        }
        io.output(0, out);
        exe.run(&mut io)?;
        Ok(())
    }
}
