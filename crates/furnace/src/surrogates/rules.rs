//! The surrogates as graph; [`super::table`] has their equations.

use axes::DType;
use graph::{GraphError, Var};

use super::Surrogate;

/// What a surrogate is given beside the weights.
#[derive(Clone, Default)]
pub struct Given {
    /// Its knob, rank 0; the first value of its schedule when absent.
    pub knob: Option<Var>,
    /// LSQ's learned step Δ, rank 0 and above 0.
    pub step: Option<Var>,
    /// Stochastic rounding's u: the weights' type, uniform in [0, 1).
    pub noise: Option<Var>,
}

/// Weights behind a quantiser.
#[derive(Clone)]
pub struct Quantised {
    /// In the place of the weights: their shape.
    pub weight: Var,
    /// Added to each output: (rows), for weights (rows, columns).
    pub bias: Option<Var>,
}

/// Below this the step of LSQ does not fall, nor the slope of the proximal map.
const FLOOR: f64 = 1e-5;
/// Around a threshold ReSTE's power function has an endless slope; within this distance its chord takes over.
const CHORD: f64 = 0.1;
/// Beyond this distance from a threshold ReSTE passes no gradient.
const REACH: f64 = 1.5;
/// The slope of `tanh`'s stand-in far from the thresholds.
const LEAK: f64 = 0.1;

impl Surrogate {
    /// The quantised weights w (any shape; `tequila` wants (rows, columns)), with the derivatives of the stand-in.
    ///
    /// An error, such as a missing step of `lsq`, is recorded with the builder.
    pub fn quantise(self, w: &Var, given: &Given) -> Quantised {
        if self == Surrogate::Lsq {
            return alone(learned_step(w, given));
        }
        let (trits, s) = w.quantize_weights();
        let t = trits.convert(w.dtype());
        let q = &t / &s;
        let v = w * &s;
        let knob = || match (&given.knob, self.entry().knob) {
            // A constant has the weights' type; so has an input, but it may come in another.
            (Some(knob), _) => knob.convert(w.dtype()),
            (None, Some(knob)) => scalar(w, knob.from),
            (None, None) => scalar(w, 0.0),
        };
        match self {
            Surrogate::Ste => alone(q.surrogate(w)),
            Surrogate::Clipped => {
                let c = knob();
                let inside = v.max(&like(&v, &-&c)).min(&like(&v, &c));
                alone(q.surrogate(&(inside / &s)))
            }
            Surrogate::HardTanh => alone(q.surrogate(&(stairs(&v, &(knob() * 2.0)) / &s))),
            Surrogate::Tanh => {
                let k = knob();
                let step = |shift: f64| ((&v + shift) * &k).tanh() * 0.5;
                let smooth = step(-0.5) + step(0.5) + &v * LEAK;
                alone(q.surrogate(&(smooth / &s)))
            }
            Surrogate::Dsq => alone(soft_stairs(&v, &knob()) / &s),
            Surrogate::Reste => alone(q.surrogate(&(power(&v, &knob()) / &s))),
            Surrogate::Softmax => alone(softmax(&v, &knob()) / &s),
            Surrogate::Ramp => {
                let blend = w + &((&q - w) * &knob());
                alone(blend.surrogate(w))
            }
            Surrogate::Tequila => {
                let dead = t.equal(&t.full_like(0.0)).convert(w.dtype());
                let last = w.ty().rank().saturating_sub(1);
                let bias = (w * &dead).sum(&[last]) * &knob();
                Quantised { weight: q.surrogate(w), bias: Some(bias) }
            }
            Surrogate::Trust => {
                let error = (&v - &t).abs();
                let trusted = error.le(&like(&v, &knob())).convert(w.dtype());
                alone(q.surrogate(&(w * &trusted)))
            }
            Surrogate::Stochastic => match &given.noise {
                Some(u) => alone(((v + u).floor().clamp(-1.0, 1.0) / &s).surrogate(w)),
                None => missing(w, "stochastic", "noise: numbers of the weights' type, uniform in [0, 1)"),
            },
            Surrogate::Proximal => {
                let rho = knob();
                let rho = rho.max(&rho.full_like(FLOOR));
                alone((stairs(&v, &rho) / &s).surrogate(w))
            }
            Surrogate::Lsq => unreachable!("handled above"),
        }
    }
}

fn alone(weight: Var) -> Quantised {
    Quantised { weight, bias: None }
}

fn missing(w: &Var, name: &str, what: &str) -> Quantised {
    w.cx().fail(GraphError::Input { name: name.into(), expected: what.into(), found: "nothing".into() });
    alone(w.cx().poison())
}

fn scalar(like: &Var, value: f64) -> Var {
    like.cx().full(&graph::Type::scalar(like.dtype()), value)
}

fn like(v: &Var, number: &Var) -> Var {
    number.broadcast(&v.shape(), &[])
}

/// `a` where the condition holds for v, else `b`.
fn choose(condition: &Var, a: &Var, b: &Var) -> Var {
    condition.select(a, b)
}

/// Two ramps of width `width` around −½ and ½, from −1 over 0 to 1.
fn stairs(v: &Var, width: &Var) -> Var {
    let ramp = |shift: f64| ((v + shift) / width).clamp(-0.5, 0.5);
    ramp(-0.5) + ramp(0.5)
}

/// DSQ's staircase: one tanh between each two levels, which it meets exactly.
fn soft_stairs(v: &Var, k: &Var) -> Var {
    let inside = v.clamp(-1.0, 1.0);
    let half = v.full_like(0.5);
    let middle = choose(&v.ge(&v.full_like(0.0)), &half, &-&half);
    let top = (k * 0.5).tanh();
    ((&inside - &middle) * k).tanh() / &top * 0.5 + &middle
}

/// ReSTE's power function around each threshold.
fn power(v: &Var, o: &Var) -> Var {
    let z = (v.abs() * 2.0 - 1.0).clamp(-REACH, REACH);
    let one_over = scalar(v, 1.0) / o;
    let size = z.abs();
    let near = size.lt(&v.full_like(CHORD));
    // The base stays away from 0, where the power has no derivative.
    let curve = z.sign() * size.max(&v.full_like(CHORD)).pow(&like(v, &one_over));
    let slope = scalar(v, CHORD).pow(&(one_over - 1.0));
    let f = choose(&near, &(&z * &slope), &curve);
    v.sign() * (f + 1.0) * 0.5
}

/// The mean level under softmax(−(v − k)² / τ); v² is common to the three exponents and left out.
fn softmax(v: &Var, tau: &Var) -> Var {
    let up = (v * 2.0 - 1.0) / tau;
    let down = (v * -2.0 - 1.0) / tau;
    let none = v.full_like(0.0);
    let peak = up.max(&down).max(&none).stop_gradient();
    let (up, down, none) = ((up - &peak).exp(), (down - &peak).exp(), (none - &peak).exp());
    (&up - &down) / (up + &down + none)
}

/// LSQ: rounding is straight-through, everything else is differentiated as it stands.
fn learned_step(w: &Var, given: &Given) -> Var {
    let Some(step) = &given.step else {
        return missing(w, "lsq", "a step: a number above 0, such as mean|w|").weight;
    };
    let step = step.convert(w.dtype());
    let count = w.shape().iter().fold(graph::Dim::from(1), |a, d| &a * d);
    let share = w.cx().size_of(&count, w.dtype()).rsqrt();
    let step = step.surrogate(&(&step * &share));
    let step = step.max(&step.full_like(FLOOR));
    let inside = (w / &step).clamp(-1.0, 1.0);
    inside.round_half_even().surrogate(&inside) * &step
}

/// Uniform numbers in [0, 1) of the weights' type from a key (i64, rank 0): 24 bits each, which f32 holds exactly.
pub fn uniform(w: &Var, key: &Var) -> Var {
    let dims = w.shape();
    let bits = w.cx().push1(graph::Op::RandomBits, graph::attrs! { dims: Dims(dims) }, &[key]);
    let whole = &bits / &bits.full_like(256.0);
    debug_assert_eq!(bits.dtype(), DType::I64);
    whole.convert(w.dtype()) * (0.5f64).powi(24)
}
