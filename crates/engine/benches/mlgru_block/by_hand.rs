//! The step written with the kernels.

use crate::{B, D, EPS, Given, INNER_EPS, N, PARAMETERS, ROWS, T};
use engine::kernels::elementwise::{Access, EwOp, Input, Output, Program, run};
use engine::kernels::gemm::{MatMut, MatRef, gemm_parallel};
use engine::kernels::rows::{self, Rounding};
use engine::kernels::scan::{ScanShape, linear_scan, linear_scan_grad};
use engine::pool::Pool;
use std::ops::Range;

/// One fused loop over whole rows of one width.
struct Loop {
    program: Program,
    scratch: Vec<f32>,
}

impl Loop {
    fn new(ops: Vec<EwOp>, outputs: &[usize]) -> Loop {
        let program = Program::new(ops, outputs.to_vec()).expect("a valid program");
        Loop { scratch: vec![0.0; program.scratch_len()], program }
    }

    fn run(&mut self, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let len = inputs[0].len();
        let inputs: Vec<_> = inputs.iter().map(|x| Input::f32(x, Access::Full)).collect();
        let mut outputs: Vec<_> = outputs.iter_mut().map(|y| Output::f32(y)).collect();
        run(&self.program, len, 1, &inputs, &mut outputs, 0..len, &mut self.scratch);
    }
}

/// What a projection keeps from its forward half.
struct Projection {
    input: usize,
    y_q: Vec<f32>,
    w_q: Vec<f32>,
    rstd: Vec<f32>,
    scale: Vec<f32>,
    /// Gradient of the quantised activations.
    d: Vec<f32>,
}

impl Projection {
    fn new(input: usize, output: usize) -> Projection {
        Projection {
            input,
            y_q: vec![0.0; ROWS * input],
            w_q: vec![0.0; input * output],
            rstd: vec![0.0; ROWS],
            scale: vec![0.0; ROWS],
            d: vec![0.0; ROWS * input],
        }
    }

    fn quantize(&mut self, pool: &Pool, x: &[f32], norm: &[f32], weight: &[f32]) {
        rows::fake_quantize_weights(pool, weight, &mut self.w_q);
        let away = Rounding::HalfAway;
        rows::rms_norm_fake_quantize(
            pool,
            x,
            norm,
            INNER_EPS,
            away,
            &mut self.y_q,
            &mut self.rstd,
            &mut self.scale,
        );
    }

    /// The outputs `part` of the projection, and the input's plus `add` times what `y` holds.
    fn forward(&self, pool: &Pool, part: Range<usize>, y: &mut [f32]) {
        let (k, m) = (self.input, part.len());
        let w = MatRef::row_major(&self.w_q[part.start * k..part.end * k], m, k);
        gemm_parallel(
            pool,
            1.0,
            MatRef::row_major(&self.y_q, ROWS, k),
            w.t(),
            0.0,
            MatMut::row_major(y, ROWS, m),
        );
    }

    /// Gradients from those of the outputs `part`; the activations' is added to when `more`.
    fn backward(&mut self, pool: &Pool, part: Range<usize>, dy: &[f32], more: bool, dw: &mut [f32]) {
        let (k, m) = (self.input, part.len());
        let dy = MatRef::row_major(dy, ROWS, m);
        let w = MatRef::row_major(&self.w_q[part.start * k..part.end * k], m, k);
        let beta = if more { 1.0 } else { 0.0 };
        gemm_parallel(pool, 1.0, dy, w, beta, MatMut::row_major(&mut self.d, ROWS, k));
        let dw = &mut dw[part.start * k..part.end * k];
        gemm_parallel(
            pool,
            1.0,
            dy.t(),
            MatRef::row_major(&self.y_q, ROWS, k),
            0.0,
            MatMut::row_major(dw, m, k),
        );
    }
}

/// Memory of a step, and its results.
pub(crate) struct Block {
    /// The output.
    pub(crate) y: Vec<f32>,
    /// The gradient of the input.
    pub(crate) dx: Vec<f32>,
    /// The gradients of the parameters.
    pub(crate) gradients: Vec<Vec<f32>>,
    i: Projection,
    f: Projection,
    g: Projection,
    o: Projection,
    gate: Projection,
    down: Projection,
    /// Buffers of (ROWS, D).
    wide: [Vec<f32>; 12],
    /// Buffers of (ROWS, N).
    long: [Vec<f32>; 6],
    rstd: [Vec<f32>; 3],
    scratch: Vec<f32>,
    loops: [Loop; 8],
}

fn loops() -> [Loop; 8] {
    use EwOp::*;
    // silu'(x) = s (1 + x (1 - s)), with s in register 1 and x in register 0.
    let slope = |ops: &mut Vec<EwOp>, x: usize, s: usize, one: usize| {
        let at = ops.len();
        ops.extend([Sub(one, s), Fma(x, at, one), Mul(s, at + 1)]);
        at + 2
    };
    // (i, f) -> sigmoid(f), silu(i) (1 - sigmoid(f))
    let gates =
        Loop::new(vec![Load(0), Load(1), Sigmoid(1), Silu(0), Const(1.0), Sub(4, 2), Mul(3, 5)], &[2, 6]);
    // (g normed, h) -> g silu(h)
    let gated = Loop::new(vec![Load(0), Load(1), Silu(1), Mul(0, 2)], &[3]);
    let add = Loop::new(vec![Load(0), Load(1), Add(0, 1)], &[2]);
    // (gate, up) -> silu(gate) up
    let act = Loop::new(vec![Load(0), Load(1), Silu(0), Mul(1, 2)], &[3]);
    // (gate, up, dact) -> dgate, dup
    let mut ops = vec![Load(0), Load(1), Load(2), Sigmoid(0), Const(1.0)];
    let s = slope(&mut ops, 0, 3, 4);
    ops.extend([Mul(1, 2), Mul(s, s + 1), Mul(0, 3), Mul(s + 3, 2)]);
    let d_act = Loop::new(ops, &[s + 2, s + 4]);
    // (h, g normed, dgated) -> dh, dg normed
    let mut ops = vec![Load(0), Load(1), Load(2), Sigmoid(0), Const(1.0)];
    let s = slope(&mut ops, 0, 3, 4);
    ops.extend([Mul(1, 2), Mul(s, s + 1), Mul(0, 3), Mul(s + 3, 2)]);
    let d_gated = Loop::new(ops, &[s + 2, s + 4]);
    // (i, f, dx, df) -> di, dfp: di = dx (1 - f) silu'(i), dfp = (df - dx silu(i)) f (1 - f)
    let mut ops = vec![Load(0), Load(1), Load(2), Load(3), Sigmoid(0), Const(1.0), Sub(5, 1)];
    let s = slope(&mut ops, 0, 4, 5);
    ops.extend([
        Mul(2, 6),
        Mul(s, s + 1),
        Mul(0, 4),
        Mul(2, s + 3),
        Sub(3, s + 4),
        Mul(1, 6),
        Mul(s + 5, s + 6),
    ]);
    let d_gates = Loop::new(ops, &[s + 2, s + 7]);
    // The sum of three.
    let three = Loop::new(vec![Load(0), Load(1), Load(2), Add(0, 1), Add(3, 2)], &[4]);
    [gates, gated, add, act, d_act, d_gated, d_gates, three]
}

impl Block {
    /// With memory for every step.
    pub(crate) fn new() -> Block {
        let wide = || vec![0.0; ROWS * D];
        Block {
            y: wide(),
            dx: wide(),
            gradients: PARAMETERS.iter().map(|(_, s)| vec![0.0; s.iter().product()]).collect(),
            i: Projection::new(D, D),
            f: Projection::new(D, D),
            g: Projection::new(D, D),
            o: Projection::new(D, D),
            gate: Projection::new(D, 2 * N),
            down: Projection::new(N, D),
            wide: std::array::from_fn(|_| wide()),
            long: std::array::from_fn(|_| vec![0.0; ROWS * N]),
            rstd: std::array::from_fn(|_| vec![0.0; ROWS]),
            scratch: vec![0.0; rows::rms_norm_grad_scratch(ROWS, N)],
            loops: loops(),
        }
    }

    /// Forward and backward.
    pub(crate) fn step(&mut self, given: &Given, pool: &Pool) {
        let p = |name: &str| -> (usize, &[f32]) {
            let at = PARAMETERS.iter().position(|(n, _)| *n == name).expect("a parameter");
            (at, &given.parameters[at])
        };
        let [a, ip, fp, gp, f, x, h, gn, gated, r, b, t] = &mut self.wide;
        let [gate, up, act, d_gate, d_up, d_act] = &mut self.long;
        let [rstd_a, rstd_g, rstd_b] = &mut self.rstd;
        let [gates, gating, add, acting, act_back, gated_back, gates_back, three] = &mut self.loops;
        let shape = ScanShape { batch: B, time: T, channels: D };
        let grads = &mut self.gradients;
        let scratch = &mut self.scratch[..];

        rows::rms_norm(pool, &given.x, p("attn_norm").1, EPS, a, rstd_a);
        for (q, name, y) in [(&mut self.i, "i", &mut *ip), (&mut self.f, "f", fp), (&mut self.g, "g", gp)] {
            q.quantize(pool, a, p(&format!("{name}.norm")).1, p(&format!("{name}.weight")).1);
            q.forward(pool, 0..D, y);
        }
        gates.run(&[ip, fp], &mut [f, x]);
        linear_scan(pool, shape, f, x, None, h, false);
        rows::rms_norm(pool, gp, p("g_norm").1, EPS, gn, rstd_g);
        gating.run(&[gn, h], &mut [gated]);
        self.o.quantize(pool, gated, p("o.norm").1, p("o.weight").1);
        self.o.forward(pool, 0..D, t);
        add.run(&[&given.x, t], &mut [r]);
        rows::rms_norm(pool, r, p("mlp_norm").1, EPS, b, rstd_b);
        self.gate.quantize(pool, b, p("gate.norm").1, p("gate.weight").1);
        // Two products, so that both halves lie together.
        self.gate.forward(pool, 0..N, gate);
        self.gate.forward(pool, N..2 * N, up);
        acting.run(&[gate, up], &mut [act]);
        self.down.quantize(pool, act, p("down.norm").1, p("down.weight").1);
        self.down.forward(pool, 0..D, t);
        add.run(&[r, t], &mut [&mut self.y]);

        // Backward; the quantisers pass gradients through.
        let dy = &given.dy;
        self.down.backward(pool, 0..D, dy, false, &mut grads[p("down.weight").0]);
        let (at, norm) = p("down.norm");
        rows::rms_norm_grad(pool, act, norm, &self.down.rstd, &self.down.d, d_act, &mut grads[at], scratch);
        act_back.run(&[gate, up, d_act], &mut [d_gate, d_up]);
        self.gate.backward(pool, 0..N, d_gate, false, &mut grads[p("gate.weight").0]);
        self.gate.backward(pool, N..2 * N, d_up, true, &mut grads[p("gate.weight").0]);
        let (at, norm) = p("gate.norm");
        rows::rms_norm_grad(pool, b, norm, &self.gate.rstd, &self.gate.d, t, &mut grads[at], scratch);
        let (at, norm) = p("mlp_norm");
        // b is not needed any more: its memory takes the next gradient.
        rows::rms_norm_grad(pool, r, norm, rstd_b, t, b, &mut grads[at], scratch);
        let dr = r;
        add.run(&[dy, b], &mut [dr]);
        self.o.backward(pool, 0..D, dr, false, &mut grads[p("o.weight").0]);
        let (at, norm) = p("o.norm");
        rows::rms_norm_grad(pool, gated, norm, &self.o.rstd, &self.o.d, t, &mut grads[at], scratch);
        let (dh, dgn) = (b, gated);
        gated_back.run(&[h, gn, t], &mut [dh, dgn]);
        let (at, norm) = p("g_norm");
        let dg = gn;
        rows::rms_norm_grad(pool, gp, norm, rstd_g, dgn, dg, &mut grads[at], scratch);
        let (dx, df) = (t, dgn);
        linear_scan_grad(pool, shape, f, h, None, dh, None, false, (dx, df, None));
        let (di, dfp) = (dh, h);
        gates_back.run(&[ip, f, dx, df], &mut [di, dfp]);
        for (q, name, d, da) in
            [(&mut self.i, "i", &*di, ip), (&mut self.f, "f", &*dfp, f), (&mut self.g, "g", &*dg, gp)]
        {
            q.backward(pool, 0..D, d, false, &mut grads[p(&format!("{name}.weight")).0]);
            let (at, norm) = p(&format!("{name}.norm"));
            rows::rms_norm_grad(pool, a, norm, &q.rstd, &q.d, da, &mut grads[at], scratch);
        }
        let [_, di, _, dg, df, da, ..] = &mut self.wide;
        three.run(&[di, df, dg], &mut [da]);
        let (at, norm) = p("attn_norm");
        let [_, _, _, _, _, da, _, _, _, dr, _, t] = &mut self.wide;
        rows::rms_norm_grad(pool, &given.x, norm, &self.rstd[0], da, t, &mut grads[at], scratch);
        self.loops[2].run(&[dr, t], &mut [&mut self.dx]);
    }
}
