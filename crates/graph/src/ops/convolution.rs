//! Convolutions over one, two, three (any number of) axes, and transposed convolutions.
//!
//! The evaluation is the definition, in plain loops. The decomposition is what runs and what is differentiated: windows times
//! weights as one `dot_general`, and for the transposed form a `dot_general` whose products are added to where the windows
//! stood.

use super::windows::Geometry;
use super::{arity, float};
use crate::array::{Array, ravel, unravel};
use crate::attrs::{Attr, Attrs};
use crate::dim::Dim;
use crate::op::{Class, Cost, EvalCx, NodeCx, Op, OpDef, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;

/// x (N, C, S…) and w (O, C / groups, K…) → (N, O, W…): element w of the result is Σ x · w over the window at w (a
/// correlation, as is usual in networks; turn the kernel for the convolution of mathematics).
pub struct Convolution;

/// x (N, C, W…) and w (C, O / groups, K…) → (N, O, S…) of `dims`: the transpose of a convolution of (N, O, S…) that gives
/// (N, C, W…).
pub struct ConvolutionTransposed;

fn groups(attrs: &Attrs) -> usize {
    usize::try_from(attrs.int("groups", 1)).unwrap_or(0)
}

/// The geometry and the number of groups, after what both ops ask of their operands.
fn check(attrs: &Attrs, inputs: &[Type]) -> Result<(Geometry, usize), String> {
    arity(inputs, 2)?;
    float(inputs, 0)?;
    let (g, groups) = (Geometry::read(attrs), groups(attrs));
    g.check()?;
    let (x, w) = (&inputs[0], &inputs[1]);
    let kernel: Vec<Dim> = g.kernel.iter().map(|k| Dim::from(*k)).collect();
    if x.dtype != w.dtype
        || x.rank() != g.rank() + 2
        || w.rank() != g.rank() + 2
        || w.shape[2..] != kernel[..]
    {
        return Err(format!("takes (N, C, S…) and (O, C, K…) with kernel {:?}, found {x} and {w}", g.kernel));
    }
    let whole = |d: &Dim| groups == 1 || d.fixed().is_some_and(|n| groups > 0 && n % groups == 0);
    match whole(&w.shape[0]) && whole(&x.shape[1]) && groups > 0 {
        true => Ok((g, groups)),
        false => Err(format!("{groups} groups do not divide the channels of {x} and {w}")),
    }
}

/// `n / groups`, for sizes that [`check`] has seen.
fn part(n: &Dim, groups: usize) -> Dim {
    n.fixed().map_or_else(|| n.clone(), |n| Dim::from(n / groups))
}

/// Axis `axis` cut into (groups, rest).
fn cut(x: &Var, axis: usize, groups: usize) -> Var {
    let mut shape = x.shape();
    shape[axis] = part(&shape[axis], groups);
    shape.insert(axis, Dim::from(groups));
    x.reshape(&shape)
}

impl OpDef for Convolution {
    const NAME: &'static str = "convolution";
    const ATTRS: &'static [&'static str] = &["kernel", "stride", "dilation", "low", "high", "groups"];
    const CLASS: Class = Class::Composite;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let (g, groups) = check(attrs, inputs)?;
        let (x, w) = (&inputs[0], &inputs[1]);
        if w.shape[1] != part(&x.shape[1], groups) {
            return Err(format!("the weights {w} do not fit the channels of {x} in {groups} groups"));
        }
        let lead = [x.shape[0].clone(), w.shape[0].clone()];
        let shape = lead.into_iter().chain(g.counts(&x.shape[2..])?).collect();
        Ok(vec![Type { dtype: x.dtype, shape }])
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let (g, groups, shape) = (Geometry::read(attrs), groups(attrs), super::shape::bind(cx, &types[0])?);
        let (x, w) = (&i[0], &i[1]);
        let (channels, outs) = (w.shape[1], shape[1] / groups);
        let out = (0..shape.iter().product())
            .map(|o| {
                let index = unravel(o, &shape);
                let mut sum = S::from_f64(0.0);
                for c in 0..channels {
                    for k in 0..g.kernel.iter().product() {
                        let tap = unravel(k, &g.kernel);
                        let at: Option<Vec<usize>> = (0..g.rank())
                            .map(|d| g.source(d, index[2 + d], tap[d], x.shape[2 + d]))
                            .collect();
                        let Some(at) = at else { continue };
                        let from = [vec![index[0], index[1] / outs * channels + c], at].concat();
                        let by = [vec![index[1], c], tap].concat();
                        let (from, by) = (ravel(&from, &x.shape), ravel(&by, &w.shape));
                        sum = sum + x.floats()[from].clone() * w.floats()[by].clone();
                    }
                }
                sum
            })
            .collect();
        Ok(vec![Array::float(types[0].dtype, shape, out)])
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let (g, groups) = (Geometry::read(n.attrs), groups(n.attrs));
        let (x, w, d) = (&n.inputs[0], &n.inputs[1], g.rank());
        let laid = x.windows(&g);
        if groups == 1 {
            // Contracted: the channels and the window.
            let axes: Vec<usize> = (1..2 + d).collect();
            let y = w.dot_general(&laid, (&axes, &axes), (&[], &[]));
            return Some(vec![exchanged(&y, 0, 1)]);
        }
        let axes: Vec<usize> = (2..3 + d).collect();
        let y = cut(w, 0, groups).dot_general(&cut(&laid, 1, groups), (&axes, &axes), (&[0], &[1]));
        // (groups, O / groups, N, W…)
        let perm: Vec<usize> = [2, 0, 1].into_iter().chain(3..3 + d).collect();
        let mut shape = [x.shape()[0].clone(), w.shape()[0].clone()].to_vec();
        shape.extend(y.shape().into_iter().skip(3));
        Some(vec![y.transpose(&perm).reshape(&shape)])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        let taps = elements(&inputs[1..]) / inputs[1].shape[0].fixed().unwrap_or(1).max(1) as f64;
        Cost {
            operations: 2.0 * taps * elements(out),
            transcendental: 0.0,
            bytes: bytes(inputs) + bytes(out),
        }
    }
}

/// Two axes exchanged.
fn exchanged(x: &Var, a: usize, b: usize) -> Var {
    let mut perm: Vec<usize> = (0..x.ty().rank()).collect();
    perm.swap(a, b);
    x.transpose(&perm)
}

impl OpDef for ConvolutionTransposed {
    const NAME: &'static str = "convolution_transposed";
    const ATTRS: &'static [&'static str] = &["kernel", "stride", "dilation", "low", "high", "groups", "dims"];
    const CLASS: Class = Class::Composite;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let (g, groups) = check(attrs, inputs)?;
        let (x, w, dims) = (&inputs[0], &inputs[1], attrs.dims("dims"));
        if w.shape[0] != x.shape[1] {
            return Err(format!("the weights {w} do not fit the channels of {x}"));
        }
        if dims.len() != g.rank() || g.counts(&dims)? != x.shape[2..] {
            return Err(format!("a convolution of {dims:?} does not give the sizes of {x}"));
        }
        let lead = [x.shape[0].clone(), &w.shape[1] * &Dim::from(groups)];
        Ok(vec![Type { dtype: x.dtype, shape: lead.into_iter().chain(dims).collect() }])
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let (g, groups, shape) = (Geometry::read(attrs), groups(attrs), super::shape::bind(cx, &types[0])?);
        let (x, w) = (&i[0], &i[1]);
        let (outs, channels) = (w.shape[1], x.shape[1] / groups);
        let mut out = vec![S::from_f64(0.0); shape.iter().product()];
        for (k, value) in x.floats().iter().enumerate() {
            let index = unravel(k, &x.shape);
            for (j, weight) in
                w.floats()[index[1] * w.len() / w.shape[0]..][..w.len() / w.shape[0]].iter().enumerate()
            {
                let tap = unravel(j, &w.shape[1..]);
                let at: Option<Vec<usize>> =
                    (0..g.rank()).map(|d| g.source(d, index[2 + d], tap[1 + d], shape[2 + d])).collect();
                let Some(at) = at else { continue };
                let to = [vec![index[0], index[1] / channels * outs + tap[0]], at].concat();
                let to = ravel(&to, &shape);
                out[to] = out[to].clone() + value.clone() * weight.clone();
            }
        }
        Ok(vec![Array::float(types[0].dtype, shape, out)])
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let (g, groups, dims) = (Geometry::read(n.attrs), groups(n.attrs), n.attrs.dims("dims"));
        let (x, w, d) = (&n.inputs[0], &n.inputs[1], g.rank());
        if groups == 1 {
            // (O, K…, N, W…) with the batch in front.
            let laid = w.dot_general(x, (&[0], &[1]), (&[], &[]));
            let perm: Vec<usize> = std::iter::once(1 + d).chain(0..1 + d).chain(2 + d..2 + 2 * d).collect();
            return Some(vec![laid.transpose(&perm).windows_add(&g, &dims)]);
        }
        // (groups, O / groups, K…, N, W…)
        let laid = cut(w, 0, groups).dot_general(&cut(x, 1, groups), (&[1], &[2]), (&[0], &[1]));
        let perm: Vec<usize> = std::iter::once(2 + d).chain(0..2 + d).chain(3 + d..3 + 2 * d).collect();
        let y = laid.transpose(&perm).windows_add(&g, &dims);
        let shape = [x.shape()[0].clone(), &w.shape()[1] * &Dim::from(groups)];
        Some(vec![y.reshape(&shape.into_iter().chain(dims).collect::<Vec<_>>())])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        let taps = elements(&inputs[1..]) / inputs[1].shape[0].fixed().unwrap_or(1).max(1) as f64;
        Cost {
            operations: 2.0 * taps * elements(&inputs[..1]),
            transcendental: 0.0,
            bytes: bytes(inputs) + bytes(out),
        }
    }
}

impl Var {
    /// Convolution of (N, C, S…) with weights (O, C / groups, K…); the window's sizes are those of the weights.
    ///
    /// ```
    /// use axes::DType;
    /// use graph::{Cx, ops::windows::Geometry};
    /// let cx = Cx::eager();
    /// let x = cx.array(DType::F64, &[1, 1, 4], &[1.0, 2.0, 3.0, 4.0]);
    /// let w = cx.array(DType::F64, &[1, 1, 2], &[1.0, -1.0]);
    /// let y = x.convolution(&w, &Geometry::new(&[2]), 1);
    /// assert_eq!(y.array().unwrap().to_f64(), [-1.0, -1.0, -1.0]);
    /// ```
    #[track_caller]
    pub fn convolution(&self, w: &Var, g: &Geometry, groups: usize) -> Var {
        let attrs = g.attrs().with("groups", Attr::Int(groups as i64));
        self.cx.push1(Op::Convolution, attrs, &[self, w])
    }
    /// The transpose of a convolution: (N, C, W…) with weights (C, O / groups, K…) to (N, O, S…), where `extra` elements
    /// follow those that the last window reaches (a stride leaves open how many there were).
    #[track_caller]
    pub fn convolution_transposed(&self, w: &Var, g: &Geometry, groups: usize, extra: usize) -> Var {
        let space = (0..g.rank()).map(|k| {
            let n = self.shape().get(2 + k).cloned().unwrap_or(Dim::from(1));
            let reach = g.dilation[k] * g.kernel[k].saturating_sub(1) + 1 + extra;
            let whole = &(&(&n - &Dim::from(1)) * &Dim::from(g.stride[k])) + &Dim::from(reach);
            &whole - &Dim::from(g.low[k] + g.high[k])
        });
        let attrs =
            g.attrs().with("groups", Attr::Int(groups as i64)).with("dims", Attr::Dims(space.collect()));
        self.cx.push1(Op::ConvolutionTransposed, attrs, &[self, w])
    }
}
