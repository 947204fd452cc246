//! What is suspicious in a module and still well formed: declared products of units that do not multiply, sizes below one.
//!
//! MLIR cannot see either, so they are no part of the verdict.

use std::collections::BTreeMap;

use super::attr::{Attr, Type};
use super::module::{Module, Place};
use super::table::{self, Parameter};

/// Something suspicious.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The function.
    pub function: String,
    /// Where.
    pub place: Place,
    /// What.
    pub text: String,
}

impl Module {
    /// What is suspicious and still well formed.
    pub fn remarks(&self) -> Vec<Remark> {
        let mut remarks = Vec::new();
        for function in &self.functions {
            let mut note =
                |place, text| remarks.push(Remark { function: function.name.clone(), place, text });
            for known in &function.values {
                if let Some(text) = size(&known.ty) {
                    note(function.place, format!("%{}: {text}", known.name));
                }
            }
            for op in &function.ops {
                for (_, attr) in &op.attributes {
                    if let Some(text) = product(attr) {
                        note(op.place, format!("{}: {text}", op.name));
                    }
                }
            }
        }
        remarks
    }
}

fn size(ty: &Type) -> Option<String> {
    let Type::Fidelity { name, parameters } = ty else { return None };
    let row = table::type_row(name, false)?;
    row.parameters.iter().zip(parameters).find_map(|((parameter, kind), attr)| match (kind, attr) {
        (Parameter::Size, Attr::Int(n, _)) if *n < 1 => Some(format!("size `{parameter}` is {n}")),
        (Parameter::Sizes, Attr::Array(items)) => items.iter().find_map(|item| match item {
            Attr::Int(n, _) if *n >= 1 => None,
            Attr::Str(_) => None,
            other => Some(format!("a leading size is {other}")),
        }),
        _ => None,
    })
}

fn product(attr: &Attr) -> Option<String> {
    let Attr::Fidelity { name, parameters } = attr else { return None };
    let [Attr::Str(left), Attr::Str(right), Attr::Str(result)] = parameters.as_slice() else { return None };
    if name != "product" {
        return None;
    }
    let (mut all, wanted) = (powers(left)?, powers(result)?);
    for (symbol, power) in powers(right)? {
        *all.entry(symbol).or_insert(0) += power;
    }
    all.retain(|_, power| *power != 0);
    (all != wanted).then(|| format!("\"{left}\" times \"{right}\" is declared to be \"{result}\""))
}

/// `kg m/s^2` as powers of symbols; `None` where the text is no product of powers, such as a name.
fn powers(unit: &str) -> Option<BTreeMap<String, i32>> {
    let mut all = BTreeMap::new();
    for (k, part) in unit.split('/').enumerate() {
        let sign = if k == 0 { 1 } else { -1 };
        for factor in part.split([' ', '·', '*']).filter(|f| !f.is_empty() && *f != "1") {
            let symbol: String =
                factor.chars().take_while(|c| c.is_alphabetic() || *c == '°' || *c == '%').collect();
            let exponent = factor[symbol.len()..]
                .trim_start_matches('^')
                .replace('²', "2")
                .replace('³', "3")
                .replace('⁻', "-")
                .replace('¹', "1");
            let exponent: i32 = if exponent.is_empty() { 1 } else { exponent.parse().ok()? };
            if symbol.is_empty() || exponent.abs() > 32 {
                return None;
            }
            *all.entry(symbol).or_insert(0) += sign * exponent;
        }
    }
    all.retain(|_, power| *power != 0);
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(left: &str, right: &str, result: &str) -> Option<String> {
        let parameters = [left, right, result].map(Attr::text).to_vec();
        product(&Attr::Fidelity { name: "product".to_owned(), parameters })
    }

    #[test]
    fn products_are_multiplied_where_units_are_powers() {
        assert_eq!(declared("m/s", "s", "m"), None);
        assert_eq!(declared("", "kg", "kg"), None);
        assert_eq!(declared("kg m/s^2", "m", "kg m²/s²"), None);
        assert_eq!(
            declared("m/s", "s", "kg").as_deref(),
            Some("\"m/s\" times \"s\" is declared to be \"kg\"")
        );
    }
}
