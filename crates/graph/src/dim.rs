//! Sizes of axes: fixed numbers, or polynomials in named symbols (`B`, `T`, `B*T + 3`) that are bound when a graph
//! is specialised or evaluated.
//!
//! A polynomial with integer coefficients is enough for what shapes need (products by `reshape`, sums by
//! `concatenate` and `pad`), and it has a normal form, so equality of sizes is equality of values.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Add, Mul, Sub};
use std::sync::Arc;

/// Values for the symbols of a graph's sizes.
pub type Bindings = BTreeMap<String, usize>;

/// A monomial: the sorted symbols that are multiplied, and the coefficient.
type Term = (Vec<Arc<str>>, i64);

/// The size of one axis.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dim {
    /// A number.
    Fixed(usize),
    /// A polynomial in symbols, in normal form: terms sorted by their symbols, no zero coefficient, never constant.
    Poly(Arc<Vec<Term>>),
}

impl Dim {
    /// The size named by a symbol.
    pub fn symbol(name: &str) -> Dim {
        Dim::Poly(Arc::new(vec![(vec![Arc::from(name)], 1)]))
    }

    /// The number, when the size is known.
    pub fn fixed(&self) -> Option<usize> {
        match self {
            Dim::Fixed(n) => Some(*n),
            Dim::Poly(_) => None,
        }
    }

    fn terms(&self) -> Vec<Term> {
        match self {
            Dim::Fixed(0) => vec![],
            Dim::Fixed(n) => vec![(vec![], *n as i64)],
            Dim::Poly(t) => t.as_ref().clone(),
        }
    }

    fn from_terms(terms: Vec<Term>) -> Dim {
        let mut sums: BTreeMap<Vec<Arc<str>>, i64> = BTreeMap::new();
        for (symbols, k) in terms {
            let sum = sums.entry(symbols).or_insert(0);
            *sum = sum.saturating_add(k);
        }
        sums.retain(|_, k| *k != 0);
        match sums.len() {
            0 => Dim::Fixed(0),
            1 if sums.contains_key(&Vec::new() as &Vec<Arc<str>>)
                && sums[&Vec::new() as &Vec<Arc<str>>] >= 0 =>
            {
                Dim::Fixed(sums[&Vec::new() as &Vec<Arc<str>>] as usize)
            }
            _ => Dim::Poly(Arc::new(sums.into_iter().collect())),
        }
    }

    /// The size under `bindings`; the error is the symbol that has no value, or the text of a negative size.
    pub fn bind(&self, bindings: &Bindings) -> Result<usize, String> {
        match self {
            Dim::Fixed(n) => Ok(*n),
            Dim::Poly(terms) => {
                let mut sum = 0i64;
                for (symbols, k) in terms.iter() {
                    let mut p = *k;
                    for s in symbols {
                        p = p.saturating_mul(*bindings.get(s.as_ref()).ok_or_else(|| s.to_string())? as i64);
                    }
                    sum = sum.saturating_add(p);
                }
                usize::try_from(sum).map_err(|_| format!("{self} = {sum}"))
            }
        }
    }

    /// The size with the bound symbols replaced; others stay.
    pub fn substitute(&self, bindings: &Bindings) -> Dim {
        match self {
            Dim::Fixed(n) => Dim::Fixed(*n),
            Dim::Poly(terms) => Dim::from_terms(
                terms
                    .iter()
                    .map(|(symbols, k)| {
                        let mut left = vec![];
                        let mut k = *k;
                        for s in symbols {
                            match bindings.get(s.as_ref()) {
                                Some(n) => k = k.saturating_mul(*n as i64),
                                None => left.push(s.clone()),
                            }
                        }
                        (left, k)
                    })
                    .collect(),
            ),
        }
    }

    /// The symbols that occur, into `out`.
    pub fn symbols(&self, out: &mut std::collections::BTreeSet<String>) {
        if let Dim::Poly(terms) = self {
            out.extend(terms.iter().flat_map(|(s, _)| s.iter().map(|s| s.to_string())));
        }
    }

    /// Whether a coefficient has left the numbers that sizes are computed in; it then stands at their end, and the
    /// lower end is no number that can be read back.
    pub(crate) fn saturated(&self) -> bool {
        match self {
            Dim::Fixed(n) => i64::try_from(*n).is_err(),
            Dim::Poly(terms) => terms.iter().any(|(_, k)| matches!(*k, i64::MIN | i64::MAX)),
        }
    }

    /// Reads the form that `Display` writes: terms joined by `+` or `-`, factors joined by `*`.
    pub fn parse(text: &str) -> Option<Dim> {
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let spread = compact.replace('-', "+-");
        let mut terms = vec![];
        for part in spread.split('+').filter(|p| !p.is_empty()) {
            let (mut k, part) = part.strip_prefix('-').map_or((1i64, part), |p| (-1, p));
            let mut symbols = vec![];
            for factor in part.split('*') {
                if let Ok(n) = factor.parse::<i64>() {
                    k = k.checked_mul(n)?;
                } else if is_symbol(factor) {
                    symbols.push(Arc::from(factor));
                } else {
                    return None;
                }
            }
            symbols.sort();
            terms.push((symbols, k));
        }
        (!compact.is_empty()).then(|| Dim::from_terms(terms))
    }
}

/// Whether a symbol's name can be read back: a letter or `_`, then letters, digits and `_`.
pub(crate) fn is_symbol(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_numeric())
        && !name.is_empty()
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

impl From<usize> for Dim {
    fn from(n: usize) -> Dim {
        Dim::Fixed(n)
    }
}

impl From<&str> for Dim {
    fn from(name: &str) -> Dim {
        Dim::symbol(name)
    }
}

impl Add for &Dim {
    type Output = Dim;
    fn add(self, other: &Dim) -> Dim {
        match (self, other) {
            (Dim::Fixed(a), Dim::Fixed(b)) => Dim::Fixed(a.saturating_add(*b)),
            _ => Dim::from_terms(self.terms().into_iter().chain(other.terms()).collect()),
        }
    }
}

impl Sub for &Dim {
    type Output = Dim;
    fn sub(self, other: &Dim) -> Dim {
        let negated = other.terms().into_iter().map(|(s, k)| (s, k.saturating_neg()));
        Dim::from_terms(self.terms().into_iter().chain(negated).collect())
    }
}

impl Mul for &Dim {
    type Output = Dim;
    fn mul(self, other: &Dim) -> Dim {
        if let (Dim::Fixed(a), Dim::Fixed(b)) = (self, other) {
            return Dim::Fixed(a.saturating_mul(*b));
        }
        let mut terms = vec![];
        for (sa, ka) in self.terms() {
            for (sb, kb) in other.terms() {
                let mut symbols = [sa.clone(), sb].concat();
                symbols.sort();
                terms.push((symbols, ka.saturating_mul(kb)));
            }
        }
        Dim::from_terms(terms)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Fixed(n) => write!(f, "{n}"),
            Dim::Poly(terms) => {
                for (i, (symbols, k)) in terms.iter().rev().enumerate() {
                    let sign = if *k < 0 {
                        "-"
                    } else if i > 0 {
                        "+"
                    } else {
                        ""
                    };
                    write!(f, "{sign}")?;
                    if k.unsigned_abs() != 1 || symbols.is_empty() {
                        write!(f, "{}{}", k.unsigned_abs(), if symbols.is_empty() { "" } else { "*" })?;
                    }
                    write!(f, "{}", symbols.join("*"))?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_have_a_normal_form_and_parse_back() {
        let (b, t) = (Dim::symbol("B"), Dim::symbol("T"));
        let three = Dim::from(3);
        assert_eq!(&(&b * &t) + &three, &three + &(&t * &b));
        assert_eq!(&(&b + &t) - &b, t);
        assert_eq!(&b - &b, Dim::Fixed(0));
        for d in [&(&b * &t) + &three, &(&t * &three) - &Dim::from(1), b.clone(), Dim::from(7)] {
            assert_eq!(Dim::parse(&d.to_string()), Some(d.clone()), "{d}");
        }
        let bindings = Bindings::from([("B".into(), 2), ("T".into(), 5)]);
        assert_eq!((&(&b * &t) + &three).bind(&bindings), Ok(13));
        assert_eq!((&(&b * &t) + &three).substitute(&bindings), Dim::Fixed(13));
        assert_eq!(Dim::symbol("X").bind(&bindings), Err("X".into()));
        assert!((&b - &three).bind(&bindings).unwrap_err().contains("-1"));
    }
}
