//! Discretised blocks: kernels over the sequence, recurrences, and readouts.

use axes::DType;
use graph::{Complex, Dim, Var};

use super::{Discretization, S4Block, S4Kind};
use crate::forms::Form;
use crate::frame::Frame;
use crate::long_kernels::{complex_kernel, complex_sums, length};

/// The parameters of a block in continuous time, each (H, N).
pub(super) struct Continuous {
    a: Complex,
    b: Option<Complex>,
    c: Complex,
    p: Option<Complex>,
    dt: Var,
}

fn pair(v: &Var) -> Complex {
    let last = v.ty().rank() - 1;
    let part = |k: usize| v.slice_axis(last, k, k + 1).squeeze(last);
    Complex { re: part(0), im: part(1) }
}

fn one(like: &Complex) -> Complex {
    Complex::real(&like.re.full_like(1.0))
}

fn like(z: &Complex, state: &Complex) -> Complex {
    z.each(|v| v.broadcast_like(&state.re))
}

impl S4Block {
    pub(super) fn continuous(&self, frame: &Frame<'_>, at: &str) -> Continuous {
        let (h, n) = (self.d_model, self.d_state / 2);
        let name = |what: &str| self.name(at, &format!("kernel.{what}"));
        let all = [h.into(), n.into()];
        if self.kind == S4Kind::Minimal {
            let dt = frame.parameter(&name("log_dt"), &[h]).exp().broadcast_last(&n.into());
            let re = -frame.parameter(&name("log_A_real"), &[h, n]).exp();
            let a = Complex { re, im: frame.parameter(&name("A_imag"), &[h, n]) };
            return Continuous { a, b: None, c: pair(&frame.parameter(&name("C"), &[h, n, 2])), p: None, dt };
        }
        let matrix = |what: &str| frame.parameter(&name(what), &[h, n]);
        let a = Complex { re: -matrix("A_real").exp(), im: -matrix("A_imag") };
        let numbers =
            |what: &str| pair(&frame.parameter(&name(what), &[1, h, n, 2])).each(|v| v.reshape(&all));
        let dt =
            frame.parameter(&name("inv_dt"), &[h, 1]).exp().reshape(&[h.into()]).broadcast_last(&n.into());
        let p = (self.kind == S4Kind::Dplr).then(|| numbers("P"));
        Continuous { a, b: Some(numbers("B")), c: numbers("C"), p, dt }
    }

    /// y (B, T, H) without the feed-through, from the state of the layer to its successor.
    pub(super) fn sequence(&self, frame: &Frame<'_>, at: &str, layer: usize, x: &Var) -> Var {
        let c = self.continuous(frame, at);
        if self.kind == S4Kind::Dplr {
            self.dplr(frame, at, layer, x, &c)
        } else {
            self.diagonal(frame, layer, x, &c)
        }
    }

    fn state(&self, frame: &Frame<'_>, layer: usize) -> Complex {
        pair(&frame.state(&format!("ssm_state.{layer}"), &[self.d_model, self.d_state / 2, 2]))
    }

    fn keep(&self, frame: &Frame<'_>, layer: usize, h: &Complex) {
        frame.keep(&format!("ssm_state.{layer}"), &Var::stack(&[&h.re, &h.im], 3));
    }

    fn diagonal(&self, frame: &Frame<'_>, layer: usize, x: &Var, c: &Continuous) -> Var {
        let dta = c.a.scale(&c.dt);
        let (z, drive) = match self.disc {
            Discretization::Zoh => {
                let drive = &(&dta.exp() - &one(&dta)) / &c.a;
                (dta, drive)
            }
            Discretization::Bilinear => {
                let half = dta.each(|v| v * 0.5);
                let below = (&one(&half) - &half).reciprocal();
                let step = &(&one(&half) + &half) * &below;
                (step.log(), below.scale(&c.dt))
            }
        };
        let drive = c.b.as_ref().map_or(drive.clone(), |b| &drive * b);
        let out = c.c.each(|v| v * 2.0);
        let kernel = |taps: &Dim| complex_kernel(&(&out * &drive), &z, taps);
        if !frame.options.states {
            let taps = self.l_max.map_or_else(|| frame.time.clone(), Dim::from);
            return x.long_convolution(&kernel(&taps), false);
        }
        let h = self.state(frame, layer);
        let (n, step) = (Dim::from(self.d_state / 2), z.exp());
        if frame.time.fixed() == Some(1) {
            let row = x.reshape(&[frame.batch.clone(), self.d_model.into()]).broadcast_last(&n);
            let h = &(&like(&step, &h) * &h) + &like(&drive, &h).scale(&row);
            self.keep(frame, layer, &h);
            return (&like(&out, &h) * &h).re.sum(&[2]).reshape(&x.shape());
        }
        let wide = like(&z, &h);
        let before = complex_kernel(&(&like(&(&out * &step), &h) * &h), &wide, &frame.time);
        let y = x.long_convolution(&kernel(&frame.time), false) + before.transpose(&[0, 2, 1]);
        let decay = wide.scale(&length(&wide.re, &frame.time)).exp();
        let added = &like(&drive, &h) * &complex_sums(x, &z);
        self.keep(frame, layer, &(&(&decay * &h) + &added));
        y
    }

    fn dplr(&self, frame: &Frame<'_>, at: &str, layer: usize, x: &Var, c: &Continuous) -> Var {
        if !frame.options.states {
            let kernel = self.dplr_kernel(c);
            let taps = self.l_max.unwrap_or(self.l_kernel).min(self.l_kernel);
            return x.long_convolution(&kernel.slice_axis(1, 0, taps), false);
        }
        let step = Step::new(c);
        let readout = match frame.options.form {
            Form::Prepared => frame.parameter(&self.readout_name(at), &[self.d_model, self.d_state]),
            _ => self.readout(frame, c),
        };
        let h = self.state(frame, layer);
        let n = Dim::from(self.d_state / 2);
        let read = |h: &Complex| {
            let all = Var::concatenate(&[&h.re, &h.im], 2);
            (&all * &readout.broadcast_like(&all)).sum(&[2])
        };
        let advance = |h: &Complex, row: &Var| step.apply(h, Some(&row.broadcast_last(&n)));
        if frame.time.fixed() == Some(1) {
            let h = advance(&h, &x.reshape(&[frame.batch.clone(), self.d_model.into()]));
            self.keep(frame, layer, &h);
            return read(&h).reshape(&x.shape());
        }
        let (last, ys) = frame.cx.scan(&[&h.re, &h.im], &[&x.transpose(&[1, 0, 2])], false, |h, x| {
            let h = advance(&Complex::new(&h[0], &h[1]), &x[0]);
            (vec![h.re.clone(), h.im.clone()], vec![read(&h)])
        });
        self.keep(frame, layer, &Complex::new(&last[0], &last[1]));
        ys[0].transpose(&[1, 0, 2])
    }

    /// The kernel (H, l_kernel) from its transform at the roots of unity.
    fn dplr_kernel(&self, c: &Continuous) -> Var {
        let (cx, length, h, n) = (c.dt.cx(), self.l_kernel, self.d_model, self.d_state / 2);
        let points = length / 2 + 1;
        let angle = |k: usize| -2.0 * std::f64::consts::PI * k as f64 / length as f64;
        let constant = |f: &dyn Fn(f64) -> f64| {
            let values: Vec<f64> = (0..points).map(|k| f(angle(k))).collect();
            cx.array(DType::F32, &[points], &values)
        };
        // At ω = −1 the sine of the rounded angle is not zero, but that of the half turn is.
        let sine = |a: f64| if (a + std::f64::consts::PI).abs() < 1e-12 { 0.0 } else { a.sin() };
        let omega = Complex { re: constant(&|a| a.cos()), im: constant(&sine) };
        let less = &one(&omega) - &omega;
        let s = (&one(&omega) + &omega).each(|v| v * 0.5);
        let dims = [h.into(), n.into(), points.into()];
        let over_points = |z: &Complex| z.each(|v| v.broadcast(&dims, &[2]));
        let w = c.a.scale(&c.dt);
        let below = |w: &Complex| {
            let w = w.each(|v| v.broadcast_last(&points.into()));
            (&over_points(&less) - &(&over_points(&s) * &w)).reciprocal()
        };
        let (direct, mirrored) = (below(&w), below(&w.conjugate()));
        let (Some(b), Some(p)) = (&c.b, &c.p) else { return cx.poison() };
        let q = p.conjugate();
        let rho = |v: &Complex| {
            let v = v.scale(&c.dt);
            let sum = |v: &Complex, below: &Complex| v.dot_general(below, (&[1], &[1]), (&[0], &[0]));
            &sum(&v, &direct) + &sum(&v.conjugate(), &mirrored)
        };
        let s = s.each(|v| v.broadcast(&[h.into(), points.into()], &[1]));
        let below = &(&s * &rho(&(p * &q)));
        let correction = &(&(&rho(&(b * &q)) * &rho(&(p * &c.c))) * &s) / &(&one(below) + below);
        (&rho(&(b * &c.c)) - &correction).irfft(length)
    }

    /// Name of the readout in the prepared form.
    pub(super) fn readout_name(&self, at: &str) -> String {
        self.name(at, "kernel.readout")
    }

    /// C of y = C [re h; im h], (H, N), from the stored C̃ = C (I − Ā^l_kernel).
    pub(super) fn readout(&self, frame: &Frame<'_>, c: &Continuous) -> Var {
        let (cx, h, n) = (frame.cx, self.d_model, self.d_state / 2);
        let (hd, wide) = (Dim::from(h), Dim::from(2 * n));
        let stored = Var::concatenate(&[&(&c.c.re * 2.0), &(&c.c.im * -2.0)], 1);
        // Each unit state through one step without input: the columns of Ā.
        let unit = |first: usize| {
            let values: Vec<f64> =
                (0..2 * n * n).map(|k| f64::from(u8::from(k / n == first + k % n))).collect();
            cx.array(DType::F32, &[2 * n, n], &values)
                .broadcast(&[wide.clone(), hd.clone(), n.into()], &[0, 2])
        };
        let moved = Step::new(c).apply(&Complex { re: unit(0), im: unit(n) }, None);
        let mut square = Var::concatenate(&[&moved.re, &moved.im], 2).transpose(&[1, 2, 0]);
        let eye = cx.array(DType::F32, &[2 * n, 2 * n], &{
            let size = 2 * n;
            (0..size * size).map(|k| f64::from(u8::from(k / size == k % size))).collect::<Vec<_>>()
        });
        let eye = eye.broadcast_like(&square);
        let mut power: Option<Var> = None;
        let mut left = self.l_kernel;
        while left > 0 {
            if left % 2 == 1 {
                power = Some(power.map_or_else(|| square.clone(), |p| p.bmm(&square)));
            }
            left /= 2;
            if left > 0 {
                square = square.bmm(&square);
            }
        }
        let map = (&eye - &power.unwrap_or_else(|| eye.clone())).transpose(&[0, 2, 1]);
        map.solve(&stored.reshape(&[hd.clone(), wide.clone(), 1.into()])).reshape(&[hd, wide])
    }
}

/// One bilinear step of a DPLR state in O(N): (I − dt/2 A)⁻¹ ((I + dt/2 A) h + dt B u) by the formula of Woodbury.
struct Step {
    d: Complex,
    e: Complex,
    p: Complex,
    q: Complex,
    r: Complex,
    b: Complex,
}

impl Step {
    fn new(c: &Continuous) -> Step {
        let twice = c.dt.reciprocal() * 2.0;
        let around = Complex::real(&twice);
        let d = (&around - &c.a).reciprocal();
        let p = c.p.clone().unwrap_or_else(|| c.a.clone());
        let q = p.conjugate();
        let total = (&(&q * &d) * &p).re.sum(&[1]) * 2.0 + 1.0;
        let n = c.dt.shape()[1].clone();
        let r = (&q * &d).scale(&total.reciprocal().broadcast_last(&n));
        let b = c.b.clone().unwrap_or_else(|| one(&c.a));
        Step { e: &around + &c.a, d, p, q, r, b }
    }

    /// h (…, H, N) and the input spread over the states.
    fn apply(&self, h: &Complex, u: Option<&Var>) -> Complex {
        let like = |z: &Complex| like(z, h);
        let last = h.re.ty().rank() - 1;
        let n = h.re.shape()[last].clone();
        // p Σ (x y) over states and their conjugates.
        let low_rank = |x: &Complex, y: &Complex| {
            let sum = (&like(x) * y).re.sum(&[last]) * 2.0;
            like(&self.p).scale(&sum.broadcast_last(&n))
        };
        let mut next = &(&like(&self.e) * h) - &low_rank(&self.q, h);
        if let Some(u) = u {
            next = &next + &like(&self.b).each(|v| v * 2.0).scale(u);
        }
        &like(&self.d) * &(&next - &low_rank(&self.r, &next))
    }
}
