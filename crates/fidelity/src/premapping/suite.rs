//! The plans that predictions are judged on: models and blocks of models, in several forms, lengths, widths, numbers of
//! threads, fused and not.
//!
//! The machine is calibrated on single ops ([`super::kernels`]); nothing here is used for that.

use anyhow::{Context, Result};
use axes::{DType, TritLayout};
use graph::{Bindings, Cx, Dim, Graph, Type, Var};
use models::architecture::Architecture;
use models::architecture::ModelConfig;
use models::bitnet::BitNetConfig;
use models::config::MatMulFreeConfig;
use models::forms::{CacheType, Form, GraphOptions, PLACES};
use models::qwen3::Qwen3Config;
use premap::{Options, Switches};
use train::TrainConfig;
use train::optimizers::Optimizer;
use train::quantizer::Transform;
use train::step::{StepOptions, plan_options, step_graph};

/// A graph with the options of its plan.
#[derive(Clone)]
pub struct Case {
    /// What it is.
    pub name: String,
    /// Kind of model: `matmulfree`, `mlgru block`, …
    pub family: &'static str,
    /// The graph.
    pub graph: Graph,
    /// Options of its plan.
    pub options: Options,
}

/// A case on a number of threads.
#[derive(Clone)]
pub struct Judged {
    /// The graph.
    pub case: Case,
    /// Threads.
    pub threads: usize,
    /// Fused, or one step per op.
    pub fuse: bool,
}

/// A MatMul-free model of bytes.
pub fn matmulfree(hidden: usize, layers: usize) -> MatMulFreeConfig {
    MatMulFreeConfig {
        vocab_size: 256,
        hidden_size: hidden,
        num_hidden_layers: layers,
        bos_token_id: None,
        eos_token_id: vec![],
        ..Default::default()
    }
}

fn bitnet(hidden: usize) -> BitNetConfig {
    BitNetConfig {
        vocab_size: 256,
        hidden_size: hidden,
        num_hidden_layers: 2,
        intermediate_size: 3 * hidden,
        num_attention_heads: hidden / 64,
        num_key_value_heads: (hidden / 128).max(1),
        tie_word_embeddings: true,
        bos_token_id: None,
        eos_token_id: vec![],
        ..Default::default()
    }
}

fn qwen3(hidden: usize) -> Qwen3Config {
    Qwen3Config {
        vocab_size: 256,
        hidden_size: hidden,
        num_hidden_layers: 2,
        intermediate_size: 3 * hidden,
        num_attention_heads: hidden / 64,
        num_key_value_heads: (hidden / 128).max(1),
        head_dim: 64,
        ..Default::default()
    }
}

/// A model on `time` tokens behind `before` others; the streaming step for one token.
///
/// # Errors
/// A configuration that makes no graph.
pub fn model(config: &ModelConfig, form: Form, time: usize, before: usize) -> Result<Case> {
    planned(config, form, 1, time, before, time == 1)
}

/// The same for several sequences, with the streaming step or the whole sequence as asked.
///
/// # Errors
/// As [`model`].
pub fn planned(
    config: &ModelConfig,
    form: Form,
    batch: usize,
    time: usize,
    before: usize,
    step: bool,
) -> Result<Case> {
    let time = if step { 1 } else { time };
    let caches: Vec<String> = match form {
        Form::Prepared => config.states(CacheType::F32),
        _ => vec![],
    }
    .into_iter()
    .filter(|s| s.is_cache())
    .map(|s| s.name)
    .collect();
    let carried = step || (form == Form::Prepared && !caches.is_empty());
    let options = GraphOptions { form, states: carried, ..Default::default() };
    let graph = if step { config.step(&options)? } else { config.graph(&options)? };
    let sizes = [("B", batch), ("T", time), (PLACES, time + before)];
    let mut graph = graph.specialize(&Bindings::from(sizes.map(|(n, s)| (n.to_owned(), s))));
    graph.taps.clear();
    let options = Options {
        layouts: packed(&graph),
        donate: if carried { caches.into_iter().map(|n| (n.clone(), n)).collect() } else { vec![] },
        ..Options::default()
    };
    let what = match form {
        Form::Float => "float",
        Form::Integer => "integer",
        Form::Prepared => "prepared",
        Form::Training => "training",
    };
    let kind = config.model_type();
    let length = match (time, before) {
        (1, 0) => "step".to_owned(),
        (1, n) => format!("step after {n}"),
        (t, _) => format!("{t} tokens"),
    };
    let family = match config {
        ModelConfig::MatMulFree(_) => "matmulfree",
        ModelConfig::BitNet(_) => "bitnet",
        ModelConfig::Qwen3(_) => "qwen3",
        ModelConfig::Listed(_) => config.model_type(),
    };
    let name = format!("{kind} {} × {}, {what}, {length}", config.hidden_size(), config.num_hidden_layers());
    Ok(Case { name, family, graph, options })
}

/// Every input of trits in the compute layout.
fn packed(g: &Graph) -> Vec<(String, TritLayout)> {
    let trits = g.inputs.iter().filter(|i| g.ty(i.value).dtype == DType::Trit);
    trits.map(|i| (i.name.clone(), TritLayout::Compute)).collect()
}

/// A whole training step: forward, backward, clipping, AdamW.
///
/// # Errors
/// A configuration that makes no graph.
pub fn training(config: &dyn Architecture, batch: usize, length: usize, fuse: bool) -> Result<Case> {
    let settings = TrainConfig::default();
    let optimizer = Optimizer::new(&settings.optimizer, Transform::None, config);
    let options = StepOptions { fuse, ..StepOptions::new(batch, length) };
    let graph = step_graph(config, &optimizer, &options)?;
    let name = format!(
        "training step {} × {}, {batch} × {length} tokens",
        config.hidden_size(),
        config.num_hidden_layers()
    );
    let options = plan_options(config, &optimizer, &options);
    Ok(Case { name, family: "training step", graph, options })
}

/// Inputs of fixed sizes, by name.
struct Inputs {
    cx: Cx,
    list: Vec<Var>,
}

impl Inputs {
    fn new() -> Inputs {
        Inputs { cx: Cx::abstract_(), list: vec![] }
    }

    fn f(&mut self, shape: &[usize]) -> Var {
        let v = self.cx.input(&format!("x{}", self.list.len()), Type::new(DType::F32, shape.iter().copied()));
        self.list.push(v.clone());
        v
    }

    fn trits(&mut self, m: usize, k: usize) -> (Var, Var) {
        let w = self.cx.input(&format!("x{}", self.list.len()), Type::new(DType::Trit, [m, k]));
        self.list.push(w.clone());
        (w, self.f(&[]))
    }

    fn finish(self, family: &'static str, name: String, outputs: &[Var]) -> Result<Case> {
        let names: Vec<String> = (0..outputs.len()).map(|i| format!("y{i}")).collect();
        let named: Vec<(&str, &Var)> = names.iter().map(String::as_str).zip(outputs).collect();
        let graph = self.cx.finish(&named)?;
        let options = Options { layouts: packed(&graph), ..Options::default() };
        Ok(Case { name, family, graph, options })
    }
}

/// norm, quantise, product with trits.
fn project(x: &Var, norm: &Var, (w, s_w): &(Var, Var)) -> Var {
    let (q, s) = x.rms_norm(norm, 1e-6).quantize_activations("half_away");
    q.ternary_linear(&s, w, s_w)
}

/// The token mixer of the MatMul-free model on trits: gates, scan, output norm, output projection, residual stream.
///
/// # Errors
/// What tracing refuses.
pub fn mlgru_block(time: usize, d: usize) -> Result<Case> {
    let mut m = Inputs::new();
    let x = m.f(&[1, time, d]);
    let norms: Vec<Var> = (0..5).map(|_| m.f(&[d])).collect();
    let w: Vec<(Var, Var)> = (0..4).map(|_| m.trits(d, d)).collect();
    let h0 = m.f(&[1, d]);
    let i = project(&x, &norms[0], &w[0]);
    let f = project(&x, &norms[0], &w[1]).sigmoid();
    let g = project(&x, &norms[0], &w[2]);
    let h = f.linear_scan(&(i.silu() * (1.0 - &f)), &h0, false);
    let gated = g.rms_norm(&norms[3], 1e-6) * h.silu();
    let y = &x + &project(&gated, &norms[4], &w[3]);
    m.finish("mlgru block", format!("mlgru block {d}, {time} tokens"), &[y])
}

/// The channel mixer on trits.
///
/// # Errors
/// What tracing refuses.
pub fn glu_block(time: usize, d: usize) -> Result<Case> {
    let mut m = Inputs::new();
    let n = (d * 8 / 3).next_multiple_of(64);
    let x = m.f(&[1, time, d]);
    let (a, b) = (m.f(&[d]), m.f(&[n]));
    let (gate, up, down) = (m.trits(n, d), m.trits(n, d), m.trits(d, n));
    let (q, s) = x.rms_norm(&a, 1e-6).quantize_activations("half_away");
    let act = q.ternary_linear(&s, &gate.0, &gate.1).silu() * q.ternary_linear(&s, &up.0, &up.1);
    let y = &x + &project(&act, &b, &down);
    m.finish("glu block", format!("glu block {d}, {time} tokens"), &[y])
}

/// Loss and gradients of a multilayer perceptron.
fn mlp(batch: usize, width: usize, layers: usize) -> Result<Case> {
    let mut m = Inputs::new();
    let (x, target) = (m.f(&[batch, width]), m.f(&[batch, width]));
    let weights: Vec<Var> = (0..layers).map(|_| m.f(&[width, width])).collect();
    let refs: Vec<&Var> = weights.iter().collect();
    let (loss, grads) = furnace::grads(
        |w| {
            let last = w.len() - 1;
            let y = w.iter().enumerate().fold(x.clone(), |y, (k, w)| {
                let z = y.linear(w);
                if k < last { z.tanh() } else { z }
            });
            y.mse_loss(&target)
        },
        &refs,
    );
    let outputs: Vec<Var> = std::iter::once(loss).chain(grads).collect();
    m.finish("mlp gradients", format!("mlp {layers} × {width}, {batch} rows, gradients"), &outputs)
}

/// A state-space block: gate, selective scan, skip; with gradients if asked.
fn selective(time: usize, d: usize, states: usize, grads: bool) -> Result<Case> {
    let mut m = Inputs::new();
    let x = m.f(&[1, time, d]);
    let (z, dt) = (m.f(&[1, time, d]), m.f(&[1, time, d]));
    let (a, b, c) = (m.f(&[d, states]), m.f(&[1, time, states]), m.f(&[1, time, states]));
    let h = m.f(&[1, d, states]);
    let block = |v: &[Var]| {
        let dt = (v[2].exp() + 1.0).log();
        let (y, _) = v[0].silu().selective_scan(&dt, &-&v[3].exp(), &v[4], &v[5], &v[6]);
        vec![(y + &v[0]) * v[1].silu()]
    };
    let all = [x, z, dt, a, b, c, h];
    let what = if grads { ", gradients" } else { "" };
    let outputs = if grads {
        let dy = m.f(&[1, time, d]);
        let refs: Vec<&Var> = all.iter().collect();
        let (y, pull) = furnace::vjp(block, &refs);
        [y, pull(&[dy])].concat()
    } else {
        block(&all)
    };
    m.finish("selective scan", format!("selective scan {d} × {states}, {time} steps{what}"), &outputs)
}

/// Linear attention with its normaliser, token by token in a loop.
fn linear_attention(time: usize, d: usize) -> Result<Case> {
    let mut m = Inputs::new();
    let (q, k, v) = (m.f(&[time, d]), m.f(&[time, d]), m.f(&[time, d]));
    let (s0, z0) = (m.f(&[d, d]), m.f(&[d]));
    let cx = m.cx.clone();
    let positive = |x: &Var| x.exp();
    let (q, k) = (positive(&q), positive(&k));
    let (_, y) = cx.scan(&[&s0, &z0], &[&q, &k, &v], false, |state, x| {
        let s = &state[0] + &x[1].outer(&x[2]);
        let z = &state[1] + &x[1];
        let y = s.t().matvec(&x[0]) / (&x[0] * &z).sum_all().broadcast_last(&Dim::from(d));
        (vec![s, z], vec![y])
    });
    m.finish("linear attention", format!("linear attention {d}, {time} steps in a loop"), &y)
}

/// The same in parallel over the sequence: masked products.
fn attention_parallel(time: usize, d: usize) -> Result<Case> {
    let mut m = Inputs::new();
    let (q, k, v) = (m.f(&[time, d]), m.f(&[time, d]), m.f(&[time, d]));
    let (q, k) = (q.exp(), k.exp());
    let scores = q.linear(&k).tril();
    let y = scores.matmul(&v) / scores.sum(&[1]).broadcast_last(&Dim::from(d));
    m.finish("linear attention", format!("linear attention {d}, {time} tokens at once"), &[y])
}

/// Everything that is judged.
///
/// # Errors
/// A graph that cannot be traced: a fault of this list.
pub fn judged(threads: usize) -> Result<Vec<Judged>> {
    let free = |hidden, layers| ModelConfig::from(matmulfree(hidden, layers));
    let mut cases: Vec<(Case, bool)> = vec![];
    for (hidden, time) in
        [(256, 16), (256, 64), (256, 512), (512, 32), (512, 256), (512, 1), (1024, 1), (1024, 4)]
    {
        cases.push((model(&free(hidden, 2), Form::Prepared, time, 0)?, true));
    }
    cases.push((model(&free(256, 2), Form::Float, 128, 0)?, true));
    cases.push((model(&free(256, 2), Form::Integer, 128, 0)?, false));
    let (small, large) = (ModelConfig::from(bitnet(256)), ModelConfig::from(bitnet(512)));
    cases.push((model(&small, Form::Prepared, 64, 0)?, false));
    cases.push((model(&large, Form::Prepared, 1, 127)?, false));
    cases.push((model(&large, Form::Prepared, 1, 511)?, false));
    let qwen = ModelConfig::from(qwen3(256));
    cases.push((model(&qwen, Form::Prepared, 1, 127)?, false));
    cases.push((model(&qwen, Form::Prepared, 48, 0)?, false));
    for (time, d) in [(512, 256), (256, 768), (48, 512)] {
        cases.push((mlgru_block(time, d)?, time != 48));
    }
    for (time, d) in [(512, 256), (96, 768), (1, 768)] {
        cases.push((glu_block(time, d)?, time == 512));
    }
    for (batch, width, layers) in [(64, 128, 3), (256, 256, 2)] {
        cases.push((mlp(batch, width, layers)?, batch == 64));
    }
    cases.push((selective(256, 256, 16, false)?, false));
    cases.push((selective(512, 128, 8, false)?, false));
    cases.push((selective(128, 256, 16, true)?, false));
    cases.push((linear_attention(64, 32)?, false));
    cases.push((linear_attention(64, 128)?, true));
    cases.push((attention_parallel(256, 64)?, false));
    let mut list = vec![];
    for (case, both) in cases {
        list.push(Judged { case: case.clone(), threads: 1, fuse: true });
        if threads > 1 {
            list.push(Judged { case: case.clone(), threads, fuse: true });
        }
        if both {
            let options = Options { fuse: false, ..case.options.clone() };
            list.push(Judged { case: Case { options, ..case }, threads: 1, fuse: false });
        }
    }
    for fuse in [true, false] {
        let case = training(&matmulfree(128, 2), 4, 64, fuse)?;
        for threads in if threads > 1 && fuse { vec![1, threads] } else { vec![1] } {
            list.push(Judged { case: case.clone(), threads, fuse });
        }
    }
    Ok(list)
}

/// The models that optimisations are weighed with: a sequence, a streaming step, a training step.
///
/// # Errors
/// As [`judged`].
pub fn reference(small: bool) -> Result<Vec<Case>> {
    let shape = models::shapes::Shape::find("mmfree-30m").context("a shape of that name")?;
    let config = if small { ModelConfig::from(matmulfree(128, 2)) } else { shape.config() };
    let tokens = if small { 64 } else { 512 };
    let mut step = model(&config, Form::Prepared, 1, 0)?;
    step.family = "streaming step";
    let mut sequence = model(&config, Form::Prepared, tokens, 0)?;
    sequence.family = "sequence";
    let (layers, batch) = if small { (2, 2) } else { (3, 8) };
    Ok(vec![sequence, step, training(&matmulfree(128, layers), batch, 64, true)?])
}

/// A case with some optimisations off.
pub fn without(case: &Case, switches: Switches) -> Case {
    Case { options: Options { switches, ..case.options.clone() }, ..case.clone() }
}
