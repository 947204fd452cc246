//! Products with weights, and quantisation.

use axes::DType;
use graph::Var;

use super::super::super::attr::Type;
use super::super::types::format;
use super::{Call, Item, Made, ahead, behind, one};

pub(super) fn build(call: &Call<'_>) -> Made {
    match call.name {
        "quantize_activations" => {
            let (q, s) = call.var(0)?.quantize_activations(call.text("rounding").unwrap_or("half_even"));
            Ok(if call.own(0) { vec![Item::Quantized(q, s)] } else { vec![Item::One(q), Item::One(s)] })
        }
        "quantize_weights" => {
            let (t, s) = call.var(0)?.quantize_weights();
            Ok(if call.own(0) {
                vec![Item::Ternary(t, s)]
            } else {
                vec![Item::One(t), Item::One(s.reciprocal())]
            })
        }
        "dequantize" => match &call.items[..] {
            [Item::Quantized(q, s)] => {
                let dtype = call.result(0)?.dtype;
                one(&q.convert(dtype) / &behind(&s.convert(dtype), &q.shape()))
            }
            _ => call.none(),
        },
        "repack" => Ok(call.items.clone()),
        "ternary_accumulate" => {
            let y = ternary(call, None)?;
            one(&call.var(2)? + &y)
        }
        "ternary_linear" => {
            let scale = if call.has(2) { Some(call.var(2)?) } else { None };
            one(ternary(call, scale)?)
        }
        "ternary_product" => {
            let (q, s, t, w) = (call.var(0)?, call.var(1)?, call.var(2)?, call.var(3)?);
            let y = q.convert(s.dtype()).linear(&t.convert(s.dtype()));
            let y = &y / &behind(&s, &y.shape());
            one(&y / &w.broadcast(&y.shape(), &[]))
        }
        "ternary_sum" => {
            let (Some(Item::Quantized(q, _) | Item::One(q)), Some(Item::Ternary(t, _) | Item::One(t))) =
                (call.items.first(), call.items.get(1))
            else {
                return call.none();
            };
            // A graph multiplies floats; f64 holds every sum.
            one(q.convert(DType::F64).linear(&t.convert(DType::F64)).convert(DType::I32))
        }
        "linear" | "head_product" => {
            let y = call.var(0)?.linear(&call.var(1)?);
            one(if call.has(2) { &y + &ahead(&call.var(2)?, &y.shape()) } else { y })
        }
        "block_linear" => match call.types.get(1) {
            Some(ty @ Type::Fidelity { .. }) => one(call.var(0)?.block_linear(&call.var(1)?, format(ty)?)),
            _ => {
                Err("weights that are a tensor need `format` and `columns`, and `fidelity.element = ui8`"
                    .into())
            }
        },
        "outer" => {
            let (x, y) = (call.var(0)?, call.var(1)?);
            let mut shape = x.shape();
            shape.extend(y.shape().pop());
            let rank = shape.len();
            let columns: Vec<usize> = (0..rank - 2).chain([rank - 1]).collect();
            one(&behind(&x, &shape) * &y.broadcast(&shape, &columns))
        }
        _ => call.none(),
    }
}

/// Σ w x, and divided by the scale that weights carry, or times the factor of weights that carry none.
fn ternary(call: &Call<'_>, factor: Option<Var>) -> Result<Var, String> {
    let (Some(x), Some(w)) = (call.items.first(), call.items.get(1)) else { return call.none() };
    let dtype = match x {
        Item::One(x) => x.dtype(),
        _ => call.result(0)?.dtype,
    };
    let y = match (x, w) {
        (Item::Quantized(q, s), Item::Ternary(t, scale)) => {
            q.ternary_linear(&s.convert(dtype), t, &scale.convert(dtype))
        }
        (x, w) => {
            let (Item::Ternary(t, _) | Item::One(t) | Item::Quantized(t, _)) = w;
            let (Item::One(v) | Item::Quantized(v, _) | Item::Ternary(v, _)) = x;
            let mut y = v.convert(dtype).linear(&t.convert(dtype));
            if let Item::Quantized(_, s) = x {
                y = &y / &behind(&s.convert(dtype), &y.shape());
            }
            match w {
                Item::Ternary(_, s) => &y / &s.convert(dtype).broadcast(&y.shape(), &[]),
                _ => y,
            }
        }
    };
    Ok(match factor {
        Some(f) => &y * &f.broadcast(&y.shape(), &[]),
        None => y,
    })
}
