//! The discrete Fourier transform along the last axis, of any length.
//!
//! Lengths whose prime factors are small go by mixed radix (Cooley and Tukey 1965), n Σ p operations for factors p, so
//! n log n for a power of two; others by Bluestein's chirp (1970), as a convolution of a power of two. Roots of unity are
//! computed from angles within an eighth of a turn, so that they are as accurate as the arithmetic allows.

use super::{arity, float, same};
use crate::array::Array;
use crate::attrs::{Attr, Attrs};
use crate::dim::Dim;
use crate::op::{Class, Cost, EvalCx, NodeCx, Op, OpDef, Tangent, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;

/// (re, im) → (re, im): X_k = Σ x_j e^(-2πi jk/n) along the last axis, or with e^(+2πi jk/n) where `inverse`; neither is
/// scaled.
pub struct Fourier;

/// The largest prime factor that a direct sum handles.
const LARGEST: usize = 61;

type Number<S> = (S, S);

fn times<S: Scalar>(a: &Number<S>, b: &Number<S>) -> Number<S> {
    let re = a.0.clone() * b.0.clone() - a.1.clone() * b.1.clone();
    (re, a.0.clone() * b.1.clone() + a.1.clone() * b.0.clone())
}

fn plus<S: Scalar>(a: &Number<S>, b: &Number<S>) -> Number<S> {
    (a.0.clone() + b.0.clone(), a.1.clone() + b.1.clone())
}

fn conjugate<S: Scalar>(a: &Number<S>) -> Number<S> {
    (a.0.clone(), -a.1.clone())
}

/// e^(2πi a/b) for a ≤ b.
fn unit<S: Scalar>(a: u128, b: u128) -> Number<S> {
    if 2 * a > b {
        let (c, s) = unit::<S>(b - a, b);
        (c, -s)
    } else if 4 * a > b {
        let (c, s) = unit::<S>(b - 2 * a, 2 * b);
        (-c, s)
    } else if 8 * a > b {
        let (c, s) = unit::<S>(b - 4 * a, 4 * b);
        (s, c)
    } else {
        // 2π = 8 atan 1 in the arithmetic at hand.
        let angle = S::from_f64(1.0).atan() * S::from_f64(8.0 * a as f64) / S::from_f64(b as f64);
        (angle.cos(), angle.sin())
    }
}

/// e^(-2πi k/n) for k below n, or its conjugates.
fn roots<S: Scalar>(n: usize, inverse: bool) -> Vec<Number<S>> {
    let each = (0..n).map(|k| unit::<S>(k as u128, n as u128));
    if inverse { each.collect() } else { each.map(|z| conjugate(&z)).collect() }
}

fn smallest_factor(n: usize) -> usize {
    (2..).take_while(|p| p * p <= n).find(|p| n.is_multiple_of(*p)).unwrap_or(n)
}

fn largest_factor(mut n: usize) -> usize {
    let mut largest = 1;
    while n > 1 {
        let p = smallest_factor(n);
        (largest, n) = (p.max(largest), n / p);
    }
    largest
}

/// What the rows of one call share.
enum Plan<S> {
    /// Roots of the length.
    Mixed(Vec<Number<S>>),
    /// The chirp e^(∓πi k²/n), the transform of its conjugate, and the roots of both directions of the longer length.
    Chirp { chirp: Vec<Number<S>>, spectrum: Vec<Number<S>>, forward: Vec<Number<S>>, back: Vec<Number<S>> },
}

impl<S: Scalar> Plan<S> {
    fn new(n: usize, inverse: bool) -> Plan<S> {
        if largest_factor(n) <= LARGEST {
            return Plan::Mixed(roots(n, inverse));
        }
        let long = (2 * n - 1).next_power_of_two();
        let (forward, back) = (roots(long, false), roots(long, true));
        // Angles of k² repeat after 2n.
        let turn = |k: usize| unit::<S>((k as u128 * k as u128) % (2 * n as u128), 2 * n as u128);
        let chirp: Vec<Number<S>> =
            (0..n).map(|k| if inverse { turn(k) } else { conjugate(&turn(k)) }).collect();
        let zero = (S::from_f64(0.0), S::from_f64(0.0));
        let mut around = vec![zero; long];
        for (k, c) in chirp.iter().enumerate() {
            around[k] = conjugate(c);
            around[(long - k) % long] = conjugate(c);
        }
        let spectrum = halved(&around, &forward);
        Plan::Chirp { chirp, spectrum, forward, back }
    }

    fn run(&self, x: &[Number<S>]) -> Vec<Number<S>> {
        match self {
            Plan::Mixed(roots) if x.len().is_power_of_two() => halved(x, roots),
            Plan::Mixed(roots) => mixed(x, 0, 1, x.len(), roots),
            Plan::Chirp { chirp, spectrum, forward, back } => {
                let long = spectrum.len();
                let zero = (S::from_f64(0.0), S::from_f64(0.0));
                let mut y: Vec<Number<S>> = x.iter().zip(chirp).map(|(a, b)| times(a, b)).collect();
                y.resize(long, zero);
                let y: Vec<Number<S>> =
                    halved(&y, forward).iter().zip(spectrum).map(|(a, b)| times(a, b)).collect();
                let y = halved(&y, back);
                let scale = S::from_f64(1.0 / long as f64);
                let each = y.iter().zip(chirp).map(|(a, b)| times(a, b));
                each.map(|(re, im)| (re * scale.clone(), im * scale.clone())).collect()
            }
        }
    }
}

/// The transform of a power of two elements, in place after an exchange by reversed bits.
fn halved<S: Scalar>(x: &[Number<S>], roots: &[Number<S>]) -> Vec<Number<S>> {
    let n = x.len();
    let unused = usize::BITS - n.trailing_zeros();
    let reversed = |i: usize| if n > 1 { i.reverse_bits() >> unused } else { i };
    let mut y: Vec<Number<S>> = (0..n).map(|i| x[reversed(i)].clone()).collect();
    let mut half = 1;
    while half < n {
        let spread = n / (2 * half);
        for block in y.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for (k, (a, b)) in low.iter_mut().zip(high).enumerate() {
                let t = times(b, &roots[k * spread]);
                *b = (a.0.clone() - t.0.clone(), a.1.clone() - t.1.clone());
                *a = plus(a, &t);
            }
        }
        half *= 2;
    }
    y
}

/// The transform of `n` elements of `x` from `start` on, `step` apart; `roots` holds those of a multiple of `n`.
fn mixed<S: Scalar>(
    x: &[Number<S>],
    start: usize,
    step: usize,
    n: usize,
    roots: &[Number<S>],
) -> Vec<Number<S>> {
    if n <= 1 {
        return x.get(start).cloned().into_iter().take(n).collect();
    }
    let p = smallest_factor(n);
    let m = n / p;
    let parts: Vec<Vec<Number<S>>> = (0..p).map(|r| mixed(x, start + r * step, step * p, m, roots)).collect();
    let spread = roots.len() / n;
    let mut out = Vec::with_capacity(n);
    for q in 0..p {
        for k in 0..m {
            let at = k + q * m;
            let sum = (1..p).fold(parts[0][k].clone(), |sum, r| {
                plus(&sum, &times(&parts[r][k], &roots[r * at % n * spread]))
            });
            out.push(sum);
        }
    }
    out
}

impl OpDef for Fourier {
    const NAME: &'static str = "fourier";
    const ATTRS: &'static [&'static str] = &["inverse"];
    const CLASS: Class = Class::Contract;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 2)?;
        float(inputs, 0)?;
        same(&inputs[0], &inputs[1])?;
        match inputs[0].rank() {
            0 => Err("a number has no axis to transform along".into()),
            _ => Ok(inputs.to_vec()),
        }
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let shape = i[0].shape.clone();
        let n = shape[shape.len() - 1];
        let (mut re, mut im) = (Vec::with_capacity(i[0].len()), Vec::with_capacity(i[0].len()));
        if n > 0 {
            let plan = Plan::<S>::new(n, attrs.flag("inverse"));
            for (a, b) in i[0].floats().chunks(n).zip(i[1].floats().chunks(n)) {
                let row: Vec<Number<S>> = a.iter().cloned().zip(b.iter().cloned()).collect();
                for (x, y) in plan.run(&row) {
                    re.push(x);
                    im.push(y);
                }
            }
        }
        let dtype = types[0].dtype;
        Ok(vec![Array::float(dtype, shape.clone(), re), Array::float(dtype, shape, im)])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(both(n, t, n.attrs.flag("inverse")))
    }
    /// The matrix is symmetric, so that its transpose as a map of pairs of reals is the other direction.
    fn transpose(n: &NodeCx, linear: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        let made = both(n, ct, !n.attrs.flag("inverse"));
        Some(made.into_iter().zip(linear).map(|(c, l)| c.filter(|_| *l)).collect())
    }
    fn batch(n: &NodeCx, mapped: &[bool], size: &Dim) -> Option<Vec<Var>> {
        let v = [0, 1].map(|k| super::along::batched(&n.inputs[k], mapped[k], size));
        Some(n.cx.push(Op::Fourier, n.attrs.clone(), &[&v[0], &v[1]]))
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        let n = inputs[0].shape.last().and_then(Dim::fixed).unwrap_or(1).max(2) as f64;
        let operations = 5.0 * elements(&inputs[..1]) * n.log2();
        Cost { operations, transcendental: 0.0, bytes: bytes(inputs) + bytes(out) }
    }
}

/// The transform of a pair of tangents.
fn both(n: &NodeCx, t: &[Tangent], inverse: bool) -> Vec<Tangent> {
    let Some(like) = t[0].as_ref().or(t[1].as_ref()) else { return vec![None, None] };
    let zero = like.full_like(0.0);
    let parts = [0, 1].map(|k| t[k].clone().unwrap_or_else(|| zero.clone()));
    let attrs = Attrs::new().with("inverse", Attr::Bool(inverse));
    let made = n.cx.push(Op::Fourier, attrs, &[&parts[0], &parts[1]]);
    made.into_iter().take(2).map(Some).collect()
}
