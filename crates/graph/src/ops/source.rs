//! Values from nowhere: inputs, constants, counters, random bits.

use crate::array::Array;
use crate::attrs::{Attr, Attrs};
use crate::op::{Class, Cost, EvalCx, Literals, NodeCx, OpDef, Tangent, bytes};
use crate::scalar::Scalar;
use crate::types::Type;

/// An input of the graph; its type stands at the node.
pub struct Input;
impl OpDef for Input {
    const NAME: &'static str = "input";
    const CLASS: Class = Class::Source;
    fn infer(_: &Attrs, _: &[Type]) -> Result<Vec<Type>, String> {
        Err("inputs are declared, not inferred".into())
    }
    fn eval<S: Scalar>(_: &EvalCx, _: &Attrs, _: &[Array<S>], _: &[Type]) -> Result<Vec<Array<S>>, String> {
        Err("the input has no value".into())
    }
    fn cost(_: &Attrs, _: &[Type], _: &[Type]) -> Cost {
        Cost::default()
    }
}

/// Numbers known at build time: one, repeated to `dims`, or as many as `dims` says.
///
/// One number may also have its `decimal` text. It is then that decimal in every arithmetic, so that `0.1` is one tenth
/// and not the double nearest to it; `values` holds the double.
pub struct Constant;
impl OpDef for Constant {
    const NAME: &'static str = "constant";
    const ATTRS: &'static [&'static str] = &["dtype", "dims", "values", "decimal"];
    const CLASS: Class = Class::Source;
    fn infer(attrs: &Attrs, _: &[Type]) -> Result<Vec<Type>, String> {
        let ty = Type { dtype: attrs.dtype("dtype").ok_or("needs a dtype")?, shape: attrs.dims("dims") };
        let Some(Attr::Floats(v)) = attrs.get("values") else { return Err("needs values".into()) };
        if attrs.get("decimal").is_some() {
            let text = attrs.str("decimal");
            let fits = v.len() == 1 && ty.dtype.is_float() && crate::decimal::nearest(text) == Some(v[0]);
            if !fits {
                return Err(format!("`{text}` is not a decimal whose nearest double is the one value given"));
            }
        }
        match ty.elements() {
            _ if v.len() == 1 => Ok(vec![ty]),
            Some(n) if n == v.len() => Ok(vec![ty]),
            _ => Err(format!("{} values for {ty}", v.len())),
        }
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        _: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let shape = super::shape::bind(cx, &types[0])?;
        let Some(Attr::Floats(v)) = attrs.get("values") else { return Err("needs values".into()) };
        let n: usize = shape.iter().product();
        if let Some(Attr::Str(text)) = attrs.get("decimal") {
            let x = S::from_decimal(text).ok_or_else(|| format!("this arithmetic has no number `{text}`"))?;
            return Ok(vec![Array::float(types[0].dtype, shape, vec![x; n])]);
        }
        let dtype = types[0].dtype;
        if cx.literals == Literals::Decimal && dtype.is_float() {
            let read: Vec<S> = v.iter().map(|x| cx.literal(*x)).collect();
            let data = if v.len() == 1 { vec![read[0].clone(); n] } else { read };
            return Ok(vec![Array::float(dtype, shape, data)]);
        }
        let data = if v.len() == 1 { vec![v[0]; n] } else { v.to_vec() };
        Ok(vec![Array::from_f64(dtype, shape, &data)])
    }
    fn jvp(_: &NodeCx, _: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![None])
    }
    fn cost(_: &Attrs, _: &[Type], out: &[Type]) -> Cost {
        Cost { bytes: bytes(out), ..Cost::default() }
    }
}

/// 0, 1, 2, … along one axis.
pub struct Iota;
impl OpDef for Iota {
    const NAME: &'static str = "iota";
    const ATTRS: &'static [&'static str] = &["dtype", "dims", "axis"];
    const CLASS: Class = Class::Source;
    fn infer(attrs: &Attrs, _: &[Type]) -> Result<Vec<Type>, String> {
        let ty = Type { dtype: attrs.dtype("dtype").ok_or("needs a dtype")?, shape: attrs.dims("dims") };
        let axis = attrs.int("axis", 0) as usize;
        if axis < ty.rank() { Ok(vec![ty]) } else { Err(format!("axis {axis} of {ty}")) }
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        _: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let shape = super::shape::bind(cx, &types[0])?;
        let axis = attrs.int("axis", 0) as usize;
        let n: usize = shape.iter().product();
        let data: Vec<f64> = (0..n).map(|i| crate::array::unravel(i, &shape)[axis] as f64).collect();
        Ok(vec![Array::from_f64(types[0].dtype, shape, &data)])
    }
    fn jvp(_: &NodeCx, _: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![None])
    }
}

/// Uniform 32-bit numbers from a counter: element i is a function of the key (rank-0 i64) and i alone, so the result
/// does not depend on threads or blocks (splitmix64's finaliser, Steele, Lea and Flood 2014).
pub struct RandomBits;
impl RandomBits {
    /// The number at position `i` of the stream `key`.
    pub fn at(key: i64, i: u64) -> u32 {
        let mut z = (key as u64).wrapping_add(0x9E37_79B9_7F4A_7C15u64.wrapping_mul(i.wrapping_add(1)));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 32) as u32
    }
}
impl OpDef for RandomBits {
    const NAME: &'static str = "random_bits";
    const ATTRS: &'static [&'static str] = &["dims"];
    const CLASS: Class = Class::Source;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        super::arity(inputs, 1)?;
        if inputs[0] != Type::scalar(axes::DType::I64) {
            return Err(format!("the key must be i64[], found {}", inputs[0]));
        }
        Ok(vec![Type { dtype: axes::DType::I64, shape: attrs.dims("dims") }])
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        _: &Attrs,
        inputs: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let shape = super::shape::bind(cx, &types[0])?;
        let n: usize = shape.iter().product();
        let key = inputs[0].ints()[0];
        Ok(vec![Array::int(types[0].dtype, shape, (0..n).map(|i| Self::at(key, i as u64) as i64).collect())])
    }
    fn jvp(_: &NodeCx, _: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![None])
    }
}
