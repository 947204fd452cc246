//! The training step as one plan: forward, backward, gradient clipping and AdamW.
//!
//! The graph has two parts. The first yields the loss and the gradient's norm and changes nothing; the second
//! overwrites weights and moments in place. Between them the loop looks at both numbers, so that a step that is not
//! finite leaves everything as it was.
//!
//! The order of operations of the update is PyTorch's AdamW (Loshchilov and Hutter 2017): decay, moments, bias
//! correction outside the root, eps added to the corrected root.

use crate::config::{GradientType, OptimizerConfig, Products, TrainConfig};
use crate::data::Batch;
use crate::error::{Result, TrainError};
use axes::DType;
use engine::{Blame, Executable, Tensor, pool::Pool};
use furnace::{Remat, grad_graph};
use graph::{Accumulator, Bindings, Cx, Graph, Type, Var};
use models::config::MatMulFreeConfig;
use models::matmulfree::{Form, GraphOptions, sequence_graph};
use premap::Options;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Weights and moments under the parameters' names.
pub struct TrainState {
    /// Names in the graph's order.
    pub names: Vec<String>,
    /// Names of each weight and of its two moments in a checkpoint.
    pub slots: Vec<[String; 3]>,
    /// The weights.
    pub parameters: Vec<Tensor>,
    /// First moments.
    pub first: Vec<Tensor>,
    /// Second moments.
    pub second: Vec<Tensor>,
}

impl TrainState {
    /// Zero moments for these weights.
    pub fn new(parameters: Vec<(String, Tensor)>) -> TrainState {
        let zeros = |list: &[(String, Tensor)]| -> Vec<Tensor> {
            list.iter().map(|(_, t)| Tensor::zeros(DType::F32, t.shape().to_vec())).collect()
        };
        let (first, second) = (zeros(&parameters), zeros(&parameters));
        let (names, parameters): (Vec<String>, Vec<Tensor>) = parameters.into_iter().unzip();
        let slots = names.iter().map(|n| [n.clone(), format!("m.{n}"), format!("v.{n}")]).collect();
        TrainState { names, slots, parameters, first, second }
    }

    /// Number of parameters.
    pub fn count(&self) -> usize {
        self.parameters.iter().map(Tensor::len).sum()
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
        }
    }

    /// As a configuration says.
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

/// The graph of a whole step; see the module's head.
///
/// Inputs: every parameter, `m.NAME`, `v.NAME`, `input_ids` and `labels` i64 [accumulate, B, T] (no first axis when
/// `accumulate` is 1), the rates. Outputs: `loss`, `grad_norm`, then `new.NAME`, `new.m.NAME`, `new.v.NAME`.
pub fn step_graph(c: &MatMulFreeConfig, optimizer: &OptimizerConfig, options: &StepOptions) -> Result<Graph> {
    let &StepOptions { batch, length, accumulate, .. } = options;
    let shapes = c.expected_tensors();
    let names: Vec<&str> = shapes.iter().map(|(n, _)| n.as_str()).collect();
    let form = match options.products {
        Products::Integer => Form::Training,
        Products::Float => Form::Float,
    };
    let model = sequence_graph(c, &GraphOptions { form, labels: true, ..Default::default() })?;
    // The published code has a weight that nothing uses; it gets no gradient and stays as it is.
    let used: Vec<&str> =
        names.iter().copied().filter(|n| model.inputs.iter().any(|i| i.name == *n)).collect();
    let inner = kept(loss_and_gradients(&model, &used, batch, length)?, options.accumulator)?;
    let cx = Cx::abstract_();
    let f32s = |shape: &[usize]| Type::new(DType::F32, shape.iter().copied());
    let inputs = |prefix: &str| -> Vec<Var> {
        shapes.iter().map(|(n, s)| cx.input(&format!("{prefix}{n}"), f32s(s))).collect()
    };
    let (parameters, first, second) = (inputs(""), inputs("m."), inputs("v."));
    let shape: Vec<usize> =
        if accumulate > 1 { vec![accumulate, batch, length] } else { vec![batch, length] };
    let ids = cx.input("input_ids", Type::new(DType::I64, shape.iter().copied()));
    let labels = cx.input("labels", Type::new(DType::I64, shape.iter().copied()));
    let feed = |parameters: &[Var], ids: &Var, labels: &Var| -> Vec<Var> {
        inner
            .inputs
            .iter()
            .map(|i| match i.name.as_str() {
                "input_ids" => ids.clone(),
                "labels" => labels.clone(),
                name => parameters[names.iter().position(|n| *n == name).unwrap_or(0)].clone(),
            })
            .collect()
    };
    // Outputs of the inner graph: logits, loss, gradients in the order of the used names.
    let loss_at = inner.outputs.iter().position(|o| o.name == "loss").unwrap_or(0);
    let (loss, gradients) = if accumulate > 1 {
        let kinds: Vec<&Var> =
            names.iter().zip(&parameters).filter(|(n, _)| used.contains(n)).map(|(_, p)| p).collect();
        let sums =
            crate::micro::sums(&cx, &kinds, [&ids, &labels], options.accumulator, |region, ids, labels| {
                let inside: Vec<Var> = parameters.iter().map(|p| region.import(p)).collect();
                let made = region.inline(&inner, &feed(&inside, ids, labels)).unwrap_or_else(|e| {
                    region.fail(e);
                    vec![region.poison(); inner.outputs.len()]
                });
                made[loss_at..].to_vec()
            });
        let share = 1.0 / accumulate as f64;
        (&sums[0] * share, sums[1..].iter().map(|g| g * share).collect::<Vec<_>>())
    } else {
        let made = cx.inline(&inner, &feed(&parameters, &ids, &labels))?;
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
    let scalar = |name: &str| cx.input(name, Type::scalar(DType::F32));
    let (decay_rate, step_size, root) = (scalar("decay"), scalar("step_size"), scalar("root_correction"));
    cx.scope("optimizer.update", || {
        let scale = (optimizer.grad_clip > 0.0).then(|| {
            let room = grad_norm.full_like(optimizer.grad_clip) / &(&grad_norm + 1e-6);
            room.min(&room.full_like(1.0))
        });
        let [b1, b2] = optimizer.betas;
        for (i, (name, _)) in shapes.iter().enumerate() {
            let (p, m, v) = (&parameters[i], &first[i], &second[i]);
            let made = used.iter().position(|n| n == name);
            let g = match (made, &scale) {
                (Some(k), Some(s)) => &gradients[k] * s,
                (Some(k), None) => gradients[k].clone(),
                (None, _) => p.full_like(0.0),
            };
            let p =
                if made.is_some() && optimizer.decays(name) { p * &(1.0 - &decay_rate) } else { p.clone() };
            let m = m + &((&g - m) * (1.0 - b1));
            let v = v * b2 + &(&g * &g) * (1.0 - b2);
            let denominator = v.sqrt() / &root + optimizer.eps;
            let p = &p - &(&(&m / &denominator) * &step_size);
            outputs.push((format!("new.{name}"), p));
            outputs.push((format!("new.m.{name}"), m));
            outputs.push((format!("new.v.{name}"), v));
        }
    });
    let named: Vec<(&str, &Var)> = outputs.iter().map(|(n, v)| (n.as_str(), v)).collect();
    Ok(cx.finish(&named)?)
}

/// Options of the step's plan: updates in place, loss and norm first.
pub fn plan_options(c: &MatMulFreeConfig, options: &StepOptions) -> Options {
    let pairs = c.expected_tensors().into_iter().flat_map(|(n, _)| {
        ["", "m.", "v."].map(|prefix| (format!("{prefix}{n}"), format!("new.{prefix}{n}")))
    });
    Options {
        donate: pairs.collect(),
        early: vec!["loss".into(), "grad_norm".into()],
        fuse: options.fuse,
        recompute: options.fuse,
        ..Default::default()
    }
}

/// Plans and loads a step. Under a limit the arena gets what weights, moments and scratch leave of it; how much scratch
/// the kernels want is known only once a plan is loaded.
fn load(c: &MatMulFreeConfig, g: &Graph, options: &StepOptions, pool: &Arc<Pool>) -> Result<Executable> {
    let plan = plan_options(c, options);
    let Some(limit) = options.memory else { return Ok(Executable::new(g, &plan, pool.clone())?) };
    let count = c.parameter_count().and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    let fixed = count.saturating_mul(3 * 4);
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
    rates: [Tensor; 3],
    loss: Tensor,
    grad_norm: Tensor,
    betas: [f64; 2],
}

impl Step {
    /// Compiles the step for one batch shape.
    pub fn new(
        c: &MatMulFreeConfig,
        optimizer: &OptimizerConfig,
        options: &StepOptions,
        pool: Arc<Pool>,
    ) -> Result<Step> {
        let g = step_graph(c, optimizer, options)?;
        let exe = load(c, &g, options, &pool)?;
        let ids = exe.input("input_ids").map(|i| Tensor::of(g.ty(g.inputs[i].value)));
        let scalar = || Tensor::zeros(DType::F32, []);
        Ok(Step {
            exe,
            ids: ids.unwrap_or_else(scalar),
            rates: [scalar(), scalar(), scalar()],
            loss: scalar(),
            grad_norm: scalar(),
            betas: optimizer.betas,
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
        let t = (rates.step + 1) as i32;
        let [c1, c2] = self.betas.map(|b| 1.0 - b.powi(t));
        let values = [rates.lr * rates.weight_decay, rates.lr / c1, c2.sqrt()];
        self.rates.iter_mut().zip(values).for_each(|(t, v)| t.f32_mut()[0] = v as f32);
        let mut io = self.exe.io();
        let n = state.names.len();
        let outputs = |kind: usize, i: usize| 2 + 3 * i + kind;
        for (i, p) in state.parameters.iter_mut().enumerate() {
            io.in_place(i, outputs(0, i), p);
        }
        for (i, m) in state.first.iter_mut().enumerate() {
            io.in_place(n + i, outputs(1, i), m);
        }
        for (i, v) in state.second.iter_mut().enumerate() {
            io.in_place(2 * n + i, outputs(2, i), v);
        }
        io.input(3 * n, &self.ids).input(3 * n + 1, &self.ids);
        for (k, r) in self.rates.iter().enumerate() {
            io.input(3 * n + 2 + k, r);
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

    /// The mean loss over windows, and how many windows there were.
    pub fn loss(&mut self, state: &TrainState, batches: &[Batch]) -> Result<f64> {
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
