//! The training step as one plan: forward, backward, gradient clipping and the optimiser's update.
//!
//! The graph has two parts. The first yields the loss and the gradient's norm and changes nothing; the second
//! overwrites weights and optimiser state in place. Between them the loop looks at both numbers, so that a step that is not
//! finite leaves everything as it was.
//!
//! The rules of the update are those of [`crate::optimizers`]; for AdamW the order of operations is PyTorch's (Loshchilov
//! and Hutter 2017): decay, moments, bias correction outside the root, eps added to the corrected root.

use crate::config::{GradientType, Products, TrainConfig};
use crate::data::Batch;
use crate::error::{Result, TrainError};
use crate::optimizers::{self, Init, Optimizer, Rule};
use crate::quantizer::{Quantizer, Transform, folded};
use axes::DType;
use engine::{Blame, Executable, Tensor, pool::Pool};
use furnace::surrogates::Surrogate;
use furnace::transformations::{FlipRate, Transformation};
use furnace::{Remat, grad_graph};
use graph::{Accumulator, Bindings, Cx, Graph, Type, Var};
use models::config::MatMulFreeConfig;
use models::matmulfree::{Form, GraphOptions, sequence_graph};
use premap::Options;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A state of the optimiser: its name in a checkpoint, and its values.
pub type NamedSlot = (String, Tensor);

/// Weights and the optimiser's state under the parameters' names.
pub struct TrainState {
    /// Names in the graph's order.
    pub names: Vec<String>,
    /// The weights.
    pub parameters: Vec<Tensor>,
    /// The optimiser's state of each weight.
    pub slots: Vec<Vec<NamedSlot>>,
}

impl TrainState {
    /// These weights with the state that the optimiser begins with.
    pub fn new(parameters: Vec<(String, Tensor)>, optimizer: &Optimizer) -> TrainState {
        let mut state = TrainState::bare(parameters);
        for ((name, p), slots) in state.names.iter().zip(&state.parameters).zip(&mut state.slots) {
            *slots = optimizer
                .slots(name)
                .into_iter()
                .map(|slot| {
                    let values = match slot.init {
                        Init::Zeros => Tensor::zeros(DType::F32, p.shape().to_vec()),
                        Init::Copy => Tensor::from_f32(p.shape().to_vec(), p.f32()),
                        Init::Number(x) => Tensor::from_f32([], &[x as f32]),
                    };
                    (format!("{}{name}", slot.prefix), values)
                })
                .collect();
        }
        state
    }

    /// These weights without an optimiser.
    pub fn bare(parameters: Vec<(String, Tensor)>) -> TrainState {
        let (names, parameters): (Vec<String>, Vec<Tensor>) = parameters.into_iter().unzip();
        let slots = names.iter().map(|_| vec![]).collect();
        TrainState { names, parameters, slots }
    }

    /// Number of parameters.
    pub fn count(&self) -> usize {
        self.parameters.iter().map(Tensor::len).sum()
    }

    /// Bytes of weights and optimiser state.
    pub fn bytes(&self) -> usize {
        4 * self.tensors().map(|(_, t)| t.len()).sum::<usize>()
    }

    /// Every tensor with its name: each weight, followed by its states.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        let rows = self.names.iter().zip(&self.parameters).zip(&self.slots);
        rows.flat_map(|((name, p), slots)| {
            std::iter::once((name.as_str(), p)).chain(slots.iter().map(|(name, t)| (name.as_str(), t)))
        })
    }

    /// As [`TrainState::tensors`], to be written.
    pub fn tensors_mut(&mut self) -> impl Iterator<Item = (&str, &mut Tensor)> {
        let rows = self.names.iter().zip(&mut self.parameters).zip(&mut self.slots);
        rows.flat_map(|((name, p), slots)| {
            std::iter::once((name.as_str(), p)).chain(slots.iter_mut().map(|(name, t)| (name.as_str(), t)))
        })
    }
}

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
            fuse: c.train.fuse,
            ..StepOptions::new(c.train.batch_size, c.data.seq_len)
        }
    }
}

/// The loss graph of one batch with its gradients.
fn loss_and_gradients(g: &Graph, names: &[&str], batch: usize, length: usize) -> Result<Graph> {
    let bindings = Bindings::from([("B".to_string(), batch), ("T".to_string(), length)]);
    let mut g = grad_graph(&g.specialize(&bindings), "loss", names, Remat::default())?;
    g.taps.clear();
    Ok(g)
}

/// The same graph with the sums of its gradients kept in the accumulator. The norms' weight gradients are sums inside a
/// composite op; they are written out first.
fn kept(g: Graph, how: Option<Accumulator>) -> Result<Graph> {
    let Some(how) = how else { return Ok(g) };
    let mut target = engine::target();
    target.fused.retain(|op| *op != graph::Op::RmsNormGrad);
    let g = premap::lower::lower(&g, &target)?;
    let forward: Vec<_> =
        g.outputs.iter().filter(|o| !o.name.starts_with("grad.")).map(|o| o.value).collect();
    Ok(graph::passes::accumulate(&g, how, &forward))
}

/// Name and shape of everything that the optimiser updates: the model's parameters, then learned steps.
pub fn updated(c: &MatMulFreeConfig, options: &StepOptions) -> Vec<(String, Vec<usize>)> {
    let quantizer = Quantizer { surrogate: options.surrogate, ..Quantizer::default() };
    c.expected_tensors().into_iter().chain(quantizer.steps(c).into_iter().map(|n| (n, vec![]))).collect()
}

/// The graph of a whole step; see the module's head.
///
/// Inputs: every parameter; the optimiser's states, such as `m.NAME` and `v.NAME`; `input_ids` and `labels` i64
/// [accumulate, B, T] (no first axis when `accumulate` is 1); the rates that the rules read; what the surrogate takes.
/// Outputs: `loss`, `grad_norm`, then `new.NAME`, `new.m.NAME`, `new.v.NAME`.
pub fn step_graph(c: &MatMulFreeConfig, optimizer: &Optimizer, options: &StepOptions) -> Result<Graph> {
    let &StepOptions { batch, length, accumulate, .. } = options;
    let shapes = updated(c, options);
    let names: Vec<&str> = shapes.iter().map(|(n, _)| n.as_str()).collect();
    let form = match options.products {
        Products::Integer => Form::Training,
        Products::Float => Form::Float,
    };
    let surrogate = options.surrogate;
    let model = sequence_graph(c, &GraphOptions { form, labels: true, surrogate, ..Default::default() })?;
    // The published code has a weight that nothing uses; it gets no gradient and stays as it is.
    let used: Vec<&str> =
        names.iter().copied().filter(|n| model.inputs.iter().any(|i| i.name == *n)).collect();
    let inner = kept(loss_and_gradients(&model, &used, batch, length)?, options.accumulator)?;
    let cx = Cx::abstract_();
    let f32s = |shape: &[usize]| Type::new(DType::F32, shape.iter().copied());
    let parameters: Vec<Var> = shapes.iter().map(|(n, s)| cx.input(n, f32s(s))).collect();
    let slots = slot_inputs(&cx, optimizer, &shapes);
    let shape: Vec<usize> =
        if accumulate > 1 { vec![accumulate, batch, length] } else { vec![batch, length] };
    let ids = cx.input("input_ids", Type::new(DType::I64, shape.iter().copied()));
    let labels = cx.input("labels", Type::new(DType::I64, shape.iter().copied()));
    // Where the gradient is taken.
    let points: Vec<Var> =
        (0..names.len()).map(|i| optimizer.rule(names[i]).point(&parameters[i], &slots[i])).collect();
    // What the surrogate takes is the same for every batch of the step.
    let extra: Vec<(&str, Var)> = (inner.inputs.iter().map(|i| (i.name.as_str(), i)))
        .filter(|(name, _)| name.starts_with(QUANTIZER))
        .map(|(name, i)| (name, cx.input(name, inner.ty(i.value).clone())))
        .collect();
    let feed = |points: &[Var], extra: &[Var], ids: &Var, labels: &Var| -> Vec<Var> {
        inner
            .inputs
            .iter()
            .map(|i| match i.name.as_str() {
                "input_ids" => ids.clone(),
                "labels" => labels.clone(),
                name => match self::extra(&inner, name) {
                    Some(k) => extra[k].clone(),
                    None => points[names.iter().position(|n| *n == name).unwrap_or(0)].clone(),
                },
            })
            .collect()
    };
    let given: Vec<Var> = extra.iter().map(|(_, v)| v.clone()).collect();
    // Outputs of the inner graph: logits, loss, gradients in the order of the used names.
    let loss_at = inner.outputs.iter().position(|o| o.name == "loss").unwrap_or(0);
    let (loss, gradients) = if accumulate > 1 {
        let kinds: Vec<&Var> =
            names.iter().zip(&parameters).filter(|(n, _)| used.contains(n)).map(|(_, p)| p).collect();
        let sums =
            crate::micro::sums(&cx, &kinds, [&ids, &labels], options.accumulator, |region, ids, labels| {
                let inside: Vec<Var> = points.iter().map(|p| region.import(p)).collect();
                let given: Vec<Var> = given.iter().map(|v| region.import(v)).collect();
                let made = region.inline(&inner, &feed(&inside, &given, ids, labels)).unwrap_or_else(|e| {
                    region.fail(e);
                    vec![region.poison(); inner.outputs.len()]
                });
                made[loss_at..].to_vec()
            });
        let share = 1.0 / accumulate as f64;
        (&sums[0] * share, sums[1..].iter().map(|g| g * share).collect::<Vec<_>>())
    } else {
        let made = cx.inline(&inner, &feed(&points, &given, &ids, &labels))?;
        (made[loss_at].clone(), made[loss_at + 1..].to_vec())
    };
    let grad_norm = cx.scope("optimizer.norm", || {
        let squares: Vec<Var> =
            gradients.iter().map(|g| crate::micro::sum_all(&g.square(), options.accumulator)).collect();
        crate::micro::total(&squares, options.accumulator).sqrt()
    });
    // The norm is that of the unrounded gradients; from here to the update they wait, and bf16 halves what that takes.
    let gradients: Vec<Var> = match options.gradients {
        DType::F32 => gradients,
        kept => gradients.iter().map(|g| g.convert(kept).convert(DType::F32)).collect(),
    };
    let mut outputs = vec![("loss".to_string(), loss), ("grad_norm".to_string(), grad_norm.clone())];
    let rates = rate_inputs(&cx, optimizer, &names);
    cx.scope("optimizer.update", || {
        let scale = (optimizer.config().grad_clip > 0.0).then(|| {
            let room = grad_norm.full_like(optimizer.config().grad_clip) / &(&grad_norm + 1e-6);
            room.min(&room.full_like(1.0))
        });
        for (i, name) in names.iter().enumerate() {
            let made = used.iter().position(|n| n == name);
            let g = match (made, &scale) {
                (Some(k), Some(s)) => &gradients[k] * s,
                (Some(k), None) => gradients[k].clone(),
                (None, _) => parameters[i].full_like(0.0),
            };
            let decays = made.is_some() && optimizer.decays(name);
            let (p, new) = update(optimizer, name, &parameters[i], &g, &slots[i], &rates, decays);
            outputs.push((format!("new.{name}"), p));
            for (slot, v) in optimizer.slots(name).iter().zip(new) {
                outputs.push((format!("new.{}{name}", slot.prefix), v));
            }
        }
    });
    let named: Vec<(&str, &Var)> = outputs.iter().map(|(n, v)| (n.as_str(), v)).collect();
    Ok(cx.finish(&named)?)
}

/// What inputs of a surrogate have in common.
const QUANTIZER: &str = "quantizer.";

/// The place of an input among those of the surrogate.
fn extra(inner: &Graph, name: &str) -> Option<usize> {
    inner.inputs.iter().filter(|i| i.name.starts_with(QUANTIZER)).position(|i| i.name == name)
}

/// The optimiser's states: the first of every parameter, then the second of every parameter, and so on.
fn slot_inputs(cx: &Cx, optimizer: &Optimizer, shapes: &[(String, Vec<usize>)]) -> Vec<Vec<Var>> {
    let slots: Vec<_> = shapes.iter().map(|(name, _)| optimizer.slots(name)).collect();
    let most = slots.iter().map(Vec::len).max().unwrap_or(0);
    let mut made: Vec<Vec<Var>> = shapes.iter().map(|_| vec![]).collect();
    for k in 0..most {
        for (i, (name, shape)) in shapes.iter().enumerate() {
            let Some(slot) = slots[i].get(k) else { continue };
            let number = matches!(slot.init, Init::Number(_));
            let ty = Type::new(DType::F32, if number { vec![] } else { shape.clone() });
            made[i].push(cx.input(&format!("{}{name}", slot.prefix), ty));
        }
    }
    made
}

/// The rates as inputs, those that some rule reads; the others are zeros that nothing reads.
fn rate_inputs(cx: &Cx, optimizer: &Optimizer, names: &[&str]) -> StepRates {
    let rules: Vec<Rule> = names.iter().map(|n| optimizer.rule(n)).collect();
    let any = |f: &dyn Fn(&Rule) -> bool| rules.iter().any(f);
    let adam = |decoupled: bool| any(&|r| matches!(r, Rule::Adam { decoupled: d, .. } if *d == decoupled));
    let free = any(&|r| matches!(r, Rule::ScheduleFree { .. }));
    let plain = any(&|r| matches!(r, Rule::Sgd { .. } | Rule::Lion { .. } | Rule::Muon { .. }));
    let transform = optimizer.transform();
    let controlled = matches!(transform, Transform::FlipRate { .. });
    let bounded = matches!(transform, Transform::Gradient(Transformation::Bounded { .. }));
    let scalar = |name: &str| cx.input(name, Type::scalar(DType::F32));
    let zero = cx.full(&Type::scalar(DType::F32), 0.0);
    let rates = optimizers::Rates::of(|name| {
        let read = match name {
            "lr" => plain || free || bounded,
            "decay" => plain || adam(true),
            "weight_decay" => free || adam(false),
            "step_size" => adam(true) || adam(false),
            "unit_step" => controlled && (adam(true) || adam(false)),
            _ => free || adam(true) || adam(false),
        };
        if read { scalar(name) } else { zero.clone() }
    });
    StepRates { rates, wanted_flips: controlled.then(|| scalar("wanted_flips")) }
}

/// Rates as values of the graph.
struct StepRates {
    rates: optimizers::Rates,
    wanted_flips: Option<Var>,
}

/// One parameter's update: its new value and its new states.
fn update(
    optimizer: &Optimizer,
    name: &str,
    p: &Var,
    g: &Var,
    slots: &[Var],
    StepRates { rates, wanted_flips }: &StepRates,
    decays: bool,
) -> (Var, Vec<Var>) {
    let rule = optimizer.rule(name);
    let ternary = optimizer.is_ternary(name);
    let g = match optimizer.transform() {
        Transform::Gradient(t) if ternary => {
            // A schedule may end at 0, where the floor would have no value.
            let lr = rates.lr.max(&rates.lr.full_like(1e-20));
            &t.apply_at(g, p, Some(&lr))
        }
        _ => g,
    };
    let Transform::FlipRate { rule: control, .. } = optimizer.transform() else {
        let made = rule.update(p, g, slots, rates, decays);
        return (made.parameter(), made.slots);
    };
    let (Some((kappa, slots)), Some(wanted), true) = (slots.split_last(), wanted_flips, ternary) else {
        let made = rule.update(p, g, slots, rates, decays);
        return (made.parameter(), made.slots);
    };
    let made = rule.update(p, g, slots, &rates.unit(), decays);
    let Some(direction) = &made.step else { return (made.parameter(), made.slots) };
    let new = &made.base - &control.update(kappa, p, direction);
    let next = control.next(kappa, &FlipRate::measured(p, &new), wanted);
    let mut states = made.slots;
    states.push(next);
    (new, states)
}

/// Options of the step's plan: updates in place, loss and norm first.
pub fn plan_options(c: &MatMulFreeConfig, optimizer: &Optimizer, options: &StepOptions) -> Options {
    let pairs = updated(c, options).into_iter().flat_map(|(n, _)| {
        let own = optimizer.slots(&n).into_iter().map(|s| s.prefix);
        let prefixes: Vec<&str> = std::iter::once("").chain(own).collect();
        prefixes.into_iter().map(move |prefix| (format!("{prefix}{n}"), format!("new.{prefix}{n}")))
    });
    Options {
        donate: pairs.collect(),
        early: vec!["loss".into(), "grad_norm".into()],
        fuse: options.fuse,
        recompute: options.fuse,
        ..Default::default()
    }
}

/// Plans and loads a step. Under a limit the arena gets what weights, states and scratch leave of it; how much scratch
/// the kernels want is known only once a plan is loaded.
fn load(
    c: &MatMulFreeConfig,
    g: &Graph,
    plan: Options,
    options: &StepOptions,
    pool: &Arc<Pool>,
) -> Result<Executable> {
    let Some(limit) = options.memory else { return Ok(Executable::new(g, &plan, pool.clone())?) };
    // What the plan updates in place is what lies outside of it.
    let donated = |name: &str| plan.donate.iter().any(|(from, _)| from == name);
    let sizes = g.inputs.iter().filter(|i| donated(&i.name)).map(|i| g.ty(i.value).elements().unwrap_or(0));
    let fixed = match c.parameter_count() {
        Some(_) => sizes.sum::<usize>().saturating_mul(4),
        None => usize::MAX,
    };
    let mut scratch = 0;
    loop {
        let arena = limit.checked_sub(fixed).and_then(|rest| rest.checked_sub(scratch));
        let arena = arena.ok_or(TrainError::Memory { limit, fixed: fixed + scratch })?;
        let exe = Executable::new(g, &Options { memory: Some(arena), ..plan.clone() }, pool.clone())?;
        match (fixed + exe.memory()).checked_sub(limit) {
            None | Some(0) => return Ok(exe),
            Some(over) => scratch += over,
        }
    }
}

/// A compiled step.
pub struct Step {
    exe: Executable,
    ids: Tensor,
    key: Tensor,
    /// Numbers that change from step to step: name, place among the inputs, value.
    numbers: Vec<(String, usize, Tensor)>,
    loss: Tensor,
    grad_norm: Tensor,
    optimizer: Optimizer,
    /// Places of every weight and state among inputs and outputs, in the order of [`TrainState::tensors`].
    places: Vec<(usize, usize)>,
    /// Places of the token ids, twice, and of the key of the noise.
    fed: Vec<usize>,
    keyed: Option<usize>,
}

impl Step {
    /// Compiles the step for one batch shape.
    pub fn new(
        c: &MatMulFreeConfig,
        optimizer: &Optimizer,
        options: &StepOptions,
        pool: Arc<Pool>,
    ) -> Result<Step> {
        let g = step_graph(c, optimizer, options)?;
        let exe = load(c, &g, plan_options(c, optimizer, options), options, &pool)?;
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
        Ok(Step {
            exe,
            ids: ids.unwrap_or_else(scalar),
            key: Tensor::from_i64([], &[0]),
            numbers: numbers.collect(),
            loss: scalar(),
            grad_norm: scalar(),
            optimizer: optimizer.clone(),
            places,
            fed: ["input_ids", "labels"].into_iter().filter_map(input).collect(),
            keyed: input("quantizer.key"),
        })
    }

    /// The loaded plan, for its memory and its profile.
    pub fn executable(&mut self) -> &mut Executable {
        &mut self.exe
    }

    /// One update from as many batches as the step accumulates.
    pub fn run(&mut self, state: &mut TrainState, batches: &[Batch], rates: Rates) -> Result<StepResult> {
        let ids = batches.iter().flat_map(|b| b.ids.iter());
        self.ids.i64_mut().iter_mut().zip(ids).for_each(|(t, id)| *t = i64::from(*id));
        // The noise of a step is a function of its number, so that a resumed run draws the same.
        self.key.i64_mut()[0] = (rates.step as i64) << 20;
        let values = numbers(&rates, &self.optimizer);
        for (name, _, tensor) in &mut self.numbers {
            let found = values.iter().find(|(n, _)| n == name).map_or(0.0, |(_, v)| *v);
            tensor.f32_mut()[0] = found as f32;
        }
        let mut io = self.exe.io();
        for ((from, to), (_, tensor)) in self.places.iter().zip(state.tensors_mut()) {
            io.in_place(*from, *to, tensor);
        }
        self.fed.iter().for_each(|at| {
            io.input(*at, &self.ids);
        });
        if let Some(at) = self.keyed {
            io.input(at, &self.key);
        }
        for (_, at, tensor) in &self.numbers {
            io.input(*at, tensor);
        }
        io.output(0, &mut self.loss).output(1, &mut self.grad_norm);
        self.exe.run_early(&mut io)?;
        let result = [io.scalar(0), io.scalar(1)];
        if !result.iter().all(|x| x.is_finite()) {
            let blame = self.exe.find_nonfinite(&mut io)?;
            return Err(not_finite(rates.step, result, blame));
        }
        self.exe.run_rest(&mut io)?;
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
    config: MatMulFreeConfig,
    by_batch: BTreeMap<usize, Executable>,
    pool: Arc<Pool>,
}

impl Evaluator {
    /// An evaluator of a model.
    pub fn new(config: MatMulFreeConfig, pool: Arc<Pool>) -> Evaluator {
        Evaluator { config, by_batch: BTreeMap::new(), pool }
    }

    /// The mean loss over windows, of the hard ternary model.
    pub fn loss(&mut self, state: &TrainState, batches: &[Batch]) -> Result<f64> {
        let folded = folded(state);
        let state = folded.as_ref().unwrap_or(state);
        let (mut sum, mut windows) = (0.0, 0.0);
        for b in batches {
            if !self.by_batch.contains_key(&b.batch_size) {
                let options = GraphOptions { form: Form::Integer, labels: true, ..Default::default() };
                let bindings =
                    Bindings::from([("B".to_string(), b.batch_size), ("T".to_string(), b.seq_len)]);
                let mut g = sequence_graph(&self.config, &options)?.specialize(&bindings);
                g.taps.clear();
                g.outputs.retain(|o| o.name == "loss");
                self.by_batch
                    .insert(b.batch_size, Executable::new(&g, &Options::default(), self.pool.clone())?);
            }
            let Some(exe) = self.by_batch.get_mut(&b.batch_size) else { continue };
            let ids: Vec<i64> = b.ids.iter().map(|id| i64::from(*id)).collect();
            let ids = Tensor::from_i64([b.batch_size, b.seq_len], &ids);
            let mut loss = Tensor::zeros(DType::F32, []);
            let mut io = exe.io();
            for (i, input) in exe.plan().graph.inputs.iter().enumerate() {
                let named = state.names.iter().position(|n| *n == input.name);
                io.input(i, named.map_or(&ids, |k| &state.parameters[k]));
            }
            io.output(0, &mut loss);
            exe.run(&mut io)?;
            drop(io);
            sum += f64::from(loss.f32()[0]) * b.batch_size as f64;
            windows += b.batch_size as f64;
        }
        Ok(sum / windows)
    }
}
