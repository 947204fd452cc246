//! One S4 block: convolution, feed-through, gelu, gated linear unit.

use axes::Last;
use graph::Var;
use graph::typed::{Traced, TracedExt, typed};

use super::hippo::Pair;
use super::{Discretization, S4Kind, half_hippo};
use crate::forms::State;
use crate::frame::{Batch, Frame, Hidden, LinearKind, Mixer, Seq};
use crate::parameters::{Init, Parameter};
use crate::rng::Rng;

axes::axes! {
    /// Value and gate of the gated linear unit side by side.
    pub Gated;
}

/// `S4Block` of the published code with one head, or `S4D`.
#[derive(Debug, Clone, PartialEq)]
pub struct S4Block {
    /// Which state matrix.
    pub kind: S4Kind,
    /// Channels, H.
    pub d_model: usize,
    /// States of a channel, N: half of them are stored, the others are their conjugates.
    pub d_state: usize,
    /// Taps that the convolution takes; nothing: as many as the sequence has.
    pub l_max: Option<usize>,
    /// The length that the stored C of a DPLR block is made for.
    pub l_kernel: usize,
    /// How a diagonal block is discretised.
    pub disc: Discretization,
    /// How A and B begin.
    pub init: String,
    /// The least step at first.
    pub dt_min: f64,
    /// The greatest step at first.
    pub dt_max: f64,
}

impl S4Block {
    /// A name in the state dict of the block at `at`; what is inside the convolution is under `layer` in `S4Block`.
    pub(super) fn name(&self, at: &str, what: &str) -> String {
        let inner = self.kind != S4Kind::Minimal && (what == "D" || what.starts_with("kernel."));
        let what = if inner { format!("layer.{what}") } else { what.to_owned() };
        if at.is_empty() { what } else { format!("{at}.{what}") }
    }

    /// Initial values of a parameter that no plain distribution gives: HiPPO, steps, C̃; nothing for all others.
    pub fn initial(&self, parameter: &Parameter, seed: u64) -> Option<Vec<f32>> {
        let (prefix, what) = parameter.name.rsplit_once('.')?;
        if !(prefix == "kernel" || prefix.ends_with(".kernel")) {
            return None;
        }
        let (h, n) = (self.d_model, self.d_state / 2);
        let mut rng = Rng::for_name(seed, &parameter.name);
        let hippo = || half_hippo(self.d_state);
        let repeat = |row: Vec<f64>| (0..h).flat_map(|_| row.iter().map(|x| *x as f32)).collect::<Vec<_>>();
        let pairs = |row: Vec<Pair>| repeat(row.into_iter().flat_map(|z| [z.0, z.1]).collect());
        let legs = matches!(self.init.as_str(), "legs" | "hippo" | "diag-legs");
        Some(match what {
            "inv_dt" | "log_dt" => {
                let (low, high) = (self.dt_min.ln(), self.dt_max.ln());
                (0..h).map(|_| (low + (high - low) * rng.uniform()) as f32).collect()
            }
            "A_real" | "log_A_real" if self.init == "diag-real" => {
                repeat((0..n).map(|k| (1.0 + k as f64).ln()).collect())
            }
            "A_real" | "log_A_real" => vec![0.5_f32.ln(); h * n],
            "A_imag" => repeat(match self.init.as_str() {
                "diag-lin" => (0..n).map(|k| std::f64::consts::PI * k as f64).collect(),
                "diag-inv" => {
                    let size = self.d_state as f64;
                    let each = |k: usize| size / std::f64::consts::PI * (size / (1.0 + 2.0 * k as f64) - 1.0);
                    (0..n).map(each).collect()
                }
                "diag-real" => vec![0.0; n],
                _ => hippo().omega,
            }),
            "B" if legs => pairs(hippo().b.into_iter().map(|z| (z.0, z.1.clamp(-2.0, 2.0))).collect()),
            "B" => pairs(vec![(1.0, 0.0); n]),
            "P" => pairs(hippo().p),
            "C" => {
                let half = std::f64::consts::FRAC_1_SQRT_2;
                let mut c: Vec<f64> = (0..h * n * 2).map(|_| half * rng.normal()).collect();
                if self.kind == S4Kind::Dplr {
                    let step = Parameter {
                        name: format!("{prefix}.inv_dt"),
                        shape: vec![h, 1],
                        init: parameter.init,
                    };
                    let steps = self.initial(&step, seed)?;
                    let hippo = hippo();
                    c.chunks_mut(2 * n)
                        .zip(steps)
                        .for_each(|(c, dt)| tilde(c, &hippo, f64::from(dt).exp(), self.l_kernel));
                }
                c.into_iter().map(|x| x as f32).collect()
            }
            _ => return None,
        })
    }

    /// The block without its residual: x (B, T, H) → (B, T, H).
    pub(super) fn block(&self, frame: &Frame<'_>, at: &str, layer: usize, x: &Var) -> Var {
        let h = self.d_model;
        let shape: &[usize] = if self.kind == S4Kind::Minimal { &[h] } else { &[1, h] };
        let through = frame.parameter(&self.name(at, "D"), shape).reshape(&[h.into()]);
        let y = self.sequence(frame, at, layer, x) + x * &through.broadcast_like(x);
        let y: Traced<(Batch, Seq, Hidden)> = typed(y.gelu());
        let name = self.name(at, "output_linear.0");
        let both = if self.kind == S4Kind::Minimal && !frame.linear.is_quantized() {
            // A convolution of one tap.
            let weight = frame.parameter(&format!("{name}.weight"), &[2 * h, h, 1]);
            let bias = frame.parameter(&format!("{name}.bias"), &[2 * h]);
            let y = y.var().linear(&weight.reshape(&[(2 * h).into(), h.into()]));
            &y + &bias.broadcast_like(&y)
        } else {
            project(frame, &name, h, &y)
        };
        let parts = both.split(&[h, h], 2);
        &parts[0] * &parts[1].sigmoid()
    }
}

fn project<A: Last<Axis = Hidden>>(frame: &Frame<'_>, name: &str, h: usize, y: &Traced<A>) -> Var {
    frame.project::<Hidden, Gated, _>(name, [2 * h, h], true, y).var().clone()
}

/// C becomes C (I − Ā^length) for the HiPPO-LegS matrix in bilinear steps of `dt`; `c` are N/2 pairs.
fn tilde(c: &mut [f64], hippo: &super::HalfHippo, dt: f64, length: usize) {
    let n = c.len() / 2;
    let size = 2 * n;
    let (p, omega) = (&hippo.p, &hippo.omega);
    let times = |a: Pair, b: Pair| (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0);
    let inverse = |a: Pair| {
        let r = a.0 * a.0 + a.1 * a.1;
        (a.0 / r, -a.1 / r)
    };
    let around = 2.0 / dt;
    let d: Vec<Pair> = (0..n).map(|k| inverse((around + 0.5, omega[k]))).collect();
    let q: Vec<Pair> = p.iter().map(|z| (z.0, -z.1)).collect();
    let total = 1.0 + 2.0 * (0..n).map(|k| times(times(q[k], d[k]), p[k]).0).sum::<f64>();
    let low_rank = |x: &dyn Fn(usize) -> Pair, y: &[Pair]| {
        let sum = 2.0 * (0..n).map(|k| times(x(k), y[k]).0).sum::<f64>();
        move |k: usize| (p[k].0 * sum, p[k].1 * sum)
    };
    // Columns of Ā on real and imaginary parts.
    let mut a = vec![vec![0.0; size]; size];
    for j in 0..size {
        let h: Vec<Pair> =
            (0..n).map(|k| (f64::from(u8::from(j == k)), f64::from(u8::from(j == n + k)))).collect();
        let minus = low_rank(&|k| q[k], &h);
        let next: Vec<Pair> = (0..n)
            .map(|k| {
                let (x, y) = (times((around - 0.5, -omega[k]), h[k]), minus(k));
                (x.0 - y.0, x.1 - y.1)
            })
            .collect();
        let minus = low_rank(
            &|k| {
                let z = times(q[k], d[k]);
                (z.0 / total, z.1 / total)
            },
            &next,
        );
        for k in 0..n {
            let y = minus(k);
            let z = times(d[k], (next[k].0 - y.0, next[k].1 - y.1));
            (a[k][j], a[n + k][j]) = z;
        }
    }
    // The row 2 [Re C, −Im C] times Ā^length, by squaring.
    let mut row: Vec<f64> =
        (0..size).map(|k| if k < n { 2.0 * c[2 * k] } else { -2.0 * c[2 * (k - n) + 1] }).collect();
    let mut left = length;
    while left > 0 {
        if left % 2 == 1 {
            row = (0..size).map(|j| (0..size).map(|i| row[i] * a[i][j]).sum()).collect();
        }
        left /= 2;
        if left > 0 {
            let square = |i: usize, j: usize| (0..size).map(|k| a[i][k] * a[k][j]).sum();
            a = (0..size).map(|i| (0..size).map(|j| square(i, j)).collect()).collect();
        }
    }
    for k in 0..n {
        c[2 * k] -= row[k] / 2.0;
        c[2 * k + 1] += row[n + k] / 2.0;
    }
}

impl Mixer for S4Block {
    fn initial(&self, parameter: &Parameter, seed: u64) -> Option<Vec<f32>> {
        S4Block::initial(self, parameter, seed)
    }

    fn parameters(&self, at: &str, linear: LinearKind, list: &mut Vec<Parameter>) {
        let (h, n) = (self.d_model, self.d_state / 2);
        let normal = Init::Normal(1.0);
        let mut add = |what: &str, shape: &[usize], init| {
            list.push(Parameter { name: self.name(at, what), shape: shape.to_vec(), init });
        };
        let zero = Init::Constant(0.0);
        if self.kind == S4Kind::Minimal {
            add("D", &[h], normal);
            add("kernel.C", &[h, n, 2], normal);
            add("kernel.log_dt", &[h], zero);
            add("kernel.log_A_real", &[h, n], zero);
            add("kernel.A_imag", &[h, n], zero);
        } else {
            add("D", &[1, h], normal);
            add("kernel.inv_dt", &[h, 1], zero);
            add("kernel.C", &[1, h, n, 2], normal);
            add("kernel.B", &[1, h, n, 2], normal);
            add("kernel.A_real", &[h, n], zero);
            add("kernel.A_imag", &[h, n], zero);
            if self.kind == S4Kind::Dplr {
                add("kernel.P", &[1, h, n, 2], normal);
            }
        }
        let bound = Init::Uniform((1.0 / h as f64).sqrt());
        let from = list.len();
        linear.parameters(list, &self.name(at, "output_linear.0"), [2 * h, h], bound, Some(bound));
        if self.kind == S4Kind::Minimal && !linear.is_quantized() {
            list[from].shape.push(1);
        }
    }

    fn projections(&self, at: &str) -> Vec<String> {
        vec![self.name(at, "output_linear.0")]
    }

    fn states(&self, layer: usize) -> Vec<State> {
        vec![State::fixed(format!("ssm_state.{layer}"), &[self.d_model, self.d_state / 2, 2])]
    }

    fn apply(
        &self,
        frame: &Frame<'_>,
        at: &str,
        layer: usize,
        x: &Traced<(Batch, Seq, Hidden)>,
    ) -> Traced<(Batch, Seq, Hidden)> {
        typed(self.block(frame, at, layer, x.var()))
    }
}
