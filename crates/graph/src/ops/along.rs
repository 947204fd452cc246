//! Indices along one axis: order, running maxima, taking and adding by index.
//!
//! What chooses elements is split from what takes them: `argsort`, `cumulative_argmax` and `last_writer` give integers,
//! which have no derivative, and `take_along` is linear. So the derivative of sorting, of the largest k and of running
//! maxima is that of the elements that were taken, to any order, without rules of their own.

use super::index::{integer, row};
use super::{arity, float};
use crate::array::{Array, Data};
use crate::attrs::Attrs;
use crate::dim::Dim;
use crate::op::{Class, Cost, EvalCx, NodeCx, OpDef, Tangent, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;
use axes::DType;
use std::cmp::Ordering;

/// The axis of a node, or what is wrong with it.
fn axis(attrs: &Attrs, t: &Type) -> Result<usize, String> {
    let a = attrs.int("axis", 0);
    usize::try_from(a).ok().filter(|a| *a < t.rank()).ok_or_else(|| format!("axis {a} of {t}"))
}

/// Sizes before, along and after an axis.
fn split(shape: &[usize], axis: usize) -> [usize; 3] {
    [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()]
}

/// Whether two shapes differ along an axis at most.
fn alike(a: &Type, b: &Type, axis: usize) -> bool {
    a.rank() == b.rank() && (0..a.rank()).all(|k| k == axis || a.shape[k] == b.shape[k])
}

/// The axis of a batched node, one further in.
fn shifted(n: &NodeCx) -> Attrs {
    n.attrs.clone().with("axis", crate::Attr::Int(n.attrs.int("axis", 0) + 1))
}

/// An operand with the batch axis, repeated along it where it had none.
pub(crate) fn batched(x: &Var, mapped: bool, size: &Dim) -> Var {
    if mapped {
        return x.clone();
    }
    let shape: Vec<Dim> = std::iter::once(size.clone()).chain(x.shape()).collect();
    x.broadcast(&shape, &(1..shape.len()).collect::<Vec<_>>())
}

/// Each line along an axis, as (its first position, the step between elements).
fn lines(shape: &[usize], axis: usize) -> impl Iterator<Item = (usize, usize)> {
    let [before, n, after] = split(shape, axis);
    (0..before).flat_map(move |b| (0..after).map(move |a| (b * n * after + a, after)))
}

/// Fills positions of an i64 array line by line.
fn choose<S: Scalar>(
    x: &Array<S>,
    axis: usize,
    f: impl Fn(&dyn Fn(usize, usize) -> Ordering, usize) -> Vec<usize>,
) -> Array<S> {
    let n = x.shape[axis];
    let mut out = vec![0i64; x.len()];
    for (start, step) in lines(&x.shape, axis) {
        let at = |i: usize| start + i * step;
        let chosen = match &x.data {
            Data::Float(v) => f(&|i, j| order(&v[at(i)], &v[at(j)]), n),
            Data::Int(v) => f(&|i, j| v[at(i)].cmp(&v[at(j)]), n),
        };
        chosen.into_iter().enumerate().for_each(|(i, c)| out[at(i)] = c as i64);
    }
    Array::int(DType::I64, x.shape.clone(), out)
}

/// Rising, with NaN behind everything.
fn order<S: Scalar>(a: &S, b: &S) -> Ordering {
    a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Positions along `axis` in the order of the elements, stable; NaN comes last, or first where `descending`.
pub struct ArgSort;
impl OpDef for ArgSort {
    const NAME: &'static str = "argsort";
    const ATTRS: &'static [&'static str] = &["axis", "descending"];
    const CLASS: Class = Class::Index;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 1)?;
        axis(attrs, &inputs[0])?;
        Ok(vec![inputs[0].with_dtype(DType::I64)])
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        _: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let down = attrs.flag("descending");
        Ok(vec![choose(&i[0], attrs.int("axis", 0) as usize, |compare, n| {
            let mut at: Vec<usize> = (0..n).collect();
            at.sort_by(|a, b| if down { compare(*b, *a) } else { compare(*a, *b) });
            at
        })])
    }
    fn jvp(_: &NodeCx, _: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![None])
    }
    fn batch(n: &NodeCx, _: &[bool], _: &Dim) -> Option<Vec<Var>> {
        Some(n.cx.push(crate::Op::ArgSort, shifted(n), &[&n.inputs[0]]))
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        let n = elements(inputs);
        Cost { operations: n * n.max(2.0).log2(), transcendental: 0.0, bytes: bytes(inputs) + bytes(out) }
    }
}

/// For each element the position along `axis` of the first of the largest elements up to it, i64; NaN is the largest.
pub struct CumulativeArgMax;
impl OpDef for CumulativeArgMax {
    const NAME: &'static str = "cumulative_argmax";
    const ATTRS: &'static [&'static str] = &["axis"];
    const CLASS: Class = Class::Index;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        ArgSort::infer(attrs, inputs)
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        _: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        Ok(vec![choose(&i[0], attrs.int("axis", 0) as usize, |compare, n| {
            let mut best = 0;
            (0..n)
                .map(|k| {
                    if compare(k, best) == Ordering::Greater {
                        best = k;
                    }
                    best
                })
                .collect()
        })])
    }
    fn jvp(_: &NodeCx, _: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![None])
    }
    fn batch(n: &NodeCx, _: &[bool], _: &Dim) -> Option<Vec<Var>> {
        Some(n.cx.push(crate::Op::CumulativeArgMax, shifted(n), &[&n.inputs[0]]))
    }
}

/// (x, indices) → the elements of x at the indices along `axis`; the other sizes agree.
pub struct TakeAlong;
impl OpDef for TakeAlong {
    const NAME: &'static str = "take_along";
    const ATTRS: &'static [&'static str] = &["axis"];
    const CLASS: Class = Class::Index;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 2)?;
        integer(&inputs[1])?;
        let a = axis(attrs, &inputs[0])?;
        match alike(&inputs[0], &inputs[1], a) {
            true => Ok(vec![inputs[1].with_dtype(inputs[0].dtype)]),
            false => Err(format!("indices {} do not fit {} off axis {a}", inputs[1], inputs[0])),
        }
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        _: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let a = attrs.int("axis", 0) as usize;
        let ([_, n, after], [_, m, _]) = (split(&i[0].shape, a), split(&i[1].shape, a));
        let at = i[1].ints().iter().enumerate();
        let from = at
            .map(|(k, index)| {
                let (line, inner) = (k / (m * after), k % after);
                Ok((line * n + row(*index, n)?) * after + inner)
            })
            .collect::<Result<Vec<_>, String>>()?;
        Ok(vec![i[0].pick(i[1].shape.clone(), 0.0, |k| Some(from[k]))])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![t[0].as_ref().map(|t| t.take_along(&n.inputs[1], n.attrs.int("axis", 0) as usize))])
    }
    fn transpose(n: &NodeCx, _: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        let a = n.attrs.int("axis", 0) as usize;
        let size = n.inputs[0].shape()[a].clone();
        Some(vec![ct[0].as_ref().map(|c| n.inputs[1].scatter_add_along(c, a, &size)), None])
    }
    fn batch(n: &NodeCx, mapped: &[bool], size: &Dim) -> Option<Vec<Var>> {
        let v = [0, 1].map(|k| batched(&n.inputs[k], mapped[k], size));
        Some(n.cx.push(crate::Op::TakeAlong, shifted(n), &[&v[0], &v[1]]))
    }
}

/// (indices, updates) → zeros of `size` along `axis`, to which each update is added at its index.
pub struct ScatterAddAlong;
impl OpDef for ScatterAddAlong {
    const NAME: &'static str = "scatter_add_along";
    const ATTRS: &'static [&'static str] = &["axis", "size"];
    const CLASS: Class = Class::Index;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 2)?;
        integer(&inputs[0])?;
        float(inputs, 1)?;
        let a = axis(attrs, &inputs[0])?;
        let size = attrs.dims("size");
        let [size] = &size[..] else { return Err("needs the size along the axis".into()) };
        if inputs[0].shape != inputs[1].shape {
            return Err(format!("updates {} do not have the sizes of the indices {}", inputs[1], inputs[0]));
        }
        let mut out = inputs[1].clone();
        out.shape[a] = size.clone();
        Ok(vec![out])
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let (a, shape) = (attrs.int("axis", 0) as usize, super::shape::bind(cx, &types[0])?);
        let ([_, m, after], n) = (split(&i[0].shape, a), shape[a]);
        let mut out = vec![S::from_f64(0.0); shape.iter().product()];
        for (k, (index, x)) in i[0].ints().iter().zip(i[1].floats()).enumerate() {
            let to = (k / (m * after) * n + row(*index, n)?) * after + k % after;
            out[to] = out[to].clone() + x.clone();
        }
        Ok(vec![Array::float(types[0].dtype, shape, out)])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        let (a, size) = (n.attrs.int("axis", 0) as usize, n.attrs.dims("size"));
        Some(vec![t[1].as_ref().map(|t| n.inputs[0].scatter_add_along(t, a, &size[0]))])
    }
    fn transpose(n: &NodeCx, _: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        let a = n.attrs.int("axis", 0) as usize;
        Some(vec![None, ct[0].as_ref().map(|c| c.take_along(&n.inputs[0], a))])
    }
    fn batch(n: &NodeCx, mapped: &[bool], size: &Dim) -> Option<Vec<Var>> {
        let v = [0, 1].map(|k| batched(&n.inputs[k], mapped[k], size));
        Some(n.cx.push(crate::Op::ScatterAddAlong, shifted(n), &[&v[0], &v[1]]))
    }
}

/// For each position of `size` along `axis`, which of the indices names it last; -1 where none does.
pub struct LastWriter;
impl OpDef for LastWriter {
    const NAME: &'static str = "last_writer";
    const ATTRS: &'static [&'static str] = &["axis", "size"];
    const CLASS: Class = Class::Index;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 1)?;
        integer(&inputs[0])?;
        let a = axis(attrs, &inputs[0])?;
        let size = attrs.dims("size");
        let [size] = &size[..] else { return Err("needs the size along the axis".into()) };
        let mut out = inputs[0].with_dtype(DType::I64);
        out.shape[a] = size.clone();
        Ok(vec![out])
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let (a, shape) = (attrs.int("axis", 0) as usize, super::shape::bind(cx, &types[0])?);
        let ([_, m, after], n) = (split(&i[0].shape, a), shape[a]);
        let mut out = vec![-1i64; shape.iter().product()];
        for (k, index) in i[0].ints().iter().enumerate() {
            out[(k / (m * after) * n + row(*index, n)?) * after + k % after] = (k / after % m) as i64;
        }
        Ok(vec![Array::int(DType::I64, shape, out)])
    }
    fn jvp(_: &NodeCx, _: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![None])
    }
    fn batch(n: &NodeCx, _: &[bool], _: &Dim) -> Option<Vec<Var>> {
        Some(n.cx.push(crate::Op::LastWriter, shifted(n), &[&n.inputs[0]]))
    }
}
