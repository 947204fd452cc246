//! The programs, as functions of inputs whose shapes and ranges are given; `peers.py` has the same ones.

use axes::DType;
use graph::{Dim, Type, Var};

/// One input: its name, shape, range, and whether the gradient is taken with respect to it.
pub(crate) struct Given {
    pub(crate) name: &'static str,
    pub(crate) shape: Vec<usize>,
    pub(crate) low: f32,
    pub(crate) high: f32,
    pub(crate) wanted: bool,
}

/// A scalar function of its inputs.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) inputs: Vec<Given>,
    pub(crate) loss: fn(&[Var]) -> Var,
}

fn given(name: &'static str, shape: &[usize], low: f32, high: f32, wanted: bool) -> Given {
    Given { name, shape: shape.to_vec(), low, high, wanted }
}

fn mlp(v: &[Var]) -> Var {
    let [x, target, w1, b1, w2, b2, w3, b3] = v else { unreachable!("eight inputs") };
    let layer = |x: &Var, w: &Var, b: &Var| {
        let y = x.linear(w);
        &y + &b.broadcast(&y.shape(), &[1])
    };
    let h = layer(&layer(x, w1, b1).tanh(), w2, b2).tanh();
    (layer(&h, w3, b3) - target).square().mean_all()
}

/// The recurrence and gates of the released MatMul-free LM with projections in f32.
fn mlgru(v: &[Var]) -> Var {
    let state = Type::new(DType::F32, [v[0].shape()[0].clone(), v[0].shape()[2].clone()]);
    let (y, _) = mlgru_from(v, &v[0].cx().full(&state, 0.0));
    (&y * &v[1]).sum_all()
}

/// The block from a state: its output and the next state.
pub(crate) fn mlgru_from(v: &[Var], state: &Var) -> (Var, Var) {
    block(v, state, |k: usize, x: &Var| x.linear(&v[k]))
}

/// The same as it is trained: a norm, int8 activations and ternary weights before every product, whose value is that of
/// the integer product.
fn mlgru_ternary(v: &[Var]) -> Var {
    let project = |k: usize, x: &Var| {
        let norm = x.cx().full(&Type::new(DType::F32, [x.shape()[2].clone()]), 1.0);
        let y = x.rms_norm(&norm, 1e-8);
        let (q, s) = y.quantize_activations("half_even");
        let y_q = (q.convert(DType::F32) / s.broadcast_last(&x.shape()[2])).surrogate(&y);
        let (t, s_w) = v[k].quantize_weights();
        let product = y_q.linear(&(t.convert(DType::F32) / &s_w).surrogate(&v[k]));
        q.ternary_linear(&s, &t, &s_w).surrogate(&product)
    };
    let state = Type::new(DType::F32, [v[0].shape()[0].clone(), v[0].shape()[2].clone()]);
    let (y, _) = block(v, &v[0].cx().full(&state, 0.0), project);
    (&y * &v[1]).sum_all()
}

fn block(v: &[Var], state: &Var, project: impl Fn(usize, &Var) -> Var) -> (Var, Var) {
    let x = &v[0];
    let a = x.rms_norm(&v[2], 1e-6);
    let (i, f, g) = (project(3, &a), project(4, &a).sigmoid(), project(5, &a));
    let h = f.linear_scan(&(i.silu() * (1.0 - &f)), state, false);
    let time = h.shape()[1].fixed().unwrap_or(1);
    let last = h.slice_axis(1, time - 1, time).reshape(&state.shape());
    let r = x + &project(7, &(g.rms_norm(&v[6], 1e-6) * h.silu()));
    let both = project(9, &r.rms_norm(&v[8], 1e-6));
    let inner = both.shape()[2].fixed().unwrap_or(0) / 2;
    let (gate, up) = (both.slice_axis(2, 0, inner), both.slice_axis(2, inner, 2 * inner));
    (&r + &project(10, &(gate.silu() * &up)), last)
}

fn selective(v: &[Var]) -> Var {
    let [x, dt, a, b, c, ct] = v else { unreachable!("six inputs") };
    let s = (x.shape(), a.shape());
    let state = Type::new(DType::F32, [s.0[0].clone(), s.0[2].clone(), s.1[1].clone()]);
    let (y, _) = x.selective_scan(dt, a, b, c, &x.cx().full(&state, 0.0));
    (&y * ct).sum_all()
}

/// Every program at its size.
pub(crate) fn all() -> Vec<Program> {
    let (b, t, d, n) = (8, 256, 256, 704);
    let block = || {
        vec![
            given("x", &[b, t, d], -1.0, 1.0, true),
            given("ct", &[b, t, d], -0.01, 0.01, false),
            given("attn_norm", &[d], 0.7, 1.3, true),
            given("i", &[d, d], -0.1, 0.1, true),
            given("f", &[d, d], -0.1, 0.1, true),
            given("g", &[d, d], -0.1, 0.1, true),
            given("g_norm", &[d], 0.7, 1.3, true),
            given("o", &[d, d], -0.1, 0.1, true),
            given("mlp_norm", &[d], 0.7, 1.3, true),
            given("gate", &[2 * n, d], -0.1, 0.1, true),
            given("down", &[d, n], -0.1, 0.1, true),
        ]
    };
    let (sb, st, sd, sn) = (4, 1024, 256, 16);
    vec![
        Program {
            name: "mlp",
            about: "MLP 256-512-512-256, tanh, batch 64, squared error; gradients of weights and biases",
            inputs: vec![
                given("x", &[64, 256], -1.0, 1.0, false),
                given("target", &[64, 256], -1.0, 1.0, false),
                given("w1", &[512, 256], -0.1, 0.1, true),
                given("b1", &[512], -0.1, 0.1, true),
                given("w2", &[512, 512], -0.1, 0.1, true),
                given("b2", &[512], -0.1, 0.1, true),
                given("w3", &[256, 512], -0.1, 0.1, true),
                given("b3", &[256], -0.1, 0.1, true),
            ],
            loss: mlp,
        },
        Program {
            name: "mlgru",
            about: "MLGRU block, d 256, gated unit 704, batch 8, T 256, f32; gradients of input and parameters",
            inputs: block(),
            loss: mlgru,
        },
        Program {
            name: "mlgru_ternary",
            about: "the same with ternary weights and int8 activations, straight-through",
            inputs: block(),
            loss: mlgru_ternary,
        },
        Program {
            name: "selective",
            about: "selective scan, d 256, N 16, batch 4, T 1024; gradients of x, dt, a, b, c",
            inputs: vec![
                given("x", &[sb, st, sd], -1.0, 1.0, true),
                given("dt", &[sb, st, sd], 0.001, 0.1, true),
                given("a", &[sd, sn], -16.0, -1.0, true),
                given("b", &[sb, st, sn], -1.0, 1.0, true),
                given("c", &[sb, st, sn], -1.0, 1.0, true),
                given("ct", &[sb, st, sd], -0.01, 0.01, false),
            ],
            loss: selective,
        },
    ]
}

/// The inputs of a block at batch 1 and another length.
pub(crate) fn with_time(inputs: &[Given], time: usize) -> Vec<Given> {
    let of = |g: &Given| match g.shape[..] {
        [_, _, d] => given(g.name, &[1, time, d], g.low, g.high, g.wanted),
        _ => given(g.name, &g.shape, g.low, g.high, g.wanted),
    };
    inputs.iter().map(of).collect()
}

/// The f32 type of an input.
pub(crate) fn ty(g: &Given) -> Type {
    Type::new(DType::F32, g.shape.iter().map(|n| Dim::from(*n)))
}
