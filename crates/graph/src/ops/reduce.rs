//! Folding axes away.

use super::{arity, taylor};
use crate::accumulate::Accumulator;
use crate::array::{Array, ravel, unravel};
use crate::attrs::{Attr, Attrs};
use crate::dim::Dim;
use crate::op::{Class, Cost, EvalCx, NodeCx, OpDef, Tangent, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;

fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
    arity(inputs, 1)?;
    let axes = attrs.ints("axes");
    if axes.is_empty() || axes.iter().any(|a| *a >= inputs[0].rank()) || axes.windows(2).any(|w| w[0] >= w[1])
    {
        return Err(format!("axes {axes:?} of {}: give existing axes in rising order", inputs[0]));
    }
    let shape =
        (0..inputs[0].rank()).filter(|a| !axes.contains(a)).map(|a| inputs[0].shape[a].clone()).collect();
    Ok(vec![Type { dtype: inputs[0].dtype, shape }])
}

/// The attributes with the axes counted behind a new first one.
fn inner_axes(attrs: &Attrs) -> Attrs {
    let behind = attrs.ints("axes").into_iter().map(|a| a as i64 + 1);
    attrs.clone().with("axes", Attr::Ints(behind.collect()))
}

/// For each result element, the positions that fold into it, in row-major order.
fn groups(shape: &[usize], axes: &[usize]) -> (Vec<usize>, Vec<Vec<usize>>) {
    let kept: Vec<usize> = (0..shape.len()).filter(|a| !axes.contains(a)).collect();
    let out: Vec<usize> = kept.iter().map(|a| shape[*a]).collect();
    let mut lists = vec![vec![]; out.iter().product()];
    for i in 0..shape.iter().product() {
        let index = unravel(i, shape);
        let at: Vec<usize> = kept.iter().map(|a| index[*a]).collect();
        lists[ravel(&at, &out)].push(i);
    }
    (out, lists)
}

/// What a node's attribute says, if it does.
pub(crate) fn accumulator(attrs: &Attrs) -> Result<Option<Accumulator>, String> {
    crate::op::EvalCx::default().accumulator(attrs)
}

fn work(inputs: &[Type], out: &[Type]) -> Cost {
    Cost { operations: elements(inputs), transcendental: 0.0, bytes: bytes(inputs) + bytes(out) }
}

/// Repeats `y` along the axes that a reduction of `x` removed.
fn spread(y: &Var, x: &Var, axes: &[usize]) -> Var {
    let shape = x.shape();
    let map: Vec<usize> = (0..shape.len()).filter(|a| !axes.contains(a)).collect();
    y.broadcast(&shape, &map)
}

/// Sum over axes, in pairs (Higham 1993), or as `accumulator` names.
pub struct ReduceSum;
impl OpDef for ReduceSum {
    const NAME: &'static str = "reduce_sum";
    const ATTRS: &'static [&'static str] = &["axes", "accumulator"];
    const CLASS: Class = Class::Reduce;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        accumulator(attrs)?;
        infer(attrs, inputs)
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let (shape, lists) = groups(&i[0].shape, &attrs.ints("axes"));
        let dtype = types[0].dtype;
        let how = cx.accumulator(attrs)?.unwrap_or(Accumulator::Pairwise);
        Ok(vec![if dtype.is_float() {
            let v = i[0].floats();
            let sum = |l: &Vec<usize>| S::sum_in(how, &l.iter().map(|k| v[*k].clone()).collect::<Vec<_>>());
            Array::float(dtype, shape, lists.iter().map(sum).collect())
        } else {
            let v = i[0].ints();
            Array::int(
                dtype,
                shape,
                lists
                    .iter()
                    .map(|l| super::wrap(dtype, l.iter().fold(0i64, |s, k| s.wrapping_add(v[*k]))))
                    .collect(),
            )
        }])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![t[0].as_ref().map(|t| t.sum(&n.attrs.ints("axes")))])
    }
    fn transpose(n: &NodeCx, _: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![ct[0].as_ref().map(|c| spread(c, &n.inputs[0], &n.attrs.ints("axes")))])
    }
    fn batch(n: &NodeCx, _: &[bool], _: &Dim) -> Option<Vec<Var>> {
        Some(vec![n.cx.push1(crate::Op::ReduceSum, inner_axes(n.attrs), &[&n.inputs[0]])])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        work(inputs, out)
    }
}

macro_rules! extremum {
    ($(#[$doc:meta])* $op:ident, $name:literal, $fold:expr, $ints:expr, $start:expr) => {
        $(#[$doc])*
        pub struct $op;
        impl OpDef for $op {
            const NAME: &'static str = $name;
            const ATTRS: &'static [&'static str] = &["axes"];
            const CLASS: Class = Class::Reduce;
            fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
                infer(attrs, inputs)
            }
            fn eval<S: Scalar>(
                _: &EvalCx, attrs: &Attrs, i: &[Array<S>], types: &[Type],
            ) -> Result<Vec<Array<S>>, String> {
                let (shape, lists) = groups(&i[0].shape, &attrs.ints("axes"));
                let dtype = types[0].dtype;
                if lists.iter().any(Vec::is_empty) {
                    return Err("an empty axis has no extremum".into());
                }
                Ok(vec![if dtype.is_float() {
                    let v = i[0].floats();
                    let fold = |l: &Vec<usize>| l[1..].iter().fold(v[l[0]].clone(), |m, k| $fold(&m, &v[*k]));
                    Array::float(dtype, shape, lists.iter().map(fold).collect())
                } else {
                    let v = i[0].ints();
                    let fold = |l: &Vec<usize>| l.iter().fold($start, |m, k| $ints(m, v[*k]));
                    Array::int(dtype, shape, lists.iter().map(fold).collect())
                }])
            }
            /// The tangent of the element that was taken; the mean of them at a tie.
            fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
                let Some(t) = &t[0] else { return Some(vec![None]) };
                let axes = n.attrs.ints("axes");
                let taken = n.inputs[0].equal(&spread(&n.outputs[0], &n.inputs[0], &axes));
                let taken = taken.convert(t.dtype());
                Some(vec![Some((t * &taken).sum(&axes) / taken.sum(&axes))])
            }
            fn batch(n: &NodeCx, _: &[bool], _: &Dim) -> Option<Vec<Var>> {
                Some(vec![n.cx.push1(crate::Op::$op, inner_axes(n.attrs), &[&n.inputs[0]])])
            }
            fn jet(n: &NodeCx, s: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
                taylor::by_coefficient(n, s, Self::jvp)
            }
            fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
                work(inputs, out)
            }
        }
    };
}
extremum!(
    /// Maximum over axes.
    ReduceMax, "reduce_max", S::maximum, std::cmp::max, i64::MIN
);
extremum!(
    /// Minimum over axes.
    ReduceMin, "reduce_min", S::minimum, std::cmp::min, i64::MAX
);

/// Position of the first maximum along `axis`, i64.
pub struct ArgMax;
impl OpDef for ArgMax {
    const NAME: &'static str = "argmax";
    const ATTRS: &'static [&'static str] = &["axis"];
    const CLASS: Class = Class::Reduce;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let axis = attrs.int("axis", 0);
        let reduced = infer(&crate::attrs! { axes: Ints(vec![axis]) }, inputs)?;
        Ok(vec![reduced[0].with_dtype(axes::DType::I64)])
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        _: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let (shape, lists) = groups(&i[0].shape, &[attrs.int("axis", 0) as usize]);
        let values: Vec<f64> = i[0].to_f64();
        let best = |l: &Vec<usize>| {
            (0..l.len()).fold(0, |m, k| if values[l[k]] > values[l[m]] { k } else { m }) as i64
        };
        Ok(vec![Array::int(axes::DType::I64, shape, lists.iter().map(best).collect())])
    }
    fn batch(n: &NodeCx, _: &[bool], _: &Dim) -> Option<Vec<Var>> {
        Some(vec![n.inputs[0].argmax(n.attrs.int("axis", 0) as usize + 1)])
    }
    fn jvp(_: &NodeCx, _: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![None])
    }
}
