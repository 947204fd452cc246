//! One S5 layer: the state-space model and the gate behind it.

use axes::DType;
use graph::typed::{Traced, TracedExt, typed};
use graph::{Complex, Dim, Var};

use super::S5Activation;
use crate::encoder::dense;
use crate::forms::State;
use crate::frame::{Batch, Frame, Hidden, LinearKind, Mixer, Seq};
use crate::parameters::{Init, Parameter};
use crate::rng::Rng;
use crate::s4::{Discretization, half_hippo};

/// `SequenceLayer` with its `S5SSM`.
#[derive(Debug, Clone, PartialEq)]
pub struct S5Layer {
    /// Features, H.
    pub d_model: usize,
    /// Complex states, P.
    pub states: usize,
    /// HiPPO matrices that Λ begins with.
    pub blocks: usize,
    /// The states stand for their conjugates too.
    pub conj_sym: bool,
    /// The real part of Λ stays below −1e-4.
    pub clip_eigs: bool,
    /// A second scan from the end.
    pub bidirectional: bool,
    /// How continuous time becomes steps.
    pub discretization: Discretization,
    /// What follows.
    pub activation: S5Activation,
    /// How C begins.
    pub readout: &'static str,
    /// The least step at first.
    pub dt_min: f64,
    /// The greatest step at first.
    pub dt_max: f64,
    /// Factor of all steps.
    pub step_rescale: f64,
}

impl S5Layer {
    /// `ssm_size` of the configuration: states with the conjugates that are not stored.
    pub(super) fn size(&self) -> usize {
        if self.conj_sym { 2 * self.states } else { self.states }
    }

    fn numbers(&self, frame: &Frame<'_>, name: &str, shape: [usize; 2]) -> Complex {
        let both = frame.parameter(name, &[shape[0], shape[1], 2]);
        let part = |k: usize| both.slice_axis(2, k, k + 1).squeeze(2);
        Complex { re: part(0), im: part(1) }
    }

    /// ln Λ̄ (P) and B̄ (P, H).
    fn discrete(&self, frame: &Frame<'_>, at: &str) -> (Complex, Complex) {
        let (p, h) = (self.states, self.d_model);
        let vector = |what: &str| frame.parameter(&format!("{at}.seq.{what}"), &[p]);
        let re = vector("Lambda_re");
        let re = if self.clip_eigs { re.min(&re.full_like(-1e-4)) } else { re };
        let lambda = Complex { re, im: vector("Lambda_im") };
        let step = frame.parameter(&format!("{at}.seq.log_step"), &[p, 1]).exp().reshape(&[p.into()]);
        let step = if self.step_rescale == 1.0 { step } else { step * self.step_rescale };
        let one = Complex::real(&step.full_like(1.0));
        let scaled = lambda.scale(&step);
        let (log, factor) = match self.discretization {
            Discretization::Zoh => {
                let factor = &(&scaled.exp() - &one) / &lambda;
                (scaled, factor)
            }
            Discretization::Bilinear => {
                let half = scaled.each(|v| v * 0.5);
                let below = (&one - &half).reciprocal();
                ((&(&one + &half) * &below).log(), below.scale(&step))
            }
        };
        let b = self.numbers(frame, &format!("{at}.seq.B"), [p, h]);
        let factor = factor.each(|v| v.broadcast_last(&h.into()));
        (log, &factor * &b)
    }

    /// The state-space model on u (B, T, H), from the state of the layer to its successor.
    fn ssm(&self, frame: &Frame<'_>, at: &str, layer: usize, u: &Var) -> Var {
        let (p, h) = (self.states, self.d_model);
        let (log, b) = self.discrete(frame, at);
        // Real and imaginary part of B̄ u side by side: (B, T, 2P).
        let both = u.linear(&Var::concatenate(&[&b.re, &b.im], 0));
        let part = |k: usize| both.slice_axis(2, k * p, (k + 1) * p);
        let drive = Complex { re: part(0), im: part(1) };
        let name = format!("ssm_state.{layer}");
        let state = frame.state(&name, &[p, 2]);
        let part = |k: usize| state.slice_axis(2, k, k + 1).squeeze(2);
        let start = Complex { re: part(0), im: part(1) };
        let x = scan(&log, &drive, &start, &frame.time);
        if frame.options.states {
            let last = x.each(|v| {
                let t = &frame.time;
                v.slice_axis(1, t - &Dim::from(1), t.clone()).squeeze(1)
            });
            frame.keep(&name, &Var::stack(&[&last.re, &last.im], 2));
        }
        let factor = if self.conj_sym { 2.0 } else { 1.0 };
        let read = |x: &Complex, c: &Complex| {
            let wide = Var::concatenate(&[&c.re, &-&c.im], 1);
            Var::concatenate(&[&x.re, &x.im], 2).linear(&wide) * factor
        };
        let one = |what: &str| self.numbers(frame, &format!("{at}.seq.{what}"), [h, p]);
        let y = if self.bidirectional {
            let back = drive.each(|v| v.reverse(1));
            let back = scan(&log, &back, &start, &frame.time).each(|v| v.reverse(1));
            let [c1, c2] = if self.readout == "complex_normal" {
                let all = self.numbers(frame, &format!("{at}.seq.C"), [h, 2 * p]);
                [0, 1].map(|k| all.each(|v| v.slice_axis(1, k * p, (k + 1) * p)))
            } else {
                [one("C1"), one("C2")]
            };
            read(&x, &c1) + read(&back, &c2)
        } else {
            read(&x, &one("C"))
        };
        let d = frame.parameter(&format!("{at}.seq.D"), &[h]);
        y + u * &d.broadcast_like(u)
    }

    fn gate(&self, frame: &Frame<'_>, name: &str, x: &Var) -> Var {
        let h = self.d_model;
        if frame.linear.is_quantized() {
            let x: Traced<(Batch, Seq, Hidden)> = typed(x.clone());
            return frame.project::<Hidden, Hidden, _>(name, [h, h], true, &x).var().clone();
        }
        let y = dense(frame, name, [h, h], true, x);
        &y + &frame.parameter(&format!("{name}.bias"), &[h]).broadcast_like(&y)
    }

    /// The layer without norm and residual: (B, T, H) → (B, T, H).
    pub(super) fn layer(&self, frame: &Frame<'_>, at: &str, layer: usize, u: &Var) -> Var {
        let y = self.ssm(frame, at, layer, u);
        frame.cx.tap(&format!("layers.{layer}.ssm"), &y);
        let g = y.gelu_tanh();
        let gate = |k: usize, x: &Var| self.gate(frame, &format!("{at}.out{k}"), x);
        match self.activation {
            S5Activation::Gelu => g,
            S5Activation::FullGlu => gate(1, &g) * gate(2, &g).sigmoid(),
            S5Activation::HalfGlu1 => &g * &gate(2, &g).sigmoid(),
            S5Activation::HalfGlu2 => y * gate(2, &g).sigmoid(),
        }
    }

    fn outs(&self) -> &'static [usize] {
        match self.activation {
            S5Activation::Gelu => &[],
            S5Activation::FullGlu => &[1, 2],
            _ => &[2],
        }
    }

    /// Initial values of a parameter that no plain distribution gives; nothing for all others.
    pub fn initial(&self, parameter: &Parameter, seed: u64) -> Option<Vec<f32>> {
        let (prefix, what) = parameter.name.rsplit_once('.')?;
        if prefix.rsplit('.').next() != Some("seq") {
            return None;
        }
        let mut rng = Rng::for_name(seed, &parameter.name);
        let (p, h, size) = (self.states, self.d_model, self.size());
        let each = size / self.blocks;
        let hippo = half_hippo(each);
        let half = each / 2;
        // Imaginary parts and eigenvectors of one block, by rising imaginary part.
        let column = |k: usize| match k < half {
            true => (-hippo.omega[k], hippo.vectors[k].clone()),
            false => {
                let k = each - 1 - k;
                (hippo.omega[k], hippo.vectors[k].iter().map(|z| (z.0, -z.1)).collect())
            }
        };
        let stored = p / self.blocks;
        // Normal within two deviations, stretched to a variance of 1 / n.
        let mut normal = |n: f64| loop {
            let x = rng.normal();
            if x.abs() <= 2.0 {
                break x / (0.879_625_66 * n.sqrt());
            }
        };
        Some(match what {
            "Lambda_re" => vec![-0.5; p],
            "Lambda_im" => (0..p).map(|k| column(k % stored).0 as f32).collect(),
            "log_step" => {
                let (low, high) = (self.dt_min.ln(), self.dt_max.ln());
                (0..p).map(|_| (low + (high - low) * rng.uniform()) as f32).collect()
            }
            "B" => {
                let b: Vec<f64> = (0..size * h).map(|_| normal(size as f64)).collect();
                let value = |k: usize, f: usize| {
                    let (block, (_, v)) = (k / stored, column(k % stored));
                    let sum = v.iter().enumerate().fold((0.0, 0.0), |s, (i, z)| {
                        let x = b[(block * each + i) * h + f];
                        (s.0 + z.0 * x, s.1 - z.1 * x)
                    });
                    [sum.0 as f32, sum.1 as f32]
                };
                (0..p).flat_map(|k| (0..h).flat_map(move |f| value(k, f)).collect::<Vec<_>>()).collect()
            }
            "C" if self.readout == "complex_normal" => {
                let count: usize = parameter.shape.iter().product();
                (0..count).map(|_| (0.5_f64.sqrt() * rng.normal()) as f32).collect()
            }
            "C" | "C1" | "C2" => {
                let fan = if self.readout == "lecun_normal" { size * h } else { size } as f64;
                let c: Vec<f64> = (0..h * size * 2).map(|_| normal(fan)).collect();
                let value = |f: usize, k: usize| {
                    let (block, (_, v)) = (k / stored, column(k % stored));
                    let sum = v.iter().enumerate().fold((0.0, 0.0), |s, (i, z)| {
                        let at = (f * size + block * each + i) * 2;
                        let x = (c[at], c[at + 1]);
                        (s.0 + x.0 * z.0 - x.1 * z.1, s.1 + x.0 * z.1 + x.1 * z.0)
                    });
                    [sum.0 as f32, sum.1 as f32]
                };
                (0..h).flat_map(|f| (0..p).flat_map(move |k| value(f, k)).collect::<Vec<_>>()).collect()
            }
            _ => return None,
        })
    }
}

/// x_t = Λ̄ x_(t-1) + u_t along the second axis of u (B, T, P), with Λ̄ = e^log, from `start` (B, P).
fn scan(log: &Complex, u: &Complex, start: &Complex, time: &Dim) -> Complex {
    let cx = u.re.cx();
    let over = |v: &Var| v.broadcast_like(&start.re);
    if time.fixed() == Some(1) {
        let step = log.exp().each(over);
        let row = u.each(|v| v.squeeze(1));
        return (&(&step * start) + &row).each(|v| v.unsqueeze(1));
    }
    let p = log.re.shape()[0].clone();
    let angles = {
        let grid = [time.clone(), p.clone()];
        let t = cx.iota(DType::I64, std::slice::from_ref(time)).convert(DType::F32).broadcast(&grid, &[0]);
        &t * &log.im.broadcast_like(&t)
    };
    // e^(iθt) of each position, and of one step.
    let turn = Complex { re: angles.cos(), im: angles.sin() }.each(|v| v.broadcast_like(&u.re));
    let once = Complex { re: log.im.cos(), im: log.im.sin() }.each(over);
    let (drive, first) = (&turn.conjugate() * u, &once * start);
    let gate = log.re.exp();
    let gate = Var::concatenate(&[&gate, &gate], 0);
    let both = Var::concatenate(&[&drive.re, &drive.im], 2);
    let g =
        gate.broadcast_like(&both).linear_scan(&both, &Var::concatenate(&[&first.re, &first.im], 1), false);
    let g = Complex { re: g.slice_axis(2, 0, p.clone()), im: g.slice_axis(2, p.clone(), &p + &p) };
    &turn * &g
}

impl Mixer for S5Layer {
    fn initial(&self, parameter: &Parameter, seed: u64) -> Option<Vec<f32>> {
        S5Layer::initial(self, parameter, seed)
    }

    fn parameters(&self, at: &str, linear: LinearKind, list: &mut Vec<Parameter>) {
        let (p, h) = (self.states, self.d_model);
        let normal = Init::Normal(1.0);
        let mut add = |what: &str, shape: &[usize]| {
            list.push(Parameter { name: format!("{at}.seq.{what}"), shape: shape.to_vec(), init: normal });
        };
        add("Lambda_re", &[p]);
        add("Lambda_im", &[p]);
        add("B", &[p, h, 2]);
        match (self.bidirectional, self.readout) {
            (true, "complex_normal") => add("C", &[h, 2 * p, 2]),
            (true, _) => {
                add("C1", &[h, p, 2]);
                add("C2", &[h, p, 2]);
            }
            (false, _) => add("C", &[h, p, 2]),
        }
        add("D", &[h]);
        add("log_step", &[p, 1]);
        for k in self.outs() {
            let (name, init) = (format!("{at}.out{k}"), Init::Normal((1.0 / h as f64).sqrt()));
            if linear.is_quantized() {
                linear.parameters(list, &name, [h, h], init, Some(Init::Constant(0.0)));
            } else {
                list.push(Parameter { name: format!("{name}.kernel"), shape: vec![h, h], init });
                let init = Init::Constant(0.0);
                list.push(Parameter { name: format!("{name}.bias"), shape: vec![h], init });
            }
        }
    }

    fn projections(&self, at: &str) -> Vec<String> {
        self.outs().iter().map(|k| format!("{at}.out{k}")).collect()
    }

    fn states(&self, layer: usize) -> Vec<State> {
        match self.bidirectional {
            true => vec![],
            false => vec![State::fixed(format!("ssm_state.{layer}"), &[self.states, 2])],
        }
    }

    fn apply(
        &self,
        frame: &Frame<'_>,
        at: &str,
        layer: usize,
        x: &Traced<(Batch, Seq, Hidden)>,
    ) -> Traced<(Batch, Seq, Hidden)> {
        typed(self.layer(frame, at, layer, x.var()))
    }
}
