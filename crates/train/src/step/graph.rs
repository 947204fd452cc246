//! The graph of a step, and how it is planned.

use std::sync::Arc;

use axes::DType;
use engine::{Executable, pool::Pool};
use furnace::transformations::{FlipRate, Transformation};
use furnace::{Remat, grad_graph};
use graph::{Accumulator, Bindings, Cx, Graph, Type, Var};
use models::architecture::Architecture;
use models::forms::{Form, GraphOptions};
use premap::Options;

use super::StepOptions;
use crate::config::Products;
use crate::error::{Result, TrainError};
use crate::optimizers::{self, Init, Optimizer, Rule};
use crate::quantizer::{Quantizer, Transform};

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
    let g = premap::lower::decompose(&g, &target)?;
    let forward: Vec<_> =
        g.outputs.iter().filter(|o| !o.name.starts_with("grad.")).map(|o| o.value).collect();
    Ok(graph::passes::accumulate(&g, how, &forward))
}

/// Name and shape of everything that the optimiser updates: the model's parameters, then learned steps.
pub fn updated(c: &dyn Architecture, options: &StepOptions) -> Vec<(String, Vec<usize>)> {
    let quantizer = Quantizer { surrogate: options.surrogate, ..Quantizer::default() };
    c.expected_tensors().into_iter().chain(quantizer.steps(c).into_iter().map(|n| (n, vec![]))).collect()
}

/// The graph of a whole step; see the module's head.
///
/// Inputs: every parameter; the optimiser's states, such as `m.NAME` and `v.NAME`; `input_ids` and `labels` i64
/// [accumulate, B, T] (no first axis when `accumulate` is 1); the rates that the rules read; what the surrogate takes.
/// Outputs: `loss`, `grad_norm`, then `new.NAME`, `new.m.NAME`, `new.v.NAME`.
pub fn step_graph(c: &dyn Architecture, optimizer: &Optimizer, options: &StepOptions) -> Result<Graph> {
    let &StepOptions { batch, length, accumulate, .. } = options;
    let shapes = updated(c, options);
    let names: Vec<&str> = shapes.iter().map(|(n, _)| n.as_str()).collect();
    let form = match options.products {
        Products::Integer => Form::Training,
        Products::Float => Form::Float,
    };
    let surrogate = options.surrogate;
    let model = c.graph(&GraphOptions { form, labels: true, surrogate, ..Default::default() })?;
    // The published code has a weight that nothing uses; it gets no gradient and stays as it is, and so do buffers.
    let fixed = c.buffers();
    let learned = |n: &str| model.inputs.iter().any(|i| i.name == n) && !fixed.iter().any(|name| name == n);
    let used: Vec<&str> = names.iter().copied().filter(|n| learned(n)).collect();
    let fed = |name: &str| {
        ["input_ids", "labels"].contains(&name) || name.starts_with(QUANTIZER) || names.contains(&name)
    };
    if let Some(other) = model.inputs.iter().find(|i| !fed(&i.name)) {
        return Err(TrainError::Mismatch {
            problem: format!(
                "a {} takes `{}`, which a training step does not have",
                c.model_type(),
                other.name
            ),
            remedy: "train a language model; state spaces over numbers are mixers of one: `model.architecture = \"hybrid\"`",
        });
    }
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
                name => match extra_at(&inner, name) {
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
fn extra_at(inner: &Graph, name: &str) -> Option<usize> {
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
pub fn plan_options(c: &dyn Architecture, optimizer: &Optimizer, options: &StepOptions) -> Options {
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
pub(super) fn load(
    c: &dyn Architecture,
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
