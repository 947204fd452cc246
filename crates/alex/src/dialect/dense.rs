//! `dense<…> : tensor<…>`: the numbers of a tensor, as they are printed and read.
//!
//! Few are a nested list, many their bytes. One number without brackets stands for all of them, and stays one when it is read,
//! so that a list of equal numbers and one number for all remain two things, as they are in a graph.

use std::fmt;
use std::sync::Arc;

use super::attr::Type;
use crate::ir::{self, Element};

/// How many numbers are written as a list.
const FEW: usize = 64;

/// The numbers of a tensor whose sizes are known. Each is one that the element type has.
#[derive(Clone, Debug)]
pub struct Dense {
    /// The numbers, row-major; a single one stands for all.
    pub values: Arc<Vec<f64>>,
    /// The sizes.
    pub sizes: Vec<u64>,
    /// The element type: `f32`, `i64`, …
    pub elem: String,
}

impl PartialEq for Dense {
    /// Equal bit by bit.
    fn eq(&self, other: &Dense) -> bool {
        let bits = |d: &Dense| d.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        self.sizes == other.sizes
            && self.elem == other.elem
            && (Arc::ptr_eq(&self.values, &other.values) || bits(self) == bits(other))
    }
}

impl Dense {
    /// The tensor's type.
    pub fn ty(&self) -> Type {
        let sizes = self.sizes.iter().map(|n| Some(*n)).collect();
        Type::Tensor { sizes, elem: Box::new(Type::word(&self.elem)) }
    }

    /// Reads `dense<…>`; `None` where numbers are not what the type has, or no double equals them.
    pub(crate) fn read(text: &str, ty: &Type) -> Option<Dense> {
        let Type::Tensor { sizes, elem } = ty else { return None };
        let Type::Word(elem) = &**elem else { return None };
        let sizes: Vec<u64> = sizes.iter().copied().collect::<Option<_>>()?;
        let count = sizes.iter().try_fold(1_u64, |n, d| n.checked_mul(*d))?;
        let inner = text.trim().strip_prefix("dense<")?.strip_suffix('>')?.trim();
        let values = if let Some(hex) = inner.strip_prefix("\"0x") {
            bytes(hex.strip_suffix('"')?, elem)?
        } else {
            let list = inner.replace(['[', ']'], " ");
            let parts = list.split(',').map(str::trim).filter(|part| !part.is_empty());
            parts.map(|part| number(part, elem)).collect::<Option<_>>()?
        };
        let fits = values.len() as u64 == count || (values.len() == 1 && !inner.starts_with('['));
        fits.then(|| Dense { values: Arc::new(values), sizes, elem: elem.clone() })
    }
}

/// Whether the element type has that number, so that it is the same when it is read.
pub(crate) fn exact(value: f64, elem: &str) -> bool {
    let same = |rounded: f64| rounded.to_bits() == value.to_bits();
    match elem {
        "f64" => true,
        _ if value.is_nan() => same(f64::NAN) && ["f32", "f16", "bf16"].contains(&elem),
        "f32" => same(f64::from(value as f32)),
        "f16" => same(half::f16::from_f64(value).to_f64()),
        "bf16" => same(half::bf16::from_f64(value).to_f64()),
        "i64" => value.abs() <= 9_007_199_254_740_992.0 && same((value as i64) as f64),
        "i32" => same(f64::from(value as i32)),
        "i1" => same(0.0) || same(1.0),
        "i8" => same(f64::from(value as i8)),
        // Numbers of other types stay as they are written.
        _ => false,
    }
}

fn number(text: &str, elem: &str) -> Option<f64> {
    let value = match (text, text.strip_prefix("0x")) {
        ("true", _) => 1.0,
        ("false", _) => 0.0,
        (_, Some(hex)) => {
            let bits = u64::from_str_radix(hex, 16).ok()?;
            match elem {
                "f64" => f64::from_bits(bits),
                "f32" => f64::from(f32::from_bits(u32::try_from(bits).ok()?)),
                "f16" => half::f16::from_bits(u16::try_from(bits).ok()?).to_f64(),
                "bf16" => half::bf16::from_bits(u16::try_from(bits).ok()?).to_f64(),
                _ => return None,
            }
        }
        (text, None) => {
            let value: f64 = text.parse().ok()?;
            match elem {
                "f64" => value,
                // A decimal of a narrower type is rounded to it.
                "f32" => f64::from(text.parse::<f32>().ok()?),
                "f16" => half::f16::from_f64(value).to_f64(),
                "bf16" => half::bf16::from_f64(value).to_f64(),
                _ => value,
            }
        }
    };
    exact(value, elem).then_some(value)
}

fn bytes(hex: &str, elem: &str) -> Option<Vec<f64>> {
    let digits = hex.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let raw: Vec<u8> = digits.chunks(2).map(byte).collect::<Option<_>>()?;
    let all = |n: usize, read: &dyn Fn(&[u8]) -> f64| {
        raw.len().is_multiple_of(n).then(|| raw.chunks_exact(n).map(read).collect::<Vec<f64>>())
    };
    let values = match elem {
        "f64" => all(8, &|b| f64::from_le_bytes(*b.first_chunk().unwrap_or(&[0; 8]))),
        "f32" => all(4, &|b| f64::from(f32::from_le_bytes(*b.first_chunk().unwrap_or(&[0; 4])))),
        "i64" => all(8, &|b| i64::from_le_bytes(*b.first_chunk().unwrap_or(&[0; 8])) as f64),
        "i32" => all(4, &|b| f64::from(i32::from_le_bytes(*b.first_chunk().unwrap_or(&[0; 4])))),
        "i8" => all(1, &|b| f64::from(b[0] as i8)),
        _ => None,
    }?;
    values.iter().all(|v| exact(*v, elem)).then_some(values)
}

impl fmt::Display for Dense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v = &self.values[..];
        let sizes: Vec<i64> = self.sizes.iter().map(|n| *n as i64).collect();
        // A NaN that is not the usual one has no literal.
        let odd = v.iter().any(|x| x.is_nan() && x.to_bits() != f64::NAN.to_bits());
        fn all<E: Element>(sizes: &[i64], odd: bool, data: Vec<E::Rust>) -> String {
            match &data[..] {
                [] => "dense<>".to_owned(),
                [one] if !odd => format!("dense<{}>", E::literal(*one)),
                _ if !odd && (data.len() <= FEW || E::bytes(data[0]).is_empty()) => {
                    let literals: Vec<String> = data.iter().map(|&v| E::literal(v)).collect();
                    format!("dense<{}>", ir::module::nested(sizes, &literals))
                }
                _ => {
                    let hex = data.iter().flat_map(|&v| E::bytes(v)).map(|byte| format!("{byte:02X}"));
                    format!("dense<\"0x{}\">", hex.collect::<String>())
                }
            }
        }
        let narrow = || v.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let body = match self.elem.as_str() {
            "f64" => all::<ir::F64>(&sizes, odd, v.to_vec()),
            "f32" => all::<ir::F32>(&sizes, odd, narrow()),
            "bf16" => all::<ir::BF16>(&sizes, odd, narrow()),
            "f16" => all::<ir::F16>(&sizes, odd, narrow()),
            "i64" => all::<ir::I64>(&sizes, odd, v.iter().map(|&x| x as i64).collect()),
            "i32" => all::<ir::I32>(&sizes, odd, v.iter().map(|&x| x as i32).collect()),
            "i1" => all::<ir::I1>(&sizes, odd, v.iter().map(|&x| x != 0.0).collect()),
            _ => all::<ir::I8>(&sizes, odd, v.iter().map(|&x| x as i64 as i8).collect()),
        };
        write!(f, "{body} : {}", self.ty())
    }
}
