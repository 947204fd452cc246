//! Reading and writing rows by index.

use super::arity;
use crate::array::Array;
use crate::attrs::Attrs;
use crate::dim::Dim;
use crate::op::{Class, EvalCx, NodeCx, OpDef, Tangent};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;

pub(super) fn integer(t: &Type) -> Result<(), String> {
    use axes::DType::{I8, I32, I64, U8};
    match t.dtype {
        I64 | I32 | I8 | U8 => Ok(()),
        _ => Err(format!("indices must be integers, found {t}")),
    }
}

pub(super) fn row(index: i64, rows: usize) -> Result<usize, String> {
    usize::try_from(index)
        .ok()
        .filter(|i| *i < rows)
        .ok_or_else(|| format!("index {index} is outside a table of {rows} rows"))
}

/// Indices (B, I…) into B tables of `rows` rows that lie one after another; one that is out of range stays so.
fn into_stack(indices: &Var, rows: &Dim) -> Var {
    let (cx, ty) = (indices.cx(), indices.ty());
    let attrs = crate::attrs! { dtype: DType(ty.dtype), dims: Dims(ty.shape.clone()), axis: Int(0) };
    let table = cx.push1(crate::Op::Iota, attrs, &[]);
    let rows = cx.size_of(rows, ty.dtype);
    let inside = indices.ge(&indices.full_like(0.0)).and(&indices.lt(&rows.broadcast(&ty.shape, &[])));
    inside.select(&(indices + &(table * &rows)), &indices.full_like(-1.0))
}

/// Rows of a table [V, R…] at indices [I…]: [I…, R…].
pub struct Gather;
impl OpDef for Gather {
    const NAME: &'static str = "gather";
    const CLASS: Class = Class::Index;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 2)?;
        integer(&inputs[1])?;
        if inputs[0].rank() == 0 {
            return Err(format!("the table {} has no rows", inputs[0]));
        }
        let shape = inputs[1].shape.iter().chain(&inputs[0].shape[1..]).cloned().collect();
        Ok(vec![Type { dtype: inputs[0].dtype, shape }])
    }
    fn eval<S: Scalar>(_: &EvalCx, _: &Attrs, i: &[Array<S>], _: &[Type]) -> Result<Vec<Array<S>>, String> {
        let (table, indices) = (&i[0], i[1].ints());
        let width: usize = table.shape[1..].iter().product();
        let rows = indices.iter().map(|k| row(*k, table.shape[0])).collect::<Result<Vec<_>, _>>()?;
        let shape: Vec<usize> = i[1].shape.iter().chain(&table.shape[1..]).copied().collect();
        Ok(vec![table.pick(shape, 0.0, |at| Some(rows[at / width] * width + at % width))])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![t[0].as_ref().map(|t| t.gather(&n.inputs[1]))])
    }
    fn transpose(n: &NodeCx, _: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        let rows = n.inputs[0].shape()[0].clone();
        Some(vec![ct[0].as_ref().map(|c| n.inputs[1].scatter_add(c, &rows)), None])
    }
    fn batch(n: &NodeCx, mapped: &[bool], _: &Dim) -> Option<Vec<Var>> {
        let (table, indices) = (&n.inputs[0], &n.inputs[1]);
        let k = indices.ty().rank();
        Some(vec![match mapped {
            [true, true] => {
                let shape = table.shape();
                let flat: Vec<Dim> =
                    std::iter::once(&shape[0] * &shape[1]).chain(shape[2..].to_vec()).collect();
                table.reshape(&flat).gather(&into_stack(indices, &shape[1]))
            }
            [true, false] => super::move_axis(&super::move_axis(table, 0, 1).gather(indices), k, 0),
            _ => table.gather(indices),
        }])
    }
}

/// A table of `rows` zero rows to which `updates` [I…, R…] are added at indices [I…].
pub struct ScatterAdd;
impl OpDef for ScatterAdd {
    const NAME: &'static str = "scatter_add";
    const ATTRS: &'static [&'static str] = &["rows", "accumulator"];
    const CLASS: Class = Class::Index;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 2)?;
        integer(&inputs[0])?;
        super::float(inputs, 1)?;
        super::reduce::accumulator(attrs)?;
        if attrs.dims("rows").len() != 1 {
            return Err("needs the number of rows".into());
        }
        let k = inputs[0].rank();
        if inputs[1].rank() < k || inputs[1].shape[..k] != inputs[0].shape[..] {
            return Err(format!(
                "updates {} do not begin with the sizes of the indices {}",
                inputs[1], inputs[0]
            ));
        }
        let shape = attrs.dims("rows").iter().chain(&inputs[1].shape[k..]).cloned().collect();
        Ok(vec![Type { dtype: inputs[1].dtype, shape }])
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let shape = super::shape::bind(cx, &types[0])?;
        let width: usize = shape[1..].iter().product();
        let mut out = vec![S::from_f64(0.0); shape.iter().product()];
        if let Some(how) = cx.accumulator(attrs)? {
            let mut users = vec![vec![]; shape[0]];
            for (k, index) in i[0].ints().iter().enumerate() {
                users[row(*index, shape[0])?].push(k);
            }
            for (r, users) in users.iter().enumerate() {
                for c in 0..width {
                    let terms: Vec<S> = users.iter().map(|k| i[1].floats()[k * width + c].clone()).collect();
                    out[r * width + c] = S::sum_in(how, &terms);
                }
            }
            return Ok(vec![Array::float(types[0].dtype, shape, out)]);
        }
        for (k, index) in i[0].ints().iter().enumerate() {
            let r = row(*index, shape[0])?;
            for c in 0..width {
                out[r * width + c] = out[r * width + c].clone() + i[1].floats()[k * width + c].clone();
            }
        }
        Ok(vec![Array::float(types[0].dtype, shape, out)])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![t[1].as_ref().map(|t| n.inputs[0].scatter_add(t, &n.attrs.dims("rows")[0]))])
    }
    fn transpose(n: &NodeCx, _: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![None, ct[0].as_ref().map(|c| c.gather(&n.inputs[0]))])
    }
    fn batch(n: &NodeCx, mapped: &[bool], size: &Dim) -> Option<Vec<Var>> {
        let (indices, updates, rows) = (&n.inputs[0], &n.inputs[1], &n.attrs.dims("rows")[0]);
        if !mapped[0] {
            let k = indices.ty().rank();
            let made = indices.scatter_add(&super::move_axis(updates, 0, k), rows);
            return Some(vec![super::move_axis(&made, 1, 0)]);
        }
        let updates = super::spread(updates, mapped[1], size);
        let flat = into_stack(indices, rows).scatter_add(&updates, &(size * rows));
        let rest = flat.shape()[1..].to_vec();
        let shape: Vec<Dim> = [size.clone(), rows.clone()].into_iter().chain(rest).collect();
        Some(vec![flat.reshape(&shape)])
    }
}
