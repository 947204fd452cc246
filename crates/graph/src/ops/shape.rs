//! Rearranging: `reshape`, `transpose`, `broadcast`.

use super::arity;
use crate::array::{Array, ravel, unravel};
use crate::attrs::Attrs;
use crate::dim::Dim;
use crate::op::{Class, Cost, EvalCx, NodeCx, OpDef, Tangent, bytes};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;

/// The sizes of a type under the evaluation's bindings.
pub(crate) fn bind(cx: &EvalCx, ty: &Type) -> Result<Vec<usize>, String> {
    ty.shape
        .iter()
        .map(|d| d.bind(&cx.bindings).map_err(|s| format!("the size `{s}` is not known")))
        .collect()
}

/// One more size before the others.
pub(super) fn in_front(first: &Dim, rest: Vec<Dim>) -> Vec<Dim> {
    std::iter::once(first.clone()).chain(rest).collect()
}

/// Axis 0, then these counted behind it.
pub(super) fn behind(axes: &[usize]) -> Vec<usize> {
    std::iter::once(0).chain(axes.iter().map(|a| a + 1)).collect()
}

fn moved(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
    Cost { bytes: bytes(inputs) + bytes(out), ..Cost::default() }
}

/// The same elements in row-major order under other sizes.
pub struct Reshape;
impl OpDef for Reshape {
    const NAME: &'static str = "reshape";
    const ATTRS: &'static [&'static str] = &["dims"];
    const CLASS: Class = Class::Shape;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 1)?;
        let out = Type { dtype: inputs[0].dtype, shape: attrs.dims("dims") };
        let count = |t: &Type| t.shape.iter().fold(Dim::from(1), |a, d| &a * d);
        if count(&out) == count(&inputs[0]) {
            Ok(vec![out])
        } else {
            Err(format!("{} has {} elements, {out} has {}", inputs[0], count(&inputs[0]), count(&out)))
        }
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        _: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        Ok(vec![i[0].reshaped(bind(cx, &types[0])?)])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![t[0].as_ref().map(|t| t.reshape(&n.attrs.dims("dims")))])
    }
    fn transpose(n: &NodeCx, _: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![ct[0].as_ref().map(|c| c.reshape(&n.inputs[0].shape()))])
    }
    fn batch(n: &NodeCx, _: &[bool], size: &Dim) -> Option<Vec<Var>> {
        Some(vec![n.inputs[0].reshape(&in_front(size, n.attrs.dims("dims")))])
    }
    fn cost(_: &Attrs, _: &[Type], _: &[Type]) -> Cost {
        Cost::default()
    }
}

/// Axes in another order: result axis i is operand axis `perm[i]`.
pub struct Transpose;
impl OpDef for Transpose {
    const NAME: &'static str = "transpose";
    const ATTRS: &'static [&'static str] = &["perm"];
    const CLASS: Class = Class::Shape;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 1)?;
        let perm = attrs.ints("perm");
        let mut sorted = perm.clone();
        sorted.sort_unstable();
        if sorted != (0..inputs[0].rank()).collect::<Vec<_>>() {
            return Err(format!("{perm:?} is not a permutation of the axes of {}", inputs[0]));
        }
        Ok(vec![Type {
            dtype: inputs[0].dtype,
            shape: perm.iter().map(|p| inputs[0].shape[*p].clone()).collect(),
        }])
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        _: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let perm = attrs.ints("perm");
        let shape: Vec<usize> = perm.iter().map(|p| i[0].shape[*p]).collect();
        Ok(vec![i[0].pick(shape.clone(), 0.0, |at| {
            let index = unravel(at, &shape);
            let mut source = vec![0; index.len()];
            perm.iter().enumerate().for_each(|(k, p)| source[*p] = index[k]);
            Some(ravel(&source, &i[0].shape))
        })])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![t[0].as_ref().map(|t| t.transpose(&n.attrs.ints("perm")))])
    }
    fn transpose(n: &NodeCx, _: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        let perm = n.attrs.ints("perm");
        let mut inverse = vec![0; perm.len()];
        perm.iter().enumerate().for_each(|(i, p)| inverse[*p] = i);
        Some(vec![ct[0].as_ref().map(|c| c.transpose(&inverse))])
    }
    fn batch(n: &NodeCx, _: &[bool], _: &Dim) -> Option<Vec<Var>> {
        Some(vec![n.inputs[0].transpose(&behind(&n.attrs.ints("perm")))])
    }
    fn cost(a: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        moved(a, inputs, out)
    }
}

/// Repetition along new axes: operand axis i is result axis `map[i]`, of the same size; `map` rises.
pub struct Broadcast;
impl OpDef for Broadcast {
    const NAME: &'static str = "broadcast";
    const ATTRS: &'static [&'static str] = &["dims", "map"];
    const CLASS: Class = Class::Shape;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 1)?;
        let out = Type { dtype: inputs[0].dtype, shape: attrs.dims("dims") };
        let map = attrs.ints("map");
        if map.len() != inputs[0].rank() || map.windows(2).any(|w| w[0] >= w[1]) {
            return Err(format!("{map:?} does not map the axes of {} in order", inputs[0]));
        }
        for (i, m) in map.iter().enumerate() {
            if out.shape.get(*m) != Some(&inputs[0].shape[i]) {
                return Err(format!("axis {i} of {} does not fit axis {m} of {out}", inputs[0]));
            }
        }
        Ok(vec![out])
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let (map, shape) = (attrs.ints("map"), bind(cx, &types[0])?);
        Ok(vec![i[0].pick(shape.clone(), 0.0, |at| {
            let index = unravel(at, &shape);
            let source: Vec<usize> = map.iter().map(|m| index[*m]).collect();
            Some(ravel(&source, &i[0].shape))
        })])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![t[0].as_ref().map(|t| t.broadcast(&n.attrs.dims("dims"), &n.attrs.ints("map")))])
    }
    fn transpose(n: &NodeCx, _: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        let map = n.attrs.ints("map");
        let gone: Vec<usize> = (0..n.attrs.dims("dims").len()).filter(|a| !map.contains(a)).collect();
        Some(vec![ct[0].as_ref().map(|c| c.sum(&gone))])
    }
    fn batch(n: &NodeCx, _: &[bool], size: &Dim) -> Option<Vec<Var>> {
        let dims = in_front(size, n.attrs.dims("dims"));
        Some(vec![n.inputs[0].broadcast(&dims, &behind(&n.attrs.ints("map")))])
    }
    fn cost(_: &Attrs, _: &[Type], out: &[Type]) -> Cost {
        Cost { bytes: bytes(out), ..Cost::default() }
    }
}
