//! Comparisons, logic, choice and conversion.

use super::{arity, map2, same};
use crate::array::{Array, Data};
use crate::attrs::Attrs;
use crate::op::{Class, EvalCx, NodeCx, OpDef, Tangent};
use crate::scalar::Scalar;
use crate::types::Type;
use axes::DType;

/// How two elements are compared: `lt`, `le`, `gt`, `ge`, `eq`, `ne`. A comparison with NaN is false, except `ne`.
pub struct Compare;
impl OpDef for Compare {
    const NAME: &'static str = "compare";
    const ATTRS: &'static [&'static str] = &["how"];
    const CLASS: Class = Class::Elementwise;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 2)?;
        same(&inputs[0], &inputs[1])?;
        if !["lt", "le", "gt", "ge", "eq", "ne"].contains(&attrs.str("how")) {
            return Err(format!("unknown comparison `{}`", attrs.str("how")));
        }
        Ok(vec![inputs[0].with_dtype(DType::Bool)])
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        _: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        fn holds<T: PartialOrd>(how: &str, a: &T, b: &T) -> i64 {
            i64::from(match how {
                "lt" => a < b,
                "le" => a <= b,
                "gt" => a > b,
                "ge" => a >= b,
                "eq" => a == b,
                _ => a != b,
            })
        }
        let how = attrs.str("how");
        let v = match (&i[0].data, &i[1].data) {
            (Data::Float(a), Data::Float(b)) => {
                a.iter().zip(b.iter()).map(|(a, b)| holds(how, a, b)).collect()
            }
            (Data::Int(a), Data::Int(b)) => a.iter().zip(b.iter()).map(|(a, b)| holds(how, a, b)).collect(),
            _ => return Err("mixed operands".into()),
        };
        Ok(vec![Array::int(DType::Bool, i[0].shape.clone(), v)])
    }
    fn jvp(_: &NodeCx, _: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![None])
    }
}

macro_rules! logic {
    ($(#[$doc:meta])* $op:ident, $name:literal, $f:expr) => {
        $(#[$doc])*
        pub struct $op;
        impl OpDef for $op {
            const NAME: &'static str = $name;
            const CLASS: Class = Class::Elementwise;
            fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
                arity(inputs, 2)?;
                same(&inputs[0], &inputs[1])?;
                if inputs[0].dtype != DType::Bool {
                    return Err(format!("takes booleans, found {}", inputs[0]));
                }
                Ok(vec![inputs[0].clone()])
            }
            fn eval<S: Scalar>(
                _: &EvalCx, _: &Attrs, i: &[Array<S>], _: &[Type],
            ) -> Result<Vec<Array<S>>, String> {
                Ok(vec![map2(&i[0], &i[1], |a, _| a.clone(), $f)])
            }
            fn jvp(_: &NodeCx, _: &[Tangent]) -> Option<Vec<Tangent>> {
                Some(vec![None])
            }
        }
    };
}
logic!(
    /// Both hold.
    And, "and", |a, b| a & b
);
logic!(
    /// At least one holds.
    Or, "or", |a, b| a | b
);

/// Does not hold.
pub struct Not;
impl OpDef for Not {
    const NAME: &'static str = "not";
    const CLASS: Class = Class::Elementwise;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 1)?;
        if inputs[0].dtype != DType::Bool {
            return Err(format!("takes a boolean, found {}", inputs[0]));
        }
        Ok(vec![inputs[0].clone()])
    }
    fn eval<S: Scalar>(_: &EvalCx, _: &Attrs, i: &[Array<S>], _: &[Type]) -> Result<Vec<Array<S>>, String> {
        Ok(vec![super::map(&i[0], |x| x.clone(), |x| 1 - x)])
    }
    fn jvp(_: &NodeCx, _: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![None])
    }
}

/// The second operand where the first holds, else the third.
pub struct Select;
impl OpDef for Select {
    const NAME: &'static str = "select";
    const CLASS: Class = Class::Elementwise;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 3)?;
        same(&inputs[1], &inputs[2])?;
        if inputs[0] != inputs[1].with_dtype(DType::Bool) {
            return Err(format!(
                "the condition must be {}, found {}",
                inputs[1].with_dtype(DType::Bool),
                inputs[0]
            ));
        }
        Ok(vec![inputs[1].clone()])
    }
    fn eval<S: Scalar>(_: &EvalCx, _: &Attrs, i: &[Array<S>], _: &[Type]) -> Result<Vec<Array<S>>, String> {
        let c = i[0].ints();
        Ok(vec![match (&i[1].data, &i[2].data) {
            (Data::Float(a), Data::Float(b)) => Array::float(
                i[1].dtype,
                i[1].shape.clone(),
                (0..c.len()).map(|k| if c[k] != 0 { a[k].clone() } else { b[k].clone() }).collect(),
            ),
            (Data::Int(a), Data::Int(b)) => Array::int(
                i[1].dtype,
                i[1].shape.clone(),
                (0..c.len()).map(|k| if c[k] != 0 { a[k] } else { b[k] }).collect(),
            ),
            _ => return Err("mixed operands".into()),
        }])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        if t[1].is_none() && t[2].is_none() {
            return Some(vec![None]);
        }
        let zero = n.outputs[0].full_like(0.0);
        let (a, b) = (t[1].as_ref().unwrap_or(&zero), t[2].as_ref().unwrap_or(&zero));
        Some(vec![Some(n.inputs[0].select(a, b))])
    }
    fn transpose(n: &NodeCx, linear: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        let Some(ct) = &ct[0] else { return Some(vec![None; 3]) };
        let zero = ct.full_like(0.0);
        Some(vec![
            None,
            linear[1].then(|| n.inputs[0].select(ct, &zero)),
            linear[2].then(|| n.inputs[0].select(&zero, ct)),
        ])
    }
}

/// Another element type. Floats become integers by truncation toward zero, saturating; NaN becomes 0.
pub struct Convert;
impl OpDef for Convert {
    const NAME: &'static str = "convert";
    const ATTRS: &'static [&'static str] = &["dtype"];
    const CLASS: Class = Class::Elementwise;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 1)?;
        Ok(vec![inputs[0].with_dtype(attrs.dtype("dtype").ok_or("needs a dtype")?)])
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        _: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let to = types[0].dtype;
        let shape = i[0].shape.clone();
        let saturate = |x: f64| match to {
            DType::I8 => x as i8 as i64,
            DType::U8 => x as u8 as i64,
            DType::I32 => x as i32 as i64,
            DType::Bool => i64::from(x != 0.0),
            DType::Trit => x.clamp(-1.0, 1.0) as i64,
            _ => x as i64,
        };
        Ok(vec![match &i[0].data {
            Data::Float(v) if to.is_float() => Array { dtype: to, shape, data: Data::Float(v.clone()) },
            Data::Float(v) => Array::int(to, shape, v.iter().map(|x| saturate(x.to_f64())).collect()),
            Data::Int(v) if to.is_float() => {
                Array::float(to, shape, v.iter().map(|x| S::from_f64(*x as f64)).collect())
            }
            Data::Int(v) if to == DType::Bool => {
                Array::int(to, shape, v.iter().map(|x| i64::from(*x != 0)).collect())
            }
            Data::Int(v) if to == DType::Trit => {
                Array::int(to, shape, v.iter().map(|x| *x.clamp(&-1, &1)).collect())
            }
            Data::Int(v) => Array::int(to, shape, v.iter().map(|x| super::wrap(to, *x)).collect()),
        }])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        let to = n.outputs[0].dtype();
        let smooth = to.is_float() && n.inputs[0].dtype().is_float();
        Some(vec![t[0].as_ref().filter(|_| smooth).map(|t| t.convert(to))])
    }
    fn transpose(n: &NodeCx, _: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![ct[0].as_ref().map(|c| c.convert(n.inputs[0].dtype()))])
    }
}
