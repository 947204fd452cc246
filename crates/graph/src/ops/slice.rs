//! Parts and joins: `slice`, `pad`, `concatenate`, `reverse`.

use super::arity;
use crate::array::{Array, ravel, unravel};
use crate::attrs::{Attr, Attrs};
use crate::dim::Dim;
use crate::op::{Class, EvalCx, NodeCx, OpDef, Tangent};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;

use super::shape::in_front;

fn bind_all(cx: &EvalCx, dims: &[Dim]) -> Result<Vec<usize>, String> {
    super::shape::bind(cx, &Type { dtype: axes::DType::F32, shape: dims.to_vec() })
}

/// Elements `start..limit` of every axis.
pub struct Slice;
impl OpDef for Slice {
    const NAME: &'static str = "slice";
    const ATTRS: &'static [&'static str] = &["start", "limit"];
    const CLASS: Class = Class::Shape;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 1)?;
        let (start, limit) = (attrs.dims("start"), attrs.dims("limit"));
        if start.len() != inputs[0].rank() || limit.len() != inputs[0].rank() {
            return Err(format!("{start:?}..{limit:?} for {}", inputs[0]));
        }
        for i in 0..start.len() {
            if let (Some(s), Some(l)) = (start[i].fixed(), limit[i].fixed())
                && (s > l || inputs[0].shape[i].fixed().is_some_and(|n| l > n))
            {
                return Err(format!("{s}..{l} is outside axis {i} of {}", inputs[0]));
            }
        }
        let shape = start.iter().zip(&limit).map(|(s, l)| l - s).collect();
        Ok(vec![Type { dtype: inputs[0].dtype, shape }])
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let shape = super::shape::bind(cx, &types[0])?;
        let start = bind_all(cx, &attrs.dims("start"))?;
        if (0..shape.len()).any(|k| start[k] + shape[k] > i[0].shape[k]) {
            return Err(format!("start {start:?} with sizes {shape:?} is outside {:?}", i[0].shape));
        }
        Ok(vec![i[0].pick(shape.clone(), 0.0, |at| {
            let index: Vec<usize> = unravel(at, &shape).iter().zip(&start).map(|(a, s)| a + s).collect();
            Some(ravel(&index, &i[0].shape))
        })])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![t[0].as_ref().map(|t| t.slice(&n.attrs.dims("start"), &n.attrs.dims("limit")))])
    }
    fn transpose(n: &NodeCx, _: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        let (start, limit) = (n.attrs.dims("start"), n.attrs.dims("limit"));
        let high: Vec<Dim> = n.inputs[0].shape().iter().zip(&limit).map(|(d, l)| d - l).collect();
        Some(vec![ct[0].as_ref().map(|c| c.pad(&start, &high, 0.0))])
    }
    fn batch(n: &NodeCx, _: &[bool], size: &Dim) -> Option<Vec<Var>> {
        let start = in_front(&Dim::from(0), n.attrs.dims("start"));
        Some(vec![n.inputs[0].slice(&start, &in_front(size, n.attrs.dims("limit")))])
    }
}

/// With `low` elements of `value` before each axis and `high` after it.
pub struct Pad;
impl OpDef for Pad {
    const NAME: &'static str = "pad";
    const ATTRS: &'static [&'static str] = &["low", "high", "value"];
    const CLASS: Class = Class::Shape;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 1)?;
        let (low, high) = (attrs.dims("low"), attrs.dims("high"));
        if low.len() != inputs[0].rank() || high.len() != inputs[0].rank() {
            return Err(format!("{} low and {} high sizes for {}", low.len(), high.len(), inputs[0]));
        }
        let shape = (0..low.len()).map(|i| &(&low[i] + &inputs[0].shape[i]) + &high[i]).collect();
        Ok(vec![Type { dtype: inputs[0].dtype, shape }])
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let shape = super::shape::bind(cx, &types[0])?;
        let low = bind_all(cx, &attrs.dims("low"))?;
        Ok(vec![i[0].pick(shape.clone(), attrs.float("value", 0.0), |at| {
            let index = unravel(at, &shape);
            let source: Option<Vec<usize>> = (0..index.len())
                .map(|k| index[k].checked_sub(low[k]).filter(|s| *s < i[0].shape[k]))
                .collect();
            source.map(|s| ravel(&s, &i[0].shape))
        })])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![t[0].as_ref().map(|t| t.pad(&n.attrs.dims("low"), &n.attrs.dims("high"), 0.0))])
    }
    fn transpose(n: &NodeCx, _: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        let low = n.attrs.dims("low");
        let limit: Vec<Dim> = n.inputs[0].shape().iter().zip(&low).map(|(d, l)| d + l).collect();
        Some(vec![ct[0].as_ref().map(|c| c.slice(&low, &limit))])
    }
    fn batch(n: &NodeCx, _: &[bool], _: &Dim) -> Option<Vec<Var>> {
        let widths = |key: &str| in_front(&Dim::from(0), n.attrs.dims(key));
        let attrs = n.attrs.clone().with("low", Attr::Dims(widths("low")));
        let attrs = attrs.with("high", Attr::Dims(widths("high")));
        Some(vec![n.cx.push1(crate::Op::Pad, attrs, &[&n.inputs[0]])])
    }
}

/// The operands one after another along `axis`.
pub struct Concatenate;
impl OpDef for Concatenate {
    const NAME: &'static str = "concatenate";
    const ATTRS: &'static [&'static str] = &["axis"];
    const CLASS: Class = Class::Shape;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let axis = attrs.int("axis", 0) as usize;
        let first = inputs.first().ok_or("needs at least one operand")?;
        let mut shape = first.shape.clone();
        if axis >= shape.len() {
            return Err(format!("axis {axis} of {first}"));
        }
        for t in &inputs[1..] {
            let fits = t.dtype == first.dtype
                && t.rank() == shape.len()
                && (0..shape.len()).all(|k| k == axis || t.shape[k] == first.shape[k]);
            if !fits {
                return Err(format!("{first} and {t} differ off axis {axis}"));
            }
            shape[axis] = &shape[axis] + &t.shape[axis];
        }
        Ok(vec![Type { dtype: first.dtype, shape }])
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let axis = attrs.int("axis", 0) as usize;
        let mut shape = i[0].shape.clone();
        shape[axis] = i.iter().map(|a| a.shape[axis]).sum();
        let outer: usize = shape[..axis].iter().product();
        let chunk = |a: &Array<S>| a.shape[axis..].iter().product::<usize>();
        let (mut floats, mut ints) = (vec![], vec![]);
        for o in 0..outer {
            for a in i {
                let c = chunk(a);
                if a.dtype.is_float() {
                    floats.extend_from_slice(&a.floats()[o * c..(o + 1) * c]);
                } else {
                    ints.extend_from_slice(&a.ints()[o * c..(o + 1) * c]);
                }
            }
        }
        let dtype = types[0].dtype;
        Ok(vec![if dtype.is_float() {
            Array::float(dtype, shape, floats)
        } else {
            Array::int(dtype, shape, ints)
        }])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        if t.iter().all(Option::is_none) {
            return Some(vec![None]);
        }
        let parts: Vec<_> =
            t.iter().zip(n.inputs).map(|(t, x)| t.clone().unwrap_or_else(|| x.full_like(0.0))).collect();
        let parts: Vec<_> = parts.iter().collect();
        Some(vec![Some(crate::Var::concatenate(&parts, n.attrs.int("axis", 0) as usize))])
    }
    fn transpose(n: &NodeCx, linear: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        let Some(ct) = &ct[0] else { return Some(vec![None; n.inputs.len()]) };
        let axis = n.attrs.int("axis", 0) as usize;
        let mut at = Dim::from(0);
        let mut out = vec![];
        for (x, linear) in n.inputs.iter().zip(linear) {
            let end = &at + &x.shape()[axis];
            out.push(linear.then(|| ct.slice_axis(axis, at.clone(), end.clone())));
            at = end;
        }
        Some(out)
    }
    fn batch(n: &NodeCx, mapped: &[bool], size: &Dim) -> Option<Vec<Var>> {
        let parts: Vec<Var> = n.inputs.iter().zip(mapped).map(|(x, m)| super::spread(x, *m, size)).collect();
        let parts: Vec<&Var> = parts.iter().collect();
        Some(vec![Var::concatenate(&parts, n.attrs.int("axis", 0) as usize + 1)])
    }
}

/// The elements of one axis in the opposite order.
pub struct Reverse;
impl OpDef for Reverse {
    const NAME: &'static str = "reverse";
    const ATTRS: &'static [&'static str] = &["axis"];
    const CLASS: Class = Class::Shape;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 1)?;
        let axis = attrs.int("axis", 0) as usize;
        if axis < inputs[0].rank() {
            Ok(inputs.to_vec())
        } else {
            Err(format!("axis {axis} of {}", inputs[0]))
        }
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        _: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let axis = attrs.int("axis", 0) as usize;
        let shape = i[0].shape.clone();
        Ok(vec![i[0].pick(shape.clone(), 0.0, |at| {
            let mut index = unravel(at, &shape);
            index[axis] = shape[axis] - 1 - index[axis];
            Some(ravel(&index, &shape))
        })])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![t[0].as_ref().map(|t| t.reverse(n.attrs.int("axis", 0) as usize))])
    }
    fn transpose(n: &NodeCx, _: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![ct[0].as_ref().map(|c| c.reverse(n.attrs.int("axis", 0) as usize))])
    }
    fn batch(n: &NodeCx, _: &[bool], _: &Dim) -> Option<Vec<Var>> {
        Some(vec![n.inputs[0].reverse(n.attrs.int("axis", 0) as usize + 1)])
    }
}
