//! Convolutions along time whose kernel is as long as the sequence, one kernel per channel: the parallel form of linear
//! time-invariant state-space models (Gu et al. 2021, "S4", section 2.4) and of moving averages (Ma et al. 2022, "MEGA").
//!
//! The evaluation is the sum itself. A backend computes both ops with Fourier transforms of twice the length (T log T). The
//! two are closed under differentiation: the transpose of a convolution in its sequence runs the other way, that in its
//! kernel is a correlation.

use super::taylor::bilinear;
use super::{arity, float, plus};
use crate::array::Array;
use crate::attrs;
use crate::attrs::Attrs;
use crate::dim::Dim;
use crate::op::{Class, Cost, EvalCx, NodeCx, Op, OpDef, Tangent, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;
use axes::DType;

/// (x (B, T, D), k (D, K)) → y (B, T, D): y_t = Σ_s k_s x_(t-s), or with `reverse` Σ_s k_s x_(t+s); what lies outside the
/// sequence is zero.
pub struct LongConvolution;

/// (a (B, T, D), b (B, T, D)) → (D, K) for K `taps`: c_s = Σ over sequences and t of a_t b_(t-s).
pub struct LongCorrelation;

fn three(t: &Type, name: &str) -> Result<[Dim; 3], String> {
    match &t.shape[..] {
        [b, time, d] => Ok([b.clone(), time.clone(), d.clone()]),
        _ => Err(format!("{name} must be (batch, time, channels), found {t}")),
    }
}

/// Transforms of a pair of rows and back, by the count of a fast Fourier transform.
fn work(rows: &Type, taps: Option<&Dim>, inputs: &[Type], out: &[Type]) -> Cost {
    let size = |d: Option<&Dim>| d.and_then(Dim::fixed).unwrap_or(1) as f64;
    let long = (size(rows.shape.get(1)) + size(taps)).max(2.0);
    let lines = size(rows.shape.first()) * size(rows.shape.get(2));
    let operations = 7.5 * lines * long * long.log2();
    Cost { operations, transcendental: 0.0, bytes: bytes(inputs) + bytes(out) }
}

/// x (B, T, D) at time t − s (or t + s) as (T, K, B, D), zeros outside.
fn lagged(x: &Var, taps: &Dim, ahead: bool) -> Var {
    let cx = x.cx();
    let time = x.shape()[1].clone();
    let grid = [time.clone(), taps.clone()];
    let line = |d: &Dim, axis: usize| cx.iota(DType::I64, std::slice::from_ref(d)).broadcast(&grid, &[axis]);
    let (t, s) = (line(&time, 0), line(taps, 1));
    let at = if ahead { &t + &s } else { &t - &s };
    let zero = at.full_like(0.0);
    let inside = at.ge(&zero).and(&at.lt(&cx.size_of(&time, DType::I64).broadcast_like(&at)));
    let rows = x.transpose(&[1, 0, 2]).gather(&inside.select(&at, &zero));
    let mask = inside.convert(x.dtype());
    &rows * &mask.broadcast(&rows.shape(), &[0, 1])
}

/// Many batches as channels: (N, B, T, D) → (B, T, N D), and (N, D, K) → (N D, K).
fn as_channels(x: &Var) -> Var {
    match &x.shape()[..] {
        [n, b, t, d] => x.transpose(&[1, 2, 0, 3]).reshape(&[b.clone(), t.clone(), n * d]),
        [n, d, k] => x.reshape(&[n * d, k.clone()]),
        _ => x.clone(),
    }
}

impl OpDef for LongConvolution {
    const NAME: &'static str = "long_convolution";
    const ATTRS: &'static [&'static str] = &["reverse"];
    const CLASS: Class = Class::Composite;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 2)?;
        float(inputs, 0)?;
        let [_, _, d] = three(&inputs[0], "x")?;
        let k = &inputs[1];
        if k.dtype != inputs[0].dtype || k.rank() != 2 || k.shape[0] != d {
            return Err(format!("the kernel of {} is (channels, taps), found {k}", inputs[0]));
        }
        Ok(vec![inputs[0].clone()])
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let (x, k) = (i[0].floats(), i[1].floats());
        let [b, t, d] = i[0].shape[..] else { return Err("takes three axes".into()) };
        let taps = i[1].shape[1];
        let mut y = vec![S::from_f64(0.0); x.len()];
        for n in 0..b {
            for time in 0..t {
                for c in 0..d {
                    let mut sum = S::from_f64(0.0);
                    for s in 0..taps {
                        let from = if attrs.flag("reverse") { time + s } else { time.wrapping_sub(s) };
                        if from < t {
                            sum = sum + k[c * taps + s].clone() * x[(n * t + from) * d + c].clone();
                        }
                    }
                    y[(n * t + time) * d + c] = sum;
                }
            }
        }
        Ok(vec![Array::float(types[0].dtype, i[0].shape.clone(), y)])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        let reverse = n.attrs.flag("reverse");
        let x = t[0].as_ref().map(|x| x.long_convolution(&n.inputs[1], reverse));
        let k = t[1].as_ref().map(|k| n.inputs[0].long_convolution(k, reverse));
        Some(vec![plus(x, k)])
    }
    fn transpose(n: &NodeCx, linear: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        if linear[0] && linear[1] {
            return None;
        }
        let Some(ct) = &ct[0] else { return Some(vec![None, None]) };
        let (x, k, reverse) = (&n.inputs[0], &n.inputs[1], n.attrs.flag("reverse"));
        let taps = k.shape()[1].clone();
        let dx = linear[0].then(|| ct.long_convolution(k, !reverse));
        let (a, b) = if reverse { (x, ct) } else { (ct, x) };
        Some(vec![dx, linear[1].then(|| a.long_correlation(b, &taps))])
    }
    fn batch(n: &NodeCx, mapped: &[bool], size: &Dim) -> Option<Vec<Var>> {
        let x = super::spread(&n.inputs[0], mapped[0], size);
        let shape = x.shape();
        let reverse = n.attrs.flag("reverse");
        if !mapped[1] {
            let flat = x.reshape(&[&shape[0] * &shape[1], shape[2].clone(), shape[3].clone()]);
            return Some(vec![flat.long_convolution(&n.inputs[1], reverse).reshape(&shape)]);
        }
        let y = as_channels(&x).long_convolution(&as_channels(&n.inputs[1]), reverse);
        let apart = [shape[1].clone(), shape[2].clone(), shape[0].clone(), shape[3].clone()];
        Some(vec![y.reshape(&apart).transpose(&[2, 0, 1, 3])])
    }
    fn jet(n: &NodeCx, s: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
        let reverse = n.attrs.flag("reverse");
        let times = |a: &Var, b: &Var| a.long_convolution(b, reverse);
        Some(vec![bilinear((&n.inputs[0], &s[0]), (&n.inputs[1], &s[1]), times)])
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let (x, k) = (&n.inputs[0], &n.inputs[1]);
        let rows = lagged(x, &k.shape()[1], n.attrs.flag("reverse"));
        // (D, T, B)
        let y = k.dot_general(&rows, (&[1], &[1]), (&[0], &[3]));
        Some(vec![y.transpose(&[2, 1, 0])])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        work(&inputs[0], inputs[1].shape.get(1), inputs, out)
    }
}

impl OpDef for LongCorrelation {
    const NAME: &'static str = "long_correlation";
    const ATTRS: &'static [&'static str] = &["taps"];
    const CLASS: Class = Class::Composite;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 2)?;
        float(inputs, 0)?;
        super::same(&inputs[0], &inputs[1])?;
        let [_, _, d] = three(&inputs[0], "a")?;
        match &attrs.dims("taps")[..] {
            [taps] => Ok(vec![Type::new(inputs[0].dtype, [d, taps.clone()])]),
            other => Err(format!("takes one number of taps, found {other:?}")),
        }
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        _: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let (x, y) = (i[0].floats(), i[1].floats());
        let [b, t, d] = i[0].shape[..] else { return Err("takes three axes".into()) };
        let shape = super::shape::bind(cx, &types[0])?;
        let taps = shape[1];
        let mut out = vec![S::from_f64(0.0); d * taps];
        for c in 0..d {
            for s in 0..taps {
                let mut sum = S::from_f64(0.0);
                for n in 0..b {
                    for time in s..t {
                        let at = |time: usize| (n * t + time) * d + c;
                        sum = sum + x[at(time)].clone() * y[at(time - s)].clone();
                    }
                }
                out[c * taps + s] = sum;
            }
        }
        Ok(vec![Array::float(types[0].dtype, shape, out)])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        let taps = &n.attrs.dims("taps")[0];
        let a = t[0].as_ref().map(|a| a.long_correlation(&n.inputs[1], taps));
        let b = t[1].as_ref().map(|b| n.inputs[0].long_correlation(b, taps));
        Some(vec![plus(a, b)])
    }
    fn transpose(n: &NodeCx, linear: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        if linear[0] && linear[1] {
            return None;
        }
        let Some(ct) = &ct[0] else { return Some(vec![None, None]) };
        let da = linear[0].then(|| n.inputs[1].long_convolution(ct, false));
        Some(vec![da, linear[1].then(|| n.inputs[0].long_convolution(ct, true))])
    }
    fn batch(n: &NodeCx, mapped: &[bool], size: &Dim) -> Option<Vec<Var>> {
        let taps = &n.attrs.dims("taps")[0];
        let [a, b] = [0, 1].map(|k| as_channels(&super::spread(&n.inputs[k], mapped[k], size)));
        let d = n.inputs[0].shape().last().cloned().unwrap_or(Dim::from(1));
        Some(vec![a.long_correlation(&b, taps).reshape(&[size.clone(), d, taps.clone()])])
    }
    fn jet(n: &NodeCx, s: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
        let taps = n.attrs.dims("taps")[0].clone();
        let times = |a: &Var, b: &Var| a.long_correlation(b, &taps);
        Some(vec![bilinear((&n.inputs[0], &s[0]), (&n.inputs[1], &s[1]), times)])
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let (a, b) = (&n.inputs[0], &n.inputs[1]);
        let rows = lagged(b, &n.attrs.dims("taps")[0], false);
        Some(vec![a.dot_general(&rows, (&[1, 0], &[0, 2]), (&[2], &[3]))])
    }
    fn cost(attrs: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        let cost = work(&inputs[0], attrs.dims("taps").first(), inputs, out);
        Cost { operations: cost.operations + elements(out), ..cost }
    }
}

impl Var {
    /// This (B, T, D) convolved along time with a kernel of each channel (D, K), towards the past or with `reverse` towards
    /// the future; see [`LongConvolution`].
    ///
    /// ```
    /// use axes::DType;
    /// use graph::Cx;
    /// let cx = Cx::eager();
    /// let x = cx.array(DType::F64, &[1, 3, 1], &[1.0, 2.0, 3.0]);
    /// let k = cx.array(DType::F64, &[1, 2], &[1.0, 10.0]);
    /// assert_eq!(x.long_convolution(&k, false).array().unwrap().to_f64(), [1.0, 12.0, 23.0]);
    /// assert_eq!(x.long_convolution(&k, true).array().unwrap().to_f64(), [21.0, 32.0, 3.0]);
    /// ```
    #[track_caller]
    pub fn long_convolution(&self, kernel: &Var, reverse: bool) -> Var {
        let cx = if kernel.cx().depth() > self.cx().depth() { kernel.cx() } else { self.cx() };
        cx.push1(Op::LongConvolution, attrs! { reverse: Bool(reverse) }, &[self, kernel])
    }
    /// How this (B, T, D) goes with what the other was `s` steps before, for `s` below `taps`, as (D, taps); see
    /// [`LongCorrelation`].
    #[track_caller]
    pub fn long_correlation(&self, other: &Var, taps: &Dim) -> Var {
        let cx = if other.cx().depth() > self.cx().depth() { other.cx() } else { self.cx() };
        cx.push1(Op::LongCorrelation, attrs! { taps: Dims(vec![taps.clone()]) }, &[self, other])
    }
}
